// SPDX-License-Identifier: MIT
/* What ranges that may be chosen from become. */
#include "ioas/stretches.h"

#include "shim/test.h"

enum { PAGE = 4096, MOST_RANGES = (WEIR_MOST_STRETCHES - 2) / 2 };

static const uint64_t four_gib = 0x100000000;

static void expect(const struct weir_stretches *stretches, const struct weir_stretch *expected, uint32_t num)
{
	ASSERT_EQ(num, stretches->num);
	for (uint32_t i = 0; i < num; i++) {
		EXPECT_EQ(expected[i].start, stretches->all[i].start);
		EXPECT_EQ(expected[i].usable, stretches->all[i].usable);
	}
	EXPECT_EQ(0, stretches->all[num].start);
}

#define EXPECT_STRETCHES(stretches, ...)                                                                     \
	expect(stretches, (const struct weir_stretch[]){ __VA_ARGS__ },                                      \
	       sizeof((const struct weir_stretch[]){ __VA_ARGS__ }) / sizeof(struct weir_stretch))

UNIT(stretches, of_nothing_are_one_that_is_not_usable)
{
	struct weir_stretches stretches;

	weir_stretches_make(&stretches, NULL, 0, PAGE);
	EXPECT_STRETCHES(&stretches, { 0, false });
	EXPECT_EQ(UINT64_MAX, weir_stretch_last(&stretches, 0));
	EXPECT_EQ(0, weir_stretch_at(&stretches, UINT64_MAX));
}

UNIT(stretches, of_everything_leave_out_page_0_and_end_at_4_gib)
{
	struct weir_stretches stretches;

	weir_stretches_make(&stretches, &(struct weir_iova_range){ 0, UINT64_MAX }, 1, PAGE);
	EXPECT_STRETCHES(&stretches, { 0, false }, { PAGE, true }, { four_gib, true });
	EXPECT_EQ(1, weir_stretch_at(&stretches, four_gib - 1));
	EXPECT_EQ(2, weir_stretch_at(&stretches, four_gib));
	EXPECT_EQ(2, weir_stretch_at(&stretches, UINT64_MAX));
}

UNIT(stretches, of_ranges_that_touch_do_not_become_one)
{
	struct weir_stretches stretches;
	struct weir_iova_range ranges[] = { { 0x10000, 0x1ffff },
					    { 0x20000, 0x2ffff },
					    { 0x40000, 0x4ffff } };

	weir_stretches_make(&stretches, ranges, 3, PAGE);
	EXPECT_STRETCHES(&stretches, { 0, false }, { 0x10000, true }, { 0x20000, true }, { 0x30000, false },
			 { 0x40000, true }, { 0x50000, false });
}

UNIT(stretches, are_whole_multiples_of_the_grain)
{
	struct weir_stretches stretches;
	struct weir_iova_range ranges[] = { { 0x10001, 0x3fffe },  { 0x50000, 0x5fffe },
					    { 0x70001, 0x7ffff },  { 0x90000, 0x9ffff },
					    { 0xa0001, 0x10fffe }, { UINT64_MAX - 0xfffe, UINT64_MAX } };

	weir_stretches_make(&stretches, ranges, 6, 0x10000);
	EXPECT_STRETCHES(&stretches, { 0, false }, { 0x20000, true }, { 0x30000, false }, { 0x90000, true },
			 { 0xa0000, false }, { 0xb0000, true }, { 0x100000, false });
	weir_stretches_make(&stretches, &(struct weir_iova_range){ 0, 0xfffe }, 1, 0x10000);
	EXPECT_STRETCHES(&stretches, { 0, false });
	weir_stretches_make(&stretches, &(struct weir_iova_range){ 0x10000, UINT64_MAX - 1 }, 1, 0x10000);
	EXPECT_STRETCHES(&stretches, { 0, false }, { 0x10000, true }, { four_gib, true },
			 { UINT64_MAX - 0xffff, false });
}

UNIT(stretches, of_the_top_of_the_space_have_nothing_behind_them)
{
	struct weir_stretches stretches;

	weir_stretches_make(&stretches, &(struct weir_iova_range){ UINT64_MAX - 0xfff, UINT64_MAX }, 1, PAGE);
	EXPECT_STRETCHES(&stretches, { 0, false }, { UINT64_MAX - 0xfff, true });
}

