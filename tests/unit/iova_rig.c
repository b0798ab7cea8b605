// SPDX-License-Identifier: MIT
/* Spaces of IOVAs for cases. */
#include "unit/iova_rig.h"

#include <stdlib.h>

static void finish_iova(void *arg)
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
