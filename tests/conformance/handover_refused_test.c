// SPDX-License-Identifier: MIT
/* What a description does not carry is named, each by itself, and in nobody's way when it was closed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conformance/handover.h"
#include "conformance/handover_domain.h"
#include "conformance/os.h"

#include <weir/migration.h>

struct told {
	int num;
	char text[512];
};

static void tell(void *ctx, const char *what)
{
	struct told *told = ctx;

	told->num++;
	snprintf(told->text, sizeof(told->text), "%s", what);
}

/* It alone is in the way, and named so; and nothing is sent. */
static void expect_named(struct predecessor *predecessor, const char *words)
{
	struct told told = { 0 };

	EXPECT_ERR(-ENOTSUP, weir_handover_check(predecessor->host, tell, &told));
	EXPECT_EQ(told.num, 1);
	EXPECT_CONTAINS(told.text, words);
	EXPECT_ERR(-ENOTSUP, weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	EXPECT_CONTAINS(weir_error(), words);
}

/* It was closed: all is handed over. */
static struct weir_host *give(struct t *t, struct predecessor *predecessor, uint32_t flags)
{
	struct successor *successor;

	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0],
				     &WEIR_OPTS(weir_handover_opts, .flags = flags)));
	forget_predecessor(predecessor);
	successor = end_successor(t);
	t_note(t, "%s", successor->text);
	ASSERT_EQ(successor->error, 0);
	return successor->host;
}

CONFORMANCE(handover_refused, a_space_that_is_tracked, NEEDS(EDU0, HANDOVER, DIRTY, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_tracked_predecessor(t);
	struct weir_dirty *dirty;
	struct weir_ioas *ioas;
	struct weir_host *host;

	ASSERT_OK(weir_dirty_open(predecessor->ioas, NULL, &dirty));
	expect_named(predecessor, "a space that is tracked: close the weir_dirty");
	EXPECT_OK(weir_dirty_close(dirty));
	host = give(t, predecessor, 0);
	/* It can be tracked by the successor. */
	ASSERT_OK(weir_handover_ioas(host, 0, &ioas));
	ASSERT_OK(weir_dirty_open(ioas, NULL, &dirty));
	EXPECT_OK(weir_dirty_close(dirty));
	expect_estate(t, host);
}

CONFORMANCE(handover_refused, a_device_that_sleeps, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);

	ASSERT_OK(weir_device_sleep(predecessor->device, -1));
	expect_named(predecessor, "sleeps: wake it");
	EXPECT_OK(weir_device_wake(predecessor->device));
	expect_estate(t, give(t, predecessor, 0));
}

/* Of a device that runs, or is stopped, there is nothing but its state, which the kernel has. */
CONFORMANCE(handover_refused, a_device_that_migrates, NEEDS(EDU0, HANDOVER, MIGRATION, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_migration *stream = NULL;
	struct weir_device *device;
	struct weir_host *host;

	ASSERT_OK(weir_migration_set(predecessor->device, WEIR_MIGRATION_STOP_COPY, &stream));
	expect_named(predecessor, "migrates, through a stream");
	EXPECT_OK(weir_migration_close(stream));
	stream = NULL;
	ASSERT_OK(weir_migration_set(predecessor->device, WEIR_MIGRATION_STOP, &stream));
	host = give(t, predecessor, 0);
	ASSERT_OK(weir_handover_device(host, address_of(t, "EDU0"), &device));
	ASSERT_OK(weir_migration_set(device, WEIR_MIGRATION_RUNNING, &stream));
	expect_estate(t, host);
}

CONFORMANCE(handover_refused, a_cache_that_has_mappings, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	unsigned char *memory = new_memory(t, PAGE, 1);
	struct weir_cache *cache;
	struct weir_cached cached;

	ASSERT_OK(weir_cache_open(predecessor->ioas, NULL, &cache));
	ASSERT_OK(weir_cache_get(cache, memory, PAGE, 0, &cached));
	expect_named(predecessor, "of a weir_cache");
	EXPECT_OK(weir_cache_put(cache, &cached));
	EXPECT_OK(weir_cache_close(cache));
	expect_estate(t, give(t, predecessor, 0));
}

/* EDU0 goes there, and comes back: others may be in a group of several. */
CONFORMANCE(handover_refused, a_nested_space_that_is_a_shadow, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY, ORDINARY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_device_opts opts = WEIR_OPTS(weir_device_opts, .address_bits = EDU0_BITS);
	struct weir_ioas *ioas;

	ASSERT_OK(weir_device_close(predecessor->device));
	ASSERT_OK(weir_nested_space_open(
		predecessor->host, &WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_SHADOW), &ioas));
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), &opts, &predecessor->device));
	expect_named(predecessor, "a nested space that is a shadow");
	EXPECT_OK(weir_device_close(predecessor->device));
	EXPECT_OK(weir_ioas_close(ioas));
	ASSERT_OK(weir_device_open(predecessor->ioas, address_of(t, "EDU0"), &opts, &predecessor->device));
	EXPECT_OK(weir_handover_check(predecessor->host, NULL, NULL));
}

