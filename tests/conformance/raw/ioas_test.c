// SPDX-License-Identifier: MIT
/* /dev/iommu: how commands are framed, objects and their ids, address spaces and what they may hold. */
#include "conformance/raw/raw.h"

#include <errno.h>

/* Framing (A.1) ----------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_frame, unknown_commands_are_no_ioctls, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	uint32_t words[16] = { sizeof(words) };

	EXPECT_ERR(-ENOTTY, raw_ioctl(t, iommufd, 0x3b95, words));
	EXPECT_ERR(-ENOTTY, raw_ioctl(t, iommufd, 0x3ba1, words));
	/* Nor is a number with a direction and a size in it. */
	EXPECT_ERR(-ENOTTY, raw_ioctl(t, iommufd, 0xc0083b80, words));
}

CONFORMANCE(raw_frame, the_size_may_be_larger_but_not_smaller, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	struct {
		struct abi_iommu_ioas_alloc known;
		uint32_t tail;
	} alloc = { { .size = sizeof(struct abi_iommu_ioas_alloc) - 1 }, 0 };

	EXPECT_ERR(-EINVAL, raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_ALLOC, &alloc));
	alloc.known.size = sizeof(alloc);
	EXPECT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_ALLOC, &alloc));
	alloc.tail = 1;
	EXPECT_ERR(-E2BIG, raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_ALLOC, &alloc));
	alloc.known.flags = 1;
	alloc.known.size = sizeof(alloc.known);
	EXPECT_ERR(-EOPNOTSUPP, raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_ALLOC, &alloc));
	EXPECT_ERR(-EFAULT, raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_ALLOC, NULL));
}

/* Objects (A.1, A.3) ------------------------------------------------------------------------------------------------ */

CONFORMANCE(raw_object, ids_begin_at_1_and_are_used_again, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);

	EXPECT_EQ(raw_ioas(t, iommufd), 1);
	EXPECT_EQ(raw_ioas(t, iommufd), 2);
	EXPECT_OK(raw_destroy(t, iommufd, 1));
	EXPECT_ERR(-ENOENT, raw_destroy(t, iommufd, 1));
	EXPECT_EQ(raw_ioas(t, iommufd), 1);
	EXPECT_ERR(-ENOENT, raw_destroy(t, iommufd, 0));
}

CONFORMANCE(raw_object, a_device_is_not_destroyed_by_its_id, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");

	EXPECT_ERR(-EBUSY, raw_destroy(t, iommufd, edu.id));
	raw_close(t, edu.fd);
	EXPECT_ERR(-ENOENT, raw_destroy(t, iommufd, edu.id));
}

CONFORMANCE(raw_object, a_space_is_busy_while_it_has_a_page_table, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd), hwpt;
	struct raw_device edu = new_bound(t, iommufd, "EDU0");

	attached(t, edu.fd, ioas);
	EXPECT_ERR(-EBUSY, raw_destroy(t, iommufd, ioas));
	EXPECT_OK(raw_detach(t, edu.fd));
	/* One that is made by hand holds it without any device. */
	ASSERT_OK(raw_hwpt_alloc(t, iommufd, edu.id, ioas, 0, &hwpt));
	EXPECT_ERR(-EBUSY, raw_destroy(t, iommufd, ioas));
	EXPECT_OK(raw_destroy(t, iommufd, hwpt));
	/* Mappings do not hold it. */
	EXPECT_OK(raw_map(t, iommufd, ioas, new_range(t, PAGE), PAGE, MIB));
	EXPECT_OK(raw_destroy(t, iommufd, ioas));
}

CONFORMANCE(raw_object, what_is_open_outlives_the_descriptor, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	struct abi_iommu_fault_alloc *queue = COMMAND(abi_iommu_fault_alloc);
	uint32_t ioas = raw_ioas(t, iommufd), pt_id = ioas;
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	char record[40];

	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_FAULT_QUEUE_ALLOC, queue));
	raw_keep(t, (int)queue->out_fault_fd);
	raw_close(t, iommufd);
	EXPECT_EQ(region_info(t, edu.fd, ABI_VFIO_PCI_BAR0_REGION_INDEX).size, MIB);
	EXPECT_OK(raw_attach(t, edu.fd, &pt_id));
	EXPECT_NE(pt_id, ioas);
	EXPECT_OK(raw_detach(t, edu.fd));
	EXPECT_EQ(sys_of(t)->read(sys_of(t)->ctx, (int)queue->out_fault_fd, record, sizeof(record)), 0);
}

/* Ranges (A.4.1 to A.4.3) ------------------------------------------------------------------------------------------- */

