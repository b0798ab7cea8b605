// SPDX-License-Identifier: MIT
/*
 * The igb model and hostile programs: a port with two virtual functions and the port at the other end of its wire, whose registers, rings and mailboxes are
 * written as the input says.
 *
 * The model must end each step, stay in its own memory, come to rest when it is to send no more, and write only what it has been given: the arena's last
 * pages are not mapped for it, or only for reading, and keep what is in them. One virtual function has no memory at all.
 */
#include <stdio.h>

#include "fuzz/rig.h"
#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"
#include "sim/models/igb.h"

enum {
	MAPPED = 12, /* pages from IOVA 0 on, and again from HIGH on; then */
	READ_ONLY = 2,
	KEPT = (WRITABLE_PAGES - MAPPED) * PAGE,
	MOST_STEPS = 300,
	PF = 0,
	PEER = 1,
	VF = 2, /* and the one without memory */
	DEVICES = 4,
	RINGS = 2, /* pages: ring r of a device at its eighth of a page */
	ENTRIES = 32,
	VF_MBMEM = 0x0800,
	VF_MAILBOX = 0x0c40,
	VF_RX = 0x2800,
	VF_TX = 0x3800,
	RX_BUFFER = 2048,
	REST = 4 * SIM_IGB_WAITING,
};

#define HIGH 0x100000000ull

/* Of descriptors, as the driver writes them. */
#define TX_DATA    (UINT64_C(0x203) << 20)
#define TX_CONTEXT (UINT64_C(0x202) << 20)

struct program {
	struct input in;
	struct rig rig;
	struct weir_sim_device *devices[DEVICES];
	int iommufd, cdevs[DEVICES];
	uint32_t tails[DEVICES][2]; /* of the receive ring and of the one to send */
};

/* Access ----------------------------------------------------------------------------------------------------------- */

static void write_register(struct program *p, unsigned int device, uint64_t offset, uint32_t value)
{
	p->rig.sys->pwrite(p->rig.sys->ctx, p->cdevs[device], &value, sizeof(value), offset);
}

static uint32_t read_register(struct program *p, unsigned int device, uint64_t offset)
{
	uint32_t value = 0;

	p->rig.sys->pread(p->rig.sys->ctx, p->cdevs[device], &value, sizeof(value), offset);
	return value;
}

static void enable(struct program *p, unsigned int device)
{
	const unsigned char command[2] = { 0x06, 0 };

	p->rig.sys->pwrite(p->rig.sys->ctx, p->cdevs[device], command, sizeof(command),
			   (uint64_t)ABI_VFIO_PCI_CONFIG_REGION_INDEX << 40 | 4);
}

static uint32_t a_value(struct program *p)
{
	static const uint32_t values[] = { 0,          1,          2,         3,          5,
					   0xff,       0xffff,     ~0u,       1u << 25,   1u << 26,
					   1u << 31,   0x80818081, 0x54535,   0x40000400, 0x83fc0000,
					   0x810ff005, 0xfffffff0, 0x0fffffff };
	uint8_t byte = in_u8(&p->in);

	return byte < 180 ? values[byte % 18] : byte < 224 ? byte : in_u32(&p->in);
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
	return page * PAGE + (byte >= 128 ? HIGH : 0);
}

