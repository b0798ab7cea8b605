/* SPDX-License-Identifier: MIT */
/* Data in pieces: by SGL as they are, by PRPs if they are whole pages (Base 2.0, 4.1). */
#include <errno.h>
#include <inttypes.h>

#include "nvme/error.h"
#include "nvme/kept.h"
#include "nvme/queue.h"

/* Each piece by itself, and all of them together. */
static int check_pieces(const struct nvme_request *rq, const struct nvme_segment *segments, size_t num)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < num; i++) {
		if (segments[i].len == 0 || segments[i].len > rq->len - sum)
			return fail(-EINVAL, "piece %zu has %" PRIu64 " bytes, of %" PRIu64 " that are left",
				    i, segments[i].len, rq->len - sum);
		if (segments[i].iova & 3 || segments[i].len - 1 > UINT64_MAX - segments[i].iova)
			return fail(-EINVAL,
				    "piece %zu at IOVA 0x%" PRIx64 " is at no multiple of 4, or wraps", i,
				    segments[i].iova);
		sum += segments[i].len;
	}
	if (sum != rq->len || num == 0)
		return fail(-EINVAL, "%zu pieces have %" PRIu64 " bytes together, not %u", num, sum, rq->len);
	return 0;
}

static int check_pages(const struct nvme_segment *segments, size_t num)
{
	size_t i;

	for (i = 0; i < num; i++)
		if ((i > 0 && segments[i].iova & NVME_PAGE_MASK) ||
		    (i < num - 1 && (segments[i].iova + segments[i].len) & NVME_PAGE_MASK))
			return fail(-EINVAL,
				    "piece %zu of %zu, at IOVA 0x%" PRIx64 " with %" PRIu64
				    " bytes, ends or begins within a page: that takes an SGL",
				    i, num, segments[i].iova, segments[i].len);
	return 0;
}

/* Words 3 and 4: one descriptor, or one that leads to a list of them. */
static void put_sgl(const struct nvme_segment *segments, size_t num, struct nvme_sgl_descriptor *list,
		    uint64_t list_iova, uint64_t words[2])
{
	size_t i;

	if (num == 1) {
		words[0] = segments[0].iova;
		words[1] = segments[0].len;
		return;
	}
	for (i = 0; i < num; i++) {
		list[i].qword[0] = htole64(segments[i].iova);
		list[i].qword[1] = htole64(segments[i].len);
	}
	words[0] = list_iova;
	words[1] = num * sizeof *list | NVME_SGL_LAST_SEGMENT;
}

/*
 * Where the next entry goes. One that comes to the end of a page, and is not the last, makes room: what was in the last place moves to the next page, and
 * the place leads there.
 */
static uint64_t *next_place(uint64_t *list, uint64_t list_iova, uint64_t *used)
{
	if (*used > 0 && *used % NVME_PRP_LIST_ENTRIES == 0) {
		list[*used] = list[*used - 1];
		list[*used - 1] = htole64(list_iova + *used * sizeof *list);
		++*used;
	}
	return &list[(*used)++];
}

/* Every page but the first goes into the list; if that is one page, into the command itself. */
static void put_prps(const struct nvme_segment *segments, size_t num, uint64_t *list, uint64_t list_iova,
		     uint64_t words[2])
{
	uint64_t page, end, used = 0;
	size_t i;

	for (i = 0; i < num; i++) {
		page = segments[i].iova & ~(uint64_t)NVME_PAGE_MASK;
		end = segments[i].iova + (segments[i].len - 1);
		for (page += i == 0 ? NVME_PAGE_SIZE : 0; page != 0 && page <= end; page += NVME_PAGE_SIZE)
			*next_place(list, list_iova, &used) = htole64(page);
	}
	words[0] = segments[0].iova;
	words[1] = used > 1 ? list_iova : used == 1 ? le64toh(list[0]) : 0;
}

static int check(const struct nvme_queue *q, const struct nvme_namespace *ns, const struct nvme_request *rq,
		 const struct nvme_segment *segments, size_t num)
{
	int r;

	if (rq->op != NVME_OP_READ && rq->op != NVME_OP_WRITE && rq->op != NVME_OP_COMPARE)
		return fail(-EINVAL, "operation %u has no data", rq->op);
	if (!(q->ops & 1u << rq->op))
		return fail(-EOPNOTSUPP, "the controller does not know operation %u", rq->op);
	r = nvme_queue_check_blocks(ns, rq);
	if (r == 0 && rq->len > q->max_transfer)
		r = fail(-EMSGSIZE, "%u bytes are more than one request can carry (%u): split it", rq->len,
			 q->max_transfer);
	if (r == 0)
		r = check_pieces(rq, segments, num);
	if (r < 0)
		return r;
	if (!(q->flags & NVME_SQE_SGL))
		return check_pages(segments, num);
	if (num > q->list_len / sizeof(struct nvme_sgl_descriptor))
		return fail(-E2BIG, "%zu pieces are more than a list of this queue has room for (%zu)", num,
			    q->list_len / sizeof(struct nvme_sgl_descriptor));
	return 0;
}

static int submit(struct nvme_queue *q, const struct nvme_namespace *ns, const struct nvme_request *rq,
		  const struct nvme_segment *segments, size_t num)
{
	static const uint8_t opcodes[] = { [NVME_OP_READ] = nvme_cmd_read,
					   [NVME_OP_WRITE] = nvme_cmd_write,
					   [NVME_OP_COMPARE] = nvme_cmd_compare };
	uint64_t words[4] = { 0, 0, rq->block, (rq->len >> ns->block_shift) - 1 }, list_iova;
	struct nvme_slot *slot;
	void *list;
	int r;

	if (q->state.failed && (r = nvme_queue_take_up(q)) < 0)
		return r;
	r = check(q, ns, rq, segments, num);
	if (r < 0)
		return r;
	if (q->place.num_free == 0)
		return fail(-EAGAIN, "queue %u is full: %u requests are in flight", q->state.id,
			    q->state.depth);
	nvme_queue_acknowledge(q);
	slot = nvme_queue_take_slot(q, rq->tag);
	list = nvme_slot_list(q, slot, &list_iova);
	if (q->flags & NVME_SQE_SGL)
		put_sgl(segments, num, list, list_iova, words);
	else
		put_prps(segments, num, list, list_iova, words);
	nvme_queue_put_words(q, slot, opcodes[rq->op] | q->flags, ns->nsid, words);
	return nvme_queue_ring(q, &q->sq_doorbell, q->place.sq_tail, 0);
}

int nvme_queue_submit_segments(struct nvme_queue *q, const struct nvme_namespace *ns,
			       const struct nvme_request *rq, const struct nvme_segment *segments, size_t num)
{
	int r;

	if (!nvme_queue_enter(q))
		return nvme_queue_intruder(q);
	r = submit(q, ns, rq, segments, num);
	nvme_queue_leave(q);
	return r;
}
