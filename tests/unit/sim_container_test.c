// SPDX-License-Identifier: MIT
/* The simulated machine's type1 containers: mappings (kernel-interface C.3 to C.6), row by row. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim_probe.h"

enum {
	PAGE = 4096,
	READ = ABI_VFIO_DMA_MAP_FLAG_READ,
	WRITE = ABI_VFIO_DMA_MAP_FLAG_WRITE,
	VADDR = ABI_VFIO_DMA_MAP_FLAG_VADDR,
	UNMAP_DIRTY = ABI_VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
	UNMAP_ALL = ABI_VFIO_DMA_UNMAP_FLAG_ALL,
	UNMAP_VADDR = ABI_VFIO_DMA_UNMAP_FLAG_VADDR,
};

static int64_t map_flags(struct rig *rig, uint32_t flags, uint64_t vaddr, uint64_t iova, uint64_t size)
{
	struct abi_vfio_iommu_type1_dma_map cmd = { sizeof(cmd), flags, vaddr, iova, size };

	return call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_MAP_DMA, &cmd);
}

static int64_t map_at(struct rig *rig, const void *addr, uint64_t iova, uint64_t size)
{
	return map_flags(rig, READ | WRITE, (uintptr_t)addr, iova, size);
}

/* What it says was unmapped, or the errno; on failure the size must be as it was. */
static int64_t unmap_flags(struct rig *rig, uint32_t flags, uint64_t iova, uint64_t size)
{
	struct abi_vfio_iommu_type1_dma_unmap cmd = { sizeof(cmd), flags, iova, size };
	int64_t result = call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_UNMAP_DMA, &cmd);

	if (result)
		EXPECT_EQ(cmd.size, size);
	return result ? result : (int64_t)cmd.size;
}

static int64_t unmap_at(struct rig *rig, uint64_t iova, uint64_t size)
{
	return unmap_flags(rig, 0, iova, size);
}

/* The rig's container with another type: version 1. */
static struct rig *new_v1(struct t *t)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);

	done(rig->sim, rig->fd);
	ASSERT_OK(call_value(rig->sim, rig->group, ABI_VFIO_GROUP_UNSET_CONTAINER, 0));
	ASSERT_OK(call(rig->sim, rig->group, ABI_VFIO_GROUP_SET_CONTAINER, &rig->iommu));
	ASSERT_OK(call_value(rig->sim, rig->iommu, ABI_VFIO_SET_IOMMU, ABI_VFIO_TYPE1_IOMMU));
	rig->fd = (int)call(rig->sim, rig->group, ABI_VFIO_GROUP_GET_DEVICE_FD, rig->device->address);
	ASSERT_GE(rig->fd, 0);
	return rig;
}

/* MAP (C.3) ---------------------------------------------------------------------------------------------- */

