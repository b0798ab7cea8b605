/* SPDX-License-Identifier: MIT */
/* A queue pair against a controller in plain memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_fake.h"

#define MAX_TRANSFER 131072u
#define NUM_BLOCKS   100000u
#define SOME_IOVA    0x10000000u

static struct nvme_request read_of(uint64_t block, uint32_t num_blocks, uint64_t tag)
{
	return (struct nvme_request){
		.op = NVME_OP_READ, .block = block, .len = num_blocks * 512, .iova = SOME_IOVA, .tag = tag
	};
}

/* Submit one read; the controller has seen it, and it is in @ret. */
static void in_flight(struct fake *fake, uint64_t tag, struct nvme_sqe *ret)
{
	struct nvme_request request = read_of(tag, 1, tag);

	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
	ASSERT_TRUE(fake_fetch(fake, ret));
}

UNIT(nvme_queue, a_read_is_submitted_as_the_specification_has_it)
{
	struct fake *fake = fake_open(t, 4, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_request request = {
		.op = NVME_OP_READ, .block = 0x12345, .len = 8 * 512, .iova = 0x7000000200, .tag = 1
	};
	struct nvme_sqe command;

	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
	EXPECT_EQ(le32toh(fake->doorbells[0]), 1);
	ASSERT_TRUE(fake_fetch(fake, &command));
	EXPECT_EQ(fake_opcode(&command), 0x02);
	EXPECT_EQ(le64toh(command.qword[0]) >> 8 & 0xff, 0);
	EXPECT_EQ(le64toh(command.qword[0]) >> 32, fake->ns.nsid);
	EXPECT_EQ(command.qword[1], 0);
	EXPECT_EQ(command.qword[2], 0);
	EXPECT_EQ(le64toh(command.qword[3]), 0x7000000200);
	EXPECT_EQ(le64toh(command.qword[4]), 0x7000001000);
	EXPECT_EQ(le64toh(command.qword[5]), 0x12345);
	EXPECT_EQ(le64toh(command.qword[6]), 7);
	EXPECT_EQ(command.qword[7], 0);
}

UNIT(nvme_queue, writes_and_flushes_have_their_own_opcodes)
{
	struct fake *fake = fake_open(t, 4, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_request requests[] = { read_of(5, 1, 0), { .op = NVME_OP_FLUSH } };
	struct nvme_sqe command;
	int i;

	requests[0].op = NVME_OP_WRITE;
	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, requests, 2), 2);
	ASSERT_TRUE(fake_fetch(fake, &command));
	EXPECT_EQ(fake_opcode(&command), 0x01);
	ASSERT_TRUE(fake_fetch(fake, &command));
	EXPECT_EQ(fake_opcode(&command), 0x00);
	EXPECT_EQ(le64toh(command.qword[0]) >> 32, fake->ns.nsid);
	for (i = 1; i < 8; i++)
		EXPECT_EQ(command.qword[i], 0);
}

UNIT(nvme_queue, a_full_queue_takes_what_fits)
{
	struct fake *fake = fake_open(t, 3, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_request requests[5];
	struct nvme_completion done[5];
	int i;

	for (i = 0; i < 5; i++)
		requests[i] = read_of(0, 1, (uint64_t)i);
	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, requests, 5), 3);
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 3);
	EXPECT_ERR(-EAGAIN, nvme_queue_submit(fake->queue, &fake->ns, requests + 3, 2));
	EXPECT_CONTAINS(nvme_error(), "full");
	EXPECT_EQ(nvme_queue_reap(fake->queue, done, 5), 0);
	ASSERT_EQ(fake_serve(fake), 3);
	ASSERT_EQ(nvme_queue_reap(fake->queue, done, 5), 3);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(done[i].tag, i);
	EXPECT_EQ(le32toh(fake->doorbells[1]), 3);
	EXPECT_EQ(nvme_queue_submit(fake->queue, &fake->ns, requests + 3, 2), 2);
}

