// SPDX-License-Identifier: MIT
/*
 * The library against a kernel, and a device, that lie.
 *
 * The input's first byte says how much of it is what the program does; the rest is how the kernel answers. Nothing is said about
 * what the calls return. They must come back, without touching memory that is not theirs, and closing everything must leave
 * nothing behind.
 */
#include <errno.h>
#include <stdlib.h>

#include <weir/caps.h>
#include <weir/host.h>
#include <weir/irq.h>
#include <weir/region.h>

#include "fuzz/hostile.h"

enum { SPACES = 2, DEVICES = 4, MAPS = 4, REGIONS = 4, IRQS = 2, MEMORY = 4 * 4096 };

struct program {
	struct input in;
	struct weir_host *host;
	struct weir_ioas *spaces[SPACES];
	struct weir_device *devices[DEVICES];
	struct weir_map *maps[MAPS];
	struct weir_ioas *map_owner[MAPS];
	struct weir_region *regions[REGIONS];
	struct weir_device *region_owner[REGIONS];
	struct weir_irq *irqs[DEVICES][IRQS];
	unsigned char *memory;
};

/* Lengths and addresses that mean something, and others. */
static uint64_t a_number(struct program *p)
{
	static const uint64_t numbers[] = { 0,      1,      2,      4,        8,          0x10,       0xff,
					    0x1000, 0x2000, 0x4000, 0x100000, 0xfee00000, 1ull << 32, ~0ull };
	uint8_t byte = in_u8(&p->in);

	return byte < 128 ? numbers[byte % 14] : byte == 255 ? in_u64(&p->in) : in_u16(&p->in) * 16ull;
}

/* Spaces ------------------------------------------------------------------------------------------------- */

static void open_space(struct program *p)
{
	struct weir_ioas **space = &p->spaces[in_below(&p->in, SPACES)];
	struct weir_ioas *opened = NULL;

	if (!*space && weir_ioas_open(p->host, NULL, &opened) == 0)
		*space = opened;
}

/* Its mappings end with it; -EBUSY while a device is in it. */
static int close_space_at(struct program *p, unsigned int i)
{
	int error = weir_ioas_close(p->spaces[i]);

	if (error == -EBUSY)
		return error;
	for (unsigned int j = 0; j < MAPS; j++)
		if (p->map_owner[j] == p->spaces[i])
			p->maps[j] = NULL;
	p->spaces[i] = NULL;
	return error;
}

static void close_space(struct program *p)
{
	close_space_at(p, in_below(&p->in, SPACES));
}

static void ask_space(struct program *p)
{
	struct weir_ioas *space = p->spaces[in_below(&p->in, SPACES)];
	struct weir_iova_range ranges[4];
	struct weir_ioas_info info;
	size_t num = in_below(&p->in, 5);

	if (!space)
		return;
	weir_ioas_ranges(space, ranges, &num);
	weir_ioas_info(space, &info, sizeof(info));
}

static void map(struct program *p)
{
	unsigned int slot = in_below(&p->in, MAPS);
	struct weir_ioas *space = p->spaces[in_below(&p->in, SPACES)];
	struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = in_u8(&p->in) & 7);
	size_t page = in_below(&p->in, 4), num = in_below(&p->in, (unsigned int)(4 - page)) + 1;
	struct weir_map *made = NULL;

	opts.iova = a_number(p);
	if (in_u8(&p->in) & 1)
		opts.address_bits = in_below(&p->in, 65);
	if (!space || p->maps[slot])
		return;
	if (weir_ioas_map(space, p->memory + page * 4096, num * 4096, &opts, &made) != 0)
		return;
	p->maps[slot] = made;
	p->map_owner[slot] = space;
}

static void unmap(struct program *p)
{
	unsigned int i = in_below(&p->in, MAPS);
	struct weir_map *mapping = p->maps[i];

	if (mapping && in_u8(&p->in) & 1)
		weir_ioas_unmap(p->map_owner[i], weir_map_iova(mapping), weir_map_len(mapping));
	else
		weir_map_close(mapping);
	p->maps[i] = NULL;
}

