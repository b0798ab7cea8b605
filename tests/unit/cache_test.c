// SPDX-License-Identifier: MIT
/* The registration cache, on a kernel that maps nothing: against a model, and by several threads. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cache/cache.h"
#include "unit/yes_host.h"

enum { PAGE = 4096, PAGES = 300, LONGEST = 40, HELD = 24, STEPS = 60000 };

/* Nothing is there, and nobody looks. */
static unsigned char *const memory = (unsigned char *)0x100000000000;

static struct weir_cache_info info_of(struct weir_cache *cache)
{
	struct weir_cache_info info;

	ASSERT_OK(weir_cache_info(cache, &info, sizeof(info)));
	return info;
}

static void close_cache(void *cache)
{
	EXPECT_OK(weir_cache_close(cache));
}

static void close_space(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

/* In a space that knows where IOVAs lead. */
static struct weir_ioas *new_space(struct t *t)
{
	struct weir_host *host = new_host(t, new_yes_kernel(t), WEIR_BACKEND_IOMMUFD);
	struct weir_ioas *ioas;

	ASSERT_OK(weir_ioas_open(host, &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_LOOKUP), &ioas));
	t_defer(t, close_space, ioas);
	new_device(t, ioas, YES_ADDRESS_0);
	return ioas;
}

static struct weir_cache *new_cache(struct t *t, struct weir_ioas *ioas, uint64_t limit, uint32_t most)
{
	struct weir_cache *cache;

	ASSERT_OK(weir_cache_open(ioas, &WEIR_OPTS(weir_cache_opts, .limit = limit, .most = most), &cache));
	t_defer(t, close_cache, cache);
	return cache;
}

struct range {
	uint64_t at, len;
};

static uint64_t below(uint64_t *state, uint64_t end)
{
	*state = *state * 6364136223846793005 + 1442695040888963407;
	return (*state >> 33) % end;
}

static struct range random_range(uint64_t *state)
{
	struct range range = { .at = below(state, (uint64_t)(PAGES - LONGEST) * PAGE) };

	range.len = 1 + below(state, below(state, 4) ? 3 * PAGE : LONGEST * PAGE);
	return range;
}

static bool leads_there(struct weir_ioas *ioas, const struct weir_cached *cached, struct range range)
{
	void *addr = NULL;

	return !weir_ioas_memory(ioas, cached->iova, range.len, &addr, NULL) && addr == memory + range.at;
}

/* What is known to the model: when each page was last invalidated, and what is held. */
struct model {
	struct weir_ioas *ioas;
	struct weir_cache *cache;
	uint64_t random, generation, gone[PAGES], held_bytes;
	struct held {
		struct weir_cached cached;
		struct range range;
	} held[HELD];
	unsigned int num_held;
};

static void model_get(struct model *model)
{
	struct range range = random_range(&model->random);
	struct held *held = &model->held[model->num_held];
	struct weir_cached again;
	uint64_t hits;
	int error = weir_cache_get(model->cache, memory + range.at, range.len, 0, &held->cached);

	if (error) {
		ASSERT_ERR(-ENOSPC, error);
		ASSERT_TRUE(model->num_held > 0);
		return;
	}
	held->range = range;
	model->num_held++;
	ASSERT_TRUE(held->cached.addr == memory + range.at);
	ASSERT_TRUE(leads_there(model->ioas, &held->cached, range));
	for (uint64_t page = range.at / PAGE; page <= (range.at + range.len - 1) / PAGE; page++)
		ASSERT_TRUE(held->cached.generation >= model->gone[page]);
	hits = info_of(model->cache).hits;
	ASSERT_OK(weir_cache_get(model->cache, memory + range.at + range.len - 1, 1, WEIR_MAP_READ, &again));
	ASSERT_EQ(info_of(model->cache).hits, hits + 1);
	ASSERT_TRUE(again.iova == held->cached.iova + range.len - 1);
	ASSERT_OK(weir_cache_put(model->cache, &again));
}

static void model_put(struct model *model)
{
	struct held *held = &model->held[below(&model->random, model->num_held)];

	ASSERT_TRUE(leads_there(model->ioas, &held->cached, held->range));
	ASSERT_OK(weir_cache_put(model->cache, &held->cached));
	*held = model->held[--model->num_held];
}

static void model_invalidate(struct model *model)
{
	struct range range = random_range(&model->random);
	uint64_t generation = 0;

	ASSERT_OK(weir_cache_invalidate(model->cache, memory + range.at, range.len, &generation));
	ASSERT_EQ(generation, ++model->generation);
	for (uint64_t page = range.at / PAGE; page <= (range.at + range.len - 1) / PAGE; page++)
		model->gone[page] = generation;
}

static void model_step(struct model *model)
{
	uint64_t what = below(&model->random, 100);
	struct weir_cache_info info;
	struct weir_ioas_info space;

	if (what < 55 && model->num_held < HELD)
		model_get(model);
	else if (what < 90 && model->num_held)
		model_put(model);
	else if (what < 98)
		model_invalidate(model);
	else
		ASSERT_OK(weir_cache_trim(model->cache, below(&model->random, 200) * PAGE));
	info = info_of(model->cache);
	ASSERT_OK(weir_ioas_info(model->ioas, &space, sizeof(space)));
	ASSERT_EQ(space.num_mappings, info.entries);
	ASSERT_EQ(space.mapped_bytes, info.bytes);
	ASSERT_LE(info.bytes, 400 * PAGE);
	ASSERT_LE(info.entries, 30);
}

