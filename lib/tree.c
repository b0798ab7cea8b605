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

void weir_tree_insert(struct weir_tree *tree, struct weir_tree_node *node)
{
	struct weir_tree_node **link = &tree->root, *rest;
	struct weir_tree_node **below = &node->left, **above = &node->right;

	node->priority = next_random(tree);
	while (*link && (*link)->priority >= node->priority)
		link = node->key < (*link)->key ? &(*link)->left : &(*link)->right;
	rest = *link;
	*link = node;
	/* What was there is divided into what is below the key and what is above it. */
	while (rest) {
		if (rest->key < node->key) {
			*below = rest;
			below = &rest->right;
			rest = rest->right;
		} else {
			*above = rest;
			above = &rest->left;
			rest = rest->left;
		}
	}
	*below = *above = NULL;
}

void weir_tree_remove(struct weir_tree *tree, struct weir_tree_node *node)
{
	struct weir_tree_node **link = &tree->root;
	struct weir_tree_node *below = node->left, *above = node->right;

	while (*link != node)
		link = node->key < (*link)->key ? &(*link)->left : &(*link)->right;
	/* What was under it is joined in its place. */
	while (below && above) {
		if (below->priority > above->priority) {
			*link = below;
			link = &below->right;
			below = below->right;
		} else {
			*link = above;
			link = &above->left;
			above = above->left;
		}
	}
	*link = below ? below : above;
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
