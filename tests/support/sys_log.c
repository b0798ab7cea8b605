// SPDX-License-Identifier: MIT
/* A table of system calls that writes down what was called. */
#include "support/sys_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long note(struct sys_log *log, const char *call, unsigned long request, const char *path, long result)
{
	struct sys_log_entry entry = { .call = call, .request = request, .result = result };
	unsigned int at = log->num++;

	if (path)
		snprintf(entry.path, sizeof(entry.path), "%s", path);
	if (at < SYS_LOG_ROOM)
		log->entries[at] = entry;
	if (log->told)
		log->told(&entry);
	return result;
}

static int log_open(void *ctx, const char *path, int flags)
{
	struct sys_log *log = ctx;

	return (int)note(log, "open", 0, path, log->below->open(log->below->ctx, path, flags));
}

static int log_close(void *ctx, int fd)
{
	struct sys_log *log = ctx;

	return (int)note(log, "close", 0, NULL, log->below->close(log->below->ctx, fd));
}

static int log_dup(void *ctx, int fd)
{
	struct sys_log *log = ctx;

	return (int)note(log, "dup", 0, NULL, log->below->dup(log->below->ctx, fd));
}

static int log_eventfd(void *ctx, unsigned int initial, int flags)
{
	struct sys_log *log = ctx;

	return (int)note(log, "eventfd", 0, NULL, log->below->eventfd(log->below->ctx, initial, flags));
}

static int log_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	struct sys_log *log = ctx;

	return (int)note(log, "ioctl", request, NULL, log->below->ioctl(log->below->ctx, fd, request, arg));
}

static ssize_t log_read(void *ctx, int fd, void *buf, size_t len)
{
	struct sys_log *log = ctx;

	return note(log, "read", 0, NULL, log->below->read(log->below->ctx, fd, buf, len));
}

static ssize_t log_write(void *ctx, int fd, const void *buf, size_t len)
{
	struct sys_log *log = ctx;

	return note(log, "write", 0, NULL, log->below->write(log->below->ctx, fd, buf, len));
}

static ssize_t log_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
	struct sys_log *log = ctx;

	return note(log, "pread", 0, NULL, log->below->pread(log->below->ctx, fd, buf, len, offset));
}

static ssize_t log_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
	struct sys_log *log = ctx;

	return note(log, "pwrite", 0, NULL, log->below->pwrite(log->below->ctx, fd, buf, len, offset));
}

static int log_poll(void *ctx, struct pollfd *fds, size_t num, int timeout_ms)
{
	struct sys_log *log = ctx;

	return (int)note(log, "poll", 0, NULL, log->below->poll(log->below->ctx, fds, num, timeout_ms));
}

static int log_mmap(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
		    void **ret_addr)
{
	struct sys_log *log = ctx;

	return (int)note(log, "mmap", 0, NULL,
			 log->below->mmap(log->below->ctx, addr, len, prot, flags, fd, offset, ret_addr));
}

static int log_munmap(void *ctx, void *addr, size_t len)
{
	struct sys_log *log = ctx;

	return (int)note(log, "munmap", 0, NULL, log->below->munmap(log->below->ctx, addr, len));
}

static int log_madvise(void *ctx, void *addr, size_t len, int advice)
{
	struct sys_log *log = ctx;

	return (int)note(log, "madvise", 0, NULL, log->below->madvise(log->below->ctx, addr, len, advice));
}

static int log_userfaultfd(void *ctx, int flags)
{
	struct sys_log *log = ctx;

	return (int)note(log, "userfaultfd", 0, NULL, log->below->userfaultfd(log->below->ctx, flags));
}

static int log_memfd_create(void *ctx, const char *name, unsigned int flags)
{
	struct sys_log *log = ctx;

	return (int)note(log, "memfd_create", 0, NULL,
			 log->below->memfd_create(log->below->ctx, name, flags));
}

static int log_ftruncate(void *ctx, int fd, uint64_t len)
{
	struct sys_log *log = ctx;

	return (int)note(log, "ftruncate", 0, NULL, log->below->ftruncate(log->below->ctx, fd, len));
}

