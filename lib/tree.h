/* SPDX-License-Identifier: MIT */
/* An ordered tree of records by a 64-bit key, for records that carry their own node: a treap. */
#ifndef WEIR_TREE_H
#define WEIR_TREE_H

#include <stdint.h>

#include "error.h"

struct weir_tree_node {
	struct weir_tree_node *left, *right;
	/* A node's key may be changed in place, as long as no other node's is passed or met. */
	uint64_t key;
	uint32_t priority;
};

struct weir_tree {
	struct weir_tree_node *root;
	uint32_t random; /* state of the priorities */
};

/* Insert @node, whose key is set; no node has that key. */
WEIR_PRIVATE_API void weir_tree_insert(struct weir_tree *tree, struct weir_tree_node *node);

/* Remove @node, which is in the tree. */
WEIR_PRIVATE_API void weir_tree_remove(struct weir_tree *tree, struct weir_tree_node *node);

/* The node with the largest key at or below @key, or NULL. */
WEIR_PRIVATE_API struct weir_tree_node *weir_tree_at_or_below(const struct weir_tree *tree, uint64_t key);

/* The node with the smallest key at or above @key, or NULL. */
WEIR_PRIVATE_API struct weir_tree_node *weir_tree_at_or_above(const struct weir_tree *tree, uint64_t key);

#endif
