/* SPDX-License-Identifier: MIT */
/*
 * Submission and completion (Base 2.0, 3.3). What is done for each command is kept to straight stores and
 * loads: no search, no division, no clock.
 */
#include "nvme/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <weir/guard.h>

#include "common/io.h"
#include "nvme/error.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Set-up ------------------------------------------------------------------------------------------------- */

static uint16_t index_mask_for(uint32_t depth)
{
	uint32_t mask = 1;

	while (mask < depth - 1)
		mask = mask << 1 | 1;
	return (uint16_t)mask;
}

int nvme_queue_create(const struct nvme_queue_setup *setup, struct nvme_queue **ret_queue)
{
	struct nvme_queue *q;
	uint32_t i;

	if (setup->depth == 0 || setup->depth > NVME_MAX_DEPTH || setup->max_transfer > NVME_PRP_MAX_TRANSFER)
		return fail(-EINVAL, "a queue of depth %u for transfers of %u bytes", setup->depth,
			    setup->max_transfer);
	q = aligned_alloc(64, (sizeof *q + 63) & ~(size_t)63);
	if (!q)
		return fail(-ENOMEM, "no memory for a queue");
	*q = (struct nvme_queue){
		.sq = setup->sq,
		.cq = setup->cq,
		.prp_lists = setup->prp_lists,
		.prp_lists_iova = setup->prp_lists_iova,
		.num_free = setup->depth,
		.depth = setup->depth,
		.entries = setup->depth + 1,
		.max_transfer = setup->max_transfer,
		.index_mask = index_mask_for(setup->depth),
		.id = setup->id,
		.phase = 1,
		.sq_doorbell = setup->sq_doorbell,
		.cq_doorbell = setup->cq_doorbell,
	};
	q->slots = calloc(q->depth, sizeof *q->slots);
	q->free_slots = calloc(q->depth, sizeof *q->free_slots);
	if (!q->slots || !q->free_slots) {
		nvme_queue_destroy(q);
		return fail(-ENOMEM, "no memory for a queue of depth %u", setup->depth);
	}
	for (i = 0; i < q->depth; i++) {
		q->slots[i] = (struct nvme_slot){ .expected = NVME_SLOT_FREE, .next_cid = (uint16_t)i };
		q->free_slots[i] = (uint16_t)(q->depth - 1 - i); /* so that slot 0 is taken first */
	}
	*ret_queue = q;
	return 0;
}

void nvme_queue_destroy(struct nvme_queue *q)
{
	if (!q)
		return;
	free(q->slots);
	free(q->free_slots);
	free(q);
}

uint32_t nvme_queue_in_flight(const struct nvme_queue *q)
{
	return q->depth - q->num_free - q->num_dropped;
}

uint32_t nvme_queue_depth(const struct nvme_queue *q)
{
	return q->depth;
}

int nvme_queue_explain(const struct nvme_queue *q)
{
	if (q->failed == -EPROTO)
		return fail(-EPROTO,
			    "queue %u has failed: the controller completed identifier 0x%04x of queue %u, "
			    "which is not in flight",
			    q->id, nvme_cqe_cid(q->bad_entry), nvme_cqe_sqid(q->bad_entry));
	return fail(q->failed, "queue %u has failed: its doorbell could not be rung", q->id);
}

#ifdef __SANITIZE_THREAD__
void __tsan_release(void *addr);
#endif

/* What was written to memory is seen before what is written to @doorbell next: a guarded store is no atomic one. */
static inline void write_before(volatile void *doorbell)
{
#ifdef __aarch64__
	__asm__ volatile("dmb oshst" : : : "memory");
#else
	__asm__ volatile("" : : : "memory"); /* x86 stores in order */
#endif
#ifdef __SANITIZE_THREAD__
	__tsan_release((void *)(uintptr_t)doorbell);
#else
	(void)doorbell;
#endif
}

static int ring(struct nvme_queue *q, const struct nvme_doorbell *doorbell, uint32_t value)
{
	write_before(doorbell->addr);
	/* Entries that are given back have been read: load64() is done before what follows it. */
	/* A guarded store says that it could not be done (weir/guard.h); the region says why, and makes the library look. */
	if (likely(doorbell->addr) && likely(!weir_mmio_write32(doorbell->addr, value)))
		return 0;
	q->failed = weir_region_write32(doorbell->region, doorbell->offset, value);
	return q->failed;
}

/* Submission --------------------------------------------------------------------------------------------- */

/* Take a free slot for a command. The caller has seen that there is one. */
static inline uint16_t take_slot(struct nvme_queue *q, uint64_t tag, uint32_t *ret_index)
{
	uint32_t index = q->free_slots[--q->num_free];
	struct nvme_slot *slot = &q->slots[index];

	slot->tag = tag;
	slot->expected = slot->next_cid;
	*ret_index = index;
	return slot->next_cid;
}

