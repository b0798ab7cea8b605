// SPDX-License-Identifier: MIT
/* The VFIO container, type1 (C). */
#include "conformance/raw/raw.h"

#include <errno.h>
#include <sys/mman.h>

enum { V1 = ABI_VFIO_TYPE1_IOMMU, V2 = ABI_VFIO_TYPE1v2_IOMMU, NESTING = 6 };

static int check_extension(struct t *t, int container, uintptr_t number)
{
	return raw_number(t, container, ABI_VFIO_CHECK_EXTENSION, number);
}

/* Setting up (C.1) -------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_type1, without_a_group_a_container_does_nothing, NEEDS(TYPE1))
{
	int container = raw_open(t, "/dev/vfio/vfio");
	uint64_t len = PAGE;

	EXPECT_EQ(raw_ioctl(t, container, ABI_VFIO_GET_API_VERSION, NULL), ABI_VFIO_API_VERSION);
	EXPECT_ERR(-EINVAL, raw_number(t, container, ABI_VFIO_SET_IOMMU, V2));
	EXPECT_ERR(-EINVAL,
		   raw_ioctl(t, container, ABI_VFIO_IOMMU_GET_INFO, ARGS(abi_vfio_iommu_type1_info)));
	EXPECT_ERR(-EINVAL, raw_map_dma(t, container, new_range(t, PAGE), PAGE, MIB));
	EXPECT_ERR(-EINVAL, raw_unmap_dma(t, container, 0, MIB, &len));
	EXPECT_ERR(-EINVAL, raw_ioctl(t, container, 0x3bff, NULL));
	EXPECT_EQ(check_extension(t, container, ABI_VFIO_TYPE1_IOMMU), 1);
	EXPECT_EQ(check_extension(t, container, ABI_VFIO_TYPE1v2_IOMMU), 1);
	EXPECT_EQ(check_extension(t, container, ABI_VFIO_UNMAP_ALL), 1);
	EXPECT_EQ(check_extension(t, container, ABI_VFIO_UPDATE_VADDR), 0);
	EXPECT_EQ(check_extension(t, container, ABI_VFIO_DMA_CC_IOMMU), 0);
}

CONFORMANCE(raw_type1, extensions_are_there_or_not, NEEDS(TYPE1, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);

	EXPECT_EQ(check_extension(t, container.fd, ABI_VFIO_TYPE1_IOMMU), 1);
	EXPECT_EQ(check_extension(t, container.fd, ABI_VFIO_TYPE1v2_IOMMU), 1);
	/* QEMU's VT-d does not make devices snoop that would not. Its SMMU does, as the mended table has it. */
	EXPECT_EQ(check_extension(t, container.fd, ABI_VFIO_DMA_CC_IOMMU), has_smmuv3());
	EXPECT_EQ(check_extension(t, container.fd, NESTING), 0);
	EXPECT_EQ(check_extension(t, container.fd, ABI_VFIO_UNMAP_ALL), 1);
	EXPECT_EQ(check_extension(t, container.fd, ABI_VFIO_UPDATE_VADDR), 1);
	EXPECT_EQ(check_extension(t, container.fd, 11), 0);
	EXPECT_ERR(-ENOTTY, raw_ioctl(t, container.fd, 0x3bff, NULL));
	EXPECT_ERR(-EINVAL, raw_number(t, container.fd, ABI_VFIO_SET_IOMMU, V2));
}

CONFORMANCE(raw_type1, what_is_no_type1_is_not_set, NEEDS(TYPE1, EDU0))
{
	int container = raw_open(t, "/dev/vfio/vfio"), group = open_group(t, "EDU0");

	ASSERT_OK(raw_set_container(t, group, container));
	EXPECT_ERR(-ENODEV, raw_number(t, container, ABI_VFIO_SET_IOMMU, NESTING));
	EXPECT_ERR(-ENODEV, raw_number(t, container, ABI_VFIO_SET_IOMMU, 99));
	EXPECT_OK(raw_number(t, container, ABI_VFIO_SET_IOMMU, V1));
}

/* What it can do (C.2) ---------------------------------------------------------------------------------------------- */

/* The struct and the chain behind it, and a link of the chain by its place. */
struct info {
	struct abi_vfio_iommu_type1_info header;
	uint64_t chain[32];
};

static const struct abi_vfio_info_cap_header *link_at(const struct info *info, unsigned int place)
{
	uint32_t offset = info->header.cap_offset;
	const struct abi_vfio_info_cap_header *link = NULL;

	for (unsigned int i = 0; offset && i <= place; i++) {
		link = (const void *)((const char *)info + offset);
		offset = link->next;
		if (i == place)
			return link;
	}
	return NULL;
}

