/* SPDX-License-Identifier: MIT */
/* Completion (Base 2.0, 3.3.3.2). See queue.h. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/io.h"
#include "nvme/error.h"
#include "nvme/kept.h"
#include "nvme/queue.h"

/* Returns the new head. */
static inline uint32_t advance(struct nvme_queue *q, uint32_t num)
{
	uint32_t head = q->state.cq_head + num;

	q->state.cq_head = head;
	if (likely(head < q->state.entries))
		return head;
	q->state.cq_head = 0;
	q->state.phase ^= 1;
	return 0;
}

/* It is in the stack before that says so. */
static inline void push(struct nvme_queue *q, struct nvme_slot *slot)
{
	q->free_slots[q->state.num_free] = slot;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	q->state.num_free++;
}

/* A command has completed: its slot waits for the next, under its next identifier. */
static inline void give_slot(struct nvme_queue *q, uint32_t index)
{
	q->slots[index].expected += q->step;
	push(q, &q->slots[index]);
}

/* What a slot would expect of this entry: its status and phase left out. */
static inline uint64_t meant(uint64_t qword1)
{
	return (uint32_t)(qword1 >> 16);
}

/* A completion that is not what its slot expects: of a command that was given up, or of none at all. */
static int unexpected(struct nvme_queue *q, uint64_t qword1)
{
	uint32_t index = nvme_slot_index(q, meant(qword1));
	struct nvme_slot *slot = &q->slots[index];

	if (slot->expected == (meant(qword1) | NVME_SLOT_DROPPED)) {
		q->state.num_dropped--;
		block_set(slot->expected, meant(qword1) + q->step);
		push(q, slot);
		return 0;
	}
	q->bad_entry = qword1;
	q->state.failed = -EPROTO;
	return -EPROTO;
}

int nvme_queue_settle(struct nvme_queue *q, uint64_t qword1, struct nvme_completion *ret)
{
	uint32_t index = nvme_slot_index(q, meant(qword1));
	uint16_t status = nvme_cqe_status(qword1);

	if (unlikely(q->slots[index].expected != meant(qword1)))
		return unexpected(q, qword1);
	*ret = (struct nvme_completion){ .tag = q->slots[index].tag,
					 .error = nvme_status_error(status),
					 .status = status };
	give_slot(q, index);
	return 1;
}

/*
 * Take an entry, if it is new, expected and without an error: one load and one comparison tell all of it. Returns the slot, or NULL.
 */
static inline struct nvme_slot *take(const struct nvme_queue *q, const struct nvme_cqe *entry, uint64_t phase,
				     struct nvme_completion *ret)
{
	uint64_t what = (le64toh(load64(&entry->qword[1])) ^ phase) >> 16;
	uint64_t offset = what >> (16 - 4) & q->offset_mask;
	struct nvme_slot *slot = (struct nvme_slot *)((unsigned char *)q->slots + offset);

	if (unlikely(slot->expected != what))
		return NULL;
	ret->tag = slot->tag;
	memset(&ret->error, 0, sizeof *ret - offsetof(struct nvme_completion, error)); /* one store */
	slot->expected = what + q->step;
	return slot;
}

/* Take up to @num entries from the head on, before the end of the ring, as long as they are such. Returns how many. */
static inline uint32_t take_run(struct nvme_queue *q, struct nvme_completion *ret, uint32_t num)
{
	const uint64_t phase = (uint64_t)q->state.phase << 48;
	const struct nvme_cqe *entry = &q->cq[q->state.cq_head];
	struct nvme_slot **free_slot = &q->free_slots[q->state.num_free], *slot;
	const struct nvme_completion *begin = ret, *end = ret + num;
	uint32_t taken;

	for (; ret != end && (slot = take(q, entry, phase, ret)); ret++, entry++)
		*free_slot++ = slot;
	taken = (uint32_t)(ret - begin);
	block_set(q->state.num_free, q->state.num_free + taken);
	advance(q, taken);
	return taken;
}

_Static_assert(sizeof(struct nvme_slot) == 1 << 4, "an identifier's place is found by a shift");

