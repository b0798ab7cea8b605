/* SPDX-License-Identifier: MIT */
/* Pages that were written: what a page table's dirty bits hold, or a device's log. */
#ifndef WEIR_SIM_DIRTY_H
#define WEIR_SIM_DIRTY_H

#include <stdbool.h>

#include "tree.h"

struct weir_sim;

struct sim_dirty {
	bool on;
	bool overflown; /* there was no memory: every page counts */
	struct weir_tree pages;
};

void sim_dirty_set(struct sim_dirty *dirty, bool on); /* what was noted before is forgotten */
void sim_dirty_mark(struct sim_dirty *dirty, uint64_t iova);
void sim_dirty_forget(struct sim_dirty *dirty, uint64_t iova, uint64_t last);
bool sim_dirty_has(const struct sim_dirty *dirty, uint64_t iova, uint64_t last);

/* Set bit @number of the bitmap at @bitmap in the caller's memory. -EFAULT */
int sim_dirty_tell(struct weir_sim *sim, uint64_t bitmap, uint64_t number);

#endif
