// SPDX-License-Identifier: MIT
/* The space of IOVAs: what is chosen, and what is left of it. */
#include "unit/iova_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc_fail.h"

enum { PAGE = IOVA_PAGE };

static const uint64_t four_gib = 0x100000000, top = UINT64_MAX;

static const struct weir_iova_wish one_page = { .len = PAGE, .align = PAGE, .limit = UINT64_MAX };

UNIT(iova, nothing_is_chosen_before_something_is_allowed)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *segment = NULL;

	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &one_page, &segment));
	EXPECT_FALSE(segment);
	take_iova_at(iova, 0, PAGE);
	allow_iova(iova, 0, top);
	EXPECT_EQ(four_gib, take_iova(iova, one_page)->node.key);
}

UNIT(iova, the_lowest_4_gib_come_last_and_page_0_never)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *segment = NULL;

	allow_iova(iova, 0, four_gib + 2 * PAGE - 1);
	EXPECT_EQ(four_gib, take_iova(iova, one_page)->node.key);
	EXPECT_EQ(four_gib + PAGE, take_iova(iova, one_page)->node.key);
	EXPECT_EQ(PAGE, take_iova(iova, one_page)->node.key);
	take_iova_at(iova, 2 * PAGE, four_gib - 2 * PAGE);
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &one_page, &segment));
	take_iova_at(iova, 0, PAGE);
}

UNIT(iova, nothing_is_chosen_across_4_gib)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_wish wish = { .len = 0x20000, .align = PAGE, .limit = top, .exhaustive = true };
	struct weir_segment *segment;

	allow_iova(iova, four_gib - 0x10000, four_gib + 0xffff);
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &segment));
	segment = take_iova_at(iova, four_gib - 0x10000, 0x20000);
	weir_iova_give(iova, segment);
	EXPECT_EQ(4, check_segments(iova));
}

UNIT(iova, congruence_leaves_the_rest_of_the_hole_free)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_wish wish = {
		.len = PAGE, .align = 0x200000, .remainder = 0x5000, .limit = UINT64_MAX
	};
	struct weir_segment *first;

	allow_iova(iova, four_gib, top);
	first = take_iova(iova, wish);
	EXPECT_EQ(four_gib + 0x5000, first->node.key);
	EXPECT_EQ(four_gib + 0x205000, take_iova(iova, wish)->node.key);
	EXPECT_EQ(4, check_segments(iova));
	weir_iova_give(iova, first);
	EXPECT_EQ(3, check_segments(iova));
}

UNIT(iova, the_hole_that_fits_best_is_taken)
{
	static const uint64_t pages[] = { 40, 3, 12, 1, 6, 24, 5 };
	enum { NUM = sizeof(pages) / sizeof(pages[0]) };
	struct weir_iova *iova = new_iova(t);
	uint64_t at = four_gib, starts[NUM];

	allow_iova(iova, four_gib, top);
	for (int i = 0; i < NUM; i++) {
		starts[i] = at;
		at += pages[i] * PAGE;
		take_iova_at(iova, at, PAGE);
		at += PAGE;
	}
	for (int i = 0; i < NUM; i++) {
		struct weir_iova_wish wish = { .len = pages[i] * PAGE, .align = PAGE, .limit = UINT64_MAX };

		EXPECT_EQ(starts[i], take_iova(iova, wish)->node.key);
	}
	EXPECT_EQ(at, take_iova(iova, one_page)->node.key);
}

UNIT(iova, one_page_is_all_of_a_range_of_one_page)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *segment, *none = NULL;

	allow_iova(iova, 0x7000, 0x7fff);
	segment = take_iova(iova, one_page);
	EXPECT_EQ(0x7000, segment->node.key);
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &one_page, &none));
	EXPECT_FALSE(none);
	weir_iova_give(iova, segment);
	EXPECT_EQ(0x7000, take_iova(iova, one_page)->node.key);
}

UNIT(iova, the_top_of_the_space_is_as_good_as_any)
{
	const uint64_t last_page = top - (PAGE - 1);
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *highest, *rest, *none;

	allow_iova(iova, last_page, top);
	highest = take_iova(iova, one_page);
	EXPECT_EQ(last_page, highest->node.key);
	EXPECT_ERR(-EEXIST, weir_iova_take_fixed(iova, last_page, top, &none));
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &one_page, &none));
	weir_iova_give(iova, highest);
	EXPECT_EQ(2, check_segments(iova));
	rest = take_iova_at(iova, 0, last_page);
	highest = take_iova(iova, one_page);
	EXPECT_EQ(last_page, highest->node.key);
	EXPECT_EQ(0, check_segments(iova));
	weir_iova_give(iova, rest);
	weir_iova_give(iova, highest);
	EXPECT_EQ(2, check_segments(iova));
}