/* Devices ------------------------------------------------------------------------------------------------ */

static void open_device(struct program *p)
{
	static const char *const addresses[] = { YES_ADDRESS_0, YES_ADDRESS_1, YES_ADDRESS_2, YES_ADDRESS_3 };
	struct weir_device **slot = &p->devices[in_below(&p->in, DEVICES)];
	struct weir_ioas *space = p->spaces[in_below(&p->in, SPACES)];
	struct weir_device_opts opts = WEIR_OPTS(weir_device_opts, .address_bits = 0);
	struct weir_device *opened = NULL;
	const char *address = in_pick(&p->in, addresses);

	if (in_u8(&p->in) % 4 == 0)
		opts.address_bits = in_below(&p->in, 65);
	if (in_u8(&p->in) % 16 == 0)
		opts.vf_token = "01234567-89ab-cdef-0123-456789abcdef";
	if (space && !*slot && weir_device_open(space, address, &opts, &opened) == 0)
		*slot = opened;
}

static void close_slot(struct program *p, unsigned int i)
{
	for (unsigned int region = 0; region < REGIONS; region++)
		if (p->region_owner[region] == p->devices[i])
			p->regions[region] = NULL;
	for (unsigned int irq = 0; irq < IRQS; irq++)
		p->irqs[i][irq] = NULL;
	weir_device_close(p->devices[i]);
	p->devices[i] = NULL;
}

static void close_device(struct program *p)
{
	close_slot(p, in_below(&p->in, DEVICES));
}

static void move_device(struct program *p)
{
	struct weir_device *device = p->devices[in_below(&p->in, DEVICES)];
	struct weir_ioas *space = p->spaces[in_below(&p->in, SPACES)];

	if (device && space)
		weir_device_attach(device, space);
}

static void ask_device(struct program *p)
{
	struct weir_device *device = p->devices[in_below(&p->in, DEVICES)];
	struct weir_device_info info;

	if (!device)
		return;
	weir_device_info(device, &info, sizeof(info));
	weir_caps_check(device, in_below(&p->in, 6));
	weir_device_set_bus_master(device, in_u8(&p->in) & 1);
	weir_device_set_memory(device, in_u8(&p->in) & 1);
}

static void reset_device(struct program *p)
{
	struct weir_device *device = p->devices[in_below(&p->in, DEVICES)];
	struct weir_hot_reset_target targets[4];
	size_t num = in_below(&p->in, 5);

	if (!device)
		return;
	switch (in_below(&p->in, 3)) {
	case 0:
		weir_device_reset(device);
		break;
	case 1:
		weir_device_hot_reset_targets(device, targets, &num);
		break;
	default:
		weir_device_hot_reset(device);
	}
}

/* Regions ------------------------------------------------------------------------------------------------ */

static void find_region(struct program *p)
{
	unsigned int slot = in_below(&p->in, REGIONS);
	struct weir_device *device = p->devices[in_below(&p->in, DEVICES)];
	uint32_t index = in_below(&p->in, 12);

	if (!device || weir_device_region(device, index, &p->regions[slot]) != 0)
		return;
	p->region_owner[slot] = device;
}

static void ask_region(struct program *p)
{
	struct weir_region *region = p->regions[in_below(&p->in, REGIONS)];
	struct weir_region_info info;
	struct weir_region_area area;

	if (!region)
		return;
	weir_region_info(region, &info, sizeof(info));
	for (uint32_t i = 0; i <= info.num_areas; i++)
		CHECK((weir_region_area(region, i, &area) == 0) == (i < info.num_areas));
}

