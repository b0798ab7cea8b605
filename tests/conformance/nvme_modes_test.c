// SPDX-License-Identifier: MIT
/*
 * A whole disk written and read in every way that the nvme driver has. Each word of it is another than all others, and another in each
 * way. What was on NVME1 is nobody's.
 */
#include "conformance/fixture.h"

#include <pthread.h>
#include <string.h>

#include <nvme/nvme.h>

enum { TIMEOUT_MS = 30000, DEPTH = 32, CHUNK = 1 << 20, LONG = 4 << 20 };

/* Where the memory buffer is put: no mapping of these cases comes near. */
#define CMB_ADDRESS (1ull << 38)

struct way {
	enum nvme_wait wait;
	uint32_t flags;
	bool cmb;
	unsigned int threads;
	uint32_t max_transfer; /* of the options, and then that long are calls, too */
	uint64_t seed;
};

/* NVME1 in use. */
struct disk {
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct weir_memory *memory;
	struct way way;
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

static struct disk *open_disk(struct t *t, const struct way *way)
{
	static struct disk disk;
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "NVME1", 0);
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .wait = way->wait, .flags = way->flags,
			  .num_queues = way->threads, .max_transfer = way->max_transfer);

	disk = (struct disk){ .way = *way };
	ASSERT_OK(weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .page_size = 4096), &disk.memory));
	t_defer(t, close_disk, &disk);
	if (nvme_controller_open(device, &opts, &disk.controller) ||
	    nvme_namespace_info(disk.controller, 1, &disk.ns, sizeof(disk.ns)))
		FAIL("NVME1: %s", nvme_error());
	if (way->cmb) {
		struct nvme_cmb cmb;

		ASSERT_OK(nvme_controller_cmb(disk.controller, &cmb, sizeof(cmb)));
		ASSERT_OK(nvme_controller_enable_cmb(disk.controller, CMB_ADDRESS));
	}
	return &disk;
}

static uint64_t chunk_of(const struct disk *disk)
{
	return disk->way.max_transfer ? disk->way.max_transfer : CHUNK;
}

static uint64_t word(uint64_t at, uint64_t seed)
{
	uint64_t x = (at + seed * 0x100000001) * 0x9e3779b97f4a7c15;

	return x ^ x >> 29;
}

/* What a thread does with its part of the disk, on a queue of its own. */
enum task { WRITE, CHECK };

struct part {
	struct disk *disk;
	struct nvme_queue *queue;
	struct weir_buffer buffer;
	uint64_t first, len; /* bytes */
	enum task task;
	int result; /* of the first call that failed; 1: other bytes than there should be */
	pthread_t thread;
};

static void fill(uint64_t *words, uint64_t at, uint64_t len, uint64_t seed)
{
	for (uint64_t i = 0; i < len / 8; i++)
		words[i] = word(at / 8 + i, seed);
}

static bool is_filled(const uint64_t *words, uint64_t at, uint64_t len, uint64_t seed)
{
	for (uint64_t i = 0; i < len / 8; i++)
		if (words[i] != word(at / 8 + i, seed))
			return false;
	return true;
}

static int do_chunk(struct part *part, uint64_t at)
{
	struct disk *disk = part->disk;
	uint64_t block = at >> disk->ns.block_shift, iova = part->buffer.iova,
		 left = part->first + part->len - at;
	uint64_t len = left < chunk_of(disk) ? left : chunk_of(disk);
	uint64_t *data = part->buffer.addr;
	int r;

	if (part->task == WRITE) {
		fill(data, at, len, disk->way.seed);
		return nvme_queue_write(part->queue, &disk->ns, block, iova, len, TIMEOUT_MS);
	}
	memset(data, 0xee, len);
	r = nvme_queue_read(part->queue, &disk->ns, block, iova, len, TIMEOUT_MS);
	return r == 0 ? !is_filled(data, at, len, disk->way.seed) : r;
}

static void *do_part(void *arg)
{
	struct part *part = arg;

	part->result = 0;
	for (uint64_t at = part->first; at < part->first + part->len && part->result == 0;
	     at += chunk_of(part->disk))
		part->result = do_chunk(part, at);
	return NULL;
}

static struct nvme_queue *new_queue(struct disk *disk, unsigned int i)
{
	struct nvme_queue_opts opts = WEIR_OPTS(nvme_queue_opts, .depth = DEPTH, .sq_in_cmb = disk->way.cmb,
						.cmb_offset = i * 65536ull);
	struct nvme_queue *queue;

	if (nvme_queue_open_with(disk->controller, &opts, &queue))
		FAIL("nvme_queue_open_with: %s", nvme_error());
	return queue;
}

static void do_all(struct disk *disk, struct part *parts, enum task task)
{
	for (unsigned int i = 0; i < disk->way.threads; i++) {
		parts[i].task = task;
		if (disk->way.threads == 1)
			do_part(&parts[i]);
		else
			ASSERT_EQ(pthread_create(&parts[i].thread, NULL, do_part, &parts[i]), 0);
	}
	for (unsigned int i = 0; i < disk->way.threads; i++) {
		if (disk->way.threads > 1)
			pthread_join(parts[i].thread, NULL);
		if (parts[i].result)
			FAIL("task %d, part %u: %d", task, i, parts[i].result);
	}
}

