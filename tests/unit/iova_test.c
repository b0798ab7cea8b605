// SPDX-License-Identifier: MIT
/* The space of IOVAs, beside an array with a flag for every page. */
#include "ioas/iova.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shim/test.h"
#include "support/alloc_fail.h"

enum { PAGE = 4096, PAGES = 4096, MOST_TAKEN = 512, MOST_RANGES = 4 };

static const uint64_t four_gib = 0x100000000, top = UINT64_MAX;

static void finish_iova(void *arg)
{
	weir_iova_finish(arg);
	free(arg);
}

/* A space from which nothing may be chosen yet. */
static struct weir_iova *new_iova(struct t *t)
{
	struct weir_iova *iova = calloc(1, sizeof(*iova));

	ASSERT_TRUE(iova);
	ASSERT_OK(weir_iova_init(iova, sizeof(struct weir_segment)));
	t_defer(t, finish_iova, iova);
	return iova;
}

static void allow(struct weir_iova *iova, uint64_t start, uint64_t last)
{
	weir_iova_allow(iova, &(struct weir_iova_range){ start, last }, 1, PAGE);
}

static struct weir_segment *take(struct weir_iova *iova, struct weir_iova_wish wish)
{
	struct weir_segment *segment;

	ASSERT_OK(weir_iova_take(iova, &wish, &segment));
	ASSERT_EQ(wish.len - 1, segment->last - segment->node.key);
	return segment;
}

static struct weir_segment *take_at(struct weir_iova *iova, uint64_t start, uint64_t len)
{
	struct weir_segment *segment;

	ASSERT_OK(weir_iova_take_fixed(iova, start, start + (len - 1), &segment));
	ASSERT_EQ(start, segment->node.key);
	ASSERT_EQ(start + (len - 1), segment->last);
	return segment;
}

static bool in_its_bin(const struct weir_iova *iova, const struct weir_hole *hole)
{
	const struct weir_hole *other = iova->bins.first[hole->bin];

	while (other && other != hole)
		other = other->next;
	return other;
}

/* What the bin says of a hole is true: where it begins, how long it is, within a quarter, and whether it is usable. */
static void check_bin(const struct weir_iova *iova, const struct weir_hole *hole)
{
	uint64_t start = hole->segment.node.key, pages = (hole->segment.last - start) / PAGE + 1;
	unsigned int zone = hole->bin / WEIR_BIN_CLASSES, class = hole->bin % WEIR_BIN_CLASSES;

	ASSERT_EQ(weir_stretch_at(&iova->stretches, start), hole->stretch);
	ASSERT_LE(hole->segment.last, weir_stretch_last(&iova->stretches, hole->stretch));
	if (!iova->stretches.all[hole->stretch].usable) {
		ASSERT_EQ(WEIR_NO_BIN, hole->bin);
		return;
	}
	ASSERT_TRUE(in_its_bin(iova, hole));
	ASSERT_EQ(1, start >> zone);
	if (pages < 8)
		ASSERT_EQ(pages, class);
	else
		ASSERT_EQ(4 + class % 4, pages >> (class / 4 - 1));
	ASSERT_LE(hole->lowest, start);
	ASSERT_LE(start, hole->highest);
}

/* The segments follow each other without gaps, the holes are in the tree and in their bins, and those that could be one are. */
static uint64_t check_segments(const struct weir_iova *iova)
{
	const struct weir_segment *segment;
	uint64_t at = 0, holes = 0;

	for (segment = iova->edge.above; segment != &iova->edge; segment = segment->above) {
		ASSERT_EQ(at, segment->node.key);
		ASSERT_TRUE(segment->above->below == segment);
		at = segment->last + 1;
		if (!segment->hole)
			continue;
		holes++;
		check_bin(iova, (const struct weir_hole *)segment);
		ASSERT_TRUE(weir_tree_at_or_below(&iova->holes, segment->last) == &segment->node);
		if (segment->above->hole)
			ASSERT_EQ(weir_stretch_last(&iova->stretches,
						    ((const struct weir_hole *)segment)->stretch),
				  segment->last);
	}
	ASSERT_EQ(0, at);
	return holes;
}

