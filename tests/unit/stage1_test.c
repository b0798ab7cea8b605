// SPDX-License-Identifier: MIT
/* Stage-1 tables, rule by rule: what is refused, which pages are used, what is noted in a batch, when tables come and go. */
#include <errno.h>

#include "unit/stage1_rig.h"

enum { RW = WEIR_MAP_READ | WEIR_MAP_WRITE, PAGE = 4096 };

/* Opening ----------------------------------------------------------------------------------------------------------- */

UNIT(stage1, options_that_a_format_has_not_are_refused)
{
	static const struct weir_stage1_opts bad[] = {
		{ .format = 0 },
		{ .format = WEIR_STAGE1_MOCK + 1 },
		{ .format = UINT32_MAX },
		{ .format = WEIR_STAGE1_X86_4, .address_bits = 12 },
		{ .format = WEIR_STAGE1_X86_4, .address_bits = 49 },
		{ .format = WEIR_STAGE1_X86_5, .address_bits = 58 },
		{ .format = WEIR_STAGE1_ARM64_4K, .address_bits = 24 },
		{ .format = WEIR_STAGE1_ARM64_4K, .address_bits = 49 },
		{ .format = WEIR_STAGE1_X86_4, .output_bits = 53 },
		{ .format = WEIR_STAGE1_X86_4, .output_bits = 12 },
		{ .format = WEIR_STAGE1_ARM64_4K, .output_bits = 49 },
		{ .format = WEIR_STAGE1_X86_4, .largest_page = 22 },
		{ .format = WEIR_STAGE1_ARM64_4K, .asid = 65536 },
		{ .format = WEIR_STAGE1_X86_4, .asid = 1 },
	};
	struct rig *rig = new_rig_of(t, WEIR_STAGE1_X86_4);
	struct weir_stage1 *tables = NULL;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct weir_stage1_opts opts = bad[i];

		t_note(t, "row %u", i);
		opts.size = sizeof(opts);
		EXPECT_ERR(-EINVAL, weir_stage1_open(rig->memory, &opts, &tables));
	}
	EXPECT_ERR(-EINVAL, weir_stage1_open(rig->memory, NULL, &tables));
	EXPECT_FALSE(tables);
	weir_stage1_close(NULL);
}

UNIT(stage1, pages_of_tables_are_where_entries_can_lead)
{
	struct rig *rig = new_rig_of(t, WEIR_STAGE1_X86_4);
	struct weir_memory_info before, after;
	struct weir_stage1 *tables;

	/* The memory's pages are above 8 KiB. */
	ASSERT_OK(weir_memory_info(rig->memory, &before, sizeof(before)));
	EXPECT_ERR(-ERANGE, weir_stage1_open(rig->memory,
					     &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_X86_4,
							.output_bits = 13),
					     &tables));
	ASSERT_OK(weir_memory_info(rig->memory, &after, sizeof(after)));
	EXPECT_EQ(after.num_buffers, before.num_buffers);
}

UNIT(stage1, info_says_where_the_tables_begin_and_what_they_take)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		bool arm = all_formats[i] == WEIR_STAGE1_ARM64_4K;
		struct rig *rig = new_rig(
			t, &WEIR_OPTS(weir_stage1_opts, .format = all_formats[i], .asid = arm ? 65535 : 0));
		struct weir_stage1_info info = info_of(rig->tables);
		char small[8];

		t_note(t, "format %u", all_formats[i]);
		EXPECT_EQ(info.format, all_formats[i]);
		EXPECT_EQ(info.address_bits, all_formats[i] == WEIR_STAGE1_X86_5 ? 57 : 48);
		EXPECT_EQ(info.output_bits, arm ? 48 : 52);
		EXPECT_EQ(info.asid, arm ? 65535 : 0);
		EXPECT_EQ(info.root % PAGE, 0);
		EXPECT_EQ(info.descriptor % PAGE, 0);
		EXPECT_EQ(info.descriptor != 0, arm);
		EXPECT_EQ(info.num_pages, arm ? 2 : 1);
		EXPECT_EQ(info.waiting, 0);
		if (arm)
			EXPECT_EQ(walk_asid(&rig->walker), 65535);
		EXPECT_OK(weir_stage1_info(rig->tables, (struct weir_stage1_info *)(void *)small,
					   sizeof(small)));
		EXPECT_MEMEQ(&info, small, sizeof(small));
	}
}

/* Ranges ------------------------------------------------------------------------------------------------------------ */

struct bad_range {
	uint64_t iova, ipa, len;
	int error;
	const char *says;
};

