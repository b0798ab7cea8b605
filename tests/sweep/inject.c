// SPDX-License-Identifier: MIT
/* The table of system calls in which one fails. */
#include "sweep/inject.h"
#include "sweep/lost.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/sys_log.h"

enum { MAX_TABLES = 16, MAX_ERRORS = 6 };

static struct {
	struct injection injection;
	atomic_uint counts[KINDS];
	atomic_bool came; /* to pass */
	int error;
	char what[64];
	pid_t process; /* 0: not under way */
	atomic_uint reuses;

	/*
	 * In how many pieces /proc/self/smaps is read depends on what a sanitizer, for one, has mapped, and is not the same in every
	 * run: the first read counts. The descriptor of it, and that of the last read.
	 */
	atomic_int maps_fd, maps_read;

	/* What a munmap() should have taken away. */
	const struct weir_sys *below;
	void *addr;
	size_t len;
} now;

static _Thread_local bool paused, came_here;
static char *description;

/* What each call may fail with on Linux. Taken in turn, so that the same call fails in different ways at different places. */
static const struct call {
	const char *name;
	int errors[MAX_ERRORS];
} calls[] = {
	{ "open", { EMFILE, ENFILE, ENOMEM, EINTR, EACCES, EBUSY } },
	{ "close", { EIO, EINTR } },
	{ "dup", { EMFILE } },
	{ "eventfd", { EMFILE, ENFILE, ENOMEM } },
	{ "ioctl", { EIO, ENOMEM, EINTR, EBUSY, EFAULT, ENODEV } },
	{ "read", { EIO, EINTR, ENOMEM } },
	{ "write", { EIO, EINTR, ENOMEM } },
	{ "pread", { EIO, ENODEV, EFAULT } },
	{ "pwrite", { EIO, ENODEV, EFAULT } },
	{ "poll", { EINTR, ENOMEM } },
	{ "mmap", { ENOMEM, EAGAIN, EIO } },
	{ "munmap", { ENOMEM } },
	{ "madvise", { ENOMEM, EAGAIN } },
	{ "userfaultfd", { EPERM, ENOSYS, EMFILE, ENOMEM } },
	{ "memfd_create", { EMFILE, ENFILE, ENOMEM } },
	{ "ftruncate", { EINTR, ENOMEM } },
	{ "fcntl", { EMFILE, EBUSY, ENOMEM } },
	{ "fstat", { ENOMEM, EIO } },
	{ "readlink", { EACCES, ENOENT, EIO, ENOMEM } },
	{ "list_dir", { EMFILE, ENOENT, ENOMEM, EACCES } },
	{ "connect", { EMFILE, ECONNREFUSED, ENOENT, EACCES } },
	{ "sendmsg", { EPIPE, ENOBUFS, EINTR } },
	{ "recvmsg", { ECONNRESET, ENOMEM, EINTR } },
	{ "sleep", { EINTR } },
};

enum {
	OPEN,
	CLOSE,
	DUP,
	EVENTFD,
	IOCTL,
	READ,
	WRITE,
	PREAD,
	PWRITE,
	POLL,
	MMAP,
	MUNMAP,
	MADVISE,
	USERFAULTFD,
	MEMFD_CREATE,
	FTRUNCATE,
	FCNTL,
	FSTAT,
	READLINK,
	LIST_DIR,
	CONNECT,
	SENDMSG,
	RECVMSG,
	SLEEP,
};

static int suitable_error(const struct call *call)
{
	unsigned int num = 0;

	while (num < MAX_ERRORS && call->errors[num])
		num++;
	return -call->errors[now.injection.nth % num];
}

void inject_describe(char text[INJECT_TEXT])
{
	description = text;
}

static void describe(void)
{
	if (description)
		snprintf(description, INJECT_TEXT, "%s: %s", now.what, strerrorname_np(-now.error));
}

bool inject_counts(enum injected kind)
{
	if (!now.process || paused || getpid() != now.process)
		return false;
	if (atomic_fetch_add(&now.counts[kind], 1) + 1 != now.injection.nth || kind != now.injection.kind)
		return false;
	if (kind == ALLOCATION) {
		now.error = -ENOMEM;
		snprintf(now.what, sizeof(now.what), "allocation");
		describe();
	}
	came_here = true;
	atomic_store(&now.came, true);
	return true;
}

/* 0, or the error with which this call fails. */
static int fails(unsigned int which, unsigned long request)
{
	const struct call *call = &calls[which];

	if (!inject_counts(CALL))
		return 0;
	now.error = now.injection.error ? now.injection.error : suitable_error(call);
	if (request)
		snprintf(now.what, sizeof(now.what), "%s %#lx", call->name, request);
	else
		snprintf(now.what, sizeof(now.what), "%s", call->name);
	describe();
	return now.error;
}

