// SPDX-License-Identifier: MIT
/*
 * Hearing from the kernel that memory goes.
 *
 * Who changes watched memory waits in the kernel until its event is read, and goes on as soon as it is: before the reader could
 * mark anything. So the reader takes the lock and sets `unsettled` before it reads, and a get that sees that waits for the lock. One that does not see it began
 * before the read, hence before the change has returned; or after the marks.
 */
#include <errno.h>
#include <string.h>

#include "cache/cache.h"
#include "error.h"
#include "kernel/userfaultfd.h"

/* The highest page number of an address. */
static const uint64_t highest_page = ((uint64_t)1 << WEIR_CACHE_KEY_BITS) - 1;

bool weir_cache_settle(struct weir_cache *cache)
{
	if (!(cache->flags & WEIR_CACHE_LAX) && !weir_userfaultfd_is_settled(cache->sys, cache->watch_fd))
		return false;
	/* Only now: what was settled above may have been read just before. */
	if (atomic_load_explicit(&cache->unsettled, memory_order_acquire)) {
		pthread_mutex_lock(&cache->lock);
		pthread_mutex_unlock(&cache->lock);
	}
	return true;
}

/* Pages of what can be larger than ours: only these can be registered whole. */
static const uint64_t grains[] = { 0, 1 << 21, 1 << 30 };

bool weir_cache_register(struct weir_cache *cache, uint64_t first, uint64_t last)
{
	uint64_t addr = first << cache->page_shift, end = (last + 1) << cache->page_shift;
	int error = -EINVAL;

	pthread_mutex_lock(&cache->watch_lock);
	for (int i = 0; i < 3 && error == -EINVAL; i++) {
		uint64_t mask = grains[i] ? grains[i] - 1 : 0, from = addr & ~mask;

		error = weir_userfaultfd_register(cache->sys, cache->watch_fd, from,
						  ((end + mask) & ~mask) - from);
	}
	pthread_mutex_unlock(&cache->watch_lock);
	return !error;
}

/* A failure does no harm: then there will be events that concern nobody. */
void weir_cache_unregister(struct weir_cache *cache, uint64_t first, uint64_t last)
{
	bool shared;

	pthread_mutex_lock(&cache->watch_lock);
	pthread_mutex_lock(&cache->lock);
	shared = weir_cache_first_in(cache, first, last);
	pthread_mutex_unlock(&cache->lock);
	if (!shared)
		weir_userfaultfd_unregister(cache->sys, cache->watch_fd, first << cache->page_shift,
					    (last - first + 1) << cache->page_shift);
	pthread_mutex_unlock(&cache->watch_lock);
}

int weir_cache_watch_fd(struct weir_cache *cache)
{
	return cache->watch_fd >= 0 ? cache->watch_fd
				    : weir_fail(-EOPNOTSUPP, "the cache was opened without WEIR_CACHE_WATCH");
}

/* Returns how many changes there were, or an error. */
static int hear(struct weir_cache *cache)
{
	struct weir_memory_change changes[WEIR_MEMORY_CHANGES];
	int num;

	pthread_mutex_lock(&cache->lock);
	atomic_store(&cache->unsettled, true);
	num = weir_userfaultfd_read(cache->sys, cache->watch_fd, changes, WEIR_MEMORY_CHANGES);
	for (int i = 0; i < num; i++)
		weir_cache_kill_range(cache, changes[i].first >> cache->page_shift,
				      changes[i].last >> cache->page_shift, true);
	/* Nobody knows what would have been told. */
	if (num < 0 && num != -EINTR)
		weir_cache_kill_range(cache, 0, highest_page, false);
	atomic_store_explicit(&cache->unsettled, false, memory_order_release);
	pthread_mutex_unlock(&cache->lock);
	return num < 0 ? weir_fail(num, "reading what memory has changed: %s", strerror(-num)) : num;
}

int weir_cache_watch(struct weir_cache *cache, int timeout_ms)
{
	struct pollfd fd = { .fd = weir_cache_watch_fd(cache), .events = POLLIN };
	int ready;

	if (fd.fd < 0)
		return fd.fd;
	ready = timeout_ms ? cache->sys->poll(cache->sys->ctx, &fd, 1, timeout_ms) : 1;
	if (ready < 0)
		return weir_fail(ready, "waiting for changes of memory: %s", strerror(-ready));
	return ready ? hear(cache) : 0;
}
