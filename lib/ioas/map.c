// SPDX-License-Identifier: MIT
/* Mappings: placed, installed, removed. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "ioas/address.h"

static inline int check_memory(const struct weir_ioas *ioas, const void *addr, uint64_t len)
{
	const uint64_t mask = ioas->page_size - 1;

	if (!len)
		return weir_fail(-EINVAL, "the length is 0");
	if (((uintptr_t)addr | len) & mask)
		return weir_fail(-EINVAL, "%#" PRIx64 " bytes at %p are not whole pages of %#" PRIx64, len,
				 addr, mask + 1);
	if ((uintptr_t)addr + (len - 1) < (uintptr_t)addr)
		return weir_fail(-EOVERFLOW, "%#" PRIx64 " bytes at %p go beyond the end of memory", len,
				 addr);
	return 0;
}

/* Read the caller's options, and check them; for memory that is in order. */
static int read_options(const struct weir_ioas *ioas, uint64_t len, const struct weir_map_opts *opts,
			struct weir_map_opts *o)
{
	const uint32_t known = WEIR_MAP_READ | WEIR_MAP_WRITE | WEIR_MAP_FIXED | WEIR_MAP_MAY_SHRINK;
	const uint64_t mask = ioas->page_size - 1;
	int error = weir_opts_read(opts, o, sizeof(*o));

	if (error)
		return error;
	if (o->flags & ~known)
		return weir_fail(-EINVAL, "unknown flags %#x", o->flags & ~known);
	if (o->address_bits && (o->address_bits < 12 || o->address_bits > 64))
		return weir_fail(-EINVAL, "address_bits is %u; it can be 12 to 64", o->address_bits);
	if (!(o->flags & WEIR_MAP_FIXED))
		return o->iova ? weir_fail(-EINVAL, "an IOVA is given, but not WEIR_MAP_FIXED") : 0;
	if (o->iova & mask)
		return weir_fail(-EINVAL, "IOVA %#" PRIx64 " is not a multiple of the page size %#" PRIx64,
				 o->iova, mask + 1);
	if (o->iova + (len - 1) < o->iova)
		return weir_fail(-EOVERFLOW,
				 "%#" PRIx64 " bytes at IOVA %#" PRIx64 " go beyond the end of the space",
				 len, o->iova);
	return 0;
}

static int place_fixed(struct weir_ioas *ioas, uint64_t iova, uint64_t len, uint64_t limit,
		       struct weir_segment **ret_segment)
{
	uint64_t last = iova + (len - 1);
	const struct weir_iova_range *ranges;
	uint32_t num = 0;
	bool inside = !ioas->space.live; /* before the first device, any place may turn out right */
	int error;

	if (last > limit)
		return weir_fail(-ERANGE,
				 "IOVA %#" PRIx64 "..%#" PRIx64
				 " is above the address width, which ends at %#" PRIx64,
				 iova, last, limit);
	ranges = weir_ioas_allowed(ioas, &num);
	for (uint32_t i = 0; i < num && !inside; i++)
		inside = ranges[i].start <= iova && last <= ranges[i].last;
	if (!inside)
		return weir_fail(-ERANGE,
				 "IOVA %#" PRIx64 "..%#" PRIx64
				 " is not within what the devices can address (first range: %#" PRIx64
				 "..%#" PRIx64 ", of %u; weir_ioas_ranges() lists them)",
				 iova, last, num ? ranges[0].start : 0, num ? ranges[0].last : 0, num);
	error = weir_iova_take_fixed(&ioas->iova, iova, last, ret_segment);
	if (error == -EEXIST)
		return weir_fail(error, "part of IOVA %#" PRIx64 "..%#" PRIx64 " is taken", iova, last);
	return error;
}

static inline __attribute__((always_inline)) int place_anywhere(struct weir_ioas *ioas, uint64_t begin,
								uint64_t len, uint64_t limit,
								struct weir_segment **ret_segment)
{
	/*
	 * The sizes of large IOMMU pages on x86 and Arm; memory (its place in the file, if it is one: that is
	 * how the kernel lays large pages) and IOVA must agree modulo these for them to form.
	 */
	static const uint64_t large[] = { (uint64_t)1 << 30, (uint64_t)1 << 21 };
	struct weir_iova_wish wish = { .len = len, .limit = limit };
	int error = -ENOSPC;

	for (size_t i = len < large[0]; i < 2 && len >= large[i] && error == -ENOSPC; i++) {
		wish.align = large[i];
		wish.remainder = begin & (large[i] - 1);
		error = weir_iova_take(&ioas->iova, &wish, ret_segment);
	}
	if (error == -ENOSPC) {
		wish.align = ioas->grain;
		wish.remainder = 0;
		wish.exhaustive = true;
		error = weir_iova_take(&ioas->iova, &wish, ret_segment);
	}
	if (error == -ENOSPC)
		return weir_fail(error, "no free range of %#" PRIx64 " bytes at or below IOVA %#" PRIx64, len,
				 limit);
	return error;
}

