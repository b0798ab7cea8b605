// SPDX-License-Identifier: MIT
/*
 * The nvme driver on the simulated host, with a controller that fails, hangs, loses commands and completions and is reset in mid-stream: each request ends once,
 * is carried out once at most, and what it ended with is what is on the disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <nvme/manage.h>
#include <nvme/types.h>

#include "sim_host.h"

enum { DEPTH = 16, BLOCKS = 24, BLOCK = 512, ROUNDS = 150, TIMEOUT_MS = 10000, PATIENCE_MS = 10 };

#define FIRST "0000:00:01.0"

/*
 * What is known of a block: the version that was acknowledged last, and that which is on its way. A version fills the block, and is written by one request. How
 * often the request that was submitted last was carried out is the controller's to say, and how often when it ended.
 */
struct block {
	uint32_t acknowledged, submitted;
	uint32_t carried_out, carried_out_at_end;
	bool on_its_way, to_nowhere, aborted;
};

struct stream {
	struct sim_host *host;
	struct weir_sim_device *model;
	struct nvme_controller *controller;
	struct nvme_namespace ns;
	struct nvme_queue *queue;
	uint32_t *buffer;
	uint64_t iova, nowhere;
	struct block blocks[BLOCKS];
	uint32_t outstanding, next_version, seed;
	uint32_t num_failed, num_doubtful, num_doubtful_done, num_aborted;
	uint32_t fates[WEIR_SIM_NVME_HELD + 1]; /* of writes, as the controller has it */
};

static void note_fate(void *stream, const struct weir_sim_nvme_taken *taken)
{
	struct stream *s = stream;

	if (taken->opcode != nvme_cmd_write || taken->block >= BLOCKS)
		return;
	__atomic_fetch_add(&s->fates[taken->fate], 1, __ATOMIC_SEQ_CST);
	if ((taken->fate == WEIR_SIM_NVME_COMPLETED || taken->fate == WEIR_SIM_NVME_UNREPORTED) &&
	    taken->status == 0)
		__atomic_fetch_add(&s->blocks[taken->block].carried_out, 1, __ATOMIC_SEQ_CST);
}

static uint32_t times_carried_out(const struct stream *s, uint32_t i)
{
	return __atomic_load_n(&s->blocks[i].carried_out, __ATOMIC_SEQ_CST);
}

static void close_controller(void *controller)
{
	EXPECT_EQ(nvme_controller_close(controller), 0);
}

static uint32_t chance(struct stream *s, uint32_t below)
{
	s->seed = s->seed * 1664525 + 1013904223;
	return (s->seed >> 8) % below;
}

static struct stream *a_stream(struct t *t, enum nvme_wait wait, uint32_t flags)
{
	struct nvme_controller_opts opts = WEIR_OPTS(nvme_controller_opts, .wait = wait, .flags = flags,
						     .admin_timeout_ms = 2000, .ready_timeout_ms = 2000);
	struct stream *s = calloc(1, sizeof(*s));
	void *memory;

	ASSERT_TRUE(s);
	t_defer(t, free, s);
	s->host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	ASSERT_OK(weir_sim_add_nvme(s->host->sim, NULL, NULL, &s->model));
	ASSERT_OK(weir_sim_nvme_watch(s->model, note_fate, s));
	if (nvme_controller_open(sim_host_device(t, s->host, FIRST, 0), &opts, &s->controller))
		FAIL("nvme_controller_open: %s", nvme_error());
	t_defer(t, close_controller, s->controller);
	if (nvme_namespace_info(s->controller, 1, &s->ns, sizeof(s->ns)) ||
	    nvme_queue_open(s->controller, DEPTH, &s->queue))
		FAIL("namespace and queue: %s", nvme_error());
	memory = sim_host_memory(t, s->host, 1 << 16, &s->iova);
	s->buffer = memory;
	s->nowhere = sim_host_nowhere(t, s->host);
	s->seed = (uint32_t)wait * 77 + flags;
	return s;
}

/* What had ended is not carried out later on. */
static void expect_ended(const struct stream *s, uint32_t i)
{
	if (times_carried_out(s, i) != s->blocks[i].carried_out_at_end)
		FAIL("block %u: version %u was written after its request had ended", i,
		     s->blocks[i].submitted);
}

