// SPDX-License-Identifier: MIT
/* Entries: found, published, killed, evicted, and used again. */
#include "cache/cache.h"
#include "error.h"

/* Frames of a range: as large as the largest power of two that is no longer than it, so that it touches three at most. */
static uint32_t class_of(uint64_t first, uint64_t last)
{
	return 63 - (uint32_t)__builtin_clzll(last - first + 1);
}

/* The hash of a page's frame, of which the upper bits say where it belongs. */
static uint32_t tag_of(uint64_t page, uint32_t class)
{
	return (uint32_t)(((page >> class) + ((uint64_t) class << 56)) * 0x9e3779b97f4a7c15 >> 32);
}

static uint32_t num_slots(const struct weir_cache *cache)
{
	return (uint32_t)1 << (32 - cache->slot_shift);
}

bool weir_entry_hold(struct weir_cache *cache, struct weir_entry *entry, const struct weir_cache_range *range)
{
	uint64_t state = atomic_load_explicit(&entry->state, memory_order_acquire), held;

	do {
		if (!(state & WEIR_ENTRY_LIVE) ||
		    atomic_load_explicit(&entry->first, memory_order_acquire) > range->first ||
		    atomic_load_explicit(&entry->last, memory_order_acquire) < range->last ||
		    (range->prot & ~atomic_load_explicit(&entry->prot, memory_order_acquire)) ||
		    (state & WEIR_ENTRY_HOLDS) == WEIR_ENTRY_HOLDS)
			return false;
		held = (state | WEIR_ENTRY_REFERENCED) + WEIR_ENTRY_HOLD;
		held = (state & WEIR_ENTRY_HITS) == WEIR_ENTRY_HITS ? held & ~WEIR_ENTRY_HITS
								    : held + WEIR_ENTRY_HIT;
	} while (!atomic_compare_exchange_weak_explicit(&entry->state, &state, held, memory_order_acq_rel,
							memory_order_acquire));
	if (!(held & WEIR_ENTRY_HITS))
		atomic_fetch_add_explicit(&cache->hits, WEIR_ENTRY_HITS / WEIR_ENTRY_HIT + 1,
					  memory_order_relaxed);
	return true;
}

/* The hints of one frame. */
static struct weir_entry *find_in_frame(struct weir_cache *cache, const struct weir_cache_range *range,
					uint32_t class)
{
	uint32_t tag = tag_of(range->first, class), mask = num_slots(cache) - 1;

	for (uint32_t i = tag >> cache->slot_shift;; i++) {
		uint64_t slot = atomic_load_explicit(&cache->slots[i & mask], memory_order_acquire);

		if (!slot)
			return NULL;
		if (slot >> 32 == tag) {
			struct weir_entry *entry = weir_cache_entry(cache, (uint32_t)slot);

			if (weir_entry_hold(cache, entry, range))
				return entry;
		}
	}
}

struct weir_entry *weir_cache_find(struct weir_cache *cache, const struct weir_cache_range *range)
{
	uint64_t classes = atomic_load_explicit(&cache->classes, memory_order_acquire);

	/* An entry that has the range is no shorter; most often it is as long. */
	classes &= ~(uint64_t)0 << class_of(range->first, range->last);
	for (; classes; classes &= classes - 1) {
		struct weir_entry *entry = find_in_frame(cache, range, (uint32_t)__builtin_ctzll(classes));

		if (entry)
			return entry;
	}
	return NULL;
}

/* Changes of the hints. With the lock ------------------------------------------------------------------------------ */

static void add_hint(struct weir_cache *cache, uint32_t tag, uint32_t number)
{
	uint32_t i = tag >> cache->slot_shift, mask = num_slots(cache) - 1;

	while (cache->slots[i & mask])
		i++;
	atomic_store_explicit(&cache->slots[i & mask], (uint64_t)tag << 32 | number, memory_order_release);
}

