/* SPDX-License-Identifier: MIT */
/*
 * Where short ranges lead: of up to seven pages, with a slot for each page. See tables.h; how they are read is in weir/lookup.h.
 */
#ifndef WEIR_IOAS_PAGES_H
#define WEIR_IOAS_PAGES_H

#include "ioas/tables.h"

enum { WEIR_PAGES_SHIFT = 12, WEIR_PAGES_MOST = 7 };

void weir_pages_init(struct weir_tables *pages, struct weir_lookup_table *shown);

/* Add a range for which there was room a moment ago. */
void weir_pages_add(struct weir_tables *pages, uint64_t first, uint64_t last, uint64_t to);

/* Is exactly this range there, and where does it lead? Any, if there are several. */
bool weir_pages_exact(const struct weir_tables *pages, uint64_t first, uint64_t last, uint64_t *ret_to);

/* A range that is there, and leads to @to, is to lead elsewhere; or go. */
void weir_pages_redirect(struct weir_tables *pages, uint64_t first, uint64_t last, uint64_t to,
			 uint64_t now_to);
void weir_pages_remove(struct weir_tables *pages, uint64_t first, uint64_t last, uint64_t to);

/* The word of a range that has @len bytes from @address on, or of the longest; 0: there is none. */
uint64_t weir_pages_search(const struct weir_lookup_table *shown, uint64_t address, uint64_t len);

static inline uint64_t weir_page_left(uint64_t word, uint64_t address)
{
	return weir_lookup_left(word, WEIR_PAGES_MOST, WEIR_PAGES_SHIFT, address);
}

#endif
