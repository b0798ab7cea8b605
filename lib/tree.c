// SPDX-License-Identifier: MIT
/* An ordered tree of records by a 64-bit key. */
#include "tree.h"

#include <stddef.h>

static uint32_t next_random(struct weir_tree *tree)
{
	uint32_t x = tree->random ? tree->random : 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	tree->random = x;
	return x;
}

static void update(struct weir_tree_node *node)
{
	uint64_t heaviest = node->weight;

	if (node->left && node->left->heaviest > heaviest)
		heaviest = node->left->heaviest;
	if (node->right && node->right->heaviest > heaviest)
		heaviest = node->right->heaviest;
	node->heaviest = heaviest;
}

/* Divide @tree into what is below @key and what is not. */
static void split(struct weir_tree_node *tree, uint64_t key, struct weir_tree_node **ret_below,
		  struct weir_tree_node **ret_above)
{
	if (!tree) {
		*ret_below = *ret_above = NULL;
	} else if (tree->key < key) {
		split(tree->right, key, &tree->right, ret_above);
		*ret_below = tree;
		update(tree);
	} else {
		split(tree->left, key, ret_below, &tree->left);
		*ret_above = tree;
		update(tree);
	}
}

/* Join two trees, all keys of @below being less than all of @above. */
static struct weir_tree_node *join(struct weir_tree_node *below, struct weir_tree_node *above)
{
	if (!below || !above)
		return below ? below : above;
	if (below->priority > above->priority) {
		below->right = join(below->right, above);
		update(below);
		return below;
	}
	above->left = join(below, above->left);
	update(above);
	return above;
}

void weir_tree_insert(struct weir_tree *tree, struct weir_tree_node *node)
{
	struct weir_tree_node **link = &tree->root;

	node->priority = next_random(tree);
	while (*link && (*link)->priority >= node->priority) {
		if ((*link)->heaviest < node->weight)
			(*link)->heaviest = node->weight;
		link = node->key < (*link)->key ? &(*link)->left : &(*link)->right;
	}
	split(*link, node->key, &node->left, &node->right);
	update(node);
	*link = node;
}

static struct weir_tree_node *remove_node(struct weir_tree_node *tree, const struct weir_tree_node *node)
{
	if (tree == node)
		return join(tree->left, tree->right);
	if (node->key < tree->key)
		tree->left = remove_node(tree->left, node);
	else
		tree->right = remove_node(tree->right, node);
	update(tree);
	return tree;
}

void weir_tree_remove(struct weir_tree *tree, struct weir_tree_node *node)
{
	struct weir_tree_node **link = &tree->root;

	/* What has something heavier below it, or nothing that weighs, does not change. */
	while (*link != node && ((*link)->heaviest > node->weight || !node->weight))
		link = node->key < (*link)->key ? &(*link)->left : &(*link)->right;
	*link = remove_node(*link, node);
}

static void refresh(struct weir_tree_node *tree, const struct weir_tree_node *node)
{
	if (tree != node)
		refresh(node->key < tree->key ? tree->left : tree->right, node);
	update(tree);
}

void weir_tree_change(struct weir_tree *tree, struct weir_tree_node *node, uint64_t key, uint64_t weight)
{
	node->key = key;
	node->weight = weight;
	refresh(tree->root, node);
}

struct weir_tree_node *weir_tree_at_or_below(const struct weir_tree *tree, uint64_t key)
{
	struct weir_tree_node *node = tree->root, *best = NULL;

	while (node) {
		if (node->key <= key) {
			best = node;
			node = node->right;
		} else {
			node = node->left;
		}
	}
	return best;
}

struct weir_tree_node *weir_tree_at_or_above(const struct weir_tree *tree, uint64_t key)
{
	struct weir_tree_node *node = tree->root, *best = NULL;

	while (node) {
		if (node->key >= key) {
			best = node;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return best;
}

void weir_tree_around(const struct weir_tree *tree, uint64_t key, struct weir_tree_node **ret_below,
		      struct weir_tree_node **ret_above)
{
	struct weir_tree_node *node = tree->root;

	*ret_below = *ret_above = NULL;
	while (node) {
		if (node->key < key) {
			*ret_below = node;
			node = node->right;
		} else {
			*ret_above = node;
			node = node->left;
		}
	}
}

static struct weir_tree_node *heavy(struct weir_tree_node *node, uint64_t key, uint64_t weight)
{
	struct weir_tree_node *found;

	if (!node || node->heaviest < weight)
		return NULL;
	if (node->key < key)
		return heavy(node->right, key, weight);
	found = heavy(node->left, key, weight);
	if (found)
		return found;
	return node->weight >= weight ? node : heavy(node->right, key, weight);
}

struct weir_tree_node *weir_tree_heavy(const struct weir_tree *tree, uint64_t key, uint64_t weight)
{
	return heavy(tree->root, key, weight);
}
