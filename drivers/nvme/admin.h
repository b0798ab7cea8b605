/* SPDX-License-Identifier: MIT */
/*
 * Admin commands (Base 2.0, 5), one at a time, polled, each with a deadline. Internal.
 *
 * All return 0; -ETIMEDOUT; -ENODEV; -EIO (fatal status, or dead after an earlier time-out); -EPROTO; or the
 * errno of the status that the controller gave. After a time-out the controller is dead: it might still write
 * its late answer, and that must not be taken for the answer to another command.
 */
#ifndef NVME_ADMIN_H
#define NVME_ADMIN_H

#include "nvme/controller.h"

/* Set up the admin queue, in memory that the controller is told of when it is enabled. Also -ENOMEM. */
int nvme_admin_open(struct nvme_controller *c);

/* The admin queue in memory that is there, on its block, or with NULL on none; @adopt: where a predecessor left it. Errors of nvme_queue_create(). */
int nvme_admin_queue(struct nvme_controller *c, struct nvme_queue_kept *kept, bool adopt);

/* End the admin queue here, with its block. */
void nvme_admin_end(struct nvme_controller *c);

/* Entries of either admin ring. */
#define NVME_ADMIN_ENTRIES 16u

/* An admin command: opcode, namespace, PRP entries and the command dwords 10 to 15. */
struct nvme_admin_command {
	uint8_t opcode;
	uint32_t nsid;
	uint64_t prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
	const char *name;
};

/* Carry out a command, with dword 0 of its completion in @ret_result unless that is NULL. */
int nvme_admin_execute(struct nvme_controller *c, const struct nvme_admin_command *command,
		       uint32_t *ret_result);

/*
 * Carry out one with @len bytes of data, up to a page, which go where the opcode says: to the controller (bit 0), from it (bit 1); prp1 is filled
 * in. What comes from it is a copy: memory that the controller can write may change between two looks.
 */
int nvme_admin_transfer(struct nvme_controller *c, struct nvme_admin_command *command, void *data, size_t len,
			uint32_t *ret_result);

/* Ask for one event. Its completion, whenever it comes, is noted in the controller. */
int nvme_admin_request_event(struct nvme_controller *c);

/* Take what has completed while no command is being waited for: events. Returns 0, or an error of the queue. */
int nvme_admin_poll(struct nvme_controller *c);

/* Identify the controller: fills in most of info, and the shutdown latency. */
int nvme_admin_identify_controller(struct nvme_controller *c, struct nvme_identity *ret_identity);

/* Identify a namespace. */
int nvme_admin_identify_namespace(struct nvme_controller *c, uint32_t nsid, struct nvme_namespace *ret_ns);

/* Ask for @wanted I/O queue pairs; how many were granted, at least 1, at most as many, is in @ret_granted. */
int nvme_admin_set_num_queues(struct nvme_controller *c, uint32_t wanted, uint32_t *ret_granted);

/* Create and delete the two queues of a pair. */
int nvme_admin_cq_create(struct nvme_controller *c, const struct nvme_queue *q);
int nvme_admin_sq_create(struct nvme_controller *c, const struct nvme_queue *q);
int nvme_admin_sq_delete(struct nvme_controller *c, uint16_t qid);
int nvme_admin_cq_delete(struct nvme_controller *c, uint16_t qid);

#endif
