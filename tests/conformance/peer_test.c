// SPDX-License-Identifier: MIT
/* Peer windows: one device's memory in other devices' spaces, and what becomes of it when the device is reset, switched off, closed. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance/dma.h"
#include "conformance/target.h"

CONFORMANCE(peer, another_device_reaches_the_window, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t), *other = new_ioas(t);
	struct target *target;
	struct edu *edu;
	struct weir_map *map;

	target = new_target(t, ioas);
	edu = new_edu(t, other, "EDU1", 0);
	map = map_window(t, target, other, 0);
	EXPECT_EQ(weir_map_len(map), WINDOW);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map) + PAGE, target->memory + PAGE, PAGE));
	EXPECT_EQ(window_info(target).num_mappings, 1);
	EXPECT_EQ(window_info(target).generation, 1);
	EXPECT_OK(weir_map_close(map));
	EXPECT_EQ(window_info(target).num_mappings, 0);
}

CONFORMANCE(peer, both_devices_may_be_in_one_space, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target;
	struct edu *edu;
	struct weir_map *map;

	target = new_target(t, ioas);
	edu = new_edu(t, ioas, "EDU1", 0);
	map = map_window(t, target, ioas, 0);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer, an_address_in_a_mapped_region_is_a_window_by_itself, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target;
	struct edu *edu;
	struct weir_map *map;

	target = new_target(t, new_ioas(t));
	edu = new_edu(t, ioas, "EDU1", 0);
	ASSERT_OK(weir_ioas_map(ioas, target->memory + PAGE, PAGE, NULL, &map));
	EXPECT_EQ(window_info(target).num_mappings, 1);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory + PAGE, PAGE));
	EXPECT_OK(weir_device_reset(target->device));
	enable_buffer(target);
	EXPECT_EQ(window_info(target).generation, 2);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory + PAGE, PAGE));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer, a_reset_withdraws_the_window_and_brings_it_back_where_it_was, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target;
	struct weir_peer_event event;
	struct edu *edu;
	struct weir_map *map;
	uint64_t iova;

	target = new_target(t, new_ioas(t));
	edu = new_edu(t, ioas, "EDU1", 0);
	map = map_window(t, target, ioas, 0);
	iova = weir_map_iova(map);
	for (uint64_t generation = 1; generation <= 3; generation++) {
		EXPECT_OK(weir_device_reset(target->device));
		event = next_event(target);
		EXPECT_EQ(event.kind, WEIR_PEER_WITHDRAWN);
		EXPECT_EQ(event.generation, generation);
		EXPECT_CONTAINS(event.reason, "reset");
		event = next_event(target);
		EXPECT_EQ(event.kind, WEIR_PEER_RESTORED);
		EXPECT_EQ(event.generation, generation + 1);
		EXPECT_STREQ(event.reason, "");
		expect_no_event(target);
	}
	enable_buffer(target);
	EXPECT_EQ(weir_map_iova(map), iova);
	EXPECT_TRUE(dma_reaches(t, edu, iova, target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer, while_the_memory_is_off_dma_is_blocked, NEEDS(PEER, EDU1, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target;
	struct edu *edu;
	struct weir_map *map, *late;

	target = new_target(t, new_ioas(t));
	edu = new_edu(t, ioas, "EDU1", 0);
	map = map_window(t, target, ioas, 0);
	memset(target->memory, 0x11, PAGE);
	ASSERT_OK(weir_device_set_memory(target->device, false));
	EXPECT_EQ(window_info(target).state, WEIR_PEER_AWAY);
	EXPECT_CONTAINS(window_info(target).reason, "switched off");
	EXPECT_ERR(-EAGAIN, weir_peer_map(target->peer, ioas, 0, WINDOW, NULL, &late));
	faults_begin(t);
	dma_writes(t, edu, weir_map_iova(map), 0x22, PAGE);
	EXPECT_TRUE(faults_reported(t));
	ASSERT_OK(weir_device_set_memory(target->device, true));
	EXPECT_TRUE(all_bytes(target->memory, 0x11, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer, a_sink_takes_what_is_written_meanwhile, NEEDS(PEER, EDU1, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target;
	struct weir_peer_event event;
	struct edu *edu;
	struct weir_map *map;

	target = new_target(t, new_ioas(t));
	edu = new_edu(t, ioas, "EDU1", 0);
	map = map_window(t, target, ioas, WEIR_MAP_SINK);
	memset(target->memory, 0x11, PAGE);
	for (uint32_t written = 0; written < 2; written++) {
		ASSERT_OK(weir_device_set_memory(target->device, false));
		EXPECT_EQ(next_event(target).kind, WEIR_PEER_WITHDRAWN);
		faults_begin(t);
		if (written)
			dma_writes(t, edu, weir_map_iova(map), 0x22, PAGE);
		EXPECT_FALSE(faults_reported(t));
		ASSERT_OK(weir_device_set_memory(target->device, true));
		event = next_event(target);
		EXPECT_EQ(event.kind, WEIR_PEER_RESTORED);
		EXPECT_EQ(event.written, written);
		EXPECT_EQ(window_info(target).sunk, written);
	}
	EXPECT_TRUE(all_bytes(target->memory, 0x11, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer, a_window_of_a_closed_device_is_lost, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target;
	struct weir_peer_event event;
	struct weir_map *map, *late;
	int fd;

	target = new_target(t, new_ioas(t));
	new_edu(t, ioas, "EDU1", 0);
	map = map_window(t, target, ioas, 0);
	EXPECT_ERR(-EBUSY, weir_peer_close(target->peer));
	EXPECT_OK(weir_device_close(target->device));
	target->device = NULL;
	EXPECT_EQ(next_event(target).kind, WEIR_PEER_WITHDRAWN);
	event = next_event(target);
	EXPECT_EQ(event.kind, WEIR_PEER_IS_LOST);
	EXPECT_CONTAINS(event.reason, "closed");
	EXPECT_EQ(window_info(target).state, WEIR_PEER_LOST);
	EXPECT_ERR(-ENODEV, weir_peer_map(target->peer, ioas, 0, WINDOW, NULL, &late));
	EXPECT_ERR(-ENODEV, weir_peer_dmabuf(target->peer, &fd));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer, what_is_away_stays_away_when_devices_come, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas_with(t, &WEIR_OPTS(weir_ioas_opts, .address_bits = EDU1_BITS));
	struct target *target;
	struct weir_map *fault, *sink;
	struct edu *edu;

	target = new_target(t, new_ioas(t));
	fault = map_window(t, target, ioas, 0);
	sink = map_window(t, target, ioas, WEIR_MAP_SINK);
	ASSERT_OK(weir_device_set_memory(target->device, false));
	edu = new_edu(t, ioas, "EDU1", 0);
	dma_writes(t, edu, weir_map_iova(sink), 0x22, PAGE);
	ASSERT_OK(weir_device_set_memory(target->device, true));
	EXPECT_EQ(window_info(target).sunk, 1);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(sink), target->memory, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(fault), target->memory, PAGE));
	EXPECT_OK(weir_map_close(fault));
	EXPECT_OK(weir_map_close(sink));
}

CONFORMANCE(peer, a_mapping_may_end_while_its_window_is_away, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target;
	struct weir_map *maps[3];

	target = new_target(t, new_ioas(t));
	new_edu(t, ioas, "EDU1", 0);
	for (uint32_t i = 0; i < 3; i++)
		maps[i] = map_window(t, target, ioas, i == 1 ? WEIR_MAP_SINK : 0);
	ASSERT_OK(weir_device_set_memory(target->device, false));
	EXPECT_OK(weir_map_close(maps[0]));
	EXPECT_OK(weir_map_close(maps[1]));
	EXPECT_OK(weir_ioas_unmap(ioas, weir_map_iova(maps[2]), WINDOW));
	EXPECT_EQ(window_info(target).num_mappings, 0);
	ASSERT_OK(weir_device_set_memory(target->device, true));
}

CONFORMANCE(peer, a_second_space_can_share_the_mapping, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t), *second = new_ioas(t);
	struct target *target;
	struct weir_map *map, *shared;
	struct edu *edu;

	target = new_target(t, ioas);
	edu = new_edu(t, second, "EDU1", 0);
	map = map_window(t, target, ioas, 0);
	ASSERT_OK(weir_map_share(map, second, NULL, &shared));
	EXPECT_EQ(window_info(target).num_mappings, 2);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(shared), target->memory, PAGE));
	EXPECT_OK(weir_device_reset(target->device));
	enable_buffer(target);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(shared), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
	EXPECT_OK(weir_map_close(shared));
}

struct told {
	unsigned int num;
	uint32_t kinds[4];
};

static void note(void *ctx, const struct weir_peer_event *event)
{
	struct told *told = ctx;

	if (told->num < 4)
		told->kinds[told->num] = event->kind;
	told->num++;
}

CONFORMANCE(peer, a_callback_is_told_and_patience_ends, NEEDS(PEER))
{
	enum { PATIENCE_NS = 20 * 1000 * 1000 };
	struct target *target;
	struct told told = { 0 };
	struct weir_watch *called, *patient;

	target = new_target(t, new_ioas(t));
	ASSERT_OK(weir_peer_watch(
		target->peer, &WEIR_OPTS(weir_watch_opts, .callback = note, .callback_ctx = &told), &called));
	ASSERT_OK(weir_peer_watch(target->peer, &WEIR_OPTS(weir_watch_opts, .patience_ns = PATIENCE_NS),
				  &patient));
	EXPECT_OK(weir_device_reset(target->device));
	EXPECT_EQ(told.num, 2);
	EXPECT_EQ(told.kinds[0], WEIR_PEER_WITHDRAWN);
	EXPECT_EQ(told.kinds[1], WEIR_PEER_RESTORED);
	EXPECT_OK(weir_watch_close(called));
	EXPECT_OK(weir_watch_close(patient));
	EXPECT_OK(weir_device_reset(target->device));
	EXPECT_EQ(told.num, 2);
}

CONFORMANCE(peer, what_makes_no_window_is_refused, NEEDS(PEER))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_region *config;
	struct target *target;
	struct weir_peer *peer;
	struct weir_map *map;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	target = new_target(t, ioas);
	ASSERT_OK(weir_device_region(target->device, WEIR_REGION_CONFIG, &config));
	EXPECT_ERR(-EINVAL, weir_peer_open(config, 0, page, &peer));
	EXPECT_ERR(-EINVAL, weir_peer_open(target->bar, 0, 0, &peer));
	EXPECT_ERR(-EINVAL, weir_peer_open(target->bar, 1, page, &peer));
	EXPECT_ERR(-EINVAL, weir_peer_open(target->bar, 0, page + 1, &peer));
	EXPECT_ERR(-EINVAL, weir_peer_open(target->bar, 0, (uint64_t)1 << 40, &peer));
	EXPECT_ERR(-EINVAL, weir_peer_open(target->bar, -page, 2 * page, &peer));
	EXPECT_ERR(-EINVAL, weir_peer_map(target->peer, ioas, 0, 0, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_peer_map(target->peer, ioas, 1, page, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_peer_map(target->peer, ioas, 0, WINDOW + page, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_peer_map(target->peer, ioas, -page, 2 * page, NULL, &map));
	EXPECT_ERR(-EFAULT, weir_ioas_map(ioas, target->memory - page, 2 * page, NULL, &map));
	ASSERT_OK(weir_device_set_memory(target->device, false));
	EXPECT_ERR(-EAGAIN, weir_peer_open(target->bar, 0, page, &peer));
	ASSERT_OK(weir_device_set_memory(target->device, true));
}

CONFORMANCE(peer, the_same_window_may_be_made_twice, NEEDS(PEER))
{
	struct target *target;
	struct weir_peer *again;

	target = new_target(t, new_ioas(t));
	ASSERT_OK(weir_peer_open(target->bar, 0, WINDOW, &again));
	EXPECT_OK(weir_peer_close(again));
}

CONFORMANCE(peer, a_region_in_use_is_not_unmapped, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = new_device(t, new_ioas(t), "NVME1", 0);
	struct weir_region *bar;
	struct weir_map *map;
	void *memory;

	new_edu(t, ioas, "EDU1", 0);
	ASSERT_OK(weir_device_region(device, CMB_BAR, &bar));
	EXPECT_OK(weir_region_unmap(bar));
	ASSERT_OK(weir_region_map(bar, &memory, NULL));
	ASSERT_OK(weir_ioas_map(ioas, memory, PAGE, NULL, &map));
	EXPECT_ERR(-EBUSY, weir_region_unmap(bar));
	EXPECT_OK(weir_map_close(map));
	EXPECT_OK(weir_region_unmap(bar));
	EXPECT_OK(weir_region_unmap(bar));
}

enum { RESETS = 30 };

static void *reset_again_and_again(void *arg)
{
	struct weir_device *device = arg;
	int error = 0;

	for (int i = 0; i < RESETS && !error; i++)
		error = weir_device_reset(device);
	return error ? arg : NULL;
}

static int map_while_it_goes_and_comes(struct target *target, struct weir_ioas *ioas, bool together)
{
	struct weir_map *maps[3];
	int num = 0, error;

	for (uint32_t i = 0; i < 3; i++) {
		error = weir_peer_map(target->peer, ioas, 0, WINDOW,
				      &WEIR_OPTS(weir_map_opts, .flags = i == 1 ? WEIR_MAP_SINK : 0),
				      &maps[num]);
		if (error && error != -EAGAIN)
			return error;
		num += !error;
	}
	if (together)
		return weir_map_close_batch(maps, (size_t)num);
	for (error = 0; num && !error;)
		error = weir_map_close(maps[--num]);
	return error;
}

/* How often it maps is chance, and so is what would be recorded of it. */
CONFORMANCE(peer, threads_map_and_unmap_while_the_window_goes_and_comes, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_peer_info info = { 0 };
	struct target *target;
	pthread_t thread;
	void *failed;

	record_no_calls(t);
	target = new_target(t, new_ioas(t));
	new_edu(t, ioas, "EDU1", 0);
	ASSERT_EQ(pthread_create(&thread, NULL, reset_again_and_again, target->device), 0);
	while (info.generation < RESETS - 5) {
		if (map_while_it_goes_and_comes(target, ioas, info.generation % 2) ||
		    weir_peer_info(target->peer, &info, sizeof(info)))
			FAIL("%s", weir_error());
	}
	ASSERT_EQ(pthread_join(thread, &failed), 0);
	EXPECT_TRUE(!failed);
	EXPECT_EQ(window_info(target).num_mappings, 0);
	EXPECT_EQ(window_info(target).generation, RESETS + 1);
}
