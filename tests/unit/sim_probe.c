// SPDX-License-Identifier: MIT
/* Device models that note what is done to them, and the kernel's calls on the simulated machine. */
#include "sim_probe.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static int probe_create(struct weir_sim_device *device, const void *config, void **ret_state)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	(void)config;
	if (!probe)
		return -12;
	probe->device = device;
	*ret_state = probe;
	return 0;
}

static void note(struct probe *probe, unsigned int bar, uint64_t offset, unsigned int width, bool write)
{
	unsigned int i = probe->num_accesses++ % 64;

	probe->log[i].bar = bar;
	probe->log[i].offset = offset;
	probe->log[i].width = width;
	probe->log[i].write = write;
}

static uint64_t probe_read(void *state, unsigned int bar, uint64_t offset, unsigned int width)
{
	struct probe *probe = state;
	uint64_t value = 0;

	note(probe, bar, offset, width, false);
	memcpy(&value, probe->registers + offset, width);
	return value;
}

static void probe_write(void *state, unsigned int bar, uint64_t offset, unsigned int width, uint64_t value)
{
	struct probe *probe = state;

	note(probe, bar, offset, width, true);
	memcpy(probe->registers + offset, &value, width);
}

static void probe_reset(void *state)
{
	((struct probe *)state)->num_resets++;
}

#define PROBE_CALLBACKS                                                                                      \
	.create = probe_create, .destroy = free, .read = probe_read, .write = probe_write,                   \
	.reset = probe_reset

const struct weir_sim_model probe_model = {
	.size = sizeof(probe_model),
	.name = "probe",
	.vendor_id = 0x1234,
	.device_id = 0x9abc,
	.class_code = 0x010802,
	.flags = WEIR_SIM_FLR | WEIR_SIM_PCIE | WEIR_SIM_INTX,
	.msi_vectors = 4,
	.msix_vectors = 8,
	.msix_bar = 2,
	.msix_offset = PROBE_TABLE,
	.bars = { { .len = 4096 },
		  { .len = 16, .flags = WEIR_SIM_BAR_IO },
		  { .len = PROBE_RAM,
		    .flags = WEIR_SIM_BAR_RAM | WEIR_SIM_BAR_64BIT | WEIR_SIM_BAR_PREFETCHABLE },
		  { .len = 0 },
		  { .len = 256, .flags = WEIR_SIM_BAR_RAM } },
	PROBE_CALLBACKS,
};

const struct weir_sim_model plain_model = {
	.size = sizeof(plain_model),
	.name = "plain",
	.vendor_id = 0x1234,
	.device_id = 0x11e8,
	.class_code = 0x00ff00,
	.flags = WEIR_SIM_INTX,
	.msi_vectors = 1,
	.bars = { { .len = 4096 } },
	PROBE_CALLBACKS,
};

struct probe *probe_of(const struct weir_sim_device *device)
{
	return device->state;
}

/* Calls -------------------------------------------------------------------------------------------------- */

int node(struct weir_sim *sim, const char *path)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	return sys->open(sys->ctx, path, O_RDWR | O_CLOEXEC);
}

int device_node(const struct weir_sim_device *device)
{
	char path[40];

	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%u", device->vfio_number);
	return node(device->sim, path);
}

int group_node(const struct weir_sim_device *device)
{
	char path[40];

	snprintf(path, sizeof(path), "/dev/vfio/%u", device->group->number);
	return node(device->sim, path);
}

void done(struct weir_sim *sim, int fd)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	EXPECT_OK(sys->close(sys->ctx, fd));
}

int64_t call(struct weir_sim *sim, int fd, unsigned long request, void *arg)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	return sys->ioctl(sys->ctx, fd, request, arg);
}

int64_t call_value(struct weir_sim *sim, int fd, unsigned long request, uint64_t arg)
{
	return call(sim, fd, request, (void *)(uintptr_t)arg);
}

int64_t get(struct weir_sim *sim, int fd, uint64_t offset, void *buf, size_t len)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	return sys->pread(sys->ctx, fd, buf, len, offset);
}

int64_t put(struct weir_sim *sim, int fd, uint64_t offset, const void *buf, size_t len)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	return sys->pwrite(sys->ctx, fd, buf, len, offset);
}

int map(struct weir_sim *sim, int fd, uint64_t offset, size_t len, int flags, void **ret_addr)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	return sys->mmap(sys->ctx, NULL, len, PROT_READ | PROT_WRITE, flags, fd, offset, ret_addr);
}

int unmap(struct weir_sim *sim, void *addr, size_t len)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	return sys->munmap(sys->ctx, addr, len);
}