/* Identifier 0xffff stands for "no command" in error log pages: it is never used (Base 2.0, 3.3.3.1). */
static inline void give_slot(struct nvme_queue *q, uint32_t index)
{
	struct nvme_slot *slot = &q->slots[index];
	uint16_t next = (uint16_t)(slot->next_cid + q->index_mask + 1);

	slot->next_cid = likely(next != 0xffff) ? next : (uint16_t)index;
	slot->expected = NVME_SLOT_FREE;
	q->free_slots[q->num_free++] = (uint16_t)index;
}

static inline struct nvme_sqe *next_entry(struct nvme_queue *q)
{
	struct nvme_sqe *entry = &q->sq[q->sq_tail];

	q->sq_tail = q->sq_tail + 1 == q->entries ? 0 : q->sq_tail + 1;
	return entry;
}

static int refuse_read_write(const struct nvme_queue *q, const struct nvme_namespace *ns,
			     const struct nvme_request *rq)
{
	if (rq->len == 0 || rq->len & (ns->block_size - 1))
		return fail(-EINVAL, "%u bytes are not a whole number of blocks of %u", rq->len,
			    ns->block_size);
	if (rq->iova & 3)
		return fail(-EINVAL, "IOVA 0x%" PRIx64 " is not a multiple of 4", rq->iova);
	if (rq->len - 1 > UINT64_MAX - rq->iova)
		return fail(-EINVAL, "%u bytes at IOVA 0x%" PRIx64 " wrap around", rq->len, rq->iova);
	if (rq->len > q->max_transfer)
		return fail(-EMSGSIZE, "%u bytes are more than one request can carry (%u): split it", rq->len,
			    q->max_transfer);
	return fail(-ERANGE, "%u blocks from block %" PRIu64 " on reach beyond the namespace of %" PRIu64,
		    rq->len >> ns->block_shift, rq->block, ns->num_blocks);
}

/* A read or a write (NVM Command Set 1.0, 3.2.4 and 3.2.6). */
static inline int put_read_write(struct nvme_queue *q, const struct nvme_namespace *ns,
				 const struct nvme_request *rq, uint64_t opcode)
{
	uint32_t len = rq->len, blocks = len >> ns->block_shift, index;
	struct nvme_sqe *entry;
	struct nvme_prp prp;
	uint64_t cid;

	if (unlikely(len == 0 || len & (ns->block_size - 1) || len > q->max_transfer || rq->iova & 3 ||
		     len - 1 > UINT64_MAX - rq->iova || rq->block >= ns->num_blocks ||
		     blocks > ns->num_blocks - rq->block))
		return refuse_read_write(q, ns, rq);

	cid = take_slot(q, rq->tag, &index);
	prp = nvme_prp_build(rq->iova, len, q->prp_lists + (size_t)index * NVME_PRP_LIST_ENTRIES,
			     q->prp_lists_iova + (uint64_t)index * NVME_PAGE_SIZE);
	entry = next_entry(q);
	entry->qword[0] = htole64(opcode | cid << 16 | (uint64_t)ns->nsid << 32);
	entry->qword[1] = 0;
	entry->qword[2] = 0;
	entry->qword[3] = prp.entry1;
	entry->qword[4] = prp.entry2;
	entry->qword[5] = htole64(rq->block);
	entry->qword[6] = htole64(blocks - 1); /* a 0's based value */
	entry->qword[7] = 0;
	return 0;
}

/* Flush (Base 2.0, 7.1). */
static int put_flush(struct nvme_queue *q, const struct nvme_namespace *ns, const struct nvme_request *rq)
{
	struct nvme_sqe *entry;
	uint32_t index, i;
	uint64_t cid;

	if (rq->len != 0 || rq->block != 0)
		return fail(-EINVAL, "a flush has neither block nor data");
	cid = take_slot(q, rq->tag, &index);
	entry = next_entry(q);
	entry->qword[0] = htole64(nvme_cmd_flush | cid << 16 | (uint64_t)ns->nsid << 32);
	for (i = 1; i < 8; i++)
		entry->qword[i] = 0;
	return 0;
}

static inline int put_request(struct nvme_queue *q, const struct nvme_namespace *ns,
			      const struct nvme_request *rq)
{
	if (unlikely(q->num_free == 0))
		return fail(-EAGAIN, "queue %u is full: %u requests are in flight", q->id, q->depth);
	switch (rq->op) {
	case NVME_OP_READ:
		return put_read_write(q, ns, rq, nvme_cmd_read);
	case NVME_OP_WRITE:
		return put_read_write(q, ns, rq, nvme_cmd_write);
	case NVME_OP_FLUSH:
		return put_flush(q, ns, rq);
	}
	return fail(-EINVAL, "unknown operation %u", rq->op);
}

/* The commands are in memory before the controller learns of them. */
static inline int publish(struct nvme_queue *q)
{
	dma_wmb();
	return ring(q, &q->sq_doorbell, q->sq_tail);
}

