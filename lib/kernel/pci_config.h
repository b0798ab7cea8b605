/* SPDX-License-Identifier: MIT */
/*
 * What a function's configuration space says of its place among the others. Read through sysfs, and no more of it than is needed:
 * there are chips that do not survive being read everywhere.
 */
#ifndef WEIR_KERNEL_PCI_CONFIG_H
#define WEIR_KERNEL_PCI_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/sys.h>

/* What kind of PCI Express function it is: the capability's own numbers, and none. */
enum weir_pci_kind {
	WEIR_PCI_ENDPOINT = 0,
	WEIR_PCI_ROOT_PORT = 4,
	WEIR_PCI_UPSTREAM_PORT = 5,
	WEIR_PCI_DOWNSTREAM_PORT = 6,
	WEIR_PCI_TO_PCI_BRIDGE = 7,
	WEIR_PCI_FROM_PCI_BRIDGE = 8,
	WEIR_PCI_CONVENTIONAL = 16, /* no PCI Express function at all */
};

struct weir_pci_config {
	uint16_t vendor, device;
	bool bridge;
	bool responds; /* there is a header; else nothing here is known */
	bool complete; /* capabilities could be read; else nothing below is known */
	uint8_t kind;  /* enum weir_pci_kind, or another number of the capability */
	bool has_acs;  /* it has the Access Control Services capability, */
	uint16_t acs;  /* of which this is in force: the control register, with what is wired on */
};

/* Bits of acs, as in the control register. */
enum {
	WEIR_PCI_ACS_REQUEST_REDIRECT = 1 << 2,
	WEIR_PCI_ACS_COMPLETION_REDIRECT = 1 << 3,
	WEIR_PCI_ACS_UPSTREAM_FORWARDING = 1 << 4,
	WEIR_PCI_ACS_EGRESS_CONTROL = 1 << 5,
};

/*
 * Read it. What is cut short, makes no sense or may not be seen is not known; 0 all the same. An error is the kernel's, from
 * opening or reading.
 */
int weir_pci_config_read(const struct weir_sys *sys, const char *address, struct weir_pci_config *ret_config);

#endif
