// SPDX-License-Identifier: MIT
/* Mappings: placed and installed. How they end is in unmap.c. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "ioas/flaw.h"
#include "ioas/map.h"
#include "ioas/mapped.h"
#include "ioas/window.h"
#include "spans.h"

/* Memory of a device of ours: it is mapped as that. */
static __attribute__((noinline)) int map_window(struct weir_ioas *ioas, struct weir_window *window,
						void *addr, uint64_t len, const struct weir_map_opts *o,
						struct weir_map **ret_map)
{
	uint64_t offset = (uint64_t)((char *)addr - (char *)window->addr);
	int error;

	if (offset > window->len || len > window->len - offset)
		error = weir_fail(-EFAULT, "%#" PRIx64 " bytes at %p are %s in part only", len, addr,
				  window->name);
	else
		error = weir_window_map(window, ioas, offset, len, o, ret_map);
	weir_window_put(window);
	return error;
}

static inline int check_memory(const struct weir_ioas *ioas, const void *addr, uint64_t len)
{
	const uint64_t mask = ioas->page_size - 1;
	uintptr_t last;

	if (!len)
		return weir_fail(-EINVAL, "the length is 0");
	if (((uintptr_t)addr | len) & mask)
		return weir_fail(-EINVAL, "%#" PRIx64 " bytes at %p are not whole pages of %#" PRIx64, len,
				 addr, mask + 1);
	if (__builtin_add_overflow((uintptr_t)addr, len - 1, &last))
		return weir_fail(-EOVERFLOW, "%#" PRIx64 " bytes at %p go beyond the end of memory", len,
				 addr);
	return 0;
}

