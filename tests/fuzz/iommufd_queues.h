/* SPDX-License-Identifier: MIT */
/* Queues of page faults beside the model of /dev/iommu. No device here asks for pages, so they stay empty. */
#ifndef TESTS_FUZZ_IOMMUFD_QUEUES_H
#define TESTS_FUZZ_IOMMUFD_QUEUES_H

#include "fuzz/ioas_model.h"
#include "fuzz/rig.h"

enum { MOST_QUEUES = 2 };

struct queues {
	int fds[MOST_QUEUES]; /* -1: closed, and perhaps destroyed */
	uint32_t ids[MOST_QUEUES];
};

void queues_init(struct queues *queues);
void queues_close(struct queues *queues, const struct rig *rig);

/* One is made, read, written or closed. */
void queues_step(struct queues *queues, const struct rig *rig, int iommufd, struct model *model,
		 struct input *in);

#endif
