// SPDX-License-Identifier: MIT
/* Where an address leads: held against a plain list, and read while it changes. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "ioas/lookup.h"
#include "shim/test.h"

enum { PAGE = 4096 };

static void finish(void *arg)
{
	weir_lookup_finish(arg);
	free(arg);
}

static struct weir_lookup *new_lookup(struct t *t)
{
	struct weir_lookup *lookup = aligned_alloc(_Alignof(struct weir_lookup), sizeof(*lookup));

	ASSERT_TRUE(lookup);
	weir_lookup_init(lookup);
	t_defer(t, finish, lookup);
	return lookup;
}

static void add(struct t *t, struct weir_lookup *lookup, uint64_t first, uint64_t len, uint64_t to)
{
	(void)t;
	ASSERT_OK(weir_lookup_reserve(lookup, len));
	weir_lookup_add(lookup, first, first + len - 1, to);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

UNIT(lookup, nothing_is_found_in_an_empty_one)
{
	struct weir_lookup *lookup = new_lookup(t);
	struct weir_lookup_answer answer;

	EXPECT_FALSE(weir_lookup_search(lookup, 0, 1, &answer));
	EXPECT_FALSE(weir_lookup_search(lookup, UINT64_MAX, 1, &answer));
}

UNIT(lookup, every_byte_of_a_range_is_found_and_none_beside_it)
{
	static const struct {
		uint64_t first, len;
	} rows[] = { { 0, PAGE },
		     { 0x7000, PAGE },
		     { 0x1ff000, 3 * PAGE },
		     { (uint64_t)1 << 30, (uint64_t)1 << 30 },
		     { 0x12345000, 0x3456000 },
		     { UINT64_MAX - PAGE + 1, PAGE },
		     { 0, (uint64_t)1 << 63 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_lookup *lookup = new_lookup(t);
		uint64_t first = rows[i].first, len = rows[i].len, last = first + len - 1;
		struct weir_lookup_answer answer;

		t_note(t, "row %zu", i);
		add(t, lookup, first, len, 0x5000);
		ASSERT_TRUE(weir_lookup_search(lookup, first, 1, &answer));
		EXPECT_EQ(answer.to, 0x5000);
		EXPECT_EQ(answer.left, len);
		ASSERT_TRUE(weir_lookup_search(lookup, last, 1, &answer));
		EXPECT_EQ(answer.to, 0x5000 + len - 1);
		EXPECT_EQ(answer.left, 1);
		for (uint64_t part = 1; part < 100; part++) {
			uint64_t offset = len / 100 * part;

			ASSERT_TRUE(weir_lookup_search(lookup, first + offset, 1, &answer));
			EXPECT_EQ(answer.to, 0x5000 + offset);
		}
		if (first)
			EXPECT_FALSE(weir_lookup_search(lookup, first - 1, 1, &answer));
		if (last != UINT64_MAX)
			EXPECT_FALSE(weir_lookup_search(lookup, last + 1, 1, &answer));
		weir_lookup_remove(lookup, first, last, 0x5000);
		EXPECT_FALSE(weir_lookup_search(lookup, first, 1, &answer));
	}
}

UNIT(lookup, a_range_that_is_redirected_leads_elsewhere_from_all_its_frames)
{
	struct weir_lookup *lookup = new_lookup(t);
	uint64_t len = 7 * 512 * PAGE, last = 0x1000 + len - 1, known;
	struct weir_lookup_answer answer;

	add(t, lookup, 0x1000, len, 0x10000000);
	EXPECT_FALSE(weir_lookup_exact(lookup, 0x2000, last, &known));
	EXPECT_FALSE(weir_lookup_exact(lookup, 0x1000, last - PAGE, &known));
	ASSERT_TRUE(weir_lookup_exact(lookup, 0x1000, last, &known));
	EXPECT_EQ(known, 0x10000000);
	weir_lookup_redirect(lookup, 0x1000, last, known, 0x20000000);
	for (uint64_t offset = 0; offset < len; offset += PAGE) {
		ASSERT_TRUE(weir_lookup_search(lookup, 0x1000 + offset, 1, &answer));
		ASSERT_EQ(answer.to, 0x20000000 + offset);
	}
}

/* Pages in a row of places: some find room in the table of pages, the others are found all the same, and nothing stays. */
static void expect_all(struct t *t, uint64_t num, uint64_t stride, bool all_dense)
{
	struct weir_lookup *lookup = new_lookup(t);
	struct weir_lookup_answer answer;

	for (uint64_t i = 0; i < num; i++)
		add(t, lookup, i * stride, PAGE, i * PAGE);
	EXPECT_EQ(lookup->pages.used == 0, all_dense);
	EXPECT_TRUE(lookup->dense.live * PAGE <= ((uint64_t)1 << 20) + 64 * num);
	for (uint64_t i = 0; i < num; i++) {
		ASSERT_TRUE(weir_lookup_search(lookup, i * stride + 5, 1, &answer));
		ASSERT_EQ(answer.to, i * PAGE + 5);
		ASSERT_FALSE(weir_lookup_search(lookup, i * stride + PAGE, 1, &answer));
	}
	for (uint64_t i = 0; i < num; i++)
		weir_lookup_remove(lookup, i * stride, i * stride + PAGE - 1, i * PAGE);
	EXPECT_EQ(lookup->dense.live, 0);
	EXPECT_EQ(lookup->pages.used, 0);
	EXPECT_FALSE(weir_lookup_search(lookup, 0, 1, &answer));
}

