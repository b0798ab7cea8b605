// SPDX-License-Identifier: MIT
/*
 * Threads that map, unmap and look up in one space, held against a model: for each place of memory whether it is mapped, and where. The model
 * of a place changes beside the call that makes it true, so a reader knows what it may see from what it reads of the model before and
 * after. Of most use under the thread sanitizer.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "unit/yes_host.h"

enum { PLACES = 96, PAGE = 4096 };

static const uint64_t mib = 1 << 20, memory = 0x100000000000, iovas = 0x200000000;

/* Each place has one mapping at a time, and 16 MiB to itself: of one length or another, from its begin or not. */
struct place {
	_Atomic uint64_t changes; /* odd while a call is under way */
	_Atomic uint64_t begin;   /* of the mapping; 0: there is none */
	_Atomic uint64_t len, iova;
	struct weir_map *map; /* its mapper's */
};

struct arena {
	struct weir_ioas *ioas;
	struct place places[PLACES];
	unsigned int mappers;
	_Atomic bool over;
	_Atomic unsigned int changed, found, missed, wrong;
};

struct worker {
	struct arena *arena;
	unsigned int number;
	uint64_t random;
};

static uint64_t draw(uint64_t *random, uint64_t below)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return (*random >> 33) % below;
}

static void put(struct worker *worker, struct place *place, uint64_t at)
{
	static const uint64_t lengths[] = { PAGE,      2 * PAGE, 7 * PAGE, 8 * PAGE,
					    64 * PAGE, 2 << 20,  3 << 20,  6 << 20 };
	uint64_t len = lengths[draw(&worker->random, sizeof(lengths) / sizeof(lengths[0]))],
		 begin = memory + at * 16 * mib + draw(&worker->random, 2) * 2 * mib +
			 draw(&worker->random, 2) * PAGE,
		 iova = iovas + at * 16 * mib + draw(&worker->random, 2) * 2 * mib;

	EXPECT_OK(weir_ioas_map(worker->arena->ioas, (void *)(uintptr_t)begin, len,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = iova),
				&place->map));
	atomic_store(&place->begin, begin);
	atomic_store(&place->len, len);
	atomic_store(&place->iova, iova);
}

static void take(struct worker *worker, struct place *place)
{
	/* One way or the other. */
	if (draw(&worker->random, 2))
		EXPECT_OK(weir_map_close(place->map));
	else
		EXPECT_OK(weir_ioas_unmap(worker->arena->ioas, atomic_load(&place->iova),
					  atomic_load(&place->len)));
	atomic_store(&place->begin, 0);
}

/* Every mapper has places of its own. */
static void *map_and_unmap(void *arg)
{
	struct worker *worker = arg;

	while (!atomic_load(&worker->arena->over)) {
		uint64_t at =
			draw(&worker->random, PLACES / worker->arena->mappers) * worker->arena->mappers +
			worker->number;
		struct place *place = &worker->arena->places[at];

		atomic_fetch_add(&place->changes, 1);
		if (atomic_load(&place->begin))
			take(worker, place);
		else
			put(worker, place, at);
		atomic_fetch_add(&place->changes, 1);
		atomic_fetch_add_explicit(&worker->arena->changed, 1, memory_order_relaxed);
	}
	return NULL;
}

/* What the model says of a place; true if nothing has changed when it is read again. */
struct seen {
	uint64_t changes, begin, len, iova;
};

static struct seen look_at(struct place *place)
{
	struct seen seen = { .changes = atomic_load(&place->changes) };

	seen.begin = atomic_load(&place->begin);
	seen.len = atomic_load(&place->len);
	seen.iova = atomic_load(&place->iova);
	return seen;
}

static void judge(struct arena *arena, const struct seen *seen, uint64_t offset, bool found,
		  uint64_t expected, uint64_t got, uint64_t left)
{
	bool there = seen->begin && offset < seen->len;

	if (there && !found)
		atomic_fetch_add(&arena->missed, 1);
	if (found && (!there || got != expected || left != seen->len - offset))
		atomic_fetch_add(&arena->wrong, 1);
	if (found)
		atomic_fetch_add_explicit(&arena->found, 1, memory_order_relaxed);
}

static void *look_up(void *arg)
{
	struct worker *worker = arg;
	struct arena *arena = worker->arena;

	while (!atomic_load(&arena->over)) {
		uint64_t at = draw(&worker->random, PLACES), inside = draw(&worker->random, 10 * mib),
			 left = 0, iova = 0, base;
		struct place *place = &arena->places[at];
		bool back = draw(&worker->random, 2), found;
		struct seen seen = look_at(place);
		void *addr = NULL;

		/* Mostly where there is something. */
		base = back ? seen.iova : seen.begin;
		if (!base || !draw(&worker->random, 4))
			base = (back ? iovas : memory) + at * 16 * mib;
		else if (seen.len)
			inside %= seen.len;
		found = back ? !weir_ioas_memory(arena->ioas, base + inside, 1, &addr, &left)
			     : !weir_ioas_iova(arena->ioas, (void *)(uintptr_t)(base + inside), 1, &iova,
					       &left);
		if (seen.changes % 2 || atomic_load(&place->changes) != seen.changes)
			continue;
		inside += base - (back ? seen.iova : seen.begin);
		judge(arena, &seen, inside, found, (back ? seen.begin : seen.iova) + inside,
		      back ? (uintptr_t)addr : iova, left);
	}
	return NULL;
}

static void start(pthread_t *thread, void *(*body)(void *arg), struct worker *worker)
{
	ASSERT_EQ(0, pthread_create(thread, NULL, body, worker));
}

static void close_space(void *arg)
{
	EXPECT_OK(weir_ioas_close(arg));
}

UNIT(lookup_threads, find_what_is_mapped_and_nothing_else)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct arena *arena = calloc(1, sizeof(*arena));
	struct worker workers[2 * MOST_OF_A_KIND];
	pthread_t threads[2 * MOST_OF_A_KIND];
	const unsigned int each = threads_of_a_kind();

	ASSERT_TRUE(arena);
	t_defer(t, free, arena);
	t_timeout(t, 60);
	ASSERT_OK(weir_ioas_open(new_host(t, yes, WEIR_BACKEND_IOMMUFD),
				 &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_LOOKUP), &arena->ioas));
	t_defer(t, close_space, arena->ioas);
	new_device(t, arena->ioas, YES_ADDRESS_0);
	arena->mappers = each;
	for (unsigned int i = 0; i < 2 * each; i++) {
		workers[i] = (struct worker){ .arena = arena, .number = i, .random = i + 1 };
		start(&threads[i], i < each ? map_and_unmap : look_up, &workers[i]);
	}
	do {
		nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
	} while (atomic_load(&arena->changed) < 10000 || atomic_load(&arena->found) < 10000);
	atomic_store(&arena->over, true);
	for (unsigned int i = 0; i < 2 * each; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, atomic_load(&arena->missed));
	EXPECT_EQ(0, atomic_load(&arena->wrong));
}
