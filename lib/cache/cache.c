// SPDX-License-Identifier: MIT
/* Registration caches: opened, asked, told what is out of date, and closed. */
#include "cache/cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "ioas/ioas.h"
#include "kernel/userfaultfd.h"

static int read_opts(const struct weir_cache_opts *opts, struct weir_cache_opts *ret_opts)
{
	struct weir_cache_opts *o = ret_opts;
	int error = weir_opts_read(opts, o, sizeof(*o));

	if (error)
		return error;
	if ((o->flags & ~(WEIR_CACHE_WATCH | WEIR_CACHE_LAX)) || o->reserved)
		return weir_fail(-EINVAL, "unknown flags %#x", o->flags);
	if (o->flags == WEIR_CACHE_LAX)
		return weir_fail(-EINVAL, "WEIR_CACHE_LAX is about a cache with WEIR_CACHE_WATCH");
	if (o->address_bits && (o->address_bits < 12 || o->address_bits > 64))
		return weir_fail(-EINVAL, "address_bits is %u; it can be 12 to 64", o->address_bits);
	if (o->most > WEIR_CACHE_MOST)
		return weir_fail(-EINVAL, "%u entries: it can have %u at most", o->most, WEIR_CACHE_MOST);
	if (!o->most)
		o->most = 65536;
	if (!o->limit)
		o->limit = UINT64_MAX;
	return 0;
}

static void free_cache(struct weir_cache *cache)
{
	if (cache->watch_fd >= 0)
		cache->sys->close(cache->sys->ctx, cache->watch_fd);
	pthread_cond_destroy(&cache->changed);
	pthread_mutex_destroy(&cache->lock);
	pthread_mutex_destroy(&cache->watch_lock);
	free(cache->files);
	free(cache->memory);
	free((void *)cache->slots);
	free(cache);
}

/* A hit at random costs two misses of the processor's cache; large pages spare it those of the TLB, where there are any. */
static void prefer_huge(void *memory, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE),
		  from = ((uintptr_t)memory + page - 1) & ~(page - 1);

	if (size >= 1 << 21)
		madvise((void *)from, size - (from - (uintptr_t)memory), MADV_HUGEPAGE);
}

static struct weir_cache *new_cache(struct weir_ioas *ioas, const struct weir_cache_opts *o)
{
	struct weir_cache *cache = aligned_alloc(64, sizeof(*cache));

	if (!cache)
		return NULL;
	memset(cache, 0, sizeof(*cache));
	cache->ioas = ioas;
	cache->sys = ioas->host->kernel.sys;
	cache->page_shift = (uint32_t)__builtin_ctzll(ioas->page_size);
	cache->watch_fd = -1;
	cache->flags = o->flags;
	cache->limit = o->limit;
	cache->most = o->most;
	cache->most_files = o->most < WEIR_CACHE_FILES - 1 ? o->most : WEIR_CACHE_FILES - 1;
	cache->address_bits = o->address_bits;
	/* Three hints an entry; a quarter of the slots stays empty. */
	cache->slot_shift = (uint32_t)__builtin_clz(4 * o->most - 1);
	pthread_mutex_init(&cache->watch_lock, NULL);
	pthread_mutex_init(&cache->lock, NULL);
	pthread_cond_init(&cache->changed, NULL);
	cache->slots =
		(_Atomic uint64_t *)calloc((size_t)1 << (32 - cache->slot_shift), sizeof(*cache->slots));
	/* Zeros, of which a large piece takes no memory before it is used; and they begin at a multiple of 64. */
	cache->memory = calloc((size_t)o->most + 1, sizeof(*cache->entries));
	cache->entries = (struct weir_entry *)(((uintptr_t)cache->memory + 63) & ~(uintptr_t)63);
	cache->files = calloc(cache->most_files, sizeof(*cache->files));
	if (cache->slots && cache->memory && cache->files) {
		prefer_huge((void *)cache->slots, sizeof(uint64_t) << (32 - cache->slot_shift));
		prefer_huge(cache->memory, o->most * sizeof(*cache->entries));
		return cache;
	}
	free_cache(cache);
	return NULL;
}

int weir_cache_open(struct weir_ioas *ioas, const struct weir_cache_opts *opts, struct weir_cache **ret_cache)
{
	struct weir_cache_opts o;
	struct weir_cache *cache;
	int error = read_opts(opts, &o);

	if (error)
		return error;
	cache = new_cache(ioas, &o);
	if (!cache)
		return weir_fail(-ENOMEM, "no memory for a cache of %u entries", o.most);
	if (o.flags & WEIR_CACHE_WATCH)
		cache->watch_fd = weir_userfaultfd_open(cache->sys);
	if ((o.flags & WEIR_CACHE_WATCH) && cache->watch_fd < 0) {
		error = cache->watch_fd;
		free_cache(cache);
		return error;
	}
	*ret_cache = cache;
	return 0;
}

