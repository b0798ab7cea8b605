/* SPDX-License-Identifier: MIT */
/* Random numbers, the same in every run. */
#ifndef TESTS_BENCH_MEMORY_RANDOM_H
#define TESTS_BENCH_MEMORY_RANDOM_H

#include <stdint.h>

static inline uint64_t random_below(uint64_t end)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % end;
}

#endif
