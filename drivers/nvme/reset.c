/* SPDX-License-Identifier: MIT */
/* A request aborted, a controller reset, and everything set up again as it was (Base 2.0, 5.1 and 3.7.2). */
#include <errno.h>
#include <string.h>

#include "nvme/admin.h"
#include "nvme/controller.h"
#include "nvme/error.h"
#include "nvme/kept.h"
#include "nvme/manage.h"

/* Aborting ----------------------------------------------------------------------------------------------- */

int nvme_queue_abort(struct nvme_queue *q, uint64_t tag)
{
	struct nvme_admin_command command = { .opcode = nvme_admin_abort_cmd, .name = "abort" };
	uint32_t i, result = 0;
	int r = nvme_controller_check_paused(q->controller);

	if (r < 0)
		return r;
	for (i = 0; i < q->state.depth; i++)
		if (nvme_slot_in_flight(&q->slots[i]) && q->slots[i].tag == tag)
			break;
	if (i == q->state.depth)
		return fail(-ENOENT, "queue %u: no request with tag %#jx is on its way", q->state.id,
			    (uintmax_t)tag);
	command.cdw10 = q->state.id | ((uint32_t)q->slots[i].expected & 0xffff0000u);
	r = nvme_admin_execute(q->controller, &command, &result);
	if (r == 0 && result & 1)
		return fail(-EBUSY, "queue %u: the controller did not abort the request with tag %#jx",
			    q->state.id, (uintmax_t)tag);
	return r;
}

/* Resetting ---------------------------------------------------------------------------------------------- */

/* Nobody waits for the admin commands of before. */
static void reset_admin(struct nvme_controller *c)
{
	nvme_queue_reset(c->admin);
	c->admin->next_left = c->admin->num_left;
	c->admin->kept->num_left = 0;
	c->admin->state.failed = 0;
	c->num_event_requests = 0;
	c->dead = 0;
}

/* A queue that could not be deleted is gone by now, and so is who would close it. */
static void reset_queues(struct nvme_controller *c)
{
	uint32_t i;

	for (i = 0; i < c->info.num_queues; i++) {
		struct nvme_queue *q = c->queues[i];

		if (!q)
			continue;
		nvme_queue_reset(q);
		if (!q->lost)
			continue;
		c->queues[i] = NULL;
		nvme_pair_end(c, q);
	}
}

static int announce_queues(struct nvme_controller *c)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < c->info.num_queues && r == 0; i++)
		if (c->queues[i])
			r = nvme_queue_announce(c, c->queues[i]);
	return r;
}

static int start_again(struct nvme_controller *c)
{
	uint32_t granted;
	int r = weir_device_set_bus_master(c->device, true);

	if (r < 0)
		return fail(r, "bus mastering: %s", weir_error());
	r = nvme_cmb_restore(c);
	if (r == 0)
		r = nvme_enable(&c->registers, c->shared.iova, c->shared.iova + NVME_PAGE_SIZE,
				NVME_ADMIN_ENTRIES);
	if (r == 0)
		r = nvme_admin_set_num_queues(c, c->info.num_queues, &granted);
	if (r == 0 && granted < c->info.num_queues)
		r = fail(-EPROTO, "the controller has %u queues since its reset, and had %u", granted,
			 c->info.num_queues);
	if (r == 0)
		r = nvme_controller_configure(c);
	return r < 0 ? r : announce_queues(c);
}

/* Off, or lost: the queues say so. */
static int give_up(struct nvme_controller *c, int error, bool off)
{
	char why[DETAIL_SIZE];
	uint32_t i;

	memcpy(why, nvme_detail, sizeof why);
	if (off)
		nvme_disable(&c->registers);
	nvme_controller_die(c);
	for (i = 0; i < c->info.num_queues; i++)
		if (c->queues[i])
			nvme_queue_end(c->queues[i], error);
	return fail(error, "%s", why);
}

int nvme_controller_reset(struct nvme_controller *c)
{
	int r = nvme_controller_check_paused(c);

	if (r < 0)
		return r;
	if (c->kept)
		block_set(c->kept->version, 0); /* until it is over, nothing can be restored */
	r = nvme_disable(&c->registers);
	if (r < 0)
		return give_up(c, r, false);
	reset_admin(c);
	reset_queues(c);
	r = start_again(c);
	if (r < 0)
		return give_up(c, r, true);
	nvme_kept_begin(c);
	return 0;
}
