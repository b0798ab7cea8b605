// SPDX-License-Identifier: MIT
/* Mappings taken back: one by its handle, or all of a range. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "ioas/address.h"

/* The mapping's handle ends here. */
static inline void leave_table(struct weir_ioas *ioas, struct weir_map *map, bool lost)
{
	uint64_t len = weir_map_size(map);

	ioas->mapped_bytes -= len;
	if (lost) {
		ioas->lost_bytes += len;
		ioas->num_lost++;
		atomic_store_explicit(&map->state, WEIR_MAP_LOST, memory_order_relaxed);
	} else {
		weir_iova_give(&ioas->iova, &map->segment);
	}
}

void weir_ioas_forget_map(struct weir_ioas *ioas, struct weir_map *map)
{
	leave_table(ioas, map, false);
}

static __attribute__((cold)) int explain_unmap(uint64_t iova, uint64_t len, int error)
{
	return weir_fail(error == -ENOENT ? -EIO : error,
			 "the kernel failed to unmap %#" PRIx64 " bytes at IOVA %#" PRIx64
			 " (%s): devices may still reach the memory; these addresses will not be used again",
			 len, iova, strerror(-error));
}

/* The kernel's part of taking [iova, iova + len) back. */
static inline int take_back(struct weir_ioas *ioas, uint64_t iova, uint64_t len)
{
	int error = ioas->space.live ? ioas->space.kernel->ops->remove(&ioas->space, iova, len) : 0;

	return error ? explain_unmap(iova, len, error) : 0;
}

/* From READY to LEAVING; only one can. What whoever made it ready did comes before. */
static bool claim(struct weir_map *map)
{
	uint32_t ready = WEIR_MAP_READY;

	return atomic_compare_exchange_strong_explicit(&map->state, &ready, WEIR_MAP_LEAVING,
						       memory_order_acquire, memory_order_relaxed);
}

/* The same, and nobody finds it by its address any more. */
static __attribute__((noinline)) bool claim_and_hide(struct weir_ioas *ioas, struct weir_map *map)
{
	bool claimed;

	weir_gate_lock(&ioas->gate);
	claimed = claim(map);
	if (claimed)
		weir_addresses_remove(ioas, map);
	weir_gate_unlock(&ioas->gate);
	return claimed;
}

int weir_map_close(struct weir_map *map)
{
	struct weir_ioas *ioas;
	struct weir_file *file;
	int error;

	if (!map)
		return 0;
	ioas = map->ioas;
	weir_gate_set_out(&ioas->gate);
	if (!(ioas->addresses ? claim_and_hide(ioas, map) : claim(map))) {
		/* The range that it lies in is being taken back: two threads end one handle. */
		weir_gate_arrive(&ioas->gate);
		return weir_fail(-EBUSY, "the mapping is being taken back by another thread");
	}

	error = take_back(ioas, weir_map_start(map), weir_map_size(map));
	file = map->file;

	weir_gate_lock(&ioas->gate);
	leave_table(ioas, map, error != 0);
	weir_gate_unlock_and_arrive(&ioas->gate);
	return file ? weir_files_close(ioas->host->kernel.sys, file, error) : error;
}

/* What a range consists of, when it can be taken back: one mapping after the other, from the first to the last. */
struct extent {
	struct weir_map *first, *last;
	bool gaps;
};

uint64_t weir_ioas_mapped_bytes(struct weir_ioas *ioas)
{
	uint64_t bytes;

	weir_gate_lock(&ioas->gate);
	bytes = ioas->mapped_bytes;
	weir_gate_unlock(&ioas->gate);
	return bytes;
}

struct weir_map *weir_ioas_map_at(struct weir_ioas *ioas, uint64_t iova)
{
	return (struct weir_map *)weir_iova_find(&ioas->iova, iova);
}

/* The lowest mapping that reaches to @iova or lies above it. */
static struct weir_map *map_at_or_above(struct weir_ioas *ioas, uint64_t iova)
{
	return weir_ioas_next_map(ioas, (struct weir_map *)weir_iova_find(&ioas->iova, iova)->below);
}

