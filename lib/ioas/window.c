// SPDX-License-Identifier: MIT
#include "ioas/window.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "ioas/map.h"
#include "ioas/sink.h"
#include "ioas/watch.h"
#include "kernel/vfio_device.h"

int weir_window_open(const struct weir_sys *sys, int device_fd, uint32_t region, const char *name, void *addr,
		     uint64_t len, struct weir_window **ret_window)
{
	struct weir_window *window = calloc(1, sizeof(*window));
	pthread_mutexattr_t attr;

	if (!window)
		return weir_fail(-ENOMEM, "no memory for a window");
	*window = (struct weir_window){ .users = 1,
					.sys = sys,
					.addr = addr,
					.len = len,
					.device_fd = device_fd,
					.region = region,
					.dmabuf = -1,
					.state = WEIR_PEER_HERE,
					.generation = 1 };
	snprintf(window->name, sizeof(window->name), "%s", name);
	/* Who closes a mapping by its handle holds the lock when it comes to weir_window_closing(). */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&window->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	*ret_window = window;
	return 0;
}

void weir_window_get(struct weir_window *window)
{
	pthread_mutex_lock(&window->lock);
	window->users++;
	pthread_mutex_unlock(&window->lock);
}

int weir_window_put(struct weir_window *window)
{
	bool last;
	int error;

	pthread_mutex_lock(&window->lock);
	last = !--window->users;
	pthread_mutex_unlock(&window->lock);
	if (!last)
		return 0;
	if (window->dmabuf >= 0)
		window->sys->close(window->sys->ctx, window->dmabuf);
	error = weir_sink_close(window->sys, window->sink);
	pthread_mutex_destroy(&window->lock);
	free(window);
	return error;
}

int weir_window_check(const struct weir_window *window)
{
	switch (window->state) {
	case WEIR_PEER_AWAY:
		return weir_fail(-EAGAIN, "%s is away: %s", window->name, window->reason);
	case WEIR_PEER_LOST:
		return weir_fail(-ENODEV, "%s is lost: %s", window->name, window->reason);
	default:
		return 0;
	}
}

static int explain_export(const struct weir_window *window, int error)
{
	switch (error) {
	case -ENOTTY:
	case -EOPNOTSUPP:
		return weir_fail(-EOPNOTSUPP,
				 "this kernel, or the driver that holds the device, does not export %s: that "
				 "takes vfio-pci "
				 "of Linux 6.19 with CONFIG_VFIO_PCI_DMABUF",
				 window->name);
	case -ENODEV:
		return weir_fail(-EOPNOTSUPP, "%s has no memory that could be exported", window->name);
	default:
		return weir_fail(error, "VFIO_DEVICE_FEATURE_DMA_BUF of %s: %s", window->name,
				 strerror(-error));
	}
}

int weir_window_export(struct weir_window *window, uint64_t offset, uint64_t len, int *ret_fd)
{
	int fd;

	if (window->no_dmabuf)
		return explain_export(window, window->no_dmabuf);
	fd = weir_vfio_device_dmabuf(window->sys, window->device_fd, window->region, offset, len);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	/* Everything else may be different another time. */
	if (fd == -ENOTTY || fd == -EOPNOTSUPP || fd == -ENODEV)
		window->no_dmabuf = fd;
	return explain_export(window, fd);
}

/*
 * Where the kernel has no dma-buf for it, its address may do: that is the backend's business. What cannot be had for a moment
 * is an error.
 */
static int prepare(struct weir_window *window, uint32_t flags)
{
	int error = weir_window_check(window);

	if (!error && window->dmabuf < 0)
		error = weir_window_export(window, 0, window->len, &window->dmabuf);
	if (error == -EOPNOTSUPP)
		error = 0;
	if (!error && (flags & WEIR_MAP_SINK) && !window->sink)
		error = weir_sink_open(window->sys, &window->sink);
	return error;
}

static void link_mapping(struct weir_window *window, struct weir_held *held)
{
	held->next = window->mappings;
	held->before = NULL;
	if (held->next)
		held->next->before = held;
	window->mappings = held;
	window->num_mappings++;
}