static uint32_t num_held(const struct weir_cache *cache)
{
	uint32_t held = 0;

	for (uint32_t i = 1; i <= cache->used; i++)
		held += (weir_cache_entry(cache, i)->state & WEIR_ENTRY_HOLDS) != 0;
	return held;
}

int weir_cache_close(struct weir_cache *cache)
{
	struct weir_entry *entry;
	uint32_t held;
	int error;

	if (!cache)
		return 0;
	pthread_mutex_lock(&cache->lock);
	held = num_held(cache);
	if (held) {
		pthread_mutex_unlock(&cache->lock);
		return weir_fail(-EBUSY, "%" PRIu32 " of the cache's mappings are held: put them first",
				 held);
	}
	while ((entry = weir_cache_first_in(cache, 0, UINT64_MAX))) {
		entry->registered = false; /* that ends with the descriptor */
		weir_cache_kill(cache, entry);
	}
	error = weir_cache_reap(cache);
	pthread_mutex_unlock(&cache->lock);
	free_cache(cache);
	return error;
}

int weir_cache_pages(const struct weir_cache *cache, uint32_t file, uint64_t addr, uint64_t len,
		     struct weir_cache_range *ret_range)
{
	uint64_t space = (uint64_t)file << WEIR_CACHE_KEY_BITS, last = addr + len - 1;

	if (!len)
		return weir_fail(-EINVAL, "a range of no bytes");
	if (last < addr || last >> cache->page_shift >> WEIR_CACHE_KEY_BITS)
		return weir_fail(-EOVERFLOW, "%" PRIu64 " bytes at %#" PRIx64 " go beyond the end", len,
				 addr);
	ret_range->first = space | addr >> cache->page_shift;
	ret_range->last = space | last >> cache->page_shift;
	return 0;
}

static int invalidate(struct weir_cache *cache, const struct weir_cache_range *range,
		      uint64_t *ret_generation)
{
	int error;

	pthread_mutex_lock(&cache->lock);
	weir_cache_kill_range(cache, range->first, range->last, false);
	if (ret_generation)
		*ret_generation = cache->info.generation;
	error = weir_cache_reap(cache);
	pthread_mutex_unlock(&cache->lock);
	return error;
}

/* From @at on to the end of what can be told apart. */
static uint64_t all_from(const struct weir_cache *cache, uint64_t at)
{
	uint64_t end = (uint64_t)1 << (WEIR_CACHE_KEY_BITS + cache->page_shift);

	return at < end ? end - at : 1;
}

int weir_cache_invalidate(struct weir_cache *cache, const void *addr, uint64_t len, uint64_t *ret_generation)
{
	struct weir_cache_range range;
	int error =
		weir_cache_pages(cache, 0, len ? (uintptr_t)addr : 0, len ? len : all_from(cache, 0), &range);

	return error ? error : invalidate(cache, &range, ret_generation);
}

int weir_cache_invalidate_file(struct weir_cache *cache, int fd, uint64_t offset, uint64_t len,
			       uint64_t *ret_generation)
{
	struct weir_cache_range range;
	uint64_t dev = 0, ino = 0;
	uint32_t file;
	int error = weir_cache_identify(cache, fd, &dev, &ino);

	if (error)
		return error;
	pthread_mutex_lock(&cache->lock);
	file = weir_cache_file_number(cache, dev, ino, false);
	pthread_mutex_unlock(&cache->lock);
	error = weir_cache_pages(cache, file, offset, len ? len : all_from(cache, offset), &range);
	if (error)
		return error;
	/* Nothing is known of the file: what it has not got goes, and a generation begins all the same. */
	if (!file)
		range = (struct weir_cache_range){ .first = UINT64_MAX, .last = UINT64_MAX };
	return invalidate(cache, &range, ret_generation);
}

int weir_cache_trim(struct weir_cache *cache, uint64_t bytes)
{
	int error;

	pthread_mutex_lock(&cache->lock);
	if (cache->info.bytes > bytes)
		weir_cache_evict(cache, cache->info.bytes - bytes, 0);
	error = weir_cache_reap(cache);
	pthread_mutex_unlock(&cache->lock);
	return error;
}

int weir_cache_info(struct weir_cache *cache, struct weir_cache_info *ret_info, size_t size)
{
	struct weir_cache_info info;

	pthread_mutex_lock(&cache->lock);
	info = cache->info;
	info.hits = cache->hits;
	for (uint32_t i = 1; i <= cache->used; i++)
		info.hits += (weir_cache_entry(cache, i)->state & WEIR_ENTRY_HITS) / WEIR_ENTRY_HIT;
	pthread_mutex_unlock(&cache->lock);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}
