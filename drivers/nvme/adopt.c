/* SPDX-License-Identifier: MIT */
/* A queue pair that a predecessor worked on. kept.h says how what it kept is read. */
#include <errno.h>
#include <stdlib.h>

#include "common/io.h"
#include "nvme/error.h"
#include "nvme/kept.h"

size_t nvme_queue_kept_len(uint32_t depth)
{
	return sizeof(struct nvme_queue_kept) + (nvme_index_mask(depth) + 1) * sizeof(struct nvme_slot) +
	       2 * depth * sizeof(struct nvme_slot *) + depth * sizeof(struct nvme_completion);
}

struct nvme_slot *nvme_queue_kept_slots(struct nvme_queue_kept *kept)
{
	return (struct nvme_slot *)(kept + 1);
}

struct nvme_slot **nvme_queue_kept_stack(struct nvme_queue_kept *kept, uint32_t depth, uint32_t which)
{
	return (struct nvme_slot **)(nvme_queue_kept_slots(kept) + nvme_index_mask(depth) + 1) +
	       which * depth;
}

struct nvme_completion *nvme_queue_kept_left(struct nvme_queue_kept *kept, uint32_t depth)
{
	return (struct nvme_completion *)nvme_queue_kept_stack(kept, depth, 2);
}

static int senseless(const struct nvme_queue *q, const char *what)
{
	return fail(-EPROTO, "queue %u: what was kept of it makes no sense: %s", q->state.id, what);
}

static bool has(const struct nvme_queue *q, uint32_t index, uint64_t flag)
{
	return q->slots[index].expected & flag;
}

/* Every slot is in one of its states, and those beyond the depth are as they were made. */
static int check_slots(const struct nvme_queue *q)
{
	uint32_t i;

	for (i = 0; i <= q->state.index_mask; i++) {
		uint64_t expected = q->slots[i].expected;

		if (nvme_slot_index(q, expected) != i || (expected & 0xffff) != q->state.id)
			return senseless(q, "a place expects another's command");
		if (expected & ~(NVME_SLOT_IDLE | NVME_SLOT_DROPPED | (1ull << 32) | UINT32_MAX) ||
		    (has(q, i, NVME_SLOT_IDLE) && has(q, i, NVME_SLOT_DROPPED)))
			return senseless(q, "a place's state");
		if (i >= q->state.depth && !has(q, i, NVME_SLOT_IDLE))
			return senseless(q, "a place that is never used");
	}
	return 0;
}

static int check_numbers(struct nvme_queue *q, const struct nvme_queue_state *left)
{
	_Static_assert(offsetof(struct nvme_queue_state, phase) ==
			       offsetof(struct nvme_queue_state, cq_head) + 4,
		       "they are kept together");
	memcpy(&q->state.cq_head, &left->acked, sizeof left->acked);
	q->state.acked = left->acked;
	q->state.sq_tail = left->sq_tail;
	q->state.num_free = left->num_free;
	if (q->state.sq_tail >= q->state.entries || q->state.cq_head >= q->state.entries ||
	    q->state.phase > 1)
		return senseless(q, "a place in a ring");
	if (q->state.num_free > q->state.depth)
		return senseless(q, "how many places are free");
	return 0;
}

/* The stack, each of it once, as ours. */
static int check_stack(struct nvme_queue *q, bool *in_stack)
{
	uint32_t which = q->kept->stack & 1, i;
	struct nvme_slot *const *stack = nvme_queue_kept_stack(q->kept, q->state.depth, which);
	uint64_t base = q->kept->bases[which];

	for (i = 0; i < q->state.num_free; i++) {
		uint64_t offset = (uintptr_t)stack[i] - base, index = offset / sizeof(struct nvme_slot);

		if (offset % sizeof(struct nvme_slot) || index >= q->state.depth || in_stack[index] ||
		    has(q, (uint32_t)index, NVME_SLOT_DROPPED))
			return senseless(q, "its free places");
		in_stack[index] = true;
		q->free_slots[i] = &q->slots[index];
	}
	return 0;
}

