// SPDX-License-Identifier: MIT
/*
 * The nvme model and a hostile guest: registers and doorbells written as the input says, queues and lists filled with what it says.
 *
 * The model must end each step, stay in its own memory, and write only what it has been given: the arena's last pages are not mapped
 * for it, or only for reading, and keep what is in them.
 */
#include <errno.h>
#include <stdlib.h>

#include <nvme/types.h>

#include "fuzz/rig.h"
#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"

enum {
	MAPPED = 12, /* pages from IOVA 0 on, and again from HIGH on; then */
	READ_ONLY = 2,
	KEPT = (WRITABLE_PAGES - MAPPED) * PAGE,
	MOST_STEPS = 300,
	ADMIN_SQ = 0,
	ADMIN_CQ = PAGE,
	IO_SQ = 2 * PAGE,
	IO_CQ = 3 * PAGE,
	DATA = 4 * PAGE,
	CMB_PAGES = 256,
	QUEUES = 3,
};

#define HIGH 0x100000000ull
#define CMB  0x200000000ull /* where the controller's own memory is, if it has any and is told so */

struct program {
	struct input in;
	struct rig rig;
	struct weir_sim_device *nvme;
	int iommufd, cdev;
	uint32_t tails[QUEUES];
};

/* Access --------------------------------------------------------------------------------------------------- */

static void write_register(struct program *p, uint64_t offset, uint64_t value, size_t width)
{
	p->rig.sys->pwrite(p->rig.sys->ctx, p->cdev, &value, width, offset);
}

static uint64_t a_value(struct program *p)
{
	static const uint64_t values[] = {
		0,   1,    2,        3,       0x460001, 0x464001, 0xff,    0xffff,
		~0u, ~0ul, 0x1f001f, 0x70007, 0x1000,   HIGH,     CMB + 3, 0x20000
	};
	uint8_t byte = in_u8(&p->in);

	return byte < 160 ? values[byte % 16] : byte < 224 ? byte : in_u64(&p->in);
}

/* Somewhere in what is mapped, with borders and alignments of all kinds. */
static uint64_t an_iova(struct program *p)
{
	uint8_t byte = in_u8(&p->in);
	uint64_t page = byte % 18;

	if (byte == 255)
		return in_u64(&p->in);
	if (byte >= 192)
		return page * PAGE + in_u16(&p->in) % PAGE;
	if (byte >= 184)
		return CMB + (CMB_PAGES - 4 + byte % 8) * PAGE;
	return page * PAGE + (byte >= 128 ? HIGH : 0);
}

static void touch_register(struct program *p)
{
	static const uint16_t registers[] = { NVME_REG_INTMS,
					      NVME_REG_INTMC,
					      NVME_REG_CC,
					      NVME_REG_CC,
					      NVME_REG_AQA,
					      NVME_REG_ASQ,
					      NVME_REG_ACQ,
					      NVME_REG_ASQ + 4,
					      NVME_REG_ACQ + 4,
					      NVME_REG_CMBMSC,
					      NVME_REG_CMBMSC + 4,
					      NVME_REG_CSTS,
					      0x1000,
					      0x1004,
					      0x1008,
					      0x100c };
	static const uint8_t widths[] = { 4, 4, 4, 8, 1, 2, 16, 3 };
	uint8_t byte = in_u8(&p->in);
	uint64_t at = byte < 224 ? registers[byte % 16] : in_u16(&p->in), value = a_value(p);
	size_t width = in_pick(&p->in, widths);
	unsigned char bytes[16] = { 0 };

	memcpy(bytes, &value, sizeof(value));
	p->rig.sys->pwrite(p->rig.sys->ctx, p->cdev, bytes, width, at);
	p->rig.sys->pread(p->rig.sys->ctx, p->cdev, bytes, width, at);
}

