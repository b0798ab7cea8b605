// SPDX-License-Identifier: MIT
#include "shadow/shadow.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "error.h"

/* What there is in stage 2 at an IPA, as a mapping elsewhere is to reach it. */
struct place {
	struct weir_backing backing;
	uint64_t len;  /* from there on; of nothing, how long there is nothing; 0: to the end of the space */
	uint32_t prot; /* 0: there is nothing */
};

static uint64_t end_of(uint64_t start, uint64_t len, uint64_t last)
{
	return len && len - 1 < last - start ? start + (len - 1) : last;
}

/* Whoever takes the mapping back claims it first, and then waits for the shadow's lock: so it stays as long as that is held. */
static struct place look_up(struct weir_ioas *stage2, uint64_t ipa)
{
	struct place place = { .backing = { .fd = -1 } };
	struct weir_map *map;
	uint64_t offset;

	weir_gate_lock(&stage2->gate);
	map = weir_ioas_map_from(stage2, ipa);
	if (!map) {
		weir_gate_unlock(&stage2->gate);
		return place;
	}
	if (weir_map_start(map) > ipa) {
		place.len = weir_map_start(map) - ipa;
	} else {
		offset = ipa - weir_map_start(map);
		place.len = weir_map_size(map) - offset;
		if (atomic_load_explicit(&map->state, memory_order_acquire) == WEIR_MAP_READY &&
		    !(map->held && map->held->window && map->held->away)) {
			place.prot = map->prot;
			place.backing = map->backing;
			place.backing.addr = (char *)map->backing.addr + offset;
			place.backing.offset += offset;
		}
	}
	weir_gate_unlock(&stage2->gate);
	return place;
}

/* Records ------------------------------------------------------------------------------------------------------- */

static struct weir_shadow_record *at_or_above(const struct weir_shadow *shadow, uint64_t iova)
{
	struct weir_tree_node *node = weir_tree_at_or_below(&shadow->records, iova);

	if (node && ((struct weir_shadow_record *)node)->last >= iova)
		return (struct weir_shadow_record *)node;
	return (struct weir_shadow_record *)weir_tree_at_or_above(&shadow->records, iova);
}

static struct weir_shadow_record *next_of(const struct weir_shadow *shadow,
					  const struct weir_shadow_record *record)
{
	if (record->last == UINT64_MAX)
		return NULL;
	return (struct weir_shadow_record *)weir_tree_at_or_above(&shadow->records, record->last + 1);
}

static struct weir_shadow_record *of_ipa(struct weir_tree_node *node)
{
	return node ? (struct weir_shadow_record *)((char *)node -
						    offsetof(struct weir_shadow_record, by_ipa))
		    : NULL;
}

static void enter(struct weir_shadow *shadow, struct weir_shadow_record *record)
{
	struct weir_shadow_record *same = of_ipa(weir_tree_at_or_below(&shadow->by_ipa, record->by_ipa.key));

	weir_tree_insert(&shadow->records, &record->node);
	if (same && same->by_ipa.key == record->by_ipa.key) {
		record->same_ipa = same->same_ipa;
		same->same_ipa = record;
	} else {
		weir_tree_insert(&shadow->by_ipa, &record->by_ipa);
	}
}

static void leave(struct weir_shadow *shadow, struct weir_shadow_record *record)
{
	struct weir_shadow_record *same = of_ipa(weir_tree_at_or_below(&shadow->by_ipa, record->by_ipa.key));

	weir_tree_remove(&shadow->records, &record->node);
	if (same == record) {
		weir_tree_remove(&shadow->by_ipa, &record->by_ipa);
		if (record->same_ipa)
			weir_tree_insert(&shadow->by_ipa, &record->same_ipa->by_ipa);
		return;
	}
	while (same->same_ipa != record)
		same = same->same_ipa;
	same->same_ipa = record->same_ipa;
}

/* It leads nowhere any more. */
static int clear(struct weir_shadow_record *record)
{
	struct weir_map *map = record->map;

	record->map = NULL;
	return weir_map_close(map);
}

static int drop(struct weir_shadow *shadow, struct weir_shadow_record *record)
{
	int error = clear(record);

	leave(shadow, record);
	free(record);
	return error;
}

