// SPDX-License-Identifier: MIT
/*
 * A scan: in parts, so that mapping and unmapping wait for one part at most. Each part is a transition, in which stretches of the table are chosen, and
 * the kernel is asked for exactly these; what it said is told when the transition is over. What is unmapped in between is noted by itself (dirty.c),
 * and what is mapped in between is new, so the next scan will do.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dirty/dirty.h"
#include "error.h"

struct scan {
	struct weir_dirty *dirty;
	bool keep;
	bool all;         /* what was written before was lost: everything counts */
	bool over;        /* there is no part after this one */
	bool untold;      /* the kernel would not tell of a range */
	uint64_t at;      /* the next part begins here */
	uint64_t wanting; /* words that the bitmap must have for the next mapping */
	int (*tell)(void *context, const struct weir_dirty_range *range);
	void *context;
};

int weir_dirty_ask(struct weir_dirty *dirty, uint64_t iova, uint64_t len, uint64_t *bits, bool keep)
{
	struct weir_ioas *ioas = dirty->ioas;

	if (dirty->source == WEIR_DIRTY_DEVICES)
		return weir_dirty_devices_ask(ioas, iova, len, dirty->page, bits);
	return ioas->space.ops->dirty(&ioas->space, iova, len, dirty->page, bits, keep);
}

static uint64_t next_with(const uint64_t *bits, uint64_t from, uint64_t end, uint64_t flip)
{
	while (from < end) {
		uint64_t word = (bits[from / 64] ^ flip) >> (from % 64);

		if (word) {
			from += (uint64_t)__builtin_ctzll(word);
			return from < end ? from : end;
		}
		from = (from / 64 + 1) * 64;
	}
	return end;
}

uint64_t weir_dirty_run(const uint64_t *bits, uint64_t *from, uint64_t end)
{
	*from = next_with(bits, *from, end, 0);
	return next_with(bits, *from, end, ~UINT64_C(0)) - *from;
}

/* Choosing --------------------------------------------------------------------------------------------------------- */

static uint64_t words_for(const struct weir_dirty *dirty, uint64_t len)
{
	return (len / dirty->page + 63) / 64;
}

/* @used words of the bitmap are given out. */
static uint64_t *room_for(struct weir_dirty *dirty, uint64_t used, uint64_t words)
{
	return dirty->num_words - used >= words ? &dirty->bits[used] : NULL;
}

/* What is in the table at @segment or further up, what could not be unmapped among it: devices may reach that. */
static struct weir_map *writable_from(struct weir_ioas *ioas, struct weir_segment *segment)
{
	for (; segment != &ioas->iova.edge; segment = weir_iova_above(segment))
		if (((struct weir_map *)segment)->prot & WEIR_MAP_WRITE)
			return (struct weir_map *)segment;
	return NULL;
}

static bool is_lost(const struct weir_map *map)
{
	return atomic_load_explicit(&map->state, memory_order_relaxed) == WEIR_MAP_LOST;
}

static void add_unknown(struct weir_dirty *dirty, uint64_t iova, uint64_t last)
{
	dirty->extents[dirty->num_extents++] =
		(struct weir_dirty_extent){ .iova = iova, .len = last - iova + 1, .unknown = true };
}

/*
 * The mapping becomes part of the last extent, which it touches, or a new one. As much of it as there is room for, but all or nothing for the container, which takes whole
 * mappings. Returns how many bytes were taken.
 */
static uint64_t add_known(struct scan *scan, uint64_t iova, uint64_t last, uint64_t *used)
{
	struct weir_dirty *dirty = scan->dirty;
	struct weir_dirty_extent *extent =
		dirty->num_extents ? &dirty->extents[dirty->num_extents - 1] : NULL;
	bool joins = extent && !extent->unknown && extent->iova + extent->len == iova;
	uint64_t had = joins ? extent->len : 0, len = last - iova + 1;
	uint64_t start = joins ? (uint64_t)(extent->bits - dirty->bits) : *used;
	uint64_t most = (dirty->num_words - start) * 64 * dirty->page - had;

	if (len > most && dirty->source == WEIR_DIRTY_PINNED) {
		scan->wanting = words_for(dirty, len);
		return 0;
	}
	if (len > most)
		len = most;
	if (!len)
		return 0;
	if (!joins) {
		extent = &dirty->extents[dirty->num_extents++];
		*extent = (struct weir_dirty_extent){ .iova = iova, .bits = room_for(dirty, start, 1) };
	}
	extent->len += len;
	*used = start + words_for(dirty, extent->len);
	return len;
}

