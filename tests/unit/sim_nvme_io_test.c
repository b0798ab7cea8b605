// SPDX-License-Identifier: MIT
/* The model of an NVMe controller: I/O commands, and where their data is. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim_nvme_rig.h"

enum { PAGE = 4096 };

/* A controller with queue pair 1; block i of its disk holds bytes of i + 1. */
static struct rig *a_disk(struct t *t, const struct weir_sim_nvme_opts *opts)
{
	struct rig *rig = rig_open(t, opts);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);

	rig_create(rig, 1);
	for (int i = 0; i < 64; i++)
		memset(data + i * 512, i + 1, 512);
	for (uint32_t i = 0; i < 64; i += 8)
		ASSERT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write, i, 8, RIG_DATA + i * 512, 0), NULL), 0);
	memset(data, 0, 64 * 512);
	return rig;
}

static uint16_t flush(struct rig *rig, uint32_t nsid)
{
	return rig_do(rig, 1, (struct sqe){ .opcode = nvme_cmd_flush, .nsid = nsid }, NULL);
}

/* Commands ---------------------------------------------------------------------------------------------- */

UNIT(sim_nvme_io, reads_what_was_written)
{
	struct rig *rig = a_disk(t, NULL);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);

	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 5, 3, RIG_DATA + 0x204, 0), NULL), 0);
	EXPECT_EQ(data[0x203], 0);
	EXPECT_EQ(data[0x204], 6);
	EXPECT_EQ(data[0x204 + 3 * 512 - 1], 8);
	EXPECT_EQ(data[0x204 + 3 * 512], 0);
	EXPECT_EQ(flush(rig, 1), 0);
	EXPECT_EQ(flush(rig, UINT32_MAX), 0);
}

UNIT(sim_nvme_io, blocks_that_are_not_there_are_refused)
{
	static const struct {
		uint64_t block;
		uint32_t num;
	} rows[] = {
		{ 128, 1 },       { 127, 2 }, { UINT64_MAX, 1 }, { UINT64_MAX, 2 }, { UINT64_MAX - 7, 16 },
		{ 1ull << 55, 8 }
	};
	static const uint8_t opcodes[] = { nvme_cmd_read, nvme_cmd_write, nvme_cmd_compare,
					   nvme_cmd_write_zeroes };
	struct rig *rig = a_disk(t, &WEIR_OPTS(weir_sim_nvme_opts, .capacity = 65536));

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < sizeof(opcodes); k++) {
			t_note(t, "row %zu, opcode 0x%02x", i, opcodes[k]);
			EXPECT_EQ(rig_do(rig, 1,
					 rig_transfer(opcodes[k], rows[i].block, rows[i].num, RIG_DATA,
						      RIG_DATA + PAGE),
					 NULL),
				  RIG_DNR | NVME_SC_LBA_RANGE);
		}
	}
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 127, 1, RIG_DATA, 0), NULL), 0);
}

UNIT(sim_nvme_io, more_than_it_can_transfer_is_refused)
{
	struct rig *rig = a_disk(t, &WEIR_OPTS(weir_sim_nvme_opts, .mdts = 1));
	uint16_t refused = RIG_DNR | NVME_SC_INVALID_FIELD;

	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 16, RIG_DATA, RIG_DATA + PAGE), NULL), 0);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 17, RIG_DATA, RIG_LISTS), NULL), refused);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write, 0, 65536, RIG_DATA, RIG_LISTS), NULL), refused);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_compare, 0, 17, RIG_DATA, RIG_LISTS), NULL), refused);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write_zeroes, 0, 65536, 0, 0), NULL), 0);
}

UNIT(sim_nvme_io, namespaces_that_are_not_there_are_refused)
{
	struct rig *rig = a_disk(t, NULL);
	struct sqe command = rig_transfer(nvme_cmd_read, 0, 1, RIG_DATA, 0);

	command.nsid = 0;
	EXPECT_EQ(rig_do(rig, 1, command, NULL), RIG_DNR | NVME_SC_INVALID_NS);
	command.nsid = 2;
	EXPECT_EQ(rig_do(rig, 1, command, NULL), RIG_DNR | NVME_SC_INVALID_FIELD);
	command.nsid = 257;
	EXPECT_EQ(rig_do(rig, 1, command, NULL), RIG_DNR | NVME_SC_INVALID_NS);
	command.nsid = UINT32_MAX;
	EXPECT_EQ(rig_do(rig, 1, command, NULL), RIG_DNR | NVME_SC_INVALID_NS);
}

