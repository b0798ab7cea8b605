// SPDX-License-Identifier: MIT
/* dma-bufs that somebody else exported. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <weir/peer.h>

#include "error.h"
#include "ioas/map.h"

static int check_part(const struct weir_ioas *ioas, uint64_t offset, uint64_t len)
{
	if (!len || ((offset | len) & (ioas->page_size - 1)))
		return weir_fail(-EINVAL,
				 "%#" PRIx64 " bytes from %#" PRIx64 " on are not whole pages of %#" PRIx64,
				 len, offset, ioas->page_size);
	if (offset + (len - 1) < offset)
		return weir_fail(-EOVERFLOW,
				 "%#" PRIx64 " bytes from %#" PRIx64 " on go beyond the end of any buffer",
				 len, offset);
	return 0;
}

/* Files that have seals are memory, which the kernel would map by the same call. */
static int check_kind(const struct weir_sys *sys, int fd)
{
	int seals = sys->fcntl(sys->ctx, fd, F_GET_SEALS, 0);

	if (seals < 0 && seals != -EINVAL)
		return weir_fail(seals, "descriptor %d: %s", fd, strerror(-seals));
	if (seals >= 0)
		return weir_fail(-EINVAL,
				 "descriptor %d is a file of memory, no dma-buf: weir_ioas_map_file()", fd);
	return 0;
}

/*
 * This process cannot reach what is in the buffer, but the mapping gets addresses here, too, which nothing else has and nobody
 * can touch: so it is like any other to whatever goes by addresses.
 */
static int hold(const struct weir_sys *sys, int fd, uint64_t len, struct weir_held **ret_held)
{
	struct weir_held *held = calloc(1, sizeof(*held));
	int error;

	if (!held)
		return weir_fail(-ENOMEM, "no memory for a mapping");
	held->users = 1;
	held->dmabuf = true;
	held->len = len;
	held->fd = sys->fcntl(sys->ctx, fd, F_DUPFD_CLOEXEC, 0);
	error = held->fd < 0 ? held->fd : 0;
	if (!error) {
		error = sys->mmap(sys->ctx, NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				  -1, 0, &held->base);
		if (error)
			sys->close(sys->ctx, held->fd);
	}
	if (error) {
		free(held);
		return weir_fail(error, "a descriptor and addresses for %#" PRIx64 " bytes of a dma-buf: %s",
				 len, strerror(-error));
	}
	*ret_held = held;
	return 0;
}

int weir_ioas_map_dmabuf(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t len,
			 const struct weir_map_opts *opts, struct weir_map **ret_map)
{
	const struct weir_sys *sys = ioas->host->kernel.sys;
	struct weir_map_opts o;
	struct weir_held *held;
	struct weir_backing backing;
	int error = check_part(ioas, offset, len);

	if (!error)
		error = weir_map_read_options(ioas, len, opts, 0, &o);
	if (!error)
		error = check_kind(sys, fd);
	if (!error)
		error = hold(sys, fd, len, &held);
	if (error)
		return error;
	backing = (struct weir_backing){ .addr = held->base, .offset = offset, .fd = held->fd };
	error = weir_ioas_map_held(ioas, &backing, held, len, &o, NULL, ret_map);
	return error ? weir_held_close(sys, held, error) : 0;
}
