/* SPDX-License-Identifier: MIT */
/* What this machine does in the same run: what figures are compared with. All in nanoseconds of this thread's processor time. */
#ifndef TESTS_BENCH_MEMORY_YARDSTICK_H
#define TESTS_BENCH_MEMORY_YARDSTICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

double yardstick_now(void);

/* The branch-free binary search itself: which of @num ascending keys is the last one that is not above @key. */
size_t yardstick_find(const uint64_t *keys, size_t num, uint64_t key);

/* A query of 2^20 random ones, by branch-free binary search in a sorted array of @num keys of 8 bytes. The best of several rounds. */
double yardstick_search(size_t num);

/*
 * How many times slower this machine is, just now, than the one that absolute limits are meant for, on which that takes 10, 26, 46 and
 * 320 ns at 1k, 16k, 100k and 1M keys; 1 when it is not slower. @search: what yardstick_search(1000) said.
 */
double yardstick_slower(double search);

/* A dependent cache miss in @bytes of memory: a random cyclic permutation of cache lines. @huge: on huge pages, if there are any. */
double yardstick_miss(size_t bytes, bool huge);

#endif
