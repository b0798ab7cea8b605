// SPDX-License-Identifier: MIT
/* A map and an unmap passed on: through the functions of lib/kernel that weir itself uses, which are inline. */
#include "bench/map/forward.h"

#include "kernel/iommufd.h"
#include "kernel/type1.h"

int forward_map(const struct forward *forward, void *addr, size_t len, uint64_t iova)
{
	if (forward->type1)
		return weir_type1_map_dma(forward->sys, forward->fd,
					  ABI_VFIO_DMA_MAP_FLAG_READ | ABI_VFIO_DMA_MAP_FLAG_WRITE, addr, len,
					  iova);
	return weir_iommufd_ioas_map(forward->sys, forward->fd, forward->ioas,
				     ABI_IOMMU_IOAS_MAP_READABLE | ABI_IOMMU_IOAS_MAP_WRITEABLE, addr, len,
				     iova);
}

int forward_unmap(const struct forward *forward, size_t len, uint64_t iova)
{
	uint64_t unmapped;

	if (forward->type1)
		return weir_type1_unmap_dma(forward->sys, forward->fd, iova, len, &unmapped);
	return weir_iommufd_ioas_unmap(forward->sys, forward->fd, forward->ioas, iova, len, &unmapped);
}
