// SPDX-License-Identifier: MIT
/* The model of an NVMe controller: admin commands. */
#include <string.h>

#include "sim_nvme_rig.h"

static uint16_t identify(struct rig *rig, uint32_t cns, uint32_t nsid)
{
	memset(bench_at(rig->bench, RIG_ANSWER), 0xee, 4096);
	return rig_do(
		rig, 0,
		(struct sqe){ .opcode = nvme_admin_identify, .nsid = nsid, .prp1 = RIG_ANSWER, .cdw10 = cns },
		NULL);
}

static uint16_t set_feature(struct rig *rig, uint32_t id, uint32_t value, uint32_t *ret_result)
{
	return rig_do(rig, 0, (struct sqe){ .opcode = nvme_admin_set_features, .cdw10 = id, .cdw11 = value },
		      ret_result);
}

static uint16_t get_feature(struct rig *rig, uint32_t id, uint32_t cdw11, uint32_t *ret_result)
{
	return rig_do(rig, 0, (struct sqe){ .opcode = nvme_admin_get_features, .cdw10 = id, .cdw11 = cdw11 },
		      ret_result);
}

static uint16_t get_log(struct rig *rig, uint32_t log, uint64_t offset, uint32_t len)
{
	return rig_do(rig, 0,
		      (struct sqe){ .opcode = nvme_admin_get_log_page,
				    .nsid = UINT32_MAX,
				    .prp1 = RIG_ANSWER,
				    .prp2 = RIG_ANSWER + 0x1000,
				    .cdw10 = (len / 4 - 1) << 16 | log,
				    .cdw11 = (len / 4 - 1) >> 16,
				    .cdw12 = (uint32_t)offset,
				    .cdw13 = (uint32_t)(offset >> 32) },
		      NULL);
}

/* Identify ---------------------------------------------------------------------------------------------- */

UNIT(sim_nvme_admin, identifies_itself)
{
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .serial = "S-1", .mdts = 5));
	const struct nvme_id_ctrl *id = bench_at(rig->bench, RIG_ANSWER);

	ASSERT_EQ(identify(rig, NVME_IDENTIFY_CNS_CTRL, 0), 0);
	EXPECT_EQ(le16toh(id->vid), 0x1b36);
	EXPECT_MEMEQ(id->sn, "S-1                 ", 20);
	EXPECT_MEMEQ(id->mn, "QEMU NVMe Ctrl                          ", 40);
	EXPECT_EQ(id->mdts, 5);
	EXPECT_EQ(le32toh(id->ver), 0x10400);
	EXPECT_EQ(id->sqes, 0x66);
	EXPECT_EQ(id->cqes, 0x44);
	EXPECT_EQ(le32toh(id->sgls), 1);
	EXPECT_CONTAINS(id->subnqn, "nqn.2014-08.org.nvmexpress:uuid:");
	EXPECT_EQ(strlen(id->subnqn), 68);
}

UNIT(sim_nvme_admin, identifies_its_namespace)
{
	struct rig *rig =
		rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .capacity = 1 << 20, .block_size = 4096));
	const struct nvme_id_ns *id = bench_at(rig->bench, RIG_ANSWER);
	const unsigned char *bytes = bench_at(rig->bench, RIG_ANSWER);

	ASSERT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS, 1), 0);
	EXPECT_EQ(le64toh(id->nsze), 256);
	EXPECT_EQ(id->nlbaf, 0);
	EXPECT_EQ(id->lbaf[0].ds, 12);
	EXPECT_EQ(le16toh(id->lbaf[0].ms), 0);
	EXPECT_EQ(id->nsattr, 0);

	/* One that could exist is all zeros, one that could not is an error (5.17.2.1). */
	ASSERT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS, 256), 0);
	EXPECT_EQ(bytes[0], 0);
	EXPECT_MEMEQ(bytes, bytes + 1, 4095);
	EXPECT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS, 257), RIG_DNR | NVME_SC_INVALID_NS);
	EXPECT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS, 0), RIG_DNR | NVME_SC_INVALID_NS);
	EXPECT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS, UINT32_MAX), RIG_DNR | NVME_SC_INVALID_NS);
}

