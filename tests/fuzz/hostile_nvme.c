// SPDX-License-Identifier: MIT
/* A controller that lies: what it does. hostile_weir.c has the weir on top. */
#include "fuzz/hostile_nvme.h"

#include <errno.h>

#include "fuzz/hostile_nvme_parts.h"

enum { IDENTIFY = 4096, MOST_CALLS = 400000 };

struct liar liar;

void liar_begin(struct input in)
{
	uint8_t ways;

	liar = (struct liar){ .in = in };
	ways = in_u8(&liar.in);
	/* Eight entries or thirty-two, half a second, the NVM command set; or whatever it says. */
	liar.cap = (ways & 1 ? 31 : 7) | 1ull << 24 | 1ull << 37;
	if (ways >= 224)
		liar.cap = in_u64(&liar.in);
	liar.mapped = ways & 8;
	stub = (struct stub){ .fails = liar_fails,
			      .class_code = 0x010802,
			      .bar_size = LIAR_BAR,
			      .num_msix = ways & 2 ? 4 : 0,
			      .num_msi = ways & 4 ? 1 : 0,
			      .irq_error = -ENOSPC };
}

void liar_end(void)
{
	CHECK(stub_is_clean());
}

bool liar_lies(void)
{
	if (++liar.calls > MOST_CALLS)
		fail("more than %d calls", MOST_CALLS);
	return !in_empty(&liar.in) && in_u8(&liar.in) >= 200;
}

/* Completions ---------------------------------------------------------------------------------------------- */

static void post(struct liar_ring *ring, uint32_t result, uint16_t sqid, uint16_t cid, uint16_t status)
{
	struct nvme_cqe *entry = &ring->cq[ring->cq_tail];

	if (!stub.bus_master || !stub_reaches(entry, sizeof(*entry)))
		return;
	entry->qword[0] = htole64(result);
	entry->qword[1] = htole64(ring->sq_head | (uint64_t)sqid << 16 | (uint64_t)cid << 32 |
				  (uint64_t)ring->phase << 48 | (uint64_t)status << 49);
	if (++ring->cq_tail == ring->entries) {
		ring->cq_tail = 0;
		ring->phase ^= 1;
	}
}

/* A completion of something, a slip of one field, or bytes somewhere in the queue. */
static void post_nonsense(struct liar_ring *ring, uint16_t qid)
{
	uint8_t how = in_u8(&liar.in);
	struct nvme_cqe *entry;

	liar.lied_of_events |= qid == 0;

	if (how < 128) {
		post(ring, in_u8(&liar.in), how & 1 ? qid : in_u8(&liar.in),
		     how & 2 ? in_u8(&liar.in) % 40 : in_u16(&liar.in), how & 4 ? in_u16(&liar.in) : 0);
		return;
	}
	entry = &ring->cq[in_u8(&liar.in) % ring->entries];
	if (stub.bus_master && stub_reaches(entry, sizeof(*entry)))
		in_bytes(&liar.in, entry, sizeof(*entry));
}

/* Data ----------------------------------------------------------------------------------------------------- */

/* Base 2.0, 4.1.2: so must be what descriptors name, and the list of them. */
static void check_descriptors(const struct nvme_sqe *command, uint64_t len)
{
	uint64_t address = le64toh(command->qword[3]), word = le64toh(command->qword[4]), sum = 0;
	const uint64_t *list = (const uint64_t *)(uintptr_t)address;
	uint32_t num = (uint32_t)word / 16;

	CHECK(liar.sgl);
	if (word >> 56 == 0) {
		CHECK((uint32_t)word >= len && stub_reaches((void *)(uintptr_t)address, (uint32_t)word));
		return;
	}
	CHECK(word >> 56 == 0x30 && num > 0 && (uint32_t)word % 16 == 0 &&
	      stub_reaches(list, (uint32_t)word));
	for (uint32_t i = 0; i < num; i++) {
		uint64_t piece = le64toh(list[2 * i + 1]);

		CHECK(piece >> 32 == 0 && stub_reaches((void *)(uintptr_t)le64toh(list[2 * i]), piece));
		sum += piece;
	}
	CHECK(sum >= len);
}

