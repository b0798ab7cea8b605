// SPDX-License-Identifier: MIT
/*
 * What is wrong with memory: looked at without a device before anything else can be known, and after the kernel has refused it. Only then is
 * /proc/self read.
 */
#include "ioas/flaw.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "kernel/procself.h"
#include "kernel/smaps.h"

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

static const struct weir_sys *sys_of(const struct weir_ioas *ioas)
{
	return ioas->space.kernel->sys;
}

static uint64_t first_of(const struct weir_map *map)
{
	return (uintptr_t)map->backing.addr;
}

static uint64_t last_of(const struct weir_map *map)
{
	return first_of(map) + (weir_map_size(map) - 1);
}

static bool takes_device_memory(const struct weir_map *map)
{
	return map->prot & WEIR_MAP_DEVICE_MEMORY;
}

/* The kernel brings the pages in, and says whether all are there and may be used so. */
static int populate(const struct weir_ioas *ioas, const struct weir_map *map, uint64_t offset, uint64_t len)
{
	const struct weir_sys *sys = sys_of(ioas);

	return sys->madvise(sys->ctx, (char *)map->backing.addr + offset, len,
			    map->prot & WEIR_MAP_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

static int find_flaw(const struct weir_ioas *ioas, const struct weir_map *map, bool device,
		     struct weir_memory_part *ret_part)
{
	const struct weir_memory_needs needs = { .write = map->prot & WEIR_MAP_WRITE, .device = device };

	return weir_smaps_flaw(sys_of(ioas), first_of(map), last_of(map), &needs, ret_part);
}

/* In words ------------------------------------------------------------------------------------------------------ */

/* What to do about device memory. */
static const char *device_advice(const struct weir_ioas *ioas)
{
	if (ioas->space.kernel->ops->device_memory)
		return "its mapping can go stale; WEIR_MAP_DEVICE_MEMORY accepts that";
	return "this kernel interface does not map it by its address; the VFIO container does, with "
	       "WEIR_MAP_DEVICE_MEMORY";
}

static int explain_part(const struct weir_ioas *ioas, const struct weir_map *map,
			const struct weir_memory_part *part)
{
	static const char *const texts[] = {
		[WEIR_FLAW_HOLE] = "nothing is mapped there",
		[WEIR_FLAW_DEVICE] = "it is device memory",
		[WEIR_FLAW_UNREADABLE] = "it cannot be read",
		[WEIR_FLAW_READ_ONLY] = "it cannot be written",
	};

	return weir_fail(-EFAULT,
			 "memory %#" PRIx64 "..%#" PRIx64 " of the %#" PRIx64 " bytes at %p: %s%s%s%s%s%s",
			 part->start, part->last, weir_map_size(map), map->backing.addr, texts[part->flaw],
			 *part->what ? ": " : "", part->what,
			 part->start > first_of(map) ? " (up to there it is of another kind)" : "",
			 part->flaw == WEIR_FLAW_DEVICE ? "; " : "",
			 part->flaw == WEIR_FLAW_DEVICE ? device_advice(ioas) : "");
}

/* The first byte that would raise SIGBUS if it were touched: all before has been brought in already, so this costs little. */
static int find_bus_error(const struct weir_ioas *ioas, const struct weir_map *map, uint64_t *ret_offset)
{
	uint64_t low = 0, high = weir_map_size(map), page = ioas->page_size;

	if (populate(ioas, map, 0, high) != -EFAULT)
		return -ENOENT;
	while (high - low > page) {
		uint64_t half = (high - low) / 2 & ~(page - 1);

		if (populate(ioas, map, low, half) == -EFAULT)
			high = low + half;
		else
			low += half;
	}
	*ret_offset = low;
	return 0;
}

static int explain_bus_error(const struct weir_ioas *ioas, const struct weir_map *map, uint64_t offset)
{
	struct weir_memory_part part = { .start = first_of(map) + offset, .last = last_of(map) };

	if (weir_smaps_at(sys_of(ioas), part.start, part.last, &part))
		*part.what = '\0';
	return weir_fail(-EFAULT,
			 "memory %#" PRIx64 "..%#" PRIx64 " of the %#" PRIx64
			 " bytes at %p is beyond the end of its file, or there is no page left for it%s%s",
			 part.start, part.last, weir_map_size(map), map->backing.addr, *part.what ? ": " : "",
			 part.what);
}

bool weir_explain_shrunk(const struct weir_ioas *ioas, const struct weir_map *map)
{
	const struct weir_sys *sys = sys_of(ioas);
	uint64_t end = map->backing.offset + weir_map_size(map);
	struct stat stat;

	if (map->backing.fd < 0 || sys->fstat(sys->ctx, map->backing.fd, &stat) ||
	    (uint64_t)stat.st_size >= end)
		return false;
	weir_error_set("the file has become shorter: it has %#" PRIx64 " bytes, and %#" PRIx64
		       " from %#" PRIx64 " on are mapped",
		       (uint64_t)stat.st_size, weir_map_size(map), map->backing.offset);
	return true;
}

int weir_explain_fault(const struct weir_ioas *ioas, const struct weir_map *map)
{
	struct weir_memory_part part;
	uint64_t offset;

	if (weir_explain_shrunk(ioas, map))
		return -EFAULT;
	if (!find_flaw(ioas, map, takes_device_memory(map), &part))
		return explain_part(ioas, map, &part);
	if (takes_device_memory(map) && !find_flaw(ioas, map, false, &part))
		return weir_fail(-EFAULT,
				 "device memory %#" PRIx64 "..%#" PRIx64
				 " does not answer: memory decoding is off, the device sleeps or is gone%s%s",
				 part.start, part.last, *part.what ? ": " : "", part.what);
	if (!find_bus_error(ioas, map, &offset))
		return explain_bus_error(ioas, map, offset);
	return weir_fail(-EFAULT,
			 "the %#" PRIx64
			 " bytes at %p cannot be pinned: part of them is not writable underneath, "
			 "or of a kind that the kernel lends to nobody",
			 weir_map_size(map), map->backing.addr);
}

/* Beforehand ---------------------------------------------------------------------------------------------------- */

/* A kernel before 5.14 knows nothing of populating, and refuses it for nothing at all, too. */
static bool can_populate(const struct weir_ioas *ioas, const struct weir_map *map)
{
	return populate(ioas, map, 0, 0) == 0;
}

int weir_probe_memory(const struct weir_ioas *ioas, const struct weir_map *map)
{
	int error = populate(ioas, map, 0, weir_map_size(map)), look;
	struct weir_memory_part part;

	if (!error)
		return 0;
	if (error == -EFAULT)
		return weir_explain_fault(ioas, map);
	look = find_flaw(ioas, map, takes_device_memory(map), &part);
	if (!look)
		return explain_part(ioas, map, &part);
	if (look != -ENOENT)
		return weir_fail(look,
				 "the memory at %p was refused (%s), and what it is made of cannot be read "
				 "in /proc/self/smaps",
				 map->backing.addr, strerror(-error));
	if (error == -ENOMEM)
		return weir_fail(error, "there is no memory to bring in the %#" PRIx64 " bytes at %p",
				 weir_map_size(map), map->backing.addr);
	if (error == -EINVAL && !takes_device_memory(map) && can_populate(ioas, map))
		return weir_fail(-EFAULT,
				 "part of the %#" PRIx64
				 " bytes at %p is of a kind that the kernel lends to nobody",
				 weir_map_size(map), map->backing.addr);
	return 0;
}

/*
 * Could this process have so much locked? The kernel says, of addresses that are reserved as locked and never used. When it says no, /proc/self
 * tells why, if it is so.
 */
static bool may_lock(const struct weir_sys *sys, uint64_t len)
{
	void *addr;
	int error = sys->mmap(sys->ctx, NULL, len, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_LOCKED, -1, 0, &addr);

	if (!error)
		sys->munmap(sys->ctx, addr, len);
	return error != -EAGAIN && error != -EPERM;
}

int weir_check_memory(struct weir_ioas *ioas, const struct weir_map *map)
{
	const struct weir_sys *sys = sys_of(ioas);
	struct weir_memlock memlock;
	uint64_t mapped;
	int error;

	/* Of a device's own memory, only a device can tell. */
	if (map->held && (map->held->window || map->held->dmabuf))
		return 0;
	error = weir_probe_memory(ioas, map);
	mapped = weir_ioas_mapped_bytes(ioas);
	if (error || may_lock(sys, mapped))
		return error;
	if (!weir_procself_memlock(sys, &memlock) && !memlock.exempt && mapped > memlock.limit)
		return weir_explain_memory(ioas, map);
	return 0;
}