int nvme_queue_submit(struct nvme_queue *q, const struct nvme_namespace *ns,
		      const struct nvme_request *requests, size_t num)
{
	size_t max = num < INT32_MAX ? num : INT32_MAX, done;
	int r = 0;

	if (unlikely(q->failed))
		return nvme_queue_explain(q);
	for (done = 0; done < max; done++) {
		r = put_request(q, ns, &requests[done]);
		if (r < 0)
			break;
	}
	if (done == 0)
		return r;
	if (unlikely(publish(q) < 0))
		return nvme_queue_explain(q);
	return (int)done;
}

int nvme_queue_submit_raw(struct nvme_queue *q, const struct nvme_sqe *command, uint64_t tag)
{
	struct nvme_sqe *entry;
	uint32_t index, i;
	uint64_t cid;

	if (q->failed)
		return nvme_queue_explain(q);
	if (q->num_free == 0)
		return fail(-EAGAIN, "queue %u is full: %u commands are in flight", q->id, q->depth);
	cid = take_slot(q, tag, &index);
	entry = next_entry(q);
	entry->qword[0] = command->qword[0] | htole64(cid << 16);
	for (i = 1; i < 8; i++)
		entry->qword[i] = command->qword[i];
	return publish(q) < 0 ? nvme_queue_explain(q) : 0;
}

/* Completion --------------------------------------------------------------------------------------------- */

/*
 * The second half of the next completion queue entry, if it is new. One load: phase, identifier and status
 * belong together.
 */
static inline bool look(const struct nvme_queue *q, uint64_t *ret_qword1)
{
	uint64_t qword1 = le64toh(load64(&q->cq[q->cq_head].qword[1]));

	*ret_qword1 = qword1;
	return nvme_cqe_phase(qword1) == q->phase;
}

static inline void advance(struct nvme_queue *q)
{
	if (likely(++q->cq_head < q->entries))
		return;
	q->cq_head = 0;
	q->phase ^= 1;
}

/* A completion that is not what its slot expects: of a command that was given up, or of none at all. */
static int unexpected(struct nvme_queue *q, uint64_t qword1)
{
	uint32_t cid = nvme_cqe_cid(qword1), index = cid & q->index_mask;

	if (nvme_cqe_sqid(qword1) == q->id && index < q->depth &&
	    q->slots[index].expected == (cid | NVME_SLOT_DROPPED)) {
		q->num_dropped--;
		give_slot(q, index);
		return 0;
	}
	q->bad_entry = qword1;
	q->failed = -EPROTO;
	return -EPROTO;
}

/* Settle one entry. Returns 1 with a completion to report, 0 without, or -EPROTO. */
static inline int settle(struct nvme_queue *q, uint64_t qword1, struct nvme_completion *ret)
{
	uint32_t cid = nvme_cqe_cid(qword1), index = cid & q->index_mask;
	uint16_t status = nvme_cqe_status(qword1);

	if (unlikely(index >= q->depth || nvme_cqe_sqid(qword1) != q->id || q->slots[index].expected != cid))
		return unexpected(q, qword1);
	ret->tag = q->slots[index].tag;
	ret->status = status;
	ret->reserved = 0;
	ret->error = likely(status == 0) ? 0 : nvme_status_error(status);
	give_slot(q, index);
	return 1;
}

/* The caller's loads of data come after ours of the completion; entries go back when they have been read. */
int nvme_queue_reap(struct nvme_queue *q, struct nvme_completion *ret_completions, size_t max)
{
	size_t num = 0;
	uint32_t taken;
	uint64_t qword1;
	int r = 0;

	if (unlikely(q->failed))
		return nvme_queue_explain(q);
	/* One round at most, whatever the controller writes meanwhile. */
	for (taken = 0; num < max && taken < q->entries && look(q, &qword1); taken++) {
		r = settle(q, qword1, &ret_completions[num]);
		if (unlikely(r < 0))
			break;
		num += (size_t)r;
		advance(q);
	}
	dma_rmb();
	if (taken != 0 && unlikely(ring(q, &q->cq_doorbell, q->cq_head) < 0) && num == 0)
		return nvme_queue_explain(q);
	if (unlikely(r < 0) && num == 0)
		return nvme_queue_explain(q);
	return (int)num;
}

int nvme_queue_reap_raw(struct nvme_queue *q, struct nvme_completion *ret_completion, uint32_t *ret_result)
{
	const struct nvme_cqe *entry = &q->cq[q->cq_head];
	uint64_t qword1;
	int r;

	if (q->failed)
		return nvme_queue_explain(q);
	if (!look(q, &qword1))
		return 0;
	dma_rmb();
	*ret_result = (uint32_t)le64toh(load64(&entry->qword[0]));
	r = settle(q, qword1, ret_completion);
	if (r < 0)
		return nvme_queue_explain(q);
	advance(q);
	return ring(q, &q->cq_doorbell, q->cq_head) < 0 ? nvme_queue_explain(q) : r;
}

void nvme_queue_drop(struct nvme_queue *q)
{
	uint32_t i;

	for (i = 0; i < q->depth; i++) {
		if (q->slots[i].expected & (NVME_SLOT_FREE | NVME_SLOT_DROPPED))
			continue;
		q->slots[i].expected |= NVME_SLOT_DROPPED;
		q->num_dropped++;
	}
}
