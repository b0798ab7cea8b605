/* SPDX-License-Identifier: MIT */
/* Submission, the long way: every command there is, every check by itself, and what is wrong in words. */
#include <errno.h>
#include <inttypes.h>

#include "nvme/error.h"
#include "nvme/kept.h"
#include "nvme/queue.h"

#define MAX_ZEROES 65536u

int nvme_queue_check_blocks(const struct nvme_namespace *ns, const struct nvme_request *rq)
{
	uint32_t blocks = rq->len >> ns->block_shift;

	if (rq->len == 0 || rq->len & (ns->block_size - 1))
		return fail(-EINVAL, "%u bytes are not a whole number of blocks of %u", rq->len,
			    ns->block_size);
	if (rq->block >= ns->num_blocks || blocks > ns->num_blocks - rq->block)
		return fail(-ERANGE,
			    "%u blocks from block %" PRIu64 " on reach beyond the namespace of %" PRIu64,
			    blocks, rq->block, ns->num_blocks);
	return 0;
}

static int check_data(const struct nvme_queue *q, const struct nvme_request *rq)
{
	if (rq->iova & 3)
		return fail(-EINVAL, "IOVA 0x%" PRIx64 " is not a multiple of 4", rq->iova);
	if (rq->len - 1 > UINT64_MAX - rq->iova)
		return fail(-EINVAL, "%u bytes at IOVA 0x%" PRIx64 " wrap around", rq->len, rq->iova);
	if (rq->len > q->max_transfer)
		return fail(-EMSGSIZE, "%u bytes are more than one request can carry (%u): split it", rq->len,
			    q->max_transfer);
	return 0;
}

/* The last free slot, of which there is one, is for a command. It is taken with nvme_queue_advance(), as the entry is. */
struct nvme_slot *nvme_queue_take_slot(struct nvme_queue *q, uint64_t tag)
{
	struct nvme_slot *slot = q->free_slots[q->place.num_free - 1];

	slot->tag = tag;
	return slot;
}

static uint64_t first_qword(const struct nvme_slot *slot, uint64_t opcode_and_flags, uint32_t nsid)
{
	return htole64(opcode_and_flags | (slot->expected & 0xffff0000u) | (uint64_t)nsid << 32);
}

/* The words that the commands of the short way leave zero stay so. */
void nvme_queue_put_words(struct nvme_queue *q, struct nvme_slot *slot, uint64_t opcode_and_flags,
			  uint32_t nsid, const uint64_t qwords3to6[4])
{
	struct nvme_sqe *entry = &q->sq[q->place.sq_tail];
	unsigned int i;

	entry->qword[0] = first_qword(slot, opcode_and_flags, nsid);
	for (i = 0; i < 4; i++)
		entry->qword[3 + i] = htole64(qwords3to6[i]);
	nvme_queue_mark(slot);
	nvme_queue_advance(q, 1);
}

/* Read, write, compare (NVM Command Set 1.0, 3.2.4, 3.2.6, 3.2.1). */
static int put_data(struct nvme_queue *q, const struct nvme_namespace *ns, const struct nvme_request *rq,
		    uint64_t opcode)
{
	uint64_t qwords[4] = { rq->iova, 0, rq->block, (rq->len >> ns->block_shift) - 1 };
	struct nvme_slot *slot;
	int r = check_data(q, rq);

	if (r == 0)
		r = nvme_queue_check_blocks(ns, rq);
	if (r < 0)
		return r;
	slot = nvme_queue_take_slot(q, rq->tag);
	if (q->flags & NVME_SQE_SGL || !nvme_prp_fits_one(rq->iova, rq->len))
		qwords[1] = nvme_queue_second_pointer(q, slot, rq->iova, rq->len);
	nvme_queue_put_words(q, slot, opcode | q->flags, ns->nsid, qwords);
	return 0;
}

/* Flush (Base 2.0, 7.1). */
static int put_flush(struct nvme_queue *q, const struct nvme_namespace *ns, const struct nvme_request *rq)
{
	if (rq->len != 0 || rq->block != 0)
		return fail(-EINVAL, "a flush has neither block nor data");
	nvme_queue_put_words(q, nvme_queue_take_slot(q, rq->tag), nvme_cmd_flush, ns->nsid,
			     (const uint64_t[4]){ 0 });
	return 0;
}