static void expect_bad(struct rig *rig, const struct bad_range *range)
{
	EXPECT_ERR(range->error,
		   weir_stage1_map(rig->tables, range->iova, range->ipa, range->len, RW, rig->changes));
	EXPECT_CONTAINS(weir_error(), range->says);
	if (range->ipa)
		return;
	EXPECT_ERR(range->error, weir_stage1_unmap(rig->tables, range->iova, range->len, rig->changes));
	EXPECT_CONTAINS(weir_error(), range->says);
	EXPECT_ERR(range->error, weir_stage1_protect(rig->tables, range->iova, range->len, RW, rig->changes));
	EXPECT_CONTAINS(weir_error(), range->says);
}

static void expect_all_bad(struct rig *rig, const struct bad_range *ranges, unsigned int num)
{
	struct weir_stage1_info before = info_of(rig->tables), after;

	for (unsigned int i = 0; i < num; i++) {
		t_note(rig->t, "row %u", i);
		expect_bad(rig, &ranges[i]);
	}
	after = info_of(rig->tables);
	EXPECT_MEMEQ(&before, &after, sizeof(before));
	EXPECT_EQ(weir_inval_count(rig->changes), 0);
}

UNIT(stage1, ranges_outside_x86_are_refused)
{
	static const struct bad_range bad[] = {
		{ 0, 0, 0, -EINVAL, "whole pages" },
		{ 1, 0, PAGE, -EINVAL, "whole pages" },
		{ PAGE, 0, 100, -EINVAL, "whole pages" },
		{ PAGE, 17, PAGE, -EINVAL, "IPA 0x11 " },
		{ 2 * PAGE, 0, -(uint64_t)PAGE, -EOVERFLOW, "beyond 64 bits" },
		{ 0, -(uint64_t)PAGE, 2 * PAGE, -EOVERFLOW, "IPA 0xfffffffffffff000" },
		{ 0, (uint64_t)1 << 52, PAGE, -ERANGE, "52 output bits" },
		{ 0, ((uint64_t)1 << 52) - PAGE, 2 * PAGE, -ERANGE, "52 output bits" },
		{ (uint64_t)1 << 47, 0, PAGE, -ERANGE, "not canonical" },
		{ ((uint64_t)1 << 47) - PAGE, 0, 2 * PAGE, -ERANGE, "not canonical" },
		{ -((uint64_t)1 << 47) - PAGE, 0, PAGE, -ERANGE, "not canonical" },
		{ -((uint64_t)1 << 47) - PAGE, 0, 2 * PAGE, -ERANGE, "not canonical" },
		{ 0, 0, -(uint64_t)PAGE, -ERANGE, "not canonical" },
	};

	expect_all_bad(new_rig_of(t, WEIR_STAGE1_X86_4), bad, sizeof(bad) / sizeof(bad[0]));
}

UNIT(stage1, ranges_outside_what_was_asked_for_are_refused)
{
	static const struct bad_range bad[] = {
		{ (uint64_t)1 << 40, 0, PAGE, -ERANGE, "40 address bits" },
		{ ((uint64_t)1 << 40) - PAGE, 0, 2 * PAGE, -ERANGE, "40 address bits" },
		{ -(uint64_t)PAGE, 0, PAGE, -ERANGE, "40 address bits" },
		{ 0, (uint64_t)1 << 36, PAGE, -ERANGE, "36 output bits" },
	};

	for (unsigned int i = 0; i < NUM_FORMATS; i++)
		expect_all_bad(new_rig(t, &WEIR_OPTS(weir_stage1_opts, .format = all_formats[i],
						     .address_bits = 40, .output_bits = 36)),
			       bad, sizeof(bad) / sizeof(bad[0]));
}

