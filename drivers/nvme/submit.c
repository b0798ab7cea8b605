/* SPDX-License-Identifier: MIT */
/*
 * Submission (Base 2.0, 3.3.1): the short way of reads and writes. See queue.h for what makes it short, odd.c for the rest.
 */
#include <errno.h>

#include "nvme/error.h"
#include "nvme/kept.h"
#include "nvme/queue.h"

_Static_assert(nvme_cmd_read - (NVME_OP_WRITE - NVME_OP_READ) == nvme_cmd_write && NVME_OP_READ == 0 &&
		       NVME_OP_WRITE == 1,
	       "the opcode is a difference");

/* Rotated to the right: what is no multiple of 2^@by becomes larger than anything that it is compared with. */
static inline uint32_t rotate32(uint32_t value, uint32_t by)
{
	return value >> (by & 31) | value << (-by & 31);
}

static inline uint64_t rotate64(uint64_t value, uint32_t by)
{
	return value >> (by & 63) | value << (-by & 63);
}

/* The same by SGL, or for data that may take a list of several pages. */
static __attribute__((noinline, cold)) uint64_t
other_pointer(const struct nvme_queue *q, const struct nvme_slot *slot, uint64_t iova, uint32_t len)
{
	uint64_t list_iova, page = iova & ~(uint64_t)NVME_PAGE_MASK;
	void *list;

	if (q->flags & NVME_SQE_SGL)
		return len;
	list = nvme_slot_list(q, slot, &list_iova);
	nvme_prp_chain(page + NVME_PAGE_SIZE, (iova + len - 1) & ~(uint64_t)NVME_PAGE_MASK, list, list_iova);
	return list_iova;
}

__attribute__((noinline)) uint64_t nvme_queue_second_pointer(const struct nvme_queue *q,
							     const struct nvme_slot *slot, uint64_t iova,
							     uint32_t len)
{
	uint64_t list_iova;
	void *list;

	if (unlikely(len > q->one_list))
		return other_pointer(q, slot, iova, len);
	list = nvme_slot_list(q, slot, &list_iova);
	return nvme_prp_second(iova, len, list, list_iova);
}

static inline void set_limits(struct nvme_limits *limits, const struct nvme_queue *q,
			      const struct nvme_namespace *ns)
{
	uint64_t max_blocks = q->max_transfer >> ns->block_shift;
	uint64_t read = q->read + ((uint64_t)ns->nsid << 32);

	limits->max_blocks = max_blocks;
	limits->blocks = ns->num_blocks > max_blocks ? ns->num_blocks - max_blocks : 0;
	limits->first[NVME_OP_READ] = read;
	limits->first[NVME_OP_WRITE] = read - NVME_OP_WRITE;
}

/*
 * Whether a request takes the short way; @ret_last becomes its number of blocks less one. One comparison each for: a length that is zero, no
 * whole number of blocks, or too long; the end of the namespace; an address that is no multiple of 4, or wraps; the operation.
 */
static inline bool is_short(const struct nvme_queue *q, const struct nvme_limits *limits, uint32_t shift,
			    const struct nvme_request *rq, uint64_t *ret_last)
{
	*ret_last = (uint64_t)rotate32(rq->len, shift) - 1;
	return likely(*ret_last < limits->max_blocks && rq->block < limits->blocks &&
		      rotate64(rq->iova, 2) < q->iovas && rq->op <= NVME_OP_WRITE);
}

static inline bool in_one_page(const struct nvme_queue *q, const struct nvme_request *rq)
{
	return ((uint32_t)rq->iova & NVME_PAGE_MASK) + rq->len <= q->one_page;
}

/* Put it into an entry. @first: what qword 0 begins with, from the limits. */
static inline void put(const struct nvme_request *rq, const uint64_t *first, uint64_t last,
		       struct nvme_slot *slot, struct nvme_sqe *entry)
{
	uint64_t block = rq->block, iova = rq->iova;

	slot->tag = rq->tag;
	entry->qword[0] = htole64(*first + (uint32_t)slot->expected);
	entry->qword[3] = htole64(iova);
	entry->qword[4] = 0;
	entry->qword[5] = htole64(block);
	entry->qword[6] = htole64(last);
	nvme_queue_mark(slot);
}

