/* SPDX-License-Identifier: MIT */
/*
 * A device's regions: its BARs, expansion ROM and configuration space.
 *
 * A region is borrowed from its device and ends with it. Two ways to its registers:
 *
 *   - weir_region_read32() and its kin work on every region, check the range, and go through the mapping if
 *     there is one;
 *   - weir_region_map() gives a pointer for loads and stores that must cost nothing, such as doorbells; best
 *     with the accesses of weir/guard.h, which can return an error.
 *
 * Registers of PCI devices are little-endian; the accessors take and give values in the machine's order.
 *
 * Threads: any. weir does not serialise accesses to registers.
 */
#ifndef WEIR_REGION_H
#define WEIR_REGION_H

#include <weir/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_region;

/* Indices, as VFIO numbers them. Device-specific regions follow. */
enum {
	WEIR_REGION_BAR0,
	WEIR_REGION_BAR1,
	WEIR_REGION_BAR2,
	WEIR_REGION_BAR3,
	WEIR_REGION_BAR4,
	WEIR_REGION_BAR5,
	WEIR_REGION_ROM,
	WEIR_REGION_CONFIG,
	WEIR_REGION_VGA,
	WEIR_REGION_DEVICE_SPECIFIC,
};

/*
 * Region @index of @device. Asked of the kernel once, remembered after that.
 *
 * Returns 0 and the region in @ret_region, which lives as long as the device; or
 *   -EINVAL  there is no such index
 *   -ENOENT  the device does not implement this region (an absent BAR, the upper half of a 64-bit BAR)
 *   -EIO     what the kernel says about it makes no sense
 *   -ENOMEM
 *
 * Kernel: VFIO_DEVICE_GET_REGION_INFO. Since 0.1.
 */
WEIR_API int weir_device_region(struct weir_device *device, uint32_t index, struct weir_region **ret_region);

#define WEIR_REGION_READ     (1u << 0) /* it can be read */
#define WEIR_REGION_WRITE    (1u << 1) /* it can be written */
#define WEIR_REGION_MMAP     (1u << 2) /* some of it can be mapped */
#define WEIR_REGION_MSIX_MAP (1u << 3) /* the page with the MSI-X table may be mapped too */

struct weir_region_info {
	uint64_t size;      /* bytes */
	uint32_t index;     /* WEIR_REGION_... */
	uint32_t flags;     /* WEIR_REGION_READ ... */
	uint32_t type;      /* of a device-specific region: its type, else 0 */
	uint32_t subtype;   /* of a device-specific region: its subtype, else 0 */
	uint32_t num_areas; /* pieces that can be mapped */
	uint32_t reserved;
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_region_info(struct weir_region *region, struct weir_region_info *ret_info, size_t size);

/* A piece of a region that can be mapped: byte offset and length. */
struct weir_region_area {
	uint64_t offset;
	uint64_t len;
};

/*
 * Piece number @i that can be mapped. Returns 0 or -EINVAL when there are not that many. Since 0.1.
 */
WEIR_API int weir_region_area(struct weir_region *region, uint32_t i, struct weir_region_area *ret_area);

/*
 * Map the region, or as much of it as can be mapped in one piece from its start, and give the address of
 * its first byte.
 *
 * The mapping is made once, shared by all callers, and ends with the device. Touching it while the device's
 * memory is away (weir/away.h) raises SIGBUS, unless that is done under the guard (weir/guard.h).
 *
 * Returns 0, the address in @ret_addr and the length that is mapped in @ret_len (may be NULL); or
 *   -EOPNOTSUPP  this region cannot be mapped: use the accessors
 *   -EBUSY       another driver has claimed the BAR
 *   -ENOMEM
 *
 * Kernel: mmap() of the device. Since 0.1.
 */
WEIR_API int weir_region_map(struct weir_region *region, void **ret_addr, uint64_t *ret_len);

/*
 * Take the mapping out of this process again. Nobody touches it any more. Nothing to do is no error.
 *
 * Returns 0; or -EBUSY, with nothing changed, while some of it is mapped for other devices' DMA, or registered for that (weir/peer.h).
 * Since 0.1.
 */
WEIR_API int weir_region_unmap(struct weir_region *region);

/*
 * Read one naturally aligned register at byte @offset.
 *
 * Returns 0 and the value in @ret_value; or
 *   -EINVAL  beyond the region, or not aligned to its width
 *   -EACCES  the region cannot be read
 *   -EIO     the device's memory is away (weir/away.h; weir_error() says why), or the kernel could not read it
 *   -ENODEV  the device has gone
 *
 * A device that has gone without the library's knowledge may answer with all ones: weir_device_resync().
 *
 * A 64-bit read of a region that is not mapped may reach the device as two 32-bit ones. Since 0.1.
 */
WEIR_API int weir_region_read8(struct weir_region *region, uint64_t offset, uint8_t *ret_value);
WEIR_API int weir_region_read16(struct weir_region *region, uint64_t offset, uint16_t *ret_value);
WEIR_API int weir_region_read32(struct weir_region *region, uint64_t offset, uint32_t *ret_value);
WEIR_API int weir_region_read64(struct weir_region *region, uint64_t offset, uint64_t *ret_value);

/*
 * Write one naturally aligned register. Errors as for reading; -EACCES: the region cannot be written. Since 0.1.
 */
WEIR_API int weir_region_write8(struct weir_region *region, uint64_t offset, uint8_t value);
WEIR_API int weir_region_write16(struct weir_region *region, uint64_t offset, uint16_t value);
WEIR_API int weir_region_write32(struct weir_region *region, uint64_t offset, uint32_t value);
WEIR_API int weir_region_write64(struct weir_region *region, uint64_t offset, uint64_t value);

#ifdef __cplusplus
}
#endif

#endif
