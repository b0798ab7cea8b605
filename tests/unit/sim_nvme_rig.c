// SPDX-License-Identifier: MIT
#include "sim_nvme_rig.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct sqe) == 64, "a submission queue entry has 64 bytes");
_Static_assert(sizeof(struct cqe) == 16, "a completion queue entry has 16 bytes");

struct rig *rig_new(struct t *t, const struct weir_sim_nvme_opts *opts)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	ASSERT_TRUE(rig);
	t_defer(t, free, rig);
	rig->bench = bench_open(t);
	ASSERT_OK(weir_sim_add_nvme(bench_sim(rig->bench), opts, NULL, NULL));
	return rig;
}

struct rig *rig_open(struct t *t, const struct weir_sim_nvme_opts *opts)
{
	struct rig *rig = rig_new(t, opts);

	ASSERT_EQ(rig_start(rig, RIG_CC | 1), RIG_RDY);
	return rig;
}

static void set_up_ring(struct rig *rig, unsigned int qid, uint64_t sq, uint64_t cq, uint32_t entries)
{
	rig->rings[qid] = (struct rig_ring){
		.sq = bench_at(rig->bench, sq), .cq = bench_at(rig->bench, cq), .entries = entries, .phase = 1
	};
	memset(rig->rings[qid].cq, 0, entries * sizeof(struct cqe));
}

uint32_t rig_start(struct rig *rig, uint32_t cc)
{
	struct bench *bench = rig->bench;

	set_up_ring(rig, 0, RIG_ADMIN, RIG_ADMIN + 0x2000, RIG_ADMIN_ENTRIES);
	bench_write32(bench, NVME_REG_AQA, (RIG_ADMIN_ENTRIES - 1) << 16 | (RIG_ADMIN_ENTRIES - 1));
	bench_write64(bench, NVME_REG_ASQ, RIG_ADMIN);
	bench_write64(bench, NVME_REG_ACQ, RIG_ADMIN + 0x2000);
	bench_write32(bench, NVME_REG_CC, cc);
	bench_run(bench);
	return bench_read32(bench, NVME_REG_CSTS);
}

void rig_doorbell(struct rig *rig, unsigned int qid, bool completion, uint32_t value)
{
	bench_write32(rig->bench, 0x1000 + 8 * qid + 4 * completion, value);
}

uint16_t rig_put(struct rig *rig, unsigned int qid, struct sqe command)
{
	struct rig_ring *ring = &rig->rings[qid];

	command.cid = ++rig->next_cid;
	ring->sq[ring->sq_tail] = command;
	ring->sq_tail = (ring->sq_tail + 1) % ring->entries;
	return command.cid;
}

void rig_ring(struct rig *rig, unsigned int qid)
{
	rig_doorbell(rig, qid, false, rig->rings[qid].sq_tail);
}

bool rig_look(struct rig *rig, unsigned int qid, struct cqe *ret)
{
	struct rig_ring *ring = &rig->rings[qid];

	*ret = ring->cq[ring->cq_head];
	return (ret->status & 1) == ring->phase;
}

bool rig_take(struct rig *rig, unsigned int qid, struct cqe *ret)
{
	struct rig_ring *ring = &rig->rings[qid];

	if (!rig_look(rig, qid, ret))
		return false;
	if (++ring->cq_head == ring->entries) {
		ring->cq_head = 0;
		ring->phase ^= 1;
	}
	rig_doorbell(rig, qid, true, ring->cq_head);
	return true;
}

uint16_t rig_do(struct rig *rig, unsigned int qid, struct sqe command, uint32_t *ret_result)
{
	uint16_t cid = rig_put(rig, qid, command);
	struct cqe entry;

	rig_ring(rig, qid);
	bench_run(rig->bench);
	if (!rig_take(rig, qid, &entry))
		FAIL("no completion of opcode 0x%02x", command.opcode);
	ASSERT_EQ(entry.cid, cid);
	ASSERT_EQ(entry.sqid, qid);
	ASSERT_EQ(entry.sq_head, rig->rings[qid].sq_tail);
	if (ret_result)
		*ret_result = entry.result;
	return entry.status >> 1;
}

struct sqe rig_create_cq(unsigned int qid, uint32_t entries)
{
	return (struct sqe){ .opcode = nvme_admin_create_cq,
			     .prp1 = RIG_QUEUES + qid * 0x10000u + 0x8000,
			     .cdw10 = (entries - 1) << 16 | qid,
			     .cdw11 = qid << 16 | 3 };
}

struct sqe rig_create_sq(unsigned int qid, uint32_t entries)
{
	return (struct sqe){ .opcode = nvme_admin_create_sq,
			     .prp1 = RIG_QUEUES + qid * 0x10000u,
			     .cdw10 = (entries - 1) << 16 | qid,
			     .cdw11 = qid << 16 | 1 };
}

void rig_create(struct rig *rig, unsigned int qid)
{
	struct sqe cq = rig_create_cq(qid, RIG_ENTRIES), sq = rig_create_sq(qid, RIG_ENTRIES);

	set_up_ring(rig, qid, sq.prp1, cq.prp1, RIG_ENTRIES);
	ASSERT_EQ(rig_do(rig, 0, cq, NULL), 0);
	ASSERT_EQ(rig_do(rig, 0, sq, NULL), 0);
}

struct sqe rig_transfer(uint8_t opcode, uint64_t block, uint32_t num_blocks, uint64_t prp1, uint64_t prp2)
{
	return (struct sqe){ .opcode = opcode,
			     .nsid = 1,
			     .prp1 = prp1,
			     .prp2 = prp2,
			     .cdw10 = (uint32_t)block,
			     .cdw11 = (uint32_t)(block >> 32),
			     .cdw12 = num_blocks - 1 };
}
