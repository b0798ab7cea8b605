// SPDX-License-Identifier: MIT
/* Nested spaces whose kernel fails to invalidate, and what else can be in the way of a mapping's end. */
#include "conformance/cached.h"
#include "conformance/dma.h"
#include "conformance/nested.h"
#include "conformance/space.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

static void close_space(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

static struct weir_nested_space_info nested_info(struct weir_ioas *ioas)
{
	struct weir_nested_space_info info = { 0 };

	EXPECT_OK(weir_nested_space_info(ioas, &info, sizeof(info)));
	return info;
}

/* A host like the case's, whose kernel fails to invalidate, or to unmap. */
static const struct weir_sys *below;
static unsigned int num_failures; /* of the next calls */
static bool unmaps_fail;

static int ioctl_that_fails(void *ctx, int fd, unsigned long request, void *arg)
{
	const unsigned long invalidate = 0x3b8d, unmap = 0x3b86, unmap_dma = 0x3b72;
	const unsigned long number = request & 0xffff;
	bool fails = unmaps_fail ? number == unmap || number == unmap_dma : number == invalidate;

	if (!fails || !num_failures)
		return below->ioctl(ctx, fd, request, arg);
	num_failures--;
	return -ETIMEDOUT;
}

static void close_other_host(void *host)
{
	num_failures = 0;
	EXPECT_OK(weir_host_close(host));
}

static struct weir_ioas *new_space_that_fails(struct t *t, const struct weir_nested_space_opts *nested)
{
	static struct weir_sys sys;
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .sys = &sys, .backend = fixture_of(t)->backend);
	struct weir_host *host;
	struct weir_ioas *ioas;

	below = sys_of(t);
	sys = *below;
	sys.ioctl = ioctl_that_fails;
	unmaps_fail = false;
	ASSERT_OK(weir_host_open(&opts, &host));
	t_defer(t, close_other_host, host);
	ASSERT_OK(weir_nested_space_open(host, nested, &ioas));
	t_defer(t, close_space, ioas);
	return ioas;
}

CONFORMANCE(nested_space, an_invalidation_that_fails_is_made_up_for, NEEDS(DMA_DEVICE, NEST, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_space_that_fails(t, NULL);
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_map *map = new_map(t, ioas, memory, PAGE, BELOW(EDU0_BITS));
	uint64_t iova = weir_map_iova(map);

	record_no_calls(t);
	EXPECT_TRUE(dma_reads(t, edu, iova, memory, PAGE));
	/* More often than it is tried; then everything is invalidated. */
	num_failures = 3;
	EXPECT_OK(weir_map_close(map));
	EXPECT_TRUE(dma_write_blocked(t, edu, iova, memory, PAGE));
	EXPECT_EQ(info_of(ioas).lost_bytes, 0);
}

CONFORMANCE(nested_space, devices_that_cannot_be_made_to_forget_are_blocked, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space_that_fails(t, NULL);
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_map *map = new_map(t, ioas, memory, PAGE, BELOW(EDU0_BITS));
	uint64_t iova = weir_map_iova(map);

	record_no_calls(t);
	EXPECT_TRUE(dma_reads(t, edu, iova, memory, PAGE));
	num_failures = 1000;
	EXPECT_ERR(-EIO, weir_map_close(map));
	EXPECT_CONTAINS(weir_error(), "will not be used again");
	EXPECT_CONTAINS(weir_error(), "the DMA of the space's devices is blocked");
	EXPECT_CONTAINS(weir_error(), "invalidation for domain 0 failed");
	num_failures = 0;
	EXPECT_TRUE(dma_write_stopped(t, edu, iova, memory, PAGE));
	EXPECT_EQ(info_of(ioas).lost_bytes, PAGE);
}

/* Of a shadow nothing can be blocked; and nobody says that it is. */
CONFORMANCE(nested_space, a_shadow_whose_kernel_fails_to_unmap_is_not_said_to_be_blocked, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas =
		new_space_that_fails(t, &WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_SHADOW));
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_map *map = new_map(t, ioas, memory, PAGE, BELOW(EDU0_BITS));
	uint64_t iova = weir_map_iova(map);

	record_no_calls(t);
	unmaps_fail = true;
	num_failures = 1000;
	EXPECT_ERR(-EIO, weir_map_close(map));
	EXPECT_TRUE(!strstr(weir_error(), "blocked"));
	num_failures = 0;
	EXPECT_EQ(info_of(ioas).lost_bytes, PAGE);
	EXPECT_TRUE(dma_reads(t, edu, iova, memory, PAGE));
}

