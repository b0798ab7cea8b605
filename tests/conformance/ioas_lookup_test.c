// SPDX-License-Identifier: MIT
/* Mappings found by their addresses, in both directions. */
#include "conformance/space.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

static struct weir_ioas *new_lookup_ioas(struct t *t)
{
	return new_ioas_with(t, &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_LOOKUP));
}

/* A case in a space without a device, and in one with. */
static void in_both(struct t *t, void (*check)(struct t *t, struct weir_ioas *ioas))
{
	struct weir_ioas *bare = new_lookup_ioas(t), *used = new_lookup_ioas(t);

	new_device(t, used, "EDU0", 0);
	at(t, bare, "all");
	check(t, bare);
	at(t, used, "all");
	check(t, used);
}

static uint64_t iova_of(struct t *t, struct weir_ioas *ioas, const void *addr, uint64_t left)
{
	uint64_t iova = UINT64_MAX, got = 0;

	(void)t;
	EXPECT_OK(weir_ioas_iova(ioas, addr, 1, &iova, &got));
	EXPECT_EQ(got, left);
	return iova;
}

static void *memory_at(struct t *t, struct weir_ioas *ioas, uint64_t iova, uint64_t left)
{
	uint64_t got = 0;
	void *addr = NULL;

	(void)t;
	EXPECT_OK(weir_ioas_memory(ioas, iova, 1, &addr, &got));
	EXPECT_EQ(got, left);
	return addr;
}

static void check_both_ways(struct t *t, struct weir_ioas *ioas)
{
	static const uint64_t lengths[] = { PAGE, 3 * PAGE, 2 * MIB, 2 * MIB + PAGE, 5 * MIB };
	unsigned char *memory = new_memory(t, 6 * MIB, 0);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct weir_map *map = new_map(t, ioas, memory + PAGE, lengths[i], NULL);
		uint64_t iova = weir_map_iova(map), last = lengths[i] - 1;

		EXPECT_TRUE(iova_of(t, ioas, memory + PAGE, lengths[i]) == iova);
		EXPECT_TRUE(iova_of(t, ioas, memory + PAGE + last, 1) == iova + last);
		EXPECT_TRUE(memory_at(t, ioas, iova, lengths[i]) == memory + PAGE);
		EXPECT_TRUE(memory_at(t, ioas, iova + last, 1) == memory + PAGE + last);
		ASSERT_OK(weir_map_close(map));
		EXPECT_ERR(-ENOENT, weir_ioas_iova(ioas, memory + PAGE, 1, &iova, NULL));
	}
}

CONFORMANCE(ioas_lookup, every_byte_is_found_in_both_directions, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both(t, check_both_ways);
}

static void check_misses(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_memory(t, 4 * PAGE, 0);
	struct weir_map *map = new_map(t, ioas, memory + PAGE, 2 * PAGE, NULL);
	uint64_t iova = weir_map_iova(map), untouched = 7;
	void *nothing = NULL;

	EXPECT_ERR(-ENOENT, weir_ioas_iova(ioas, memory, 1, &untouched, NULL));
	EXPECT_ERR(-ENOENT, weir_ioas_iova(ioas, memory + 3 * PAGE, 1, &untouched, NULL));
	EXPECT_ERR(-ERANGE, weir_ioas_iova(ioas, memory + PAGE, 2 * PAGE + 1, &untouched, NULL));
	EXPECT_ERR(-ERANGE, weir_ioas_iova(ioas, memory + 3 * PAGE - 1, 2, &untouched, NULL));
	EXPECT_ERR(-ENOENT, weir_ioas_memory(ioas, iova - 1, 1, &nothing, NULL));
	EXPECT_ERR(-ENOENT, weir_ioas_memory(ioas, iova + 2 * PAGE, 1, &nothing, NULL));
	EXPECT_ERR(-ERANGE, weir_ioas_memory(ioas, iova, 3 * PAGE, &nothing, NULL));
	EXPECT_EQ(untouched, 7);
	EXPECT_TRUE(!nothing);
	EXPECT_OK(weir_ioas_iova(ioas, memory + PAGE, 2 * PAGE, &iova, NULL));
}