/* Has the tail moved on beyond commands whose slots are still in the stack? */
static bool tail_is_ahead(const struct nvme_queue *q, const bool *in_stack)
{
	uint32_t before = (q->state.sq_tail == 0 ? q->state.entries : q->state.sq_tail) - 1;
	uint64_t what = (le64toh(q->sq[before].qword[0]) & 0xffff0000u) | q->state.id;
	uint32_t index = nvme_slot_index(q, what);

	return index < q->state.depth && in_stack[index] && q->slots[index].expected == what;
}

/* What was taken from the stack, from its top: it goes out of it, or back into it, under the same identifier. */
static void settle_taken(struct nvme_queue *q, bool *in_stack)
{
	bool ahead = tail_is_ahead(q, in_stack);
	uint32_t i;

	for (i = q->state.num_free; i-- > 0 && nvme_slot_in_flight(q->free_slots[i]);) {
		if (!ahead) {
			block_set(q->free_slots[i]->expected, q->free_slots[i]->expected | NVME_SLOT_IDLE);
			continue;
		}
		in_stack[q->free_slots[i] - q->slots] = false;
		q->state.num_free = i;
	}
}

/* Whether the next new entry was settled by the predecessor. Returns 1, 0, or -EPROTO. */
static int was_settled(const struct nvme_queue *q, uint64_t qword1)
{
	uint32_t what = (uint32_t)(qword1 >> 16), index = nvme_slot_index(q, what);
	uint64_t expected;

	if (index >= q->state.depth)
		return senseless(q, "a completion of nothing");
	expected = q->slots[index].expected;
	if (!(expected & NVME_SLOT_IDLE) && (uint32_t)expected == what)
		return 0;
	if (expected & NVME_SLOT_IDLE && (uint32_t)expected == (uint32_t)(what + q->step))
		return 1;
	return senseless(q, "a completion of what was not in flight");
}

/* Walk over what was settled after the caller was last heard of; it is delivered again. */
static int find_left(struct nvme_queue *q)
{
	uint32_t i;

	for (i = 0; i < q->state.entries; i++) {
		uint64_t qword1 = le64toh(load64(&q->cq[q->state.cq_head].qword[1]));
		uint16_t status = nvme_cqe_status(qword1);
		int r;

		if (nvme_cqe_phase(qword1) != q->state.phase)
			return 0;
		r = was_settled(q, qword1);
		if (r <= 0)
			return r;
		if (++q->state.cq_head == q->state.entries) {
			q->state.cq_head = 0;
			q->state.phase ^= 1;
		}
		if (q->num_left == q->state.depth)
			return senseless(q, "more completions than commands");
		q->left[q->num_left++] = (struct nvme_completion){
			.tag = q->slots[nvme_slot_index(q, (uint32_t)(qword1 >> 16))].tag,
			.error = nvme_status_error(status),
			.status = status,
		};
	}
	return 0;
}

/* What a reset left. Nothing was submitted since, so there is nothing else. */
static int find_doubtful(struct nvme_queue *q)
{
	uint32_t num = q->kept->num_left, first = q->kept->first_left;

	if (num == 0)
		return 0;
	if (num > q->state.depth || first > num || q->num_left > 0 || q->state.num_free < q->state.depth)
		return senseless(q, "what a reset left");
	q->num_left = num - first;
	memcpy(q->left, nvme_queue_kept_left(q->kept, q->state.depth) + first, q->num_left * sizeof *q->left);
	return 0;
}

/* Slots of what has completed, and that had not found their way into the stack. */
static void gather_free(struct nvme_queue *q, const bool *in_stack)
{
	uint32_t i;

	for (i = 0; i < q->state.depth; i++) {
		q->state.num_dropped += has(q, i, NVME_SLOT_DROPPED);
		if (!in_stack[i] && has(q, i, NVME_SLOT_IDLE))
			q->free_slots[q->state.num_free++] = &q->slots[i];
	}
}

/* Below the top no slot can be in flight. */
static int check_rest(const struct nvme_queue *q)
{
	uint32_t i;

	for (i = 0; i < q->state.num_free; i++)
		if (!(q->free_slots[i]->expected & NVME_SLOT_IDLE))
			return senseless(q, "its free places");
	return 0;
}