UNIT(sim_nvme_admin, lists_and_describes_namespaces)
{
	struct rig *rig = rig_open(t, NULL);
	const struct nvme_ns_list *list = bench_at(rig->bench, RIG_ANSWER);
	const unsigned char *bytes = bench_at(rig->bench, RIG_ANSWER);

	ASSERT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, 0), 0);
	EXPECT_EQ(le32toh(list->ns[0]), 1);
	EXPECT_EQ(le32toh(list->ns[1]), 0);
	ASSERT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, 1), 0);
	EXPECT_EQ(le32toh(list->ns[0]), 0);
	EXPECT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, 0xfffffffe), RIG_DNR | NVME_SC_INVALID_NS);
	ASSERT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS_DESC_LIST, 1), 0);
	EXPECT_EQ(bytes[0], NVME_NIDT_NGUID);
	EXPECT_EQ(bytes[1], 16);
	EXPECT_EQ(bytes[20], 0);
	EXPECT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS_DESC_LIST, 2), RIG_DNR | NVME_SC_INVALID_FIELD);
	EXPECT_EQ(identify(rig, NVME_IDENTIFY_CNS_NS_DESC_LIST, 257), RIG_DNR | NVME_SC_INVALID_NS);
	EXPECT_EQ(identify(rig, 0x05, 1), RIG_DNR | NVME_SC_INVALID_FIELD);
}

/* Queues ------------------------------------------------------------------------------------------------ */

UNIT(sim_nvme_admin, completion_queues_that_cannot_be_are_refused)
{
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .max_queues = 4));
	static const struct {
		uint32_t qid, last, cdw11;
		uint64_t offset;
		uint16_t status;
	} rows[] = {
		{ 0, 15, 3, 0, RIG_SPECIFIC | NVME_SC_QID_INVALID },
		{ 5, 15, 3, 0, RIG_SPECIFIC | NVME_SC_QID_INVALID },
		{ 0xffff, 15, 3, 0, RIG_SPECIFIC | NVME_SC_QID_INVALID },
		{ 1, 15, 3, 0, RIG_SPECIFIC | NVME_SC_QID_INVALID }, /* there is one */
		{ 2, 0, 3, 0, RIG_SPECIFIC | NVME_SC_QUEUE_SIZE },
		{ 2, 2048, 3, 0, RIG_SPECIFIC | NVME_SC_QUEUE_SIZE },
		{ 2, 0xffff, 3, 0, RIG_SPECIFIC | NVME_SC_QUEUE_SIZE },
		{ 2, 15, 2, 0, NVME_SC_INVALID_FIELD }, /* not contiguous */
		{ 2, 15, 3, 8, NVME_SC_PRP_INVALID_OFFSET },
		{ 2, 15, 5 << 16 | 3, 0, RIG_SPECIFIC | NVME_SC_INVALID_VECTOR },
		{ 2, 15, 0xffffu << 16 | 3, 0, RIG_SPECIFIC | NVME_SC_INVALID_VECTOR },
	};

	rig_create(rig, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sqe command = rig_create_cq(2, RIG_ENTRIES);

		t_note(t, "row %zu", i);
		command.cdw10 = rows[i].last << 16 | rows[i].qid;
		command.cdw11 = rows[i].cdw11;
		command.prp1 += rows[i].offset;
		EXPECT_EQ(rig_do(rig, 0, command, NULL), RIG_DNR | rows[i].status);
	}
	EXPECT_EQ(rig_do(rig, 0, rig_create_cq(2, 2048), NULL), 0);
	EXPECT_EQ(rig_do(rig, 0, rig_create_cq(3, 2), NULL), 0);
}

