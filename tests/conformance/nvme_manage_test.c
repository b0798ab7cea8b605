// SPDX-License-Identifier: MIT
/* The nvme driver's other commands, and controllers that are reset with requests on their way. */
#include "conformance/fixture.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include <nvme/manage.h>

enum { TIMEOUT_MS = 10000, DEPTH = 16, LEN = 65536 };

/* NVME1 in use, whose content is nobody's. */
struct disk {
	struct weir_device *device;
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;
	struct weir_memory *memory;
	struct weir_buffer buffer;
};

static void close_disk(void *arg)
{
	struct disk *disk = arg;
	int result = nvme_controller_close(disk->controller);

	/* Whatever that says, nothing is left open. */
	EXPECT_OK(weir_memory_close(disk->memory));
	if (result)
		FAIL("nvme_controller_close: %s", nvme_error());
}

static struct disk *open_disk(struct t *t, uint32_t flags)
{
	static struct disk disk;
	struct weir_ioas *ioas = new_ioas(t);
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING, .flags = flags);

	disk = (struct disk){ .device = new_device(t, ioas, "NVME1", 0) };
	ASSERT_OK(weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .page_size = 4096), &disk.memory));
	t_defer(t, close_disk, &disk);
	if (nvme_controller_open(disk.device, &opts, &disk.controller))
		FAIL("nvme_controller_open: %s", nvme_error());
	if (nvme_namespace_info(disk.controller, 1, &disk.ns, sizeof(disk.ns)) ||
	    nvme_queue_open(disk.controller, DEPTH, &disk.queue))
		FAIL("namespace 1 and a queue: %s", nvme_error());
	ASSERT_OK(weir_memory_alloc(disk.memory, LEN, NULL, &disk.buffer));
	return &disk;
}

/* Submit one request of the first 16 blocks, and wait. Returns its error. */
static int do_one(struct disk *disk, uint32_t op)
{
	struct nvme_request request = { .op = op,
					.iova = disk->buffer.iova,
					.len = 16 * disk->ns.block_size };
	struct nvme_completion done = { 0 };
	int r = nvme_queue_submit(disk->queue, &disk->ns, &request, 1);

	if (r == 1)
		r = nvme_queue_wait(disk->queue, &done, 1, TIMEOUT_MS);
	if (r != 1)
		FAIL("operation %u: %d, %s", op, r, nvme_error());
	return done.error;
}

CONFORMANCE(nvme_manage, namespaces_are_listed, NEEDS(NVME1))
{
	struct disk *disk = open_disk(t, 0);
	uint32_t nsids[4] = { 0 };

	EXPECT_EQ(nvme_namespace_list(disk->controller, 0, nsids, 4), 1);
	EXPECT_EQ(nsids[0], 1);
	EXPECT_EQ(nvme_namespace_list(disk->controller, 1, nsids, 4), 0);
}

CONFORMANCE(nvme_manage, compare_and_zeroes_and_discard_do_what_they_say, NEEDS(NVME1))
{
	struct disk *disk = open_disk(t, 0);
	size_t len = 16 * disk->ns.block_size;
	unsigned char *data = disk->buffer.addr;
	struct nvme_controller_info info;

	ASSERT_OK(nvme_controller_info(disk->controller, &info, sizeof(info)));
	EXPECT_TRUE(info.compare && info.write_zeroes && info.discard && info.sgl && info.shadow_doorbells);
	memset(data, 0x5a, len);
	EXPECT_EQ(do_one(disk, NVME_OP_WRITE), 0);
	EXPECT_EQ(do_one(disk, NVME_OP_COMPARE), 0);
	data[len - 1] ^= 1;
	EXPECT_EQ(do_one(disk, NVME_OP_COMPARE), -EBADMSG);
	EXPECT_EQ(do_one(disk, NVME_OP_WRITE_ZEROES), 0);
	EXPECT_EQ(do_one(disk, NVME_OP_READ), 0);
	for (size_t i = 0; i < len; i++)
		ASSERT_EQ(data[i], 0);
	EXPECT_EQ(do_one(disk, NVME_OP_DISCARD), 0);
}

