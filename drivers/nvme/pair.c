/* SPDX-License-Identifier: MIT */
/* I/O queue pairs: made, and made known to the controller (Base 2.0, 5.4 to 5.7). */
#include <errno.h>
#include <string.h>

#include "common/opts.h"
#include "nvme/admin.h"
#include "nvme/controller.h"
#include "nvme/error.h"
#include "nvme/kept.h"

static size_t page_up(size_t len)
{
	return (len + NVME_PAGE_MASK) & ~(size_t)NVME_PAGE_MASK;
}

/* The lowest identifier that is free, or -ENOSPC. */
static int find_id(struct nvme_controller *c)
{
	uint32_t i;

	for (i = 0; i < c->info.num_queues; i++)
		if (!c->queues[i])
			return (int)i + 1;
	return fail(-ENOSPC, "all %u I/O queues are open, or were not closed in order", c->info.num_queues);
}

/* What the queue may be asked to do, and how it says where data is. */
static void set_abilities(const struct nvme_controller *c, struct nvme_queue_setup *setup)
{
	if (c->info.compare)
		setup->ops |= 1u << NVME_OP_COMPARE;
	if (c->info.write_zeroes)
		setup->ops |= 1u << NVME_OP_WRITE_ZEROES;
	if (c->info.discard)
		setup->ops |= 1u << NVME_OP_DISCARD;
	if (c->flags & NVME_SGL)
		setup->flags = NVME_SQE_SGL;
}

/* Rings and lists are one piece: submission queue, completion queue, the lists of all slots. */
static size_t rings_len(uint32_t depth)
{
	return page_up((depth + 1) * sizeof(struct nvme_sqe)) +
	       page_up((depth + 1) * sizeof(struct nvme_cqe));
}

int nvme_pair_make(struct nvme_controller *c, uint32_t id, uint32_t depth, const struct weir_buffer *memory,
		   struct nvme_queue_kept *kept, bool adopt, struct nvme_queue **ret_queue)
{
	char *base = memory->addr;
	size_t sq_len = page_up((depth + 1) * sizeof(struct nvme_sqe)), lists = rings_len(depth);
	struct nvme_queue_setup setup = {
		.sq = (struct nvme_sqe *)base,
		.cq = (struct nvme_cqe *)(base + sq_len),
		.lists = base + lists,
		.lists_iova = memory->iova + lists,
		.depth = depth,
		.max_transfer = c->info.max_transfer,
		.id = (uint16_t)id,
		.sq_doorbell = nvme_doorbell(&c->registers, (uint16_t)id, false),
		.cq_doorbell = nvme_doorbell(&c->registers, (uint16_t)id, true),
		.kept = kept,
		.adopt = adopt,
	};
	struct nvme_queue *q;
	int r;

	if (memory->len != lists + nvme_lists_len(depth, c->info.max_transfer))
		return fail(-EPROTO, "queue %u: what was kept is of another length", id);
	set_abilities(c, &setup);
	r = nvme_queue_create(&setup, ret_queue);
	if (r < 0)
		return r;
	nvme_queue_own_by(c, *ret_queue);
	q = *ret_queue;
	q->memory = *memory;
	q->sq_iova = memory->iova;
	q->cq_iova = memory->iova + sq_len;
	q->controller = c;
	q->irq = c->irq;
	q->vector = c->num_vectors > 1 ? id : 0;
	nvme_shadow_queue(c, q);
	if (kept)
		kept->memory = nvme_kept_buffer(memory);
	return 0;
}

static int make_queue(struct nvme_controller *c, uint32_t id, uint32_t depth, struct nvme_queue **ret_queue)
{
	struct nvme_queue_kept *kept = NULL;
	struct weir_buffer memory;
	int r = nvme_memory_alloc(&c->memory, rings_len(depth) + nvme_lists_len(depth, c->info.max_transfer),
				  &memory);

	if (r < 0)
		return r;
	if (c->kept)
		r = nvme_kept_open_queue(c, id, depth, &kept);
	if (r == 0)
		r = nvme_pair_make(c, id, depth, &memory, kept, false, ret_queue);
	if (r < 0) {
		block_close(c->device, kept);
		nvme_memory_free(&c->memory, &memory);
	}
	return r;
}

void nvme_pair_end(struct nvme_controller *c, struct nvme_queue *q)
{
	nvme_kept_stage(c, q, NVME_KEPT_NONE);
	nvme_memory_free(&c->memory, &q->memory);
	nvme_queue_release(c, q);
}

/* The controller reads commands from its own memory, where they are copied before each ring. */
static int put_in_cmb(struct nvme_controller *c, struct nvme_queue *q, uint64_t offset)
{
	struct nvme_sq_cmb cmb = { .offset = c->cmb.offset + offset };
	uint64_t mapped_len;
	void *mapped;
	int r = weir_device_region(c->device, c->cmb.bar, &cmb.region);

	if (r < 0)
		return fail(r, "the memory buffer's BAR: %s", weir_error());
	if (weir_region_map(cmb.region, &mapped, &mapped_len) == 0 &&
	    mapped_len >= c->cmb.offset + c->cmb.len)
		cmb.mapped = (volatile unsigned char *)mapped + cmb.offset;
	q->sq_cmb = cmb;
	q->sq_iova = c->cmb_address + offset;
	q->sq_doorbell.addr = NULL;
	return 0;
}

