/* SPDX-License-Identifier: MIT */
/*
 * Memory running out on request. The program is linked with --wrap for aligned_alloc, malloc, calloc, realloc and strdup, so this is about
 * the objects in that program (weir-static among them), not about shared libraries; and about the calling thread only.
 */
#ifndef TESTS_SUPPORT_ALLOC_FAIL_H
#define TESTS_SUPPORT_ALLOC_FAIL_H

#include <stdbool.h>

/* Allocation number @nth from now (1 is the next) fails, and only that one. 0: none does. */
void alloc_fail(unsigned int nth);

/* Has it failed since? Stops it, too. */
bool alloc_failed(void);

#endif