/* How many of @num entries lie before the end of the ring. */
static inline uint32_t to_end(const struct nvme_queue *q, size_t num)
{
	uint32_t left = q->state.entries - q->state.cq_head;

	return num < left ? (uint32_t)num : left;
}

int nvme_queue_take_odd(struct nvme_queue *q, struct nvme_completion *ret, bool *ret_new)
{
	uint64_t qword1 = le64toh(load64(&q->cq[q->state.cq_head].qword[1]));
	int r;

	*ret_new = nvme_cqe_phase(qword1) == q->state.phase;
	if (!*ret_new)
		return 0;
	r = nvme_queue_settle(q, qword1, ret);
	if (r >= 0)
		advance(q, 1);
	return r;
}

/* Entries go back when they have been read, and the caller's loads of data come after ours of the completion. */
static inline int give_back(struct nvme_queue *q, size_t num)
{
	dma_rmb();
	return nvme_queue_ring(q, &q->cq_doorbell, q->state.cq_head, (int)num);
}

/*
 * Any number of completions: to the end of the ring and beyond it, and what is not as it mostly is. One round at most, whatever the
 * controller writes meanwhile.
 */
static __attribute__((noinline)) int reap_batch(struct nvme_queue *q, struct nvme_completion *ret, size_t max)
{
	uint32_t left = q->state.entries;
	bool more = true;
	size_t num = 0;
	int r = 0;

	while (more && num < max && left > 0) {
		uint32_t run = to_end(q, max - num < left ? max - num : left),
			 taken = take_run(q, ret + num, run);

		num += taken;
		left -= taken;
		if (taken == run)
			continue;
		r = nvme_queue_take_odd(q, &ret[num], &more);
		if (r < 0)
			break;
		num += (size_t)r;
		left -= more;
	}
	if (r < 0 && num == 0)
		return nvme_queue_explain(q);
	return left < q->state.entries ? give_back(q, num) : 0;
}

/* For the first time after a predecessor, or a reset. */
static __attribute__((noinline, cold)) int reap_first(struct nvme_queue *q, struct nvme_completion *ret,
						      size_t max)
{
	int r = nvme_queue_reap_left(q, ret, max);

	return r != 0 || q->state.failed ? r : reap_batch(q, ret, max);
}

static inline int reap(struct nvme_queue *q, struct nvme_completion *ret_completions, size_t max)
{
	struct nvme_slot *slot;
	uint32_t head;

	if (unlikely(q->state.failed))
		return reap_first(q, ret_completions, max);
	if (max != 1)
		return reap_batch(q, ret_completions, max);
	slot = take(q, &q->cq[q->state.cq_head], (uint64_t)q->state.phase << 48, ret_completions);
	if (unlikely(!slot))
		return reap_batch(q, ret_completions, max);
	push(q, slot);
	head = advance(q, 1);
	dma_rmb();
	return nvme_queue_ring(q, &q->cq_doorbell, head, 1);
}

int nvme_queue_reap(struct nvme_queue *q, struct nvme_completion *ret_completions, size_t max)
{
	int r;

	if (unlikely(!nvme_queue_enter(q)))
		return nvme_queue_intruder(q);
	r = reap(q, ret_completions, max);
	nvme_queue_leave(q);
	return r;
}

int nvme_queue_reap_raw(struct nvme_queue *q, struct nvme_completion *ret_completion, uint32_t *ret_result)
{
	const struct nvme_cqe *entry = &q->cq[q->state.cq_head];
	uint64_t qword1;
	int r = 0;

	if (q->state.failed)
		r = nvme_queue_take_up(q);
	if (r < 0)
		return r;
	qword1 = le64toh(load64(&entry->qword[1]));
	if (nvme_cqe_phase(qword1) != q->state.phase)
		return 0;
	dma_rmb();
	*ret_result = (uint32_t)le64toh(load64(&entry->qword[0]));
	r = nvme_queue_settle(q, qword1, ret_completion);
	if (r < 0)
		return nvme_queue_explain(q);
	advance(q, 1);
	return nvme_queue_ring(q, &q->cq_doorbell, q->state.cq_head, r);
}
