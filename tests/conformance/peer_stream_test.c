// SPDX-License-Identifier: MIT
/* Resets of the target while another controller's DMA streams into its window. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <nvme/nvme.h>

#include "conformance/away.h"
#include "conformance/dma.h"
#include "conformance/os.h"
#include "conformance/target.h"
#include "kernel/vfio_abi.h"

enum { ROUNDS = 50, ROUNDS_LOOKED_AT = 2, HALF = WINDOW / PAGE / 2, TIMEOUT_MS = 10000 };

/* NVME0 reads its disk into the window: before a reset into the first half, while the window is away into the second. */
static struct stream {
	struct t *t;
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;
	uint64_t iova;
	bool sink;
	unsigned int resets, faulted;
} stream;

static void submit(unsigned int first_page)
{
	for (unsigned int i = 0; i < HALF; i++) {
		unsigned int page = first_page + i;
		struct nvme_request read = { .block = page * PAGE >> stream.ns.block_shift,
					     .iova = stream.iova + page * PAGE,
					     .len = PAGE,
					     .op = NVME_OP_READ };

		if (nvme_queue_submit(stream.queue, &stream.ns, &read, 1) != 1)
			FAIL("nvme_queue_submit: %s", nvme_error());
	}
}

/* Until nothing is in flight. Whether it was carried out is up to the window. */
static void drain(void)
{
	struct nvme_completion done[2 * HALF];

	while (nvme_queue_in_flight(stream.queue))
		if (nvme_queue_wait(stream.queue, done, 2 * HALF, TIMEOUT_MS) < 0)
			FAIL("nvme_queue_wait: %s", nvme_error());
}

/* The device has just been reset, and the library has not yet given the window back. */
static void at_each_call(const struct sys_log_entry *entry)
{
	if (strcmp(entry->call, "ioctl") != 0 || entry->request != ABI_VFIO_DEVICE_RESET)
		return;
	if (stream.resets++ >= ROUNDS_LOOKED_AT) {
		submit(HALF);
		return;
	}
	drain();
	faults_begin(stream.t);
	submit(HALF);
	drain();
	stream.faulted += faults_reported(stream.t);
}

static void end_stream(void *arg)
{
	struct t *t = arg;

	fixture_of(t)->log.told = NULL;
	EXPECT_EQ(nvme_controller_close(stream.controller), 0);
}

static void begin_stream(struct t *t, struct weir_ioas *ioas, bool sink)
{
	struct weir_device *device = new_device(t, ioas, "NVME0", 0);

	stream = (struct stream){ .t = t, .sink = sink };
	if (nvme_controller_open(device, &WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING),
				 &stream.controller))
		FAIL("nvme_controller_open: %s", nvme_error());
	t_defer(t, end_stream, t);
	if (nvme_namespace_info(stream.controller, 1, &stream.ns, sizeof(stream.ns)) ||
	    nvme_queue_open(stream.controller, 2 * HALF, &stream.queue))
		FAIL("opening namespace 1 and a queue: %s", nvme_error());
	fixture_of(t)->log.told = at_each_call;
}

/* Devices of one group are in one space; else there are two. */
static struct weir_ioas *space_of_stream(struct t *t, struct weir_ioas *ioas)
{
	static const char *const names[] = { "NVME0", "NVME1" };
	char path[128], groups[2][32];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address_of(t, names[i]));
		os_link_name(path, groups[i], sizeof(groups[i]));
	}
	return strcmp(groups[0], groups[1]) != 0 ? new_ioas(t) : ioas;
}

