// SPDX-License-Identifier: MIT
/* A kernel that says yes: mapping, /dev/iommu, and containers. */
#include "support/yes_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"

/* What every IOMMU here translates: 48 bits, without the window for interrupts. */
static const struct abi_iommu_iova_range ranges[] = {
	{ 0, 0xfedfffff },
	{ 0xfef00000, 0xffffffffffff },
};

enum { NUM_RANGES = 2, PAGE = 4096 };

void yes_kernel_track(struct yes_kernel *yes, uint64_t first, uint64_t last)
{
	yes->first_page = first / PAGE;
	yes->num_pages = last / PAGE - yes->first_page + 1;
	yes->pages = calloc(yes->num_pages, sizeof(*yes->pages));
	if (!yes->pages)
		abort();
}

void yes_map(struct yes_kernel *yes, uint64_t iova, uint64_t len)
{
	for (uint64_t page = iova / PAGE; page < (iova + len) / PAGE; page++) {
		uint64_t at = page - yes->first_page;

		if (at >= yes->num_pages)
			continue;
		if (atomic_exchange_explicit(&yes->pages[at], 1, memory_order_relaxed))
			atomic_fetch_add_explicit(&yes->overlaps, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&yes->num_mapped, 1, memory_order_relaxed);
	}
}

uint64_t yes_unmap(struct yes_kernel *yes, uint64_t iova, uint64_t len)
{
	uint64_t first = iova / PAGE, last = (iova + (len - 1)) / PAGE, unmapped = 0;

	if (first < yes->first_page)
		first = yes->first_page;
	if (last > yes->first_page + yes->num_pages - 1)
		last = yes->first_page + yes->num_pages - 1;
	for (uint64_t page = first; page <= last; page++)
		unmapped += atomic_exchange_explicit(&yes->pages[page - yes->first_page], 0,
						     memory_order_relaxed);
	atomic_fetch_sub_explicit(&yes->num_mapped, unmapped, memory_order_relaxed);
	return unmapped * PAGE;
}

bool yes_is_mapping(int kind, unsigned long request)
{
	return (kind == YES_IOMMU && (request == ABI_IOMMU_IOAS_MAP || request == ABI_IOMMU_IOAS_UNMAP)) ||
	       ((kind == YES_IOMMU || kind == YES_CONTAINER) &&
		(request == ABI_VFIO_IOMMU_MAP_DMA || request == ABI_VFIO_IOMMU_UNMAP_DMA));
}

static int map(struct yes_kernel *yes, uint64_t iova, uint64_t len)
{
	if (yes->pages)
		yes_map(yes, iova, len);
	return 0;
}

static int unmap(struct yes_kernel *yes, uint64_t iova, uint64_t *len)
{
	if (!yes->pages)
		return 0;
	*len = yes_unmap(yes, iova, *len);
	return 0;
}

/* /dev/iommu complains when there was nothing, unless it was told to unmap everything; the container does not. */
static int ioas_unmap(struct yes_kernel *yes, struct abi_iommu_ioas_unmap *cmd)
{
	bool everything = !cmd->iova && cmd->length == UINT64_MAX;
	int error;

	if (cmd->ioas_id != atomic_load_explicit(&yes->tracked, memory_order_relaxed))
		return 0;
	error = unmap(yes, cmd->iova, &cmd->length);

	return !error && !cmd->length && !everything ? -ENOENT : error;
}

int yes_map_ioctl(struct yes_kernel *yes, const struct yes_fd *file, unsigned long request, void *arg)
{
	const struct abi_iommu_ioas_map *mapping = arg;
	const struct abi_vfio_iommu_type1_dma_map *dma = arg;
	struct abi_vfio_iommu_type1_dma_unmap *no_dma = arg;

	if (request == ABI_IOMMU_IOAS_MAP) {
		atomic_store_explicit(&yes->tracked, mapping->ioas_id, memory_order_relaxed);
		return map(yes, mapping->iova, mapping->length);
	}
	if (request == ABI_IOMMU_IOAS_UNMAP)
		return ioas_unmap(yes, arg);
	if (!atomic_load_explicit(&file->has_iommu, memory_order_relaxed))
		return -EINVAL;
	if (request == ABI_VFIO_IOMMU_MAP_DMA)
		return map(yes, dma->iova, dma->size);
	return unmap(yes, no_dma->iova, &no_dma->size);
}

static struct yes_object *object_get(struct yes_kernel *yes, int owner, uint32_t id)
{
	for (int i = 0; id && i < YES_OBJECTS; i++)
		if (yes->objects[i].id == id && yes->objects[i].owner == owner)
			return &yes->objects[i];
	return NULL;
}

static struct yes_object *object_new(struct yes_kernel *yes, int owner)
{
	for (int i = 0; i < YES_OBJECTS; i++) {
		if (yes->objects[i].id)
			continue;
		yes->objects[i] = (struct yes_object){ .id = ++yes->last_id, .owner = owner };
		return &yes->objects[i];
	}
	return NULL;
}

