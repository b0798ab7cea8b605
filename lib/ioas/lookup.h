/* SPDX-License-Identifier: MIT */
/*
 * Where an address leads: ranges of addresses, each with where its first byte leads, found without a lock or registration while one
 * thread at a time adds and removes. A space has two of these: from memory to IOVAs, and back.
 *
 * A range is in one of four places, and stays there: whole frames of 2 MiB in a table of frames (large.h), short ones in a table of
 * pages (dense.h) or, where they are few and far between, in a hash table of pages (pages.h), all others in a hash table of
 * ranges (ranges.h). Ranges may overlap.
 */
#ifndef WEIR_IOAS_LOOKUP_H
#define WEIR_IOAS_LOOKUP_H

#include "ioas/dense.h"
#include "ioas/large.h"
#include "ioas/pages.h"
#include "ioas/ranges.h"

struct weir_lookup {
	struct weir_lookup_view view; /* what readers need: the parts, and the pages' table */
	struct weir_ranges ranges;
	struct weir_tables pages;
	struct weir_dense dense;
	uint64_t num_pages; /* of short ranges */
};

/* Where nothing is found. */
extern const struct weir_lookup_view weir_lookup_nothing;

void weir_lookup_init(struct weir_lookup *lookup);

/* Nobody reads any more. */
void weir_lookup_finish(struct weir_lookup *lookup);

/* Promise room for a range of @len bytes, which weir_lookup_add() uses up, or weir_lookup_unreserve() takes back. -ENOMEM */
int weir_lookup_reserve(struct weir_lookup *lookup, uint64_t len);
void weir_lookup_unreserve(struct weir_lookup *lookup, uint64_t len);

/* Add a range for which there is room; it is whole pages. */
void weir_lookup_add(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to);

/* Is exactly this range there, and where does it lead? */
bool weir_lookup_exact(const struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t *ret_to);

/* A range that was added, and leads to @to, may be redirected to @other from now on. This uses up room for another such range. */
void weir_lookup_add_twin(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to,
			  uint64_t other);

/* A range leads elsewhere from now on, where a twin of it leads; or is not there any more. */
void weir_lookup_redirect(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to,
			  uint64_t now_to);
void weir_lookup_remove(struct weir_lookup *lookup, uint64_t first, uint64_t last, uint64_t to);

/*
 * A range that has @len bytes from @address on, if there is one; else the one that has most, with fewer than @len left. False: @address is
 * in none. From any thread.
 */
bool weir_lookup_search(const struct weir_lookup *lookup, uint64_t address, uint64_t len,
			struct weir_lookup_answer *ret_answer);

#endif
