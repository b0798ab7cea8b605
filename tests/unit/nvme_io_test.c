/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes that are waited for, against a controller that another thread plays; and what statuses
 * mean.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nvme_fake.h"

#define MAX_TRANSFER 16384u
#define NUM_BLOCKS   4096u
#define BUFFER       (1u << 20)

/* A controller at work, until it has been idle or in use long enough to be told to stop. */
struct player {
	struct fake *fake;
	pthread_t thread;
	bool stop;
	unsigned int served;
};

static void *play(void *arg)
{
	struct player *player = arg;
	unsigned int num;

	while (!__atomic_load_n(&player->stop, __ATOMIC_ACQUIRE)) {
		num = fake_serve(player->fake);
		__atomic_fetch_add(&player->served, num, __ATOMIC_RELAXED);
		if (num == 0)
			nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	}
	return NULL;
}

static void stop_playing(void *arg)
{
	struct player *player = arg;

	__atomic_store_n(&player->stop, true, __ATOMIC_RELEASE);
	pthread_join(player->thread, NULL);
	free(player);
}

static struct player *start_playing(struct t *t, struct fake *fake)
{
	struct player *player = calloc(1, sizeof *player);

	ASSERT_TRUE(player);
	player->fake = fake;
	ASSERT_EQ(pthread_create(&player->thread, NULL, play, player), 0);
	t_defer(t, stop_playing, player);
	return player;
}

static unsigned char *buffer(struct t *t)
{
	unsigned char *memory = aligned_alloc(4096, BUFFER);

	ASSERT_TRUE(memory);
	t_defer(t, free, memory);
	memset(memory, 0xee, BUFFER);
	return memory;
}

UNIT(nvme_io, reads_of_any_length_arrive_whole)
{
	static const struct {
		uint64_t block;
		uint32_t offset, len;
	} rows[] = {
		{ 0, 0, 512 },         { 1, 4, 512 },     { NUM_BLOCKS - 1, 4092, 512 }, { 7, 512, 16384 },
		{ 0, 0, 16384 + 512 }, { 3, 100, 65536 }, { 100, 8, 1000 * 512 },
	};
	struct fake *fake = fake_open(t, 4, MAX_TRANSFER, NUM_BLOCKS);
	unsigned char *memory = buffer(t);
	size_t i;

	fake_add_disk(fake);
	start_playing(t, fake);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint32_t end = rows[i].offset + rows[i].len;

		t_note(t, "row %zu", i);
		memset(memory, 0xee, BUFFER);
		ASSERT_OK(nvme_queue_read(fake->queue, &fake->ns, rows[i].block,
					  (uintptr_t)memory + rows[i].offset, rows[i].len, 10000));
		EXPECT_MEMEQ(memory + rows[i].offset, fake->disk + rows[i].block * 512, rows[i].len);
		EXPECT_TRUE(rows[i].offset == 0 || memory[rows[i].offset - 1] == 0xee);
		EXPECT_EQ(memory[end], 0xee);
	}
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
}

UNIT(nvme_io, what_is_written_is_on_the_disk)
{
	struct fake *fake = fake_open(t, 3, MAX_TRANSFER, NUM_BLOCKS);
	unsigned char *memory = buffer(t);
	size_t i;

	fake_add_disk(fake);
	for (i = 0; i < BUFFER; i++)
		memory[i] = (unsigned char)(i * 31 >> 4);
	start_playing(t, fake);
	ASSERT_OK(nvme_queue_write(fake->queue, &fake->ns, 10, (uintptr_t)memory + 4, 200 * 512, 10000));
	ASSERT_OK(nvme_queue_flush(fake->queue, &fake->ns, 10000));
	EXPECT_MEMEQ(fake->disk + 5120, memory + 4, 200 * 512);
}