static uint64_t a_register(struct program *p, unsigned int device)
{
	static const uint16_t registers[] = {
		SIM_IGB_CTRL,   SIM_IGB_CTRL_EXT, SIM_IGB_EERD,       SIM_IGB_MDIC,  SIM_IGB_RCTL,
		SIM_IGB_TCTL,   SIM_IGB_ICR,      SIM_IGB_IMS,        SIM_IGB_GPIE,  SIM_IGB_EIMS,
		SIM_IGB_EIAC,   SIM_IGB_EIAM,     SIM_IGB_EICR,       SIM_IGB_IVAR,  SIM_IGB_IVAR_MISC,
		SIM_IGB_DTXSWC, SIM_IGB_RLPML,    SIM_IGB_MTA,        SIM_IGB_RAL,   SIM_IGB_RAH,
		SIM_IGB_VFTA,   SIM_IGB_MRQC,     SIM_IGB_VT_CTL,     SIM_IGB_VMOLR, SIM_IGB_RETA,
		SIM_IGB_RSSRK,  SIM_IGB_VLVF,     SIM_IGB_PF_MAILBOX, SIM_IGB_VFRE,  SIM_IGB_VFTE,
		SIM_IGB_VFLRE,  SIM_IGB_MBVFICR,  VF_MBMEM,           VF_MAILBOX,    SIM_IGB_RX,
		SIM_IGB_TX,
	};
	static const uint8_t fields[] = { SIM_IGB_BASE_LOW, SIM_IGB_BASE_HIGH, SIM_IGB_LEN, SIM_IGB_SRRCTL,
					  SIM_IGB_HEAD,     SIM_IGB_TAIL,      SIM_IGB_DCTL };
	uint8_t byte = in_u8(&p->in);

	if (byte >= 240)
		return in_u32(&p->in) % (SIM_IGB_BAR_SIZE + 8);
	if (byte >= 200) /* of a queue */
		return (device >= VF ? (byte & 1 ? VF_RX : VF_TX) : (byte & 1 ? SIM_IGB_RX : SIM_IGB_TX)) +
		       byte / 2 % 16 * (device >= VF ? 0x100 : 0x40) + in_pick(&p->in, fields);
	if (byte >= 144) /* of an array */
		return registers[byte % 36] + in_below(&p->in, 32) * 4;
	return registers[byte % 36];
}

static void touch_register(struct program *p)
{
	static const uint8_t widths[] = { 4, 4, 4, 4, 8, 1, 2, 3 };
	unsigned int device = in_below(&p->in, DEVICES);
	uint64_t at = a_register(p, device), value = a_value(p);
	size_t width = in_pick(&p->in, widths);

	say("  register %#lx of %u: %#lx", (unsigned long)at, device, (unsigned long)value);
	p->rig.sys->pwrite(p->rig.sys->ctx, p->cdevs[device], &value, width, at);
	p->rig.sys->pread(p->rig.sys->ctx, p->cdevs[device], &value, width, at);
}

/* Rings ------------------------------------------------------------------------------------------------------------- */

/* The device's own pool's first, so that it is there with pools and without: the ports' queue 0 is the first virtual function's otherwise. */
static uint64_t ring(unsigned int device, bool transmit)
{
	if (device >= VF)
		return transmit ? VF_TX : VF_RX;
	return (transmit ? SIM_IGB_TX : SIM_IGB_RX) + (device == PF ? 2 : 0) * 0x40;
}

static uint64_t ring_iova(unsigned int device, bool transmit)
{
	return (2 * device + transmit) * (PAGE / 4) * RINGS / 2;
}

static void open_ring(struct program *p, unsigned int device, bool transmit)
{
	uint64_t at = ring(device, transmit);

	write_register(p, device, at + SIM_IGB_DCTL, 0);
	write_register(p, device, at + SIM_IGB_BASE_LOW, (uint32_t)ring_iova(device, transmit));
	write_register(p, device, at + SIM_IGB_BASE_HIGH, 0);
	write_register(p, device, at + SIM_IGB_LEN, ENTRIES * 16);
	write_register(p, device, at + SIM_IGB_SRRCTL, RX_BUFFER / 1024 | 1u << 25);
	write_register(p, device, at + SIM_IGB_HEAD, 0);
	write_register(p, device, at + SIM_IGB_TAIL, 0);
	write_register(p, device, at + SIM_IGB_DCTL, SIM_IGB_DCTL_ENABLE);
	p->tails[device][transmit] = 0;
}

