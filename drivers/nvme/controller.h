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

#define NVME_MAX_EVENTS 4 /* outstanding at a time */

struct nvme_controller {
	struct weir_device *device;
	struct nvme_registers registers;
	struct weir_irq *irq; /* NULL: polled */
	uint32_t num_vectors, irq_kind;
	uint32_t admin_timeout_ms;
	uint32_t shutdown_timeout_ms;
	uint32_t flags;   /* NVME_SGL, ... */
	uint32_t spin_us; /* before an interrupt is waited for */
	bool was_enabled; /* CC.EN was set, so that there is something to shut down */
	int dead;         /* 0, or the error that ended its use: a time-out of an admin command */

	struct nvme_memory memory; /* all that the controller sees */
	struct weir_buffer
		shared; /* admin rings, as its third page where answers go, as fourth and fifth the shadow doorbells */
	struct nvme_queue *admin;
	struct nvme_queue *
		*queues; /* info.num_queues of them, NULL where none is open; identifier = index + 1 */
	struct nvme_controller_info info;

	/* The memory buffer, once it has been enabled. */
	bool cmb_enabled;
	struct nvme_cmb cmb;
	uint64_t cmb_address;

	/* Requests for events that are outstanding, and events (dword 0 of their completions) that nobody has asked for yet. */
	uint32_t max_events, num_event_requests, num_events;
	uint32_t events[NVME_MAX_EVENTS];

	struct nvme_queue *all_queues; /* of those, and the admin queue */
	struct nvme_kept *kept; /* for a successor: kept.h. NULL: for more queues than it has places for */
};

#define NVME_DBBUF_PAGE 3 /* of what is shared: shadow doorbells; the next one is the controller's */

/* An NVMe controller, by its class. Returns 0, -ENODEV or the error of weir_device_info(). */
int nvme_check_class(struct weir_device *device);

/* An admin command was not answered: no other can be given. */
void nvme_controller_die(struct nvme_controller *c);

/*
 * pair.c: a queue pair in @memory: submission queue, completion queue, lists. @kept is the block of the pair, or NULL; @adopt: where a
 * predecessor left it. Nothing of these is freed on failure.
 */
int nvme_pair_make(struct nvme_controller *c, uint32_t id, uint32_t depth, const struct weir_buffer *memory,
		   struct nvme_queue_kept *kept, bool adopt, struct nvme_queue **ret_queue);

/* End a queue here, with its block and its memory, if that may be given back. The controller is not told. */
void nvme_pair_end(struct nvme_controller *c, struct nvme_queue *queue);

/* What CSTS says: 0, -ENODEV or -EIO. Any thread. */
int nvme_controller_state(const struct nvme_controller *c);

/* Have the controller forget that its memory buffer was ever shown or enabled. Returns 0, -ENODEV or -EIO. */
int nvme_cmb_disable(const struct nvme_registers *registers);

/* Enable it at its address again, after a reset: as nvme_controller_enable_cmb(). */
int nvme_cmb_restore(struct nvme_controller *c);

/* Tell the controller where the shadow doorbells are. Returns 0 or an error of an admin command. */
int nvme_shadow_configure(struct nvme_controller *c);

/* Have the doorbells of @q shadowed, if the controller is told of such. */
void nvme_shadow_queue(struct nvme_controller *c, struct nvme_queue *q);

/* Have events reported, as many at a time as the controller allows. Returns 0 or an error of an admin command. */
int nvme_events_start(struct nvme_controller *c);

/* What is told once the number of queues has been agreed on: shadow doorbells, events. Returns 0 or an error of an admin command. */
int nvme_controller_configure(struct nvme_controller *c);

/* Tell the controller of a queue pair. After an error the queues do not exist there, unless the controller is dead. */
int nvme_queue_announce(struct nvme_controller *c, struct nvme_queue *q);

/* Delete a queue pair and take it out of the table, or mark it lost: see nvme_queue_close(). */
int nvme_queue_delete(struct nvme_queue *queue);

#endif
