// SPDX-License-Identifier: MIT
/* What becomes of a window when others do something to its device, past the library; and when the kernel asks for it. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "conformance/away.h"
#include "conformance/dma.h"
#include "conformance/target.h"
#include "kernel/vfio_abi.h"

/* VFIO_DEVICE_FEATURE: what it is to do, and with what. */
enum { LOW_POWER_ENTRY = 3, LOW_POWER_EXIT = 5, FEATURE_SET = 1 << 17 };

static void set_low_power(struct t *t, struct weir_device *device, uint32_t what)
{
	struct {
		uint32_t argsz, flags;
	} feature = { sizeof(feature), FEATURE_SET | what };

	ASSERT_EQ(past_the_library(t, device, ABI_VFIO_DEVICE_FEATURE, &feature), 0);
}

static void reset_past(struct t *t, struct target *target)
{
	ASSERT_EQ(past_the_library(t, target->device, ABI_VFIO_DEVICE_RESET, NULL), 0);
}

static void expect_withdrawn(struct target *target, uint64_t generation, const char *why)
{
	struct weir_peer_event event = next_event(target);

	EXPECT_EQ(event.kind, WEIR_PEER_WITHDRAWN);
	EXPECT_EQ(event.generation, generation);
	EXPECT_EQ(window_info(target).state, WEIR_PEER_AWAY);
	EXPECT_CONTAINS(window_info(target).reason, why);
	expect_no_event(target);
}

static void expect_restored(struct target *target, uint64_t generation)
{
	struct weir_peer_event event = next_event(target);

	EXPECT_EQ(event.kind, WEIR_PEER_RESTORED);
	EXPECT_EQ(event.generation, generation);
	EXPECT_EQ(window_info(target).state, WEIR_PEER_HERE);
	EXPECT_STREQ(window_info(target).reason, "");
	expect_no_event(target);
}

/* A raw reset, which leaves no trace --------------------------------------------------------------------------- */

CONFORMANCE(peer_past, resync_after_a_raw_reset_brings_the_window_back_where_it_was, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct weir_map *map = map_window(t, target, ioas, 0);
	struct weir_map *sunk = map_window(t, target, ioas, WEIR_MAP_SINK);
	uint64_t iova = weir_map_iova(map);

	for (uint64_t generation = 1; generation <= 2; generation++) {
		reset_past(t, target);
		expect_no_event(target);
		ASSERT_OK(weir_device_resync(target->device));
		EXPECT_EQ(next_event(target).kind, WEIR_PEER_WITHDRAWN);
		expect_restored(target, generation + 1);
		EXPECT_EQ(weir_device_away(target->device), 0);
	}
	enable_buffer(target);
	EXPECT_EQ(weir_map_iova(map), iova);
	EXPECT_TRUE(dma_reaches(t, edu, iova, target->memory, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(sunk) + PAGE, target->memory + PAGE, PAGE));
	EXPECT_OK(weir_map_close(map));
	EXPECT_OK(weir_map_close(sunk));
}

/* What resync is the cure for: iommufd's mappings of what was revoked once lead to nothing, for ever. */
CONFORMANCE(peer_past, without_resync_a_raw_reset_cuts_the_window_off,
	    NEEDS(PEER, EDU1, FAULT_COUNT, IOMMUFD))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct weir_map *map = map_window(t, target, ioas, 0);

	reset_past(t, target);
	enable_buffer(target);
	memset(target->memory, 0x11, PAGE);
	faults_begin(t);
	dma_writes(t, edu, weir_map_iova(map), 0x22, PAGE);
	EXPECT_TRUE(faults_reported(t));
	EXPECT_TRUE(all_bytes(target->memory, 0x11, PAGE));
	/* A new mapping of the same window works, and tells nothing of that. */
	EXPECT_OK(weir_map_close(map_window(t, target, ioas, 0)));
	expect_no_event(target);
	ASSERT_OK(weir_device_resync(target->device));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer_past, resync_of_a_device_that_is_off_gives_nothing_back, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct weir_map *map = map_window(t, target, ioas, 0);

	set_memory_past(t, target->device, false);
	ASSERT_OK(weir_device_resync(target->device));
	expect_withdrawn(target, 1, "switched off");
	ASSERT_OK(weir_device_resync(target->device));
	expect_no_event(target);
	set_memory_past(t, target->device, true);
	ASSERT_OK(weir_device_resync(target->device));
	expect_restored(target, 2);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

/* Traces ----------------------------------------------------------------------------------------------------------- */

