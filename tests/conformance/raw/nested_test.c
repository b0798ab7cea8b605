// SPDX-License-Identifier: MIT
/* Nested page tables, by what devices reach through them; and batches of invalidations (A.3, A.8, A.11, A.14). */
#include "conformance/raw/nested.h"

#include <errno.h>
#include <string.h>

enum { BATCH = 130, NEW = 160, BLOCK = 63 };

/* One that has been read is stale until it is invalidated; so is none that was not. */
CONFORMANCE(raw_nested, a_change_shows_when_it_is_invalidated, NEEDS(IOMMUFD, EDU0, NESTING))
{
	struct nest nest = new_nest(t);
	union nest_entry leaf = nest_leaf(&nest, 5);
	uint32_t num = 1;

	EXPECT_EQ(nest_read(t, &nest, 5), 5);
	EXPECT_EQ(nest_read(t, &nest, 6), 6);
	nest_map(&nest, 5, 105);
	nest_map(&nest, 6, 106);
	EXPECT_EQ(nest_read(t, &nest, 5), 5);
	EXPECT_OK(nest_invalidate(t, &nest, &leaf, &num));
	EXPECT_EQ(num, 1);
	EXPECT_EQ(nest_read(t, &nest, 5), 105);
	EXPECT_EQ(nest_read(t, &nest, 6), 6);
	nest_map(&nest, 400, 7);
	EXPECT_EQ(nest_read(t, &nest, 400), 7);
}

CONFORMANCE(raw_nested, what_is_not_there_is_out_of_reach, NEEDS(IOMMUFD, EDU0, NESTING))
{
	struct nest nest = new_nest(t);
	union nest_entry leaf = nest_leaf(&nest, NEST_LANDING);
	uint32_t num = 1;

	EXPECT_EQ(nest_read(t, &nest, 400), -1);
	/* Read only, of either kind. */
	if (nest.type == ABI_IOMMU_HW_INFO_TYPE_INTEL_VTD)
		*nest_entry(&nest, NEST_LANDING) &= ~(uint64_t)2;
	else
		*nest_entry(&nest, NEST_LANDING) |= 1 << 7;
	EXPECT_OK(nest_invalidate(t, &nest, &leaf, &num));
	EXPECT_EQ(nest_read(t, &nest, 5), -1);
}

CONFORMANCE(raw_nested, a_table_can_be_replaced, NEEDS(IOMMUFD, EDU0, NESTING))
{
	struct nest nest = new_nest(t);
	union nest_entry walk = nest_walk(&nest, 5);
	uint64_t *entries, table;
	uint32_t num = 1;

	EXPECT_EQ(nest_read(t, &nest, 5), 5);
	table = nest_copy_leaves(&nest, &entries);
	entries[5] = entries[77];
	*nest_directory(&nest) = table;
	EXPECT_OK(nest_invalidate(t, &nest, &walk, &num));
	EXPECT_EQ(nest_read(t, &nest, 5), 77);
}

CONFORMANCE(raw_nested, what_leaves_stage_2_is_gone, NEEDS(IOMMUFD, EDU0, NESTING))
{
	struct nest nest = new_nest(t);
	uint64_t extra = new_range(t, PAGE), len = PAGE;

	*(uint64_t *)(uintptr_t)extra = 99 + 1;
	ASSERT_OK(raw_map(t, nest.iommufd, nest.ioas, extra, PAGE, NEST_DATA / 2));
	*nest_entry(&nest, 5) -= NEST_DATA / 2 + 5 * PAGE;
	EXPECT_EQ(nest_read(t, &nest, 5), 99);
	ASSERT_OK(raw_unmap(t, nest.iommufd, nest.ioas, NEST_DATA / 2, &len));
	EXPECT_EQ(nest_read(t, &nest, 5), -1);
	EXPECT_EQ(nest_read(t, &nest, 6), 6);
}

CONFORMANCE(raw_nested, each_part_holds_what_it_is_made_of, NEEDS(IOMMUFD, EDU0, NESTING))
{
	struct nest nest = new_nest(t);

	EXPECT_ERR(-EBUSY, raw_destroy(t, nest.iommufd, nest.hwpt));
	EXPECT_OK(raw_detach(t, nest.edu.fd));
	EXPECT_ERR(-EBUSY, raw_destroy(t, nest.iommufd, nest.parent));
	EXPECT_ERR(-EBUSY, raw_destroy(t, nest.iommufd, nest.ioas));
	if (nest.viommu)
		EXPECT_ERR(-EBUSY, raw_destroy(t, nest.iommufd, nest.viommu));
	EXPECT_OK(raw_destroy(t, nest.iommufd, nest.hwpt));
	if (nest.vdevice)
		EXPECT_OK(raw_destroy(t, nest.iommufd, nest.vdevice));
	if (nest.viommu)
		EXPECT_OK(raw_destroy(t, nest.iommufd, nest.viommu));
	EXPECT_OK(raw_destroy(t, nest.iommufd, nest.parent));
	EXPECT_OK(raw_destroy(t, nest.iommufd, nest.ioas));
}

/* Batches -------------------------------------------------------------------------------------------------- */

/* Of 130 pages those around @bad, and around the ends of blocks, are looked at: a real edu takes its time. All are in suite inval. */
static const uint32_t looked_at[] = { 0, 1, 62, 63, 126, 127 };
enum { NUM_LOOKED_AT = sizeof(looked_at) / sizeof(looked_at[0]) };