/* Do the tables say of all of it what it says? What leads nowhere is looked up again. */
static bool is_true(const struct weir_shadow *shadow, const struct weir_shadow_record *record)
{
	struct weir_stage1_stretch stretch;
	uint64_t at = record->node.key;

	while (record->map && weir_stage1_next(shadow->tables, at, record->last, record->last, &stretch)) {
		if (stretch.iova != at || stretch.ipa != record->by_ipa.key + (at - record->node.key) ||
		    stretch.prot != record->prot)
			return false;
		if (record->last - at < stretch.len)
			return true;
		at += stretch.len;
	}
	return false;
}

/* A record that is mapped as what there is in stage 2 says, or that says that there is nothing. */
static int map_record(struct weir_shadow *shadow, struct weir_shadow_record *record,
		      const struct place *place)
{
	const uint32_t both = WEIR_MAP_READ | WEIR_MAP_WRITE;
	struct weir_map_opts o = { .flags = WEIR_MAP_FIXED | WEIR_MAP_TENDED, .iova = record->node.key };

	o.flags |= (record->prot & place->prot & both) | (place->prot & WEIR_MAP_DEVICE_MEMORY);
	if (!(o.flags & both))
		return 0;
	return weir_ioas_map_backing(shadow->ioas, &place->backing, record->last - record->node.key + 1, &o,
				     NULL, &record->map);
}

static int add(struct weir_shadow *shadow, uint64_t iova, uint64_t last, uint64_t ipa, uint32_t prot,
	       const struct place *place)
{
	struct weir_shadow_record *record = calloc(1, sizeof(*record));
	int error;

	if (!record)
		return weir_fail(-ENOMEM, "no memory for a shadow's record");
	record->node.key = iova;
	record->last = last;
	record->by_ipa.key = ipa;
	record->prot = prot;
	error = map_record(shadow, record, place);
	if (error) {
		free(record);
		return error;
	}
	enter(shadow, record);
	return 0;
}

/* A stretch that has no records, by what there is in stage 2. */
static int add_stretch(struct weir_shadow *shadow, uint64_t iova, uint64_t last, uint64_t ipa, uint32_t prot)
{
	struct weir_first first = { 0 };

	for (uint64_t end;; ipa += end - iova + 1, iova = end + 1) {
		struct place place = look_up(shadow->stage2, ipa);

		end = end_of(iova, place.len, last);
		weir_first_note(&first, add(shadow, iova, end, ipa, prot, &place));
		if (end == last)
			return weir_first_error(&first);
	}
}

/* A stretch of the tables, where there are no records. */
static int fill_stretch(struct weir_shadow *shadow, const struct weir_stage1_stretch *stretch)
{
	const uint64_t last = stretch->iova + (stretch->len - 1);
	struct weir_shadow_record *record;
	struct weir_first first = { 0 };
	uint64_t at = stretch->iova;

	for (;;) {
		uint64_t end = last;

		record = at_or_above(shadow, at);
		if (record && record->node.key <= last)
			end = record->node.key - 1;
		if (!record || record->node.key > at)
			weir_first_note(&first,
					add_stretch(shadow, at, end, stretch->ipa + (at - stretch->iova),
						    stretch->prot));
		if (!record || record->node.key > last || record->last >= last)
			return weir_first_error(&first);
		at = record->last + 1;
	}
}

/* Stretches that go on in the same way are one, if they begin in a page of the tables each. */
static bool next_run(const struct weir_shadow *shadow, uint64_t iova, uint64_t last,
		     struct weir_stage1_stretch *ret_run)
{
	struct weir_stage1_stretch more;

	if (!weir_stage1_next(shadow->tables, iova, last, last, ret_run))
		return false;
	while (last - ret_run->iova >= ret_run->len &&
	       weir_stage1_next(shadow->tables, ret_run->iova + ret_run->len, last, last, &more) &&
	       more.iova == ret_run->iova + ret_run->len && more.ipa == ret_run->ipa + ret_run->len &&
	       more.prot == ret_run->prot)
		ret_run->len += more.len;
	return true;
}

