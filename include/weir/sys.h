/* SPDX-License-Identifier: MIT */
/*
 * The table of system calls: everything weir asks of the operating system goes through one of these.
 *
 * A program normally never sees it: weir_host_open() uses the real calls. Tests count and fail calls with a
 * table of their own, and the simulated host (weir/sim.h) answers them itself. A table belongs to the host
 * that it was given to and must outlive it.
 *
 * Every call returns what the system call returns on success, and a negative errno on failure; errno itself
 * plays no part. Each receives the table's ctx. Calls come from whichever thread called weir, several at a
 * time.
 */
#ifndef WEIR_SYS_H
#define WEIR_SYS_H

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <weir/common.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_sys {
	size_t size; /* sizeof(struct weir_sys) */
	void *ctx;

	/* Descriptors. Every new one is close-on-exec. */
	int (*open)(void *ctx, const char *path, int flags);
	int (*close)(void *ctx, int fd);
	int (*dup)(void *ctx, int fd);
	int (*eventfd)(void *ctx, unsigned int initial, int flags);
	int (*ioctl)(void *ctx, int fd, unsigned long request, void *arg);
	ssize_t (*read)(void *ctx, int fd, void *buf, size_t len);
	ssize_t (*write)(void *ctx, int fd, const void *buf, size_t len);
	ssize_t (*pread)(void *ctx, int fd, void *buf, size_t len, uint64_t offset);
	ssize_t (*pwrite)(void *ctx, int fd, const void *buf, size_t len, uint64_t offset);
	int (*poll)(void *ctx, struct pollfd *fds, size_t num, int timeout_ms);

	/* Memory. */
	int (*mmap)(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
		    void **ret_addr);
	int (*munmap)(void *ctx, void *addr, size_t len);
	int (*madvise)(void *ctx, void *addr, size_t len, int advice);
	int (*userfaultfd)(void *ctx, int flags);

	/* Memory that is a file, and what there is to know of one. */
	int (*memfd_create)(void *ctx, const char *name, unsigned int flags);
	int (*ftruncate)(void *ctx, int fd, uint64_t len);
	int (*fcntl)(void *ctx, int fd, int command, int argument);
	int (*fstat)(void *ctx, int fd, struct stat *ret_stat);

	/*
	 * Files by name. list_dir fills buf with the entries' names ("." and ".." left out), each ending in
	 * a zero byte, and returns the bytes used; -ENOSPC when buf is too small. readlink does not end its
	 * result with a zero byte.
	 */
	ssize_t (*readlink)(void *ctx, const char *path, char *buf, size_t len);
	ssize_t (*list_dir)(void *ctx, const char *path, char *buf, size_t len);

	/* Unix sockets: connect returns a connected SOCK_SEQPACKET descriptor. */
	int (*connect)(void *ctx, const char *path);
	ssize_t (*sendmsg)(void *ctx, int fd, const struct msghdr *msg, int flags);
	ssize_t (*recvmsg)(void *ctx, int fd, struct msghdr *msg, int flags);

	/* Time. */
	int (*sleep)(void *ctx, uint64_t nanoseconds);
};

/* The real system calls. Since 0.1. */
WEIR_API const struct weir_sys *weir_sys_real(void);

#ifdef __cplusplus
}
#endif

#endif