static void put(struct program *p, unsigned int device, bool transmit, uint64_t first, uint64_t second)
{
	const uint64_t words[2] = { first, second };
	uint32_t *tail = &p->tails[device][transmit];

	memcpy(arena_start() + ring_iova(device, transmit) + *tail * 16ul, words, sizeof(words));
	*tail = (*tail + 1) % ENTRIES;
	write_register(p, device, ring(device, transmit) + SIM_IGB_TAIL, *tail);
}

static void offer_buffers(struct program *p)
{
	unsigned int device = in_below(&p->in, DEVICES);

	for (unsigned int num = in_below(&p->in, ENTRIES); num > 0; num--)
		put(p, device, false, an_iova(p), in_u8(&p->in));
}

/* Frames ------------------------------------------------------------------------------------------------------------- */

static void an_address(struct program *p, unsigned char *at)
{
	uint8_t byte = in_u8(&p->in);

	if (byte >= 240)
		in_bytes(&p->in, at, 6);
	else if (byte >= 200)
		memset(at, 255, 6);
	else
		memcpy(at, (const unsigned char[6]){ byte & 128 ? 1 : 2, 0, 0, 0, 0, byte % 5 }, 6);
}

/* Somebody's frame: a tag and IPv4 are in it or not, whole or not. */
static void make_frame(struct program *p, unsigned char *at, uint8_t what)
{
	an_address(p, at);
	an_address(p, at + 6);
	at += 12;
	if (what & 1) {
		memcpy(at, (const unsigned char[4]){ 0x81, 0, 0, in_u8(&p->in) % 8 }, 4);
		at += 4;
	}
	if (!(what & 2)) {
		in_bytes(&p->in, at, 8);
		return;
	}
	memcpy(at, "\x08\x00\x45\x00\x00\x2e\0\0\0\0\x40", 11);
	at[11] = what & 4 ? 6 : 17;
	if (what & 8)
		at[2] = in_u8(&p->in);
	if (what & 16)
		in_bytes(&p->in, at + 4, 2);
	in_bytes(&p->in, at + 14, 4);
}

static void send_frame(struct program *p)
{
	static const uint16_t lens[] = {
		0, 1, 13, 14, 15, 16, 17, 33, 34, 59, 60, 64, 200, 1500, 9000, 0xffff
	};
	unsigned int device = in_below(&p->in, DEVICES);
	uint8_t what = in_u8(&p->in), more = in_u8(&p->in);
	uint64_t iova = more & 64 ? an_iova(p) : RINGS * PAGE + in_below(&p->in, 8) * PAGE,
		 word = TX_DATA | UINT64_C(1) << 24 | in_pick(&p->in, lens);

	if (iova <= MAPPED * PAGE - 64)
		make_frame(p, arena_start() + iova, what);
	if (more & 1)
		put(p, device, true, in_u64(&p->in), TX_CONTEXT | (uint64_t)in_u8(&p->in) << 11);
	if (more & 2)
		word |= (uint64_t)(in_u8(&p->in) & 7) << 40 | UINT64_C(1) << 30;
	if (more & 4)
		word |= UINT64_C(1) << 27;
	if (more & 8) /* not all of it */
		word &= ~(UINT64_C(1) << 24);
	if (more >= 224)
		word ^= in_u64(&p->in);
	say("  send from %u: %#lx, %#lx", device, (unsigned long)iova, (unsigned long)word);
	put(p, device, true, iova, word);
}

/* How they are set up -------------------------------------------------------------------------------------------------- */

static void set_address(struct program *p, unsigned int device, unsigned int entry, unsigned int last,
			uint32_t pools)
{
	write_register(p, device, SIM_IGB_RAL + 8ul * entry, 2);
	write_register(p, device, SIM_IGB_RAH + 8ul * entry, last << 8 | 1u << 31 | pools << 18);
}