/*
 * Put as many of @num requests as take the short way; there is room for all of them, before the end of the ring. Returns how many.
 */
static inline uint32_t put_run(struct nvme_queue *q, uint32_t shift, const struct nvme_request *requests,
			       uint32_t num)
{
	struct nvme_slot **free_slot = &q->free_slots[q->place.num_free];
	struct nvme_sqe *entry = &q->sq[q->place.sq_tail];
	const struct nvme_request *rq = requests, *end = requests + num;
	uint64_t last;

	for (; rq != end && is_short(q, &q->limits, shift, rq, &last); rq++, entry++) {
		struct nvme_slot *slot = *--free_slot;
		bool one_page = in_one_page(q, rq);

		put(rq, &q->limits.first[rq->op], last, slot, entry);
		if (!one_page)
			entry->qword[4] = htole64(nvme_queue_second_pointer(q, slot, rq->iova, rq->len));
	}
	return (uint32_t)(rq - requests);
}

/* How many of @num commands go before the end of the ring. */
static inline uint32_t to_end(const struct nvme_queue *q, size_t num)
{
	uint32_t left = q->state.entries - q->place.sq_tail;

	return num < left ? (uint32_t)num : left;
}

/* Any number of them: to the end of the ring and beyond it, what takes the long way, and why it goes no further. */
static __attribute__((noinline)) int submit_batch(struct nvme_queue *q, const struct nvme_namespace *ns,
						  const struct nvme_request *requests, size_t num)
{
	size_t max = num < q->place.num_free ? num : q->place.num_free, done = 0;
	int r = 0;

	set_limits(&q->limits, q, ns);
	while (done < max) {
		uint32_t run = to_end(q, max - done), put = put_run(q, ns->block_shift, requests + done, run);

		nvme_queue_advance(q, put);
		done += put;
		if (put == run)
			continue;
		r = nvme_queue_put(q, ns, &requests[done]);
		if (r < 0)
			break;
		done++;
	}
	if (done > 0) {
		return nvme_queue_ring(q, &q->sq_doorbell, q->place.sq_tail, (int)done);
	}
	if (r == 0 && num > 0)
		r = fail(-EAGAIN, "queue %u is full: %u requests are in flight", q->state.id, q->state.depth);
	return r;
}

/* For the first time after a predecessor, or a reset. */
static __attribute__((noinline, cold)) int submit_first(struct nvme_queue *q, const struct nvme_namespace *ns,
							const struct nvme_request *requests, size_t num)
{
	int r = nvme_queue_take_up(q);

	if (r < 0)
		return r;
	nvme_queue_acknowledge(q);
	return submit_batch(q, ns, requests, num);
}

/* One alone: the limits need no memory, nor what comes after them a stack. */
static inline int submit(struct nvme_queue *q, const struct nvme_namespace *ns,
			 const struct nvme_request *requests, size_t num)
{
	struct nvme_limits limits;
	uint64_t last, first;

	if (unlikely(q->state.failed))
		return submit_first(q, ns, requests, num);
	nvme_queue_acknowledge(q);
	if (num != 1 || unlikely(q->place.num_free == 0))
		return submit_batch(q, ns, requests, num);
	set_limits(&limits, q, ns);
	if (unlikely(!is_short(q, &limits, ns->block_shift, requests, &last) || !in_one_page(q, requests)))
		return submit_batch(q, ns, requests, num);
	first = limits.first[NVME_OP_READ] - requests->op;
	put(requests, &first, last, q->free_slots[q->place.num_free - 1], &q->sq[q->place.sq_tail]);
	return nvme_queue_ring(q, &q->sq_doorbell, nvme_queue_advance(q, 1), 1);
}

int nvme_queue_submit(struct nvme_queue *q, const struct nvme_namespace *ns,
		      const struct nvme_request *requests, size_t num)
{
	int r;

	if (unlikely(!nvme_queue_enter(q)))
		return nvme_queue_intruder(q);
	r = submit(q, ns, requests, num);
	nvme_queue_leave(q);
	return r;
}
