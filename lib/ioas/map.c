// SPDX-License-Identifier: MIT
/* Mappings: placed, installed, removed. */
#include "ioas/ioas.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static int check_request(const struct weir_ioas *ioas, const void *addr, uint64_t len,
			 const struct weir_map_opts *o)
{
	const uint32_t known = WEIR_MAP_READ | WEIR_MAP_WRITE | WEIR_MAP_FIXED;
	const uint64_t mask = ioas->page_size - 1;

	if (o->flags & ~known)
		return weir_fail(-EINVAL, "unknown flags %#x", o->flags & ~known);
	if (!len)
		return weir_fail(-EINVAL, "the length is 0");
	if (((uintptr_t)addr | len) & mask)
		return weir_fail(-EINVAL, "%#" PRIx64 " bytes at %p are not whole pages of %#" PRIx64, len,
				 addr, mask + 1);
	if ((uintptr_t)addr + (len - 1) < (uintptr_t)addr)
		return weir_fail(-EOVERFLOW, "%#" PRIx64 " bytes at %p go beyond the end of memory", len,
				 addr);
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

static uint64_t limit_of(const struct weir_ioas *ioas, const struct weir_map_opts *o)
{
	uint32_t bits = weir_ioas_address_bits(ioas);

	return weir_last_address(o->address_bits && o->address_bits < bits ? o->address_bits : bits);
}

static int place_fixed(struct weir_ioas *ioas, const struct weir_map_opts *o, uint64_t len)
{
	uint64_t last = o->iova + (len - 1), limit = limit_of(ioas, o);
	const struct weir_iova_range *ranges;
	uint32_t num = 0;
	bool inside = !ioas->space.live; /* before the first device, any place may turn out right */
	int error;

	if (last > limit)
		return weir_fail(-ERANGE,
				 "IOVA %#" PRIx64 "..%#" PRIx64
				 " is above the address width, which ends at %#" PRIx64,
				 o->iova, last, limit);
	ranges = weir_ioas_allowed(ioas, &num);
	for (uint32_t i = 0; i < num && !inside; i++)
		inside = ranges[i].start <= o->iova && last <= ranges[i].last;
	if (!inside)
		return weir_fail(-ERANGE,
				 "IOVA %#" PRIx64 "..%#" PRIx64
				 " is not within what the devices can address (first range: %#" PRIx64
				 "..%#" PRIx64 ", of %u; weir_ioas_ranges() lists them)",
				 o->iova, last, num ? ranges[0].start : 0, num ? ranges[0].last : 0, num);
	error = weir_iova_take_fixed(&ioas->iova, o->iova, len);
	if (error == -EEXIST)
		return weir_fail(error, "part of IOVA %#" PRIx64 "..%#" PRIx64 " is taken", o->iova, last);
	return error;
}

/* The lowest free place within @window of what is allowed. */
static int take_within(struct weir_ioas *ioas, struct weir_iova_range window, struct weir_iova_wish *wish,
		       uint64_t *ret_iova)
{
	uint32_t num;
	const struct weir_iova_range *ranges = weir_ioas_allowed(ioas, &num);
	int error = -ENOSPC;

	for (uint32_t i = 0; i < num && error == -ENOSPC; i++) {
		wish->within.start = ranges[i].start > window.start ? ranges[i].start : window.start;
		wish->within.last = ranges[i].last < window.last ? ranges[i].last : window.last;
		if (wish->within.start <= wish->within.last)
			error = weir_iova_take(&ioas->iova, wish, ret_iova);
	}
	return error;
}

/*
 * The lowest 4 GiB are for devices that can reach nothing else; page 0 is for devices that take address 0 for none.
 */
static int take_somewhere(struct weir_ioas *ioas, uint64_t limit, struct weir_iova_wish *wish,
			  uint64_t *ret_iova)
{
	const uint64_t four_gib = (uint64_t)1 << 32;
	int error = -ENOSPC;

	if (limit >= four_gib)
		error = take_within(ioas, (struct weir_iova_range){ four_gib, limit }, wish, ret_iova);
	if (error == -ENOSPC)
		error = take_within(
			ioas,
			(struct weir_iova_range){ ioas->page_size, limit < four_gib ? limit : four_gib - 1 },
			wish, ret_iova);
	return error;
}

static int place_anywhere(struct weir_ioas *ioas, const struct weir_map_opts *o, const void *addr,
			  uint64_t len, uint64_t *ret_iova)
{
	/*
	 * The sizes of large IOMMU pages on x86 and Arm; memory and IOVA must agree modulo these for them to form.
	 */
	static const uint64_t large[] = { (uint64_t)1 << 30, (uint64_t)1 << 21 };
	struct weir_iova_wish wish = { .len = len };
	uint64_t limit = limit_of(ioas, o);
	int error = -ENOSPC;

	for (size_t i = 0; i < 2 && error == -ENOSPC; i++) {
		if (len < large[i])
			continue;
		wish.align = large[i];
		wish.remainder = (uintptr_t)addr & (large[i] - 1);
		error = take_somewhere(ioas, limit, &wish, ret_iova);
	}
	if (error == -ENOSPC) {
		wish.align = ioas->page_size;
		wish.remainder = 0;
		error = take_somewhere(ioas, limit, &wish, ret_iova);
	}
	if (error == -ENOSPC)
		return weir_fail(error, "no free range of %#" PRIx64 " bytes at or below IOVA %#" PRIx64, len,
				 limit);
	return error;
}

/* One thing less is under way; a transition may be waiting for that. */
static void arrived(struct weir_ioas *ioas)
{
	if (!--ioas->under_way && ioas->in_transition)
		pthread_cond_broadcast(&ioas->calm);
}

/* Put the mapping into the table, pending. */
static int enter_table(struct weir_ioas *ioas, struct weir_map *map, const struct weir_map_opts *o)
{
	uint64_t iova = o->iova;
	uint64_t alignment = ioas->space.live ? ioas->space.geometry.alignment : 1;
	int error;

	if ((map->len | (uintptr_t)map->addr | iova) & (alignment - 1))
		return weir_fail(-EINVAL,
				 "the IOMMU's smallest page is %#" PRIx64
				 " bytes; address, length and IOVA are multiples",
				 alignment);
	if (o->flags & WEIR_MAP_FIXED)
		error = place_fixed(ioas, o, map->len);
	else
		error = place_anywhere(ioas, o, map->addr, map->len, &iova);
	if (error == -ENOMEM)
		return weir_fail(error, "no memory for a mapping");
	if (error)
		return error;
	map->node.key = iova;
	weir_tree_insert(&ioas->maps, &map->node);
	ioas->num_maps++;
	ioas->mapped_bytes += map->len;
	return 0;
}

static void leave_table(struct weir_ioas *ioas, struct weir_map *map, bool lost)
{
	weir_tree_remove(&ioas->maps, &map->node);
	ioas->num_maps--;
	ioas->mapped_bytes -= map->len;
	if (lost)
		ioas->lost_bytes += map->len;
	else
		weir_iova_give(&ioas->iova, map->node.key, map->len);
}

int weir_ioas_map(struct weir_ioas *ioas, void *addr, size_t len, const struct weir_map_opts *opts,
		  struct weir_map **ret_map)
{
	struct weir_map_opts o;
	struct weir_map *map;
	bool live;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (!error)
		error = check_request(ioas, addr, len, &o);
	if (error)
		return error;
	map = malloc(sizeof(*map));
	if (!map)
		return weir_fail(-ENOMEM, "no memory for a mapping");
	*map = (struct weir_map){
		.ioas = ioas, .addr = addr, .len = len, .prot = o.flags & (WEIR_MAP_READ | WEIR_MAP_WRITE)
	};
	if (!map->prot)
		map->prot = WEIR_MAP_READ | WEIR_MAP_WRITE;

	pthread_mutex_lock(&ioas->lock);
	weir_ioas_wait_for_calm(ioas);
	error = enter_table(ioas, map, &o);
	live = ioas->space.live;
	ioas->under_way += !error;
	pthread_mutex_unlock(&ioas->lock);
	if (error) {
		free(map);
		return error;
	}

	if (live)
		error = ioas->space.kernel->ops->install(&ioas->space, addr, len, map->node.key, map->prot);
	else
		error = weir_check_memory(ioas, map);
	if (error && live)
		error = weir_explain_map(ioas, map, error);

	pthread_mutex_lock(&ioas->lock);
	if (error)
		leave_table(ioas, map, false);
	else
		map->state = WEIR_MAP_READY;
	arrived(ioas);
	pthread_mutex_unlock(&ioas->lock);
	if (error) {
		free(map);
		return error;
	}
	*ret_map = map;
	return 0;
}

/* The kernel's part of taking [iova, iova + len) back. */
static int take_back(struct weir_ioas *ioas, uint64_t iova, uint64_t len)
{
	int error = ioas->space.live ? ioas->space.kernel->ops->remove(&ioas->space, iova, len) : 0;

	if (error)
		return weir_fail(
			error == -ENOENT ? -EIO : error,
			"the kernel failed to unmap %#" PRIx64 " bytes at IOVA %#" PRIx64
			" (%s): devices may still reach the memory; these addresses will not be used again",
			len, iova, strerror(-error));
	return 0;
}

int weir_map_close(struct weir_map *map)
{
	struct weir_ioas *ioas;
	int error;

	if (!map)
		return 0;
	ioas = map->ioas;
	pthread_mutex_lock(&ioas->lock);
	weir_ioas_wait_for_calm(ioas);
	map->state = WEIR_MAP_LEAVING;
	ioas->under_way++;
	pthread_mutex_unlock(&ioas->lock);

	error = take_back(ioas, map->node.key, map->len);

	pthread_mutex_lock(&ioas->lock);
	leave_table(ioas, map, error != 0);
	arrived(ioas);
	pthread_mutex_unlock(&ioas->lock);
	free(map);
	return error;
}

/* What a range consists of, when it can be taken back. */
struct extent {
	uint64_t start, len; /* from the first mapping's beginning to the last one's end */
	bool gaps;
};

static int survey(struct weir_ioas *ioas, uint64_t iova, uint64_t last, struct extent *ret_extent)
{
	struct weir_map *map = (struct weir_map *)weir_tree_at_or_below(&ioas->maps, iova);
	struct extent extent = { 0 };
	uint64_t at = iova;

	if (!map || weir_map_last(map) < iova)
		map = weir_ioas_next_map(ioas, iova);
	for (; map && map->node.key <= last; map = weir_ioas_next_map(ioas, at)) {
		if (map->node.key < iova || weir_map_last(map) > last)
			return weir_fail(-EINVAL,
					 "the range would cut the mapping at IOVA %#" PRIx64 "..%#" PRIx64
					 " in two",
					 map->node.key, weir_map_last(map));
		if (map->state != WEIR_MAP_READY)
			return weir_fail(-EBUSY,
					 "the mapping at IOVA %#" PRIx64
					 " is being made or taken back by another thread",
					 map->node.key);
		if (!extent.len)
			extent.start = map->node.key;
		else if (map->node.key != extent.start + extent.len)
			extent.gaps = true;
		extent.len = weir_map_last(map) - extent.start + 1;
		at = weir_map_last(map) + 1;
		if (!at)
			break;
	}
	if (!extent.len)
		return weir_fail(-ENOENT, "there is no mapping in IOVA %#" PRIx64 "..%#" PRIx64, iova, last);
	*ret_extent = extent;
	return 0;
}

/* The mappings of an extent, in a row; the lock is held. */
static void mark_leaving(struct weir_ioas *ioas, const struct extent *extent)
{
	uint64_t last = extent->start + (extent->len - 1), at = extent->start;

	for (;;) {
		struct weir_map *map = weir_ioas_next_map(ioas, at);

		map->state = WEIR_MAP_LEAVING;
		if (weir_map_last(map) == last)
			return;
		at = weir_map_last(map) + 1;
	}
}

static void drop_all(struct weir_ioas *ioas, const struct extent *extent, bool lost)
{
	uint64_t last = extent->start + (extent->len - 1);
	struct weir_map *map;

	while ((map = weir_ioas_next_map(ioas, extent->start)) && map->node.key <= last) {
		leave_table(ioas, map, lost);
		free(map);
	}
}

int weir_ioas_unmap(struct weir_ioas *ioas, uint64_t iova, uint64_t len)
{
	uint64_t last = iova + (len - 1);
	struct extent extent = { 0 };
	int error;

	if (!len)
		return weir_fail(-EINVAL, "the length is 0");
	if (last < iova)
		return weir_fail(-EOVERFLOW,
				 "%#" PRIx64 " bytes at IOVA %#" PRIx64 " go beyond the end of the space",
				 len, iova);
	pthread_mutex_lock(&ioas->lock);
	weir_ioas_wait_for_calm(ioas);
	error = survey(ioas, iova, last, &extent);
	if (error) {
		pthread_mutex_unlock(&ioas->lock);
		return error;
	}
	mark_leaving(ioas, &extent);
	ioas->under_way++;
	/* One system call takes the whole extent, so nothing may be mapped into its gaps meanwhile. */
	ioas->in_transition = extent.gaps;
	pthread_mutex_unlock(&ioas->lock);

	error = take_back(ioas, extent.start, extent.len);

	pthread_mutex_lock(&ioas->lock);
	drop_all(ioas, &extent, error != 0);
	if (extent.gaps) {
		ioas->in_transition = false;
		pthread_cond_broadcast(&ioas->calm);
	}
	arrived(ioas);
	pthread_mutex_unlock(&ioas->lock);
	return error;
}

uint64_t weir_map_iova(const struct weir_map *map)
{
	return map->node.key;
}

uint64_t weir_map_len(const struct weir_map *map)
{
	return map->len;
}