static void unlink_mapping(struct weir_window *window, struct weir_held *held)
{
	if (held->before)
		held->before->next = held->next;
	else
		window->mappings = held->next;
	if (held->next)
		held->next->before = held->before;
	window->num_mappings--;
}

int weir_window_map(struct weir_window *window, struct weir_ioas *ioas, uint64_t offset, uint64_t len,
		    const struct weir_map_opts *o, struct weir_map **ret_map)
{
	struct weir_held *held = malloc(sizeof(*held));
	struct weir_map_opts device_memory = *o;
	struct weir_backing backing;
	int error;

	if (!held)
		return weir_fail(-ENOMEM, "no memory for a mapping");
	pthread_mutex_lock(&window->lock);
	error = prepare(window, o->flags);
	if (!error) {
		*held = (struct weir_held){
			.users = 1, .fd = -1, .window = window, .sinks = o->flags & WEIR_MAP_SINK
		};
		backing = (struct weir_backing){ .addr = (char *)window->addr + offset,
						 .offset = offset,
						 .fd = window->dmabuf };
		device_memory.flags |= WEIR_MAP_DEVICE_MEMORY;
		error = weir_ioas_map_held(ioas, &backing, held, len, &device_memory, &held->map);
	}
	if (!error) {
		link_mapping(window, held);
		window->users++;
		*ret_map = held->map;
	}
	pthread_mutex_unlock(&window->lock);
	if (error)
		free(held);
	return error;
}

void weir_window_closing(struct weir_held *held)
{
	struct weir_window *window = held->window;

	pthread_mutex_lock(&window->lock);
	unlink_mapping(window, held);
	window->closing++;
	pthread_mutex_unlock(&window->lock);
}

int weir_window_closed(struct weir_held *held)
{
	struct weir_window *window = held->window;

	pthread_mutex_lock(&window->lock);
	window->closing--;
	pthread_mutex_unlock(&window->lock);
	return weir_window_put(window);
}

static int remove_range(const struct weir_map *map, uint64_t start, uint64_t len)
{
	struct weir_space *space = &map->ioas->space;
	int error = space->ops->remove(space, start, len);

	if (error == -ENOENT)
		error = 0;
	return !error && space->ops->sync ? space->ops->sync(space) : error;
}

static int remove_installed(struct weir_map *map)
{
	return remove_range(map, weir_map_start(map), weir_map_size(map));
}

typedef int weir_put_in_place(struct weir_space *space, const struct weir_backing *backing, uint64_t len,
			      uint64_t iova, uint32_t prot);

/* What the mapping leads to while its window is away. Pieces of a sink's size; the last one may be shorter. */
static int lead_to_sink(struct weir_map *map, const struct weir_sink *sink, weir_put_in_place *put)
{
	uint64_t start = weir_map_start(map), len = weir_map_size(map), done = 0;
	const uint32_t prot = map->prot & ~(uint32_t)WEIR_MAP_DEVICE_MEMORY;
	int error = 0;

	while (done < len && !error) {
		uint64_t piece = len - done < WEIR_SINK_SIZE ? len - done : WEIR_SINK_SIZE;

		error = put(&map->ioas->space, &sink->backing, piece, start + done, prot);
		if (!error)
			done += piece;
	}
	if (error && done)
		remove_range(map, start, done);
	return error;
}

static int install_sink(struct weir_map *map, const struct weir_sink *sink)
{
	return lead_to_sink(map, sink, map->ioas->space.ops->install);
}

static int install_itself(struct weir_map *map, weir_put_in_place *put)
{
	return put(&map->ioas->space, &map->backing, weir_map_size(map), weir_map_start(map), map->prot);
}

/* Nobody else ends the mapping, and no device comes or goes in its space, until let_go(). */
static bool take_hold(struct weir_map *map)
{
	uint32_t ready = WEIR_MAP_READY;

	/* Whoever waits for the window's lock may have a transition on. */
	if (!weir_gate_try_set_out(&map->ioas->gate))
		return false;
	if (atomic_compare_exchange_strong_explicit(&map->state, &ready, WEIR_MAP_LEAVING,
						    memory_order_acquire, memory_order_relaxed))
		return true;
	weir_gate_arrive(&map->ioas->gate);
	return false;
}

