// SPDX-License-Identifier: MIT
/*
 * The nvme driver against a controller, and against the image that the controller's disk is.
 *
 * A controller that never becomes ready, or lies, is the simulated host's affair: QEMU's behaves.
 */
#include "conformance/away.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nvme/manage.h>
#include <nvme/nvme.h>

enum { TIMEOUT_MS = 10000, DEPTH = 8, BUFFER_SIZE = 1 << 20 };

/* NVME0 in use: namespace 1, one queue, a mapped buffer, and the image. */
struct disk {
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;
	unsigned char *buffer;
	uint64_t iova;
	int image;
};

static void close_controller(void *controller)
{
	if (nvme_controller_close(controller))
		FAIL("nvme_controller_close: %s", nvme_error());
}

static void close_image(void *disk)
{
	close(((struct disk *)disk)->image);
}

static struct nvme_controller *new_controller(struct t *t, struct weir_device *device, enum nvme_wait wait)
{
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .wait = wait, .num_queues = 1);
	struct nvme_controller *controller;

	if (nvme_controller_open(device, &opts, &controller))
		FAIL("nvme_controller_open: %s", nvme_error());
	t_defer(t, close_controller, controller);
	return controller;
}

static struct disk *new_disk(struct t *t, enum nvme_wait wait)
{
	static struct disk disk;
	struct weir_ioas *ioas = new_ioas(t);
	const char *image = getenv("WEIR_IMAGE_NVME0");

	disk.image = open(image ? image : "", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(disk.image, 0);
	t_defer(t, close_image, &disk);
	disk.controller = new_controller(t, new_device(t, ioas, "NVME0", 0), wait);
	if (nvme_namespace_info(disk.controller, 1, &disk.ns, sizeof(disk.ns)) ||
	    nvme_queue_open(disk.controller, DEPTH, &disk.queue))
		FAIL("opening namespace 1 and a queue: %s", nvme_error());
	disk.buffer = new_memory(t, BUFFER_SIZE, 0);
	disk.iova = weir_map_iova(new_map(t, ioas, disk.buffer, BUFFER_SIZE, NULL));
	return &disk;
}

static void read_blocks(struct disk *disk, uint64_t block, size_t len)
{
	memset(disk->buffer, 0xee, len);
	if (nvme_queue_read(disk->queue, &disk->ns, block, disk->iova, len, TIMEOUT_MS))
		FAIL("nvme_queue_read: %s", nvme_error());
}

static void write_blocks(struct disk *disk, uint64_t block, size_t len)
{
	if (nvme_queue_write(disk->queue, &disk->ns, block, disk->iova, len, TIMEOUT_MS))
		FAIL("nvme_queue_write: %s", nvme_error());
}

/* The buffer holds what the image has there. */
static void expect_image(struct t *t, struct disk *disk, uint64_t block, size_t len)
{
	unsigned char *expected = new_memory(t, len, 0);

	ASSERT_EQ(pread(disk->image, expected, len, (off_t)(block << disk->ns.block_shift)), len);
	EXPECT_MEMEQ(disk->buffer, expected, len);
}

/* What it is ------------------------------------------------------------------------------------------------------ */

CONFORMANCE(nvme, controller_tells_what_it_is, NEEDS(NVME0))
{
	struct nvme_controller *controller =
		new_controller(t, new_device(t, new_ioas(t), "NVME0", 0), NVME_WAIT_AUTO);
	struct nvme_controller_info info;

	ASSERT_EQ(nvme_controller_info(controller, &info, sizeof(info)), 0);
	EXPECT_STREQ(info.model, "QEMU NVMe Ctrl");
	EXPECT_STREQ(info.serial, "weir-nvme0");
	EXPECT_EQ(info.vendor_id, 0x1b36);
	EXPECT_GE(info.version, 0x10400);
	EXPECT_GE(info.num_namespaces, 1);
	EXPECT_TRUE(info.interrupts);
	EXPECT_EQ(nvme_controller_check(controller), 0);
}

CONFORMANCE(nvme, namespace_is_as_large_as_the_image, NEEDS(NVME0))
{
	struct disk *disk = new_disk(t, NVME_WAIT_POLLING);
	struct stat status;

	ASSERT_EQ(fstat(disk->image, &status), 0);
	EXPECT_EQ(disk->ns.num_blocks * disk->ns.block_size, status.st_size);
	EXPECT_EQ(disk->ns.block_size, 1u << disk->ns.block_shift);
}

CONFORMANCE(nvme, absent_namespace_is_no_entry, NEEDS(NVME0))
{
	static const uint32_t absent[] = { 2, 256, 0xfffffffe };
	struct nvme_controller *controller =
		new_controller(t, new_device(t, new_ioas(t), "NVME0", 0), NVME_WAIT_AUTO);
	struct nvme_namespace ns;

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		t_note(t, "namespace %u", absent[i]);
		EXPECT_EQ(nvme_namespace_info(controller, absent[i], &ns, sizeof(ns)), -ENOENT);
		EXPECT_TRUE(*nvme_error());
	}
	EXPECT_EQ(nvme_namespace_info(controller, 1, &ns, sizeof(ns)), 0);
}

