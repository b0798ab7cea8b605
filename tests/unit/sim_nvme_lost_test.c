// SPDX-License-Identifier: MIT
/* The model of an NVMe controller: commands and completions that get lost on request, and who watches. */
#include <errno.h>
#include <string.h>

#include "sim_nvme_rig.h"

UNIT(sim_nvme_lost, swallowed_commands_never_complete)
{
	struct rig *rig = rig_open(t, NULL);
	struct cqe entry;

	rig_create(rig, 1);
	ASSERT_OK(weir_sim_nvme_swallow(&rig->bench->device, 2));
	EXPECT_EQ(rig_do(rig, 0,
			 (struct sqe){ .opcode = nvme_admin_identify,
				       .prp1 = RIG_ANSWER,
				       .cdw10 = NVME_IDENTIFY_CNS_CTRL },
			 NULL),
		  0); /* of I/O commands only */
	for (int i = 0; i < 3; i++)
		rig_put(rig, 1, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 });
	rig_ring(rig, 1);
	bench_run(rig->bench);
	EXPECT_TRUE(rig_take(rig, 1, &entry));
	EXPECT_EQ(entry.cid, rig->next_cid);
	EXPECT_EQ(entry.sq_head, 3);
	EXPECT_FALSE(rig_take(rig, 1, &entry));
}

struct fates {
	uint32_t num[WEIR_SIM_NVME_HELD + 1];
	struct weir_sim_nvme_taken last;
};

static void count_fate(void *fates, const struct weir_sim_nvme_taken *taken)
{
	struct fates *f = fates;

	f->num[taken->fate]++;
	f->last = *taken;
}

/* Put a write of one block, and let the controller work. */
static uint16_t put_write(struct rig *rig, uint64_t block, uint64_t prp1)
{
	uint16_t cid = rig_put(rig, 1, rig_transfer(nvme_cmd_write, block, 1, prp1, 0));

	rig_ring(rig, 1);
	bench_run(rig->bench);
	return cid;
}

/* The watcher hears of each; only what was reported has a completion; and what was not reported is on the disk. */
UNIT(sim_nvme_lost, unreported_commands_are_carried_out)
{
	struct rig *rig = rig_open(t, NULL);
	struct fates fates = { 0 };
	unsigned char *data = bench_at(rig->bench, RIG_DATA);
	struct cqe entry;

	rig_create(rig, 1);
	ASSERT_OK(weir_sim_nvme_watch(&rig->bench->device, count_fate, &fates));
	ASSERT_OK(weir_sim_nvme_leave_unreported(&rig->bench->device, 2));
	memset(data, 0x66, 512);
	put_write(rig, 5, RIG_DATA);
	EXPECT_FALSE(rig_take(rig, 1, &entry));
	EXPECT_EQ(fates.num[WEIR_SIM_NVME_UNREPORTED], 1);
	EXPECT_EQ(fates.last.block, 5);
	EXPECT_EQ(fates.last.opcode, nvme_cmd_write);
	EXPECT_EQ(fates.last.status, 0);
	put_write(rig, 6, RIG_NOWHERE);
	EXPECT_FALSE(rig_take(rig, 1, &entry));
	EXPECT_EQ(fates.num[WEIR_SIM_NVME_UNREPORTED], 2);
	EXPECT_NE(fates.last.status, 0);
	memset(data, 0, 512);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 5, 1, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(data[511], 0x66);
	EXPECT_EQ(fates.num[WEIR_SIM_NVME_COMPLETED], 1);
	ASSERT_OK(weir_sim_nvme_watch(&rig->bench->device, NULL, NULL));
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 5, 1, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(fates.num[WEIR_SIM_NVME_COMPLETED], 1);
}

static uint32_t abort_of(struct rig *rig, uint16_t cid)
{
	uint32_t result = 0;
	struct sqe command = { .opcode = nvme_admin_abort_cmd, .cdw10 = (uint32_t)cid << 16 | 1 };

	EXPECT_EQ(rig_do(rig, 0, command, &result), 0);
	return result;
}

UNIT(sim_nvme_lost, held_commands_wait_to_be_aborted)
{
	struct rig *rig = rig_open(t, NULL);
	struct fates fates = { 0 };
	uint16_t first, second;
	struct cqe entry;

	rig_create(rig, 1);
	ASSERT_OK(weir_sim_nvme_watch(&rig->bench->device, count_fate, &fates));
	ASSERT_OK(weir_sim_nvme_hold(&rig->bench->device, 2));
	first = put_write(rig, 5, RIG_DATA);
	second = put_write(rig, 6, RIG_DATA);
	EXPECT_FALSE(rig_take(rig, 1, &entry));
	EXPECT_EQ(fates.num[WEIR_SIM_NVME_HELD], 2);
	EXPECT_EQ(abort_of(rig, second), 0);
	ASSERT_TRUE(rig_take(rig, 1, &entry));
	EXPECT_EQ(entry.cid, second);
	EXPECT_EQ(entry.status >> 1, NVME_SC_ABORT_REQ);
	EXPECT_EQ(abort_of(rig, second), 1);
	/* The other ends with its queue. */
	EXPECT_EQ(rig_do(rig, 0, (struct sqe){ .opcode = nvme_admin_delete_sq, .cdw10 = 1 }, NULL), 0);
	EXPECT_EQ(abort_of(rig, first), 1);
	EXPECT_EQ(fates.num[WEIR_SIM_NVME_COMPLETED], 0);
}

UNIT(sim_nvme_lost, only_a_controller_can_swallow)
{
	struct bench *bench = bench_open(t);

	ASSERT_OK(weir_sim_add_edu(bench_sim(bench), NULL, NULL, NULL));
	EXPECT_ERR(-EINVAL, weir_sim_nvme_hold(&bench->device, 1));
	EXPECT_ERR(-EINVAL, weir_sim_nvme_leave_unreported(&bench->device, 1));
	EXPECT_ERR(-EINVAL, weir_sim_nvme_watch(&bench->device, NULL, NULL));
	EXPECT_ERR(-EINVAL, weir_sim_nvme_swallow(&bench->device, 1));
	EXPECT_CONTAINS(weir_error(), "edu");
}
