// SPDX-License-Identifier: MIT
/* Holes sorted by where they begin and how long they are. */
#include "ioas/bins.h"

#include <stddef.h>

enum { EXACT_BITS = WEIR_BIN_EXACT_BITS, EXACT = 1 << EXACT_BITS };

static unsigned int class_of(uint64_t pages)
{
	unsigned int bits;

	if (pages < EXACT)
		return (unsigned int)pages;
	bits = 63 - (unsigned int)__builtin_clzll(pages);
	return EXACT + (bits - EXACT_BITS) * 4 + (unsigned int)(pages >> (bits - 2) & 3);
}

/* The fewest pages of a class. */
static uint64_t fewest_pages(unsigned int class)
{
	unsigned int large = class - EXACT;

	return class < EXACT ? class : (4 + (uint64_t)large % 4) << (large / 4 + EXACT_BITS - 2);
}

/* No preference holds any longer. */
static void forget_front(struct weir_bins *bins)
{
	bins->front_least = UINT64_MAX;
}

void weir_bins_init(struct weir_bins *bins)
{
	forget_front(bins);
}

void weir_bins_omit(struct weir_hole *hole)
{
	hole->bin = WEIR_NO_BIN;
	hole->lowest = 0;
	hole->highest = UINT64_MAX;
}

/* How far the hole's start may move before it belongs into another bin. */
static void set_bounds(struct weir_hole *hole, unsigned int zone, unsigned int class)
{
	uint64_t last = hole->segment.last;
	uint64_t shortest = (fewest_pages(class) << WEIR_BIN_PAGE_SHIFT) - 1;
	uint64_t too_long = fewest_pages(class + 1);
	uint64_t begin = (uint64_t)1 << zone, end = begin + (begin - 1);

	hole->highest = last - shortest < end ? last - shortest : end;
	hole->lowest = begin;
	if (too_long <= last >> WEIR_BIN_PAGE_SHIFT &&
	    last + 1 - ((too_long - 1) << WEIR_BIN_PAGE_SHIFT) > begin)
		hole->lowest = last + 1 - ((too_long - 1) << WEIR_BIN_PAGE_SHIFT);
}

void weir_bins_add(struct weir_bins *bins, struct weir_hole *hole)
{
	uint64_t start = hole->segment.node.key;
	unsigned int zone = 63 - (unsigned int)__builtin_clzll(start);
	unsigned int class = class_of(((hole->segment.last - start) >> WEIR_BIN_PAGE_SHIFT) + 1);
	unsigned int word = class / 64 % 16; /* there are fewer than 16 */
	unsigned int bin = zone * WEIR_BIN_CLASSES + class;
	struct weir_hole **first = &bins->first[bin];

	set_bounds(hole, zone, class);
	hole->bin = (uint16_t)bin;
	hole->next = *first;
	hole->link = first;
	if (hole->next)
		hole->next->link = &hole->next;
	*first = hole;
	bins->used[zone][word] |= (uint64_t)1 << class % 64;
	bins->words[zone] |= (uint16_t)(1u << word);
	bins->zones |= (uint64_t)1 << zone;
	forget_front(bins);
}

void weir_bins_remove(struct weir_bins *bins, struct weir_hole *hole)
{
	unsigned int bin = hole->bin, zone = bin / WEIR_BIN_CLASSES, class = bin % WEIR_BIN_CLASSES;

	if (bin == WEIR_NO_BIN)
		return;
	forget_front(bins);
	*hole->link = hole->next;
	if (hole->next)
		hole->next->link = hole->link;
	if (bins->first[bin])
		return;
	bins->used[zone][class / 64] &= ~((uint64_t)1 << class % 64);
	if (bins->used[zone][class / 64])
		return;
	bins->words[zone] &= (uint16_t) ~(1u << class / 64);
	if (!bins->words[zone])
		bins->zones &= ~((uint64_t)1 << zone);
}

/* The first class of @zone at or above @least that has a hole, or WEIR_BIN_CLASSES. */
static unsigned int next_class(const struct weir_bins *bins, unsigned int zone, unsigned int least)
{
	unsigned int word = least / 64, words;
	uint64_t found;

	if (word == WEIR_BIN_WORDS)
		return WEIR_BIN_CLASSES;
	found = bins->used[zone][word] & (UINT64_MAX << least % 64);
	if (!found) {
		words = bins->words[zone] & (~1u << word);
		if (!words)
			return WEIR_BIN_CLASSES;
		word = (unsigned int)__builtin_ctz(words);
		found = bins->used[zone][word];
	}
	return word * 64 + (unsigned int)__builtin_ctzll(found);
}

