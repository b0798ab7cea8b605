/* SPDX-License-Identifier: MIT */
/* What is kept of a controller for a successor, and calls that have to do with it. */
#include "nvme/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/controller.h"
#include "nvme/error.h"

struct nvme_kept_buffer nvme_kept_buffer(const struct weir_buffer *buffer)
{
	return (struct nvme_kept_buffer){
		.offset = buffer->offset, .len = buffer->len, .iova = buffer->iova, .chunk = buffer->chunk
	};
}

int nvme_kept_open_queue(struct nvme_controller *c, uint32_t id, uint32_t depth,
			 struct nvme_queue_kept **ret_kept)
{
	char part[32];
	void *block;
	int r;

	snprintf(part, sizeof part, " queue %u", id);
	r = block_open(c->device, "nvme", part, nvme_queue_kept_len(depth), &block);
	if (r < 0)
		return fail(r, "journal: %s", weir_error());
	*ret_kept = block;
	return 0;
}

/* Blocks of queues that a predecessor had, and that nobody restored. It may go on with them yet: nothing is written. */
static void end_queues(struct nvme_controller *c)
{
	struct nvme_queue_kept *queue;
	uint32_t i, depth;

	for (i = 0; i < NVME_KEPT_QUEUES; i++) {
		depth = c->kept->queues[i].depth;
		if (c->kept->queues[i].stage == NVME_KEPT_NONE || depth == 0 || depth > NVME_MAX_DEPTH)
			continue;
		if (nvme_kept_open_queue(c, i + 1, depth, &queue) == 0)
			block_close(c->device, queue);
	}
}

int nvme_kept_open(struct nvme_controller *c, uint32_t num_queues)
{
	void *block;
	int r;

	if (num_queues > NVME_KEPT_QUEUES)
		return 0;
	r = block_open(c->device, "nvme", "", sizeof *c->kept, &block);
	if (r == -EBUSY)
		return 0; /* somebody left a driver of this device lying about: this one is not kept */
	if (r < 0)
		return fail(r, "journal: %s", weir_error());
	c->kept = block;
	block_set(c->kept->version, 0);
	end_queues(c);
	memset(c->kept, 0, sizeof *c->kept);
	return 0;
}

void nvme_kept_close(struct nvme_controller *c)
{
	if (c->kept)
		end_queues(c);
	block_close(c->device, c->kept);
	c->kept = NULL;
}

void nvme_kept_begin(struct nvme_controller *c)
{
	const struct nvme_controller_info *info = &c->info;
	struct nvme_kept *kept = c->kept;

	if (!kept)
		return;
	kept->own_memory = c->memory.own;
	kept->num_vectors = c->irq ? c->num_vectors : 0;
	kept->irq_kind = c->irq_kind;
	kept->admin_timeout_ms = c->admin_timeout_ms;
	kept->shutdown_timeout_ms = c->shutdown_timeout_ms;
	kept->ready_timeout_ms = c->registers.ready_timeout_ms;
	kept->dead = c->dead;
	kept->flags = c->flags;
	kept->spin_us = c->spin_us;
	kept->cmb = c->cmb_enabled;
	kept->sgl = info->sgl;
	kept->shadow_doorbells = info->shadow_doorbells;
	kept->compare = info->compare;
	kept->write_zeroes = info->write_zeroes;
	kept->secondaries = info->secondaries;
	kept->discard = info->discard;
	kept->shared = nvme_kept_buffer(&c->shared);
	memcpy(kept->model, info->model, sizeof kept->model);
	memcpy(kept->serial, info->serial, sizeof kept->serial);
	memcpy(kept->firmware, info->firmware, sizeof kept->firmware);
	kept->write_cache = info->write_cache;
	kept->controller_id = info->controller_id;
	kept->vendor_id = info->vendor_id;
	kept->num_namespaces = info->num_namespaces;
	kept->max_transfer = info->max_transfer;
	kept->max_depth = info->max_depth;
	kept->num_queues = info->num_queues;
	block_set(kept->version, NVME_KEPT_VERSION);
}

