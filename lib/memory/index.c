// SPDX-License-Identifier: MIT
/* Which segment begins at an IOVA: open addressing, the next free slot taken, no tombstones. */
#include "memory/index.h"

#include <stdlib.h>

/* Multiplied by a constant far from any pattern, so that neighbours and multiples of large powers of two spread. */
static uint64_t home_of(const struct weir_index *index, uint64_t start)
{
	return (start >> WEIR_BIN_PAGE_SHIFT) * 0x9e3779b97f4a7c15 >> index->shift;
}

static void put(struct weir_index *index, struct weir_segment *segment)
{
	uint64_t at = home_of(index, segment->node.key);

	while (index->slots[at])
		at = (at + 1) & index->mask;
	index->slots[at] = segment;
}

/* With 2^@bits free slots, or none if there is no memory. */
static struct weir_index empty(unsigned int bits)
{
	return (struct weir_index){
		.slots = (struct weir_segment **)calloc((size_t)1 << bits, sizeof(struct weir_segment *)),
		.mask = ((uint64_t)1 << bits) - 1,
		.shift = 64 - bits,
	};
}

void weir_index_begin(struct weir_index *index)
{
	enum { FEWEST_BITS = 6 };

	*index = empty(FEWEST_BITS);
}

void weir_index_finish(struct weir_index *index)
{
	free((void *)index->slots);
	*index = (struct weir_index){ 0 };
}

static void grow(struct weir_index *index)
{
	struct weir_index bigger = empty(64 - index->shift + 1);

	bigger.num = index->num;
	for (uint64_t i = 0; bigger.slots && i <= index->mask; i++)
		if (index->slots[i])
			put(&bigger, index->slots[i]);
	free((void *)index->slots);
	*index = bigger;
}

void weir_index_add(struct weir_index *index, struct weir_segment *segment)
{
	if (2 * (index->num + 1) > index->mask)
		grow(index);
	if (!index->slots)
		return;
	put(index, segment);
	index->num++;
}

void weir_index_remove(struct weir_index *index, const struct weir_segment *segment)
{
	uint64_t gap = home_of(index, segment->node.key), at;

	while (index->slots[gap] != segment)
		gap = (gap + 1) & index->mask;
	/* Whoever stands further on because of the one that goes moves up, so that a search can end at a free slot. */
	for (at = (gap + 1) & index->mask; index->slots[at]; at = (at + 1) & index->mask) {
		uint64_t away = (at - home_of(index, index->slots[at]->node.key)) & index->mask;

		if (away >= ((at - gap) & index->mask)) {
			index->slots[gap] = index->slots[at];
			gap = at;
		}
	}
	index->slots[gap] = NULL;
	index->num--;
}

struct weir_segment *weir_index_find(const struct weir_index *index, uint64_t start)
{
	if (!index->slots)
		return NULL;
	for (uint64_t at = home_of(index, start); index->slots[at]; at = (at + 1) & index->mask)
		if (index->slots[at]->node.key == start)
			return index->slots[at];
	return NULL;
}