static struct info info_of_container(struct t *t, int container)
{
	struct info info = { .header = { .argsz = sizeof(info) } };

	ASSERT_OK(raw_ioctl(t, container, ABI_VFIO_IOMMU_GET_INFO, &info));
	return info;
}

CONFORMANCE(raw_type1, info_tells_pages_and_three_things_more, NEEDS(TYPE1, EDU0, VTD))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	struct info info = info_of_container(t, container.fd);
	const struct abi_vfio_iommu_type1_info_cap_migration *migration;
	const struct abi_vfio_iommu_type1_info_dma_avail *avail;
	const struct abi_vfio_iommu_type1_info_cap_iova_range *range;

	EXPECT_EQ(info.header.flags, ABI_VFIO_IOMMU_INFO_PGSIZES | ABI_VFIO_IOMMU_INFO_CAPS);
	EXPECT_EQ(info.header.iova_pgsizes, 0x40201000);
	migration = (const void *)link_at(&info, 0);
	avail = (const void *)link_at(&info, 1);
	range = (const void *)link_at(&info, 2);
	ASSERT_TRUE(migration && avail && range);
	EXPECT_TRUE(link_at(&info, 3) == NULL);
	EXPECT_EQ(migration->header.id, ABI_VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);
	EXPECT_EQ(migration->pgsize_bitmap, PAGE);
	EXPECT_EQ(migration->max_dirty_bitmap_size, 256 * MIB);
	EXPECT_EQ(avail->header.id, ABI_VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	EXPECT_EQ(avail->avail, 65535);
	EXPECT_EQ(range->header.id, ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	EXPECT_EQ(range->nr_iovas, 2);
	EXPECT_EQ(range->iova_ranges[0].end, MSI_FIRST - 1);
	EXPECT_EQ(range->iova_ranges[1].start, (uint64_t)MSI_LAST + 1);
	EXPECT_EQ(range->iova_ranges[1].end, (1ull << 48) - 1);
}

CONFORMANCE(raw_type1, info_that_does_not_fit_says_how_long_it_is, NEEDS(TYPE1, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	struct abi_vfio_iommu_type1_info *info = ARGS(abi_vfio_iommu_type1_info);

	EXPECT_OK(raw_ioctl(t, container.fd, ABI_VFIO_IOMMU_GET_INFO, info));
	EXPECT_EQ(info->cap_offset, 0);
	EXPECT_GT(info->argsz, sizeof(*info));
	EXPECT_TRUE(info->flags & ABI_VFIO_IOMMU_INFO_CAPS);
	info->argsz = 15;
	EXPECT_ERR(-EINVAL, raw_ioctl(t, container.fd, ABI_VFIO_IOMMU_GET_INFO, info));
}

/* Mapping (C.3) ----------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_type1, what_cannot_be_mapped_is_refused, NEEDS(TYPE1, EDU0, VTD))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	uint64_t addr = new_range(t, 2 * PAGE);

	EXPECT_ERR(-EINVAL,
		   raw_ioctl(t, container.fd, ABI_VFIO_IOMMU_MAP_DMA,
			     ARGS(abi_vfio_iommu_type1_dma_map, .vaddr = addr, .iova = MIB, .size = PAGE)));
	EXPECT_ERR(-EINVAL, raw_map_dma(t, container.fd, addr, 0, MIB));
	EXPECT_ERR(-EINVAL, raw_map_dma(t, container.fd, addr, 100, MIB));
	EXPECT_ERR(-EINVAL, raw_map_dma(t, container.fd, addr + 1, PAGE, MIB));
	EXPECT_ERR(-EINVAL, raw_map_dma(t, container.fd, addr, PAGE, MIB + 1));
	EXPECT_ERR(-EOVERFLOW, raw_map_dma(t, container.fd, addr, 2 * PAGE, -PAGE));
	EXPECT_ERR(-EOVERFLOW, raw_map_dma(t, container.fd, -PAGE, 2 * PAGE, MIB));
	EXPECT_ERR(-EINVAL, raw_map_dma(t, container.fd, addr, PAGE, MSI_FIRST));
	EXPECT_ERR(-EINVAL, raw_map_dma(t, container.fd, addr, PAGE, 1ull << 48));
	EXPECT_ERR(-EFAULT, raw_map_dma(t, container.fd, no_memory(t, PAGE), PAGE, MIB));
	EXPECT_OK(raw_map_dma(t, container.fd, addr, PAGE, MIB));
	EXPECT_ERR(-EEXIST, raw_map_dma(t, container.fd, addr, PAGE, MIB));
}

/* Registers are mapped by their address, if the device answers; and stay so when it does no more (B.10). */
CONFORMANCE(raw_type1, mapped_registers_are_taken_and_not_withdrawn, NEEDS(TYPE1, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	uint64_t addr = map_bar(t, container.device, ABI_VFIO_PCI_BAR0_REGION_INDEX, PAGE), len = PAGE;

	set_decoding(t, container.device, false);
	EXPECT_ERR(-EFAULT, raw_map_dma(t, container.fd, addr, PAGE, MIB));
	set_decoding(t, container.device, true);
	EXPECT_OK(raw_map_dma(t, container.fd, addr, PAGE, MIB));
	set_decoding(t, container.device, false);
	EXPECT_ERR(-EEXIST, raw_map_dma(t, container.fd, new_range(t, PAGE), PAGE, MIB));
	set_decoding(t, container.device, true);
	EXPECT_OK(raw_unmap_dma(t, container.fd, 0, MIB, &len));
	EXPECT_EQ(len, PAGE);
}

/* What lies side by side in the process is one mapping, whatever it is; what is missing behind it, undoes all of it. */
CONFORMANCE(raw_type1, registers_and_memory_side_by_side_are_taken, NEEDS(TYPE1, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	uint64_t addr = new_range(t, 4 * PAGE), len = 0;
	const struct weir_sys *sys = sys_of(t);
	void *over;

	ASSERT_OK(sys->mmap(sys->ctx, (void *)(uintptr_t)(addr + PAGE), PAGE,
			    PROT_READ | PROT_WRITE, // NOLINT
			    MAP_SHARED | MAP_FIXED, container.device, 0, &over));
	EXPECT_OK(raw_map_dma(t, container.fd, addr, 3 * PAGE, MIB));
	EXPECT_EQ(pinned_bytes(), 2 * PAGE);
	EXPECT_ERR(-EEXIST, raw_map_dma(t, container.fd, addr, PAGE, MIB + 2 * PAGE));
	EXPECT_OK(raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_ALL, 0, &len));
	EXPECT_EQ(len, 3 * PAGE);
	EXPECT_EQ(pinned_bytes(), 0);
	set_decoding(t, container.device, false);
	EXPECT_ERR(-EFAULT, raw_map_dma(t, container.fd, addr, 3 * PAGE, MIB));
	EXPECT_EQ(pinned_bytes(), 0);
	set_decoding(t, container.device, true);
	ASSERT_OK(sys->munmap(sys->ctx, over, PAGE));
	EXPECT_ERR(-EFAULT, raw_map_dma(t, container.fd, addr, 3 * PAGE, MIB));
}

/* Unmapping (C.4) --------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_type1, version_2_cuts_no_mapping, NEEDS(TYPE1, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	uint64_t addr = new_range(t, 4 * PAGE), len = PAGE;

	ASSERT_OK(raw_map_dma(t, container.fd, addr, 4 * PAGE, MIB));
	EXPECT_ERR(-EINVAL, raw_unmap_dma(t, container.fd, 0, MIB, &len));
	EXPECT_ERR(-EINVAL, raw_unmap_dma(t, container.fd, 0, MIB + 3 * PAGE, &len));
	EXPECT_EQ(len, PAGE);
	EXPECT_OK(raw_unmap_dma(t, container.fd, 0, 2 * MIB, &len));
	EXPECT_EQ(len, 0);
	/* Several and holes. */
	ASSERT_OK(raw_map_dma(t, container.fd, addr, PAGE, 3 * MIB));
	len = 4 * MIB;
	EXPECT_OK(raw_unmap_dma(t, container.fd, 0, MIB, &len));
	EXPECT_EQ(len, 5 * PAGE);
}

CONFORMANCE(raw_type1, version_1_takes_the_whole_or_nothing, NEEDS(TYPE1, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V1);
	uint64_t addr = new_range(t, 4 * PAGE), len = PAGE;

	ASSERT_OK(raw_map_dma(t, container.fd, addr, 4 * PAGE, MIB));
	EXPECT_OK(raw_unmap_dma(t, container.fd, 0, MIB + PAGE, &len));
	EXPECT_EQ(len, 0);
	EXPECT_ERR(-EEXIST, raw_map_dma(t, container.fd, addr, PAGE, MIB));
	len = PAGE;
	EXPECT_OK(raw_unmap_dma(t, container.fd, 0, MIB, &len));
	EXPECT_EQ(len, 4 * PAGE);
}

CONFORMANCE(raw_type1, everything_goes_at_once, NEEDS(TYPE1, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	uint64_t addr = new_range(t, PAGE), len = 0;

	EXPECT_OK(raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_ALL, 0, &len));
	EXPECT_EQ(len, 0);
	ASSERT_OK(raw_map_dma(t, container.fd, addr, PAGE, MIB));
	ASSERT_OK(raw_map_dma(t, container.fd, addr, PAGE, 16 * MIB));
	len = PAGE;
	EXPECT_ERR(-EINVAL, raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_ALL, 0, &len));
	len = 0;
	EXPECT_OK(raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_ALL, 0, &len));
	EXPECT_EQ(len, 2 * PAGE);
}