CONFORMANCE(nested_space, devices_that_reach_half_of_a_refused_batch_are_blocked, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space_that_fails(t, NULL);
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	const struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = 1 << 20);
	struct weir_map_range ranges[] = { { memory, PAGE }, { NULL, PAGE } };
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_map *batch;

	record_no_calls(t);
	ranges[1].addr = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(ranges[1].addr != MAP_FAILED);
	num_failures = 1000;
	EXPECT_ERR(-EFAULT, weir_ioas_map_batch(ioas, ranges, 2, &opts, NULL, &batch));
	num_failures = 0;
	EXPECT_CONTAINS(weir_error(), "the DMA of the space's devices is blocked");
	EXPECT_CONTAINS(weir_error(), "failed to map all of a batch");
	EXPECT_EQ(info_of(ioas).lost_bytes, PAGE);
	EXPECT_TRUE(dma_write_stopped(t, edu, opts.iova, memory, PAGE));
	munmap(ranges[1].addr, PAGE);
}

/* The batch that a failing closing has run also has what was closed before it. */
CONFORMANCE(nested_space, what_another_closing_could_not_invalidate_is_not_over,
	    NEEDS(DMA_DEVICE, NEST, FAULT_COUNT))
{
	const struct weir_nested_space_opts opts =
		WEIR_OPTS(weir_nested_space_opts, .defer = 64, .policy = WEIR_INVAL_ONCE);
	struct weir_ioas *ioas = new_space_that_fails(t, &opts);
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	int fd = new_file(t, PAGE);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_map *map = new_map(t, ioas, memory, PAGE, BELOW(EDU0_BITS)), *file;
	uint64_t iova = weir_map_iova(map);

	record_no_calls(t);
	ASSERT_OK(weir_ioas_map_file(ioas, fd, 0, PAGE, NULL, &file));
	EXPECT_TRUE(dma_reads(t, edu, iova, memory, PAGE));
	ASSERT_OK(weir_map_close(map));
	num_failures = 1000;
	EXPECT_ERR(-EIO, weir_map_close(file));
	EXPECT_ERR(-EIO, weir_ioas_sync(ioas));
	num_failures = 0;
	EXPECT_OK(weir_ioas_sync(ioas));
	EXPECT_TRUE(dma_write_blocked(t, edu, iova, memory, PAGE));
	EXPECT_EQ(info_of(ioas).lost_bytes, 2 * PAGE);
}

CONFORMANCE(nested_space, what_could_not_be_invalidated_when_a_device_came_is_told,
	    NEEDS(DMA_DEVICE, EDU1, NEST))
{
	struct weir_ioas *ioas = new_space_that_fails(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 64));
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_map *map = new_map(t, ioas, memory, PAGE, BELOW(EDU0_BITS));
	uint64_t iova = weir_map_iova(map);
	struct weir_device *device;

	record_no_calls(t);
	EXPECT_TRUE(dma_reads(t, edu, iova, memory, PAGE));
	ASSERT_OK(weir_map_close(map));
	num_failures = 1000;
	EXPECT_ERR(-EIO, weir_device_open(ioas, address_of(t, "EDU1"), NULL, &device));
	num_failures = 0;
	EXPECT_ERR(-EIO, weir_ioas_sync(ioas));
	EXPECT_OK(weir_ioas_sync(ioas));
	EXPECT_TRUE(dma_write_stopped(t, edu, iova, memory, PAGE));
	EXPECT_EQ(info_of(ioas).lost_bytes, PAGE);
}

CONFORMANCE(nested_space, a_range_ends_though_others_cannot_be_invalidated, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space_that_fails(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 64));
	unsigned char *memory = new_memory(t, 2 * PAGE, 0x5a);
	struct weir_map *map, *other;

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	map = new_map(t, ioas, memory, PAGE, NULL);
	other = new_map(t, ioas, memory + PAGE, PAGE, NULL);
	ASSERT_OK(weir_map_close(other));
	num_failures = 1000;
	EXPECT_ERR(-EIO, weir_ioas_unmap(ioas, weir_map_iova(map), PAGE));
	num_failures = 0;
	EXPECT_EQ(info_of(ioas).mapped_bytes, 0);
}

/* Nothing is mapped there any more; but what was cannot be ended. */
CONFORMANCE(nested_space, unmapping_what_is_leaving_tells_that_it_cannot_end, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space_that_fails(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 64));
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	struct weir_map *map;
	uint64_t iova;

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	map = new_map(t, ioas, memory, PAGE, NULL);
	iova = weir_map_iova(map);
	ASSERT_OK(weir_map_close(map));
	num_failures = 1000;
	EXPECT_ERR(-EIO, weir_ioas_unmap(ioas, iova, PAGE));
	num_failures = 0;
	EXPECT_CONTAINS(weir_error(), "the DMA of the space's devices is blocked");
	EXPECT_EQ(info_of(ioas).lost_bytes, PAGE);
	EXPECT_ERR(-ENOENT, weir_ioas_unmap(ioas, iova, PAGE));
}

