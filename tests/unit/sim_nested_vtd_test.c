// SPDX-License-Identifier: MIT
/* Nested translation by a simulated VT-d: x86-64 tables on a nesting parent (kernel-interface A.8, A.11). */
#include "sim_nested.h"

#include <errno.h>
#include <string.h>

enum { SHIFT_4K = 12, SHIFT_2M = 21, SHIFT_1G = 30 };

#define ALL UINT64_MAX

/* Walking ------------------------------------------------------------------------------------------------ */

UNIT(sim_vtd, a_table_of_the_programs_says_what_is_where)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint64_t high = 0xffff800000000000;

	x86_map(&nest, 0, data_at(3), SHIFT_4K);
	x86_map(&nest, 7 * GIB + PAGE, data_at(4), SHIFT_4K);
	x86_map(&nest, 4 * MIB, data_at(512), SHIFT_2M);
	x86_map(&nest, GIB, ARENA, SHIFT_1G);
	x86_map(&nest, high, data_at(5), SHIFT_4K);
	attached_vtd(t, &nest);
	EXPECT_EQ(page_at(&nest, 0), 3);
	EXPECT_EQ(page_at(&nest, 7 * GIB + PAGE), 4);
	EXPECT_EQ(page_at(&nest, 4 * MIB), 512);
	EXPECT_EQ(page_at(&nest, 6 * MIB - PAGE), 1023);
	EXPECT_EQ(page_at(&nest, GIB + 17 * PAGE), 17);
	EXPECT_EQ(page_at(&nest, high), 5);
	EXPECT_EQ(weir_sim_num_faults(nest.b.sim), 0);
	/* Nothing is there; stage 2 has nothing there; the address is not canonical. */
	EXPECT_EQ(page_at(&nest, PAGE), -EFAULT);
	EXPECT_EQ(page_at(&nest, GIB + 512 * MIB), -EFAULT);
	EXPECT_EQ(page_at(&nest, (uint64_t)1 << 48), -EFAULT);
	EXPECT_EQ(weir_sim_num_faults(nest.b.sim), 3);
}

UNIT(sim_vtd, a_table_may_have_five_levels)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 5);
	uint64_t iova = (uint64_t)1 << 55;

	x86_map(&nest, iova, data_at(9), SHIFT_4K);
	attached_vtd(t, &nest);
	EXPECT_EQ(page_at(&nest, iova), 9);
	EXPECT_EQ(page_at(&nest, 0), -EFAULT);
	EXPECT_EQ(page_at(&nest, iova << 1), -EFAULT);
}

UNIT(sim_vtd, every_entry_on_the_way_has_to_allow_it)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint64_t *page = x86_entry(&nest, 0, SHIFT_4K), *directory = x86_entry(&nest, 0, SHIFT_2M);
	uint32_t hwpt;

	*page = X86_ENTRY(data_at(1));
	hwpt = attached_vtd(t, &nest);
	EXPECT_OK(write_at(&nest, 0));
	*page &= ~(uint64_t)2;
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 0, ALL, 0));
	EXPECT_ERR(-EFAULT, write_at(&nest, 0));
	EXPECT_GE(page_at(&nest, 0), 0);
	*page |= 2;
	*directory &= ~(uint64_t)2;
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 0, ALL, 0));
	EXPECT_ERR(-EFAULT, write_at(&nest, 0));
	*directory = (*directory | 2) & ~(uint64_t)4;
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 0, ALL, 0));
	EXPECT_EQ(page_at(&nest, 0), -EFAULT);
	*directory |= 4;
	EXPECT_OK(write_at(&nest, 0));
	/* Bits that must be zero: of a block's address, and the mark of a block where there are none. */
	*directory = X86_ENTRY(data_at(0) + 2 * PAGE) | 1 << 7;
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 0, ALL, 0));
	EXPECT_EQ(page_at(&nest, 0), -EFAULT);
	*x86_entry(&nest, 0, 39) |= 1 << 7;
	EXPECT_EQ(page_at(&nest, 0), -EFAULT);
}