/* One reset; afterwards the window is at its place again, and what was to be written meanwhile did not come. */
static void round_of(struct target *target, uint64_t generation)
{
	struct weir_peer_event event;

	memset(target->memory, 0x11, WINDOW);
	submit(0);
	EXPECT_OK(weir_device_reset(target->device));
	drain();
	enable_buffer(target);
	event = next_event(target);
	EXPECT_EQ(event.kind, WEIR_PEER_WITHDRAWN);
	EXPECT_EQ(event.generation, generation);
	event = next_event(target);
	EXPECT_EQ(event.kind, WEIR_PEER_RESTORED);
	EXPECT_EQ(event.generation, generation + 1);
	if (generation <= ROUNDS_LOOKED_AT) {
		EXPECT_TRUE(all_bytes(target->memory + WINDOW / 2, 0x11, WINDOW / 2));
		EXPECT_EQ(event.written, stream.sink);
	}
	expect_no_event(target);
}

static void survives(struct t *t, bool sink)
{
	struct weir_ioas *ioas = new_ioas(t), *other = space_of_stream(t, ioas);
	struct target *target = new_target(t, ioas);
	struct weir_map *map = map_window(t, target, other, sink ? WEIR_MAP_SINK : 0);
	unsigned char zeros[PAGE] = { 0 };

	begin_stream(t, other, sink);
	stream.iova = weir_map_iova(map);
	for (uint64_t generation = 1; generation <= ROUNDS; generation++) {
		t_note(t, "reset %u", (unsigned int)generation);
		round_of(target, generation);
	}
	EXPECT_EQ(stream.resets, ROUNDS);
	EXPECT_EQ(stream.faulted, sink ? 0 : ROUNDS_LOOKED_AT);
	EXPECT_EQ(window_info(target).state, WEIR_PEER_HERE);
	EXPECT_EQ(window_info(target).generation, ROUNDS + 1);
	EXPECT_EQ(weir_map_iova(map), stream.iova);
	memset(target->memory, 0, WINDOW);
	submit(0);
	drain();
	for (unsigned int page = 0; page < HALF; page++)
		EXPECT_TRUE(memcmp(target->memory + page * PAGE, zeros, PAGE) != 0);
	EXPECT_TRUE(all_bytes(target->memory + WINDOW / 2, 0, WINDOW / 2));
	EXPECT_OK(weir_map_close(map));
}

CONFORMANCE(peer_stream, fifty_resets_in_a_row_let_nothing_through_and_lose_nothing,
	    NEEDS(PEER, NVME0, FAULT_COUNT))
{
	t_timeout(t, 120);
	survives(t, false);
}

CONFORMANCE(peer_stream, with_a_sink_they_raise_no_fault_while_the_window_is_away,
	    NEEDS(PEER, NVME0, FAULT_COUNT))
{
	t_timeout(t, 120);
	survives(t, true);
}

/* Nobody tells the library of the resets, so what comes behind them goes wherever the kernel lets it; until it looks. */
CONFORMANCE(peer_stream, resync_cures_raw_resets_on_the_way, NEEDS(PEER, NVME0))
{
	enum { RAW_RESETS = 10 };
	struct weir_ioas *ioas = new_ioas(t), *other = space_of_stream(t, ioas);
	struct target *target = new_target(t, ioas);
	struct weir_map *map = map_window(t, target, other, 0);
	struct weir_peer_event event;

	begin_stream(t, other, false);
	stream.iova = weir_map_iova(map);
	for (uint64_t generation = 1; generation <= RAW_RESETS; generation++) {
		t_note(t, "reset %u", (unsigned int)generation);
		submit(0);
		ASSERT_EQ(past_the_library(t, target->device, ABI_VFIO_DEVICE_RESET, NULL), 0);
		submit(HALF);
		ASSERT_OK(weir_device_resync(target->device));
		drain();
		enable_buffer(target);
		EXPECT_EQ(next_event(target).kind, WEIR_PEER_WITHDRAWN);
		event = next_event(target);
		EXPECT_EQ(event.kind, WEIR_PEER_RESTORED);
		EXPECT_EQ(event.generation, generation + 1);
		memset(target->memory, 0, WINDOW);
		submit(0);
		drain();
		for (unsigned int page = 0; page < HALF; page++)
			EXPECT_FALSE(all_bytes(target->memory + page * PAGE, 0, PAGE));
	}
	EXPECT_EQ(weir_map_iova(map), stream.iova);
	EXPECT_OK(weir_map_close(map));
}

