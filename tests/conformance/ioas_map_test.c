// SPDX-License-Identifier: MIT
/* Where mappings go, and which requests are refused. What is refused for the memory's sake is in ioas_memory_test.c. */
#include "conformance/dma.h"
#include "conformance/space.h"

#include <errno.h>
#include <stdio.h>

static bool overlap(const struct weir_map *a, const struct weir_map *b)
{
	return weir_map_iova(a) < weir_map_iova(b) + weir_map_len(b) &&
	       weir_map_iova(b) < weir_map_iova(a) + weir_map_len(a);
}

/* Chosen IOVAs ---------------------------------------------------------------------------------------------------- */

static void check_choice(struct t *t, struct weir_ioas *ioas)
{
	static const uint64_t lengths[] = { PAGE,    2 * PAGE,       3 * PAGE,       MIB,    2 * MIB - PAGE,
					    2 * MIB, 2 * MIB + PAGE, 4 * MIB + PAGE, 5 * MIB };
	unsigned char *memory = new_memory(t, 8 * MIB, 0);
	char row[32];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		/* Not the memory's beginning, so that congruence is not just alignment. */
		unsigned char *addr = memory + 3 * PAGE;
		struct weir_map *map = new_map(t, ioas, addr, lengths[i], NULL);
		uint64_t iova = weir_map_iova(map);

		snprintf(row, sizeof(row), "length %#lx", (unsigned long)lengths[i]);
		at(t, ioas, row);
		EXPECT_EQ(weir_map_len(map), lengths[i]);
		EXPECT_EQ(iova % info_of(ioas).alignment, 0);
		EXPECT_TRUE(within_ranges(t, ioas, iova, lengths[i]));
		if (lengths[i] >= 2 * MIB)
			EXPECT_EQ(iova % (2 * MIB), (uintptr_t)addr % (2 * MIB));
	}
}

CONFORMANCE(ioas_map, chosen_iovas_are_usable_and_let_large_pages_form, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	in_both_states(t, check_choice);
}

static void check_no_overlap(struct t *t, struct weir_ioas *ioas)
{
	enum { NUM = 48 };
	unsigned char *memory = new_memory(t, 4 * MIB, 0);
	struct weir_map *maps[NUM];

	for (size_t i = 0; i < NUM; i++)
		maps[i] = new_map(t, ioas, memory, (i * 7 % 11 + 1) * PAGE, NULL);
	/* Holes of all sizes, filled with other sizes. */
	for (size_t i = 0; i < NUM; i += 3)
		ASSERT_OK(weir_map_close(maps[i]));
	for (size_t i = 0; i < NUM; i += 3)
		maps[i] = new_map(t, ioas, memory, i % 2 ? 2 * MIB : (i * 5 % 13 + 1) * PAGE, NULL);
	for (size_t i = 0; i < NUM; i++)
		for (size_t j = 0; j < i; j++)
			EXPECT_FALSE(overlap(maps[i], maps[j]));
}

CONFORMANCE(ioas_map, chosen_ranges_never_overlap, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	in_both_states(t, check_no_overlap);
}

static void check_width(struct t *t, struct weir_ioas *ioas)
{
	static const uint32_t widths[] = { 24, 28, 32, 36, 40, 64 };
	unsigned char *memory = new_memory(t, 3 * MIB, 0);

	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		struct weir_map *map = new_map(t, ioas, memory, 3 * MIB, BELOW(widths[i]));

		if (widths[i] < 64)
			EXPECT_LE(weir_map_iova(map) + weir_map_len(map), (uint64_t)1 << widths[i]);
	}
}

CONFORMANCE(ioas_map, address_bits_bound_a_chosen_iova, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	in_both_states(t, check_width);
}

CONFORMANCE(ioas_map, a_space_keeps_to_its_own_address_bits, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	unsigned char *memory = new_memory(t, 2 * MIB, 0);
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_map *map;

	ASSERT_OK(weir_ioas_open(host_of(t), &WEIR_OPTS(weir_ioas_opts, .address_bits = 30), &ioas));
	EXPECT_EQ(info_of(ioas).address_bits, 30);
	EXPECT_LE(weir_map_iova(new_map(t, ioas, memory, 2 * MIB, NULL)) + 2 * MIB, GIB);
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	for (int i = 0; i < 8; i++)
		EXPECT_LE(weir_map_iova(new_map(t, ioas, memory, 2 * MIB, NULL)) + 2 * MIB, GIB);
	EXPECT_FALSE(within_ranges(t, ioas, GIB, PAGE));
	EXPECT_ERR(-ERANGE, weir_ioas_map(ioas, memory, PAGE, AT(GIB), &map));
	EXPECT_OK(weir_device_close(device));
	EXPECT_OK(weir_ioas_close(ioas));
}

/* Fixed IOVAs ----------------------------------------------------------------------------------------------------- */