UNIT(sim_vtd, use_is_noted_in_the_tables)
{
	enum { ACCESSED = 1 << 5, DIRTY = 1 << 6 };
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint64_t *page = x86_entry(&nest, 0, SHIFT_4K), *directory = x86_entry(&nest, 0, SHIFT_2M);

	*page = X86_ENTRY(data_at(1));
	attached_vtd(t, &nest);
	EXPECT_EQ(page_at(&nest, 0), 1);
	EXPECT_EQ(*page, X86_ENTRY(data_at(1)) | ACCESSED);
	EXPECT_EQ(*directory & (ACCESSED | DIRTY), ACCESSED);
	EXPECT_OK(write_at(&nest, 0));
	EXPECT_EQ(*page, X86_ENTRY(data_at(1)) | ACCESSED | DIRTY);
	EXPECT_EQ(*directory & (ACCESSED | DIRTY), ACCESSED);
}

/* Keeping and invalidating ------------------------------------------------------------------------------- */

UNIT(sim_vtd, what_is_changed_and_not_invalidated_is_stale)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t hwpt;

	for (uint32_t i = 0; i < 130; i++)
		x86_map(&nest, (uint64_t)i * PAGE, data_at(i), SHIFT_4K);
	hwpt = attached_vtd(t, &nest);
	for (uint32_t i = 0; i < 130; i++)
		EXPECT_EQ(page_at(&nest, (uint64_t)i * PAGE), i);
	for (uint32_t i = 0; i < 130; i++)
		x86_map(&nest, (uint64_t)i * PAGE, data_at(i + 200), SHIFT_4K);
	for (uint32_t i = 0; i < 130; i++)
		EXPECT_EQ(page_at(&nest, (uint64_t)i * PAGE), i);
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 64 * PAGE, 2, LEAVES_ONLY));
	for (uint32_t i = 0; i < 130; i++)
		EXPECT_EQ(page_at(&nest, (uint64_t)i * PAGE), i == 64 || i == 65 ? i + 200 : i);
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 0, ALL, LEAVES_ONLY));
	for (uint32_t i = 0; i < 130; i++)
		EXPECT_EQ(page_at(&nest, (uint64_t)i * PAGE), i + 200);
}

/* What was not there is not kept. */
UNIT(sim_vtd, a_new_entry_needs_no_invalidation)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);

	attached_vtd(t, &nest);
	EXPECT_EQ(page_at(&nest, 0), -EFAULT);
	x86_map(&nest, 0, data_at(2), SHIFT_4K);
	EXPECT_EQ(page_at(&nest, 0), 2);
}

UNIT(sim_vtd, any_page_of_a_block_takes_the_block)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t hwpt;

	x86_map(&nest, 0, data_at(0), SHIFT_2M);
	hwpt = attached_vtd(t, &nest);
	EXPECT_EQ(page_at(&nest, 0), 0);
	x86_map(&nest, 0, data_at(512), SHIFT_2M);
	/* Of what was not looked at yet, too, the block is known. */
	EXPECT_EQ(page_at(&nest, 9 * PAGE), 9);
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 2 * MIB, 1, LEAVES_ONLY));
	EXPECT_EQ(page_at(&nest, 9 * PAGE), 9);
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 511 * PAGE, 1, LEAVES_ONLY));
	EXPECT_EQ(page_at(&nest, 9 * PAGE), 521);
}

UNIT(sim_vtd, tables_are_kept_until_more_than_leaves_is_invalidated)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint64_t *directory = x86_entry(&nest, 0, SHIFT_2M), old, new = new_table(&nest);
	uint32_t hwpt;

	x86_map(&nest, 0, data_at(1), SHIFT_4K);
	x86_map(&nest, PAGE, data_at(2), SHIFT_4K);
	hwpt = attached_vtd(t, &nest);
	EXPECT_EQ(page_at(&nest, 0), 1);
	/* Another table takes the place of the old one, which is used for something else from now on. */
	old = *directory & ~(uint64_t)0xfff;
	*entry_at(&nest, new) = X86_ENTRY(data_at(3));
	*directory = X86_ENTRY(new);
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 0, 512, LEAVES_ONLY));
	entry_at(&nest, old)[1] = X86_ENTRY(data_at(77));
	EXPECT_EQ(page_at(&nest, 0), 1);
	EXPECT_EQ(page_at(&nest, PAGE), 77);
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 0, 1, 0));
	EXPECT_EQ(page_at(&nest, 0), 3);
	EXPECT_EQ(page_at(&nest, PAGE), 77);
	EXPECT_OK(invalidate_vtd(&nest, hwpt, PAGE, 1, 0));
	EXPECT_EQ(page_at(&nest, PAGE), -EFAULT);
}

