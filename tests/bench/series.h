/* SPDX-License-Identifier: MIT */
/* Durations of the same thing, done many times. */
#ifndef TESTS_BENCH_SERIES_H
#define TESTS_BENCH_SERIES_H

#include <stddef.h>
#include <stdint.h>

struct series {
	uint64_t *ns;
	size_t num, room;
};

/* Room for @room durations; exits when there is no memory. */
void series_init(struct series *series, size_t room);
void series_free(struct series *series);

/* Left out when there is no room. */
void series_add(struct series *series, uint64_t ns);

/* What @part of them, 0 to 1, do not exceed; 0.5 is the median. 0 of nothing. Puts them in order. */
double series_quantile(struct series *series, double part);

/* Nanoseconds of a clock that only goes forward. */
uint64_t now_ns(void);

#endif