static int do_open(void *ctx, const char *path, int flags)
{
	const struct weir_sys *below = ctx;
	int error = fails(OPEN, 0), fd;

	if (error)
		return error;
	fd = below->open(below->ctx, path, flags);
	if (!strcmp(path, "/proc/self/smaps"))
		atomic_store(&now.maps_fd, fd);
	return fd;
}

static int do_close(void *ctx, int fd)
{
	const struct weir_sys *below = ctx;
	int error = fails(CLOSE, 0), result = below->close(below->ctx, fd);

	lost_closed(fd);
	if (fd == atomic_load(&now.maps_fd)) {
		atomic_store(&now.maps_fd, -1);
		atomic_store(&now.maps_read, -1);
	}
	return error ? error : result;
}

static int do_dup(void *ctx, int fd)
{
	const struct weir_sys *below = ctx;
	int error = fails(DUP, 0);

	return error ? error : below->dup(below->ctx, fd);
}

static int do_eventfd(void *ctx, unsigned int initial, int flags)
{
	const struct weir_sys *below = ctx;
	int error = fails(EVENTFD, 0);

	return error ? error : below->eventfd(below->ctx, initial, flags);
}

static int do_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	const struct weir_sys *below = ctx;
	int error = fails(IOCTL, request), result;

	if (error) {
		lost_begin(fd, request, arg);
		return error;
	}
	atomic_fetch_add(&now.reuses, lost_reused(fd, request, arg));
	result = below->ioctl(below->ctx, fd, request, arg);
	if (result >= 0)
		lost_passed(fd, request, arg);
	return result;
}

static ssize_t do_read(void *ctx, int fd, void *buf, size_t len)
{
	const struct weir_sys *below = ctx;
	bool again = atomic_exchange(&now.maps_read, fd) == fd && fd == atomic_load(&now.maps_fd);
	int error = again ? 0 : fails(READ, 0);

	return error ? error : below->read(below->ctx, fd, buf, len);
}

static ssize_t do_write(void *ctx, int fd, const void *buf, size_t len)
{
	const struct weir_sys *below = ctx;
	int error = fails(WRITE, 0);

	return error ? error : below->write(below->ctx, fd, buf, len);
}

static ssize_t do_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
	const struct weir_sys *below = ctx;
	int error = fails(PREAD, 0);

	return error ? error : below->pread(below->ctx, fd, buf, len, offset);
}

static ssize_t do_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
	const struct weir_sys *below = ctx;
	int error = fails(PWRITE, 0);

	return error ? error : below->pwrite(below->ctx, fd, buf, len, offset);
}

static int do_poll(void *ctx, struct pollfd *fds, size_t num, int timeout_ms)
{
	const struct weir_sys *below = ctx;
	int error = fails(POLL, 0);

	return error ? error : below->poll(below->ctx, fds, num, timeout_ms);
}

static int do_mmap(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
		   void **ret_addr)
{
	const struct weir_sys *below = ctx;
	int error = fails(MMAP, 0);

	return error ? error : below->mmap(below->ctx, addr, len, prot, flags, fd, offset, ret_addr);
}

static int do_munmap(void *ctx, void *addr, size_t len)
{
	const struct weir_sys *below = ctx;
	int error = fails(MUNMAP, 0);

	if (!error)
		return below->munmap(below->ctx, addr, len);
	now.below = below;
	now.addr = addr;
	now.len = len;
	return error;
}

static int do_madvise(void *ctx, void *addr, size_t len, int advice)
{
	const struct weir_sys *below = ctx;
	int error = fails(MADVISE, 0);

	return error ? error : below->madvise(below->ctx, addr, len, advice);
}

static int do_userfaultfd(void *ctx, int flags)
{
	const struct weir_sys *below = ctx;
	int error = fails(USERFAULTFD, 0);

	return error ? error : below->userfaultfd(below->ctx, flags);
}

static int do_memfd_create(void *ctx, const char *name, unsigned int flags)
{
	const struct weir_sys *below = ctx;
	int error = fails(MEMFD_CREATE, 0);

	return error ? error : below->memfd_create(below->ctx, name, flags);
}

static int do_ftruncate(void *ctx, int fd, uint64_t len)
{
	const struct weir_sys *below = ctx;
	int error = fails(FTRUNCATE, 0);

	return error ? error : below->ftruncate(below->ctx, fd, len);
}

static int do_fcntl(void *ctx, int fd, int command, int argument)
{
	const struct weir_sys *below = ctx;
	int error = fails(FCNTL, (unsigned long)command);

	return error ? error : below->fcntl(below->ctx, fd, command, argument);
}

static int do_fstat(void *ctx, int fd, struct stat *ret_stat)
{
	const struct weir_sys *below = ctx;
	int error = fails(FSTAT, 0);

	return error ? error : below->fstat(below->ctx, fd, ret_stat);
}