int weir_map_read_options(const struct weir_ioas *ioas, uint64_t len, const struct weir_map_opts *opts,
			  uint32_t also, struct weir_map_opts *o)
{
	const uint32_t known = WEIR_MAP_READ | WEIR_MAP_WRITE | WEIR_MAP_FIXED | WEIR_MAP_DEVICE_MEMORY |
			       WEIR_MAP_SINK | also;
	const uint64_t mask = ioas->page_size - 1;
	int error = weir_opts_read(opts, o, sizeof(*o));

	if (error)
		return error;
	if (o->flags & ~known & WEIR_MAP_MAY_SHRINK)
		return weir_fail(-EINVAL, "WEIR_MAP_MAY_SHRINK is for weir_ioas_map_file()");
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

int weir_map_check_memory(const struct weir_ioas *ioas, const void *addr, uint64_t len)
{
	return check_memory(ioas, addr, len);
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

/*
 * The sizes of large IOMMU pages on x86 and Arm. Memory (its place in the file, if it is one: that is how the kernel lays large
 * pages) and IOVA must agree modulo these for them to form.
 */
enum { LARGE_PAGE = 1 << 21, HUGE_PAGE = 1 << 30 };

static int place_congruent(struct weir_ioas *ioas, uint64_t begin, uint64_t len, uint64_t limit,
			   struct weir_segment **ret_segment)
{
	struct weir_iova_wish wish = {
		.len = len, .limit = limit, .align = HUGE_PAGE, .remainder = begin & (HUGE_PAGE - 1)
	};
	int error = len >= HUGE_PAGE ? weir_iova_take(&ioas->iova, &wish, ret_segment) : -ENOSPC;

	if (error != -ENOSPC)
		return error;
	wish.align = LARGE_PAGE;
	wish.remainder = begin & (LARGE_PAGE - 1);
	return weir_iova_take(&ioas->iova, &wish, ret_segment);
}

static __attribute__((noinline)) int search_place(struct weir_ioas *ioas, uint64_t begin, uint64_t len,
						  uint64_t limit, struct weir_segment **ret_segment)
{
	struct weir_iova_wish wish = { .len = len, .limit = limit, .align = ioas->grain, .exhaustive = true };
	int error = len >= LARGE_PAGE ? place_congruent(ioas, begin, len, limit, ret_segment) : -ENOSPC;

	if (error == -ENOSPC)
		error = weir_iova_take(&ioas->iova, &wish, ret_segment);
	if (error == -ENOSPC)
		return weir_fail(error, "no free range of %#" PRIx64 " bytes at or below IOVA %#" PRIx64, len,
				 limit);
	return error;
}

static inline __attribute__((always_inline)) int place_anywhere(struct weir_ioas *ioas, uint64_t begin,
								uint64_t len, uint64_t limit,
								struct weir_segment **ret_segment)
{
	uint64_t align = len < LARGE_PAGE ? ioas->grain : len < HUGE_PAGE ? LARGE_PAGE : HUGE_PAGE;
	uint64_t remainder = len < LARGE_PAGE ? 0 : begin;

	if (weir_iova_take_at_front(&ioas->iova, len, align, remainder, limit, ret_segment))
		return 0;
	return search_place(ioas, begin, len, limit, ret_segment);
}

static uint64_t limit_of(const struct weir_ioas *ioas, const struct weir_map_opts *o)
{
	uint64_t limit = o->address_bits ? weir_last_address(o->address_bits) : UINT64_MAX;

	return limit < ioas->limit ? limit : ioas->limit;
}

static inline int check_grain(const struct weir_ioas *ioas, uint64_t bits)
{
	if (bits & (ioas->grain - 1))
		return weir_fail(-EINVAL,
				 "the IOMMU's smallest page is %#" PRIx64
				 " bytes; address, length and IOVA are multiples",
				 ioas->grain);
	return 0;
}

int weir_map_check_grain(const struct weir_ioas *ioas, uint64_t bits)
{
	return check_grain(ioas, bits);
}

/* Where the same is in another space, if that is free, can be addressed, and leads to memory. */
static __attribute__((noinline)) bool place_alike(struct weir_ioas *ioas, uint64_t len,
						  const struct weir_map_opts *o,
						  const struct weir_map *source,
						  struct weir_segment **ret_segment)
{
	uint64_t start = weir_map_start(source);

	return !(start & (ioas->grain - 1)) &&
	       !weir_spans_meet(ioas->diverted, ioas->num_diverted, start, start + (len - 1)) &&
	       !place_fixed(ioas, start, len, limit_of(ioas, o), ret_segment);
}

/* Find a place for @len bytes. */
static inline __attribute__((always_inline)) int place(struct weir_ioas *ioas, uint64_t begin, uint64_t len,
						       const struct weir_map_opts *o,
						       const struct weir_map *source,
						       struct weir_segment **ret_segment)
{
	int error = check_grain(ioas, len | begin | (o ? o->iova : 0));

	if (error)
		return error;
	if (o && (o->flags & WEIR_MAP_FIXED))
		error = place_fixed(ioas, o->iova, len, limit_of(ioas, o), ret_segment);
	else if (!source || !place_alike(ioas, len, o, source, ret_segment))
		error = place_anywhere(ioas, begin, len, o ? limit_of(ioas, o) : ioas->limit, ret_segment);
	return error == -ENOMEM ? weir_fail(error, "no memory for a mapping") : error;
}

int weir_map_place(struct weir_ioas *ioas, uint64_t begin, uint64_t len, const struct weir_map_opts *o,
		   const struct weir_map *source, struct weir_segment **ret_segment)
{
	return place(ioas, begin, len, o, source, ret_segment);
}

/* Put a mapping into the table, pending. @o: the caller's options, or NULL. */
static inline __attribute__((always_inline)) int enter_table(struct weir_ioas *ioas,
							     const struct weir_backing *backing, uint64_t len,
							     const struct weir_map_opts *o,
							     const struct weir_map *source, const bool plain,
							     struct weir_map **ret_map)
{
	uint64_t begin = backing->fd < 0 ? (uintptr_t)backing->addr : backing->offset;
	struct weir_segment *segment;
	int error = place(ioas, begin, len, o, source, &segment);

	if (error)
		return error;
	if (!plain && ioas->addresses && weir_addresses_reserve(ioas, len)) {
		weir_iova_give(&ioas->iova, segment);
		return weir_fail(-ENOMEM, "no memory for finding a mapping");
	}
	*ret_map = weir_map_begin(ioas, segment, backing,
				  o ? weir_map_rights_of(o) : WEIR_MAP_READ | WEIR_MAP_WRITE, len);
	return 0;
}

/* What has left for the caller may be in the way: it ends now. This has set out; the lock is held, and again at the end. */
static __attribute__((cold)) int enter_after_sync(struct weir_ioas *ioas, struct weir_backing backing,
						  uint64_t len, const struct weir_map_opts *o,
						  const struct weir_map *source, struct weir_map **ret_map)
{
	int error;

	weir_gate_unlock(&ioas->gate);
	error = weir_ioas_sync_under_way(ioas);
	weir_gate_lock(&ioas->gate);
	return error ? error : enter_table(ioas, &backing, len, o, source, false, ret_map);
}

/* The kernel refused. */
static __attribute__((cold)) int give_up(struct weir_ioas *ioas, struct weir_map *map, int error)
{
	if (map->held && ioas->space.kernel->journal)
		weir_file_forget_unused(map->held);
	weir_gate_lock(&ioas->gate);
	if (ioas->addresses)
		weir_addresses_unreserve(ioas, weir_map_size(map));
	weir_ioas_drop_map(ioas, map, false);
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

static inline __attribute__((always_inline)) int install(struct weir_ioas *ioas, const struct weir_map *map,
							 const struct weir_map *source)
{
	int error = source ? weir_map_copy(ioas, weir_map_start(map), weir_map_size(map), map->prot, source)
			   : -EOPNOTSUPP;

	if (error == -EOPNOTSUPP)
		error = ioas->space.ops->install(&ioas->space, &map->backing, weir_map_size(map),
						 weir_map_start(map), map->prot);
	return error;
}

/* What has left for the caller may count against a limit still: it ends now. */
static __attribute__((cold)) int install_after_sync(struct weir_ioas *ioas, const struct weir_map *map,
						    const struct weir_map *source)
{
	int error = weir_ioas_sync_under_way(ioas);

	return error ? error : install(ioas, map, source);
}

/* Have the kernel know of a mapping that is in the table, as far as it needs to. */
static int put_in_force(struct weir_ioas *ioas, struct weir_map *map, const struct weir_map *source)
{
	int error;

	if (!ioas->space.live)
		return weir_check_memory(ioas, map);
	error = ioas->probes && weir_would_take_any(ioas, map) ? weir_probe_memory(ioas, map) : 0;
	if (error)
		return error;
	error = install(ioas, map, source);
	if (error && ioas->leaving.num)
		error = install_after_sync(ioas, map, source);
	return error ? weir_explain_map(ioas, map, error) : 0;
}

/* Of memory and options (or NULL) in order; @source: a mapping of the same in another space, or NULL. This has set out, with the lock. */
static int enter_and_install(struct weir_ioas *ioas, const struct weir_backing *backing,
			     struct weir_held *held, uint64_t len, const struct weir_map_opts *o,
			     const struct weir_map *source, struct weir_map **ret_map)
{
	bool noted = ioas->space.kernel->journal != NULL;
	struct weir_map *map;
	int error;

	error = enter_table(ioas, backing, len, o, source, false, &map);
	if (error && ioas->leaving.num)
		error = enter_after_sync(ioas, *backing, len, o, source, &map);
	if (error) {
		weir_gate_unlock_and_arrive(&ioas->gate);
		return error;
	}
	map->held = held;
	weir_gate_unlock(&ioas->gate);

	/* Whoever hands the host over waits for this, or has done it, which this is told. */
	error = noted ? weir_map_note(ioas, map) : 0;
	if (!error)
		error = put_in_force(ioas, map, source);
	if (error)
		return give_up(ioas, map, error);
	*ret_map = map;
	if (noted)
		weir_map_mark(map, WEIR_SLOT_IN_FORCE);
	if (ioas->addresses) {
		announce(ioas, map);
		return 0;
	}
	atomic_store_explicit(&map->state, WEIR_MAP_READY, memory_order_release);
	weir_gate_arrive(&ioas->gate);
	return 0;
}

/* The same of one mapping of the caller's memory without options in a plain space: what drivers wait for. */
static inline __attribute__((always_inline)) int enter_and_install_plain(struct weir_ioas *ioas,
									 const struct weir_backing *backing,
									 uint64_t len,
									 struct weir_map **ret_map)
{
	struct weir_map *map;
	int error = enter_table(ioas, backing, len, NULL, NULL, true, &map);

	if (__builtin_expect(error, 0)) {
		weir_gate_unlock_and_arrive(&ioas->gate);
		return error;
	}
	map->held = NULL;
	weir_gate_unlock(&ioas->gate);

	error = install(ioas, map, NULL);
	if (__builtin_expect(error, 0))
		return give_up(ioas, map, weir_explain_map(ioas, map, error));
	*ret_map = map;
	atomic_store_explicit(&map->state, WEIR_MAP_READY, memory_order_release);
	weir_gate_arrive(&ioas->gate);
	return 0;
}

static int map_backing(struct weir_ioas *ioas, const struct weir_backing *backing, struct weir_held *held,
		       uint64_t len, const struct weir_map_opts *o, const struct weir_map *source,
		       struct weir_map **ret_map)
{
	weir_gate_lock_and_set_out(&ioas->gate);
	return enter_and_install(ioas, backing, held, len, o, source, ret_map);
}

static __attribute__((noinline)) int map_memory_as(struct weir_ioas *ioas, void *addr, size_t len,
						   const struct weir_map_opts *opts, uint32_t also,
						   struct weir_map **ret_map)
{
	const struct weir_backing backing = { .addr = addr, .fd = -1 };
	struct weir_map_opts o;
	struct weir_window *window;
	int error = check_memory(ioas, addr, len);

	if (!error)
		error = weir_map_read_options(ioas, len, opts, also, &o);
	if (error)
		return error;
	window = weir_mapped_window(addr, len);
	if (window)
		return map_window(ioas, window, addr, len, &o, ret_map);
	if ((o.flags & WEIR_MAP_DEVICE_MEMORY) && !ioas->space.kernel->ops->device_memory)
		return weir_fail_device_memory();
	return map_backing(ioas, &backing, NULL, len, &o, NULL, ret_map);
}

__attribute__((hot, aligned(4096))) int weir_ioas_map(struct weir_ioas *ioas, void *addr, size_t len,
						      const struct weir_map_opts *opts,
						      struct weir_map **ret_map)
{
	const struct weir_backing backing = { .addr = addr, .fd = -1 };
	struct weir_window *window;
	int error;

	if (opts)
		return map_memory_as(ioas, addr, len, opts, 0, ret_map);
	error = check_memory(ioas, addr, len);
	if (error)
		return error;
	window = weir_mapped_window(addr, len);
	if (__builtin_expect(window != NULL, 0))
		return map_window(ioas, window, addr, len, &(struct weir_map_opts){ 0 }, ret_map);
	weir_gate_lock_and_set_out(&ioas->gate);
	if (__builtin_expect(!ioas->plain, 0))
		return enter_and_install(ioas, &backing, NULL, len, NULL, NULL, ret_map);
	return enter_and_install_plain(ioas, &backing, len, ret_map);
}

int weir_ioas_map_own(struct weir_ioas *ioas, void *addr, size_t len, const struct weir_map_opts *opts,
		      struct weir_map **ret_map)
{
	return map_memory_as(ioas, addr, len, opts, WEIR_MAP_KEPT, ret_map);
}

int weir_ioas_map_backing(struct weir_ioas *ioas, const struct weir_backing *backing, uint64_t len,
			  const struct weir_map_opts *o, const struct weir_map *source,
			  struct weir_map **ret_map)
{
	struct weir_held *held = source ? source->held : NULL;
	struct weir_backing own = *backing;
	int error;

	/* A journal numbers the files of its own host. */
	if (source && source->ioas->host != ioas->host)
		own.file = 0;
	if (held)
		weir_held_get(held);
	error = map_backing(ioas, &own, held, len, o, source, ret_map);
	if (error && held)
		weir_held_put(held); /* it is not the last: @source has it still */
	return error;
}

int weir_ioas_map_held(struct weir_ioas *ioas, const struct weir_backing *backing, struct weir_held *held,
		       uint64_t len, const struct weir_map_opts *o, const struct weir_map *source,
		       struct weir_map **ret_map)
{
	return map_backing(ioas, backing, held, len, o, source, ret_map);
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

static int map_file(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t len,
		    const struct weir_map_opts *opts, uint32_t also, struct weir_map **ret_map)
{
	const struct weir_sys *sys = ioas->host->kernel.sys;
	struct weir_map_opts o = { 0 };
	struct weir_backing backing;
	struct weir_held *held;
	int error = check_part(ioas, offset, len);

	if (!error && opts)
		error = weir_map_read_options(ioas, len, opts, also | WEIR_MAP_MAY_SHRINK, &o);
	if (!error && (o.flags & WEIR_MAP_DEVICE_MEMORY))
		error = weir_fail(-EINVAL, "WEIR_MAP_DEVICE_MEMORY is for weir_ioas_map()");
	if (!error)
		error = weir_file_open(sys, fd, offset, len, weir_map_prot_of(&o),
				       o.flags & WEIR_MAP_MAY_SHRINK, &held, &backing);
	if (error)
		return error;
	error = map_backing(ioas, &backing, held, len, &o, NULL, ret_map);
	return error ? weir_held_close(sys, held, error) : 0;
}

int weir_ioas_map_file(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t len,
		       const struct weir_map_opts *opts, struct weir_map **ret_map)
{
	return map_file(ioas, fd, offset, len, opts, 0, ret_map);
}

int weir_ioas_map_own_file(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t len,
			   const struct weir_map_opts *opts, struct weir_map **ret_map)
{
	return map_file(ioas, fd, offset, len, opts, WEIR_MAP_KEPT, ret_map);
}

__attribute__((hot)) uint64_t weir_map_iova(const struct weir_map *map)
{
	return weir_map_start(map);
}

uint64_t weir_map_len(const struct weir_map *map)
{
	const struct weir_map *last = weir_map_last_piece((struct weir_map *)map);

	return weir_map_last(last) - weir_map_start(map) + 1;
}

void *weir_map_addr(const struct weir_map *map)
{
	return map->backing.addr;
}