UNIT(lookup, pages_that_are_not_far_apart_take_no_hash_table)
{
	expect_all(t, 20000, 16 * PAGE, true);
}

UNIT(lookup, pages_far_apart_are_found_and_take_little_memory)
{
	expect_all(t, 2000, (uint64_t)3 << 20, false);
	expect_all(t, 2000, (uint64_t)1 << 30, false);
}

enum { FAR = 7 };

/* A place of its own, 512 GiB from the next. */
static uint64_t far(uint64_t i)
{
	return (3 * i + 1) << 39;
}

UNIT(lookup, ranges_lead_to_any_number_of_far_places)
{
	struct weir_lookup *lookup = new_lookup(t);
	struct weir_lookup_answer answer;

	for (uint64_t i = 0; i < FAR; i++)
		add(t, lookup, i * 4 * PAGE, 3 * PAGE, far(i));
	/* And across the border of two. */
	add(t, lookup, FAR * 4 * PAGE, 2 * PAGE, far(1) - PAGE);
	for (uint64_t i = 0; i < FAR; i++) {
		ASSERT_TRUE(weir_lookup_search(lookup, (i * 4 + 1) * PAGE, 1, &answer));
		EXPECT_EQ(answer.to, far(i) + PAGE);
		EXPECT_EQ(answer.left, 2 * PAGE);
	}
	ASSERT_TRUE(weir_lookup_search(lookup, (FAR * 4 + 1) * PAGE, 1, &answer));
	EXPECT_EQ(answer.to, far(1));
	for (uint64_t i = 0; i < FAR; i++)
		weir_lookup_remove(lookup, i * 4 * PAGE, (i * 4 + 3) * PAGE - 1, far(i));
	EXPECT_EQ(lookup->num_pages, 2);
}

