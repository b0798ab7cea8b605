// SPDX-License-Identifier: MIT
/* Regions: what the kernel says of them, and their mapping. */
#include "device/region.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/away.h"
#include "error.h"
#include "ioas/mapped.h"
#include "kernel/info_chain.h"
#include "kernel/vfio_device.h"

static int read_areas(struct weir_region *region, const struct weir_info_cap *cap)
{
	struct abi_vfio_region_info_cap_sparse_mmap head;

	if (cap->room < sizeof(head))
		return -EIO;
	memcpy(&head, cap->start, sizeof(head));
	if (head.nr_areas > (cap->room - sizeof(head)) / sizeof(head.areas[0]))
		return -EIO;
	free(region->areas);
	region->areas = calloc(head.nr_areas ? head.nr_areas : 1, sizeof(*region->areas));
	if (!region->areas)
		return -ENOMEM;
	region->info.num_areas = head.nr_areas;
	_Static_assert(sizeof(head.areas[0]) == sizeof(*region->areas), "same layout");
	memcpy(region->areas, (const char *)cap->start + sizeof(head),
	       head.nr_areas * sizeof(*region->areas));
	for (uint32_t i = 0; i < head.nr_areas; i++)
		if (region->areas[i].offset > region->info.size ||
		    region->areas[i].len > region->info.size - region->areas[i].offset)
			return -EIO;
	return 0;
}

static int read_caps(struct weir_region *region, const struct abi_vfio_region_info *answer, uint32_t size)
{
	uint32_t next = answer->flags & ABI_VFIO_REGION_INFO_FLAG_CAPS ? answer->cap_offset : 0;
	struct weir_info_cap cap;
	int error = 0;

	while (!error && weir_info_next(answer, size, &next, &cap)) {
		const struct abi_vfio_region_info_cap_type *type = cap.start;

		if (cap.id == ABI_VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
			error = read_areas(region, &cap);
		} else if (cap.id == ABI_VFIO_REGION_INFO_CAP_MSIX_MAPPABLE) {
			region->info.flags |= WEIR_REGION_MSIX_MAP;
		} else if (cap.id == ABI_VFIO_REGION_INFO_CAP_TYPE && cap.room >= sizeof(*type)) {
			region->info.type = type->type;
			region->info.subtype = type->subtype;
		}
	}
	return error;
}

/* Without a list of areas, a region that can be mapped at all can be mapped whole. */
static int default_areas(struct weir_region *region)
{
	if (region->areas || !(region->info.flags & WEIR_REGION_MMAP))
		return 0;
	region->areas = calloc(1, sizeof(*region->areas));
	if (!region->areas)
		return -ENOMEM;
	region->areas[0].len = region->info.size;
	region->info.num_areas = 1;
	return 0;
}

static int ask_kernel(struct weir_device *device, uint32_t index, struct weir_region **ret_region)
{
	struct abi_vfio_region_info *answer;
	struct weir_region *region;
	uint32_t size;
	int error =
		weir_vfio_device_region(weir_device_sys(device), device->function->fd, index, &answer, &size);

	if (error)
		return weir_fail(error, "VFIO_DEVICE_GET_REGION_INFO of %s, region %u: %s",
				 device->function->address, index, strerror(-error));
	if (!answer->size) {
		free(answer);
		return weir_fail(-ENOENT, "%s does not implement region %u", device->function->address,
				 index);
	}
	region = calloc(1, sizeof(*region));
	error = region ? 0 : -ENOMEM;
	if (!error) {
		region->device = device;
		region->offset = answer->offset;
		region->info.index = index;
		region->info.size = answer->size;
		region->info.flags =
			answer->flags & (WEIR_REGION_READ | WEIR_REGION_WRITE | WEIR_REGION_MMAP);
		error = read_caps(region, answer, size);
	}
	if (!error)
		error = default_areas(region);
	free(answer);
	if (error) {
		if (region)
			free(region->areas);
		free(region);
		return weir_fail(
			error,
			"region %u of %s: what the kernel says of it makes no sense, or there is no memory",
			index, device->function->address);
	}
	*ret_region = region;
	return 0;
}

int weir_device_region(struct weir_device *device, uint32_t index, struct weir_region **ret_region)
{
	int error = 0;

	if (index >= device->num_regions)
		return weir_fail(-EINVAL, "%s has regions 0 to %u, not %u", device->function->address,
				 device->num_regions - 1, index);
	pthread_mutex_lock(&device->lock);
	if (!device->regions[index])
		error = ask_kernel(device, index, &device->regions[index]);
	if (!error)
		*ret_region = device->regions[index];
	pthread_mutex_unlock(&device->lock);
	return error;
}

int weir_device_config(struct weir_device *device, struct weir_region **ret_config)
{
	return weir_device_region(device, WEIR_REGION_CONFIG, ret_config);
}

int weir_region_info(struct weir_region *region, struct weir_region_info *ret_info, size_t size)
{
	weir_result_write(ret_info, size, &region->info, sizeof(region->info));
	return 0;
}

int weir_region_area(struct weir_region *region, uint32_t i, struct weir_region_area *ret_area)
{
	if (i >= region->info.num_areas)
		return weir_fail(-EINVAL, "region %u has %u pieces that can be mapped", region->info.index,
				 region->info.num_areas);
	*ret_area = region->areas[i];
	return 0;
}