UNIT(stage1, the_first_and_the_last_address_can_be_mapped)
{
	static const struct {
		uint32_t format, address_bits;
		uint64_t last, output;
	} rows[] = { { WEIR_STAGE1_X86_4, 0, -(uint64_t)PAGE, 52 },
		     { WEIR_STAGE1_X86_4, 0, ((uint64_t)1 << 47) - PAGE, 52 },
		     { WEIR_STAGE1_X86_4, 0, -((uint64_t)1 << 47), 52 },
		     { WEIR_STAGE1_X86_4, 48, -(uint64_t)PAGE, 52 },
		     { WEIR_STAGE1_X86_4, 47, ((uint64_t)1 << 47) - PAGE, 52 },
		     { WEIR_STAGE1_X86_5, 0, -(uint64_t)PAGE, 52 },
		     { WEIR_STAGE1_X86_5, 0, ((uint64_t)1 << 56) - PAGE, 52 },
		     { WEIR_STAGE1_X86_5, 48, ((uint64_t)1 << 48) - PAGE, 52 },
		     { WEIR_STAGE1_ARM64_4K, 0, ((uint64_t)1 << 48) - PAGE, 48 },
		     { WEIR_STAGE1_ARM64_4K, 25, ((uint64_t)1 << 25) - PAGE, 48 },
		     { WEIR_STAGE1_MOCK, 0, -(uint64_t)PAGE, 52 } };

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = new_rig(t, &WEIR_OPTS(weir_stage1_opts, .format = rows[i].format,
							.address_bits = rows[i].address_bits));
		uint64_t highest = ((uint64_t)1 << rows[i].output) - PAGE;

		t_note(t, "row %u", i);
		ASSERT_OK(weir_stage1_map(rig->tables, rows[i].last, highest, PAGE, RW, NULL));
		ASSERT_OK(weir_stage1_map(rig->tables, 0, 0, PAGE, RW, NULL));
		EXPECT_EQ(walk_to(rig, rows[i].last), highest);
		EXPECT_EQ(walk_to(rig, 0), 0);
		EXPECT_EQ(found_by(rig->tables, rows[i].last + PAGE - 1), highest + PAGE - 1);
		EXPECT_EQ(found_by(rig->tables, 0), 0);
		EXPECT_EQ(found_by(rig->tables, PAGE), NOWHERE);
	}
}

UNIT(stage1, what_is_allowed_is_read_or_write_and_both_if_neither_is_said)
{
	static const uint32_t asked[] = { 0, WEIR_MAP_READ, WEIR_MAP_WRITE, RW },
			      got[] = { RW, WEIR_MAP_READ, RW, RW };

	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i]);

		for (unsigned int j = 0; j < 4; j++) {
			uint64_t iova = j * PAGE, ipa;
			struct walk_page page;
			uint32_t prot;

			t_note(t, "format %u, %u", all_formats[i], asked[j]);
			ASSERT_OK(weir_stage1_map(rig->tables, iova, iova, PAGE, asked[j], NULL));
			ASSERT_OK(weir_stage1_find(rig->tables, iova, &ipa, NULL, &prot));
			EXPECT_EQ(prot, got[j]);
			ASSERT_TRUE(walk_one(&rig->walker, iova, &page));
			EXPECT_EQ(page.writes, got[j] == RW);
		}
		EXPECT_ERR(-EINVAL, weir_stage1_map(rig->tables, MIB, MIB, PAGE, 4, NULL));
		EXPECT_ERR(-EINVAL, weir_stage1_protect(rig->tables, 0, PAGE, 8, rig->changes));
		EXPECT_ERR(-EINVAL, weir_stage1_protect(rig->tables, 0, PAGE, RW, NULL));
		EXPECT_ERR(-EINVAL, weir_stage1_unmap(rig->tables, 0, PAGE, NULL));
		EXPECT_CONTAINS(weir_error(), "no batch");
	}
}

UNIT(stage1, a_map_onto_what_is_mapped_changes_nothing_and_says_where)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i]);
		struct weir_stage1_info before, after;

		ASSERT_OK(weir_stage1_map(rig->tables, 0x601000, 0x9000, PAGE, RW, NULL));
		ASSERT_OK(weir_stage1_map(rig->tables, GIB, GIB, GIB, RW, NULL));
		before = info_of(rig->tables);
		EXPECT_ERR(-EEXIST, weir_stage1_map(rig->tables, 0x400000, 0, 4 * MIB, RW, rig->changes));
		EXPECT_CONTAINS(weir_error(), "0x601000");
		EXPECT_ERR(-EEXIST,
			   weir_stage1_map(rig->tables, GIB - 4 * MIB, 0, 5 * MIB, RW, rig->changes));
		EXPECT_CONTAINS(weir_error(), "0x40000000");
		EXPECT_ERR(-EEXIST, weir_stage1_map(rig->tables, GIB + PAGE, 0, PAGE, RW, rig->changes));
		EXPECT_CONTAINS(weir_error(), "0x40001000");
		EXPECT_ERR(-EEXIST, weir_stage1_map(rig->tables, 0, 0, 4 * GIB, RW, rig->changes));
		after = info_of(rig->tables);
		EXPECT_MEMEQ(&before, &after, sizeof(before));
		EXPECT_EQ(weir_inval_count(rig->changes), 0);
		EXPECT_EQ(walk_to(rig, 0x400000), NOWHERE);
		EXPECT_EQ(walk_to(rig, 0x601000), 0x9000);
	}
}

