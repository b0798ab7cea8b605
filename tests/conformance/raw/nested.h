/* SPDX-License-Identifier: MIT */
/*
 * Nested page tables of either kind, written by hand: x86-64's in a nesting parent (VT-d), AArch64's behind a stream table entry of a
 * virtual IOMMU (SMMUv3). EDU0 is on them. NEEDS(NESTING), or of one kind.
 *
 * A few pages of memory ("data", each begins with its number plus one, then the tables) lie in stage 2 at NEST_DATA. Of the addresses that the
 * device uses the first 2 MiB have a table; page NEST_LANDING of them is where it writes what it has read.
 */
#ifndef TESTS_CONFORMANCE_RAW_NESTED_H
#define TESTS_CONFORMANCE_RAW_NESTED_H

#include "conformance/raw/raw.h"

#define NEST_DATA    ((uint64_t)1 << 30)
#define NEST_LANDING 511u

enum { NEST_PAGES = 320, NEST_ASID = 3, NEST_STREAM = 1 };

struct nest {
	int iommufd;
	struct raw_device edu;
	uint32_t type; /* ABI_IOMMU_HW_INFO_TYPE_... */
	uint32_t ioas, parent, hwpt;
	uint32_t viommu, vdevice; /* SMMUv3 */
	uint32_t invalidated;     /* what invalidations are said to: hwpt or viommu */
	unsigned char *memory;
};

/* An entry of a batch, of either kind. */
union nest_entry {
	struct abi_iommu_hwpt_vtd_s1_invalidate vtd;
	struct abi_iommu_viommu_arm_smmuv3_invalidate smmuv3;
};

/* Made, and EDU0 on it. Page i is mapped to data page i, as far as there are any. */
struct nest new_nest(struct t *t);

/* Of the kind that nests here: ABI_IOMMU_HW_INFO_TYPE_...; 0: none does. For capabilities. */
uint32_t nesting_of(struct t *t);

/* The leaf entry of a page, which is changed in memory; map a page to a data page; the entry of the table that the leaves are in. */
uint64_t *nest_entry(const struct nest *nest, uint32_t page);
void nest_map(const struct nest *nest, uint32_t page, uint32_t data);
uint64_t *nest_directory(const struct nest *nest);

/* Another table of leaves, as it is now: where it is in stage 2, to be put into the directory; its entries. */
uint64_t nest_copy_leaves(const struct nest *nest, uint64_t **ret_entries);

/* Which data page the device reads at @page; -1: none. */
int nest_read(struct t *t, const struct nest *nest, uint32_t page);

/* Invalidate @num entries, in the layout of the kind; *@num: what the kernel says was handled. */
int nest_invalidate(struct t *t, const struct nest *nest, const union nest_entry *entries, uint32_t *num);

/* One for the leaf of a page; one that also covers the tables on the way. */
union nest_entry nest_leaf(const struct nest *nest, uint32_t page);
union nest_entry nest_walk(const struct nest *nest, uint32_t page);

#endif
