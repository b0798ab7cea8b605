/* SPDX-License-Identifier: MIT */
/*
 * From the source's namespace into the target's memory buffer, and from there to the target's namespace, many requests at a
 * time; with resets of the target on the way.
 */
#ifndef P2P_TRANSFER_H
#define P2P_TRANSFER_H

#include <signal.h>

#include "common/progress.h"
#include "p2p/disks.h"

struct transfer {
	struct disks *disks;
	uint64_t bytes;        /* to move, from the first block on */
	uint32_t request_size; /* bytes of each but the last */
	uint32_t depth;        /* requests at a time, each with its place in the memory buffer */
	uint32_t resets;
	struct progress *progress;
	volatile sig_atomic_t *stop; /* set by a signal handler: give up */

	/* What has become of it. */
	uint32_t resets_survived;
	uint64_t repeated; /* requests that a reset undid */
	uint32_t sunk;     /* how many times something was written to the sink */
};

/* Returns 0; -EINTR when told to stop; or another negative errno, after it has said on stderr what is wrong. */
int transfer_run(struct transfer *transfer);

#endif
