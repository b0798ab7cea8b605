// SPDX-License-Identifier: MIT
/* Getting and putting. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "cache/cache.h"
#include "error.h"
#include "ioas/ioas.h"

/* What a get asks for. */
struct wanted {
	struct weir_cache_range range;
	uint64_t within; /* where in its first page it begins */
	uint32_t file;
	int fd;
	bool findable; /* what is found, or made, may be what others find */
};

/* What is to be mapped for it: more than it, where that takes the place of others. */
struct plan {
	struct weir_cache_range range;
	uint64_t generation; /* when that was decided */
	bool exact;          /* no more than is wanted */
};

static uint64_t bytes_of(const struct weir_cache *cache, const struct weir_cache_range *range)
{
	return (range->last - range->first + 1) << cache->page_shift;
}

static int read_request(const struct weir_cache *cache, uint64_t addr, uint64_t len, uint32_t flags,
			uint32_t file, struct wanted *ret_wanted)
{
	int error = weir_cache_pages(cache, file, addr, len, &ret_wanted->range);

	if (error)
		return error;
	if (flags & ~(WEIR_MAP_READ | WEIR_MAP_WRITE))
		return weir_fail(-EINVAL, "unknown flags %#x", flags);
	ret_wanted->range.prot = flags ? flags : WEIR_MAP_READ | WEIR_MAP_WRITE;
	ret_wanted->within = addr & (((uint64_t)1 << cache->page_shift) - 1);
	ret_wanted->file = file;
	return 0;
}

static void give(struct weir_cache *cache, const struct weir_entry *entry, const struct wanted *wanted,
		 struct weir_cached *ret_cached)
{
	uint64_t version = atomic_load_explicit(&entry->state, memory_order_relaxed) / WEIR_ENTRY_VERSION;
	uint64_t first = atomic_load_explicit(&entry->first, memory_order_relaxed);
	uint64_t offset = ((wanted->range.first - first) << cache->page_shift) + wanted->within;

	ret_cached->iova = atomic_load_explicit(&entry->iova, memory_order_relaxed) + offset;
	ret_cached->addr =
		(char *)(uintptr_t)atomic_load_explicit(&entry->addr, memory_order_relaxed) + offset;
	ret_cached->generation = atomic_load_explicit(&entry->generation, memory_order_relaxed);
	ret_cached->key = version << 32 | weir_cache_number(cache, entry);
}

/* The lock is held from here on --------------------------------------------------------------------------------------- */

static bool is_being_filled(const struct weir_cache *cache, const struct weir_cache_range *range)
{
	struct weir_entry *entry = weir_cache_first_in(cache, range->first, range->last);

	while (entry && !entry->filling)
		entry = entry->last < range->last ? weir_cache_first_in(cache, entry->last + 1, range->last)
						  : NULL;
	return entry;
}

/* Take the place of those that touch the range, with their pages unless something was invalidated since the first of them went. */
static void replace_others(struct weir_cache *cache, const struct wanted *wanted, struct plan *plan)
{
	struct weir_entry *entry;

	if (plan->exact || plan->generation != cache->info.generation) {
		plan->range = wanted->range;
		plan->generation = cache->info.generation;
	}
	while ((entry = weir_cache_first_in(cache, plan->range.first, plan->range.last))) {
		struct weir_cache_range both = { .prot = plan->range.prot | entry->prot };

		both.first = plan->range.first < entry->first ? plan->range.first : entry->first;
		both.last = plan->range.last > entry->last ? plan->range.last : entry->last;
		if (!plan->exact && bytes_of(cache, &both) <= cache->limit)
			plan->range = both;
		weir_cache_kill(cache, entry);
		cache->info.replacements++;
	}
}

static int refuse(struct weir_cache *cache, const struct wanted *wanted)
{
	uint64_t bytes = bytes_of(cache, &wanted->range);

	cache->info.refused++;
	if (bytes > cache->limit || cache->limit - bytes < cache->info.bytes)
		return weir_fail(-ENOSPC,
				 "%" PRIu64 " bytes more than the cache's limit of %" PRIu64
				 " would be in use: put something, or raise weir_cache_opts.limit",
				 cache->info.bytes + bytes - cache->limit, cache->limit);
	return weir_fail(-ENOSPC,
			 "all of the cache's %" PRIu32
			 " entries are in use: put something, or raise weir_cache_opts.most",
			 cache->most);
}

static bool is_exact(const struct wanted *wanted, const struct plan *plan)
{
	return plan->range.first == wanted->range.first && plan->range.last == wanted->range.last &&
	       plan->range.prot == wanted->range.prot;
}

