/* SPDX-License-Identifier: MIT */
/* Every operation there is, and data described in every way, as a controller finds it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_fake.h"

#define MAX_TRANSFER 131072u
#define NUM_BLOCKS   200000u
#define IOVA         0x7654321000000ull
#define ALL_OPS      0x3fu
#define SGL          0x4000u

static struct fake *opened(struct t *t, uint64_t flags)
{
	struct fake *fake = fake_open_with(t, 4, MAX_TRANSFER, NUM_BLOCKS, flags, ALL_OPS);

	return fake;
}

static struct nvme_sqe submitted(struct fake *fake, const struct nvme_request *request)
{
	struct nvme_sqe command = { 0 };

	if (nvme_queue_submit(fake->queue, &fake->ns, request, 1) != 1)
		FAIL("nvme_queue_submit: %s", nvme_error());
	EXPECT_TRUE(fake_fetch(fake, &command));
	return command;
}

UNIT(nvme_data, compare_has_data_and_its_own_opcode)
{
	struct fake *fake = opened(t, 0);
	struct nvme_sqe command = submitted(
		fake, &(struct nvme_request){ .op = NVME_OP_COMPARE, .block = 9, .iova = IOVA, .len = 8192 });

	EXPECT_EQ(fake_opcode(&command), 0x05);
	EXPECT_EQ(le64toh(command.qword[3]), IOVA);
	EXPECT_EQ(le64toh(command.qword[4]), IOVA + 4096);
	EXPECT_EQ(fake_block(&command), 9);
	EXPECT_EQ(fake_num_blocks(&command), 16);
}

UNIT(nvme_data, zeroes_have_no_data_and_a_limit_of_their_own)
{
	struct fake *fake = opened(t, 0);
	struct nvme_request request = { .op = NVME_OP_WRITE_ZEROES, .block = 3, .len = 65536 * 512 };
	struct nvme_sqe command = submitted(fake, &request);

	EXPECT_EQ(fake_opcode(&command), 0x08);
	EXPECT_EQ(command.qword[3], 0);
	EXPECT_EQ(command.qword[4], 0);
	EXPECT_EQ(fake_block(&command), 3);
	EXPECT_EQ(le64toh(command.qword[6]), 0xffff);
	request.len += 512;
	EXPECT_ERR(-EMSGSIZE, nvme_queue_submit(fake->queue, &fake->ns, &request, 1));
	request = (struct nvme_request){ .op = NVME_OP_WRITE_ZEROES, .block = NUM_BLOCKS, .len = 512 };
	EXPECT_ERR(-ERANGE, nvme_queue_submit(fake->queue, &fake->ns, &request, 1));
}

UNIT(nvme_data, discard_names_its_range_in_memory)
{
	static const uint64_t flags[] = { 0, SGL };
	size_t i;

	for (i = 0; i < 2; i++) {
		struct fake *fake = opened(t, flags[i]);
		struct nvme_sqe command = submitted(
			fake, &(struct nvme_request){ .op = NVME_OP_DISCARD, .block = 77, .len = 100 * 512 });
		const struct nvme_dsm_range *range = (void *)(uintptr_t)le64toh(command.qword[3]);

		t_note(t, "flags %#llx", (unsigned long long)flags[i]);
		EXPECT_EQ(fake_opcode(&command), 0x09);
		EXPECT_EQ(le64toh(command.qword[5]), 4ull << 32); /* one range, AD */
		EXPECT_EQ(le64toh(range->slba), 77);
		EXPECT_EQ(le32toh(range->nlb), 100);
		EXPECT_EQ(le64toh(command.qword[4]), i == 0 ? 0 : 16);
	}
}

UNIT(nvme_data, what_the_controller_has_not_is_refused)
{
	struct fake *fake = fake_open(t, 4, MAX_TRANSFER, NUM_BLOCKS);
	uint32_t op;

	for (op = NVME_OP_COMPARE; op <= NVME_OP_DISCARD; op++) {
		t_note(t, "operation %u", op);
		EXPECT_ERR(-EOPNOTSUPP, nvme_queue_submit(fake->queue, &fake->ns,
							  &(struct nvme_request){ .op = op, .len = 512 }, 1));
	}
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
}

/* SGLs --------------------------------------------------------------------------------------------------- */

UNIT(nvme_data, by_sgl_contiguous_data_is_one_descriptor)
{
	struct fake *fake = opened(t, SGL);
	struct nvme_sqe command = submitted(
		fake, &(struct nvme_request){
			      .op = NVME_OP_WRITE, .block = 1, .iova = IOVA + 20, .len = MAX_TRANSFER });

	EXPECT_EQ(le64toh(command.qword[0]) >> 14 & 3, 1);
	EXPECT_EQ(fake_opcode(&command), 0x01);
	EXPECT_EQ(le64toh(command.qword[3]), IOVA + 20);
	EXPECT_EQ(le64toh(command.qword[4]), MAX_TRANSFER);
	command = submitted(fake, &(struct nvme_request){ .iova = IOVA, .len = 512 });
	EXPECT_EQ(le64toh(command.qword[4]), 512);
	command = submitted(fake, &(struct nvme_request){ .op = NVME_OP_FLUSH });
	EXPECT_EQ(le64toh(command.qword[0]) >> 14 & 3, 0);
}

