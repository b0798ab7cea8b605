// SPDX-License-Identifier: MIT
/* Peer windows: pieces of a region's window (ioas/window.h), as programs see them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/peer.h>

#include "device/region.h"
#include "error.h"
#include "ioas/map.h"
#include "ioas/watch.h"

struct weir_peer {
	struct weir_window *window;
	uint64_t offset, len; /* in the window */
	uint32_t watches;     /* guarded by the window's lock */
};

static int check_place(struct weir_region *region, uint64_t offset, uint64_t len)
{
	const struct weir_region_info *info = &region->info;
	uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;
	const char *address = region->device->function->address;

	if (info->index > WEIR_REGION_BAR5)
		return weir_fail(-EINVAL, "region %u of %s is no BAR", info->index, address);
	if (!(info->flags & WEIR_REGION_MMAP) || info->size <= mask)
		return weir_fail(-EOPNOTSUPP,
				 "BAR %u of %s has %#" PRIx64
				 " bytes that cannot be mapped: a window takes memory, and whole pages of it",
				 info->index, address, info->size);
	if (!len || ((offset | len) & mask))
		return weir_fail(-EINVAL,
				 "%#" PRIx64 " bytes from %#" PRIx64 " on are not whole pages of %#" PRIx64,
				 len, offset, mask + 1);
	if (offset > info->size || len > info->size - offset)
		return weir_fail(-EINVAL,
				 "%#" PRIx64 " bytes from %#" PRIx64
				 " on go beyond BAR %u of %s, which has %#" PRIx64,
				 len, offset, info->index, address, info->size);
	return 0;
}

int weir_peer_open(struct weir_region *region, uint64_t offset, uint64_t len, struct weir_peer **ret_peer)
{
	struct weir_peer *peer;
	void *addr;
	int error = check_place(region, offset, len);

	if (!error)
		error = weir_region_map(region, &addr, NULL);
	if (error)
		return error;
	peer = malloc(sizeof(*peer));
	if (!peer)
		return weir_fail(-ENOMEM, "no memory for a window");
	*peer = (struct weir_peer){ .window = weir_region_window(region), .offset = offset, .len = len };
	if (offset + len > peer->window->len)
		error = weir_fail(-EOPNOTSUPP, "of %s, %#" PRIx64 " bytes can be mapped", peer->window->name,
				  peer->window->len);
	pthread_mutex_lock(&peer->window->lock);
	if (!error)
		error = weir_window_check(peer->window);
	pthread_mutex_unlock(&peer->window->lock);
	if (error) {
		weir_window_put(peer->window);
		free(peer);
		return error;
	}
	*ret_peer = peer;
	return 0;
}

static bool is_mapped(const struct weir_peer *peer)
{
	for (const struct weir_held *held = peer->window->mappings; held; held = held->next)
		if (held->map->backing.offset < peer->offset + peer->len &&
		    peer->offset < held->map->backing.offset + weir_map_size(held->map))
			return true;
	return false;
}

int weir_peer_close(struct weir_peer *peer)
{
	struct weir_window *window;
	int error = 0;

	if (!peer)
		return 0;
	window = peer->window;
	pthread_mutex_lock(&window->lock);
	if (peer->watches)
		error = weir_fail(-EBUSY, "%s is watched: weir_watch_close() comes first", window->name);
	else if (is_mapped(peer))
		error = weir_fail(-EBUSY, "some of the window of %s is mapped: weir_map_close() comes first",
				  window->name);
	pthread_mutex_unlock(&window->lock);
	if (error)
		return error;
	free(peer);
	return weir_window_put(window);
}

int weir_peer_map(struct weir_peer *peer, struct weir_ioas *ioas, uint64_t offset, uint64_t len,
		  const struct weir_map_opts *opts, struct weir_map **ret_map)
{
	struct weir_map_opts o = { 0 };
	int error = 0;

	if (!len || ((offset | len) & (ioas->page_size - 1)))
		return weir_fail(-EINVAL,
				 "%#" PRIx64 " bytes from %#" PRIx64 " on are not whole pages of %#" PRIx64,
				 len, offset, ioas->page_size);
	if (offset > peer->len || len > peer->len - offset)
		return weir_fail(-EINVAL,
				 "%#" PRIx64 " bytes from %#" PRIx64
				 " on go beyond the window, which has %#" PRIx64,
				 len, offset, peer->len);
	if (opts)
		error = weir_map_read_options(ioas, len, opts, 0, &o);
	return error ? error : weir_window_map(peer->window, ioas, peer->offset + offset, len, &o, ret_map);
}

int weir_peer_info(struct weir_peer *peer, struct weir_peer_info *ret_info, size_t size)
{
	struct weir_window *window = peer->window;
	struct weir_peer_info info = { .len = peer->len };

	weir_window_follow_trace(window);
	pthread_mutex_lock(&window->lock);
	info.generation = window->generation;
	info.sunk = window->sunk;
	info.state = window->state;
	info.num_mappings = (uint32_t)window->num_mappings;
	memcpy(info.reason, window->reason, sizeof(info.reason));
	pthread_mutex_unlock(&window->lock);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}

int weir_peer_dmabuf(struct weir_peer *peer, int *ret_fd)
{
	struct weir_window *window = peer->window;
	int error, fd = -1;

	weir_window_follow_trace(window);
	pthread_mutex_lock(&window->lock);
	error = weir_window_check(window);
	if (!error)
		error = weir_window_export(window, peer->offset, peer->len, &fd);
	pthread_mutex_unlock(&window->lock);
	if (!error)
		*ret_fd = fd;
	return error;
}

int weir_peer_watch(struct weir_peer *peer, const struct weir_watch_opts *opts, struct weir_watch **ret_watch)
{
	struct weir_watch_opts o;
	int error = weir_opts_read(opts, &o, sizeof(o));

	return error ? error : weir_watch_open(peer->window, &peer->watches, &o, ret_watch);
}
