/* SPDX-License-Identifier: MIT */
/*
 * Where a device is: the ports between it and its host bridge.
 *
 *     path.c      reading it from sysfs
 *     root.c      host bridges: which the kernel trusts to pass requests down again
 *     reach.c     two paths, and what comes of it
 *     diverted.c   bus addresses that neighbours answer at
 */
#ifndef WEIR_REACH_PATH_H
#define WEIR_REACH_PATH_H

#include <weir/reach.h>

#include "kernel/pci_config.h"
#include "kernel/sysfs.h"

struct weir_path_step {
	char address[WEIR_PCI_ADDRESS_SIZE];
	struct weir_pci_config config;
};

struct weir_path {
	char root[WEIR_PCI_ADDRESS_SIZE]; /* "0000:00": the domain and bus of its host bridge */
	bool grouped;                     /* it has an IOMMU group, of this number */
	uint32_t group;
	unsigned int num;
	struct weir_path_step steps[WEIR_REACH_PORTS + 1]; /* from the root down to the device itself */
};

/* Read the path of the device at @address, in the long form; what is known of its steps, too. 0 or an error with a text. */
int weir_path_read(const struct weir_sys *sys, const char *address, struct weir_path *ret_path);

/* How many steps from the root on two paths have in common. */
unsigned int weir_path_shared(const struct weir_path *a, const struct weir_path *b);

/* The text of a kernel's error about the file of a device; the error. */
int weir_reach_explain(const char *address, const char *file, int error);

/*
 * Whether requests that come up from one path arrive at the end of the other: WEIR_REACH_THROUGH_IOMMU, _UNKNOWN or _NOT, and why.
 * 0 or an error with a text.
 */
enum { WEIR_ROOT_REASON_SIZE = 128 };
int weir_root_judge(const struct weir_sys *sys, const struct weir_path *from, const struct weir_path *to,
		    uint32_t *ret_verdict, char ret_reason[WEIR_ROOT_REASON_SIZE]);

#endif
