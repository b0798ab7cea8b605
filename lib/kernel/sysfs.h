/* SPDX-License-Identifier: MIT */
/*
 * What sysfs says about PCI devices and IOMMU groups, a function per file. All return 0 or the kernel's negative errno.
 */
#ifndef WEIR_KERNEL_SYSFS_H
#define WEIR_KERNEL_SYSFS_H

#include <stdbool.h>

#include <weir/ioas.h>

#include "error.h"

enum { WEIR_PCI_ADDRESS_SIZE = 16 };

/* Bring "0000:01:00.0" or "01:00.0" into the long form. Returns 0, or -EINVAL with a text. */
WEIR_PRIVATE_API int weir_pci_address(const char *text, char ret_address[WEIR_PCI_ADDRESS_SIZE]);

/* Is there such a device? */
bool weir_sysfs_device_exists(const struct weir_sys *sys, const char *address);

/* The device's IOMMU group; -ENOENT: it has none, or there is no such device. */
int weir_sysfs_iommu_group(const struct weir_sys *sys, const char *address, uint32_t *ret_group);

/* "vfio3", the device's character device below /dev/vfio/devices; -ENOENT: it has none. */
int weir_sysfs_vfio_dev(const struct weir_sys *sys, const char *address, char *ret_name, size_t size);

/* The driver that the device is bound to; -ENOENT: none. */
int weir_sysfs_driver(const struct weir_sys *sys, const char *address, char *ret_name, size_t size);

/* The addresses of the group's devices, each ending in a zero byte, one more after the last. */
int weir_sysfs_group_devices(const struct weir_sys *sys, uint32_t group, char *ret_names, size_t size);

/*
 * The next window that the group's devices cannot use, from *@line (0 to begin with) on; -ENOENT after the last.
 */
struct weir_reserved_window {
	struct weir_iova_range range;
	char kind[24]; /* "msi", "reserved", "direct", ... */
};
int weir_sysfs_reserved_window(const struct weir_sys *sys, uint32_t group, unsigned int *line,
			       struct weir_reserved_window *ret_window);

#endif