/* What comes after a gap and belongs before it moves into it. A reader may miss it meanwhile, and looks into the tree then. */
static void remove_hint(struct weir_cache *cache, uint32_t tag, uint32_t number)
{
	uint32_t mask = num_slots(cache) - 1, gap = tag >> cache->slot_shift;
	uint64_t slot;

	while (cache->slots[gap] != ((uint64_t)tag << 32 | number))
		gap = (gap + 1) & mask;
	for (uint32_t i = (gap + 1) & mask; (slot = cache->slots[i]); i = (i + 1) & mask) {
		uint32_t home = (uint32_t)(slot >> 32) >> cache->slot_shift;

		if (((i - home) & mask) >= ((i - gap) & mask)) {
			atomic_store_explicit(&cache->slots[gap], slot, memory_order_release);
			gap = i;
		}
	}
	atomic_store_explicit(&cache->slots[gap], 0, memory_order_release);
}

static void change_hints(struct weir_cache *cache, const struct weir_entry *entry,
			 void (*change)(struct weir_cache *cache, uint32_t tag, uint32_t number))
{
	uint32_t class = class_of(entry->first, entry->last);
	uint64_t frames = (entry->last >> class) - (entry->first >> class) + 1;

	for (uint64_t i = 0; i < frames; i++)
		change(cache, tag_of(entry->first + (i << class), class), weir_cache_number(cache, entry));
}

void weir_cache_publish(struct weir_cache *cache, struct weir_entry *entry)
{
	uint32_t class = class_of(entry->first, entry->last);

	atomic_fetch_or_explicit(&entry->state, WEIR_ENTRY_LIVE, memory_order_release);
	change_hints(cache, entry, add_hint);
	if (!cache->in_class[class]++)
		atomic_fetch_or_explicit(&cache->classes, (uint64_t)1 << class, memory_order_release);
}

static void remove_hints(struct weir_cache *cache, const struct weir_entry *entry)
{
	uint32_t class = class_of(entry->first, entry->last);

	change_hints(cache, entry, remove_hint);
	if (!--cache->in_class[class])
		atomic_fetch_and_explicit(&cache->classes, ~((uint64_t)1 << class), memory_order_release);
}

/* Entries ---------------------------------------------------------------------------------------------------------- */

static struct weir_entry *entry_of(struct weir_tree_node *node)
{
	return (struct weir_entry *)((char *)node - offsetof(struct weir_entry, node));
}

struct weir_entry *weir_cache_first_in(const struct weir_cache *cache, uint64_t first, uint64_t last)
{
	struct weir_tree_node *node = weir_tree_at_or_below(&cache->tree, first);

	if (node && entry_of(node)->last >= first)
		return entry_of(node);
	node = weir_tree_at_or_above(&cache->tree, first);
	return node && node->key <= last ? entry_of(node) : NULL;
}

static uint32_t take_number(struct weir_cache *cache)
{
	uint32_t number = cache->free;

	if (number)
		cache->free = weir_cache_entry(cache, number)->next;
	else if (cache->used < cache->most)
		number = ++cache->used;
	return number;
}

struct weir_entry *weir_cache_new_entry(struct weir_cache *cache, const struct weir_cache_range *range,
					uint32_t file, bool tree)
{
	uint32_t number = take_number(cache);
	struct weir_entry *entry = number ? weir_cache_entry(cache, number) : NULL;
	uint64_t state;

	if (!entry)
		return NULL;
	state = entry->state;
	atomic_fetch_add_explicit(&cache->hits, (state & WEIR_ENTRY_HITS) / WEIR_ENTRY_HIT,
				  memory_order_relaxed);
	/* The version comes before what belongs to it. */
	entry->state = (state & ~(WEIR_ENTRY_VERSION - 1)) + WEIR_ENTRY_VERSION + WEIR_ENTRY_HOLD;
	entry->first = range->first;
	entry->last = range->last;
	entry->prot = range->prot;
	entry->generation = cache->info.generation;
	entry->map = NULL;
	entry->file = file;
	entry->filling = true;
	entry->registered = false;
	entry->in_tree = tree;
	entry->node.key = range->first;
	if (tree)
		weir_tree_insert(&cache->tree, &entry->node);
	if (file)
		weir_cache_file_use(cache, file, 1);
	cache->info.entries++;
	cache->info.bytes += weir_entry_bytes(cache, entry);
	return entry;
}