UNIT(sim_nvme_io, unknown_commands_are_refused)
{
	static const uint8_t known[] = { 0x00, 0x01, 0x02, 0x05, 0x08, 0x09 };
	struct rig *rig = a_disk(t, NULL);

	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		if (memchr(known, (int)opcode, sizeof(known)))
			continue;
		EXPECT_EQ(rig_do(rig, 1, rig_transfer((uint8_t)opcode, 0, 1, RIG_DATA, 0), NULL),
			  RIG_DNR | NVME_SC_INVALID_OPCODE);
	}
}

UNIT(sim_nvme_io, compares)
{
	struct rig *rig = a_disk(t, NULL);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);
	struct sqe command = rig_transfer(nvme_cmd_compare, 0, 64, RIG_DATA, RIG_LISTS);
	uint64_t *list = bench_at(rig->bench, RIG_LISTS);

	for (uint64_t i = 0; i < 7; i++)
		list[i] = RIG_DATA + (i + 1) * PAGE;
	for (int i = 0; i < 64; i++)
		memset(data + i * 512, i + 1, 512);
	EXPECT_EQ(rig_do(rig, 1, command, NULL), 0);
	data[63 * 512 + 511]++;
	EXPECT_EQ(rig_do(rig, 1, command, NULL), RIG_DNR | RIG_MEDIA | NVME_SC_COMPARE_FAILED);
}

UNIT(sim_nvme_io, writes_zeroes)
{
	struct rig *rig = a_disk(t, NULL);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);

	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write_zeroes, 1, 2, 0, 0), NULL), 0);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 4, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(data[511], 1);
	EXPECT_EQ(data[512], 0);
	EXPECT_EQ(data[3 * 512 - 1], 0);
	EXPECT_EQ(data[3 * 512], 4);
}

UNIT(sim_nvme_io, deallocates)
{
	struct rig *rig = a_disk(t, NULL);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);
	struct nvme_dsm_range *ranges = bench_at(rig->bench, RIG_ANSWER);
	struct sqe command = { .opcode = nvme_cmd_dsm, .nsid = 1, .prp1 = RIG_ANSWER, .cdw10 = 2 };

	ranges[0] = (struct nvme_dsm_range){ .nlb = 1, .slba = 0 };
	ranges[1] = (struct nvme_dsm_range){ .nlb = 0, .slba = 3 };
	ranges[2] = (struct nvme_dsm_range){ .nlb = 2, .slba = 131072 - 2 };
	EXPECT_EQ(rig_do(rig, 1, command, NULL), 0); /* a hint, nothing more */
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 4, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(data[0], 1);
	command.cdw11 = NVME_DSMGMT_AD;
	ranges[2].nlb = 3; /* beyond the end: not even the first is touched */
	EXPECT_EQ(rig_do(rig, 1, command, NULL), RIG_DNR | NVME_SC_LBA_RANGE);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 4, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(data[0], 1);
	ranges[2].nlb = 2;
	EXPECT_EQ(rig_do(rig, 1, command, NULL), 0);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 4, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(data[0], 0);
	EXPECT_EQ(data[512], 2);
	EXPECT_EQ(data[3 * 512], 4);
	ranges[0] = (struct nvme_dsm_range){ .nlb = UINT32_MAX, .slba = UINT64_MAX };
	EXPECT_EQ(rig_do(rig, 1, command, NULL), RIG_DNR | NVME_SC_LBA_RANGE);
}

/* Where the data is ------------------------------------------------------------------------------------- */

/* A list at @at for the pages of RIG_DATA from number @first on. */
static void put_list(struct rig *rig, uint64_t at, unsigned int first, unsigned int num)
{
	uint64_t *list = bench_at(rig->bench, at);

	for (unsigned int i = 0; i < num; i++)
		list[i] = RIG_DATA + (uint64_t)(first + i) * PAGE;
}

static void expect_blocks(struct rig *rig, const unsigned char *data, unsigned int first, unsigned int num)
{
	(void)rig;
	for (unsigned int i = 0; i < num; i++)
		if (!EXPECT_EQ(data[i * 512], (first + i + 1) & 0xff) ||
		    !EXPECT_EQ(data[i * 512 + 511], (first + i + 1) & 0xff))
			return;
}

