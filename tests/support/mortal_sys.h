/* SPDX-License-Identifier: MIT */
/*
 * A process of a simulated machine that is killed right after one of its system calls: its end of the socket closes, and nothing that it does
 * from there on happens, but for what the kernel does then itself, which is closing its descriptors. Or one that is refused one of its calls. One
 * process at a time, in one thread.
 */
#ifndef TESTS_SUPPORT_MORTAL_SYS_H
#define TESTS_SUPPORT_MORTAL_SYS_H

#include <stdbool.h>

#include <weir/sys.h>

/* Its calls are those of @below. It lives for ever until mortal_begin(). */
const struct weir_sys *mortal_sys(const struct weir_sys *below);

/* It lives for so many calls from now on (the 1st is the last for 1); @socket is its end. */
void mortal_begin(unsigned int calls, int socket);

/* That call from now on (1: the next) fails with @error, a negative errno, and does nothing. */
void mortal_refuse(unsigned int call, int error);

/* No more calls are counted. Whether it has died, or was refused. */
bool mortal_end(void);

#endif