static ssize_t do_readlink(void *ctx, const char *path, char *buf, size_t len)
{
	const struct weir_sys *below = ctx;
	int error = fails(READLINK, 0);

	return error ? error : below->readlink(below->ctx, path, buf, len);
}

static ssize_t do_list_dir(void *ctx, const char *path, char *buf, size_t len)
{
	const struct weir_sys *below = ctx;
	int error = fails(LIST_DIR, 0);

	return error ? error : below->list_dir(below->ctx, path, buf, len);
}

static int do_connect(void *ctx, const char *path)
{
	const struct weir_sys *below = ctx;
	int error = fails(CONNECT, 0);

	return error ? error : below->connect(below->ctx, path);
}

static ssize_t do_sendmsg(void *ctx, int fd, const struct msghdr *msg, int flags)
{
	const struct weir_sys *below = ctx;
	int error = fails(SENDMSG, 0);

	return error ? error : below->sendmsg(below->ctx, fd, msg, flags);
}

static ssize_t do_recvmsg(void *ctx, int fd, struct msghdr *msg, int flags)
{
	const struct weir_sys *below = ctx;
	int error = fails(RECVMSG, 0);

	return error ? error : below->recvmsg(below->ctx, fd, msg, flags);
}

static int do_sleep(void *ctx, uint64_t nanoseconds)
{
	const struct weir_sys *below = ctx;
	int error = fails(SLEEP, 0), result = below->sleep(below->ctx, nanoseconds);

	return error ? error : result;
}

static const struct weir_sys failing = {
	.size = sizeof(failing),
	.open = do_open,
	.close = do_close,
	.dup = do_dup,
	.eventfd = do_eventfd,
	.ioctl = do_ioctl,
	.read = do_read,
	.write = do_write,
	.pread = do_pread,
	.pwrite = do_pwrite,
	.poll = do_poll,
	.mmap = do_mmap,
	.munmap = do_munmap,
	.madvise = do_madvise,
	.userfaultfd = do_userfaultfd,
	.memfd_create = do_memfd_create,
	.ftruncate = do_ftruncate,
	.fcntl = do_fcntl,
	.fstat = do_fstat,
	.readlink = do_readlink,
	.list_dir = do_list_dir,
	.connect = do_connect,
	.sendmsg = do_sendmsg,
	.recvmsg = do_recvmsg,
	.sleep = do_sleep,
};

/* Tables live as long as the program: a case may keep a host on one until its very end. */
static const struct weir_sys *table_above(const struct weir_sys *below)
{
	static struct weir_sys tables[MAX_TABLES];
	unsigned int i = 0;

	while (i < MAX_TABLES && tables[i].ctx && tables[i].ctx != below)
		i++;
	if (i == MAX_TABLES) {
		fprintf(stderr, "more than %d tables of system calls\n", MAX_TABLES);
		abort();
	}
	tables[i] = failing;
	tables[i].ctx = (void *)below;
	return &tables[i];
}

/* The names that the linker gives to what it wraps. */
void __real_sys_log_init(struct sys_log *log, const struct weir_sys *below);
void __wrap_sys_log_init(struct sys_log *log, const struct weir_sys *below);

/* A log on top of a log lies above one of our tables already. */
void __wrap_sys_log_init(struct sys_log *log, const struct weir_sys *below)
{
	static int (*log_open)(void *ctx, const char *path, int flags);

	if (below && log_open && below->open == log_open)
		__real_sys_log_init(log, below);
	else
		__real_sys_log_init(log, table_above(below ? below : weir_sys_real()));
	log_open = log->table.open;
}

void inject_start(const struct injection *injection)
{
	lost_clear();
	atomic_store(&now.maps_fd, -1);
	atomic_store(&now.maps_read, -1);
	now.injection = *injection;
	for (int kind = 0; kind < KINDS; kind++)
		atomic_store(&now.counts[kind], 0);
	atomic_store(&now.came, false);
	atomic_store(&now.reuses, 0);
	came_here = false;
	now.error = 0;
	now.what[0] = '\0';
	now.process = getpid();
}

void inject_stop(unsigned int ret_counts[KINDS])
{
	now.process = 0;
	for (int kind = 0; kind < KINDS; kind++)
		ret_counts[kind] = atomic_load(&now.counts[kind]);
}

bool injected(void)
{
	return atomic_load(&now.came);
}

bool injected_here(void)
{
	return came_here;
}

int injected_error(void)
{
	return now.error;
}

const char *injected_what(void)
{
	return now.what;
}

void inject_pause(bool pause)
{
	paused = pause;
}

unsigned int inject_reuses(void)
{
	return atomic_load(&now.reuses);
}

void inject_munmap_again(void)
{
	if (now.addr)
		now.below->munmap(now.below->ctx, now.addr, now.len);
	now.addr = NULL;
}