/* A controller's own reads into another's buffer, and that one's writes from its own: no byte of it in host memory. */
CONFORMANCE(peer_stream, a_controller_writes_from_its_own_buffer_what_another_has_read_into_it,
	    NEEDS(PEER, NVME0))
{
	enum { LEN = 8 * PAGE };
	struct weir_ioas *ioas = new_ioas(t), *other = space_of_stream(t, ioas);
	struct target *target = new_target(t, ioas);
	struct weir_map *map = map_window(t, target, other, 0), *own;
	unsigned char *expected = new_memory(t, LEN, 0);
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;
	struct nvme_cmb cmb;

	begin_stream(t, other, false);
	stream.iova = weir_map_iova(map);
	if (nvme_controller_open(target->device, NULL, &controller) ||
	    nvme_controller_cmb(controller, &cmb, sizeof(cmb)) ||
	    nvme_namespace_info(controller, 1, &ns, sizeof(ns)) || nvme_queue_open(controller, 4, &queue))
		FAIL("%s", nvme_error());
	EXPECT_EQ(cmb.bar, CMB_BAR);
	EXPECT_EQ(cmb.len, 64 << 20);
	ASSERT_OK(weir_ioas_map(ioas, target->memory, cmb.len, NULL, &own));
	EXPECT_EQ(nvme_controller_enable_cmb(controller, weir_map_iova(own)), 0);
	submit(0);
	drain();
	memcpy(expected, target->memory, LEN);
	EXPECT_FALSE(all_bytes(expected, expected[0], LEN));
	EXPECT_EQ(nvme_queue_write(queue, &ns, 0, weir_map_iova(own), LEN, TIMEOUT_MS), 0);
	memset(target->memory, 0x33, LEN);
	EXPECT_EQ(nvme_queue_read(queue, &ns, 0, weir_map_iova(own) + 64 * PAGE, LEN, TIMEOUT_MS), 0);
	EXPECT_MEMEQ(target->memory + 64 * PAGE, expected, LEN);
	EXPECT_EQ(nvme_controller_close(controller), 0);
	EXPECT_OK(weir_map_close(own));
	EXPECT_OK(weir_map_close(map));
}

/* The region of persistent memory, which only QEMU's controller has: enabled by one register, and gone with a reset. */
CONFORMANCE(peer_stream, persistent_memory_is_a_window_like_any_other, NEEDS(PEER, NVME0, REAL_SYSTEM))
{
	enum { PMR_BAR = 4, PMRCTL = 0xe04, PMRSTS = 0xe08, NOT_READY = 1 << 8, LEN = HALF * PAGE };
	struct weir_ioas *ioas = new_ioas(t), *other = space_of_stream(t, ioas);
	struct target *target = new_target(t, ioas);
	struct weir_region *bar;
	struct weir_peer *peer;
	struct weir_map *map;
	unsigned char *memory;
	void *addr;
	uint32_t status;

	begin_stream(t, other, false);
	ASSERT_OK(weir_region_write32(target->registers, PMRCTL, 1));
	ASSERT_OK(weir_region_read32(target->registers, PMRSTS, &status));
	ASSERT_EQ(status & NOT_READY, 0);
	ASSERT_OK(weir_device_region(target->device, PMR_BAR, &bar));
	ASSERT_OK(weir_region_map(bar, &addr, NULL));
	memory = addr;
	ASSERT_OK(weir_peer_open(bar, 0, LEN, &peer));
	ASSERT_OK(weir_peer_map(peer, other, 0, LEN, NULL, &map));
	memset(memory, 0x11, LEN);
	stream.iova = weir_map_iova(map);
	submit(0);
	drain();
	for (unsigned int page = 0; page < HALF; page++)
		EXPECT_FALSE(all_bytes(memory + page * PAGE, 0x11, PAGE));
	EXPECT_OK(weir_map_close(map));
	EXPECT_OK(weir_peer_close(peer));
}
