/* SPDX-License-Identifier: MIT */
/*
 * Mappings that an injected failure kept the kernel from taking back. The library cannot know what is there now: it must not put
 * anything else at those addresses; and a driver does well to keep the memory, which its device may still reach.
 */
#ifndef TESTS_SWEEP_LOST_H
#define TESTS_SWEEP_LOST_H

#include <stdbool.h>
#include <stdint.h>

/* A run begins. */
void lost_clear(void);

/* This ioctl fails without having been passed on. */
void lost_begin(int fd, unsigned long request, const void *arg);

/* Would it, passed on, put something in the place of what was lost? */
bool lost_reused(int fd, unsigned long request, const void *arg);

/* It was passed on, and did not fail. */
void lost_passed(int fd, unsigned long request, const void *arg);

/* The descriptor is closed, and with it went all that was mapped. */
void lost_closed(int fd);

/* The n-th that was lost, from 0; false: there are not so many. */
struct lost {
	uint64_t iova, addr, len;
};

bool lost_nth(unsigned int n, struct lost *ret_lost);

#endif
