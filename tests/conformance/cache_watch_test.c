// SPDX-License-Identifier: MIT
/* The registration cache, told by the kernel what is out of date. */
#include "conformance/cached.h"
#include "conformance/dma.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define WATCHED (&WEIR_OPTS(weir_cache_opts, .flags = WEIR_CACHE_WATCH, .address_bits = EDU0_BITS))
#define LAX                                                                                                  \
	(&WEIR_OPTS(weir_cache_opts, .flags = WEIR_CACHE_WATCH | WEIR_CACHE_LAX, .address_bits = EDU0_BITS))

/* A thread changes memory while this one watches. */
struct change {
	void (*make)(unsigned char *memory);
	unsigned char *memory;
	pthread_t thread;
	atomic_bool over;
};

static void *make_change(void *arg)
{
	struct change *change = arg;

	change->make(change->memory);
	change->over = true;
	return NULL;
}

static void begin_change(struct t *t, struct change *change)
{
	(void)t;
	ASSERT_EQ(pthread_create(&change->thread, NULL, make_change, change), 0);
}

static void watch_change(struct weir_cache *cache, struct change *change)
{
	while (!change->over)
		weir_cache_watch(cache, 1);
	pthread_join(change->thread, NULL);
}

static void watched(struct t *t, struct weir_cache *cache, void (*make)(unsigned char *memory),
		    unsigned char *memory)
{
	struct change change = { .make = make, .memory = memory };

	begin_change(t, &change);
	watch_change(cache, &change);
}

static void map_over(unsigned char *memory)
{
	if (mmap(memory, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	    memory)
		FAIL("mmap");
}

static void unmap_and_map(unsigned char *memory)
{
	if (munmap(memory, PAGE))
		FAIL("munmap");
	map_over(memory);
}

static void empty(unsigned char *memory)
{
	if (madvise(memory, PAGE, MADV_DONTNEED))
		FAIL("MADV_DONTNEED");
}

/* The page goes elsewhere, and another takes its place. */
static void move(unsigned char *memory)
{
	void *moved = mremap(memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + 8 * PAGE);

	if (moved != memory + 8 * PAGE)
		FAIL("mremap");
	map_over(memory);
}

static void (*const changes[])(unsigned char *memory) = { map_over, unmap_and_map, empty, move };

static void check_changes(struct t *t, const struct weir_cache_opts *opts)
{
	unsigned char *memory = new_memory(t, 16 * PAGE, 0x11);
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_cache *cache = new_cache(t, ioas, opts);

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct weir_cached cached;

		t_note(t, "change %zu", i);
		memory[0] = 1;
		put(t, cache, got(t, cache, memory, PAGE));
		put(t, cache, got(t, cache, memory + 2 * PAGE, PAGE));
		watched(t, cache, changes[i], memory);
		EXPECT_FALSE(is_found(t, cache, memory, PAGE));
		cached = got(t, cache, memory, PAGE);
		EXPECT_TRUE(dma_reaches(t, edu, cached.iova, memory, PAGE));
		put(t, cache, cached);
	}
	EXPECT_EQ(cache_info(cache).uncached, 0);
	/* What was made of no use is not mapped any more; what was not touched is found. */
	EXPECT_EQ(cache_info(cache).entries, 2);
}

CONFORMANCE(cache_watch, memory_that_is_not_what_it_was_is_not_found, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	record_no_calls(t);
	check_changes(t, WATCHED);
}

CONFORMANCE(cache_watch, so_it_is_without_asking_each_time, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	record_no_calls(t);
	check_changes(t, LAX);
}

static void punch(unsigned char *memory)
{
	if (madvise(memory, PAGE, MADV_REMOVE))
		FAIL("MADV_REMOVE");
}

static void unmap(unsigned char *memory)
{
	if (munmap(memory, PAGE))
		FAIL("munmap");
}

CONFORMANCE(cache_watch, memory_of_files_is_watched_too, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_cache *cache = new_cache(t, ioas, WATCHED);
	unsigned char *memory =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct weir_cached cached;

	record_no_calls(t);
	ASSERT_TRUE(memory != MAP_FAILED);
	memset(memory, 0x22, 2 * PAGE);
	put(t, cache, got(t, cache, memory, PAGE));
	watched(t, cache, punch, memory);
	EXPECT_FALSE(is_found(t, cache, memory, PAGE));
	cached = got(t, cache, memory, PAGE);
	EXPECT_TRUE(dma_reaches(t, edu, cached.iova, memory, PAGE));
	put(t, cache, cached);
	watched(t, cache, unmap, memory);
	watched(t, cache, unmap, memory + PAGE);
}