static void leave_tree(struct weir_cache *cache, struct weir_entry *entry)
{
	if (entry->in_tree)
		weir_tree_remove(&cache->tree, &entry->node);
	entry->in_tree = false;
}

void weir_cache_free_entry(struct weir_cache *cache, struct weir_entry *entry)
{
	leave_tree(cache, entry);
	if (entry->file)
		weir_cache_file_use(cache, entry->file, -1);
	cache->info.entries--;
	cache->info.bytes -= weir_entry_bytes(cache, entry);
	atomic_fetch_and_explicit(&entry->state, ~WEIR_ENTRY_HOLDS, memory_order_relaxed);
	entry->filling = false;
	entry->next = cache->free;
	cache->free = weir_cache_number(cache, entry);
	pthread_cond_broadcast(&cache->changed);
}

void weir_cache_bury(struct weir_cache *cache, struct weir_entry *entry)
{
	entry->next = cache->dead;
	cache->dead = weir_cache_number(cache, entry);
}

void weir_cache_kill(struct weir_cache *cache, struct weir_entry *entry)
{
	uint64_t state = atomic_fetch_and_explicit(&entry->state, ~WEIR_ENTRY_LIVE, memory_order_acq_rel);

	if (state & WEIR_ENTRY_LIVE)
		remove_hints(cache, entry);
	leave_tree(cache, entry);
	if (!(state & WEIR_ENTRY_HOLDS))
		weir_cache_bury(cache, entry);
}

void weir_cache_kill_range(struct weir_cache *cache, uint64_t first, uint64_t last, bool gone)
{
	struct weir_entry *entry;

	cache->info.generation++;
	while ((entry = weir_cache_first_in(cache, first, last))) {
		if (gone)
			entry->registered = false;
		cache->info.invalidations++;
		weir_cache_kill(cache, entry);
	}
}

/* The clock's hand comes by. Whether it took the entry. */
static bool strike(struct weir_cache *cache, struct weir_entry *entry)
{
	uint64_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);

	if (!(state & WEIR_ENTRY_LIVE) || (state & WEIR_ENTRY_HOLDS))
		return false;
	if (state & WEIR_ENTRY_REFERENCED) {
		atomic_fetch_and_explicit(&entry->state, ~WEIR_ENTRY_REFERENCED, memory_order_relaxed);
		return false;
	}
	if (!atomic_compare_exchange_strong_explicit(&entry->state, &state, state & ~WEIR_ENTRY_LIVE,
						     memory_order_acq_rel, memory_order_relaxed))
		return false;
	remove_hints(cache, entry);
	leave_tree(cache, entry);
	weir_cache_bury(cache, entry);
	cache->info.evictions++;
	return true;
}

bool weir_cache_evict(struct weir_cache *cache, uint64_t bytes, uint32_t num)
{
	uint64_t evicted = 0;
	uint32_t evicted_num = 0;

	/* The first time round, what was found since the last one is spared. */
	for (uint64_t i = 0; i < 2 * (uint64_t)cache->used && (evicted < bytes || evicted_num < num); i++) {
		struct weir_entry *entry;

		cache->hand = cache->hand < cache->used ? cache->hand + 1 : 1;
		entry = weir_cache_entry(cache, cache->hand);
		if (strike(cache, entry)) {
			evicted += weir_entry_bytes(cache, entry);
			evicted_num++;
		}
	}
	return evicted >= bytes && evicted_num >= num;
}

int weir_cache_reap(struct weir_cache *cache)
{
	struct weir_first first = { 0 };

	while (cache->dead) {
		struct weir_entry *entry = weir_cache_entry(cache, cache->dead);
		int error;

		cache->dead = entry->next;
		cache->leaving++;
		pthread_mutex_unlock(&cache->lock);
		if (entry->registered)
			weir_cache_unregister(cache, entry->first, entry->last);
		error = weir_map_close(entry->map);
		weir_first_note(&first, error);
		pthread_mutex_lock(&cache->lock);
		cache->leaving--;
		if (error)
			cache->info.lost_bytes += weir_entry_bytes(cache, entry);
		weir_cache_free_entry(cache, entry);
	}
	return weir_first_error(&first);
}
