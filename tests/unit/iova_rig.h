/* SPDX-License-Identifier: MIT */
/* Spaces of IOVAs for cases. */
#ifndef TESTS_UNIT_IOVA_RIG_H
#define TESTS_UNIT_IOVA_RIG_H

#include "ioas/iova.h"
#include "shim/test.h"

enum { IOVA_PAGE = 4096 };

/* A space from which nothing may be chosen yet. It ends with the case. */
struct weir_iova *new_iova(struct t *t);

/* Frees one; what new_iova() has the case do. */
void finish_iova(void *iova);

/* From now on choose from this range alone, in pages. */
void allow_iova(struct weir_iova *iova, uint64_t start, uint64_t last);

/* What suits; what lies there. The case ends when it cannot be had. */
struct weir_segment *take_iova(struct weir_iova *iova, struct weir_iova_wish wish);
struct weir_segment *take_iova_at(struct weir_iova *iova, uint64_t start, uint64_t len);

/* All segments are in order and leave nothing out, and the holes are in their bins. Returns how many holes there are. */
uint64_t check_segments(const struct weir_iova *iova);

#endif