UNIT(sim_container, maps_that_are_refused)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	uint64_t at = (uintptr_t)memory(t, 4 * PAGE), top = UINT64_C(1) << 48;
	uint64_t hole = (uintptr_t)before_hole(t);
	const struct {
		const char *what;
		struct abi_vfio_iommu_type1_dma_map cmd;
		int result;
	} rows[] = {
		{ "argsz", { 31, READ, at, 0, PAGE }, -EINVAL },
		{ "unknown flag", { 32, READ | 8, at, 0, PAGE }, -EINVAL },
		{ "no rights", { 32, 0, at, 0, PAGE }, -EINVAL },
		{ "no size", { 32, READ, at, 0, 0 }, -EINVAL },
		{ "no size, at the very end", { 32, 0, at, UINT64_MAX, 0 }, -EINVAL },
		{ "size unaligned", { 32, READ, at, 0, PAGE + 1 }, -EINVAL },
		{ "IOVA unaligned", { 32, READ, at, 1, PAGE }, -EINVAL },
		{ "address unaligned", { 32, READ, at + 8, 0, PAGE }, -EINVAL },
		{ "IOVA wraps", { 32, READ, at, -UINT64_C(4096), 2 * PAGE }, -EOVERFLOW },
		{ "address wraps", { 32, READ, -UINT64_C(4096), 0, 2 * PAGE }, -EOVERFLOW },
		{ "wraps, and no rights", { 32, 0, at, -UINT64_C(4096), 2 * PAGE }, -EOVERFLOW },
		{ "above the aperture", { 32, READ, at, top, PAGE }, -EINVAL },
		{ "across the aperture's end", { 32, READ, at, top - PAGE, 2 * PAGE }, -EINVAL },
		{ "MSI window", { 32, READ, at, 0xfee00000, PAGE }, -EINVAL },
		{ "into the MSI window", { 32, READ, at, 0xfedff000, 2 * PAGE }, -EINVAL },
		{ "no memory there", { 32, READ, hole, 0, PAGE }, -EFAULT },
		{ "memory, and then none", { 32, READ, hole - PAGE, 0, 2 * PAGE }, -EFAULT },
		{ "VADDR with rights", { 32, VADDR | READ, at, 0, PAGE }, -EINVAL },
		{ "VADDR of nothing", { 32, VADDR, at, 0, PAGE }, -ENOENT },
		{ "good, at 0", { 32, READ, at, 0, 2 * PAGE }, 0 },
		{ "the same again", { 32, READ, at, 0, 2 * PAGE }, -EEXIST },
		{ "its end", { 32, READ, at, PAGE, 2 * PAGE }, -EEXIST },
		{ "taken, and the address is bad", { 32, READ, hole, PAGE, PAGE }, -EEXIST },
		{ "last page", { 32, WRITE, at, top - PAGE, PAGE }, 0 },
		{ "up to the MSI window", { 32, READ | WRITE, at, 0xfedff000, PAGE }, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct abi_vfio_iommu_type1_dma_map cmd = rows[i].cmd;

		t_note(t, "%s", rows[i].what);
		EXPECT_EQ(call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_MAP_DMA, &cmd), rows[i].result);
	}
	EXPECT_EQ(unmap_flags(rig, UNMAP_ALL, 0, 0), 4 * PAGE);
}

UNIT(sim_container, rights_are_kept)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	unsigned char *buffer = memory(t, 2 * PAGE);
	char byte = 1;

	put16(rig->sim, rig->fd, CONFIG + 4, 6);
	ASSERT_OK(map_flags(rig, READ, (uintptr_t)buffer, 0, PAGE));
	ASSERT_OK(map_flags(rig, WRITE, (uintptr_t)buffer, PAGE, PAGE));
	EXPECT_OK(weir_sim_device_dma_read(rig->device, 0, &byte, 1));
	EXPECT_ERR(-EFAULT, weir_sim_device_dma_write(rig->device, 0, &byte, 1));
	EXPECT_OK(weir_sim_device_dma_write(rig->device, PAGE, &byte, 1));
	/* What cannot be written can be mapped for reading only. */
	ASSERT_EQ(mprotect(buffer + PAGE, PAGE, PROT_READ), 0);
	EXPECT_ERR(-EFAULT, map_flags(rig, WRITE, (uintptr_t)buffer + PAGE, 2 * PAGE, PAGE));
	EXPECT_OK(map_flags(rig, READ, (uintptr_t)buffer + PAGE, 2 * PAGE, PAGE));
}

UNIT(sim_container, every_mapping_is_pinned_for_itself)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	unsigned char *buffer = memory(t, PAGE);

	ASSERT_OK(map_at(rig, buffer, 0, PAGE));
	ASSERT_OK(map_at(rig, buffer, PAGE, PAGE));
	EXPECT_EQ(rig->sim->processes[0].locked_bytes, 2 * PAGE);
	EXPECT_EQ(unmap_at(rig, 0, PAGE), PAGE);
	EXPECT_EQ(rig->sim->processes[0].locked_bytes, PAGE);
	EXPECT_EQ(rig->sim->processes[0].pinned_bytes, 0); /* which only iommufd counts */
}

/* UNMAP (C.4) -------------------------------------------------------------------------------------------- */