static int iova_ranges(struct t *t, int iommufd, uint32_t ioas, struct abi_iommu_iova_range *ranges,
		       uint32_t room, struct abi_iommu_ioas_iova_ranges *ret_cmd)
{
	*ret_cmd = *COMMAND(abi_iommu_ioas_iova_ranges, .ioas_id = ioas, .num_iovas = room,
			    .allowed_iovas = (uintptr_t)ranges);
	return raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_IOVA_RANGES, ret_cmd);
}

CONFORMANCE(raw_ioas, without_a_device_every_address_can_be_used, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t);
	struct abi_iommu_iova_range ranges[2] = { 0 };
	struct abi_iommu_ioas_iova_ranges cmd;
	uint32_t ioas = raw_ioas(t, iommufd);

	EXPECT_OK(iova_ranges(t, iommufd, ioas, ranges, 2, &cmd));
	EXPECT_EQ(cmd.num_iovas, 1);
	EXPECT_EQ(cmd.out_iova_alignment, 1);
	EXPECT_EQ(ranges[0].start, 0);
	EXPECT_EQ(ranges[0].last, UINT64_MAX);
}

CONFORMANCE(raw_ioas, a_device_leaves_48_bits_without_the_interrupts, NEEDS(IOMMUFD, EDU0, VTD))
{
	int iommufd = new_iommufd(t);
	struct abi_iommu_iova_range ranges[3] = { 0 };
	struct abi_iommu_ioas_iova_ranges cmd;
	uint32_t ioas = raw_ioas(t, iommufd);

	attached(t, new_bound(t, iommufd, "EDU0").fd, ioas);
	EXPECT_OK(iova_ranges(t, iommufd, ioas, ranges, 3, &cmd));
	EXPECT_EQ(cmd.num_iovas, 2);
	EXPECT_EQ(cmd.out_iova_alignment, PAGE);
	EXPECT_EQ(ranges[0].start, 0);
	EXPECT_EQ(ranges[0].last, MSI_FIRST - 1);
	EXPECT_EQ(ranges[1].start, (uint64_t)MSI_LAST + 1);
	EXPECT_EQ(ranges[1].last, (1ull << 48) - 1);

	/* With too little room, what fits and how many there are. */
	ranges[0].start = ranges[1].start = 1;
	EXPECT_ERR(-EMSGSIZE, iova_ranges(t, iommufd, ioas, ranges, 1, &cmd));
	EXPECT_EQ(cmd.num_iovas, 2);
	EXPECT_EQ(cmd.out_iova_alignment, PAGE);
	EXPECT_EQ(ranges[0].start, 0);
	EXPECT_EQ(ranges[1].start, 1);
	EXPECT_ERR(-EMSGSIZE, iova_ranges(t, iommufd, ioas, NULL, 0, &cmd));
	EXPECT_EQ(cmd.num_iovas, 2);
}

static int allow(struct t *t, int iommufd, uint32_t ioas, const struct abi_iommu_iova_range *ranges,
		 uint32_t num)
{
	return raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_ALLOW_IOVAS,
			 COMMAND(abi_iommu_ioas_allow_iovas, .ioas_id = ioas, .num_iovas = num,
				 .allowed_iovas = (uintptr_t)ranges));
}

CONFORMANCE(raw_ioas, allowed_ranges_confine_chosen_addresses_only, NEEDS(IOMMUFD))
{
	const struct abi_iommu_iova_range one_byte = { MIB, MIB }, range = { MIB, MIB + PAGE - 1 };
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	uint64_t addr = new_range(t, 2 * PAGE), iova = 0;
	struct abi_iommu_ioas_iova_ranges cmd;

	EXPECT_ERR(-EINVAL, allow(t, iommufd, ioas, &one_byte, 1));
	ASSERT_OK(allow(t, iommufd, ioas, &range, 1));
	EXPECT_OK(raw_map_anywhere(t, iommufd, ioas, addr, PAGE, &iova));
	EXPECT_EQ(iova, MIB);
	EXPECT_ERR(-ENOSPC, raw_map_anywhere(t, iommufd, ioas, addr, PAGE, &iova));
	EXPECT_OK(raw_map(t, iommufd, ioas, addr, PAGE, 16 * MIB));
	EXPECT_ERR(-EMSGSIZE, iova_ranges(t, iommufd, ioas, NULL, 0, &cmd));
	EXPECT_EQ(cmd.num_iovas, 1);
	EXPECT_OK(allow(t, iommufd, ioas, NULL, 0));
	EXPECT_OK(raw_map_anywhere(t, iommufd, ioas, addr + PAGE, PAGE, &iova));
}