/* The extents of the next part. In a transition, with the space's lock held. */
static void choose(struct scan *scan)
{
	struct weir_dirty *dirty = scan->dirty;
	struct weir_ioas *ioas = dirty->ioas;
	struct weir_segment *segment = weir_iova_find(&ioas->iova, scan->at)->below;
	struct weir_map *map = writable_from(ioas, weir_iova_above(segment));
	uint64_t used = 0, taken;

	dirty->num_extents = 0;
	scan->over = true;
	for (; map; map = writable_from(ioas, weir_iova_above(&map->segment))) {
		uint64_t iova = weir_map_start(map), last = weir_map_last(map);

		if (iova < scan->at)
			iova = scan->at;
		scan->over = false;
		if (dirty->num_extents == WEIR_DIRTY_EXTENTS)
			return;
		if (is_lost(map)) {
			add_unknown(dirty, iova, last);
		} else {
			taken = add_known(scan, iova, last, &used);
			if (taken != last - iova + 1) {
				scan->at = iova + taken;
				return;
			}
		}
		scan->over = last == UINT64_MAX;
		scan->at = last + 1;
		if (scan->over)
			return;
	}
	scan->over = true;
}

/* Asking ----------------------------------------------------------------------------------------------------------- */

static void ask_all(struct scan *scan)
{
	struct weir_dirty *dirty = scan->dirty;

	for (uint32_t i = 0; i < dirty->num_extents; i++) {
		struct weir_dirty_extent *extent = &dirty->extents[i];

		if (extent->unknown)
			continue;
		/* Without a device nobody knows, or writes. */
		if (!dirty->ioas->space.live) {
			extent->unknown = true;
			continue;
		}
		/* Bits are only ever set; and memory that was just written can be written. */
		memset(extent->bits, 0, words_for(dirty, extent->len) * sizeof(uint64_t));
		if (weir_dirty_ask(dirty, extent->iova, extent->len, extent->bits, scan->keep)) {
			extent->unknown = true;
			scan->untold = true;
		}
		if (scan->all || dirty->source == WEIR_DIRTY_PINNED)
			extent->unknown = true;
	}
}

static void ask_part(struct scan *scan, bool begin)
{
	struct weir_ioas *ioas = scan->dirty->ioas;

	pthread_mutex_lock(&ioas->host->lock);
	weir_ioas_begin_transition(ioas);
	if (begin) {
		scan->all = ioas->space.dirt_lost;
		if (!scan->keep)
			ioas->space.dirt_lost = false;
	}
	scan->over = true;
	scan->dirty->num_extents = 0;
	if (ioas->space.live || scan->all) {
		weir_gate_lock(&ioas->gate);
		choose(scan);
		weir_gate_unlock(&ioas->gate);
		ask_all(scan);
	}
	weir_ioas_end_transition(ioas);
	pthread_mutex_unlock(&ioas->host->lock);
}

/* Telling ---------------------------------------------------------------------------------------------------------- */

static int tell_range(const struct scan *scan, uint64_t iova, uint64_t len, uint32_t why)
{
	const struct weir_dirty_range range = { .iova = iova, .len = len, .why = why };

	return scan->tell(scan->context, &range);
}

/* Of an extent, from page *@from on, which is where it stopped. */
static int tell_extent(const struct scan *scan, const struct weir_dirty_extent *extent, uint64_t *from)
{
	const uint64_t page = scan->dirty->page, end = extent->len / page;
	uint64_t run;
	int stopped = 0;

	if (extent->unknown)
		return tell_range(scan, extent->iova, extent->len, WEIR_DIRTY_UNKNOWN);
	while (!stopped && (run = weir_dirty_run(extent->bits, from, end))) {
		stopped = tell_range(scan, extent->iova + *from * page, run * page, WEIR_DIRTY_WRITTEN);
		if (!stopped)
			*from += run;
	}
	return stopped;
}

/* The kernel has forgotten it: so it is remembered here, in few words. The lock is held. */
static void owe(struct weir_dirty *dirty, const struct weir_dirty_extent *extent, uint64_t from)
{
	const uint64_t page = dirty->page, end = extent->len / page;
	uint64_t run;

	if (extent->unknown) {
		weir_dirty_note(&dirty->owed, extent->iova, extent->len);
		return;
	}
	for (; (run = weir_dirty_run(extent->bits, &from, end)); from += run)
		weir_dirty_note(&dirty->owed, extent->iova + from * page, run * page);
}

