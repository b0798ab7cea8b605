// SPDX-License-Identifier: MIT
/* A kernel that says yes: descriptors, files, and the counting and failing of calls. */
#include "support/yes_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const addresses[YES_DEVICES] = { YES_ADDRESS_0, YES_ADDRESS_1, YES_ADDRESS_2,
						    YES_ADDRESS_3 };

unsigned int yes_group_of(int device)
{
	return device < 3 ? (unsigned int)device + 1 : 3;
}

/* Every call begins with this: 0, or what it is to fail with. */
static int begin(struct yes_kernel *yes)
{
	unsigned int call = atomic_fetch_add_explicit(&yes->calls, 1, memory_order_relaxed) + 1;

	if (call != atomic_load_explicit(&yes->fail_at, memory_order_relaxed))
		return 0;
	return atomic_load_explicit(&yes->fail_error, memory_order_relaxed);
}

int yes_fd_new(struct yes_kernel *yes, enum yes_kind kind, int index, const char *text)
{
	for (int i = 0; i < YES_FDS; i++) {
		int closed = YES_CLOSED;

		if (!atomic_compare_exchange_strong_explicit(&yes->fds[i].kind, &closed, (int)kind,
							     memory_order_relaxed, memory_order_relaxed))
			continue;
		atomic_store_explicit(&yes->fds[i].index, index, memory_order_relaxed);
		atomic_store_explicit(&yes->fds[i].text, text, memory_order_relaxed);
		atomic_store_explicit(&yes->fds[i].at, 0, memory_order_relaxed);
		atomic_store_explicit(&yes->fds[i].groups, 0, memory_order_relaxed);
		atomic_store_explicit(&yes->fds[i].has_iommu, false, memory_order_relaxed);
		return YES_FIRST_FD + i;
	}
	return -EMFILE;
}

struct yes_fd *yes_fd_get(struct yes_kernel *yes, int fd)
{
	int i = fd - YES_FIRST_FD;

	if (i < 0 || i >= YES_FDS ||
	    atomic_load_explicit(&yes->fds[i].kind, memory_order_relaxed) == YES_CLOSED)
		return NULL;
	return &yes->fds[i];
}

static int node_number(const char *path, const char *before)
{
	size_t len = strlen(before);

	return !strncmp(path, before, len) && path[len] >= '0' && path[len] <= '9'
		       ? (int)strtol(path + len, NULL, 10)
		       : -1;
}

static int open_node(struct yes_kernel *yes, const char *path)
{
	int number;

	if (!strcmp(path, "/dev/iommu")) {
		if (yes->iommu_error)
			return yes->iommu_error;
		return yes->no_iommu_node ? -ENOENT : yes_fd_new(yes, YES_IOMMU, 0, NULL);
	}
	if (!strcmp(path, "/dev/vfio/vfio")) {
		if (yes->container_error)
			return yes->container_error;
		return yes->no_container_node ? -ENOENT : yes_fd_new(yes, YES_CONTAINER, 0, NULL);
	}
	number = node_number(path, "/dev/vfio/devices/vfio");
	if (number >= 0 && number < YES_DEVICES)
		return yes->no_cdev ? -ENOENT : yes_fd_new(yes, YES_CDEV, number, NULL);
	number = node_number(path, "/dev/vfio/");
	if (number > 0 && number < YES_GROUPS)
		return yes_fd_new(yes, YES_GROUP, number, NULL);
	return -ENOENT;
}

static int yes_open(void *ctx, const char *path, int flags)
{
	static const struct {
		const char *path, *text;
	} files[] = {
		{ "/proc/self/limits",
		  "Max locked memory         8388608              8388608              bytes\n" },
		{ "/proc/self/status", "Name:\ttest\nVmLck:\t       0 kB\nCapEff:\t0000000000000000\n" },
		{ "/proc/self/smaps", "00001000-1000000000000 rw-p 00000000 00:00 0 \nVmFlags: rd wr \n" },
	};
	struct yes_kernel *yes = ctx;
	int error = begin(yes);

	(void)flags;
	if (error)
		return error;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!strcmp(path, files[i].path))
			return yes_fd_new(yes, YES_FILE, 0, files[i].text);
	if (strstr(path, "/reserved_regions"))
		return yes_fd_new(yes, YES_FILE, 0, "0x00000000fee00000 0x00000000feefffff msi\n");
	return open_node(yes, path);
}

