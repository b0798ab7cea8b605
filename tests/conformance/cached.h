/* SPDX-License-Identifier: MIT */
/* What cases about registration caches have in common. */
#ifndef TESTS_CONFORMANCE_CACHED_H
#define TESTS_CONFORMANCE_CACHED_H

#include "conformance/space.h"

/* A cache, closed when the case ends. Memory that it is to watch is made before it, so that it ends after it. */
struct weir_cache *new_cache(struct t *t, struct weir_ioas *ioas, const struct weir_cache_opts *opts);

struct weir_cached got(struct t *t, struct weir_cache *cache, const void *addr, uint64_t len);
void put(struct t *t, struct weir_cache *cache, struct weir_cached cached);

/* Got and put: was it found? */
bool is_found(struct t *t, struct weir_cache *cache, const void *addr, uint64_t len);

struct weir_cache_info cache_info(struct weir_cache *cache);

#endif
