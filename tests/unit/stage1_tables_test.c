// SPDX-License-Identifier: MIT
/* Stage-1 tables: when pages of theirs come and go, how large pages are divided, and that what fails changes nothing. */
#include <errno.h>

#include "support/alloc_fail.h"
#include "unit/stage1_rig.h"

enum { RW = WEIR_MAP_READ | WEIR_MAP_WRITE, PAGE = 4096 };

/* Tables come and go ------------------------------------------------------------------------------------------------ */

UNIT(stage1, tables_are_given_back_when_the_batch_is_done)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i]);
		uint64_t empty = info_of(rig->tables).num_pages;
		struct weir_memory_info before, after;

		ASSERT_OK(weir_memory_info(rig->memory, &before, sizeof(before)));
		ASSERT_OK(weir_stage1_map(rig->tables, 0, PAGE, 4 * MIB, RW, NULL));
		EXPECT_GE(info_of(rig->tables).num_pages, empty + 4);
		EXPECT_EQ(info_of(rig->tables).waiting, 0);
		ASSERT_OK(weir_stage1_unmap(rig->tables, 0, 2 * MIB, rig->changes));
		EXPECT_EQ(info_of(rig->tables).waiting, 1);
		EXPECT_GE(info_of(rig->tables).num_pages, empty + 4);
		ASSERT_OK(weir_stage1_unmap(rig->tables, 0, GIB, rig->changes));
		EXPECT_EQ(info_of(rig->tables).waiting, 3);
		EXPECT_EQ(walk_to(rig, 0), NOWHERE);
		weir_inval_drop(rig->changes);
		EXPECT_EQ(info_of(rig->tables).waiting, 0);
		ASSERT_OK(weir_stage1_unmap(rig->tables, 0,
					    (uint64_t)1 << (info_of(rig->tables).address_bits - 1),
					    rig->changes));
		weir_inval_drop(rig->changes);
		EXPECT_EQ(info_of(rig->tables).num_pages, empty);
		ASSERT_OK(weir_memory_info(rig->memory, &after, sizeof(after)));
		EXPECT_EQ(after.num_buffers, before.num_buffers);
	}
}

/*
 * The IOMMU may remember the way to a table that became empty, and would not see another one that a neighbour puts in its place: so that one stays.
 */
UNIT(stage1, a_neighbour_of_what_was_unmapped_maps_in_the_same_table)
{
	struct rig *rig = new_rig_of(t, WEIR_STAGE1_X86_4);
	struct walker remembered;
	struct walk_page page;
	uint64_t pages;

	ASSERT_OK(weir_stage1_map(rig->tables, 0x10000, 0x10000, PAGE, RW, NULL));
	pages = info_of(rig->tables).num_pages;
	/* A walk that begins where the IOMMU remembers: at the last level. */
	remembered = rig->walker;
	for (int level = 3; level; level--) {
		const uint64_t *words = remembered.at(remembered.ctx, remembered.root);

		remembered.root = words[0] & 0x000ffffffffff000;
	}
	remembered.levels = 1;
	ASSERT_OK(weir_stage1_unmap(rig->tables, 0x10000, PAGE, rig->changes));
	EXPECT_EQ(info_of(rig->tables).num_pages, pages);
	EXPECT_EQ(info_of(rig->tables).waiting, 0);
	ASSERT_OK(weir_stage1_map(rig->tables, 0x20000, 0x33000, PAGE, RW, NULL));
	ASSERT_TRUE(walk_one(&remembered, 0x20000, &page));
	EXPECT_EQ(page.ipa, 0x33000);
}

/* So a large page cannot be where a table was left; but when the whole of it is unmapped, it can. */
UNIT(stage1, a_table_that_was_left_is_used_or_taken_away)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i]);

		ASSERT_OK(weir_stage1_map(rig->tables, 0, 0, PAGE, RW, NULL));
		ASSERT_OK(weir_stage1_unmap(rig->tables, 0, PAGE, rig->changes));
		ASSERT_OK(weir_stage1_map(rig->tables, 0, 0, 2 * MIB, RW, NULL));
		EXPECT_EQ(page_size_at(rig, 0), PAGE);
		ASSERT_OK(weir_stage1_unmap(rig->tables, 0, 2 * MIB, rig->changes));
		weir_inval_drop(rig->changes);
		ASSERT_OK(weir_stage1_map(rig->tables, 0, 0, 2 * MIB, RW, NULL));
		EXPECT_EQ(page_size_at(rig, 0), 2 * MIB);
	}
}

