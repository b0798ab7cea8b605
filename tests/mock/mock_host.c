// SPDX-License-Identifier: MIT
/* The kernel's mock devices as VFIO devices. */
#include "mock/mock_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/device.h"
#include "domain/domain.h"

enum { PAGE = 4096 };

static const struct weir_sys *real(void)
{
	return weir_sys_real();
}

static int mock_op(int iommufd, struct abi_iommu_test_cmd *cmd)
{
	cmd->size = sizeof(*cmd);
	return real()->ioctl(NULL, iommufd, ABI_IOMMU_TEST_CMD, cmd);
}

/* Descriptors ------------------------------------------------------------------------------------------------------ */

static int *iommufd_pair(struct mock_host *mock, int fd)
{
	for (int i = 0; i < MOCK_HOSTS; i++)
		if (mock->iommufds[i][0] == fd)
			return mock->iommufds[i];
	return NULL;
}

static struct mock_device *device_of(struct mock_host *mock, int fd)
{
	for (int i = 0; i < MOCK_DEVICES; i++)
		if (mock->devices[i].fd == fd)
			return &mock->devices[i];
	return NULL;
}

static int open_node(void *ctx, const char *path, int flags)
{
	struct mock_host *mock = ctx;
	int *pair, fd = mock->below->open(mock->below->ctx, path, flags);

	if (fd < 0 || strcmp(path, "/dev/iommu") != 0)
		return fd;
	pair = iommufd_pair(mock, -1);
	pair[0] = real()->open(NULL, path, flags);
	pair[1] = fd;
	if (pair[0] < 0) {
		mock->below->close(mock->below->ctx, fd);
		fd = pair[0];
		pair[0] = pair[1] = -1;
		return fd;
	}
	return pair[0];
}

static void destroy(int iommufd, uint32_t id)
{
	struct abi_iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	real()->ioctl(NULL, iommufd, ABI_IOMMU_DESTROY, &cmd);
}

static int close_fd(void *ctx, int fd)
{
	struct mock_host *mock = ctx;
	struct mock_device *device = device_of(mock, fd);
	int *pair = iommufd_pair(mock, fd);

	if (pair) {
		mock->below->close(mock->below->ctx, pair[1]);
		pair[0] = pair[1] = -1;
		return real()->close(NULL, fd);
	}
	if (device) {
		destroy(device->iommufd, device->id);
		destroy(device->iommufd, device->nowhere);
		destroy(device->iommufd, device->nowhere_ioas);
		device->fd = -1;
	}
	return mock->below->close(mock->below->ctx, fd);
}

/* Devices ---------------------------------------------------------------------------------------------------------- */

/* Where a device is that is attached to nothing: as good for PASIDs beside it as nothing is. */
static int make_nowhere(struct mock_host *mock, struct mock_device *device, int iommufd)
{
	struct abi_iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct abi_iommu_test_cmd cmd = { .op = ABI_IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS };
	struct abi_iommu_hwpt_alloc hwpt = { .size = sizeof(hwpt) };
	int error = real()->ioctl(NULL, iommufd, ABI_IOMMU_IOAS_ALLOC, &ioas);

	if (error)
		return error;
	cmd.id = ioas.out_ioas_id;
	cmd.mock_domain_flags.dev_flags = mock->flags;
	error = mock_op(iommufd, &cmd);
	if (error)
		return error;
	*device = (struct mock_device){ .fd = -1,
					.iommufd = iommufd,
					.id = cmd.mock_domain_flags.out_stdev_id,
					.bound_id = cmd.mock_domain_flags.out_idev_id,
					.nowhere = cmd.mock_domain_flags.out_hwpt_id,
					.nowhere_ioas = ioas.out_ioas_id };
	hwpt.dev_id = device->bound_id;
	hwpt.pt_id = ioas.out_ioas_id;
	hwpt.flags = mock->flags & ABI_MOCK_FLAGS_DEVICE_PASID ? ABI_IOMMU_HWPT_ALLOC_PASID : 0;
	error = real()->ioctl(NULL, iommufd, ABI_IOMMU_HWPT_ALLOC, &hwpt);
	device->nowhere = hwpt.out_hwpt_id;
	return error;
}

static int replace(const struct mock_device *device, uint32_t pt_id)
{
	struct abi_iommu_test_cmd cmd = { .op = ABI_IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
					  .id = device->id,
					  .mock_domain_replace = { pt_id } };

	return mock_op(device->iommufd, &cmd);
}