UNIT(sim_nvme_admin, submission_queues_that_cannot_be_are_refused)
{
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .max_queues = 4));
	static const struct {
		uint32_t qid, last, cdw11;
		uint64_t offset;
		uint16_t status;
	} rows[] = {
		{ 0, 15, 1 << 16 | 1, 0, RIG_SPECIFIC | NVME_SC_QID_INVALID },
		{ 5, 15, 1 << 16 | 1, 0, RIG_SPECIFIC | NVME_SC_QID_INVALID },
		{ 1, 15, 1 << 16 | 1, 0, RIG_SPECIFIC | NVME_SC_QID_INVALID },
		{ 2, 15, 0 << 16 | 1, 0, RIG_SPECIFIC | NVME_SC_CQ_INVALID },
		{ 2, 15, 2 << 16 | 1, 0, RIG_SPECIFIC | NVME_SC_CQ_INVALID },
		{ 2, 15, 0xffffu << 16 | 1, 0, RIG_SPECIFIC | NVME_SC_CQ_INVALID },
		{ 2, 0, 1 << 16 | 1, 0, RIG_SPECIFIC | NVME_SC_QUEUE_SIZE },
		{ 2, 2048, 1 << 16 | 1, 0, RIG_SPECIFIC | NVME_SC_QUEUE_SIZE },
		{ 2, 15, 1 << 16, 0, NVME_SC_INVALID_FIELD },
		{ 2, 15, 1 << 16 | 1, 64, NVME_SC_PRP_INVALID_OFFSET },
	};

	rig_create(rig, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sqe command = rig_create_sq(2, RIG_ENTRIES);

		t_note(t, "row %zu", i);
		command.cdw10 = rows[i].last << 16 | rows[i].qid;
		command.cdw11 = rows[i].cdw11;
		command.prp1 += rows[i].offset;
		EXPECT_EQ(rig_do(rig, 0, command, NULL), RIG_DNR | rows[i].status);
	}
}

UNIT(sim_nvme_admin, entry_sizes_are_set_before_queues_are_made)
{
	struct rig *rig = rig_new(t, NULL);

	ASSERT_EQ(rig_start(rig, 1), RIG_RDY);
	EXPECT_EQ(rig_do(rig, 0, rig_create_cq(1, 16), NULL), RIG_DNR | RIG_SPECIFIC | NVME_SC_QUEUE_SIZE);
	bench_write32(rig->bench, NVME_REG_CC, 4 << 20 | 1);
	EXPECT_EQ(rig_do(rig, 0, rig_create_cq(1, 16), NULL), 0);
	EXPECT_EQ(rig_do(rig, 0, rig_create_sq(1, 16), NULL), RIG_DNR | RIG_SPECIFIC | NVME_SC_QUEUE_SIZE);
}

UNIT(sim_nvme_admin, queues_go_in_order)
{
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .max_queues = 4));
	struct sqe delete_sq = { .opcode = nvme_admin_delete_sq, .cdw10 = 1 };
	struct sqe delete_cq = { .opcode = nvme_admin_delete_cq, .cdw10 = 1 };
	uint16_t bad_id = RIG_DNR | RIG_SPECIFIC | NVME_SC_QID_INVALID;

	rig_create(rig, 1);
	EXPECT_EQ(rig_do(rig, 0, delete_cq, NULL), RIG_DNR | RIG_SPECIFIC | NVME_SC_INVALID_QUEUE);
	EXPECT_EQ(rig_do(rig, 0, delete_sq, NULL), 0);
	EXPECT_EQ(rig_do(rig, 0, delete_sq, NULL), bad_id);
	EXPECT_EQ(rig_do(rig, 0, delete_cq, NULL), 0);
	EXPECT_EQ(rig_do(rig, 0, delete_cq, NULL), bad_id);
	delete_sq.cdw10 = delete_cq.cdw10 = 0;
	EXPECT_EQ(rig_do(rig, 0, delete_sq, NULL), bad_id);
	EXPECT_EQ(rig_do(rig, 0, delete_cq, NULL), bad_id);
	delete_sq.cdw10 = delete_cq.cdw10 = 0xffff;
	EXPECT_EQ(rig_do(rig, 0, delete_sq, NULL), bad_id);
	EXPECT_EQ(rig_do(rig, 0, delete_cq, NULL), bad_id);
	rig_create(rig, 1);
	EXPECT_EQ(rig_do(rig, 1, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = 1 }, NULL), 0);
}

