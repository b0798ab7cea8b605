// SPDX-License-Identifier: MIT
/* The registration cache, told by hand what is out of date. */
#include "conformance/cached.h"
#include "conformance/dma.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_found(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_memory(t, 16 * PAGE, 0);
	struct weir_cache *cache = new_cache(t, ioas, NULL);
	struct weir_cached whole = got(t, cache, memory + PAGE + 100, 9 * PAGE), part;
	unsigned int calls = sys_log_count(&fixture_of(t)->log);

	put(t, cache, whole);
	for (uint64_t i = 0; i < 9; i++) {
		part = got(t, cache, memory + PAGE + i * PAGE + 50, PAGE / 2);
		EXPECT_TRUE(part.iova == whole.iova - 50 + i * PAGE);
		put(t, cache, part);
	}
	EXPECT_EQ(sys_log_count(&fixture_of(t)->log), calls);
	EXPECT_EQ(cache_info(cache).hits, 9);
	EXPECT_EQ(cache_info(cache).misses, 1);
	EXPECT_EQ(cache_info(cache).bytes, 10 * PAGE);
	EXPECT_FALSE(is_found(t, cache, memory + 12 * PAGE, 1));
	EXPECT_EQ(cache_info(cache).entries, 2);
	EXPECT_EQ(info_of(ioas).num_mappings, 2);
}

CONFORMANCE(cache, what_was_put_is_found_again_without_a_system_call, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_found);
}

CONFORMANCE(cache, a_device_reaches_what_was_got, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	unsigned char *memory = new_memory(t, 4 * PAGE, 0);
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_cache *cache = new_cache(t, ioas, &WEIR_OPTS(weir_cache_opts, .address_bits = EDU0_BITS));

	for (int i = 0; i < 2; i++) {
		struct weir_cached cached = got(t, cache, memory + PAGE + 128, PAGE);

		EXPECT_TRUE(dma_reaches(t, edu, cached.iova, memory + PAGE + 128, PAGE));
		put(t, cache, cached);
	}
}

static void check_merged(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_memory(t, 16 * PAGE, 0);
	struct weir_cache *cache = new_cache(t, ioas, NULL);
	struct weir_cached low = got(t, cache, memory, 4 * PAGE);

	put(t, cache, got(t, cache, memory + 6 * PAGE, 2 * PAGE));
	put(t, cache, got(t, cache, memory + 3 * PAGE, 4 * PAGE));
	EXPECT_TRUE(is_found(t, cache, memory, 8 * PAGE));
	EXPECT_EQ(cache_info(cache).replacements, 2);
	EXPECT_EQ(cache_info(cache).entries, 2);
	EXPECT_EQ(cache_info(cache).bytes, 12 * PAGE);
	EXPECT_FALSE(weir_cache_current(cache, &low));
	put(t, cache, low);
	EXPECT_EQ(cache_info(cache).bytes, 8 * PAGE);
	/* What may only be read is not enough for a device that writes. */
	ASSERT_OK(weir_cache_get(cache, memory + 10 * PAGE, PAGE, WEIR_MAP_READ, &low));
	put(t, cache, low);
	EXPECT_FALSE(is_found(t, cache, memory + 10 * PAGE, PAGE));
	ASSERT_OK(weir_cache_get(cache, memory + 10 * PAGE, PAGE, WEIR_MAP_READ, &low));
	put(t, cache, low);
	EXPECT_EQ(cache_info(cache).misses, 5);
}

CONFORMANCE(cache, ranges_that_overlap_become_one, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_merged);
}

static void check_halves(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_memory(t, 4 * PAGE, 0);
	struct weir_cache *cache = new_cache(t, ioas, NULL);
	struct weir_cached cached;

	ASSERT_EQ(mprotect(memory, 2 * PAGE, PROT_READ), 0);
	ASSERT_OK(weir_cache_get(cache, memory, 3 * PAGE, WEIR_MAP_READ, &cached));
	put(t, cache, cached);
	/* Writable as a whole it cannot be; what is asked for can. */
	EXPECT_FALSE(is_found(t, cache, memory + 2 * PAGE, 2 * PAGE));
	EXPECT_TRUE(is_found(t, cache, memory + 2 * PAGE, 2 * PAGE));
	EXPECT_EQ(cache_info(cache).bytes, 2 * PAGE);
	EXPECT_ERR(-EFAULT, weir_cache_get(cache, memory + PAGE, 3 * PAGE, 0, &cached));
	EXPECT_EQ(mprotect(memory, 2 * PAGE, PROT_READ | PROT_WRITE), 0);
}

