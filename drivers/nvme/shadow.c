/* SPDX-License-Identifier: MIT */
/*
 * Shadow doorbells (Doorbell Buffer Config; Base 2.0, 5.8): the host writes the value of a doorbell to memory, and rings only when the value
 * passes the one that the controller has written beside it. Meant for controllers that are programs, for which a ring is an exit
 * of a virtual machine. Two pages, laid out as the doorbell registers are.
 */
#include "nvme/admin.h"
#include "nvme/controller.h"
#include "nvme/error.h"

int nvme_shadow_configure(struct nvme_controller *c)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_dbbuf,
		.prp1 = c->shared.iova + (uint64_t)NVME_DBBUF_PAGE * NVME_PAGE_SIZE,
		.prp2 = c->shared.iova + (NVME_DBBUF_PAGE + 1ull) * NVME_PAGE_SIZE,
		.name = "doorbell buffer config",
	};

	return nvme_admin_execute(c, &command, NULL);
}

/* At the same place in both pages; a queue whose doorbells lie beyond them is rung. */
static void shadow(struct nvme_controller *c, struct nvme_doorbell *doorbell)
{
	uint64_t at = doorbell->offset - NVME_DOORBELLS;
	char *page = (char *)c->shared.addr + (size_t)NVME_DBBUF_PAGE * NVME_PAGE_SIZE;
	uint32_t *event = (uint32_t *)(page + NVME_PAGE_SIZE + at);

	if (at + sizeof *event > NVME_PAGE_SIZE)
		return;
	doorbell->shadow = (uint32_t *)(page + at);
	doorbell->event = event;
	*doorbell->shadow = 0;
	__atomic_store_n(event, 0, __ATOMIC_RELAXED);
	doorbell->addr = NULL;
}

void nvme_shadow_queue(struct nvme_controller *c, struct nvme_queue *q)
{
	if (!(c->flags & NVME_SHADOW_DOORBELLS))
		return;
	shadow(c, &q->sq_doorbell);
	shadow(c, &q->cq_doorbell);
}
