// SPDX-License-Identifier: MIT
#include "conformance/cached.h"

static void close_cache(void *cache)
{
	EXPECT_OK(weir_cache_close(cache));
}

struct weir_cache *new_cache(struct t *t, struct weir_ioas *ioas, const struct weir_cache_opts *opts)
{
	struct weir_cache *cache;

	/* What userfaultfd can do is up to the kernel that runs this, simulated hosts included. */
	if (opts && opts->flags & WEIR_CACHE_WATCH)
		record_no_calls(t);
	ASSERT_OK(weir_cache_open(ioas, opts, &cache));
	t_defer(t, close_cache, cache);
	return cache;
}

struct weir_cached got(struct t *t, struct weir_cache *cache, const void *addr, uint64_t len)
{
	struct weir_cached cached;

	(void)t;
	ASSERT_OK(weir_cache_get(cache, addr, len, 0, &cached));
	EXPECT_TRUE(cached.addr == addr);
	return cached;
}

void put(struct t *t, struct weir_cache *cache, struct weir_cached cached)
{
	(void)t;
	EXPECT_OK(weir_cache_put(cache, &cached));
}

struct weir_cache_info cache_info(struct weir_cache *cache)
{
	struct weir_cache_info info = { 0 };

	ASSERT_OK(weir_cache_info(cache, &info, sizeof(info)));
	return info;
}

bool is_found(struct t *t, struct weir_cache *cache, const void *addr, uint64_t len)
{
	uint64_t hits = cache_info(cache).hits;

	put(t, cache, got(t, cache, addr, len));
	return cache_info(cache).hits == hits + 1;
}