static void let_go(struct weir_map *map)
{
	struct weir_ioas *ioas = map->ioas;

	atomic_store_explicit(&map->state, WEIR_MAP_READY, memory_order_release);
	weir_gate_arrive(&ioas->gate);
}

/* Who has followed the mapping elsewhere goes first. */
static int take_out(struct weir_map *map)
{
	struct weir_ioas *ioas = map->ioas;
	int error = ioas->followers ? weir_followers_leave(ioas, weir_map_start(map), weir_map_last(map)) : 0;

	return !error && ioas->space.live ? remove_installed(map) : error;
}

/* One mapping from the window to what it leads to while that is away: in one step where that can be done. */
static int withdraw_mapping(struct weir_window *window, struct weir_held *held)
{
	struct weir_map *map = held->map;
	weir_put_in_place *replace = map->ioas->space.ops->replace;
	bool sinks = held->sinks && map->ioas->space.live;
	int error;

	if (sinks && replace && !lead_to_sink(map, window->sink, replace)) {
		held->away = true;
		return 0;
	}
	error = take_out(map);
	if (error)
		return weir_fail(error,
				 "the kernel failed to unmap %s at IOVA %#" PRIx64
				 " (%s): devices may still reach it",
				 window->name, weir_map_start(map), strerror(-error));
	held->away = true;
	/* A sink that cannot be had leaves nothing, which is safe, too. */
	if (sinks)
		install_sink(map, window->sink);
	return 0;
}

/* *@ret_all: none was left out because somebody else is closing it. */
static int withdraw_those_that_can_be_held(struct weir_window *window, bool *ret_all)
{
	int error = 0;

	*ret_all = !window->closing;
	for (struct weir_held *held = window->mappings; held && !error; held = held->next) {
		if (held->away)
			continue;
		if (!take_hold(held->map)) {
			*ret_all = false;
			continue;
		}
		error = withdraw_mapping(window, held);
		let_go(held->map);
	}
	return error;
}

/* The lock is held, and given up now and then while somebody else is closing mappings: that is rare, and soon over. */
static int withdraw_all(struct weir_window *window)
{
	enum { PAUSE_NS = 100 * 1000 };
	bool all;
	int error;

	while (!(error = withdraw_those_that_can_be_held(window, &all)) && !all) {
		pthread_mutex_unlock(&window->lock);
		window->sys->sleep(window->sys->ctx, PAUSE_NS);
		pthread_mutex_lock(&window->lock);
	}
	return error;
}

/* From one state to another, with a reason; if that is the one it is in. */
static bool move_on(struct weir_window *window, enum weir_peer_state from, enum weir_peer_state to,
		    const char *reason)
{
	bool moved;

	pthread_mutex_lock(&window->lock);
	moved = window->state == from;
	if (moved) {
		window->state = to;
		snprintf(window->reason, sizeof(window->reason), "%s", reason);
	}
	pthread_mutex_unlock(&window->lock);
	return moved;
}

int weir_window_withdraw(struct weir_window *window, const char *reason)
{
	int error;

	if (!move_on(window, WEIR_PEER_HERE, WEIR_PEER_AWAY, reason))
		return 0;
	weir_watches_tell(window, WEIR_PEER_WITHDRAWN, false);
	pthread_mutex_lock(&window->lock);
	if (window->sink)
		weir_sink_smooth(window->sink);
	error = withdraw_all(window);
	pthread_mutex_unlock(&window->lock);
	return error;
}

static int put_back(struct weir_held *held)
{
	struct weir_map *map = held->map;
	const struct weir_space_ops *ops = map->ioas->space.ops;
	int error = 0;

	if (held->sinks && ops->replace && !install_itself(map, ops->replace))
		return 0;
	if (held->sinks)
		error = remove_installed(map);
	return error ? error : install_itself(map, ops->install);
}

