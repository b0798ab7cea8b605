/* SPDX-License-Identifier: MIT */
/*
 * Open files of the simulated machine.
 *
 * A descriptor of ours is one end of a socket pair, the machine keeps the other (the peer). So it can be duplicated, passed to others and polled
 * like any descriptor; that the last copy was closed, by whatever way, shows as a hang-up at the peer. It is recognised by its inode.
 */
#ifndef WEIR_SIM_FILE_H
#define WEIR_SIM_FILE_H

#include <sys/types.h>

#include "sim/machine.h"

struct sim_file_ops {
	const char *name; /* "iommufd", "group", "device", ... */
	const char *link; /* what /proc/self/fd says it is; NULL: nothing of its own */
	/* All optional; what is missing is -ENOTTY (ioctl) or -EINVAL. @arg is the caller's pointer, or value. */
	int (*ioctl)(struct sim_file *file, unsigned long request, void *arg);
	ssize_t (*read)(struct sim_file *file, void *buf, size_t len);
	ssize_t (*write)(struct sim_file *file, const void *buf, size_t len);
	ssize_t (*pread)(struct sim_file *file, void *buf, size_t len, uint64_t offset);
	ssize_t (*pwrite)(struct sim_file *file, const void *buf, size_t len, uint64_t offset);
	int (*mmap)(struct sim_file *file, void *addr, size_t len, int prot, int flags, uint64_t offset,
		    void **ret_addr);
	/* The last descriptor and the last reference are gone. */
	void (*release)(struct sim_file *file);
};

struct sim_file {
	struct sim_file *next;
	const struct sim_file_ops *ops;
	struct weir_sim *sim;
	void *data;     /* the object behind it */
	int peer;       /* our end */
	uint64_t inode; /* of their end */
	uint32_t refs;  /* the machine's own references; a bound device holds the iommufd */
	bool closed;    /* no descriptor is left */
	bool readable;  /* poll is to say POLLIN */
	bool signalled; /* it does: a byte lies in their end */
	bool inherited; /* this is a forked child, and its parent opened it */
};

/* A new open file. Returns a descriptor or a negative errno; *@ret_file (may be NULL) is the file. */
int sim_file_open(struct weir_sim *sim, const struct sim_file_ops *ops, void *data,
		  struct sim_file **ret_file);

/* The file behind a descriptor of this machine, or NULL. */
struct sim_file *sim_file_find(struct weir_sim *sim, int fd);

/* References of the machine's own: the file is released when the last descriptor and the last of these are gone. */
void sim_file_hold(struct sim_file *file);
void sim_file_drop(struct sim_file *file);

/* Let poll() on its descriptors say POLLIN, or not. */
void sim_file_set_readable(struct sim_file *file, bool readable);

/* Only who has a descriptor can take POLLIN back. sys.c does it for the ones that it is given, @fd, before it polls. */
void sim_file_settle(struct sim_file *file, int fd);

/* Release files whose last descriptor has been closed; called at the end of every close, and before every call. */
void sim_files_reap(struct weir_sim *sim);

#endif
