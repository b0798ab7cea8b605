// SPDX-License-Identifier: MIT
/* A process that is killed after one of its system calls, or refused one. */
#include "support/mortal_sys.h"

#include <errno.h>
#include <sys/socket.h>

static struct {
	const struct weir_sys *below;
	struct weir_sys table;
	unsigned int left; /* calls; 0: it is dead, or lives for ever */
	int socket;
	bool dead;
	unsigned int until_refused; /* calls, with the one that is; 0: none is */
	int refusal;
	bool refused;
} mortal;

/* A call has been made. */
static long done(long result)
{
	if (mortal.left && !--mortal.left) {
		mortal.dead = true;
		shutdown(mortal.socket, SHUT_RDWR);
	}
	return result;
}

static bool is_refused(void)
{
	if (!mortal.until_refused || --mortal.until_refused)
		return false;
	mortal.refused = true;
	return true;
}

#define DEAD_OR(call) mortal.dead ? -EIO : is_refused() ? mortal.refusal : done(mortal.below->call)

static int do_open(void *ctx, const char *path, int flags)
{
	return (int)(DEAD_OR(open(ctx, path, flags)));
}

static int do_dup(void *ctx, int fd)
{
	return (int)(DEAD_OR(dup(ctx, fd)));
}

static int do_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	return (int)(DEAD_OR(ioctl(ctx, fd, request, arg)));
}

static ssize_t do_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
	return DEAD_OR(pread(ctx, fd, buf, len, offset));
}

static ssize_t do_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
	return DEAD_OR(pwrite(ctx, fd, buf, len, offset));
}

static int do_poll(void *ctx, struct pollfd *fds, size_t num, int timeout_ms)
{
	return (int)(DEAD_OR(poll(ctx, fds, num, timeout_ms)));
}

static int do_mmap(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
		   void **ret_addr)
{
	return (int)(DEAD_OR(mmap(ctx, addr, len, prot, flags, fd, offset, ret_addr)));
}

static int do_fcntl(void *ctx, int fd, int command, int argument)
{
	return (int)(DEAD_OR(fcntl(ctx, fd, command, argument)));
}

static int do_fstat(void *ctx, int fd, struct stat *ret_stat)
{
	return (int)(DEAD_OR(fstat(ctx, fd, ret_stat)));
}

static ssize_t do_readlink(void *ctx, const char *path, char *buf, size_t len)
{
	return DEAD_OR(readlink(ctx, path, buf, len));
}

static ssize_t do_sendmsg(void *ctx, int fd, const struct msghdr *msg, int flags)
{
	return DEAD_OR(sendmsg(ctx, fd, msg, flags));
}

static ssize_t do_recvmsg(void *ctx, int fd, struct msghdr *msg, int flags)
{
	return DEAD_OR(recvmsg(ctx, fd, msg, flags));
}

const struct weir_sys *mortal_sys(const struct weir_sys *below)
{
	mortal.below = below;
	mortal.dead = false;
	mortal.left = 0;
	mortal.refused = false;
	mortal.until_refused = 0;
	mortal.table = *below;
	mortal.table.open = do_open;
	mortal.table.dup = do_dup;
	mortal.table.ioctl = do_ioctl;
	mortal.table.pread = do_pread;
	mortal.table.pwrite = do_pwrite;
	mortal.table.poll = do_poll;
	mortal.table.mmap = do_mmap;
	mortal.table.fcntl = do_fcntl;
	mortal.table.fstat = do_fstat;
	mortal.table.readlink = do_readlink;
	mortal.table.sendmsg = do_sendmsg;
	mortal.table.recvmsg = do_recvmsg;
	return &mortal.table;
}

void mortal_begin(unsigned int calls, int socket)
{
	mortal.socket = socket;
	mortal.left = calls;
}

void mortal_refuse(unsigned int call, int error)
{
	mortal.until_refused = call;
	mortal.refusal = error;
}

bool mortal_end(void)
{
	mortal.left = 0;
	mortal.until_refused = 0;
	return mortal.dead || mortal.refused;
}
