// SPDX-License-Identifier: MIT
/* A table of system calls that answers from what a test wrote into it. */
#include "support/fake_sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shim/test.h"

static int unexpected(struct fake_sys *fake, const char *call)
{
	fake->calls++;
	t_fail(T_HERE, "%s was called, which the case did not expect", call);
	return -ENOSYS;
}

static struct fake_name *find(struct fake_sys *fake, const char *path)
{
	for (unsigned int i = 0; i < fake->num_names; i++)
		if (!strcmp(fake->names[i].path, path))
			return &fake->names[i];
	return NULL;
}

static const struct fake_name *look_up(struct fake_sys *fake, const char *path, int *ret_error)
{
	const struct fake_name *name = find(fake, path);

	fake->calls++;
	*ret_error = name ? name->error : -ENOENT;
	return *ret_error ? NULL : name;
}

static int fake_open(void *ctx, const char *path, int flags)
{
	struct fake_sys *fake = ctx;
	int error;
	const struct fake_name *name = look_up(fake, path, &error);

	(void)flags;
	for (int i = 0; name && i < FAKE_FDS; i++) {
		if (fake->fds[i].open)
			continue;
		fake->fds[i] = (struct fake_fd){ .open = true, .name = name };
		return FAKE_FIRST_FD + i;
	}
	return name ? -EMFILE : error;
}

static struct fake_fd *fd_of(struct fake_sys *fake, int fd)
{
	int i = fd - FAKE_FIRST_FD;

	fake->calls++;
	if (i >= 0 && i < FAKE_FDS && fake->fds[i].open)
		return &fake->fds[i];
	t_fail(T_HERE, "descriptor %d was used, which is not open", fd);
	return NULL;
}

static int fake_close(void *ctx, int fd)
{
	struct fake_fd *file = fd_of(ctx, fd);

	if (!file)
		return -EBADF;
	file->open = false;
	return 0;
}

static ssize_t fake_read(void *ctx, int fd, void *buf, size_t len)
{
	struct fake_sys *fake = ctx;
	struct fake_fd *file = fd_of(fake, fd);
	size_t left;

	if (!file)
		return -EBADF;
	left = file->name->len - file->at;
	if (len > left)
		len = left;
	if (fake->most_read && len > fake->most_read)
		len = fake->most_read;
	memcpy(buf, file->name->content + file->at, len);
	file->at += len;
	return (ssize_t)len;
}

static ssize_t fake_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
	struct fake_sys *fake = ctx;
	struct fake_fd *file = fd_of(fake, fd);
	size_t left;

	if (!file)
		return -EBADF;
	left = offset < file->name->len ? file->name->len - (size_t)offset : 0;
	if (len > left)
		len = left;
	if (fake->most_pread && len > fake->most_pread)
		len = fake->most_pread;
	memcpy(buf, file->name->content + offset, len);
	return (ssize_t)len;
}

static int fake_sys_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	struct fake_sys *fake = ctx;

	for (unsigned int i = 0; i < fake->num_ioctls; i++) {
		if (fake->ioctls[i].request != request)
			continue;
		fake->calls++;
		return fake->ioctls[i].answer(fake->ioctls[i].ctx, fd, arg);
	}
	return unexpected(fake, "ioctl");
}

static ssize_t fake_readlink(void *ctx, const char *path, char *buf, size_t len)
{
	int error;
	const struct fake_name *name = look_up(ctx, path, &error);

	if (!name)
		return error;
	if (len > name->len)
		len = name->len;
	memcpy(buf, name->content, len);
	return (ssize_t)len;
}

static ssize_t fake_list_dir(void *ctx, const char *path, char *buf, size_t len)
{
	int error;
	const struct fake_name *name = look_up(ctx, path, &error);

	if (!name)
		return error;
	if (len < name->len)
		return -ENOSPC;
	memcpy(buf, name->content, name->len);
	return (ssize_t)name->len;
}

/* What no case has needed so far. */
static int no_dup(void *ctx, int fd)
{
	(void)fd;
	return unexpected(ctx, "dup");
}

static int no_eventfd(void *ctx, unsigned int initial, int flags)
{
	(void)initial, (void)flags;
	return unexpected(ctx, "eventfd");
}

static ssize_t no_write(void *ctx, int fd, const void *buf, size_t len)
{
	(void)fd, (void)buf, (void)len;
	return unexpected(ctx, "write");
}

static ssize_t no_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
	(void)fd, (void)buf, (void)len, (void)offset;
	return unexpected(ctx, "pwrite");
}

static int no_poll(void *ctx, struct pollfd *fds, size_t num, int timeout_ms)
{
	(void)fds, (void)num, (void)timeout_ms;
	return unexpected(ctx, "poll");
}

