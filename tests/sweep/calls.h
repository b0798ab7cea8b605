/* SPDX-License-Identifier: MIT */
/*
 * What the cases ask of the library, with an eye on the failure that is injected.
 *
 * The library's functions are wrapped by the linker (sweep/CMakeLists.txt has their names). When one fails because of the injection,
 * what must hold of such a failure is checked: the result is an error, nothing changed, nothing was handed out; and then it is called
 * again and the case is given the second result, so that, if all is well, the case goes on as if nothing had happened, and passes.
 *
 * So are those functions of the drivers that allocate memory, for the allocations that are their own.
 *
 * Releasing functions are not called again: they have run to their end, and must have said so by the error that was injected.
 */
#ifndef TESTS_SWEEP_CALLS_H
#define TESTS_SWEEP_CALLS_H

#include <stdbool.h>
#include <stdio.h>

/* What is wrong is written to @out, one line each. */
void calls_start(FILE *out);

/*
 * Whether the case must have passed: what failed was tried again. Otherwise it was in a releasing call, whose failure the case cannot
 * but notice.
 */
bool calls_stop(void);

#endif
