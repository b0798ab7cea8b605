// SPDX-License-Identifier: MIT
/*
 * The simulated machine's containers, type1 version 1 and 2 and /dev/iommu in their place, against a plain model: MAP_DMA and
 * UNMAP_DMA must end alike, and the devices find what the model says.
 */
#include <errno.h>
#include <unistd.h>

#include "fuzz/rig.h"
#include "fuzz/type1_model.h"

enum { MOST_STEPS = 200, FEW = 5, MANY = 24, BITMAP = 4096 };

struct program {
	struct input in;
	struct rig rig;
	struct type1 model;
	int container;
	int groups[RIG_DEVICES], fds[RIG_DEVICES]; /* -1: closed, and not in the container */
	uint64_t last_iova;
};

/* Numbers -------------------------------------------------------------------------------------------------- */

static uint64_t an_iova(struct program *p)
{
	static const uint64_t places[] = { 0,          0x1000,        0x2000,
					   0x3000,     0x4000,        0x8000,
					   0x10000,    0x11000,       0x200000,
					   0xfedff000, 0xfee00000,    0xfef00000,
					   1ull << 47, 1ull << 48,    (1ull << 48) - 0x1000,
					   1ull << 63, ~0ull - 0xfff, 0x5000 };
	uint8_t byte = in_u8(&p->in);

	if (byte == 255)
		return in_u64(&p->in);
	if (byte >= 248)
		return places[byte % 18] + in_u16(&p->in) % 0x1000;
	return byte >= 224 ? p->last_iova + (byte % 4) * 0x1000ull : places[byte % 18];
}

static uint64_t a_length(struct program *p)
{
	static const uint64_t lengths[] = { 0x1000,     0x1000,     0x2000,     0x2000,
					    0x3000,     0x4000,     0x5000,     0x8000,
					    0x10000,    0,          0x800,      1,
					    1ull << 21, 1ull << 48, 1ull << 63, ~0ull - 0xfff };
	uint8_t byte = in_u8(&p->in);

	return byte == 255 ? in_u64(&p->in) : lengths[byte % 16];
}

static uint64_t an_address(struct program *p)
{
	static const uint64_t nowhere[] = { 0, 1ull << 63, ~0ull - 0xfff };
	uint8_t byte = in_u8(&p->in);

	if (byte >= 250)
		return in_pick(&p->in, nowhere);
	return (uintptr_t)arena_start() + byte % 22 * PAGE + (byte >= 246 ? 0x800 : 0);
}

static int run_ioctl(struct program *p, unsigned long request, void *cmd, size_t len)
{
	void *there = arena_struct(len);
	int result;

	memcpy(there, cmd, len);
	result = rig_ioctl(&p->rig, p->container, request, there);
	memcpy(cmd, there, len);
	say("  %#lx: %d", request, result);
	return result;
}

static void compare(const struct type1_verdict *verdict, int result, unsigned long request)
{
	if (!type1_allows(verdict, result))
		fail("%#lx ended with %d; the model says %d (or one of %u)", request, result,
		     verdict->num ? verdict->errors[0] : 0, verdict->num);
}

/* Mappings ------------------------------------------------------------------------------------------------- */

static void map(struct program *p)
{
	struct abi_vfio_iommu_type1_dma_map cmd = { .argsz = sizeof(cmd) };
	struct type1_verdict verdict;
	uint8_t how = in_u8(&p->in);
	bool can_pin;

	cmd.flags = how < 160 ? 3 : how < 250 ? how % 8 : in_u32(&p->in);
	cmd.vaddr = an_address(p);
	cmd.iova = an_iova(p);
	cmd.size = a_length(p);
	p->last_iova = cmd.iova;
	/* Nothing looks at where the memory is said to be now; but devices will. */
	if (cmd.flags & ABI_VFIO_DMA_MAP_FLAG_VADDR && !arena_can_pin(cmd.vaddr, cmd.size, true))
		return;
	can_pin = arena_can_pin(cmd.vaddr, cmd.size, cmd.flags & ABI_VFIO_DMA_MAP_FLAG_WRITE);
	verdict = type1_map(&p->model, &cmd, can_pin);
	say("  flags %#x iova %#lx size %#lx", cmd.flags, cmd.iova, cmd.size);
	compare(&verdict, run_ioctl(p, ABI_VFIO_IOMMU_MAP_DMA, &cmd, sizeof(cmd)), ABI_VFIO_IOMMU_MAP_DMA);
}

