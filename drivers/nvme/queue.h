/* SPDX-License-Identifier: MIT */
/*
 * A queue pair at work: a submission queue, its completion queue, the commands in flight. Internal.
 *
 * It is driven on nothing but memory and two doorbells, so that tests and benchmarks run it against plain
 * memory. The controller learns of it through admin commands (admin.h), not from here.
 *
 * Command identifiers. The low bits of a command identifier are the index of the command's slot; the bits
 * above count how often the slot was used. A completion that comes twice, or long after its slot was given
 * up, so meets a slot that expects another identifier, and is recognised instead of ending somebody else's
 * command.
 */
#ifndef NVME_QUEUE_H
#define NVME_QUEUE_H

#include <stdint.h>

#include <weir/irq.h>
#include <weir/memory.h>
#include <weir/region.h>

#include "nvme/nvme.h"
#include "nvme/prp.h"
#include "nvme/spec.h"

#define NVME_MAX_DEPTH 4095u /* 12 bits of index leave 4 that count */

/* A doorbell register: a store where the BAR is mapped, else a call. */
struct nvme_doorbell {
	volatile uint32_t *addr; /* NULL: not mapped */
	struct weir_region *region;
	uint64_t offset;
};

/* A command's place. */
struct nvme_slot {
	uint64_t tag;      /* the caller's */
	uint32_t expected; /* the identifier that completes it, or SLOT_... */
	uint16_t next_cid; /* the identifier of its next command */
	uint16_t reserved;
};

#define NVME_SLOT_FREE    (1u << 16) /* in expected: nothing in flight */
#define NVME_SLOT_DROPPED (1u << 17) /* beside the identifier: in flight, but nobody waits for it any more */

struct nvme_queue {
	/* Used with every command. */
	struct nvme_sqe *sq;
	const struct nvme_cqe *cq;
	struct nvme_slot *slots; /* depth of them */
	uint16_t *free_slots;    /* a stack of indices */
	uint64_t *prp_lists;     /* a page for each slot */
	uint64_t prp_lists_iova; /* where the controller sees them */
	uint32_t num_free;       /* height of the stack */
	uint32_t depth;          /* slots: one less than entries, so that neither ring can overflow */
	uint32_t entries;        /* of either ring */
	uint32_t sq_tail;        /* where the next command goes */
	uint32_t cq_head;        /* where the next completion comes */
	uint32_t max_transfer;   /* bytes in one request */
	uint16_t index_mask;     /* of a command identifier */
	uint16_t id;             /* of both queues; 0: admin */
	uint8_t phase;           /* of a new completion: 1 in the first round */
	struct nvme_doorbell sq_doorbell;
	struct nvme_doorbell cq_doorbell;

	/* Used when something goes wrong or is set up. */
	int failed;                         /* 0, or the error that ended its use */
	uint32_t num_dropped;               /* slots in flight that nobody waits for */
	uint64_t bad_entry;                 /* with -EPROTO: the completion that broke the rules */
	struct nvme_controller *controller; /* NULL in tests on plain memory */
	struct weir_irq *irq;               /* NULL: polled */
	uint32_t vector;
	struct weir_buffer memory; /* all of the above that the controller sees */
	bool lost;                 /* closed, but the controller may still use its memory */
};

/* What a queue works on. Rings and lists are zeroed, and belong to the caller. */
struct nvme_queue_setup {
	struct nvme_sqe *sq; /* depth + 1 entries, page aligned */
	struct nvme_cqe *cq; /* depth + 1 entries, page aligned */
	uint64_t *prp_lists; /* depth pages */
	uint64_t prp_lists_iova;
	uint32_t depth;        /* 1 to NVME_MAX_DEPTH */
	uint32_t max_transfer; /* at most NVME_PRP_MAX_TRANSFER */
	uint16_t id;
	struct nvme_doorbell sq_doorbell;
	struct nvme_doorbell cq_doorbell;
};

/* Make a queue. Returns 0; -EINVAL for a depth or size out of bounds; -ENOMEM. */
int nvme_queue_create(const struct nvme_queue_setup *setup, struct nvme_queue **ret_queue);

/* End a queue made by nvme_queue_create(): forget it, without telling anybody. NULL is allowed. */
void nvme_queue_destroy(struct nvme_queue *queue);

/*
 * Submit one command as it stands, except for its identifier, and ring: the admin queue's way. Errors as for
 * nvme_queue_submit().
 */
int nvme_queue_submit_raw(struct nvme_queue *queue, const struct nvme_sqe *command, uint64_t tag);

/*
 * Take one completion, with dword 0 of its entry in @ret_result: the admin queue's way. Returns 1, 0 or an
 * error as nvme_queue_reap().
 */
int nvme_queue_reap_raw(struct nvme_queue *queue, struct nvme_completion *ret_completion,
			uint32_t *ret_result);

/* From now on nobody waits for what is in flight: its completions are taken and not reported. */
void nvme_queue_drop(struct nvme_queue *queue);

/* Say why the queue can be used no more, and return the error. */
int nvme_queue_explain(const struct nvme_queue *queue);

#endif
