/* SPDX-License-Identifier: MIT */
/*
 * A PCI device bound to vfio-pci, driven by this program.
 *
 *     struct weir_device *device;
 *     weir_device_open(ioas, "0000:01:00.0", NULL, &device);
 *     weir_device_set_bus_master(device, true);
 *
 * A device is opened into an address space and can reach what is mapped there and nothing else. The unit of
 * that is the IOMMU group: devices that the hardware cannot tell apart share one address space.
 *
 * Opening resets the device if it can be reset, and leaves it with bus mastering off: it does no DMA before
 * weir_device_set_bus_master().
 *
 * Threads: one device may be used from any thread; calls on it that change it (reset, attach, close,
 * interrupts) are serialised by the library. weir_device_close() is called by one thread, when no other
 * uses the device any more.
 */
#ifndef WEIR_DEVICE_H
#define WEIR_DEVICE_H

#include <stdbool.h>

#include <weir/ioas.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_device;

struct weir_device_opts {
	size_t size;           /* sizeof(struct weir_device_opts); set by WEIR_OPTS() */
	uint32_t address_bits; /* the device drives this many address bits; 0: all 64 */
	uint32_t reserved;     /* 0 */
	const char *
		vf_token; /* for a virtual function whose physical function asks for one: a UUID in text; or NULL */
};

/*
 * Open the device at PCI address @address ("0000:01:00.0"; "01:00.0" means domain 0000) and attach it to
 * @ioas.
 *
 * The mappings of @ioas are put in force for it. address_bits is for a device that cannot drive 64 address
 * bits: from now on every IOVA chosen in @ioas lies below 2^address_bits, and one fixed above it is
 * refused.
 *
 * Returns 0 and the device in @ret_device, which the caller closes with weir_device_close(); or, with
 * nothing changed,
 *   -EINVAL      not a PCI address; address_bits is above 64 or below 12; vf_token is no UUID
 *   -E2BIG       options newer than this library
 *   -ENODEV      there is no such device
 *   -ENXIO       it is not bound to vfio-pci; weir_error() says which driver holds it and how to bind it
 *   -EOPNOTSUPP  it has no IOMMU group: the machine has no IOMMU, or it is switched off
 *   -EACCES      its node may not be opened by this user (weir_error() names the node), or vf_token is
 *                wrong or missing
 *   -EPERM       the platform does not isolate interrupts; weir_error() names the module option that
 *                accepts that
 *   -EBUSY       it is open elsewhere; or a sibling in its IOMMU group is bound to another driver or is
 *                attached to another space; weir_error() names who
 *   -EADDRINUSE  a mapping of @ioas lies where this device has a reserved window; weir_error() names both
 *   -ERANGE      a mapping of @ioas lies above this device's address width, or outside what its IOMMU
 *                translates
 *   -EFAULT, -ENOMEM, -ENOSPC  a mapping of @ioas could not be put in force (weir_ioas_map()); weir_error()
 *                              names it
 *
 * Kernel: VFIO_DEVICE_BIND_IOMMUFD, IOMMU_HWPT_ALLOC, VFIO_DEVICE_ATTACH_IOMMUFD_PT; or
 * VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU, VFIO_GROUP_GET_DEVICE_FD. Since 0.1.
 */
WEIR_API int weir_device_open(struct weir_ioas *ioas, const char *address,
			      const struct weir_device_opts *opts, struct weir_device **ret_device);

/*
 * Close a device: its DMA stops, then its interrupts, and its mapped regions end with it. Handles and
 * pointers into it are dead. NULL is allowed. Runs to its end whatever happens; returns 0 or the first
 * error.
 *
 * The mappings of its address space stay in the table. Since 0.1.
 */
WEIR_API int weir_device_close(struct weir_device *device);

/*
 * Move the device's IOMMU group, every open device of it, to another address space of the same host,
 * without closing anything. The mappings of @ioas are in force before the move; a device that is doing DMA
 * sees either the old or the new space (in between, hardware that cannot switch in one step blocks it).
 *
 * Returns 0; or, with nothing changed,
 *   -EOPNOTSUPP  this backend cannot move an open device (VFIO container)
 *   -EXDEV       @ioas belongs to another host
 *   -EBUSY       a device of the group is attached to domains for PASIDs, or blocked by an invalidation that failed (weir/domain.h)
 *   -EADDRINUSE, -ERANGE, -EFAULT, -ENOMEM, -ENOSPC  as for weir_device_open()
 *
 * Moving to the space where the group is already is a no-op. Kernel: VFIO_DEVICE_ATTACH_IOMMUFD_PT. Since
 * 0.1.
 */