/* Failure ----------------------------------------------------------------------------------------------------------- */

/* What is asked for when memory runs out. */
static int map_many(struct rig *rig)
{
	return weir_stage1_map(rig->tables, 3 * GIB - PAGE, 0, GIB + 8 * MIB, RW, rig->changes);
}

static int unmap_middle(struct rig *rig)
{
	return weir_stage1_unmap(rig->tables, GIB + PAGE, GIB - 2 * PAGE, rig->changes);
}

static int protect_middle(struct rig *rig)
{
	return weir_stage1_protect(rig->tables, GIB + PAGE, GIB - 2 * PAGE, WEIR_MAP_READ, rig->changes);
}

static void expect_unchanged(struct rig *rig, const struct weir_stage1_info *before, uint32_t count)
{
	struct weir_stage1_info after = info_of(rig->tables);

	EXPECT_MEMEQ(before, &after, sizeof(after));
	EXPECT_EQ(weir_inval_count(rig->changes), count);
	EXPECT_EQ(page_size_at(rig, GIB), GIB);
	EXPECT_EQ(walk_to(rig, 3 * GIB - PAGE), NOWHERE);
}

static void run_out(struct rig *rig, int (*call)(struct rig *rig), unsigned int least)
{
	struct weir_stage1_info before = info_of(rig->tables);
	uint32_t count = weir_inval_count(rig->changes);
	unsigned int nth;

	for (nth = 1;; nth++) {
		int error;

		alloc_fail(nth);
		error = call(rig);
		if (!alloc_failed()) {
			EXPECT_OK(error);
			break;
		}
		/* The memory has second thoughts of its own in some places. */
		if (!error)
			break;
		EXPECT_EQ(error, -ENOMEM);
		expect_unchanged(rig, &before, count);
	}
	EXPECT_GE(nth, least);
}

UNIT(stage1, without_memory_nothing_changes)
{
	static int (*const calls[])(struct rig *) = { map_many, unmap_middle, protect_middle };

	for (unsigned int i = 0; i < NUM_FORMATS * 3; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i / 3]);

		t_note(t, "format %u, call %u", all_formats[i / 3], i % 3);
		ASSERT_OK(weir_stage1_map(rig->tables, GIB, GIB, GIB, RW, NULL));
		run_out(rig, calls[i % 3], 3);
	}
}

UNIT(stage1, without_room_in_the_batch_nothing_changes)
{
	static int (*const calls[])(struct rig *) = { map_many, unmap_middle, protect_middle };

	for (unsigned int i = 0; i < NUM_FORMATS * 3; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i / 3]);
		struct weir_stage1_info before;

		ASSERT_OK(weir_stage1_map(rig->tables, GIB, GIB, GIB, RW, NULL));
		before = info_of(rig->tables);
		fail_to_add(-ENOSPC);
		EXPECT_EQ(calls[i % 3](rig), -ENOSPC);
		expect_unchanged(rig, &before, 0);
		EXPECT_OK(calls[i % 3](rig));
	}
}

UNIT(stage1, protecting_what_is_not_mapped_changes_nothing_and_says_where)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i]);
		struct walk_page page;

		ASSERT_OK(weir_stage1_map(rig->tables, 0, 0, 2 * PAGE, RW, NULL));
		ASSERT_OK(weir_stage1_map(rig->tables, GIB, GIB, GIB, RW, NULL));
		EXPECT_ERR(-ENOENT,
			   weir_stage1_protect(rig->tables, 0, 3 * PAGE, WEIR_MAP_READ, rig->changes));
		EXPECT_CONTAINS(weir_error(), "IOVA 0x2000 is not mapped");
		EXPECT_ERR(-ENOENT,
			   weir_stage1_protect(rig->tables, GIB, 2 * GIB, WEIR_MAP_READ, rig->changes));
		EXPECT_CONTAINS(weir_error(), "IOVA 0x80000000 is not mapped");
		EXPECT_EQ(weir_inval_count(rig->changes), 0);
		ASSERT_TRUE(walk_one(&rig->walker, 0, &page));
		EXPECT_TRUE(page.writes);
		ASSERT_TRUE(walk_one(&rig->walker, GIB, &page));
		EXPECT_TRUE(page.writes);
	}
}

