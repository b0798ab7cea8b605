// SPDX-License-Identifier: MIT
/* The model of an NVMe controller, and a driver that means it harm. */
#include <string.h>

#include "sim_nvme_rig.h"

enum { PAGE = 4096 };

#define CMB (1ull << 40) /* where the driver puts the controller's memory */

/* The same numbers in every run. */
static uint32_t chance(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Most often something that could make sense. */
static struct sqe any_command(uint64_t *seed)
{
	static const uint64_t addresses[] = { RIG_DATA,  RIG_LISTS,   RIG_LISTS + PAGE - 8,  RIG_QUEUES,
					      RIG_ADMIN, RIG_NOWHERE, UINT64_MAX & ~4095ull, CMB };
	struct sqe command = {
		.opcode = (uint8_t)(chance(seed) % 13),
		.nsid = chance(seed) % 3,
		.prp1 = addresses[chance(seed) % 8] + (chance(seed) % 4 ? 0 : chance(seed) % PAGE),
		.prp2 = addresses[chance(seed) % 8] + (chance(seed) % 4 ? 0 : chance(seed) % PAGE),
		.cdw10 = chance(seed) % 3 ? chance(seed) % 16 : chance(seed) << (chance(seed) % 32),
		.cdw11 = chance(seed) % 3 ? chance(seed) % 4 : chance(seed) << (chance(seed) % 32),
		.cdw12 = chance(seed) % 3 ? chance(seed) % 32 : chance(seed),
	};

	if (chance(seed) % 3)
		command.cdw10 = (chance(seed) % 64) << 16 | chance(seed) % 6;
	if (chance(seed) % 16 == 0)
		command.flags = (uint8_t)chance(seed);
	return command;
}

/* Sixteen commands, some of them well-formed, and a doorbell that says so of a few. */
static void do_commands(struct rig *rig, uint64_t *seed)
{
	unsigned int qid = chance(seed) % 2 ? 0 : chance(seed) % 6;
	struct sqe *sq = bench_at(rig->bench, qid ? RIG_QUEUES + qid * 0x10000 : RIG_ADMIN);
	struct rig_ring *ring = &rig->rings[qid];
	struct cqe entry;

	for (int i = 0; i < 16; i++) {
		unsigned int other = 1 + chance(seed) % 5;
		struct sqe command = any_command(seed);

		if (chance(seed) % 4 == 0)
			command = chance(seed) % 2 ? rig_create_cq(other, RIG_ENTRIES)
						   : rig_create_sq(other, RIG_ENTRIES);
		sq[chance(seed) % (qid ? RIG_ENTRIES : RIG_ADMIN_ENTRIES)] = command;
	}
	ring->sq_tail = (ring->sq_tail + chance(seed) % 4) % (qid ? RIG_ENTRIES : RIG_ADMIN_ENTRIES);
	rig_ring(rig, qid);
	bench_run(rig->bench);
	while (qid == 0 && rig_take(rig, 0, &entry))
		continue;
	for (uint32_t head = 0; qid != 0 && head < RIG_ENTRIES; head++)
		rig_doorbell(rig, qid, true, head);
}

static void do_harm(struct rig *rig, uint64_t *seed)
{
	struct bench *bench = rig->bench;
	uint32_t what = chance(seed) % 64;

	if (bench_read32(bench, NVME_REG_CSTS) != RIG_RDY) { /* it has had enough */
		memset(rig->rings, 0, sizeof(rig->rings));
		bench_write32(bench, NVME_REG_CC, 0);
		rig_start(rig, RIG_CC | 1);
	}
	if (what == 0)
		bench_write32(bench, NVME_REG_CC, chance(seed) % 4 ? RIG_CC | 1 : chance(seed));
	else if (what == 1)
		bench_write32(bench, (chance(seed) % 0x400) * 4, chance(seed));
	else if (what < 4)
		bench_write32(bench, 0x1000 + chance(seed) % 12 * 4, chance(seed) % 40);
	else if (what == 4)
		bench->model.write(bench->device.state, 0, chance(seed) % 0x1000, 1u << chance(seed) % 2,
				   chance(seed));
	else
		do_commands(rig, seed);
	bench_run(bench);
}

/* Whatever the driver does, it can be reset, and then serves the next one. */
UNIT(sim_nvme_harm, any_writes_leave_a_controller_that_can_be_reset)
{
	struct rig *rig = rig_new(
		t, &WEIR_OPTS(weir_sim_nvme_opts, .max_queues = 5, .cmb_mib = 1, .capacity = 1 << 20));
	struct bench *bench = rig->bench;
	uint64_t seed = 1, num_dma;

	for (int round = 0; round < 40; round++) {
		t_note(t, "round %d", round);
		bench_write32(bench, NVME_REG_CC, 0);
		bench_run(bench);
		ASSERT_EQ(rig_start(rig, RIG_CC | 1) & (RIG_RDY | RIG_CFS), RIG_RDY);
		num_dma = bench->num_dma;
		for (int i = 0; i < 200; i++)
			do_harm(rig, &seed);
		EXPECT_GT(bench->num_dma, num_dma + 400); /* it did take commands */
		memset(bench->messages, 0, sizeof(bench->messages));
		bench->model.reset(bench->device.state);
		ASSERT_EQ(rig_start(rig, RIG_CC | 1), RIG_RDY);
		rig_create(rig, 1);
		EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 1, RIG_DATA, 0), NULL), 0);
	}
}
