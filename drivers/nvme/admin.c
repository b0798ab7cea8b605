/* SPDX-License-Identifier: MIT */
#include "nvme/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "nvme/error.h"

#define SPINS            200 /* looks before the first sleep */
#define POLL_INTERVAL_NS 20000
#define CHECK_EVERY_MS   100                  /* how often CSTS is read while waiting */
#define IDENTIFY_OFFSET  (2 * NVME_PAGE_SIZE) /* of identify data in what is shared with the controller */

/* An admin command: opcode, namespace, PRP entry 1 and the command dwords 10 to 13. */
struct admin_command {
	uint8_t opcode;
	uint32_t nsid;
	uint64_t prp1;
	uint32_t cdw10, cdw11;
	const char *name;
};

int nvme_admin_open(struct nvme_controller *c)
{
	struct nvme_queue_setup setup = {
		.depth = NVME_ADMIN_ENTRIES - 1,
		.sq_doorbell = nvme_doorbell(&c->registers, 0, false),
		.cq_doorbell = nvme_doorbell(&c->registers, 0, true),
	};
	char *pages;
	int r;

	r = nvme_memory_alloc(&c->memory, 3 * NVME_PAGE_SIZE, &c->shared);
	if (r < 0)
		return r;
	pages = c->shared.addr;
	setup.sq = (struct nvme_sqe *)pages;
	setup.cq = (struct nvme_cqe *)(pages + NVME_PAGE_SIZE);
	return nvme_queue_create(&setup, &c->admin);
}

/* Wait for the one command that is in flight. */
static int wait_completion(struct nvme_controller *c, struct nvme_completion *ret, uint32_t *ret_result)
{
	deadline_t deadline = deadline_in(c->admin_timeout_ms), check = deadline_in(CHECK_EVERY_MS);
	bool last_look;
	int r, i;

	for (i = 0;; i++) {
		last_look = i >= SPINS && deadline_passed(deadline);
		r = nvme_queue_reap_raw(c->admin, ret, ret_result);
		if (r != 0)
			return r < 0 ? r : 0;
		if (last_look)
			return -ETIMEDOUT;
		if (i < SPINS) {
			spin_pause();
			continue;
		}
		pause_ns(POLL_INTERVAL_NS);
		if (deadline_passed(check)) {
			r = nvme_controller_state(c);
			if (r < 0)
				return r;
			check = deadline_in(CHECK_EVERY_MS);
		}
	}
}

/* Why a command got no answer: the controller's state says more than the clock. */
static int give_up(struct nvme_controller *c, const struct admin_command *command, int error)
{
	if (error == -ETIMEDOUT) {
		int r = nvme_controller_state(c);

		error = r < 0 ? r
			      : fail(-ETIMEDOUT, "%s: no answer within %u.%u s", command->name,
				     c->admin_timeout_ms / 1000, c->admin_timeout_ms % 1000 / 100);
	}
	c->dead = -EIO;
	return error;
}

static int execute(struct nvme_controller *c, const struct admin_command *command, uint32_t *ret_result)
{
	struct nvme_sqe entry = { 0 };
	struct nvme_completion completion = { 0 };
	uint32_t result = 0;
	int r;

	if (c->dead)
		return fail(c->dead, "%s: the controller did not answer an earlier command", command->name);
	entry.qword[0] = htole64(command->opcode | (uint64_t)command->nsid << 32);
	entry.qword[3] = htole64(command->prp1);
	entry.qword[5] = htole64(command->cdw10 | (uint64_t)command->cdw11 << 32);
	r = nvme_queue_submit_raw(c->admin, &entry, 0);
	if (r == 0)
		r = wait_completion(c, &completion, &result);
	if (r < 0)
		return give_up(c, command, r);
	if (completion.error < 0)
		return fail(completion.error, "%s: %s (status 0x%04x)", command->name,
			    nvme_status_text(completion.status), completion.status);
	if (ret_result)
		*ret_result = result;
	return 0;
}