/* Pages ------------------------------------------------------------------------------------------------------------- */

UNIT(stage1, the_largest_pages_that_fit_are_used)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i]);

		t_note(t, "format %u", all_formats[i]);
		ASSERT_OK(weir_stage1_map(rig->tables, GIB - 2 * MIB - PAGE, 5 * GIB - 2 * MIB - PAGE,
					  GIB + 4 * MIB + 2 * PAGE, RW, NULL));
		EXPECT_EQ(page_size_at(rig, GIB - 2 * MIB - PAGE), PAGE);
		EXPECT_EQ(page_size_at(rig, GIB - 2 * MIB), 2 * MIB);
		EXPECT_EQ(page_size_at(rig, GIB), GIB);
		EXPECT_EQ(page_size_at(rig, 2 * GIB), 2 * MIB);
		EXPECT_EQ(page_size_at(rig, 2 * GIB + 2 * MIB), PAGE);
		EXPECT_EQ(page_size_at(rig, 2 * GIB + 2 * MIB + PAGE), 0);
		EXPECT_EQ(walk_to(rig, GIB + 0x123456), 5 * GIB + 0x123456);
		/* Where the IPA is not aligned alike. */
		ASSERT_OK(weir_stage1_map(rig->tables, 8 * GIB, 8 * GIB + 2 * MIB, GIB, RW, NULL));
		EXPECT_EQ(page_size_at(rig, 8 * GIB), 2 * MIB);
		ASSERT_OK(weir_stage1_map(rig->tables, 16 * GIB, 16 * GIB + PAGE, 2 * MIB, RW, NULL));
		EXPECT_EQ(page_size_at(rig, 16 * GIB), PAGE);
	}
}

UNIT(stage1, no_page_is_larger_than_was_asked_for)
{
	for (uint32_t bits = 12; bits <= 30; bits += 9) {
		struct rig *rig = new_rig(
			t, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_X86_4, .largest_page = bits));

		ASSERT_OK(weir_stage1_map(rig->tables, GIB, GIB, GIB, RW, NULL));
		EXPECT_EQ(page_size_at(rig, GIB), (uint64_t)1 << bits);
	}
}

/* VT-d hardware need not have pages of 1 GiB. */
UNIT(stage1, pages_of_1_gib_are_used_where_all_hardware_has_them)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i]);
		struct weir_stage1 *tables;

		ASSERT_OK(weir_stage1_open(rig->memory,
					   &WEIR_OPTS(weir_stage1_opts, .format = all_formats[i]), &tables));
		walker_init(&rig->walker, tables, rig->memory);
		EXPECT_OK(weir_stage1_map(tables, GIB, GIB, GIB, RW, NULL));
		EXPECT_EQ(page_size_at(rig, GIB), all_formats[i] == WEIR_STAGE1_ARM64_4K ? GIB : 2 * MIB);
		weir_stage1_close(tables);
	}
}

UNIT(stage1, a_page_that_sticks_out_is_divided_no_further_than_needed)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i]);

		t_note(t, "format %u", all_formats[i]);
		ASSERT_OK(weir_stage1_map(rig->tables, GIB, GIB, GIB, RW, NULL));
		ASSERT_OK(weir_stage1_unmap(rig->tables, GIB + 4 * MIB, 2 * MIB + PAGE, rig->changes));
		weir_inval_drop(rig->changes);
		EXPECT_EQ(page_size_at(rig, GIB), 2 * MIB);
		EXPECT_EQ(page_size_at(rig, GIB + 4 * MIB), 0);
		EXPECT_EQ(page_size_at(rig, GIB + 6 * MIB), 0);
		EXPECT_EQ(page_size_at(rig, GIB + 6 * MIB + PAGE), PAGE);
		EXPECT_EQ(page_size_at(rig, GIB + 8 * MIB), 2 * MIB);
		EXPECT_EQ(walk_to(rig, 2 * GIB - 1), 2 * GIB - 1);
		ASSERT_OK(weir_stage1_protect(rig->tables, GIB + 8 * MIB, PAGE, WEIR_MAP_READ, rig->changes));
		weir_inval_drop(rig->changes);
		EXPECT_EQ(page_size_at(rig, GIB + 8 * MIB), PAGE);
		EXPECT_EQ(page_size_at(rig, GIB + 10 * MIB - PAGE), PAGE);
	}
}

/* What is noted ----------------------------------------------------------------------------------------------------- */

