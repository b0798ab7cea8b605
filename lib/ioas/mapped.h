/* SPDX-License-Identifier: MIT */
/*
 * Where in this process's memory the regions of devices are mapped, of all hosts together.
 *
 * Looked up without a lock, from any thread and from a signal handler. An answer is true at the time it is given: what keeps the
 * region from going is the caller's business.
 */
#ifndef WEIR_IOAS_MAPPED_H
#define WEIR_IOAS_MAPPED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_region;
struct weir_window;

/* A region's mapping: [start, end). */
struct weir_mapped {
	struct weir_region *region;
	struct weir_window *window; /* for other devices to reach it by */
	uintptr_t start, end;
};

/* Returns 0 or -ENOMEM, without a text. */
int weir_mapped_add(struct weir_region *region, struct weir_window *window, const void *addr, size_t len);

/* What was added at @addr; nothing happens when that was nothing. */
void weir_mapped_remove(const void *addr);

/* All that is mapped lies within; see weir_mapped_find(). */
extern _Atomic uintptr_t weir_mapped_lowest, weir_mapped_highest;

bool weir_mapped_search(uintptr_t start, uintptr_t end, struct weir_mapped *ret_mapped);

/*
 * The mapping of a region that [@addr, @addr + @len) meets: the lowest, if there are several. Whether all of the range is in it,
 * the caller compares. Cheap for what lies aside from all of them.
 */
static inline bool weir_mapped_find(const void *addr, size_t len, struct weir_mapped *ret_mapped)
{
	uintptr_t start = (uintptr_t)addr, end = len <= UINTPTR_MAX - start ? start + len : UINTPTR_MAX;

	if (start >= atomic_load_explicit(&weir_mapped_highest, memory_order_acquire) ||
	    end <= atomic_load_explicit(&weir_mapped_lowest, memory_order_acquire))
		return false;
	return weir_mapped_search(start, end, ret_mapped);
}

/* The window of the region that such a range meets, with a user more, which the caller gives back; or NULL. */
struct weir_window *weir_mapped_take_window(const void *addr, size_t len);

static inline struct weir_window *weir_mapped_window(const void *addr, size_t len)
{
	uintptr_t start = (uintptr_t)addr;

	/* As above: most memory lies aside. The range is in order. */
	if (start >= atomic_load_explicit(&weir_mapped_highest, memory_order_relaxed) ||
	    start + (len - 1) < atomic_load_explicit(&weir_mapped_lowest, memory_order_relaxed))
		return NULL;
	return weir_mapped_take_window(addr, len);
}

#endif