UNIT(sim_nvme_prp, data_on_two_pages_has_no_list)
{
	struct rig *rig = a_disk(t, NULL);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);

	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 16, RIG_DATA + 2 * PAGE, RIG_DATA), NULL), 0);
	expect_blocks(rig, data + 2 * PAGE, 0, 8);
	expect_blocks(rig, data, 8, 8);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 16, 8, RIG_DATA + 512, RIG_DATA + PAGE), NULL),
		  0);
	expect_blocks(rig, data + 512, 16, 8);
}

UNIT(sim_nvme_prp, list_may_begin_within_its_page)
{
	struct rig *rig = a_disk(t, NULL);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);

	put_list(rig, RIG_LISTS + 0x808, 1, 3);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 32, RIG_DATA, RIG_LISTS + 0x808), NULL), 0);
	expect_blocks(rig, data, 0, 32);
}

UNIT(sim_nvme_prp, last_entry_of_a_page_leads_to_the_next)
{
	struct rig *rig = a_disk(t, NULL);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);
	uint64_t *last = bench_at(rig->bench, RIG_LISTS + PAGE - 8);

	/* Two entries, and the way to the rest. */
	put_list(rig, RIG_LISTS + PAGE - 24, 1, 2);
	*last = RIG_LISTS + 4 * PAGE;
	put_list(rig, RIG_LISTS + 4 * PAGE, 3, 5);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 64, RIG_DATA, RIG_LISTS + PAGE - 24), NULL),
		  0);
	expect_blocks(rig, data, 0, 64);

	/* The last entry of the page, and of the data: it leads to data. */
	memset(data, 0, 64 * 512);
	put_list(rig, RIG_LISTS + PAGE - 24, 1, 3);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 32, RIG_DATA, RIG_LISTS + PAGE - 24), NULL),
		  0);
	expect_blocks(rig, data, 0, 32);

	/* Nothing but the way. */
	memset(data, 0, 64 * 512);
	*last = RIG_LISTS;
	put_list(rig, RIG_LISTS, 1, 7);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 64, RIG_DATA, RIG_LISTS + PAGE - 8), NULL),
		  0);
	expect_blocks(rig, data, 0, 64);
}

UNIT(sim_nvme_prp, large_transfers_take_several_pages_of_list)
{
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .mdts = 12));
	unsigned char *data = bench_at(rig->bench, RIG_DATA), *copy = malloc(16 << 20);
	unsigned int page, pages = 0;

	ASSERT_TRUE(copy);
	t_defer(t, free, copy);
	rig_create(rig, 1);
	for (uint64_t i = 0; i < 16 << 20; i += 8)
		memcpy(data + i, &i, 8);
	memcpy(copy, data, 16 << 20);
	for (page = 1; page < 4096; page += 511, pages++) {
		put_list(rig, RIG_LISTS + pages * PAGE, page, 511);
		*(uint64_t *)bench_at(rig->bench, RIG_LISTS + pages * PAGE + 511 * 8) =
			RIG_LISTS + (pages + 1) * PAGE;
	}
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write, 0, 32768, RIG_DATA, RIG_LISTS), NULL), 0);
	memset(data, 0, 16 << 20);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 32768, RIG_DATA, RIG_LISTS), NULL), 0);
	EXPECT_MEMEQ(data, copy, 16 << 20);
}

UNIT(sim_nvme_prp, larger_pages_when_so_configured)
{
	struct rig *rig = rig_new(t, NULL);
	unsigned char *data = bench_at(rig->bench, RIG_DATA);

	ASSERT_EQ(rig_start(rig, RIG_CC | 1 | 1 << 7), RIG_RDY); /* 8 KiB */
	rig_create(rig, 1);
	memset(data, 0x11, 4 * PAGE);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write, 0, 16, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 16, RIG_DATA + 2 * PAGE, RIG_NOWHERE), NULL),
		  0);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 16, RIG_DATA + PAGE, RIG_DATA + 2 * PAGE),
			 NULL),
		  0);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 16, RIG_DATA + PAGE, RIG_DATA + 3 * PAGE),
			 NULL),
		  RIG_DNR | NVME_SC_PRP_INVALID_OFFSET);
}