static int log_fcntl(void *ctx, int fd, int command, int argument)
{
	struct sys_log *log = ctx;

	return (int)note(log, "fcntl", (unsigned long)command, NULL,
			 log->below->fcntl(log->below->ctx, fd, command, argument));
}

static int log_fstat(void *ctx, int fd, struct stat *ret_stat)
{
	struct sys_log *log = ctx;

	return (int)note(log, "fstat", 0, NULL, log->below->fstat(log->below->ctx, fd, ret_stat));
}

static ssize_t log_readlink(void *ctx, const char *path, char *buf, size_t len)
{
	struct sys_log *log = ctx;

	return note(log, "readlink", 0, path, log->below->readlink(log->below->ctx, path, buf, len));
}

static ssize_t log_list_dir(void *ctx, const char *path, char *buf, size_t len)
{
	struct sys_log *log = ctx;

	return note(log, "list_dir", 0, path, log->below->list_dir(log->below->ctx, path, buf, len));
}

static int log_connect(void *ctx, const char *path)
{
	struct sys_log *log = ctx;

	return (int)note(log, "connect", 0, path, log->below->connect(log->below->ctx, path));
}

static ssize_t log_sendmsg(void *ctx, int fd, const struct msghdr *msg, int flags)
{
	struct sys_log *log = ctx;

	return note(log, "sendmsg", 0, NULL, log->below->sendmsg(log->below->ctx, fd, msg, flags));
}

static ssize_t log_recvmsg(void *ctx, int fd, struct msghdr *msg, int flags)
{
	struct sys_log *log = ctx;

	return note(log, "recvmsg", 0, NULL, log->below->recvmsg(log->below->ctx, fd, msg, flags));
}

static int log_sleep(void *ctx, uint64_t nanoseconds)
{
	struct sys_log *log = ctx;

	return (int)note(log, "sleep", 0, NULL, log->below->sleep(log->below->ctx, nanoseconds));
}

void sys_log_init(struct sys_log *log, const struct weir_sys *below)
{
	log->num = 0;
	log->told = NULL;
	log->below = below ? below : weir_sys_real();
	log->table = (struct weir_sys){
		.size = sizeof(log->table),
		.ctx = log,
		.open = log_open,
		.close = log_close,
		.dup = log_dup,
		.eventfd = log_eventfd,
		.ioctl = log_ioctl,
		.read = log_read,
		.write = log_write,
		.pread = log_pread,
		.pwrite = log_pwrite,
		.poll = log_poll,
		.mmap = log_mmap,
		.munmap = log_munmap,
		.madvise = log_madvise,
		.userfaultfd = log_userfaultfd,
		.memfd_create = log_memfd_create,
		.ftruncate = log_ftruncate,
		.fcntl = log_fcntl,
		.fstat = log_fstat,
		.readlink = log_readlink,
		.list_dir = log_list_dir,
		.connect = log_connect,
		.sendmsg = log_sendmsg,
		.recvmsg = log_recvmsg,
		.sleep = log_sleep,
	};
}

void sys_log_clear(struct sys_log *log)
{
	log->num = 0;
}

static unsigned int logged(const struct sys_log *log)
{
	return log->num < SYS_LOG_ROOM ? log->num : SYS_LOG_ROOM;
}

unsigned int sys_log_count(const struct sys_log *log)
{
	return log->num;
}

unsigned int sys_log_count_call(const struct sys_log *log, const char *call)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < logged(log); i++)
		count += !strcmp(log->entries[i].call, call);
	return count;
}

unsigned int sys_log_count_ioctl(const struct sys_log *log, unsigned long request)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < logged(log); i++)
		count += !strcmp(log->entries[i].call, "ioctl") && log->entries[i].request == request;
	return count;
}

char *sys_log_text(const struct sys_log *log)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (unsigned int i = 0; i < logged(log); i++)
		fprintf(out, "%s %s%#lx -> %ld\n", log->entries[i].call, log->entries[i].path,
			log->entries[i].request, log->entries[i].result);
	fclose(out);
	return text;
}