UNIT(nvme_queue, what_cannot_be_is_refused_and_takes_no_place)
{
	struct fake *fake = fake_open(t, 2, MAX_TRANSFER, NUM_BLOCKS);
	static const struct {
		struct nvme_request request;
		int error;
	} rows[] = {
		{ { .op = NVME_OP_READ, .len = 0 }, -EINVAL },
		{ { .op = NVME_OP_READ, .len = 511 }, -EINVAL },
		{ { .op = NVME_OP_READ, .len = 512, .iova = 2 }, -EINVAL },
		{ { .op = NVME_OP_READ, .len = 1024, .iova = UINT64_MAX - 511 }, -EINVAL },
		{ { .op = NVME_OP_READ, .len = MAX_TRANSFER + 512 }, -EMSGSIZE },
		{ { .op = NVME_OP_READ, .len = 0xfffffe00 }, -EMSGSIZE },
		{ { .op = NVME_OP_READ, .len = 512, .block = NUM_BLOCKS }, -ERANGE },
		{ { .op = NVME_OP_READ, .len = 1024, .block = NUM_BLOCKS - 1 }, -ERANGE },
		{ { .op = NVME_OP_WRITE, .len = 1024, .block = UINT64_MAX }, -ERANGE },
		{ { .op = NVME_OP_FLUSH, .len = 512 }, -EINVAL },
		{ { .op = 17, .len = 512 }, -EINVAL },
	};
	struct nvme_request pair[2] = { read_of(0, 1, 0) };
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		t_note(t, "row %zu", i);
		EXPECT_ERR(rows[i].error, nvme_queue_submit(fake->queue, &fake->ns, &rows[i].request, 1));
		EXPECT_NE(nvme_error()[0], 0);
	}
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
	EXPECT_EQ(fake->doorbells[0], 0);
	/* What comes before it goes through. */
	pair[1] = rows[0].request;
	EXPECT_EQ(nvme_queue_submit(fake->queue, &fake->ns, pair, 2), 1);
	EXPECT_EQ(nvme_queue_submit(fake->queue, &fake->ns, pair, 0), 0);
}

UNIT(nvme_queue, the_largest_requests_are_taken)
{
	struct fake *fake = fake_open(t, 2, NVME_PRP_LIST_TRANSFER, NUM_BLOCKS);
	struct nvme_request request = {
		.op = NVME_OP_READ, .len = NVME_PRP_LIST_TRANSFER, .block = NUM_BLOCKS - 4096, .iova = 4092
	};

	EXPECT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
	request.iova = UINT64_MAX - NVME_PRP_LIST_TRANSFER + 1;
	EXPECT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
}

/* Commands complete in any order, rings wrap, and every tag comes back once. */
static void shuffle(struct t *t, uint32_t depth, unsigned int rounds)
{
	struct fake *fake = fake_open(t, depth, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_sqe *waiting = aligned_alloc(64, depth * sizeof *waiting);
	struct nvme_completion done[8];
	uint64_t next = 0, sum_in = 0, sum_out = 0;
	unsigned int seed = depth, num = 0, pick;
	int r, i;

	t_defer(t, free, waiting);
	ASSERT_TRUE(waiting);
	for (; rounds > 0; rounds--) {
		while (rand_r(&seed) % 3 && nvme_queue_in_flight(fake->queue) < depth) {
			struct nvme_request request = read_of(0, 1 + next % 256, next);

			ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, &request, 1), 1);
			sum_in += next * next;
			next++;
		}
		while (num < depth && fake_fetch(fake, &waiting[num]))
			num++;
		while (num > 0 && rand_r(&seed) % 3) {
			pick = (unsigned int)rand_r(&seed) % num;
			fake_complete(fake, &waiting[pick], 0);
			waiting[pick] = waiting[--num];
		}
		r = nvme_queue_reap(fake->queue, done, 1 + (unsigned int)rand_r(&seed) % 8);
		ASSERT_GE(r, 0);
		for (i = 0; i < r; i++)
			sum_out += done[i].tag * done[i].tag;
	}
	while (num > 0)
		fake_complete(fake, &waiting[--num], 0);
	fake_serve(fake);
	while ((r = nvme_queue_reap(fake->queue, done, 8)) > 0)
		for (i = 0; i < r; i++)
			sum_out += done[i].tag * done[i].tag;
	ASSERT_EQ(r, 0);
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
	EXPECT_EQ(sum_in, sum_out);
	EXPECT_GT(next, depth);
}

UNIT(nvme_queue, every_tag_comes_back_once)
{
	static const uint32_t depths[] = { 1, 2, 3, 4, 7, 31, 64 };
	size_t i;

	for (i = 0; i < sizeof depths / sizeof depths[0]; i++) {
		t_note(t, "depth %u", depths[i]);
		shuffle(t, depths[i], 20000);
	}
}

/* 0xffff is no command in error logs; identifiers go round long before the test ends. */
UNIT(nvme_queue, no_command_has_the_reserved_identifier)
{
	struct fake *fake = fake_open(t, 4, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_request requests[4];
	struct nvme_completion done[4];
	struct nvme_sqe command;
	unsigned int round, i;

	for (i = 0; i < 4; i++)
		requests[i] = read_of(0, 1, i);
	for (round = 0; round < 17000; round++) {
		ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, requests, 4), 4);
		while (fake_fetch(fake, &command)) {
			ASSERT_NE(fake_cid(&command), 0xffff);
			fake_complete(fake, &command, 0);
		}
		ASSERT_EQ(nvme_queue_reap(fake->queue, done, 4), 4);
	}
}