static void unclaim(struct weir_ioas *ioas, struct weir_map *from, const struct weir_map *to)
{
	for (; from != to; from = weir_ioas_next_map(ioas, from))
		atomic_store_explicit(&from->state, WEIR_MAP_READY, memory_order_release);
}

static int check_extent(const struct weir_map *map, uint64_t iova, uint64_t last)
{
	if (weir_map_start(map) < iova || weir_map_last(map) > last)
		return weir_fail(-EINVAL,
				 "the range would cut the mapping at IOVA %#" PRIx64 "..%#" PRIx64 " in two",
				 weir_map_start(map), weir_map_last(map));
	return 0;
}

/* Claim all mappings of a range, or none. The lock is held. */
static int claim_range(struct weir_ioas *ioas, uint64_t iova, uint64_t last, struct extent *ret_extent)
{
	struct weir_map *first = map_at_or_above(ioas, iova), *map = first;
	struct extent extent = { .first = first };

	for (; map && weir_map_start(map) <= last; map = weir_ioas_next_map(ioas, map)) {
		int error = check_extent(map, iova, last);

		if (!error && !claim(map))
			error = weir_fail(-EBUSY,
					  "the mapping at IOVA %#" PRIx64
					  " is being made or taken back by another thread",
					  weir_map_start(map));
		if (error) {
			unclaim(ioas, first, map);
			return error;
		}
		if (extent.last && extent.last->segment.above != &map->segment)
			extent.gaps = true;
		extent.last = map;
	}
	if (!extent.last)
		return weir_fail(-ENOENT, "there is no mapping in IOVA %#" PRIx64 "..%#" PRIx64, iova, last);
	for (map = first; ioas->addresses; map = weir_ioas_next_map(ioas, map)) {
		weir_addresses_remove(ioas, map);
		if (map == extent.last)
			break;
	}
	*ret_extent = extent;
	return 0;
}

/* The mappings of an extent, in a row; the lock is held. Returns the files that were mapped for them. */
static struct weir_file *drop_all(struct weir_ioas *ioas, const struct extent *extent, bool lost)
{
	struct weir_map *map = extent->first, *next;
	struct weir_file *files = NULL;

	for (;; map = next) {
		bool done = map == extent->last;

		next = done ? NULL : weir_ioas_next_map(ioas, map);
		if (map->file) {
			map->file->next = files;
			files = map->file;
		}
		leave_table(ioas, map, lost);
		if (done)
			return files;
	}
}

int weir_ioas_unmap(struct weir_ioas *ioas, uint64_t iova, uint64_t len)
{
	uint64_t last = iova + (len - 1), start;
	struct extent extent = { 0 };
	struct weir_file *files;
	int error;

	if (!len)
		return weir_fail(-EINVAL, "the length is 0");
	if (last < iova)
		return weir_fail(-EOVERFLOW,
				 "%#" PRIx64 " bytes at IOVA %#" PRIx64 " go beyond the end of the space",
				 len, iova);
	weir_gate_lock_and_set_out(&ioas->gate);
	error = claim_range(ioas, iova, last, &extent);
	if (error) {
		weir_gate_unlock_and_arrive(&ioas->gate);
		return error;
	}
	/* One system call takes the whole extent, so nothing may be mapped into its gaps meanwhile. */
	if (extent.gaps)
		weir_gate_hold_up(&ioas->gate);
	weir_gate_unlock(&ioas->gate);

	start = weir_map_start(extent.first);
	error = take_back(ioas, start, weir_map_last(extent.last) - start + 1);

	weir_gate_lock(&ioas->gate);
	files = drop_all(ioas, &extent, error != 0);
	if (extent.gaps)
		weir_gate_let_go(&ioas->gate);
	weir_gate_unlock_and_arrive(&ioas->gate);
	return files ? weir_files_close(ioas->host->kernel.sys, files, error) : error;
}
