// SPDX-License-Identifier: MIT
/* Why a mapping was refused, in words. */
#include "ioas/flaw.h"
#include "ioas/window.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "kernel/procself.h"

int weir_explain_memory(struct weir_ioas *ioas, const struct weir_map *map)
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

static int explain_dmabuf(const struct weir_map *map, int error)
{
	switch (error) {
	case -ENODEV:
		return weir_fail(error, "whoever exported the dma-buf has taken it away");
	case -EINVAL:
		return weir_fail(error,
				 "the descriptor is no dma-buf, or shorter than %#" PRIx64
				 " bytes from %#" PRIx64 " on",
				 weir_map_size(map), map->backing.offset);
	case -EFAULT:
	case -EOPNOTSUPP:
		return weir_fail(
			-EOPNOTSUPP,
			"the kernel does not map this dma-buf for devices: iommufd takes those that vfio-pci "
			"exports (Linux 6.19), the VFIO container takes none");
	default:
		return weir_fail(error, "the kernel refused to map a dma-buf to IOVA %#" PRIx64 ": %s",
				 weir_map_start(map), strerror(-error));
	}
}

const struct weir_map *weir_ioas_read_only_map(const struct weir_ioas *ioas)
{
	const struct weir_map *map = NULL;

	while ((map = weir_ioas_next_map(ioas, map)))
		if (!(map->prot & WEIR_MAP_WRITE))
			return map;
	return NULL;
}

/* VT-d's second stage holds nothing that may be read only, once others are nested in it (its erratum 772415). */
static bool is_unnestable(const struct weir_ioas *ioas, const struct weir_map *map)
{
	return !(map->prot & WEIR_MAP_WRITE) && weir_space_parent(&ioas->space);
}

static int explain_unnestable(const struct weir_map *map)
{
	return weir_fail(
		-EINVAL,
		"IOVA %#" PRIx64
		" may be read only, which the second stage of a nesting parent over this space does not "
		"hold: map it for writing too, or into another space",
		weir_map_start(map));
}

int weir_explain_map(struct weir_ioas *ioas, const struct weir_map *map, int error)
{
	if (map->held && map->held->window && error != -ENOSPC)
		return weir_window_explain(map, error);
	/* Of a space that is made of others, those have said why. */
	if (ioas->space.layer)
		return error;
	if (map->held && map->held->dmabuf && error != -ENOSPC)
		return explain_dmabuf(map, error);
	/* A kernel that maps files says this of one that is too short. */
	if (error == -EINVAL && weir_explain_shrunk(ioas, map))
		return -EFAULT;
	if (error == -EINVAL && is_unnestable(ioas, map))
		return explain_unnestable(map);
	switch (error) {
	case -EFAULT:
		return weir_explain_fault(ioas, map);
	case -ENOMEM:
		return weir_explain_memory(ioas, map);
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

	if (error == -EINVAL && !weir_explain_shrunk(ioas, map) && !is_unnestable(ioas, map)) {
		if (find_window(ioas, map, group, &window))
			return explain_window(map, &window);
		return weir_fail(-ERANGE,
				 "the mapping at IOVA %#" PRIx64 "..%#" PRIx64
				 " is outside what the device's IOMMU translates",
				 weir_map_start(map), weir_map_last(map));
	}
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
