/* SPDX-License-Identifier: MIT */
/*
 * Holes sorted by where they begin and how long they are, so that one that suits is found without walking.
 *
 * A bin holds the holes of one zone and one class. Zone z has the holes that begin in 2^z .. 2^(z+1)-1: a search below an address width
 * never meets the holes above it, however many there are. Classes are lengths in pages: one for each below 2 MiB, and from there on four to
 * each power of two.
 */
#ifndef WEIR_IOAS_BINS_H
#define WEIR_IOAS_BINS_H

#include <stdbool.h>

#include <weir/ioas.h>

#include "tree.h"

/* No processor or IOMMU has smaller pages. */
enum { WEIR_BIN_PAGE_SHIFT = 12 };

enum {
	WEIR_BIN_ZONES = 64,
	WEIR_BIN_EXACT_BITS = 9,
	WEIR_BIN_CLASSES = 704, /* 684 of them in use */
	WEIR_BIN_WORDS = WEIR_BIN_CLASSES / 64,
	WEIR_NO_BIN = UINT16_MAX,
	WEIR_BIN_LOOKS = 16,
	WEIR_BIN_MANY_LOOKS = 1 << 16
};

/* A range of IOVAs: a hole, or taken. One cache line, and what follows it in a hole or a mapping is another. */
struct weir_segment {
	struct weir_tree_node node; /* key: the first address; in the tree while it is a mark */
	uint64_t last;
	struct weir_segment *below, *above; /* neighbours */
	uint8_t hole;                       /* 0: taken; else one more than the stretch that it lies in */
	bool mark;
	uint32_t number; /* whose taker has it may keep one here */
};

struct weir_hole {
	struct weir_segment segment;    /* first */
	struct weir_hole *next, **link; /* while in a bin: the next one there, and what points to this one */
	uint64_t lowest, highest; /* its bin is the right one as long as it begins no lower and no higher */
	uint16_t bin;
};

struct weir_bins {
	/*
	 * The hole to begin with for all that is at least so long: no bin that comes before its own and would do for such lengths has a hole.
	 * That ends when a hole enters or leaves a bin.
	 */
	struct weir_hole *front;
	uint64_t front_least;
	uint64_t zones;                                /* which have a hole */
	uint16_t words[WEIR_BIN_ZONES];                /* which words of these are not 0: */
	uint64_t used[WEIR_BIN_ZONES][WEIR_BIN_WORDS]; /* which bins have one */
	struct weir_hole *first[WEIR_BIN_ZONES * WEIR_BIN_CLASSES];
};

/* What a range is looked for. */
struct weir_iova_wish {
	uint64_t len;
	uint64_t align;     /* a power of two */
	uint64_t remainder; /* the range begins at this modulo align */
	uint64_t
		limit; /* the range ends at or below this: 2^n - 1, or all holes of one zone may be looked at */
	/*
	 * How many holes that do not suit are looked at before giving up: WEIR_BIN_LOOKS, or with this WEIR_BIN_MANY_LOOKS. Holes that are by a
	 * quarter longer than would do however they lie are found without looking at others, and below 2 MiB those
	 * that are so long at all. Hence with this and no alignment beyond that of all holes, what there is is found, but where so
	 * many holes of 2 MiB and more are just too short.
	 */
	bool exhaustive;
};

/* @bins is all zero: it is large, and little of it is ever used. */
void weir_bins_init(struct weir_bins *bins);

/* Put a hole, which does not begin at 0, into the bin where it belongs, and not into any bin. */
void weir_bins_add(struct weir_bins *bins, struct weir_hole *hole);
void weir_bins_omit(struct weir_hole *hole);

/* Take a hole out of its bin, if it is in one. */
void weir_bins_remove(struct weir_bins *bins, struct weir_hole *hole);

/* A hole that the wish fits into, hardly longer than it need be, and where in it; or NULL. */
struct weir_hole *weir_bins_find(struct weir_bins *bins, const struct weir_iova_wish *wish,
				 uint64_t *ret_start);

#endif