/* Two tables on one parent: each is kept for itself. */
UNIT(sim_vtd, other_page_tables_are_not_touched)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	struct nest other = nest;
	struct weir_sim_device *second;
	uint32_t hwpt, second_hwpt;

	ASSERT_OK(weir_sim_add(nest.b.sim, &toy_model, NULL, NULL, &second));
	other.b.device = second;
	other.b.cdev = open_cdev(t, nest.b.sim, second);
	ASSERT_OK(bind_cdev(nest.b.sim, other.b.cdev, nest.b.iommufd, &other.b.dev_id));
	set_bus_master(nest.b.sim, other.b.cdev);
	x86_map(&nest, 0, data_at(1), SHIFT_4K);
	hwpt = attached_vtd(t, &nest);
	second_hwpt = attached_vtd(t, &other);
	EXPECT_EQ(page_at(&nest, 0), 1);
	EXPECT_EQ(page_at(&other, 0), 1);
	x86_map(&nest, 0, data_at(2), SHIFT_4K);
	EXPECT_OK(invalidate_vtd(&nest, hwpt, 0, ALL, 0));
	EXPECT_EQ(page_at(&nest, 0), 2);
	EXPECT_EQ(page_at(&other, 0), 1);
	EXPECT_OK(invalidate_vtd(&nest, second_hwpt, 0, 1, 0));
	EXPECT_EQ(page_at(&other, 0), 2);
}

UNIT(sim_vtd, what_stage_2_loses_is_out_of_reach_at_once)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	unsigned char *extra = new_memory(t, PAGE);
	uint64_t len = PAGE;

	ASSERT_OK(map_at(nest.b.sim, nest.b.iommufd, nest.b.ioas, extra, PAGE, GIB));
	x86_map(&nest, 0, GIB, SHIFT_4K);
	x86_map(&nest, PAGE, data_at(1), SHIFT_4K);
	attached_vtd(t, &nest);
	EXPECT_EQ(page_at(&nest, 0), 0);
	EXPECT_EQ(page_at(&nest, PAGE), 1);
	x86_map(&nest, PAGE, data_at(2), SHIFT_4K);
	ASSERT_OK(unmap(nest.b.sim, nest.b.iommufd, nest.b.ioas, GIB, &len));
	EXPECT_EQ(page_at(&nest, 0), -EFAULT);
	/* The kernel gives up all that was kept of what is nested there. */
	EXPECT_EQ(page_at(&nest, PAGE), 2);
	ASSERT_OK(map_at(nest.b.sim, nest.b.iommufd, nest.b.ioas, extra, PAGE, GIB));
	EXPECT_EQ(page_at(&nest, 0), 0);
}

/* Making and attaching ----------------------------------------------------------------------------------- */

UNIT(sim_vtd, parents_and_data_are_checked)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	struct abi_iommu_hwpt_vtd_s1 data = { .pgtbl_addr = nest.top, .addr_width = 48, .__reserved = 1 };
	uint32_t plain, hwpt, dev = nest.b.dev_id;
	uint64_t at = (uintptr_t)&data;

	ASSERT_OK(hwpt_alloc(nest.b.sim, nest.b.iommufd, dev, nest.b.ioas, &plain));
	ASSERT_OK(vtd_nested(&nest, &data, sizeof(data), &hwpt));
	{
		const struct row rows[] = {
			{ "a parent with faults", 0x89, -EOPNOTSUPP, { .hwpt = { 0, 5, dev, nest.b.ioas } } },
			{ "a plain table", 0x89, -EINVAL, { .hwpt = { 0, 0, dev, plain, 0, 0, 1, 24, at } } },
			{ "a nested table", 0x89, -EINVAL, { .hwpt = { 0, 0, dev, hwpt, 0, 0, 1, 24, at } } },
			{ "short", 0x89, -EINVAL, { .hwpt = { 0, 0, dev, nest.parent, 0, 0, 1, 23, at } } },
			{ "long", 0x89, -EINVAL, { .hwpt = { 0, 0, dev, nest.parent, 0, 0, 1, 32, at } } },
			{ "nowhere", 0x89, -EFAULT, { .hwpt = { 0, 0, dev, nest.parent, 0, 0, 1, 24, 8 } } },
			{ "another's",
			  0x89,
			  -EOPNOTSUPP,
			  { .hwpt = { 0, 0, dev, nest.parent, 0, 0, 2, 24, at } } },
			{ "flags",
			  0x89,
			  -EOPNOTSUPP,
			  { .hwpt = { 0, 1, dev, nest.parent, 0, 0, 1, 24, at } } },
			{ "no virtual ones", 0x90, -EOPNOTSUPP, { .viommu = { 0, 0, 1, dev, nest.parent } } },
		};

		RUN_ROWS(t, nest.b.sim, nest.b.iommufd, rows);
	}
	EXPECT_ERR(-EBUSY, destroy(nest.b.sim, nest.b.iommufd, nest.parent));
	EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, hwpt));
	EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, nest.parent));
}