/* Break before make ------------------------------------------------------------------------------------------------- */

UNIT(stage1, x86_divides_a_page_without_taking_the_rest_away)
{
	struct rig *rig = new_rig_of(t, WEIR_STAGE1_X86_4);

	ASSERT_OK(weir_stage1_map(rig->tables, GIB, GIB, GIB, RW, NULL));
	ASSERT_OK(weir_stage1_unmap(rig->tables, GIB, PAGE, rig->changes));
	EXPECT_EQ(walk_to(rig, GIB), NOWHERE);
	EXPECT_EQ(walk_to(rig, GIB + PAGE), GIB + PAGE);
	EXPECT_EQ(walk_to(rig, 2 * GIB - 1), 2 * GIB - 1);
}

UNIT(stage1, arm_breaks_a_block_before_its_pieces_are_made)
{
	struct rig *rig = new_rig_of(t, WEIR_STAGE1_ARM64_4K);

	ASSERT_OK(weir_stage1_map(rig->tables, GIB, GIB, GIB, RW, NULL));
	ASSERT_OK(weir_stage1_protect(rig->tables, GIB, PAGE, WEIR_MAP_READ, rig->changes));
	expect_added(GIB, GIB, 0);
	EXPECT_EQ(walk_to(rig, GIB), NOWHERE);
	EXPECT_EQ(walk_to(rig, GIB + PAGE), NOWHERE);
	EXPECT_EQ(walk_to(rig, 2 * GIB - 1), NOWHERE);
	/* Who asks is told what it will be, and may go on. */
	EXPECT_EQ(found_by(rig->tables, GIB + PAGE), GIB + PAGE);
	EXPECT_ERR(-EEXIST, weir_stage1_map(rig->tables, GIB + PAGE, 0, PAGE, RW, NULL));
	ASSERT_OK(weir_stage1_unmap(rig->tables, GIB + PAGE, PAGE, rig->changes));
	weir_inval_drop(rig->changes);
	EXPECT_EQ(walk_to(rig, GIB), GIB);
	EXPECT_EQ(walk_to(rig, GIB + PAGE), NOWHERE);
	EXPECT_EQ(page_size_at(rig, GIB + 2 * PAGE), PAGE);
	EXPECT_EQ(page_size_at(rig, GIB + 2 * MIB), 2 * MIB);
	EXPECT_EQ(walk_to(rig, 2 * GIB - 1), 2 * GIB - 1);
}

/* The table that was to come is never seen by the hardware; it waits for the batch of who divided. */
UNIT(stage1, a_block_that_is_broken_can_be_unmapped_with_another_batch)
{
	struct rig *rig = new_rig_of(t, WEIR_STAGE1_ARM64_4K);
	uint64_t empty = info_of(rig->tables).num_pages;
	struct weir_inval *other;

	ASSERT_OK(weir_inval_open(NULL, &other));
	for (unsigned int i = 0; i < 4; i++) {
		struct weir_inval *first = i & 1 ? other : rig->changes,
				  *second = i & 1 ? rig->changes : other;
		uint64_t len = i & 2 ? GIB : (uint64_t)1 << 48;

		t_note(t, "round %u", i);
		ASSERT_OK(weir_stage1_map(rig->tables, 0, 0, GIB, RW, NULL));
		ASSERT_OK(weir_stage1_unmap(rig->tables, 0, PAGE, rig->changes));
		EXPECT_EQ(info_of(rig->tables).num_pages, empty + 3);
		ASSERT_OK(weir_stage1_unmap(rig->tables, 0, len, other));
		EXPECT_EQ(walk_to(rig, GIB - 1), NOWHERE);
		weir_inval_drop(first);
		EXPECT_EQ(walk_to(rig, GIB - 1), NOWHERE);
		weir_inval_drop(second);
		EXPECT_EQ(walk_to(rig, GIB - 1), NOWHERE);
		EXPECT_EQ(info_of(rig->tables).waiting, 0);
		ASSERT_OK(weir_stage1_unmap(rig->tables, 0, (uint64_t)1 << 48, rig->changes));
		weir_inval_drop(rig->changes);
		EXPECT_EQ(info_of(rig->tables).num_pages, empty);
	}
	EXPECT_OK(weir_inval_close(other));
}