static int adopt(struct nvme_queue *q, const struct nvme_queue_state *left, bool *in_stack)
{
	int r = check_numbers(q, left);

	if (r == 0)
		r = check_slots(q);
	if (r == 0)
		r = check_stack(q, in_stack);
	if (r < 0)
		return r;
	settle_taken(q, in_stack);
	r = check_rest(q);
	if (r == 0)
		r = find_left(q);
	if (r == 0)
		r = find_doubtful(q);
	if (r == 0)
		gather_free(q, in_stack);
	return r;
}

/* The new stack begins as the old one did, so that it may count before the rest does. */
int nvme_queue_adopt(struct nvme_queue *q, struct nvme_queue_state *left)
{
	bool *in_stack = calloc(q->state.depth, sizeof *in_stack);
	uint32_t ours = !(q->kept->stack & 1);
	int r;

	if (!in_stack)
		return fail(-ENOMEM, "no memory for what a queue of depth %u left", q->state.depth);
	q->free_slots = nvme_queue_kept_stack(q->kept, q->state.depth, ours);
	q->kept->bases[ours] = (uintptr_t)q->slots;
	r = adopt(q, left, in_stack);
	free(in_stack);
	if (r < 0)
		return r;
	q->state.failed = NVME_QUEUE_ADOPTED;
	q->ring_first = !q->kept->quiet;
	block_set(q->kept->stack, ours);
	block_set(left->num_free, q->state.num_free);
	*left = q->state;
	return 0;
}

/*
 * The doorbells may not have been rung with what was published: a killed process wrote it down first. To ring twice with the same is to
 * tell the controller nothing; it is at liberty to report that as an asynchronous event (Base 2.0, 5.2.1), which nobody has asked for.
 */
static int ring_again(struct nvme_queue *q)
{
	block_set(q->kept->quiet, 0);
	if (!q->ring_first)
		return 0;
	q->ring_first = false;
	q->state.failed = 0;
	if (q->state.num_free < q->state.depth)
		nvme_queue_ring(q, &q->sq_doorbell, q->state.sq_tail, 0);
	if (!q->state.failed)
		nvme_queue_ring(q, &q->cq_doorbell, q->state.cq_head, 0);
	if (q->state.failed)
		return q->state.failed;
	q->state.failed = NVME_QUEUE_ADOPTED;
	return 0;
}

/* Before anything else: whether the queue is in order, and rung. */
static int look(struct nvme_queue *q)
{
	if (q->state.failed == NVME_QUEUE_RESET ||
	    (q->state.failed == NVME_QUEUE_ADOPTED && ring_again(q) == 0))
		return 0;
	return nvme_queue_explain(q);
}

int nvme_queue_take_up(struct nvme_queue *q)
{
	int r = look(q);

	if (r < 0)
		return r;
	if (q->next_left < q->num_left && q->state.failed == NVME_QUEUE_RESET)
		return nvme_queue_explain(q);
	if (q->next_left < q->num_left)
		return fail(-EAGAIN, "queue %u: completions are left from before: reap them first",
			    q->state.id);
	q->num_left = q->next_left = 0;
	block_set(q->kept->num_left, 0);
	q->state.failed = 0;
	return 0;
}

/* What a reset left has to stay until the caller is here again to submit; nothing is in flight until then. */
int nvme_queue_reap_left(struct nvme_queue *q, struct nvme_completion *ret, size_t max)
{
	int r = q->state.failed == NVME_QUEUE_PAUSED ? nvme_queue_explain(q) : 0;
	size_t num = 0;

	if (r == 0 && q->state.failed == NVME_QUEUE_ADOPTED)
		r = look(q);
	if (r < 0)
		return r;
	for (; num < max && q->next_left < q->num_left; num++)
		ret[num] = q->left[q->next_left++];
	if (num > 0)
		return (int)num;
	if (q->next_left == q->num_left && q->state.failed == NVME_QUEUE_ADOPTED)
		q->state.failed = q->kept->num_left > 0 ? NVME_QUEUE_RESET : 0;
	return q->state.failed < 0 && q->state.failed != NVME_QUEUE_ADOPTED ? nvme_queue_explain(q) : 0;
}