static void make_stale(struct t *t, const struct nest *nest, union nest_entry entries[BATCH])
{
	for (uint32_t i = 0; i < BATCH; i++)
		entries[i] = nest_leaf(nest, i);
	for (unsigned int i = 0; i < NUM_LOOKED_AT; i++)
		EXPECT_EQ(nest_read(t, nest, looked_at[i]), looked_at[i]);
	for (uint32_t i = 0; i < BATCH; i++)
		nest_map(nest, i, i + NEW);
}

static void expect_fresh_before(struct t *t, const struct nest *nest, uint32_t end)
{
	for (unsigned int i = 0; i < NUM_LOOKED_AT; i++)
		EXPECT_EQ(nest_read(t, nest, looked_at[i]), looked_at[i] + (looked_at[i] < end ? NEW : 0));
}

static void bad_entry_at(struct t *t, uint32_t bad)
{
	struct nest nest = new_nest(t);
	bool arm = nest.type == ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	union nest_entry entries[BATCH];
	uint32_t num = BATCH;

	make_stale(t, &nest, entries);
	memset(&entries[bad], 0xff, sizeof(entries[bad]));
	EXPECT_ERR(arm ? -EIO : -EOPNOTSUPP, nest_invalidate(t, &nest, entries, &num));
	EXPECT_EQ(num, bad);
	/* Arm's driver counts what it has converted, and issues whole blocks. */
	expect_fresh_before(t, &nest, arm ? bad / BLOCK * BLOCK : bad);
	EXPECT_OK(nest_invalidate(t, &nest, entries, &num));
	EXPECT_EQ(num, bad);
	expect_fresh_before(t, &nest, bad);
}

CONFORMANCE(raw_nested, a_bad_entry_at_1_ends_the_batch, NEEDS(IOMMUFD, EDU0, NESTING))
{
	bad_entry_at(t, 1);
}

CONFORMANCE(raw_nested, a_bad_entry_at_63_ends_the_batch, NEEDS(IOMMUFD, EDU0, NESTING))
{
	bad_entry_at(t, 63);
}

CONFORMANCE(raw_nested, a_bad_entry_at_127_ends_the_batch, NEEDS(IOMMUFD, EDU0, NESTING))
{
	bad_entry_at(t, 127);
}

CONFORMANCE(raw_nested, entries_where_there_is_no_memory_are_refused, NEEDS(IOMMUFD, EDU0, NESTING))
{
	struct nest nest = new_nest(t);
	bool arm = nest.type == ABI_IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	struct abi_iommu_hwpt_invalidate *cmd =
		COMMAND(abi_iommu_hwpt_invalidate, .hwpt_id = nest.invalidated, .data_uptr = 8,
			.entry_len = arm ? sizeof(struct abi_iommu_viommu_arm_smmuv3_invalidate)
					 : sizeof(struct abi_iommu_hwpt_vtd_s1_invalidate),
			.entry_num = 1,
			.data_type = arm ? ABI_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3
					 : ABI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1);

	EXPECT_ERR(-EFAULT, raw_ioctl(t, nest.iommufd, ABI_IOMMU_HWPT_INVALIDATE, cmd));
	EXPECT_EQ(cmd->entry_num, 0);
}

/* Nothing to do is a question that one of them answers. */
CONFORMANCE(raw_nested, no_entries_say_whether_the_type_is_known, NEEDS(IOMMUFD, EDU0, NESTED_VTD))
{
	struct nest nest = new_nest(t);
	uint32_t num = 0;

	EXPECT_OK(nest_invalidate(t, &nest, NULL, &num));
	EXPECT_ERR(-EINVAL,
		   raw_ioctl(t, nest.iommufd, ABI_IOMMU_HWPT_INVALIDATE,
			     COMMAND(abi_iommu_hwpt_invalidate, .hwpt_id = nest.hwpt, .data_type = 1)));
}

CONFORMANCE(raw_nested, no_entries_are_an_error_on_arm, NEEDS(IOMMUFD, EDU0, NESTED_SMMUV3))
{
	struct nest nest = new_nest(t);
	uint32_t num = 0;

	EXPECT_ERR(-EINVAL, nest_invalidate(t, &nest, NULL, &num));
	EXPECT_ERR(-EOPNOTSUPP, raw_ioctl(t, nest.iommufd, ABI_IOMMU_HWPT_INVALIDATE,
					  COMMAND(abi_iommu_hwpt_invalidate, .hwpt_id = nest.hwpt)));
}

/* A context descriptor is kept by itself, and by the device's number. */
CONFORMANCE(raw_nested, a_device_without_a_number_is_not_invalidated_for, NEEDS(IOMMUFD, EDU0, NESTED_SMMUV3))
{
	enum { CFGI_CD_ALL = 0x06 };
	struct nest nest = new_nest(t);
	union nest_entry entry = { .smmuv3 = { { CFGI_CD_ALL | (uint64_t)NEST_STREAM << 32, 0 } } };
	uint32_t num = 1;

	EXPECT_OK(nest_invalidate(t, &nest, &entry, &num));
	EXPECT_OK(raw_destroy(t, nest.iommufd, nest.vdevice));
	EXPECT_ERR(-EIO, nest_invalidate(t, &nest, &entry, &num));
	EXPECT_EQ(num, 0);
	EXPECT_EQ(nest_read(t, &nest, 5), 5);
}