/* Base 2.0, 4.1.1: every page that the driver names must be a buffer's. */
static void check_data(const struct nvme_sqe *command, uint64_t len)
{
	uint64_t prp = le64toh(command->qword[3]), prp2 = le64toh(command->qword[4]),
		 part = 4096 - prp % 4096;
	const uint64_t *list = (const uint64_t *)(uintptr_t)prp2;

	part = len < part ? len : part;
	CHECK(stub_reaches((void *)(uintptr_t)prp, part));
	len -= part;
	if (len && len <= 4096)
		CHECK(prp2 % 4096 == 0 && stub_reaches((void *)(uintptr_t)prp2, len));
	for (; len > 4096 || (len && list != (const uint64_t *)(uintptr_t)prp2); len -= part, list++) {
		if (((uintptr_t)(list + 1) & 4095) == 0 && len > 4096) {
			CHECK(stub_reaches(list, sizeof(*list)) && le64toh(*list) % 4096 == 0);
			list = (const uint64_t *)(uintptr_t)le64toh(*list);
		}
		part = len < 4096 ? len : 4096;
		CHECK(stub_reaches(list, sizeof(*list)));
		CHECK(le64toh(*list) % 4096 == 0 && stub_reaches((void *)(uintptr_t)le64toh(*list), part));
	}
}

static void identify(const struct nvme_sqe *command, uint32_t cdw10)
{
	unsigned char *page = (unsigned char *)(uintptr_t)le64toh(command->qword[3]);
	struct nvme_id_ctrl *ctrl = (void *)page;
	struct nvme_id_ns *ns = (void *)page;

	CHECK(stub_reaches(page, IDENTIFY));
	memset(page, 0, IDENTIFY);
	if ((cdw10 & 0xff) == NVME_IDENTIFY_CNS_CTRL) {
		ctrl->sqes = 0x66;
		ctrl->cqes = 0x44;
		ctrl->mdts = 2;
		ctrl->nn = htole32(2);
		ctrl->sgls = htole32(1);
		ctrl->oacs = htole16(NVME_CTRL_OACS_DBBUF_CFG);
		ctrl->oncs =
			htole16(NVME_CTRL_ONCS_COMPARE | NVME_CTRL_ONCS_DSM | NVME_CTRL_ONCS_WRITE_ZEROES);
		ctrl->aerl = 3;
	} else if ((cdw10 & 0xff) == NVME_IDENTIFY_CNS_NS_ACTIVE_LIST) {
		page[0] = 1;
	} else {
		ns->nsze = htole64(1000);
		ns->lbaf[0].ds = 9;
	}
	for (unsigned int i = liar_lies() ? in_u8(&liar.in) % 16 : 0; i; i--) {
		static const uint16_t fields[] = { 77, 111, 100, 512, 513, 516, 525,
						   0,  25,  26,  128, 130, 7,   520 };
		uint16_t at = in_u8(&liar.in) < 160 ? in_pick(&liar.in, fields) : in_u16(&liar.in) % IDENTIFY;

		page[at] = in_u8(&liar.in);
	}
}

/* Commands ------------------------------------------------------------------------------------------------- */

static uint16_t create(const struct nvme_sqe *command, uint32_t cdw10, bool completion)
{
	uint32_t qid = cdw10 & 0xffff;
	struct liar_ring *ring = &liar.rings[qid % (LIAR_QUEUES + 1)];
	void *memory = (void *)(uintptr_t)le64toh(command->qword[3]);
	uint32_t entries = (cdw10 >> 16) + 1;

	if (!qid || qid > LIAR_QUEUES || (!completion && !ring->cq))
		return NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_QID_INVALID;
	CHECK(stub_reaches(memory, (size_t)entries * (completion ? 16 : 64)));
	liar_forget_doorbells(qid);
	if (completion)
		*ring = (struct liar_ring){ .cq = memory, .entries = entries, .phase = 1 };
	else
		ring->sq = memory;
	return 0;
}

