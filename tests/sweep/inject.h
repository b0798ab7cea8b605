/* SPDX-License-Identifier: MIT */
/*
 * One thing going wrong: the n-th system call or the n-th allocation that the library makes in a run.
 *
 * The calls: sys_log_init() is wrapped by the linker, so that whatever table a case or its host gives to the library lies on top
 * of one of ours. What fails is not passed on, with two exceptions: a close that fails has closed, and a sleep that is cut short
 * has slept. What goes through below us, that is, what the tests do themselves to the simulated machine, does not count.
 *
 * The allocations: this program's copies of the library and of the drivers are compiled with other names for malloc() and its like.
 *
 * Forked children neither count nor fail.
 */
#ifndef TESTS_SWEEP_INJECT_H
#define TESTS_SWEEP_INJECT_H

#include <stdbool.h>
#include <stddef.h>

enum injected { CALL, ALLOCATION, KINDS };

struct injection {
	enum injected kind;
	unsigned int nth; /* 1: the first; 0: none */
	int error;        /* for a call: a negative errno; 0: one that suits it */
};

/* From now on calls are counted, and the one that @injection says fails. */
void inject_start(const struct injection *injection);

/* Count no longer; give back what the failed call left mapped. How many there were: */
void inject_stop(unsigned int ret_counts[KINDS]);

/* It has come to pass, in any thread; in this one. */
bool injected(void);
bool injected_here(void);

/* With what, and into what: "ioctl 0x3b85". Both are written to a text as soon as it comes to pass: "ioctl 0x3b85: EIO". */
enum { INJECT_TEXT = 80 };
void inject_describe(char text[INJECT_TEXT]);
int injected_error(void);
const char *injected_what(void);

/* What this thread asks the library from now on neither counts nor fails, or does again. */
void inject_pause(bool pause);

/*
 * An address that an unmap failed to take back was mapped anew (the kernel was asked to): how often. A munmap() that failed leaves
 * its mapping, and nobody will ask for it again: do it now.
 */
unsigned int inject_reuses(void);
void inject_munmap_again(void);

/* For inject.c and memory.c: count one more of @kind; true if it is the one that fails. */
bool inject_counts(enum injected kind);

/* How many allocations of the library's and the drivers' are not freed. */
long library_allocations(void);

#endif
