// SPDX-License-Identifier: MIT
/*
 * The machine's table of system calls. A call on a descriptor or name of the machine's is answered under its lock; every other is passed
 * on to the real one without it, since it may block. All of them count, and can be made to fail.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/device/device.h"
#include "sim/process.h"
#include "sim/sysfs/paths.h"
#include "sim/user.h"

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

/* Long enough for every name that the machine has; a longer one is not one of them. */
enum { NAME_SIZE = 4096 };

static const struct weir_sys *real(void)
{
	return weir_sys_real();
}

static void delay(struct weir_sim *sim)
{
	uint64_t nanoseconds = sim->trouble.delay_ns;

	if (!nanoseconds)
		return;
	sim_unlock(sim);
	real()->sleep(NULL, nanoseconds);
	pthread_mutex_lock(&sim->lock);
}

static void leave(struct weir_sim *sim)
{
	sim->trouble.copy_back_fails = false;
	sim_devices_settle(sim);
	sim_wake(sim);
	sim_unlock(sim);
}

/* A call begins. 0 with the lock held, or the error with which it ends. */
static int enter(struct weir_sim *sim)
{
	int error = sim_lock(sim);

	if (error)
		return error;
	delay(sim);
	sim_files_reap(sim);
	error = sim_trouble_enter(sim);
	if (error)
		leave(sim);
	return error;
}

/* A call that is none of the machine's: it counts, takes its time, and fails on request like any other. */
static int pass(struct weir_sim *sim)
{
	int error = enter(sim);

	if (!error)
		leave(sim);
	return error;
}

/* What a forked child uses it takes over: from now on its copy of the device acts. */
static void take_over(struct sim_file *file)
{
	if (!file->inherited)
		return;
	for (struct weir_sim_device *device = file->sim->devices; device; device = device->next)
		if (device == file->data)
			device->sleeps = false;
}

/*
 * A call on a descriptor begins. 0 or the error with which it ends. *@ret_file: the machine's file, and the lock is held; NULL: it is none,
 * and the lock is not held.
 */
static int enter_fd(struct weir_sim *sim, int fd, struct sim_file **ret_file)
{
	int error = enter(sim);

	*ret_file = NULL;
	if (error)
		return error;
	*ret_file = sim_file_find(sim, fd);
	if (*ret_file)
		take_over(*ret_file);
	else
		leave(sim);
	return 0;
}

/* Descriptors ------------------------------------------------------------------------------------------------------ */

static int sys_open(void *ctx, const char *path, int flags)
{
	struct weir_sim *sim = ctx;
	char name[NAME_SIZE];
	int fd = enter(sim);

	if (fd)
		return fd;
	fd = sim_copy_string(name, path, sizeof(name));
	if (!fd)
		fd = sim_path_open(sim, name, flags);
	leave(sim);
	return fd == SIM_PASS_ON ? real()->open(NULL, path, flags) : fd;
}

/* A close that reports an error has closed nevertheless, as Linux does it. */
static int sys_close(void *ctx, int fd)
{
	struct weir_sim *sim = ctx;
	struct sim_file *file;
	int error = enter_fd(sim, fd, &file), real_error = real()->close(NULL, fd);

	if (file) {
		sim_files_reap(sim);
		leave(sim);
	}
	return error ? error : real_error;
}

static int sys_dup(void *ctx, int fd)
{
	int error = pass(ctx);

	return error ? error : real()->dup(NULL, fd);
}

static int sys_eventfd(void *ctx, unsigned int initial, int flags)
{
	int error = pass(ctx);

	return error ? error : real()->eventfd(NULL, initial, flags);
}

static int sys_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	struct weir_sim *sim = ctx;
	struct sim_file *file;
	int result = enter_fd(sim, fd, &file);

	if (result)
		return result;
	if (!file)
		return real()->ioctl(NULL, fd, request, arg);
	result = file->ops->ioctl ? file->ops->ioctl(file, request, arg) : -ENOTTY;
	leave(sim);
	return result;
}

static ssize_t sys_read(void *ctx, int fd, void *buf, size_t len)
{
	struct weir_sim *sim = ctx;
	struct sim_file *file;
	ssize_t result = enter_fd(sim, fd, &file);

	if (result)
		return result;
	if (!file)
		return real()->read(NULL, fd, buf, len);
	result = file->ops->read ? file->ops->read(file, buf, len) : -EINVAL;
	sim_file_settle(file, fd);
	leave(sim);
	return result;
}