static int no_mmap(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
		   void **ret_addr)
{
	(void)addr, (void)len, (void)prot, (void)flags, (void)fd, (void)offset, (void)ret_addr;
	return unexpected(ctx, "mmap");
}

static int no_munmap(void *ctx, void *addr, size_t len)
{
	(void)addr, (void)len;
	return unexpected(ctx, "munmap");
}

static int no_madvise(void *ctx, void *addr, size_t len, int advice)
{
	(void)addr, (void)len, (void)advice;
	return unexpected(ctx, "madvise");
}

static int no_userfaultfd(void *ctx, int flags)
{
	(void)flags;
	return unexpected(ctx, "userfaultfd");
}

static int no_memfd_create(void *ctx, const char *name, unsigned int flags)
{
	(void)name, (void)flags;
	return unexpected(ctx, "memfd_create");
}

static int no_ftruncate(void *ctx, int fd, uint64_t len)
{
	(void)fd, (void)len;
	return unexpected(ctx, "ftruncate");
}

static int no_fcntl(void *ctx, int fd, int command, int argument)
{
	(void)fd, (void)command, (void)argument;
	return unexpected(ctx, "fcntl");
}

static int no_fstat(void *ctx, int fd, struct stat *ret_stat)
{
	(void)fd, (void)ret_stat;
	return unexpected(ctx, "fstat");
}

static int no_connect(void *ctx, const char *path)
{
	(void)path;
	return unexpected(ctx, "connect");
}

static ssize_t no_sendmsg(void *ctx, int fd, const struct msghdr *msg, int flags)
{
	(void)fd, (void)msg, (void)flags;
	return unexpected(ctx, "sendmsg");
}

static ssize_t no_recvmsg(void *ctx, int fd, struct msghdr *msg, int flags)
{
	(void)fd, (void)msg, (void)flags;
	return unexpected(ctx, "recvmsg");
}

static int no_sleep(void *ctx, uint64_t nanoseconds)
{
	(void)nanoseconds;
	return unexpected(ctx, "sleep");
}

static void finish(void *arg)
{
	struct fake_sys *fake = arg;

	EXPECT_EQ(fake_open_fds(fake), 0);
	free(fake);
}

struct fake_sys *fake_sys_new(struct t *t)
{
	struct fake_sys *fake = calloc(1, sizeof(*fake));

	ASSERT_TRUE(fake);
	fake->table = (struct weir_sys){
		.size = sizeof(fake->table),
		.ctx = fake,
		.open = fake_open,
		.close = fake_close,
		.dup = no_dup,
		.eventfd = no_eventfd,
		.ioctl = fake_sys_ioctl,
		.read = fake_read,
		.write = no_write,
		.pread = fake_pread,
		.pwrite = no_pwrite,
		.poll = no_poll,
		.mmap = no_mmap,
		.munmap = no_munmap,
		.madvise = no_madvise,
		.userfaultfd = no_userfaultfd,
		.memfd_create = no_memfd_create,
		.ftruncate = no_ftruncate,
		.fcntl = no_fcntl,
		.fstat = no_fstat,
		.readlink = fake_readlink,
		.list_dir = fake_list_dir,
		.connect = no_connect,
		.sendmsg = no_sendmsg,
		.recvmsg = no_recvmsg,
		.sleep = no_sleep,
	};
	t_defer(t, finish, fake);
	return fake;
}

static struct fake_name *slot(struct fake_sys *fake, const char *path)
{
	struct fake_name *name = find(fake, path);

	if (name)
		return name;
	ASSERT_LT(fake->num_names, FAKE_NAMES);
	name = &fake->names[fake->num_names++];
	name->path = path;
	return name;
}

void fake_name(struct fake_sys *fake, const char *path, const char *content, size_t len)
{
	*slot(fake, path) = (struct fake_name){ .path = path, .content = content, .len = len };
}

void fake_file(struct fake_sys *fake, const char *path, const char *text)
{
	fake_name(fake, path, text, strlen(text));
}

void fake_error(struct fake_sys *fake, const char *path, int error)
{
	*slot(fake, path) = (struct fake_name){ .path = path, .error = error };
}

void fake_ioctl(struct fake_sys *fake, unsigned long request, int (*answer)(void *ctx, int fd, void *arg),
		void *ctx)
{
	ASSERT_LT(fake->num_ioctls, FAKE_IOCTLS);
	fake->ioctls[fake->num_ioctls].request = request;
	fake->ioctls[fake->num_ioctls].answer = answer;
	fake->ioctls[fake->num_ioctls++].ctx = ctx;
}

unsigned int fake_open_fds(const struct fake_sys *fake)
{
	unsigned int open = 0;

	for (int i = 0; i < FAKE_FDS; i++)
		open += fake->fds[i].open;
	return open;
}
