// SPDX-License-Identifier: MIT
/* The allocator of IOVAs, beside an array with a flag for every page. */
#include "ioas/iova.h"

#include <errno.h>
#include <stdlib.h>

#include "shim/test.h"
#include "support/alloc_fail.h"

enum { PAGE = 4096, PAGES = 4096, MOST_TAKEN = 512 };

static void finish_iova(void *arg)
{
	weir_iova_finish(arg);
	free(arg);
}

static struct weir_iova *new_iova(struct t *t)
{
	struct weir_iova *iova = calloc(1, sizeof(*iova));

	ASSERT_TRUE(iova);
	ASSERT_OK(weir_iova_init(iova));
	t_defer(t, finish_iova, iova);
	return iova;
}

static uint64_t take(struct weir_iova *iova, struct weir_iova_wish wish)
{
	uint64_t start;

	ASSERT_OK(weir_iova_take(iova, &wish, &start));
	return start;
}

/* The model: pages of a window; outside of it nothing is taken. */
struct model {
	struct weir_iova *iova;
	uint64_t base;
	bool taken[PAGES];
	struct {
		uint64_t page, num;
	} ranges[MOST_TAKEN];
	unsigned int num_ranges;
	uint64_t random;
};

static uint64_t draw(struct model *model, uint64_t below)
{
	model->random = model->random * 6364136223846793005u + 1442695040888963407u;
	return (model->random >> 17) % below;
}

static bool is_free(const struct model *model, uint64_t page, uint64_t num)
{
	for (uint64_t i = page; i < page + num; i++)
		if (i >= PAGES || model->taken[i])
			return false;
	return true;
}

static void note_taken(struct model *model, uint64_t page, uint64_t num)
{
	for (uint64_t i = page; i < page + num; i++)
		model->taken[i] = true;
	model->ranges[model->num_ranges].page = page;
	model->ranges[model->num_ranges++].num = num;
}

/* A wish within the window, in pages. */
struct page_wish {
	uint64_t num, align, remainder, first, last;
};

static struct page_wish draw_wish(struct model *model)
{
	struct page_wish wish = { .num = 1 + draw(model, 20), .align = (uint64_t)1 << draw(model, 7) };

	wish.remainder = draw(model, wish.align);
	wish.first = draw(model, PAGES);
	wish.last = wish.first + draw(model, PAGES - wish.first);
	return wish;
}

/* The lowest page that suits, or PAGES. */
static uint64_t lowest_fit(const struct model *model, const struct page_wish *wish)
{
	uint64_t base = model->base / PAGE;

	for (uint64_t page = wish->first; page + wish->num <= wish->last + 1; page++)
		if ((base + page) % wish->align == wish->remainder && is_free(model, page, wish->num))
			return page;
	return PAGES;
}

/*
 * What is promised: a range that suits, and the lowest of them unless many holes had to be passed over. Where it
 * gives up, there may still be a fit among holes that are hardly larger than the range.
 */
static void take_some(struct model *model)
{
	struct page_wish wish = draw_wish(model);
	uint64_t expected = lowest_fit(model, &wish), start = 1, page;
	int error = weir_iova_take(model->iova,
				   &(struct weir_iova_wish){
					   .len = wish.num * PAGE,
					   .align = wish.align * PAGE,
					   .remainder = wish.remainder * PAGE,
					   .within = { model->base + wish.first * PAGE,
						       model->base + wish.last * PAGE + (PAGE - 1) },
				   },
				   &start);

	if (error) {
		ASSERT_ERR(-ENOSPC, error);
		ASSERT_EQ(1, start);
		ASSERT_TRUE(expected == PAGES || wish.align > 1);
		return;
	}
	ASSERT_EQ(0, start % PAGE);
	page = (start - model->base) / PAGE;
	ASSERT_EQ(wish.remainder, start / PAGE % wish.align);
	ASSERT_TRUE(is_free(model, page, wish.num));
	ASSERT_GE(page, wish.first);
	ASSERT_LE(page + wish.num, wish.last + 1);
	ASSERT_GE(page, expected);
	if (wish.align == 1)
		ASSERT_EQ(expected, page);
	note_taken(model, page, wish.num);
}

static void take_fixed(struct model *model)
{
	uint64_t num = 1 + draw(model, 8), page = draw(model, PAGES - num + 1);
	int error = weir_iova_take_fixed(model->iova, model->base + page * PAGE, num * PAGE);

	if (!is_free(model, page, num)) {
		ASSERT_ERR(-EEXIST, error);
		return;
	}
	ASSERT_OK(error);
	note_taken(model, page, num);
}