CONFORMANCE(cache, what_cannot_become_one_is_mapped_as_asked, NEEDS(READ_ONLY, EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_halves);
}

static void check_limit(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_memory(t, 16 * PAGE, 0);
	struct weir_cache *cache = new_cache(t, ioas, &WEIR_OPTS(weir_cache_opts, .limit = 4 * PAGE));
	struct weir_cached cached, held[4];
	struct weir_ioas_info before;

	for (int i = 0; i < 4; i++)
		put(t, cache, got(t, cache, memory + 2 * i * PAGE, PAGE));
	EXPECT_TRUE(is_found(t, cache, memory, PAGE));
	/* Room for one is made where nobody has been for longest. */
	EXPECT_FALSE(is_found(t, cache, memory + 10 * PAGE, PAGE));
	EXPECT_EQ(cache_info(cache).evictions, 1);
	EXPECT_TRUE(is_found(t, cache, memory, PAGE));
	EXPECT_TRUE(is_found(t, cache, memory + 10 * PAGE, PAGE));
	EXPECT_FALSE(is_found(t, cache, memory + 2 * PAGE, PAGE));
	EXPECT_EQ(cache_info(cache).bytes, 4 * PAGE);
	EXPECT_ERR(-ENOSPC, weir_cache_get(cache, memory, 5 * PAGE, 0, &cached));
	EXPECT_EQ(cache_info(cache).entries, 4);
	for (int i = 0; i < 4; i++)
		held[i] = got(t, cache, memory + 2 * i * PAGE, PAGE);
	before = info_of(ioas);
	EXPECT_ERR(-ENOSPC, weir_cache_get(cache, memory + 10 * PAGE, PAGE, 0, &cached));
	EXPECT_TRUE(strstr(weir_error(), "4096 bytes more") != NULL);
	EXPECT_TRUE(same_info(info_of(ioas), before));
	EXPECT_EQ(cache_info(cache).refused, 2);
	EXPECT_ERR(-EBUSY, weir_cache_close(cache));
	put(t, cache, held[2]);
	EXPECT_FALSE(is_found(t, cache, memory + 10 * PAGE, PAGE));
	for (int i = 0; i < 4; i++)
		if (i != 2)
			put(t, cache, held[i]);
	EXPECT_OK(weir_cache_trim(cache, 2 * PAGE));
	EXPECT_EQ(cache_info(cache).bytes, 2 * PAGE);
	EXPECT_OK(weir_cache_trim(cache, 0));
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

CONFORMANCE(cache, room_is_made_where_nobody_has_been_for_long, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_limit);
}

static void check_most(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_memory(t, 16 * PAGE, 0);
	struct weir_cache *cache = new_cache(t, ioas, &WEIR_OPTS(weir_cache_opts, .most = 2));
	struct weir_cached one = got(t, cache, memory, PAGE), two = got(t, cache, memory + 2 * PAGE, PAGE),
			   no;

	EXPECT_ERR(-ENOSPC, weir_cache_get(cache, memory + 4 * PAGE, PAGE, 0, &no));
	EXPECT_TRUE(strstr(weir_error(), "weir_cache_opts.most") != NULL);
	put(t, cache, one);
	EXPECT_FALSE(is_found(t, cache, memory + 4 * PAGE, PAGE));
	EXPECT_EQ(cache_info(cache).entries, 2);
	put(t, cache, two);
	/* Used over and over again. */
	for (uint64_t i = 0; i < 12; i++)
		put(t, cache, got(t, cache, memory + i * 5 % 15 * PAGE, PAGE));
	EXPECT_TRUE(cache_info(cache).entries <= 2);
	EXPECT_TRUE(info_of(ioas).num_mappings == cache_info(cache).entries);
}