static int yes_close(void *ctx, int fd)
{
	struct yes_kernel *yes = ctx;
	struct yes_fd *file = yes_fd_get(yes, fd);
	int error = begin(yes), kind;

	if (fd >= 0 && fd < YES_FIRST_FD) {
		close(fd); /* a file that the library has made or duplicated */
		return error;
	}
	if (!file) {
		fprintf(stderr, "descriptor %d was closed, which is not open\n", fd);
		abort();
	}
	kind = atomic_load_explicit(&file->kind, memory_order_relaxed);
	if (kind > YES_EVENTFD) {
		pthread_mutex_lock(&yes->lock);
		yes_closed(yes, fd, kind);
		pthread_mutex_unlock(&yes->lock);
	}
	atomic_store_explicit(&file->kind, YES_CLOSED, memory_order_relaxed);
	return error;
}

static int yes_dup(void *ctx, int fd)
{
	int error = begin(ctx);

	(void)fd;
	return error ? error : -EMFILE;
}

static int yes_eventfd(void *ctx, unsigned int initial, int flags)
{
	int error = begin(ctx);

	(void)initial, (void)flags;
	return error ? error : yes_fd_new(ctx, YES_EVENTFD, 0, NULL);
}

static int yes_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	struct yes_kernel *yes = ctx;
	struct yes_fd *file = yes_fd_get(yes, fd);
	int result = begin(yes), kind;

	if (result)
		return result;
	if (yes->hook && (result = yes->hook(yes->hook_ctx, fd, request, arg)) != YES_PASS)
		return result;
	if (!file)
		return -EBADF;
	kind = atomic_load_explicit(&file->kind, memory_order_relaxed);
	if (yes_is_mapping(kind, request))
		return yes_map_ioctl(yes, file, request, arg);
	pthread_mutex_lock(&yes->lock);
	switch (kind) {
	case YES_IOMMU:
		result = yes_iommu_ioctl(yes, fd, request, arg);
		break;
	case YES_CONTAINER:
		result = yes_container_ioctl(yes, fd, request, arg);
		break;
	case YES_GROUP:
		result = yes_group_ioctl(yes, fd, request, arg);
		break;
	case YES_CDEV:
	case YES_DEVICE:
		result = yes_device_ioctl(yes, fd, request, arg);
		break;
	default:
		result = -ENOTTY;
	}
	pthread_mutex_unlock(&yes->lock);
	return result;
}

static ssize_t yes_read(void *ctx, int fd, void *buf, size_t len)
{
	struct yes_fd *file = yes_fd_get(ctx, fd);
	int error = begin(ctx);
	const char *text;
	size_t at, left;

	if (error || !file)
		return error ? error : -EBADF;
	text = atomic_load_explicit(&file->text, memory_order_relaxed);
	if (!text)
		return -EAGAIN;
	at = atomic_load_explicit(&file->at, memory_order_relaxed);
	left = strlen(text) - at;
	if (len > left)
		len = left;
	memcpy(buf, text + at, len);
	atomic_store_explicit(&file->at, at + len, memory_order_relaxed);
	return (ssize_t)len;
}

static ssize_t yes_write(void *ctx, int fd, const void *buf, size_t len)
{
	int error = begin(ctx);

	(void)fd, (void)buf;
	return error ? error : (ssize_t)len;
}

/* The command register is the only one that remembers. */
static ssize_t access_register(struct yes_kernel *yes, int fd, void *buf, size_t len, uint64_t offset,
			       bool write)
{
	struct yes_fd *file = yes_fd_get(yes, fd);
	int error = begin(yes);
	struct yes_device *device;

	if (error || !file)
		return error ? error : -EBADF;
	device = &yes->devices[atomic_load_explicit(&file->index, memory_order_relaxed)];
	pthread_mutex_lock(&yes->lock);
	if (offset == ((uint64_t)7 << 40 | 4) && len == sizeof(device->command))
		memcpy(write ? (void *)&device->command : buf, write ? buf : (void *)&device->command, len);
	else if (!write)
		memset(buf, 0x11, len);
	pthread_mutex_unlock(&yes->lock);
	return (ssize_t)len;
}

