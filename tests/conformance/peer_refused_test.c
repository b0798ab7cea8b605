// SPDX-License-Identifier: MIT
/* Windows that there cannot be, and importers that do not behave. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "conformance/dma.h"
#include "conformance/target.h"

CONFORMANCE(peer_refused, a_window_larger_than_its_bar, NEEDS(PEER))
{
	struct target *target = new_target(t, new_ioas(t));
	struct weir_region_info info;
	struct weir_peer *peer;

	ASSERT_OK(weir_region_info(target->bar, &info, sizeof(info)));
	EXPECT_ERR(-EINVAL, weir_peer_open(target->bar, 0, info.size + PAGE, &peer));
	EXPECT_ERR(-EINVAL, weir_peer_open(target->bar, info.size - PAGE, 2 * PAGE, &peer));
	EXPECT_ERR(-EINVAL, weir_peer_open(target->bar, info.size, PAGE, &peer));
	EXPECT_CONTAINS(weir_error(), "beyond BAR 2");
	ASSERT_OK(weir_peer_open(target->bar, 0, info.size, &peer));
	EXPECT_OK(weir_peer_close(peer));
}

CONFORMANCE(peer_refused, one_while_memory_decode_is_off, NEEDS(PEER))
{
	struct target *target = new_target(t, new_ioas(t));
	struct weir_peer *peer;

	ASSERT_OK(weir_device_set_memory(target->device, false));
	EXPECT_ERR(-EAGAIN, weir_peer_open(target->bar, 0, PAGE, &peer));
	EXPECT_CONTAINS(weir_error(), "switched off");
	ASSERT_OK(weir_device_set_memory(target->device, true));
	ASSERT_OK(weir_peer_open(target->bar, 0, PAGE, &peer));
	EXPECT_OK(weir_peer_close(peer));
}

CONFORMANCE(peer_refused, the_window_is_not_closed_while_it_is_watched_or_mapped, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct weir_map *map;

	new_edu(t, ioas, "EDU1", 0);
	EXPECT_ERR(-EBUSY, weir_peer_close(target->peer));
	EXPECT_CONTAINS(weir_error(), "watch");
	EXPECT_OK(weir_watch_close(target->watch));
	target->watch = NULL;
	map = map_window(t, target, ioas, 0);
	EXPECT_ERR(-EBUSY, weir_peer_close(target->peer));
	EXPECT_CONTAINS(weir_error(), "mapped");
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer_refused, a_mapping_where_another_one_is, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct weir_map *map, *again;

	new_edu(t, ioas, "EDU1", 0);
	map = map_window(t, target, ioas, 0);
	EXPECT_ERR(-EEXIST, weir_peer_map(target->peer, ioas, 0, PAGE,
					  &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED,
						     .iova = weir_map_iova(map) + PAGE),
					  &again));
	EXPECT_EQ(window_info(target).num_mappings, 1);
	/* The IOVAs of what is away stay taken. */
	ASSERT_OK(weir_device_set_memory(target->device, false));
	EXPECT_ERR(-EEXIST, weir_ioas_map(ioas, new_memory(t, PAGE, 0), PAGE,
					  &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED,
						     .iova = weir_map_iova(map)),
					  &again));
	ASSERT_OK(weir_device_set_memory(target->device, true));
	EXPECT_OK(weir_map_close(map));
}

/* Several that are slow: the patience is that of the most patient, not of all together, and they are told all the same. */
CONFORMANCE(peer_refused, importers_that_never_acknowledge_keep_nobody_waiting_for_long, NEEDS(PEER))
{
	enum { WATCHES = 3, PATIENCE_MS = 50, MOST_MS = 5000 };
	struct target *target = new_target(t, new_ioas(t));
	struct weir_watch *watches[WATCHES];
	struct weir_peer_event event;
	struct timespec before, after;

	for (int i = 0; i < WATCHES; i++)
		ASSERT_OK(weir_peer_watch(
			target->peer, &WEIR_OPTS(weir_watch_opts, .patience_ns = PATIENCE_MS * 1000000ull),
			&watches[i]));
	clock_gettime(CLOCK_MONOTONIC, &before);
	ASSERT_OK(weir_device_set_memory(target->device, false));
	clock_gettime(CLOCK_MONOTONIC, &after);
	EXPECT_TRUE((after.tv_sec - before.tv_sec) * 1000 < MOST_MS);
	ASSERT_OK(weir_device_set_memory(target->device, true));
	for (int i = 0; i < WATCHES; i++) {
		ASSERT_OK(weir_watch_next(watches[i], &event, sizeof(event)));
		EXPECT_EQ(event.kind, WEIR_PEER_WITHDRAWN);
		ASSERT_OK(weir_watch_next(watches[i], &event, sizeof(event)));
		EXPECT_EQ(event.kind, WEIR_PEER_RESTORED);
		EXPECT_OK(weir_watch_close(watches[i]));
	}
}

CONFORMANCE(peer_refused, the_exporter_goes_while_several_spaces_have_its_window, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct weir_map *maps[2];
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	uint64_t iova;

	maps[0] = map_window(t, target, ioas, 0);
	maps[1] = map_window(t, target, ioas, WEIR_MAP_SINK);
	iova = weir_map_iova(maps[1]);
	EXPECT_OK(weir_device_close(target->device));
	target->device = NULL;
	EXPECT_EQ(window_info(target).state, WEIR_PEER_LOST);
	EXPECT_EQ(window_info(target).num_mappings, 2);
	dma_writes(t, edu, iova, 0x22, PAGE); /* into the sink, which stays as long as the mapping */
	EXPECT_OK(weir_map_close(maps[0]));
	EXPECT_OK(weir_map_close(maps[1]));
	EXPECT_EQ(window_info(target).num_mappings, 0);
}