static void whole_disk(struct t *t, struct way way)
{
	struct disk *disk = open_disk(t, &way);
	uint64_t blocks = disk->ns.num_blocks, share = blocks / way.threads;
	struct part parts[2] = { { 0 } };

	record_no_calls(t);
	for (unsigned int i = 0; i < way.threads; i++) {
		parts[i] = (struct part){ .disk = disk,
					  .queue = new_queue(disk, i),
					  .first = i * share << disk->ns.block_shift,
					  .len = (i + 1 < way.threads ? share : blocks - i * share)
						 << disk->ns.block_shift };
		ASSERT_OK(weir_memory_alloc(disk->memory, chunk_of(disk), NULL, &parts[i].buffer));
	}
	do_all(disk, parts, WRITE);
	EXPECT_OK(nvme_queue_flush(parts[0].queue, &disk->ns, TIMEOUT_MS));
	do_all(disk, parts, CHECK);
}

CONFORMANCE(nvme_modes, by_prp_and_polling, NEEDS(NVME1))
{
	whole_disk(t, (struct way){ .wait = NVME_WAIT_POLLING, .threads = 1, .seed = 1 });
}

/* Each transfer has a list of two pages. */
CONFORMANCE(nvme_modes, by_prp_lists_of_several_pages, NEEDS(NVME1))
{
	whole_disk(t,
		   (struct way){ .wait = NVME_WAIT_POLLING, .threads = 1, .max_transfer = LONG, .seed = 9 });
}

CONFORMANCE(nvme_modes, long_transfers_need_a_controller_that_takes_them, NEEDS(NVME0, NVME1))
{
	static const uint32_t impossible[] = { 512, LONG + 512, 64 << 20, UINT32_MAX };
	static const struct {
		unsigned int device;
		uint32_t asked, given;
	} rows[] = { { 1, 0, 2 << 20 },
		     { 1, 32 << 20, LONG },
		     { 1, 3 << 20, 3 << 20 },
		     { 1, 4096, 4096 },
		     { 0, 32 << 20, 512 << 10 } };
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *devices[] = { new_device(t, ioas, "NVME0", 0), new_device(t, ioas, "NVME1", 0) };
	struct nvme_controller *controller;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_device *device = devices[rows[i].device];
		struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING);
		struct nvme_controller_info info;

		t_note(t, "row %zu", i);
		for (size_t k = 0; k < sizeof(impossible) / sizeof(impossible[0]) && i == 0; k++) {
			opts.max_transfer = impossible[k];
			EXPECT_ERR(-EINVAL, nvme_controller_open(device, &opts, &controller));
			EXPECT_CONTAINS(nvme_error(), "a multiple of 4096, 33554432 at most");
		}
		opts.max_transfer = rows[i].asked;
		ASSERT_OK(nvme_controller_open(device, &opts, &controller));
		ASSERT_OK(nvme_controller_info(controller, &info, sizeof(info)));
		EXPECT_EQ(info.max_transfer, rows[i].given);
		EXPECT_OK(nvme_controller_close(controller));
	}
}

CONFORMANCE(nvme_modes, by_sgl, NEEDS(NVME1))
{
	whole_disk(t, (struct way){ .wait = NVME_WAIT_POLLING, .flags = NVME_SGL, .threads = 1, .seed = 2 });
}

CONFORMANCE(nvme_modes, by_shadow_doorbells, NEEDS(NVME1))
{
	whole_disk(t, (struct way){ .wait = NVME_WAIT_POLLING,
				    .flags = NVME_SHADOW_DOORBELLS,
				    .threads = 1,
				    .seed = 3 });
}

CONFORMANCE(nvme_modes, with_submission_queues_in_the_controllers_memory, NEEDS(NVME1))
{
	whole_disk(t, (struct way){ .wait = NVME_WAIT_POLLING, .cmb = true, .threads = 1, .seed = 4 });
}

CONFORMANCE(nvme_modes, by_interrupt, NEEDS(NVME1))
{
	whole_disk(t, (struct way){ .wait = NVME_WAIT_INTERRUPTS, .threads = 1, .seed = 5 });
}

CONFORMANCE(nvme_modes, by_looking_and_then_by_interrupt, NEEDS(NVME1))
{
	whole_disk(t, (struct way){ .wait = NVME_WAIT_HYBRID, .threads = 1, .seed = 6 });
}

CONFORMANCE(nvme_modes, by_two_threads, NEEDS(NVME1))
{
	whole_disk(t, (struct way){ .wait = NVME_WAIT_POLLING, .threads = 2, .seed = 7 });
}

CONFORMANCE(nvme_modes, by_two_threads_and_everything_at_once, NEEDS(NVME1))
{
	whole_disk(t, (struct way){ .wait = NVME_WAIT_INTERRUPTS,
				    .flags = NVME_SGL | NVME_SHADOW_DOORBELLS | NVME_EVENTS,
				    .cmb = true,
				    .threads = 2,
				    .seed = 8 });
}
