/* SPDX-License-Identifier: MIT */
/* The space of IOVAs divided by where mappings may be chosen. */
#ifndef WEIR_IOAS_STRETCHES_H
#define WEIR_IOAS_STRETCHES_H

#include <stdbool.h>

#include <weir/ioas.h>

enum { WEIR_MOST_STRETCHES = 64 };

/* Up to where the next one begins; usable, or outside of what may be chosen from. */
struct weir_stretch {
	uint64_t start;
	bool usable;
};

struct weir_stretches {
	uint32_t num;
	/* Behind the last one stands a start of 0: less one, that is the top of the space. */
	struct weir_stretch all[WEIR_MOST_STRETCHES + 1];
};

/* Which ranges may be chosen from, and what of them may not. Both ascend. */
struct weir_choice {
	const struct weir_iova_range *ranges;
	uint32_t num;
	uint32_t num_diverted; /* few: each costs two stretches */
	const struct weir_iova_range *diverted;
};

/*
 * Make stretches of what may be chosen from: whole multiples of @grain, a power of two; without the first @grain bytes of the space; and
 * none lies across 4 GiB. Of very many ranges the shortest are left out.
 */
void weir_stretches_choose(struct weir_stretches *stretches, const struct weir_choice *choice,
			   uint64_t grain);

static inline void weir_stretches_make(struct weir_stretches *stretches, const struct weir_iova_range *ranges,
				       uint32_t num, uint64_t grain)
{
	weir_stretches_choose(stretches, &(struct weir_choice){ .ranges = ranges, .num = num }, grain);
}

bool weir_stretches_equal(const struct weir_stretches *a, const struct weir_stretches *b);

static inline uint64_t weir_stretch_last(const struct weir_stretches *stretches, unsigned int stretch)
{
	return stretches->all[stretch + 1].start - 1;
}

/* Which stretch an address lies in. */
static inline uint8_t weir_stretch_at(const struct weir_stretches *stretches, uint64_t address)
{
	uint32_t at = 0, num = stretches->num;

	while (num > 1) {
		uint32_t half = num / 2;

		if (stretches->all[at + half].start <= address)
			at += half;
		num -= half;
	}
	return (uint8_t)at;
}

#endif
