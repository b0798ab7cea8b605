// SPDX-License-Identifier: MIT
/* The allocations of the library and the drivers: this program's copy of them calls these by the names of malloc() and its like. */
#include "sweep/inject.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long live;

void *sweep_malloc(size_t size);
void *sweep_calloc(size_t num, size_t size);
void *sweep_realloc(void *old, size_t size);
char *sweep_strdup(const char *text);
void *sweep_aligned_alloc(size_t alignment, size_t size);
void sweep_free(void *memory);

long library_allocations(void)
{
	return atomic_load(&live);
}

static void *one_more(void *memory)
{
	if (memory)
		atomic_fetch_add(&live, 1);
	return memory;
}

void *sweep_malloc(size_t size)
{
	return inject_counts(ALLOCATION) ? NULL : one_more(malloc(size));
}

void *sweep_calloc(size_t num, size_t size)
{
	return inject_counts(ALLOCATION) ? NULL : one_more(calloc(num, size));
}

void *sweep_realloc(void *old, size_t size)
{
	void *memory = inject_counts(ALLOCATION) ? NULL : realloc(old, size);

	if (memory && !old)
		atomic_fetch_add(&live, 1);
	return memory;
}

char *sweep_strdup(const char *text)
{
	return inject_counts(ALLOCATION) ? NULL : one_more(strdup(text));
}

void *sweep_aligned_alloc(size_t alignment, size_t size)
{
	return inject_counts(ALLOCATION) ? NULL : one_more(aligned_alloc(alignment, size));
}

void sweep_free(void *memory)
{
	if (memory)
		atomic_fetch_sub(&live, 1);
	free(memory);
}