CONFORMANCE(handover_refused, a_queue_of_events, NEEDS(EDU0, HANDOVER, NESTED_SMMUV3, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct stage *stage = new_stage(t, predecessor);
	struct weir_events *events;

	ASSERT_OK(weir_events_open(stage->nested, NULL, &events));
	expect_named(predecessor, "a queue of events");
	EXPECT_OK(weir_events_close(events));
	EXPECT_OK(weir_handover_check(predecessor->host, NULL, NULL));
}

CONFORMANCE(handover_refused, a_memory_of_another_hosts_too, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_ioas *other = new_ioas(t);

	ASSERT_OK(weir_memory_share(predecessor->memory, other));
	expect_named(predecessor, "a weir_memory is in a space of another host");
	EXPECT_OK(weir_memory_unshare(predecessor->memory, other));
	expect_estate(t, give(t, predecessor, 0));
}

/* Windows ---------------------------------------------------------------------------------------------------------- */

/* NVME1, opened by the predecessor; its buffer reaches EDU0. */
struct windowed {
	struct predecessor *predecessor;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_peer *peer;
	struct weir_map *map;
};

static struct weir_peer *open_peer(struct weir_device *device)
{
	struct weir_region *bar;
	struct weir_peer *peer;
	size_t len;
	void *memory;

	ASSERT_OK(weir_device_region(device, 0, &bar));
	ASSERT_OK(weir_region_map(bar, &memory, &len));
	ASSERT_OK(weir_peer_open(bar, 0, PAGE, &peer));
	return peer;
}

static struct windowed new_windowed(struct t *t, struct weir_ioas *reader)
{
	struct windowed w = { .predecessor = new_predecessor(t) };

	ASSERT_OK(weir_ioas_open(w.predecessor->host, NULL, &w.ioas));
	ASSERT_OK(weir_device_open(w.ioas, address_of(t, "NVME1"), NULL, &w.device));
	w.peer = open_peer(w.device);
	ASSERT_OK(weir_peer_map(w.peer, reader ? reader : w.predecessor->ioas, 0, PAGE,
				&WEIR_OPTS(weir_map_opts, .address_bits = EDU0_BITS), &w.map));
	return w;
}

static void end_windowed(struct weir_device *device, struct weir_peer *peer)
{
	struct weir_ioas *ioas = weir_device_ioas(device);

	EXPECT_OK(weir_peer_close(peer));
	EXPECT_OK(weir_device_close(device));
	EXPECT_OK(weir_ioas_close(ioas));
}

/* Dropped, it is the successor's to import again, where it was. */
CONFORMANCE(handover_refused, a_window_that_is_not_dropped, NEEDS(EDU0, HANDOVER, PEER, LOCKED_MEMORY))
{
	struct windowed w = new_windowed(t, NULL);
	struct predecessor *predecessor = w.predecessor;
	uint64_t iova = weir_map_iova(w.map);
	struct weir_device *device;
	struct weir_ioas *ioas;
	struct weir_host *host;
	struct weir_peer *peer;
	struct weir_map *map;

	expect_named(predecessor, "a window of a device");
	/* Who is refused has it as before. */
	begin_successor(t, predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED,
		   weir_handover_give(predecessor->host, predecessor->ends[0],
				      &WEIR_OPTS(weir_handover_opts, .flags = WEIR_HANDOVER_DROP_PEERS)));
	end_successor(t);
	EXPECT_OK(weir_map_close(w.map));
	ASSERT_OK(weir_peer_map(w.peer, predecessor->ioas, 0, PAGE,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = iova), &w.map));
	other_ends(predecessor);
	host = give(t, predecessor, WEIR_HANDOVER_DROP_PEERS);
	EXPECT_OK(weir_peer_close(w.peer));
	ASSERT_OK(weir_handover_ioas(host, 0, &ioas));
	EXPECT_ERR(-ENOENT, weir_handover_map(ioas, iova, &map));
	ASSERT_OK(weir_handover_device(host, address_of(t, "NVME1"), &device));
	peer = open_peer(device);
	ASSERT_OK(weir_peer_map(peer, ioas, 0, PAGE,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = iova), &map));
	EXPECT_OK(weir_map_close(map));
	end_windowed(device, peer);
	expect_estate(t, host);
}

/* Nothing of the predecessor's host is mapped there: what is, ends as if the device were closed. */
CONFORMANCE(handover_refused, a_window_of_another_hosts, NEEDS(EDU0, HANDOVER, PEER, LOCKED_MEMORY))
{
	struct weir_ioas *other = new_ioas(t);
	struct windowed w = new_windowed(t, other);
	struct weir_peer_info info;
	struct weir_device *device;
	struct weir_host *host;

	expect_named(w.predecessor, "in a space of another host");
	EXPECT_OK(weir_map_close(w.map));
	EXPECT_OK(weir_handover_check(w.predecessor->host, NULL, NULL));
	ASSERT_OK(weir_peer_map(w.peer, other, 0, PAGE, NULL, &w.map));
	host = give(t, w.predecessor, WEIR_HANDOVER_DROP_PEERS);
	EXPECT_OK(weir_peer_info(w.peer, &info, sizeof(info)));
	EXPECT_EQ(info.state, WEIR_PEER_LOST);
	EXPECT_OK(weir_map_close(w.map));
	EXPECT_OK(weir_peer_close(w.peer));
	ASSERT_OK(weir_handover_device(host, address_of(t, "NVME1"), &device));
	end_windowed(device, NULL);
	expect_estate(t, host);
}