UNIT(nvme_data, by_sgl_pieces_are_a_list_of_descriptors)
{
	const struct nvme_segment pieces[] = { { IOVA + 4, 100 },
					       { IOVA + 0x5000, 4000 },
					       { IOVA + 0x10, 508 + 512 } };
	struct nvme_request request = { .op = NVME_OP_READ, .block = 5, .len = 5120, .tag = 1 };
	struct fake *fake = opened(t, SGL);
	struct nvme_sqe command;
	const uint64_t *list;
	size_t i;

	ASSERT_OK(nvme_queue_submit_segments(fake->queue, &fake->ns, &request, pieces, 3));
	ASSERT_TRUE(fake_fetch(fake, &command));
	EXPECT_EQ(le64toh(command.qword[4]), 48 | 3ull << 60);
	list = (const uint64_t *)(uintptr_t)le64toh(command.qword[3]);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(le64toh(list[2 * i]), pieces[i].iova);
		EXPECT_EQ(le64toh(list[2 * i + 1]), pieces[i].len);
	}
}

/* PRPs of pieces: as a controller walks them, they are the pieces. */
struct walk {
	const struct nvme_segment *piece;
	uint64_t done;
	bool broken;
};

static void add_piece(void *ctx, uint64_t iova, uint32_t len)
{
	struct walk *walk = ctx;

	walk->broken |= iova != walk->piece->iova + walk->done || walk->done + len > walk->piece->len;
	walk->done += len;
	if (walk->done == walk->piece->len) {
		walk->piece++;
		walk->done = 0;
	}
}

UNIT(nvme_data, by_prp_pieces_are_whole_pages)
{
	static const struct nvme_segment rows[][3] = {
		{ { IOVA + 512, 3584 }, { IOVA + 0x9000, 512 } },
		{ { IOVA, 4096 }, { IOVA + 0x20000, 4096 }, { IOVA + 0x40000, 4096 } },
		{ { IOVA + 2048, 2048 + 65536 }, { IOVA + 0x20000, 61440 }, { IOVA + 0x80000, 2048 } },
		{ { IOVA, 512 } },
	};
	struct fake *fake = opened(t, 0);
	struct nvme_completion done;
	struct nvme_sqe command;
	size_t i, num;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct nvme_request request = { .op = NVME_OP_WRITE, .tag = i };
		struct walk walk = { .piece = rows[i] };

		for (num = 0; num < 3 && rows[i][num].len > 0; num++)
			request.len += (uint32_t)rows[i][num].len;
		t_note(t, "row %zu", i);
		ASSERT_OK(nvme_queue_submit_segments(fake->queue, &fake->ns, &request, rows[i], num));
		ASSERT_TRUE(fake_fetch(fake, &command));
		fake_walk(&command, request.len, add_piece, &walk);
		EXPECT_FALSE(walk.broken);
		EXPECT_EQ(walk.piece - rows[i], num);
		fake_complete(fake, &command, 0);
		ASSERT_EQ(nvme_queue_reap(fake->queue, &done, 1), 1);
	}
}

UNIT(nvme_data, pieces_that_cannot_be_are_refused)
{
	static const struct {
		uint64_t flags;
		uint32_t op, len;
		int error;
		size_t num;
		struct nvme_segment pieces[2];
	} rows[] = {
		{ 0, NVME_OP_READ, 1024, -EINVAL, 2, { { IOVA, 512 }, { IOVA + 4096, 512 } } },
		{ 0, NVME_OP_READ, 8192, -EINVAL, 2, { { IOVA, 4096 }, { IOVA + 8196, 4096 } } },
		{ SGL, NVME_OP_READ, 1024, -EINVAL, 2, { { IOVA, 512 }, { IOVA + 4096, 500 } } },
		{ SGL, NVME_OP_READ, 1024, -EINVAL, 2, { { IOVA, 512 }, { IOVA + 4096, UINT64_MAX - 511 } } },
		{ SGL, NVME_OP_READ, 1024, -EINVAL, 2, { { IOVA, 1024 }, { IOVA + 4096, 0 } } },
		{ SGL, NVME_OP_READ, 1024, -EINVAL, 2, { { IOVA, 512 }, { IOVA + 2, 512 } } },
		{ SGL, NVME_OP_READ, 1024, -EINVAL, 2, { { IOVA, 512 }, { UINT64_MAX - 255, 512 } } },
		{ SGL, NVME_OP_READ, 1024, -EINVAL, 0, { { 0 } } },
		{ SGL, NVME_OP_READ, 1000, -EINVAL, 1, { { IOVA, 1000 } } },
		{ SGL, NVME_OP_FLUSH, 0, -EINVAL, 1, { { IOVA, 512 } } },
		{ SGL, 99, 512, -EINVAL, 1, { { IOVA, 512 } } },
		{ SGL, NVME_OP_READ, 2 * MAX_TRANSFER, -EMSGSIZE, 1, { { IOVA, 2ull * MAX_TRANSFER } } },
	};
	struct nvme_segment many[100];
	struct nvme_request request = { .len = 51200 };
	struct fake *fake;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		request = (struct nvme_request){ .op = rows[i].op, .len = rows[i].len };
		fake = opened(t, rows[i].flags);
		t_note(t, "row %zu", i);
		EXPECT_ERR(rows[i].error, nvme_queue_submit_segments(fake->queue, &fake->ns, &request,
								     rows[i].pieces, rows[i].num));
		EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);
	}
	for (i = 0; i < 100; i++)
		many[i] = (struct nvme_segment){ IOVA + 8192 * i, 512 };
	request = (struct nvme_request){ .len = 51200 };
	fake = opened(t, SGL);
	EXPECT_ERR(-E2BIG, nvme_queue_submit_segments(fake->queue, &fake->ns, &request, many, 100));
}

