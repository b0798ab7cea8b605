// SPDX-License-Identifier: MIT
/* Many threads in one space. */
#include "conformance/space.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

/*
 * Mappers have a stretch of fixed IOVAs each, and map at chosen ones too; a device comes and goes meanwhile, and others ask.
 * Threads count what goes wrong; the case looks at the counts.
 */
enum { NUM_MAPPERS = 3, ROUNDS = 60, VISITS = 12 };

struct bustle {
	struct t *t;
	struct weir_ioas *ioas;
	const char *address;
	unsigned char *memory; /* 16 pages */
	atomic_int next_mapper, failures, mappers_left;
	atomic_int first_error;
};

static void check(struct bustle *bustle, bool good, int error)
{
	int none = 0;

	if (good)
		return;
	bustle->failures++;
	atomic_compare_exchange_strong(&bustle->first_error, &none, error);
}

static void map_a_round(struct bustle *bustle, uint64_t base, uint64_t i)
{
	uint64_t len = (i % 5 + 1) * PAGE, at = base + i % 7 * PAGE;
	struct weir_map *chosen, *fixed;
	int error = weir_ioas_map(bustle->ioas, bustle->memory, len, NULL, &chosen);

	check(bustle, !error, error);
	if (error)
		return;
	error = weir_ioas_map(bustle->ioas, bustle->memory, PAGE, AT(at), &fixed);
	check(bustle, !error, error);
	error = weir_ioas_map(bustle->ioas, bustle->memory, PAGE, AT(at + PAGE), &fixed);
	check(bustle, !error, error);
	error = weir_ioas_map(bustle->ioas, bustle->memory, PAGE, AT(at), &fixed);
	check(bustle, error == -EEXIST, error);
	check(bustle, weir_map_len(chosen) == len, -EIO);
	error = weir_map_close(chosen);
	check(bustle, !error, error);
	error = weir_ioas_unmap(bustle->ioas, base, 16 * PAGE);
	check(bustle, !error, error);
}

static void *mapper(void *arg)
{
	struct bustle *bustle = arg;
	uint64_t base = MIB * (uint64_t)(++bustle->next_mapper);

	for (uint64_t i = 0; i < ROUNDS; i++)
		map_a_round(bustle, base, i);
	bustle->mappers_left--;
	return NULL;
}

static void *visitor(void *arg)
{
	struct bustle *bustle = arg;
	struct weir_device *device;

	for (int i = 0; i < VISITS || bustle->mappers_left; i++) {
		int error = weir_device_open(bustle->ioas, bustle->address, NULL, &device);

		check(bustle, !error, error);
		if (error)
			return NULL;
		error = weir_device_close(device);
		check(bustle, !error, error);
	}
	return NULL;
}

static void *asker(void *arg)
{
	struct bustle *bustle = arg;
	struct weir_iova_range ranges[16];
	struct weir_ioas_info info;

	while (bustle->mappers_left) {
		size_t num = 16;
		int error = weir_ioas_info(bustle->ioas, &info, sizeof(info));

		check(bustle, !error && info.num_mappings <= 3 * NUM_MAPPERS && info.num_devices <= 1, -EIO);
		check(bustle, info.mapped_bytes >= info.num_mappings * PAGE && !info.lost_bytes, -EIO);
		error = weir_ioas_ranges(bustle->ioas, ranges, &num);
		check(bustle, !error && num > 0, error);
	}
	return NULL;
}

CONFORMANCE(threads, map_and_unmap_while_a_device_comes_and_goes, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct bustle bustle = { .t = t,
				 .ioas = ioas,
				 .address = address_of(t, "EDU0"),
				 .memory = new_pages(t, 16),
				 .mappers_left = NUM_MAPPERS };
	pthread_t threads[NUM_MAPPERS + 2];
	int num = 0;

	record_no_calls(t);
	t_timeout(t, 120);
	for (int i = 0; i < NUM_MAPPERS; i++)
		ASSERT_EQ(pthread_create(&threads[num++], NULL, mapper, &bustle), 0);
	ASSERT_EQ(pthread_create(&threads[num++], NULL, visitor, &bustle), 0);
	ASSERT_EQ(pthread_create(&threads[num++], NULL, asker, &bustle), 0);
	while (num > 0)
		ASSERT_EQ(pthread_join(threads[--num], NULL), 0);
	EXPECT_EQ(bustle.failures, 0);
	EXPECT_EQ(bustle.first_error, 0);
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
	EXPECT_EQ(info_of(ioas).mapped_bytes, 0);
	EXPECT_EQ(info_of(ioas).lost_bytes, 0);
	EXPECT_EQ(info_of(ioas).num_devices, 0);
	EXPECT_EQ(pinned_bytes(), 0);
}

/* Racing for one place -------------------------------------------------------------------------------------------- */

struct race {
	struct weir_ioas *ioas;
	unsigned char *page;
	pthread_barrier_t line;
	atomic_int won[ROUNDS], wrong;
};

