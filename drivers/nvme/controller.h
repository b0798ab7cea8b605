/* SPDX-License-Identifier: MIT */
/* What the parts of the driver know of a controller. Internal. */
#ifndef NVME_CONTROLLER_H
#define NVME_CONTROLLER_H

#include <weir/irq.h>
#include <weir/region.h>

#include "nvme/identify.h"
#include "nvme/memory.h"
#include "nvme/nvme.h"
#include "nvme/queue.h"
#include "nvme/registers.h"

struct nvme_controller {
	struct weir_device *device;
	struct nvme_registers registers;
	struct weir_irq *irq; /* NULL: polled */
	uint32_t num_vectors;
	uint32_t admin_timeout_ms;
	uint32_t shutdown_timeout_ms;
	bool was_enabled; /* CC.EN was set, so that there is something to shut down */
	int dead;         /* 0, or the error that ended its use: a time-out of an admin command */

	struct nvme_memory memory; /* all that the controller sees */
	struct weir_buffer shared; /* admin rings and, as its third page, where identify data goes */
	struct nvme_queue *admin;
	struct nvme_queue *
		*queues; /* info.num_queues of them, NULL where none is open; identifier = index + 1 */
	struct nvme_controller_info info;
};

/* What CSTS says: 0, -ENODEV or -EIO. Any thread. */
int nvme_controller_state(const struct nvme_controller *c);

/* Have the controller forget that its memory buffer was ever shown or enabled. Returns 0, -ENODEV or -EIO. */
int nvme_cmb_disable(const struct nvme_registers *registers);

/* Delete a queue pair and take it out of the table, or mark it lost: see nvme_queue_close(). */
int nvme_queue_delete(struct nvme_queue *queue);

#endif
