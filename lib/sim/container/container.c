// SPDX-License-Identifier: MIT
/*
 * /dev/vfio/vfio: a container of groups, and the IOMMU it is given once it has one (kernel-interface C.1,
 * C.2).
 */
#include "sim/container/container.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "sim/user.h"

enum { MOST_RANGES = SIM_NUM_WINDOWS + 1, PAGE_SIZES = 0x40201000 };

/* ---- Groups ---- */

/* The IOMMU takes a group: the order of the checks is type1's. */
static int attach(struct sim_container *container, struct sim_group *group)
{
	if (container->num_invalid)
		return -EBUSY;
	if (container->sim->flags & WEIR_SIM_UNSAFE_IRQS)
		return -EPERM;
	group->domain = container->domain;
	return 0;
}

/* The last group takes the type and all mappings with it. */
static void drop_iommu(struct sim_container *container)
{
	sim_container_unmap_all(container);
	if (container->domain)
		sim_domain_free(container->domain);
	container->domain = NULL;
	container->iommu_type = 0;
	container->tracks_dirty = false;
}

int sim_container_add_group(struct sim_container *container, struct sim_group *group)
{
	int error = sim_group_viable(group) ? 0 : -EPERM;

	if (!error && container->iommu_type)
		error = attach(container, group);
	if (error)
		return error;
	group->container = container;
	container->num_groups++;
	sim_file_hold(container->file);
	return 0;
}

void sim_container_remove_group(struct sim_container *container, struct sim_group *group)
{
	group->domain = NULL;
	group->container = NULL;
	if (!--container->num_groups)
		drop_iommu(container);
	sim_file_drop(container->file);
}

/* ---- Extensions and type ---- */

static bool has_v2(const struct weir_sim *sim)
{
	return !(sim->flags & WEIR_SIM_TYPE1_V1);
}

static int check_extension(const struct sim_container *container, unsigned long extension)
{
	switch (extension) {
	case ABI_VFIO_TYPE1_IOMMU:
	case ABI_VFIO_UNMAP_ALL:
		return 1;
	case ABI_VFIO_TYPE1v2_IOMMU:
		return has_v2(container->sim);
	case ABI_VFIO_UPDATE_VADDR:
		return container->iommu_type != 0;
	default: /* among them DMA_CC_IOMMU: QEMU's VT-d cannot make devices snoop that would not */
		return 0;
	}
}

static int attach_all(struct sim_container *container)
{
	int error = 0;

	for (struct sim_group *group = container->sim->groups; group && !error; group = group->next)
		if (group->container == container)
			error = attach(container, group);
	for (struct sim_group *group = container->sim->groups; group && error; group = group->next)
		if (group->container == container)
			group->domain = NULL;
	return error;
}

static int set_iommu(struct sim_container *container, unsigned long type)
{
	int error;

	if (!container->num_groups || container->iommu_type)
		return -EINVAL;
	/*
	 * No driver says that it can do that: -ENODEV. One says so of its extensions, too, and then refuses.
	 */
	if (check_extension(container, type) <= 0)
		return -ENODEV;
	if (type != ABI_VFIO_TYPE1_IOMMU && type != ABI_VFIO_TYPE1v2_IOMMU)
		return -EINVAL;
	error = sim_domain_new(container->sim, &container->domain);
	if (error)
		return error;
	error = attach_all(container);
	if (error) {
		sim_domain_free(container->domain);
		container->domain = NULL;
		return error;
	}
	container->iommu_type = (uint32_t)type;
	return 0;
}

/* ---- What it says of itself ---- */

bool sim_container_range(const struct sim_container *container, unsigned int i,
			 struct abi_vfio_iova_range *ret_range)
{
	const struct sim_window *windows = sim_windows(container->sim);
	uint64_t end = (UINT64_C(1) << container->sim->address_bits) - 1;

	if (i >= MOST_RANGES)
		return false;
	ret_range->start = i ? windows[i - 1].last + 1 : 0;
	ret_range->end = i < SIM_NUM_WINDOWS && windows[i].start <= end ? windows[i].start - 1 : end;
	return ret_range->start <= ret_range->end;
}

/*
 * The chain in the order of the kernel (C.2): 2, 3, 1. Every link is a multiple of 8 bytes, the offsets count
 * from the command.
 */
