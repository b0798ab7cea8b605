// SPDX-License-Identifier: MIT
/* Mappings taken back: one by its handle, or all of a range. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "ioas/address.h"
#include "ioas/watch.h"
#include "ioas/map.h"
#include "ioas/window.h"

/* The mapping's handle ends here. */
static inline __attribute__((always_inline)) void leave_table(struct weir_ioas *ioas, struct weir_map *map,
							      bool lost, const bool plain)
{
	uint64_t len = weir_map_size(map);

	ioas->mapped_bytes -= len;
	if (!plain && ioas->space.kernel->journal)
		weir_map_forget(ioas, map, lost);
	if (__builtin_expect(lost, 0)) {
		ioas->lost_bytes += len;
		ioas->num_lost++;
		atomic_store_explicit(&map->state, WEIR_MAP_LOST, memory_order_relaxed);
	} else {
		weir_iova_give(&ioas->iova, &map->segment);
	}
}

void weir_ioas_drop_map(struct weir_ioas *ioas, struct weir_map *map, bool lost)
{
	leave_table(ioas, map, lost, false);
}

static __attribute__((cold)) int explain_unmap(uint64_t iova, uint64_t len, int error)
{
	return weir_fail(error == -ENOENT ? -EIO : error,
			 "the kernel failed to unmap %#" PRIx64 " bytes at IOVA %#" PRIx64
			 " (%s): devices may still reach the memory; these addresses will not be used again",
			 len, iova, strerror(-error));
}

static __attribute__((cold)) int explain_sync(uint64_t iova, uint64_t len, int error)
{
	return weir_fail_within(
		error,
		"what was mapped as %#" PRIx64 " bytes at IOVA %#" PRIx64
		" may be reached by devices still, and these addresses will not be used again",
		len, iova);
}

/* The kernel's part of taking [iova, iova + len) back. @absent: there may be nothing. */
static int remove_and_sync(struct weir_ioas *ioas, uint64_t iova, uint64_t len, bool absent)
{
	const struct weir_space_ops *ops = ioas->space.ops;
	int error = ioas->space.live ? ops->remove(&ioas->space, iova, len) : 0;

	if (error == -ENOENT && absent)
		error = 0;
	if (__builtin_expect(error, 0))
		return explain_unmap(iova, len, error);
	if (ops->sync)
		error = ops->sync(&ioas->space);
	return __builtin_expect(error, 0) ? explain_sync(iova, len, error) : 0;
}

/* The same, with followers. */
static int take_back_followed(struct weir_ioas *ioas, uint64_t iova, uint64_t len, bool absent)
{
	int followed = weir_followers_leave(ioas, iova, iova + (len - 1));
	int error = remove_and_sync(ioas, iova, len, absent);

	return error ? error : followed;
}

static int take_back(struct weir_ioas *ioas, uint64_t iova, uint64_t len, bool absent)
{
	if (ioas->followers)
		return take_back_followed(ioas, iova, len, absent);
	return remove_and_sync(ioas, iova, len, absent);
}

int weir_ioas_take_back(struct weir_ioas *ioas, uint64_t iova, uint64_t len)
{
	return take_back(ioas, iova, len, false);
}

static bool is_stale(const struct weir_ioas *ioas)
{
	return ioas->space.kernel->journal && ioas->space.kernel->journal->stale;
}

static __attribute__((cold)) int busy(const struct weir_ioas *ioas)
{
	if (is_stale(ioas))
		return weir_fail(-ESTALE, "the host has been handed over to another process");
	return weir_fail(-EBUSY, "the mapping is being taken back by another thread");
}

/* From READY to LEAVING; only one can. What whoever made it ready did comes before. */
static inline bool claim_plain(struct weir_map *map)
{
	uint32_t ready = WEIR_MAP_READY;

	return atomic_compare_exchange_strong_explicit(&map->state, &ready, WEIR_MAP_LEAVING,
						       memory_order_acquire, memory_order_relaxed);
}

/* The same, and the journal knows. */
static bool claim(struct weir_map *map)
{
	if (!claim_plain(map))
		return false;
	if (map->ioas->space.kernel->journal)
		weir_map_mark(map, WEIR_SLOT_LEAVING);
	return true;
}

/* The same, and nobody finds it by its address any more. */
static bool claim_and_hide(struct weir_ioas *ioas, struct weir_map *map)
{
	bool claimed;

	weir_gate_lock(&ioas->gate);
	claimed = claim(map);
	if (claimed)
		weir_addresses_remove(ioas, map);
	weir_gate_unlock(&ioas->gate);
	return claimed;
}