static uint64_t count_binned(const struct weir_iova *iova)
{
	uint64_t found = 0;

	for (unsigned int bin = 0; bin < WEIR_BIN_ZONES * WEIR_BIN_CLASSES; bin++) {
		bool used = iova->bins.used[bin / 64] >> bin % 64 & 1;

		ASSERT_EQ(used, iova->bins.first[bin] != NULL);
		ASSERT_TRUE(!used || (iova->bins.zones >> bin / WEIR_BIN_CLASSES & 1));
		for (const struct weir_hole *hole = iova->bins.first[bin]; hole; hole = hole->next, found++)
			ASSERT_TRUE(hole->segment.hole);
	}
	return found;
}

/* The model: pages of a window; outside of it nothing is taken and nothing may be chosen. */
struct model {
	struct weir_iova *iova;
	uint64_t base;
	bool taken[PAGES], usable[PAGES],
		border[PAGES]; /* a border is between a page and the one before it */
	struct weir_segment *ranges[MOST_TAKEN];
	unsigned int num_ranges;
	uint64_t random;
};

static uint64_t draw(struct model *model, uint64_t below)
{
	model->random = model->random * 6364136223846793005u + 1442695040888963407u;
	return (model->random >> 17) % below;
}

static void note_taken(struct model *model, struct weir_segment *segment, bool taken)
{
	uint64_t page = (segment->node.key - model->base) / PAGE;

	for (uint64_t num = (segment->last - segment->node.key) / PAGE + 1; num; num--) {
		ASSERT_EQ(!taken, model->taken[page]);
		model->taken[page++] = taken;
	}
	if (taken)
		model->ranges[model->num_ranges++] = segment;
}

/* The pages from @page on that may be chosen as one range, up to @limit (an address). */
static uint64_t run_at(const struct model *model, uint64_t page, uint64_t limit)
{
	uint64_t num = 0;

	while (page + num < PAGES && !model->taken[page + num] && model->usable[page + num] &&
	       !(num && model->border[page + num]) && model->base + (page + num) * PAGE + (PAGE - 1) <= limit)
		num++;
	return num;
}

static bool suits(const struct model *model, uint64_t page, const struct weir_iova_wish *wish)
{
	return ((model->base + page * PAGE) & (wish->align - 1)) == wish->remainder &&
	       run_at(model, page, wish->limit) * PAGE >= wish->len;
}

/*
 * Whether there is a place that suits; and, for one that is not looked for exhaustively, one so large that it must be found: by a
 * quarter larger than what fits however it lies.
 */
static bool must_be_found(const struct model *model, const struct weir_iova_wish *wish)
{
	for (uint64_t page = 0; page < PAGES; page++)
		if (wish->exhaustive ? suits(model, page, wish)
				     : run_at(model, page, wish->limit) * PAGE >=
					       (wish->len + wish->align - PAGE) / 4 * 5)
			return true;
	return false;
}

/* Limits are those of address widths, which lie across zones only at their borders, and here and there anything. */
static uint64_t draw_limit(struct model *model)
{
	uint64_t at = model->base + draw(model, PAGES) * PAGE + (PAGE - 1);

	switch (draw(model, 4)) {
	case 0:
		return at;
	case 1:
		return top >> __builtin_clzll(at);
	default:
		return top;
	}
}

