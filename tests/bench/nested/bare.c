// SPDX-License-Identifier: MIT
#include "bench/nested/bare.h"

#include <err.h>
#include <string.h>

#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"

/* Its table keeps the context of the one below, which other calls need; so this is found by its name. */
static struct bare *peeking;

/* The last space that something was mapped in by its address is the one that is measured. */
static int peek(void *ctx, int fd, unsigned long request, void *arg)
{
	struct bare *bare = peeking;

	if (request == (bare->type1 ? ABI_VFIO_IOMMU_MAP_DMA : ABI_IOMMU_IOAS_MAP)) {
		bare->fd = fd;
		if (!bare->type1)
			bare->ioas = ((const struct abi_iommu_ioas_map *)arg)->ioas_id;
	}
	return bare->below->ioctl(ctx, fd, request, arg);
}

void bare_init(struct bare *bare, const struct weir_sys *below, bool type1)
{
	*bare = (struct bare){ .table = *below, .below = below, .type1 = type1, .fd = -1 };
	bare->table.ioctl = peek;
	peeking = bare;
}

void bare_found(struct bare *bare)
{
	bare->table.ioctl = bare->below->ioctl;
}

void bare_map(const struct bare *bare, void *addr, size_t len, uint64_t iova)
{
	struct abi_iommu_ioas_map map = { .size = sizeof(map),
					  .flags = ABI_IOMMU_IOAS_MAP_FIXED_IOVA |
						   ABI_IOMMU_IOAS_MAP_READABLE | ABI_IOMMU_IOAS_MAP_WRITEABLE,
					  .ioas_id = bare->ioas,
					  .user_va = (uintptr_t)addr,
					  .length = len,
					  .iova = iova };
	struct abi_vfio_iommu_type1_dma_map dma = { .argsz = sizeof(dma),
						    .flags = ABI_VFIO_DMA_MAP_FLAG_READ |
							     ABI_VFIO_DMA_MAP_FLAG_WRITE,
						    .vaddr = (uintptr_t)addr,
						    .iova = iova,
						    .size = len };
	int error = bare->type1 ? bare->below->ioctl(bare->below->ctx, bare->fd, ABI_VFIO_IOMMU_MAP_DMA, &dma)
				: bare->below->ioctl(bare->below->ctx, bare->fd, ABI_IOMMU_IOAS_MAP, &map);

	if (error)
		errx(1, "mapping at IOVA %#llx: %s", (unsigned long long)iova, strerror(-error));
}

void bare_unmap(const struct bare *bare, size_t len, uint64_t iova)
{
	struct abi_iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = bare->ioas, .iova = iova, .length = len
	};
	struct abi_vfio_iommu_type1_dma_unmap dma = { .argsz = sizeof(dma), .iova = iova, .size = len };
	int error = bare->type1
			    ? bare->below->ioctl(bare->below->ctx, bare->fd, ABI_VFIO_IOMMU_UNMAP_DMA, &dma)
			    : bare->below->ioctl(bare->below->ctx, bare->fd, ABI_IOMMU_IOAS_UNMAP, &unmap);

	if (error)
		errx(1, "unmapping at IOVA %#llx: %s", (unsigned long long)iova, strerror(-error));
}