/* The range that a mapping lies in is being taken back: two threads end one handle. This has set out. */
static __attribute__((cold)) int close_claimed(struct weir_ioas *ioas)
{
	int error = busy(ioas);

	weir_gate_arrive(&ioas->gate);
	return error;
}

/* The kernel failed to unmap it. This has set out. */
static __attribute__((cold)) int close_lost(struct weir_ioas *ioas, struct weir_map *map, int error)
{
	weir_gate_lock(&ioas->gate);
	weir_ioas_drop_map(ioas, map, true);
	weir_gate_unlock_and_arrive(&ioas->gate);
	return weir_ioas_block(ioas, error);
}

/* Alone of its kind, and nothing is held for it. This has set out. */
static __attribute__((noinline)) int close_single(struct weir_ioas *ioas, struct weir_map *map)
{
	int error;

	if (!(ioas->addresses ? claim_and_hide(ioas, map) : claim(map)))
		return close_claimed(ioas);
	if (ioas->leaving.most && ioas->space.live) {
		error = ioas->space.ops->remove(&ioas->space, weir_map_start(map), weir_map_size(map));
		if (!error)
			return weir_ioas_leave_later(ioas, map);
	}
	error = take_back(ioas, weir_map_start(map), weir_map_size(map), false);
	if (error)
		return close_lost(ioas, map, error);
	weir_gate_lock(&ioas->gate);
	weir_ioas_drop_map(ioas, map, false);
	weir_gate_unlock_and_arrive(&ioas->gate);
	return 0;
}

/* The same in a plain space: what drivers wait for. */
static inline int close_plain(struct weir_ioas *ioas, struct weir_map *map)
{
	uint64_t iova = weir_map_start(map), len = weir_map_size(map);
	int error;

	if (__builtin_expect(!claim_plain(map), 0))
		return close_claimed(ioas);
	error = ioas->space.ops->remove(&ioas->space, iova, len);
	if (__builtin_expect(error, 0))
		return close_lost(ioas, map, explain_unmap(iova, len, error));
	weir_gate_lock(&ioas->gate);
	leave_table(ioas, map, false, true);
	weir_gate_unlock_and_arrive(&ioas->gate);
	return 0;
}

/* What a range consists of, when it can be taken back: one mapping after the other, from the first to the last. */
struct extent {
	struct weir_map *first, *last;
	bool gaps;
};

uint64_t weir_ioas_mapped_bytes(struct weir_ioas *ioas)
{
	uint64_t bytes;

	weir_gate_lock(&ioas->gate);
	bytes = ioas->mapped_bytes;
	weir_gate_unlock(&ioas->gate);
	return bytes;
}

bool weir_ioas_has_lost(struct weir_ioas *ioas, uint64_t iova, uint64_t last)
{
	struct weir_segment *segment;
	bool lost = false;

	weir_gate_lock(&ioas->gate);
	if (ioas->num_lost)
		for (segment = weir_iova_above(weir_iova_find(&ioas->iova, iova)->below);
		     segment != &ioas->iova.edge && segment->node.key <= last && !lost;
		     segment = weir_iova_above(segment))
			lost = ((struct weir_map *)segment)->state == WEIR_MAP_LOST;
	weir_gate_unlock(&ioas->gate);
	return lost;
}

struct weir_map *weir_ioas_map_at(struct weir_ioas *ioas, uint64_t iova)
{
	return (struct weir_map *)weir_iova_find(&ioas->iova, iova);
}

struct weir_map *weir_ioas_map_from(struct weir_ioas *ioas, uint64_t iova)
{
	return weir_ioas_next_map(ioas, (struct weir_map *)weir_iova_find(&ioas->iova, iova)->below);
}

static void unclaim(struct weir_ioas *ioas, struct weir_map *from, const struct weir_map *to)
{
	for (; from != to; from = weir_ioas_next_map(ioas, from)) {
		if (ioas->space.kernel->journal)
			weir_map_mark(from, WEIR_SLOT_IN_FORCE);
		atomic_store_explicit(&from->state, WEIR_MAP_READY, memory_order_release);
	}
}

static const char *who_ends(const struct weir_map *map)
{
	if (map->prot & WEIR_MAP_OWN)
		return "a weir_memory or a weir_cache, which ends it";
	if (map->ioas->shadowing)
		return "a shadow, which ends it when its tables say so, or with weir_domain_close()";
	return "a rule of a weir_demand, which ends it with weir_demand_close()";
}

