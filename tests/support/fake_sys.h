/* SPDX-License-Identifier: MIT */
/*
 * A table of system calls that answers from what a test wrote into it, for functions that read files and make an ioctl or two.
 *
 *     struct fake_sys *fake = fake_sys_new(t);
 *     fake_file(fake, "/proc/self/maps", "1000-2000 rw-p 0 00:00 0\n");
 *     fake_ioctl(fake, ABI_IOMMU_IOAS_ALLOC, answer, &what_it_needs);
 *
 * Whatever was not set up returns -ENOENT when it is a name, and otherwise -ENOSYS, which fails the case and names the call.
 * Descriptors are numbers only: opened ones are counted, and one left open when the case ends fails it. One thread at a time.
 */
#ifndef TESTS_SUPPORT_FAKE_SYS_H
#define TESTS_SUPPORT_FAKE_SYS_H

#include <stdbool.h>

#include <weir/sys.h>

#include "shim/case.h"

enum { FAKE_NAMES = 96, FAKE_IOCTLS = 8, FAKE_FDS = 16, FAKE_FIRST_FD = 1000 };

/* Something that has a name: a file or node, a link's target, or a directory's entries. */
struct fake_name {
	const char *path;
	const char *content;
	size_t len;
	int error; /* opening, reading or listing it fails with this */
};

struct fake_fd {
	bool open;
	size_t at; /* how far it has been read */
	const struct fake_name *name;
};

struct fake_sys {
	struct weir_sys table; /* give this to what is tested */
	struct fake_name names[FAKE_NAMES];
	unsigned int num_names;
	struct {
		unsigned long request;
		int (*answer)(void *ctx, int fd, void *arg);
		void *ctx;
	} ioctls[FAKE_IOCTLS];
	unsigned int num_ioctls;
	struct fake_fd fds[FAKE_FDS]; /* descriptor FAKE_FIRST_FD + i */
	size_t most_read;             /* a read gives no more bytes than this; 0: any number */
	size_t most_pread;            /* likewise a pread */
	unsigned int calls;           /* how many there were */
};

/* Freed, and its descriptors looked at, when the case ends. */
struct fake_sys *fake_sys_new(struct t *t);

/* The file, link or directory at @path has this content; given as text, or as @len bytes. Replaces what it was. */
void fake_name(struct fake_sys *fake, const char *path, const char *content, size_t len);
void fake_file(struct fake_sys *fake, const char *path, const char *text);

/* A directory's entries, as a literal: fake_dir(fake, "/x", "one\0two"). */
#define fake_dir(fake, path, entries) fake_name((fake), (path), (entries), sizeof(entries))

/* Opening, reading or listing @path fails. */
void fake_error(struct fake_sys *fake, const char *path, int error);

/* An ioctl with this request, on whatever descriptor, is answered by @answer. */
void fake_ioctl(struct fake_sys *fake, unsigned long request, int (*answer)(void *ctx, int fd, void *arg),
		void *ctx);

/* How many descriptors are open. */
unsigned int fake_open_fds(const struct fake_sys *fake);

#endif
