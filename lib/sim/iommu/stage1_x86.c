// SPDX-License-Identifier: MIT
/*
 * First-stage tables of VT-d: those of x86-64 processors, with 4 or 5 levels. Devices are users, so every entry on the way has to let
 * users through. Accessed and dirty bits are set in memory, and never by halves: a walk that meets a change begins again.
 */
#include <errno.h>

#include "sim/iommu/stage1.h"

#define PRESENT  ((uint64_t)1 << 0)
#define WRITABLE ((uint64_t)1 << 1)
#define USER     ((uint64_t)1 << 2)
#define ACCESSED ((uint64_t)1 << 5)
#define DIRTY    ((uint64_t)1 << 6)
#define LARGE    ((uint64_t)1 << 7)
#define ADDRESS  ((uint64_t)0x000ffffffffff000)

/* In what is kept of a leaf, beside what it allows: its dirty bit is set, so that a write need not walk. */
#define KEPT_DIRTY (1u << 8)

enum { INDEX_BITS = 9, PAGE_SHIFT = 12, LEAVES = 3 /* levels that can have any: 4 KiB, 2 MiB, 1 GiB */ };

/* Of what an entry of that level is about; the lowest level is 1. */
static unsigned int shift_of(unsigned int level)
{
	return PAGE_SHIFT + INDEX_BITS * (level - 1);
}

static uint64_t mask_of(unsigned int level)
{
	return ((uint64_t)1 << shift_of(level)) - 1;
}

/* The bits above the address's width are all like its highest. */
static bool is_canonical(uint64_t iova, unsigned int levels)
{
	unsigned int unused = 64 - shift_of(levels + 1);

	return (uint64_t)((int64_t)(iova << unused) >> unused) == iova;
}

static unsigned int levels_of(const struct sim_stage1 *stage1)
{
	return stage1->width == 57 ? 5 : 4;
}

struct step {
	unsigned int level;
	uint64_t table;
	uint32_t prot;
};

/* The lowest table on the way that is known, or the top. */
static struct step begin(const struct sim_stage1 *stage1, uint64_t iova)
{
	struct sim_walk_entry kept;

	for (unsigned int level = 1; level < levels_of(stage1); level++)
		if (sim_walk_cache_find(stage1->cache, iova, shift_of(level + 1), true, 0, &kept))
			return (struct step){ level, kept.value, kept.prot };
	return (struct step){ levels_of(stage1), stage1->table & ADDRESS, SIM_READ | SIM_WRITE };
}

static bool is_leaf(uint64_t entry, unsigned int level)
{
	return level == 1 || entry & LARGE;
}

static bool is_legal(const struct sim_stage1 *stage1, uint64_t entry, unsigned int level)
{
	unsigned int leaves = stage1->parent->sim->flags & WEIR_SIM_NO_1_GIB ? LEAVES - 1 : LEAVES;

	if (!(entry & PRESENT) || !(entry & USER))
		return false;
	if (level == 1 || !(entry & LARGE))
		return true;
	/* Bit 12 is an attribute there. */
	return level <= leaves && !(entry & ADDRESS & mask_of(level) & ~(uint64_t)(1 << PAGE_SHIFT));
}

/* Read an entry, and note in it that it was used. */
static int use(struct sim_stage1 *stage1, const struct step *step, uint64_t iova, bool write,
	       uint64_t *ret_entry)
{
	uint64_t index = iova >> shift_of(step->level) & ((1 << INDEX_BITS) - 1);
	uint64_t at = step->table + index * sizeof(uint64_t), marks = ACCESSED;
	int error = sim_stage1_load(stage1, at, ret_entry);

	if (error)
		return error;
	if (!is_legal(stage1, *ret_entry, step->level))
		return -EFAULT;
	if (is_leaf(*ret_entry, step->level) && write && *ret_entry & WRITABLE && step->prot & SIM_WRITE)
		marks |= DIRTY;
	if ((*ret_entry & marks) == marks)
		return 0;
	error = sim_stage1_change(stage1, at, *ret_entry, *ret_entry | marks);
	*ret_entry |= marks;
	return error;
}

static void keep(struct sim_stage1 *stage1, const struct step *step, uint64_t entry, uint64_t iova)
{
	bool leaf = is_leaf(entry, step->level);
	uint64_t in_block = leaf ? mask_of(step->level) : mask_of(1);

	sim_walk_cache_keep(
		stage1->cache,
		&(struct sim_walk_entry){ .start = iova & ~mask_of(step->level),
					  .value = entry & ADDRESS & ~in_block,
					  .prot = step->prot | (leaf && entry & DIRTY ? KEPT_DIRTY : 0),
					  .shift = (uint8_t)shift_of(step->level),
					  .table = !leaf });
}

/* -EAGAIN: somebody has changed an entry under way. */
static int walk(struct sim_stage1 *stage1, uint64_t iova, bool write)
{
	struct step step = begin(stage1, iova);
	uint64_t entry;
	int error;

	for (;;) {
		error = use(stage1, &step, iova, write, &entry);
		if (error)
			return error;
		if (!(entry & WRITABLE))
			step.prot &= ~SIM_WRITE;
		keep(stage1, &step, entry, iova);
		if (is_leaf(entry, step.level))
			return 0;
		step.table = entry & ADDRESS;
		step.level--;
	}
}

/* A write to a page that was only read so far has its dirty bit to set. */
static bool recall(const struct sim_stage1 *stage1, uint64_t iova, bool write, struct sim_leaf *ret_leaf)
{
	struct sim_walk_entry kept;

	for (unsigned int level = 1; level <= LEAVES; level++) {
		if (!sim_walk_cache_find(stage1->cache, iova, shift_of(level), false, 0, &kept))
			continue;
		if (write && kept.prot & SIM_WRITE && !(kept.prot & KEPT_DIRTY))
			return false;
		*ret_leaf = (struct sim_leaf){ .start = kept.start,
					       .output = kept.value,
					       .shift = kept.shift,
					       .prot = kept.prot & (SIM_READ | SIM_WRITE) };
		return true;
	}
	return false;
}

int sim_x86_walk(struct sim_stage1 *stage1, uint64_t iova, bool write, struct sim_leaf *ret_leaf)
{
	int error;

	if (!is_canonical(iova, levels_of(stage1)))
		return -EFAULT;
	if (recall(stage1, iova, write, ret_leaf))
		return 0;
	do
		error = walk(stage1, iova, write);
	while (error == -EAGAIN);
	if (error)
		return error;
	return recall(stage1, iova, write, ret_leaf) ? 0 : -EFAULT;
}