static void check_fixed(struct t *t, struct weir_ioas *ioas)
{
	static const uint64_t places[] = {
		0, PAGE, 0x7ff000, 0xfedff000, 0xfef00000, 4 * GIB - PAGE, 4 * GIB, (uint64_t)1 << 38,
	};
	unsigned char *page = new_pages(t, 1);

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct weir_map *map = new_map(t, ioas, page, PAGE, AT(places[i]));

		EXPECT_EQ(weir_map_iova(map), places[i]);
	}
	EXPECT_EQ(info_of(ioas).num_mappings, sizeof(places) / sizeof(places[0]));
}

CONFORMANCE(ioas_map, a_fixed_iova_is_where_the_mapping_goes, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	in_both_states(t, check_fixed);
}

CONFORMANCE(ioas_map, iova_zero_is_an_address_like_any_other, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *page = new_pages(t, 1);
	struct weir_map *map = new_map(t, ioas, page, PAGE, AT(0));
	struct weir_map *again;

	EXPECT_TRUE(dma_reaches(t, edu, 0, page, PAGE));
	EXPECT_ERR(-EEXIST, weir_ioas_map(ioas, page, PAGE, AT(0), &again));
	EXPECT_OK(weir_map_close(map));
}

/* Refusals -------------------------------------------------------------------------------------------------------- */

struct refusal {
	const char *what;
	uint64_t shift; /* of the address, from the beginning of the memory */
	uint64_t len;
	struct weir_map_opts opts;
	int error;
	const char *text;
};

#define O(...)   WEIR_OPTS(weir_map_opts, __VA_ARGS__)
#define FIXED(x) O(.flags = WEIR_MAP_FIXED, .iova = (x))

static const struct refusal bad_requests[] = {
	{ "no length", 0, 0, { 0 }, -EINVAL, "the length is 0" },
	{ "address within a page", 1, PAGE, { 0 }, -EINVAL, "are not whole pages" },
	{ "length within a page", 0, PAGE + 512, { 0 }, -EINVAL, "are not whole pages" },
	{ "all of the 64-bit space", 0, UINT64_MAX, { 0 }, -EINVAL, "are not whole pages" },
	{ "beyond the end of memory", 0, -PAGE, { 0 }, -EOVERFLOW, "beyond the end of memory" },
	{ "larger than any space",
	  0,
	  (uint64_t)1 << 62,
	  { 0 },
	  -ENOSPC,
	  "no free range of 0x4000000000000000" },
	{ "unknown flag", 0, PAGE, { .flags = 1u << 20 }, -EINVAL, "unknown flags 0x100000" },
	{ "IOVA without FIXED", 0, PAGE, { .iova = MIB }, -EINVAL, "not WEIR_MAP_FIXED" },
	{ "too few bits",
	  0,
	  PAGE,
	  { .address_bits = 11 },
	  -EINVAL,
	  "address_bits is 11; it can be 12 to 64" },
	{ "too many bits", 0, PAGE, { .address_bits = 65 }, -EINVAL, "address_bits is 65" },
	{ "no room in so few bits", 0, 2 * PAGE, { .address_bits = 13 }, -ENOSPC, "no free range of 0x2000" },
	{ "IOVA within a page",
	  0,
	  PAGE,
	  { .flags = WEIR_MAP_FIXED, .iova = MIB + 8 },
	  -EINVAL,
	  "IOVA 0x100008 is not a multiple" },
	{ "beyond the end of the space",
	  0,
	  2 * PAGE,
	  { .flags = WEIR_MAP_FIXED, .iova = -PAGE },
	  -EOVERFLOW,
	  "beyond the end of the space" },
	{ "above the bits asked for",
	  0,
	  PAGE,
	  { .flags = WEIR_MAP_FIXED, .iova = MIB, .address_bits = 20 },
	  -ERANGE,
	  "above the address width, which ends at 0xfffff" },
	{ "half above them",
	  0,
	  2 * PAGE,
	  { .flags = WEIR_MAP_FIXED, .iova = MIB - PAGE, .address_bits = 20 },
	  -ERANGE,
	  "IOVA 0xff000..0x100fff is above" },
};

static const struct refusal bad_places[] = {
	{ "the interrupt window",
	  0,
	  PAGE,
	  { .flags = WEIR_MAP_FIXED, .iova = 0xfee00000 },
	  -ERANGE,
	  "weir_ioas_ranges()" },
	{ "into it",
	  0,
	  2 * PAGE,
	  { .flags = WEIR_MAP_FIXED, .iova = 0xfedff000 },
	  -ERANGE,
	  "IOVA 0xfedff000..0xfee00fff is not within" },
	{ "out of it",
	  0,
	  2 * PAGE,
	  { .flags = WEIR_MAP_FIXED, .iova = 0xfeeff000 },
	  -ERANGE,
	  "is not within" },
	{ "beyond the IOMMU",
	  0,
	  PAGE,
	  { .flags = WEIR_MAP_FIXED, .iova = (uint64_t)1 << 60 },
	  -ERANGE,
	  "first range: 0..0xfedfffff" },
	{ "the last page of all",
	  0,
	  PAGE,
	  { .flags = WEIR_MAP_FIXED, .iova = -PAGE },
	  -ERANGE,
	  "is not within" },
};

