// SPDX-License-Identifier: MIT
/*
 * The space of IOVAs.
 *
 * Giving back must not fail, nor must a change of stretches. What they need segments for is borders: one for each border inside of a range
 * that is given back, or of a hole that is to be divided. Before a range is taken there are spare segments for all borders that
 * there can be, beside what the taking itself needs; every border that has used one up since then lies between two holes, whose
 * joining returns it.
 */
#include "ioas/iova.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { CACHE_LINE = 64, SEGMENTS = 128 /* made at a time */, HUGE_PAGE = 1 << 21 };

struct weir_iova_chunk {
	struct weir_iova_chunk *next;
	_Alignas(CACHE_LINE) unsigned char segments[];
};

/* As much memory as there is already, up to a huge page: then misses of the TLB do not come on top of those of the caches. */
static int add_chunk(struct weir_iova *iova)
{
	const size_t least = sizeof(struct weir_iova_chunk) + SEGMENTS * iova->segment_size;
	size_t size = iova->num_segments * iova->segment_size;
	struct weir_iova_chunk *chunk;

	if (size < least)
		size = least;
	if (size > HUGE_PAGE / 2)
		size = HUGE_PAGE;
	size &= ~(size_t)(CACHE_LINE - 1);
	chunk = aligned_alloc(size == HUGE_PAGE ? HUGE_PAGE : CACHE_LINE, size);
	if (!chunk)
		return -ENOMEM;
	if (size == HUGE_PAGE)
		madvise(chunk, size, MADV_HUGEPAGE); /* faster where there are any */
	chunk->next = iova->chunks;
	iova->chunks = chunk;
	iova->fresh = chunk->segments;
	iova->fresh_end = (unsigned char *)chunk + size;
	return 0;
}

/* More spare segments, in the order of their addresses. What is left of a chunk that is too little stays unused. */
static __attribute__((noinline)) int make_spare(struct weir_iova *iova)
{
	const size_t size = SEGMENTS * iova->segment_size;

	if ((size_t)(iova->fresh_end - iova->fresh) < size && add_chunk(iova))
		return -ENOMEM;
	for (size_t i = SEGMENTS; i-- > 0;) {
		struct weir_segment *segment = (struct weir_segment *)(iova->fresh + i * iova->segment_size);

		segment->mark = false;
		weir_iova_spare_push(iova, segment);
	}
	iova->fresh += size;
	iova->num_segments += SEGMENTS;
	return 0;
}

/* Taking divides a hole into three at most. */
static inline int reserve(struct weir_iova *iova)
{
	return iova->num_spare <= WEIR_IOVA_SPARE ? make_spare(iova) : 0;
}

/* The range of a segment is another's now. */
static void drop(struct weir_iova *iova, struct weir_segment *segment)
{
	if (segment->mark) {
		segment->mark = false;
		weir_tree_remove(&iova->marks, &segment->node);
	}
	weir_iova_drop(iova, segment);
}

/* Put a hole, which lies within one stretch and is in no bin, into the bin where it belongs. */
static void file(struct weir_iova *iova, struct weir_hole *hole)
{
	const struct weir_stretch *stretch = &iova->stretches.all[hole->segment.hole - 1];

	if (stretch->usable)
		weir_bins_add(&iova->bins, hole);
	else
		weir_bins_omit(hole);
	/* What lies below the border never becomes part of it. */
	if (hole->lowest < stretch->start)
		hole->lowest = stretch->start;
}

static void file_again(struct weir_iova *iova, struct weir_hole *hole)
{
	weir_bins_remove(&iova->bins, hole);
	file(iova, hole);
}

/* A hole begins elsewhere now, without passing another segment: its place in the tree stays, if it is a mark, and mostly its bin. */
static inline void move_start(struct weir_iova *iova, struct weir_hole *hole, uint64_t start)
{
	hole->segment.node.key = start;
	if (start < hole->lowest || start > hole->highest)
		file_again(iova, hole);
}

static void move_last(struct weir_iova *iova, struct weir_hole *hole, uint64_t last)
{
	hole->segment.last = last;
	file_again(iova, hole);
}

