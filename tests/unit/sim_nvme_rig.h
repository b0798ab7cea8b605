/* SPDX-License-Identifier: MIT */
/* The plainest of NVMe drivers, for the model on its bench: it does what the case says, right or wrong. */
#ifndef UNIT_SIM_NVME_RIG_H
#define UNIT_SIM_NVME_RIG_H

#include <nvme/types.h>

#include "sim_bench.h"

/* Where things are. Queue pair q has its rings at QUEUES + q * 64 KiB. */
#define RIG_ADMIN   (BENCH_IOVA + 0x0000)
#define RIG_ANSWER  (BENCH_IOVA + 0x4000) /* a page */
#define RIG_QUEUES  (BENCH_IOVA + 0x10000)
#define RIG_LISTS   (BENCH_IOVA + 0x800000)
#define RIG_DATA    (BENCH_IOVA + 0x1000000)
#define RIG_NOWHERE 0x1000 /* there is no memory at this IOVA */

enum {
	RIG_ADMIN_ENTRIES = 32,
	RIG_ENTRIES = 16, /* of an I/O queue */
	RIG_MAX_PAIRS = 8,

	RIG_CC = 6 << 16 | 4 << 20, /* entry sizes; all else is 0 */
	RIG_RDY = 1,
	RIG_CFS = 2,
	RIG_SHST = 3 << 2,

	/* Statuses. */
	RIG_DNR = 0x4000,
	RIG_SPECIFIC = 0x100,
	RIG_MEDIA = 0x200,
};

struct sqe {
	uint8_t opcode, flags;
	uint16_t cid;
	uint32_t nsid, cdw2, cdw3;
	uint64_t metadata, prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct cqe {
	uint32_t result, reserved;
	uint16_t sq_head, sqid, cid, status; /* with the phase */
};

struct rig {
	struct bench *bench;
	struct rig_ring {
		struct sqe *sq;
		struct cqe *cq;
		uint32_t entries, sq_tail, cq_head, phase;
	} rings[RIG_MAX_PAIRS + 1];
	uint16_t next_cid;
};

/*
 * A controller in the state it has after power on; the same, enabled and ready. NULL options: the
 * defaults.
 */
struct rig *rig_new(struct t *t, const struct weir_sim_nvme_opts *opts);
struct rig *rig_open(struct t *t, const struct weir_sim_nvme_opts *opts);

/* Set the admin queue up and enable the controller; let it work. Returns CSTS. */
uint32_t rig_start(struct rig *rig, uint32_t cc);

/*
 * Put a command into a ring, with the next identifier, which is returned; tell the controller of all that
 * were put.
 */
uint16_t rig_put(struct rig *rig, unsigned int qid, struct sqe command);
void rig_ring(struct rig *rig, unsigned int qid);

/* The next completion, if there is one; its entry is given back. rig_look(): it is not. */
bool rig_look(struct rig *rig, unsigned int qid, struct cqe *ret);
bool rig_take(struct rig *rig, unsigned int qid, struct cqe *ret);

/* Have one command carried out. Returns its status; *ret_result may be NULL. */
uint16_t rig_do(struct rig *rig, unsigned int qid, struct sqe command, uint32_t *ret_result);

/* Queue pair @qid of RIG_ENTRIES, with interrupts on vector @qid. */
void rig_create(struct rig *rig, unsigned int qid);
struct sqe rig_create_cq(unsigned int qid, uint32_t entries);
struct sqe rig_create_sq(unsigned int qid, uint32_t entries);

/* Doorbell of a submission queue, or completion queue. */
void rig_doorbell(struct rig *rig, unsigned int qid, bool completion, uint32_t value);

/* A read or write of namespace 1. */
struct sqe rig_transfer(uint8_t opcode, uint64_t block, uint32_t num_blocks, uint64_t prp1, uint64_t prp2);

#endif