UNIT(cache, keeps_to_a_model)
{
	struct weir_ioas *ioas = new_space(t);
	struct model model = { .ioas = ioas, .random = 1 };

	model.cache = new_cache(t, ioas, 400 * PAGE, 30);
	for (int i = 0; i < STEPS; i++)
		model_step(&model);
	while (model.num_held)
		model_put(&model);
	EXPECT_GT(info_of(model.cache).hits, STEPS / 4);
	EXPECT_GT(info_of(model.cache).replacements, 0);
	EXPECT_GT(info_of(model.cache).evictions, 0);
	EXPECT_GT(info_of(model.cache).refused, 0);
	EXPECT_EQ(info_of(model.cache).uncached, 0);
}

UNIT(cache, every_hint_of_an_entry_goes_with_it)
{
	struct weir_cache *cache = new_cache(t, new_space(t), 0, 64);
	uint64_t random = 5;
	uint32_t left = 0;

	for (int i = 0; i < 20000; i++) {
		struct range range = random_range(&random);
		struct weir_cached cached;

		ASSERT_OK(weir_cache_get(cache, memory + range.at, range.len, 0, &cached));
		ASSERT_OK(weir_cache_put(cache, &cached));
		if (i % 7 == 0)
			ASSERT_OK(weir_cache_invalidate(cache, memory + range.at, range.len, NULL));
	}
	ASSERT_OK(weir_cache_trim(cache, 0));
	for (uint32_t i = 0; i < (uint32_t)1 << (32 - cache->slot_shift); i++)
		left += cache->slots[i] != 0;
	EXPECT_EQ(left, 0);
	EXPECT_EQ(cache->classes, 0);
	EXPECT_EQ(info_of(cache).entries, 0);
}

UNIT(cache, every_hit_counts)
{
	struct weir_cache *cache = new_cache(t, new_space(t), 0, 4);
	struct weir_cached cached;

	for (int i = 0; i < 5001; i++) {
		ASSERT_OK(weir_cache_get(cache, memory, PAGE, 0, &cached));
		ASSERT_OK(weir_cache_put(cache, &cached));
	}
	EXPECT_EQ(info_of(cache).hits, 5000);
	ASSERT_OK(weir_cache_trim(cache, 0));
	EXPECT_EQ(info_of(cache).hits, 5000);
}

UNIT(cache, what_is_held_as_often_as_it_can_be_gets_a_second_mapping)
{
	struct weir_cache *cache = new_cache(t, new_space(t), 0, 4);
	struct weir_cached first, second;
	const uint64_t most = WEIR_ENTRY_HOLDS / WEIR_ENTRY_HOLD;

	for (uint64_t i = 0; i < most; i++)
		if (weir_cache_get(cache, memory, PAGE, 0, &first))
			FAIL("%s", weir_error());
	EXPECT_EQ(info_of(cache).misses, 1);
	ASSERT_OK(weir_cache_get(cache, memory, PAGE, 0, &second));
	EXPECT_EQ(info_of(cache).misses, 2);
	EXPECT_NE(second.iova, first.iova);
	for (uint64_t i = 0; i < most; i++)
		if (weir_cache_put(cache, &first))
			FAIL("%s", weir_error());
	EXPECT_ERR(-EINVAL, weir_cache_put(cache, &first));
	ASSERT_OK(weir_cache_put(cache, &second));
	EXPECT_EQ(info_of(cache).entries, 1);
	EXPECT_EQ(info_of(cache).hits, most - 1);
}

/* Threads ---------------------------------------------------------------------------------------------------------- */

enum { THREADS = 3, TURNS = 20000 };

struct crowd {
	struct weir_ioas *ioas;
	struct weir_cache *cache;
	_Atomic uint64_t gone; /* the generation at which all was invalidated last */
	atomic_uint wrong, over;
	_Atomic uint64_t gets;
};

static bool turn(struct crowd *crowd, uint64_t *random)
{
	struct range range = random_range(random);
	struct weir_cached cached;
	uint64_t gone = crowd->gone;
	bool right;
	int error = weir_cache_get(crowd->cache, memory + range.at, range.len, 0, &cached);

	if (error)
		return error == -ENOSPC;
	crowd->gets++;
	right = leads_there(crowd->ioas, &cached, range) && cached.generation >= gone;
	return !weir_cache_put(crowd->cache, &cached) && right;
}

static void *one_of_many(void *arg)
{
	struct crowd *crowd = arg;
	uint64_t random = (uintptr_t)&random;

	for (int i = 0; i < TURNS; i++)
		if (!turn(crowd, &random))
			crowd->wrong++;
	crowd->over++;
	return NULL;
}

UNIT(cache, threads_share_it)
{
	struct weir_ioas *ioas = new_space(t);
	struct crowd crowd = { .ioas = ioas, .cache = new_cache(t, ioas, 500 * PAGE, 20) };
	pthread_t threads[THREADS];
	uint64_t random = 9, generation = 0;
	struct weir_cache_info info;

	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, one_of_many, &crowd), 0);
	while (crowd.over < THREADS) {
		struct range range = random_range(&random);
		bool all = !below(&random, 8);
		int error = weir_cache_invalidate(crowd.cache, memory + range.at, all ? 0 : range.len,
						  &generation);

		if (all)
			crowd.gone = generation;
		if (error || weir_cache_trim(crowd.cache, below(&random, 1000) * PAGE))
			crowd.wrong++;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	info = info_of(crowd.cache);
	EXPECT_EQ(crowd.wrong, 0);
	EXPECT_EQ(info.hits + info.misses, crowd.gets);
}
