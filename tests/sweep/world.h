/* SPDX-License-Identifier: MIT */
/* What a run must leave as it found it. */
#ifndef TESTS_SWEEP_WORLD_H
#define TESTS_SWEEP_WORLD_H

#include <stdio.h>

struct world;

/* Look at it now: descriptors, mappings, the library's allocations. */
struct world *world_look(void);
void world_free(struct world *world);

/* Writes what differs to @out, one line each. */
void world_compare(const struct world *before, const struct world *after, FILE *out);

#endif
