// SPDX-License-Identifier: MIT
/* The container's ioctls on /dev/iommu (A.15). */
#include "conformance/raw/raw.h"

#include <errno.h>

enum { V1 = ABI_VFIO_TYPE1_IOMMU, V2 = ABI_VFIO_TYPE1v2_IOMMU, NESTING = 6 };

static int check_extension(struct t *t, int container, uintptr_t number)
{
	return raw_number(t, container, ABI_VFIO_CHECK_EXTENSION, number);
}

static int vfio_ioas(struct t *t, int iommufd, uint16_t op, uint32_t *id)
{
	struct abi_iommu_vfio_ioas *cmd = COMMAND(abi_iommu_vfio_ioas, .op = op, .ioas_id = *id);
	int error = raw_ioctl(t, iommufd, ABI_IOMMU_VFIO_IOAS, cmd);

	*id = cmd->ioas_id;
	return error;
}

/* Setting up -------------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_compat, the_space_is_chosen_or_comes_with_the_first_group, NEEDS(COMPAT, EDU0))
{
	int iommufd = new_iommufd(t), group = open_group(t, "EDU0");
	uint32_t id = 0, none = 99;

	EXPECT_ERR(-ENODEV, vfio_ioas(t, iommufd, ABI_IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(check_extension(t, iommufd, ABI_VFIO_DMA_CC_IOMMU), -ENODEV);
	EXPECT_ERR(-ENODEV, raw_number(t, iommufd, ABI_VFIO_SET_IOMMU, V2));
	EXPECT_ERR(-ENOENT, vfio_ioas(t, iommufd, ABI_IOMMU_VFIO_IOAS_SET, &none));
	EXPECT_ERR(-EOPNOTSUPP, vfio_ioas(t, iommufd, 3, &id));
	ASSERT_OK(raw_set_container(t, group, iommufd));
	EXPECT_OK(vfio_ioas(t, iommufd, ABI_IOMMU_VFIO_IOAS_GET, &id));
	EXPECT_EQ(id, 1);
	EXPECT_EQ(check_extension(t, iommufd, ABI_VFIO_DMA_CC_IOMMU), 1);
	EXPECT_OK(vfio_ioas(t, iommufd, ABI_IOMMU_VFIO_IOAS_CLEAR, &none));
	EXPECT_ERR(-ENODEV, vfio_ioas(t, iommufd, ABI_IOMMU_VFIO_IOAS_GET, &none));
	EXPECT_OK(vfio_ioas(t, iommufd, ABI_IOMMU_VFIO_IOAS_SET, &id));
	EXPECT_OK(raw_number(t, iommufd, ABI_VFIO_SET_IOMMU, V2));
	EXPECT_ERR(-EINVAL, raw_number(t, iommufd, ABI_VFIO_SET_IOMMU, NESTING));
}

CONFORMANCE(raw_compat, extensions_are_there_or_not, NEEDS(COMPAT, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);

	EXPECT_EQ(raw_ioctl(t, container.fd, ABI_VFIO_GET_API_VERSION, NULL), ABI_VFIO_API_VERSION);
	EXPECT_EQ(check_extension(t, container.fd, ABI_VFIO_TYPE1_IOMMU), 1);
	EXPECT_EQ(check_extension(t, container.fd, ABI_VFIO_TYPE1v2_IOMMU), 1);
	/* QEMU's VT-d does not make devices snoop that would not. Its SMMU does, as the mended table has it. */
	EXPECT_EQ(check_extension(t, container.fd, ABI_VFIO_DMA_CC_IOMMU), has_smmuv3());
	EXPECT_EQ(check_extension(t, container.fd, NESTING), 0);
	EXPECT_EQ(check_extension(t, container.fd, ABI_VFIO_UNMAP_ALL), 1);
	EXPECT_EQ(check_extension(t, container.fd, ABI_VFIO_UPDATE_VADDR), 0);
	EXPECT_EQ(check_extension(t, container.fd, 11), 0);
	EXPECT_ERR(-ENOTTY, raw_ioctl(t, container.fd, ABI_VFIO_IOMMU_DIRTY_PAGES,
				      ARGS(abi_vfio_iommu_type1_dirty_bitmap,
					   .flags = ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_START)));
}

CONFORMANCE(raw_compat, version_1_is_for_a_space_without_mappings, NEEDS(COMPAT, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	uint64_t addr = new_range(t, PAGE), len = 0;

	ASSERT_OK(raw_map_dma(t, container.fd, addr, PAGE, MIB));
	EXPECT_ERR(-EINVAL, raw_number(t, container.fd, ABI_VFIO_SET_IOMMU, V1));
	EXPECT_OK(raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_ALL, 0, &len));
	EXPECT_EQ(len, PAGE);
	EXPECT_OK(raw_number(t, container.fd, ABI_VFIO_SET_IOMMU, V1));
	/* It stays so: version 2 does not bring large pages back, so there is nothing to change any more. */
	EXPECT_OK(raw_number(t, container.fd, ABI_VFIO_SET_IOMMU, V2));
	ASSERT_OK(raw_map_dma(t, container.fd, addr, PAGE, MIB));
	EXPECT_OK(raw_number(t, container.fd, ABI_VFIO_SET_IOMMU, V1));
}

