/* SPDX-License-Identifier: MIT */
/*
 * The space of IOVAs: a list of segments in address order that leaves nothing out. Each is a hole or taken. Not locked.
 *
 * A range that is taken is its segment, so giving it back needs no memory. Holes end at the borders of stretches, of which some may be
 * chosen from; a range that is taken at a given place may lie anywhere, and across borders.
 *
 * What is chosen and given back costs no more than a few cache misses, however many segments there are. So nothing is kept in order
 * by address but the list itself. Who looks for an address walks, and leaves a mark at every few segments on the way, from which the next
 * one sets out: the marks are in a tree. A segment is walked over without being near a mark once.
 */
#ifndef WEIR_IOAS_IOVA_H
#define WEIR_IOAS_IOVA_H

#include "ioas/bins.h"
#include "ioas/stretches.h"

/*
 * How many spare segments there must be before a range is taken: see iova.c. And how many segments who looks for an address passes from
 * one mark to the next.
 */
enum { WEIR_IOVA_SPARE = WEIR_MOST_STRETCHES + 2, WEIR_BETWEEN_MARKS = 16 };

struct weir_iova {
	struct weir_segment edge;   /* joins both ends of the list */
	struct weir_tree marks;     /* segments, by address */
	struct weir_segment *spare; /* segments not in use */
	struct weir_iova_chunk *chunks;
	unsigned char *fresh,
		*fresh_end; /* memory of the newest chunk that no segment has been made of yet */
	size_t segment_size;
	uint64_t num_spare, num_segments, num_holes; /* segments: spare ones included */
	struct weir_stretches stretches;
	struct weir_bins bins;
};

/*
 * @iova is all zero. What is taken has room for @taken_size bytes, of which a struct weir_segment is the first part and the rest the caller's.
 * Until weir_iova_allow(), nothing may be chosen from. -ENOMEM
 */
int weir_iova_init(struct weir_iova *iova, size_t taken_size);
void weir_iova_finish(struct weir_iova *iova);

/* From now on choose from this, in multiples of @grain; see weir_stretches_choose(). Cannot fail. */
void weir_iova_allow_choice(struct weir_iova *iova, const struct weir_choice *choice, uint64_t grain);

static inline void weir_iova_allow(struct weir_iova *iova, const struct weir_iova_range *ranges, uint32_t num,
				   uint64_t grain)
{
	weir_iova_allow_choice(iova, &(struct weir_choice){ .ranges = ranges, .num = num }, grain);
}

/* See weir_iova_take(). */
int weir_iova_search_and_take(struct weir_iova *iova, const struct weir_iova_wish *wish,
			      struct weir_segment **ret_segment);

/* See weir_iova_give(). */
void weir_iova_give_and_join(struct weir_iova *iova, struct weir_segment *segment);

static inline struct weir_hole *weir_hole_of(struct weir_segment *segment)
{
	return (struct weir_hole *)segment;
}

static inline struct weir_segment *weir_iova_spare_pop(struct weir_iova *iova)
{
	struct weir_segment *segment = iova->spare;

	iova->spare = segment->above;
	iova->num_spare--;
	return segment;
}

static inline void weir_iova_spare_push(struct weir_iova *iova, struct weir_segment *segment)
{
	segment->above = iova->spare;
	iova->spare = segment;
	iova->num_spare++;
}

static inline void weir_iova_link_above(struct weir_segment *segment, struct weir_segment *below)
{
	segment->below = below;
	segment->above = below->above;
	segment->above->below = segment;
	below->above = segment;
}

/* The range of a segment that is no mark is another's now. */
static inline void weir_iova_drop(struct weir_iova *iova, struct weir_segment *segment)
{
	segment->below->above = segment->above;
	segment->above->below = segment->below;
	weir_iova_spare_push(iova, segment);
}

/* The first @len bytes of a hole, which stays the hole that it is, in its bin. */
static inline struct weir_segment *weir_iova_take_front(struct weir_iova *iova, struct weir_hole *hole,
							uint64_t len)
{
	struct weir_segment *taken = weir_iova_spare_pop(iova);
	uint64_t start = hole->segment.node.key;

	taken->hole = 0;
	taken->node.key = start;
	taken->last = start + (len - 1);
	weir_iova_link_above(taken, hole->segment.below);
	hole->segment.node.key = start + len;
	return taken;
}

/*
 * Mostly the front of one hole is taken time and again, which leaves it in its bin. Values and no weir_iova_wish, so that nothing is put
 * together in memory for this. False: it has to be searched for.
 */
static inline bool weir_iova_take_at_front(struct weir_iova *iova, uint64_t len, uint64_t align,
					   uint64_t remainder, uint64_t limit,
					   struct weir_segment **ret_segment)
{
	struct weir_hole *front = iova->bins.front;
	uint64_t start;

	if (len < iova->bins.front_least || iova->num_spare <= WEIR_IOVA_SPARE)
		return false;
	start = front->segment.node.key;
	if (len > front->highest - start || start + (len - 1) > limit || ((remainder - start) & (align - 1)))
		return false;
	*ret_segment = weir_iova_take_front(iova, front, len);
	return true;
}

/* Take a free range that suits, above 4 GiB if possible. -ENOSPC: there is none; -ENOMEM. */
static inline int weir_iova_take(struct weir_iova *iova, const struct weir_iova_wish *wish,
				 struct weir_segment **ret_segment)
{
	if (weir_iova_take_at_front(iova, wish->len, wish->align, wish->remainder, wish->limit, ret_segment))
		return 0;
	return weir_iova_search_and_take(iova, wish, ret_segment);
}

/* Take exactly this range. -EEXIST: part of it is taken; -ENOMEM. */
int weir_iova_take_fixed(struct weir_iova *iova, uint64_t start, uint64_t last,
			 struct weir_segment **ret_segment);

/* Of a range that was taken, all but the first @len bytes becomes another one. -ENOMEM */
int weir_iova_divide(struct weir_iova *iova, struct weir_segment *segment, uint64_t len,
		     struct weir_segment **ret_rest);

/* Give back a range that was taken. Cannot fail. */
static inline void weir_iova_give(struct weir_iova *iova, struct weir_segment *segment)
{
	struct weir_segment *above = segment->above;

	/* What lies right below a hole becomes part of it, mostly without another effect. */
	if (above->hole && segment->below->hole != above->hole && !segment->mark &&
	    segment->node.key >= weir_hole_of(above)->lowest) {
		above->node.key = segment->node.key;
		weir_iova_drop(iova, segment);
	} else {
		weir_iova_give_and_join(iova, segment);
	}
}

/* How many ranges are taken. */
static inline uint64_t weir_iova_num_taken(const struct weir_iova *iova)
{
	return iova->num_segments - iova->num_spare - iova->num_holes;
}

/* The segment that an address lies in. */
struct weir_segment *weir_iova_find(struct weir_iova *iova, uint64_t address);

/* The taken segment that follows @segment upwards or downwards, from the edge on and back to the edge. */
static inline struct weir_segment *weir_iova_above(const struct weir_segment *segment)
{
	do
		segment = segment->above;
	while (segment->hole);
	return (struct weir_segment *)segment;
}

static inline struct weir_segment *weir_iova_below(const struct weir_segment *segment)
{
	do
		segment = segment->below;
	while (segment->hole);
	return (struct weir_segment *)segment;
}

#endif