static ssize_t sys_write(void *ctx, int fd, const void *buf, size_t len)
{
	struct weir_sim *sim = ctx;
	struct sim_file *file;
	ssize_t result = enter_fd(sim, fd, &file);

	if (result)
		return result;
	if (!file)
		return real()->write(NULL, fd, buf, len);
	result = file->ops->write ? file->ops->write(file, buf, len) : -EINVAL;
	leave(sim);
	return result;
}

static ssize_t sys_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
	struct weir_sim *sim = ctx;
	struct sim_file *file;
	ssize_t result = enter_fd(sim, fd, &file);

	if (result)
		return result;
	if (!file)
		return real()->pread(NULL, fd, buf, len, offset);
	result = file->ops->pread ? file->ops->pread(file, buf, len, offset) : -EINVAL;
	leave(sim);
	return result;
}

static ssize_t sys_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
	struct weir_sim *sim = ctx;
	struct sim_file *file;
	ssize_t result = enter_fd(sim, fd, &file);

	if (result)
		return result;
	if (!file)
		return real()->pwrite(NULL, fd, buf, len, offset);
	result = file->ops->pwrite ? file->ops->pwrite(file, buf, len, offset) : -EINVAL;
	leave(sim);
	return result;
}

static int sys_poll(void *ctx, struct pollfd *fds, size_t num, int timeout_ms)
{
	struct weir_sim *sim = ctx;
	int error = enter(sim);

	if (error)
		return error;
	for (size_t i = 0; i < num; i++) {
		struct pollfd entry;
		struct sim_file *file;

		if (sim_copy_in(&entry, (uintptr_t)(fds + i), sizeof(entry)))
			break; /* the real call will say so */
		file = sim_file_find(sim, entry.fd);
		if (file)
			sim_file_settle(file, entry.fd);
	}
	leave(sim);
	return real()->poll(NULL, fds, num, timeout_ms);
}

/* Memory ----------------------------------------------------------------------------------------------------------- */

/* Something else will lie where a device was mapped. */
static void forget_mappings(struct weir_sim *sim, void *addr, size_t len)
{
	if (sim_lock(sim))
		return;
	sim_mapping_gone(sim, addr, len);
	leave(sim);
}

static int sys_mmap(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
		    void **ret_addr)
{
	struct weir_sim *sim = ctx;
	struct sim_file *file;
	int result = enter_fd(sim, fd, &file);

	if (result)
		return result;
	if (!file) {
		if (flags & MAP_FIXED)
			forget_mappings(sim, addr, len);
		return real()->mmap(NULL, addr, len, prot, flags, fd, offset, ret_addr);
	}
	result = file->ops->mmap ? file->ops->mmap(file, addr, len, prot, flags, offset, ret_addr) : -ENODEV;
	leave(sim);
	return result;
}

static int sys_munmap(void *ctx, void *addr, size_t len)
{
	struct weir_sim *sim = ctx;
	int error = enter(sim);

	if (error)
		return error;
	sim_mapping_gone(sim, addr, len);
	error = real()->munmap(NULL, addr, len);
	sim_files_reap(sim);
	leave(sim);
	return error;
}

/* Device memory cannot be brought in: bringing in gets as far as that. How far, and with what it then ends. */
static size_t until_device_memory(struct weir_sim *sim, void *addr, size_t len, int *ret_end)
{
	const struct sim_mapping *bar = len ? sim_mapping_find(sim, (uintptr_t)addr, len) : NULL;

	*ret_end = bar ? -EINVAL : 0;
	if (!bar)
		return len;
	return bar->addr > (unsigned char *)addr ? (size_t)(bar->addr - (unsigned char *)addr) : 0;
}

static int sys_madvise(void *ctx, void *addr, size_t len, int advice)
{
	struct weir_sim *sim = ctx;
	int error = enter(sim), end = 0;

	if (error)
		return error;
	if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
		len = until_device_memory(sim, addr, len, &end);
	leave(sim);
	error = len || !end ? real()->madvise(NULL, addr, len, advice) : 0;
	return error ? error : end;
}

static int sys_userfaultfd(void *ctx, int flags)
{
	int error = pass(ctx);

	return error ? error : real()->userfaultfd(NULL, flags);
}

static int sys_memfd_create(void *ctx, const char *name, unsigned int flags)
{
	int error = pass(ctx);

	return error ? error : real()->memfd_create(NULL, name, flags);
}

static int sys_ftruncate(void *ctx, int fd, uint64_t len)
{
	struct weir_sim *sim = ctx;
	int error = enter(sim);

	if (error)
		return error;
	error = sim_pages_leave(sim, fd, len, UINT64_MAX);
	leave(sim);
	return error ? error : real()->ftruncate(NULL, fd, len);
}