CONFORMANCE(cache_watch, what_is_held_lives_on_when_its_memory_goes, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	unsigned char *memory = new_memory(t, 4 * PAGE, 0x11);
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_cache *cache = new_cache(t, ioas, WATCHED);
	struct weir_cached held = got(t, cache, memory, PAGE);
	unsigned char expected[64];

	record_no_calls(t);
	memset(expected, 0x11, sizeof(expected));
	EXPECT_TRUE(weir_cache_current(cache, &held));
	watched(t, cache, map_over, memory);
	EXPECT_FALSE(weir_cache_current(cache, &held));
	EXPECT_EQ(memory[0], 0);
	/* The simulated IOMMU goes by addresses: only a real one still has the page. */
	if (strncmp(t->host->name, "sim-", 4) != 0 &&
	    !dma_reads(t, edu, held.iova, expected, sizeof(expected)))
		FAIL("the page is not what it was");
	put(t, cache, held);
	EXPECT_EQ(cache_info(cache).entries, 0);
}

/* Nobody watches for a while: the change is made, and its call has not returned. */
static void wait_for_event(struct t *t, struct weir_cache *cache)
{
	struct pollfd fd = { .fd = weir_cache_watch_fd(cache), .events = POLLIN };

	(void)t;
	ASSERT_EQ(poll(&fd, 1, 10000), 1);
}

CONFORMANCE(cache_watch, what_is_about_to_be_told_is_not_found, NEEDS(EDU0, LOCKED_MEMORY))
{
	unsigned char *memory = new_memory(t, 16 * PAGE, 0x11);
	struct weir_cache *cache = new_cache(t, new_ioas(t), WATCHED);
	struct change change = { .make = map_over, .memory = memory };

	record_no_calls(t);
	put(t, cache, got(t, cache, memory, PAGE));
	put(t, cache, got(t, cache, memory + 2 * PAGE, PAGE));
	EXPECT_TRUE(is_found(t, cache, memory, PAGE));
	begin_change(t, &change);
	wait_for_event(t, cache);
	EXPECT_FALSE(change.over);
	/* Mapped for once: nobody can tell yet what has changed. */
	EXPECT_FALSE(is_found(t, cache, memory, PAGE));
	EXPECT_FALSE(is_found(t, cache, memory + 2 * PAGE, PAGE));
	EXPECT_EQ(cache_info(cache).uncached, 2);
	EXPECT_EQ(cache_info(cache).entries, 2);
	watch_change(cache, &change);
	EXPECT_TRUE(is_found(t, cache, memory + 2 * PAGE, PAGE));
	EXPECT_FALSE(is_found(t, cache, memory, PAGE));
	EXPECT_TRUE(is_found(t, cache, memory, PAGE));
}

CONFORMANCE(cache_watch, the_watching_thread_itself_unmaps_nothing, NEEDS(EDU0, LOCKED_MEMORY))
{
	unsigned char *memory = new_memory(t, 16 * PAGE, 0x11);
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_cache *cache = new_cache(t, ioas, WATCHED);

	record_no_calls(t);
	put(t, cache, got(t, cache, memory, PAGE));
	watched(t, cache, empty, memory);
	EXPECT_EQ(info_of(ioas).num_mappings, 1);
	EXPECT_EQ(cache_info(cache).invalidations, 1);
	EXPECT_OK(weir_cache_trim(cache, UINT64_MAX));
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
	EXPECT_EQ(weir_cache_watch(cache, 0), 0);
	EXPECT_EQ(weir_cache_watch(cache, 1), 0);
}

