// SPDX-License-Identifier: MIT
/* PASIDs of devices of a simulated machine (kernel-interface A.9.1), and an SMMUv3's substreams. */
#include "sim_nested.h"

#include <errno.h>

enum { SHIFT_4K = 12, PASID = 7, BITS = 8 };

/* With BITS of PASIDs unless @bits says otherwise. */
static struct board new_pasid_board(struct t *t, uint32_t iommu, uint32_t bits)
{
	return new_board_on(t, &WEIR_OPTS(weir_sim_opts, .iommu = iommu),
			    &WEIR_OPTS(weir_sim_slot, .pasid_bits = bits));
}

static int attach_pasid(const struct board *b, uint32_t pasid, uint32_t pt_id)
{
	struct abi_vfio_device_attach_iommufd_pt cmd = {
		.argsz = sizeof(cmd), .flags = ABI_VFIO_DEVICE_ATTACH_PASID, .pt_id = pt_id, .pasid = pasid
	};

	return call(b->sim, b->cdev, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

static int detach_pasid(const struct board *b, uint32_t pasid)
{
	struct abi_vfio_device_detach_iommufd_pt cmd = { .argsz = sizeof(cmd),
							 .flags = ABI_VFIO_DEVICE_DETACH_PASID,
							 .pasid = pasid };

	return call(b->sim, b->cdev, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

static uint32_t new_hwpt(struct t *t, const struct board *b, uint32_t ioas, uint32_t flags)
{
	union cmd cmd = { .hwpt = { .dev_id = b->dev_id, .pt_id = ioas, .flags = flags } };

	(void)t;
	ASSERT_OK(command(b->sim, b->iommufd, 0x89, &cmd));
	return cmd.hwpt.out_hwpt_id;
}

static int byte_at(const struct board *b, uint32_t pasid, uint64_t iova)
{
	unsigned char byte = 0;
	int error = weir_sim_device_dma_pasid(b->device, pasid, iova, &byte, 1, false);

	return error ? error : byte;
}

UNIT(sim_pasid, is_told_with_the_hardware)
{
	struct board b = new_pasid_board(t, WEIR_SIM_IOMMU_VTD, BITS);
	union cmd cmd = { .hw_info = { .dev_id = b.dev_id } };

	EXPECT_OK(command(b.sim, b.iommufd, 0x8a, &cmd));
	EXPECT_EQ(cmd.hw_info.out_max_pasid_log2, BITS);
}

UNIT(sim_pasid, each_can_be_on_a_table_of_its_own)
{
	struct board b = new_pasid_board(t, WEIR_SIM_IOMMU_VTD, BITS);
	uint32_t other = new_ioas(b.sim, b.iommufd), own_table, table;
	unsigned char *memory = new_memory(t, 2 * PAGE);

	memory[0] = 1;
	memory[PAGE] = 2;
	ASSERT_OK(map_at(b.sim, b.iommufd, b.ioas, memory, PAGE, MIB));
	ASSERT_OK(map_at(b.sim, b.iommufd, other, memory + PAGE, PAGE, MIB));
	own_table = new_hwpt(t, &b, b.ioas, ABI_IOMMU_HWPT_ALLOC_PASID);
	table = new_hwpt(t, &b, other, ABI_IOMMU_HWPT_ALLOC_PASID);
	EXPECT_EQ(byte_at(&b, PASID, MIB), -EFAULT);
	ASSERT_OK(attach_pasid(&b, PASID, table));
	EXPECT_EQ(byte_at(&b, PASID, MIB), 2);
	EXPECT_FALSE(reaches(b.device, MIB));
	ASSERT_OK(attach_to(b.sim, b.cdev, own_table));
	EXPECT_TRUE(reaches(b.device, MIB));
	/* Again is a replacement. */
	ASSERT_OK(attach_pasid(&b, PASID, own_table));
	EXPECT_EQ(byte_at(&b, PASID, MIB), 1);
	EXPECT_OK(destroy(b.sim, b.iommufd, table));
	EXPECT_ERR(-EBUSY, destroy(b.sim, b.iommufd, own_table));
	ASSERT_OK(detach(b.sim, b.cdev));
	EXPECT_EQ(byte_at(&b, PASID, MIB), 1);
	EXPECT_OK(detach_pasid(&b, PASID));
	EXPECT_OK(detach_pasid(&b, PASID));
	EXPECT_EQ(byte_at(&b, PASID, MIB), -EFAULT);
	EXPECT_OK(destroy(b.sim, b.iommufd, own_table));
}

/* Where interrupts of the device as such are, a PASID has memory. */
UNIT(sim_pasid, has_the_window_of_interrupts_to_itself)
{
	struct board b = new_pasid_board(t, WEIR_SIM_IOMMU_VTD, BITS);
	unsigned char *memory = new_memory(t, PAGE);
	uint32_t table;

	memory[0] = 9;
	ASSERT_OK(map_at(b.sim, b.iommufd, b.ioas, memory, PAGE, 0xfee00000));
	table = new_hwpt(t, &b, b.ioas, ABI_IOMMU_HWPT_ALLOC_PASID);
	ASSERT_OK(attach_pasid(&b, PASID, table));
	EXPECT_EQ(byte_at(&b, PASID, 0xfee00000), 9);
}

UNIT(sim_pasid, tables_have_to_be_made_for_it)
{
	struct board b = new_pasid_board(t, WEIR_SIM_IOMMU_VTD, BITS);
	uint32_t plain = new_hwpt(t, &b, b.ioas, 0),
		 table = new_hwpt(t, &b, b.ioas, ABI_IOMMU_HWPT_ALLOC_PASID);

	EXPECT_ERR(-ENOENT, attach_pasid(&b, PASID, 99));
	EXPECT_ERR(-EINVAL, attach_pasid(&b, PASID, b.dev_id));
	EXPECT_ERR(-EINVAL, attach_pasid(&b, PASID, b.ioas));
	EXPECT_ERR(-EINVAL, attach_pasid(&b, PASID, plain));
	EXPECT_ERR(-EINVAL, attach_pasid(&b, 1 << BITS, table));
	EXPECT_ERR(-ENOSPC, attach_pasid(&b, UINT32_MAX, table));
	/* So has that of the device as such, whichever comes first. */
	ASSERT_OK(attach_to(b.sim, b.cdev, plain));
	EXPECT_ERR(-EINVAL, attach_pasid(&b, PASID, table));
	ASSERT_OK(detach(b.sim, b.cdev));
	ASSERT_OK(attach_pasid(&b, PASID, table));
	EXPECT_ERR(-EINVAL, attach_to(b.sim, b.cdev, plain));
	EXPECT_ERR(-EINVAL, attach_to(b.sim, b.cdev, b.ioas));
	EXPECT_OK(attach_to(b.sim, b.cdev, table));
}

/* It says yes, and nothing comes of it; and 0 is the device as such. */
UNIT(sim_pasid, of_a_device_that_has_none_is_accepted)
{
	struct board b = new_pasid_board(t, WEIR_SIM_IOMMU_VTD, 0);
	uint32_t table = new_hwpt(t, &b, b.ioas, ABI_IOMMU_HWPT_ALLOC_PASID);

	ASSERT_OK(map_at(b.sim, b.iommufd, b.ioas, new_memory(t, PAGE), PAGE, MIB));
	EXPECT_OK(attach_pasid(&b, 1 << 20, table));
	EXPECT_EQ(byte_at(&b, 1, MIB), -EINVAL);
	EXPECT_FALSE(reaches(b.device, MIB));
	EXPECT_OK(attach_pasid(&b, 0, table));
	EXPECT_TRUE(reaches(b.device, MIB));
	EXPECT_OK(detach_pasid(&b, 0));
	EXPECT_FALSE(reaches(b.device, MIB));
}

UNIT(sim_pasid, goes_with_the_device)
{
	struct board b = new_pasid_board(t, WEIR_SIM_IOMMU_VTD, BITS);
	uint32_t table = new_hwpt(t, &b, b.ioas, ABI_IOMMU_HWPT_ALLOC_PASID);

	ASSERT_OK(attach_pasid(&b, PASID, table));
	close_node(b.sim, b.cdev);
	EXPECT_OK(destroy(b.sim, b.iommufd, table));
}

/* Arm's keeps them in a table that is not in use while a parent is. */
UNIT(sim_pasid, of_arm_is_not_beside_a_parent)
{
	struct board b = new_pasid_board(t, WEIR_SIM_IOMMU_SMMUV3, BITS);
	uint32_t table = new_hwpt(t, &b, b.ioas, ABI_IOMMU_HWPT_ALLOC_PASID);

	EXPECT_OK(attach_pasid(&b, PASID, table));
	EXPECT_OK(detach_pasid(&b, PASID));
}

/* Substreams ---------------------------------------------------------------------------------------------- */

/* A stream with two substreams, of which the first has descriptor 0; @dss says what goes without one. */
UNIT(sim_pasid, a_stream_table_entry_can_have_many_contexts)
{
	struct nest nest = { .b = new_pasid_board(t, WEIR_SIM_IOMMU_SMMUV3, BITS), .levels = 4 };
	uint64_t first, second, pool, l1, ste[2];
	uint32_t viommu, hwpt;

	nest_on(t, &nest);
	first = nest.top;
	arm_map(&nest, 0, data_at(1), SHIFT_4K);
	pool = new_cd(&nest, 1);
	second = nest.top = new_table(&nest);
	arm_map(&nest, 0, data_at(2), SHIFT_4K);
	/* Descriptor 3, of 64 bytes each. */
	for (unsigned int i = 0; i < 8; i++)
		entry_at(&nest, pool)[3 * 8 + i] = entry_at(&nest, pool)[i];
	entry_at(&nest, pool)[3 * 8] += (uint64_t)1 << 48;
	entry_at(&nest, pool)[3 * 8 + 1] = second;
	entry_at(&nest, pool)[1] = first;
	l1 = new_table(&nest);
	*entry_at(&nest, l1) = pool | 1;
	viommu = new_viommu(t, &nest);
	for (unsigned int format = 0; format < 2; format++) {
		t_note(t, "format %u", format);
		ste[0] = 1 | 5 << 1 | format << 4 | (format ? l1 : pool) | (uint64_t)2 << 59;
		ste[1] = 2;
		ASSERT_OK(smmu_nested(&nest, viommu, ste, 16, &hwpt));
		ASSERT_OK(attach_to(nest.b.sim, nest.b.cdev, hwpt));
		EXPECT_EQ(page_at(&nest, 0), 1);
		EXPECT_EQ(byte_at(&nest.b, 3, 0), 2);
		EXPECT_EQ(byte_at(&nest.b, 2, 0), -EFAULT);
		EXPECT_EQ(byte_at(&nest.b, 4, 0), -EFAULT);
	}
	/* Without a substream: straight through, or not at all. */
	ste[1] = 1;
	ASSERT_OK(smmu_nested(&nest, viommu, ste, 16, &hwpt));
	ASSERT_OK(attach_to(nest.b.sim, nest.b.cdev, hwpt));
	EXPECT_EQ(page_at(&nest, data_at(5)), 5);
	ste[1] = 0;
	ASSERT_OK(smmu_nested(&nest, viommu, ste, 16, &hwpt));
	ASSERT_OK(attach_to(nest.b.sim, nest.b.cdev, hwpt));
	EXPECT_EQ(page_at(&nest, data_at(5)), -EFAULT);
	EXPECT_EQ(byte_at(&nest.b, 3, 0), 2);
}