UNIT(nvme_io, a_bad_block_is_named_and_ends_the_transfer)
{
	struct fake *fake = fake_open(t, 4, MAX_TRANSFER, NUM_BLOCKS);
	unsigned char *memory = buffer(t);
	struct player *player;

	fake_add_disk(fake);
	fake->bad_block = 70;
	player = start_playing(t, fake);
	EXPECT_ERR(-EIO, nvme_queue_read(fake->queue, &fake->ns, 0, (uintptr_t)memory, BUFFER, 10000));
	EXPECT_CONTAINS(nvme_error(), "block 64: unrecovered read error");
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
	EXPECT_LT(__atomic_load_n(&player->served, __ATOMIC_RELAXED), BUFFER / MAX_TRANSFER);
	EXPECT_OK(nvme_queue_read(fake->queue, &fake->ns, 71, (uintptr_t)memory, 512, 10000));
}

UNIT(nvme_io, transfers_that_cannot_be_are_refused)
{
	struct fake *fake = fake_open(t, 2, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_request request = { .op = NVME_OP_FLUSH };

	EXPECT_ERR(-EINVAL, nvme_queue_read(fake->queue, &fake->ns, 0, 0, 0, 0));
	EXPECT_ERR(-EINVAL, nvme_queue_read(fake->queue, &fake->ns, 0, 0, 100, 0));
	EXPECT_ERR(-EINVAL, nvme_queue_read(fake->queue, &fake->ns, 0, 2, 512, 0));
	EXPECT_ERR(-EINVAL, nvme_queue_read(fake->queue, &fake->ns, 0, UINT64_MAX - 3, 512, 0));
	EXPECT_ERR(-ERANGE, nvme_queue_read(fake->queue, &fake->ns, NUM_BLOCKS, 0, 512, 0));
	EXPECT_ERR(-ERANGE, nvme_queue_write(fake->queue, &fake->ns, 1, 0, NUM_BLOCKS * 512ull, 0));
	EXPECT_ERR(-ERANGE, nvme_queue_write(fake->queue, &fake->ns, 0, 0, 1ull << 62, 0));
	EXPECT_EQ(fake->doorbells[0], 0);
	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
	EXPECT_ERR(-EBUSY, nvme_queue_read(fake->queue, &fake->ns, 0, 0, 512, 0));
	EXPECT_ERR(-EBUSY, nvme_queue_flush(fake->queue, &fake->ns, 0));
}

/* The controller takes its time: what it completes later is nobody's, and the queue goes on. */
UNIT(nvme_io, a_transfer_that_timed_out_does_not_disturb_the_next)
{
	struct fake *fake = fake_open(t, 2, MAX_TRANSFER, NUM_BLOCKS);
	unsigned char *memory = buffer(t);

	fake_add_disk(fake);
	EXPECT_ERR(-ETIMEDOUT,
		   nvme_queue_read(fake->queue, &fake->ns, 0, (uintptr_t)memory, 4 * MAX_TRANSFER, 5));
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
	EXPECT_ERR(-EBUSY, nvme_queue_read(fake->queue, &fake->ns, 0, (uintptr_t)memory, 512, 5));
	EXPECT_CONTAINS(nvme_error(), "timed out");
	EXPECT_EQ(fake_serve(fake), 2);
	start_playing(t, fake);
	ASSERT_OK(nvme_queue_read(fake->queue, &fake->ns, 2000, (uintptr_t)memory, BUFFER, 10000));
	EXPECT_MEMEQ(memory, fake->disk + 2000 * 512, BUFFER);
}

/* Statuses ----------------------------------------------------------------------------------------------- */

UNIT(nvme_status, every_status_has_an_errno_and_a_text)
{
	unsigned int status;

	for (status = 0; status < 0x8000; status++) {
		bool success = (status & 0x7ff) == 0;

		ASSERT_TRUE(success ? nvme_status_error((uint16_t)status) == 0
				    : nvme_status_error((uint16_t)status) < 0);
		ASSERT_TRUE(nvme_status_text((uint16_t)status)[0] != '\0');
	}
	EXPECT_EQ(nvme_status_error(0x0b), -ENOENT);
	EXPECT_EQ(nvme_status_error(0x400b), -ENOENT);
	EXPECT_EQ(nvme_status_error(0x0281), -EIO);
	EXPECT_EQ(nvme_status_error(0x07ff), -EIO);
	EXPECT_STREQ(nvme_status_text(0x4002), "invalid field in command");
}