/* Neither a mapping nor a batch is cut in two, and what the library made for itself is not taken from it. */
static int check_extent(struct weir_map *map, uint64_t iova, uint64_t last)
{
	bool piece = map->held && map->held->first;
	uint64_t map_start = weir_map_start(piece ? map->held->first : map);
	uint64_t map_last = weir_map_last(weir_map_last_piece(map));

	if (map->prot & WEIR_MAP_KEPT)
		return weir_fail(-EBUSY, "the mapping at IOVA %#" PRIx64 "..%#" PRIx64 " is of %s", map_start,
				 map_last, who_ends(map));
	if (map_start < iova || map_last > last)
		return weir_fail(-EINVAL,
				 "the range would cut the %s at IOVA %#" PRIx64 "..%#" PRIx64 " in two",
				 piece ? "batch" : "mapping", map_start, map_last);
	return 0;
}

/* What was claimed is not found by its addresses any more. The lock is held. */
static void hide(struct weir_ioas *ioas, const struct extent *extent)
{
	for (struct weir_map *map = extent->first; ioas->addresses; map = weir_ioas_next_map(ioas, map)) {
		weir_addresses_remove(ioas, map);
		if (map == extent->last)
			break;
	}
}

/* Claim all mappings of a range, or none. The lock is held. */
static int claim_range(struct weir_ioas *ioas, uint64_t iova, uint64_t last, struct extent *ret_extent)
{
	struct weir_map *first = weir_ioas_map_from(ioas, iova), *map = first;
	struct extent extent = { .first = first };

	for (; map && weir_map_start(map) <= last; map = weir_ioas_next_map(ioas, map)) {
		int error = check_extent(map, iova, last);

		if (!error && !claim(map))
			error = is_stale(ioas) ? busy(ioas)
					       : weir_fail(-EBUSY,
							   "the mapping at IOVA %#" PRIx64
							   " is being made or taken back by another thread",
							   weir_map_start(map));
		if (error) {
			unclaim(ioas, first, map);
			return error;
		}
		if (extent.last && extent.last->segment.above != &map->segment)
			extent.gaps = true;
		extent.last = map;
	}
	if (!extent.last)
		return weir_fail(-ENOENT, "there is no mapping in IOVA %#" PRIx64 "..%#" PRIx64, iova, last);
	hide(ioas, &extent);
	*ret_extent = extent;
	return 0;
}

/* The mappings of an extent, in a row; the lock is held. Returns what was held for them alone. */
static struct weir_held *drop_all(struct weir_ioas *ioas, const struct extent *extent, bool lost)
{
	struct weir_map *map = extent->first, *next;
	struct weir_held *list = NULL;

	for (;; map = next) {
		bool done = map == extent->last;
		struct weir_held *held = map->held;

		next = done ? NULL : weir_ioas_next_map(ioas, map);
		if (held && weir_held_put(held)) {
			held->next = list;
			list = held;
		}
		weir_ioas_drop_map(ioas, map, lost);
		if (done)
			return list;
	}
}

/* Are there any of windows among them? Then nobody withdraws or restores those any more. No lock is held, or that of the one window there is. */
static bool leave_windows(struct weir_ioas *ioas, const struct extent *extent)
{
	bool any = false;

	for (struct weir_map *map = extent->first;; map = weir_ioas_next_map(ioas, map)) {
		if (map->held && map->held->window) {
			weir_window_closing(map->held);
			any = true;
		}
		if (map == extent->last)
			return any;
	}
}

/*
 * Of mappings that are claimed and hidden. The lock is held, and given up; and this has set out, and arrives. *@ret_block: devices may reach them; to be
 * blocked when no lock is held.
 */
static int end_extent(struct weir_ioas *ioas, const struct extent *extent, bool *ret_block)
{
	const struct weir_sys *sys = ioas->host->kernel.sys;
	uint64_t start = weir_map_start(extent->first);
	struct weir_held *list;
	bool absent;
	int error;

	/* One system call takes the whole extent, so nothing may be mapped into its gaps meanwhile. */
	if (extent->gaps)
		weir_gate_hold_up(&ioas->gate);
	weir_gate_unlock(&ioas->gate);
	/* Of a window that is away, nothing may be there. */
	absent = leave_windows(ioas, extent);
	error = take_back(ioas, start, weir_map_last(extent->last) - start + 1, absent);

	weir_gate_lock(&ioas->gate);
	list = drop_all(ioas, extent, error != 0);
	if (extent->gaps)
		weir_gate_let_go(&ioas->gate);
	weir_gate_unlock(&ioas->gate);
	/* Once this has arrived, the journal may be another's. */
	for (struct weir_held *held = list; held; held = held->next)
		weir_file_forget(held);
	weir_gate_arrive(&ioas->gate);
	*ret_block = error != 0;
	return list ? weir_held_close(sys, list, error) : error;
}