void nvme_kept_stage(struct nvme_controller *c, const struct nvme_queue *q, enum nvme_kept_stage stage)
{
	if (!c->kept)
		return;
	c->kept->queues[q->state.id - 1].depth = (uint16_t)q->state.depth;
	block_set(c->kept->queues[q->state.id - 1].stage, stage);
}

int nvme_kept_carried(uint32_t flags, bool cmb)
{
	const char *what = flags & NVME_SHADOW_DOORBELLS ? "shadow doorbells"
			   : flags & NVME_EVENTS         ? "requests for events"
			   : cmb                         ? "the controller's memory buffer"
							 : NULL;

	return what ? fail(-EOPNOTSUPP, "a successor cannot go on with %s", what) : 0;
}

void nvme_kept_cmb(struct nvme_controller *c, bool enabled)
{
	if (c->kept)
		block_set(c->kept->cmb, enabled);
}

/* Pause and resume --------------------------------------------------------------------------------------- */

static void pause_queue(struct nvme_queue *q)
{
	if (q->is_paused)
		return;
	q->is_paused = true;
	if (q->state.failed != NVME_QUEUE_ADOPTED)
		nvme_queue_acknowledge(q);
	if (q->kept->num_left > 0)
		block_set(q->kept->first_left, q->kept->num_left - (q->num_left - q->next_left));
	q->failed_before = q->state.failed;
	if (!q->ring_first)
		block_set(q->kept->quiet, 1); /* every doorbell has been rung: no call is under way */
	q->state.failed = NVME_QUEUE_PAUSED;
}

static void resume_queue(struct nvme_queue *q)
{
	if (!q->is_paused)
		return;
	q->is_paused = false;
	q->state.failed = q->failed_before;
	block_set(q->kept->quiet, 0);
}

int nvme_controller_pause(struct nvme_controller *c)
{
	struct nvme_queue *q;
	int r = nvme_kept_carried(c->flags, c->cmb_enabled);

	if (r < 0)
		return r;
	if (!c->kept)
		return fail(-EOPNOTSUPP, "of a controller for more than %u queues nothing is kept",
			    NVME_KEPT_QUEUES);
	for (q = c->all_queues; q; q = q->next)
		pause_queue(q);
	return 0;
}

int nvme_controller_check_paused(const struct nvme_controller *c)
{
	if (c->all_queues && c->all_queues->is_paused)
		return fail(-EBUSY, "the controller is paused: nvme_controller_resume() first");
	return 0;
}

void nvme_controller_resume(struct nvme_controller *c)
{
	struct nvme_queue *q;

	for (q = c->all_queues; q; q = q->next)
		resume_queue(q);
}

/* What its queues had in the host's journal is gone with that. */
void nvme_controller_forget(struct nvme_controller *c)
{
	struct nvme_queue *q, *next;

	if (!c)
		return;
	for (q = c->all_queues; q; q = next) {
		next = q->next;
		nvme_queue_destroy(q);
	}
	free(c->queues);
	free(c);
}

void nvme_queue_own_by(struct nvme_controller *c, struct nvme_queue *q)
{
	q->next = c->all_queues;
	c->all_queues = q;
}

/* End a queue, with its block. */
void nvme_queue_release(struct nvme_controller *c, struct nvme_queue *q)
{
	struct nvme_queue_kept *kept = q->kept_alone ? NULL : q->kept;
	struct nvme_queue **link = &c->all_queues;

	while (*link != q)
		link = &(*link)->next;
	*link = q->next;
	nvme_queue_destroy(q);
	block_close(c->device, kept);
}

/* In flight ---------------------------------------------------------------------------------------------- */

size_t nvme_queue_pending(const struct nvme_queue *q, uint64_t *ret_tags, size_t max)
{
	size_t num = 0;
	uint32_t i;

	for (i = q->next_left; i < q->num_left; i++, num++)
		if (num < max)
			ret_tags[num] = q->left[i].tag;
	for (i = 0; i < q->state.depth; i++) {
		if (!nvme_slot_in_flight(&q->slots[i]))
			continue;
		if (num < max)
			ret_tags[num] = q->slots[i].tag;
		num++;
	}
	return num;
}