static void give(struct model *model)
{
	unsigned int which;
	uint64_t page, num;

	if (!model->num_ranges)
		return;
	which = (unsigned int)draw(model, model->num_ranges);
	page = model->ranges[which].page;
	num = model->ranges[which].num;
	weir_iova_give(model->iova, model->base + page * PAGE, num * PAGE);
	for (uint64_t i = page; i < page + num; i++)
		model->taken[i] = false;
	model->ranges[which] = model->ranges[--model->num_ranges];
}

/* The holes are what the model says is free, and no two of them touch. */
static void check_holes(const struct model *model)
{
	uint64_t holes = 0;

	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t at = model->base + page * PAGE;
		const struct weir_tree_node *hole = weir_tree_at_or_below(&model->iova->holes, at);
		bool inside = hole && hole->key + hole->weight >= at;

		ASSERT_EQ(!model->taken[page], inside);
		if (inside)
			ASSERT_GE(hole->key + hole->weight, at + (PAGE - 1));
		holes += !model->taken[page] && (page == 0 || model->taken[page - 1]);
	}
	/* Those at the window's ends may be outside of it as well. */
	holes += model->taken[0] && model->base > 0;
	holes += model->taken[PAGES - 1] && model->base + (uint64_t)PAGES * PAGE != 0;
	ASSERT_EQ(holes, model->iova->num_holes);
	ASSERT_EQ(model->num_ranges, model->iova->num_taken);
}

static void run(struct t *t, uint64_t base, uint64_t seed)
{
	struct model *model = calloc(1, sizeof(*model));

	ASSERT_TRUE(model);
	t_defer(t, free, model);
	*model = (struct model){ .iova = new_iova(t), .base = base, .random = seed };
	for (unsigned int i = 0; i < 100000; i++) {
		bool grow = (i / 4000) % 2 == 0;
		uint64_t what = draw(model, 10);

		if (what >= (grow ? 7u : 3u) || model->num_ranges == MOST_TAKEN)
			give(model);
		else if (what % 2)
			take_fixed(model);
		else
			take_some(model);
		if (i % 2000 == 0)
			check_holes(model);
	}
	while (model->num_ranges)
		give(model);
	check_holes(model);
	EXPECT_EQ(1, model->iova->num_holes);
}

UNIT(iova, does_what_an_array_of_pages_does)
{
	static const uint64_t bases[] = { 0, 0x100000000, UINT64_MAX - (uint64_t)PAGES * PAGE + 1 };

	for (size_t i = 0; i < 3; i++) {
		t_note(t, "window at %#llx", (unsigned long long)bases[i]);
		run(t, bases[i], i + 1);
	}
}

UNIT(iova, chooses_the_lowest_range_that_suits)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_wish wish = {
		.len = PAGE, .align = 0x200000, .remainder = 0x5000, .within = { 0x1000, UINT64_MAX }
	};

	EXPECT_EQ(0x5000, take(iova, wish));
	EXPECT_EQ(0x205000, take(iova, wish));
	wish.within.start = 0x10205001;
	EXPECT_EQ(0x10405000, take(iova, wish));
}

UNIT(iova, one_page_is_all_of_a_range_of_one_page)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_wish wish = { .len = PAGE, .align = PAGE, .within = { 0x7000, 0x7fff } };
	uint64_t start = 1;

	EXPECT_EQ(0x7000, take(iova, wish));
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &start));
	EXPECT_EQ(1, start);
	weir_iova_give(iova, 0x7000, PAGE);
	EXPECT_EQ(0x7000, take(iova, wish));
}

UNIT(iova, the_top_of_the_space_is_as_good_as_any)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_wish wish = { .len = PAGE,
				       .align = PAGE,
				       .within = { UINT64_MAX - (PAGE - 1), UINT64_MAX } };
	uint64_t start;

	EXPECT_EQ(UINT64_MAX - (PAGE - 1), take(iova, wish));
	EXPECT_ERR(-EEXIST, weir_iova_take_fixed(iova, UINT64_MAX - (PAGE - 1), PAGE));
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &start));
	weir_iova_give(iova, UINT64_MAX - (PAGE - 1), PAGE);
	EXPECT_EQ(1, iova->num_holes);
	ASSERT_OK(weir_iova_take_fixed(iova, 0, UINT64_MAX - (PAGE - 1)));
	EXPECT_EQ(UINT64_MAX - (PAGE - 1), take(iova, wish));
	EXPECT_EQ(0, iova->num_holes);
	weir_iova_give(iova, 0, UINT64_MAX - (PAGE - 1));
	weir_iova_give(iova, UINT64_MAX - (PAGE - 1), PAGE);
	EXPECT_EQ(1, iova->num_holes);
}