UNIT(sim_container, version_2_never_cuts)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	unsigned char *buffer = memory(t, 4 * PAGE);

	ASSERT_OK(map_at(rig, buffer, 0x10000, 4 * PAGE));
	ASSERT_OK(map_at(rig, buffer, 0x20000, PAGE));
	EXPECT_ERR(-EINVAL, unmap_at(rig, 0x10000, PAGE)); /* [VM] */
	EXPECT_ERR(-EINVAL, unmap_at(rig, 0x11000, 3 * PAGE));
	EXPECT_ERR(-EINVAL, unmap_at(rig, 0x11000, PAGE));
	EXPECT_ERR(-EINVAL, unmap_at(rig, 0x13000, 0x20000));
	EXPECT_ERR(-EINVAL, unmap_at(rig, 0xf000, 2 * PAGE));
	EXPECT_EQ(unmap_at(rig, 0x30000, PAGE), 0);          /* [VM] nothing there */
	EXPECT_EQ(unmap_at(rig, 0x8000, 0x20000), 5 * PAGE); /* holes do not matter */
	EXPECT_EQ(unmap_at(rig, 0x8000, 0x20000), 0);
	EXPECT_EQ(rig->sim->processes[0].pinned_bytes, 0);
}

UNIT(sim_container, version_1_takes_all_or_nothing)
{
	struct rig *rig = new_v1(t);
	unsigned char *buffer = memory(t, 4 * PAGE);

	ASSERT_OK(map_at(rig, buffer, 0x10000, 4 * PAGE));
	EXPECT_EQ(unmap_at(rig, 0x11000, PAGE), 0); /* [VM] not at its first byte */
	EXPECT_EQ(unmap_at(rig, 0x11000, 0x10000), 0);
	EXPECT_EQ(unmap_at(rig, 0x10000, PAGE), 4 * PAGE); /* [VM] more than was asked for */
	ASSERT_OK(map_at(rig, buffer, 0x10000, PAGE));
	ASSERT_OK(map_at(rig, buffer, 0x11000, 2 * PAGE));
	EXPECT_EQ(unmap_at(rig, 0xf000, 3 * PAGE), 3 * PAGE);
	EXPECT_EQ(unmap_at(rig, 0x10000, PAGE), 0);
}

UNIT(sim_container, unmaps_that_are_refused)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	static const struct {
		const char *what;
		struct abi_vfio_iommu_type1_dma_unmap cmd;
		int result;
	} rows[] = {
		{ "argsz", { 23, 0, 0, PAGE }, -EINVAL },
		{ "unknown flag", { 24, 8, 0, PAGE }, -EINVAL },
		{ "no size", { 24, 0, 0, 0 }, -EINVAL },
		{ "size unaligned", { 24, 0, 0, 100 }, -EINVAL },
		{ "IOVA unaligned", { 24, 0, 100, PAGE }, -EINVAL },
		{ "wraps", { 24, 0, -UINT64_C(4096), 2 * PAGE }, -EOVERFLOW },
		{ "all, and a size", { 24, UNMAP_ALL, 0, PAGE }, -EINVAL },
		{ "all, from an address", { 24, UNMAP_ALL, PAGE, 0 }, -EINVAL },
		{ "bitmap of all", { 48, UNMAP_DIRTY | UNMAP_ALL, 0, 0 }, -EINVAL },
		{ "bitmap and VADDR", { 48, UNMAP_DIRTY | UNMAP_VADDR, 0, PAGE }, -EINVAL },
		{ "no room for a bitmap", { 47, UNMAP_DIRTY, 0, PAGE }, -EINVAL },
		{ "everything but the last page", { 24, 0, 0, -UINT64_C(4096) }, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned char room[64] = { 0 };

		t_note(t, "%s", rows[i].what);
		memcpy(room, &rows[i].cmd, sizeof(rows[i].cmd));
		EXPECT_EQ(call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_UNMAP_DMA, room), rows[i].result);
	}
}

/* Dirty (C.5) -------------------------------------------------------------------------------------------- */

struct get_dirty {
	struct abi_vfio_iommu_type1_dirty_bitmap cmd;
	struct abi_vfio_iommu_type1_dirty_bitmap_get get;
};