static void expect_refused(struct t *t, struct weir_ioas *ioas, unsigned char *memory,
			   const struct refusal *row)
{
	struct weir_map *const untouched = (struct weir_map *)&row, *map = untouched;
	struct weir_ioas_info before = info_of(ioas);
	struct weir_map_opts opts = row->opts;

	opts.size = sizeof(opts);
	at(t, ioas, row->what);
	EXPECT_ERR(row->error, weir_ioas_map(ioas, memory + row->shift, row->len, &opts, &map));
	EXPECT_CONTAINS(weir_error(), row->text);
	EXPECT_TRUE(map == untouched);
	expect_unchanged(t, ioas, before);
}

static void check_bad_requests(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_pages(t, 4);

	for (size_t i = 0; i < sizeof(bad_requests) / sizeof(bad_requests[0]); i++)
		expect_refused(t, ioas, memory, &bad_requests[i]);
}

CONFORMANCE(ioas_map, bad_requests_are_refused_and_change_nothing, NEEDS(DMA_DEVICE))
{
	in_both_states(t, check_bad_requests);
}

/* Without a device it is not known yet what can be addressed: there, opening one says it (ioas_replay_test.c). */
CONFORMANCE(ioas_map, places_the_iommu_cannot_translate_are_refused, NEEDS(DMA_DEVICE, X86_WINDOW))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 4);

	new_device(t, ioas, "EDU0", 0);
	for (size_t i = 0; i < sizeof(bad_places) / sizeof(bad_places[0]); i++)
		expect_refused(t, ioas, memory, &bad_places[i]);
}

static void check_taken(struct t *t, struct weir_ioas *ioas)
{
	static const struct refusal rows[] = {
		{ "the same", 0, 4 * PAGE, { .flags = WEIR_MAP_FIXED, .iova = MIB }, -EEXIST, "is taken" },
		{ "its first page", 0, PAGE, { .flags = WEIR_MAP_FIXED, .iova = MIB }, -EEXIST, "is taken" },
		{ "its last page",
		  0,
		  PAGE,
		  { .flags = WEIR_MAP_FIXED, .iova = MIB + 3 * PAGE },
		  -EEXIST,
		  "is taken" },
		{ "into it",
		  0,
		  2 * PAGE,
		  { .flags = WEIR_MAP_FIXED, .iova = MIB - PAGE },
		  -EEXIST,
		  "part of IOVA 0xff000..0x100fff is taken" },
		{ "out of it",
		  0,
		  2 * PAGE,
		  { .flags = WEIR_MAP_FIXED, .iova = MIB + 3 * PAGE },
		  -EEXIST,
		  "is taken" },
		{ "around it",
		  0,
		  8 * PAGE,
		  { .flags = WEIR_MAP_FIXED, .iova = MIB - 2 * PAGE },
		  -EEXIST,
		  "is taken" },
	};
	unsigned char *memory = new_pages(t, 8);

	new_map(t, ioas, memory, 4 * PAGE, AT(MIB));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_refused(t, ioas, memory, &rows[i]);
	/* Its neighbours are free. */
	new_map(t, ioas, memory, PAGE, AT(MIB - PAGE));
	new_map(t, ioas, memory, PAGE, AT(MIB + 4 * PAGE));
}

CONFORMANCE(ioas_map, a_taken_range_is_not_taken_again, NEEDS(DMA_DEVICE))
{
	in_both_states(t, check_taken);
}

static void check_options(struct t *t, struct weir_ioas *ioas)
{
	struct {
		struct weir_map_opts known;
		uint64_t unknown;
	} newer = { .known = { .size = sizeof(newer) } };
	struct weir_ioas_info before = info_of(ioas);
	void *page = new_pages(t, 1);
	struct weir_map *map = NULL;

	newer.unknown = 1;
	EXPECT_ERR(-E2BIG, weir_ioas_map(ioas, page, PAGE, &newer.known, &map));
	EXPECT_CONTAINS(weir_error(), "does not know");
	expect_unchanged(t, ioas, before);
	EXPECT_ERR(-EINVAL, weir_ioas_map(ioas, page, PAGE, &(struct weir_map_opts){ .size = 0 }, &map));
	EXPECT_CONTAINS(weir_error(), "WEIR_OPTS()");
	expect_unchanged(t, ioas, before);

	/* Newer options that are not used are fine, and so are older, shorter ones. */
	newer.unknown = 0;
	ASSERT_OK(weir_ioas_map(ioas, page, PAGE, &newer.known, &map));
	ASSERT_OK(weir_map_close(map));
	newer.known = (struct weir_map_opts){ .size = offsetof(struct weir_map_opts, iova), .iova = 1 };
	ASSERT_OK(weir_ioas_map(ioas, page, PAGE, &newer.known, &map));
}

CONFORMANCE(ioas_map, options_of_another_age_are_understood_or_refused, NEEDS(DMA_DEVICE))
{
	in_both_states(t, check_options);
}