UNIT(stage1, one_entry_names_what_changed)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i]);

		t_note(t, "format %u", all_formats[i]);
		ASSERT_OK(weir_stage1_map(rig->tables, MIB, MIB, 3 * PAGE, RW, NULL));
		EXPECT_EQ(last_added().num, 0);
		ASSERT_OK(weir_stage1_map(rig->tables, 4 * MIB, 4 * MIB, 4 * MIB, RW, rig->changes));
		expect_added(4 * MIB, 4 * MIB, WEIR_INVAL_NEW);

		/* Nothing is there, or nothing changes. */
		ASSERT_OK(weir_stage1_unmap(rig->tables, 0, MIB, rig->changes));
		ASSERT_OK(weir_stage1_unmap(rig->tables, 4 * GIB, GIB, rig->changes));
		ASSERT_OK(weir_stage1_protect(rig->tables, 4 * MIB, PAGE, RW, rig->changes));
		EXPECT_EQ(last_added().num, 0);

		ASSERT_OK(weir_stage1_protect(rig->tables, MIB, PAGE, WEIR_MAP_READ, rig->changes));
		expect_added(MIB, PAGE, WEIR_INVAL_LEAF);
		ASSERT_OK(weir_stage1_protect(rig->tables, MIB, 3 * PAGE, WEIR_MAP_READ, rig->changes));
		expect_added(MIB + PAGE, 2 * PAGE, WEIR_INVAL_LEAF);
		ASSERT_OK(weir_stage1_unmap(rig->tables, 0, 2 * MIB - PAGE, rig->changes));
		expect_added(MIB, 3 * PAGE, WEIR_INVAL_LEAF);

		/* A large page as a whole, then part of one: its entry leads to a table now. */
		ASSERT_OK(weir_stage1_unmap(rig->tables, 4 * MIB, 2 * MIB, rig->changes));
		expect_added(4 * MIB, 2 * MIB, WEIR_INVAL_LEAF);
		ASSERT_OK(weir_stage1_unmap(rig->tables, 6 * MIB, PAGE, rig->changes));
		expect_added(6 * MIB, 2 * MIB, 0);
		weir_inval_drop(rig->changes);

		/* A table goes. */
		ASSERT_OK(weir_stage1_unmap(rig->tables, 6 * MIB, 2 * MIB, rig->changes));
		expect_added(6 * MIB, 2 * MIB, 0);
	}
}

UNIT(stage1, entries_carry_the_address_space_id)
{
	struct rig *rig =
		new_rig(t, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_ARM64_4K, .asid = 77));

	ASSERT_OK(weir_stage1_map(rig->tables, 0, 0, PAGE, RW, rig->changes));
	EXPECT_EQ(last_added().asid, 77);
	ASSERT_OK(weir_stage1_unmap(rig->tables, 0, PAGE, rig->changes));
	EXPECT_EQ(last_added().asid, 77);
}

/* Finding ----------------------------------------------------------------------------------------------------------- */

UNIT(stage1, what_is_found_says_how_far_it_goes)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct rig *rig = new_rig_of(t, all_formats[i]);
		uint64_t ipa = 1, left = 2;
		uint32_t prot = 3;

		ASSERT_OK(weir_stage1_map(rig->tables, 0x10000, 0x50000, 8 * PAGE, RW, NULL));
		ASSERT_OK(weir_stage1_map(rig->tables, 0x18000, 0x58000, PAGE, WEIR_MAP_READ, NULL));
		ASSERT_OK(weir_stage1_map(rig->tables, 4 * GIB, 8 * GIB, 6 * MIB, RW, NULL));
		ASSERT_OK(weir_stage1_find(rig->tables, 0x11234, &ipa, &left, &prot));
		EXPECT_EQ(ipa, 0x51234);
		EXPECT_EQ(left, 0x6dcc);
		EXPECT_EQ(prot, RW);
		ASSERT_OK(weir_stage1_find(rig->tables, 0x18fff, &ipa, &left, &prot));
		EXPECT_EQ(ipa, 0x58fff);
		EXPECT_EQ(left, 1);
		EXPECT_EQ(prot, WEIR_MAP_READ);
		ASSERT_OK(weir_stage1_find(rig->tables, 4 * GIB + MIB, &ipa, &left, NULL));
		EXPECT_EQ(left, 5 * MIB);
		EXPECT_ERR(-ENOENT, weir_stage1_find(rig->tables, 0x19000, &ipa, &left, &prot));
		EXPECT_ERR(-ENOENT, weir_stage1_find(rig->tables, (uint64_t)1 << 60, &ipa, &left, &prot));
		EXPECT_EQ(left, 5 * MIB);
	}
}
