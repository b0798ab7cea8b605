// SPDX-License-Identifier: MIT
/* Checked access to registers: through the mapping where there is one, else through the descriptor. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/guard.h>

#include "device/config.h"
#include "device/region.h"
#include "error.h"

static inline bool is_register(const struct weir_region *region, uint64_t offset, unsigned int width)
{
	return !(offset % width) && offset <= region->info.size && width <= region->info.size - offset;
}

static inline bool is_allowed(const struct weir_region *region, uint64_t offset, unsigned int width,
			      uint32_t right)
{
	return is_register(region, offset, width) && region->info.flags & right;
}

/* Why not. */
static int refuse(const struct weir_region *region, uint64_t offset, unsigned int width, uint32_t right)
{
	if (!is_register(region, offset, width))
		return weir_fail(-EINVAL,
				 "no %u-byte register at offset %#" PRIx64
				 " of region %u, which has %#" PRIx64 " bytes",
				 width, offset, region->info.index, region->info.size);
	return weir_fail(-EACCES, "region %u of %s cannot be %s", region->info.index,
			 region->device->function->address, right == WEIR_REGION_READ ? "read" : "written");
}

/* Where a register that the region has is in memory, or NULL when it must go through the descriptor, or is away. */
static unsigned char *register_at(struct weir_region *region, uint64_t offset, unsigned int width)
{
	unsigned char *open = atomic_load_explicit(&region->open, memory_order_acquire);

	return open && offset + width <= region->areas[0].len ? open + offset : NULL;
}

int weir_region_explain(const struct weir_region *region, const char *what, int error)
{
	return weir_fail(error == -ENODEV ? error : -EIO, "%s of region %u of %s: %s", what,
			 region->info.index, region->device->function->address,
			 error ? strerror(-error) : "cut short");
}

/* ---- Through the descriptor ---- */

/*
 * Is the region away? The kernel answers for one that cannot be mapped, which may be I/O ports; but nobody is to be woken, or to be
 * asked for what has gone.
 */
static bool is_shut(const struct weir_region *region)
{
	uint32_t away = weir_device_away(region->device);

	if (region->info.index == WEIR_REGION_CONFIG)
		return false;
	if (!(region->info.flags & WEIR_REGION_MMAP))
		away &= WEIR_AWAY_ASLEEP | WEIR_AWAY_GONE;
	return weir_away_is_shut(away);
}

/* @caught: the guard has just caught an access that should have worked. */
static int check_open(struct weir_region *region, bool caught, const char *verb, uint64_t offset)
{
	char what[64];

	if (caught || is_shut(region))
		weir_away_notice(region->device);
	if (!is_shut(region))
		return 0;
	snprintf(what, sizeof(what), "%s offset %#" PRIx64 " of region %u", verb, offset, region->info.index);
	return weir_away_refuse(region->device, what);
}

static int explain_part(struct weir_region *region, const char *verb, uint64_t offset, size_t len,
			ssize_t done)
{
	char what[64];

	snprintf(what, sizeof(what), "%s %zu bytes at offset %#" PRIx64, verb, len, offset);
	return weir_region_explain(region, what, done < 0 ? (int)done : 0);
}

static int get(struct weir_region *region, uint64_t offset, void *ret_bytes, size_t len)
{
	const struct weir_sys *sys = weir_device_sys(region->device);
	ssize_t got =
		sys->pread(sys->ctx, region->device->function->fd, ret_bytes, len, region->offset + offset);

	return got == (ssize_t)len ? 0 : explain_part(region, "reading", offset, len, got);
}

int weir_region_put(struct weir_region *region, uint64_t offset, const void *bytes, size_t len)
{
	const struct weir_sys *sys = weir_device_sys(region->device);
	ssize_t put =
		sys->pwrite(sys->ctx, region->device->function->fd, bytes, len, region->offset + offset);

	return put == (ssize_t)len ? 0 : explain_part(region, "writing", offset, len, put);
}

/* Device registers are little-endian, and so is what goes through the descriptor. */
static int slow_read(struct weir_region *region, uint64_t offset, void *ret_value, unsigned int width,
		     bool caught)
{
	int error = check_open(region, caught, "reading", offset);

	if (error)
		return error;
	error = get(region, offset, ret_value, width);
	if (region->info.index != WEIR_REGION_CONFIG) {
		if (error)
			weir_away_notice(region->device);
	} else if (!error) {
		weir_config_was_read(region->device, offset, ret_value, width);
	}
	return error;
}

static int slow_write(struct weir_region *region, uint64_t offset, const void *value, unsigned int width,
		      bool caught)
{
	struct weir_device *device = region->device;
	int error = check_open(region, caught, "writing", offset);

	if (error)
		return error;
	if (region->info.index == WEIR_REGION_CONFIG) {
		pthread_mutex_lock(&device->host->lock);
		error = weir_config_write(device, offset, value, width);
		pthread_mutex_unlock(&device->host->lock);
		return error;
	}
	error = weir_region_put(region, offset, value, width);
	if (error)
		weir_away_notice(device);
	return error;
}

/* ---- The accessors ---- */

/*
 * One pair for each width: the load or store itself must be of exactly that width. What the guard catches goes the slow way, which
 * knows better.
 */
#define ACCESSORS(bits, from_le, to_le)                                                                      \
	__attribute__((noinline)) static int slow_read##bits(struct weir_region *region, uint64_t offset,    \
							     uint##bits##_t *ret_value, bool caught)         \
	{                                                                                                    \
		uint##bits##_t value;                                                                        \
		int error = slow_read(region, offset, &value, (bits) / 8, caught);                           \
                                                                                                             \
		if (!error)                                                                                  \
			*ret_value = from_le(value);                                                         \
		return error;                                                                                \
	}                                                                                                    \
	__attribute__((noinline)) static int slow_write##bits(struct weir_region *region, uint64_t offset,   \
							      uint##bits##_t value, bool caught)             \
	{                                                                                                    \
		value = to_le(value);                                                                        \
		return slow_write(region, offset, &value, (bits) / 8, caught);                               \
	}                                                                                                    \
	int weir_region_read##bits(struct weir_region *region, uint64_t offset, uint##bits##_t *ret_value)   \
	{                                                                                                    \
		unsigned char *reg;                                                                          \
                                                                                                             \
		if (!is_allowed(region, offset, (bits) / 8, WEIR_REGION_READ))                               \
			return refuse(region, offset, (bits) / 8, WEIR_REGION_READ);                         \
		reg = register_at(region, offset, (bits) / 8);                                               \
		if (reg && !weir_mmio_read##bits(reg, ret_value))                                            \
			return 0;                                                                            \
		return slow_read##bits(region, offset, ret_value, reg);                                      \
	}                                                                                                    \
	int weir_region_write##bits(struct weir_region *region, uint64_t offset, uint##bits##_t value)       \
	{                                                                                                    \
		unsigned char *reg;                                                                          \
                                                                                                             \
		if (!is_allowed(region, offset, (bits) / 8, WEIR_REGION_WRITE))                              \
			return refuse(region, offset, (bits) / 8, WEIR_REGION_WRITE);                        \
		reg = register_at(region, offset, (bits) / 8);                                               \
		if (reg && !weir_mmio_write##bits(reg, value))                                               \
			return 0;                                                                            \
		return slow_write##bits(region, offset, value, reg);                                         \
	}

ACCESSORS(8, , )
ACCESSORS(16, le16toh, htole16)
ACCESSORS(32, le32toh, htole32)
ACCESSORS(64, le64toh, htole64)
