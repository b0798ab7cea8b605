// SPDX-License-Identifier: MIT
/* What is kept of walks through tables that a program writes. */
#include "sim/iommu/walk_cache.h"

#include <stdlib.h>
#include <string.h>

/* As hardware has it: an entry can be in any way of one set; the ways are used in turn. */
enum { SETS = 256, WAYS = 8 };

struct sim_walk_cache {
	uint32_t num; /* entries that are kept */
	struct set {
		struct sim_walk_entry ways[WAYS];
		uint32_t next;
	} sets[SETS];
};

struct sim_walk_cache *sim_walk_cache_new(void)
{
	return calloc(1, sizeof(struct sim_walk_cache));
}

void sim_walk_cache_free(struct sim_walk_cache *cache)
{
	free(cache);
}

static uint64_t start_of(uint64_t address, unsigned int shift)
{
	return address >> shift << shift;
}

static unsigned int set_of(uint64_t address, unsigned int shift)
{
	uint64_t number = address >> shift;

	return (unsigned int)((number ^ number / SETS ^ shift) % SETS);
}

static bool is_about(const struct sim_walk_entry *entry, uint64_t start, unsigned int shift, bool table)
{
	return entry->shift == shift && entry->start == start && entry->table == table;
}

bool sim_walk_cache_find(const struct sim_walk_cache *cache, uint64_t address, unsigned int shift, bool table,
			 uint32_t tag, struct sim_walk_entry *ret_entry)
{
	const struct set *set = &cache->sets[set_of(address, shift)];
	uint64_t start = start_of(address, shift);

	for (unsigned int i = 0; i < WAYS; i++) {
		const struct sim_walk_entry *entry = &set->ways[i];

		if (is_about(entry, start, shift, table) && (entry->global || entry->tag == tag)) {
			*ret_entry = *entry;
			return true;
		}
	}
	return false;
}

/* That of the same range and owner, or an empty one, or the one whose turn it is. */
static struct sim_walk_entry *place_for(struct set *set, const struct sim_walk_entry *entry)
{
	struct sim_walk_entry *empty = NULL;

	for (unsigned int i = 0; i < WAYS; i++) {
		struct sim_walk_entry *way = &set->ways[i];

		if (is_about(way, entry->start, entry->shift, entry->table) && way->tag == entry->tag)
			return way;
		if (!way->shift)
			empty = way;
	}
	return empty ? empty : &set->ways[set->next++ % WAYS];
}

void sim_walk_cache_keep(struct sim_walk_cache *cache, const struct sim_walk_entry *entry)
{
	struct sim_walk_entry *way = place_for(&cache->sets[set_of(entry->start, entry->shift)], entry);

	cache->num += !way->shift;
	*way = *entry;
}

static bool is_taken(const struct sim_walk_entry *entry, const struct sim_walk_range *range)
{
	uint64_t last = entry->start + (((uint64_t)1 << entry->shift) - 1);

	if (!entry->shift || entry->start > range->last || last < range->first)
		return false;
	if (entry->table ? range->leaves : range->leaf_shift && entry->shift != range->leaf_shift)
		return false;
	if (entry->global)
		return !range->spare_global;
	return range->any_tag || entry->tag == range->tag;
}

void sim_walk_cache_drop(struct sim_walk_cache *cache, const struct sim_walk_range *range)
{
	for (unsigned int i = 0; i < SETS && cache->num; i++)
		for (unsigned int j = 0; j < WAYS; j++)
			if (is_taken(&cache->sets[i].ways[j], range)) {
				cache->sets[i].ways[j].shift = 0;
				cache->num--;
			}
}

void sim_walk_cache_drop_all(struct sim_walk_cache *cache)
{
	memset(cache, 0, sizeof(*cache));
}
