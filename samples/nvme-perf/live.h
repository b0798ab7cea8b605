/* SPDX-License-Identifier: MIT */
/* One line on stderr while it runs: how far, how fast now, and how fast it was in the seconds before. Redrawn in place, wiped at the end. */
#ifndef NVME_PERF_LIVE_H
#define NVME_PERF_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#define LIVE_PAST 24

struct live {
	bool shown, utf8;
	uint32_t size; /* bytes of a request */
	double last_drawn;
	uint64_t last_done;
	unsigned int num_past; /* rates of the intervals before, the latest last */
	double past[LIVE_PAST];
};

void live_begin(struct live *live, bool shown, uint32_t size, double now);

/* @done requests in @elapsed seconds, which is @part of it all. Draws if the last time is long enough ago. */
void live_at(struct live *live, double now, double elapsed, double part, uint64_t done);

void live_end(struct live *live);

#endif
