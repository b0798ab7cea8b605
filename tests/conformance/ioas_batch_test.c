// SPDX-License-Identifier: MIT
/* Many ranges behind one handle, and many handles closed in one call. */
#include "conformance/dma.h"
#include "conformance/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RANGES = 5 };

/*
 * Five ranges of ten pages: the second follows the first, the last two are one page twice, and the third comes before all. Four pieces.
 */
static void make_ranges(unsigned char *memory, struct weir_map_range *ranges)
{
	ranges[0] = (struct weir_map_range){ memory + 2 * PAGE, PAGE };
	ranges[1] = (struct weir_map_range){ memory + 3 * PAGE, 2 * PAGE };
	ranges[2] = (struct weir_map_range){ memory, PAGE };
	ranges[3] = (struct weir_map_range){ memory + 7 * PAGE, PAGE };
	ranges[4] = (struct weir_map_range){ memory + 7 * PAGE, PAGE };
}

enum { LENGTH = 6, PIECES = 4 }; /* in pages */

static struct weir_map *new_batch(struct t *t, struct weir_ioas *ioas, unsigned char *memory,
				  const struct weir_map_opts *opts, uint64_t *ret_iovas)
{
	struct weir_map_range ranges[RANGES];
	struct weir_map *map;

	(void)t;
	make_ranges(memory, ranges);
	ASSERT_OK(weir_ioas_map_batch(ioas, ranges, RANGES, opts, ret_iovas, &map));
	return map;
}

static void check_block(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_pages(t, 10);
	struct weir_ioas_info before = info_of(ioas);
	uint64_t iovas[RANGES];
	struct weir_map *map = new_batch(t, ioas, memory, NULL, iovas);
	static const uint64_t offsets[RANGES] = { 0, PAGE, 3 * PAGE, 4 * PAGE, 5 * PAGE };

	for (int i = 0; i < RANGES; i++)
		EXPECT_TRUE(iovas[i] == weir_map_iova(map) + offsets[i]);
	EXPECT_EQ(weir_map_len(map), LENGTH * PAGE);
	EXPECT_TRUE(weir_map_addr(map) == memory + 2 * PAGE);
	EXPECT_EQ(info_of(ioas).num_mappings, before.num_mappings + PIECES);
	EXPECT_EQ(info_of(ioas).mapped_bytes, before.mapped_bytes + LENGTH * PAGE);
	ASSERT_OK(weir_map_close(map));
	EXPECT_TRUE(same_info(info_of(ioas), before));
	/* The block is free again, in one piece. */
	map = new_batch(t, ioas, memory, AT(16 * MIB), iovas);
	EXPECT_EQ(weir_map_iova(map), 16 * MIB);
	ASSERT_OK(weir_map_close(map));
	ASSERT_OK(weir_map_close(new_map(t, ioas, memory, LENGTH * PAGE, AT(16 * MIB))));
}

CONFORMANCE(ioas_batch, ranges_are_one_block_in_their_order, NEEDS(EDU0))
{
	in_both_states(t, check_block);
}

CONFORMANCE(ioas_batch, a_device_reaches_every_range_until_the_batch_is_closed,
	    NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_pages(t, 10);
	struct weir_map *map = new_batch(t, ioas, memory, AT(MIB), NULL);

	unsigned char across[PAGE];

	/* Across the border of two pieces: of the second range, and the third. */
	memset(memory + 4 * PAGE, 0x11, PAGE);
	memset(memory, 0x22, PAGE);
	memset(across, 0x11, PAGE / 2);
	memset(across + PAGE / 2, 0x22, PAGE / 2);
	EXPECT_TRUE(dma_reads(t, edu, MIB + 3 * PAGE - PAGE / 2, across, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, MIB, memory + 2 * PAGE, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, MIB + 5 * PAGE, memory + 7 * PAGE, PAGE));
	ASSERT_OK(weir_map_close(map));
	EXPECT_TRUE(dma_write_blocked(t, edu, MIB + 3 * PAGE, memory, PAGE));
}