static unsigned int iommu_of(const struct yes_kernel *yes, int device)
{
	return yes->two_iommus && device == 1;
}

static int destroy(struct yes_kernel *yes, int fd, const struct abi_iommu_destroy *cmd)
{
	struct yes_object *object = object_get(yes, fd, cmd->id), *space;

	if (!object)
		return -ENOENT;
	if (object->users)
		return -EBUSY;
	space = object_get(yes, fd, object->ioas);
	if (space)
		space->users--;
	object->id = 0;
	return 0;
}

static int hwpt_alloc(struct yes_kernel *yes, int fd, struct abi_iommu_hwpt_alloc *cmd)
{
	struct yes_object *space = object_get(yes, fd, cmd->pt_id), *hwpt;
	unsigned int device = cmd->dev_id - 1;

	if (!space || space->ioas || device >= YES_DEVICES || yes->devices[device].iommufd != fd)
		return -ENOENT;
	hwpt = object_new(yes, fd);
	if (!hwpt)
		return -ENOMEM;
	hwpt->ioas = space->id;
	hwpt->iommu = iommu_of(yes, (int)device);
	space->users++;
	cmd->out_hwpt_id = hwpt->id;
	return 0;
}

static int iova_ranges(struct abi_iommu_ioas_iova_ranges *cmd)
{
	struct abi_iommu_iova_range *room = (void *)(uintptr_t)cmd->allowed_iovas;
	uint32_t num = cmd->num_iovas < NUM_RANGES ? cmd->num_iovas : NUM_RANGES;

	memcpy(room, ranges, num * sizeof(*room));
	cmd->out_iova_alignment = PAGE;
	cmd->num_iovas = NUM_RANGES;
	return num < NUM_RANGES ? -EMSGSIZE : 0;
}

int yes_iommu_ioctl(struct yes_kernel *yes, int fd, unsigned long request, void *arg)
{
	struct yes_object *object;

	switch (request) {
	case ABI_IOMMU_DESTROY:
		return destroy(yes, fd, arg);
	case ABI_IOMMU_IOAS_ALLOC:
		object = object_new(yes, fd);
		if (!object)
			return -ENOMEM;
		((struct abi_iommu_ioas_alloc *)arg)->out_ioas_id = object->id;
		return 0;
	case ABI_IOMMU_HWPT_ALLOC:
		return hwpt_alloc(yes, fd, arg);
	case ABI_IOMMU_IOAS_IOVA_RANGES:
		return iova_ranges(arg);
	default:
		return yes_container_ioctl(yes, fd, request, arg);
	}
}

/* What the container says of itself, as the kernel lays it out: how many mappings it takes, and the ranges. */
struct container_answer {
	struct abi_vfio_iommu_type1_info info;
	struct abi_vfio_iommu_type1_info_dma_avail avail;
	uint32_t pad;
	struct abi_vfio_info_cap_header header;
	uint32_t nr_iovas, reserved;
	struct abi_iommu_iova_range ranges[NUM_RANGES];
};

static int container_info(struct abi_vfio_iommu_type1_info *info)
{
	struct container_answer answer = {
		.info = { .argsz = sizeof(answer),
			  .flags = ABI_VFIO_IOMMU_INFO_PGSIZES | ABI_VFIO_IOMMU_INFO_CAPS,
			  .iova_pgsizes = PAGE | 1u << 21 | 1u << 30 },
		.avail = { .header = { .id = ABI_VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, .version = 1 },
			   .avail = 65535 },
		.header = { .id = ABI_VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .version = 1 },
		.nr_iovas = NUM_RANGES,
	};

	answer.info.cap_offset = offsetof(struct container_answer, avail);
	answer.avail.header.next = offsetof(struct container_answer, header);
	memcpy(answer.ranges, ranges, sizeof(ranges));
	if (info->argsz < sizeof(answer)) {
		info->argsz = sizeof(answer);
		return 0;
	}
	memcpy(info, &answer, sizeof(answer));
	return 0;
}

int yes_container_ioctl(struct yes_kernel *yes, int fd, unsigned long request, void *arg)
{
	struct yes_fd *file = yes_fd_get(yes, fd);

	switch (request) {
	case ABI_VFIO_GET_API_VERSION:
		return ABI_VFIO_API_VERSION;
	case ABI_VFIO_CHECK_EXTENSION:
		return (uintptr_t)arg == ABI_VFIO_TYPE1_IOMMU ||
		       ((uintptr_t)arg == ABI_VFIO_TYPE1v2_IOMMU && !yes->no_v2);
	case ABI_VFIO_SET_IOMMU:
		if (!file->groups || file->has_iommu)
			return -EINVAL;
		file->has_iommu = true;
		return 0;
	case ABI_VFIO_IOMMU_GET_INFO:
		return file->has_iommu ? container_info(arg) : -EINVAL;
	default:
		return -ENOTTY;
	}
}
