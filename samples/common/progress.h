/* SPDX-License-Identifier: MIT */
/*
 * One line on stderr that shows how far a transfer is: redrawn in place at most ten times a second, wiped at
 * the end.
 */
#ifndef SAMPLES_PROGRESS_H
#define SAMPLES_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;
	bool utf8; /* the terminal's character set has a finer bar */
	uint64_t total;
	double start, last_drawn; /* seconds of the monotonic clock */
};

/* Seconds of the monotonic clock. */
double seconds_now(void);

/* Begin at 0 of @total bytes. When not @shown, nothing is ever drawn. */
void progress_start(struct progress *progress, bool shown, uint64_t total);

/* @done bytes are there. */
void progress_at(struct progress *progress, uint64_t done);

/* Wipe the line. */
void progress_end(struct progress *progress);

#endif