static void take_some(struct model *model)
{
	uint64_t align = (uint64_t)PAGE << draw(model, 7);
	struct weir_iova_wish wish = { .len = (1 + draw(model, 20)) * PAGE,
				       .align = align,
				       .remainder = draw(model, align / PAGE) * PAGE,
				       .limit = draw_limit(model),
				       .exhaustive = draw(model, 2) };
	struct weir_segment *segment = NULL;
	int error = weir_iova_take(model->iova, &wish, &segment);

	if (error) {
		ASSERT_ERR(-ENOSPC, error);
		ASSERT_FALSE(segment);
		ASSERT_FALSE(must_be_found(model, &wish));
		return;
	}
	ASSERT_EQ(wish.len - 1, segment->last - segment->node.key);
	ASSERT_TRUE(suits(model, (segment->node.key - model->base) / PAGE, &wish));
	note_taken(model, segment, true);
}

static void take_fixed(struct model *model)
{
	uint64_t num = 1 + draw(model, draw(model, 8) ? 8 : 200), page = draw(model, PAGES - num + 1);
	uint64_t start = model->base + page * PAGE;
	struct weir_segment *segment = NULL;
	int error = weir_iova_take_fixed(model->iova, start, start + (num * PAGE - 1), &segment);
	bool is_free = true;

	for (uint64_t i = page; i < page + num; i++)
		is_free = is_free && !model->taken[i];
	if (!is_free) {
		ASSERT_ERR(-EEXIST, error);
		ASSERT_FALSE(segment);
		return;
	}
	ASSERT_OK(error);
	ASSERT_EQ(start, segment->node.key);
	note_taken(model, segment, true);
}

static void give(struct model *model)
{
	unsigned int which;

	if (!model->num_ranges)
		return;
	which = (unsigned int)draw(model, model->num_ranges);
	note_taken(model, model->ranges[which], false);
	weir_iova_give(model->iova, model->ranges[which]);
	model->ranges[which] = model->ranges[--model->num_ranges];
}

/* Other ranges may be chosen from, here and there the whole window or nothing of it. */
static void change_geometry(struct model *model)
{
	struct weir_iova_range ranges[MOST_RANGES];
	uint32_t num = 0;
	uint64_t page = draw(model, 3) ? draw(model, PAGES / 2) : 0;

	memset(model->usable, 0, sizeof(model->usable));
	memset(model->border, 0, sizeof(model->border));
	while (num < draw(model, MOST_RANGES + 1) && page < PAGES) {
		uint64_t pages = 1 + (draw(model, 3) ? draw(model, PAGES - page) : PAGES - page - 1);

		ranges[num].start = model->base + page * PAGE;
		ranges[num++].last = model->base + (page + pages - 1) * PAGE + (PAGE - 1);
		model->border[page] = true;
		while (pages--)
			model->usable[page++] = true;
		page += draw(model, 2) * draw(model, 100);
	}
	if (model->base == 0)
		model->usable[0] = false;
	if (four_gib - model->base < (uint64_t)PAGES * PAGE)
		model->border[(four_gib - model->base) / PAGE] = true;
	weir_iova_allow(model->iova, ranges, num, PAGE);
}

static void check(const struct model *model)
{
	uint64_t usable = 0;

	check_segments(model->iova);
	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t at = model->base + page * PAGE;
		struct weir_segment *segment = weir_iova_find(model->iova, at, UINT64_MAX);
		bool begins =
			!page || model->taken[page - 1] || !model->usable[page - 1] || model->border[page];

		ASSERT_LE(segment->node.key, at);
		ASSERT_GE(segment->last, at + (PAGE - 1));
		ASSERT_EQ(!model->taken[page], segment->hole);
		usable += begins && !model->taken[page] && model->usable[page];
	}
	ASSERT_EQ(usable, count_binned(model->iova));
}

static void run(struct t *t, uint64_t base, uint64_t seed)
{
	struct model *model = calloc(1, sizeof(*model));

	ASSERT_TRUE(model);
	t_defer(t, free, model);
	*model = (struct model){ .iova = new_iova(t), .base = base, .random = seed };
	change_geometry(model);
	for (unsigned int i = 0; i < 60000; i++) {
		bool grow = (i / 4000) % 2 == 0;
		uint64_t what = draw(model, 10);

		if (what >= (grow ? 7u : 3u) || model->num_ranges == MOST_TAKEN)
			give(model);
		else if (what % 2)
			take_fixed(model);
		else
			take_some(model);
		if (i % 500 == 0)
			change_geometry(model);
		if (i % 1000 == 0)
			check(model);
	}
	while (model->num_ranges)
		give(model);
	check(model);
	weir_iova_allow(model->iova, NULL, 0, PAGE);
	EXPECT_EQ(1, check_segments(model->iova));
}