struct chain {
	struct abi_vfio_iommu_type1_info_cap_migration migration;
	struct abi_vfio_iommu_type1_info_dma_avail available;
	uint32_t pad;
	struct abi_vfio_iommu_type1_info_cap_iova_range ranges;
	struct abi_vfio_iova_range range[MOST_RANGES];
};

static size_t make_chain(const struct sim_container *container, struct chain *ret_chain)
{
	const uint32_t base = sizeof(struct abi_vfio_iommu_type1_info);
	uint32_t num = 0;

	*ret_chain = (struct chain){
		.migration = { .header = { ABI_VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, 1,
					   base + offsetof(struct chain, available) },
			       .pgsize_bitmap = PAGE_SIZES & -PAGE_SIZES,
			       .max_dirty_bitmap_size = 256 << 20 },
		.available = { .header = { ABI_VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1,
					   base + offsetof(struct chain, ranges) },
			       .avail = container->sim->max_mappings - container->num_mappings },
		.ranges = { .header = { ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, 0 } },
	};
	while (sim_container_range(container, num, &ret_chain->range[num]))
		num++;
	ret_chain->ranges.nr_iovas = num;
	return offsetof(struct chain, range) + num * sizeof(ret_chain->range[0]);
}

static int get_info(struct sim_container *container, void *arg)
{
	const size_t min = offsetof(struct abi_vfio_iommu_type1_info, cap_offset);
	struct abi_vfio_iommu_type1_info info;
	struct chain chain;
	int error = sim_argsz_in(arg, &info, sizeof(info), min);
	size_t size, len;

	if (error)
		return error;
	size = info.argsz < sizeof(info) ? min : sizeof(info);
	info = (struct abi_vfio_iommu_type1_info){ .argsz = info.argsz,
						   .flags = ABI_VFIO_IOMMU_INFO_PGSIZES |
							    ABI_VFIO_IOMMU_INFO_CAPS,
						   .iova_pgsizes = PAGE_SIZES };
	len = make_chain(container, &chain);
	if (info.argsz < sizeof(info) + len) {
		info.argsz = (uint32_t)(sizeof(info) + len);
	} else {
		info.cap_offset = sizeof(info);
		error = sim_copy_out(container->sim, (uintptr_t)arg + sizeof(info), &chain, len);
	}
	return error ? error : sim_copy_out(container->sim, (uintptr_t)arg, &info, size);
}

/* ---- The file ---- */

static int container_ioctl(struct sim_file *file, unsigned long request, void *arg)
{
	struct sim_container *container = file->data;

	switch ((uint32_t)request) {
	case ABI_VFIO_GET_API_VERSION:
		return ABI_VFIO_API_VERSION;
	case ABI_VFIO_CHECK_EXTENSION:
		return check_extension(container, (uintptr_t)arg);
	case ABI_VFIO_SET_IOMMU:
		return set_iommu(container, (uintptr_t)arg);
	default:
		break;
	}
	/* The rest is the IOMMU's, and before there is one everything is -EINVAL. */
	if (!container->iommu_type)
		return -EINVAL;
	switch ((uint32_t)request) {
	case ABI_VFIO_IOMMU_GET_INFO:
		return get_info(container, arg);
	case ABI_VFIO_IOMMU_MAP_DMA:
		return sim_container_map(container, arg);
	case ABI_VFIO_IOMMU_UNMAP_DMA:
		return sim_container_unmap(container, arg);
	case ABI_VFIO_IOMMU_DIRTY_PAGES:
		return sim_container_dirty(container, arg);
	default:
		return -ENOTTY;
	}
}

/* Groups hold the file, so there is none left. */
static void container_release(struct sim_file *file)
{
	free(file->data);
}

static const struct sim_file_ops container_ops = {
	.name = "container",
	.ioctl = container_ioctl,
	.release = container_release,
};

struct sim_container *sim_container_of(struct sim_file *file)
{
	return file->ops == &container_ops ? file->data : NULL;
}

int sim_container_open(struct weir_sim *sim)
{
	struct sim_container *container = calloc(1, sizeof(*container));
	int fd;

	if (!container)
		return -ENOMEM;
	container->sim = sim;
	fd = sim_file_open(sim, &container_ops, container, &container->file);
	if (fd < 0)
		free(container);
	return fd;
}
