/* SPDX-License-Identifier: MIT */
/* What is wrong with memory that devices are to reach: -EFAULT, with a text that says which part of it is what. */
#ifndef WEIR_IOAS_FLAW_H
#define WEIR_IOAS_FLAW_H

#include "ioas/ioas.h"

/* The kernel has refused @map's memory with -EFAULT. */
int weir_explain_fault(const struct weir_ioas *ioas, const struct weir_map *map);

/* Whether the file of @map has become too short for it; then there is a text, for -EFAULT. */
bool weir_explain_shrunk(const struct weir_ioas *ioas, const struct weir_map *map);

/*
 * Bring the pages in, which shows what is not memory. 0 also when this kernel cannot tell (before Linux 5.14). The errors of
 * weir_ioas_map().
 */
int weir_probe_memory(const struct weir_ioas *ioas, const struct weir_map *map);

/* The same, and whether it could be pinned: as far as that can be seen without a device. */
int weir_check_memory(struct weir_ioas *ioas, const struct weir_map *map);

/*
 * Whether a map into a live space is looked at beforehand: the kernel would map device memory that nobody has asked for.
 */
static inline bool weir_would_take_any(const struct weir_ioas *ioas, const struct weir_map *map)
{
	return ioas->space.kernel->ops->device_memory && map->backing.fd < 0 &&
	       !(map->prot & WEIR_MAP_DEVICE_MEMORY) && !(map->held && map->held->window);
}

#endif
