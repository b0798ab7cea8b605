/* SPDX-License-Identifier: MIT */
/*
 * Which segment begins at an IOVA: a hash table of what is taken. Not locked.
 *
 * It saves a walk and nothing depends on it: it is not there until somebody fills it, and it goes when it cannot grow.
 */
#ifndef WEIR_MEMORY_INDEX_H
#define WEIR_MEMORY_INDEX_H

#include <stddef.h>

#include "ioas/bins.h"

struct weir_index {
	struct weir_segment *
		*slots; /* a power of two, at most half of them in use; NULL: the index is not there */
	uint64_t num, mask;
	unsigned int shift;
};

/* Make an empty index, if there is memory. */
void weir_index_begin(struct weir_index *index);
void weir_index_finish(struct weir_index *index);

/* See weir_index_note() and weir_index_forget(). */
void weir_index_add(struct weir_index *index, struct weir_segment *segment);
void weir_index_remove(struct weir_index *index, const struct weir_segment *segment);

/* The segment that begins at @start; NULL when there is none, or no index. */
struct weir_segment *weir_index_find(const struct weir_index *index, uint64_t start);

/* @segment is taken now. No other one in the index begins where it does. */
static inline void weir_index_note(struct weir_index *index, struct weir_segment *segment)
{
	if (index->slots)
		weir_index_add(index, segment);
}

/* @segment, which was noted or taken before the index was there, is not taken any more. */
static inline void weir_index_forget(struct weir_index *index, const struct weir_segment *segment)
{
	if (index->slots)
		weir_index_remove(index, segment);
}

#endif
