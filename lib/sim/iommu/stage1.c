// SPDX-License-Identifier: MIT
/* Nested translation: what both vendors' have in common. */
#include "sim/iommu/stage1.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Arm's IOMMU keeps by VMID and ASID: what is nested in one parent has it in common. */
static struct sim_walk_cache *cache_for(struct sim_domain *parent, enum sim_stage1_kind kind)
{
	if (kind != SIM_STAGE1_ARM)
		return sim_walk_cache_new();
	if (!parent->by_vmid)
		parent->by_vmid = sim_walk_cache_new();
	return parent->by_vmid;
}

int sim_stage1_new(struct sim_domain *parent, enum sim_stage1_kind kind, struct sim_domain **ret_domain)
{
	struct sim_domain *domain = calloc(1, sizeof(*domain));
	struct sim_stage1 *stage1 = calloc(1, sizeof(*stage1));
	struct sim_walk_cache *cache = domain && stage1 ? cache_for(parent, kind) : NULL;

	if (!cache) {
		free(domain);
		free(stage1);
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
	if (stage1->kind != SIM_STAGE1_ARM)
		sim_walk_cache_free(stage1->cache);
	free(stage1);
}

void sim_stage1_forget_all(struct sim_domain *parent)
{
	for (struct sim_stage1 *stage1 = parent->nested; stage1; stage1 = stage1->next)
		sim_walk_cache_drop_all(stage1->cache);
}

/*
 * VT-d keeps by the number of the page table, and all of that number goes when a device is taken off it. With Arm's, what was read of
 * the stream's configuration goes, and what was walked by its ASID stays.
 */
void sim_stage1_left(struct sim_stage1 *stage1)
{
	if (stage1->kind == SIM_STAGE1_ARM)
		memset(stage1->cds, 0, sizeof(stage1->cds));
	else
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

/* Arm ---------------------------------------------------------------------------------------------------- */

/* As the hardware would write it. Faults of a walk are told only if the context says so. */
static void report(struct sim_stage1 *stage1, const struct sim_requester *from, enum sim_smmu_event event,
		   uint64_t iova, bool write)
{
	const uint64_t input = (uint64_t)2 << 40, read = (uint64_t)1 << 35;
	bool walks = event >= SIM_EVENT_TRANSLATION;
	uint64_t words[4] = { event };

	if (from->pasid != SIM_NO_PASID)
		words[0] |= 1 << 11 | (uint64_t)from->pasid << 12;
	if (walks) {
		words[1] = input | (write ? 0 : read);
		words[2] = iova;
	}
	if (event != SIM_EVENT_NONE && stage1->report)
		stage1->report(stage1->owner, from->device, words);
}

static int walk_arm(struct sim_stage1 *stage1, const struct sim_requester *from, uint64_t iova, bool write,
		    struct sim_leaf *ret_leaf)
{
	enum sim_smmu_event event = SIM_EVENT_NONE;
	struct sim_context context = { .records = true };
	unsigned int config = sim_ste_config(stage1->ste);
	uint64_t page = iova / SIM_IOMMU_PAGE * SIM_IOMMU_PAGE;
	int how = -EFAULT;

	*ret_leaf = (struct sim_leaf){ .start = page, .output = page, .prot = SIM_READ | SIM_WRITE };
	if (config == SIM_STE_BYPASS) {
		event = SIM_EVENT_BAD_SUBSTREAM;
		how = from->pasid == SIM_NO_PASID ? 0 : -EFAULT;
	} else if (config == SIM_STE_S1) {
		how = sim_arm_context(stage1, from, &context, &event);
		if (!how)
			how = sim_arm_walk(stage1, &context, page, write, ret_leaf, &event);
	}
	/* What is asked for by the device itself is no fault yet. */
	if (how < 0 && context.records && !from->asks)
		report(stage1, from, event, iova, write);
	return how < 0 ? how : 0;
}

/* Both stages -------------------------------------------------------------------------------------------- */

static int walk(struct sim_stage1 *stage1, const struct sim_requester *from, uint64_t iova, bool write,
		struct sim_leaf *ret_leaf)
{
	if (stage1->kind == SIM_STAGE1_ARM)
		return walk_arm(stage1, from, iova, write, ret_leaf);
	return sim_x86_walk(stage1, iova / SIM_IOMMU_PAGE * SIM_IOMMU_PAGE, write, ret_leaf);
}

int sim_stage1_translate(struct sim_stage1 *stage1, const struct sim_requester *from, uint64_t iova,
			 bool write, struct sim_translation *ret_translation)
{
	struct sim_leaf leaf;
	uint64_t page = iova / SIM_IOMMU_PAGE * SIM_IOMMU_PAGE, address;
	int error = walk(stage1, from, iova, write, &leaf);

	if (error)
		return error;
	if (!(leaf.prot & (write ? SIM_WRITE : SIM_READ)))
		return -EFAULT;
	address = leaf.output + (page - leaf.start);
	/* Where interrupts are an address of stage 2, this is what a program has to let through itself. */
	if (stage1->kind == SIM_STAGE1_ARM && sim_is_window(stage1->parent->sim, address))
		return write ? SIM_INTERRUPT : -EFAULT;
	error = sim_domain_look_up(stage1->parent, address, ret_translation);
	if (error)
		return error;
	ret_translation->prot &= leaf.prot;
	return 0;
}
