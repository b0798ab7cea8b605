/* SPDX-License-Identifier: MIT */
/* Reads and writes of any length, waited for. */
#include <errno.h>
#include <inttypes.h>

#include "nvme/error.h"
#include "nvme/queue.h"

#define BATCH 32

/* A transfer on its way: what is left to submit, and the first error. */
struct transfer {
	const struct nvme_namespace *ns;
	uint64_t block, iova, left;
	uint32_t op, piece; /* bytes of each request but the last */
	int error;
};

/* The queue is ours alone, and has room, if the completions of what was dropped earlier are taken first. */
static int check_idle(struct nvme_queue *q)
{
	struct nvme_completion none;
	int r;

	if (nvme_queue_in_flight(q) > 0)
		return fail(-EBUSY, "queue %u: other requests are in flight", q->id);
	r = nvme_queue_reap(q, &none, 1);
	if (r < 0)
		return r;
	if (q->num_free == 0)
		return fail(-EBUSY, "queue %u: every place is held by a request that timed out", q->id);
	return 0;
}

static int check_transfer(const struct transfer *t)
{
	const struct nvme_namespace *ns = t->ns;

	if (t->left == 0 || t->left & (ns->block_size - 1))
		return fail(-EINVAL, "%" PRIu64 " bytes are not a whole number of blocks of %u", t->left,
			    ns->block_size);
	if (t->block >= ns->num_blocks || t->left >> ns->block_shift > ns->num_blocks - t->block)
		return fail(-ERANGE,
			    "%" PRIu64 " blocks from block %" PRIu64
			    " on reach beyond the namespace of %" PRIu64,
			    t->left >> ns->block_shift, t->block, ns->num_blocks);
	if (t->left - 1 > UINT64_MAX - t->iova)
		return fail(-EINVAL, "%" PRIu64 " bytes at IOVA 0x%" PRIx64 " wrap around", t->left, t->iova);
	return 0;
}

/* Submit as much as there is room for. */
static int submit_some(struct nvme_queue *q, struct transfer *t)
{
	struct nvme_request requests[BATCH];
	uint64_t block = t->block, iova = t->iova, left = t->left;
	uint32_t room = q->num_free < BATCH ? q->num_free : BATCH, num = 0;
	int r, i;

	for (; num < room && left > 0; num++) {
		uint32_t len = left < t->piece ? (uint32_t)left : t->piece;

		requests[num] = (struct nvme_request){
			.block = block, .iova = iova, .len = len, .op = t->op, .tag = block
		};
		block += len >> t->ns->block_shift;
		iova += len;
		left -= len;
	}
	r = nvme_queue_submit(q, t->ns, requests, num);
	for (i = 0; i < r; i++) {
		t->block += requests[i].len >> t->ns->block_shift;
		t->iova += requests[i].len;
		t->left -= requests[i].len;
	}
	return r < 0 ? r : 0;
}

/* Take what has completed; after an error nothing more is submitted. */
static int reap_some(struct nvme_queue *q, struct transfer *t, deadline_t deadline)
{
	struct nvme_completion completions[BATCH];
	int timeout = deadline == INT64_MAX ? -1 : deadline_left(deadline, INT_MAX);
	int r = nvme_queue_wait(q, completions, BATCH, timeout), i;

	for (i = 0; i < r; i++) {
		if (completions[i].error == 0 || t->error < 0)
			continue;
		t->error = fail(completions[i].error, "request at block %" PRIu64 ": %s (status 0x%04x)",
				completions[i].tag, nvme_status_text(completions[i].status),
				completions[i].status);
		t->left = 0;
	}
	return r < 0 ? r : 0;
}

static int run(struct nvme_queue *q, struct transfer *t, int timeout_ms)
{
	deadline_t deadline = deadline_in(timeout_ms);
	int r = 0;

	while (r == 0 && (t->left > 0 || nvme_queue_in_flight(q) > 0)) {
		if (t->left > 0 && q->num_free > 0)
			r = submit_some(q, t);
		if (r == 0)
			r = reap_some(q, t, deadline);
	}
	if (r < 0)
		nvme_queue_drop(q);
	return r < 0 ? r : t->error;
}

static int transfer(struct nvme_queue *q, const struct nvme_namespace *ns, uint32_t op, uint64_t block,
		    uint64_t iova, uint64_t len, int timeout_ms)
{
	struct transfer t = {
		.ns = ns,
		.block = block,
		.iova = iova,
		.left = len,
		.op = op,
		.piece = q->max_transfer & ~(ns->block_size - 1),
	};
	int r = check_idle(q);

	if (r == 0)
		r = check_transfer(&t);
	return r < 0 ? r : run(q, &t, timeout_ms);
}

int nvme_queue_read(struct nvme_queue *q, const struct nvme_namespace *ns, uint64_t block, uint64_t iova,
		    uint64_t len, int timeout_ms)
{
	return transfer(q, ns, NVME_OP_READ, block, iova, len, timeout_ms);
}

int nvme_queue_write(struct nvme_queue *q, const struct nvme_namespace *ns, uint64_t block, uint64_t iova,
		     uint64_t len, int timeout_ms)
{
	return transfer(q, ns, NVME_OP_WRITE, block, iova, len, timeout_ms);
}

int nvme_queue_flush(struct nvme_queue *q, const struct nvme_namespace *ns, int timeout_ms)
{
	struct nvme_request request = { .op = NVME_OP_FLUSH };
	struct transfer t = { .ns = ns };
	int r = check_idle(q);

	if (r == 0)
		r = nvme_queue_submit(q, ns, &request, 1);
	return r < 0 ? r : run(q, &t, timeout_ms);
}