static int bind_device(struct mock_host *mock, int fd, struct abi_vfio_device_bind_iommufd *cmd)
{
	struct mock_device *device = device_of(mock, -1);
	struct abi_vfio_device_bind_iommufd copy = *cmd;
	const int *pair = iommufd_pair(mock, cmd->iommufd);
	int error;

	copy.iommufd = pair[1];
	error = mock->below->ioctl(mock->below->ctx, fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &copy);
	if (!error)
		error = make_nowhere(mock, device, pair[0]);
	if (!error)
		error = replace(device, device->nowhere);
	if (error)
		return error;
	device->fd = fd;
	cmd->out_devid = device->bound_id;
	return 0;
}

/* VFIO replaces what is attached with that PASID already; the mock has two operations for that. */
static int attach(const struct mock_device *device, const struct abi_vfio_device_attach_iommufd_pt *cmd)
{
	bool pasid = cmd->argsz >= sizeof(*cmd) && (cmd->flags & ABI_VFIO_DEVICE_ATTACH_PASID);
	struct abi_iommu_test_cmd op = { .op = ABI_IOMMU_TEST_OP_PASID_REPLACE, .id = device->id };
	int error;

	if (!pasid)
		return replace(device, cmd->pt_id);
	op.pasid_replace.pasid = cmd->pasid;
	op.pasid_replace.pt_id = cmd->pt_id;
	error = mock_op(device->iommufd, &op);
	if (error != -EINVAL)
		return error;
	op.op = ABI_IOMMU_TEST_OP_PASID_ATTACH;
	op.pasid_attach.pasid = cmd->pasid;
	op.pasid_attach.pt_id = cmd->pt_id;
	return mock_op(device->iommufd, &op);
}

static int detach(const struct mock_device *device, const struct abi_vfio_device_detach_iommufd_pt *cmd)
{
	bool pasid = cmd->argsz >= sizeof(*cmd) && (cmd->flags & ABI_VFIO_DEVICE_DETACH_PASID);
	struct abi_iommu_test_cmd op = { .op = ABI_IOMMU_TEST_OP_PASID_DETACH, .id = device->id };

	if (!pasid)
		return replace(device, device->nowhere);
	op.pasid_detach.pasid = cmd->pasid;
	return mock_op(device->iommufd, &op);
}

static int iommu_ioctl(struct mock_host *mock, int fd, unsigned long request, void *arg)
{
	if (request == ABI_IOMMU_HWPT_INVALIDATE) {
		mock->num_invalidations++;
		if (mock->refusals) {
			mock->refusals--;
			((struct abi_iommu_hwpt_invalidate *)arg)->entry_num = 0;
			return mock->refusal;
		}
	}
	return real()->ioctl(NULL, fd, request, arg);
}

static int any_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	struct mock_host *mock = ctx;

	if (iommufd_pair(mock, fd))
		return iommu_ioctl(mock, fd, request, arg);
	switch (request) {
	case ABI_VFIO_DEVICE_BIND_IOMMUFD:
		return bind_device(mock, fd, arg);
	case ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		return attach(device_of(mock, fd), arg);
	case ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT:
		return detach(device_of(mock, fd), arg);
	default:
		return mock->below->ioctl(mock->below->ctx, fd, request, arg);
	}
}

/* The rest is the machine's affair: its functions get its ctx by way of these. ------------------------------------- */

#define BELOW(name, result, parameters, ...)                                                                 \
	static result below_##name parameters                                                                \
	{                                                                                                    \
		const struct weir_sys *below = ((struct mock_host *)ctx)->below;                             \
                                                                                                             \
		return below->name(below->ctx, __VA_ARGS__);                                                 \
	}

BELOW(dup, int, (void *ctx, int fd), fd)
BELOW(eventfd, int, (void *ctx, unsigned int initial, int flags), initial, flags)
BELOW(read, ssize_t, (void *ctx, int fd, void *buf, size_t len), fd, buf, len)
BELOW(write, ssize_t, (void *ctx, int fd, const void *buf, size_t len), fd, buf, len)
BELOW(pread, ssize_t, (void *ctx, int fd, void *buf, size_t len, uint64_t offset), fd, buf, len, offset)
BELOW(pwrite, ssize_t, (void *ctx, int fd, const void *buf, size_t len, uint64_t offset), fd, buf, len,
      offset)
