// SPDX-License-Identifier: MIT
/* The model of an NVMe controller: data by SGL, and doorbells in memory. */
#include <string.h>

#include "sim_nvme_rig.h"

enum { SGL = 0x40, DATA_BLOCK = 0x00, SEGMENT = 0x20, LAST_SEGMENT = 0x30 };

#define SHADOWS (BENCH_IOVA + 0x600000)
#define ASKED   (BENCH_IOVA + 0x601000)

/* A controller with queue pair 1; block i of its disk holds bytes of i + 1. */
static struct rig *a_disk(struct t *t)
{
	struct rig *rig = rig_open(t, NULL);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);

	rig_create(rig, 1);
	for (int i = 0; i < 8; i++)
		memset(data + i * 512, i + 1, 512);
	ASSERT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write, 0, 8, RIG_DATA, 0), NULL), 0);
	memset(data, 0, 8 * 512);
	return rig;
}

/* Blocks 0 to 3 by a descriptor. */
static uint16_t read_by(struct rig *rig, uint64_t address, uint32_t len, unsigned int kind)
{
	struct sqe command = rig_transfer(nvme_cmd_read, 0, 4, address, len | (uint64_t)kind << 56);

	command.flags = SGL;
	return rig_do(rig, 1, command, NULL);
}

static void describe(struct rig *rig, unsigned int at, uint64_t address, uint32_t len, unsigned int kind)
{
	uint64_t *list = bench_at(rig->bench, RIG_LISTS);

	list[2 * at] = htole64(address);
	list[2 * at + 1] = htole64(len | (uint64_t)kind << 56);
}

UNIT(sim_nvme_ways, data_is_where_descriptors_say)
{
	struct rig *rig = a_disk(t);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);

	EXPECT_EQ(read_by(rig, RIG_DATA + 5, 2048, DATA_BLOCK), 0);
	EXPECT_TRUE(data[4] == 0 && data[5] == 1 && data[5 + 2047] == 4 && data[5 + 2048] == 0);

	/* A segment that leads to the last one. */
	describe(rig, 0, RIG_DATA + 0x10000, 100, DATA_BLOCK);
	describe(rig, 1, RIG_LISTS + 8 * 16, 32, LAST_SEGMENT);
	describe(rig, 8, RIG_DATA + 0x20000, 924, DATA_BLOCK);
	describe(rig, 9, RIG_DATA + 0x30001, 1024, DATA_BLOCK);
	EXPECT_EQ(read_by(rig, RIG_LISTS, 32, SEGMENT), 0);
	EXPECT_TRUE(data[0x10000] == 1 && data[0x10063] == 1 && data[0x10064] == 0);
	EXPECT_TRUE(data[0x20000] == 1 && data[0x20000 + 923] == 2);
	EXPECT_TRUE(data[0x30001] == 3 && data[0x30001 + 1023] == 4);
}

UNIT(sim_nvme_ways, descriptors_that_cannot_be_are_refused)
{
	static const struct {
		uint64_t address;
		uint32_t len;
		unsigned int kind;
		uint16_t status;
	} rows[] = {
		{ RIG_DATA, 2047, DATA_BLOCK, NVME_SC_SGL_INVALID_DATA },
		{ RIG_DATA, 2049, DATA_BLOCK, NVME_SC_SGL_INVALID_DATA },
		{ RIG_DATA, 2048, 0x10, NVME_SC_SGL_INVALID_TYPE },
		{ RIG_DATA, 2048, 0x01, NVME_SC_SGL_INVALID_TYPE },
		{ RIG_LISTS, 24, LAST_SEGMENT, NVME_SC_SGL_INVALID_COUNT },
		{ RIG_LISTS, 0, LAST_SEGMENT, NVME_SC_SGL_INVALID_COUNT },
		{ RIG_LISTS, 16 * 1025, LAST_SEGMENT, NVME_SC_SGL_INVALID_COUNT },
		{ RIG_LISTS, 16, LAST_SEGMENT, NVME_SC_SGL_INVALID_TYPE }, /* a segment in the last one */
		{ RIG_LISTS, 16, SEGMENT, NVME_SC_SGL_INVALID_COUNT },     /* for ever round and round */
	};
	struct rig *rig = a_disk(t);
	struct sqe command = {
		.opcode = nvme_admin_identify, .flags = SGL, .prp1 = RIG_ANSWER, .prp2 = 4096, .cdw10 = 1
	};

	describe(rig, 0, RIG_LISTS, 16, SEGMENT);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		EXPECT_EQ(read_by(rig, rows[i].address, rows[i].len, rows[i].kind), RIG_DNR | rows[i].status);
	}
	EXPECT_EQ(read_by(rig, RIG_NOWHERE, 2048, DATA_BLOCK), NVME_SC_DATA_XFER_ERROR);
	EXPECT_EQ(read_by(rig, RIG_NOWHERE, 32, LAST_SEGMENT), NVME_SC_DATA_XFER_ERROR);
	EXPECT_EQ(rig_do(rig, 0, command, NULL), RIG_DNR | NVME_SC_INVALID_FIELD);
	EXPECT_EQ(read_by(rig, RIG_DATA, 2048, DATA_BLOCK), 0);
}

/* Shadows ------------------------------------------------------------------------------------------------ */

UNIT(sim_nvme_ways, a_shadow_is_as_good_as_a_doorbell_while_it_works)
{
	struct rig *rig = a_disk(t);
	uint32_t *shadows = bench_at(rig->bench, SHADOWS), *asked = bench_at(rig->bench, ASKED);
	struct sqe command = rig_transfer(nvme_cmd_read, 3, 1, RIG_DATA, 0);
	struct cqe done;

	shadows[2] = htole32(1); /* where queue 1 is */
	shadows[3] = htole32(1);
	ASSERT_EQ(rig_do(rig, 0, (struct sqe){ .opcode = nvme_admin_dbbuf, .prp1 = SHADOWS, .prp2 = ASKED },
			 NULL),
		  0);
	bench_run(rig->bench);
	EXPECT_EQ(le32toh(asked[2]), 1);
	EXPECT_EQ(le32toh(asked[3]), 1);
	rig_put(rig, 1, command);
	shadows[2] = htole32(rig->rings[1].sq_tail);
	bench_run(rig->bench);
	ASSERT_TRUE(rig_look(rig, 1, &done));
	EXPECT_EQ(done.status >> 1, 0);
	EXPECT_EQ(le32toh(asked[2]), 2);
	shadows[2] = htole32(9999); /* no such entry */
	bench_run(rig->bench);
	EXPECT_EQ(le32toh(asked[2]), 2);
}

UNIT(sim_nvme_ways, shadows_that_cannot_be_are_refused)
{
	static const uint64_t rows[][2] = {
		{ 0, ASKED }, { SHADOWS, 0 }, { SHADOWS + 4, ASKED }, { SHADOWS, ASKED + 512 }
	};
	struct rig *rig = a_disk(t);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		EXPECT_EQ(rig_do(rig, 0,
				 (struct sqe){
					 .opcode = nvme_admin_dbbuf, .prp1 = rows[i][0], .prp2 = rows[i][1] },
				 NULL),
			  RIG_DNR | NVME_SC_INVALID_FIELD);
}
