// SPDX-License-Identifier: MIT
/* Submission and completion queues (Base 2.0, 3.3; PCIe Transport 1.0, 3.1.2). */
#include "sim/models/nvme.h"

/* Doorbells --------------------------------------------------------------------------------------------- */

static uint32_t occupied(uint32_t head, uint32_t tail, uint32_t entries)
{
	return tail >= head ? tail - head : entries - head + tail;
}

/* More commands than there are free entries, as far as the host can know of them, are none at all. */
static void ring_submission(struct sim_nvme *n, struct sim_nvme_sq *sq, uint32_t value)
{
	uint32_t added;

	if (value >= sq->entries) {
		sim_nvme_event(n, NVME_AER_ERROR, NVME_AER_ERROR_INVALID_DB_VAL, NVME_LOG_LID_ERROR);
		return;
	}
	added = occupied(sq->tail, value, sq->entries);
	if (added > sq->entries - 1 - occupied(sq->head, sq->tail, sq->entries)) {
		sim_nvme_event(n, NVME_AER_ERROR, NVME_AER_ERROR_INVALID_DB_VAL, NVME_LOG_LID_ERROR);
		return;
	}
	sq->tail = value;
}

/* More entries than there are cannot have been read. */
static void ring_completion(struct sim_nvme *n, struct sim_nvme_cq *cq, uint32_t value)
{
	if (value >= cq->entries ||
	    occupied(cq->head, value, cq->entries) > occupied(cq->head, cq->tail, cq->entries)) {
		sim_nvme_event(n, NVME_AER_ERROR, NVME_AER_ERROR_INVALID_DB_VAL, NVME_LOG_LID_ERROR);
		return;
	}
	cq->head = value;
	sim_nvme_drive_pin(n);
}

void sim_nvme_rung(struct sim_nvme *n, uint32_t qid, bool completion, uint32_t value)
{
	if (completion)
		ring_completion(n, &n->cqs[qid], value);
	else
		ring_submission(n, &n->sqs[qid], value);
}

/* @offset from the first doorbell. Before the controller is ready it has no queues, and hears nothing. */
void sim_nvme_doorbell(struct sim_nvme *n, uint32_t offset, uint32_t value)
{
	uint32_t qid = offset / 8;
	bool completion = offset & 4;

	if (!NVME_CSTS_RDY(n->csts) || NVME_CSTS_SHST(n->csts) != NVME_CSTS_SHST_NORMAL)
		return;
	if (qid > n->max_queues || (completion ? n->cqs[qid].entries : n->sqs[qid].entries) == 0)
		sim_nvme_event(n, NVME_AER_ERROR, NVME_AER_ERROR_INVALID_DB_REG, NVME_LOG_LID_ERROR);
	else
		sim_nvme_rung(n, qid, completion, value);
}

/* Completing -------------------------------------------------------------------------------------------- */

bool sim_nvme_cq_full(const struct sim_nvme_cq *cq)
{
	return (cq->tail + 1) % cq->entries == cq->head;
}

/*
 * Two writes: the half with the phase comes last, so that who finds it new finds all the rest (Base 2.0,
 * 3.3.3.2.1). The caller has seen that there is room.
 */
void sim_nvme_complete(struct sim_nvme *n, uint16_t sqid, uint16_t cid, uint32_t result, uint16_t status)
{
	const struct sim_nvme_sq *sq = &n->sqs[sqid];
	struct sim_nvme_cq *cq = &n->cqs[sq->cqid];
	uint64_t at = cq->iova + (uint64_t)cq->tail * SIM_NVME_CQE_SIZE;
	uint64_t first = htole64(result);
	uint64_t second = htole64(sq->head | (uint64_t)sqid << 16 | (uint64_t)cid << 32 |
				  (uint64_t)cq->phase << 48 | (uint64_t)status << 49);

	if (sim_nvme_copy_out(n, at, &first, sizeof(first)) < 0 ||
	    sim_nvme_copy_out(n, at + sizeof(first), &second, sizeof(second)) < 0) {
		sim_nvme_fatal(n);
		return;
	}
	if (++cq->tail == cq->entries) {
		cq->tail = 0;
		cq->phase ^= 1;
	}
	cq->posted = true;
}

/* Fetching ---------------------------------------------------------------------------------------------- */

static uint32_t le32_at(const unsigned char *entry, unsigned int dword)
{
	return entry[4 * dword] | entry[4 * dword + 1] << 8 | entry[4 * dword + 2] << 16 |
	       (uint32_t)entry[4 * dword + 3] << 24;
}

static uint64_t le64_at(const unsigned char *entry, unsigned int dword)
{
	return le32_at(entry, dword) | (uint64_t)le32_at(entry, dword + 1) << 32;
}