static int64_t dirty(struct rig *rig, uint32_t flags)
{
	struct get_dirty cmd = { .cmd = { sizeof(cmd), flags } };

	return call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_DIRTY_PAGES, &cmd);
}

static int64_t get_bitmap(struct rig *rig, uint64_t iova, uint64_t size, uint64_t pgsize, uint64_t bytes,
			  uint64_t *bits)
{
	struct get_dirty cmd = { .cmd = { sizeof(cmd), ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
				 .get = { iova, size, { pgsize, bytes, bits } } };

	return call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_DIRTY_PAGES, &cmd);
}

UNIT(sim_container, dirty_tracking)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	unsigned char *buffer = memory(t, 4 * PAGE);
	uint64_t bits[2] = { 0 };

	ASSERT_OK(map_at(rig, buffer, 0x12000, 4 * PAGE));
	EXPECT_ERR(-EINVAL, get_bitmap(rig, 0x10000, 0x10000, PAGE, 8, bits)); /* not started */
	EXPECT_ERR(-EINVAL, dirty(rig, 0));
	EXPECT_ERR(-EINVAL, dirty(rig, 3));
	EXPECT_ERR(-EINVAL, dirty(rig, 8));
	EXPECT_OK(dirty(rig, ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	EXPECT_OK(dirty(rig, ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	bits[0] = 1; /* bits below a mapping are kept */
	EXPECT_OK(get_bitmap(rig, 0x10000, 0x10000, PAGE, 8, bits));
	EXPECT_EQ(bits[0], 0x3d);
	EXPECT_OK(get_bitmap(rig, 0x10000, 0x10000, PAGE, 8, bits)); /* coarse: always */
	EXPECT_EQ(bits[0], 0x3d);
	EXPECT_ERR(-EINVAL, get_bitmap(rig, 0x10000, 0x10000, 2 * PAGE, 8, bits));
	EXPECT_ERR(-EINVAL, get_bitmap(rig, 0x10000, 0x10000, 0, 8, bits));
	EXPECT_ERR(-EINVAL, get_bitmap(rig, 0x10000, 0x10000, PAGE, 7, bits));
	EXPECT_ERR(-EINVAL, get_bitmap(rig, 0x10000, 0, PAGE, 8, bits));
	EXPECT_ERR(-EINVAL, get_bitmap(rig, 0x10001, 0x10000, PAGE, 8, bits));
	EXPECT_ERR(-EINVAL, get_bitmap(rig, 0x13000, PAGE, PAGE, 8, bits)); /* cuts a mapping */
	EXPECT_ERR(-EOVERFLOW, get_bitmap(rig, -UINT64_C(4096), 2 * PAGE, PAGE, 8, bits));
	EXPECT_ERR(-EFAULT, get_bitmap(rig, 0x10000, 0x10000, PAGE, 8, NULL));
	EXPECT_OK(dirty(rig, ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP));
	EXPECT_OK(dirty(rig, ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP));
}

UNIT(sim_container, unmapping_can_tell_what_was_dirty)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	unsigned char *buffer = memory(t, 4 * PAGE);
	uint64_t bits[2] = { 0 };
	struct {
		struct abi_vfio_iommu_type1_dma_unmap cmd;
		struct abi_vfio_bitmap bitmap;
	} cmd = { { sizeof(cmd), UNMAP_DIRTY, 0, 65 * PAGE }, { PAGE, sizeof(bits), bits } };

	ASSERT_OK(map_at(rig, buffer, 0x1000, 2 * PAGE));
	ASSERT_OK(map_at(rig, buffer, 0x3f000, 2 * PAGE));
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_UNMAP_DMA, &cmd)); /* not tracked */
	EXPECT_OK(dirty(rig, ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	EXPECT_OK(call(rig->sim, rig->iommu, ABI_VFIO_IOMMU_UNMAP_DMA, &cmd));
	EXPECT_EQ(cmd.cmd.size, 4 * PAGE);
	EXPECT_EQ(bits[0], UINT64_C(1) << 63 | 6);
	EXPECT_EQ(bits[1], 1);
}

UNIT(sim_container, version_1_tracks_nothing)
{
	EXPECT_ERR(-EACCES, dirty(new_v1(t), ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
}

/* VADDR (C.6) -------------------------------------------------------------------------------------------- */

UNIT(sim_container, addresses_are_taken_back_and_given_anew)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	unsigned char *old = memory(t, 2 * PAGE), *new = memory(t, 2 * PAGE);
	struct weir_sim_device *other;
	int32_t group;
	char byte = 9;

	put16(rig->sim, rig->fd, CONFIG + 4, 6);
	ASSERT_OK(weir_sim_add(rig->sim, &plain_model, NULL, NULL, &other));
	group = group_node(other);
	ASSERT_OK(map_at(rig, old, 0, 2 * PAGE));
	ASSERT_OK(map_at(rig, old, 0x8000, PAGE));
	EXPECT_EQ(unmap_flags(rig, UNMAP_VADDR, 0, 2 * PAGE), 2 * PAGE);
	EXPECT_OK(weir_sim_device_dma_write(rig->device, 0, &byte, 1));  /* it is still there */
	EXPECT_ERR(-EINVAL, unmap_flags(rig, UNMAP_VADDR, 0, 2 * PAGE)); /* [VM] once more */
	EXPECT_ERR(-EINVAL,
		   unmap_flags(rig, UNMAP_VADDR | UNMAP_ALL, 0, 0)); /* and nothing else is changed */
	EXPECT_ERR(-EBUSY, call(rig->sim, group, ABI_VFIO_GROUP_SET_CONTAINER, &rig->iommu));
	EXPECT_ERR(-EINVAL, map_flags(rig, VADDR, (uintptr_t) new, 0, PAGE));      /* [VM] half of it */
	EXPECT_ERR(-EINVAL, map_flags(rig, VADDR, (uintptr_t) new, 0x8000, PAGE)); /* that is valid */
	EXPECT_ERR(-ENOENT, map_flags(rig, VADDR, (uintptr_t) new, 0x10000, PAGE));
	EXPECT_OK(map_flags(rig, VADDR, (uintptr_t) new, 0, 2 * PAGE));
	EXPECT_OK(weir_sim_device_dma_write(rig->device, PAGE, &byte, 1));
	EXPECT_EQ(new[PAGE], 9);
	EXPECT_OK(call(rig->sim, group, ABI_VFIO_GROUP_SET_CONTAINER, &rig->iommu));
	EXPECT_EQ(unmap_flags(rig, UNMAP_VADDR | UNMAP_ALL, 0, 0), 3 * PAGE);
	EXPECT_EQ(unmap_flags(rig, UNMAP_ALL, 0, 0), 3 * PAGE);
	EXPECT_OK(call_value(rig->sim, group, ABI_VFIO_GROUP_UNSET_CONTAINER, 0));
	EXPECT_OK(call(rig->sim, group, ABI_VFIO_GROUP_SET_CONTAINER,
		       &rig->iommu)); /* nothing is invalid now */
	done(rig->sim, group);
}

/* An answer that cannot be given takes nothing back. */
UNIT(sim_container, copy_back)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	unsigned char *buffer = memory(t, PAGE);

	ASSERT_OK(map_at(rig, buffer, 0, PAGE));
	weir_sim_fail_call(rig->sim, 1, -EFAULT, true);
	EXPECT_ERR(-EFAULT, unmap_at(rig, 0, PAGE));
	EXPECT_EQ(unmap_at(rig, 0, PAGE), 0); /* it was unmapped nevertheless */
}

UNIT(sim_container, groups_outlive_the_containers_descriptor)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CONTAINER);
	unsigned char *buffer = memory(t, PAGE);
	char byte = 7;

	ASSERT_OK(map_at(rig, buffer, 0x1000, PAGE));
	put16(rig->sim, rig->fd, CONFIG + 4, 6);
	done(rig->sim, rig->iommu);
	rig->iommu = -1;
	EXPECT_OK(weir_sim_device_dma_write(rig->device, 0x1000, &byte, 1));
	EXPECT_EQ(*buffer, 7);
}
