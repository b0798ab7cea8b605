// SPDX-License-Identifier: MIT
/* Nested translation: what both vendors' have in common. */
#include "sim/iommu/stage1.h"

#include <errno.h>
#include <stdlib.h>

int sim_stage1_new(struct sim_domain *parent, enum sim_stage1_kind kind, struct sim_domain **ret_domain)
{
	struct sim_domain *domain = calloc(1, sizeof(*domain));
	struct sim_stage1 *stage1 = calloc(1, sizeof(*stage1));
	struct sim_walk_cache *cache = sim_walk_cache_new();

	if (!domain || !stage1 || !cache) {
		free(domain);
		free(stage1);
		sim_walk_cache_free(cache);
		return -ENOMEM;
	}
	*stage1 = (struct sim_stage1){ .kind = kind,
				       .parent = parent,
				       .next = parent->nested,
				       .link = &parent->nested,
				       .cache = cache };
	if (stage1->next)
		stage1->next->link = &stage1->next;
	parent->nested = stage1;
	domain->sim = parent->sim;
	domain->unit = parent->unit;
	domain->stage1 = stage1;
	*ret_domain = domain;
	return 0;
}

void sim_stage1_free(struct sim_stage1 *stage1)
{
	*stage1->link = stage1->next;
	if (stage1->next)
		stage1->next->link = stage1->link;
	sim_walk_cache_free(stage1->cache);
	free(stage1);
}

void sim_stage1_forget_all(struct sim_domain *parent)
{
	for (struct sim_stage1 *stage1 = parent->nested; stage1; stage1 = stage1->next)
		sim_walk_cache_drop_all(stage1->cache);
}

/* VT-d keeps by the number of the page table, and all of that number goes when a device is taken off it. */
void sim_stage1_left(struct sim_stage1 *stage1)
{
	sim_walk_cache_drop_all(stage1->cache);
}

/* Tables ------------------------------------------------------------------------------------------------- */

/* What stage 2 has at an address, to the end of its page there. */
static int look_up(struct sim_stage1 *stage1, uint64_t address, uint32_t prot, struct sim_translation *ret_to)
{
	int error = sim_domain_look_up(stage1->parent, address, ret_to);

	if (error)
		return error;
	return (ret_to->prot & prot) == prot ? 0 : -EFAULT;
}

int sim_stage1_load(struct sim_stage1 *stage1, uint64_t address, uint64_t *ret_entry)
{
	struct sim_translation at;
	int error = look_up(stage1, address, SIM_READ, &at);

	return error ? error : sim_pages_load(at.pages, at.offset, ret_entry);
}

int sim_stage1_change(struct sim_stage1 *stage1, uint64_t address, uint64_t old, uint64_t new)
{
	struct sim_translation at;
	int error = look_up(stage1, address, SIM_READ | SIM_WRITE, &at);

	return error ? error : sim_pages_exchange(at.pages, at.offset, old, new);
}

/* Both stages -------------------------------------------------------------------------------------------- */

static int walk(struct sim_stage1 *stage1, const struct sim_requester *from, uint64_t iova, bool write,
		struct sim_leaf *ret_leaf)
{
	(void)from;
	return sim_x86_walk(stage1, iova, write, ret_leaf);
}

int sim_stage1_translate(struct sim_stage1 *stage1, const struct sim_requester *from, uint64_t iova,
			 bool write, struct sim_translation *ret_translation)
{
	struct sim_leaf leaf;
	int error = walk(stage1, from, iova, write, &leaf);

	if (error)
		return error;
	if (!(leaf.prot & (write ? SIM_WRITE : SIM_READ)))
		return -EFAULT;
	error = sim_domain_look_up(stage1->parent, leaf.output + (iova - leaf.start), ret_translation);
	if (error)
		return error;
	ret_translation->prot &= leaf.prot;
	return 0;
}