static int tell_part(const struct scan *scan)
{
	struct weir_dirty *dirty = scan->dirty;
	uint64_t from = 0;
	uint32_t at = 0;
	int stopped = 0;

	for (; at < dirty->num_extents; at++) {
		from = 0;
		stopped = tell_extent(scan, &dirty->extents[at], &from);
		if (stopped)
			break;
	}
	/* Devices forget what they told, whatever is asked of them. */
	if (scan->keep && dirty->source == WEIR_DIRTY_DEVICES) {
		at = 0;
		from = 0;
	} else if (!stopped || scan->keep) {
		return stopped;
	}
	pthread_mutex_lock(&dirty->lock);
	for (; at < dirty->num_extents; at++, from = 0)
		owe(dirty, &dirty->extents[at], from);
	pthread_mutex_unlock(&dirty->lock);
	return stopped;
}

/* One of the two lists; what it is not told of goes back. */
static int tell_spans(const struct scan *scan, struct weir_dirty_spans *spans, uint32_t why)
{
	struct weir_dirty *dirty = scan->dirty;
	struct weir_dirty_spans *told = &dirty->told;
	uint32_t at = 0;
	int stopped = 0;

	pthread_mutex_lock(&dirty->lock);
	told->num = spans->num;
	memcpy(told->ranges, spans->ranges, spans->num * sizeof(spans->ranges[0]));
	if (!scan->keep)
		spans->num = 0;
	pthread_mutex_unlock(&dirty->lock);
	for (; at < told->num && !stopped; at += !stopped)
		stopped = tell_range(scan, told->ranges[at].start,
				     told->ranges[at].last - told->ranges[at].start + 1, why);
	if (!stopped || scan->keep)
		return stopped;
	pthread_mutex_lock(&dirty->lock);
	for (; at < told->num; at++)
		weir_dirty_note(spans, told->ranges[at].start,
				told->ranges[at].last - told->ranges[at].start + 1);
	pthread_mutex_unlock(&dirty->lock);
	return stopped;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static int grow(struct scan *scan)
{
	struct weir_dirty *dirty = scan->dirty;
	uint64_t *bits = calloc(scan->wanting, sizeof(*bits));

	if (!bits)
		return weir_fail(-ENOMEM, "no memory for a bitmap of %" PRIu64 " bytes",
				 scan->wanting * sizeof(*bits));
	free(dirty->bits);
	dirty->bits = bits;
	dirty->num_words = scan->wanting;
	scan->wanting = 0;
	return 0;
}

static int scan_mappings(struct scan *scan)
{
	bool begin = true;
	int error = 0;

	do {
		ask_part(scan, begin);
		begin = false;
		error = tell_part(scan);
		/* It may have fitted beside others, but then it is the first of the next part. */
		if (!error && scan->wanting > scan->dirty->num_words)
			error = grow(scan);
		scan->wanting = 0;
	} while (!error && !scan->over);
	return error;
}

/* Everything counted as written, and not everything was told. */
static void lose_again(const struct scan *scan)
{
	struct weir_ioas *ioas = scan->dirty->ioas;

	pthread_mutex_lock(&ioas->host->lock);
	ioas->space.dirt_lost = true;
	pthread_mutex_unlock(&ioas->host->lock);
}

int weir_dirty_scan(struct weir_dirty *dirty, uint32_t flags,
		    int (*tell)(void *context, const struct weir_dirty_range *range), void *context)
{
	struct scan scan = {
		.dirty = dirty, .keep = flags & WEIR_DIRTY_KEEP, .tell = tell, .context = context
	};
	int error;

	if (flags & ~WEIR_DIRTY_KEEP)
		return weir_fail(-EINVAL, "unknown flags %#x", flags & ~WEIR_DIRTY_KEEP);
	if (pthread_mutex_trylock(&dirty->scanning))
		return weir_fail(-EBUSY, "a scan of this is under way");
	error = tell_spans(&scan, &dirty->gone, WEIR_DIRTY_GONE);
	if (!error)
		error = tell_spans(&scan, &dirty->owed, WEIR_DIRTY_UNKNOWN);
	if (!error)
		error = scan_mappings(&scan);
	if (error && scan.all && !scan.keep)
		lose_again(&scan);
	pthread_mutex_unlock(&dirty->scanning);
	if (!error && scan.untold)
		return weir_fail(
			-EIO,
			"the kernel would not tell what was written in some ranges: they were told whole");
	return error;
}