static struct sim_nvme_command decode(const unsigned char *entry, uint16_t sqid)
{
	uint32_t cdw0 = le32_at(entry, 0);

	return (struct sim_nvme_command){
		.opcode = cdw0 & 0xff,
		.flags = cdw0 >> 8 & 0xff,
		.cid = (uint16_t)(cdw0 >> 16),
		.sqid = sqid,
		.nsid = le32_at(entry, 1),
		.prp1 = le64_at(entry, 6),
		.prp2 = le64_at(entry, 8),
		.cdw10 = le32_at(entry, 10),
		.cdw11 = le32_at(entry, 11),
		.cdw12 = le32_at(entry, 12),
		.cdw13 = le32_at(entry, 13),
		.cdw14 = le32_at(entry, 14),
		.cdw15 = le32_at(entry, 15),
	};
}

/*
 * Fused operations are announced by nothing in the identify data. SGLs are, but for I/O commands alone, and none for metadata (Base 2.0,
 * 3.3.3.1: FUSE, PSDT).
 */
static uint16_t execute(struct sim_nvme *n, const struct sim_nvme_command *command, uint32_t *result)
{
	if (command->flags & (command->sqid == 0 ? 0xc3 : 0x83))
		return SIM_NVME_GENERIC(NVME_SC_INVALID_FIELD);
	return command->sqid == 0 ? sim_nvme_admin(n, command, result) : sim_nvme_io(n, command);
}

/* False: the command waits for a page, and has not been. */
static bool serve(struct sim_nvme *n, uint16_t sqid)
{
	struct sim_nvme_sq *sq = &n->sqs[sqid];
	const uint32_t head = sq->head;
	unsigned char entry[SIM_NVME_SQE_SIZE];
	struct sim_nvme_command command;
	uint32_t result = 0;
	uint16_t status;

	n->waits = false;
	if (sim_nvme_copy_in(n, sq->iova + (uint64_t)head * SIM_NVME_SQE_SIZE, entry, sizeof(entry)) < 0) {
		if (!n->waits)
			sim_nvme_fatal(n);
		return !n->waits;
	}
	sq->head = (sq->head + 1) % sq->entries;
	command = decode(entry, sqid);
	if (sqid != 0 && sim_nvme_is_lost(n, &command))
		return true;
	status = execute(n, &command, &result);
	if (n->waits) {
		sq->head = head;
		return false;
	}
	if (status == SIM_NVME_LATER)
		return true;
	if (status != NVME_SC_SUCCESS)
		sim_nvme_note_error(n, &command, status);
	if (sqid == 0 || sim_nvme_is_reported(n, &command, status))
		sim_nvme_complete(n, sqid, command.cid, result, status);
	return true;
}

bool sim_nvme_serve(struct sim_nvme *n)
{
	uint32_t num = n->max_queues + 1, i;

	for (i = 0; i < num; i++) {
		uint32_t sqid = (n->next_sq + i) % num;
		const struct sim_nvme_sq *sq = &n->sqs[sqid];

		if (sq->entries == 0 || sq->head == sq->tail || sim_nvme_cq_full(&n->cqs[sq->cqid]))
			continue;
		if (!serve(n, (uint16_t)sqid))
			continue;
		n->next_sq = (sqid + 1) % num;
		return true;
	}
	return false;
}

/* Interrupts -------------------------------------------------------------------------------------------- */

/*
 * The pin is up while a queue that may interrupt has something to read, unless its vector is masked (PCIe
 * Transport 1.0, 3.5.1).
 */
void sim_nvme_drive_pin(struct sim_nvme *n)
{
	bool asserted = false;
	uint32_t i;

	for (i = 0; i <= n->max_queues && !asserted; i++) {
		const struct sim_nvme_cq *cq = &n->cqs[i];

		asserted = cq->entries != 0 && cq->interrupts && cq->head != cq->tail &&
			   !(cq->vector < 32 && n->interrupt_mask >> cq->vector & 1);
	}
	if (asserted == n->pin)
		return;
	n->pin = asserted;
	weir_sim_device_intx(n->device, asserted);
}

/*
 * Messages and the pin: the machine passes on what the program has enabled. One message for whatever a
 * step has posted to a queue, so coalescing has nothing left to do.
 */
void sim_nvme_interrupt(struct sim_nvme *n)
{
	uint32_t i;

	for (i = 0; i <= n->max_queues; i++) {
		struct sim_nvme_cq *cq = &n->cqs[i];

		if (cq->posted && cq->interrupts)
			weir_sim_device_msi(n->device, cq->vector);
		cq->posted = false;
	}
	sim_nvme_drive_pin(n);
}