static uint64_t limit_of(const struct weir_ioas *ioas, const struct weir_map_opts *o)
{
	uint64_t limit = o->address_bits ? weir_last_address(o->address_bits) : UINT64_MAX;

	return limit < ioas->limit ? limit : ioas->limit;
}

/* Find a place for @len bytes. */
static inline __attribute__((always_inline)) int place(struct weir_ioas *ioas,
						       const struct weir_backing *backing, uint64_t len,
						       const struct weir_map_opts *o,
						       struct weir_segment **ret_segment)
{
	uint64_t begin = backing->fd < 0 ? (uintptr_t)backing->addr : backing->offset;
	int error;

	if ((len | begin | (o ? o->iova : 0)) & (ioas->grain - 1))
		return weir_fail(-EINVAL,
				 "the IOMMU's smallest page is %#" PRIx64
				 " bytes; address, length and IOVA are multiples",
				 ioas->grain);
	if (o && (o->flags & WEIR_MAP_FIXED))
		error = place_fixed(ioas, o->iova, len, limit_of(ioas, o), ret_segment);
	else
		error = place_anywhere(ioas, begin, len, o ? limit_of(ioas, o) : ioas->limit, ret_segment);
	return error == -ENOMEM ? weir_fail(error, "no memory for a mapping") : error;
}

/* Changed with the lock held only, so not in one piece. */
static void count_bytes(struct weir_ioas *ioas, uint64_t more)
{
	uint64_t bytes = atomic_load_explicit(&ioas->mapped_bytes, memory_order_relaxed);

	atomic_store_explicit(&ioas->mapped_bytes, bytes + more, memory_order_relaxed);
}

static uint32_t prot_of(const struct weir_map_opts *o)
{
	const uint32_t both = WEIR_MAP_READ | WEIR_MAP_WRITE;

	return o->flags & both ? o->flags & both : both;
}

/* Put a mapping into the table, pending. @o: the caller's options, or NULL. */
static inline __attribute__((always_inline)) int enter_table(struct weir_ioas *ioas,
							     const struct weir_backing *backing, uint64_t len,
							     const struct weir_map_opts *o,
							     struct weir_map **ret_map)
{
	struct weir_segment *segment;
	struct weir_map *map;
	int error = place(ioas, backing, len, o, &segment);

	if (error)
		return error;
	if (ioas->addresses && weir_addresses_reserve(ioas, len)) {
		weir_iova_give(&ioas->iova, segment);
		return weir_fail(-ENOMEM, "no memory for finding a mapping");
	}
	map = (struct weir_map *)segment;
	map->ioas = ioas;
	map->backing = *backing;
	map->file = NULL;
	map->prot = o ? prot_of(o) : WEIR_MAP_READ | WEIR_MAP_WRITE;
	atomic_store_explicit(&map->state, WEIR_MAP_PENDING, memory_order_relaxed);
	weir_index_note(&ioas->index, segment);
	ioas->num_maps++;
	count_bytes(ioas, len);
	*ret_map = map;
	return 0;
}

/* The mapping's handle ends here. */
static inline void leave_table(struct weir_ioas *ioas, struct weir_map *map, bool lost)
{
	uint64_t len = weir_map_size(map);

	weir_index_forget(&ioas->index, &map->segment);
	ioas->num_maps--;
	count_bytes(ioas, -len);
	if (lost) {
		ioas->lost_bytes += len;
		atomic_store_explicit(&map->state, WEIR_MAP_LOST, memory_order_relaxed);
	} else {
		weir_iova_give(&ioas->iova, &map->segment);
	}
}

/* The kernel refused. */
static __attribute__((cold)) int give_up(struct weir_ioas *ioas, struct weir_map *map, int error)
{
	weir_gate_lock(&ioas->gate);
	if (ioas->addresses)
		weir_addresses_unreserve(ioas, weir_map_size(map));
	leave_table(ioas, map, false);
	weir_gate_unlock_and_arrive(&ioas->gate);
	return error;
}

/* What is found by its address can be closed by another thread at once: hence the lock. */
static __attribute__((noinline)) void announce(struct weir_ioas *ioas, struct weir_map *map)
{
	weir_gate_lock(&ioas->gate);
	weir_addresses_add(ioas, map);
	atomic_store_explicit(&map->state, WEIR_MAP_READY, memory_order_release);
	weir_gate_unlock_and_arrive(&ioas->gate);
}

