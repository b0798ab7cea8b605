// SPDX-License-Identifier: MIT
/* The space of IOVAs, beside an array with a flag for every page. */
#include "unit/iova_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = IOVA_PAGE, PAGES = 4096, MOST_TAKEN = 512, MOST_RANGES = 4 };

static const uint64_t four_gib = 0x100000000, top = UINT64_MAX;

static uint64_t count_binned(const struct weir_iova *iova)
{
	uint64_t found = 0;

	for (unsigned int bin = 0; bin < WEIR_BIN_ZONES * WEIR_BIN_CLASSES; bin++) {
		unsigned int zone = bin / WEIR_BIN_CLASSES, class = bin % WEIR_BIN_CLASSES;
		bool used = iova->bins.used[zone][class / 64] >> class % 64 & 1;

		ASSERT_EQ(used, iova->bins.first[bin] != NULL);
		ASSERT_TRUE(!used ||
			    ((iova->bins.zones >> zone & 1) && (iova->bins.words[zone] >> class / 64 & 1)));
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

/* A range becomes two, of which each is given back by itself. */
static void divide(struct model *model)
{
	struct weir_segment *segment, *rest = NULL;
	uint64_t pages, last;

	if (!model->num_ranges || model->num_ranges == MOST_TAKEN)
		return;
	segment = model->ranges[draw(model, model->num_ranges)];
	pages = (segment->last - segment->node.key) / PAGE + 1;
	if (pages < 2)
		return;
	last = segment->last;
	pages = 1 + draw(model, pages - 1);
	ASSERT_OK(weir_iova_divide(model->iova, segment, pages * PAGE, &rest));
	ASSERT_EQ(segment->last, segment->node.key + (pages * PAGE - 1));
	ASSERT_EQ(rest->node.key, segment->last + 1);
	ASSERT_EQ(rest->last, last);
	model->ranges[model->num_ranges++] = rest;
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
		struct weir_segment *segment = weir_iova_find(model->iova, at);
		bool begins =
			!page || model->taken[page - 1] || !model->usable[page - 1] || model->border[page];

		ASSERT_LE(segment->node.key, at);
		ASSERT_GE(segment->last, at + (PAGE - 1));
		ASSERT_EQ(!model->taken[page], segment->hole != 0);
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
		if (i % 16 == 0)
			divide(model);
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
