// SPDX-License-Identifier: MIT
/* Memory running out on request. */
#include "support/alloc_fail.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local unsigned int countdown;
static _Thread_local bool has_failed;

/* The names that the linker gives to what it wraps. */
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t num, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t num, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void alloc_fail(unsigned int nth)
{
	countdown = nth;
	has_failed = false;
}

bool alloc_failed(void)
{
	countdown = 0;
	return has_failed;
}

static bool fails(void)
{
	if (!countdown || --countdown)
		return false;
	has_failed = true;
	return true;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t num, size_t size)
{
	return fails() ? NULL : __real_calloc(num, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}