CONFORMANCE(ioas_lookup, what_is_not_mapped_in_one_piece_is_not_found, NEEDS(EDU0))
{
	in_both(t, check_misses);
}

static void check_twins(struct t *t, struct weir_ioas *ioas)
{
	enum { TWINS = 5 };
	unsigned char *memory = new_memory(t, PAGE, 0);
	struct weir_map *maps[TWINS];
	uint64_t iova;

	for (int i = 0; i < TWINS; i++)
		maps[i] = new_map(t, ioas, memory, PAGE, NULL);
	/* One after the other leaves, the one that was found first among the early ones. */
	for (int i = 0; i < TWINS; i++) {
		bool known = false;

		ASSERT_OK(weir_ioas_iova(ioas, memory, PAGE, &iova, NULL));
		for (int j = i; j < TWINS; j++) {
			known = known || weir_map_iova(maps[j]) == iova;
			EXPECT_TRUE(memory_at(t, ioas, weir_map_iova(maps[j]), PAGE) == memory);
		}
		EXPECT_TRUE(known);
		ASSERT_OK(weir_map_close(maps[i]));
	}
	EXPECT_ERR(-ENOENT, weir_ioas_iova(ioas, memory, PAGE, &iova, NULL));
}

CONFORMANCE(ioas_lookup, memory_that_is_mapped_several_times_is_found_while_one_is_left, NEEDS(EDU0))
{
	in_both(t, check_twins);
}

/* Several pieces of the same memory, of all lengths, in this order of coming and going: the longest is found for what needs it. */
static const uint64_t pieces[][2] = {
	{ 0, PAGE },       { 0, 3 * PAGE },      { 0, 6 * MIB }, { 0, 64 * PAGE },      { 0, 2 * MIB },
	{ PAGE, 4 * MIB }, { 2 * MIB, 4 * MIB }, { 0, 4 * MIB }, { 2 * MIB, 5 * PAGE }, { 2 * MIB, 2 * MIB },
};

enum { PIECES = sizeof(pieces) / sizeof(pieces[0]) };

/* Of the pieces from @from on and before @end. */
static uint64_t longest_at(uint64_t offset, int from, int end)
{
	uint64_t longest = 0;

	for (int i = from; i < end; i++) {
		uint64_t left = pieces[i][0] + pieces[i][1] - offset;

		if (offset - pieces[i][0] < pieces[i][1] && left > longest)
			longest = left;
	}
	return longest;
}

static void check_longest(struct t *t, struct weir_ioas *ioas, unsigned char *addr, uint64_t longest)
{
	uint64_t iova, left = 0;

	(void)t;
	if (longest) {
		EXPECT_OK(weir_ioas_iova(ioas, addr, longest, &iova, &left));
		EXPECT_EQ(left, longest);
		EXPECT_OK(weir_ioas_iova(ioas, addr, 1, &iova, NULL));
	}
	EXPECT_ERR(longest ? -ERANGE : -ENOENT, weir_ioas_iova(ioas, addr, longest + 1, &iova, NULL));
}

static void check_overlaps(struct t *t, struct weir_ioas *ioas)
{
	/* Where whole frames of 2 MiB are. */
	uintptr_t begin = (uintptr_t)new_memory(t, 8 * MIB, 0);
	unsigned char *memory = (unsigned char *)((begin + 2 * MIB - 1) & ~(2 * MIB - 1));
	struct weir_map *maps[PIECES];

	for (int i = 0; i < 2 * PIECES; i++) {
		int from = i < PIECES ? 0 : i - PIECES + 1, end = i < PIECES ? i + 1 : PIECES;

		if (i < PIECES)
			maps[i] = new_map(t, ioas, memory + pieces[i][0], pieces[i][1], NULL);
		else
			ASSERT_OK(weir_map_close(maps[from - 1]));
		for (uint64_t offset = 0; offset < 6 * MIB; offset += 512 * 1024)
			check_longest(t, ioas, memory + offset, longest_at(offset, from, end));
	}
}