/* Features ---------------------------------------------------------------------------------------------- */

UNIT(sim_nvme_admin, grants_the_queues_it_has)
{
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .max_queues = 4));
	uint32_t result;

	EXPECT_EQ(set_feature(rig, NVME_FEAT_FID_NUM_QUEUES, 0x000000, &result), 0);
	EXPECT_EQ(result, 0x00030003);
	EXPECT_EQ(set_feature(rig, NVME_FEAT_FID_NUM_QUEUES, 0xfffe0001, &result), 0);
	EXPECT_EQ(result, 0x00030003);
	EXPECT_EQ(set_feature(rig, NVME_FEAT_FID_NUM_QUEUES, 0xffff0000, NULL),
		  RIG_DNR | NVME_SC_INVALID_FIELD);
	EXPECT_EQ(set_feature(rig, NVME_FEAT_FID_NUM_QUEUES, 0x0000ffff, NULL),
		  RIG_DNR | NVME_SC_INVALID_FIELD);
	rig_create(rig, 1);
	EXPECT_EQ(set_feature(rig, NVME_FEAT_FID_NUM_QUEUES, 0, NULL), RIG_DNR | NVME_SC_CMD_SEQ_ERROR);
	EXPECT_EQ(get_feature(rig, NVME_FEAT_FID_NUM_QUEUES, 0, &result), 0);
	EXPECT_EQ(result, 0x00030003);
}

UNIT(sim_nvme_admin, features_are_volatile)
{
	static const struct {
		uint32_t id, value, get_as, initial;
	} rows[] = {
		{ NVME_FEAT_FID_ARBITRATION, 0x01020304, 0, 0 },
		{ NVME_FEAT_FID_POWER_MGMT, 0, 0, 0 },
		{ NVME_FEAT_FID_TEMP_THRESH, 333, 0, 343 },
		{ NVME_FEAT_FID_TEMP_THRESH, 1 << 20 | 222, 1 << 20, 0 },
		{ NVME_FEAT_FID_ERR_RECOVERY, 7, 0, 0 },
		{ NVME_FEAT_FID_VOLATILE_WC, 0, 0, 1 },
		{ NVME_FEAT_FID_IRQ_COALESCE, 0x0203, 0, 0 },
		{ NVME_FEAT_FID_IRQ_CONFIG, 3 | 1 << 16, 3, 3 },
		{ NVME_FEAT_FID_WRITE_ATOMIC, 1, 0, 0 },
		{ NVME_FEAT_FID_ASYNC_EVENT, 0x1f, 0, 0 },
	};
	struct rig *rig = rig_open(t, NULL);
	uint32_t value;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t id = rows[i].id;
		uint32_t set = id == NVME_FEAT_FID_TEMP_THRESH ? rows[i].value & 0xffff : rows[i].value;

		t_note(t, "row %zu", i);
		EXPECT_EQ(get_feature(rig, id, rows[i].get_as, &value), 0);
		EXPECT_EQ(value, rows[i].initial);
		EXPECT_EQ(set_feature(rig, id, rows[i].value, NULL), 0);
		EXPECT_EQ(get_feature(rig, id, rows[i].get_as, &value), 0);
		EXPECT_EQ(value, set);
		EXPECT_EQ(get_feature(rig, 1 << 8 | id, rows[i].get_as, &value), 0); /* default */
		EXPECT_EQ(value, rows[i].initial);
		EXPECT_EQ(get_feature(rig, 2 << 8 | id, rows[i].get_as, &value), 0); /* saved */
		EXPECT_EQ(value, rows[i].initial);
		EXPECT_EQ(get_feature(rig, 3 << 8 | id, rows[i].get_as, &value), 0); /* capabilities */
		EXPECT_EQ(value, 4);
	}
	bench_write32(rig->bench, NVME_REG_CC, 0);
	bench_run(rig->bench);
	ASSERT_EQ(rig_start(rig, RIG_CC | 1), RIG_RDY);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EXPECT_EQ(get_feature(rig, rows[i].id, rows[i].get_as, &value), 0);
		EXPECT_EQ(value, rows[i].initial);
	}
}