static int fill(struct weir_shadow *shadow, uint64_t iova, uint64_t last)
{
	struct weir_stage1_stretch run;
	struct weir_first first = { 0 };

	while (next_run(shadow, iova, last, &run)) {
		weir_first_note(&first, fill_stretch(shadow, &run));
		if (last - run.iova < run.len)
			break;
		iova = run.iova + run.len;
	}
	return weir_first_error(&first);
}

/* Records that are not true any more go. A record that sticks out takes the rest of its stretch along into the range. */
static int weed(struct weir_shadow *shadow, uint64_t *iova, uint64_t *last)
{
	struct weir_shadow_record *record = at_or_above(shadow, *iova), *next;
	struct weir_first first = { 0 };
	const uint64_t end = *last;

	for (; record && record->node.key <= end; record = next) {
		next = next_of(shadow, record);
		if (is_true(shadow, record))
			continue;
		if (record->node.key < *iova)
			*iova = record->node.key;
		if (record->last > *last)
			*last = record->last;
		weir_first_note(&first, drop(shadow, record));
	}
	return weir_first_error(&first);
}

int weir_shadow_follow(struct weir_shadow *shadow, uint64_t *iova, uint64_t *last, bool *ret_stale)
{
	struct weir_first first = { 0 };

	pthread_mutex_lock(&shadow->lock);
	weir_first_note(&first, weed(shadow, iova, last));
	*ret_stale = first.error != 0;
	weir_first_note(&first, fill(shadow, *iova, *last));
	pthread_mutex_unlock(&shadow->lock);
	return weir_first_error(&first);
}

int weir_shadow_clear(struct weir_shadow *shadow)
{
	struct weir_shadow_record *record;
	struct weir_first first = { 0 };

	pthread_mutex_lock(&shadow->lock);
	while ((record = at_or_above(shadow, 0)))
		weir_first_note(&first, drop(shadow, record));
	pthread_mutex_unlock(&shadow->lock);
	return weir_first_error(&first);
}

/* What stage 2 loses, and has again ------------------------------------------------------------------------------- */

static struct weir_shadow *of_follower(struct weir_follower *follower)
{
	return (struct weir_shadow *)((char *)follower - offsetof(struct weir_shadow, follower));
}

/* That which leads to the first IPA from @ipa to @last that any leads to; those behind it lead to the same. */
static struct weir_shadow_record *leading_into(const struct weir_shadow *shadow, uint64_t ipa, uint64_t last)
{
	struct weir_tree_node *node = weir_tree_at_or_above(&shadow->by_ipa, ipa);

	return node && node->key <= last ? of_ipa(node) : NULL;
}

/* The next one, behind @record or of another IPA. */
static struct weir_shadow_record *next_leading_into(const struct weir_shadow *shadow,
						    const struct weir_shadow_record *record, uint64_t last)
{
	if (record->same_ipa)
		return record->same_ipa;
	return record->by_ipa.key < last ? leading_into(shadow, record->by_ipa.key + 1, last) : NULL;
}

/* What is mapped of a record lies in one mapping of stage 2, and so begins in it. */
int weir_shadow_leave(struct weir_follower *follower, uint64_t ipa, uint64_t last)
{
	struct weir_shadow *shadow = of_follower(follower);
	struct weir_first first = { 0 };

	pthread_mutex_lock(&shadow->lock);
	for (struct weir_shadow_record *record = leading_into(shadow, ipa, last); record;
	     record = next_leading_into(shadow, record, last))
		if (record->map)
			weir_first_note(&first, clear(record));
	pthread_mutex_unlock(&shadow->lock);
	return weir_first_error(&first);
}

/* What cannot be mapped again leads nowhere, until its range is run. */
void weir_shadow_back(struct weir_follower *follower, uint64_t ipa, uint64_t last)
{
	struct weir_shadow *shadow = of_follower(follower);

	pthread_mutex_lock(&shadow->lock);
	for (struct weir_shadow_record *record = leading_into(shadow, ipa, last); record;
	     record = next_leading_into(shadow, record, last)) {
		struct place place;

		if (record->map)
			continue;
		place = look_up(shadow->stage2, record->by_ipa.key);
		if (place.prot && place.len > record->last - record->node.key)
			map_record(shadow, record, &place);
	}
	pthread_mutex_unlock(&shadow->lock);
}
