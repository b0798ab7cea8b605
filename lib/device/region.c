// SPDX-License-Identifier: MIT
/* Regions: what the kernel says of them, their mapping, and checked access to their registers. */
#include "device/device.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "kernel/info_chain.h"
#include "kernel/vfio_device.h"

struct weir_region {
	struct weir_device *device;
	struct weir_region_info info;
	uint64_t offset; /* of the region in the device's descriptor */
	struct weir_region_area *areas;
	/* Set once, with the length before the address; read without the lock. */
	uint64_t mapped_len;
	_Atomic(unsigned char *) mapped;
};

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

static int drop(struct weir_region *region)
{
	const struct weir_sys *sys = weir_device_sys(region->device);
	unsigned char *mapped = atomic_load(&region->mapped);
	int error = mapped ? sys->munmap(sys->ctx, mapped, region->mapped_len) : 0;

	if (error)
		weir_error_set("unmapping region %u of %s: %s", region->info.index,
			       region->device->function->address, strerror(-error));
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

static int map_locked(struct weir_region *region)
{
	const struct weir_sys *sys = weir_device_sys(region->device);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int prot = 0, error;
	void *mapped;
	uint64_t len;

	if (atomic_load(&region->mapped))
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
	region->mapped_len = len;
	atomic_store(&region->mapped, mapped);
	return 0;
}

int weir_region_map(struct weir_region *region, void **ret_addr, uint64_t *ret_len)
{
	int error;

	pthread_mutex_lock(&region->device->lock);
	error = map_locked(region);
	pthread_mutex_unlock(&region->device->lock);
	if (error)
		return error;
	*ret_addr = atomic_load(&region->mapped);
	if (ret_len)
		*ret_len = region->areas[0].len;
	return 0;
}

static int check_access(const struct weir_region *region, uint64_t offset, unsigned int width, uint32_t right)
{
	if (offset % width || offset > region->info.size || width > region->info.size - offset)
		return weir_fail(-EINVAL,
				 "no %u-byte register at offset %#" PRIx64
				 " of region %u, which has %#" PRIx64 " bytes",
				 width, offset, region->info.index, region->info.size);
	if (!(region->info.flags & right))
		return weir_fail(-EACCES, "region %u of %s cannot be %s", region->info.index,
				 region->device->function->address,
				 right == WEIR_REGION_READ ? "read" : "written");
	return 0;
}

/* Where a register that the region has is in memory, or NULL when it must go through the descriptor. */
static volatile void *register_at(struct weir_region *region, uint64_t offset, unsigned int width)
{
	unsigned char *mapped = atomic_load_explicit(&region->mapped, memory_order_acquire);

	return mapped && offset + width <= region->areas[0].len ? mapped + offset : NULL;
}

/* Device registers are little-endian, and so is what goes through the descriptor. */
static int slow_read(struct weir_region *region, uint64_t offset, void *ret_value, unsigned int width)
{
	const struct weir_sys *sys = weir_device_sys(region->device);
	ssize_t got =
		sys->pread(sys->ctx, region->device->function->fd, ret_value, width, region->offset + offset);

	if (got == (ssize_t)width)
		return 0;
	return weir_fail(-EIO, "reading %u bytes at offset %#" PRIx64 " of region %u of %s: %s", width,
			 offset, region->info.index, region->device->function->address,
			 got < 0 ? strerror((int)-got) : "cut short");
}

static int slow_write(struct weir_region *region, uint64_t offset, const void *value, unsigned int width)
{
	const struct weir_sys *sys = weir_device_sys(region->device);
	ssize_t put =
		sys->pwrite(sys->ctx, region->device->function->fd, value, width, region->offset + offset);

	if (put == (ssize_t)width)
		return 0;
	return weir_fail(-EIO, "writing %u bytes at offset %#" PRIx64 " of region %u of %s: %s", width,
			 offset, region->info.index, region->device->function->address,
			 put < 0 ? strerror((int)-put) : "cut short");
}

/* One pair of accessors for each width: the load or store itself must be of exactly that width. */
#define ACCESSORS(bits, from_le, to_le)                                                                      \
	int weir_region_read##bits(struct weir_region *region, uint64_t offset, uint##bits##_t *ret_value)   \
	{                                                                                                    \
		int error = check_access(region, offset, (bits) / 8, WEIR_REGION_READ);                      \
		volatile uint##bits##_t *reg = error ? NULL : register_at(region, offset, (bits) / 8);       \
		uint##bits##_t value;                                                                        \
                                                                                                             \
		if (!error && !reg)                                                                          \
			error = slow_read(region, offset, &value, (bits) / 8);                               \
		if (error)                                                                                   \
			return error;                                                                        \
		if (reg)                                                                                     \
			value = *reg;                                                                        \
		*ret_value = from_le(value);                                                                 \
		return 0;                                                                                    \
	}                                                                                                    \
	int weir_region_write##bits(struct weir_region *region, uint64_t offset, uint##bits##_t value)       \
	{                                                                                                    \
		int error = check_access(region, offset, (bits) / 8, WEIR_REGION_WRITE);                     \
		volatile uint##bits##_t *reg = error ? NULL : register_at(region, offset, (bits) / 8);       \
                                                                                                             \
		value = to_le(value);                                                                        \
		if (error)                                                                                   \
			return error;                                                                        \
		if (!reg)                                                                                    \
			return slow_write(region, offset, &value, (bits) / 8);                               \
		*reg = value;                                                                                \
		return 0;                                                                                    \
	}

ACCESSORS(8, , )
ACCESSORS(16, le16toh, htole16)
ACCESSORS(32, le32toh, htole32)
ACCESSORS(64, le64toh, htole64)

int weir_config_read16(struct weir_device *device, uint32_t offset, uint16_t *ret_value)
{
	struct weir_region *config;
	int error = weir_device_region(device, WEIR_REGION_CONFIG, &config);

	return error ? error : weir_region_read16(config, offset, ret_value);
}

int weir_config_read32(struct weir_device *device, uint32_t offset, uint32_t *ret_value)
{
	struct weir_region *config;
	int error = weir_device_region(device, WEIR_REGION_CONFIG, &config);

	return error ? error : weir_region_read32(config, offset, ret_value);
}

int weir_config_write16(struct weir_device *device, uint32_t offset, uint16_t value)
{
	struct weir_region *config;
	int error = weir_device_region(device, WEIR_REGION_CONFIG, &config);

	return error ? error : weir_region_write16(config, offset, value);
}