/* Of memory and options that are in order; @o: the caller's, or NULL. In one piece with its parts, because it is what drivers wait for. */
static inline __attribute__((always_inline)) int
map_backing(struct weir_ioas *ioas, const struct weir_backing *backing, struct weir_file *file, uint64_t len,
	    const struct weir_map_opts *o, struct weir_map **ret_map)
{
	struct weir_map *map;
	int error;

	weir_gate_lock_and_set_out(&ioas->gate);
	error = enter_table(ioas, backing, len, o, &map);
	if (error) {
		weir_gate_unlock_and_arrive(&ioas->gate);
		return error;
	}
	map->file = file;
	weir_gate_unlock(&ioas->gate);

	if (ioas->space.live) {
		error = ioas->space.kernel->ops->install(&ioas->space, backing, len, weir_map_start(map),
							 map->prot);
		if (error)
			error = weir_explain_map(ioas, map, error);
	} else {
		error = weir_check_memory(ioas, map);
	}
	if (error)
		return give_up(ioas, map, error);
	*ret_map = map;
	if (ioas->addresses) {
		announce(ioas, map);
		return 0;
	}
	atomic_store_explicit(&map->state, WEIR_MAP_READY, memory_order_release);
	weir_gate_arrive(&ioas->gate);
	return 0;
}

int weir_ioas_map(struct weir_ioas *ioas, void *addr, size_t len, const struct weir_map_opts *opts,
		  struct weir_map **ret_map)
{
	const struct weir_backing backing = { .addr = addr, .fd = -1 };
	struct weir_map_opts o;
	int error = check_memory(ioas, addr, len);

	if (!error && opts)
		error = read_options(ioas, len, opts, &o);
	if (error)
		return error;
	return map_backing(ioas, &backing, NULL, len, opts ? &o : NULL, ret_map);
}

static int check_part(const struct weir_ioas *ioas, uint64_t offset, uint64_t len)
{
	const uint64_t mask = ioas->page_size - 1;

	if (!len)
		return weir_fail(-EINVAL, "the length is 0");
	if ((offset | len) & mask)
		return weir_fail(-EINVAL,
				 "%#" PRIx64 " bytes from %#" PRIx64 " on are not whole pages of %#" PRIx64,
				 len, offset, mask + 1);
	if (offset + (len - 1) > INT64_MAX || offset + (len - 1) < offset)
		return weir_fail(-EOVERFLOW,
				 "%#" PRIx64 " bytes from %#" PRIx64 " on go beyond the end of any file", len,
				 offset);
	return 0;
}

int weir_ioas_map_file(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t len,
		       const struct weir_map_opts *opts, struct weir_map **ret_map)
{
	const struct weir_sys *sys = ioas->host->kernel.sys;
	struct weir_map_opts o = { 0 };
	struct weir_backing backing;
	struct weir_file *file;
	int error = check_part(ioas, offset, len);

	if (!error && opts)
		error = read_options(ioas, len, opts, &o);
	if (!error)
		error = weir_file_open(sys, fd, offset, len, prot_of(&o), o.flags & WEIR_MAP_MAY_SHRINK,
				       &file, &backing);
	if (error)
		return error;
	error = map_backing(ioas, &backing, file, len, &o, ret_map);
	return error ? weir_files_close(sys, file, error) : 0;
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

/* Where walking would take long, an index is made, and kept from then on. */
static struct weir_segment *segment_at(struct weir_ioas *ioas, uint64_t iova)
{
	enum { SHORT_WALK = 64 };
	struct weir_segment *segment = weir_index_find(&ioas->index, iova);

	if (!segment)
		segment = weir_iova_find(&ioas->iova, iova, SHORT_WALK);
	if (!segment && !ioas->index.slots) {
		weir_index_begin(&ioas->index);
		for (struct weir_map *map = NULL; (map = weir_ioas_next_map(ioas, map));)
			weir_index_note(&ioas->index, &map->segment);
		segment = weir_index_find(&ioas->index, iova);
	}
	return segment ? segment : weir_iova_find(&ioas->iova, iova, UINT64_MAX);
}

struct weir_map *weir_ioas_map_at(struct weir_ioas *ioas, uint64_t iova)
{
	return (struct weir_map *)segment_at(ioas, iova);
}

/* The lowest mapping that reaches to @iova or lies above it. */
static struct weir_map *map_at_or_above(struct weir_ioas *ioas, uint64_t iova)
{
	return weir_ioas_next_map(ioas, (struct weir_map *)segment_at(ioas, iova)->below);
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

uint64_t weir_map_iova(const struct weir_map *map)
{
	return weir_map_start(map);
}

uint64_t weir_map_len(const struct weir_map *map)
{
	return weir_map_size(map);
}

void *weir_map_addr(const struct weir_map *map)
{
	return map->backing.addr;
}
