// SPDX-License-Identifier: MIT
/* Durations of the same thing, done many times. */
#include "bench/series.h"

#include <err.h>
#include <stdlib.h>
#include <time.h>

void series_init(struct series *series, size_t room)
{
	*series = (struct series){ .ns = calloc(room, sizeof(*series->ns)), .room = room };
	if (!series->ns)
		errx(1, "no memory for %zu durations", room);
}

void series_free(struct series *series)
{
	free(series->ns);
}

void series_add(struct series *series, uint64_t ns)
{
	if (series->num < series->room)
		series->ns[series->num++] = ns;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

double series_quantile(struct series *series, double part)
{
	if (!series->num)
		return 0;
	qsort(series->ns, series->num, sizeof(*series->ns), compare);
	return (double)series->ns[(size_t)(part * (double)(series->num - 1))];
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