/* There are no dead. Returns 0 when it is worth looking again, the lock having been given up or not; or -ENOSPC. */
static int make_room(struct weir_cache *cache, const struct wanted *wanted, struct plan *plan)
{
	uint64_t bytes = bytes_of(cache, &plan->range), left = cache->limit - cache->info.bytes;

	if (cache->leaving) {
		pthread_cond_wait(&cache->changed, &cache->lock);
		return 0;
	}
	if (weir_cache_evict(cache, bytes > left ? bytes - left : 0, 1) || cache->dead)
		return 0;
	if (is_exact(wanted, plan))
		return refuse(cache, wanted);
	plan->exact = true;
	return 0;
}

/* An entry that is held: one that was there, or a new one, to be filled. */
static int enter(struct weir_cache *cache, const struct wanted *wanted, struct plan *plan,
		 struct weir_entry **ret_entry)
{
	struct weir_entry *entry;
	int error = 0;

	while (!error) {
		entry = wanted->findable ? weir_cache_first_in(cache, wanted->range.first, wanted->range.last)
					 : NULL;
		if (entry && weir_entry_hold(cache, entry, &wanted->range)) {
			*ret_entry = entry;
			return 0;
		}
		if (wanted->findable && is_being_filled(cache, &plan->range)) {
			pthread_cond_wait(&cache->changed, &cache->lock);
			continue;
		}
		if (wanted->findable)
			replace_others(cache, wanted, plan);
		if (cache->dead) {
			weir_cache_reap(cache);
			continue;
		}
		if (bytes_of(cache, &plan->range) <= cache->limit - cache->info.bytes) {
			*ret_entry =
				weir_cache_new_entry(cache, &plan->range, wanted->file, wanted->findable);
			if (*ret_entry)
				return 0;
		}
		error = make_room(cache, wanted, plan);
	}
	return error;
}

/* The lock is given up meanwhile. */
static int fill(struct weir_cache *cache, const struct wanted *wanted, struct weir_entry *entry)
{
	struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = entry->prot | WEIR_MAP_OWN,
					      .address_bits = cache->address_bits);
	uint64_t first = entry->first, last = entry->last, len = weir_entry_bytes(cache, entry),
		 at = (first & (((uint64_t)1 << WEIR_CACHE_KEY_BITS) - 1)) << cache->page_shift;
	bool told = true, registered = false;
	struct weir_map *map = NULL;
	int error;

	pthread_mutex_unlock(&cache->lock);
	if (wanted->fd >= 0) {
		error = weir_ioas_map_own_file(cache->ioas, wanted->fd, at, len, &opts, &map);
	} else {
		if (wanted->findable && cache->watch_fd >= 0)
			told = registered = weir_cache_register(cache, first, last);
		error = weir_ioas_map_own(cache->ioas, (void *)(uintptr_t)at, len, &opts, &map);
	}
	pthread_mutex_lock(&cache->lock);
	entry->filling = false;
	if (error) {
		weir_cache_free_entry(cache, entry);
		pthread_mutex_unlock(&cache->lock);
		if (registered)
			weir_cache_unregister(cache, first, last);
		pthread_mutex_lock(&cache->lock);
		return error;
	}
	entry->map = map;
	entry->iova = weir_map_iova(map);
	entry->addr = (uintptr_t)weir_map_addr(map);
	entry->registered = registered && entry->in_tree;
	cache->info.misses++;
	if (entry->in_tree && told) {
		weir_cache_publish(cache, entry);
	} else {
		cache->info.uncached++;
		weir_cache_kill(cache, entry);
	}
	pthread_cond_broadcast(&cache->changed);
	return 0;
}

static int get_with_lock(struct weir_cache *cache, const struct wanted *wanted, struct weir_entry **ret_entry)
{
	struct plan plan = { .range = wanted->range, .generation = cache->info.generation };

	if (bytes_of(cache, &wanted->range) > cache->limit)
		return refuse(cache, wanted);
	for (;;) {
		int error = enter(cache, wanted, &plan, ret_entry);

		if (error || !(*ret_entry)->filling)
			return error;
		error = fill(cache, wanted, *ret_entry);
		if (!error)
			return 0;
		if (!is_exact(wanted, &plan))
			plan.exact = true;
		else if ((error == -ENOMEM || error == -ENOSPC) &&
			 (weir_cache_evict(cache, bytes_of(cache, &wanted->range), 1) || cache->dead))
			continue;
		else
			return error;
	}
}

static int get_slowly(struct weir_cache *cache, const struct wanted *wanted, struct weir_cached *ret_cached)
{
	struct weir_entry *entry = NULL;
	int error;

	pthread_mutex_lock(&cache->lock);
	error = get_with_lock(cache, wanted, &entry);
	pthread_mutex_unlock(&cache->lock);
	if (!error)
		give(cache, entry, wanted, ret_cached);
	return error;
}

/* Without the lock ------------------------------------------------------------------------------------------------------ */