CONFORMANCE(peer_past, command_that_is_read_withdraws_and_restores, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct weir_region *config = config_of(t, target->device);
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct weir_map *map = map_window(t, target, ioas, 0);
	uint16_t command;

	set_memory_past(t, target->device, false);
	expect_no_event(target);
	ASSERT_OK(weir_region_read16(config, PCI_COMMAND_OFFSET, &command));
	expect_withdrawn(target, 1, "switched off");
	set_memory_past(t, target->device, true);
	ASSERT_OK(weir_region_read16(config, PCI_COMMAND_OFFSET, &command));
	expect_restored(target, 2);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

/* On the container the kernel says -EFAULT, for which there are other reasons: the registers decide. */
CONFORMANCE(peer_past, a_mapping_that_is_refused_makes_the_library_look, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct weir_map *map = map_window(t, target, ioas, 0), *late;

	set_memory_past(t, target->device, false);
	EXPECT_ERR(-EAGAIN, weir_peer_map(target->peer, ioas, 0, PAGE, NULL, &late));
	EXPECT_CONTAINS(weir_error(), "switched off");
	EXPECT_EQ(weir_device_away(target->device), WEIR_AWAY_MEMORY);
	expect_withdrawn(target, 1, "switched off");
	ASSERT_OK(weir_device_set_memory(target->device, true));
	expect_restored(target, 2);
	/* And when it is mapped as memory. */
	set_memory_past(t, target->device, false);
	EXPECT_ERR(-EAGAIN, weir_ioas_map(ioas, target->memory, PAGE, NULL, &late));
	expect_withdrawn(target, 2, "switched off");
	ASSERT_OK(weir_device_set_memory(target->device, true));
	expect_restored(target, 3);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_EQ(window_info(target).num_mappings, 1);
	EXPECT_OK(weir_map_close(map));
}

/* The registers tell nothing of it, and are all that the container has. */
CONFORMANCE(peer_past, a_window_that_sleeps_without_the_library_is_away_until_it_wakes,
	    NEEDS(PEER, EDU1, IOMMUFD))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct weir_map *map = map_window(t, target, ioas, WEIR_MAP_SINK), *late;

	set_low_power(t, target->device, LOW_POWER_ENTRY);
	EXPECT_ERR(-EAGAIN, weir_peer_map(target->peer, ioas, 0, PAGE, NULL, &late));
	expect_withdrawn(target, 1, "the kernel keeps it away");
	EXPECT_OK(weir_device_resync(target->device));
	EXPECT_EQ(window_info(target).state, WEIR_PEER_AWAY);
	expect_no_event(target);
	dma_writes(t, edu, weir_map_iova(map), 0x22, PAGE);
	set_low_power(t, target->device, LOW_POWER_EXIT);
	EXPECT_OK(weir_device_resync(target->device));
	expect_restored(target, 2);
	EXPECT_EQ(window_info(target).sunk, 1);
	enable_buffer(target);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

/* A space that comes to life is a trace, too; who has to do with the window next learns of it. */
CONFORMANCE(peer_past, what_is_away_when_a_space_comes_to_life_is_found, NEEDS(PEER, EDU1, IOMMUFD))
{
	struct weir_ioas *ioas = new_ioas_with(t, &WEIR_OPTS(weir_ioas_opts, .address_bits = EDU1_BITS));
	struct target *target = new_target(t, new_ioas(t));
	struct weir_map *map = map_window(t, target, ioas, 0);
	struct edu *edu;

	set_memory_past(t, target->device, false);
	edu = new_edu(t, ioas, "EDU1", 0);
	EXPECT_EQ(window_info(target).state, WEIR_PEER_AWAY);
	expect_withdrawn(target, 1, "switched off");
	ASSERT_OK(weir_device_set_memory(target->device, true));
	expect_restored(target, 2);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

struct meddler {
	struct t *t;
	struct target *target;
	_Atomic bool done;
	int error;
};

/* Off and on past the library, and now and then somebody has it look. */
static void *meddle(void *arg)
{
	enum { TIMES = 60 };
	struct meddler *meddler = arg;

	for (int i = 0; i < TIMES && !meddler->error; i++) {
		set_memory_past(meddler->t, meddler->target->device, false);
		if (i % 3)
			meddler->error = weir_device_resync(meddler->target->device);
		set_memory_past(meddler->t, meddler->target->device, true);
		if (i % 2 && !meddler->error)
			meddler->error = weir_device_resync(meddler->target->device);
	}
	atomic_store(&meddler->done, true);
	return NULL;
}

/* Of a kernel that refuses for a moment, it may come out that the device is away, or that nothing is wrong with it any more. */
static int map_and_unmap(struct target *target, struct weir_ioas *ioas, uint32_t flags)
{
	struct weir_map *map;
	int error =
		weir_peer_map(target->peer, ioas, 0, WINDOW, &WEIR_OPTS(weir_map_opts, .flags = flags), &map);

	if (error)
		return error == -EAGAIN || error == -EOPNOTSUPP ? 0 : error;
	return weir_map_close(map);
}

CONFORMANCE(peer_past, threads_map_while_others_switch_the_device_off_and_on, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct meddler meddler = { .t = t, .target = target };
	struct weir_map *map = map_window(t, target, ioas, 0);
	struct weir_peer_event event;
	pthread_t thread;

	record_no_calls(t);
	ASSERT_EQ(pthread_create(&thread, NULL, meddle, &meddler), 0);
	for (uint32_t i = 0; !atomic_load(&meddler.done); i++)
		if (map_and_unmap(target, ioas, i % 2 ? WEIR_MAP_SINK : 0))
			FAIL("%s", weir_error());
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_OK(meddler.error);
	EXPECT_OK(weir_device_resync(target->device));
	EXPECT_EQ(window_info(target).state, WEIR_PEER_HERE);
	EXPECT_EQ(window_info(target).num_mappings, 1);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
	/* Whoever watches has been told of each time, in turn. */
	for (uint32_t kind = UINT32_MAX; !weir_watch_next(target->watch, &event, sizeof(event));
	     kind = event.kind)
		if (event.kind == kind)
			FAIL("event %u comes twice", kind);
	EXPECT_EQ(event.kind, WEIR_PEER_RESTORED);
}

/* What else takes a window away --------------------------------------------------------------------------------- */

CONFORMANCE(peer_past, a_device_that_the_kernel_wants_back_takes_its_windows_along, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct weir_map *map = map_window(t, target, ioas, 0);
	struct weir_irq *irq;

	ASSERT_OK(weir_irq_enable(target->device, WEIR_IRQ_REQ, 1, &irq));
	ASSERT_OK(weir_irq_trigger(irq, 0));
	expect_no_event(target);
	ASSERT_OK(weir_irq_wait(irq, 0, 5000, NULL));
	expect_withdrawn(target, 1, "wants the device back");
	/* Nobody else is to use it; this program brings it to rest. */
	enable_buffer(target);
	memset(target->memory, 0x11, PAGE);
	dma_writes(t, edu, weir_map_iova(map), 0x22, PAGE);
	EXPECT_TRUE(all_bytes(target->memory, 0x11, PAGE));
	/* Whoever asked has given up. */
	ASSERT_OK(weir_device_resync(target->device));
	expect_restored(target, 2);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_irq_disable(irq));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer_past, sleep_takes_the_window_away_until_the_device_is_woken, NEEDS(PEER, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct weir_map *map = map_window(t, target, ioas, WEIR_MAP_SINK);

	ASSERT_OK(weir_device_sleep(target->device, -1));
	expect_withdrawn(target, 1, "sleeps");
	dma_writes(t, edu, weir_map_iova(map), 0x22, PAGE);
	EXPECT_OK(weir_device_resync(target->device));
	expect_no_event(target);
	ASSERT_OK(weir_device_wake(target->device));
	expect_restored(target, 2);
	EXPECT_EQ(window_info(target).sunk, 1);
	enable_buffer(target);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer_past, a_power_state_takes_the_window_away, NEEDS(PEER, EDU1))
{
	enum { CAP_POWER = 1, POWER_CONTROL = 4, D3HOT = 3 };
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct weir_region *config = config_of(t, target->device);
	uint32_t control = find_capability(t, target->device, CAP_POWER) + POWER_CONTROL;
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct weir_map *map = map_window(t, target, ioas, WEIR_MAP_SINK);
	uint16_t before = 0;

	ASSERT_OK(weir_region_read16(config, control, &before));
	ASSERT_OK(weir_region_write16(config, control, before | D3HOT));
	expect_withdrawn(target, 1, "D0");
	dma_writes(t, edu, weir_map_iova(map), 0x22, PAGE);
	ASSERT_OK(weir_region_write16(config, control, before));
	expect_restored(target, 2);
	EXPECT_EQ(window_info(target).sunk, 1);
	enable_buffer(target);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer_past, a_hot_reset_brings_the_window_back_where_it_was, NEEDS(PEER, EDU1, HOT_RESET))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct target *target = new_target(t, new_ioas(t));
	struct edu *edu = new_edu(t, ioas, "EDU1", 0);
	struct weir_map *map = map_window(t, target, ioas, 0);

	ASSERT_OK(weir_device_hot_reset(target->device));
	EXPECT_EQ(next_event(target).kind, WEIR_PEER_WITHDRAWN);
	expect_restored(target, 2);
	enable_buffer(target);
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), target->memory, PAGE));
	EXPECT_OK(weir_map_close(map));
}
