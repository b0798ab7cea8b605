/* SPDX-License-Identifier: MIT */
/*
 * The parts of the lower 256 TiB: for each 512 GiB one, made when it is needed, which stays. In it is what is known of addresses without
 * looking further: of frames of 2 MiB (large.h), and of pages (dense.h). How they are read is in weir/lookup.h.
 */
#ifndef WEIR_IOAS_PARTS_H
#define WEIR_IOAS_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/lookup.h>

enum { WEIR_PART_SHIFT = 39, WEIR_PARTS_END_SHIFT = 48, WEIR_PARTS = 1 << (WEIR_PARTS_END_SHIFT - WEIR_PART_SHIFT) };

/* The part that @address is in; NULL: there is none yet, or cannot be any. */
struct weir_lookup_part *weir_part(const struct weir_lookup_view *view, uint64_t address);

/* The same of an address for which there can be one, made if need be; NULL: no memory. */
struct weir_lookup_part *weir_part_make(struct weir_lookup_view *view, uint64_t address);

/* Memory of zeros, in small pages, so that it takes little as long as it is hardly used. NULL: none. */
void *weir_part_memory(size_t len);

/* Nobody reads any more; nor has anyone else what he put into a part. */
void weir_parts_finish(struct weir_lookup_view *view);

#endif