static ssize_t yes_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
	return access_register(ctx, fd, buf, len, offset, false);
}

static ssize_t yes_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
	return access_register(ctx, fd, (void *)buf, len, offset, true);
}

static int yes_poll(void *ctx, struct pollfd *fds, size_t num, int timeout_ms)
{
	(void)fds, (void)num, (void)timeout_ms;
	return begin(ctx);
}

static int yes_mmap(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
		    void **ret_addr)
{
	struct yes_kernel *yes = ctx;
	int error = begin(yes);
	void *mapped;

	if (error)
		return error;
	if (fd >= 0 && fd < YES_FIRST_FD)
		mapped = mmap(addr, len, prot, flags, fd, (off_t)offset);
	else
		mapped = mmap(addr, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapped == MAP_FAILED)
		return -errno;
	yes->mmaps++;
	*ret_addr = mapped;
	return 0;
}

static int yes_munmap(void *ctx, void *addr, size_t len)
{
	struct yes_kernel *yes = ctx;
	int error = begin(yes);

	yes->mmaps--;
	munmap(addr, len);
	return error;
}

static int yes_madvise(void *ctx, void *addr, size_t len, int advice)
{
	(void)addr, (void)len, (void)advice;
	return begin(ctx);
}

static int yes_userfaultfd(void *ctx, int flags)
{
	int error = begin(ctx);

	return error ? error : weir_sys_real()->userfaultfd(NULL, flags);
}

static int yes_memfd_create(void *ctx, const char *name, unsigned int flags)
{
	int error = begin(ctx);

	return error ? error : weir_sys_real()->memfd_create(NULL, name, flags);
}

static int yes_ftruncate(void *ctx, int fd, uint64_t len)
{
	int error = begin(ctx);

	return error ? error : weir_sys_real()->ftruncate(NULL, fd, len);
}

static int yes_fcntl(void *ctx, int fd, int command, int argument)
{
	int error = begin(ctx);

	return error ? error : weir_sys_real()->fcntl(NULL, fd, command, argument);
}

static int yes_fstat(void *ctx, int fd, struct stat *ret_stat)
{
	int error = begin(ctx);

	return error ? error : weir_sys_real()->fstat(NULL, fd, ret_stat);
}

static int device_of(const char *path, const char *behind)
{
	char expected[64];

	for (int i = 0; i < YES_DEVICES; i++) {
		snprintf(expected, sizeof(expected), "/sys/bus/pci/devices/%s%s", addresses[i], behind);
		if (!strcmp(path, expected))
			return i;
	}
	return -1;
}

static ssize_t give(const char *text, size_t len, char *buf, size_t room)
{
	if (len > room)
		return -ENOSPC;
	memcpy(buf, text, len);
	return (ssize_t)len;
}

static ssize_t yes_readlink(void *ctx, const char *path, char *buf, size_t len)
{
	char target[64];
	int error = begin(ctx), device;

	if (error)
		return error;
	device = device_of(path, "/iommu_group");
	if (device >= 0)
		snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%u", yes_group_of(device));
	else if (device_of(path, "/driver") >= 0)
		snprintf(target, sizeof(target), "../../../bus/pci/drivers/vfio-pci");
	else if (device_of(path, "") >= 0)
		snprintf(target, sizeof(target), "../../../devices/pci0000:00/device");
	else
		return -ENOENT;
	return give(target, strlen(target), buf, len);
}

static ssize_t yes_list_dir(void *ctx, const char *path, char *buf, size_t len)
{
	struct yes_kernel *yes = ctx;
	int error = begin(yes), device;
	char name[16];

	if (error)
		return error;
	device = device_of(path, "/vfio-dev");
	if (yes->no_cdev && (device >= 0 || !strcmp(path, "/dev/vfio/devices")))
		return -ENOENT;
	if (device >= 0) {
		snprintf(name, sizeof(name), "vfio%d", device);
		return give(name, strlen(name) + 1, buf, len);
	}
	if (!strcmp(path, "/dev/vfio/devices"))
		return give("vfio0", 6, buf, len);
	if (!strcmp(path, "/sys/kernel/iommu_groups/1/devices"))
		return give(YES_ADDRESS_0, sizeof(YES_ADDRESS_0), buf, len);
	if (!strcmp(path, "/sys/kernel/iommu_groups/2/devices"))
		return give(YES_ADDRESS_1, sizeof(YES_ADDRESS_1), buf, len);
	if (!strcmp(path, "/sys/kernel/iommu_groups/3/devices"))
		return give(YES_ADDRESS_2 "\0" YES_ADDRESS_3, sizeof(YES_ADDRESS_2 "\0" YES_ADDRESS_3), buf,
			    len);
	return -ENOENT;
}