static int sys_fcntl(void *ctx, int fd, int command, int argument)
{
	int error = pass(ctx);

	return error ? error : real()->fcntl(NULL, fd, command, argument);
}

static int sys_fstat(void *ctx, int fd, struct stat *ret_stat)
{
	int error = pass(ctx);

	return error ? error : real()->fstat(NULL, fd, ret_stat);
}

/* Names ------------------------------------------------------------------------------------------------------------ */

/* A descriptor's kind, where that is more than that it is ours. */
static ssize_t fd_readlink(struct weir_sim *sim, const char *path, char *buf, size_t len)
{
	static const char before[] = "/proc/self/fd/";
	const struct sim_file *file = NULL;
	size_t used;
	int error;

	if (!strncmp(path, before, strlen(before)))
		file = sim_file_find(sim, atoi(path + strlen(before)));
	if (!file || !file->ops->link)
		return SIM_PASS_ON;
	used = strlen(file->ops->link) < len ? strlen(file->ops->link) : len;
	error = sim_copy_out(sim, (uintptr_t)buf, file->ops->link, used);
	return error ? error : (ssize_t)used;
}

static ssize_t sys_readlink(void *ctx, const char *path, char *buf, size_t len)
{
	struct weir_sim *sim = ctx;
	char name[NAME_SIZE];
	ssize_t result = enter(sim);

	if (result)
		return result;
	result = sim_copy_string(name, path, sizeof(name));
	if (!result)
		result = fd_readlink(sim, name, buf, len);
	if (result == SIM_PASS_ON)
		result = sim_path_readlink(sim, name, buf, len);
	leave(sim);
	return result == SIM_PASS_ON ? real()->readlink(NULL, path, buf, len) : result;
}

static ssize_t sys_list_dir(void *ctx, const char *path, char *buf, size_t len)
{
	struct weir_sim *sim = ctx;
	char name[NAME_SIZE];
	ssize_t result = enter(sim);

	if (result)
		return result;
	result = sim_copy_string(name, path, sizeof(name));
	if (!result)
		result = sim_path_list(sim, name, buf, len);
	leave(sim);
	return result == SIM_PASS_ON ? real()->list_dir(NULL, path, buf, len) : result;
}

/* Sockets and time ------------------------------------------------------------------------------------------------- */

static int sys_connect(void *ctx, const char *path)
{
	int error = pass(ctx);

	return error ? error : real()->connect(NULL, path);
}

static ssize_t sys_sendmsg(void *ctx, int fd, const struct msghdr *msg, int flags)
{
	struct weir_sim *sim = ctx;
	struct sim_file *file;
	int error = enter_fd(sim, fd, &file);

	if (error)
		return error;
	if (!file)
		return real()->sendmsg(NULL, fd, msg, flags);
	leave(sim);
	return -ENOTSOCK;
}

static ssize_t sys_recvmsg(void *ctx, int fd, struct msghdr *msg, int flags)
{
	struct weir_sim *sim = ctx;
	struct sim_file *file;
	int error = enter_fd(sim, fd, &file);

	if (error)
		return error;
	if (!file)
		return real()->recvmsg(NULL, fd, msg, flags);
	leave(sim);
	return -ENOTSOCK;
}

static int sys_sleep(void *ctx, uint64_t nanoseconds)
{
	int error = pass(ctx);

	return error ? error : real()->sleep(NULL, nanoseconds);
}

void sim_sys_init(struct weir_sim *sim)
{
	sim->table = (struct weir_sys){
		.size = sizeof(sim->table),
		.ctx = sim,
		.open = sys_open,
		.close = sys_close,
		.dup = sys_dup,
		.eventfd = sys_eventfd,
		.ioctl = sys_ioctl,
		.read = sys_read,
		.write = sys_write,
		.pread = sys_pread,
		.pwrite = sys_pwrite,
		.poll = sys_poll,
		.mmap = sys_mmap,
		.munmap = sys_munmap,
		.madvise = sys_madvise,
		.userfaultfd = sys_userfaultfd,
		.memfd_create = sys_memfd_create,
		.ftruncate = sys_ftruncate,
		.fcntl = sys_fcntl,
		.fstat = sys_fstat,
		.readlink = sys_readlink,
		.list_dir = sys_list_dir,
		.connect = sys_connect,
		.sendmsg = sys_sendmsg,
		.recvmsg = sys_recvmsg,
		.sleep = sys_sleep,
	};
	sim_processes_init(sim);
}