/* Pieces of any size, by one SGL, land where they should, and nothing beside them changes. */
CONFORMANCE(nvme_manage, pieces_of_data_are_gathered_and_scattered, NEEDS(NVME1))
{
	struct disk *disk = open_disk(t, NVME_SGL);
	unsigned char *data = disk->buffer.addr;
	uint64_t iova = disk->buffer.iova;
	struct nvme_segment pieces[] = { { iova + 0x3004, 500 },
					 { iova + 0x1000, 12 },
					 { iova + 0x5ff8, 3584 } };
	struct nvme_request request = { .op = NVME_OP_WRITE, .block = 7, .len = 4096, .tag = 1 };
	struct nvme_completion done;
	unsigned char whole[4096];

	for (size_t i = 0; i < LEN; i++)
		data[i] = (unsigned char)(i * 7 + i / 256);
	memcpy(whole, data + 0x3004, 500);
	memcpy(whole + 500, data + 0x1000, 12);
	memcpy(whole + 512, data + 0x5ff8, 3584);
	ASSERT_OK(nvme_queue_submit_segments(disk->queue, &disk->ns, &request, pieces, 3));
	ASSERT_EQ(nvme_queue_wait(disk->queue, &done, 1, TIMEOUT_MS), 1);
	EXPECT_EQ(done.error, 0);
	EXPECT_OK(nvme_queue_read(disk->queue, &disk->ns, 7, iova + 0x8000, 4096, TIMEOUT_MS));
	EXPECT_MEMEQ(data + 0x8000, whole, 4096);

	memset(data, 0xee, LEN);
	request.op = NVME_OP_READ;
	ASSERT_OK(nvme_queue_submit_segments(disk->queue, &disk->ns, &request, pieces, 3));
	ASSERT_EQ(nvme_queue_wait(disk->queue, &done, 1, TIMEOUT_MS), 1);
	EXPECT_EQ(done.error, 0);
	EXPECT_MEMEQ(data + 0x3004, whole, 500);
	EXPECT_MEMEQ(data + 0x1000, whole + 500, 12);
	EXPECT_MEMEQ(data + 0x5ff8, whole + 512, 3584);
	EXPECT_TRUE(data[0x3003] == 0xee && data[0x3004 + 500] == 0xee && data[0x5ff7] == 0xee &&
		    data[0x6df8] == 0xee);
}

CONFORMANCE(nvme_manage, events_can_be_asked_for, NEEDS(NVME1))
{
	struct disk *disk = open_disk(t, NVME_EVENTS);
	unsigned char health[512] = { 0 };
	struct nvme_event events[4];

	EXPECT_EQ(nvme_controller_events(disk->controller, events, 4), 0);
	EXPECT_OK(nvme_controller_log(disk->controller, 2, UINT32_MAX, health, sizeof(health)));
	EXPECT_NE(health[1] | health[2], 0); /* a temperature */
	EXPECT_EQ(do_one(disk, NVME_OP_READ), 0);
}

/* The one event that is told now. */
static struct nvme_event next_event(struct disk *disk)
{
	struct nvme_event events[4];
	int num = 0;

