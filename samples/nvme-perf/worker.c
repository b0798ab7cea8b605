/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define AT_ONCE    64
#define LOOKS      20000 /* before the driver is asked to wait, which also asks how the controller is */
#define TIMEOUT_MS 30000

uint64_t worker_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int worker_prepare(struct worker *w)
{
	uint32_t depth = w->work->depth;

	w->idle = calloc(depth, sizeof *w->idle);
	w->started = calloc(depth, sizeof *w->started);
	w->blocks = calloc(depth, sizeof *w->blocks);
	w->batch = calloc(depth, sizeof *w->batch);
	if (!w->idle || !w->started || !w->blocks || !w->batch)
		return -ENOMEM;
	for (w->num_idle = 0; w->num_idle < depth; w->num_idle++)
		w->idle[w->num_idle] = depth - 1 - w->num_idle;
	return 0;
}

void worker_free(struct worker *w)
{
	free(w->idle);
	free(w->started);
	free(w->blocks);
	free(w->batch);
}

static void fail(struct worker *w, int error, const char *why)
{
	w->error = error;
	snprintf(w->why, sizeof w->why, "%s", why);
	__atomic_store_n(&w->work->over, true, __ATOMIC_RELAXED);
}

/* xorshift64* (Vigna): fast, and random enough for places on a disk. */
static uint64_t random_number(struct worker *w)
{
	uint64_t x = w->random_state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	w->random_state = x;
	return x * 0x2545f4914f6cdd1d;
}

static uint64_t next_block(struct worker *w)
{
	uint64_t place = w->next_place;

	if (w->work->random)
		place = random_number(w) % w->num_places;
	else
		w->next_place = place + 1 == w->num_places ? 0 : place + 1;
	return w->first_block + place * (w->work->size >> w->work->ns->block_shift);
}

/*
 * What a disk holds that tells where it belongs: in each 8 bytes, the byte at which their 4 KiB begin. With @check, look whether it is there, else put
 * it there. Returns whether it is.
 */
static bool own_place(const struct worker *w, uint32_t buffer, bool check)
{
	uint64_t *words = (uint64_t *)(w->data + (size_t)buffer * w->work->size);
	uint64_t at = w->blocks[buffer] << w->work->ns->block_shift;
	uint32_t i;

	for (i = 0; i < w->work->size / 8; i++, at += 8) {
		if (!check)
			words[i] = htole64(at & ~4095ull);
		else if (words[i] != htole64(at & ~4095ull))
			return false;
	}
	return true;
}

/* Every idle buffer gets a request, and all of them one doorbell. */
static void submit(struct worker *w)
{
	uint64_t left = w->to_do - w->submitted, now;
	uint32_t num = left < w->num_idle ? (uint32_t)left : w->num_idle, i;
	int r;

	if (num == 0 || __atomic_load_n(&w->work->over, __ATOMIC_RELAXED))
		return;
	for (i = 0; i < num; i++) {
		uint32_t buffer = w->idle[w->num_idle - 1 - i];

		w->blocks[buffer] = next_block(w);
		if (w->work->verifies && w->work->op == NVME_OP_WRITE)
			own_place(w, buffer, false);
		w->batch[i] = (struct nvme_request){ .block = w->blocks[buffer],
						     .iova = w->iova + (uint64_t)buffer * w->work->size,
						     .len = w->work->size,
						     .op = w->work->op,
						     .tag = buffer };
	}
	now = worker_clock();
	for (i = 0; i < num; i++)
		w->started[w->batch[i].tag] = now;
	r = nvme_queue_submit(w->queue, w->work->ns, w->batch, num);
	if (r < 0) {
		fail(w, r, nvme_error());
		return;
	}
	w->num_idle -= (uint32_t)r;
	w->submitted += (uint32_t)r;
	if ((uint32_t)r < num) /* there is room for all: what is wrong is said when it is the first */
		fail(w, -EIO, "not all requests of a batch were taken");
}

/* Polling means to look and look again. */
static int wait_for_some(struct worker *w, struct nvme_completion *done)
{
	int i, r = 0;

	for (i = 0; w->work->polling && i < LOOKS && r == 0; i++)
		r = nvme_queue_reap(w->queue, done, AT_ONCE);
	return r != 0 ? r : nvme_queue_wait(w->queue, done, AT_ONCE, TIMEOUT_MS);
}

static void settle(struct worker *w, const struct nvme_completion *done, uint64_t now)
{
	char why[WORKER_WHY];

	w->idle[w->num_idle++] = (uint32_t)done->tag;
	if (done->error == 0 && w->work->verifies && w->work->op == NVME_OP_READ &&
	    !own_place(w, (uint32_t)done->tag, true)) {
		snprintf(why, sizeof why,
			 "block %" PRIu64 " and following hold something else than belongs there",
			 w->blocks[done->tag]);
		fail(w, -EBADMSG, why);
	} else if (done->error == 0) {
		histogram_add(&w->latency, now - w->started[done->tag]);
	} else if (w->error == 0) {
		snprintf(why, sizeof why, "a request failed: %s (status 0x%04x)",
			 nvme_status_text(done->status), done->status);
		fail(w, done->error, why);
	}
}

/* Returns false when waiting is of no use any more. */
static bool reap(struct worker *w)
{
	struct nvme_completion done[AT_ONCE];
	int num = wait_for_some(w, done), i;
	uint64_t now = worker_clock();

	if (num == -EINTR)
		return true;
	if (num < 0) {
		fail(w, num, nvme_error());
		return false;
	}
	for (i = 0; i < num; i++)
		settle(w, &done[i], now);
	__atomic_store_n(&w->done, w->latency.num, __ATOMIC_RELAXED);
	return true;
}

void *worker_run(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(w->work->start);
	w->begun = worker_clock();
	do
		submit(w);
	while (w->num_idle < w->work->depth && reap(w));
	w->ended = worker_clock();
	return NULL;
}
