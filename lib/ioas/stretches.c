// SPDX-License-Identifier: MIT
/* The space of IOVAs divided by where mappings may be chosen. */
#include "ioas/stretches.h"

/* One range makes a stretch of its own and one behind it; the one across 4 GiB makes one more, and page 0 is one. */
enum { MOST_RANGES = (WEIR_MOST_STRETCHES - 2) / 2 };

/* The last stretch so far goes on to the top, and may not be chosen from. */
static void add_usable(struct weir_stretches *stretches, uint64_t start, uint64_t last)
{
	struct weir_stretch *stretch = &stretches->all[stretches->num - 1];

	if (stretch->start != start)
		*++stretch = (struct weir_stretch){ .start = start };
	stretch->usable = true;
	if (last != UINT64_MAX)
		*++stretch = (struct weir_stretch){ .start = last + 1 };
	stretches->num = (uint32_t)(stretch - stretches->all) + 1;
}

static void add_range(struct weir_stretches *stretches, struct weir_iova_range range, uint64_t grain)
{
	const uint64_t four_gib = (uint64_t)1 << 32;
	const struct weir_stretch *tail = &stretches->all[stretches->num - 1];
	/* The first multiple that is not below the range, and the last byte of the last one that is not above it. */
	uint64_t start = range.start ? ((range.start - 1) | (grain - 1)) + 1 : grain;
	uint64_t last = ((range.last + 1) & ~(grain - 1)) - 1;

	/* Both wrap at the top: what begins there is empty, what ends there is whole. */
	if ((!start && range.start) || (last == UINT64_MAX && range.last != UINT64_MAX) || start > last)
		return;
	/* Not in order: the kernel does not do that. */
	if (start < tail->start || tail->usable)
		return;
	if (start < four_gib && last >= four_gib) {
		add_usable(stretches, start, four_gib - 1);
		start = four_gib;
	}
	add_usable(stretches, start, last);
}

/* How many ranges are at least so long. */
static uint32_t count_long(const struct weir_iova_range *ranges, uint32_t num, uint64_t len_less_1)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < num; i++)
		found += ranges[i].last - ranges[i].start >= len_less_1;
	return found;
}

/* What of it is not diverted. */
static void add_clear_parts(struct weir_stretches *stretches, struct weir_iova_range range,
			    const struct weir_choice *choice, uint64_t grain)
{
	for (uint32_t i = 0; i < choice->num_diverted; i++) {
		const struct weir_iova_range *hole = &choice->diverted[i];

		if (hole->last < range.start || hole->start > range.last)
			continue;
		if (hole->start > range.start)
			add_range(stretches, (struct weir_iova_range){ range.start, hole->start - 1 }, grain);
		if (hole->last >= range.last)
			return;
		range.start = hole->last + 1;
	}
	add_range(stretches, range, grain);
}

void weir_stretches_choose(struct weir_stretches *stretches, const struct weir_choice *choice, uint64_t grain)
{
	const uint32_t most = MOST_RANGES - choice->num_diverted;
	const struct weir_iova_range *ranges = choice->ranges;
	uint64_t shorter = 0, longer = 1;
	uint32_t room;

	/* All that are at least @longer find room, and of those that are only at least @shorter, some. */
	while (count_long(ranges, choice->num, longer) > most) {
		shorter = longer;
		longer = 2 * longer + 1;
	}
	room = most - count_long(ranges, choice->num, longer);
	*stretches = (struct weir_stretches){ .num = 1 };
	for (uint32_t i = 0; i < choice->num; i++) {
		uint64_t len_less_1 = ranges[i].last - ranges[i].start;

		if (len_less_1 >= longer || (len_less_1 >= shorter && room && room--))
			add_clear_parts(stretches, ranges[i], choice, grain);
	}
}

bool weir_stretches_equal(const struct weir_stretches *a, const struct weir_stretches *b)
{
	if (a->num != b->num)
		return false;
	for (uint32_t i = 0; i < a->num; i++)
		if (a->all[i].start != b->all[i].start || a->all[i].usable != b->all[i].usable)
			return false;
	return true;
}
