/* SPDX-License-Identifier: MIT */
/*
 * Where short ranges lead that are not far from each other: a word of four bytes for each page of a frame of 2 MiB.
 *
 * The words are in blocks for 1 GiB each, which are made when they are needed, and stay; a frame in which there are ranges knows where its
 * words are (parts.h). What is not in use takes no memory, or gives it back before that is much, so it costs 4 KiB for each two frames in
 * which there is a range: ranges are taken here as long as that is not much for the number there are. A word is all there is to know of a page, so one load of a reader's is
 * an answer that was true at that moment; and the words of a frame are its own for ever, so it does not matter when he learnt where they
 * are. How it is read is in weir/lookup.h.
 *
 * Where a range leads is in a word as the page of one of four bases, 512 GiB each. These are the first four that are needed, and stay.
 *
 * Of ranges that overlap it has one. What it does not take has its place elsewhere (lookup.h).
 */
#ifndef WEIR_IOAS_DENSE_H
#define WEIR_IOAS_DENSE_H

#include "ioas/parts.h"

struct weir_dense {
	uint64_t live;    /* how many 4 KiB of words are in use, and blocks, for what else is in these */
	uint64_t touched; /* how many 4 KiB of words may take memory */
	struct weir_block *blocks; /* in which there are such */
	uint32_t num_bases;
};

/* Nobody reads any more. */
void weir_dense_finish(struct weir_lookup_view *view);

/* Add a range of up to seven pages, if that can be: false, with nothing changed, when it cannot. @num: how many pages the lookup has, in all its places. */
bool weir_dense_add(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t num, uint64_t first,
		    uint64_t last, uint64_t to);

/* Is exactly this range here, and where does it lead? */
bool weir_dense_exact(const struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t *ret_to);

bool weir_dense_is_here(const struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to);

/* Can a range lead to [@to, @to_last]? Then it can from now on. */
bool weir_dense_can_lead(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t to,
			 uint64_t to_last);

/* A range that leads to @to is to lead elsewhere, where it can lead; or go. False: it is not here. */
bool weir_dense_redirect(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t first,
			 uint64_t last, uint64_t to, uint64_t now_to);
bool weir_dense_remove(struct weir_dense *dense, struct weir_lookup_view *view, uint64_t first, uint64_t last,
		       uint64_t to);

#endif