/* Write a version to a block. What failed or is in doubt is the caller's to write again: as a version of its own, so that one is not taken for the other. */
static void write_block(struct stream *s, uint32_t i)
{
	struct block *b = &s->blocks[i];
	uint32_t version = ++s->next_version;
	struct nvme_request request = {
		.op = NVME_OP_WRITE, .block = i, .iova = s->iova + i * BLOCK, .len = BLOCK, .tag = i
	};

	expect_ended(s, i);
	__atomic_store_n(&b->carried_out, 0, __ATOMIC_SEQ_CST);
	b->to_nowhere = chance(s, 12) == 0;
	if (b->to_nowhere)
		request.iova = s->nowhere;
	for (uint32_t k = 0; k < BLOCK / 4; k++)
		s->buffer[i * BLOCK / 4 + k] = version;
	if (nvme_queue_submit(s->queue, &s->ns, &request, 1) != 1)
		FAIL("nvme_queue_submit: %s", nvme_error());
	b->submitted = version;
	b->on_its_way = true;
	b->aborted = false;
	s->outstanding++;
}

static void settle(struct stream *s, const struct nvme_completion *done)
{
	struct block *b = &s->blocks[done->tag];

	if (done->tag >= BLOCKS || !b->on_its_way)
		FAIL("block %d has ended twice", (int)done->tag);
	b->on_its_way = false;
	s->outstanding--;
	b->carried_out_at_end = times_carried_out(s, (uint32_t)done->tag);
	if (b->carried_out_at_end > 1 ||
	    (done->error != -ECONNRESET && b->carried_out_at_end != (done->error == 0)))
		FAIL("block %d ended with %d, and was carried out %u times", (int)done->tag, done->error,
		     b->carried_out_at_end);
	if (done->error == 0) {
		if (b->to_nowhere)
			FAIL("block %d was written from nowhere", (int)done->tag);
		b->acknowledged = b->submitted;
		return;
	}
	s->num_doubtful_done += b->carried_out_at_end;
	s->num_failed += done->error == -EFAULT;
	s->num_doubtful += done->error == -ECONNRESET;
	s->num_aborted += done->error == -ECANCELED;
	if (!(done->error == -ECONNRESET || (done->error == -EFAULT && b->to_nowhere) ||
	      (done->error == -ECANCELED && b->aborted)))
		FAIL("block %d: error %d", (int)done->tag, done->error);
}

/* What has been reported, and perhaps what is about to be. */
static int reap(struct stream *s, int timeout_ms)
{
	struct nvme_completion done[DEPTH];
	uint32_t most = 1 + chance(s, DEPTH);
	int num = timeout_ms < 0 ? nvme_queue_reap(s->queue, done, most)
				 : nvme_queue_wait(s->queue, done, most, timeout_ms);

	for (int i = 0; i < num; i++)
		settle(s, &done[i]);
	return num;
}

/* Whatever it was doing. Afterwards everything has been reported, if it is asked for. */
static void reset(struct stream *s)
{
	if (nvme_controller_reset(s->controller))
		FAIL("nvme_controller_reset: %s", nvme_error());
	while (reap(s, -1) > 0)
		;
	if (s->outstanding != 0 || nvme_queue_in_flight(s->queue) != 0)
		FAIL("%u requests never ended", s->outstanding);
}

static void submit_some(struct stream *s)
{
	uint32_t want = chance(s, DEPTH + 1);

	for (uint32_t tries = 0; tries < 64 && want > 0 && s->outstanding < DEPTH; tries++) {
		uint32_t i = chance(s, BLOCKS);

		if (s->blocks[i].on_its_way)
			continue;
		write_block(s, i);
		want--;
	}
}

static void abort_some(struct stream *s, uint32_t one_of)
{
	for (uint32_t i = 0; i < BLOCKS; i++)
		if (s->blocks[i].on_its_way && chance(s, one_of) == 0)
			s->blocks[i].aborted |= nvme_queue_abort(s->queue, i) == 0;
}

static void make_trouble(struct stream *s)
{
	switch (chance(s, 10)) {
	case 0:
		ASSERT_OK(weir_sim_nvme_swallow(s->model, 1 + chance(s, 2)));
		break;
	case 1:
		weir_sim_hang(s->model, true);
		submit_some(s);
		EXPECT_GE(reap(s, -1), 0);
		weir_sim_hang(s->model, false);
		break;
	case 2:
		weir_sim_lose_irqs(s->model, 1);
		break;
	case 3:
		submit_some(s);
		reset(s);
		break;
	case 4:
		submit_some(s);
		ASSERT_OK(weir_device_reset(s->host->device));
		reset(s);
		break;
	case 5:
		abort_some(s, 4);
		break;
	case 6:
		ASSERT_OK(weir_sim_nvme_leave_unreported(s->model, 1 + chance(s, 2)));
		break;
	case 7:
		ASSERT_OK(weir_sim_nvme_hold(s->model, 1 + chance(s, 3)));
		submit_some(s);
		reap(s, 1); /* the controller takes them meanwhile */
		abort_some(s, 1);
		break;
	}
}

