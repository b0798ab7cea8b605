/* SPDX-License-Identifier: MIT */
/*
 * The two controllers, each in an address space of its own, and the window between them: the target's memory buffer.
 *
 * Functions return 0 or a negative errno, after they have said on stderr what is wrong.
 */
#ifndef P2P_DISKS_H
#define P2P_DISKS_H

#include <nvme/nvme.h>
#include <weir/weir.h>

#include "common/open.h"
#include "p2p/options.h"

/* One controller with one queue. */
struct disk {
	const char *address;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct nvme_controller *controller;
	struct nvme_controller_info info;
	struct nvme_namespace ns;
	struct nvme_queue *queue;
	uint32_t depth;
};

struct disks {
	struct opened machine; /* host only */
	struct disk source, target;

	/* The target's memory buffer. */
	struct nvme_cmb cmb;
	struct weir_peer *window;
	struct weir_watch *watch;
	struct weir_map *of_source; /* where the source's DMA reaches it */
	struct weir_map *of_target; /* where the target's own commands do */
};

/* Open everything. What is open after an error is closed by disks_close(), too. */
int disks_open(struct disks *disks, const struct options *options);
int disks_close(struct disks *disks);

/*
 * The target has been reset, and its window is back: what its controller was told is forgotten, what was in flight on its
 * queue lost. Start it again.
 */
int disks_restart_target(struct disks *disks);

#endif