int weir_ioas_unmap(struct weir_ioas *ioas, uint64_t iova, uint64_t len)
{
	uint64_t last = iova + (len - 1);
	struct extent extent = { 0 };
	struct weir_first first = { 0 };
	bool block;
	int error;

	if (!len)
		return weir_fail(-EINVAL, "the length is 0");
	if (last < iova)
		return weir_fail(-EOVERFLOW,
				 "%#" PRIx64 " bytes at IOVA %#" PRIx64 " go beyond the end of the space",
				 len, iova);
	/* What is leaving has ended for the caller. */
	if (ioas->leaving.most)
		weir_first_note(&first, weir_ioas_sync(ioas));
	weir_gate_lock_and_set_out(&ioas->gate);
	error = claim_range(ioas, iova, last, &extent);
	if (error) {
		weir_gate_unlock_and_arrive(&ioas->gate);
		weir_first_note(&first, error);
		return weir_first_error(&first);
	}
	error = end_extent(ioas, &extent, &block);
	weir_first_note(&first, block ? weir_ioas_block(ioas, error) : error);
	return weir_first_error(&first);
}

/* A mapping, or a batch with all its pieces: who can have the first of these can have all. The lock is held. */
static bool claim_whole(struct weir_map *map, struct weir_map **ret_last)
{
	struct weir_map *last;

	if (!claim(map))
		return false;
	last = weir_map_last_piece(map);
	for (struct weir_map *piece = map; (piece = weir_map_next_piece(piece, last));)
		claim(piece);
	*ret_last = last;
	return true;
}

/*
 * The first of @num handles, in ascending order, with those that follow it without a gap. Returns how many these were. *@ret_block: as of end_extent().
 */
static size_t close_run(struct weir_map *const *maps, size_t num, int *ret_error, bool *ret_block)
{
	struct weir_ioas *ioas = maps[0]->ioas;
	struct extent extent = { .first = maps[0] };
	size_t run = 1;

	weir_gate_lock_and_set_out(&ioas->gate);
	if (!claim_whole(maps[0], &extent.last)) {
		*ret_error = busy(ioas);
		weir_gate_unlock_and_arrive(&ioas->gate);
		*ret_block = false;
		return 1;
	}
	while (run < num && extent.last->segment.above == &maps[run]->segment &&
	       claim_whole(maps[run], &extent.last))
		run++;
	hide(ioas, &extent);
	*ret_error = end_extent(ioas, &extent, ret_block);
	return run;
}

static __attribute__((noinline)) int close_held(struct weir_map *map)
{
	/* Of a host that is being given away it may go meanwhile. */
	struct weir_window *window = weir_window_of(map);
	struct weir_ioas *ioas = map->ioas;
	struct weir_first first = { 0 };
	bool block;
	int error;

	/* Whoever withdraws or restores it has claimed it meanwhile. */
	if (window)
		pthread_mutex_lock(&window->lock);
	close_run(&map, 1, &error, &block);
	if (!window)
		return block ? weir_ioas_block(ioas, error) : error;
	pthread_mutex_unlock(&window->lock);
	weir_first_note(&first, block ? weir_ioas_block(ioas, error) : error);
	weir_first_note(&first, weir_window_put(window));
	return weir_first_error(&first);
}

__attribute__((hot)) int weir_map_close(struct weir_map *map)
{
	struct weir_ioas *ioas;

	if (!map)
		return 0;
	if (map->held)
		return close_held(map);
	ioas = map->ioas;
	weir_gate_set_out(&ioas->gate);
	return __builtin_expect(ioas->plain, 1) ? close_plain(ioas, map) : close_single(ioas, map);
}

/* By space and IOVA; the NULLs come first. */
static int compare(const void *a, const void *b)
{
	const struct weir_map *first = *(struct weir_map *const *)a, *second = *(struct weir_map *const *)b;

	if (!first || !second)
		return !!first - !!second;
	if (first->ioas != second->ioas)
		return first->ioas < second->ioas ? -1 : 1;
	return (weir_map_start(first) > weir_map_start(second)) -
	       (weir_map_start(first) < weir_map_start(second));
}

int weir_map_close_batch(struct weir_map **maps, size_t num)
{
	struct weir_first first = { 0 };
	size_t at = 0;

	if (num)
		qsort((void *)maps, num, sizeof(struct weir_map *), compare);
	while (at < num && !maps[at])
		at++;
	while (at < num) {
		struct weir_ioas *ioas = maps[at]->ioas;
		bool block = false;
		int error;

		if (weir_map_is_of_window(maps[at]))
			error = close_held(maps[at++]);
		else
			at += close_run(maps + at, num - at, &error, &block);
		weir_first_note(&first, block ? weir_ioas_block(ioas, error) : error);
	}
	return weir_first_error(&first);
}