CONFORMANCE(nvme, device_that_is_no_controller_is_refused, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct nvme_controller *controller;

	EXPECT_EQ(nvme_controller_open(device, NULL, &controller), -ENODEV);
	EXPECT_TRUE(*nvme_error());
}

/* Reading and writing --------------------------------------------------------------------------------------------- */

static void expect_readable(struct t *t, enum nvme_wait wait)
{
	static const struct {
		uint64_t block;
		size_t blocks;
	} rows[] = { { 0, 1 }, { 1, 8 }, { 7, 17 }, { 1024, 2048 } };
	struct disk *disk = new_disk(t, wait);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%zu blocks from %llu", rows[i].blocks, (unsigned long long)rows[i].block);
		read_blocks(disk, rows[i].block, rows[i].blocks << disk->ns.block_shift);
		expect_image(t, disk, rows[i].block, rows[i].blocks << disk->ns.block_shift);
	}
}

CONFORMANCE(nvme, read_by_polling_gives_what_the_image_has, NEEDS(NVME0))
{
	expect_readable(t, NVME_WAIT_POLLING);
}

CONFORMANCE(nvme, read_by_interrupt_gives_what_the_image_has, NEEDS(NVME0))
{
	expect_readable(t, NVME_WAIT_INTERRUPTS);
}

CONFORMANCE(nvme, last_block_is_read_and_none_beyond, NEEDS(NVME0))
{
	struct disk *disk = new_disk(t, NVME_WAIT_AUTO);
	uint64_t end = disk->ns.num_blocks;
	size_t block_size = disk->ns.block_size;

	read_blocks(disk, end - 1, block_size);
	expect_image(t, disk, end - 1, block_size);

	memset(disk->buffer, 0xee, 2 * block_size);
	EXPECT_EQ(nvme_queue_read(disk->queue, &disk->ns, end, disk->iova, block_size, TIMEOUT_MS), -ERANGE);
	EXPECT_EQ(nvme_queue_read(disk->queue, &disk->ns, end - 1, disk->iova, 2 * block_size, TIMEOUT_MS),
		  -ERANGE);
	EXPECT_EQ(nvme_queue_read(disk->queue, &disk->ns, UINT64_MAX, disk->iova, block_size, TIMEOUT_MS),
		  -ERANGE);
	EXPECT_TRUE(*nvme_error());
	for (size_t i = 0; i < 2 * block_size; i++)
		ASSERT_EQ(disk->buffer[i], 0xee);
	read_blocks(disk, 0, block_size);
}

/* A namespace believed to be larger than it is: the controller itself refuses. */
CONFORMANCE(nvme, controller_refuses_what_is_beyond_the_end, NEEDS(NVME0))
{
	struct disk *disk = new_disk(t, NVME_WAIT_AUTO);
	uint64_t end = disk->ns.num_blocks;

	disk->ns.num_blocks *= 2;
	EXPECT_EQ(nvme_queue_read(disk->queue, &disk->ns, end, disk->iova, disk->ns.block_size, TIMEOUT_MS),
		  -ERANGE);
	EXPECT_TRUE(*nvme_error());
	read_blocks(disk, 0, disk->ns.block_size);
}

CONFORMANCE(nvme, requests_that_make_no_sense_are_refused, NEEDS(NVME0))
{
	struct disk *disk = new_disk(t, NVME_WAIT_AUTO);
	uint32_t size = disk->ns.block_size;
	const struct nvme_request wrong[] = {
		{ .iova = disk->iova, .len = 0 },
		{ .iova = disk->iova, .len = size - 1 },
		{ .iova = disk->iova + 1, .len = size },
		{ .iova = UINT64_MAX - 3, .len = size },
		{ .iova = disk->iova, .len = size, .op = NVME_OP_DISCARD + 1 },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		t_note(t, "row %zu", i);
		EXPECT_EQ(nvme_queue_submit(disk->queue, &disk->ns, &wrong[i], 1), -EINVAL);
		EXPECT_EQ(nvme_queue_in_flight(disk->queue), 0);
	}
}

