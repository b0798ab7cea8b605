// SPDX-License-Identifier: MIT
/* Dirty tracking of more pages than are asked for in one call. */
#include "conformance/dma.h"
#include "conformance/os.h"
#include "conformance/space.h"

#include <string.h>

enum { PAGES = 1 << 20, PAGES_OF_A_GIB = 1 << 18, PAGES_OF_A_MAP = 1 << 14, ADDRESS_BITS = 48 };

#define FIRST_IOVA ((uint64_t)8 << 30)

/* By page. */
static unsigned char expected[PAGES], found[PAGES];

static int mark(void *context, const struct weir_dirty_range *range)
{
	uint64_t first = (range->iova - FIRST_IOVA) / PAGE, num = range->len / PAGE;

	(void)context;
	if (range->why != WEIR_DIRTY_WRITTEN || first >= PAGES || num > PAGES - first)
		FAIL("%#llx bytes at %#llx, because of %u", (unsigned long long)range->len,
		     (unsigned long long)range->iova, range->why);
	for (uint64_t page = first; page < first + num; page++)
		found[page]++;
	return 0;
}

static void write_page(struct t *t, struct edu *edu, uint64_t page)
{
	expected[page] = 1;
	dma_writes(t, edu, FIRST_IOVA + page * PAGE, 7, 16);
}

/* Both sides of each border between calls; and some by chance, which is the same in each run. */
static void write_pattern(struct t *t, struct edu *edu)
{
	uint32_t random = 1;

	for (uint64_t first = 0; first < PAGES; first += PAGES_OF_A_GIB) {
		write_page(t, edu, first);
		write_page(t, edu, first + PAGES_OF_A_GIB - 1);
	}
	for (int i = 0; i < 250; i++) {
		random = random * 1664525u + 1013904223u;
		write_page(t, edu, random >> 12);
	}
}

static void stop_tracking(void *dirty)
{
	EXPECT_OK(weir_dirty_close(dirty));
}

/* The memory is the same behind all mappings: its page tables are what knows. */
CONFORMANCE(dirty, of_a_million_pages_those_that_were_written_are_told_and_no_others,
	    NEEDS(DIRTY_PAGES, DMA_DEVICE))
{
	const size_t len = (size_t)PAGES_OF_A_MAP * PAGE;
	struct weir_ioas *ioas = new_ioas_with(t, &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_DIRTY));
	unsigned char *memory;
	struct weir_dirty *dirty;
	struct edu *edu;

	if (!os_sim())
		SKIP(SIMULATED, "4 GiB are much to pin");
	record_no_calls(t);
	edu = new_edu_with_bits(t, ioas, "EDU0", ADDRESS_BITS);
	memory = new_memory(t, len, 1);
	for (uint64_t page = 0; page < PAGES; page += PAGES_OF_A_MAP)
		new_map(t, ioas, memory, len, AT(FIRST_IOVA + page * PAGE));
	ASSERT_OK(weir_dirty_open(ioas, NULL, &dirty));
	t_defer(t, stop_tracking, dirty);
	memset(expected, 0, sizeof(expected));
	write_pattern(t, edu);
	for (int i = 0; i < 2; i++) {
		memset(found, 0, sizeof(found));
		ASSERT_OK(weir_dirty_scan(dirty, 0, mark, NULL));
		EXPECT_TRUE(!memcmp(found, expected, sizeof(found)));
		/* Once. */
		memset(expected, 0, sizeof(expected));
	}
}