/* As drivers do it: so many pools, or none. */
static void set_up(struct program *p, unsigned int device, uint8_t how)
{
	bool pools = device == PF && how & 1;

	write_register(p, device, SIM_IGB_CTRL, 1u << 6 | (how & 2 ? 1u << 30 : 0));
	write_register(p, device, SIM_IGB_RLPML, 9018);
	write_register(p, device, SIM_IGB_MRQC, pools ? (how & 4 ? 5 : 3) : 2);
	write_register(p, device, SIM_IGB_VT_CTL, 2u << 7 | 1u << 30 | (how & 8 ? 1u << 29 : 0));
	write_register(p, device, SIM_IGB_DTXSWC, 1u << 31 | (how & 16 ? 0x303 : 0));
	set_address(p, device, 0, device, 4);
	set_address(p, device, 14, VF + 1, 2);
	set_address(p, device, 15, VF, 1);
	for (unsigned int i = 0; i < 3; i++) {
		write_register(p, device, SIM_IGB_VMOLR + 4ul * i,
			       1u << 27 | 1u << 24 | 1u << 16 | (how & 32 ? 1u << 30 : 0) | 1u << 17 | 9018);
		write_register(p, device, SIM_IGB_VLVF + 4ul * i, i | (how & 7u) << 12 | 1u << 31);
		write_register(p, device, SIM_IGB_RETA + 4ul * i, device == PF ? 0x03020302 : 0);
	}
	write_register(p, device, SIM_IGB_VFTA, 7);
	write_register(p, device, SIM_IGB_VFRE, 7);
	write_register(p, device, SIM_IGB_VFTE, 7);
	write_register(p, device, SIM_IGB_IVAR, 0x81828384);
	write_register(p, device, SIM_IGB_IVAR_MISC, 0x8000);
	write_register(p, device, SIM_IGB_CTRL_EXT, SIM_IGB_PF_READY);
	write_register(p, device, SIM_IGB_RCTL, how & 64 ? 1u << 1 | 1u << 5 | 1u << 15 | 1u << 18 : 0x803a);
	write_register(p, device, SIM_IGB_TCTL, 2);
}

static void set_up_one(struct program *p)
{
	unsigned int device = in_below(&p->in, DEVICES);

	if (device < VF)
		set_up(p, device, in_u8(&p->in));
	open_ring(p, device, false);
	open_ring(p, device, true);
}

static void exchange_mail(struct program *p)
{
	unsigned int number = in_below(&p->in, 9), words = in_below(&p->in, 18);
	uint8_t what = in_u8(&p->in);
	unsigned int vf = VF + number % 2;

	for (unsigned int i = 0; i < words; i++)
		write_register(p, vf, VF_MBMEM + 4ul * i, a_value(p));
	write_register(p, vf, VF_MAILBOX, what & 0xf);
	read_register(p, vf, VF_MAILBOX);
	write_register(p, PF, SIM_IGB_PF_MAILBOX + 4ul * number, what >> 4 | (what & 8 ? 0x10 : 0));
	read_register(p, PF, SIM_IGB_PF_MAILBOX + 4ul * number);
	write_register(p, PF, SIM_IGB_MBVFICR, read_register(p, PF, SIM_IGB_MBVFICR));
}

/* Time and trouble ------------------------------------------------------------------------------------------------------ */

static void step(struct program *p)
{
	unsigned int num = in_below(&p->in, 32) + 1;

	while (num-- && weir_sim_step(p->rig.sim) > 0)
		;
}

/* When they are to send no more, what came goes into descriptors or is dropped. */
static void rest(struct program *p)
{
	for (unsigned int i = 0; i < DEVICES; i++) {
		weir_sim_hang(p->devices[i], false);
		weir_sim_set_memory(p->devices[i], true);
		enable(p, i);
	}
	write_register(p, PF, SIM_IGB_TCTL, 0);
	write_register(p, PEER, SIM_IGB_TCTL, 0);
	for (unsigned int i = 0; weir_sim_step(p->rig.sim) > 0; i++)
		if (i > REST)
			fail("the ports never come to rest");
	write_register(p, PF, SIM_IGB_TCTL, 2);
	write_register(p, PEER, SIM_IGB_TCTL, 2);
}