/* Write Zeroes (NVM Command Set 1.0, 3.2.8): the number of blocks is a 16-bit field, 0's based. */
static int put_zeroes(struct nvme_queue *q, const struct nvme_namespace *ns, const struct nvme_request *rq)
{
	uint32_t blocks = rq->len >> ns->block_shift;
	int r = nvme_queue_check_blocks(ns, rq);

	if (r < 0)
		return r;
	if (blocks > MAX_ZEROES)
		return fail(-EMSGSIZE, "%u blocks are more than can be zeroed at once (%u): split it", blocks,
			    MAX_ZEROES);
	nvme_queue_put_words(q, nvme_queue_take_slot(q, rq->tag), nvme_cmd_write_zeroes, ns->nsid,
			     (const uint64_t[4]){ 0, 0, rq->block, blocks - 1 });
	return 0;
}

/* Dataset Management, deallocate (NVM Command Set 1.0, 3.2.3): one range, which lies where a list would. */
static int put_discard(struct nvme_queue *q, const struct nvme_namespace *ns, const struct nvme_request *rq)
{
	struct nvme_dsm_range *range;
	struct nvme_slot *slot;
	uint64_t iova;
	int r = nvme_queue_check_blocks(ns, rq);

	if (r < 0)
		return r;
	slot = nvme_queue_take_slot(q, rq->tag);
	range = nvme_slot_list(q, slot, &iova);
	*range = (struct nvme_dsm_range){ .nlb = htole32(rq->len >> ns->block_shift),
					  .slba = htole64(rq->block) };
	nvme_queue_put_words(q, slot, nvme_cmd_dsm | q->flags, ns->nsid,
			     (const uint64_t[4]){ iova, q->flags & NVME_SQE_SGL ? sizeof *range : 0,
						  (uint64_t)NVME_DSMGMT_AD << 32, 0 });
	return 0;
}

int nvme_queue_put(struct nvme_queue *q, const struct nvme_namespace *ns, const struct nvme_request *rq)
{
	if (rq->op > NVME_OP_DISCARD)
		return fail(-EINVAL, "unknown operation %u", rq->op);
	if (!(q->ops & 1u << rq->op))
		return fail(-EOPNOTSUPP, "the controller does not know operation %u", rq->op);
	switch (rq->op) {
	case NVME_OP_READ:
		return put_data(q, ns, rq, nvme_cmd_read);
	case NVME_OP_WRITE:
		return put_data(q, ns, rq, nvme_cmd_write);
	case NVME_OP_COMPARE:
		return put_data(q, ns, rq, nvme_cmd_compare);
	case NVME_OP_WRITE_ZEROES:
		return put_zeroes(q, ns, rq);
	case NVME_OP_DISCARD:
		return put_discard(q, ns, rq);
	}
	return put_flush(q, ns, rq);
}

int nvme_queue_submit_raw(struct nvme_queue *q, const struct nvme_sqe *command, uint64_t tag)
{
	struct nvme_slot *slot;
	struct nvme_sqe *entry;
	unsigned int i;
	int r = 0;

	if (q->state.failed)
		r = nvme_queue_take_up(q);
	if (r < 0)
		return r;
	nvme_queue_acknowledge(q);
	if (q->place.num_free == 0)
		return fail(-EAGAIN, "queue %u is full: %u commands are in flight", q->state.id,
			    q->state.depth);
	entry = &q->sq[q->place.sq_tail];
	slot = nvme_queue_take_slot(q, tag);
	entry->qword[0] = command->qword[0] | htole64(slot->expected & 0xffff0000u);
	for (i = 1; i < 8; i++)
		entry->qword[i] = command->qword[i];
	nvme_queue_mark(slot);
	nvme_queue_advance(q, 1);
	return nvme_queue_ring(q, &q->sq_doorbell, q->place.sq_tail, 0);
}
