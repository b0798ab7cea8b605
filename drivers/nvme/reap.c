/* SPDX-License-Identifier: MIT */
/* Completion (Base 2.0, 3.3.3.2). See queue.h. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/io.h"
#include "nvme/error.h"
#include "nvme/kept.h"
#include "nvme/queue.h"

/* @num completions are taken, and their slots in the stack. Returns the new head. */
static inline uint32_t advance(struct nvme_queue *q, uint32_t num)
{
	uint64_t word = q->place.word + num * (NVME_PLACE_HEAD + NVME_PLACE_FREE);
	uint32_t head = q->place.cq_head + num;

	if (unlikely(head >= q->state.entries)) {
		word = nvme_queue_turn(q, word);
		head = 0;
	}
	q->place.word = word;
	return head;
}

/* What a slot would expect of this entry: its status and phase left out. */
static inline uint64_t meant(uint64_t qword1)
{
	return (uint32_t)(qword1 >> 16);
}

/* How many slots are not free. They say so themselves; but they lie where somebody else may write (queue.h). */
static inline uint32_t num_taken(const struct nvme_queue *q)
{
	return q->state.depth - q->place.num_free;
}

/* A completion that is not what its slot expects: of none at all, unless it is of a command that was given up. */
static int unexpected(struct nvme_queue *q, uint64_t qword1)
{
	q->bad_entry = qword1;
	q->state.failed = -EPROTO;
	return -EPROTO;
}

/* Settle entry @qword1, which is new: its slot waits for the next command. Returns 1 with a completion to report, 0 without, or -EPROTO. */
static int settle(struct nvme_queue *q, uint64_t qword1, struct nvme_completion *ret)
{
	struct nvme_slot *slot = &q->slots[nvme_slot_index(q, meant(qword1))];
	uint16_t status = nvme_cqe_status(qword1);
	bool dropped = slot->expected == (meant(qword1) | NVME_SLOT_DROPPED);

	if ((slot->expected != meant(qword1) && !dropped) || num_taken(q) == 0)
		return unexpected(q, qword1);
	*ret = (struct nvme_completion){ .tag = slot->tag,
					 .error = nvme_status_error(status),
					 .status = status };
	block_set(slot->expected, meant(qword1) + q->step);
	q->free_slots[q->place.num_free] = slot;
	advance(q, 1);
	q->state.num_dropped -= dropped;
	return !dropped;
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
	const uint64_t phase = q->phase;
	const struct nvme_cqe *entry = &q->cq[q->place.cq_head];
	struct nvme_slot **free_slot = &q->free_slots[q->place.num_free], *slot;
	const struct nvme_completion *begin = ret, *end = ret + num;
	uint32_t taken;

	for (; ret != end && (slot = take(q, entry, phase, ret)); ret++, entry++)
		*free_slot++ = slot;
	taken = (uint32_t)(ret - begin);
	advance(q, taken);
	return taken;
}

_Static_assert(sizeof(struct nvme_slot) == 1 << 4, "an identifier's place is found by a shift");

/* How many of @num entries lie before the end of the ring, and can be completions. */
static inline uint32_t to_end(const struct nvme_queue *q, size_t num)
{
	uint32_t left = q->state.entries - q->place.cq_head, most = num_taken(q);

	left = most < left ? most : left;
	return num < left ? (uint32_t)num : left;
}

int nvme_queue_take_odd(struct nvme_queue *q, struct nvme_completion *ret, bool *ret_new)
{
	uint64_t qword1 = le64toh(load64(&q->cq[q->place.cq_head].qword[1]));

	*ret_new = nvme_queue_is_new(q, qword1);
	if (!*ret_new)
		return 0;
	return settle(q, qword1, ret);
}

/* Entries go back when they have been read, and the caller's loads of data come after ours of the completion. */
static inline int give_back(struct nvme_queue *q, size_t num)
{
	dma_rmb();
	return nvme_queue_ring(q, &q->cq_doorbell, q->place.cq_head, (int)num);
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
		if (taken == run && run > 0)
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
	if (max != 1 || unlikely(q->place.num_free >= q->state.depth))
		return reap_batch(q, ret_completions, max);
	slot = take(q, &q->cq[q->place.cq_head], q->phase, ret_completions);
	if (unlikely(!slot))
		return reap_batch(q, ret_completions, max);
	q->free_slots[q->place.num_free] = slot;
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
	const struct nvme_cqe *entry = &q->cq[q->place.cq_head];
	uint64_t qword1;
	int r = 0;

	if (q->state.failed)
		r = nvme_queue_take_up(q);
	if (r < 0)
		return r;
	qword1 = le64toh(load64(&entry->qword[1]));
	if (!nvme_queue_is_new(q, qword1))
		return 0;
	dma_rmb();
	*ret_result = (uint32_t)le64toh(load64(&entry->qword[0]));
	r = settle(q, qword1, ret_completion);
	if (r < 0)
		return nvme_queue_explain(q);
	return nvme_queue_ring(q, &q->cq_doorbell, q->place.cq_head, r);
}
