/* SPDX-License-Identifier: MIT */
/* A thread of weir-nvme-perf: a queue of its own, kept full. */
#ifndef NVME_PERF_WORKER_H
#define NVME_PERF_WORKER_H

#include <pthread.h>

#include <nvme/nvme.h>

#include "common/histogram.h"

#define WORKER_WHY 160

/* What all of them do. */
struct work {
	const struct nvme_namespace *ns;
	uint32_t op, size, depth;
	bool random, verifies;
	bool polling;
	pthread_barrier_t *start;
	bool over; /* atomic: nothing more is to be submitted */
};

struct worker {
	struct work *work;
	struct nvme_queue *queue;
	unsigned char *data;   /* depth buffers of that size */
	uint64_t iova;         /* of them, for the device */
	uint64_t first_block;  /* of its part of the namespace */
	uint64_t num_places;   /* requests of that size in it */
	uint64_t to_do;        /* requests; UINT64_MAX: until it is over */
	uint64_t random_state; /* not 0 */
	pthread_t thread;

	/* While it runs. */
	uint64_t done; /* atomic: requests */
	uint64_t submitted, next_place;
	uint32_t num_idle;
	uint32_t *idle;             /* a stack of buffers that are not in flight */
	uint64_t *blocks;           /* where each buffer's request is */
	uint64_t *started;          /* when each buffer's request was submitted, in ns */
	struct nvme_request *batch; /* being put together */

	/* When it has ended. */
	struct histogram latency; /* ns */
	uint64_t begun, ended;    /* when, by worker_clock() */
	int error;                /* 0, or what ended it, and why */
	char why[WORKER_WHY];
};

/* Nanoseconds of the monotonic clock. */
uint64_t worker_clock(void);

/* Memory for what it keeps. Returns 0 or -ENOMEM; worker_free() in either case. */
int worker_prepare(struct worker *worker);
void worker_free(struct worker *worker);

/* The thread: waits for the others at work->start, and ends when all is done and nothing in flight, or with an error, for which it ends the work of all. */
void *worker_run(void *worker);

#endif
