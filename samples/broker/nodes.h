/* SPDX-License-Identifier: MIT */
/* A device's place in the machine, and opening the nodes that lead to it. */
#ifndef BROKER_NODES_H
#define BROKER_NODES_H

#include "policy.h"

/* Where the machine is described: "/sys" and "/dev"; tests have one of their own. */
struct machine {
	const char *sysfs;
	const char *dev;
};

struct place {
	char address[ADDRESS_SIZE];
	char group[16]; /* the IOMMU group's number */
	char cdev[24];  /* "vfio3"; "" where the kernel has no VFIO character devices */
};

/* All of these return 0, or the error that is then also in @reply. */

/*
 * Find the device at @address (in the kernel's spelling): -ENODEV there is none, -ENXIO it is not bound to
 * vfio-pci, -EOPNOTSUPP no IOMMU stands before it.
 */
int nodes_find(const struct machine *machine, const char *address, struct place *ret_place,
	       struct weir_broker_reply *reply);

/* Whether @uid may have every device that comes along with this one: -EACCES, naming one that it may not
 * have. */
int nodes_check_group(const struct machine *machine, const struct place *place, const struct policy *policy,
		      uid_t uid, struct weir_broker_reply *reply);

/*
 * Open what @backend needs to drive the device. On success @reply says which nodes @ret_fds are, which the
 * caller closes.
 */
int nodes_open(const struct machine *machine, const struct place *place, uint32_t backend,
	       struct weir_broker_reply *reply, int ret_fds[WEIR_BROKER_MAX_NODES]);

void nodes_close(const int *fds, uint32_t num);

#endif
