// SPDX-License-Identifier: MIT
/* Taking mappings back: one by one, by range; and closing whole spaces. */
#include "conformance/cached.h"
#include "conformance/dma.h"
#include "conformance/memory.h"
#include "conformance/space.h"

#include <errno.h>
#include <string.h>

/* A space's first addresses, as strings: "a" to "z" are mappings of so many pages, "." is free. */
static void map_picture(struct t *t, struct weir_ioas *ioas, unsigned char *memory, const char *picture)
{
	for (size_t i = 0, num; picture[i]; i += num) {
		for (num = 1; picture[i + num] == picture[i];)
			num++;
		if (picture[i] != '.')
			new_map(t, ioas, memory, num * PAGE, AT(MIB + i * PAGE));
	}
}

/* What is free is seen by mapping there. */
static void expect_picture(struct t *t, struct weir_ioas *ioas, unsigned char *memory, const char *picture)
{
	for (size_t i = 0; picture[i]; i++) {
		struct weir_map *map;
		int result = weir_ioas_map(ioas, memory, PAGE, AT(MIB + i * PAGE), &map);

		(void)t;
		if (result == 0)
			ASSERT_OK(weir_map_close(map));
		EXPECT_EQ(result, picture[i] == '.' ? 0 : -EEXIST);
	}
}

CONFORMANCE(ioas_unmap, a_closed_mapping_leaves_its_range_free, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 4);
	struct weir_map *map;

	new_device(t, ioas, "EDU0", 0);
	for (int i = 0; i < 3; i++) {
		map = new_map(t, ioas, memory, 4 * PAGE, AT(MIB));
		EXPECT_EQ(info_of(ioas).num_mappings, 1);
		ASSERT_OK(weir_map_close(map));
		EXPECT_EQ(info_of(ioas).num_mappings, 0);
	}
	expect_picture(t, ioas, memory, "....");
}

CONFORMANCE(ioas_unmap, closing_no_mapping_is_fine, NEEDS())
{
	EXPECT_OK(weir_map_close(NULL));
	EXPECT_OK(weir_ioas_close(NULL));
}

/* Ranges ---------------------------------------------------------------------------------------------------------- */

struct range_row {
	const char *what, *before;
	size_t start, num; /* pages */
	const char *after;
};

static void check_ranges(struct t *t, struct weir_ioas *ioas)
{
	static const struct range_row rows[] = {
		{ "one mapping", "aabbcc", 2, 2, "aa..cc" },
		{ "several in a row", "aabccd", 0, 5, ".....d" },
		{ "with gaps", "a..bb.c", 0, 6, "......c" },
		{ "gaps at both ends", "..aab..", 0, 7, "......." },
		{ "more than there is", "abcdef", 0, 1000, "......" },
		{ "the gap in front, too", "a.bb", 1, 3, "a..." },
	};
	unsigned char *memory = new_pages(t, 8);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		at(t, ioas, rows[i].what);
		map_picture(t, ioas, memory, rows[i].before);
		EXPECT_OK(weir_ioas_unmap(ioas, MIB + rows[i].start * PAGE, rows[i].num * PAGE));
		expect_picture(t, ioas, memory, rows[i].after);
		(void)weir_ioas_unmap(ioas, 0, UINT64_MAX);
		EXPECT_EQ(info_of(ioas).num_mappings, 0);
		EXPECT_EQ(info_of(ioas).mapped_bytes, 0);
	}
}

CONFORMANCE(ioas_unmap, a_range_takes_every_mapping_that_lies_in_it, NEEDS(DMA_DEVICE))
{
	in_both_states(t, check_ranges);
}

static void check_cuts(struct t *t, struct weir_ioas *ioas)
{
	static const struct range_row rows[] = {
		{ "its beginning", NULL, 2, 2, NULL },
		{ "its middle", NULL, 3, 1, NULL },
		{ "its end", NULL, 4, 2, NULL },
		{ "a whole one before it, too", NULL, 0, 4, NULL },
		{ "a whole one after it, too", NULL, 3, 6, NULL },
		{ "the end of one, the beginning of the next", NULL, 5, 2, NULL },
	};
	unsigned char *memory = new_pages(t, 8);
	struct weir_ioas_info before;

	map_picture(t, ioas, memory, "aabbbbccc");
	before = info_of(ioas);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		at(t, ioas, rows[i].what);
		EXPECT_ERR(-EINVAL, weir_ioas_unmap(ioas, MIB + rows[i].start * PAGE, rows[i].num * PAGE));
		EXPECT_CONTAINS(weir_error(), "would cut the mapping at IOVA");
		EXPECT_CONTAINS(weir_error(), range_text(MIB + 2 * PAGE, 4 * PAGE));
		expect_unchanged(t, ioas, before);
	}
	expect_picture(t, ioas, memory, "aabbbbccc");
}

CONFORMANCE(ioas_unmap, a_range_that_would_cut_a_mapping_is_refused, NEEDS(DMA_DEVICE))
{
	in_both_states(t, check_cuts);
}

CONFORMANCE(ioas_unmap, a_refused_range_leaves_every_mapping_reachable, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *first = new_pages(t, 1), *second = new_pages(t, 2);

	new_map(t, ioas, first, PAGE, AT(MIB));
	new_map(t, ioas, second, 2 * PAGE, AT(MIB + PAGE));
	/* Here the kernels differ: one takes the first mapping away before it refuses. */
	EXPECT_ERR(-EINVAL, weir_ioas_unmap(ioas, MIB, 2 * PAGE));
	EXPECT_TRUE(dma_reads(t, edu, MIB, first, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, MIB + 2 * PAGE, second + PAGE, PAGE));
}

