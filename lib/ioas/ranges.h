/* SPDX-License-Identifier: MIT */
/*
 * Where all other ranges lead: longer than pages.h takes, and not what large.h takes. See tables.h.
 *
 * A range is put in at every frame that it touches; the frame's size is the largest power of eight pages that is no longer than the
 * range, so that there are nine frames at most. Who looks for an address tries the frame sizes that are in use.
 */
#ifndef WEIR_IOAS_RANGES_H
#define WEIR_IOAS_RANGES_H

#include "ioas/tables.h"

enum { WEIR_RANGES_PAGE_SHIFT = 12, WEIR_RANGES_CLASSES = 18 /* frames of 8^class pages */ };

struct weir_ranges {
	struct weir_lookup_table shown;
	uint64_t classes; /* bit c: there are ranges of class c */
	_Alignas(64) struct weir_tables tables;
	uint64_t num[WEIR_RANGES_CLASSES];
};

/* What was found. */
struct weir_lookup_answer {
	uint64_t to;   /* where the address leads */
	uint64_t left; /* bytes from there to the end of the range */
};

void weir_ranges_init(struct weir_ranges *ranges);

/* How many slots a range of @len bytes takes at most, wherever it lies. */
uint64_t weir_ranges_slots(uint64_t len);

/* Add a range for which there was room a moment ago. */
void weir_ranges_add(struct weir_ranges *ranges, uint64_t first, uint64_t last, uint64_t to);

/* Is exactly this range there, and where does it lead? Any, if there are several. */
bool weir_ranges_exact(const struct weir_ranges *ranges, uint64_t first, uint64_t last, uint64_t *ret_to);

/* A range that is there, and leads to @to, is to lead elsewhere; or go. */
void weir_ranges_redirect(struct weir_ranges *ranges, uint64_t first, uint64_t last, uint64_t to,
			  uint64_t now_to);
void weir_ranges_remove(struct weir_ranges *ranges, uint64_t first, uint64_t last, uint64_t to);

/* If there is a range that has more bytes from @address on than @best, and no less than @len or the most of all, that is @best from now on. */
void weir_ranges_search(const struct weir_ranges *ranges, uint64_t address, uint64_t len,
			struct weir_lookup_answer *best);

#endif