UNIT(sim_nvme_admin, features_that_are_none_are_refused)
{
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .max_queues = 4));
	uint16_t bad_field = RIG_DNR | NVME_SC_INVALID_FIELD;
	struct sqe command = { .opcode = nvme_admin_set_features,
			       .nsid = 1,
			       .cdw10 = NVME_FEAT_FID_VOLATILE_WC };

	EXPECT_EQ(set_feature(rig, 0, 0, NULL), bad_field);
	EXPECT_EQ(set_feature(rig, NVME_FEAT_FID_HOST_MEM_BUF, 0, NULL), bad_field);
	EXPECT_EQ(get_feature(rig, NVME_FEAT_FID_KATO, 0, NULL), bad_field);
	EXPECT_EQ(get_feature(rig, 4 << 8 | NVME_FEAT_FID_VOLATILE_WC, 0, NULL), bad_field);
	EXPECT_EQ(set_feature(rig, NVME_FEAT_FID_TEMP_THRESH, 1 << 16, NULL), bad_field);
	EXPECT_EQ(get_feature(rig, NVME_FEAT_FID_TEMP_THRESH, 2 << 20, NULL), bad_field);
	EXPECT_EQ(set_feature(rig, NVME_FEAT_FID_IRQ_CONFIG, 5, NULL), bad_field);
	EXPECT_EQ(get_feature(rig, NVME_FEAT_FID_IRQ_CONFIG, 0xffff, NULL), bad_field);
	EXPECT_EQ(set_feature(rig, NVME_FEAT_FID_POWER_MGMT, 1, NULL), bad_field);
	EXPECT_EQ(set_feature(rig, 1u << 31 | NVME_FEAT_FID_VOLATILE_WC, 0, NULL),
		  RIG_DNR | RIG_SPECIFIC | NVME_SC_FEATURE_NOT_SAVEABLE);
	EXPECT_EQ(rig_do(rig, 0, command, NULL), RIG_DNR | RIG_SPECIFIC | NVME_SC_FEATURE_NOT_PER_NS);
}

/* Logs -------------------------------------------------------------------------------------------------- */

UNIT(sim_nvme_admin, keeps_a_log_of_errors)
{
	struct rig *rig = rig_open(t, NULL);
	const struct nvme_error_log_page *log = bench_at(rig->bench, RIG_ANSWER);
	uint16_t cid;

	rig_create(rig, 1);
	ASSERT_EQ(get_log(rig, NVME_LOG_LID_ERROR, 0, 4 * 64), 0);
	EXPECT_EQ(log[0].error_count, 0);
	for (uint64_t i = 0; i < 6; i++)
		EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, ~i, 1, RIG_DATA, 0), NULL),
			  RIG_DNR | NVME_SC_LBA_RANGE);
	cid = rig->next_cid;
	ASSERT_EQ(get_log(rig, NVME_LOG_LID_ERROR, 0, 4 * 64), 0);
	for (uint16_t i = 0; i < 4; i++) {
		EXPECT_EQ(log[i].error_count, 6 - i);
		EXPECT_EQ(log[i].sqid, 1);
		EXPECT_EQ(log[i].cmdid, cid - i);
		EXPECT_EQ(log[i].status_field, (RIG_DNR | NVME_SC_LBA_RANGE) << 1);
		EXPECT_EQ(log[i].lba, ~(uint64_t)(5 - i));
		EXPECT_EQ(log[i].nsid, 1);
	}
}