static void check_nothing(struct t *t, struct weir_ioas *ioas)
{
	static const struct {
		const char *what;
		uint64_t iova, len;
		int error;
		const char *text;
	} rows[] = {
		{ "before it", 0, MIB, -ENOENT, "no mapping in IOVA 0..0xfffff" },
		{ "after it", MIB + PAGE, PAGE, -ENOENT, "no mapping in IOVA 0x101000..0x101fff" },
		{ "far away", (uint64_t)1 << 60, PAGE, -ENOENT, "no mapping" },
		{ "no length", MIB, 0, -EINVAL, "the length is 0" },
		{ "too long", MIB, UINT64_MAX, -EOVERFLOW, "beyond the end of the space" },
		{ "beyond the end", -PAGE, 2 * PAGE, -EOVERFLOW, "beyond the end of the space" },
	};
	struct weir_ioas_info before;

	new_map(t, ioas, new_pages(t, 1), PAGE, AT(MIB));
	before = info_of(ioas);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		at(t, ioas, rows[i].what);
		EXPECT_ERR(rows[i].error, weir_ioas_unmap(ioas, rows[i].iova, rows[i].len));
		EXPECT_CONTAINS(weir_error(), rows[i].text);
		expect_unchanged(t, ioas, before);
	}
}

CONFORMANCE(ioas_unmap, a_range_without_mappings_is_an_error, NEEDS(DMA_DEVICE))
{
	in_both_states(t, check_nothing);
}

/* Reach ----------------------------------------------------------------------------------------------------------- */

CONFORMANCE(ioas_unmap, ranges_taken_back_are_out_of_reach, NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_pages(t, 3);

	for (uint64_t i = 0; i < 3; i++)
		new_map(t, ioas, memory + i * PAGE, PAGE, AT(MIB + i * PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, MIB + PAGE, memory + PAGE, PAGE));
	ASSERT_OK(weir_ioas_unmap(ioas, MIB, 2 * PAGE));
	EXPECT_TRUE(dma_write_blocked(t, edu, MIB + PAGE, memory + PAGE, PAGE));
	EXPECT_TRUE(dma_reads(t, edu, MIB + 2 * PAGE, memory + 2 * PAGE, PAGE));
}

CONFORMANCE(ioas_unmap, an_iova_used_again_reaches_the_new_memory_alone, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *old = new_pages(t, 1), *new = new_pages(t, 1);
	struct weir_map *map = new_map(t, ioas, old, PAGE, AT(MIB));

	ASSERT_TRUE(dma_reaches(t, edu, MIB, old, PAGE));
	ASSERT_OK(weir_map_close(map));
	new_map(t, ioas, new, PAGE, AT(MIB));
	memset(old, 0x44, PAGE);
	EXPECT_TRUE(dma_reaches(t, edu, MIB, new, PAGE));
	EXPECT_TRUE(all_bytes(old, 0x44, PAGE));
}

/* Whole spaces ---------------------------------------------------------------------------------------------------- */

CONFORMANCE(ioas_unmap, a_closed_space_takes_its_mappings_with_it, NEEDS(DMA_DEVICE))
{
	unsigned char *memory = new_pages(t, 4);
	uint64_t pinned = pinned_bytes();
	struct weir_device *device;
	struct weir_ioas *ioas;

	ASSERT_OK(weir_ioas_open(host_of(t), NULL, &ioas));
	map_picture(t, ioas, memory, "aab.cccc");
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_EQ(pinned_bytes(), pinned + 7 * PAGE);
	EXPECT_OK(weir_device_close(device));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_EQ(pinned_bytes(), pinned);
}

CONFORMANCE(ioas_unmap, a_space_with_a_device_is_not_closed, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *page = new_pages(t, 1);
	struct weir_ioas_info before;

	new_map(t, ioas, page, PAGE, AT(MIB));
	before = info_of(ioas);
	EXPECT_ERR(-EBUSY, weir_ioas_close(ioas));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU0"));
	expect_unchanged(t, ioas, before);
	EXPECT_TRUE(dma_reads(t, edu, MIB, page, PAGE));
	EXPECT_ERR(-EBUSY, weir_host_close(host_of(t)));
	EXPECT_CONTAINS(weir_error(), "1 address spaces of this host are open");
}

/* What belongs to somebody ----------------------------------------------------------------------------------------- */

static void expect_busy(struct t *t, struct weir_ioas *ioas, uint64_t iova, uint64_t len)
{
	struct weir_ioas_info before = info_of(ioas);

	(void)t;
	EXPECT_ERR(-EBUSY, weir_ioas_unmap(ioas, iova, len));
	EXPECT_CONTAINS(weir_error(), "weir_memory or a weir_cache");
	EXPECT_TRUE(same_info(info_of(ioas), before));
}

static void check_owned(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *page = new_memory(t, 2 * PAGE, 0);
	struct weir_cache *cache = new_cache(t, ioas, NULL);
	struct weir_memory *memory = new_dma_memory(t, ioas, &WEIR_OPTS(weir_memory_opts, SMALL));
	struct weir_buffer buffer = new_buffer(t, memory, PAGE, NULL);
	struct weir_cached cached = got(t, cache, page, PAGE);

	new_map(t, ioas, page + PAGE, PAGE, NULL);
	put(t, cache, cached);
	expect_busy(t, ioas, buffer.iova, PAGE);
	expect_busy(t, ioas, cached.iova, PAGE);
	/* Nor together with what is the caller's. */
	expect_busy(t, ioas, 0, (uint64_t)1 << 62);
	EXPECT_TRUE(is_found(t, cache, page, PAGE));
	ASSERT_OK(weir_memory_free(memory, &buffer));
	new_buffer(t, memory, PAGE, NULL);
}

CONFORMANCE(ioas_unmap, what_a_memory_or_a_cache_mapped_is_left_to_it, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_owned);
}