/* Addresses taken back and given anew (C.6) ------------------------------------------------------------------------- */

static int give_address(struct t *t, int container, uint64_t addr, uint64_t len, uint64_t iova,
			uint32_t flags)
{
	return raw_ioctl(t, container, ABI_VFIO_IOMMU_MAP_DMA,
			 ARGS(abi_vfio_iommu_type1_dma_map, .flags = ABI_VFIO_DMA_MAP_FLAG_VADDR | flags,
			      .vaddr = addr, .iova = iova, .size = len));
}

CONFORMANCE(raw_type1, addresses_are_taken_back_and_given_anew, NEEDS(TYPE1, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", V2);
	uint64_t addr = new_range(t, 2 * PAGE), len = 2 * PAGE, twice = 2 * PAGE, both = 2 * MIB;

	ASSERT_OK(raw_map_dma(t, container.fd, addr, 2 * PAGE, MIB));
	ASSERT_OK(raw_map_dma(t, container.fd, addr, PAGE, 2 * MIB));
	EXPECT_ERR(-EINVAL, give_address(t, container.fd, addr, 2 * PAGE, MIB, 0));
	EXPECT_OK(raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_VADDR, MIB, &len));
	EXPECT_EQ(len, 2 * PAGE);
	EXPECT_ERR(-EINVAL, raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_VADDR, MIB, &twice));
	/* Both, of which one is taken back already: neither is changed. */
	EXPECT_ERR(-EINVAL, raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_VADDR, MIB, &both));
	EXPECT_ERR(-EINVAL, give_address(t, container.fd, addr, PAGE, 2 * MIB, 0));
	EXPECT_ERR(-EINVAL, give_address(t, container.fd, addr, PAGE, MIB, 0));
	EXPECT_ERR(-EINVAL, give_address(t, container.fd, addr, 2 * PAGE, MIB, ABI_VFIO_DMA_MAP_FLAG_READ));
	EXPECT_ERR(-ENOENT, give_address(t, container.fd, addr, PAGE, 8 * MIB, 0));
	EXPECT_OK(give_address(t, container.fd, addr, 2 * PAGE, MIB, 0));
	len = 0;
	EXPECT_OK(raw_unmap_dma(t, container.fd, ABI_VFIO_DMA_UNMAP_FLAG_ALL, 0, &len));
	EXPECT_EQ(len, 3 * PAGE);
}

