// SPDX-License-Identifier: MIT
/* Admin commands (Base 2.0, 5): which there are, queues, abort, and events. */
#include <string.h>

#include "sim/models/nvme.h"

/* Queues ------------------------------------------------------------------------------------------------ */

/* What both create commands have in common: QID, QSIZE and PRP1; a queue is contiguous (CAP.CQR). */
static uint16_t check_create(const struct sim_nvme *n, const struct sim_nvme_command *c, bool exists,
			     unsigned int shift, unsigned int size_shift)
{
	uint32_t qid = c->cdw10 & 0xffff, last = c->cdw10 >> 16;

	if (qid == 0 || qid > n->max_queues || exists)
		return SIM_NVME_SPECIFIC(NVME_SC_QID_INVALID);
	if (last == 0 || last >= SIM_NVME_MAX_ENTRIES || shift != size_shift)
		return SIM_NVME_SPECIFIC(NVME_SC_QUEUE_SIZE);
	if (!(c->cdw11 & 1))
		return SIM_NVME_GENERIC(NVME_SC_INVALID_FIELD);
	if (c->prp1 & (sim_nvme_page_size(n) - 1))
		return SIM_NVME_GENERIC(NVME_SC_PRP_INVALID_OFFSET);
	return NVME_SC_SUCCESS;
}

/* Create I/O Completion Queue (5.4). */
static uint16_t create_cq(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	uint32_t qid = c->cdw10 & 0xffff, vector = c->cdw11 >> 16;
	bool exists = qid <= n->max_queues && n->cqs[qid].entries != 0;
	uint16_t status = check_create(n, c, exists, NVME_CC_IOCQES(n->cc), 4);

	if (status != NVME_SC_SUCCESS)
		return status;
	if (vector > n->max_queues)
		return SIM_NVME_SPECIFIC(NVME_SC_INVALID_VECTOR);
	n->cqs[qid] = (struct sim_nvme_cq){
		.iova = c->prp1,
		.entries = (c->cdw10 >> 16) + 1,
		.vector = (uint16_t)vector,
		.phase = 1,
		.interrupts = c->cdw11 & 2,
	};
	return NVME_SC_SUCCESS;
}

/* Create I/O Submission Queue (5.5). There is one priority class, so QPRIO says nothing. */
static uint16_t create_sq(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	uint32_t qid = c->cdw10 & 0xffff, cqid = c->cdw11 >> 16;
	bool exists = qid <= n->max_queues && n->sqs[qid].entries != 0;
	uint16_t status;

	if (cqid == 0 || cqid > n->max_queues || n->cqs[cqid].entries == 0)
		return SIM_NVME_SPECIFIC(NVME_SC_CQ_INVALID);
	status = check_create(n, c, exists, NVME_CC_IOSQES(n->cc), 6);
	if (status != NVME_SC_SUCCESS)
		return status;
	n->sqs[qid] = (struct sim_nvme_sq){ .iova = c->prp1,
					    .entries = (c->cdw10 >> 16) + 1,
					    .cqid = (uint16_t)cqid };
	n->cqs[cqid].num_sqs++;
	return NVME_SC_SUCCESS;
}

/*
 * Delete I/O Submission Queue (5.7). Nothing is ever in flight between steps but what was lost or held on
 * request, and that ends with the queue.
 */
static uint16_t delete_sq(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	uint32_t qid = c->cdw10 & 0xffff;

	if (qid == 0 || qid > n->max_queues || n->sqs[qid].entries == 0)
		return SIM_NVME_SPECIFIC(NVME_SC_QID_INVALID);
	n->cqs[n->sqs[qid].cqid].num_sqs--;
	n->sqs[qid] = (struct sim_nvme_sq){ 0 };
	sim_nvme_forget_held(n, (uint16_t)qid);
	return NVME_SC_SUCCESS;
}

/* Delete I/O Completion Queue (5.6). */
static uint16_t delete_cq(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	uint32_t qid = c->cdw10 & 0xffff;

	if (qid == 0 || qid > n->max_queues || n->cqs[qid].entries == 0)
		return SIM_NVME_SPECIFIC(NVME_SC_QID_INVALID);
	if (n->cqs[qid].num_sqs > 0)
		return SIM_NVME_SPECIFIC(NVME_SC_INVALID_QUEUE);
	n->cqs[qid] = (struct sim_nvme_cq){ 0 };
	sim_nvme_drive_pin(n);
	return NVME_SC_SUCCESS;
}

