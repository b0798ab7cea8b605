/* SPDX-License-Identifier: MIT */
/*
 * What a successor needs to know, as it stands in blocks of the host's journal (common/block.h): values only. Internal.
 *
 * Its writer may be killed between any two stores, so each row of these leaves it right:
 *
 *     submitting   place, with where the caller has come to; of each command the entry, and then its slot; place, with the new tail; the doorbell
 *     reaping      slots of what has completed; the doorbell
 *
 * When a submission begins, as many slots are idle as place says are free. If fewer are, as many entries from its tail on are of a batch that did not get so far that
 * the tail was written, and the controller knows nothing of it. If more are, these have completed. What lies in the completion queue from its head on, and
 * whose slot waits for the next command, was perhaps on its way to the caller: it is delivered again. It is still there, because the controller
 * gets no new command before the caller's next call, which is when the head moves on.
 */
#ifndef NVME_KEPT_H
#define NVME_KEPT_H

#include "common/block.h"
#include "nvme/nvme.h"
#include "nvme/queue.h"

#define NVME_KEPT_VERSION 3u
#define NVME_KEPT_QUEUES  256u /* a controller for more is not kept */

enum nvme_kept_stage {
	NVME_KEPT_NONE,
	NVME_KEPT_OPEN,
	NVME_KEPT_UNSURE, /* being created or deleted: the controller may have either queue of the pair */
};

/* Of the controller: the block "nvme ADDRESS". */
struct nvme_kept {
	uint32_t version; /* NVME_KEPT_VERSION; 0: not open, or not any more */
	int32_t dead;
	uint32_t own_memory;            /* rings are in a memory of the driver's */
	uint32_t num_vectors, irq_kind; /* 0 vectors: polled */
	uint32_t admin_timeout_ms, shutdown_timeout_ms, ready_timeout_ms;
	struct nvme_kept_buffer shared;
	char model[41], serial[21], firmware[9];
	uint8_t write_cache;
	uint16_t controller_id, vendor_id;
	uint32_t num_namespaces, max_transfer, max_depth, num_queues;
	uint32_t flags, spin_us; /* of the options */
	uint32_t cmb;            /* the memory buffer is enabled */
	uint8_t sgl, shadow_doorbells, compare, write_zeroes, discard, secondaries, reserved[2];
	struct {
		uint16_t depth;
		uint16_t stage; /* enum nvme_kept_stage */
	} queues[NVME_KEPT_QUEUES];
};

/* How long a queue's block is, and where its parts are. */
size_t nvme_queue_kept_len(uint32_t depth);
struct nvme_slot *nvme_queue_kept_slots(struct nvme_queue_kept *kept);
struct nvme_completion *nvme_queue_kept_left(struct nvme_queue_kept *kept, uint32_t depth);

/*
 * adopt.c: take up where a predecessor left @queue->kept; it is believed only as far as it makes sense; rings and lists are in place. Returns 0,
 * -EPROTO, or -ENOMEM. Nothing is rung before the first call that submits or reaps.
 */
int nvme_queue_adopt(struct nvme_queue *queue);

/* For who submits to a queue in whose state failed is set: it was adopted or reset, and goes on. Returns 0, -EAGAIN while completions are left, or why not. */
int nvme_queue_take_up(struct nvme_queue *queue);

/* The same for who reaps: up to @max of what is left. Returns how many; 0 with failed zero: the queue is as any other; or an error. */
int nvme_queue_reap_left(struct nvme_queue *queue, struct nvme_completion *ret_completions, size_t max);

/* Open the block of queue @id. Returns 0 or as weir_block_open(), with a text. */
int nvme_kept_open_queue(struct nvme_controller *c, uint32_t id, uint32_t depth,
			 struct nvme_queue_kept **ret_kept);

/* Make the controller's block, and end what a predecessor left in it. @c->kept stays NULL for more queues than can be kept. */
int nvme_kept_open(struct nvme_controller *c, uint32_t num_queues);
void nvme_kept_close(struct nvme_controller *c);

/* All that is known is in @c: the block counts from here on. */
void nvme_kept_begin(struct nvme_controller *c);

/* Whether a successor can go on with a controller that was opened with @flags, and whose memory buffer is enabled. Returns 0 or -EOPNOTSUPP. */
int nvme_kept_carried(uint32_t flags, bool cmb);

/* The memory buffer is about to be enabled, or is not. */
void nvme_kept_cmb(struct nvme_controller *c, bool enabled);

/* -EBUSY between nvme_controller_pause() and _resume(), else 0. */
int nvme_controller_check_paused(const struct nvme_controller *c);

/* A queue is the controller's, so that it can be forgotten; and it ends, with its block. */
void nvme_queue_own_by(struct nvme_controller *c, struct nvme_queue *q);
void nvme_queue_release(struct nvme_controller *c, struct nvme_queue *q);

/* A queue pair's stage. */
void nvme_kept_stage(struct nvme_controller *c, const struct nvme_queue *q, enum nvme_kept_stage stage);

/* Its place, for a block. */
struct nvme_kept_buffer nvme_kept_buffer(const struct weir_buffer *buffer);

#endif
