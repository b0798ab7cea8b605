/* SPDX-License-Identifier: MIT */
/* Reads and writes of any length, waited for. */
#include <errno.h>
#include <inttypes.h>

#include "nvme/error.h"
#include "nvme/queue.h"

#define BATCH     32
#define TRIES     3
#define TRY_SHIFT 56 /* a tag is the number of the piece, and above it how often it has been tried before */

/* A transfer on its way: what there is, how many pieces of it have been submitted, and the first error. */
struct transfer {
	const struct nvme_namespace *ns;
	uint64_t block, iova, len;
	uint64_t num, next; /* pieces */
	uint32_t op, piece; /* bytes of each but the last; 0: there is no data */
	int error;
};

/* The queue is ours alone, and has room, if the completions of what was dropped earlier are taken first. */
static int check_idle(struct nvme_queue *q)
{
	struct nvme_completion none;
	int r;

	if (nvme_queue_in_flight(q) > 0)
		return fail(-EBUSY, "queue %u: other requests are in flight", q->state.id);
	r = nvme_queue_reap(q, &none, 1);
	if (r < 0)
		return r;
	if (q->place.num_free == 0)
		return fail(-EBUSY, "queue %u: every place is held by a request that timed out", q->state.id);
	return 0;
}

static int check_transfer(const struct transfer *t)
{
	const struct nvme_namespace *ns = t->ns;

	if (t->len == 0 || t->len & (ns->block_size - 1))
		return fail(-EINVAL, "%" PRIu64 " bytes are not a whole number of blocks of %u", t->len,
			    ns->block_size);
	if (t->block >= ns->num_blocks || t->len >> ns->block_shift > ns->num_blocks - t->block)
		return fail(-ERANGE,
			    "%" PRIu64 " blocks from block %" PRIu64
			    " on reach beyond the namespace of %" PRIu64,
			    t->len >> ns->block_shift, t->block, ns->num_blocks);
	if (t->len - 1 > UINT64_MAX - t->iova)
		return fail(-EINVAL, "%" PRIu64 " bytes at IOVA 0x%" PRIx64 " wrap around", t->len, t->iova);
	return 0;
}

static struct nvme_request piece(const struct transfer *t, uint64_t tag)
{
	uint64_t done = (tag & ((1ull << TRY_SHIFT) - 1)) * t->piece, left = t->len - done;

	return (struct nvme_request){ .block = t->block + (done >> t->ns->block_shift),
				      .iova = t->iova + done,
				      .len = left < t->piece ? (uint32_t)left : t->piece,
				      .op = t->op,
				      .tag = tag };
}

/* Submit as much as there is room for. */
static int submit_some(struct nvme_queue *q, struct transfer *t)
{
	struct nvme_request requests[BATCH];
	uint32_t room = q->place.num_free < BATCH ? q->place.num_free : BATCH, num = 0;
	int r;

	for (; num < room && t->next + num < t->num; num++)
		requests[num] = piece(t, t->next + num);
	r = nvme_queue_submit(q, t->ns, requests, num);
	if (r > 0)
		t->next += (uint32_t)r;
	return r < 0 ? r : 0;
}

/* A piece has ended, well or not. What may be tried again has a place: its own. */
static int settle(struct nvme_queue *q, struct transfer *t, const struct nvme_completion *done)
{
	struct nvme_request request = piece(t, done->tag);
	int r;

	if (done->error == 0 || t->error < 0)
		return 0;
	if (done->error == -EAGAIN && nvme_status_may_retry(done->status) &&
	    done->tag >> TRY_SHIFT < TRIES - 1) {
		request.tag += 1ull << TRY_SHIFT;
		r = nvme_queue_submit(q, t->ns, &request, 1);
		return r < 0 ? r : 0;
	}
	t->error = fail(done->error, "request at block %" PRIu64 ": %s (status 0x%04x)", request.block,
			nvme_status_text(done->status), done->status);
	t->next = t->num;
	return 0;
}

/* Take what has completed; after an error nothing more is submitted. */
static int reap_some(struct nvme_queue *q, struct transfer *t, deadline_t deadline)
{
	struct nvme_completion completions[BATCH];
	int timeout = deadline == INT64_MAX ? -1 : deadline_left(deadline, INT_MAX);
	int num = nvme_queue_wait(q, completions, BATCH, timeout), r = num, i;

	for (i = 0; i < num && r >= 0; i++)
		r = settle(q, t, &completions[i]);
	return r < 0 ? r : 0;
}

static int run(struct nvme_queue *q, struct transfer *t, int timeout_ms)
{
	deadline_t deadline = deadline_in(timeout_ms);
	int r = 0;

	while (r == 0 && (t->next < t->num || nvme_queue_in_flight(q) > 0)) {
		if (t->next < t->num && q->place.num_free > 0)
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
		.len = len,
		.op = op,
		.piece = q->max_transfer & ~(ns->block_size - 1),
	};
	int r = check_idle(q);

	if (r == 0)
		r = check_transfer(&t);
	if (r < 0)
		return r;
	t.num = (len - 1) / t.piece + 1;
	return run(q, &t, timeout_ms);
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
	struct transfer t = { .ns = ns, .op = NVME_OP_FLUSH, .num = 1 };
	int r = check_idle(q);

	return r < 0 ? r : run(q, &t, timeout_ms);
}