UNIT(iova, given_back_ranges_join_their_neighbours)
{
	struct weir_iova *iova = new_iova(t);

	for (uint64_t page = 16; page < 19; page++)
		ASSERT_OK(weir_iova_take_fixed(iova, page * PAGE, PAGE));
	weir_iova_give(iova, 17 * (uint64_t)PAGE, PAGE); /* to neither side */
	EXPECT_EQ(3, iova->num_holes);
	weir_iova_give(iova, 16 * (uint64_t)PAGE, PAGE); /* to both */
	EXPECT_EQ(2, iova->num_holes);
	ASSERT_OK(weir_iova_take_fixed(iova, 16 * (uint64_t)PAGE, 2 * (uint64_t)PAGE));
	weir_iova_give(iova, 18 * (uint64_t)PAGE, PAGE); /* to what is above */
	EXPECT_EQ(2, iova->num_holes);
	weir_iova_give(iova, 16 * (uint64_t)PAGE, 2 * (uint64_t)PAGE);
	EXPECT_EQ(1, iova->num_holes);
}

UNIT(iova, passes_over_any_number_of_holes_that_lie_wrongly)
{
	enum { HOLES = 200 };
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_wish wish = { .len = 0x200000,
				       .align = 0x200000,
				       .within = { 0, ((uint64_t)HOLES + 1) * 0x400000 - 1 } };

	/* Every 4 MiB a page is taken, 1 MiB in: what is left of it is larger than 2 MiB, and one aligned range in each fits. */
	for (uint64_t i = 0; i < HOLES; i++)
		ASSERT_OK(weir_iova_take_fixed(iova, i * 0x400000 + 0x100000, PAGE));
	for (uint64_t i = 0; i < HOLES; i++)
		EXPECT_EQ(i * 0x400000 + 0x200000, take(iova, wish));
	EXPECT_EQ((uint64_t)HOLES * 0x400000, take(iova, wish));
}

UNIT(iova, running_out_of_memory_changes_nothing)
{
	struct weir_iova_wish wish = { .len = PAGE, .align = PAGE, .within = { 0, UINT64_MAX } };
	struct weir_iova fails, *iova = new_iova(t);
	uint64_t start = 1;
	unsigned int nth;

	for (nth = 1; nth < 100; nth++) {
		int error;

		alloc_fail(nth);
		error = weir_iova_init(&fails);
		if (!alloc_failed()) {
			weir_iova_finish(&fails);
			break;
		}
		ASSERT_ERR(-ENOMEM, error);
	}
	EXPECT_GT(nth, 1);
	EXPECT_LT(nth, 100);

	ASSERT_OK(weir_iova_take_fixed(iova, 0x10000, PAGE));
	alloc_fail(1);
	EXPECT_ERR(-ENOMEM, weir_iova_take(iova, &wish, &start));
	EXPECT_TRUE(alloc_failed());
	EXPECT_EQ(1, start);
	alloc_fail(1);
	EXPECT_ERR(-ENOMEM, weir_iova_take_fixed(iova, 0x20000, PAGE));
	EXPECT_TRUE(alloc_failed());
	EXPECT_EQ(1, iova->num_taken);
	EXPECT_EQ(2, iova->num_holes);
	ASSERT_OK(weir_iova_take_fixed(iova, 0x20000, PAGE));
	EXPECT_EQ(0, take(iova, wish));
}

UNIT(iova, giving_back_needs_no_memory)
{
	enum { TAKEN = 1000 };
	struct weir_iova *iova = new_iova(t);

	for (uint64_t i = 0; i < TAKEN; i++)
		ASSERT_OK(weir_iova_take_fixed(iova, i * PAGE, PAGE));
	alloc_fail(1);
	for (uint64_t i = 0; i < TAKEN; i += 2)
		weir_iova_give(iova, i * PAGE, PAGE);
	for (uint64_t i = 1; i < TAKEN; i += 2)
		weir_iova_give(iova, i * PAGE, PAGE);
	EXPECT_FALSE(alloc_failed());
	EXPECT_EQ(1, iova->num_holes);
}