BELOW(poll, int, (void *ctx, struct pollfd *fds, size_t num, int timeout), fds, num, timeout)
BELOW(mmap, int,
      (void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset, void **ret_addr),
      addr, len, prot, flags, fd, offset, ret_addr)
BELOW(munmap, int, (void *ctx, void *addr, size_t len), addr, len)
BELOW(madvise, int, (void *ctx, void *addr, size_t len, int advice), addr, len, advice)
BELOW(memfd_create, int, (void *ctx, const char *name, unsigned int flags), name, flags)
BELOW(ftruncate, int, (void *ctx, int fd, uint64_t len), fd, len)
BELOW(fcntl, int, (void *ctx, int fd, int command, int argument), fd, command, argument)
BELOW(fstat, int, (void *ctx, int fd, struct stat *ret_stat), fd, ret_stat)
BELOW(readlink, ssize_t, (void *ctx, const char *path, char *buf, size_t len), path, buf, len)
BELOW(list_dir, ssize_t, (void *ctx, const char *path, char *buf, size_t len), path, buf, len)
BELOW(sleep, int, (void *ctx, uint64_t nanoseconds), nanoseconds)

static void fill_table(struct mock_host *mock)
{
	mock->table = (struct weir_sys){
		.size = sizeof(mock->table),
		.ctx = mock,
		.open = open_node,
		.close = close_fd,
		.ioctl = any_ioctl,
		.dup = below_dup,
		.eventfd = below_eventfd,
		.read = below_read,
		.write = below_write,
		.pread = below_pread,
		.pwrite = below_pwrite,
		.poll = below_poll,
		.mmap = below_mmap,
		.munmap = below_munmap,
		.madvise = below_madvise,
		.memfd_create = below_memfd_create,
		.ftruncate = below_ftruncate,
		.fcntl = below_fcntl,
		.fstat = below_fstat,
		.readlink = below_readlink,
		.list_dir = below_list_dir,
		.sleep = below_sleep,
	};
}

/* What cases start from -------------------------------------------------------------------------------------------- */

static void close_machine(void *sim)
{
	EXPECT_OK(weir_sim_close(sim));
}

static void close_host(void *host)
{
	EXPECT_OK(weir_host_close(host));
}

static void close_ioas(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

static struct mock_host *make(struct t *t, uint32_t device_flags, uint32_t host_flags)
{
	struct mock_host *mock = calloc(1, sizeof(*mock));

	ASSERT_TRUE(mock != NULL);
	t_defer(t, free, mock);
	memset(mock->iommufds, -1, sizeof(mock->iommufds));
	for (int i = 0; i < MOCK_DEVICES; i++)
		mock->devices[i].fd = -1;
	mock->flags = device_flags;
	ASSERT_OK(weir_sim_open(NULL, &mock->sim));
	t_defer(t, close_machine, mock->sim);
	for (int i = 0; i < MOCK_DEVICES; i++)
		ASSERT_OK(weir_sim_add_edu(mock->sim, NULL, NULL, NULL));
	mock->below = weir_sim_sys(mock->sim);
	fill_table(mock);
	ASSERT_OK(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD,
					    .sys = &mock->table, .flags = host_flags),
				 &mock->host));
	t_defer(t, close_host, mock->host);
	mock->ioas = mock_ioas(t, mock);
	return mock;
}

struct mock_host *new_mock_host(struct t *t, uint32_t device_flags)
{
	return make(t, device_flags, 0);
}

struct mock_host *new_kept_mock_host(struct t *t, uint32_t device_flags)
{
	return make(t, device_flags, WEIR_HOST_JOURNAL);
}

struct weir_ioas *mock_ioas_with(struct t *t, struct mock_host *mock, uint32_t flags)
{
	struct weir_ioas *ioas;

	ASSERT_OK(weir_ioas_open(mock->host, &WEIR_OPTS(weir_ioas_opts, .flags = flags), &ioas));
	t_defer(t, close_ioas, ioas);
	return ioas;
}

struct weir_ioas *mock_ioas(struct t *t, struct mock_host *mock)
{
	return mock_ioas_with(t, mock, 0);
}

static void close_device(void *device)
{
	EXPECT_OK(weir_device_close(device));
}

struct weir_device *mock_device_in(struct t *t, struct weir_ioas *ioas, unsigned int number)
{
	struct weir_device *device;
	char address[16];

