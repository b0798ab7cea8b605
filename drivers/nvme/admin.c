/* SPDX-License-Identifier: MIT */
#include "nvme/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "nvme/error.h"
#include "nvme/kept.h"

#define SPINS            200 /* looks before the first sleep */
#define POLL_INTERVAL_NS 20000
#define TIMESTAMP_MASK   ((1ull << 48) - 1)
#define CHECK_EVERY_MS   100                  /* how often CSTS is read while waiting */
#define DATA_OFFSET      (2 * NVME_PAGE_SIZE) /* of answers in what is shared with the controller */

/* Which way data goes: bits 1:0 of the opcode (Base 2.0, 3.1.4). */
#define TO_CONTROLLER   1
#define FROM_CONTROLLER 2

#define TAG_COMMAND 0 /* of the one command that is waited for */
#define TAG_EVENT   1 /* of requests for events */

int nvme_admin_queue(struct nvme_controller *c, struct nvme_queue_kept *kept, bool adopt)
{
	char *pages = c->shared.addr;
	struct nvme_queue_setup setup = {
		.sq = (struct nvme_sqe *)pages,
		.cq = (struct nvme_cqe *)(pages + NVME_PAGE_SIZE),
		.depth = NVME_ADMIN_ENTRIES - 1,
		.sq_doorbell = nvme_doorbell(&c->registers, 0, false),
		.cq_doorbell = nvme_doorbell(&c->registers, 0, true),
		.kept = kept,
		.adopt = adopt,
	};
	int r = nvme_queue_create(&setup, &c->admin);

	if (r == 0)
		nvme_queue_own_by(c, c->admin);
	return r;
}

void nvme_admin_end(struct nvme_controller *c)
{
	nvme_queue_release(c, c->admin);
	c->admin = NULL;
}

int nvme_admin_open(struct nvme_controller *c)
{
	struct nvme_queue_kept *kept = NULL;
	size_t pages = c->flags & NVME_SHADOW_DOORBELLS ? 5 : 3;
	int r = nvme_memory_alloc(&c->memory, pages * NVME_PAGE_SIZE, &c->shared);

	if (r == 0 && c->kept)
		r = nvme_kept_open_queue(c, 0, NVME_ADMIN_ENTRIES - 1, &kept);
	if (r < 0)
		return r;
	r = nvme_admin_queue(c, kept, false);
	if (r < 0)
		block_close(c->device, kept);
	return r;
}

/* Take a completion. Returns 1 if it is the command's; 0 if there is none; events are noted. */
static int take(struct nvme_controller *c, struct nvme_completion *ret, uint32_t *ret_result)
{
	unsigned int i;
	int r = 1;

	/* No more than there are requests for events, and the command. */
	for (i = 0; i <= NVME_MAX_EVENTS && r > 0; i++) {
		r = nvme_queue_reap_raw(c->admin, ret, ret_result);
		if (r > 0 && ret->tag == TAG_COMMAND)
			return 1;
		if (r > 0 && ret->error == 0 && c->num_events < NVME_MAX_EVENTS)
			c->events[c->num_events++] = *ret_result;
		c->num_event_requests -= r > 0;
	}
	return r < 0 ? r : 0;
}