/* As a driver does it; the queues' sizes and places are the input's. */
static void enable(struct program *p)
{
	uint32_t sizes = in_u8(&p->in);

	write_register(p, NVME_REG_CC, 0, 4);
	weir_sim_step(p->rig.sim);
	write_register(p, NVME_REG_AQA, sizes < 128 ? 0x1f001f : sizes << 16 | sizes >> 4, 4);
	write_register(p, NVME_REG_ASQ, sizes == 77 ? an_iova(p) : ADMIN_SQ, 8);
	write_register(p, NVME_REG_ACQ, sizes == 78 ? an_iova(p) : ADMIN_CQ, 8);
	write_register(p, NVME_REG_CC, 0x460001 | (sizes == 79 ? a_value(p) : 0), 4);
	weir_sim_step(p->rig.sim);
	memset(p->tails, 0, sizeof(p->tails));
	say("  enabled");
}

/* Commands ------------------------------------------------------------------------------------------------- */

/* Two dwords: the second is for whoever comes next. */
static void put(unsigned char *entry, unsigned int dword, uint64_t value)
{
	memcpy(entry + 4ul * dword, &value, sizeof(value));
}

static void ring(struct program *p, unsigned int queue, uint32_t entries)
{
	uint8_t byte = in_u8(&p->in);

	p->tails[queue] = (p->tails[queue] + 1) % entries;
	if (byte < 240)
		write_register(p, 0x1000 + 8ul * queue, p->tails[queue], 4);
	if (byte % 4 == 0) /* and all that there may be has been read */
		write_register(p, 0x1004 + 8ul * queue, byte / 4 % 32, 4);
}

static void admin_command(struct program *p)
{
	static const uint8_t opcodes[] = { nvme_admin_delete_sq,    nvme_admin_create_sq,
					   nvme_admin_get_log_page, nvme_admin_delete_cq,
					   nvme_admin_create_cq,    nvme_admin_identify,
					   nvme_admin_abort_cmd,    nvme_admin_set_features,
					   nvme_admin_get_features, nvme_admin_async_event,
					   nvme_admin_create_sq,    nvme_admin_create_cq };
	unsigned char *entry = arena_start() + ADMIN_SQ + p->tails[0] * 64ul;
	uint8_t byte = in_u8(&p->in);

	memset(entry, 0, 64);
	put(entry, 0, (byte < 240 ? opcodes[byte % 12] : in_u8(&p->in)) | (uint64_t)in_u8(&p->in) << 16);
	put(entry, 1, in_below(&p->in, 4) == 3 ? a_value(p) : 1);
	put(entry, 6, an_iova(p));
	put(entry, 8, an_iova(p));
	for (unsigned int dword = 10; dword < 16; dword++)
		put(entry, dword, dword == 15 ? 0 : a_value(p));
	if ((byte % 12 == 7 || byte % 12 == 8) && byte < 200) { /* a feature that there may well be */
		put(entry, 1, 0);
		put(entry, 10, in_below(&p->in, 16) | (uint64_t)a_value(p) << 32);
	}
	if (byte % 12 == 1 || byte % 12 == 4 || byte % 12 >= 10) {
		bool submission = byte % 12 == 1 || byte % 12 == 10;
		uint8_t how = in_u8(&p->in);

		if (how < 200) { /* a queue that may well be made */
			put(entry, 6, submission ? IO_SQ : IO_CQ);
			put(entry, 10, (1 + how % 2) | 31u << 16);
			put(entry, 11, submission ? 1 | (1u + how % 2) << 16 : 3);
		}
	}
	say("  admin %#x", entry[0]);
	ring(p, 0, 32);
}

/* What prepare() made: from its start, or its last entries, of which the last leads on. */
static uint64_t a_list(struct program *p)
{
	uint8_t byte = in_u8(&p->in);

	return (MAPPED - 1) * PAGE + (byte & 1 ? PAGE - 8 * (byte / 2 % 8 + 1) : 0);
}