UNIT(lookup, a_twin_may_be_anywhere)
{
	struct weir_lookup *lookup = new_lookup(t);
	struct weir_lookup_answer answer;
	uint64_t known;

	add(t, lookup, 0, 2 * PAGE, far(0));
	for (uint64_t i = 1; i < FAR; i++) {
		ASSERT_OK(weir_lookup_reserve(lookup, 2 * PAGE));
		weir_lookup_add_twin(lookup, 0, 2 * PAGE - 1, far(0), far(i));
		ASSERT_TRUE(weir_lookup_search(lookup, PAGE, 1, &answer));
		EXPECT_EQ(answer.to, far(0) + PAGE);
	}
	for (uint64_t i = 1; i < FAR; i++) {
		weir_lookup_redirect(lookup, 0, 2 * PAGE - 1, far(i - 1), far(i));
		ASSERT_TRUE(weir_lookup_exact(lookup, 0, 2 * PAGE - 1, &known));
		EXPECT_EQ(known, far(i));
	}
	weir_lookup_remove(lookup, 0, 2 * PAGE - 1, far(FAR - 1));
	EXPECT_FALSE(weir_lookup_search(lookup, 0, 1, &answer));
}

UNIT(lookup, a_frame_is_for_pages_or_for_a_range_of_frames)
{
	struct weir_lookup *lookup = new_lookup(t);
	const uint64_t frame = (uint64_t)2 << 20;
	struct weir_lookup_answer answer;

	for (int round = 0; round < 3; round++) {
		add(t, lookup, frame, PAGE, 0x5000);
		add(t, lookup, 0, 3 * frame, 0x40000000);
		ASSERT_TRUE(weir_lookup_search(lookup, frame, PAGE, &answer));
		EXPECT_EQ(answer.to, 0x5000);
		ASSERT_TRUE(weir_lookup_search(lookup, frame, 2 * PAGE, &answer));
		EXPECT_EQ(answer.to, 0x40000000 + frame);
		weir_lookup_remove(lookup, frame, frame + PAGE - 1, 0x5000);
		weir_lookup_remove(lookup, 0, 3 * frame - 1, 0x40000000);
		add(t, lookup, 0, 3 * frame, 0x40000000);
		add(t, lookup, frame, PAGE, 0x5000);
		ASSERT_TRUE(weir_lookup_search(lookup, 2 * frame - 1, frame, &answer));
		EXPECT_EQ(answer.to, 0x40000000 + 2 * frame - 1);
		weir_lookup_remove(lookup, 0, 3 * frame - 1, 0x40000000);
		ASSERT_TRUE(weir_lookup_search(lookup, frame, 1, &answer));
		EXPECT_EQ(answer.to, 0x5000);
		weir_lookup_remove(lookup, frame, frame + PAGE - 1, 0x5000);
		EXPECT_FALSE(weir_lookup_search(lookup, frame, 1, &answer));
	}
}

/* A plain list: places of 64 pages each, in which there is a range or not. */
enum { PLACES = 600, PLACE_PAGES = 64 };

struct plain {
	uint64_t first[PLACES], len[PLACES], to[PLACES];
};

static void change(struct t *t, struct weir_lookup *lookup, struct plain *plain, uint64_t *random)
{
	unsigned int at = next_random(random) % PLACES;

	if (plain->len[at]) {
		weir_lookup_remove(lookup, plain->first[at], plain->first[at] + plain->len[at] - 1,
				   plain->to[at]);
		plain->len[at] = 0;
	} else {
		uint64_t pages = 1 + next_random(random) % PLACE_PAGES;

		plain->len[at] = pages * PAGE;
		plain->first[at] =
			((uint64_t)at * PLACE_PAGES + next_random(random) % (PLACE_PAGES - pages + 1)) * PAGE;
		plain->to[at] = (uint64_t)next_random(random) * PAGE;
		add(t, lookup, plain->first[at], plain->len[at], plain->to[at]);
	}
}

static void compare(struct t *t, const struct weir_lookup *lookup, const struct plain *plain,
		    uint64_t address)
{
	(void)t;
	uint64_t at = address / PAGE / PLACE_PAGES, offset = address - plain->first[at];
	bool there = plain->len[at] && address >= plain->first[at] && offset < plain->len[at];
	struct weir_lookup_answer answer;

	ASSERT_EQ(weir_lookup_search(lookup, address, 1, &answer), there);
	if (there) {
		ASSERT_EQ(answer.to, plain->to[at] + offset);
		ASSERT_EQ(answer.left, plain->len[at] - offset);
	}
}