CONFORMANCE(cache, entries_are_limited_and_used_again, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_most);
}

static void check_invalidated(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_memory(t, 16 * PAGE, 0);
	struct weir_cache *cache = new_cache(t, ioas, NULL);
	struct weir_cached held = got(t, cache, memory, 2 * PAGE), later;
	uint64_t generation = 0;

	put(t, cache, got(t, cache, memory + 4 * PAGE, 2 * PAGE));
	put(t, cache, got(t, cache, memory + 8 * PAGE, 2 * PAGE));
	EXPECT_TRUE(weir_cache_current(cache, &held));
	EXPECT_OK(weir_cache_invalidate(cache, memory + 2 * PAGE - 1, 2 * PAGE + 2, &generation));
	EXPECT_FALSE(weir_cache_current(cache, &held));
	EXPECT_TRUE(held.generation < generation);
	/* What was held is there until it is put, what was not is gone, what was not touched is found. */
	EXPECT_EQ(info_of(ioas).num_mappings, 2);
	EXPECT_TRUE(is_found(t, cache, memory + 8 * PAGE, 2 * PAGE));
	later = got(t, cache, memory, 2 * PAGE);
	EXPECT_TRUE(later.iova != held.iova);
	EXPECT_TRUE(later.generation >= generation);
	put(t, cache, held);
	EXPECT_ERR(-EINVAL, weir_cache_put(cache, &held));
	EXPECT_EQ(info_of(ioas).num_mappings, 2);
	put(t, cache, later);
	EXPECT_OK(weir_cache_invalidate(cache, NULL, 0, &generation));
	EXPECT_EQ(cache_info(cache).generation, generation);
	EXPECT_EQ(cache_info(cache).invalidations, 4);
	EXPECT_EQ(cache_info(cache).entries, 0);
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

CONFORMANCE(cache, what_was_invalidated_is_not_found_again, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_invalidated);
}

CONFORMANCE(cache, what_is_held_can_be_reached_until_it_is_put, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	unsigned char *memory = new_memory(t, 2 * PAGE, 0);
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_cache *cache = new_cache(t, ioas, &WEIR_OPTS(weir_cache_opts, .address_bits = EDU0_BITS));
	struct weir_cached one = got(t, cache, memory, PAGE), two = got(t, cache, memory, PAGE);

	EXPECT_OK(weir_cache_invalidate(cache, memory, PAGE, NULL));
	put(t, cache, one);
	EXPECT_TRUE(dma_reaches(t, edu, two.iova, memory, PAGE));
	put(t, cache, two);
	EXPECT_EQ(cache_info(cache).entries, 0);
}

static void check_refused(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_pages(t, 3);
	struct weir_cache *cache = new_cache(t, ioas, NULL), *none;
	struct weir_cached cached = { .iova = 7 };
	uint64_t generation = cache_info(cache).generation;

	EXPECT_ERR(-EINVAL, weir_cache_get(cache, memory, 0, 0, &cached));
	EXPECT_ERR(-EINVAL, weir_cache_get(cache, memory, PAGE, WEIR_MAP_FIXED, &cached));
	EXPECT_ERR(-EOVERFLOW, weir_cache_get(cache, memory, UINT64_MAX, 0, &cached));
	EXPECT_ERR(-EOVERFLOW, weir_cache_invalidate(cache, memory, UINT64_MAX, NULL));
	take_away(t, memory + PAGE, PAGE);
	EXPECT_ERR(-EFAULT, weir_cache_get(cache, memory, 3 * PAGE, 0, &cached));
	EXPECT_EQ(cached.iova, 7);
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
	EXPECT_EQ(cache_info(cache).entries, 0);
	EXPECT_EQ(cache_info(cache).generation, generation);
	cached = got(t, cache, memory, PAGE);
	put(t, cache, cached);
	EXPECT_ERR(-EINVAL, weir_cache_put(cache, &cached));
	cached.key = 0;
	EXPECT_ERR(-EINVAL, weir_cache_put(cache, &cached));
	EXPECT_ERR(-EOPNOTSUPP, weir_cache_watch_fd(cache));
	EXPECT_ERR(-EOPNOTSUPP, weir_cache_watch(cache, 0));
	EXPECT_ERR(-EINVAL,
		   weir_cache_open(ioas, &WEIR_OPTS(weir_cache_opts, .flags = WEIR_CACHE_LAX), &none));
	EXPECT_ERR(-EINVAL, weir_cache_open(ioas, &WEIR_OPTS(weir_cache_opts, .flags = 4), &none));
	EXPECT_ERR(-EINVAL, weir_cache_open(ioas, &WEIR_OPTS(weir_cache_opts, .address_bits = 11), &none));
	EXPECT_ERR(-EINVAL, weir_cache_open(ioas, &WEIR_OPTS(weir_cache_opts, .most = 1u << 29), &none));
	ASSERT_OK(weir_cache_close(NULL));
}