static void io_command(struct program *p)
{
	static const uint8_t opcodes[] = { nvme_cmd_read, nvme_cmd_write,   nvme_cmd_flush,
					   nvme_cmd_dsm,  nvme_cmd_compare, nvme_cmd_write_zeroes,
					   nvme_cmd_read, nvme_cmd_write };
	static const uint32_t blocks[] = { 0, 1, 7, 8, 15, 16, 63, 255, 0xffff, 127, 1023 };
	unsigned int queue = 1 + in_below(&p->in, QUEUES - 1);
	unsigned char *entry = arena_start() + IO_SQ + p->tails[queue] * 64ul;
	uint8_t byte = in_u8(&p->in);

	memset(entry, 0, 64);
	put(entry, 0, (byte < 240 ? opcodes[byte % 8] : in_u8(&p->in)) | (uint64_t)in_u8(&p->in) << 16);
	put(entry, 1, byte == 239 ? a_value(p) : 1);
	put(entry, 6, byte & 32 ? DATA : an_iova(p));
	put(entry, 8, byte & 64 ? a_list(p) : an_iova(p));
	put(entry, 10, byte == 238 ? a_value(p) : in_u8(&p->in));
	put(entry, 11, byte % 8 == 3 ? 4 : 0);
	put(entry, 12, in_pick(&p->in, blocks) | (uint64_t)in_u8(&p->in) << 24);
	say("  io %#x", entry[0]);
	ring(p, queue, 32);
}

/* A list of pages, or anything. */
static void fill_memory(struct program *p)
{
	unsigned char *at = arena_start() + in_below(&p->in, MAPPED - 1) * PAGE;
	size_t len = in_u8(&p->in);

	at += in_u8(&p->in) & 1 ? PAGE - (len & 0xf8) : in_u8(&p->in) * 16ul;
	if (in_u8(&p->in) & 1) {
		in_bytes(&p->in, at, len);
		return;
	}
	for (size_t i = 0; i < len / 8; i++)
		put(at, (unsigned int)(2 * i), an_iova(p));
}

/* Time ----------------------------------------------------------------------------------------------------- */

static void step(struct program *p)
{
	unsigned int num = in_below(&p->in, 16) + 1;

	while (num-- && weir_sim_step(p->rig.sim) > 0)
		;
}

/* With nothing more to do for it, it comes to rest. */
static void rest(struct program *p)
{
	for (unsigned int i = 0; weir_sim_step(p->rig.sim) > 0; i++)
		if (i > 2000)
			fail("the controller never comes to rest");
}

static void trouble(struct program *p)
{
	uint32_t num;

	switch (in_below(&p->in, 4)) {
	case 0:
		num = in_below(&p->in, 12);
		if (num < 4)
			weir_sim_nvme_swallow(p->nvme, num);
		else if (num < 8)
			weir_sim_nvme_leave_unreported(p->nvme, num - 4);
		else
			weir_sim_nvme_hold(p->nvme, num - 8);
		break;
	case 1:
		weir_sim_hang(p->nvme, in_u8(&p->in) & 1);
		break;
	case 2:
		weir_sim_set_memory(p->nvme, in_u8(&p->in) & 1);
		break;
	default:
		rig_ioctl(&p->rig, p->cdev, ABI_VFIO_DEVICE_RESET, NULL);
		rig_enable(&p->rig, p->cdev);
	}
}

/* ---- */

static void map(struct program *p, uint64_t iova, unsigned int page, unsigned int num, bool write)
{
	struct abi_iommu_ioas_map cmd = {
		.size = sizeof(cmd), .ioas_id = 2, .iova = iova, .length = num * PAGE
	};

	cmd.flags = ABI_IOMMU_IOAS_MAP_FIXED_IOVA | ABI_IOMMU_IOAS_MAP_READABLE |
		    (write ? ABI_IOMMU_IOAS_MAP_WRITEABLE : 0);
	cmd.user_va = (uintptr_t)arena_start() + page * PAGE;
	CHECK(rig_ioctl(&p->rig, p->iommufd, ABI_IOMMU_IOAS_MAP, &cmd) == 0);
}

