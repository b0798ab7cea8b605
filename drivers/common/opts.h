/* SPDX-License-Identifier: MIT */
/*
 * Structs that carry their size across versions (weir/common.h). Internal to drivers/.
 */
#ifndef DRIVERS_COMMON_OPTS_H
#define DRIVERS_COMMON_OPTS_H

#include <errno.h>
#include <string.h>

#include <weir/common.h>

/*
 * Copy the caller's option struct, which begins with its size, into ours of @own_size bytes: what the
 * caller's does not have is zero. Returns 0; -EINVAL for an impossible size; -E2BIG when it sets something
 * beyond ours.
 */
static inline int opts_copy(void *own, size_t own_size, const void *callers)
{
	size_t size = own_size, i;

	memset(own, 0, own_size);
	if (!callers)
		return 0;
	memcpy(&size, callers, sizeof size);
	if (size < sizeof size)
		return -EINVAL;
	for (i = own_size; i < size; i++)
		if (((const unsigned char *)callers)[i] != 0)
			return -E2BIG;
	memcpy(own, callers, size < own_size ? size : own_size);
	return 0;
}

/* Give the caller as much of an output struct as it has room for, and zeros beyond it. */
static inline void info_copy(void *callers, size_t callers_size, const void *own, size_t own_size)
{
	if (callers_size > own_size) {
		memset((unsigned char *)callers + own_size, 0, callers_size - own_size);
		callers_size = own_size;
	}
	memcpy(callers, own, callers_size);
}

#endif