static uint16_t admin(const struct nvme_sqe *command, uint32_t *ret_result)
{
	uint32_t cdw10 = (uint32_t)le64toh(command->qword[5]);
	uint8_t opcode = (uint8_t)le64toh(command->qword[0]);

	*ret_result = 0;
	switch (opcode) {
	case nvme_admin_identify:
		identify(command, cdw10);
		return 0;
	case nvme_admin_set_features:
		*ret_result = liar_lies() ? in_u32(&liar.in) : (LIAR_QUEUES - 1) << 16 | (LIAR_QUEUES - 1);
		return 0;
	case nvme_admin_get_log_page:
		CHECK(stub_reaches((void *)(uintptr_t)le64toh(command->qword[3]), IDENTIFY));
		in_bytes(&liar.in, (void *)(uintptr_t)le64toh(command->qword[3]), 16);
		return 0;
	case nvme_admin_dbbuf:
		liar.shadows = (const uint32_t *)(uintptr_t)le64toh(command->qword[3]);
		liar.asked = (uint32_t *)(uintptr_t)le64toh(command->qword[4]);
		CHECK(stub_reaches(liar.shadows, IDENTIFY) && stub_reaches(liar.asked, IDENTIFY));
		return 0;
	case nvme_admin_abort_cmd:
		*ret_result = liar_lies();
		return 0;
	case nvme_admin_create_cq:
	case nvme_admin_create_sq:
		return create(command, cdw10, opcode == nvme_admin_create_cq);
	case nvme_admin_delete_cq:
		liar.rings[cdw10 % (LIAR_QUEUES + 1)].cq = NULL;
		liar.rings[cdw10 % (LIAR_QUEUES + 1)].sq = NULL;
		return 0;
	case nvme_admin_delete_sq:
		liar.rings[cdw10 % (LIAR_QUEUES + 1)].sq = NULL;
		return 0;
	default:
		return NVME_SC_INVALID_OPCODE;
	}
}

static uint16_t read_or_write(const struct nvme_sqe *command)
{
	uint8_t opcode = (uint8_t)le64toh(command->qword[0]);

	uint64_t len = ((le64toh(command->qword[6]) & 0xffff) + 1) * 512;

	if (opcode == nvme_cmd_flush || opcode == nvme_cmd_write_zeroes)
		return 0;
	if (opcode == nvme_cmd_dsm)
		len = 16;
	/* Blocks are of 512 bytes unless the controller has said otherwise; less is never moved than that. */
	if (le64toh(command->qword[0]) & NVME_SQE_SGL)
		check_descriptors(command, len);
	else
		check_data(command, len);
	return 0;
}

static void serve(struct liar_ring *ring, uint16_t qid)
{
	struct nvme_sqe command = ring->sq[ring->sq_head];
	uint16_t cid = (uint16_t)(le64toh(command.qword[0]) >> 16), status;
	uint32_t result = 0;

	ring->sq_head = (ring->sq_head + 1) % ring->entries;
	if (!qid && (uint8_t)le64toh(command.qword[0]) == nvme_admin_async_event) {
		/* The driver believes a completion that names a request which is still in the book here, and asks again. */
		CHECK(liar.num_aers < 4 || liar.lied_of_events);
		if (liar.num_aers < 4)
			liar.aers[liar.num_aers++] = cid;
		return;
	}
	status = qid ? read_or_write(&command) : admin(&command, &result);
	if (!ring->cq) /* it deleted itself */
		return;
	if (liar_lies()) {
		uint8_t how = in_u8(&liar.in);

		if (how < 64) /* never to be heard of again */
			return;
		if (how < 128)
			post_nonsense(ring, qid);
		if (how < 192)
			status = in_u16(&liar.in);
	}
	post(ring, result, qid, cid, status);
}

/* Doorbells in memory: looked at now and then, and where it wants to be rung is what it likes. */
static void look_at_shadows(void)
{
	for (uint32_t qid = 1; qid <= LIAR_QUEUES; qid++) {
		liar_doorbell(2 * qid, le32toh(liar.shadows[2 * qid]));
		liar.asked[2 * qid] = htole32(liar_lies() ? in_u8(&liar.in) : liar.rings[qid].sq_tail);
	}
}