	snprintf(address, sizeof(address), "0000:00:%02x.0", number + 1);
	ASSERT_OK(weir_device_open(ioas, address, NULL, &device));
	t_defer(t, close_device, device);
	return device;
}

struct weir_device *mock_device(struct t *t, struct mock_host *mock, unsigned int number)
{
	return mock_device_in(t, mock->ioas, number);
}

static void free_page(void *page)
{
	munmap(page, PAGE);
}

struct weir_map *mock_map(struct t *t, struct weir_ioas *ioas)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct weir_map *map;
	static uint64_t iova = ABI_MOCK_APERTURE_START;

	ASSERT_TRUE(page != MAP_FAILED);
	t_defer(t, free_page, page);
	iova += PAGE;
	ASSERT_OK(weir_ioas_map(ioas, page, PAGE,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = iova), &map));
	return map;
}

static void close_domain(void *domain)
{
	EXPECT_OK(weir_domain_close(domain));
}

void close_domain_later(struct t *t, struct weir_domain *domain)
{
	t_defer(t, close_domain, domain);
}

struct weir_domain *new_parent(struct t *t, struct weir_device *device, uint32_t flags)
{
	struct weir_domain *parent;

	ASSERT_OK(weir_domain_open(
		device, &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT | flags), &parent));
	close_domain_later(t, parent);
	return parent;
}

struct weir_domain *new_nested(struct t *t, struct weir_domain *parent, struct weir_device *device,
			       uint32_t iotlb, uint64_t stream)
{
	struct weir_domain *nested;

	ASSERT_OK(weir_domain_open_nested(
		parent, device,
		&WEIR_OPTS(weir_nested_opts, .format = WEIR_STAGE1_MOCK, .root = iotlb, .stream = stream),
		&nested));
	close_domain_later(t, nested);
	return nested;
}

/* What the kernel has ---------------------------------------------------------------------------------------------- */

static bool slots_are(int iommufd, struct abi_iommu_test_cmd *cmd, const uint32_t *values)
{
	bool same = true;

	_Static_assert(offsetof(struct abi_iommu_test_cmd, check_iotlb) ==
			       offsetof(struct abi_iommu_test_cmd, check_dev_cache),
		       "slot and value are in the same place");
	for (uint32_t slot = 0; slot < 4; slot++) {
		cmd->check_iotlb.id = slot;
		cmd->check_iotlb.iotlb = values[slot];
		if (mock_op(iommufd, cmd)) {
			printf("slot %u is not %#x\n", slot, values[slot]);
			same = false;
		}
	}
	return same;
}

bool iotlb_is(struct t *t, struct weir_domain *domain, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	struct weir_table *table = weir_kernel_domain(domain)->table;
	struct abi_iommu_test_cmd cmd = { .op = ABI_IOMMU_TEST_OP_MD_CHECK_IOTLB, .id = table->object.id };

	(void)t;
	return slots_are(domain->host->kernel.fd, &cmd, (uint32_t[]){ a, b, c, d });
}

bool cache_is(struct t *t, struct weir_device *device, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	struct abi_iommu_test_cmd cmd = { .op = ABI_IOMMU_TEST_OP_DEV_CHECK_CACHE,
					  .id = device->function->dev_id };

	(void)t;
	return slots_are(device->host->kernel.fd, &cmd, (uint32_t[]){ a, b, c, d });
}

int mock_raise_event(struct t *t, struct weir_device *device)
{
	struct abi_iommu_test_cmd cmd = { .op = ABI_IOMMU_TEST_OP_TRIGGER_VEVENT,
					  .trigger_vevent = { device->function->dev_id } };

	(void)t;
	return mock_op(device->host->kernel.fd, &cmd);
}

bool pasid_is(struct t *t, struct mock_host *mock, struct weir_device *device, uint32_t pasid,
	      struct weir_domain *domain)
{
	const struct mock_device *own = device_of(mock, device->function->fd);
	struct abi_iommu_test_cmd cmd = {
		.op = ABI_IOMMU_TEST_OP_PASID_CHECK_HWPT,
		.id = own->id,
		.pasid_check = { pasid, domain ? weir_kernel_domain(domain)->table->object.id : 0 },
	};

	(void)t;
	return mock_op(own->iommufd, &cmd) == 0;
}

struct weir_domain_info info_of(struct weir_domain *domain)
{
	struct weir_domain_info info;

	weir_domain_info(domain, &info, sizeof(info));
	return info;
}