/* The bitmap is large enough for what the arena's lengths are; longer ranges are refused for that. */
static void unmap(struct program *p)
{
	static uint64_t bitmap[BITMAP / 8];
	struct {
		struct abi_vfio_iommu_type1_dma_unmap unmap;
		struct abi_vfio_bitmap bitmap;
	} cmd = { .unmap = { .argsz = sizeof(cmd) }, .bitmap = { PAGE, BITMAP, bitmap } };
	struct abi_vfio_iommu_type1_dma_unmap before;
	struct type1_verdict verdict;
	uint8_t how = in_u8(&p->in);
	uint64_t size;
	int result;

	cmd.unmap.flags = how < 128 ? 0 : how < 144 ? 2 : how < 250 ? how % 8 : in_u32(&p->in);
	cmd.unmap.iova = an_iova(p);
	cmd.unmap.size = a_length(p);
	if (how >= 128 && how < 240 && cmd.unmap.flags & ABI_VFIO_DMA_UNMAP_FLAG_ALL)
		cmd.unmap.iova = cmd.unmap.size = 0;
	if (cmd.unmap.flags & ABI_VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP &&
	    cmd.unmap.size > BITMAP * 8ull * PAGE)
		return;
	before = cmd.unmap;
	verdict = type1_unmap(&p->model, &cmd.unmap, &size);
	result = run_ioctl(p, ABI_VFIO_IOMMU_UNMAP_DMA, &cmd, sizeof(cmd));
	say("  flags %#x iova %#lx size %#lx: %#lx, model %#lx", before.flags, before.iova, before.size,
	    cmd.unmap.size, size);
	compare(&verdict, result, ABI_VFIO_IOMMU_UNMAP_DMA);
	if (!result)
		CHECK(cmd.unmap.size == size);
	else if (!type1_is_compat(&p->model))
		CHECK(cmd.unmap.size == before.size);
}

/* Dirty pages of a container: everything that is mapped. */
static void track_dirty(struct program *p)
{
	static uint64_t bitmap[BITMAP / 8];
	struct {
		struct abi_vfio_iommu_type1_dirty_bitmap head;
		struct abi_vfio_iommu_type1_dirty_bitmap_get get;
	} cmd = { .head = { .argsz = sizeof(cmd), .flags = in_below(&p->in, 6) } };
	int result, expected = -EINVAL;

	cmd.get.iova = an_iova(p);
	cmd.get.size = a_length(p);
	cmd.get.bitmap = (struct abi_vfio_bitmap){ PAGE, BITMAP, bitmap };
	memset(bitmap, 0, sizeof(bitmap));
	result = run_ioctl(p, ABI_VFIO_IOMMU_DIRTY_PAGES, &cmd, sizeof(cmd));
	if (cmd.head.flags == 1 || cmd.head.flags == 2)
		expected = 0;
	if (p->model.kind != TYPE1_V2)
		expected = p->model.kind == TYPE1_V1 ? -EACCES : -ENOTTY;
	if (cmd.head.flags != 4 || p->model.kind != TYPE1_V2)
		CHECK(result == expected);
	if (result)
		return;
	if (cmd.head.flags != 4)
		p->model.tracks_dirty = cmd.head.flags == 1;
	for (uint64_t i = 0; cmd.head.flags == 4 && i < cmd.get.size / PAGE; i++)
		CHECK((bitmap[i / 64] >> i % 64 & 1) == !!type1_reach(&p->model, cmd.get.iova + i * PAGE));
}

/* Groups --------------------------------------------------------------------------------------------------- */

static void join(struct program *p, unsigned int device)
{
	char path[32] = "/dev/vfio/1";
	int error, expected = type1_num_invalid(&p->model) ? -EBUSY : 0;

	path[sizeof("/dev/vfio/") - 1] = (char)('1' + device);
	p->groups[device] = rig_node(&p->rig, path);
	CHECK(p->groups[device] >= 0);
	error = rig_ioctl(&p->rig, p->groups[device], ABI_VFIO_GROUP_SET_CONTAINER, &p->container);
	CHECK(error == expected);
	if (!error && !device)
		CHECK(rig_ioctl(&p->rig, p->container, ABI_VFIO_SET_IOMMU,
				(void *)(uintptr_t)(p->model.kind % 2 ? ABI_VFIO_TYPE1v2_IOMMU
								      : ABI_VFIO_TYPE1_IOMMU)) == 0);
	if (error) {
		rig_fd_close(&p->rig, p->groups[device]);
		p->groups[device] = -1;
		return;
	}
	p->fds[device] = rig_group_device(&p->rig, p->groups[device], device);
	CHECK(p->fds[device] >= 0);
	rig_enable(&p->rig, p->fds[device]);
}

