/* SPDX-License-Identifier: MIT */
/* Page requests between devices and queues. */
#ifndef WEIR_SIM_FAULT_H
#define WEIR_SIM_FAULT_H

#include "sim/iommufd/ioas.h"

struct sim_fault_group {
	struct sim_fault_group *next;
	struct weir_sim_device *device;
	uint32_t dev_id;
	uint32_t
		through; /* the PASID of the attachment that it came through; SIM_NO_PASID: the device's own */
	uint32_t pasid, grpid;
	uint32_t num;
	struct sim_fault_page {
		uint64_t addr;
		uint32_t perm;
	} pages[];
};

/* fault.c: one more, which the queue owns from now on. It is open. */
void sim_fault_queue_add(struct sim_fault_queue *queue, struct sim_fault_group *group);

#endif