/* A search under way: from class @tight on holes may fit, from @sure on all do, but for the one across the limit. */
struct search {
	const struct weir_bins *bins;
	const struct weir_iova_wish *wish;
	unsigned int tight, sure;
	uint64_t looks; /* how many that did not fit it may still look at */
};

/* The next class worth looking at, from @least on. */
static unsigned int advance(const struct search *search, unsigned int zone, unsigned int least)
{
	return next_class(search->bins, zone, search->looks || least >= search->sure ? least : search->sure);
}

/* The lowest suitable start within a hole. */
static bool hole_fits(const struct weir_hole *hole, const struct weir_iova_wish *wish, uint64_t *ret_start)
{
	uint64_t start = hole->segment.node.key;
	uint64_t last = hole->segment.last < wish->limit ? hole->segment.last : wish->limit;
	uint64_t shift = (wish->remainder - start) & (wish->align - 1);

	if (start > last || shift > last - start || last - start - shift < wish->len - 1)
		return false;
	*ret_start = start + shift;
	return true;
}

static struct weir_hole *search_zone(struct search *search, unsigned int zone, uint64_t *ret_start)
{
	unsigned int at;

	for (at = advance(search, zone, search->tight); at < WEIR_BIN_CLASSES;
	     at = advance(search, zone, at + 1)) {
		struct weir_hole *hole = search->bins->first[zone * WEIR_BIN_CLASSES + at];

		for (; hole && (search->looks || at >= search->sure); hole = hole->next) {
			if (hole_fits(hole, search->wish, ret_start))
				return hole;
			search->looks -= search->looks > 0;
		}
	}
	return NULL;
}

static struct weir_hole *search_zones(struct search *search, uint64_t zones, uint64_t *ret_start)
{
	for (zones &= search->bins->zones; zones; zones &= zones - 1) {
		struct weir_hole *hole = search_zone(search, (unsigned int)__builtin_ctzll(zones), ret_start);

		if (hole)
			return hole;
	}
	return NULL;
}

/* The lowest 4 GiB are for devices that can reach nothing else. */
static const uint64_t preferred = ~(uint64_t)UINT32_MAX;

/* If it is in the very first bin for a class of lengths, @hole is what the next search of that class would come to. */
static void note_front(struct weir_bins *bins, struct weir_hole *hole, unsigned int tight)
{
	uint64_t zones = bins->zones & preferred;
	unsigned int zone;

	if (!zones)
		return;
	zone = (unsigned int)__builtin_ctzll(zones);
	if (hole->bin != zone * WEIR_BIN_CLASSES + next_class(bins, zone, tight))
		return;
	bins->front = hole;
	bins->front_least = fewest_pages(tight) << WEIR_BIN_PAGE_SHIFT;
}

struct weir_hole *weir_bins_find(struct weir_bins *bins, const struct weir_iova_wish *wish,
				 uint64_t *ret_start)
{
	uint64_t pages = wish->len >> WEIR_BIN_PAGE_SHIFT, slack = (wish->align >> WEIR_BIN_PAGE_SHIFT) - 1;
	struct search search = { .bins = bins,
				 .wish = wish,
				 .tight = class_of(pages),
				 .sure = class_of(pages + slack - 1) + 1,
				 .looks = WEIR_BIN_LOOKS };
	/* Those of holes that begin at or below the limit. */
	uint64_t zones = UINT64_MAX >> __builtin_clzll(wish->limit);
	struct weir_hole *hole = search_zones(&search, zones & preferred, ret_start);

	if (hole)
		note_front(bins, hole, search.tight);
	else
		hole = search_zones(&search, zones & ~preferred, ret_start);
	if (hole || !wish->exhaustive)
		return hole;
	search.looks = WEIR_BIN_MANY_LOOKS;
	hole = search_zones(&search, zones & preferred, ret_start);
	return hole ? hole : search_zones(&search, zones & ~preferred, ret_start);
}
