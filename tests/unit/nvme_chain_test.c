/* SPDX-License-Identifier: MIT */
/* PRP lists of several pages, as a controller reads them (Base 2.0, 4.1.1). */
#include <stdlib.h>
#include <string.h>

#include "nvme_fake.h"

enum { PAGE = NVME_PAGE_SIZE, ENTRIES = NVME_PRP_LIST_ENTRIES, DEPTH = 3 };

#define IOVA   0x7654321000000ull
#define BLOCKS (1ull << 20)

/* Around the ends of the first pages of a list, and the most there is. */
static const uint32_t boundaries[] = { 2,
				       ENTRIES - 1,
				       ENTRIES,
				       ENTRIES + 1,
				       ENTRIES + 2,
				       2 * ENTRIES - 3,
				       2 * ENTRIES - 2,
				       2 * ENTRIES - 1,
				       2 * ENTRIES,
				       2 * ENTRIES + 1,
				       3 * ENTRIES - 3,
				       3 * ENTRIES - 2,
				       3 * ENTRIES - 1,
				       NVME_PRP_MAX_TRANSFER / PAGE - 1,
				       NVME_PRP_MAX_TRANSFER / PAGE };

/* What the pieces of a walk have to add up to: one run of addresses, or one that goes down a page at a time. */
struct run {
	uint64_t next;
	uint64_t total;
	bool down, broken;
};

static void add_piece(void *ctx, uint64_t iova, uint32_t len)
{
	struct run *run = ctx;

	run->broken |= iova != run->next || (run->total > 0 && iova % PAGE != 0);
	run->next = run->down ? iova - PAGE : iova + len;
	run->total += len;
}

static struct nvme_request read_of(uint64_t iova, uint32_t len)
{
	return (struct nvme_request){ .op = NVME_OP_READ, .iova = iova, .len = len };
}

/* The command that was just submitted; it completes. */
static struct nvme_sqe taken(struct fake *fake)
{
	struct nvme_completion done;
	struct nvme_sqe command;

	ASSERT_TRUE(fake_fetch(fake, &command));
	fake_complete(fake, &command, 0);
	ASSERT_EQ(nvme_queue_reap(fake->queue, &done, 1), 1);
	return command;
}

static void expect_walk(const struct nvme_sqe *command, uint64_t iova, uint32_t len)
{
	struct run run = { .next = iova };

	fake_walk(command, len, add_piece, &run);
	EXPECT_EQ(run.broken, false);
	EXPECT_EQ(run.total, len);
}

/* A length of whole blocks that takes so many entries beside the first pointer, of data at that offset into its page. */
static uint32_t len_of(uint32_t entries, uint32_t offset)
{
	uint32_t len = entries * PAGE + (PAGE - offset);

	return len > NVME_PRP_MAX_TRANSFER ? NVME_PRP_MAX_TRANSFER : len / 512 * 512;
}

UNIT(nvme_chain, lists_of_every_length_around_a_pages_end_are_found_again)
{
	static const uint32_t offsets[] = { 0, 4, 512, 4092 };
	struct fake *fake = fake_open(t, 1, NVME_PRP_MAX_TRANSFER, BLOCKS);
	size_t i, j;

	for (i = 0; i < sizeof boundaries / sizeof boundaries[0]; i++)
		for (j = 0; j < sizeof offsets / sizeof offsets[0]; j++) {
			uint32_t len = len_of(boundaries[i], offsets[j]);
			struct nvme_request request = read_of(IOVA + offsets[j], len);
			struct nvme_sqe command;

			t_note(t, "%u entries from offset %u on", boundaries[i], offsets[j]);
			ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
			command = taken(fake);
			expect_walk(&command, IOVA + offsets[j], len);
		}
}

/* One list that just fills its page has an entry where the one before it and the one after it lead on. */
UNIT(nvme_chain, a_slot_takes_long_and_short_lists_in_turns)
{
	static const uint32_t entries[] = { 8192, 512, 1500, 1023, 3, 1024, 512, 513, 511, 513 };
	struct fake *fake = fake_open(t, 1, NVME_PRP_MAX_TRANSFER, BLOCKS);
	size_t i;

	for (i = 0; i < sizeof entries / sizeof entries[0]; i++) {
		struct nvme_request request = read_of(IOVA + 4092, entries[i] * PAGE);
		struct nvme_sqe command;

		t_note(t, "turn %zu, %u entries", i, entries[i]);
		ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
		command = taken(fake);
		expect_walk(&command, IOVA + 4092, entries[i] * PAGE);
	}
}

/* As long as they can be, all in flight at once: no list lies over another. */
UNIT(nvme_chain, lists_of_a_batch_are_apart)
{
	static const uint32_t transfers[] = { 514 * PAGE, 1023 * PAGE, 1024 * PAGE, NVME_PRP_MAX_TRANSFER };
	size_t i;

	for (i = 0; i < sizeof transfers / sizeof transfers[0]; i++) {
		struct fake *fake = fake_open(t, DEPTH, transfers[i], BLOCKS);
		struct nvme_request requests[DEPTH];
		struct nvme_sqe commands[DEPTH];
		unsigned int k;

		t_note(t, "transfers of %u", transfers[i]);
		for (k = 0; k < DEPTH; k++)
			requests[k] = read_of(IOVA + 4092 + k * (1ull << 32), transfers[i]);
		ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, requests, DEPTH), DEPTH);
		for (k = 0; k < DEPTH; k++)
			ASSERT_TRUE(fake_fetch(fake, &commands[k]));
		for (k = 0; k < DEPTH; k++)
			expect_walk(&commands[k], requests[k].iova, transfers[i]);
	}
}