UNIT(iova, does_what_an_array_of_pages_does)
{
	/* At both ends of the space, below and above 4 GiB and across, and across other zones. */
	static const uint64_t bases[] = { 0,           0x100000,    0xff800000,
					  0x100000000, 0x1ff800000, UINT64_MAX - (uint64_t)PAGES * PAGE + 1 };

	t_timeout(t, 120);
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		t_note(t, "window at %#llx", (unsigned long long)bases[i]);
		run(t, bases[i], i + 1);
	}
}

static const struct weir_iova_wish one_page = { .len = PAGE, .align = PAGE, .limit = UINT64_MAX };

UNIT(iova, nothing_is_chosen_before_something_is_allowed)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *segment = NULL;

	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &one_page, &segment));
	EXPECT_FALSE(segment);
	take_at(iova, 0, PAGE);
	allow(iova, 0, top);
	EXPECT_EQ(four_gib, take(iova, one_page)->node.key);
}

UNIT(iova, the_lowest_4_gib_come_last_and_page_0_never)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *segment = NULL;

	allow(iova, 0, four_gib + 2 * PAGE - 1);
	EXPECT_EQ(four_gib, take(iova, one_page)->node.key);
	EXPECT_EQ(four_gib + PAGE, take(iova, one_page)->node.key);
	EXPECT_EQ(PAGE, take(iova, one_page)->node.key);
	take_at(iova, 2 * PAGE, four_gib - 2 * PAGE);
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &one_page, &segment));
	take_at(iova, 0, PAGE);
}

UNIT(iova, nothing_is_chosen_across_4_gib)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_wish wish = { .len = 0x20000, .align = PAGE, .limit = top, .exhaustive = true };
	struct weir_segment *segment;

	allow(iova, four_gib - 0x10000, four_gib + 0xffff);
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &segment));
	segment = take_at(iova, four_gib - 0x10000, 0x20000);
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

	allow(iova, four_gib, top);
	first = take(iova, wish);
	EXPECT_EQ(four_gib + 0x5000, first->node.key);
	EXPECT_EQ(four_gib + 0x205000, take(iova, wish)->node.key);
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

	allow(iova, four_gib, top);
	for (int i = 0; i < NUM; i++) {
		starts[i] = at;
		at += pages[i] * PAGE;
		take_at(iova, at, PAGE);
		at += PAGE;
	}
	for (int i = 0; i < NUM; i++) {
		struct weir_iova_wish wish = { .len = pages[i] * PAGE, .align = PAGE, .limit = UINT64_MAX };

		EXPECT_EQ(starts[i], take(iova, wish)->node.key);
	}
	EXPECT_EQ(at, take(iova, one_page)->node.key);
}

UNIT(iova, one_page_is_all_of_a_range_of_one_page)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *segment, *none = NULL;

	allow(iova, 0x7000, 0x7fff);
	segment = take(iova, one_page);
	EXPECT_EQ(0x7000, segment->node.key);
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &one_page, &none));
	EXPECT_FALSE(none);
	weir_iova_give(iova, segment);
	EXPECT_EQ(0x7000, take(iova, one_page)->node.key);
}

