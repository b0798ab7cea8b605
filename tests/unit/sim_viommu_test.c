// SPDX-License-Identifier: MIT
/* Virtual IOMMUs and devices of a simulated /dev/iommu: what they are made of, what holds them (kernel-interface A.3, A.8, A.14). */
#include "sim_nested.h"

#include <errno.h>

/* Another device on the same iommufd, behind IOMMU @unit. */
static struct nest with_second(struct t *t, const struct nest *nest, uint32_t unit)
{
	struct nest second = *nest;

	ASSERT_OK(weir_sim_add(nest->b.sim, &toy_model, &WEIR_OPTS(weir_sim_slot, .iommu_unit = unit), NULL,
			       &second.b.device));
	second.b.cdev = open_cdev(t, nest->b.sim, second.b.device);
	ASSERT_OK(bind_cdev(nest->b.sim, second.b.cdev, nest->b.iommufd, &second.b.dev_id));
	set_bus_master(nest->b.sim, second.b.cdev);
	return second;
}

UNIT(sim_viommu, holds_its_parent_and_is_held)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4);
	uint32_t viommu = new_viommu(t, &nest), vdevice = viommu + 1, hwpt;
	const uint64_t ste[2] = { 1, 0 };

	ASSERT_OK(smmu_nested(&nest, viommu, ste, sizeof(ste), &hwpt));
	EXPECT_ERR(-EBUSY, destroy(nest.b.sim, nest.b.iommufd, nest.parent));
	EXPECT_ERR(-EBUSY, destroy(nest.b.sim, nest.b.iommufd, viommu));
	EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, vdevice));
	EXPECT_ERR(-EBUSY, destroy(nest.b.sim, nest.b.iommufd, viommu));
	EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, hwpt));
	EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, viommu));
	EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, nest.parent));
	EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, nest.b.ioas));
}

/* The IOAS is 1, the device 2, the parent 3, a plain table 4. */
UNIT(sim_viommu, requests_are_checked_in_the_kernels_order)
{
	static const struct row rows[] = {
		{ "flags", 0x90, -EOPNOTSUPP, { .viommu = { .flags = 1, .type = 1, .dev_id = 9 } } },
		{ "no type", 0x90, -EOPNOTSUPP, { .viommu = { .dev_id = 9 } } },
		{ "no device", 0x90, -ENOENT, { .viommu = { .type = 9, .dev_id = 9 } } },
		{ "another's type",
		  0x90,
		  -EOPNOTSUPP,
		  { .viommu = { .type = 2, .dev_id = 2, .hwpt_id = 9 } } },
		{ "no parent", 0x90, -ENOENT, { .viommu = { .type = 1, .dev_id = 2, .hwpt_id = 9 } } },
		{ "a space", 0x90, -ENOENT, { .viommu = { .type = 1, .dev_id = 2, .hwpt_id = 1 } } },
		{ "a plain table", 0x90, -EINVAL, { .viommu = { .type = 1, .dev_id = 2, .hwpt_id = 4 } } },
		{ "nothing to nest in",
		  0x89,
		  -EOPNOTSUPP,
		  { .hwpt = { .dev_id = 2, .pt_id = 3, .data_type = 2, .data_len = 16 } } },
		{ "no virtual IOMMU", 0x91, -ENOENT, { .vdevice = { .viommu_id = 3, .dev_id = 2 } } },
		{ "a parent for PASIDs",
		  0x89,
		  -EOPNOTSUPP,
		  { .hwpt = { .dev_id = 2, .pt_id = 1, .flags = 9 } } },
	};
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4);
	uint32_t plain;

	ASSERT_OK(hwpt_alloc(nest.b.sim, nest.b.iommufd, nest.b.dev_id, nest.b.ioas, &plain));
	RUN_ROWS(t, nest.b.sim, nest.b.iommufd, rows);
}