UNIT(lookup, does_what_a_plain_list_does)
{
	struct weir_lookup *lookup = new_lookup(t);
	static struct plain plain;
	uint64_t random = 1;

	for (int i = 0; i < 20000; i++) {
		change(t, lookup, &plain, &random);
		for (int j = 0; j < 4; j++)
			compare(t, lookup, &plain,
				next_random(&random) % ((uint64_t)PLACES * PLACE_PAGES * PAGE));
	}
}

UNIT(lookup, coming_and_going_does_not_make_it_grow)
{
	struct weir_lookup *lookup = new_lookup(t);
	uint64_t random = 1, table;

	add(t, lookup, 0, PAGE, 0);
	table = weir_tables_room(&lookup->pages);
	for (int i = 0; i < 20000; i++) {
		uint64_t first = (uint64_t)(1 + next_random(&random)) * PAGE;

		add(t, lookup, first, PAGE, 0);
		weir_lookup_remove(lookup, first, first + PAGE - 1, 0);
	}
	EXPECT_EQ(weir_tables_room(&lookup->pages), table);
	EXPECT_TRUE(lookup->pages.num_made <= 2);
	EXPECT_TRUE(lookup->dense.touched <= 2 * lookup->dense.live + 256);
}

/* Readers beside a writer: some ranges stay, others come and go and move, and the table grows and is replaced all the while. */
enum { LASTING = 64, READERS = 2, ROUNDS = 200000 };

struct contest {
	struct weir_lookup *lookup;
	_Atomic bool over;
	_Atomic unsigned int looks;
	_Atomic unsigned int missed, wrong;
};

/* Wherever a range lies, it leads here. */
static uint64_t target(uint64_t first)
{
	return first * 3;
}

static void *look(void *arg)
{
	struct contest *contest = arg;
	uint64_t random = (uintptr_t)&random;

	while (!atomic_load(&contest->over)) {
		uint64_t at = next_random(&random) % (2 * LASTING),
			 address = at * 64 * PAGE + next_random(&random) % (3 * PAGE);
		struct weir_lookup_answer answer;
		bool found = weir_lookup_search(contest->lookup, address, 1, &answer);

		atomic_fetch_add_explicit(&contest->looks, 1, memory_order_relaxed);
		/* Even places last, and have three pages. */
		if (!found && at % 2 == 0)
			atomic_fetch_add(&contest->missed, 1);
		if (found && answer.to - target(at * 64 * PAGE) != address - at * 64 * PAGE)
			atomic_fetch_add(&contest->wrong, 1);
	}
	return NULL;
}

UNIT(lookup, readers_find_what_lasts_and_nothing_that_is_wrong)
{
	struct contest contest = { .lookup = new_lookup(t) };
	pthread_t readers[READERS];
	uint64_t random = 7;
	bool there[LASTING] = { false };

	for (uint64_t i = 0; i < LASTING; i++)
		add(t, contest.lookup, 2 * i * 64 * PAGE, 3 * PAGE, target(2 * i * 64 * PAGE));
	for (int i = 0; i < READERS; i++)
		ASSERT_EQ(pthread_create(&readers[i], NULL, look, &contest), 0);
	for (int i = 0; i < ROUNDS || atomic_load(&contest.looks) < ROUNDS; i++) {
		uint64_t at = next_random(&random) % LASTING, first = (2 * at + 1) * 64 * PAGE;

		if (there[at])
			weir_lookup_remove(contest.lookup, first, first + PAGE - 1, target(first));
		else
			add(t, contest.lookup, first, PAGE, target(first));
		there[at] = !there[at];
	}
	atomic_store(&contest.over, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	EXPECT_EQ(atomic_load(&contest.missed), 0);
	EXPECT_EQ(atomic_load(&contest.wrong), 0);
}