CONFORMANCE(nested_space, pieces_that_are_neighbours_end_each_by_itself, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space_that_fails(t, NULL);
	unsigned char *memory = new_memory(t, 8 * PAGE, 0x5a);
	const struct weir_map_range scattered[] = { { memory, PAGE }, { memory + 4 * PAGE, PAGE } };
	struct weir_map *maps[2], *batch;
	uint64_t before;

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	before = nested_info(ioas).num_pieces;
	ASSERT_OK(weir_ioas_map_batch(ioas, scattered, 2, NULL, NULL, &batch));
	EXPECT_EQ(nested_info(ioas).num_pieces, before + 2);
	EXPECT_OK(weir_map_close(batch));
	EXPECT_EQ(nested_info(ioas).num_pieces, before);
	for (int i = 0; i < 2; i++)
		ASSERT_OK(weir_ioas_map(ioas, memory + (uint64_t)4 * i * PAGE, PAGE, NULL, &maps[i]));
	EXPECT_OK(weir_map_close_batch(maps, 2));
	EXPECT_EQ(nested_info(ioas).num_pieces, before);
}

CONFORMANCE(nested_space, a_batch_has_addresses_that_are_leaving, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space_that_fails(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 64));
	unsigned char *memory = new_memory(t, 4 * PAGE, 0x5a);
	const struct weir_map_range scattered[] = { { memory, PAGE }, { memory + 2 * PAGE, PAGE } };
	const struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = 1 << 20);
	struct weir_map *batch;

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	for (int i = 0; i < 2; i++) {
		ASSERT_OK(weir_ioas_map_batch(ioas, scattered, 2, &opts, NULL, &batch));
		EXPECT_OK(weir_map_close(batch));
		ASSERT_OK(weir_ioas_map(ioas, memory, PAGE, &opts, &batch));
		EXPECT_OK(weir_map_close(batch));
	}
}

CONFORMANCE(nested_space, what_a_cache_maps_is_in_what_is_kept, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space_that_fails(t, NULL);
	unsigned char *memory = new_memory(t, 4 * PAGE, 0x5a);
	struct weir_cached cached;
	struct weir_cache *cache;
	uint64_t pieces;

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	ASSERT_OK(weir_nested_space_keep(ioas, memory, 4 * PAGE));
	ASSERT_OK(weir_cache_open(ioas, NULL, &cache));
	pieces = nested_info(ioas).num_pieces;
	ASSERT_OK(weir_cache_get(cache, memory, 2 * PAGE, WEIR_MAP_READ | WEIR_MAP_WRITE, &cached));
	EXPECT_EQ(nested_info(ioas).num_pieces, pieces);
	weir_cache_put(cache, &cached);
	EXPECT_OK(weir_cache_close(cache));
	EXPECT_OK(weir_nested_space_unkeep(ioas, memory));
}

CONFORMANCE(nested_space, more_than_a_batch_holds_cannot_be_deferred, NEEDS())
{
	struct weir_ioas *ioas;

	record_no_calls(t);
	EXPECT_ERR(-EINVAL, weir_nested_space_open(
				    host_of(t), &WEIR_OPTS(weir_nested_space_opts, .defer = 1 << 21), &ioas));
	EXPECT_CONTAINS(weir_error(), "1048576");
}

struct mapper {
	struct weir_ioas *ioas;
	void *memory;
	uint64_t iova;
	_Atomic bool stop;
	unsigned int rounds, failures;
};

/* An address that is leaving still is wanted again each time. */
static void *map_again_and_again(void *arg)
{
	struct mapper *mapper = arg;
	const struct weir_map_opts opts =
		WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = mapper->iova);

	while (!mapper->stop) {
		struct weir_map *map;

		mapper->rounds++;
		if (weir_ioas_map(mapper->ioas, mapper->memory, PAGE, &opts, &map) || weir_map_close(map))
			mapper->failures++;
	}
	return NULL;
}

CONFORMANCE(nested_space, an_address_is_wanted_again_while_devices_come_and_go, NEEDS(DMA_DEVICE, EDU1, NEST))
{
	struct weir_ioas *ioas = new_space_that_fails(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 64));
	struct mapper mapper = { .ioas = ioas, .memory = new_memory(t, PAGE, 0x5a), .iova = 1 << 20 };
	struct weir_device *device;
	pthread_t thread;

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	ASSERT_EQ(pthread_create(&thread, NULL, map_again_and_again, &mapper), 0);
	for (int i = 0; i < 200; i++) {
		int error = weir_device_open(ioas, address_of(t, "EDU1"), NULL, &device);

		EXPECT_OK(error);
		EXPECT_OK(error ? 0 : weir_device_close(device));
	}
	mapper.stop = true;
	pthread_join(thread, NULL);
	EXPECT_GT(mapper.rounds, 0);
	EXPECT_EQ(mapper.failures, 0);
}

CONFORMANCE(nested_space, its_devices_are_said_to_have_no_domains, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space_that_fails(t, NULL);
	struct weir_device *device = new_device(t, ioas, "EDU0", 0);

	record_no_calls(t);
	EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_DOMAIN));
	EXPECT_CONTAINS(weir_error(), "nested space");
}