UNIT(sim_viommu, a_device_has_one_number_and_a_number_one_device)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4), second = with_second(t, &nest, 0);
	uint32_t viommu = new_viommu(t, &nest), vdevice;

	EXPECT_ERR(-EEXIST, vdevice_alloc(&nest, viommu, STREAM + 1, &vdevice));
	EXPECT_ERR(-EEXIST, vdevice_alloc(&second, viommu, STREAM, &vdevice));
	EXPECT_OK(vdevice_alloc(&second, viommu, UINT64_MAX, &vdevice));
	EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, vdevice));
	EXPECT_OK(vdevice_alloc(&second, viommu, 0, &vdevice));
}

UNIT(sim_viommu, what_is_translated_for_has_to_have_a_number)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4), second = with_second(t, &nest, 0);
	uint32_t viommu = new_viommu(t, &nest), vdevice, hwpt, bypass;
	const uint64_t let_through[2] = { 1 | 4 << 1, 0 };

	hwpt = attached_smmu(t, &nest, viommu, new_cd(&nest, 1));
	EXPECT_ERR(-ENOENT, attach_to(nest.b.sim, second.b.cdev, hwpt));
	ASSERT_OK(smmu_nested(&nest, viommu, let_through, 16, &bypass));
	EXPECT_OK(attach_to(nest.b.sim, second.b.cdev, bypass));
	ASSERT_OK(vdevice_alloc(&second, viommu, 77, &vdevice));
	EXPECT_OK(attach_to(nest.b.sim, second.b.cdev, hwpt));
	/* It may go while it is needed; then commands cannot name it. */
	EXPECT_OK(smmu_command(&nest, viommu, 0x05 | (uint64_t)77 << 32, 1));
	EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, vdevice));
	EXPECT_ERR(-EIO, smmu_command(&nest, viommu, 0x05 | (uint64_t)77 << 32, 1));
}

/* A group moves as one, so all of its devices need one. */
UNIT(sim_viommu, every_device_of_a_group_has_to_have_a_number)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4), second = nest;
	uint32_t viommu = new_viommu(t, &nest), vdevice, hwpt;
	const uint64_t ste[2] = { 1 | 5 << 1 | new_cd(&nest, 1), 0 };

	ASSERT_OK(weir_sim_add(nest.b.sim, &toy_model,
			       &WEIR_OPTS(weir_sim_slot, .group = nest.b.device->group->number), NULL,
			       &second.b.device));
	ASSERT_OK(smmu_nested(&nest, viommu, ste, 16, &hwpt));
	EXPECT_ERR(-ENOENT, attach_to(nest.b.sim, nest.b.cdev, hwpt));
	second.b.cdev = open_cdev(t, nest.b.sim, second.b.device);
	ASSERT_OK(bind_cdev(nest.b.sim, second.b.cdev, nest.b.iommufd, &second.b.dev_id));
	EXPECT_ERR(-ENOENT, attach_to(nest.b.sim, nest.b.cdev, hwpt));
	ASSERT_OK(vdevice_alloc(&second, viommu, STREAM + 1, &vdevice));
	EXPECT_OK(attach_to(nest.b.sim, nest.b.cdev, hwpt));
}

/* Two IOMMUs of a kind: what is of one is not for devices behind the other. */
UNIT(sim_viommu, is_a_part_of_one_iommu)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4), second = with_second(t, &nest, 1);
	uint32_t viommu = new_viommu(t, &nest), vdevice, hwpt;
	const uint64_t ste[2] = { 1, 0 };
	union cmd cmd = { .viommu = { .type = 1, .dev_id = second.b.dev_id, .hwpt_id = nest.parent } };
	uint32_t pt_id = nest.b.ioas, other = nest.b.ioas;

	EXPECT_ERR(-EINVAL, vdevice_alloc(&second, viommu, 6, &vdevice));
	EXPECT_ERR(-EINVAL, smmu_nested(&second, viommu, ste, 16, &hwpt));
	ASSERT_OK(smmu_nested(&nest, viommu, ste, 16, &hwpt));
	EXPECT_ERR(-EINVAL, attach_to(nest.b.sim, second.b.cdev, hwpt));
	EXPECT_ERR(-EINVAL, attach_to(nest.b.sim, second.b.cdev, nest.parent));
	EXPECT_ERR(-EINVAL, command(nest.b.sim, nest.b.iommufd, 0x90, &cmd));
	/* Of automatic tables each gets its own. */
	EXPECT_OK(attach(nest.b.sim, nest.b.cdev, &pt_id));
	EXPECT_OK(attach(nest.b.sim, second.b.cdev, &other));
	EXPECT_NE(pt_id, other);
}