int weir_cache_get(struct weir_cache *cache, const void *addr, uint64_t len, uint32_t flags,
		   struct weir_cached *ret_cached)
{
	struct wanted wanted = { .fd = -1 };
	struct weir_entry *entry = NULL;
	int error = read_request(cache, (uintptr_t)addr, len, flags, 0, &wanted);

	if (error)
		return error;
	wanted.findable = cache->watch_fd < 0 || weir_cache_settle(cache);
	if (wanted.findable)
		entry = weir_cache_find(cache, &wanted.range);
	if (!entry)
		return get_slowly(cache, &wanted, ret_cached);
	give(cache, entry, &wanted, ret_cached);
	return 0;
}

int weir_cache_identify(const struct weir_cache *cache, int fd, uint64_t *ret_dev, uint64_t *ret_ino)
{
	struct stat stat;
	int error = cache->sys->fstat(cache->sys->ctx, fd, &stat);

	if (error)
		return weir_fail(error, "descriptor %d: %s", fd, strerror(-error));
	*ret_dev = stat.st_dev;
	*ret_ino = stat.st_ino;
	return 0;
}

/* What is found may allow more than this descriptor does. */
static int check_mode(const struct weir_cache *cache, int fd, uint32_t flags)
{
	int mode = cache->sys->fcntl(cache->sys->ctx, fd, F_GETFL, 0);

	if (mode < 0)
		return weir_fail(mode, "descriptor %d: %s", fd, strerror(-mode));
	mode &= O_ACCMODE;
	if (mode == O_WRONLY || (mode == O_RDONLY && (!flags || (flags & WEIR_MAP_WRITE))))
		return weir_fail(-EACCES, "the file is open for %s only, and devices are to do more",
				 mode == O_WRONLY ? "writing" : "reading");
	return 0;
}

int weir_cache_get_file(struct weir_cache *cache, int fd, uint64_t offset, uint64_t len, uint32_t flags,
			struct weir_cached *ret_cached)
{
	struct wanted wanted = { .fd = fd };
	uint64_t dev = 0, ino = 0;
	int error = weir_cache_identify(cache, fd, &dev, &ino);
	uint32_t file;

	if (!error)
		error = check_mode(cache, fd, flags);
	if (error)
		return error;
	pthread_mutex_lock(&cache->lock);
	file = weir_cache_file_number(cache, dev, ino, true);
	if (file)
		weir_cache_file_use(cache, file, 1);
	pthread_mutex_unlock(&cache->lock);
	error = read_request(cache, offset, len, flags, file, &wanted);
	wanted.findable = file;
	if (!error) {
		struct weir_entry *entry = file ? weir_cache_find(cache, &wanted.range) : NULL;

		if (entry)
			give(cache, entry, &wanted, ret_cached);
		else
			error = get_slowly(cache, &wanted, ret_cached);
	}
	if (!file)
		return error;
	pthread_mutex_lock(&cache->lock);
	weir_cache_file_use(cache, file, -1);
	pthread_mutex_unlock(&cache->lock);
	return error;
}

/* The entry that a handle is for, and its state; NULL: it is for none. */
static struct weir_entry *held_entry(struct weir_cache *cache, const struct weir_cached *cached,
				     uint64_t *ret_state)
{
	uint32_t number = (uint32_t)cached->key;
	struct weir_entry *entry;

	if (!number || number > cache->most)
		return NULL;
	entry = weir_cache_entry(cache, number);
	*ret_state = atomic_load_explicit(&entry->state, memory_order_acquire);
	return *ret_state / WEIR_ENTRY_VERSION == cached->key >> 32 && (*ret_state & WEIR_ENTRY_HOLDS) ? entry
												       : NULL;
}

int weir_cache_put(struct weir_cache *cache, const struct weir_cached *cached)
{
	struct weir_entry *entry;
	uint64_t state = 0;
	int error;

	do {
		entry = held_entry(cache, cached, &state);
		if (!entry)
			return weir_fail(-EINVAL, "this is not held: it was put already?");
	} while (!atomic_compare_exchange_weak_explicit(&entry->state, &state, state - WEIR_ENTRY_HOLD,
							memory_order_acq_rel, memory_order_relaxed));
	if ((state & WEIR_ENTRY_LIVE) || (state & WEIR_ENTRY_HOLDS) != WEIR_ENTRY_HOLD)
		return 0;
	pthread_mutex_lock(&cache->lock);
	weir_cache_bury(cache, entry);
	error = weir_cache_reap(cache);
	pthread_mutex_unlock(&cache->lock);
	return error;
}

bool weir_cache_current(struct weir_cache *cache, const struct weir_cached *cached)
{
	uint64_t state = 0;

	if (cache->watch_fd >= 0 && !weir_cache_settle(cache))
		return false;
	return held_entry(cache, cached, &state) && (state & WEIR_ENTRY_LIVE);
}
