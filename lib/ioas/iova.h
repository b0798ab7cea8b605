/* SPDX-License-Identifier: MIT */
/* Which IOVAs are free: the holes between what is taken, over the whole 64-bit space. Not locked. */
#ifndef WEIR_IOAS_IOVA_H
#define WEIR_IOAS_IOVA_H

#include <stdbool.h>

#include <weir/ioas.h>

#include "tree.h"

struct weir_iova {
	struct weir_tree holes; /* key: first address; weight: last address - first address */
	struct weir_iova_hole *spare;
	uint64_t num_spare, num_holes, num_taken;
};

/* What a range is looked for. */
struct weir_iova_wish {
	uint64_t len;
	uint64_t align;     /* a power of two */
	uint64_t remainder; /* the range begins at this modulo align */
	struct weir_iova_range within;
};

/* -ENOMEM */
int weir_iova_init(struct weir_iova *iova);
void weir_iova_finish(struct weir_iova *iova);

/* Take the lowest free range that suits. -ENOSPC: there is none; -ENOMEM. */
int weir_iova_take(struct weir_iova *iova, const struct weir_iova_wish *wish, uint64_t *ret_start);

/* Take exactly this range. -EEXIST: part of it is taken; -ENOMEM. */
int weir_iova_take_fixed(struct weir_iova *iova, uint64_t start, uint64_t len);

/* Give back a range that was taken as one. Cannot fail. */
void weir_iova_give(struct weir_iova *iova, uint64_t start, uint64_t len);

#endif
