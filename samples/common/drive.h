/* SPDX-License-Identifier: MIT */
/*
 * An NVMe controller, as the command line names it, and a namespace of it.
 *
 * Functions return 0 or a negative errno, after they have said on stderr what is wrong.
 */
#ifndef SAMPLES_DRIVE_H
#define SAMPLES_DRIVE_H

#include <nvme/nvme.h>

#include "common/open.h"

/* Zero is closed. */
struct drive {
	struct opened opened;
	const char *address;
	const char *backend; /* its name */
	struct nvme_controller *controller;
	struct nvme_controller_info info;
	struct nvme_namespace ns;
	struct weir_memory *memory; /* for the program to open in the device's space; NULL: not yet */
};

/* What is open after an error is closed by drive_close(), too. */
int drive_open(struct drive *drive, const struct open_request *request,
	       const struct nvme_controller_opts *opts, uint32_t namespace_id);

/* How many blocks there are from @first on, or whether there are @wanted of them, if that is not 0. */
int drive_range(const struct drive *drive, uint64_t first, uint64_t wanted, uint64_t *ret_num_blocks);

/* In the order in which the device loses reach of things. Returns 0 or the first error. */
int drive_close(struct drive *drive);

#endif