static void tell_event(void)
{
	uint16_t cid = liar.aers[--liar.num_aers];

	post(&liar.rings[0], in_u32(&liar.in), 0, cid, liar_lies() ? in_u16(&liar.in) : 0);
}

/* Time to do something. */
void liar_act(void)
{
	if (!liar.csts)
		return;
	if (liar.shadows && stub.bus_master)
		look_at_shadows();
	if (liar.num_aers && liar.rings[0].cq && liar_lies())
		tell_event();
	for (uint16_t qid = 0; qid <= LIAR_QUEUES; qid++) {
		struct liar_ring *ring = &liar.rings[qid];

		if (ring->cq && liar_lies())
			post_nonsense(ring, qid);
		while (ring->sq && ring->cq && ring->sq_head != ring->sq_tail) {
			CHECK(stub_reaches(&ring->sq[ring->sq_head], sizeof(*ring->sq)));
			serve(ring, qid);
		}
	}
}

/* Registers ------------------------------------------------------------------------------------------------ */

void liar_doorbell(uint32_t index, uint32_t value)
{
	struct liar_ring *ring = &liar.rings[index / 2 % (LIAR_QUEUES + 1)];

	if (index % 2 || !ring->sq || index / 2 > LIAR_QUEUES)
		return;
	CHECK(value < ring->entries);
	ring->sq_tail = value;
}

static void start(void)
{
	liar.csts = 1;
	liar.rings[0] = (struct liar_ring){ .sq = (struct nvme_sqe *)(uintptr_t)liar.asq,
					    .cq = (struct nvme_cqe *)(uintptr_t)liar.acq,
					    .entries = (liar.aqa & 0xfff) + 1,
					    .phase = 1 };
}

static uint32_t *half_of(uint64_t *value, bool upper)
{
	return (uint32_t *)value + upper; /* little-endian machines are what is fuzzed on */
}

void liar_write(uint64_t offset, uint32_t value)
{
	switch (offset) {
	case NVME_REG_CC:
		if (!NVME_CC_EN(value)) {
			liar.csts = 0;
			liar.shadows = NULL;
			liar.num_aers = 0;
			memset(liar.rings, 0, sizeof(liar.rings));
		} else if (!NVME_CC_EN(liar.cc)) {
			start();
		}
		liar.cc = value;
		return;
	case NVME_REG_AQA:
		liar.aqa = value;
		return;
	case NVME_REG_ASQ:
	case NVME_REG_ASQ + 4:
		*half_of(&liar.asq, offset != NVME_REG_ASQ) = value;
		return;
	case NVME_REG_ACQ:
	case NVME_REG_ACQ + 4:
		*half_of(&liar.acq, offset != NVME_REG_ACQ) = value;
		return;
	default:
		break;
	}
	if (offset >= NVME_DOORBELLS)
		liar_doorbell((uint32_t)((offset - NVME_DOORBELLS) / (4u << NVME_CAP_DSTRD(liar.cap))),
			      value);
}

uint32_t liar_read(uint64_t offset)
{
	if (liar.gone)
		return UINT32_MAX;
	/* Of its capabilities it tells one story only: how far its doorbells are apart is in them. */
	if (offset > NVME_REG_CAP + 4 && liar_lies())
		return in_u8(&liar.in) < 128 ? in_u8(&liar.in) : in_u32(&liar.in);
	switch (offset) {
	case NVME_REG_CAP:
	case NVME_REG_CAP + 4:
		return *half_of(&liar.cap, offset != NVME_REG_CAP);
	case NVME_REG_VS:
		return 0x00010400;
	case NVME_REG_CC:
		return liar.cc;
	case NVME_REG_CSTS:
		return liar.csts | (NVME_CC_SHN(liar.cc) ? NVME_CSTS_SHST_CMPLT << NVME_CSTS_SHST_SHIFT : 0);
	default:
		return 0;
	}
}
