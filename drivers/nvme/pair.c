/* SPDX-License-Identifier: MIT */
/* I/O queue pairs: made known to the controller, and waited on (Base 2.0, 5.4 to 5.7). */
#include <errno.h>
#include <string.h>

#include "common/io.h"
#include "nvme/admin.h"
#include "nvme/controller.h"
#include "nvme/error.h"

#define SPINS            2000 /* looks before the first sleep, when polling */
#define SPINS_PER_CLOCK  64   /* looks between two looks at the clock */
#define POLL_INTERVAL_NS 20000
#define CHECK_EVERY_MS   1000 /* how often CSTS is read while nothing comes */

/* Opening and closing ------------------------------------------------------------------------------------ */

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

/* Rings and lists in one piece: submission queue, completion queue, a page for the PRP list of each slot. */
static int make_queue(struct nvme_controller *c, uint16_t id, uint32_t depth, struct nvme_queue **ret_queue)
{
	size_t sq_len = page_up((depth + 1) * sizeof(struct nvme_sqe));
	size_t cq_len = page_up((depth + 1) * sizeof(struct nvme_cqe));
	struct nvme_queue_setup setup = {
		.depth = depth,
		.max_transfer = c->info.max_transfer,
		.id = id,
		.sq_doorbell = nvme_doorbell(&c->registers, id, false),
		.cq_doorbell = nvme_doorbell(&c->registers, id, true),
	};
	struct weir_buffer memory;
	char *base;
	int r;

	r = nvme_memory_alloc(&c->memory, sq_len + cq_len + (size_t)depth * NVME_PAGE_SIZE, &memory);
	if (r < 0)
		return r;
	base = memory.addr;
	setup.sq = (struct nvme_sqe *)base;
	setup.cq = (struct nvme_cqe *)(base + sq_len);
	setup.prp_lists = (uint64_t *)(base + sq_len + cq_len);
	setup.prp_lists_iova = memory.iova + sq_len + cq_len;
	r = nvme_queue_create(&setup, ret_queue);
	if (r < 0) {
		nvme_memory_free(&c->memory, &memory);
		return r;
	}
	(*ret_queue)->memory = memory;
	(*ret_queue)->controller = c;
	(*ret_queue)->irq = c->irq;
	(*ret_queue)->vector = c->num_vectors > 1 ? id : 0;
	return 0;
}

static void free_queue(struct nvme_queue *q)
{
	nvme_memory_free(&q->controller->memory, &q->memory);
	nvme_queue_destroy(q);
}

/* Tell the controller. After an error the queues do not exist there, unless the controller is dead. */
static int announce(struct nvme_controller *c, struct nvme_queue *q)
{
	char why[DETAIL_SIZE];
	int r;

	r = nvme_admin_cq_create(c, q, q->memory.iova + page_up(q->entries * sizeof(struct nvme_sqe)));
	if (r < 0)
		return r;
	r = nvme_admin_sq_create(c, q, q->memory.iova);
	if (r < 0 && !c->dead) {
		memcpy(why, nvme_detail, sizeof why);
		if (nvme_admin_cq_delete(c, q->id) < 0)
			c->dead = -EIO;
		return fail(r, "%s", why);
	}
	return r;
}

int nvme_queue_open(struct nvme_controller *c, uint32_t depth, struct nvme_queue **ret_queue)
{
	struct nvme_queue *q;
	int r;

	if (depth == 0)
		return fail(-EINVAL, "a queue of depth 0");
	if (depth > c->info.max_depth)
		return fail(-ERANGE, "depth %u is more than this controller's queues can have (%u)", depth,
			    c->info.max_depth);
	r = find_id(c);
	if (r < 0)
		return r;
	r = make_queue(c, (uint16_t)r, depth, &q);
	if (r < 0)
		return r;

	r = announce(c, q);
	if (r == 0 || c->dead)
		c->queues[q->id - 1] = q;
	if (r == 0)
		*ret_queue = q;
	else if (c->dead)
		q->lost = true; /* it may exist: its memory stays until the controller is closed */
	else
		free_queue(q);
	return r;
}

/* The submission queue first: a completion queue that is still in use may not be deleted. */
int nvme_queue_delete(struct nvme_queue *q)
{
	struct nvme_controller *c = q->controller;
	int r = nvme_admin_sq_delete(c, q->id);

	if (r == 0)
		r = nvme_admin_cq_delete(c, q->id);
	if (r < 0) {
		q->lost = true;
		return r;
	}
	c->queues[q->id - 1] = NULL;
	free_queue(q);
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

/* Waiting ------------------------------------------------------------------------------------------------ */

static int check_controller(const struct nvme_queue *q)
{
	return q->controller ? nvme_controller_state(q->controller) : 0;
}

/* Nothing came in time: the controller's state may say why. */
static int nothing_came(const struct nvme_queue *q)
{
	int r = check_controller(q);

	if (r < 0)
		return r;
	return fail(-ETIMEDOUT, "queue %u: none of %u requests in flight has completed in time", q->id,
		    nvme_queue_in_flight(q));
}

/* The interrupt comes after the completion: what it announced is found by looking once more. */
static int wait_interrupt(struct nvme_queue *q, struct nvme_completion *ret, size_t max, deadline_t deadline)
{
	bool last_look;
	int r, num;

	for (;;) {
		last_look = deadline_passed(deadline);
		r = weir_irq_wait(q->irq, q->vector, deadline_left(deadline, CHECK_EVERY_MS), NULL);
		if (r < 0 && r != -ETIMEDOUT)
			return fail(r, "queue %u: %s", q->id, weir_error());
		num = nvme_queue_reap(q, ret, max);
		if (num != 0)
			return num;
		if (last_look)
			return nothing_came(q);
		if (r == -ETIMEDOUT && (r = check_controller(q)) < 0)
			return r;
	}
}

static int wait_polling(struct nvme_queue *q, struct nvme_completion *ret, size_t max, deadline_t deadline)
{
	deadline_t check = deadline_in(CHECK_EVERY_MS);
	bool last_look = false;
	unsigned int i;
	int r;

	for (i = 0;; i++) {
		if (i >= SPINS || i % SPINS_PER_CLOCK == 0)
			last_look = deadline_passed(deadline);
		r = nvme_queue_reap(q, ret, max);
		if (r != 0)
			return r;
		if (last_look)
			return nothing_came(q);
		if (i < SPINS) {
			spin_pause();
			continue;
		}
		i = SPINS;
		pause_ns(POLL_INTERVAL_NS);
		if (deadline_passed(check)) {
			r = check_controller(q);
			if (r < 0)
				return r;
			check = deadline_in(CHECK_EVERY_MS);
		}
	}
}

int nvme_queue_wait(struct nvme_queue *q, struct nvme_completion *ret_completions, size_t max, int timeout_ms)
{
	int r = nvme_queue_reap(q, ret_completions, max);

	if (r != 0 || nvme_queue_in_flight(q) == 0 || max == 0)
		return r;
	if (q->irq)
		return wait_interrupt(q, ret_completions, max, deadline_in(timeout_ms));
	return wait_polling(q, ret_completions, max, deadline_in(timeout_ms));
}
