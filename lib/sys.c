// SPDX-License-Identifier: MIT
/* The real system calls, each with its errno as a negative result. */
#include <weir/sys.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int real_open(void *ctx, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	(void)ctx;
	return fd < 0 ? -errno : fd;
}

static int real_close(void *ctx, int fd)
{
	(void)ctx;
	return close(fd) < 0 ? -errno : 0;
}

static int real_dup(void *ctx, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	(void)ctx;
	return copy < 0 ? -errno : copy;
}

static int real_eventfd(void *ctx, unsigned int initial, int flags)
{
	int fd = eventfd(initial, flags | EFD_CLOEXEC);

	(void)ctx;
	return fd < 0 ? -errno : fd;
}

static int real_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	int result = ioctl(fd, request, arg);

	(void)ctx;
	return result < 0 ? -errno : result;
}

static ssize_t real_read(void *ctx, int fd, void *buf, size_t len)
{
	ssize_t got = read(fd, buf, len);

	(void)ctx;
	return got < 0 ? -errno : got;
}

static ssize_t real_write(void *ctx, int fd, const void *buf, size_t len)
{
	ssize_t put = write(fd, buf, len);

	(void)ctx;
	return put < 0 ? -errno : put;
}

static ssize_t real_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
	ssize_t got = pread(fd, buf, len, (off_t)offset);

	(void)ctx;
	return got < 0 ? -errno : got;
}

static ssize_t real_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
	ssize_t put = pwrite(fd, buf, len, (off_t)offset);

	(void)ctx;
	return put < 0 ? -errno : put;
}

static int real_poll(void *ctx, struct pollfd *fds, size_t num, int timeout_ms)
{
	int ready = poll(fds, num, timeout_ms);

	(void)ctx;
	return ready < 0 ? -errno : ready;
}

static int real_mmap(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
		     void **ret_addr)
{
	void *mapped = mmap(addr, len, prot, flags, fd, (off_t)offset);

	(void)ctx;
	if (mapped == MAP_FAILED)
		return -errno;
	*ret_addr = mapped;
	return 0;
}

static int real_munmap(void *ctx, void *addr, size_t len)
{
	(void)ctx;
	return munmap(addr, len) < 0 ? -errno : 0;
}

static int real_madvise(void *ctx, void *addr, size_t len, int advice)
{
	(void)ctx;
	return madvise(addr, len, advice) < 0 ? -errno : 0;
}

static int real_userfaultfd(void *ctx, int flags)
{
	int fd = (int)syscall(SYS_userfaultfd, flags | O_CLOEXEC);

	(void)ctx;
	return fd < 0 ? -errno : fd;
}

static int real_memfd_create(void *ctx, const char *name, unsigned int flags)
{
	int fd = memfd_create(name, flags);

	(void)ctx;
	return fd < 0 ? -errno : fd;
}

static int real_ftruncate(void *ctx, int fd, uint64_t len)
{
	(void)ctx;
	return ftruncate(fd, (off_t)len) < 0 ? -errno : 0;
}

static int real_fcntl(void *ctx, int fd, int command, int argument)
{
	int result = fcntl(fd, command, argument);

	(void)ctx;
	return result < 0 ? -errno : result;
}

static int real_fstat(void *ctx, int fd, struct stat *ret_stat)
{
	(void)ctx;
	return fstat(fd, ret_stat) < 0 ? -errno : 0;
}

static ssize_t real_readlink(void *ctx, const char *path, char *buf, size_t len)
{
	ssize_t got = readlink(path, buf, len);

	(void)ctx;
	return got < 0 ? -errno : got;
}

static ssize_t real_list_dir(void *ctx, const char *path, char *buf, size_t len)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t used = 0;

	(void)ctx;
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		size_t need = strlen(entry->d_name) + 1;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (used + need > len) {
			closedir(dir);
			return -ENOSPC;
		}
		memcpy(buf + used, entry->d_name, need);
		used += need;
	}
	closedir(dir);
	return (ssize_t)used;
}

static int real_connect(void *ctx, const char *path)
{
	static const struct timeval patience = { .tv_sec = 10 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	(void)ctx;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	/* A server that no longer accepts, its backlog full, would hold connect() up for ever. */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static ssize_t real_sendmsg(void *ctx, int fd, const struct msghdr *msg, int flags)
{
	ssize_t sent = sendmsg(fd, msg, flags | MSG_NOSIGNAL);

	(void)ctx;
	return sent < 0 ? -errno : sent;
}

static ssize_t real_recvmsg(void *ctx, int fd, struct msghdr *msg, int flags)
{
	ssize_t got = recvmsg(fd, msg, flags | MSG_CMSG_CLOEXEC);

	(void)ctx;
	return got < 0 ? -errno : got;
}

static int real_sleep(void *ctx, uint64_t nanoseconds)
{
	struct timespec duration = { (time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000) };

	(void)ctx;
	return nanosleep(&duration, NULL) < 0 ? -errno : 0;
}

static const struct weir_sys real = {
	.size = sizeof(real),
	.open = real_open,
	.close = real_close,
	.dup = real_dup,
	.eventfd = real_eventfd,
	.ioctl = real_ioctl,
	.read = real_read,
	.write = real_write,
	.pread = real_pread,
	.pwrite = real_pwrite,
	.poll = real_poll,
	.mmap = real_mmap,
	.munmap = real_munmap,
	.madvise = real_madvise,
	.userfaultfd = real_userfaultfd,
	.memfd_create = real_memfd_create,
	.ftruncate = real_ftruncate,
	.fcntl = real_fcntl,
	.fstat = real_fstat,
	.readlink = real_readlink,
	.list_dir = real_list_dir,
	.connect = real_connect,
	.sendmsg = real_sendmsg,
	.recvmsg = real_recvmsg,
	.sleep = real_sleep,
};

const struct weir_sys *weir_sys_real(void)
{
	return &real;
}