/* @hole: what segments in that stretch have there while they are holes. */
static void hole_begins(struct weir_iova *iova, struct weir_segment *segment, uint8_t hole)
{
	segment->hole = hole;
	iova->num_holes++;
	file(iova, weir_hole_of(segment));
}

static void hole_ends(struct weir_iova *iova, struct weir_segment *hole)
{
	weir_bins_remove(&iova->bins, weir_hole_of(hole));
	hole->hole = 0;
	iova->num_holes--;
}

int weir_iova_init(struct weir_iova *iova, size_t taken_size)
{
	struct weir_segment *all;

	iova->stretches.num = 1;
	weir_bins_init(&iova->bins);
	iova->segment_size = taken_size > sizeof(struct weir_hole) ? taken_size : sizeof(struct weir_hole);
	iova->segment_size = (iova->segment_size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	if (reserve(iova))
		return -ENOMEM;
	iova->edge.below = iova->edge.above = &iova->edge;
	all = weir_iova_spare_pop(iova);
	all->node.key = 0;
	all->last = UINT64_MAX;
	weir_iova_link_above(all, &iova->edge);
	hole_begins(iova, all, 1);
	return 0;
}

void weir_iova_finish(struct weir_iova *iova)
{
	while (iova->chunks) {
		struct weir_iova_chunk *chunk = iova->chunks;

		iova->chunks = chunk->next;
		free(chunk);
	}
}

static struct weir_segment *new_taken(struct weir_iova *iova, uint64_t start, uint64_t last,
				      struct weir_segment *below)
{
	struct weir_segment *taken = weir_iova_spare_pop(iova);

	taken->hole = 0;
	taken->node.key = start;
	taken->last = last;
	weir_iova_link_above(taken, below);
	return taken;
}

/* Any part of a hole; what is left of it below and above stays free. */
static struct weir_segment *carve(struct weir_iova *iova, struct weir_segment *hole, uint64_t start,
				  uint64_t last)
{
	struct weir_segment *taken, *front;

	if (start == hole->node.key) {
		if (last == hole->last) {
			hole_ends(iova, hole);
			return hole;
		}
		taken = new_taken(iova, start, last, hole->below);
		move_start(iova, weir_hole_of(hole), last + 1);
		return taken;
	}
	if (last == hole->last) {
		taken = new_taken(iova, start, last, hole);
		move_last(iova, weir_hole_of(hole), start - 1);
		return taken;
	}
	front = weir_iova_spare_pop(iova);
	front->node.key = hole->node.key;
	front->last = start - 1;
	weir_iova_link_above(front, hole->below);
	taken = new_taken(iova, start, last, front);
	move_start(iova, weir_hole_of(hole), last + 1);
	hole_begins(iova, front, hole->hole);
	return taken;
}

int weir_iova_search_and_take(struct weir_iova *iova, const struct weir_iova_wish *wish,
			      struct weir_segment **ret_segment)
{
	struct weir_hole *hole;
	uint64_t start;

	if (reserve(iova))
		return -ENOMEM;
	hole = weir_bins_find(&iova->bins, wish, &start);
	if (!hole)
		return -ENOSPC;
	*ret_segment = carve(iova, &hole->segment, start, start + (wish->len - 1));
	return 0;
}

static void make_mark(struct weir_iova *iova, struct weir_segment *segment)
{
	segment->mark = true;
	weir_tree_insert(&iova->marks, &segment->node);
}

struct weir_segment *weir_iova_find(struct weir_iova *iova, uint64_t address)
{
	struct weir_segment *segment = (struct weir_segment *)weir_tree_at_or_below(&iova->marks, address);
	unsigned int walked = 0;

	if (!segment)
		segment = iova->edge.above;
	for (; segment->last < address; segment = segment->above) {
		if (++walked < WEIR_BETWEEN_MARKS)
			continue;
		walked = 0;
		make_mark(iova, segment);
	}
	return segment;
}

int weir_iova_take_fixed(struct weir_iova *iova, uint64_t start, uint64_t last,
			 struct weir_segment **ret_segment)
{
	struct weir_segment *hole = weir_iova_find(iova, start), *end, *taken;

	if (!hole->hole)
		return -EEXIST;
	for (end = hole; end->last < last; end = end->above)
		if (!end->above->hole)
			return -EEXIST;
	if (reserve(iova))
		return -ENOMEM;
	taken = carve(iova, hole, start, hole->last < last ? hole->last : last);
	while (taken->last < last) {
		hole = taken->above;
		hole = carve(iova, hole, hole->node.key, hole->last < last ? hole->last : last);
		taken->last = hole->last;
		drop(iova, hole);
	}
	*ret_segment = taken;
	return 0;
}

int weir_iova_divide(struct weir_iova *iova, struct weir_segment *segment, uint64_t len,
		     struct weir_segment **ret_rest)
{
	uint64_t start = segment->node.key + len;

	if (reserve(iova))
		return -ENOMEM;
	*ret_rest = new_taken(iova, start, segment->last, segment);
	segment->last = start - 1;
	return 0;
}

/* What lies below a hole, in the same stretch, becomes part of it. */
static inline void join_above(struct weir_iova *iova, struct weir_segment *segment,
			      struct weir_segment *above)
{
	struct weir_segment *below = segment->below;
	uint64_t start = segment->node.key;

	drop(iova, segment);
	if (below->hole == above->hole) {
		start = below->node.key;
		hole_ends(iova, below);
		drop(iova, below);
	}
	move_start(iova, weir_hole_of(above), start);
}

/* A range that lies within one stretch becomes a hole, or part of one of its neighbours. */
static void release(struct weir_iova *iova, struct weir_segment *segment, uint8_t stretch)
{
	struct weir_segment *below = segment->below;
	uint8_t hole = stretch + 1;

	if (segment->above->hole == hole) {
		join_above(iova, segment, segment->above);
	} else if (below->hole == hole) {
		uint64_t last = segment->last;

		drop(iova, segment);
		move_last(iova, weir_hole_of(below), last);
	} else {
		hole_begins(iova, segment, hole);
	}
}

/* Piece by piece, where it lies across borders. */
void weir_iova_give_and_join(struct weir_iova *iova, struct weir_segment *segment)
{
	uint8_t stretch = weir_stretch_at(&iova->stretches, segment->node.key);

	for (; weir_stretch_last(&iova->stretches, stretch) < segment->last; stretch++) {
		struct weir_segment *piece = weir_iova_spare_pop(iova);

		piece->node.key = segment->node.key;
		piece->last = weir_stretch_last(&iova->stretches, stretch);
		weir_iova_link_above(piece, segment->below);
		segment->node.key = piece->last + 1;
		release(iova, piece, stretch);
	}
	release(iova, segment, stretch);
}

/* All holes as long as can be, in no bin, and no borders between them. */
static void join_all(struct weir_iova *iova)
{
	struct weir_segment *hole;

	for (hole = iova->edge.above; hole != &iova->edge; hole = hole->above) {
		if (!hole->hole)
			continue;
		while (hole->above->hole) {
			struct weir_segment *above = hole->above;

			hole->last = above->last;
			hole_ends(iova, above);
			drop(iova, above);
		}
		weir_bins_remove(&iova->bins, weir_hole_of(hole));
	}
}

/* Divide a hole that is in no bin at the borders of stretches. */
static void divide(struct weir_iova *iova, struct weir_segment *hole)
{
	uint8_t stretch = weir_stretch_at(&iova->stretches, hole->node.key);

	for (; weir_stretch_last(&iova->stretches, stretch) < hole->last; stretch++) {
		struct weir_segment *piece = weir_iova_spare_pop(iova);

		piece->node.key = hole->node.key;
		piece->last = weir_stretch_last(&iova->stretches, stretch);
		weir_iova_link_above(piece, hole->below);
		hole->node.key = piece->last + 1;
		hole_begins(iova, piece, stretch + 1);
	}
	hole->hole = stretch + 1;
	file(iova, weir_hole_of(hole));
}

void weir_iova_allow_choice(struct weir_iova *iova, const struct weir_choice *choice, uint64_t grain)
{
	struct weir_stretches stretches;
	struct weir_segment *segment;

	weir_stretches_choose(&stretches, choice, grain);
	if (weir_stretches_equal(&stretches, &iova->stretches))
		return;
	join_all(iova);
	iova->stretches = stretches;
	for (segment = iova->edge.above; segment != &iova->edge; segment = segment->above)
		if (segment->hole)
			divide(iova, segment);
}