uint32_t get32(struct weir_sim *sim, int fd, uint64_t offset)
{
	uint32_t value = 0;

	ASSERT_EQ(get(sim, fd, offset, &value, sizeof(value)), 4);
	return value;
}

void put32(struct weir_sim *sim, int fd, uint64_t offset, uint32_t value)
{
	ASSERT_EQ(put(sim, fd, offset, &value, sizeof(value)), 4);
}

uint16_t get16(struct weir_sim *sim, int fd, uint64_t offset)
{
	uint16_t value = 0;

	ASSERT_EQ(get(sim, fd, offset, &value, sizeof(value)), 2);
	return value;
}

void put16(struct weir_sim *sim, int fd, uint64_t offset, uint16_t value)
{
	ASSERT_EQ(put(sim, fd, offset, &value, sizeof(value)), 2);
}

/* Rig ---------------------------------------------------------------------------------------------------- */

static void rig_close(void *arg)
{
	struct rig *rig = arg;

	if (rig->fd >= 0)
		done(rig->sim, rig->fd);
	if (rig->group >= 0)
		done(rig->sim, rig->group);
	if (rig->iommu >= 0)
		done(rig->sim, rig->iommu);
	free(rig);
}

int rig_bind(struct rig *rig, struct weir_sim_device *device, uint32_t *ret_dev_id)
{
	struct abi_vfio_device_bind_iommufd cmd = { .argsz = sizeof(cmd), .iommufd = rig->iommu };
	int fd = device_node(device);

	ASSERT_GE(fd, 0);
	ASSERT_OK(call(rig->sim, fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &cmd));
	*ret_dev_id = cmd.out_devid;
	return fd;
}

static void rig_open(struct rig *rig, enum way way)
{
	rig->iommu = node(rig->sim, way == BY_CONTAINER ? "/dev/vfio/vfio" : "/dev/iommu");
	ASSERT_GE(rig->iommu, 0);
	if (way == BY_CDEV) {
		rig->fd = rig_bind(rig, rig->device, &rig->dev_id);
		return;
	}
	rig->group = group_node(rig->device);
	ASSERT_GE(rig->group, 0);
	ASSERT_OK(call(rig->sim, rig->group, ABI_VFIO_GROUP_SET_CONTAINER, &rig->iommu));
	ASSERT_OK(call_value(rig->sim, rig->iommu, ABI_VFIO_SET_IOMMU, ABI_VFIO_TYPE1v2_IOMMU));
	rig->fd = (int)call(rig->sim, rig->group, ABI_VFIO_GROUP_GET_DEVICE_FD, rig->device->address);
	ASSERT_GE(rig->fd, 0);
}

struct rig *rig_new(struct t *t, const struct weir_sim_model *model, enum way way)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct rig *rig = malloc(sizeof(*rig));

	ASSERT_TRUE(rig);
	*rig = (struct rig){ .sim = sim, .iommu = -1, .group = -1, .fd = -1 };
	t_defer(t, rig_close, rig);
	ASSERT_OK(weir_sim_add(sim, model, NULL, NULL, &rig->device));
	rig_open(rig, way);
	return rig;
}

/* Odds and ends ------------------------------------------------------------------------------------------ */

struct piece {
	void *addr;
	size_t len;
};

static void free_piece(void *arg)
{
	struct piece *piece = arg;

	munmap(piece->addr, piece->len);
	free(piece);
}

unsigned char *memory(struct t *t, size_t len)
{
	struct piece *piece = malloc(sizeof(*piece));
	void *addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_TRUE(piece && addr != MAP_FAILED);
	*piece = (struct piece){ addr, len };
	t_defer(t, free_piece, piece);
	return addr;
}

unsigned char *before_hole(struct t *t)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *pages = memory(t, 2 * page);

	ASSERT_EQ(mprotect(pages + page, page, PROT_NONE), 0);
	return pages + page;
}

static void close_event(void *fd)
{
	close((int)(intptr_t)fd);
}

int event(struct t *t)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	ASSERT_GE(fd, 0);
	t_defer(t, close_event, (void *)(intptr_t)fd);
	return fd;
}

uint64_t signals(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static sigjmp_buf fault;

static void on_fault(int signal)
{
	siglongjmp(fault, signal);
}

int touch(volatile unsigned char *at)
{
	struct sigaction action = { .sa_handler = on_fault }, bus, segv;
	int raised;

	sigaction(SIGBUS, &action, &bus);
	sigaction(SIGSEGV, &action, &segv);
	raised = sigsetjmp(fault, 1);
	if (!raised)
		(void)*at;
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return raised;
}
