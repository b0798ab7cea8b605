// SPDX-License-Identifier: MIT
/*
 * The simulated machine's VFIO devices: ioctls with arguments of any size, registers and configuration space written anywhere,
 * interrupts, resets, power, mappings. Device 0 is opened by its own node, device 1 through its group.
 *
 * No call may write beyond the length that it was given, nor read outside the machine's memory; what was opened can be closed.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/rig.h"
#include "kernel/vfio_abi.h"
#include "sim/device/device.h"

enum { MOST_STEPS = 300, EVENTFDS = 3, MAPPINGS = 3, ROOM = 256, CANARY = 0x5a };

struct program {
	struct input in;
	struct rig rig;
	int iommufd, container, group;
	int fds[RIG_DEVICES]; /* -1: closed */
	int eventfds[EVENTFDS];
	struct {
		void *addr;
		size_t len;
	} mappings[MAPPINGS];
	bool unplugged[RIG_DEVICES]; /* or about to be */
};

static uint64_t a_number(struct program *p)
{
	static const uint64_t numbers[] = { 0, 1, 2,    3,      4,      5,          8,          16,
					    6, 7, 0xff, 0x1000, 0xffff, 0xffffffff, 0x80000000, ~0ull };
	uint8_t byte = in_u8(&p->in);

	return byte < 192 ? numbers[byte % 16] : byte < 240 ? byte : in_u64(&p->in);
}

static int an_eventfd(struct program *p)
{
	uint8_t byte = in_u8(&p->in);

	return byte < 192   ? p->eventfds[byte % EVENTFDS]
	       : byte < 224 ? -1
	       : byte < 240 ? p->iommufd
			    : (int)in_u32(&p->in);
}

static int a_device_fd(struct program *p)
{
	return p->fds[in_below(&p->in, RIG_DEVICES)];
}

/* @len bytes, of which the first word says how many are the kernel's; the rest stays as it is. */
static int call(struct program *p, int fd, unsigned long request, void *cmd, size_t len)
{
	unsigned char *there = arena_struct(ROOM);
	uint32_t said;
	int result;

	memset(there, CANARY, ROOM);
	memcpy(there, cmd, len);
	memcpy(&said, cmd, sizeof(said));
	result = rig_ioctl(&p->rig, fd, request, there);
	say("  ioctl %#lx: %d", request, result);
	CHECK(result >= -4095 && result <= 1 << 20);
	for (size_t i = said > len ? said : len; i < ROOM; i++)
		CHECK(there[i] == CANARY);
	return result;
}

/* Steps ---------------------------------------------------------------------------------------------------- */

static void ask(struct program *p)
{
	static const uint32_t requests[] = { ABI_VFIO_DEVICE_GET_INFO, ABI_VFIO_DEVICE_GET_REGION_INFO,
					     ABI_VFIO_DEVICE_GET_IRQ_INFO,
					     ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO };
	uint32_t cmd[8] = { in_u8(&p->in) < 250 ? in_below(&p->in, 65) : (uint32_t)a_number(p), 0 };

	cmd[2] = (uint32_t)a_number(p); /* the index */
	call(p, a_device_fd(p), in_pick(&p->in, requests), cmd, 4 * 3);
}

/* Mostly what the device has; else anything. */
static void fill_irq_set(struct program *p, struct abi_vfio_irq_set *set, uint32_t vectors)
{
	uint8_t how = in_u8(&p->in);

	if (how < 160) {
		set->flags = how & 1 ? ABI_VFIO_IRQ_SET_DATA_EVENTFD | ABI_VFIO_IRQ_SET_ACTION_TRIGGER
				     : 1u << how / 2 % 3 | 8u << how / 8 % 3;
		set->start = how / 32 % 2;
		set->count = in_below(&p->in, vectors + 1);
		return;
	}
	set->flags = how < 224 ? 1u << how % 3 | 8u << how / 3 % 3 : (uint32_t)a_number(p);
	set->start = (uint32_t)a_number(p);
	set->count = (uint32_t)a_number(p);
	set->argsz = in_u8(&p->in) < 200 ? set->argsz : (uint32_t)a_number(p);
}

static void set_irqs(struct program *p)
{
	static const uint32_t vectors[] = { 1, 4, 5, 1, 1, 0 };
	struct {
		struct abi_vfio_irq_set set;
		int32_t data[16];
	} cmd = { .set = { .argsz = sizeof(cmd), .index = in_below(&p->in, 6) } };
	int result;

	fill_irq_set(p, &cmd.set, vectors[cmd.set.index]);
	for (unsigned int i = 0; i < 6; i++)
		cmd.data[i] = an_eventfd(p);
	result = call(p, a_device_fd(p), ABI_VFIO_DEVICE_SET_IRQS, &cmd, sizeof(cmd));
	/* Nothing is enabled that the device does not have. */
	if (!result)
		CHECK((uint64_t)cmd.set.start + cmd.set.count <= vectors[cmd.set.index]);
}

