/* SPDX-License-Identifier: MIT */
/* Sizes as people read and write them. */
#ifndef SAMPLES_UNITS_H
#define SAMPLES_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* Room for any text made here. */
struct unit_text {
	char text[32];
};

/* "512 B", "128 KiB", "1.5 GiB": exact where three digits can be. */
struct unit_text unit_size(double bytes);

/* "35.2 MiB/s". */
struct unit_text unit_rate(double bytes, double seconds);

/* "850 ms", "12.3 s", "4 min 10 s". */
struct unit_text unit_time(double seconds);

/*
 * A whole number with an optional K, M or G (powers of 1024, also written KiB...). False if it is none, or 0,
 * or too big.
 */
bool unit_parse(const char *text, uint64_t *ret_value);

#endif