UNIT(sim_nvme_admin, logs_come_in_parts)
{
	struct rig *rig = rig_open(t, NULL);
	unsigned char *answer = bench_at(rig->bench, RIG_ANSWER);
	uint16_t bad_field = RIG_DNR | NVME_SC_INVALID_FIELD;

	ASSERT_EQ(get_log(rig, NVME_LOG_LID_FW_SLOT, 0, 512), 0);
	EXPECT_EQ(answer[0], 1);
	EXPECT_MEMEQ(answer + 8, "1.0     ", 8);
	memset(answer, 0xee, 4096);
	ASSERT_EQ(get_log(rig, NVME_LOG_LID_FW_SLOT, 8, 4), 0);
	EXPECT_MEMEQ(answer, "1.0 ", 4);
	EXPECT_EQ(answer[4], 0xee);
	/* All 16 GiB of it that can be asked for: the log's length is what comes. */
	ASSERT_EQ(rig_do(rig, 0,
			 (struct sqe){ .opcode = nvme_admin_get_log_page,
				       .prp1 = RIG_ANSWER,
				       .cdw10 = 0xffff0002,
				       .cdw11 = 0xffff },
			 NULL),
		  0);
	EXPECT_EQ(answer[512], 0xee);
	EXPECT_EQ(get_log(rig, NVME_LOG_LID_SMART, 2, 4), bad_field);
	EXPECT_EQ(get_log(rig, NVME_LOG_LID_SMART, 512, 4), bad_field);
	EXPECT_EQ(get_log(rig, NVME_LOG_LID_SMART, UINT64_MAX & ~3ull, 4), bad_field);
	EXPECT_EQ(get_log(rig, NVME_LOG_LID_CMD_EFFECTS, 0, 4),
		  RIG_DNR | RIG_SPECIFIC | NVME_SC_INVALID_LOG_PAGE);
}

UNIT(sim_nvme_admin, counts_its_work)
{
	struct rig *rig = rig_open(t, NULL);
	const struct nvme_smart_log *log = bench_at(rig->bench, RIG_ANSWER);

	rig_create(rig, 1);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 8, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write, 0, 8, RIG_DATA, 0), NULL), 0);
	ASSERT_EQ(get_log(rig, NVME_LOG_LID_SMART, 0, 512), 0);
	EXPECT_EQ(log->host_reads[0], 3);
	EXPECT_EQ(log->host_writes[0], 1);
	EXPECT_EQ(log->data_units_read[0], 1);
	EXPECT_EQ(log->critical_warning, 0);
}

/* Events ------------------------------------------------------------------------------------------------ */

static const struct sqe event_request = { .opcode = nvme_admin_async_event };

UNIT(sim_nvme_admin, tells_of_wrong_doorbells_once)
{
	struct rig *rig = rig_open(t, NULL);
	struct cqe entry;
	uint16_t first = rig_put(rig, 0, event_request), second = rig_put(rig, 0, event_request);

	rig_ring(rig, 0);
	bench_run(rig->bench);
	EXPECT_FALSE(rig_look(rig, 0, &entry));
	rig_doorbell(rig, 3, false, 1); /* there is no such queue */
	bench_run(rig->bench);
	ASSERT_TRUE(rig_take(rig, 0, &entry));
	EXPECT_EQ(entry.cid, first);
	EXPECT_EQ(entry.result, 0x00010000);
	rig_doorbell(rig, 0, false, RIG_ADMIN_ENTRIES); /* masked, until the log is read */
	EXPECT_EQ(bench_run(rig->bench), 0);
	EXPECT_EQ(get_log(rig, NVME_LOG_LID_ERROR | 1 << 15, 0, 64), 0);
	rig_doorbell(rig, 0, false, RIG_ADMIN_ENTRIES);
	EXPECT_EQ(bench_run(rig->bench), 0);
	EXPECT_EQ(get_log(rig, NVME_LOG_LID_ERROR, 0, 64), 0);
	rig_doorbell(rig, 0, false, RIG_ADMIN_ENTRIES);
	bench_run(rig->bench);
	ASSERT_TRUE(rig_take(rig, 0, &entry));
	EXPECT_EQ(entry.cid, second);
	EXPECT_EQ(entry.result, 0x00010100);
}