int nvme_queue_announce(struct nvme_controller *c, struct nvme_queue *q)
{
	char why[DETAIL_SIZE];
	int r;

	r = nvme_admin_cq_create(c, q);
	if (r < 0)
		return r;
	r = nvme_admin_sq_create(c, q);
	if (r < 0 && !c->dead) {
		memcpy(why, nvme_detail, sizeof why);
		if (nvme_admin_cq_delete(c, q->state.id) < 0)
			nvme_controller_die(c);
		return fail(r, "%s", why);
	}
	return r;
}

static int check_opts(const struct nvme_controller *c, const struct nvme_queue_opts *opts)
{
	uint64_t len = (opts->depth + 1ull) * sizeof(struct nvme_sqe);

	if (opts->depth == 0)
		return fail(-EINVAL, "a queue of depth 0");
	if (opts->depth > c->info.max_depth)
		return fail(-ERANGE, "depth %u is more than this controller's queues can have (%u)",
			    opts->depth, c->info.max_depth);
	if (!opts->sq_in_cmb)
		return 0;
	if (!c->cmb_enabled || !c->cmb.submission_queues)
		return fail(-EOPNOTSUPP, "the controller's memory %s",
			    c->cmb_enabled ? "takes no submission queues" : "has not been enabled");
	if (opts->cmb_offset & NVME_PAGE_MASK)
		return fail(-EINVAL, "a queue at %#jx in the controller's memory: no multiple of 4 KiB",
			    (uintmax_t)opts->cmb_offset);
	if (len > c->cmb.len || opts->cmb_offset > c->cmb.len - len)
		return fail(-ERANGE,
			    "a queue of %#jx bytes at %#jx reaches beyond the controller's memory of %#jx",
			    (uintmax_t)len, (uintmax_t)opts->cmb_offset, (uintmax_t)c->cmb.len);
	return 0;
}

static int open_queue(struct nvme_controller *c, const struct nvme_queue_opts *opts,
		      struct nvme_queue **ret_queue)
{
	struct nvme_queue *q;
	int r = nvme_controller_check_paused(c);

	if (r == 0)
		r = check_opts(c, opts);
	if (r == 0)
		r = find_id(c);
	if (r < 0)
		return r;
	r = make_queue(c, (uint32_t)r, opts->depth, &q);
	if (r != 0)
		return r;
	if (opts->sq_in_cmb)
		r = put_in_cmb(c, q, opts->cmb_offset);
	if (r < 0) {
		nvme_pair_end(c, q);
		return r;
	}

	nvme_kept_stage(c, q, NVME_KEPT_UNSURE);
	r = nvme_queue_announce(c, q);
	if (r == 0 || c->dead)
		c->queues[q->state.id - 1] = q;
	if (r == 0)
		nvme_kept_stage(c, q, NVME_KEPT_OPEN);
	if (r == 0)
		*ret_queue = q;
	else if (c->dead)
		q->lost = true; /* it may exist: its memory stays until the controller is closed */
	else
		nvme_pair_end(c, q);
	return r;
}

int nvme_queue_open_with(struct nvme_controller *c, const struct nvme_queue_opts *callers_opts,
			 struct nvme_queue **ret_queue)
{
	struct nvme_queue_opts opts;
	int r = opts_copy(&opts, sizeof opts, callers_opts);

	if (r < 0)
		return fail(r, "options of an impossible size, or newer than this driver");
	return open_queue(c, &opts, ret_queue);
}

int nvme_queue_open(struct nvme_controller *c, uint32_t depth, struct nvme_queue **ret_queue)
{
	return open_queue(c, &(struct nvme_queue_opts){ .depth = depth }, ret_queue);
}

/* The submission queue first: a completion queue that is still in use may not be deleted. */
int nvme_queue_delete(struct nvme_queue *q)
{
	struct nvme_controller *c = q->controller;
	int r = nvme_controller_check_paused(c);

	if (r < 0)
		return r;
	nvme_kept_stage(c, q, NVME_KEPT_UNSURE);
	r = nvme_admin_sq_delete(c, q->state.id);
	if (r == 0)
		r = nvme_admin_cq_delete(c, q->state.id);
	if (r < 0) {
		q->lost = true;
		q->state.failed = -ESHUTDOWN; /* who goes on with it is told */
		return r;
	}
	c->queues[q->state.id - 1] = NULL;
	nvme_pair_end(c, q);
	return 0;
}

int nvme_queue_close(struct nvme_queue *q)
{
	return q ? nvme_queue_delete(q) : 0;
}

int nvme_queue_fd(const struct nvme_queue *q)
{
	int fd;

	if (!q->irq)
		return fail(-EOPNOTSUPP, "the controller was opened for polling");
	fd = weir_irq_fd(q->irq, q->vector);
	return fd < 0 ? fail(fd, "vector %u: %s", q->vector, weir_error()) : fd;
}