static void *racer(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct weir_map *map;
		int error;

		pthread_barrier_wait(&race->line);
		error = weir_ioas_map(race->ioas, race->page, PAGE, AT(MIB), &map);
		race->won[i] += !error;
		race->wrong += error && error != -EEXIST;
		pthread_barrier_wait(&race->line);
		if (!error)
			race->wrong += weir_map_close(map) != 0;
	}
	return NULL;
}

CONFORMANCE(threads, of_those_that_want_one_iova_one_gets_it, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct race race = { .ioas = ioas, .page = new_pages(t, 1) };
	pthread_t threads[NUM_MAPPERS];

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	ASSERT_EQ(pthread_barrier_init(&race.line, NULL, NUM_MAPPERS), 0);
	for (int i = 0; i < NUM_MAPPERS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, racer, &race), 0);
	for (int i = 0; i < NUM_MAPPERS; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
	pthread_barrier_destroy(&race.line);
	for (int i = 0; i < ROUNDS; i++)
		EXPECT_EQ(race.won[i], 1);
	EXPECT_EQ(race.wrong, 0);
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

/* Taking back what others made ------------------------------------------------------------------------------------ */

enum { PLACES = 8 };

struct tide {
	struct weir_ioas *ioas;
	unsigned char *page;
	atomic_int made, left, wrong;
};

/* Handles are left to whoever takes the range back. */
static void *flood(void *arg)
{
	struct tide *tide = arg;

	for (uint64_t i = 0; i < 2 * ROUNDS; i++) {
		struct weir_map *map;
		int error =
			weir_ioas_map(tide->ioas, tide->page, PAGE, AT(MIB + i % PLACES * 2 * PAGE), &map);

		tide->made += !error;
		tide->wrong += error && error != -EEXIST;
	}
	tide->left--;
	return NULL;
}

static void *ebb(void *arg)
{
	struct tide *tide = arg;

	while (tide->left) {
		int error = weir_ioas_unmap(tide->ioas, MIB, 2 * PLACES * PAGE);

		tide->wrong += error && error != -ENOENT && error != -EBUSY;
	}
	return NULL;
}

CONFORMANCE(threads, ranges_are_taken_back_while_others_map_into_them, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct tide tide = { .ioas = ioas, .page = new_pages(t, 1), .left = 2 };
	pthread_t threads[3];

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	ASSERT_EQ(pthread_create(&threads[0], NULL, flood, &tide), 0);
	ASSERT_EQ(pthread_create(&threads[1], NULL, flood, &tide), 0);
	ASSERT_EQ(pthread_create(&threads[2], NULL, ebb, &tide), 0);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
	EXPECT_EQ(tide.wrong, 0);
	EXPECT_GT(tide.made, 0);
	(void)weir_ioas_unmap(ioas, 0, UINT64_MAX);
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
	EXPECT_EQ(info_of(ioas).lost_bytes, 0);
}

/* Who shares has both spaces' transitions to heed, and who moves a device begins two: neither waits for the other for ever. */
struct sharing {
	struct weir_map *map;
	struct weir_ioas *to;
	atomic_bool *over;
	int rounds, failures;
};

static void *sharer(void *arg)
{
	struct sharing *sharing = arg;

	for (; !*sharing->over || sharing->rounds < 50; sharing->rounds++) {
		struct weir_map *shared;
		int error = weir_map_share(sharing->map, sharing->to, NULL, &shared);

		if (error || weir_map_close(shared))
			sharing->failures++;
	}
	return NULL;
}

CONFORMANCE(threads, mappings_are_shared_while_a_device_moves_from_space_to_space, NEEDS(DMA_DEVICE, MOVE))
{
	enum { MOVES = 100 };
	struct weir_ioas *spaces[] = { new_ioas(t), new_ioas(t) };
	unsigned char *memory = new_pages(t, 2);
	struct weir_device *device = new_device(t, spaces[0], "EDU0", 0);
	const struct weir_map_range ranges[] = { { memory + PAGE, PAGE }, { memory, PAGE } };
	atomic_bool over = false;
	struct sharing sharing[2];
	pthread_t threads[2];
	int failures = 0;

	record_no_calls(t);
	for (int i = 0; i < 2; i++) {
		sharing[i] = (struct sharing){ .to = spaces[!i], .over = &over };
		ASSERT_OK(
			weir_ioas_map_batch(spaces[i], ranges, 2, AT((i + 1) * MIB), NULL, &sharing[i].map));
	}
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, sharer, &sharing[i]), 0);
	for (int i = 0; i < MOVES; i++)
		if (weir_device_attach(device, spaces[(i + 1) % 2]))
			failures++;
	over = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(failures + sharing[0].failures + sharing[1].failures, 0);
	EXPECT_EQ(info_of(spaces[0]).num_mappings, 2);
	EXPECT_EQ(info_of(spaces[1]).num_mappings, 2);
}