static void check_single(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_memory(t, 4 * MIB, 0);
	struct weir_map_range ranges[64];
	struct weir_ioas_info before = info_of(ioas);
	struct weir_map *map;

	for (int i = 0; i < 64; i++)
		ranges[i] = (struct weir_map_range){ memory + i * 64 * 1024, 64 * 1024 };
	ASSERT_OK(weir_ioas_map_batch(ioas, ranges, 64, NULL, NULL, &map));
	EXPECT_EQ(info_of(ioas).num_mappings, before.num_mappings + 1);
	EXPECT_EQ(weir_map_iova(map) % (2 * MIB), (uintptr_t)memory % (2 * MIB));
	ASSERT_OK(weir_map_close(map));
	EXPECT_TRUE(same_info(info_of(ioas), before));
}

CONFORMANCE(ioas_batch, what_follows_in_memory_is_one_mapping, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_single);
}

static void check_all_or_nothing(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_pages(t, 12);
	struct weir_ioas_info before = info_of(ioas);
	uint64_t pinned = pinned_bytes(), iovas[RANGES] = { 7 };
	struct weir_map_range ranges[RANGES];
	struct weir_map *map = NULL;

	make_ranges(memory, ranges);
	take_away(t, memory + 7 * PAGE, PAGE);
	EXPECT_ERR(-EFAULT, weir_ioas_map_batch(ioas, ranges, RANGES, NULL, iovas, &map));
	EXPECT_CONTAINS(weir_error(), "of a batch of 0x6000");
	EXPECT_CONTAINS(weir_error(), range_text((uintptr_t)memory + 7 * PAGE, PAGE));
	EXPECT_TRUE(!map && iovas[0] == 7);
	expect_unchanged(t, ioas, before);
	EXPECT_EQ(pinned_bytes(), pinned);
	/* The first one of all, before which there is nothing. */
	take_away(t, memory + 2 * PAGE, PAGE);
	EXPECT_ERR(-EFAULT, weir_ioas_map_batch(ioas, ranges, RANGES, AT(16 * MIB), iovas, &map));
	expect_unchanged(t, ioas, before);
}

CONFORMANCE(ioas_batch, all_ranges_are_mapped_or_none, NEEDS(ORDINARY, EDU0))
{
	in_both_states(t, check_all_or_nothing);
}