UNIT(sim_nvme_admin, tells_of_temperatures)
{
	struct rig *rig = rig_open(t, NULL);
	struct cqe entry;
	uint16_t cid = rig_put(rig, 0, event_request);

	rig_ring(rig, 0);
	EXPECT_EQ(set_feature(rig, NVME_FEAT_FID_ASYNC_EVENT, NVME_SMART_CRIT_TEMPERATURE, NULL), 0);
	rig_put(rig, 0,
		(struct sqe){ .opcode = nvme_admin_set_features,
			      .cdw10 = NVME_FEAT_FID_TEMP_THRESH,
			      .cdw11 = 300 });
	rig_ring(rig, 0);
	bench_run(rig->bench);
	ASSERT_TRUE(rig_take(rig, 0, &entry));
	ASSERT_TRUE(rig_take(rig, 0, &entry));
	EXPECT_EQ(entry.cid, cid);
	EXPECT_EQ(entry.result, 0x00020101);
	ASSERT_EQ(get_log(rig, NVME_LOG_LID_SMART, 0, 512), 0);
	EXPECT_EQ(*(unsigned char *)bench_at(rig->bench, RIG_ANSWER), NVME_SMART_CRIT_TEMPERATURE);
}

UNIT(sim_nvme_admin, has_room_for_four_requests)
{
	struct rig *rig = rig_open(t, NULL);
	struct cqe entry;

	for (int i = 0; i < 5; i++)
		rig_put(rig, 0, event_request);
	rig_ring(rig, 0);
	bench_run(rig->bench);
	ASSERT_TRUE(rig_take(rig, 0, &entry));
	EXPECT_EQ(entry.cid, rig->next_cid);
	EXPECT_EQ(entry.status >> 1, RIG_DNR | RIG_SPECIFIC | NVME_SC_ASYNC_LIMIT);
	EXPECT_FALSE(rig_take(rig, 0, &entry));
}

UNIT(sim_nvme_admin, aborts_what_is_outstanding)
{
	struct rig *rig = rig_open(t, NULL);
	uint16_t cid = rig_put(rig, 0, event_request);
	struct sqe command = { .opcode = nvme_admin_abort_cmd, .cdw10 = (uint32_t)cid << 16 };
	struct cqe entry;
	uint32_t result;

	rig_ring(rig, 0);
	bench_run(rig->bench);
	ASSERT_EQ(rig_do(rig, 0, command, &result), 0);
	EXPECT_EQ(result, 0);
	ASSERT_TRUE(rig_take(rig, 0, &entry));
	EXPECT_EQ(entry.cid, cid);
	EXPECT_EQ(entry.status >> 1, NVME_SC_ABORT_REQ);
	ASSERT_EQ(rig_do(rig, 0, command, &result), 0);
	EXPECT_EQ(result, 1);
	command.cdw10 |= 7; /* of a queue that is not there */
	ASSERT_EQ(rig_do(rig, 0, command, &result), 0);
	EXPECT_EQ(result, 1);
}

UNIT(sim_nvme_admin, unknown_commands_are_refused)
{
	static const uint8_t known[] = { 0x00, 0x01, 0x02, 0x04, 0x05, 0x06,
					 0x08, 0x09, 0x0a, 0x0c, 0x15, 0x7c };
	struct rig *rig = rig_open(t, NULL);

	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		if (memchr(known, (int)opcode, sizeof(known)))
			continue;
		t_note(t, "opcode 0x%02x", opcode);
		EXPECT_EQ(rig_do(rig, 0, (struct sqe){ .opcode = (uint8_t)opcode }, NULL),
			  RIG_DNR | NVME_SC_INVALID_OPCODE);
	}
}

UNIT(sim_nvme_admin, fused_commands_and_sgls_are_refused)
{
	static const uint8_t flags[] = { 0x01, 0x02, 0x40, 0x80 };
	struct rig *rig = rig_open(t, NULL);

	for (size_t i = 0; i < sizeof(flags); i++)
		EXPECT_EQ(rig_do(rig, 0,
				 (struct sqe){ .opcode = nvme_admin_identify,
					       .flags = flags[i],
					       .prp1 = RIG_ANSWER,
					       .cdw10 = 1 },
				 NULL),
			  RIG_DNR | NVME_SC_INVALID_FIELD);
}
