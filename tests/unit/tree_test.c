// SPDX-License-Identifier: MIT
/* The ordered tree, beside an array that is sorted. */
#include "tree.h"

#include <stdlib.h>

#include "shim/test.h"

enum { ROOM = 2000 };

/* The model: the nodes in the tree, by key. */
struct model {
	struct weir_tree tree;
	struct weir_tree_node *sorted[ROOM];
	size_t num;
	uint64_t random;
};

static uint64_t draw(struct model *model)
{
	model->random = model->random * 6364136223846793005u + 1442695040888963407u;
	return model->random >> 17;
}

/* Keys lie close together, so that they meet, and at both ends of what there is. */
static uint64_t draw_key(struct model *model)
{
	uint64_t key = draw(model) % 4096;

	return draw(model) % 8 ? key * 16 : UINT64_MAX - key;
}

/* How many keys are below @key. */
static size_t position(const struct model *model, uint64_t key)
{
	size_t low = 0, high = model->num;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (model->sorted[middle]->key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has(const struct model *model, uint64_t key)
{
	size_t at = position(model, key);

	return at < model->num && model->sorted[at]->key == key;
}

static void add(struct model *model)
{
	uint64_t key = draw_key(model);
	size_t at = position(model, key);
	struct weir_tree_node *node;

	if (model->num == ROOM || has(model, key))
		return;
	node = calloc(1, sizeof(*node));
	ASSERT_TRUE(node);
	node->key = key;
	for (size_t i = model->num++; i > at; i--)
		model->sorted[i] = model->sorted[i - 1];
	model->sorted[at] = node;
	weir_tree_insert(&model->tree, node);
}

static void take(struct model *model)
{
	size_t at;

	if (!model->num)
		return;
	at = draw(model) % model->num;
	weir_tree_remove(&model->tree, model->sorted[at]);
	free(model->sorted[at]);
	model->num--;
	for (size_t i = at; i < model->num; i++)
		model->sorted[i] = model->sorted[i + 1];
}

/* Another key, anywhere between the neighbours'. */
static void change(struct model *model)
{
	uint64_t low, high;
	size_t at;

	if (!model->num)
		return;
	at = draw(model) % model->num;
	low = at ? model->sorted[at - 1]->key + 1 : 0;
	high = at + 1 < model->num ? model->sorted[at + 1]->key - 1 : UINT64_MAX;
	model->sorted[at]->key = low + draw(model) % (high - low < 50 ? high - low + 1 : 50);
}

static void ask(struct model *model)
{
	uint64_t key = draw_key(model);
	size_t at = position(model, key);
	const struct weir_tree_node *above = at < model->num ? model->sorted[at] : NULL;
	const struct weir_tree_node *below = has(model, key) ? above : at ? model->sorted[at - 1] : NULL;

	ASSERT_EQ((uintptr_t)above, (uintptr_t)weir_tree_at_or_above(&model->tree, key));
	ASSERT_EQ((uintptr_t)below, (uintptr_t)weir_tree_at_or_below(&model->tree, key));
}

/* Order and heap; returns how many nodes there are. */
static size_t check_subtree(const struct weir_tree_node *node, uint64_t low, uint64_t high, size_t depth)
{
	size_t num = 1;

	if (!node)
		return 0;
	ASSERT_LT(depth, 80);
	ASSERT_LE(low, node->key);
	ASSERT_LE(node->key, high);
	if (node->left) {
		ASSERT_LE(node->left->priority, node->priority);
		ASSERT_GT(node->key, 0);
		num += check_subtree(node->left, low, node->key - 1, depth + 1);
	}
	if (node->right) {
		ASSERT_LE(node->right->priority, node->priority);
		ASSERT_LT(node->key, UINT64_MAX);
		num += check_subtree(node->right, node->key + 1, high, depth + 1);
	}
	return num;
}

static void finish(void *arg)
{
	struct model *model = arg;

	for (size_t i = 0; i < model->num; i++)
		free(model->sorted[i]);
	free(model);
}

static struct model *new_model(struct t *t, uint64_t seed)
{
	struct model *model = calloc(1, sizeof(*model));

	ASSERT_TRUE(model);
	t_defer(t, finish, model);
	model->random = seed;
	return model;
}

static void run(struct model *model, unsigned int operations)
{
	for (unsigned int i = 0; i < operations; i++) {
		/* Waves of growing and shrinking, down to nothing. */
		bool grow = (i / 5000) % 2 == 0;
		unsigned int what = (unsigned int)(draw(model) % 9);

		if (what < (grow ? 5u : 2u))
			add(model);
		else if (what < 7)
			take(model);
		else if (what < 8)
			change(model);
		else
			ask(model);
		if (i % 1000 == 0)
			ASSERT_EQ(model->num, check_subtree(model->tree.root, 0, UINT64_MAX, 0));
	}
}

UNIT(tree, does_what_a_sorted_array_does)
{
	static const uint64_t seeds[] = { 1, 42, 0xfeedface };

	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		t_note(t, "seed %llu", (unsigned long long)seeds[i]);
		run(new_model(t, seeds[i]), 100000);
	}
}

UNIT(tree, stays_shallow_when_keys_come_in_order)
{
	struct model *model = new_model(t, 1);

	for (size_t i = 0; i < ROOM; i++) {
		struct weir_tree_node *node = calloc(1, sizeof(*node));

		ASSERT_TRUE(node);
		node->key = i;
		model->sorted[model->num++] = node;
		weir_tree_insert(&model->tree, node);
	}
	EXPECT_EQ(ROOM, check_subtree(model->tree.root, 0, UINT64_MAX, 0));
}

UNIT(tree, of_nothing_has_no_answers)
{
	struct weir_tree tree = { 0 };

	EXPECT_FALSE(weir_tree_at_or_below(&tree, UINT64_MAX));
	EXPECT_FALSE(weir_tree_at_or_above(&tree, 0));
}

UNIT(tree, knows_both_ends_of_the_key_space)
{
	struct weir_tree tree = { 0 };
	struct weir_tree_node lowest = { .key = 0 }, highest = { .key = UINT64_MAX };

	weir_tree_insert(&tree, &highest);
	weir_tree_insert(&tree, &lowest);
	EXPECT_EQ((uintptr_t)&lowest, (uintptr_t)weir_tree_at_or_below(&tree, 0));
	EXPECT_EQ((uintptr_t)&highest, (uintptr_t)weir_tree_at_or_above(&tree, 1));
	EXPECT_EQ((uintptr_t)&highest, (uintptr_t)weir_tree_at_or_below(&tree, UINT64_MAX));
}
