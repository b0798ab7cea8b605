// SPDX-License-Identifier: MIT
#include "sim/iommu/dirty.h"

#include <errno.h>
#include <stdlib.h>

#include "sim/iommu/domain.h"
#include "sim/user.h"

void sim_dirty_set(struct sim_dirty *dirty, bool on)
{
	sim_dirty_forget(dirty, 0, UINT64_MAX);
	dirty->overflown = false;
	dirty->on = on;
}

void sim_dirty_mark(struct sim_dirty *dirty, uint64_t iova)
{
	const uint64_t page = iova & ~(uint64_t)(SIM_IOMMU_PAGE - 1);
	struct weir_tree_node *node = weir_tree_at_or_below(&dirty->pages, page);

	if (!dirty->on || (node && node->key == page))
		return;
	node = calloc(1, sizeof(*node));
	if (!node) {
		dirty->overflown = true;
		return;
	}
	node->key = page;
	weir_tree_insert(&dirty->pages, node);
}

void sim_dirty_forget(struct sim_dirty *dirty, uint64_t iova, uint64_t last)
{
	struct weir_tree_node *node;

	while ((node = weir_tree_at_or_above(&dirty->pages, iova)) && node->key <= last) {
		weir_tree_remove(&dirty->pages, node);
		free(node);
	}
}

bool sim_dirty_has(const struct sim_dirty *dirty, uint64_t iova, uint64_t last)
{
	const struct weir_tree_node *node = weir_tree_at_or_above(&dirty->pages, iova);

	return dirty->overflown || (node && node->key <= last);
}

int sim_dirty_tell(struct weir_sim *sim, uint64_t bitmap, uint64_t number)
{
	const uint64_t at = bitmap + number / 8;
	uint8_t byte;

	if (sim_copy_in(&byte, at, sizeof(byte)))
		return -EFAULT;
	byte |= (uint8_t)(1u << number % 8);
	return sim_copy_out(sim, at, &byte, sizeof(byte));
}