UNIT(sim_viommu, a_number_whose_device_has_gone_is_never_given_again)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4), second = with_second(t, &nest, 0);
	uint32_t viommu = new_viommu(t, &nest), vdevice, ioas;

	ASSERT_OK(vdevice_alloc(&second, viommu, 6, &vdevice));
	close_node(nest.b.sim, second.b.cdev);
	EXPECT_ERR(-ENOENT, destroy(nest.b.sim, nest.b.iommufd, vdevice));
	/* The device's own is. */
	EXPECT_EQ(new_ioas(nest.b.sim, nest.b.iommufd), second.b.dev_id);
	ioas = new_ioas(nest.b.sim, nest.b.iommufd);
	EXPECT_NE(ioas, vdevice);
	EXPECT_NE(new_ioas(nest.b.sim, nest.b.iommufd), vdevice);
	/* The number that it had on the virtual IOMMU is free. */
	EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, viommu + 1));
	EXPECT_OK(vdevice_alloc(&nest, viommu, 6, &vdevice));
}

/* Everything goes with the descriptors, in whatever order it was made. */
UNIT(sim_viommu, all_of_it_goes_with_the_iommufd)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_SMMUV3, 4);
	uint32_t viommu = new_viommu(t, &nest);

	attached_smmu(t, &nest, viommu, new_cd(&nest, 1));
	close_node(nest.b.sim, nest.b.iommufd);
	EXPECT_EQ(page_at(&nest, 0), -EFAULT);
	close_node(nest.b.sim, nest.b.cdev);
}

/* AMD's says yes to all but the last of it (G38). */
UNIT(sim_viommu, of_amds_nothing_comes)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_AMD, 4);
	struct abi_iommu_hwpt_amd_guest data = { 0 };
	union cmd viommu = { .viommu = { .type = 77, .dev_id = nest.b.dev_id, .hwpt_id = nest.parent } };
	union cmd hwpt = { .hwpt = { .dev_id = nest.b.dev_id,
				     .data_type = ABI_IOMMU_HWPT_DATA_AMD_GUEST,
				     .data_len = sizeof(data),
				     .data_uptr = (uintptr_t)&data } };
	union cmd info = { .hw_info = { .dev_id = nest.b.dev_id } };
	uint32_t vdevice, num = 0;

	ASSERT_OK(command(nest.b.sim, nest.b.iommufd, 0x8a, &info));
	EXPECT_EQ(info.hw_info.out_data_type, ABI_IOMMU_HW_INFO_TYPE_AMD);
	ASSERT_OK(command(nest.b.sim, nest.b.iommufd, 0x90, &viommu));
	EXPECT_OK(vdevice_alloc(&nest, viommu.viommu.out_viommu_id, 1, &vdevice));
	hwpt.hwpt.pt_id = viommu.viommu.out_viommu_id;
	EXPECT_ERR(-EOPNOTSUPP, command(nest.b.sim, nest.b.iommufd, 0x89, &hwpt));
	hwpt.hwpt.pt_id = nest.parent;
	EXPECT_ERR(-EOPNOTSUPP, command(nest.b.sim, nest.b.iommufd, 0x89, &hwpt));
	EXPECT_ERR(-EOPNOTSUPP, invalidate(&nest, viommu.viommu.out_viommu_id, 1, NULL, 0, &num));
}