UNIT(sim_nvme_prp, wrong_offsets_are_refused)
{
	struct rig *rig = a_disk(t, NULL);
	uint16_t refused = RIG_DNR | NVME_SC_PRP_INVALID_OFFSET;
	uint64_t *list = bench_at(rig->bench, RIG_LISTS), *last = bench_at(rig->bench, RIG_LISTS + PAGE - 8);

	put_list(rig, RIG_LISTS, 1, 7);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 1, RIG_DATA + 2, 0), NULL), refused);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 16, RIG_DATA, RIG_DATA + PAGE + 512), NULL),
		  refused);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 64, RIG_DATA, RIG_LISTS + 4), NULL), refused);
	list[6] += 512;
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 64, RIG_DATA, RIG_LISTS), NULL), refused);
	*last = RIG_LISTS + 8; /* only the first page of a list may begin within */
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 64, RIG_DATA, RIG_LISTS + PAGE - 8), NULL),
		  refused);
	EXPECT_EQ(*(unsigned char *)bench_at(rig->bench, RIG_DATA), 0); /* no data has moved */
}

UNIT(sim_nvme_prp, loops_end)
{
	struct rig *rig = rig_open(t, &WEIR_OPTS(weir_sim_nvme_opts, .mdts = 12));

	rig_create(rig, 1);
	/* A page that leads to itself, all its entries the same page of data. */
	for (unsigned int i = 0; i < 512; i++)
		*(uint64_t *)bench_at(rig->bench, RIG_LISTS + i * 8) = RIG_LISTS;
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_write, 0, 32768, RIG_LISTS, RIG_LISTS), NULL), 0);
	EXPECT_EQ(
		rig_do(rig, 1, rig_transfer(nvme_cmd_write, 0, 32768, RIG_LISTS, RIG_LISTS + PAGE - 8), NULL),
		0);
}

UNIT(sim_nvme_prp, unreachable_memory_is_a_data_transfer_error)
{
	struct rig *rig = a_disk(t, NULL);
	static const uint8_t opcodes[] = { nvme_cmd_read, nvme_cmd_write, nvme_cmd_compare };
	uint16_t error = NVME_SC_DATA_XFER_ERROR;

	for (size_t i = 0; i < sizeof(opcodes); i++) {
		t_note(t, "opcode 0x%02x", opcodes[i]);
		EXPECT_EQ(rig_do(rig, 1, rig_transfer(opcodes[i], 0, 1, RIG_NOWHERE, 0), NULL), error);
		EXPECT_EQ(rig_do(rig, 1, rig_transfer(opcodes[i], 0, 16, RIG_DATA, RIG_NOWHERE), NULL),
			  error);
		EXPECT_EQ(rig_do(rig, 1, rig_transfer(opcodes[i], 0, 64, RIG_DATA, RIG_NOWHERE), NULL),
			  error);
		EXPECT_EQ(rig_do(rig, 1, rig_transfer(opcodes[i], 0, 16, UINT64_MAX & ~4095ull, 0), NULL),
			  error);
		EXPECT_EQ(rig_do(rig, 1, rig_transfer(opcodes[i], 0, 1, UINT64_MAX & ~3ull, 0), NULL), error);
	}
	EXPECT_EQ(rig_do(rig, 0,
			 (struct sqe){ .opcode = nvme_admin_identify, .prp1 = RIG_NOWHERE, .cdw10 = 1 },
			 NULL),
		  error);
	EXPECT_EQ(
		rig_do(rig, 1, (struct sqe){ .opcode = nvme_cmd_dsm, .nsid = 1, .prp1 = RIG_NOWHERE }, NULL),
		error);
	EXPECT_EQ(bench_read32(rig->bench, NVME_REG_CSTS), RIG_RDY);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 1, RIG_DATA, 0), NULL), 0);
	EXPECT_EQ(*(unsigned char *)bench_at(rig->bench, RIG_DATA), 1); /* the failed writes wrote nothing */
}

/* The controller's own memory --------------------------------------------------------------------------- */

#define CMB (1ull << 40) /* where the driver puts it */

static struct rig *with_cmb(struct t *t)
{
	struct rig *rig = a_disk(t, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 2));

	bench_write64(rig->bench, NVME_REG_CMBMSC, CMB | 3);
	return rig;
}

