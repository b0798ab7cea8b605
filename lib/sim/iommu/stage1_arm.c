// SPDX-License-Identifier: MIT
/*
 * First-stage tables of Arm's SMMUv3: AArch64's with 4 KiB pages and blocks of 2 MiB and 1 GiB. Requests are unprivileged. What is kept
 * of the walks is kept by ASID for all that is nested in one parent, which is what hardware calls a VMID.
 */
#include <errno.h>

#include "sim/iommu/stage1.h"

enum { PAGE_SHIFT = 12, INDEX_BITS = 9, LAST_LEVEL = 3, FIRST_BLOCK = 1, MOST_BITS = 48 };

/* Descriptors. */
#define VALID           ((uint64_t)1 << 0)
#define TABLE_OR_PAGE   ((uint64_t)1 << 1)
#define UNPRIVILEGED    ((uint64_t)1 << 6) /* AP[1] */
#define READ_ONLY       ((uint64_t)1 << 7) /* AP[2] */
#define ACCESSED        ((uint64_t)1 << 10)
#define NOT_GLOBAL      ((uint64_t)1 << 11)
#define NO_UNPRIVILEGED ((uint64_t)1 << 61) /* APTable[0] */
#define ALL_READ_ONLY   ((uint64_t)1 << 62) /* APTable[1] */
#define ADDRESS         ((uint64_t)0x0000fffffffff000)
#define BEYOND          ((uint64_t)0x0003000000000000) /* address bits that only 52-bit addresses have */

/* Of what an entry of that level is about; the lowest level is 3. */
static unsigned int shift_of(unsigned int level)
{
	return PAGE_SHIFT + INDEX_BITS * (LAST_LEVEL - level);
}

static uint64_t mask_of(unsigned int level)
{
	return ((uint64_t)1 << shift_of(level)) - 1;
}

static unsigned int first_level(const struct sim_context *context)
{
	return LAST_LEVEL - (context->input_bits - PAGE_SHIFT - 1) / INDEX_BITS;
}

struct step {
	unsigned int level;
	uint64_t table;
	uint32_t prot;
};

/* The table at the top may be shorter than a page, and is aligned to its own size then. */
static struct step at_top(const struct sim_context *context)
{
	unsigned int level = first_level(context);
	uint64_t len = sizeof(uint64_t) << (context->input_bits - shift_of(level));

	return (struct step){ level, context->table & ~(len - 1), SIM_READ | SIM_WRITE };
}

static struct step begin(const struct sim_stage1 *stage1, const struct sim_context *context, uint64_t iova)
{
	struct sim_walk_entry kept;

	for (unsigned int level = LAST_LEVEL; level > first_level(context); level--)
		if (sim_walk_cache_find(stage1->cache, iova, shift_of(level - 1), true, context->asid, &kept))
			return (struct step){ level, kept.value, kept.prot };
	return at_top(context);
}

static bool is_leaf(uint64_t entry, unsigned int level)
{
	return level == LAST_LEVEL || !(entry & TABLE_OR_PAGE);
}

/* What is wrong with an entry, or nothing. */
static enum sim_smmu_event check(const struct sim_context *context, uint64_t entry, unsigned int level)
{
	if (!(entry & VALID))
		return SIM_EVENT_TRANSLATION;
	if (level == LAST_LEVEL ? !(entry & TABLE_OR_PAGE) : is_leaf(entry, level) && level < FIRST_BLOCK)
		return SIM_EVENT_TRANSLATION;
	if (entry & BEYOND || (entry & ADDRESS) >> context->output_bits)
		return SIM_EVENT_ADDRESS_SIZE;
	if (is_leaf(entry, level) && !(entry & ACCESSED) && !context->ignores_access)
		return SIM_EVENT_ACCESS;
	return SIM_EVENT_NONE;
}

static uint32_t allows(const struct sim_context *context, uint64_t entry, bool leaf)
{
	uint64_t none = leaf ? ~entry & UNPRIVILEGED : entry & NO_UNPRIVILEGED;
	uint64_t no_write = entry & (leaf ? READ_ONLY : ALL_READ_ONLY);

	if (!leaf && context->ignores_hierarchy)
		return SIM_READ | SIM_WRITE;
	if (none)
		return 0;
	return no_write ? SIM_READ : SIM_READ | SIM_WRITE;
}

static void keep(struct sim_stage1 *stage1, const struct sim_context *context, const struct step *step,
		 uint64_t entry, uint64_t iova)
{
	bool leaf = is_leaf(entry, step->level);
	uint64_t inside = leaf ? mask_of(step->level) : mask_of(LAST_LEVEL);

	sim_walk_cache_keep(stage1->cache,
			    &(struct sim_walk_entry){ .start = iova & ~mask_of(step->level),
						      .value = entry & ADDRESS & ~inside,
						      .tag = context->asid,
						      .prot = step->prot,
						      .shift = (uint8_t)shift_of(step->level),
						      .table = !leaf,
						      .global = leaf && !(entry & NOT_GLOBAL) });
}

static int walk(struct sim_stage1 *stage1, const struct sim_context *context, uint64_t iova,
		enum sim_smmu_event *ret_event)
{
	struct step step = begin(stage1, context, iova);

	for (;;) {
		uint64_t index = iova >> shift_of(step.level) & ((1 << INDEX_BITS) - 1), entry;
		bool leaf;

		*ret_event = SIM_EVENT_NONE;
		if (sim_stage1_load(stage1, step.table + index * sizeof(entry), &entry))
			return -EFAULT;
		*ret_event = check(context, entry, step.level);
		if (*ret_event != SIM_EVENT_NONE)
			return -EFAULT;
		leaf = is_leaf(entry, step.level);
		step.prot &= allows(context, entry, leaf);
		keep(stage1, context, &step, entry, iova);
		if (leaf)
			return 0;
		step.table = entry & ADDRESS;
		step.level++;
	}
}

static bool recall(const struct sim_stage1 *stage1, const struct sim_context *context, uint64_t iova,
		   struct sim_leaf *ret_leaf)
{
	struct sim_walk_entry kept;

	for (unsigned int level = LAST_LEVEL; level >= FIRST_BLOCK; level--) {
		if (!sim_walk_cache_find(stage1->cache, iova, shift_of(level), false, context->asid, &kept))
			continue;
		*ret_leaf = (struct sim_leaf){ kept.start, kept.value, kept.shift, kept.prot };
		return true;
	}
	return false;
}

int sim_arm_walk(struct sim_stage1 *stage1, const struct sim_context *context, uint64_t iova, bool write,
		 struct sim_leaf *ret_leaf, enum sim_smmu_event *ret_event)
{
	int error = 0;

	*ret_event = SIM_EVENT_TRANSLATION;
	if (context->no_low_half || iova >> context->input_bits)
		return -EFAULT;
	if (!recall(stage1, context, iova, ret_leaf)) {
		error = walk(stage1, context, iova, ret_event);
		if (!error && !recall(stage1, context, iova, ret_leaf))
			error = -EFAULT;
	}
	if (error)
		return error;
	*ret_event = SIM_EVENT_PERMISSION;
	return ret_leaf->prot & (write ? SIM_WRITE : SIM_READ) ? 0 : -EFAULT;
}
