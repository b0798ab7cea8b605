// SPDX-License-Identifier: MIT
/* Why a mapping was refused, in words; and what can be checked without the kernel's page tables. */
#include "ioas/ioas.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "kernel/procself.h"

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

static int explain_flaw(const struct weir_map *map, const struct weir_range_flaw *flaw)
{
	const char *what = flaw->hole       ? "nothing is mapped there"
			   : flaw->readable ? "it cannot be written"
					    : "it cannot be read";

	return weir_fail(-EFAULT, "memory %#" PRIx64 "..%#" PRIx64 " of the %#" PRIx64 " bytes at %p: %s%s%s",
			 flaw->start, flaw->last, weir_map_size(map), map->backing.addr, what,
			 *flaw->what ? ": " : "", flaw->what);
}

static int find_flaw(const struct weir_ioas *ioas, const struct weir_map *map,
		     struct weir_range_flaw *ret_flaw)
{
	uint64_t start = (uintptr_t)map->backing.addr;

	return weir_procself_flaw(ioas->space.kernel->sys, start, start + (weir_map_size(map) - 1),
				  map->prot & WEIR_MAP_WRITE, ret_flaw);
}

static int explain_fault(const struct weir_ioas *ioas, const struct weir_map *map)
{
	struct weir_range_flaw flaw;

	if (find_flaw(ioas, map, &flaw) == 0)
		return explain_flaw(map, &flaw);
	return weir_fail(
		-EFAULT,
		"the %#" PRIx64
		" bytes at %p cannot be pinned: part of them is device memory, lies beyond the end of its "
		"file, or is not writable underneath",
		weir_map_size(map), map->backing.addr);
}

static int explain_memory(struct weir_ioas *ioas, const struct weir_map *map)
{
	struct weir_memlock memlock;

	if (weir_procself_memlock(ioas->space.kernel->sys, &memlock) || memlock.exempt ||
	    memlock.limit == UINT64_MAX)
		return weir_fail(-ENOMEM, "the kernel has no memory to map %#" PRIx64 " bytes",
				 weir_map_size(map));
	return weir_fail(-ENOMEM,
			 "RLIMIT_MEMLOCK is %" PRIu64 " KiB; this mapping needs %" PRIu64
			 " KiB beside the %" PRIu64 " KiB that are mapped in this space already: raise it "
			 "(ulimit -l, or LimitMEMLOCK=) or grant CAP_IPC_LOCK",
			 memlock.limit / 1024, weir_map_size(map) / 1024,
			 (weir_ioas_mapped_bytes(ioas) - weir_map_size(map)) / 1024);
}

int weir_explain_map(struct weir_ioas *ioas, const struct weir_map *map, int error)
{
	switch (error) {
	case -EFAULT:
		return explain_fault(ioas, map);
	case -ENOMEM:
		return explain_memory(ioas, map);
	case -ENOSPC:
		return weir_fail(
			error,
			"the kernel's limit of %" PRIu64
			" mappings is reached (vfio_iommu_type1.dma_entry_limit): map fewer, larger pieces",
			ioas->space.geometry.max_mappings);
	default:
		return weir_fail(
			error, "the kernel refused to map %#" PRIx64 " bytes at %p to IOVA %#" PRIx64 ": %s",
			weir_map_size(map), map->backing.addr, weir_map_start(map), strerror(-error));
	}
}

static bool meet(struct weir_iova_range a, uint64_t start, uint64_t last)
{
	return a.start <= last && start <= a.last;
}

/* The reserved window of @group that @map meets. */
static bool find_window(const struct weir_ioas *ioas, const struct weir_map *map, uint32_t group,
			struct weir_reserved_window *ret_window)
{
	unsigned int line = 0;

	while (!weir_sysfs_reserved_window(ioas->space.kernel->sys, group, &line, ret_window))
		if (strcmp(ret_window->kind, "direct-relaxable") != 0 &&
		    meet(ret_window->range, weir_map_start(map), weir_map_last(map)))
			return true;
	return false;
}

static int explain_window(const struct weir_map *map, const struct weir_reserved_window *window)
{
	return weir_fail(-EADDRINUSE,
			 "the mapping at IOVA %#" PRIx64 "..%#" PRIx64
			 " lies in the device's reserved window %#" PRIx64 "..%#" PRIx64 " (%s)",
			 weir_map_start(map), weir_map_last(map), window->range.start, window->range.last,
			 window->kind);
}

int weir_explain_replay(struct weir_ioas *ioas, const struct weir_map *map, uint32_t group, int error)
{
	struct weir_reserved_window window;

	if (error == -EINVAL && find_window(ioas, map, group, &window))
		return explain_window(map, &window);
	if (error == -EINVAL)
		return weir_fail(-ERANGE,
				 "the mapping at IOVA %#" PRIx64 "..%#" PRIx64
				 " is outside what the device's IOMMU translates",
				 weir_map_start(map), weir_map_last(map));
	error = weir_explain_map(ioas, map, error);
	return weir_fail_within(error, "the mapping at IOVA %#" PRIx64 " cannot be put in force",
				weir_map_start(map));
}

int weir_explain_reserved(const struct weir_ioas *ioas, uint32_t group, int error)
{
	struct weir_reserved_window window;

	for (struct weir_map *map = NULL; (map = weir_ioas_next_map(ioas, map));)
		if (find_window(ioas, map, group, &window))
			return explain_window(map, &window);
	return error;
}

/*
 * Bringing the pages in shows holes and missing permissions, and spares the attach from doing it. What this
 * cannot tell (device memory, and everything before Linux 5.14) is left to the attach.
 */
int weir_check_memory(struct weir_ioas *ioas, const struct weir_map *map)
{
	const struct weir_sys *sys = ioas->space.kernel->sys;
	int advice = map->prot & WEIR_MAP_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	struct weir_memlock memlock;
	struct weir_range_flaw flaw;
	int error = sys->madvise(sys->ctx, map->backing.addr, weir_map_size(map), advice), look;

	if (error == -EFAULT)
		return explain_fault(ioas, map);
	look = error ? find_flaw(ioas, map, &flaw) : -ENOENT;
	if (!look)
		return explain_flaw(map, &flaw);
	if (look != -ENOENT)
		return weir_fail(look,
				 "the memory at %p was refused (%s), and what it is made of cannot be read "
				 "in /proc/self/maps",
				 map->backing.addr, strerror(-error));
	if (error == -ENOMEM)
		return weir_fail(error, "there is no memory to bring in the %#" PRIx64 " bytes at %p",
				 weir_map_size(map), map->backing.addr);
	if (!weir_procself_memlock(sys, &memlock) && !memlock.exempt &&
	    weir_ioas_mapped_bytes(ioas) > memlock.limit)
		return explain_memory(ioas, map);
	return 0;
}