UNIT(iova, the_top_of_the_space_is_as_good_as_any)
{
	const uint64_t last_page = top - (PAGE - 1);
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *highest, *rest, *none;

	allow(iova, last_page, top);
	highest = take(iova, one_page);
	EXPECT_EQ(last_page, highest->node.key);
	EXPECT_ERR(-EEXIST, weir_iova_take_fixed(iova, last_page, top, &none));
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &one_page, &none));
	weir_iova_give(iova, highest);
	EXPECT_EQ(2, check_segments(iova));
	rest = take_at(iova, 0, last_page);
	highest = take(iova, one_page);
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
		pages[i] = take_at(iova, (16 + i) * PAGE, PAGE);
	weir_iova_give(iova, pages[1]); /* to neither side */
	EXPECT_EQ(3, check_segments(iova));
	weir_iova_give(iova, pages[0]); /* to both */
	EXPECT_EQ(2, check_segments(iova));
	pages[0] = take_at(iova, 16 * PAGE, 2 * PAGE);
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

	allow(iova, four_gib, four_gib + (uint64_t)HOLES * UNIT_SIZE - 1);
	for (uint64_t i = 0; i < HOLES; i++)
		take_at(iova, four_gib + i * UNIT_SIZE + 0x100000, PAGE);
	/* Long enough is nearly all that there is, but only a search of everything finds that none lies well. */
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &segment));
	wish.exhaustive = true;
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &segment));
	wish.len = 0x200000;
	wish.align = 0x200000;
	for (uint64_t i = 0; i < HOLES; i++)
		EXPECT_EQ(0x200000, take(iova, wish)->node.key % UNIT_SIZE);
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &segment));
}

UNIT(iova, a_limit_keeps_below_whatever_is_above)
{
	enum { HOLES = 2000 };
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_wish wish = { .len = PAGE, .align = PAGE, .limit = 0xfffffff };
	struct weir_segment *segment;

	/* All holes above the limit would fit better than the one across it. */
	allow(iova, 0x8000000, top);
	for (uint64_t i = 0; i < HOLES; i++) {
		take_at(iova, 0x20000000 + 2 * i * PAGE, PAGE);
		take_at(iova, four_gib + 2 * i * PAGE, PAGE);
	}
	for (uint64_t i = 0; i < 100; i++)
		EXPECT_EQ(0x8000000 + i * PAGE, take(iova, wish)->node.key);
	segment = take_at(iova, 0x8000000 + 100 * PAGE, 0x8000000 - 101 * PAGE);
	EXPECT_EQ(0x10000000 - PAGE, take(iova, wish)->node.key);
	wish.exhaustive = true;
	EXPECT_ERR(-ENOSPC, weir_iova_take(iova, &wish, &segment));
	wish.limit = 0x1fffffff;
	EXPECT_EQ(0x10000000, take(iova, wish)->node.key);
}

UNIT(iova, what_is_taken_outlives_a_change_of_what_is_allowed)
{
	struct weir_iova *iova = new_iova(t);
	struct weir_iova_range ranges[] = { { 0x100000, 0x1fffff }, { 0x300000, 0x3fffff } };
	struct weir_segment *across = take_at(iova, 0x180000, 0x200000), *segment = NULL;

	weir_iova_allow(iova, ranges, 2, PAGE);
	EXPECT_EQ(4, check_segments(iova));
	EXPECT_EQ(0x100000, take(iova, one_page)->node.key);
	weir_iova_give(iova, across);
	/* Below, what is left of the first range, between them, the second one, and above. */
	EXPECT_EQ(5, check_segments(iova));
	across = take_at(iova, 0x1ff000, 0x102000);
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
	allow(iova, four_gib, top);
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
	take(iova, one_page);
	take_at(iova, 0x10000000, PAGE);
}

UNIT(iova, giving_back_and_new_borders_need_no_memory)
{
	enum { TAKEN = 1000, RANGES = 30 };
	struct weir_iova *iova = new_iova(t);
	struct weir_segment *pages[TAKEN], *large;
	struct weir_iova_range ranges[RANGES];

	for (uint64_t i = 0; i < TAKEN; i++)
		pages[i] = take_at(iova, i * PAGE, PAGE);
	large = take_at(iova, four_gib, 0x10000000);
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
