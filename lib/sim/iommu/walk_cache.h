/* SPDX-License-Identifier: MIT */
/*
 * What the IOMMU has kept of its walks through tables that a program writes: leaves, and the tables on the way to them. Nothing leaves
 * it but by an invalidation (or for want of room, as with hardware), so what a program changes and does not invalidate stays as it was.
 *
 * An entry is that of a whole page or block, so an invalidation of any part of a block takes the block.
 */
#ifndef WEIR_SIM_WALK_CACHE_H
#define WEIR_SIM_WALK_CACHE_H

#include <stdbool.h>
#include <stdint.h>

struct sim_walk_cache;

struct sim_walk_entry {
	uint64_t start; /* of the range that it is about, which is 2^shift long */
	uint64_t value; /* a leaf: where that begins, in stage 2; a table: where that is */
	uint32_t tag;   /* whose it is (ASID) */
	uint32_t prot;  /* what the way here allows */
	uint8_t shift;  /* 0: nothing is kept here */
	bool table;
	bool global; /* anybody's */
};

/* What an invalidation takes: what meets [first, last]. */
struct sim_walk_range {
	uint64_t first, last;
	uint32_t tag;
	bool any_tag;
	bool spare_global;  /* global entries stay */
	bool leaves;        /* tables stay */
	uint8_t leaf_shift; /* of leaves, only those of this size; 0: all */
};

struct sim_walk_cache *sim_walk_cache_new(void); /* NULL: no memory */
void sim_walk_cache_free(struct sim_walk_cache *cache);

/* Of a range of 2^shift bytes that @address is in: a table or a leaf of @tag's. */
bool sim_walk_cache_find(const struct sim_walk_cache *cache, uint64_t address, unsigned int shift, bool table,
			 uint32_t tag, struct sim_walk_entry *ret_entry);

/* Keep one, in the place of what was kept of the same range. */
void sim_walk_cache_keep(struct sim_walk_cache *cache, const struct sim_walk_entry *entry);

void sim_walk_cache_drop(struct sim_walk_cache *cache, const struct sim_walk_range *range);
void sim_walk_cache_drop_all(struct sim_walk_cache *cache);

#endif