/* Accessors go through the mapping while the device's memory is there. */
static void open_or_shut(struct weir_region *region)
{
	bool away = weir_away_is_shut(atomic_load(&region->device->away));

	atomic_store_explicit(&region->open, away ? NULL : region->mapped, memory_order_release);
}

void weir_device_open_or_shut_regions(struct weir_device *device)
{
	for (uint32_t i = 0; i < device->num_regions; i++)
		if (device->regions[i])
			open_or_shut(device->regions[i]);
}

static int unmap_locked(struct weir_region *region)
{
	const struct weir_sys *sys = weir_device_sys(region->device);
	struct weir_first first = { 0 };
	int error;

	weir_mapped_remove(region->mapped);
	weir_first_note(&first, weir_window_put(region->window));
	region->window = NULL;
	error = sys->munmap(sys->ctx, region->mapped, region->mapped_len);
	if (error)
		weir_error_set("unmapping region %u of %s: %s", region->info.index,
			       region->device->function->address, strerror(-error));
	weir_first_note(&first, error);
	region->mapped = NULL;
	open_or_shut(region);
	return weir_first_error(&first);
}

static int drop(struct weir_region *region)
{
	int error = region->mapped ? unmap_locked(region) : 0;

	free(region->areas);
	free(region);
	return error;
}

int weir_device_drop_regions(struct weir_device *device)
{
	struct weir_first first = { 0 };

	for (uint32_t i = 0; i < device->num_regions; i++) {
		if (device->regions[i])
			weir_first_note(&first, drop(device->regions[i]));
		device->regions[i] = NULL;
	}
	return weir_first_error(&first);
}

/* For other devices: what can be mapped of it, in whole pages. */
static int open_window(struct weir_region *region, void *mapped, uint64_t mapped_len, uint64_t len)
{
	struct weir_device *device = region->device;
	const struct weir_window_owner owner = { .lock = &device->host->lock,
						 .look = weir_away_look,
						 .ctx = device };
	char name[64];
	int error;

	snprintf(name, sizeof(name), "region %u of %s", region->info.index, device->function->address);
	error = weir_window_open(weir_device_sys(device), &owner, device->function->fd, region->info.index,
				 name, mapped, len, &region->window);
	if (error)
		return error;
	error = weir_mapped_add(region, region->window, mapped, mapped_len);
	if (error) {
		weir_window_put(region->window);
		region->window = NULL;
		return weir_fail(error, "no memory for a mapping of %s", name);
	}
	weir_away_tell_window(device, region->window);
	return 0;
}

static int map_locked(struct weir_region *region)
{
	const struct weir_sys *sys = weir_device_sys(region->device);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int prot = 0, error;
	void *mapped;
	uint64_t len;

	if (region->mapped)
		return 0;
	if (!region->info.num_areas || region->areas[0].offset || !region->areas[0].len)
		return weir_fail(-EOPNOTSUPP, "region %u of %s cannot be mapped from its start",
				 region->info.index, region->device->function->address);
	/* A BAR smaller than a page has the page to itself, or the kernel would not offer it. */
	len = (region->areas[0].len + page - 1) & ~(page - 1);
	if (region->info.flags & WEIR_REGION_READ)
		prot |= PROT_READ;
	if (region->info.flags & WEIR_REGION_WRITE)
		prot |= PROT_WRITE;
	error = sys->mmap(sys->ctx, NULL, len, prot, MAP_SHARED, region->device->function->fd, region->offset,
			  &mapped);
	if (error)
		return weir_fail(error, "mapping region %u of %s: %s", region->info.index,
				 region->device->function->address, strerror(-error));
	error = open_window(region, mapped, len, region->areas[0].len & ~(page - 1));
	if (error) {
		sys->munmap(sys->ctx, mapped, len);
		return error;
	}
	region->mapped_len = len;
	region->mapped = mapped;
	open_or_shut(region);
	return 0;
}

int weir_region_unmap(struct weir_region *region)
{
	int error = 0;

	pthread_mutex_lock(&region->device->lock);
	if (region->mapped) {
		/* Nobody finds it by its addresses meanwhile. */
		weir_mapped_remove(region->mapped);
		error = weir_window_is_used(region->window)
				? weir_fail(-EBUSY, "%s is mapped, or registered, for other devices' DMA",
					    region->window->name)
				: unmap_locked(region);
		if (region->mapped)
			weir_mapped_add(region, region->window, region->mapped, region->mapped_len);
	}
	pthread_mutex_unlock(&region->device->lock);
	return error;
}

struct weir_window *weir_region_window(struct weir_region *region)
{
	struct weir_window *window;

	pthread_mutex_lock(&region->device->lock);
	window = region->window;
	if (window)
		weir_window_get(window);
	pthread_mutex_unlock(&region->device->lock);
	return window;
}

int weir_region_map(struct weir_region *region, void **ret_addr, uint64_t *ret_len)
{
	int error;

	pthread_mutex_lock(&region->device->lock);
	error = map_locked(region);
	if (!error)
		*ret_addr = region->mapped;
	pthread_mutex_unlock(&region->device->lock);
	if (error)
		return error;
	if (ret_len)
		*ret_len = region->areas[0].len;
	return 0;
}