UNIT(nvme_queue, a_failed_request_says_how)
{
	struct fake *fake = fake_open(t, 2, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_completion done;
	struct nvme_sqe command;

	in_flight(fake, 5, &command);
	fake_complete(fake, &command, 0x4080);
	ASSERT_EQ(nvme_queue_reap(fake->queue, &done, 1), 1);
	EXPECT_EQ(done.tag, 5);
	EXPECT_EQ(done.error, -ERANGE);
	EXPECT_EQ(done.status, 0x4080);
	EXPECT_STREQ(nvme_status_text(done.status), "LBA out of range");
}

/* Lists of one queue: each long enough, none across a page unless it begins with one, none over another, not all in the same places of a cache. */
UNIT(nvme_queue, lists_lie_apart_and_within_their_pages)
{
	static const uint32_t transfers[] = {
		4096, 65536, 131072, 524288, NVME_PRP_LIST_TRANSFER, NVME_PRP_LIST_TRANSFER + 4096, 8 << 20
	};
	size_t i;

	for (i = 0; i < sizeof transfers / sizeof transfers[0]; i++) {
		struct fake *fake = fake_open(t, 100, transfers[i], NUM_BLOCKS);
		const struct nvme_queue *queue = fake->queue;
		uint32_t need = nvme_prp_list_len(transfers[i]), slot;

		t_note(t, "transfers of %u bytes", transfers[i]);
		for (slot = 0; slot < 100; slot++) {
			uint32_t at = queue->list_offsets[slot];

			ASSERT_TRUE(at % NVME_PAGE_SIZE + need <= NVME_PAGE_SIZE || at % NVME_PAGE_SIZE == 0);
			ASSERT_LE(at + need, nvme_lists_len(100, transfers[i]));
			ASSERT_EQ(at % 64, 0);
			if (slot > 0)
				ASSERT_GE(at, queue->list_offsets[slot - 1] + need);
		}
		EXPECT_TRUE(need >= NVME_PAGE_SIZE || queue->list_len / 64 % 2 == 1);
	}
}

/* Broken controllers ------------------------------------------------------------------------------------- */

/* The queue has failed: everything says so, and nothing moves any more. */
static void expect_failed(struct fake *fake)
{
	struct nvme_request request = read_of(0, 1, 0);
	struct nvme_completion done;

	EXPECT_ERR(-EPROTO, nvme_queue_reap(fake->queue, &done, 1));
	EXPECT_CONTAINS(nvme_error(), "not in flight");
	EXPECT_ERR(-EPROTO, nvme_queue_wait(fake->queue, &done, 1, 1000));
	EXPECT_ERR(-EPROTO, nvme_queue_submit(fake->queue, &fake->ns, &request, 1));
}

UNIT(nvme_queue, a_completion_of_nothing_ends_the_queue)
{
	static const uint16_t identifiers[] = { 0, 1, 2, 3, 4, 0x100, 0x7fff, 0xfffe, 0xffff };
	size_t i;

	for (i = 0; i < sizeof identifiers / sizeof identifiers[0]; i++) {
		struct fake *fake = fake_open(t, 3, MAX_TRANSFER, NUM_BLOCKS);

		t_note(t, "identifier 0x%04x", identifiers[i]);
		fake_post(fake, fake->id, identifiers[i], 0);
		expect_failed(fake);
	}
}

UNIT(nvme_queue, a_repeated_completion_ends_nobody_elses_command)
{
	struct fake *fake = fake_open(t, 3, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_completion done[3];
	struct nvme_sqe first, second;

	in_flight(fake, 1, &first);
	fake_complete(fake, &first, 0);
	ASSERT_EQ(nvme_queue_reap(fake->queue, done, 3), 1);
	in_flight(fake, 2, &second); /* has the same place, and another identifier */
	EXPECT_EQ(fake_cid(&first) & 3, fake_cid(&second) & 3);
	fake_complete(fake, &first, 0);
	expect_failed(fake);
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 1);
}

UNIT(nvme_queue, a_completion_of_another_queue_is_noticed)
{
	struct fake *fake = fake_open(t, 3, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_sqe command;

	in_flight(fake, 1, &command);
	fake_post(fake, 2, fake_cid(&command), 0);
	expect_failed(fake);
}

/* An entry whose phase is that of the round before is none, in whichever round: what lies there is old, or half written. */
UNIT(nvme_queue, a_completion_with_the_wrong_phase_is_none)
{
	struct fake *fake = fake_open(t, 3, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_completion done[3];
	struct nvme_sqe command;
	uint64_t *word, right;
	unsigned int i;

	for (i = 0; i < 3 * fake->entries; i++) {
		t_note(t, "completion %u", i);
		in_flight(fake, i, &command);
		word = &fake->cq[fake->cq_tail].qword[1];
		fake_complete(fake, &command, 0);
		right = *word;
		*word = right ^ htole64(1ull << 48);
		ASSERT_EQ(nvme_queue_reap(fake->queue, done, 3), 0);
		EXPECT_ERR(-ETIMEDOUT, nvme_queue_wait(fake->queue, done, 3, 0));
		ASSERT_EQ(nvme_queue_in_flight(fake->queue), 1);
		*word = right;
		ASSERT_EQ(nvme_queue_reap(fake->queue, done, 3), 1);
		EXPECT_EQ(done[0].tag, i);
		ASSERT_EQ(nvme_queue_reap(fake->queue, done, 3), 0); /* and not a second time */
	}
}

UNIT(nvme_queue, what_completed_before_a_fault_is_still_reported)
{
	struct fake *fake = fake_open(t, 3, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_completion done[3];
	struct nvme_sqe command;

	in_flight(fake, 42, &command);
	fake_complete(fake, &command, 0);
	fake_complete(fake, &command, 0);
	ASSERT_EQ(nvme_queue_reap(fake->queue, done, 3), 1);
	EXPECT_EQ(done[0].tag, 42);
	expect_failed(fake);
}

/* Completion memory full of noise: no crash, no completion that nobody asked for twice. */
UNIT(nvme_queue, noise_in_the_completion_queue_does_no_harm)
{
	struct nvme_completion done[16];
	unsigned int seed = 3, round, i;
	struct nvme_sqe command;

	for (round = 0; round < 500; round++) {
		struct fake *fake = fake_open(t, 7, MAX_TRANSFER, NUM_BLOCKS);
		int reported = 0, r;

		for (i = 0; i < 5; i++)
			in_flight(fake, i, &command);
		for (i = 0; i < 8; i++)
			fake->cq[i].qword[1] = htole64((uint64_t)(rand_r(&seed) % 12) << 32 | 1 << 16 |
						       (uint64_t)(rand_r(&seed) % 8 != 0) << 48);
		while ((r = nvme_queue_reap(fake->queue, done, 16)) > 0)
			reported += r;
		ASSERT_TRUE(r == 0 || r == -EPROTO);
		ASSERT_LE(reported, 5);
		ASSERT_EQ(nvme_queue_in_flight(fake->queue), 5 - reported);
	}
}

/* Time-outs ---------------------------------------------------------------------------------------------- */

UNIT(nvme_queue, a_wait_that_ends_in_vain_leaves_everything_in_place)
{
	struct fake *fake = fake_open(t, 3, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_completion done[3];
	struct nvme_sqe command;

	EXPECT_EQ(nvme_queue_wait(fake->queue, done, 3, 1000), 0);
	in_flight(fake, 9, &command);
	EXPECT_ERR(-ETIMEDOUT, nvme_queue_wait(fake->queue, done, 3, 0));
	EXPECT_ERR(-ETIMEDOUT, nvme_queue_wait(fake->queue, done, 3, 5));
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 1);
	fake_complete(fake, &command, 0);
	ASSERT_EQ(nvme_queue_wait(fake->queue, done, 3, 0), 1);
	EXPECT_EQ(done[0].tag, 9);
}

UNIT(nvme_queue, a_dropped_command_keeps_its_place_until_it_completes)
{
	struct fake *fake = fake_open(t, 2, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_completion done[3];
	struct nvme_sqe late, command;

	in_flight(fake, 1, &late);
	nvme_queue_drop(fake->queue);
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
	in_flight(fake, 2, &command);
	EXPECT_NE(fake_cid(&late) & 1, fake_cid(&command) & 1);
	EXPECT_ERR(-EAGAIN, nvme_queue_submit(fake->queue, &fake->ns, &(struct nvme_request){ 0 }, 1));
	fake_complete(fake, &late, 0);
	EXPECT_EQ(nvme_queue_reap(fake->queue, done, 3), 0);
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 1);
	fake_complete(fake, &command, 0);
	ASSERT_EQ(nvme_queue_reap(fake->queue, done, 3), 1);
	EXPECT_EQ(done[0].tag, 2);
	in_flight(fake, 3, &command);
	in_flight(fake, 4, &command);
}

UNIT(nvme_queue, impossible_queues_are_refused)
{
	struct nvme_queue_setup setup = { .depth = 0, .max_transfer = 4096 };
	struct nvme_queue *queue = NULL;

	EXPECT_ERR(-EINVAL, nvme_queue_create(&setup, &queue));
	setup.depth = NVME_MAX_DEPTH + 1;
	EXPECT_ERR(-EINVAL, nvme_queue_create(&setup, &queue));
	setup = (struct nvme_queue_setup){ .depth = 1, .max_transfer = NVME_PRP_MAX_TRANSFER + 1 };
	EXPECT_ERR(-EINVAL, nvme_queue_create(&setup, &queue));
	EXPECT_EQ(queue, NULL);
	nvme_queue_destroy(NULL);
}