static int yes_connect(void *ctx, const char *path)
{
	int error = begin(ctx);

	(void)path;
	return error ? error : -ENOENT;
}

static ssize_t yes_sendmsg(void *ctx, int fd, const struct msghdr *msg, int flags)
{
	int error = begin(ctx);

	(void)fd, (void)msg, (void)flags;
	return error ? error : -EPIPE;
}

static ssize_t yes_recvmsg(void *ctx, int fd, struct msghdr *msg, int flags)
{
	int error = begin(ctx);

	(void)fd, (void)msg, (void)flags;
	return error;
}

static int yes_sleep(void *ctx, uint64_t nanoseconds)
{
	(void)nanoseconds;
	return begin(ctx);
}

void yes_kernel_init(struct yes_kernel *yes)
{
	memset(yes, 0, sizeof(*yes));
	pthread_mutex_init(&yes->lock, NULL);
	for (int i = 0; i < YES_DEVICES; i++)
		yes->devices[i].iommufd = -1;
	for (int i = 0; i < YES_GROUPS; i++)
		yes->containers[i] = -1;
	yes->table = (struct weir_sys){
		.size = sizeof(yes->table),
		.ctx = yes,
		.open = yes_open,
		.close = yes_close,
		.dup = yes_dup,
		.eventfd = yes_eventfd,
		.ioctl = yes_ioctl,
		.read = yes_read,
		.write = yes_write,
		.pread = yes_pread,
		.pwrite = yes_pwrite,
		.poll = yes_poll,
		.mmap = yes_mmap,
		.munmap = yes_munmap,
		.madvise = yes_madvise,
		.userfaultfd = yes_userfaultfd,
		.memfd_create = yes_memfd_create,
		.ftruncate = yes_ftruncate,
		.fcntl = yes_fcntl,
		.fstat = yes_fstat,
		.readlink = yes_readlink,
		.list_dir = yes_list_dir,
		.connect = yes_connect,
		.sendmsg = yes_sendmsg,
		.recvmsg = yes_recvmsg,
		.sleep = yes_sleep,
	};
}

void yes_kernel_finish(struct yes_kernel *yes)
{
	free((void *)yes->pages);
	pthread_mutex_destroy(&yes->lock);
}

void yes_kernel_fail(struct yes_kernel *yes, unsigned int nth, int error)
{
	atomic_store(&yes->fail_error, error);
	atomic_store(&yes->fail_at, atomic_load(&yes->calls) + nth);
}

bool yes_kernel_failed(struct yes_kernel *yes)
{
	unsigned int at = atomic_exchange(&yes->fail_at, 0);

	return at && atomic_load(&yes->calls) >= at;
}

struct yes_state yes_kernel_state(struct yes_kernel *yes)
{
	struct yes_state state = { .mmaps = yes->mmaps, .pages = yes->num_mapped };

	pthread_mutex_lock(&yes->lock);
	for (int i = 0; i < YES_FDS; i++)
		state.fds += atomic_load(&yes->fds[i].kind) != YES_CLOSED;
	for (int i = 0; i < YES_OBJECTS; i++)
		state.objects += yes->objects[i].id != 0;
	for (int i = 0; i < YES_DEVICES; i++) {
		state.attached += yes->devices[i].hwpt != 0;
		state.devices += yes->devices[i].open || yes->devices[i].iommufd >= 0;
	}
	for (int i = 0; i < YES_GROUPS; i++)
		state.contained += yes->containers[i] >= 0;
	pthread_mutex_unlock(&yes->lock);
	return state;
}
