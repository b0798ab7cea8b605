/* SPDX-License-Identifier: MIT */
/* A queue whose controller is reset: what becomes of the commands on their way, and the rings at their beginning again. */
#include <errno.h>
#include <string.h>

#include "nvme/kept.h"
#include "nvme/queue.h"

/* Had completed, and was not reaped. What the controller got wrong in the end is not believed: that command is in doubt. */
static void keep_completed(struct nvme_queue *q)
{
	uint32_t left = q->state.entries;
	bool more = true;
	int r = 0;

	for (; more && r >= 0 && left > 0 && q->num_left < q->state.depth; left--) {
		r = nvme_queue_take_odd(q, &q->left[q->num_left], &more);
		q->num_left += r > 0;
	}
}

static void keep_doubtful(struct nvme_queue *q)
{
	uint32_t i;

	for (i = 0; i < q->state.depth; i++)
		if (nvme_slot_in_flight(&q->slots[i]) && q->num_left < q->state.depth)
			q->left[q->num_left++] = (struct nvme_completion){ .tag = q->slots[i].tag,
									   .error = -ECONNRESET,
									   .status = NVME_STATUS_IN_DOUBT };
}

/* Both halves: the controller need not write where it wants to be rung before it has been rung for the first time. */
static void clear_doorbell(const struct nvme_doorbell *doorbell)
{
	if (!doorbell->shadow)
		return;
	*doorbell->shadow = 0;
	*doorbell->event = 0;
}

/* For a successor: what is not delivered here is so there. */
static void keep_left(struct nvme_queue *q)
{
	uint32_t num = q->num_left - q->next_left;

	memcpy(nvme_queue_kept_left(q->kept, q->state.depth), q->left + q->next_left, num * sizeof *q->left);
	q->kept->first_left = 0;
	q->kept->num_left = num;
	q->ring_first = false;
}

void nvme_queue_reset(struct nvme_queue *q)
{
	if (q->next_left == q->num_left)
		q->next_left = q->num_left = 0;
	/* Else nothing has been submitted since the last time. */
	if (q->state.failed != NVME_QUEUE_RESET) {
		keep_completed(q);
		keep_doubtful(q);
	}
	memset(q->sq, 0, q->state.entries * sizeof *q->sq);
	memset((void *)(uintptr_t)q->cq, 0, q->state.entries * sizeof *q->cq);
	clear_doorbell(&q->sq_doorbell);
	clear_doorbell(&q->cq_doorbell);
	q->sq_cmb.copied = 0;
	q->state.failed = q->next_left < q->num_left ? NVME_QUEUE_RESET : 0;
	q->ended = false;
	keep_left(q);
	nvme_queue_begin(q);
}

void nvme_queue_end(struct nvme_queue *q, int error)
{
	q->ended = true;
	q->state.failed = error;
}