static void check_refused(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_pages(t, 10);
	struct weir_map *taken = new_map(t, ioas, memory, PAGE, AT(16 * MIB + 4 * PAGE)), *map;
	struct weir_ioas_info before = info_of(ioas);
	struct weir_map_range ranges[RANGES];

	make_ranges(memory, ranges);
	EXPECT_ERR(-EINVAL, weir_ioas_map_batch(ioas, ranges, 0, NULL, NULL, &map));
	EXPECT_ERR(-EEXIST, weir_ioas_map_batch(ioas, ranges, RANGES, AT(16 * MIB), NULL, &map));
	EXPECT_ERR(-EOVERFLOW,
		   weir_ioas_map_batch(ioas, ranges, RANGES, AT(UINT64_MAX - 4 * PAGE + 1), NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_batch(ioas, ranges, RANGES,
						&WEIR_OPTS(weir_map_opts, .flags = 1u << 31), NULL, &map));
	ranges[3].len = PAGE + 1;
	EXPECT_ERR(-EINVAL, weir_ioas_map_batch(ioas, ranges, RANGES, NULL, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "range 3 of 5");
	ranges[3].len = 0;
	EXPECT_ERR(-EINVAL, weir_ioas_map_batch(ioas, ranges, RANGES, NULL, NULL, &map));
	ranges[3].len = UINT64_MAX - PAGE + 1;
	EXPECT_ERR(-EOVERFLOW, weir_ioas_map_batch(ioas, ranges, RANGES, NULL, NULL, &map));
	for (int i = 0; i < RANGES; i++)
		ranges[i] = (struct weir_map_range){ (void *)PAGE, (uint64_t)1 << 62 };
	EXPECT_ERR(-EOVERFLOW, weir_ioas_map_batch(ioas, ranges, RANGES, NULL, NULL, &map));
	EXPECT_ERR(-ENOSPC, weir_ioas_map_batch(ioas, ranges, 2, NULL, NULL, &map));
	expect_unchanged(t, ioas, before);
	ASSERT_OK(weir_map_close(taken));
}

CONFORMANCE(ioas_batch, what_makes_no_sense_is_refused, NEEDS(EDU0))
{
	in_both_states(t, check_refused);
}

static void check_unmap(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_pages(t, 10);
	uint64_t end = 16 * MIB + LENGTH * PAGE;
	struct weir_ioas_info before = info_of(ioas), with;

	new_batch(t, ioas, memory, AT(16 * MIB), NULL);
	new_map(t, ioas, memory, PAGE, AT(end));
	with = info_of(ioas);
	/* Also between two pieces. */
	EXPECT_ERR(-EINVAL, weir_ioas_unmap(ioas, 16 * MIB, 3 * PAGE));
	EXPECT_CONTAINS(weir_error(), "would cut the batch at IOVA 0x1000000..0x1005fff");
	EXPECT_ERR(-EINVAL, weir_ioas_unmap(ioas, 16 * MIB + 3 * PAGE, MIB));
	EXPECT_ERR(-EINVAL, weir_ioas_unmap(ioas, 16 * MIB + 3 * PAGE, PAGE));
	EXPECT_TRUE(same_info(info_of(ioas), with));
	ASSERT_OK(weir_ioas_unmap(ioas, MIB, 16 * MIB));
	EXPECT_TRUE(same_info(info_of(ioas), before));
}

CONFORMANCE(ioas_batch, a_range_is_unmapped_with_the_whole_batch_or_not, NEEDS(EDU0))
{
	in_both_states(t, check_unmap);
}

static void check_lookup(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_pages(t, 10);
	struct weir_map *map = new_batch(t, ioas, memory, AT(16 * MIB), NULL);
	uint64_t iova = 0, left = 0;
	void *addr = NULL;

	ASSERT_OK(weir_ioas_iova(ioas, memory + 3 * PAGE, 2 * PAGE, &iova, &left));
	EXPECT_EQ(iova, 16 * MIB + PAGE);
	EXPECT_EQ(left, 2 * PAGE);
	ASSERT_OK(weir_ioas_iova(ioas, memory, PAGE, &iova, NULL));
	EXPECT_EQ(iova, 16 * MIB + 3 * PAGE);
	EXPECT_ERR(-ERANGE, weir_ioas_memory(ioas, 16 * MIB + 2 * PAGE, 2 * PAGE, &addr, NULL));
	ASSERT_OK(weir_ioas_memory(ioas, 16 * MIB + 3 * PAGE, PAGE, &addr, NULL));
	EXPECT_TRUE(addr == memory);
	/* One page twice. */
	ASSERT_OK(weir_ioas_memory(ioas, 16 * MIB + 5 * PAGE, PAGE, &addr, NULL));
	EXPECT_TRUE(addr == memory + 7 * PAGE);
	ASSERT_OK(weir_map_close(map));
	EXPECT_ERR(-ENOENT, weir_ioas_iova(ioas, memory + 7 * PAGE, PAGE, &iova, NULL));
	EXPECT_ERR(-ENOENT, weir_ioas_memory(ioas, 16 * MIB, PAGE, &addr, NULL));
}

CONFORMANCE(ioas_batch, each_piece_is_found_by_its_address, NEEDS(EDU0))
{
	struct weir_ioas_opts opts = WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_LOOKUP);
	struct weir_ioas *bare = new_ioas_with(t, &opts), *used = new_ioas_with(t, &opts);

	new_device(t, used, "EDU0", 0);
	check_lookup(t, bare);
	check_lookup(t, used);
}

CONFORMANCE(ioas_batch, it_is_in_force_again_when_a_device_comes_back, NEEDS(ORDINARY, DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 10);
	struct weir_map *map = new_batch(t, ioas, memory, AT(MIB), NULL);
	uint64_t pinned = pinned_bytes();
	struct weir_device *device = NULL;
	struct edu *edu;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_EQ(pinned_bytes(), pinned + LENGTH * PAGE);
	ASSERT_OK(weir_device_close(device));
	EXPECT_EQ(pinned_bytes(), pinned);
	take_away(t, memory, PAGE);
	EXPECT_ERR(-EFAULT, weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), "the mapping at IOVA 0x103000 cannot be put in force");
	ASSERT_OK(weir_map_close(map));
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
	memory = new_pages(t, 10);
	new_batch(t, ioas, memory, AT(MIB), NULL);
	edu = new_edu(t, ioas, "EDU0", 0);
	EXPECT_TRUE(dma_reaches(t, edu, MIB + 3 * PAGE, memory, PAGE));
}

