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

/* Is it an address in the long form? Sets no text. */
bool weir_pci_is_address(const char *text);

/* Is there such a device? */
bool weir_sysfs_device_exists(const struct weir_sys *sys, const char *address);

/*
 * Where the device is among the machine's: "pci0000:00/0000:00:02.0/0000:01:00.0", its host bridge first and itself last. (What
 * may stand before the host bridge is kept.)
 */
int weir_sysfs_device_path(const struct weir_sys *sys, const char *address, char *ret_path, size_t size);

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

/*
 * The memory that the device answers at, as far as it has addresses: its BARs, and of a bridge what it passes down. Kernel:
 * "resource", a line each; the addresses are those of the processor, which on x86 are those of the bus.
 */
enum { WEIR_PCI_BARS = 6, WEIR_PCI_RESOURCES = 24 };

struct weir_pci_resource {
	struct weir_iova_range range;
	unsigned int line; /* below WEIR_PCI_BARS: the BAR of this number */
};
int weir_sysfs_memory(const struct weir_sys *sys, const char *address,
		      struct weir_pci_resource ret_resources[WEIR_PCI_RESOURCES], unsigned int *ret_num);

/* The first processor, as /proc/cpuinfo has it on x86: "AuthenticAMD" and its family. "" and 0: it does not say. */
int weir_sysfs_cpu(const struct weir_sys *sys, char ret_vendor[16], unsigned int *ret_family);

#endif