struct info {
	struct abi_vfio_iommu_type1_info header;
	uint64_t chain[32];
};

CONFORMANCE(raw_compat, info_tells_pages_and_two_things_more, NEEDS(COMPAT, EDU0, VTD))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	struct info info = { .header = { .argsz = sizeof(info) } };
	const struct abi_vfio_iommu_type1_info_dma_avail *avail;
	const struct abi_vfio_iommu_type1_info_cap_iova_range *range;

	ASSERT_OK(raw_ioctl(t, container.fd, ABI_VFIO_IOMMU_GET_INFO, &info));
	EXPECT_EQ(info.header.iova_pgsizes, 0x40201000);
	ASSERT_NE(info.header.cap_offset, 0);
	avail = (const void *)((const char *)&info + info.header.cap_offset);
	EXPECT_EQ(avail->header.id, ABI_VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	EXPECT_EQ(avail->avail, UINT32_MAX);
	ASSERT_NE(avail->header.next, 0);
	range = (const void *)((const char *)&info + avail->header.next);
	EXPECT_EQ(range->header.id, ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	EXPECT_EQ(range->header.next, 0);
	EXPECT_EQ(range->nr_iovas, 2);
	EXPECT_EQ(range->iova_ranges[0].end, MSI_FIRST - 1);
}

/* Mapping and unmapping --------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_compat, neither_reading_nor_writing_is_not_refused_without_a_page_table, NEEDS(COMPAT, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	struct abi_vfio_iommu_type1_dma_map *map =
		ARGS(abi_vfio_iommu_type1_dma_map, .vaddr = new_range(t, PAGE), .iova = MIB, .size = PAGE);
	uint32_t ioas = raw_ioas(t, container.fd);

	/* The page table would, but by a warning of the kernel's, so it is not asked: this space has none. */
	ASSERT_OK(vfio_ioas(t, container.fd, ABI_IOMMU_VFIO_IOAS_SET, &ioas));
	EXPECT_OK(raw_ioctl(t, container.fd, ABI_VFIO_IOMMU_MAP_DMA, map));
	map->flags = ABI_VFIO_DMA_MAP_FLAG_VADDR;
	EXPECT_ERR(-EINVAL, raw_ioctl(t, container.fd, ABI_VFIO_IOMMU_MAP_DMA, map));
	EXPECT_ERR(-EEXIST, raw_map_dma(t, container.fd, map->vaddr, PAGE, MIB));
}

CONFORMANCE(raw_compat, mapped_registers_are_not_taken, NEEDS(COMPAT, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	uint64_t addr = map_bar(t, container.device, ABI_VFIO_PCI_BAR0_REGION_INDEX, PAGE);

	EXPECT_ERR(-EFAULT, raw_map_dma(t, container.fd, addr, PAGE, MIB));
}

CONFORMANCE(raw_compat, version_2_cuts_no_mapping, NEEDS(COMPAT, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	uint64_t len = PAGE;

	ASSERT_OK(raw_map_dma(t, container.fd, new_range(t, 4 * PAGE), 4 * PAGE, MIB));
	EXPECT_ERR(-ENOENT, raw_unmap_dma(t, container.fd, 0, MIB, &len));
	EXPECT_EQ(len, 0);
	len = PAGE;
	EXPECT_OK(raw_unmap_dma(t, container.fd, 0, 2 * MIB, &len));
	EXPECT_EQ(len, 0);
	EXPECT_ERR(-EINVAL, raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_VADDR, MIB, &len));
	EXPECT_ERR(-EINVAL,
		   raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, MIB, &len));
	len = 4 * PAGE;
	EXPECT_OK(raw_unmap_dma(t, container.fd, 0, MIB, &len));
	EXPECT_EQ(len, 4 * PAGE);
}

/* Where type1 takes the whole or nothing, this cuts. */
CONFORMANCE(raw_compat, version_1_cuts_mappings, NEEDS(COMPAT, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V1);
	uint64_t len = PAGE;

	ASSERT_OK(raw_map_dma(t, container.fd, new_range(t, 4 * PAGE), 4 * PAGE, MIB));
	EXPECT_OK(raw_unmap_dma(t, container.fd, 0, MIB + PAGE, &len));
	EXPECT_EQ(len, PAGE);
	len = 4 * PAGE;
	EXPECT_OK(raw_unmap_dma(t, container.fd, 0, MIB, &len));
	EXPECT_EQ(len, 3 * PAGE);
}