CONFORMANCE(ioas_lookup, of_mappings_that_overlap_one_that_is_long_enough_is_found,
	    NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both(t, check_overlaps);
}

static void check_range(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_memory(t, 4 * PAGE, 0);
	uint64_t iova;

	for (uint64_t i = 0; i < 4; i++)
		new_map(t, ioas, memory + i * PAGE, PAGE, AT(16 * MIB + i * PAGE));
	EXPECT_ERR(-EINVAL, weir_ioas_unmap(ioas, 16 * MIB + 1, 2 * PAGE));
	EXPECT_OK(weir_ioas_iova(ioas, memory + PAGE, PAGE, &iova, NULL));
	ASSERT_OK(weir_ioas_unmap(ioas, 16 * MIB + PAGE, 2 * PAGE));
	EXPECT_OK(weir_ioas_iova(ioas, memory, PAGE, &iova, NULL));
	EXPECT_ERR(-ENOENT, weir_ioas_iova(ioas, memory + PAGE, PAGE, &iova, NULL));
	EXPECT_ERR(-ENOENT, weir_ioas_iova(ioas, memory + 2 * PAGE, PAGE, &iova, NULL));
	EXPECT_OK(weir_ioas_iova(ioas, memory + 3 * PAGE, PAGE, &iova, NULL));
}

CONFORMANCE(ioas_lookup, a_range_that_is_unmapped_is_not_found_any_more, NEEDS(EDU0))
{
	in_both(t, check_range);
}

CONFORMANCE(ioas_lookup, only_a_space_that_was_opened_for_it_can_be_asked)
{
	struct weir_ioas *ioas = new_ioas(t);
	uint64_t iova;
	void *addr;

	EXPECT_ERR(-EOPNOTSUPP, weir_ioas_iova(ioas, &iova, 1, &iova, NULL));
	EXPECT_ERR(-EOPNOTSUPP, weir_ioas_memory(ioas, 0, 1, &addr, NULL));
}

/* Two threads read while one maps and unmaps other memory. */
enum { PAGES = 64, ROUNDS = 300, READERS = 2 };

struct reading {
	struct weir_ioas *ioas;
	unsigned char *memory; /* even pages are mapped all the while, the page at 16 MiB + its offset */
	atomic_bool over;
	atomic_uint missed, wrong;
};

static void *reader(void *arg)
{
	struct reading *reading = arg;

	for (uint64_t i = 0; !reading->over; i++) {
		uint64_t offset = i * 7 % PAGES * PAGE + i % PAGE, iova = 0;
		bool found = !weir_ioas_iova(reading->ioas, reading->memory + offset, 1, &iova, NULL);

		if (!found && offset / PAGE % 2 == 0)
			reading->missed++;
		if (found && iova != 16 * MIB + offset)
			reading->wrong++;
	}
	return NULL;
}

CONFORMANCE(ioas_lookup, readers_see_what_lasts_while_others_map_and_unmap, NEEDS(EDU0))
{
	struct reading reading = { .ioas = new_lookup_ioas(t), .memory = new_memory(t, PAGES * PAGE, 0) };
	pthread_t threads[READERS];

	record_no_calls(t);
	new_device(t, reading.ioas, "EDU0", 0);
	for (uint64_t i = 0; i < PAGES; i += 2)
		new_map(t, reading.ioas, reading.memory + i * PAGE, PAGE, AT(16 * MIB + i * PAGE));
	for (int i = 0; i < READERS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, reader, &reading), 0);
	for (uint64_t i = 0; i < ROUNDS; i++) {
		uint64_t page = (i * 5 | 1) % PAGES;
		struct weir_map *map;
		int error = weir_ioas_map(reading.ioas, reading.memory + page * PAGE, PAGE,
					  AT(16 * MIB + page * PAGE), &map);

		if (error || weir_map_close(map))
			reading.wrong++;
	}
	reading.over = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(reading.missed, 0);
	EXPECT_EQ(reading.wrong, 0);
}
