/* SPDX-License-Identifier: MIT */
/* What cases do to the machine around the library: drivers, device nodes, other processes. */
#ifndef TESTS_CONFORMANCE_MACHINE_H
#define TESTS_CONFORMANCE_MACHINE_H

#include "conformance/fixture.h"

/* Where @address is in sysfs, with @file below it: "" for the device itself. */
void sysfs_path(const char *address, const char *file, char *ret_path, size_t size);

/* The name of the driver that holds the device at @address; "" when none does. */
void driver_of(const char *address, char *ret_name, size_t size);

/* The number of the device's IOMMU group, or -1. */
int group_of(const char *address);

/*
 * The addresses that the platform keeps for devices' interrupts, both ends in it: on x86 those of the interrupt controller, and the
 * processor's, on arm64 where Linux puts the controller for devices.
 */
struct window {
	uint64_t first, last;
};

struct window interrupt_window(struct t *t);

/* Is the IOMMU an SMMUv3? */
bool has_smmuv3(void);

/*
 * Take the device called @name from its driver and give it to @driver (NULL: to none), until the case ends. It must not be
 * open: the kernel would wait for that.
 */
void bind_until_end(struct t *t, const char *name, const char *driver);

/* Change the permissions of a device node until the case ends. */
void chmod_until_end(struct t *t, const char *path, unsigned int mode);

/*
 * The two nodes that a device takes on the case's kind of host: the interface's, and the device's or its group's.
 */
enum { NODE_INTERFACE, NODE_DEVICE, NUM_NODES };

struct node_paths {
	char path[NUM_NODES][64];
};

struct node_paths nodes_of(struct t *t, const char *name);

/* Open one of them as a broker would. Whoever takes the descriptor over closes it. */
int open_node(struct t *t, const char *path);

/* Is the descriptor open? */
bool is_open(int fd);

/* How many descriptors this process has open, and how many mappings of VFIO devices. */
unsigned int count_fds(void);
unsigned int count_device_mappings(void);

/* Run @body in a forked child and wait for it. The case fails unless it comes to its end. */
void in_child(struct t *t, void (*body)(struct t *t, void *arg), void *arg);

/* In a child: become uid 1000 without any capability, for good. */
void drop_privileges(struct t *t);

/* The capabilities that are in effect (CapEff). */
uint64_t effective_capabilities(void);

#endif