/* Events ------------------------------------------------------------------------------------------------ */

void sim_nvme_event(struct sim_nvme *n, unsigned int type, uint8_t info, uint8_t log)
{
	struct sim_nvme_event *event = &n->events[type];

	if (event->masked || event->pending)
		return; /* the host will read the log anyway */
	event->pending = true;
	event->info = info;
	event->log = log;
}

/* Asynchronous Event Request (5.2). */
static uint16_t request_event(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	if (n->num_aers == SIM_NVME_MAX_AERS)
		return SIM_NVME_SPECIFIC(NVME_SC_ASYNC_LIMIT);
	n->aers[n->num_aers++] = c->cid;
	return SIM_NVME_LATER;
}

static void take_out(uint16_t *list, uint32_t *num, uint32_t i)
{
	memmove(&list[i], &list[i + 1], (*num - i - 1) * sizeof(*list));
	--*num;
}

/* The admin completion queue may be full: then it is later. True: something was posted. */
bool sim_nvme_report_events(struct sim_nvme *n)
{
	unsigned int type;

	if (sim_nvme_cq_full(&n->cqs[0]))
		return false;
	if (n->num_aborted > 0) {
		sim_nvme_complete(n, 0, n->aborted[0], 0, NVME_SC_ABORT_REQ);
		take_out(n->aborted, &n->num_aborted, 0);
		return true;
	}
	for (type = 0; type < SIM_NVME_NUM_EVENTS; type++) {
		struct sim_nvme_event *event = &n->events[type];

		if (!event->pending || n->num_aers == 0)
			continue;
		event->pending = false;
		event->masked = true;
		sim_nvme_complete(n, 0, n->aers[0],
				  type | (uint32_t)event->info << 8 | (uint32_t)event->log << 16,
				  NVME_SC_SUCCESS);
		take_out(n->aers, &n->num_aers, 0);
		return true;
	}
	return false;
}

/*
 * Abort (5.1). Only requests for events are ever there to be aborted, and what is held on request: the rest
 * is carried out as soon as it is fetched, or was swallowed and will not be found. Bit 0 of the result says
 * "not aborted".
 */
static uint16_t abort_command(struct sim_nvme *n, const struct sim_nvme_command *c, uint32_t *result)
{
	uint32_t i;

	*result = !sim_nvme_abort_held(n, c->cdw10 & 0xffff, (uint16_t)(c->cdw10 >> 16));
	for (i = 0; i < n->num_aers && *result && (c->cdw10 & 0xffff) == 0; i++) {
		/*
		 * Those that wait to be completed and those that are outstanding are four at most, but a
		 * host may ask again in between.
		 */
		if (n->aers[i] != c->cdw10 >> 16 || n->num_aborted == SIM_NVME_MAX_AERS)
			continue;
		n->aborted[n->num_aborted++] = n->aers[i];
		take_out(n->aers, &n->num_aers, i);
		*result = 0;
	}
	return NVME_SC_SUCCESS;
}

/* ------------------------------------------------------------------------------------------------------- */

uint16_t sim_nvme_admin(struct sim_nvme *n, const struct sim_nvme_command *c, uint32_t *result)
{
	switch (c->opcode) {
	case nvme_admin_delete_sq:
		return delete_sq(n, c);
	case nvme_admin_create_sq:
		return create_sq(n, c);
	case nvme_admin_get_log_page:
		return sim_nvme_get_log(n, c);
	case nvme_admin_delete_cq:
		return delete_cq(n, c);
	case nvme_admin_create_cq:
		return create_cq(n, c);
	case nvme_admin_identify:
		return sim_nvme_identify(n, c);
	case nvme_admin_abort_cmd:
		return abort_command(n, c, result);
	case nvme_admin_set_features:
		return sim_nvme_set_feature(n, c, result);
	case nvme_admin_get_features:
		return sim_nvme_get_feature(n, c, result);
	case nvme_admin_async_event:
		return request_event(n, c);
	case nvme_admin_ns_attach:
		return sim_nvme_attach(n, c);
	case nvme_admin_dbbuf:
		return sim_nvme_set_shadows(n, c);
	}
	return SIM_NVME_GENERIC(NVME_SC_INVALID_OPCODE);
}
