/* SPDX-License-Identifier: MIT */
/*
 * Where ranges lead that are whole frames of 2 MiB: a word for each frame, in the parts (parts.h). It is all there is to know of a frame, so
 * one load of a reader's is an answer that was true at that moment, whatever is added and removed beside it. How it is read is in weir/lookup.h.
 *
 * Of ranges that overlap it has one. What it does not take has its place elsewhere (lookup.h).
 */
#ifndef WEIR_IOAS_LARGE_H
#define WEIR_IOAS_LARGE_H

#include "ioas/parts.h"

/* Add a range, if that can be: false, with nothing changed, when it cannot. */
bool weir_large_add(struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to);

/* Is exactly this range here, and where does it lead? */
bool weir_large_exact(const struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t *ret_to);

/* A range that leads to @to is to lead elsewhere; or go. False: it is not here. */
bool weir_large_redirect(struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to,
			 uint64_t now_to);
bool weir_large_remove(struct weir_lookup_view *view, uint64_t first, uint64_t last, uint64_t to);

static inline uint64_t weir_large_left(uint64_t word, uint64_t address)
{
	return weir_lookup_left(word, WEIR_LOOKUP_FRAMES_LEFT, WEIR_FRAME_SHIFT, address);
}

#endif