UNIT(iova, given_back_ranges_join_their_neighbours)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *pages[3];

	for (uint64_t i = 0; i < 3; i++)
		pages[i] = take_iova_at(iova, (16 + i) * PAGE, PAGE);
	weir_iova_give(iova, pages[1]); /* to neither side */
	EXPECT_EQ(3, check_segments(iova));
	weir_iova_give(iova, pages[0]); /* to both */
	EXPECT_EQ(2, check_segments(iova));
	pages[0] = take_iova_at(iova, 16 * PAGE, 2 * PAGE);
	weir_iova_give(iova, pages[2]); /* to what is above */
	EXPECT_EQ(2, check_segments(iova));
	weir_iova_give(iova, pages[0]);
	EXPECT_EQ(1, check_segments(iova));
}

/* Every 4 MiB a page is taken, 1 MiB in: what is left of it is larger than 2 MiB, and one aligned range in each fits. */
UNIT(iova, holes_that_lie_wrongly_are_passed_over)
{
	enum { HOLES = 200, UNIT_SIZE = 0x400000 };
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_wish wish = { .len = 0x300000, .align = 0x400000, .limit = top };
	struct weir_segment *segment = NULL;

	allow_iova(iova, four_gib, four_gib + (uint64_t)HOLES * UNIT_SIZE - 1);
	for (uint64_t i = 0; i < HOLES; i++)
		take_iova_at(iova, four_gib + i * UNIT_SIZE + 0x100000, PAGE);
	/* Long enough is nearly all that there is, but only a search of everything finds that none lies well. */
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &segment));
	wish.exhaustive = true;
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &segment));
	wish.len = 0x200000;
	wish.align = 0x200000;
	for (uint64_t i = 0; i < HOLES; i++)
		EXPECT_EQ(0x200000, take_iova(iova, wish)->node.key % UNIT_SIZE);
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &segment));
}

/* Of many holes that are a page too short, and one that is not, that one is found, be it the first or the last to come. */
UNIT(iova, holes_just_too_short_do_not_hide_one_that_is_not)
{
	static const uint64_t lens[] = { 8 * PAGE, 100 * PAGE, 511 * PAGE, 0x200000, 0x8000000 };
	enum { HOLES = 2000 };

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct weir_iova *iova = new_iova(t);
		struct weir_iova_wish wish = {
			.len = lens[i] + PAGE, .align = PAGE, .limit = top, .exhaustive = true
		};
		uint64_t at = four_gib, stride = lens[i] + PAGE;
		struct weir_segment *segment = NULL;

		allow_iova(iova, four_gib, four_gib + (HOLES + 1) * stride - 1);
		for (int hole = 0; hole < HOLES; hole++, at += stride)
			take_iova_at(iova, at + lens[i], PAGE);
		/* What is left behind them is as long as is wished. */
		segment = take_iova(iova, wish);
		EXPECT_EQ(at, segment->node.key);
		EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &(struct weir_segment *){ NULL }));
		weir_iova_give(iova, segment);
		EXPECT_EQ(at, take_iova(iova, wish)->node.key);
	}
}

/* How many segments lie between two marks, at most. */
static unsigned int longest_way(const struct weir_iova *iova)
{
	unsigned int way = 0, longest = 0;

	for (const struct weir_segment *segment = iova->edge.above; segment != &iova->edge;
	     segment = segment->above) {
		way = segment->mark ? 0 : way + 1;
		longest = way > longest ? way : longest;
	}
	return longest;
}

UNIT(iova, an_address_is_looked_for_from_the_next_mark_on)
{
	enum { TAKEN = 3000 };
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *pages[TAKEN];

	allow_iova(iova, four_gib, top);
	for (int i = 0; i < TAKEN; i++)
		pages[i] = take_iova(iova, one_page);
	EXPECT_GT(longest_way(iova), TAKEN - 1);
	EXPECT_TRUE(weir_iova_find(iova, top)->hole);
	EXPECT_LE(longest_way(iova), WEIR_BETWEEN_MARKS);
	/* They go with their segments, and come again where they are missing. */
	for (int i = 0; i < TAKEN; i++)
		if (i % 5)
			weir_iova_give(iova, pages[i]);
	check_segments(iova);
	EXPECT_TRUE(weir_iova_find(iova, pages[TAKEN - 5]->node.key) == pages[TAKEN - 5]);
	EXPECT_LE(longest_way(iova), 5 * WEIR_BETWEEN_MARKS);
	for (int i = 0; i < TAKEN; i += 5)
		EXPECT_TRUE(weir_iova_find(iova, pages[i]->node.key) == pages[i]);
	EXPECT_LE(longest_way(iova), 2 * WEIR_BETWEEN_MARKS);
	for (int i = 0; i < TAKEN; i += 5)
		weir_iova_give(iova, pages[i]);
	EXPECT_EQ(2, check_segments(iova));
}

