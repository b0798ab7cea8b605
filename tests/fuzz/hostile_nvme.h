/* SPDX-License-Identifier: MIT */
/*
 * An NVMe controller that lies, behind as much of weir as the nvme driver calls (stub_weir.h), in plain memory: its registers, its identify
 * data and its completions are what the input says, where that says that they are wrong. It reaches only the buffers that there are. With
 * the input at its end it is honest. Time is made up, too: it passes when somebody looks at the clock.
 */
#ifndef TESTS_FUZZ_HOSTILE_NVME_H
#define TESTS_FUZZ_HOSTILE_NVME_H

#include <nvme/spec.h>

#include "fuzz/input.h"
#include "support/stub_weir.h"

enum { LIAR_QUEUES = 3, LIAR_BAR = 0x2000 };

struct liar_ring {
	struct nvme_sqe *sq;
	struct nvme_cqe *cq;
	uint32_t entries, sq_head, sq_tail, cq_tail, phase;
};

struct liar {
	struct input in;
	/* How it is from the start. */
	uint64_t cap;
	bool mapped; /* its doorbells are plain memory */
	/* What became of it. */
	uint32_t cc, csts, aqa;
	uint64_t asq, acq;
	struct liar_ring rings[LIAR_QUEUES + 1];
	const uint32_t *shadows; /* of the doorbells, once it was told; NULL: none */
	uint32_t *asked;
	uint16_t aers[4], num_aers;
	bool lied_of_events; /* there may have been completions of requests for events that are none */
	bool sgl;            /* the driver may use them */
	bool gone;
	unsigned int calls;
};

/* There is one at a time. */
extern struct liar liar;

void liar_begin(struct input in);

/* Fails unless everything was given back and switched off. */
void liar_end(void);

#endif
