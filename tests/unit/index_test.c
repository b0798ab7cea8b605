// SPDX-License-Identifier: MIT
/* The hash table of what is taken, beside an array. */
#include "memory/index.h"

#include <stdlib.h>

#include "shim/test.h"
#include "support/alloc_fail.h"

enum { PAGE = 4096, ROOM = 5000 };

struct model {
	struct weir_index index;
	struct weir_segment segments[ROOM];
	bool there[ROOM];
	uint64_t num, random;
};

static uint64_t draw(struct model *model, uint64_t below)
{
	model->random = model->random * 6364136223846793005u + 1442695040888963407u;
	return (model->random >> 17) % below;
}

static void finish(void *arg)
{
	struct model *model = arg;

	weir_index_finish(&model->index);
	free(model);
}

/* Segments that begin at every @step bytes. */
static struct model *new_model(struct t *t, uint64_t step)
{
	struct model *model = calloc(1, sizeof(*model));

	ASSERT_TRUE(model);
	t_defer(t, finish, model);
	model->random = step;
	for (uint64_t i = 0; i < ROOM; i++)
		model->segments[i].node.key = i * step;
	return model;
}

static void flip(struct model *model, uint64_t which)
{
	if (model->there[which])
		weir_index_forget(&model->index, &model->segments[which]);
	else
		weir_index_note(&model->index, &model->segments[which]);
	model->num += model->there[which] ? -1 : 1;
	model->there[which] = !model->there[which];
}

static void check(const struct model *model)
{
	ASSERT_EQ(model->num, model->index.num);
	ASSERT_LE(2 * model->num, model->index.mask + 1);
	for (uint64_t i = 0; i < ROOM; i++) {
		const struct weir_segment *expected = model->there[i] ? &model->segments[i] : NULL;

		ASSERT_TRUE(weir_index_find(&model->index, model->segments[i].node.key) == expected);
	}
}

UNIT(index, does_what_an_array_does)
{
	static const uint64_t steps[] = { PAGE, 3 * PAGE, 0x200000, 0x40000000 };

	for (int i = 0; i < 4; i++) {
		struct model *model = new_model(t, steps[i]);

		t_note(t, "every %#llx bytes", (unsigned long long)steps[i]);
		weir_index_begin(&model->index);
		ASSERT_TRUE(model->index.slots);
		for (unsigned int k = 0; k < 60000; k++) {
			/* From a few to all of them, and back. */
			flip(model, draw(model, 1 + draw(model, (k / 6000) % 2 ? ROOM : 100)));
			if (k % 3000 == 0)
				check(model);
		}
		for (uint64_t k = 0; k < ROOM; k++)
			if (model->there[k])
				flip(model, k);
		check(model);
	}
}

UNIT(index, knows_nothing_when_it_is_not_there)
{
	struct model *model = new_model(t, PAGE);

	weir_index_note(&model->index, &model->segments[1]);
	EXPECT_FALSE(weir_index_find(&model->index, PAGE));
	weir_index_forget(&model->index, &model->segments[1]);
	alloc_fail(1);
	weir_index_begin(&model->index);
	EXPECT_TRUE(alloc_failed());
	weir_index_note(&model->index, &model->segments[1]);
	EXPECT_FALSE(weir_index_find(&model->index, PAGE));
}

UNIT(index, goes_when_it_cannot_grow)
{
	struct model *model = new_model(t, PAGE);
	uint64_t i = 0;

	weir_index_begin(&model->index);
	alloc_fail(1);
	while (model->index.slots && i < ROOM)
		weir_index_note(&model->index, &model->segments[i++]);
	EXPECT_TRUE(alloc_failed());
	EXPECT_GT(i, 10);
	EXPECT_LT(i, ROOM);
	EXPECT_FALSE(weir_index_find(&model->index, 0));
	weir_index_forget(&model->index, &model->segments[0]);
	weir_index_begin(&model->index);
	weir_index_note(&model->index, &model->segments[0]);
	EXPECT_TRUE(weir_index_find(&model->index, 0) == &model->segments[0]);
}
