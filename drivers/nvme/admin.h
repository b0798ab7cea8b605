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

/* Entries of either admin ring. */
#define NVME_ADMIN_ENTRIES 16u

/* Identify the controller: fills in most of info, and the shutdown latency. */
int nvme_admin_identify_controller(struct nvme_controller *c, struct nvme_identity *ret_identity);

/* Identify a namespace. */
int nvme_admin_identify_namespace(struct nvme_controller *c, uint32_t nsid, struct nvme_namespace *ret_ns);

/* Ask for @wanted I/O queue pairs; how many were granted, at least 1, at most as many, is in @ret_granted. */
int nvme_admin_set_num_queues(struct nvme_controller *c, uint32_t wanted, uint32_t *ret_granted);

/* Create and delete the two queues of a pair. */
int nvme_admin_cq_create(struct nvme_controller *c, const struct nvme_queue *q, uint64_t iova);
int nvme_admin_sq_create(struct nvme_controller *c, const struct nvme_queue *q, uint64_t iova);
int nvme_admin_sq_delete(struct nvme_controller *c, uint16_t qid);
int nvme_admin_cq_delete(struct nvme_controller *c, uint16_t qid);

#endif