/* Write what is in doubt, or failed, again; then the disk has what was acknowledged, and nothing of before. */
static void expect_kept(struct stream *s)
{
	uint32_t *found = s->buffer + 8192;

	ASSERT_OK(weir_sim_nvme_swallow(s->model, 0));
	ASSERT_OK(weir_sim_nvme_leave_unreported(s->model, 0));
	ASSERT_OK(weir_sim_nvme_hold(s->model, 0));
	reset(s);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		while (s->blocks[i].acknowledged != s->blocks[i].submitted) {
			write_block(s, i);
			if (reap(s, TIMEOUT_MS) != 1)
				FAIL("writing block %u again: %s", i, nvme_error());
		}
	}
	if (nvme_queue_read(s->queue, &s->ns, 0, s->iova + 32768, (uint64_t)BLOCKS * BLOCK, TIMEOUT_MS))
		FAIL("nvme_queue_read: %s", nvme_error());
	for (uint32_t i = 0; i < BLOCKS; i++)
		expect_ended(s, i);
	for (uint32_t k = 0; k < BLOCKS * BLOCK / 4; k++)
		if (found[k] != s->blocks[k / (BLOCK / 4)].acknowledged)
			FAIL("block %zu holds version %u, not %u", (size_t)k / (BLOCK / 4), found[k],
			     s->blocks[k / (BLOCK / 4)].acknowledged);
}

static void trouble(struct t *t, enum nvme_wait wait, uint32_t flags)
{
	struct stream *s = a_stream(t, wait, flags);

	for (uint32_t round = 0; round < ROUNDS; round++) {
		t_note(t, "round %u", round);
		submit_some(s);
		make_trouble(s);
		while (s->outstanding > 0 && chance(s, 4) != 0) {
			int num = reap(s, PATIENCE_MS);

			if (num < 0 && num != -ETIMEDOUT)
				FAIL("nvme_queue_wait: %d, %s", num, nvme_error());
			if (num < 0)
				reset(s);
		}
		if (round % 30 == 29)
			expect_kept(s);
	}
	EXPECT_GT(s->num_failed, 0);
	EXPECT_GT(s->num_aborted, 0);
	EXPECT_GT(s->num_doubtful_done, 0);
	EXPECT_GT(s->num_doubtful, s->num_doubtful_done);
	EXPECT_GT(s->fates[WEIR_SIM_NVME_SWALLOWED], 0);
	EXPECT_GT(s->fates[WEIR_SIM_NVME_UNREPORTED], 0);
	EXPECT_GT(s->fates[WEIR_SIM_NVME_HELD], 0);
}

UNIT(sim_nvme_doubt, each_request_ends_once_polled)
{
	trouble(t, NVME_WAIT_POLLING, 0);
}

UNIT(sim_nvme_doubt, each_request_ends_once_by_interrupt)
{
	trouble(t, NVME_WAIT_INTERRUPTS, NVME_EVENTS);
}

UNIT(sim_nvme_doubt, each_request_ends_once_with_shadow_doorbells_and_sgls)
{
	trouble(t, NVME_WAIT_POLLING, NVME_SHADOW_DOORBELLS | NVME_SGL);
}

/* Write block 3, which does not end; abort it. Returns what that says, with the completion in @ret_done, which comes by a reset if it was not aborted. */
static int lose_one(struct stream *s, struct nvme_completion *ret_done)
{
	struct nvme_request request = {
		.op = NVME_OP_WRITE, .block = 3, .iova = s->iova, .len = BLOCK, .tag = 7
	};
	int r;

	memset(s->buffer, 0x5a, BLOCK);
	ASSERT_EQ(nvme_queue_submit(s->queue, &s->ns, &request, 1), 1);
	EXPECT_ERR(-ETIMEDOUT, nvme_queue_wait(s->queue, ret_done, 1, 20));
	r = nvme_queue_abort(s->queue, 7);
	if (r < 0)
		ASSERT_OK(nvme_controller_reset(s->controller));
	ASSERT_EQ(nvme_queue_wait(s->queue, ret_done, 1, TIMEOUT_MS), 1);
	EXPECT_EQ(ret_done->tag, 7);
	EXPECT_EQ(nvme_queue_in_flight(s->queue), 0);
	ASSERT_OK(nvme_queue_read(s->queue, &s->ns, 3, s->iova + 32768, BLOCK, TIMEOUT_MS));
	return r;
}

