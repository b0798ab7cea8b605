/* SPDX-License-Identifier: MIT */
/*
 * An ordered tree of records by a 64-bit key, for records that carry their own node: a treap. Each node
 * also knows the largest "weight" below it, so that the first record with at least some weight is found in
 * one descent.
 */
#ifndef WEIR_TREE_H
#define WEIR_TREE_H

#include <stdint.h>

#include "error.h"

struct weir_tree_node {
	struct weir_tree_node *left, *right;
	uint64_t key;
	uint64_t weight;
	uint64_t heaviest; /* the largest weight in this subtree */
	uint32_t priority;
};

struct weir_tree {
	struct weir_tree_node *root;
	uint32_t random; /* state of the priorities */
};

/* Insert @node, whose key and weight are set; no node has that key. */
WEIR_PRIVATE_API void weir_tree_insert(struct weir_tree *tree, struct weir_tree_node *node);

/* Remove @node, which is in the tree. */
WEIR_PRIVATE_API void weir_tree_remove(struct weir_tree *tree, struct weir_tree_node *node);

/* Give @node, which is in the tree, another key and weight. No other node's key is between its old key and the new. */
void weir_tree_change(struct weir_tree *tree, struct weir_tree_node *node, uint64_t key, uint64_t weight);

/* The node with the largest key at or below @key, or NULL. */
WEIR_PRIVATE_API struct weir_tree_node *weir_tree_at_or_below(const struct weir_tree *tree, uint64_t key);

/* The node with the smallest key at or above @key, or NULL. */
WEIR_PRIVATE_API struct weir_tree_node *weir_tree_at_or_above(const struct weir_tree *tree, uint64_t key);

/* The nodes with the largest key below @key and with the smallest key at or above it, or NULL, in one descent. */
void weir_tree_around(const struct weir_tree *tree, uint64_t key, struct weir_tree_node **ret_below,
		      struct weir_tree_node **ret_above);

/* The node with the smallest key at or above @key that weighs at least @weight, or NULL. */
WEIR_PRIVATE_API struct weir_tree_node *weir_tree_heavy(const struct weir_tree *tree, uint64_t key,
							uint64_t weight);

#endif