WEIR_API int weir_device_attach(struct weir_device *device, struct weir_ioas *ioas);

/* The address space that the device is attached to. Since 0.1. */
WEIR_API struct weir_ioas *weir_device_ioas(struct weir_device *device);

/* The host that it was opened on. Since 0.1. */
WEIR_API struct weir_host *weir_device_host(struct weir_device *device);

struct weir_device_info {
	char address[16];      /* "0000:01:00.0" */
	uint16_t vendor_id;    /* configuration space 0x00 */
	uint16_t device_id;    /* configuration space 0x02 */
	uint32_t class_code;   /* base class << 16 | subclass << 8 | programming interface */
	uint32_t num_regions;  /* regions (weir/region.h) */
	uint32_t iommu_group;  /* its number in sysfs */
	uint32_t address_bits; /* as given at open; 64: all */
	bool resettable;       /* weir_device_reset() can work */
};

/* Fill in @ret_info (@size: sizeof *@ret_info). Returns 0. Since 0.1. */
WEIR_API int weir_device_info(struct weir_device *device, struct weir_device_info *ret_info, size_t size);

/*
 * Allow the device to do DMA and to send MSIs, or forbid it (PCI COMMAND, bit 2). Returns 0 or -EIO; or -ENODEV
 * when the device has gone, which does no DMA any more. Since 0.1.
 */
WEIR_API int weir_device_set_bus_master(struct weir_device *device, bool enable);

/*
 * Let the device answer at its memory BARs, or not (PCI COMMAND, bit 1). It is on after opening. While it
 * is off, the device's memory is away (weir/away.h). Returns 0, -EIO, or -ENODEV when the device has gone; or as
 * weir_device_reset() for its windows. Since 0.1.
 */
WEIR_API int weir_device_set_memory(struct weir_device *device, bool enable);

/*
 * Reset this function alone. Mappings, attachment and interrupt set-up stay; the device's own state is
 * lost, bus mastering is as before. Meanwhile its memory is away (weir/away.h).
 *
 * Returns 0; or
 *   -EOPNOTSUPP  the device has no reset of its own (weir_device_hot_reset() may help)
 *   -EAGAIN      the kernel could not get hold of the device for a second
 *   -ENODEV      the device has gone
 *   -EIO         the reset failed
 * or, with nothing reset, the error with which the kernel failed to take a window of the device from others (weir/peer.h)
 *
 * Kernel: VFIO_DEVICE_RESET. Since 0.1.
 */
WEIR_API int weir_device_reset(struct weir_device *device);

/* A device that a hot reset reaches. */
struct weir_hot_reset_target {
	char address[16];     /* "0000:01:00.0" */
	uint32_t iommu_group; /* its IOMMU group; UINT32_MAX where the kernel does not say */
	bool ours;            /* it is open on this host, or nobody else can be using it */
};

/*
 * Which functions a reset of the device's bus or slot would reach. On entry *@num is the room in @targets;
 * *@num is set to their number.
 *
 * Returns 0; -ENOSPC when there are more than room; or -EOPNOTSUPP when the device's bus cannot be reset.
 *
 * Kernel: VFIO_DEVICE_GET_PCI_HOT_RESET_INFO. Since 0.1.
 */
WEIR_API int weir_device_hot_reset_targets(struct weir_device *device, struct weir_hot_reset_target *targets,
					   size_t *num);

/*
 * Reset the device's bus or slot with everything on it. Meanwhile the memory of every function in reach is away
 * (weir/away.h), also of one that is open on another host of this process.
 *
 * Returns 0; or, with nothing reset,
 *   -EBUSY       a function in reach is not open on this host; weir_error() names it
 *   -EOPNOTSUPP  the device's bus cannot be reset (it sits on a root bus)
 *   -EAGAIN      the kernel could not get hold of every function for a second
 *
 * Kernel: VFIO_DEVICE_PCI_HOT_RESET, with group descriptors or by ownership. Since 0.1.
 */
WEIR_API int weir_device_hot_reset(struct weir_device *device);

#ifdef __cplusplus
}
#endif

#endif
