/* SPDX-License-Identifier: MIT */
/*
 * A kernel that lies: the one that says yes (tests/support), but any of its answers may be replaced by an error or filled with
 * what the input says. It keeps to what a kernel can do at all: it writes only where it was told there is room, a descriptor is
 * one that it has opened, a mapping is memory. With the input at its end it is honest, so that everything ends.
 */
#ifndef TESTS_FUZZ_HOSTILE_H
#define TESTS_FUZZ_HOSTILE_H

#include "fuzz/input.h"
#include "support/yes_kernel.h"

struct hostile {
	struct weir_sys table; /* give this to the host */
	struct yes_kernel yes;
	struct input in;
	char files[256]; /* what /proc and sysfs say of memory and windows, when they do not tell the truth */
	unsigned int sleeps, calls;
};

void hostile_init(struct hostile *hostile, struct input in);

/* Fails when a descriptor or a mapping is left. */
void hostile_finish(struct hostile *hostile);

#endif
