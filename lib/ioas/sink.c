// SPDX-License-Identifier: MIT
#include "ioas/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "error.h"

enum { WORDS = WEIR_SINK_SIZE / sizeof(uint64_t) };

static int open_file(const struct weir_sys *sys, struct weir_backing *backing)
{
	int error;

	backing->fd = sys->memfd_create(sys->ctx, "weir-sink", MFD_CLOEXEC);
	if (backing->fd < 0)
		return backing->fd;
	error = sys->ftruncate(sys->ctx, backing->fd, WEIR_SINK_SIZE);
	if (!error)
		error = sys->mmap(sys->ctx, NULL, WEIR_SINK_SIZE, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_POPULATE, backing->fd, 0, &backing->addr);
	if (error)
		sys->close(sys->ctx, backing->fd);
	return error;
}

int weir_sink_open(const struct weir_sys *sys, struct weir_sink **ret_sink)
{
	struct weir_sink *sink = calloc(1, sizeof(*sink));
	int error = sink ? open_file(sys, &sink->backing) : -ENOMEM;

	if (error) {
		free(sink);
		return weir_fail(error, "a sink of %d bytes, for while a window is away: %s", WEIR_SINK_SIZE,
				 strerror(-error));
	}
	weir_sink_smooth(sink);
	*ret_sink = sink;
	return 0;
}

int weir_sink_close(const struct weir_sys *sys, struct weir_sink *sink)
{
	int error;

	if (!sink)
		return 0;
	error = sys->munmap(sys->ctx, sink->backing.addr, WEIR_SINK_SIZE);
	if (error)
		weir_error_set("a sink of %d bytes stays in this process at %p: %s", WEIR_SINK_SIZE,
			       sink->backing.addr, strerror(-error));
	sys->close(sys->ctx, sink->backing.fd);
	free(sink);
	return error;
}

/* A pattern that a device does not write by chance; another one each time, so that what it wrote last time shows, too. */
void weir_sink_smooth(struct weir_sink *sink)
{
	uint64_t *words = sink->backing.addr;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sink->pattern = (sink->pattern + (uint64_t)now.tv_nsec + 1) * 0x9e3779b97f4a7c15;
	for (size_t i = 0; i < WORDS; i++)
		words[i] = sink->pattern + i;
}

bool weir_sink_written(const struct weir_sink *sink)
{
	const volatile uint64_t *words = sink->backing.addr;

	for (size_t i = 0; i < WORDS; i++)
		if (words[i] != sink->pattern + i)
			return true;
	return false;
}