static int restore_mapping(struct weir_held *held)
{
	struct weir_map *map = held->map;
	struct weir_ioas *ioas = map->ioas;
	int error = ioas->space.live ? put_back(held) : 0;

	if (!error)
		held->away = false;
	return error;
}

/* The window's lock is held, so who ends the mapping meanwhile waits, and tells them after this. */
static void tell_followers(const struct weir_map *map)
{
	if (map->ioas->followers)
		weir_followers_back(map->ioas, weir_map_start(map), weir_map_last(map));
}

/* What is being closed meanwhile stays as it is. */
static int restore_all(struct weir_window *window)
{
	int error = 0;

	for (struct weir_held *held = window->mappings; held && !error; held = held->next) {
		if (!held->away || !take_hold(held->map))
			continue;
		error = restore_mapping(held);
		if (error)
			snprintf(window->reason, sizeof(window->reason),
				 "it could not be mapped again at IOVA %#" PRIx64 ": %s",
				 weir_map_start(held->map), strerror(-error));
		let_go(held->map);
		if (!error)
			tell_followers(held->map);
	}
	return error;
}

/* Since it was withdrawn. The lock is held. */
static bool has_been_written(struct weir_window *window)
{
	bool written = window->sink && weir_sink_written(window->sink);

	window->sunk += written;
	return written;
}

void weir_window_restore(struct weir_window *window)
{
	bool back, written;

	pthread_mutex_lock(&window->lock);
	if (window->state != WEIR_PEER_AWAY) {
		pthread_mutex_unlock(&window->lock);
		return;
	}
	back = !restore_all(window);
	if (back) {
		window->generation++;
		*window->reason = '\0';
	} else {
		withdraw_all(window);
	}
	window->state = back ? WEIR_PEER_HERE : WEIR_PEER_LOST;
	written = has_been_written(window);
	pthread_mutex_unlock(&window->lock);
	weir_watches_tell(window, back ? WEIR_PEER_RESTORED : WEIR_PEER_IS_LOST, written);
}

int weir_window_lose(struct weir_window *window, const char *reason)
{
	int error = weir_window_withdraw(window, reason);
	bool written;

	if (!move_on(window, WEIR_PEER_AWAY, WEIR_PEER_LOST, reason))
		return error;
	pthread_mutex_lock(&window->lock);
	written = has_been_written(window);
	pthread_mutex_unlock(&window->lock);
	weir_watches_tell(window, WEIR_PEER_IS_LOST, written);
	return error;
}

int weir_window_replay(struct weir_map *map)
{
	struct weir_held *held = map->held;
	int error;

	if (held->away)
		return held->sinks ? install_sink(map, held->window->sink) : 0;
	/* -ENODEV: the kernel has taken it away without us. Then it leads to nothing, which is no reason to keep devices out. */
	error = install_itself(map, map->ioas->space.ops->install);
	return error == -ENODEV ? 0 : error;
}

bool weir_window_is_used(struct weir_window *window)
{
	bool used;

	pthread_mutex_lock(&window->lock);
	used = window->users > 1;
	pthread_mutex_unlock(&window->lock);
	return used;
}

int weir_window_explain(const struct weir_map *map, int error)
{
	const struct weir_window *window = map->held->window;

	switch (error) {
	case -ENODEV:
		return weir_fail(-EAGAIN, "the kernel has taken %s away: weir_device_resync() finds out why",
				 window->name);
	case -EFAULT:
	case -EINVAL:
	case -EOPNOTSUPP:
		return weir_fail(-EOPNOTSUPP,
				 "the kernel does not map %s for other devices (%s): iommufd does it for "
				 "what vfio-pci "
				 "exports as a dma-buf, from Linux 6.19; the VFIO container does it while "
				 "the device answers",
				 window->name, strerror(-error));
	default:
		return weir_fail(error, "the kernel refused to map %s to IOVA %#" PRIx64 ": %s", window->name,
				 weir_map_start(map), strerror(-error));
	}
}