static void set_ioeventfd(struct program *p)
{
	struct abi_vfio_device_ioeventfd cmd = { .argsz = sizeof(cmd), .flags = 1u << in_below(&p->in, 5) };

	if (in_u8(&p->in) >= 240)
		cmd.flags = (uint32_t)a_number(p);
	cmd.offset = (uint64_t)in_below(&p->in, 8) << 40 | (a_number(p) & 0xffffff);
	cmd.data = a_number(p);
	cmd.fd = an_eventfd(p);
	call(p, a_device_fd(p), ABI_VFIO_DEVICE_IOEVENTFD, &cmd, sizeof(cmd));
}

static void use_feature(struct program *p)
{
	struct {
		struct abi_vfio_device_feature feature;
		int32_t data[8];
	} cmd = { .feature = { .argsz = sizeof(cmd) } };
	int result;

	cmd.feature.flags = in_below(&p->in, 14) | (uint32_t)in_below(&p->in, 16) << 16;
	cmd.data[0] = an_eventfd(p);
	for (unsigned int i = 1; i < 6; i++)
		cmd.data[i] = (int32_t)a_number(p);
	if (in_u8(&p->in) >= 224)
		cmd.feature.argsz = (uint32_t)a_number(p);
	result = call(p, a_device_fd(p), ABI_VFIO_DEVICE_FEATURE, &cmd, sizeof(cmd));
	if (result > 0) /* a dma-buf */
		close(result);
}

static void reset(struct program *p)
{
	int32_t cmd[6] = { sizeof(cmd), 0, (int32_t)in_below(&p->in, 4), p->group, p->group, p->container };

	if (in_u8(&p->in) & 1)
		rig_ioctl(&p->rig, a_device_fd(p), ABI_VFIO_DEVICE_RESET, NULL);
	else
		call(p, a_device_fd(p), ABI_VFIO_DEVICE_PCI_HOT_RESET, cmd, sizeof(cmd));
}

/* Any ioctl, any struct. It has no pointers but those of BIND, which is refused here. */
static void any_ioctl(struct program *p)
{
	unsigned char cmd[64];
	uint32_t nr = 0x3b64 + in_below(&p->in, 0x20);
	int fds[] = { p->fds[0], p->fds[1], p->group, p->container };
	size_t len = in_below(&p->in, sizeof(cmd)) + 1u;

	in_bytes(&p->in, cmd, len);
	if (nr == ABI_VFIO_IOMMU_MAP_DMA || nr == ABI_VFIO_IOMMU_UNMAP_DMA ||
	    nr == ABI_VFIO_IOMMU_DIRTY_PAGES || nr == ABI_VFIO_DEVICE_BIND_IOMMUFD)
		return;
	if (nr >= ABI_VFIO_GROUP_SET_CONTAINER && nr <= ABI_VFIO_GROUP_GET_DEVICE_FD)
		return;
	memcpy(arena_struct(len), cmd, len);
	rig_ioctl(&p->rig, in_pick(&p->in, fds), nr, arena_struct(len));
}

static void transfer(struct program *p, bool write)
{
	static const uint8_t lens[] = { 1, 2, 4, 8, 4, 4, 3, 16, 64, 128, 255, 0 };
	uint8_t byte = in_u8(&p->in);
	uint64_t region = byte < 128 ? ABI_VFIO_PCI_CONFIG_REGION_INDEX : byte % 10;
	uint64_t at = region << 40 | (in_u8(&p->in) & 1 ? in_u16(&p->in) : in_u8(&p->in));
	size_t len = in_pick(&p->in, lens);
	unsigned char *bytes = arena_struct(len);
	int fd = a_device_fd(p);
	ssize_t done;

	if (byte == 255)
		at = in_u64(&p->in);
	in_bytes(&p->in, bytes, len);
	if (byte == 254) /* it ends where there is nothing */
		bytes += 1;
	if (write)
		done = p->rig.sys->pwrite(p->rig.sys->ctx, fd, bytes, len, at);
	else
		done = p->rig.sys->pread(p->rig.sys->ctx, fd, bytes, len, at);
	say("  %s of %zu bytes at %#lx: %zd", write ? "write" : "read", len, at, done);
	CHECK(done >= -4095 && done <= (ssize_t)len);
}

static void read_registers(struct program *p)
{
	transfer(p, false);
}