/* Groups (B.2, C.1) ------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_group, a_group_is_opened_once_and_says_how_it_is, NEEDS(TYPE1, EDU0))
{
	int group = open_group(t, "EDU0"), container = raw_open(t, "/dev/vfio/vfio");
	struct abi_vfio_group_status *status = ARGS(abi_vfio_group_status);

	EXPECT_EQ(sys_of(t)->open(sys_of(t)->ctx, nodes_of(t, "EDU0").path[NODE_DEVICE], 02 /* O_RDWR */),
		  -EBUSY);
	EXPECT_OK(raw_ioctl(t, group, ABI_VFIO_GROUP_GET_STATUS, status));
	EXPECT_EQ(status->flags, ABI_VFIO_GROUP_FLAGS_VIABLE);
	EXPECT_ERR(-EINVAL, raw_device_of(t, group, "EDU0"));
	ASSERT_OK(raw_set_container(t, group, container));
	EXPECT_OK(raw_ioctl(t, group, ABI_VFIO_GROUP_GET_STATUS, status));
	EXPECT_EQ(status->flags, ABI_VFIO_GROUP_FLAGS_VIABLE | ABI_VFIO_GROUP_FLAGS_CONTAINER_SET);
	EXPECT_ERR(-EINVAL, raw_device_of(t, group, "EDU0"));
	ASSERT_OK(raw_number(t, container, ABI_VFIO_SET_IOMMU, V2));
	EXPECT_GE(raw_device_of(t, group, "EDU0"), 0);
	EXPECT_ERR(-EBUSY, raw_ioctl(t, group, ABI_VFIO_GROUP_UNSET_CONTAINER, NULL));
}
