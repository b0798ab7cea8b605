// SPDX-License-Identifier: MIT
/*
 * Streams. The C library's read and write descriptors without asking anybody, so that the machine's need
 * functions of their own.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/sysfs/paths.h"
#include "sim/preload/preload.h"

/*
 * The functions of a stream on descriptor @cookie. They come here from the C library, outside of the
 * machine.
 */
static int descriptor(void *cookie)
{
	return (int)(intptr_t)cookie;
}

static ssize_t stream_read(void *cookie, char *buf, size_t len)
{
	return read(descriptor(cookie), buf, len);
}

static ssize_t stream_write(void *cookie, const char *buf, size_t len)
{
	ssize_t done = write(descriptor(cookie), buf, len);

	return done < 0 ? 0 : done; /* so says fopencookie(3) */
}

static int stream_close(void *cookie)
{
	return close(descriptor(cookie));
}

static FILE *stream(int fd, const char *mode)
{
	const cookie_io_functions_t functions = { stream_read, stream_write, NULL, stream_close };

	return fopencookie((void *)(intptr_t)fd, mode, functions);
}

/* -1: not a mode. */
static int flags_of(const char *mode)
{
	int flags = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;

	if (!strchr("rwa", *mode))
		return -1;
	if (*mode != 'r')
		flags |= O_CREAT;
	if (*mode == 'w')
		flags |= O_TRUNC;
	return strchr(mode, 'e') ? flags | O_CLOEXEC : flags;
}

/* True if the machine has answered. */
static bool answered(const char *path, const char *mode, FILE **ret_stream)
{
	int flags = mode && *mode ? flags_of(mode) : -1, fd;
	struct preload_call call;
	struct weir_sim *sim = flags < 0 ? NULL : preload_enter(&call, path);

	if (!sim)
		return false;
	fd = preload_open(sim, path, flags);
	preload_leave(&call);
	if (fd == SIM_PASS_ON)
		return false;
	*ret_stream = preload_result(fd) < 0 ? NULL : fdopen(fd, mode);
	if (fd >= 0 && !*ret_stream)
		close(fd);
	return true;
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
	FILE *file;

	return answered(path, mode, &file) ? file : NEXT(fopen)(path, mode);
}

EXPORT FILE *fopen64(const char *path, const char *mode)
{
	FILE *file;

	return answered(path, mode, &file) ? file : NEXT(fopen64)(path, mode);
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_fd(&call, fd);

	if (!sim)
		return NEXT(fdopen)(fd, mode);
	preload_leave(&call);
	return stream(fd, mode);
}
