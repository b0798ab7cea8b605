// SPDX-License-Identifier: MIT
/* A window's going away and coming back: what its mappings lead to meanwhile, and who is told. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "ioas/sink.h"
#include "ioas/watch.h"
#include "ioas/window.h"

static int remove_range(const struct weir_map *map, uint64_t start, uint64_t len)
{
	struct weir_space *space = &map->ioas->space;
	int error = space->ops->remove(space, start, len);

	if (error == -ENOENT)
		error = 0;
	if (error || !space->ops->sync)
		return error;
	error = space->ops->sync(space);
	/* The host's lock is held, so devices cannot be blocked here. */
	if (error)
		weir_ioas_owe_sync(map->ioas, error);
	return error;
}

static int remove_installed(struct weir_map *map)
{
	return remove_range(map, weir_map_start(map), weir_map_size(map));
}

/* install or replace of struct weir_space_ops. */
typedef int weir_put_in_place(struct weir_space *space, const struct weir_backing *backing, uint64_t len,
			      uint64_t iova, uint32_t prot);

/* What the mapping leads to while its window is away. Pieces of a sink's size; the last one may be shorter. */
static int lead_to_sink(struct weir_map *map, const struct weir_sink *sink, weir_put_in_place *put)
{
	const uint32_t prot = map->prot & ~(uint32_t)WEIR_MAP_DEVICE_MEMORY;
	uint64_t start = weir_map_start(map), len = weir_map_size(map), done = 0;
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
	bool here = move_on(window, WEIR_PEER_HERE, WEIR_PEER_AWAY, reason);
	int error;

	if (here)
		weir_watches_tell(window, WEIR_PEER_WITHDRAWN, false);
	else if (!move_on(window, WEIR_PEER_AWAY, WEIR_PEER_AWAY, reason))
		return 0;
	/* If it was away, a mapping may be left that the kernel failed to unmap. */
	pthread_mutex_lock(&window->lock);
	if (here && window->sink)
		weir_sink_smooth(window->sink);
	error = withdraw_all(window);
	pthread_mutex_unlock(&window->lock);
	return error;
}

static int put_back(struct weir_window *window, struct weir_held *held)
{
	struct weir_map *map = held->map;
	const struct weir_space_ops *ops = map->ioas->space.ops;
	int error = 0;

	if (held->sinks && ops->replace && !install_itself(map, ops->replace))
		return 0;
	if (held->sinks)
		error = remove_installed(map);
	if (error)
		return error;
	error = install_itself(map, ops->install);
	if (error && held->sinks)
		install_sink(map, window->sink);
	return error;
}

static int restore_mapping(struct weir_window *window, struct weir_held *held)
{
	int error = held->map->ioas->space.live ? put_back(window, held) : 0;

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
		error = restore_mapping(window, held);
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

/* The state that it comes to. The lock is held. */
static enum weir_peer_state try_restoring(struct weir_window *window)
{
	int error = restore_all(window);

	if (!error) {
		window->generation++;
		*window->reason = '\0';
		return WEIR_PEER_HERE;
	}
	withdraw_all(window);
	/* Whatever the registers say: somebody else has put the device to sleep, or has just switched it off (-EFAULT: a container). */
	if (error != -ENODEV && error != -EFAULT)
		return WEIR_PEER_LOST;
	snprintf(window->reason, sizeof(window->reason), "the kernel keeps it away: weir_device_resync()");
	return WEIR_PEER_AWAY;
}

void weir_window_restore(struct weir_window *window)
{
	enum weir_peer_state state;
	bool written = false;

	pthread_mutex_lock(&window->lock);
	if (window->state != WEIR_PEER_AWAY) {
		pthread_mutex_unlock(&window->lock);
		return;
	}
	state = window->state = try_restoring(window);
	if (state != WEIR_PEER_AWAY)
		written = has_been_written(window);
	pthread_mutex_unlock(&window->lock);
	if (state != WEIR_PEER_AWAY)
		weir_watches_tell(window, state == WEIR_PEER_HERE ? WEIR_PEER_RESTORED : WEIR_PEER_IS_LOST,
				  written);
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
	error = install_itself(map, map->ioas->space.ops->install);
	if (error != -ENODEV)
		return error;
	/* The kernel has taken it away without us. Then it leads to nothing, which is no reason to keep devices out. */
	atomic_store(&held->window->trace, WEIR_WINDOW_TAKEN);
	return 0;
}
