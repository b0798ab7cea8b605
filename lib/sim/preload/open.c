// SPDX-License-Identifier: MIT
/* open() and its like. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/sysfs/paths.h"
#include "sim/preload/preload.h"

/*
 * The C library's own functions (stdio's, and many programs' seeks and fstat()s) know nothing of the
 * machine's descriptors. What is only read is therefore given to the program as a real file with the same
 * content. What is written must come to the machine.
 */
static int real_file(struct weir_sim *sim, int from, int flags)
{
	char buf[4096], name[32];
	ssize_t len = 0;
	int file = memfd_create("weir-sim-file", MFD_CLOEXEC), reader;

	if (file < 0)
		return -errno;
	while ((len = sim->table.read(sim, from, buf, sizeof(buf))) > 0)
		if (write(file, buf, (size_t)len) != len)
			break;
	/* Another description of it, that cannot be written through. */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	reader = len ? -EIO : open(name, O_RDONLY | (flags & (O_CLOEXEC | O_NONBLOCK)));
	if (!len && reader < 0)
		reader = -errno;
	close(file);
	return reader;
}

static bool is_text(struct weir_sim *sim, const char *path)
{
	struct sim_name name;
	bool text;

	if (sim_lock(sim))
		return false;
	text = !sim_path_find(sim, path, true, &name) && name.row->kind == SIM_PATH_FILE;
	sim_unlock(sim);
	return text;
}

/* Is it passed on? The table of system calls would do that itself, but cannot create files with a mode. */
static bool is_ours(struct weir_sim *sim, const char *path)
{
	struct sim_name name;
	bool ours;

	if (sim_lock(sim))
		return true; /* sim->table.open() will refuse, and say why */
	ours = sim_path_find(sim, path, true, &name) != SIM_PASS_ON;
	sim_unlock(sim);
	return ours;
}

int preload_open(struct weir_sim *sim, const char *path, int flags)
{
	int fd, copy;

	if (!is_ours(sim, path))
		return SIM_PASS_ON;
	fd = sim->table.open(sim, path, flags);
	if (fd < 0)
		return fd;
	if ((flags & O_ACCMODE) == O_RDONLY && is_text(sim, path)) {
		copy = real_file(sim, fd, flags);
		sim->table.close(sim, fd);
		return copy;
	}
	preload_opened(sim, fd, path);
	return fd;
}

/* True if the machine has answered: with *@ret_fd, as open() returns it. */
static bool answered(int dirfd, const char *name, int flags, int *ret_fd)
{
	char path[PRELOAD_PATH_SIZE];
	const char *absolute = preload_path(dirfd, name, path);
	struct preload_call call;
	struct weir_sim *sim = preload_enter(&call, absolute);
	int fd;

	if (!sim)
		return false;
	fd = preload_open(sim, absolute, flags);
	preload_leave(&call);
	if (fd == SIM_PASS_ON)
		return false;
	*ret_fd = (int)preload_result(fd);
	return true;
}

static bool has_mode(int flags)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
}

#define OPEN(name)                                                                                           \
	EXPORT int name(const char *path, int flags, ...)                                                    \
	{                                                                                                    \
		mode_t mode = 0;                                                                             \
		va_list arguments;                                                                           \
		int fd;                                                                                      \
                                                                                                             \
		va_start(arguments, flags);                                                                  \
		if (has_mode(flags))                                                                         \
			mode = va_arg(arguments, mode_t);                                                    \
		va_end(arguments);                                                                           \
		return answered(AT_FDCWD, path, flags, &fd) ? fd : NEXT(name)(path, flags, mode);            \
	}

#define OPENAT(name)                                                                                         \
	EXPORT int name(int dirfd, const char *path, int flags, ...)                                         \
	{                                                                                                    \
		mode_t mode = 0;                                                                             \
		va_list arguments;                                                                           \
		int fd;                                                                                      \
                                                                                                             \
		va_start(arguments, flags);                                                                  \
		if (has_mode(flags))                                                                         \
			mode = va_arg(arguments, mode_t);                                                    \
		va_end(arguments);                                                                           \
		return answered(dirfd, path, flags, &fd) ? fd : NEXT(name)(dirfd, path, flags, mode);        \
	}

/* What programs call that were compiled with _FORTIFY_SOURCE. */
#define OPEN_2(name)                                                                                         \
	EXPORT int name(const char *path, int flags)                                                         \
	{                                                                                                    \
		int fd;                                                                                      \
                                                                                                             \
		return answered(AT_FDCWD, path, flags, &fd) ? fd : NEXT(name)(path, flags);                  \
	}

#define OPENAT_2(name)                                                                                       \
	EXPORT int name(int dirfd, const char *path, int flags)                                              \
	{                                                                                                    \
		int fd;                                                                                      \
                                                                                                             \
		return answered(dirfd, path, flags, &fd) ? fd : NEXT(name)(dirfd, path, flags);              \
	}

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
OPEN_2(__open_2)
OPEN_2(__open64_2)
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)
