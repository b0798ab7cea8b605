// SPDX-License-Identifier: MIT
/* A few ranges of addresses, in order. */
#include "spans.h"

#include <string.h>

static bool touch(const struct weir_iova_range *lower, const struct weir_iova_range *upper)
{
	return lower->last == UINT64_MAX || upper->start <= lower->last + 1;
}

static uint32_t join_closest(struct weir_iova_range *ranges, uint32_t num)
{
	uint32_t closest = 0;

	for (uint32_t i = 1; i + 1 < num; i++)
		if (ranges[i + 1].start - ranges[i].last < ranges[closest + 1].start - ranges[closest].last)
			closest = i;
	ranges[closest].last = ranges[closest + 1].last;
	memmove(&ranges[closest + 1], &ranges[closest + 2], (num - closest - 2) * sizeof(*ranges));
	return num - 1;
}

/* Put it in its place, and let it take in those that it meets. */
uint32_t weir_spans_add(struct weir_iova_range *ranges, uint32_t num, uint32_t room,
			struct weir_iova_range range)
{
	uint32_t at = 0, end;

	while (at < num && ranges[at].start < range.start && !touch(&ranges[at], &range))
		at++;
	for (end = at; end < num && (ranges[end].start <= range.start || touch(&range, &ranges[end]));
	     end++) {
		if (ranges[end].start < range.start)
			range.start = ranges[end].start;
		if (ranges[end].last > range.last)
			range.last = ranges[end].last;
	}
	memmove(&ranges[at + 1], &ranges[end], (num - end) * sizeof(*ranges));
	ranges[at] = range;
	num = num - (end - at) + 1;
	return num == room ? join_closest(ranges, num) : num;
}

bool weir_spans_meet(const struct weir_iova_range *ranges, uint32_t num, uint64_t start, uint64_t last)
{
	for (uint32_t i = 0; i < num; i++)
		if (ranges[i].start <= last && start <= ranges[i].last)
			return true;
	return false;
}