UNIT(iova, a_limit_keeps_below_whatever_is_above)
{
	enum { HOLES = 2000 };
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_wish wish = { .len = PAGE, .align = PAGE, .limit = 0xfffffff };
	struct weir_segment *segment;

	/* All holes above the limit would fit better than the one across it. */
	allow_iova(iova, 0x8000000, top);
	for (uint64_t i = 0; i < HOLES; i++) {
		take_iova_at(iova, 0x20000000 + 2 * i * PAGE, PAGE);
		take_iova_at(iova, four_gib + 2 * i * PAGE, PAGE);
	}
	for (uint64_t i = 0; i < 100; i++)
		EXPECT_EQ(0x8000000 + i * PAGE, take_iova(iova, wish)->node.key);
	segment = take_iova_at(iova, 0x8000000 + 100 * PAGE, 0x8000000 - 101 * PAGE);
	EXPECT_EQ(0x10000000 - PAGE, take_iova(iova, wish)->node.key);
	wish.exhaustive = true;
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &segment));
	wish.limit = 0x1fffffff;
	EXPECT_EQ(0x10000000, take_iova(iova, wish)->node.key);
}

UNIT(iova, what_is_taken_outlives_a_change_of_what_is_allowed)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_range ranges[] = { { 0x100000, 0x1fffff }, { 0x300000, 0x3fffff } };
	struct weir_segment *across = take_iova_at(iova, 0x180000, 0x200000), *segment = NULL;

	weir_iova_allow(iova, ranges, 2, PAGE);
	EXPECT_EQ(4, check_segments(iova));
	EXPECT_EQ(0x100000, take_iova(iova, one_page)->node.key);
	weir_iova_give(iova, across);
	/* Below, what is left of the first range, between them, the second one, and above. */
	EXPECT_EQ(5, check_segments(iova));
	across = take_iova_at(iova, 0x1ff000, 0x102000);
	weir_iova_allow(iova, NULL, 0, PAGE);
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &one_page, &segment));
	EXPECT_EQ(3, check_segments(iova));
	weir_iova_give(iova, across);
	EXPECT_EQ(2, check_segments(iova));
}

UNIT(iova, running_out_of_memory_changes_nothing)
{
	struct weir_iova *iova = calloc(1, sizeof(*iova));
	struct weir_segment *segment = NULL;
	unsigned int taken = 0;
	int error = 0;

	ASSERT_TRUE(iova);
	t_defer(t, finish_iova, iova);
	alloc_fail(1);
	EXPECT_ERR(-ENOMEM, weir_iova_init(iova, sizeof(struct weir_segment)));
	EXPECT_TRUE(alloc_failed());

	ASSERT_OK(weir_iova_init(iova, sizeof(struct weir_segment)));
	allow_iova(iova, four_gib, top);
	alloc_fail(1);
	while (!error && taken < 1000) {
		segment = NULL;
		error = taken % 2 ? weir_iova_take(iova, &one_page, &segment)
				  : weir_iova_take_fixed(iova, (uint64_t)taken * PAGE,
							 (uint64_t)taken * PAGE + (PAGE - 1), &segment);
		taken += !error;
	}
	EXPECT_TRUE(alloc_failed());
	EXPECT_ERR(-ENOMEM, error);
	EXPECT_FALSE(segment);
	EXPECT_GT(taken, 10);
	check_segments(iova);
	take_iova(iova, one_page);
	take_iova_at(iova, 0x10000000, PAGE);
}

UNIT(iova, giving_back_and_new_borders_need_no_memory)
{
	enum { TAKEN = 1000, RANGES = 30 };
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *pages[TAKEN], *large;
	struct weir_iova_range ranges[RANGES];

	for (uint64_t i = 0; i < TAKEN; i++)
		pages[i] = take_iova_at(iova, i * PAGE, PAGE);
	large = take_iova_at(iova, four_gib, 0x10000000);
	for (uint64_t i = 0; i < RANGES; i++) {
		ranges[i].start = four_gib + i * 0x100000;
		ranges[i].last = ranges[i].start + 0x7ffff;
	}
	alloc_fail(1);
	weir_iova_allow(iova, ranges, RANGES, PAGE);
	for (uint64_t i = 0; i < TAKEN; i += 2)
		weir_iova_give(iova, pages[i]);
	weir_iova_give(iova, large);
	check_segments(iova);
	for (uint64_t i = 0; i < RANGES; i++)
		ranges[i].start = four_gib / 2 + i * 0x8000000, ranges[i].last = ranges[i].start + 0xffff;
	weir_iova_allow(iova, ranges, RANGES, PAGE);
	for (uint64_t i = 1; i < TAKEN; i += 2)
		weir_iova_give(iova, pages[i]);
	EXPECT_FALSE(alloc_failed());
	EXPECT_EQ(2 * RANGES + 1, check_segments(iova));
}