/* Wait until the controller is done with one thing: a command; or, with @earlier, what a predecessor had asked. */
static int wait_completion(struct nvme_controller *c, bool earlier, struct nvme_completion *ret,
			   uint32_t *ret_result)
{
	deadline_t deadline = deadline_in(c->admin_timeout_ms), check = deadline_in(CHECK_EVERY_MS);
	bool last_look;
	int r, i;

	for (i = 0;; i++) {
		last_look = i >= SPINS && deadline_passed(deadline);
		r = take(c, ret, ret_result);
		if (r != 0)
			return r < 0 ? r : 0;
		if (earlier && c->admin->state.num_dropped == 0)
			return 0;
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
static int give_up(struct nvme_controller *c, const struct nvme_admin_command *command, int error)
{
	if (error == -ETIMEDOUT) {
		int r = nvme_controller_state(c);

		error = r < 0 ? r
			      : fail(-ETIMEDOUT, "%s: no answer within %u.%u s", command->name,
				     c->admin_timeout_ms / 1000, c->admin_timeout_ms % 1000 / 100);
	}
	nvme_controller_die(c);
	return error;
}

int nvme_admin_execute(struct nvme_controller *c, const struct nvme_admin_command *command,
		       uint32_t *ret_result)
{
	struct nvme_sqe entry = { 0 };
	struct nvme_completion completion = { 0 };
	uint32_t result = 0;
	int r;

	if (c->dead)
		return fail(c->dead, "%s: the controller did not answer an earlier command", command->name);
	entry.qword[0] = htole64(command->opcode | (uint64_t)command->nsid << 32);
	entry.qword[3] = htole64(command->prp1);
	entry.qword[4] = htole64(command->prp2);
	entry.qword[5] = htole64(command->cdw10 | (uint64_t)command->cdw11 << 32);
	entry.qword[6] = htole64(command->cdw12 | (uint64_t)command->cdw13 << 32);
	entry.qword[7] = htole64(command->cdw14 | (uint64_t)command->cdw15 << 32);
	/* It may yet write where the answer to this one goes. */
	r = c->admin->state.num_dropped > 0 ? wait_completion(c, true, &completion, &result) : 0;
	if (r == 0)
		r = nvme_queue_submit_raw(c->admin, &entry, TAG_COMMAND);
	if (r == -EBUSY)
		return r;
	if (r == 0)
		r = wait_completion(c, false, &completion, &result);
	if (r < 0)
		return give_up(c, command, r);
	if (completion.error < 0)
		return fail(completion.error, "%s: %s (status 0x%04x)", command->name,
			    nvme_status_text(completion.status), completion.status);
	if (ret_result)
		*ret_result = result;
	return 0;
}

int nvme_admin_transfer(struct nvme_controller *c, struct nvme_admin_command *command, void *data, size_t len,
			uint32_t *ret_result)
{
	void *page = (char *)c->shared.addr + DATA_OFFSET;
	int r;

	memset(page, 0, NVME_PAGE_SIZE);
	if (len > 0 && command->opcode & TO_CONTROLLER)
		memcpy(page, data, len);
	command->prp1 = c->shared.iova + DATA_OFFSET;
	r = nvme_admin_execute(c, command, ret_result);
	if (r == 0 && len > 0 && command->opcode & FROM_CONTROLLER)
		memcpy(data, page, len);
	return r;
}

int nvme_admin_request_event(struct nvme_controller *c)
{
	struct nvme_sqe entry = { .qword = { htole64(nvme_admin_async_event) } };
	int r = nvme_queue_submit_raw(c->admin, &entry, TAG_EVENT);

	c->num_event_requests += r == 0;
	return r;
}

int nvme_admin_poll(struct nvme_controller *c)
{
	struct nvme_completion completion;
	uint32_t result;

	return take(c, &completion, &result);
}

/* Identify (5.17). */
static int identify(struct nvme_controller *c, uint8_t cns, uint32_t nsid, const char *name, void **ret_copy)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_identify, .nsid = nsid, .cdw10 = cns, .name = name
	};
	void *copy = malloc(NVME_PAGE_SIZE);
	int r;

	if (!copy)
		return fail(-ENOMEM, "no memory for identify data");
	r = nvme_admin_transfer(c, &command, copy, NVME_PAGE_SIZE, NULL);
	if (r < 0)
		free(copy);
	else
		*ret_copy = copy;
	return r;
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
	struct nvme_admin_command command = {
		.opcode = nvme_admin_set_features,
		.cdw10 = NVME_FEAT_FID_NUM_QUEUES,
		.cdw11 = (wanted - 1) << 16 | (wanted - 1),
		.name = "set number of queues",
	};
	uint32_t result = 0, sqs, cqs;
	int r = nvme_admin_execute(c, &command, &result);

	if (r < 0)
		return r;
	sqs = (result & 0xffff) + 1;
	cqs = (result >> 16) + 1;
	*ret_granted = sqs < cqs ? sqs : cqs;
	if (*ret_granted > wanted)
		*ret_granted = wanted;
	return 0;
}

/* Timestamp (5.27.1.14): 48 bits of milliseconds, then in bits 3:1 of the next byte whether they were set. */
static int timestamp(struct nvme_controller *c, uint8_t opcode, uint64_t *value, const char *name)
{
	struct nvme_admin_command command = {
		.opcode = opcode,
		.prp1 = c->shared.iova + DATA_OFFSET,
		.cdw10 = NVME_FEAT_FID_TIMESTAMP,
		.name = name,
	};
	uint64_t *data = (uint64_t *)((char *)c->shared.addr + DATA_OFFSET);
	int r;

	*data = htole64(*value);
	r = nvme_admin_execute(c, &command, NULL);
	*value = le64toh(load64(data));
	return r;
}

int nvme_controller_set_clock(struct nvme_controller *c, uint64_t ms)
{
	uint64_t value = ms & TIMESTAMP_MASK;

	return timestamp(c, nvme_admin_set_features, &value, "set timestamp");
}

int nvme_controller_clock(struct nvme_controller *c, uint64_t *ret_ms, bool *ret_set)
{
	uint64_t value = 0;
	int r = timestamp(c, nvme_admin_get_features, &value, "get timestamp");

	if (r < 0)
		return r;
	*ret_ms = value & TIMESTAMP_MASK;
	*ret_set = (value >> 49 & 7) == 1;
	return 0;
}

/* Queue size (0's based) and identifier, as both create commands have them in dword 10. */
static uint32_t size_and_id(const struct nvme_queue *q)
{
	return (q->state.entries - 1) << 16 | q->state.id;
}

/* Create I/O Completion Queue (5.4): contiguous, with interrupts on the queue's vector or without. */
int nvme_admin_cq_create(struct nvme_controller *c, const struct nvme_queue *q)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_create_cq,
		.prp1 = q->cq_iova,
		.cdw10 = size_and_id(q),
		.cdw11 = 1u | (q->irq ? q->vector << 16 | 2u : 0),
		.name = "create completion queue",
	};

	return nvme_admin_execute(c, &command, NULL);
}

/* Create I/O Submission Queue (5.5): contiguous, with the completion queue of the same number. */
int nvme_admin_sq_create(struct nvme_controller *c, const struct nvme_queue *q)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_create_sq,
		.prp1 = q->sq_iova,
		.cdw10 = size_and_id(q),
		.cdw11 = q->state.id << 16 | 1u,
		.name = "create submission queue",
	};

	return nvme_admin_execute(c, &command, NULL);
}

int nvme_admin_sq_delete(struct nvme_controller *c, uint16_t qid)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_delete_sq,
		.cdw10 = qid,
		.name = "delete submission queue",
	};

	return nvme_admin_execute(c, &command, NULL);
}

int nvme_admin_cq_delete(struct nvme_controller *c, uint16_t qid)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_delete_cq,
		.cdw10 = qid,
		.name = "delete completion queue",
	};

	return nvme_admin_execute(c, &command, NULL);
}
