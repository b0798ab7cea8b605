// SPDX-License-Identifier: MIT
/* The ioctls of the VFIO container, as type1 and /dev/iommu answer them. */
#include "kernel/type1.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/info_chain.h"

int weir_type1_api_version(const struct weir_sys *sys, int container)
{
	return sys->ioctl(sys->ctx, container, ABI_VFIO_GET_API_VERSION, NULL);
}

/* These two take their argument by value, where the others take a pointer. */
int weir_type1_check_extension(const struct weir_sys *sys, int container, unsigned int extension)
{
	return sys->ioctl(sys->ctx, container, ABI_VFIO_CHECK_EXTENSION, (void *)(uintptr_t)extension);
}

int weir_type1_set_iommu(const struct weir_sys *sys, int container, unsigned int type)
{
	return sys->ioctl(sys->ctx, container, ABI_VFIO_SET_IOMMU, (void *)(uintptr_t)type);
}

static int read_ranges(const struct weir_info_cap *cap, struct weir_type1_info *info)
{
	struct abi_vfio_iommu_type1_info_cap_iova_range head;
	size_t size;

	if (cap->room < sizeof(head))
		return -EIO;
	memcpy(&head, cap->start, sizeof(head));
	if (head.nr_iovas > (cap->room - sizeof(head)) / sizeof(head.iova_ranges[0]))
		return -EIO;
	_Static_assert(sizeof(struct weir_iova_range) == sizeof(struct abi_vfio_iova_range), "same layout");
	size = head.nr_iovas * sizeof(head.iova_ranges[0]);
	free(info->ranges);
	info->ranges = malloc(size ? size : 1);
	if (!info->ranges)
		return -ENOMEM;
	memcpy(info->ranges, (const char *)cap->start + sizeof(head), size);
	info->num_ranges = head.nr_iovas;
	return 0;
}

static int read_info(const struct abi_vfio_iommu_type1_info *answer, size_t size,
		     struct weir_type1_info *info)
{
	struct weir_info_cap cap;
	uint32_t next = answer->flags & ABI_VFIO_IOMMU_INFO_CAPS ? answer->cap_offset : 0;
	int error = 0;

	info->page_sizes = answer->flags & ABI_VFIO_IOMMU_INFO_PGSIZES ? answer->iova_pgsizes : 4096;
	while (!error && weir_info_next(answer, size, &next, &cap)) {
		const struct abi_vfio_iommu_type1_info_dma_avail *avail = cap.start;
		struct abi_vfio_iommu_type1_info_cap_migration migration;

		if (cap.id == ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
			error = read_ranges(&cap, info);
		} else if (cap.id == ABI_VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION &&
			   cap.room >= sizeof(migration)) {
			memcpy(&migration, cap.start, sizeof(migration));
			info->dirty_pages = migration.pgsize_bitmap;
		} else if (cap.id == ABI_VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL && cap.room >= sizeof(*avail)) {
			info->mappings_left = avail->avail == UINT32_MAX ? UINT64_MAX : avail->avail;
		}
	}
	return error;
}

int weir_type1_get_info(const struct weir_sys *sys, int container, struct weir_type1_info *ret_info)
{
	struct weir_type1_info info = { .mappings_left = UINT64_MAX };
	struct abi_vfio_iommu_type1_info *answer;
	uint32_t size;
	int error;

	error = weir_info_get(sys, container, ABI_VFIO_IOMMU_GET_INFO, sizeof(*answer), 0, (void **)&answer,
			      &size);
	if (error)
		return error;
	error = read_info(answer, size, &info);
	free(answer);
	if (error)
		free(info.ranges);
	else
		*ret_info = info;
	return error;
}

int weir_type1_track(const struct weir_sys *sys, int container, bool on)
{
	struct abi_vfio_iommu_type1_dirty_bitmap cmd = { .argsz = sizeof(cmd),
							 .flags = on ? ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_START
								     : ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP };

	return sys->ioctl(sys->ctx, container, ABI_VFIO_IOMMU_DIRTY_PAGES, &cmd);
}

int weir_type1_get_dirty(const struct weir_sys *sys, int container, uint64_t iova, uint64_t len,
			 uint64_t page, uint64_t *bits)
{
	struct {
		struct abi_vfio_iommu_type1_dirty_bitmap head;
		struct abi_vfio_iommu_type1_dirty_bitmap_get get;
	} cmd = { .head = { .argsz = sizeof(cmd), .flags = ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
		  .get = { .iova = iova,
			   .size = len,
			   .bitmap = { .pgsize = page,
				       .size = (len / page + 63) / 64 * sizeof(uint64_t),
				       .data = bits } } };

	return sys->ioctl(sys->ctx, container, ABI_VFIO_IOMMU_DIRTY_PAGES, &cmd);
}
