/* SPDX-License-Identifier: MIT */
/*
 * Identify data, believed only as far as it makes sense. Internal; works on plain memory.
 */
#ifndef NVME_IDENTIFY_H
#define NVME_IDENTIFY_H

#include <stdint.h>

#include "nvme/nvme.h"
#include "nvme/spec.h"

#define NVME_MIN_BLOCK_SHIFT 9  /* NVM Command Set 1.0, 4.1.5.1: LBADS is at least 9 */
#define NVME_MAX_BLOCK_SHIFT 16 /* the largest that makes sense */

/* What the driver wants to know about a controller, beyond what goes to the caller. */
struct nvme_identity {
	struct nvme_controller_info info; /* the fields that identify data decides */
	uint32_t shutdown_timeout_ms;     /* from RTD3E; 0: it does not say */
	uint32_t max_events;              /* requests for events that may be outstanding (AERL) */
};

/*
 * Understand the Identify Controller data (Base 2.0, 5.17.2.1). @id is a private copy: memory the controller
 * can write may change between two looks.
 *
 * Returns 0; -EOPNOTSUPP for a controller that does no I/O; -EPROTO when required values are impossible.
 */
int nvme_parse_controller(const struct nvme_id_ctrl *id, struct nvme_identity *ret_identity);

/*
 * Understand the Identify Namespace data of @nsid (NVM Command Set 1.0, 4.1.5.1), again a private copy.
 * Errors as for nvme_namespace_info().
 */
int nvme_parse_namespace(const struct nvme_id_ns *id, uint32_t nsid, uint32_t max_transfer,
			 struct nvme_namespace *ret_ns);

#endif
