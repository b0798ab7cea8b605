// SPDX-License-Identifier: MIT
/*
 * The list of mapped regions. Its entries are never given back, only used again, so that whoever reads one while it changes reads an
 * entry still: its sequence number, odd during the change, tells.
 */
#include "ioas/mapped.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "ioas/window.h"

enum { FIRST = 128 }; /* a program that has more mapped takes memory for them, as many again each time */

struct entry {
	_Atomic uint32_t sequence;
	_Atomic(struct weir_region *) region; /* NULL: the entry is free */
	_Atomic(struct weir_window *) window;
	_Atomic uintptr_t start, end;
};

struct entries {
	_Atomic(struct entries *) next;
	size_t num;
	struct entry *at;
};

static struct entry first_entries[FIRST];
static struct entries first = { .num = FIRST, .at = first_entries };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of those that change it */

_Atomic uintptr_t weir_mapped_lowest = UINTPTR_MAX, weir_mapped_highest;

static void set(struct entry *entry, struct weir_region *region, struct weir_window *window, uintptr_t start,
		uintptr_t end)
{
	uint32_t sequence = atomic_load_explicit(&entry->sequence, memory_order_relaxed);

	atomic_store_explicit(&entry->sequence, sequence + 1, memory_order_relaxed);
	/* Each of these comes after the odd number, and the even one after all of them. */
	atomic_store_explicit(&entry->region, region, memory_order_release);
	atomic_store_explicit(&entry->window, window, memory_order_release);
	atomic_store_explicit(&entry->start, start, memory_order_release);
	atomic_store_explicit(&entry->end, end, memory_order_release);
	atomic_store_explicit(&entry->sequence, sequence + 2, memory_order_release);
}

/* False: it is free, or changes, which is as good for who asks about what is there for long. */
static bool get(struct entry *entry, struct weir_mapped *ret_mapped)
{
	uint32_t sequence = atomic_load_explicit(&entry->sequence, memory_order_acquire);
	struct weir_mapped mapped;

	mapped.region = atomic_load_explicit(&entry->region, memory_order_acquire);
	mapped.window = atomic_load_explicit(&entry->window, memory_order_acquire);
	mapped.start = atomic_load_explicit(&entry->start, memory_order_acquire);
	mapped.end = atomic_load_explicit(&entry->end, memory_order_acquire);
	if (sequence & 1 || sequence != atomic_load_explicit(&entry->sequence, memory_order_relaxed))
		return false;
	*ret_mapped = mapped;
	return mapped.region != NULL;
}

static struct entry *find_free(void)
{
	struct entries *last = &first, *more;

	for (struct entries *list = &first; list; list = atomic_load(&list->next)) {
		for (size_t i = 0; i < list->num; i++)
			if (!atomic_load(&list->at[i].region))
				return &list->at[i];
		last = list;
	}
	more = calloc(1, sizeof(*more) + 2 * last->num * sizeof(struct entry));
	if (!more)
		return NULL;
	more->num = 2 * last->num;
	more->at = (struct entry *)(more + 1);
	atomic_store(&last->next, more);
	return more->at;
}

static void measure(void)
{
	uintptr_t lowest = UINTPTR_MAX, highest = 0;
	struct weir_mapped mapped;

	for (struct entries *list = &first; list; list = atomic_load(&list->next))
		for (size_t i = 0; i < list->num; i++) {
			if (!get(&list->at[i], &mapped))
				continue;
			lowest = mapped.start < lowest ? mapped.start : lowest;
			highest = mapped.end > highest ? mapped.end : highest;
		}
	atomic_store_explicit(&weir_mapped_lowest, lowest, memory_order_release);
	atomic_store_explicit(&weir_mapped_highest, highest, memory_order_release);
}

int weir_mapped_add(struct weir_region *region, struct weir_window *window, const void *addr, size_t len)
{
	struct entry *entry;

	pthread_mutex_lock(&lock);
	entry = find_free();
	if (entry) {
		set(entry, region, window, (uintptr_t)addr, (uintptr_t)addr + len);
		measure();
	}
	pthread_mutex_unlock(&lock);
	return entry ? 0 : -ENOMEM;
}

void weir_mapped_remove(const void *addr)
{
	struct weir_mapped mapped;

	pthread_mutex_lock(&lock);
	for (struct entries *list = &first; list; list = atomic_load(&list->next))
		for (size_t i = 0; i < list->num; i++)
			if (get(&list->at[i], &mapped) && mapped.start == (uintptr_t)addr)
				set(&list->at[i], NULL, NULL, 0, 0);
	measure();
	pthread_mutex_unlock(&lock);
}

bool weir_mapped_search(uintptr_t start, uintptr_t end, struct weir_mapped *ret_mapped)
{
	struct weir_mapped mapped;
	bool found = false;

	for (struct entries *list = &first; list;
	     list = atomic_load_explicit(&list->next, memory_order_acquire))
		for (size_t i = 0; i < list->num; i++) {
			if (!get(&list->at[i], &mapped) || mapped.start >= end || mapped.end <= start)
				continue;
			if (!found || mapped.start < ret_mapped->start)
				*ret_mapped = mapped;
			found = true;
		}
	return found;
}

/* The lock keeps the region, and so the window, from going meanwhile. */
struct weir_window *weir_mapped_take_window(const void *addr, size_t len)
{
	struct weir_window *window = NULL;
	struct weir_mapped mapped;

	pthread_mutex_lock(&lock);
	if (weir_mapped_find(addr, len, &mapped)) {
		window = mapped.window;
		weir_window_get(window);
	}
	pthread_mutex_unlock(&lock);
	return window;
}