CONFORMANCE(cache, what_makes_no_sense_is_refused, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_refused);
}

/* Files ------------------------------------------------------------------------------------------------------------ */

static uint64_t file_iova(struct t *t, struct weir_cache *cache, int fd, uint64_t offset, uint64_t len,
			  uint32_t flags)
{
	struct weir_cached cached;

	ASSERT_OK(weir_cache_get_file(cache, fd, offset, len, flags, &cached));
	put(t, cache, cached);
	return cached.iova;
}

static void check_file(struct t *t, struct weir_ioas *ioas)
{
	struct weir_cache *cache = new_cache(t, ioas, NULL);
	int fd = new_file(t, 16 * PAGE), other = new_file(t, 16 * PAGE), reads = reopened(t, fd, O_RDONLY);
	uint64_t iova = file_iova(t, cache, fd, 2 * PAGE + 8, 4 * PAGE, 0), generation = 0;
	struct weir_cached cached;

	EXPECT_TRUE(file_iova(t, cache, reopened(t, fd, O_RDWR), 3 * PAGE, PAGE, 0) == iova + PAGE - 8);
	EXPECT_TRUE(file_iova(t, cache, reads, 3 * PAGE, PAGE, WEIR_MAP_READ) == iova + PAGE - 8);
	EXPECT_ERR(-EACCES, weir_cache_get_file(cache, reads, 3 * PAGE, PAGE, 0, &cached));
	EXPECT_ERR(-EBADF, weir_cache_get_file(cache, -1, 0, PAGE, 0, &cached));
	EXPECT_ERR(-EINVAL, weir_cache_get_file(cache, fd, 16 * PAGE, PAGE, 0, &cached));
	EXPECT_TRUE(file_iova(t, cache, other, 3 * PAGE, PAGE, 0) != iova + PAGE - 8);
	EXPECT_EQ(cache_info(cache).hits, 2);
	EXPECT_EQ(cache_info(cache).entries, 2);
	ASSERT_OK(weir_cache_get_file(cache, fd, 3 * PAGE + 5, 1, 0, &cached));
	*(unsigned char *)cached.addr = 0x77;
	put(t, cache, cached);
	cached.iova = 0;
	EXPECT_EQ(pread(fd, &cached.iova, 1, (off_t)(3 * PAGE + 5)), 1);
	EXPECT_EQ(cached.iova, 0x77);
	/* Addresses and files are different things. */
	EXPECT_OK(weir_cache_invalidate(cache, NULL, 0, NULL));
	EXPECT_EQ(cache_info(cache).entries, 2);
	EXPECT_OK(weir_cache_invalidate_file(cache, reads, 6 * PAGE, 0, &generation));
	EXPECT_EQ(cache_info(cache).entries, 1);
	EXPECT_OK(weir_cache_invalidate_file(cache, fd, 0, 0, NULL));
	EXPECT_EQ(cache_info(cache).generation, generation + 1);
	EXPECT_EQ(cache_info(cache).entries, 1);
	EXPECT_OK(weir_cache_invalidate_file(cache, other, 3 * PAGE, 1, NULL));
	EXPECT_EQ(cache_info(cache).entries, 0);
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

CONFORMANCE(cache, files_are_known_by_themselves, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_file);
}
