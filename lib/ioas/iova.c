// SPDX-License-Identifier: MIT
/*
 * Which IOVAs are free.
 *
 * Giving back must not fail, so the node that a hole may need then is set aside when the range is taken:
 * there is never one hole more than ranges taken.
 */
#include "ioas/iova.h"

#include <errno.h>
#include <stdlib.h>

struct weir_iova_hole {
	struct weir_tree_node node; /* first, so that a node is its hole */
	struct weir_iova_hole *next_spare;
};

static uint64_t last_of(const struct weir_tree_node *hole)
{
	return hole->key + hole->weight;
}

static void hole_insert(struct weir_iova *iova, uint64_t start, uint64_t last)
{
	struct weir_iova_hole *hole = iova->spare;

	iova->spare = hole->next_spare;
	iova->num_spare--;
	hole->node.key = start;
	hole->node.weight = last - start;
	weir_tree_insert(&iova->holes, &hole->node);
	iova->num_holes++;
}

static void hole_remove(struct weir_iova *iova, struct weir_tree_node *node)
{
	struct weir_iova_hole *hole = (struct weir_iova_hole *)node;

	weir_tree_remove(&iova->holes, node);
	hole->next_spare = iova->spare;
	iova->spare = hole;
	iova->num_spare++;
	iova->num_holes--;
}

/* Before one more range is taken: enough nodes for every hole that can ever be. */
static int reserve(struct weir_iova *iova)
{
	while (iova->num_spare + iova->num_holes < iova->num_taken + 2) {
		struct weir_iova_hole *hole = malloc(sizeof(*hole));

		if (!hole)
			return -ENOMEM;
		hole->next_spare = iova->spare;
		iova->spare = hole;
		iova->num_spare++;
	}
	return 0;
}

int weir_iova_init(struct weir_iova *iova)
{
	*iova = (struct weir_iova){ 0 };
	if (reserve(iova)) {
		weir_iova_finish(iova);
		return -ENOMEM;
	}
	hole_insert(iova, 0, UINT64_MAX);
	return 0;
}

void weir_iova_finish(struct weir_iova *iova)
{
	while (iova->holes.root)
		hole_remove(iova, iova->holes.root);
	while (iova->spare) {
		struct weir_iova_hole *hole = iova->spare;

		iova->spare = hole->next_spare;
		free(hole);
	}
}

static void hole_change(struct weir_iova *iova, struct weir_tree_node *hole, uint64_t start, uint64_t last)
{
	weir_tree_change(&iova->holes, hole, start, last - start);
}

static void carve(struct weir_iova *iova, struct weir_tree_node *hole, uint64_t start, uint64_t last)
{
	uint64_t hole_start = hole->key, hole_last = last_of(hole);

	if (start > hole_start) {
		hole_change(iova, hole, hole_start, start - 1);
		if (last < hole_last)
			hole_insert(iova, last + 1, hole_last);
	} else if (last < hole_last) {
		hole_change(iova, hole, last + 1, hole_last);
	} else {
		hole_remove(iova, hole);
	}
	iova->num_taken++;
}

/* The lowest suitable start within a hole and the wish's range. */
static bool fits(const struct weir_tree_node *hole, const struct weir_iova_wish *wish, uint64_t *ret_start)
{
	uint64_t start = hole->key > wish->within.start ? hole->key : wish->within.start;
	uint64_t last = last_of(hole) < wish->within.last ? last_of(hole) : wish->within.last;
	uint64_t shift = (wish->remainder - start) & (wish->align - 1);

	if (start > last || shift > last - start || last - start - shift < wish->len - 1)
		return false;
	*ret_start = start + shift;
	return true;
}

int weir_iova_take(struct weir_iova *iova, const struct weir_iova_wish *wish, uint64_t *ret_start)
{
	/*
	 * Holes long enough may still lie wrongly; the few first ones are looked at, then only such as fit however they lie.
	 */
	enum { LOOKS = 16 };
	struct weir_tree_node *hole = weir_tree_at_or_below(&iova->holes, wish->within.start);
	uint64_t need = wish->len - 1;
	uint64_t from = wish->within.start;

	if (reserve(iova))
		return -ENOMEM;
	if (!hole || !fits(hole, wish, ret_start))
		hole = weir_tree_heavy(&iova->holes, from, need);
	for (int looks = 0; hole && hole->key <= wish->within.last; looks++) {
		if (fits(hole, wish, ret_start)) {
			carve(iova, hole, *ret_start, *ret_start + wish->len - 1);
			return 0;
		}
		if (hole->key == UINT64_MAX)
			break;
		if (looks == LOOKS && need <= UINT64_MAX - wish->align)
			need += wish->align - 1;
		hole = weir_tree_heavy(&iova->holes, hole->key + 1, need);
	}
	return -ENOSPC;
}

int weir_iova_take_fixed(struct weir_iova *iova, uint64_t start, uint64_t len)
{
	struct weir_tree_node *hole = weir_tree_at_or_below(&iova->holes, start);

	if (!hole || last_of(hole) < start + (len - 1))
		return -EEXIST;
	if (reserve(iova))
		return -ENOMEM;
	carve(iova, hole, start, start + (len - 1));
	return 0;
}

void weir_iova_give(struct weir_iova *iova, uint64_t start, uint64_t len)
{
	uint64_t last = start + (len - 1);
	struct weir_tree_node *below, *above;

	/* No hole begins within what is taken. */
	weir_tree_around(&iova->holes, start, &below, &above);
	if (below && last_of(below) != start - 1)
		below = NULL;
	if (above && above->key - 1 != last)
		above = NULL;
	if (below && above) {
		last = last_of(above);
		hole_remove(iova, above);
	}
	if (below)
		hole_change(iova, below, below->key, last);
	else if (above)
		hole_change(iova, above, start, last_of(above));
	else
		hole_insert(iova, start, last);
	iova->num_taken--;
}
