/* SPDX-License-Identifier: MIT */
/*
 * The VFIO container and its type1 IOMMU, a function per ioctl. All return 0 or the kernel's negative errno.
 */
#ifndef WEIR_KERNEL_TYPE1_H
#define WEIR_KERNEL_TYPE1_H

#include <stdbool.h>

#include <weir/ioas.h>

#include "kernel/vfio_abi.h"

/* The VFIO API version (0 today), or a negative errno. */
int weir_type1_api_version(const struct weir_sys *sys, int container);

/* What the kernel says about an extension: 0 no, positive yes, or a negative errno. */
int weir_type1_check_extension(const struct weir_sys *sys, int container, unsigned int extension);

int weir_type1_set_iommu(const struct weir_sys *sys, int container, unsigned int type);

/* What a container says of itself. */
struct weir_type1_info {
	uint64_t page_sizes; /* bit n: pages of 2^n bytes */
	uint64_t
		dirty_pages; /* sizes of pages that are told apart when tracking, likewise; 0: there is none */
	uint64_t mappings_left;         /* how many more mappings it takes; UINT64_MAX if it does not say */
	struct weir_iova_range *ranges; /* malloc'ed; NULL if it does not say */
	uint32_t num_ranges;
};

/* -ENOMEM; -EIO when the answer makes no sense. The caller frees ret_info->ranges. */
int weir_type1_get_info(const struct weir_sys *sys, int container, struct weir_type1_info *ret_info);

/* @flags: ABI_VFIO_DMA_MAP_FLAG_READ and _WRITE. */
static inline int weir_type1_map_dma(const struct weir_sys *sys, int container, uint32_t flags,
				     const void *addr, uint64_t len, uint64_t iova)
{
	struct abi_vfio_iommu_type1_dma_map cmd = {
		.argsz = sizeof(cmd), .flags = flags, .vaddr = (uintptr_t)addr, .iova = iova, .size = len
	};

	return sys->ioctl(sys->ctx, container, ABI_VFIO_IOMMU_MAP_DMA, &cmd);
}

static inline int weir_type1_unmap_dma(const struct weir_sys *sys, int container, uint64_t iova, uint64_t len,
				       uint64_t *ret_len)
{
	struct abi_vfio_iommu_type1_dma_unmap cmd = { .argsz = sizeof(cmd), .iova = iova, .size = len };
	int error = sys->ioctl(sys->ctx, container, ABI_VFIO_IOMMU_UNMAP_DMA, &cmd);

	if (!error)
		*ret_len = cmd.size;
	return error;
}

/* Begin to note what may be written, or stop. */
int weir_type1_track(const struct weir_sys *sys, int container, bool on);

/* Set the bit of each page (of @page bytes, the smallest that there is) that may have been written. The range cuts no mapping. */
int weir_type1_get_dirty(const struct weir_sys *sys, int container, uint64_t iova, uint64_t len,
			 uint64_t page, uint64_t *bits);
/* The memory of one mapping is at no address any more (-EINVAL: it was not before), though devices reach it; and it is at this one, of this process. */
static inline int weir_type1_unmap_vaddr(const struct weir_sys *sys, int container, uint64_t iova,
					 uint64_t len)
{
	struct abi_vfio_iommu_type1_dma_unmap cmd = {
		.argsz = sizeof(cmd), .flags = ABI_VFIO_DMA_UNMAP_FLAG_VADDR, .iova = iova, .size = len
	};

	return sys->ioctl(sys->ctx, container, ABI_VFIO_IOMMU_UNMAP_DMA, &cmd);
}

static inline int weir_type1_map_vaddr(const struct weir_sys *sys, int container, const void *addr,
				       uint64_t len, uint64_t iova)
{
	return weir_type1_map_dma(sys, container, ABI_VFIO_DMA_MAP_FLAG_VADDR, addr, len, iova);
}

#endif
