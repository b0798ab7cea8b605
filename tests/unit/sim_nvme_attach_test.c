// SPDX-License-Identifier: MIT
/* The model of an NVMe controller: its namespace taken away and given back. */
#include <string.h>

#include "sim_nvme_rig.h"

enum { ATTACH, DETACH, NOTICE = 0x00040002 };

/* Attach or detach, for the controller @id, which is one of @num. */
static uint16_t attach(struct rig *rig, uint32_t select, uint32_t nsid, uint16_t id, uint16_t num)
{
	uint16_t *list = bench_at(rig->bench, RIG_DATA);

	list[0] = htole16(num);
	list[1] = htole16(id);
	return rig_do(
		rig, 0,
		(struct sqe){
			.opcode = nvme_admin_ns_attach, .nsid = nsid, .prp1 = RIG_DATA, .cdw10 = select },
		NULL);
}

/* Identify or get log page: the first word of the answer. */
static uint32_t first_word(struct rig *rig, struct sqe command)
{
	const uint32_t *answer = bench_at(rig->bench, RIG_ANSWER);

	command.prp1 = RIG_ANSWER;
	EXPECT_EQ(rig_do(rig, 0, command, NULL), 0);
	return le32toh(*answer);
}

static const struct sqe list_of_active = { .opcode = nvme_admin_identify,
					   .cdw10 = NVME_IDENTIFY_CNS_NS_ACTIVE_LIST },
			about_one = { .opcode = nvme_admin_identify, .nsid = 1 },
			changes = { .opcode = nvme_admin_get_log_page,
				    .nsid = UINT32_MAX,
				    .cdw10 = 1023u << 16 | NVME_LOG_LID_CHANGED_NS };

UNIT(sim_nvme_attach, what_is_detached_is_not_there)
{
	struct rig *rig = rig_open(t, NULL);

	rig_create(rig, 1);
	EXPECT_EQ(attach(rig, DETACH, 1, 0, 1), 0);
	EXPECT_EQ(first_word(rig, list_of_active), 0);
	EXPECT_EQ(first_word(rig, about_one), 0);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 8, RIG_DATA, 0), NULL),
		  RIG_DNR | NVME_SC_INVALID_FIELD);
	/* A reset does not bring it back. */
	bench_write32(rig->bench, NVME_REG_CC, RIG_CC);
	EXPECT_EQ(rig_start(rig, RIG_CC | 1), RIG_RDY);
	EXPECT_EQ(first_word(rig, list_of_active), 0);
	EXPECT_EQ(attach(rig, ATTACH, 1, 0, 1), 0);
	EXPECT_EQ(first_word(rig, list_of_active), 1);
	EXPECT_NE(first_word(rig, about_one), 0);
}

UNIT(sim_nvme_attach, what_cannot_be_is_refused)
{
	static const struct {
		uint32_t select, nsid;
		uint16_t id, num, status;
	} rows[] = {
		{ ATTACH, 1, 0, 1, RIG_SPECIFIC | NVME_SC_NS_ALREADY_ATTACHED },
		{ DETACH, 0, 0, 1, NVME_SC_INVALID_NS },
		{ DETACH, 257, 0, 1, NVME_SC_INVALID_NS },
		{ DETACH, 2, 0, 1, NVME_SC_INVALID_FIELD },
		{ 2, 1, 0, 1, NVME_SC_INVALID_FIELD },
		{ DETACH, 1, 1, 1, RIG_SPECIFIC | NVME_SC_CTRL_LIST_INVALID },
		{ DETACH, 1, 0, 0, RIG_SPECIFIC | NVME_SC_CTRL_LIST_INVALID },
		{ DETACH, 1, 0, 2, RIG_SPECIFIC | NVME_SC_CTRL_LIST_INVALID },
	};
	struct rig *rig = rig_open(t, NULL);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		EXPECT_EQ(attach(rig, rows[i].select, rows[i].nsid, rows[i].id, rows[i].num),
			  RIG_DNR | rows[i].status);
	}
	EXPECT_EQ(first_word(rig, changes), 0);
	EXPECT_EQ(attach(rig, DETACH, 1, 0, 1), 0);
	EXPECT_EQ(attach(rig, DETACH, 1, 0, 1), RIG_DNR | RIG_SPECIFIC | NVME_SC_NS_NOT_ATTACHED);
}

/* Told once, until the list has been read, which forgets it. */
UNIT(sim_nvme_attach, changes_are_told_and_listed)
{
	struct rig *rig = rig_open(t, NULL);
	struct cqe entry;

	EXPECT_EQ(rig_do(rig, 0,
			 (struct sqe){ .opcode = nvme_admin_set_features,
				       .cdw10 = NVME_FEAT_FID_ASYNC_EVENT,
				       .cdw11 = 1 << 8 },
			 NULL),
		  0);
	EXPECT_EQ(attach(rig, DETACH, 1, 0, 1), 0);
	rig_put(rig, 0, (struct sqe){ .opcode = nvme_admin_async_event });
	rig_put(rig, 0, (struct sqe){ .opcode = nvme_admin_async_event });
	rig_ring(rig, 0);
	bench_run(rig->bench);
	ASSERT_TRUE(rig_take(rig, 0, &entry));
	EXPECT_EQ(entry.result, NOTICE);
	EXPECT_EQ(attach(rig, ATTACH, 1, 0, 1), 0);
	bench_run(rig->bench);
	EXPECT_FALSE(rig_look(rig, 0, &entry));
	EXPECT_EQ(first_word(rig, changes), 1);
	EXPECT_EQ(first_word(rig, changes), 0);
	EXPECT_EQ(attach(rig, DETACH, 1, 0, 1), 0);
	bench_run(rig->bench);
	ASSERT_TRUE(rig_take(rig, 0, &entry));
	EXPECT_EQ(entry.result, NOTICE);
}