/* Compare goes the long way, and data in pieces has a writer of its own. */
UNIT(nvme_chain, the_long_ways_make_the_same_lists)
{
	struct fake *fake = fake_open_with(t, 1, NVME_PRP_MAX_TRANSFER, BLOCKS, 0, 1u << NVME_OP_COMPARE);
	size_t i;

	for (i = 0; i < sizeof boundaries / sizeof boundaries[0]; i++) {
		uint32_t len = boundaries[i] * PAGE;
		struct nvme_request request = read_of(IOVA + 4092, len);
		struct nvme_segment whole = { IOVA + 4092, len };
		struct nvme_sqe command;

		t_note(t, "%u entries", boundaries[i]);
		request.op = NVME_OP_COMPARE;
		ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
		command = taken(fake);
		expect_walk(&command, request.iova, len);
		ASSERT_OK(nvme_queue_submit_segments(fake->queue, &fake->ns, &request, &whole, 1));
		command = taken(fake);
		expect_walk(&command, request.iova, len);
	}
}

/* Each page a piece of its own, from the last to the first. */
UNIT(nvme_chain, pieces_of_a_page_each_fill_lists_of_several_pages)
{
	struct fake *fake = fake_open(t, 1, 1100 * PAGE, BLOCKS);
	static struct nvme_segment pieces[1100];
	static const uint32_t nums[] = { 1, 2, 3, 512, 513, 514, 1023, 1024, 1025, 1100 };
	size_t i;

	for (i = 0; i < 1100; i++)
		pieces[i] = (struct nvme_segment){ IOVA - i * PAGE, PAGE };
	for (i = 0; i < sizeof nums / sizeof nums[0]; i++) {
		struct nvme_request request = read_of(0, nums[i] * PAGE);
		struct run run = { .next = IOVA, .down = true };
		struct nvme_sqe command;

		t_note(t, "%u pieces", nums[i]);
		ASSERT_OK(nvme_queue_submit_segments(fake->queue, &fake->ns, &request, pieces, nums[i]));
		command = taken(fake);
		fake_walk(&command, request.len, add_piece, &run);
		EXPECT_TRUE(!run.broken && run.total == request.len);
	}
}

UNIT(nvme_chain, an_sgl_of_long_data_is_one_descriptor)
{
	struct fake *fake = fake_open_with(t, 1, NVME_PRP_MAX_TRANSFER, BLOCKS, NVME_SQE_SGL, 0);
	struct nvme_request request = read_of(IOVA + 20, NVME_PRP_MAX_TRANSFER);
	struct nvme_sqe command;

	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
	command = taken(fake);
	EXPECT_EQ(le64toh(command.qword[3]), IOVA + 20);
	EXPECT_EQ(le64toh(command.qword[4]), NVME_PRP_MAX_TRANSFER);
	EXPECT_EQ(fake_num_blocks(&command), 65536);
}

UNIT(nvme_chain, sizes_that_nothing_can_carry_are_refused)
{
	static const struct {
		uint64_t iova;
		uint32_t len;
		int error;
	} rows[] = {
		{ IOVA, NVME_PRP_MAX_TRANSFER + 512, -EMSGSIZE },
		{ IOVA, UINT32_MAX & ~511u, -EMSGSIZE },
		{ IOVA, UINT32_MAX, -EMSGSIZE },
		{ UINT64_MAX - NVME_PRP_MAX_TRANSFER + 5, NVME_PRP_MAX_TRANSFER, -EINVAL },
		{ IOVA + 2, NVME_PRP_MAX_TRANSFER, -EINVAL },
	};
	struct fake *fake = fake_open(t, 1, NVME_PRP_MAX_TRANSFER, BLOCKS);
	struct nvme_request last = read_of(UINT64_MAX - NVME_PRP_MAX_TRANSFER + 1, NVME_PRP_MAX_TRANSFER);
	struct nvme_sqe command;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct nvme_request request = read_of(rows[i].iova, rows[i].len);

		t_note(t, "row %zu", i);
		EXPECT_ERR(rows[i].error, nvme_queue_submit(fake->queue, &fake->ns, &request, 1));
		EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
	}
	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &last, 1), 1);
	command = taken(fake);
	expect_walk(&command, last.iova, last.len);
}

/* And the bytes are those of the disk. */
UNIT(nvme_chain, data_of_several_list_pages_arrives)
{
	enum { LEN = 6 << 20 };
	struct fake *fake = fake_open(t, 2, LEN, LEN / 512);
	unsigned char *memory = aligned_alloc(PAGE, LEN + PAGE);
	struct nvme_request request;
	struct nvme_completion done;

	ASSERT_TRUE(memory);
	t_defer(t, free, memory);
	fake_add_disk(fake);
	request = read_of((uintptr_t)memory + 64, LEN);
	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
	EXPECT_EQ(fake_serve(fake), 1);
	ASSERT_EQ(nvme_queue_reap(fake->queue, &done, 1), 1);
	EXPECT_EQ(done.error, 0);
	EXPECT_EQ(memcmp(memory + 64, fake->disk, LEN), 0);
}
