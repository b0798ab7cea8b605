/* SPDX-License-Identifier: MIT */
/* A benchmark's queue pair in plain memory; and the least that a driver does with it (bare.c). */
#ifndef BENCH_NVME_BARE_H
#define BENCH_NVME_BARE_H

#include <stdint.h>
#include <time.h>

#include "nvme/queue.h"

struct bench {
	struct nvme_queue *queue;
	struct nvme_namespace ns;
	struct nvme_request requests[128];
	struct nvme_completion done[128];

	/* The controller's side. */
	struct nvme_sqe *sq;
	struct nvme_cqe *cq;
	volatile uint32_t *sq_doorbell, *cq_doorbell;
	void *lists;
	uint32_t entries, sq_head, cq_tail, phase;

	/* The bare one's. */
	uint64_t tags[128];
	uint16_t free_ids[128];
	uint32_t num_free, sq_tail, cq_head, cq_phase;
};

void bare_open(struct bench *b);

/* Submit the first @batch requests; take as many completions, and return how many there were. */
void bare_put(struct bench *b, unsigned int batch);
unsigned int bare_take(struct bench *b, unsigned int batch);

static inline uint64_t bench_clock(void)
{
#if defined(__x86_64__)
	uint32_t low, high, aux;

	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux) : : "memory");
	return (uint64_t)high << 32 | low;
#else
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
#endif
}

#endif