/* Identify (5.17). The data is copied before it is looked at: the controller cannot change it in between. */
static int identify(struct nvme_controller *c, uint8_t cns, uint32_t nsid, const char *name, void **ret_copy)
{
	struct admin_command command = {
		.opcode = nvme_admin_identify,
		.nsid = nsid,
		.prp1 = c->shared.iova + IDENTIFY_OFFSET,
		.cdw10 = cns,
		.name = name,
	};
	void *data = (char *)c->shared.addr + IDENTIFY_OFFSET, *copy;
	int r;

	memset(data, 0, NVME_PAGE_SIZE);
	r = execute(c, &command, NULL);
	if (r < 0)
		return r;
	copy = malloc(NVME_PAGE_SIZE);
	if (!copy)
		return fail(-ENOMEM, "no memory for identify data");
	memcpy(copy, data, NVME_PAGE_SIZE);
	*ret_copy = copy;
	return 0;
}

int nvme_admin_identify_controller(struct nvme_controller *c, struct nvme_identity *ret_identity)
{
	void *data;
	int r = identify(c, NVME_IDENTIFY_CNS_CTRL, 0, "identify controller", &data);

	if (r < 0)
		return r;
	_Static_assert(sizeof(struct nvme_id_ctrl) == NVME_PAGE_SIZE, "identify controller data is one page");
	r = nvme_parse_controller(data, ret_identity);
	free(data);
	return r;
}

int nvme_admin_identify_namespace(struct nvme_controller *c, uint32_t nsid, struct nvme_namespace *ret_ns)
{
	void *data;
	int r = identify(c, NVME_IDENTIFY_CNS_NS, nsid, "identify namespace", &data);

	if (r < 0)
		return r;
	_Static_assert(sizeof(struct nvme_id_ns) == NVME_PAGE_SIZE, "identify namespace data is one page");
	r = nvme_parse_namespace(data, nsid, c->info.max_transfer, ret_ns);
	free(data);
	return r;
}

/* Set Features, Number of Queues (5.27.1.5): both counts are 0's based, as asked and as granted. */
int nvme_admin_set_num_queues(struct nvme_controller *c, uint32_t wanted, uint32_t *ret_granted)
{
	struct admin_command command = {
		.opcode = nvme_admin_set_features,
		.cdw10 = NVME_FEAT_FID_NUM_QUEUES,
		.cdw11 = (wanted - 1) << 16 | (wanted - 1),
		.name = "set number of queues",
	};
	uint32_t result = 0, sqs, cqs;
	int r = execute(c, &command, &result);

	if (r < 0)
		return r;
	sqs = (result & 0xffff) + 1;
	cqs = (result >> 16) + 1;
	*ret_granted = sqs < cqs ? sqs : cqs;
	if (*ret_granted > wanted)
		*ret_granted = wanted;
	return 0;
}

/* Queue size (0's based) and identifier, as both create commands have them in dword 10. */
static uint32_t size_and_id(const struct nvme_queue *q)
{
	return (q->entries - 1) << 16 | q->id;
}

/* Create I/O Completion Queue (5.4): contiguous, with interrupts on the queue's vector or without. */
int nvme_admin_cq_create(struct nvme_controller *c, const struct nvme_queue *q, uint64_t iova)
{
	struct admin_command command = {
		.opcode = nvme_admin_create_cq,
		.prp1 = iova,
		.cdw10 = size_and_id(q),
		.cdw11 = 1u | (q->irq ? q->vector << 16 | 2u : 0),
		.name = "create completion queue",
	};

	return execute(c, &command, NULL);
}

/* Create I/O Submission Queue (5.5): contiguous, with the completion queue of the same number. */
int nvme_admin_sq_create(struct nvme_controller *c, const struct nvme_queue *q, uint64_t iova)
{
	struct admin_command command = {
		.opcode = nvme_admin_create_sq,
		.prp1 = iova,
		.cdw10 = size_and_id(q),
		.cdw11 = (uint32_t)q->id << 16 | 1u,
		.name = "create submission queue",
	};

	return execute(c, &command, NULL);
}

int nvme_admin_sq_delete(struct nvme_controller *c, uint16_t qid)
{
	struct admin_command command = {
		.opcode = nvme_admin_delete_sq,
		.cdw10 = qid,
		.name = "delete submission queue",
	};

	return execute(c, &command, NULL);
}

int nvme_admin_cq_delete(struct nvme_controller *c, uint16_t qid)
{
	struct admin_command command = {
		.opcode = nvme_admin_delete_cq,
		.cdw10 = qid,
		.name = "delete completion queue",
	};

	return execute(c, &command, NULL);
}