static void trouble(struct program *p)
{
	unsigned int i = in_below(&p->in, DEVICES);
	uint8_t what = in_u8(&p->in);

	say("  trouble %u of %u", what, i);
	if (what == 255)
		weir_sim_unplug(p->devices[i], what & 1);
	else if (what >= 192)
		weir_sim_hang(p->devices[i], what & 1);
	else if (what >= 160)
		weir_sim_set_memory(p->devices[i], what & 1);
	else if (what >= 64) {
		rig_ioctl(&p->rig, p->cdevs[i], ABI_VFIO_DEVICE_RESET, NULL);
		enable(p, i);
	} else if (i < VF)
		weir_sim_igb_set_link(p->devices[i], what & 1);
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

static void add_devices(struct program *p)
{
	CHECK(weir_sim_add_igb(p->rig.sim, NULL, NULL, &p->devices[PF]) == 0);
	CHECK(weir_sim_add_igb(p->rig.sim, NULL, NULL, &p->devices[PEER]) == 0);
	CHECK(weir_sim_igb_connect(p->devices[PF], p->devices[PEER]) == 0);
	for (unsigned int i = VF; i < DEVICES; i++)
		CHECK(weir_sim_add_igb_vf(p->devices[PF], i - VF, NULL, &p->devices[i]) == 0);
}

static void open_devices(struct program *p)
{
	struct abi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	char path[32];

	p->iommufd = rig_node(&p->rig, "/dev/iommu");
	CHECK(p->iommufd >= 0);
	for (unsigned int i = 0; i < DEVICES; i++) {
		struct abi_vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = p->iommufd };

		snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%u", i);
		p->cdevs[i] = rig_node(&p->rig, path);
		CHECK(p->cdevs[i] >= 0);
		CHECK(rig_ioctl(&p->rig, p->cdevs[i], ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0);
		if (i == 0)
			CHECK(rig_ioctl(&p->rig, p->iommufd, ABI_IOMMU_IOAS_ALLOC, &alloc) == 0);
	}
	for (unsigned int i = 0; i < DEVICES; i++) {
		struct abi_vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach),
								    .pt_id = alloc.out_ioas_id };

		if (i <= VF)
			CHECK(rig_ioctl(&p->rig, p->cdevs[i], ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) ==
			      0);
		rig_enable(&p->rig, p->cdevs[i]);
	}
	map(p, 0, 0, MAPPED, true);
	map(p, MAPPED * PAGE, MAPPED, READ_ONLY, false);
	map(p, HIGH, 0, MAPPED, true);
}

/* What it takes the input long to come to: a link, rings and buffers. */
static void prepare(struct program *p, uint8_t how)
{
	for (unsigned int device = 0; device < DEVICES; device++) {
		if (device < VF)
			set_up(p, device, how);
		open_ring(p, device, false);
		open_ring(p, device, true);
		for (unsigned int i = 0; i < 8; i++)
			put(p, device, false, RINGS * PAGE + ((device + i) % 8) * PAGE, 0);
	}
}

static void run(struct program *p)
{
	static void (*const steps[])(struct program *) = { touch_register, send_frame, offer_buffers,
							   step,           set_up_one, send_frame,
							   exchange_mail,  step,       trouble,
							   send_frame,     rest,       touch_register };

	for (unsigned int i = 0; i < MOST_STEPS && !in_empty(&p->in); i++)
		in_pick(&p->in, steps)(p);
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
	uint8_t how = in_u8(&p.in);

	memset(arena_start(), 0, MAPPED * PAGE);
	memcpy(kept, as_it_was(), KEPT);
	rig_open(&p.rig, NULL, NULL, 0);
	add_devices(&p);
	open_devices(&p);
	if (!(how & 128))
		prepare(&p, how);
	run(&p);
	CHECK(memcmp(kept, as_it_was(), KEPT) == 0);
	for (unsigned int i = DEVICES; i-- > 0;)
		rig_fd_close(&p.rig, p.cdevs[i]);
	rig_fd_close(&p.rig, p.iommufd);
	rig_close(&p.rig);
	return 0;
}