/* Nobody watches any more, and nothing waits: what is not in the cache now is not watched either. */
CONFORMANCE(cache_watch, memory_that_has_left_the_cache_is_not_watched, NEEDS(EDU0, LOCKED_MEMORY))
{
	unsigned char *memory = new_memory(t, 16 * PAGE, 0x11);
	struct weir_cache *cache = new_cache(t, new_ioas(t), WATCHED);

	put(t, cache, got(t, cache, memory, 4 * PAGE));
	EXPECT_OK(weir_cache_trim(cache, 0));
	EXPECT_EQ(madvise(memory, 16 * PAGE, MADV_DONTNEED), 0);
	put(t, cache, got(t, cache, memory, 4 * PAGE));
	EXPECT_OK(weir_cache_invalidate(cache, memory, PAGE, NULL));
	EXPECT_EQ(madvise(memory, 16 * PAGE, MADV_DONTNEED), 0);
	EXPECT_EQ(memory[0], 0);
}

static void detach(void *memory)
{
	shmdt(memory);
}

CONFORMANCE(cache_watch, memory_that_cannot_be_watched_is_mapped_for_once, NEEDS(EDU0, LOCKED_MEMORY))
{
	int id = shmget(IPC_PRIVATE, PAGE, 0600);
	unsigned char *memory = shmat(id, NULL, 0);
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_cache *cache = new_cache(t, ioas, WATCHED);

	shmctl(id, IPC_RMID, NULL);
	ASSERT_TRUE((intptr_t)memory != -1);
	t_defer(t, detach, memory);
	EXPECT_FALSE(is_found(t, cache, memory, PAGE));
	EXPECT_FALSE(is_found(t, cache, memory, PAGE));
	EXPECT_EQ(cache_info(cache).uncached, 2);
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

CONFORMANCE(cache_watch, what_a_child_does_with_its_memory_does_not_matter, NEEDS(EDU0, LOCKED_MEMORY))
{
	unsigned char *memory = new_memory(t, 4 * PAGE, 0x11);
	struct weir_cache *cache = new_cache(t, new_ioas(t), WATCHED);
	int status = -1;
	pid_t child;

	put(t, cache, got(t, cache, memory, PAGE));
	child = fork();
	if (!child)
		_exit(munmap(memory, PAGE) ? 1 : 0);
	ASSERT_TRUE(child > 0);
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(weir_cache_watch(cache, 0), 0);
	EXPECT_TRUE(is_found(t, cache, memory, PAGE));
}

/* Threads each have a slot of memory, unmap and map it again and again, and look whether they are given what is theirs. */
enum { SLOTS = 3, ROUNDS = 150 };

struct storm {
	struct weir_cache *cache;
	unsigned char *memory;
	atomic_uint next, over, wrong;
};

static bool turn(struct storm *storm, unsigned char *slot)
{
	struct weir_cached cached, again;
	bool right = true;

	if (weir_cache_get(storm->cache, slot, PAGE, 0, &cached))
		return false;
	if (weir_cache_get(storm->cache, slot + 1, 1, 0, &again)) {
		weir_cache_put(storm->cache, &cached);
		return false;
	}
	right = !weir_cache_put(storm->cache, &cached) && right;
	right = !weir_cache_put(storm->cache, &again) && right;
	if (mmap(slot, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != slot)
		return false;
	/* Whoever has it now has it in vain. */
	return !weir_cache_current(storm->cache, &cached) && right;
}

static void *stormer(void *arg)
{
	struct storm *storm = arg;
	unsigned char *slot = storm->memory + storm->next++ * 2 * PAGE;

	for (int i = 0; i < ROUNDS; i++)
		if (!turn(storm, slot))
			storm->wrong++;
	storm->over++;
	return NULL;
}

CONFORMANCE(cache_watch, threads_that_change_their_memory_are_given_what_they_have,
	    NEEDS(EDU0, LOCKED_MEMORY))
{
	unsigned char *memory = new_memory(t, 16 * PAGE, 0x11);
	struct storm storm = { .memory = memory };
	pthread_t threads[SLOTS];

	record_no_calls(t);
	storm.cache = new_cache(t, new_ioas(t), WATCHED);
	for (int i = 0; i < SLOTS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, stormer, &storm), 0);
	while (storm.over < SLOTS)
		weir_cache_watch(storm.cache, 1);
	for (int i = 0; i < SLOTS; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(storm.wrong, 0);
	EXPECT_EQ(cache_info(storm.cache).misses + cache_info(storm.cache).hits, 2 * SLOTS * ROUNDS);
}