/* Resets, as far as a queue is concerned ----------------------------------------------------------------- */

UNIT(nvme_data, a_reset_reports_what_had_completed_and_what_is_in_doubt)
{
	struct fake *fake = fake_open(t, 4, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_request requests[4] = { { .len = 512, .tag = 10 },
					    { .len = 512, .tag = 11 },
					    { .len = 512, .tag = 12 },
					    { .len = 512, .tag = 13 } };
	struct nvme_completion done[8];
	struct nvme_sqe commands[4];
	unsigned int i;

	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, requests, 4), 4);
	for (i = 0; i < 4; i++)
		ASSERT_TRUE(fake_fetch(fake, &commands[i]));
	fake_complete(fake, &commands[2], 0);
	fake_complete(fake, &commands[0], 0x281);
	nvme_queue_reset(fake->queue);
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 4);
	EXPECT_ERR(-EAGAIN, nvme_queue_submit(fake->queue, &fake->ns, requests, 1));
	ASSERT_EQ(nvme_queue_reap(fake->queue, done, 3), 3);
	EXPECT_TRUE(done[0].tag == 12 && done[0].error == 0);
	EXPECT_TRUE(done[1].tag == 10 && done[1].error == -EIO && done[1].status == 0x281);
	EXPECT_TRUE(done[2].tag == 11 && done[2].error == -ECONNRESET);
	nvme_queue_reset(fake->queue); /* again, before all has been reported */
	ASSERT_EQ(nvme_queue_reap(fake->queue, done, 8), 1);
	EXPECT_TRUE(done[0].tag == 13 && done[0].error == -ECONNRESET);
	EXPECT_EQ(nvme_status_error(done[0].status), -ECONNRESET);
	EXPECT_EQ(nvme_queue_in_flight(fake->queue), 0);

	/* And from the start. */
	fake->sq_head = fake->cq_tail = 0;
	fake->phase = 1;
	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, requests, 4), 4);
	EXPECT_EQ(fake_serve(fake), 4);
	ASSERT_EQ(nvme_queue_reap(fake->queue, done, 8), 4);
	EXPECT_EQ(done[3].tag, 13);
}

UNIT(nvme_data, a_queue_that_failed_is_in_doubt_from_the_fault_on)
{
	struct fake *fake = fake_open(t, 4, MAX_TRANSFER, NUM_BLOCKS);
	struct nvme_request requests[2] = { { .len = 512, .tag = 1 }, { .len = 512, .tag = 2 } };
	struct nvme_completion done[4];
	struct nvme_sqe command;

	ASSERT_EQ(nvme_queue_submit(fake->queue, &fake->ns, requests, 2), 2);
	ASSERT_TRUE(fake_fetch(fake, &command));
	fake_post(fake, 1, 77, 0);
	fake_complete(fake, &command, 0);
	EXPECT_ERR(-EPROTO, nvme_queue_reap(fake->queue, done, 4));
	nvme_queue_reset(fake->queue);
	ASSERT_EQ(nvme_queue_reap(fake->queue, done, 4), 2);
	EXPECT_TRUE(done[0].error == -ECONNRESET && done[1].error == -ECONNRESET);
	nvme_queue_end(fake->queue, -EIO);
	EXPECT_ERR(-EIO, nvme_queue_reap(fake->queue, done, 4));
	EXPECT_ERR(-EIO, nvme_queue_submit(fake->queue, &fake->ns, requests, 1));
	EXPECT_CONTAINS(nvme_error(), "reset of the controller that failed");
}