static void leave(struct program *p, unsigned int device)
{
	if (p->fds[device] < 0)
		return;
	rig_fd_close(&p->rig, p->fds[device]);
	rig_fd_close(&p->rig, p->groups[device]);
	p->fds[device] = p->groups[device] = -1;
}

/* The second device comes and goes. */
static void change_groups(struct program *p)
{
	if (p->fds[1] < 0)
		join(p, 1);
	else
		leave(p, 1);
}

/* Both go, and with them all that a container has mapped; /dev/iommu is not asked, as without a device it takes more. */
static void begin_again(struct program *p)
{
	if (type1_is_compat(&p->model))
		return;
	leave(p, 1);
	leave(p, 0);
	p->model.num = 0;
	p->model.tracks_dirty = false;
	join(p, 0);
}

/* ---- */

static void probe(struct program *p)
{
	unsigned int device = in_below(&p->in, RIG_DEVICES);
	uint64_t iova = an_iova(p) & ~3ull;
	const struct type1_mapping *mapping = p->fds[device] < 0 ? NULL : type1_reach(&p->model, iova);
	bool write = in_u8(&p->in) & 1, window = iova >= 0xfee00000 && iova <= 0xfeefffff;
	uint32_t right = write ? ABI_VFIO_DMA_MAP_FLAG_WRITE : ABI_VFIO_DMA_MAP_FLAG_READ;
	unsigned char bytes[4];
	int error;

	in_bytes(&p->in, bytes, sizeof(bytes));
	error = write ? weir_sim_device_dma_write(p->rig.devices[device], iova, bytes, 4)
		      : weir_sim_device_dma_read(p->rig.devices[device], iova, bytes, 4);
	say("  dma %s %#lx: %d", write ? "write" : "read", iova, error);
	if (window)
		return;
	/* Memory that has been moved may lie where it cannot be written. */
	CHECK(mapping && mapping->flags & right ? !error : error);
	if (!error)
		CHECK(memcmp(bytes, (void *)(uintptr_t)(mapping->address + (iova - mapping->iova)), 4) == 0);
}

/* What it says of itself fits: as many mappings left as there are. */
static void ask_info(struct program *p)
{
	uint32_t words[64] = { in_below(&p->in, 65) * 4 }, room = words[0];
	struct abi_vfio_iommu_type1_info *info = (void *)words;
	int result = run_ioctl(p, ABI_VFIO_IOMMU_GET_INFO, words, room < 16 ? 16 : room > 256 ? 256 : room);

	CHECK(result == (room < 16 ? -EINVAL : 0));
	if (result || room < sizeof(*info) || !info->cap_offset)
		return;
	CHECK(info->cap_offset >= sizeof(*info) && info->argsz <= sizeof(words));
	for (uint32_t at = info->cap_offset, last = 0; at; last = at, at = words[at / 4 + 1]) {
		CHECK(at > last && at % 8 == 0 && at + 8 <= room);
		if ((uint16_t)words[at / 4] == ABI_VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL &&
		    !type1_is_compat(&p->model))
			CHECK(words[at / 4 + 2] == p->model.limit - p->model.num);
	}
}

static void run(struct program *p)
{
	static void (*const steps[])(struct program *) = { map,         unmap,   probe, map,
							   track_dirty, probe,   unmap, change_groups,
							   begin_again, ask_info };

	for (unsigned int i = 0; i < MOST_STEPS && !in_empty(&p->in) && p->model.num < TYPE1_MAPPINGS - 2;
	     i++) {
		unsigned int step = in_below(&p->in, 10);

		say("step %u", step);
		steps[step](p);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct weir_sim_slot slots[RIG_DEVICES] = { WEIR_OPTS(weir_sim_slot, .group = 1),
								 WEIR_OPTS(weir_sim_slot, .group = 2) };
	struct program p = { .in = { data, data + size }, .groups = { -1, -1 }, .fds = { -1, -1 } };
	uint8_t how = in_u8(&p.in);

	p.model.kind = how % TYPE1_KINDS;
	p.model.limit = how & 128 ? FEW : MANY;
	rig_open(&p.rig, &WEIR_OPTS(weir_sim_opts, .max_mappings = p.model.limit), slots, RIG_DEVICES);
	p.container = rig_node(&p.rig, type1_is_compat(&p.model) ? "/dev/iommu" : "/dev/vfio/vfio");
	CHECK(p.container >= 0);
	join(&p, 0);
	run(&p);
	leave(&p, 0);
	leave(&p, 1);
	rig_fd_close(&p.rig, p.container);
	rig_close(&p.rig);
	return 0;
}