static void write_registers(struct program *p)
{
	transfer(p, true);
}

static void map(struct program *p)
{
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE };
	unsigned int slot = in_below(&p->in, MAPPINGS);
	uint64_t offset = (uint64_t)in_below(&p->in, 8) << 40 | in_below(&p->in, 20) * 0x1000ull;
	size_t len = in_below(&p->in, 20) * 0x1000ul + (in_u8(&p->in) >= 240 ? 8 : 0);
	int flags = in_u8(&p->in) >= 240 ? MAP_PRIVATE : MAP_SHARED;
	void *addr;

	if (in_u8(&p->in) & 1) { /* a BAR that is memory, or half of it */
		offset = 1ull << 40;
		len = 0x8000;
	}
	if (p->mappings[slot].addr)
		return;
	if (p->rig.sys->mmap(p->rig.sys->ctx, NULL, len, in_pick(&p->in, prots), flags, a_device_fd(p),
			     offset, &addr))
		return;
	p->mappings[slot].addr = addr;
	p->mappings[slot].len = len;
}

/* Perhaps only its beginning, or its end. */
static void unmap_slot(struct program *p, unsigned int slot, unsigned int half)
{
	unsigned char *addr = p->mappings[slot].addr;
	size_t len = p->mappings[slot].len, part = len / 2 / 0x1000 * 0x1000;

	if (!addr)
		return;
	if (!part)
		half = 0;
	CHECK(p->rig.sys->munmap(p->rig.sys->ctx, half == 2 ? addr + part : addr,
				 half == 1 ? part
				 : half    ? len - part
					   : len) == 0);
	if (half)
		CHECK(p->rig.sys->munmap(p->rig.sys->ctx, half == 2 ? addr : addr + part,
					 half == 2 ? part : len - part) == 0);
	p->mappings[slot].addr = NULL;
}

static void unmap(struct program *p)
{
	unmap_slot(p, in_below(&p->in, MAPPINGS), in_below(&p->in, 3));
}

static void signal_eventfd(struct program *p)
{
	eventfd_write(in_pick(&p->in, p->eventfds), 1);
	weir_sim_step(p->rig.sim);
}

static void trouble(struct program *p)
{
	unsigned int which = in_below(&p->in, RIG_DEVICES);
	struct weir_sim_device *device = p->rig.devices[which];
	uint8_t byte = in_u8(&p->in);

	if (p->unplugged[which])
		return;
	if (byte < 64)
		weir_sim_set_memory(device, byte & 1);
	else if (byte < 128)
		weir_sim_report_error(device);
	else if (byte < 160)
		weir_sim_lose_irqs(device, byte % 4);
	else if (byte < 192)
		weir_sim_cut_transfers(p->rig.sim, byte & 1);
	else if (byte < 224)
		weir_sim_device_msi(device, byte % 8);
	else if (byte < 248)
		weir_sim_device_intx(device, byte & 1);
	else
		weir_sim_unplug(device, byte & 1);
	p->unplugged[which] = byte >= 248;
}

/* DMA through the container: memory, and BARs where they are mapped ---------------------------------------- */

static uint64_t a_mapped_address(struct program *p)
{
	unsigned int slot = in_below(&p->in, MAPPINGS + 1);

	if (slot == MAPPINGS || !p->mappings[slot].addr)
		return arena_address(&p->in);
	return (uintptr_t)p->mappings[slot].addr + in_below(&p->in, 9) * (uint64_t)PAGE;
}

static void map_dma(struct program *p)
{
	struct abi_vfio_iommu_type1_dma_map cmd = { .argsz = sizeof(cmd) };
	int result;

	cmd.flags = in_below(&p->in, 4);
	cmd.vaddr = a_mapped_address(p);
	cmd.iova = in_below(&p->in, 16) * (uint64_t)PAGE;
	cmd.size = (in_below(&p->in, 8) + 1) * (uint64_t)PAGE;
	result = rig_ioctl(&p->rig, p->container, ABI_VFIO_IOMMU_MAP_DMA, &cmd);
	say("  map %#llx at %#llx: %d", (unsigned long long)cmd.vaddr, (unsigned long long)cmd.iova, result);
}

static void unmap_dma(struct program *p)
{
	struct abi_vfio_iommu_type1_dma_unmap cmd = { .argsz = sizeof(cmd) };

	cmd.iova = in_below(&p->in, 16) * (uint64_t)PAGE;
	cmd.size = (in_below(&p->in, 16) + 1) * (uint64_t)PAGE;
	rig_ioctl(&p->rig, p->container, ABI_VFIO_IOMMU_UNMAP_DMA, &cmd);
}