/* In the place of what is there ---------------------------------------------------------------------------------------- */

UNIT(stage1, x86_replaces_what_pages_lead_to)
{
	struct rig *rig = new_rig_of(t, WEIR_STAGE1_X86_4);
	struct walk_page page;

	ASSERT_OK(weir_stage1_map(rig->tables, MIB, 0, 4 * PAGE, RW, NULL));
	ASSERT_OK(weir_stage1_map(rig->tables, GIB, GIB, 4 * MIB, RW, NULL));
	last_added();
	ASSERT_OK(
		weir_stage1_replace(rig->tables, MIB + PAGE, 8 * MIB, 2 * PAGE, WEIR_MAP_READ, rig->changes));
	expect_added(MIB + PAGE, 2 * PAGE, WEIR_INVAL_LEAF);
	EXPECT_EQ(walk_to(rig, MIB), 0);
	EXPECT_EQ(walk_to(rig, MIB + PAGE), 8 * MIB);
	EXPECT_EQ(walk_to(rig, MIB + 2 * PAGE), 8 * MIB + PAGE);
	EXPECT_EQ(walk_to(rig, MIB + 3 * PAGE), 3 * PAGE);
	ASSERT_TRUE(walk_one(&rig->walker, MIB + PAGE, &page));
	EXPECT_FALSE(page.writes);
	/* Large pages stay large. */
	ASSERT_OK(weir_stage1_replace(rig->tables, GIB, 16 * MIB, 4 * MIB, RW, rig->changes));
	EXPECT_EQ(page_size_at(rig, GIB + 2 * MIB), 2 * MIB);
	EXPECT_EQ(walk_to(rig, GIB + 3 * MIB), 19 * MIB);
}

UNIT(stage1, what_cannot_be_replaced_stays)
{
	struct rig *rig = new_rig_of(t, WEIR_STAGE1_X86_4), *arm = new_rig_of(t, WEIR_STAGE1_ARM64_4K);

	ASSERT_OK(weir_stage1_map(rig->tables, MIB, 0, 2 * PAGE, RW, NULL));
	ASSERT_OK(weir_stage1_map(rig->tables, GIB, GIB, 4 * MIB, RW, NULL));
	EXPECT_ERR(-ENOENT, weir_stage1_replace(rig->tables, MIB, 8 * MIB, 3 * PAGE, RW, rig->changes));
	EXPECT_EQ(walk_to(rig, MIB), 0);
	EXPECT_ERR(-EOPNOTSUPP,
		   weir_stage1_replace(rig->tables, GIB, 16 * MIB + PAGE, 4 * MIB, RW, rig->changes));
	EXPECT_ERR(-EOPNOTSUPP, weir_stage1_replace(rig->tables, GIB, 16 * MIB, 3 * MIB, RW, rig->changes));
	EXPECT_EQ(walk_to(rig, GIB), GIB);
	EXPECT_ERR(-EINVAL, weir_stage1_replace(rig->tables, MIB, 8 * MIB + 1, PAGE, RW, rig->changes));
	EXPECT_ERR(-ERANGE, weir_stage1_replace(rig->tables, MIB, (uint64_t)1 << 60, PAGE, RW, rig->changes));
	EXPECT_ERR(-EINVAL, weir_stage1_replace(rig->tables, MIB, 0, PAGE, 8, rig->changes));
	EXPECT_ERR(-EINVAL, weir_stage1_replace(rig->tables, MIB, 0, PAGE, RW, NULL));
	EXPECT_ERR(-EINVAL, weir_stage1_replace(rig->tables, MIB, 0, 0, RW, rig->changes));
	ASSERT_OK(weir_stage1_map(arm->tables, MIB, 0, PAGE, RW, NULL));
	EXPECT_ERR(-EOPNOTSUPP, weir_stage1_replace(arm->tables, MIB, 8 * MIB, PAGE, RW, arm->changes));
	EXPECT_EQ(walk_to(arm, MIB), 0);
}
