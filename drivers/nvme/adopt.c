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
	       depth * sizeof(struct nvme_completion);
}

struct nvme_slot *nvme_queue_kept_slots(struct nvme_queue_kept *kept)
{
	return (struct nvme_slot *)(kept + 1);
}

struct nvme_completion *nvme_queue_kept_left(struct nvme_queue_kept *kept, uint32_t depth)
{
	return (struct nvme_completion *)(nvme_queue_kept_slots(kept) + nvme_index_mask(depth) + 1);
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

static int check_place(struct nvme_queue *q)
{
	q->place.word = q->kept->place;
	q->phase = (uint64_t)q->place.phase << 48;
	if (q->place.sq_tail >= q->state.entries || q->place.cq_head >= q->state.entries ||
	    q->place.phase > 1)
		return senseless(q, "a place in a ring");
	if (q->place.num_free > q->state.depth)
		return senseless(q, "how many places are free");
	return 0;
}

static uint32_t count(const struct nvme_queue *q, uint64_t flag)
{
	uint32_t num = 0, i;

	for (i = 0; i < q->state.depth; i++)
		num += has(q, i, flag);
	return num;
}

/* The slot of the command in the ring at @at, which is in flight; NULL: there is none. */
static struct nvme_slot *slot_of_entry(const struct nvme_queue *q, uint32_t at)
{
	uint64_t what = (le64toh(q->sq[at % q->state.entries].qword[0]) & 0xffff0000u) | q->state.id;
	struct nvme_slot *slot = &q->slots[nvme_slot_index(q, what)];

	return slot->expected == what ? slot : NULL;
}

/*
 * What is marked beyond num_free is of the entries from the tail on, and was not submitted: it waits for the next command under the same identifier. The last first,
 * so that whoever is killed here leaves the rest as it was.
 */
static int take_back_unfinished(struct nvme_queue *q)
{
	uint32_t idle = count(q, NVME_SLOT_IDLE), last = q->place.sq_tail + q->place.num_free - idle - 1;

	for (; idle < q->place.num_free; idle++) {
		struct nvme_slot *slot = slot_of_entry(q, last--);

		if (!slot)
			return senseless(q, "its free places");
		block_set(slot->expected, slot->expected | NVME_SLOT_IDLE);
	}
	return 0;
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
		uint64_t qword1 = le64toh(load64(&q->cq[q->place.cq_head].qword[1]));
		uint16_t status = nvme_cqe_status(qword1);
		int r;

		if (!nvme_queue_is_new(q, qword1))
			return 0;
		r = was_settled(q, qword1);
		if (r <= 0)
			return r;
		q->place.word += NVME_PLACE_HEAD;
		if (q->place.cq_head == q->state.entries)
			q->place.word = nvme_queue_turn(q, q->place.word);
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
	if (num > q->state.depth || first > num || q->num_left > 0 ||
	    count(q, NVME_SLOT_IDLE) < q->state.depth)
		return senseless(q, "what a reset left");
	q->num_left = num - first;
	memcpy(q->left, nvme_queue_kept_left(q->kept, q->state.depth) + first, q->num_left * sizeof *q->left);
	return 0;
}

/* What is written down stays, until the caller is here again to submit. */
static void gather_free(struct nvme_queue *q)
{
	uint32_t i;

	q->place.num_free = 0;
	for (i = 0; i < q->state.depth; i++)
		if (has(q, i, NVME_SLOT_IDLE))
			q->free_slots[q->place.num_free++] = &q->slots[i];
	q->state.num_dropped = count(q, NVME_SLOT_DROPPED);
}

int nvme_queue_adopt(struct nvme_queue *q)
{
	int r = check_place(q);

	if (r == 0)
		r = check_slots(q);
	if (r == 0)
		r = take_back_unfinished(q);
	if (r == 0)
		r = find_left(q);
	if (r == 0)
		r = find_doubtful(q);
	if (r < 0)
		return r;
	gather_free(q);
	q->state.failed = NVME_QUEUE_ADOPTED;
	q->ring_first = !q->kept->quiet;
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
	if (q->place.num_free < q->state.depth)
		nvme_queue_ring(q, &q->sq_doorbell, q->place.sq_tail, 0);
	if (!q->state.failed)
		nvme_queue_ring(q, &q->cq_doorbell, q->place.cq_head, 0);
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