/* In doubt is what the completion says of a lost command and of a lost completion, for nobody can tell them apart; an aborted one is known not to have been done. */
UNIT(sim_nvme_doubt, lost_commands_and_lost_completions_look_alike)
{
	struct stream *s = a_stream(t, NVME_WAIT_POLLING, 0);
	struct nvme_completion done;

	ASSERT_OK(weir_sim_nvme_hold(s->model, 1));
	EXPECT_OK(lose_one(s, &done));
	EXPECT_EQ(done.error, -ECANCELED);
	EXPECT_EQ(s->buffer[8192], 0);
	ASSERT_OK(weir_sim_nvme_swallow(s->model, 1));
	EXPECT_ERR(-EBUSY, lose_one(s, &done));
	EXPECT_EQ(done.error, -ECONNRESET);
	EXPECT_EQ(s->buffer[8192], 0);
	ASSERT_OK(weir_sim_nvme_leave_unreported(s->model, 1));
	EXPECT_ERR(-EBUSY, lose_one(s, &done));
	EXPECT_EQ(done.error, -ECONNRESET);
	EXPECT_EQ(s->buffer[8192], 0x5a5a5a5a);
}

/* One of eight fails: it is that one, the others are done, and the disk says the same. */
UNIT(sim_nvme_doubt, a_command_that_fails_is_one_of_many)
{
	struct stream *s = a_stream(t, NVME_WAIT_POLLING, 0);
	struct nvme_request requests[8];
	struct nvme_completion done[8];
	uint32_t seen = 0, *found = s->buffer + 8192;

	for (uint32_t i = 0; i < 8; i++) {
		memset(&s->buffer[i * BLOCK / 4], (int)i + 1, BLOCK);
		requests[i] = (struct nvme_request){ .op = NVME_OP_WRITE,
						     .block = i,
						     .iova = i == 5 ? s->nowhere : s->iova + i * BLOCK,
						     .len = BLOCK,
						     .tag = i };
	}
	ASSERT_EQ(nvme_queue_submit(s->queue, &s->ns, requests, 8), 8);
	while (seen != 0xff) {
		int num = nvme_queue_wait(s->queue, done, 8, TIMEOUT_MS);

		ASSERT_GT(num, 0);
		for (int i = 0; i < num; i++) {
			EXPECT_EQ(seen & 1u << done[i].tag, 0);
			seen |= 1u << done[i].tag;
			EXPECT_EQ(done[i].error, done[i].tag == 5 ? -EFAULT : 0);
		}
	}
	ASSERT_OK(nvme_queue_read(s->queue, &s->ns, 0, s->iova + 32768, 8 * BLOCK, TIMEOUT_MS));
	for (uint32_t k = 0; k < 8 * BLOCK / 4; k++) {
		uint32_t block = k / (BLOCK / 4);

		ASSERT_EQ(found[k], block == 5 ? 0 : (block + 1) * 0x01010101);
	}
}

/* The controller hangs while a queue is deleted: the queue takes nothing more, says why, and a reset gives its place back. */
UNIT(sim_nvme_doubt, a_deleted_queue_takes_nothing)
{
	struct nvme_controller_opts opts =
		WEIR_OPTS(nvme_controller_opts, .wait = NVME_WAIT_POLLING, .admin_timeout_ms = 100);
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct nvme_request request = { .len = BLOCK };
	struct nvme_controller *controller;
	struct nvme_completion done;
	struct nvme_namespace ns;
	struct nvme_queue *queue, *next;
	struct weir_sim_device *model;

	ASSERT_OK(weir_sim_add_nvme(host->sim, NULL, NULL, &model));
	ASSERT_OK(nvme_controller_open(sim_host_device(t, host, FIRST, 0), &opts, &controller));
	t_defer(t, close_controller, controller);
	ASSERT_OK(nvme_namespace_info(controller, 1, &ns, sizeof(ns)));
	ASSERT_OK(nvme_queue_open(controller, DEPTH, &queue));
	weir_sim_hang(model, true);
	EXPECT_ERR(-ETIMEDOUT, nvme_queue_close(queue));
	EXPECT_ERR(-ESHUTDOWN, nvme_queue_submit(queue, &ns, &request, 1));
	EXPECT_CONTAINS(nvme_error(), "closed");
	EXPECT_ERR(-ESHUTDOWN, nvme_queue_reap(queue, &done, 1));
	EXPECT_ERR(-ENOSPC, nvme_queue_open(controller, DEPTH, &next));
	weir_sim_hang(model, false);
	ASSERT_OK(nvme_controller_reset(controller));
	ASSERT_OK(nvme_queue_open(controller, DEPTH, &next));
	EXPECT_OK(nvme_queue_flush(next, &ns, TIMEOUT_MS));
}