/* Other cases, on other hosts, compare with the image: what was there is put back. */
CONFORMANCE(nvme, written_blocks_are_read_back, NEEDS(NVME0))
{
	enum { BLOCK = 64, LEN = 16384 };
	struct disk *disk = new_disk(t, NVME_WAIT_AUTO);
	unsigned char *old = new_memory(t, LEN, 0), *pattern = new_memory(t, LEN, 0);

	for (size_t i = 0; i < LEN; i++)
		pattern[i] = (unsigned char)(i * 31 + i / 512);
	read_blocks(disk, BLOCK, LEN);
	memcpy(old, disk->buffer, LEN);

	memcpy(disk->buffer, pattern, LEN);
	write_blocks(disk, BLOCK, LEN);
	EXPECT_EQ(nvme_queue_flush(disk->queue, &disk->ns, TIMEOUT_MS), 0);
	read_blocks(disk, BLOCK, LEN);
	EXPECT_MEMEQ(disk->buffer, pattern, LEN);

	memcpy(disk->buffer, old, LEN);
	write_blocks(disk, BLOCK, LEN);
	read_blocks(disk, BLOCK, LEN);
	expect_image(t, disk, BLOCK, LEN);
}

/* A full queue of single blocks, in any order of completion. */
CONFORMANCE(nvme, many_requests_are_in_flight_at_once, NEEDS(NVME0))
{
	struct disk *disk = new_disk(t, NVME_WAIT_AUTO);
	uint32_t size = disk->ns.block_size;
	struct nvme_completion done[DEPTH];
	struct nvme_request requests[DEPTH];
	unsigned int seen = 0;

	for (uint32_t i = 0; i < DEPTH; i++)
		requests[i] = (struct nvme_request){
			.block = i, .iova = disk->iova + i * size, .len = size, .tag = 1u << i
		};
	ASSERT_EQ(nvme_queue_submit(disk->queue, &disk->ns, requests, DEPTH), DEPTH);
	EXPECT_EQ(nvme_queue_submit(disk->queue, &disk->ns, requests, 1), -EAGAIN);
	while (seen != (1u << DEPTH) - 1) {
		int num = nvme_queue_wait(disk->queue, done, DEPTH, TIMEOUT_MS);

		/* How many come at once is a matter of time. */
		if (num <= 0)
			FAIL("nvme_queue_wait: %d", num);
		for (int i = 0; i < num; i++) {
			EXPECT_EQ(done[i].error, 0);
			EXPECT_EQ(seen & done[i].tag, 0);
			seen |= (unsigned int)done[i].tag;
		}
	}
	expect_image(t, disk, 0, (size_t)DEPTH * size);
}

/* Where the doorbell is mapped, the store faults; where it is not, the kernel says so. */
CONFORMANCE(nvme, doorbell_that_cannot_be_rung_fails_the_queue, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct nvme_controller *controller = new_controller(t, device, NVME_WAIT_POLLING);
	struct nvme_namespace ns;
	struct nvme_queue *queue;

	if (nvme_namespace_info(controller, 1, &ns, sizeof(ns)) || nvme_queue_open(controller, DEPTH, &queue))
		FAIL("opening namespace 1 and a queue: %s", nvme_error());
	guarded(t);
	set_memory_past(t, device, false);
	EXPECT_EQ(nvme_queue_flush(queue, &ns, TIMEOUT_MS), -EIO);
	EXPECT_CONTAINS(nvme_error(), "doorbell could not be rung");
	EXPECT_EQ(weir_device_away(device), WEIR_AWAY_MEMORY);
	EXPECT_OK(weir_device_set_memory(device, true));
	EXPECT_OK(weir_device_set_bus_master(device, true)); /* it went along */
}

/* The caller was told that it is on its way: so it has to be told what became of it. */
CONFORMANCE(nvme, what_could_not_be_rung_is_in_doubt, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct nvme_controller *controller = new_controller(t, device, NVME_WAIT_POLLING);
	struct nvme_request flush = { .op = NVME_OP_FLUSH, .tag = 7 };
	struct nvme_completion completion;
	struct nvme_namespace ns;
	struct nvme_queue *queue;

	if (nvme_namespace_info(controller, 1, &ns, sizeof(ns)) || nvme_queue_open(controller, DEPTH, &queue))
		FAIL("opening namespace 1 and a queue: %s", nvme_error());
	guarded(t);
	set_memory_past(t, device, false);
	EXPECT_EQ(nvme_queue_submit(queue, &ns, &flush, 1), 1);
	EXPECT_EQ(nvme_queue_submit(queue, &ns, &flush, 1), -EIO);
	EXPECT_CONTAINS(nvme_error(), "doorbell could not be rung");
	EXPECT_EQ(nvme_queue_reap(queue, &completion, 1), -EIO);
	EXPECT_EQ(nvme_queue_in_flight(queue), 1);
	EXPECT_OK(weir_device_set_memory(device, true));
	EXPECT_OK(weir_device_set_bus_master(device, true));
	if (nvme_controller_reset(controller))
		FAIL("nvme_controller_reset: %s", nvme_error());
	ASSERT_EQ(nvme_queue_reap(queue, &completion, 1), 1);
	EXPECT_EQ(completion.tag, 7);
	EXPECT_EQ(completion.error, -ECONNRESET);
}