/* What is said to be mapped is there. */
static void map_region(struct program *p)
{
	struct weir_region *region = p->regions[in_below(&p->in, REGIONS)];
	struct weir_region_info info;
	volatile unsigned char *bytes;
	uint64_t len;
	void *addr;

	if (!region || weir_region_map(region, &addr, &len) != 0)
		return;
	weir_region_info(region, &info, sizeof(info));
	bytes = addr;
	if (len && info.flags & WEIR_REGION_READ)
		(void)(bytes[0] + bytes[len - 1]);
	if (len && info.flags & WEIR_REGION_WRITE)
		bytes[len - 1] = 1;
}

static void access_region(struct program *p)
{
	struct weir_region *region = p->regions[in_below(&p->in, REGIONS)];
	uint64_t at = a_number(p), value = a_number(p), read64;
	uint32_t read32;
	uint16_t read16;
	uint8_t read8;

	if (!region)
		return;
	if (in_u8(&p->in) & 1) /* from the end */
		at = -at;
	weir_region_read8(region, at, &read8);
	weir_region_read16(region, at, &read16);
	weir_region_read32(region, at, &read32);
	weir_region_read64(region, at, &read64);
	weir_region_write8(region, at, (uint8_t)value);
	weir_region_write16(region, at, (uint16_t)value);
	weir_region_write32(region, at, (uint32_t)value);
	weir_region_write64(region, at, value);
}

/* Interrupts --------------------------------------------------------------------------------------------- */

static void enable_irq(struct program *p)
{
	unsigned int i = in_below(&p->in, DEVICES);
	struct weir_irq **slot = &p->irqs[i][in_below(&p->in, IRQS)], *enabled = NULL;
	enum weir_irq_kind kind = in_below(&p->in, 6);
	uint32_t count = (uint32_t)a_number(p), most = 0;

	if (!p->devices[i] || *slot)
		return;
	weir_irq_count(p->devices[i], kind, &most);
	if (weir_irq_enable(p->devices[i], kind, count, &enabled) == 0)
		*slot = enabled;
}

static void use_irq(struct program *p)
{
	struct weir_irq **slot = &p->irqs[in_below(&p->in, DEVICES)][in_below(&p->in, IRQS)];
	uint32_t vector = in_below(&p->in, 8);
	uint64_t count;

	if (!*slot)
		return;
	switch (in_below(&p->in, 6)) {
	case 0:
		weir_irq_fd(*slot, vector);
		break;
	case 1:
		weir_irq_wait(*slot, vector, 0, &count);
		break;
	case 2:
		weir_irq_trigger(*slot, vector);
		break;
	case 3:
		weir_irq_mask(*slot);
		break;
	case 4:
		weir_irq_unmask(*slot);
		break;
	default:
		weir_irq_disable(*slot);
		*slot = NULL;
	}
}

/* ---- */

static void end(struct program *p)
{
	for (unsigned int i = 0; i < DEVICES; i++)
		close_slot(p, i);
	for (unsigned int i = 0; i < SPACES; i++)
		CHECK(close_space_at(p, i) != -EBUSY);
	CHECK(weir_host_close(p->host) == 0);
}

static void run(struct program *p, const struct weir_sys *sys)
{
	static void (*const steps[])(struct program *) = {
		open_space,    close_space, ask_space,    map,         unmap,      open_device, close_device,
		move_device,   ask_device,  reset_device, find_region, ask_region, map_region,  find_region,
		access_region, enable_irq,  use_irq,      open_device, open_device
	};
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .backend = in_below(&p->in, 4), .sys = sys);

	if (weir_host_open(&opts, &p->host) != 0)
		return;
	while (!in_empty(&p->in)) {
		unsigned int step = in_below(&p->in, sizeof(steps) / sizeof(steps[0]));

		say("step %u", step);
		steps[step](p);
	}
	end(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hostile hostile;
	struct program p = { .in = { data, data + size } };
	size_t len = in_u8(&p.in);

	hostile_init(&hostile, in_split(&p.in, len));
	p.memory = aligned_alloc(4096, MEMORY);
	run(&p, &hostile.table);
	free(p.memory);
	hostile_finish(&hostile);
	return 0;
}