UNIT(sim_nvme_cmb, shows_itself_when_asked)
{
	struct rig *rig = rig_new(t, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 2));
	struct bench *bench = rig->bench;

	EXPECT_EQ(bench->model.bars[2].len, 2 << 20);
	EXPECT_EQ(NVME_CAP_CMBS(bench_read64(bench, NVME_REG_CAP)), 1);
	EXPECT_EQ(bench_read32(bench, NVME_REG_CMBSZ), 0);
	EXPECT_EQ(bench_read32(bench, NVME_REG_CMBLOC), 0);
	bench_write32(bench, NVME_REG_CMBMSC, 1);
	EXPECT_EQ(nvme_cmb_size(bench_read32(bench, NVME_REG_CMBSZ)), 2 << 20);
	EXPECT_EQ(NVME_CMBLOC_BIR(bench_read32(bench, NVME_REG_CMBLOC)), 2);
	EXPECT_EQ(NVME_CMBLOC_OFST(bench_read32(bench, NVME_REG_CMBLOC)), 0);
	EXPECT_EQ(bench_read32(bench, NVME_REG_CMBSTS), 0);
	bench_write64(bench, NVME_REG_CMBMSC, (UINT64_MAX & ~4095ull) | 3);
	EXPECT_EQ(bench_read32(bench, NVME_REG_CMBSTS), 1);
}

UNIT(sim_nvme_cmb, takes_data)
{
	struct rig *rig = with_cmb(t);
	unsigned char *ram = weir_sim_device_ram(&rig->bench->device, 2);
	uint64_t *list = (uint64_t *)(ram + PAGE);
	uint64_t faults = rig->bench->num_faults;

	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 3, 1, CMB + (2 << 20) - 512, 0), NULL), 0);
	EXPECT_EQ(ram[(2 << 20) - 1], 4);
	/* The list there too, half of the data in memory. */
	list[0] = CMB + 8 * PAGE;
	list[1] = RIG_DATA;
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 24, CMB + 7 * PAGE, CMB + PAGE), NULL), 0);
	expect_blocks(rig, ram + 7 * PAGE, 0, 16);
	expect_blocks(rig, bench_at(rig->bench, RIG_DATA), 16, 8);
	EXPECT_EQ(rig->bench->num_faults, faults);
	/* Over its end, and before its start. */
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 8, CMB + (2 << 20) - 512, CMB + (2 << 20)),
			 NULL),
		  NVME_SC_DATA_XFER_ERROR);
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 1, CMB - 512, 0), NULL),
		  NVME_SC_DATA_XFER_ERROR);
	bench_write64(rig->bench, NVME_REG_CMBMSC, CMB | 1); /* not in the address space any more */
	EXPECT_EQ(rig_do(rig, 1, rig_transfer(nvme_cmd_read, 0, 1, CMB, 0), NULL), NVME_SC_DATA_XFER_ERROR);
}

UNIT(sim_nvme_cmb, takes_queues)
{
	struct rig *rig = with_cmb(t);
	unsigned char *ram = weir_sim_device_ram(&rig->bench->device, 2);
	struct sqe cq = rig_create_cq(2, RIG_ENTRIES), sq = rig_create_sq(2, RIG_ENTRIES);

	cq.prp1 = CMB;
	sq.prp1 = CMB + PAGE;
	ASSERT_EQ(rig_do(rig, 0, cq, NULL), 0);
	ASSERT_EQ(rig_do(rig, 0, sq, NULL), 0);
	rig->rings[2] = (struct rig_ring){
		.sq = (struct sqe *)(ram + PAGE), .cq = (struct cqe *)ram, .entries = RIG_ENTRIES, .phase = 1
	};
	for (int i = 0; i < 2 * RIG_ENTRIES; i++)
		EXPECT_EQ(rig_do(rig, 2, rig_transfer(nvme_cmd_read, 0, 1, RIG_DATA, 0), NULL), 0);
}

/* Speed -------------------------------------------------------------------------------------------------- */

/* 64 MiB in commands of 128 KiB: a moment. The limit is for valgrind. */
UNIT(sim_nvme_io, is_fast_enough)
{
	struct rig *rig = a_disk(t, NULL);
	struct timespec before, after;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	put_list(rig, RIG_LISTS, 1, 31);
	for (uint32_t i = 0; i < 512; i++)
		EXPECT_EQ(rig_do(rig, 1,
				 rig_transfer(nvme_cmd_read, i * 256 % 131072, 256, RIG_DATA, RIG_LISTS),
				 NULL),
			  0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	EXPECT_LT((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000, 5000);
}