UNIT(stretches, of_too_many_ranges_are_the_longest)
{
	struct weir_stretches stretches;
	struct weir_iova_range ranges[1000];
	uint32_t usable = 0, long_ones = 0;

	for (uint64_t i = 0; i < 1000; i++) {
		ranges[i].start = 0x10000000 + i * 0x1000000;
		ranges[i].last = ranges[i].start + (i % 100 == 99 ? 0x7fffff : 0xfff);
	}
	weir_stretches_make(&stretches, ranges, 1000, PAGE);
	EXPECT_LE(stretches.num, WEIR_MOST_STRETCHES);
	for (uint32_t i = 0; i < stretches.num; i++) {
		usable += stretches.all[i].usable;
		long_ones += stretches.all[i].usable &&
			     weir_stretch_last(&stretches, i) - stretches.all[i].start == 0x7fffff;
	}
	EXPECT_EQ(MOST_RANGES, usable);
	EXPECT_EQ(10, long_ones);
	for (uint64_t i = 0; i < 1000; i++)
		ranges[i].last = ranges[i].start + (i % 25 == 24 ? 0x7fffff : 0xfff);
	weir_stretches_make(&stretches, ranges, 1000, PAGE);
	for (uint32_t i = 0; i < stretches.num; i++)
		if (stretches.all[i].usable)
			EXPECT_EQ(0x7fffff, weir_stretch_last(&stretches, i) - stretches.all[i].start);
}

UNIT(stretches, keep_clear_of_what_is_diverted)
{
	struct weir_stretches stretches;
	struct weir_iova_range ranges[] = { { 0, 0x8ffff }, { 0x100000, UINT64_MAX } };
	/* Across a hole, with odd ends, across 4 GiB, and to the top. */
	struct weir_iova_range diverted[] = { { 0x80000, 0x10ffff },
					      { 0x200100, 0x2000ff + 0x1000 },
					      { four_gib - 0x1000, four_gib + 0xfff },
					      { 0xfffffffff0000000, UINT64_MAX } };

	weir_stretches_choose(&stretches, &(struct weir_choice){ ranges, 2, 4, diverted }, PAGE);
	EXPECT_STRETCHES(&stretches, { 0, false }, { PAGE, true }, { 0x80000, false }, { 0x110000, true },
			 { 0x200000, false }, { 0x202000, true }, { four_gib - 0x1000, false },
			 { four_gib + 0x1000, true }, { 0xfffffffff0000000, false });
	diverted[0] = (struct weir_iova_range){ 0, UINT64_MAX };
	weir_stretches_choose(&stretches, &(struct weir_choice){ ranges, 2, 1, diverted }, PAGE);
	EXPECT_STRETCHES(&stretches, { 0, false });
}

/* Each range and each that is diverted takes its share of the room. */
UNIT(stretches, of_very_many_ranges_some_of_them_diverted_find_room)
{
	struct weir_stretches stretches;
	struct weir_iova_range ranges[100], diverted[16];
	uint32_t usable = 0;

	for (uint64_t i = 0; i < 100; i++)
		ranges[i] = (struct weir_iova_range){ (i + 1) << 20, ((i + 1) << 20) + 0xfffff - (i << 12) };
	for (uint64_t i = 0; i < 16; i++)
		diverted[i] = (struct weir_iova_range){ ((i + 1) << 20) + 0x8000, ((i + 1) << 20) + 0x8fff };
	weir_stretches_choose(&stretches, &(struct weir_choice){ ranges, 100, 16, diverted }, PAGE);
	EXPECT_LE(stretches.num, WEIR_MOST_STRETCHES);
	for (uint32_t i = 0; i < stretches.num; i++) {
		usable += stretches.all[i].usable;
		for (uint64_t j = 0; j < 16 && stretches.all[i].usable; j++)
			EXPECT_TRUE(weir_stretch_last(&stretches, i) < diverted[j].start ||
				    stretches.all[i].start > diverted[j].last);
	}
	EXPECT_EQ(2 * (MOST_RANGES - 16), usable);
}

UNIT(stretches, are_found_by_any_address_in_them)
{
	struct weir_stretches stretches;
	struct weir_iova_range ranges[MOST_RANGES];

	for (uint32_t num = 0; num <= MOST_RANGES; num++) {
		for (uint64_t i = 0; i < num; i++) {
			ranges[i].start = (i + 1) * 0x10000;
			ranges[i].last = ranges[i].start + 0x7fff;
		}
		weir_stretches_make(&stretches, ranges, num, PAGE);
		for (uint32_t i = 0; i < stretches.num; i++) {
			EXPECT_EQ(i, weir_stretch_at(&stretches, stretches.all[i].start));
			EXPECT_EQ(i, weir_stretch_at(&stretches, weir_stretch_last(&stretches, i)));
		}
	}
}

UNIT(stretches, are_equal_when_they_are)
{
	struct weir_stretches a, b;

	weir_stretches_make(&a, &(struct weir_iova_range){ 0x10000, 0x1ffff }, 1, PAGE);
	weir_stretches_make(&b, &(struct weir_iova_range){ 0x10000, 0x1ffff }, 1, PAGE);
	EXPECT_TRUE(weir_stretches_equal(&a, &b));
	weir_stretches_make(&b, &(struct weir_iova_range){ 0x10000, 0x2ffff }, 1, PAGE);
	EXPECT_FALSE(weir_stretches_equal(&a, &b));
	weir_stretches_make(&b, NULL, 0, PAGE);
	EXPECT_FALSE(weir_stretches_equal(&a, &b));
}
