/* SPDX-License-Identifier: MIT */
/*
 * Addresses that an injected failure kept the kernel from unmapping. The library cannot know what is there now, and must not put
 * anything else there.
 */
#ifndef TESTS_SWEEP_LOST_H
#define TESTS_SWEEP_LOST_H

/* The failed ioctl. Does nothing unless it would have unmapped. */
void lost_begin(int fd, unsigned long request, const void *arg);

/* An ioctl that is passed on. Returns 1 if it maps something where addresses were lost. */
unsigned int lost_reused(int fd, unsigned long request, const void *arg);

/* The descriptor is closed, and with it went all that was mapped. */
void lost_end(int fd);

#endif