static void open_device(struct program *p)
{
	struct abi_vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct abi_vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = 2 };
	struct abi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	p->iommufd = bind.iommufd = rig_node(&p->rig, "/dev/iommu");
	p->cdev = rig_node(&p->rig, "/dev/vfio/devices/vfio0");
	CHECK(p->iommufd >= 0 && p->cdev >= 0);
	CHECK(rig_ioctl(&p->rig, p->cdev, ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0);
	CHECK(rig_ioctl(&p->rig, p->iommufd, ABI_IOMMU_IOAS_ALLOC, &alloc) == 0 && alloc.out_ioas_id == 2);
	CHECK(rig_ioctl(&p->rig, p->cdev, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0);
	map(p, 0, 0, MAPPED, true);
	map(p, MAPPED * PAGE, MAPPED, READ_ONLY, false);
	map(p, HIGH, 0, MAPPED, true);
	rig_enable(&p->rig, p->cdev);
}

/* One more of the admin queue, made here. */
static void submit(struct program *p, uint8_t opcode, uint64_t prp1, uint32_t cdw10, uint32_t cdw11)
{
	unsigned char *entry = arena_start() + ADMIN_SQ + p->tails[0] * 64ul;

	memset(entry, 0, 64);
	put(entry, 0, opcode);
	put(entry, 6, prp1);
	put(entry, 10, cdw10);
	put(entry, 11, cdw11);
	write_register(p, 0x1000, ++p->tails[0], 4);
	while (weir_sim_step(p->rig.sim) > 0)
		;
	write_register(p, 0x1004, p->tails[0], 4);
}

/* Enabled, with a pair of queues, and a list of pages at the end of what is mapped: what it takes the input long to come to. */
static void prepare(struct program *p, bool cmb)
{
	unsigned char *list = arena_start() + (MAPPED - 1) * PAGE;

	for (unsigned int i = 0; i < PAGE / 8; i++) /* the controller's memory ends in the middle */
		put(list, 2 * i, cmb ? CMB + (CMB_PAGES - 4 + i % 8) * PAGE : DATA + i % (MAPPED - 5) * PAGE);
	if (cmb)
		write_register(p, NVME_REG_CMBMSC, CMB | 3, 8);
	enable(p);
	submit(p, nvme_admin_create_cq, IO_CQ, 1 | 31u << 16, 3);
	submit(p, nvme_admin_create_sq, IO_SQ, 1 | 31u << 16, 1 | 1u << 16);
}

static void run(struct program *p)
{
	static void (*const steps[])(struct program *) = {
		touch_register, enable,     admin_command, io_command, fill_memory, step,
		admin_command,  io_command, trouble,       rest,       step,        io_command
	};

	for (unsigned int i = 0; i < MOST_STEPS && !in_empty(&p->in); i++)
		in_pick(&p->in, steps)(p);
	weir_sim_hang(p->nvme, false);
	rest(p);
}

static const unsigned char *as_it_was(void)
{
	static unsigned char bytes[KEPT];

	memset(bytes, 0xa5, KEPT);
	return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program p = { .in = { data, data + size } };
	unsigned char *kept = arena_start() + MAPPED * PAGE;
	static const uint8_t largest[] = { 1, 3, 7, 9 };
	uint8_t ways = in_u8(&p.in);
	struct weir_sim_nvme_opts opts =
		WEIR_OPTS(weir_sim_nvme_opts, .capacity = 1 << 21, .max_queues = QUEUES - 1);

	opts.block_size = ways & 1 ? 4096 : 512;
	opts.mdts = largest[ways / 2 % 4];
	opts.cmb_mib = ways >> 7;
	memset(arena_start(), 0, MAPPED * PAGE);
	memcpy(kept, as_it_was(), KEPT);
	rig_open(&p.rig, NULL, NULL, 0);
	CHECK(weir_sim_add_nvme(p.rig.sim, &opts, NULL, &p.nvme) == 0);
	open_device(&p);
	if (!(ways & 0x40))
		prepare(&p, opts.cmb_mib && ways & 0x20);
	run(&p);
	CHECK(memcmp(kept, as_it_was(), KEPT) == 0);
	rig_fd_close(&p.rig, p.cdev);
	rig_fd_close(&p.rig, p.iommufd);
	rig_close(&p.rig);
	return 0;
}