static void do_dma(struct program *p)
{
	unsigned int device = in_below(&p->in, RIG_DEVICES);
	uint64_t iova = in_below(&p->in, 17) * (uint64_t)PAGE - in_below(&p->in, 9);
	size_t len = in_below(&p->in, 17);
	unsigned char bytes[16];

	if (p->unplugged[device])
		return;
	in_bytes(&p->in, bytes, sizeof(bytes));
	if (in_u8(&p->in) & 1)
		weir_sim_device_dma_write(p->rig.devices[device], iova, bytes, len);
	else
		weir_sim_device_dma_read(p->rig.devices[device], iova, bytes, len);
}

/* Opening and closing -------------------------------------------------------------------------------------- */

static void open_device(struct program *p, unsigned int device)
{
	struct abi_vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = p->iommufd };

	if (device) {
		p->fds[1] = rig_group_device(&p->rig, p->group, 1);
		return;
	}
	p->fds[0] = rig_cdev(&p->rig, 0);
	if (p->fds[0] < 0 || rig_ioctl(&p->rig, p->fds[0], ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0)
		return;
	rig_fd_close(&p->rig, p->fds[0]);
	p->fds[0] = -1;
}

static void reopen(struct program *p)
{
	unsigned int device = in_below(&p->in, RIG_DEVICES);

	if (p->fds[device] >= 0) {
		rig_fd_close(&p->rig, p->fds[device]);
		p->fds[device] = -1;
	} else {
		open_device(p, device);
	}
}

/* Of any age that has both nodes; each device on a bus of its own, both on one, or on one that cannot be reset. */
static void open_machine(struct program *p)
{
	static const uint32_t ages[] = { WEIR_SIM_7_2, WEIR_SIM_6_6, WEIR_SIM_6_12, WEIR_SIM_6_19 };
	uint8_t ways = in_u8(&p->in);
	struct weir_sim_slot slots[RIG_DEVICES] = { WEIR_OPTS(weir_sim_slot, .group = 1),
						    WEIR_OPTS(weir_sim_slot, .group = 2) };

	slots[0].bus_group = ways & 4 ? 1 : 0;
	slots[1].bus_group = ways & 8 ? 1 : 2;
	rig_open(&p->rig, &WEIR_OPTS(weir_sim_opts, .age = ages[ways % 4]), slots, RIG_DEVICES);
}

static void begin(struct program *p)
{
	p->iommufd = rig_node(&p->rig, "/dev/iommu");
	p->container = rig_node(&p->rig, "/dev/vfio/vfio");
	p->group = rig_node(&p->rig, "/dev/vfio/2");
	CHECK(p->iommufd >= 0 && p->container >= 0 && p->group >= 0);
	CHECK(rig_ioctl(&p->rig, p->group, ABI_VFIO_GROUP_SET_CONTAINER, &p->container) == 0);
	CHECK(rig_ioctl(&p->rig, p->container, ABI_VFIO_SET_IOMMU, (void *)ABI_VFIO_TYPE1v2_IOMMU) == 0);
	for (unsigned int i = 0; i < EVENTFDS; i++)
		p->eventfds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned int i = 0; i < RIG_DEVICES; i++) {
		open_device(p, i);
		CHECK(p->fds[i] >= 0);
		rig_enable(&p->rig, p->fds[i]);
	}
}

static void end(struct program *p)
{
	for (unsigned int i = 0; i < MAPPINGS; i++)
		unmap_slot(p, i, 0);
	for (unsigned int i = 0; i < RIG_DEVICES; i++)
		if (p->fds[i] >= 0)
			rig_fd_close(&p->rig, p->fds[i]);
	rig_fd_close(&p->rig, p->group);
	rig_fd_close(&p->rig, p->container);
	rig_fd_close(&p->rig, p->iommufd);
	for (unsigned int i = 0; i < EVENTFDS; i++)
		close(p->eventfds[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(
		struct program *) = { ask,       set_irqs,  set_ioeventfd,   use_feature,
				      reset,     any_ioctl, read_registers,  write_registers,
				      map,       unmap,     signal_eventfd,  trouble,
				      reopen,    set_irqs,  write_registers, map_dma,
				      unmap_dma, do_dma,    map_dma,         do_dma };
	struct program p = { .in = { data, data + size } };

	open_machine(&p);
	begin(&p);
	for (unsigned int i = 0; i < MOST_STEPS && !in_empty(&p.in); i++) {
		unsigned int step = in_below(&p.in, sizeof(steps) / sizeof(steps[0]));

		say("step %u", step);
		steps[step](&p);
	}
	end(&p);
	rig_close(&p.rig);
	return 0;
}
