// SPDX-License-Identifier: MIT
/*
 * Calls on descriptors. dup(), fcntl() and what passes descriptors on need nothing: the machine knows its
 * files by what is behind the descriptor. When the last one is gone otherwise than by close(), it finds
 * that out at its next call.
 */
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sim/preload/preload.h"

_Noreturn void __chk_fail(void);

EXPORT int close(int fd)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_fd(&call, fd);
	int result;

	if (!sim)
		return NEXT(close)(fd);
	result = sim->table.close(sim, fd);
	preload_leave(&call);
	return (int)preload_result(result);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct preload_call call;
	struct weir_sim *sim;
	va_list arguments;
	void *arg;
	int result;

	va_start(arguments, request);
	arg = va_arg(arguments, void *);
	va_end(arguments);
	sim = preload_enter_fd(&call, fd);
	if (!sim)
		return NEXT(ioctl)(fd, request, arg);
	result = sim->table.ioctl(sim, fd, request, arg);
	preload_leave(&call);
	return (int)preload_result(result);
}

/* Reading and writing: each tells whether the machine has answered. -------------------------------------- */

static bool answered_read(int fd, void *buf, size_t len, ssize_t *ret_result)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_fd(&call, fd);

	if (!sim)
		return false;
	*ret_result = sim->table.read(sim, fd, buf, len);
	preload_leave(&call);
	*ret_result = preload_result(*ret_result);
	return true;
}

static bool answered_pread(int fd, void *buf, size_t len, off_t offset, ssize_t *ret_result)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_fd(&call, fd);

	if (!sim)
		return false;
	*ret_result = offset < 0 ? -EINVAL : sim->table.pread(sim, fd, buf, len, (uint64_t)offset);
	preload_leave(&call);
	*ret_result = preload_result(*ret_result);
	return true;
}

static bool answered_pwrite(int fd, const void *buf, size_t len, off_t offset, ssize_t *ret_result)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_fd(&call, fd);

	if (!sim)
		return false;
	*ret_result = offset < 0 ? -EINVAL : sim->table.pwrite(sim, fd, buf, len, (uint64_t)offset);
	preload_leave(&call);
	*ret_result = preload_result(*ret_result);
	return true;
}

EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	ssize_t done;

	return answered_read(fd, buf, len, &done) ? done : NEXT(read)(fd, buf, len);
}

EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_fd(&call, fd);
	ssize_t done;

	if (!sim)
		return NEXT(write)(fd, buf, len);
	done = sim->table.write(sim, fd, buf, len);
	preload_leave(&call);
	return preload_result(done);
}

EXPORT ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t done;

	return answered_pread(fd, buf, len, offset, &done) ? done : NEXT(pread)(fd, buf, len, offset);
}

EXPORT ssize_t pread64(int fd, void *buf, size_t len, off64_t offset)
{
	ssize_t done;

	return answered_pread(fd, buf, len, offset, &done) ? done : NEXT(pread64)(fd, buf, len, offset);
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	ssize_t done;

	return answered_pwrite(fd, buf, len, offset, &done) ? done : NEXT(pwrite)(fd, buf, len, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	ssize_t done;

	return answered_pwrite(fd, buf, len, offset, &done) ? done : NEXT(pwrite64)(fd, buf, len, offset);
}

/* What programs call that were compiled with _FORTIFY_SOURCE. */
ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t len, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t offset, size_t room);

EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
	if (len > room)
		__chk_fail();
	return read(fd, buf, len);
}

EXPORT ssize_t __pread_chk(int fd, void *buf, size_t len, off_t offset, size_t room)
{
	if (len > room)
		__chk_fail();
	return pread(fd, buf, len, offset);
}

EXPORT ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t offset, size_t room)
{
	if (len > room)
		__chk_fail();
	return pread(fd, buf, len, offset);
}

/* A list of buffers, one after the other, up to the first that is not filled. */
static ssize_t each(int fd, const struct iovec *list, int num, ssize_t (*move)(int fd, void *buf, size_t len))
{
	ssize_t sum = 0;

	for (int i = 0; i < num; i++) {
		ssize_t done = move(fd, list[i].iov_base, list[i].iov_len);

		if (done < 0)
			return sum ? sum : done;
		sum += done;
		if ((size_t)done < list[i].iov_len)
			break;
	}
	return sum;
}

static ssize_t move_out(int fd, void *buf, size_t len)
{
	return write(fd, buf, len);
}

EXPORT ssize_t readv(int fd, const struct iovec *list, int num)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_fd(&call, fd);

	if (!sim)
		return NEXT(readv)(fd, list, num);
	preload_leave(&call);
	return each(fd, list, num, read);
}

EXPORT ssize_t writev(int fd, const struct iovec *list, int num)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_fd(&call, fd);

	if (!sim)
		return NEXT(writev)(fd, list, num);
	preload_leave(&call);
	return each(fd, list, num, move_out);
}

/* Waiting ------------------------------------------------------------------------------------------------ */

/* The machine brings its descriptors up to date; the waiting itself is real, outside of it. */
static void settle(struct pollfd *list, nfds_t num)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_any(&call);

	if (!sim)
		return;
	if (sim->files)
		sim->table.poll(sim, list, num, 0);
	preload_leave(&call);
}

EXPORT int poll(struct pollfd *list, nfds_t num, int timeout)
{
	settle(list, num);
	return NEXT(poll)(list, num, timeout);
}

EXPORT int ppoll(struct pollfd *list, nfds_t num, const struct timespec *timeout, const sigset_t *mask)
{
	settle(list, num);
	return NEXT(ppoll)(list, num, timeout, mask);
}

int __poll_chk(struct pollfd *list, nfds_t num, int timeout, size_t room);
int __ppoll_chk(struct pollfd *list, nfds_t num, const struct timespec *timeout, const sigset_t *mask,
		size_t room);

EXPORT int __poll_chk(struct pollfd *list, nfds_t num, int timeout, size_t room)
{
	if (num > room / sizeof(*list))
		__chk_fail();
	return poll(list, num, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *list, nfds_t num, const struct timespec *timeout, const sigset_t *mask,
		       size_t room)
{
	if (num > room / sizeof(*list))
		__chk_fail();
	return ppoll(list, num, timeout, mask);
}