/* Only attaching shows what hardware cannot do; then all stays as it was. */
UNIT(sim_vtd, flags_and_width_are_judged_at_attach)
{
	static const struct abi_iommu_hwpt_vtd_s1 rows[] = {
		{ .addr_width = 39 },
		{ .addr_width = 0 },
		{ .addr_width = 64 },
		{ .addr_width = 48, .flags = ABI_IOMMU_VTD_S1_SRE },
		{ .addr_width = 48, .flags = ABI_IOMMU_VTD_S1_EAFE },
	};
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t hwpt;

	x86_map(&nest, 0, data_at(1), SHIFT_4K);
	attached_vtd(t, &nest);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct abi_iommu_hwpt_vtd_s1 data = rows[i];

		t_note(t, "row %zu", i);
		data.pgtbl_addr = nest.top;
		ASSERT_OK(vtd_nested(&nest, &data, sizeof(data), &hwpt));
		EXPECT_ERR(-EINVAL, attach_to(nest.b.sim, nest.b.cdev, hwpt));
		EXPECT_EQ(page_at(&nest, 0), 1);
		EXPECT_OK(destroy(nest.b.sim, nest.b.iommufd, hwpt));
	}
}

UNIT(sim_vtd, what_cannot_be_written_is_not_in_a_parent)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t ioas = new_ioas(nest.b.sim, nest.b.iommufd), hwpt;
	union cmd cmd = { .map = { .flags = FIXED | READABLE,
				   .ioas_id = nest.b.ioas,
				   .user_va = (uintptr_t)nest.arena,
				   .length = PAGE } };

	EXPECT_ERR(-EINVAL, command(nest.b.sim, nest.b.iommufd, 0x85, &cmd));
	cmd.map.ioas_id = ioas;
	EXPECT_OK(command(nest.b.sim, nest.b.iommufd, 0x85, &cmd));
	EXPECT_OK(hwpt_alloc(nest.b.sim, nest.b.iommufd, nest.b.dev_id, ioas, &hwpt));
	cmd = (union cmd){
		.hwpt = { .dev_id = nest.b.dev_id, .pt_id = ioas, .flags = ABI_IOMMU_HWPT_ALLOC_NEST_PARENT }
	};
	EXPECT_ERR(-EINVAL, command(nest.b.sim, nest.b.iommufd, 0x89, &cmd));
}

/* A plain table is a first stage there, with its signed addresses; a parent is not. */
UNIT(sim_vtd, a_parent_reaches_further_than_a_plain_table)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t plain;

	EXPECT_EQ(ranges_of(nest.b.sim, nest.b.iommufd, nest.b.ioas).at[0].last, ((uint64_t)1 << 48) - 1);
	ASSERT_OK(hwpt_alloc(nest.b.sim, nest.b.iommufd, nest.b.dev_id, nest.b.ioas, &plain));
	EXPECT_EQ(ranges_of(nest.b.sim, nest.b.iommufd, nest.b.ioas).at[0].last, ((uint64_t)1 << 47) - 1);
}

/* Leaving a page table gives up what was kept of it. */
UNIT(sim_vtd, a_table_that_was_left_is_fresh)
{
	struct nest nest = new_nest(t, WEIR_SIM_IOMMU_VTD, 4);
	uint32_t hwpt;

	x86_map(&nest, 0, data_at(1), SHIFT_4K);
	hwpt = attached_vtd(t, &nest);
	EXPECT_EQ(page_at(&nest, 0), 1);
	x86_map(&nest, 0, data_at(2), SHIFT_4K);
	EXPECT_EQ(page_at(&nest, 0), 1);
	ASSERT_OK(attach_to(nest.b.sim, nest.b.cdev, nest.parent));
	EXPECT_EQ(page_at(&nest, data_at(5)), 5);
	ASSERT_OK(attach_to(nest.b.sim, nest.b.cdev, hwpt));
	EXPECT_EQ(page_at(&nest, 0), 2);
	ASSERT_OK(detach(nest.b.sim, nest.b.cdev));
	EXPECT_EQ(page_at(&nest, 0), -EFAULT);
}