/* The kernel's limit ---------------------------------------------------------------------------------------------- */

/* @num ranges of one page each, of @cycle pages over and over. */
static struct weir_map_range *new_ranges(struct t *t, unsigned char *memory, size_t num, size_t cycle)
{
	struct weir_map_range *ranges = calloc(num, sizeof(*ranges));

	ASSERT_TRUE(ranges);
	t_defer(t, free, ranges);
	for (size_t i = 0; i < num; i++)
		ranges[i] = (struct weir_map_range){ memory + i % cycle * PAGE, PAGE };
	return ranges;
}

CONFORMANCE(ioas_batch, more_pieces_than_the_kernel_takes_are_refused_before_it_is_asked,
	    NEEDS(DMA_DEVICE, MAP_LIMIT))
{
	enum { LIMIT = 65535 };
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);
	struct weir_map_range *ranges = new_ranges(t, memory, LIMIT, 1);
	struct sys_log *log = &fixture_of(t)->log;
	struct weir_ioas_info before;
	struct weir_map *map;

	new_device(t, ioas, "EDU0", 0);
	new_map(t, ioas, memory, PAGE, AT(MIB));
	before = info_of(ioas);
	EXPECT_EQ(before.max_mappings, LIMIT);
	sys_log_clear(log);
	EXPECT_ERR(-ENOSPC, weir_ioas_map_batch(ioas, ranges, LIMIT, NULL, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "is 65535 mappings; the kernel's limit of 65535 "
				      "(vfio_iommu_type1.dma_entry_limit) leaves 65534");
	EXPECT_EQ(sys_log_count(log), 0);
	expect_unchanged(t, ioas, before);
}

CONFORMANCE(ioas_batch, merging_keeps_below_the_kernels_limit, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	enum { NUM = 70000, CYCLE = 1000 };
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_map_range *ranges = new_ranges(t, new_pages(t, CYCLE), NUM, CYCLE);
	struct weir_map *map;

	new_device(t, ioas, "EDU0", 0);
	ASSERT_OK(weir_ioas_map_batch(ioas, ranges, NUM, NULL, NULL, &map));
	EXPECT_EQ(info_of(ioas).num_mappings, NUM / CYCLE);
	EXPECT_EQ(weir_map_len(map), NUM * PAGE);
	ASSERT_OK(weir_map_close(map));
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

/* Many handles ---------------------------------------------------------------------------------------------------- */

static void check_close(struct t *t, struct weir_ioas *ioas)
{
	enum { NUM = 20 };
	struct weir_ioas *other = new_ioas(t);
	unsigned char *memory = new_pages(t, 10);
	int fd = memfd_create("case", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct weir_ioas_info before = info_of(ioas);
	struct weir_map *maps[NUM + 4] = { NULL }, *stays = new_map(t, ioas, memory, PAGE, AT(16 * MIB));

	ASSERT_TRUE(fd >= 0);
	ASSERT_EQ(posix_fallocate(fd, 0, PAGE), 0);
	for (uint64_t i = 0; i < NUM; i++)
		maps[i] = new_map(t, i % 3 ? ioas : other, memory, PAGE,
				  AT(16 * MIB + (i * 7 % NUM + 1) * PAGE));
	maps[NUM] = new_batch(t, ioas, memory, AT(17 * MIB), NULL);
	ASSERT_OK(weir_ioas_map_file(ioas, fd, 0, PAGE, AT(17 * MIB + LENGTH * PAGE), &maps[NUM + 2]));
	ASSERT_EQ(close(fd), 0);
	ASSERT_OK(weir_map_close_batch(maps, NUM + 4));
	EXPECT_EQ(info_of(other).num_mappings, 0);
	EXPECT_EQ(info_of(ioas).num_mappings, before.num_mappings + 1);
	ASSERT_OK(weir_map_close(stays));
	ASSERT_OK(weir_map_close_batch(maps, 0));
	EXPECT_TRUE(same_info(info_of(ioas), before));
}

CONFORMANCE(ioas_batch, many_handles_are_closed_in_one_call, NEEDS(EDU0))
{
	in_both_states(t, check_close);
}
