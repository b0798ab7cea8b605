// SPDX-License-Identifier: MIT
/* What cases about address spaces have in common. */
#include "conformance/space.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

void in_both_states(struct t *t, void (*check)(struct t *t, struct weir_ioas *ioas))
{
	struct weir_ioas *bare = new_ioas(t), *used = new_ioas(t);

	new_device(t, used, "EDU0", 0);
	at(t, bare, "all");
	check(t, bare);
	at(t, used, "all");
	check(t, used);
}

void at(struct t *t, struct weir_ioas *ioas, const char *row)
{
	t_note(t, "%s, %s a device", row, info_of(ioas).num_devices ? "with" : "without");
}

struct weir_ioas_info info_of(struct weir_ioas *ioas)
{
	struct weir_ioas_info info = { 0 };

	ASSERT_OK(weir_ioas_info(ioas, &info, sizeof(info)));
	return info;
}

bool same_info(struct weir_ioas_info a, struct weir_ioas_info b)
{
	return !memcmp(&a, &b, sizeof(a));
}

void expect_unchanged(struct t *t, struct weir_ioas *ioas, struct weir_ioas_info before)
{
	void *page = new_memory(t, PAGE, 0);
	struct weir_map *map;

	EXPECT_TRUE(same_info(info_of(ioas), before));
	ASSERT_OK(weir_ioas_map(ioas, page, PAGE, NULL, &map));
	ASSERT_OK(weir_map_close(map));
}

bool within_ranges(struct t *t, struct weir_ioas *ioas, uint64_t start, uint64_t len)
{
	struct weir_iova_range ranges[32];
	size_t num = 32;

	(void)t;
	ASSERT_OK(weir_ioas_ranges(ioas, ranges, &num));
	for (size_t i = 0; i < num; i++)
		if (ranges[i].start <= start && start + (len - 1) <= ranges[i].last)
			return true;
	return false;
}

unsigned char *new_pages(struct t *t, size_t num)
{
	enum { FAR_BELOW_SHIFT = 36 };
	static char *elsewhere;

	/*
	 * Whoever maps memory is given the highest that is free. So what is taken away here, far below all the rest, stays a hole; and giving
	 * back what is left takes nothing from others. Each is below the one before: where there is something, the hint would count for nothing.
	 */
	if (!elsewhere)
		elsewhere = (char *)new_memory(t, PAGE, 0) - ((uintptr_t)1 << FAR_BELOW_SHIFT);
	elsewhere -= (num + 1) * PAGE;
	return new_memory_near(t, elsewhere, num * PAGE, 0x33);
}

void take_away(struct t *t, void *addr, size_t len)
{
	(void)t;
	ASSERT_EQ(munmap(addr, len), 0);
}

const char *range_text(uint64_t start, uint64_t len)
{
	static char texts[2][64];
	static unsigned int next;
	char *text = texts[next++ % 2];

	snprintf(text, sizeof(texts[0]), "%#" PRIx64 "..%#" PRIx64, start, start + (len - 1));
	return text;
}
