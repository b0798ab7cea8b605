/* SPDX-License-Identifier: MIT */
/*
 * What a container must answer to MAP_DMA and UNMAP_DMA, after kernel-interface C.3 to C.6 and A.15: type1, version 1 and 2, and
 * /dev/iommu in its place. The page table is there, so everything is pinned at once and aligned to 4 KiB.
 */
#ifndef TESTS_FUZZ_TYPE1_MODEL_H
#define TESTS_FUZZ_TYPE1_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/vfio_abi.h"

enum { TYPE1_MAPPINGS = 128, TYPE1_ERRORS = 4 };

enum type1_kind { TYPE1_V1, TYPE1_V2, COMPAT_V1, COMPAT_V2, TYPE1_KINDS };

struct type1_mapping {
	uint64_t iova, last, address;
	uint32_t flags; /* ABI_VFIO_DMA_MAP_FLAG_READ, _WRITE */
	bool invalid;   /* VADDR was taken back */
};

struct type1 {
	enum type1_kind kind;
	uint32_t limit; /* of mappings */
	bool tracks_dirty;
	struct type1_mapping mappings[TYPE1_MAPPINGS]; /* ascending */
	unsigned int num;
};

/* Any of the errors will do; none: it succeeds. */
struct type1_verdict {
	int errors[TYPE1_ERRORS];
	unsigned int num;
};

bool type1_allows(const struct type1_verdict *verdict, int result);

/* @can_pin: whether the memory is there */
struct type1_verdict type1_map(struct type1 *type1, const struct abi_vfio_iommu_type1_dma_map *cmd,
			       bool can_pin);

/* *@ret_size: what the answer says was unmapped, whatever the verdict; only a compat container says so on failure. */
struct type1_verdict type1_unmap(struct type1 *type1, const struct abi_vfio_iommu_type1_dma_unmap *cmd,
				 uint64_t *ret_size);

const struct type1_mapping *type1_reach(const struct type1 *type1, uint64_t iova);
unsigned int type1_num_invalid(const struct type1 *type1);

static inline bool type1_is_compat(const struct type1 *type1)
{
	return type1->kind >= COMPAT_V1;
}

#endif