	for (int i = 0; i < TIMEOUT_MS && num == 0; i++) {
		num = nvme_controller_events(disk->controller, events, 4);
		if (num == 0)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	if (num != 1)
		FAIL("nvme_controller_events: %d, %s", num, nvme_error());
	return events[0];
}

static void set_temperature_limit(struct disk *disk, uint32_t kelvin)
{
	struct nvme_admin_request request = { .opcode = 0x09, .cdw10 = 4, .cdw11 = kelvin };

	if (nvme_controller_admin(disk->controller, &request, NULL, 0, NULL))
		FAIL("setting the temperature threshold: %s", nvme_error());
}

/* It is told once, until the log has been read. */
CONFORMANCE(nvme_manage, a_temperature_beyond_its_limit_is_told_of, NEEDS(NVME1))
{
	struct disk *disk = open_disk(t, NVME_EVENTS);
	unsigned char health[512];
	struct nvme_event event;

	for (int i = 0; i < 6; i++) { /* more than there are requests for events at a time */
		set_temperature_limit(disk, 200);
		event = next_event(disk);
		EXPECT_TRUE(event.type == 1 && event.info == 1 && event.log == 2 && !event.namespaces);
		set_temperature_limit(disk, 200);
		EXPECT_EQ(do_one(disk, NVME_OP_READ), 0);
		EXPECT_EQ(nvme_controller_events(disk->controller, &event, 1), 0);
		set_temperature_limit(disk, 400);
		EXPECT_OK(
			nvme_controller_log(disk->controller, event.log, UINT32_MAX, health, sizeof(health)));
	}
	EXPECT_EQ(nvme_controller_events(disk->controller, &event, 1), 0);
}

/* Attach the namespace to the controller, or detach it: a list of the one controller there is. */
static int attach(struct disk *disk, bool attached)
{
	struct nvme_admin_request request = { .opcode = 0x15, .nsid = 1, .cdw10 = !attached };
	uint16_t list[2048] = { htole16(1) };
	struct nvme_controller_info info;

	EXPECT_OK(nvme_controller_info(disk->controller, &info, sizeof(info)));
	list[1] = htole16(info.controller_id);
	return nvme_controller_admin(disk->controller, &request, list, sizeof(list), NULL);
}

static void attach_again(void *arg)
{
	attach(arg, true);
}

static void expect_change_told(struct disk *disk)
{
	struct nvme_event event = next_event(disk);
	uint32_t nsids[4] = { 0 };

	EXPECT_TRUE(event.type == 2 && event.info == 0 && event.log == 4 && event.namespaces);
	ASSERT_EQ(nvme_namespace_changes(disk->controller, nsids, 4), 1);
	EXPECT_EQ(nsids[0], 1);
	EXPECT_EQ(nvme_namespace_changes(disk->controller, nsids, 4), 0);
}

CONFORMANCE(nvme_manage, a_namespace_that_goes_and_comes_is_told_of, NEEDS(NVME1))
{
	struct disk *disk = open_disk(t, NVME_EVENTS);
	struct nvme_namespace ns;
	uint32_t nsids[4];

	memset(disk->buffer.addr, 0x5a, LEN);
	EXPECT_EQ(do_one(disk, NVME_OP_WRITE), 0);
	if (attach(disk, false))
		FAIL("detaching namespace 1: %s", nvme_error());
	t_defer(t, attach_again, disk);
	expect_change_told(disk);
	EXPECT_EQ(nvme_namespace_list(disk->controller, 0, nsids, 4), 0);
	EXPECT_ERR(-ENOENT, nvme_namespace_info(disk->controller, 1, &ns, sizeof(ns)));
	EXPECT_EQ(do_one(disk, NVME_OP_READ),
		  -EINVAL); /* who has not heard of it is told so by the controller */

	if (attach(disk, true))
		FAIL("attaching namespace 1: %s", nvme_error());
	expect_change_told(disk);
	ASSERT_EQ(nvme_namespace_list(disk->controller, 0, nsids, 4), 1);
	EXPECT_EQ(nsids[0], 1);
	ASSERT_OK(nvme_namespace_info(disk->controller, 1, &ns, sizeof(ns)));
	EXPECT_EQ(ns.num_blocks, disk->ns.num_blocks);
	EXPECT_EQ(do_one(disk, NVME_OP_COMPARE), 0);
}

/* Each of a full queue's writes is reported once: done, or in doubt, which is then done again. */
static void expect_resumed(struct t *t, struct disk *disk, bool function_reset)
{
	uint32_t size = disk->ns.block_size, seen = 0, doubtful = 0;
	struct nvme_completion done[DEPTH];
	struct nvme_request requests[DEPTH];
	unsigned char *data = disk->buffer.addr;

	record_no_calls(t);
	for (uint32_t i = 0; i < DEPTH; i++) {
		memset(data + i * size, (int)(i + 1), size);
		requests[i] = (struct nvme_request){ .op = NVME_OP_WRITE,
						     .block = 100 + i,
						     .iova = disk->buffer.iova + i * size,
						     .len = size,
						     .tag = i };
	}
	ASSERT_EQ(nvme_queue_submit(disk->queue, &disk->ns, requests, DEPTH), DEPTH);
	if (function_reset)
		ASSERT_OK(weir_device_reset(disk->device));
	if (nvme_controller_reset(disk->controller))
		FAIL("nvme_controller_reset: %s", nvme_error());
	while (seen != (1u << DEPTH) - 1) {
		int num = nvme_queue_reap(disk->queue, done, DEPTH);

		if (num <= 0)
			FAIL("nvme_queue_reap: %d, %s", num, nvme_error());
		for (int i = 0; i < num; i++) {
			if (seen & 1u << done[i].tag || (done[i].error && done[i].error != -ECONNRESET))
				FAIL("tag %d: %d", (int)done[i].tag, done[i].error);
			seen |= 1u << done[i].tag;
			doubtful |= (uint32_t)(done[i].error != 0) << done[i].tag;
		}
	}
	for (uint32_t i = 0; i < DEPTH; i++)
		if (doubtful & 1u << i &&
		    nvme_queue_write(disk->queue, &disk->ns, 100 + i, requests[i].iova, size, TIMEOUT_MS))
			FAIL("writing block %u again: %s", 100 + i, nvme_error()); /* how many, is chance */
	memset(data, 0xee, (size_t)DEPTH * size);
	ASSERT_OK(nvme_queue_read(disk->queue, &disk->ns, 100, disk->buffer.iova, (uint64_t)DEPTH * size,
				  TIMEOUT_MS));
	for (uint32_t i = 0; i < DEPTH * size; i++)
		if (data[i] != i / size + 1)
			FAIL("byte %u is 0x%02x", i, data[i]);
}

CONFORMANCE(nvme_manage, after_a_reset_in_mid_stream_nothing_is_lost, NEEDS(NVME1))
{
	struct disk *disk = open_disk(t, NVME_EVENTS);

	for (int i = 0; i < 5; i++)
		expect_resumed(t, disk, false);
}

CONFORMANCE(nvme_manage, with_shadow_doorbells_neither, NEEDS(NVME1))
{
	struct disk *disk = open_disk(t, NVME_SHADOW_DOORBELLS | NVME_SGL);

	for (int i = 0; i < 5; i++)
		expect_resumed(t, disk, false);
}

CONFORMANCE(nvme_manage, after_a_function_reset_the_queues_go_on, NEEDS(NVME1, RESET))
{
	struct disk *disk = open_disk(t, 0);

	for (int i = 0; i < 3; i++)
		expect_resumed(t, disk, true);
}
