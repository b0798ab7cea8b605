// SPDX-License-Identifier: MIT
/* Spaces of IOVAs for cases. */
#include "unit/iova_rig.h"

#include <stdlib.h>

void finish_iova(void *arg)
{
	weir_iova_finish(arg);
	free(arg);
}

struct weir_iova *new_iova(struct t *t)
{
	struct weir_iova *iova = calloc(1, sizeof(*iova));

	ASSERT_TRUE(iova);
	ASSERT_OK(weir_iova_init(iova, sizeof(struct weir_segment)));
	t_defer(t, finish_iova, iova);
	return iova;
}

void allow_iova(struct weir_iova *iova, uint64_t start, uint64_t last)
{
	weir_iova_allow(iova, &(struct weir_iova_range){ start, last }, 1, IOVA_PAGE);
}

struct weir_segment *take_iova(struct weir_iova *iova, struct weir_iova_wish wish)
{
	struct weir_segment *segment;

	ASSERT_OK(weir_iova_take(iova, &wish, &segment));
	ASSERT_EQ(wish.len - 1, segment->last - segment->node.key);
	return segment;
}

struct weir_segment *take_iova_at(struct weir_iova *iova, uint64_t start, uint64_t len)
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
	uint64_t start = hole->segment.node.key, pages = (hole->segment.last - start) / IOVA_PAGE + 1;
	unsigned int zone = hole->bin / WEIR_BIN_CLASSES, class = hole->bin % WEIR_BIN_CLASSES;
	unsigned int stretch = hole->segment.hole - 1;

	ASSERT_EQ(weir_stretch_at(&iova->stretches, start), stretch);
	ASSERT_LE(hole->segment.last, weir_stretch_last(&iova->stretches, stretch));
	if (!iova->stretches.all[stretch].usable) {
		ASSERT_EQ(WEIR_NO_BIN, hole->bin);
		return;
	}
	ASSERT_TRUE(in_its_bin(iova, hole));
	ASSERT_EQ(1, start >> zone);
	if (pages < 512)
		ASSERT_EQ(pages, class);
	else
		ASSERT_EQ(4 + class % 4, pages >> ((class - 512) / 4 + 7));
	ASSERT_LE(hole->lowest, start);
	ASSERT_LE(start, hole->highest);
}

static uint64_t count_nodes(const struct weir_tree_node *node)
{
	return node ? 1 + count_nodes(node->left) + count_nodes(node->right) : 0;
}

/* The segments follow each other without gaps, the marks are in the tree and the holes in their bins, and those that could be one are. */
uint64_t check_segments(const struct weir_iova *iova)
{
	const struct weir_segment *segment;
	uint64_t at = 0, holes = 0, marks = 0;

	for (segment = iova->edge.above; segment != &iova->edge; segment = segment->above) {
		ASSERT_EQ(at, segment->node.key);
		ASSERT_TRUE(segment->above->below == segment);
		at = segment->last + 1;
		if (segment->mark)
			ASSERT_TRUE(weir_tree_at_or_below(&iova->marks, segment->last) == &segment->node);
		marks += segment->mark;
		if (!segment->hole)
			continue;
		holes++;
		check_bin(iova, (const struct weir_hole *)segment);
		if (segment->above->hole)
			ASSERT_EQ(weir_stretch_last(&iova->stretches, segment->hole - 1), segment->last);
	}
	ASSERT_EQ(0, at);
	ASSERT_EQ(marks, count_nodes(iova->marks.root));
	return holes;
}
