// SPDX-License-Identifier: MIT
/*
 * Reads on a controller of plain memory: what the driver takes for each command, submitted and completed, beside the least that any
 * driver could do, in the same run.
 *
 *     weir-bench-nvme-commands                             cycles, every shape
 *     weir-bench-nvme-commands ROUNDS BATCH LENGTH         no clock: for callgrind to count; see `instructions`
 *
 * The doorbells are words of memory. A routine that is not measured takes what was submitted, in order, and writes completions with
 * their phase. The least is: the same stores and loads, one doorbell for each batch, identifiers from a stack, and no check at all.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "bench/nvme/bare.h"
#include "nvme/queue.h"

enum { DEPTH = 128, MAX_LENGTH = 131072, STRIDE = 4096 + 64, BLOCKS = 1 << 20, ROUNDS = 2000, RUNS = 15 };

/* Their names are what callgrind is told to look for. */
void bench_submit(struct bench *b, unsigned int batch);
void bench_complete(struct bench *b, unsigned int batch);
void bare_submit(struct bench *b, unsigned int batch);
void bare_complete(struct bench *b, unsigned int batch);

static void *pages(size_t len)
{
	void *memory = NULL;

	if (posix_memalign(&memory, NVME_PAGE_SIZE, len))
		errx(1, "no memory");
	memset(memory, 0, len);
	return memory;
}

static void bench_open(struct bench *b)
{
	struct nvme_queue_setup setup = {
		.sq = pages((DEPTH + 1) * sizeof(struct nvme_sqe)),
		.cq = pages((DEPTH + 1) * sizeof(struct nvme_cqe)),
		.lists = pages(nvme_lists_len(DEPTH, MAX_LENGTH)),
		.depth = DEPTH,
		.max_transfer = MAX_LENGTH,
		.id = 1,
	};

	memset(b, 0, sizeof(*b));
	setup.lists_iova = (uintptr_t)setup.lists;
	setup.sq_doorbell.addr = b->sq_doorbell = pages(4096);
	setup.cq_doorbell.addr = b->cq_doorbell = b->sq_doorbell + 1;
	b->sq = setup.sq;
	b->cq = setup.cq;
	b->lists = setup.lists;
	b->entries = DEPTH + 1;
	b->phase = 1;
	b->ns = (struct nvme_namespace){
		.num_blocks = BLOCKS, .nsid = 1, .block_size = 512, .block_shift = 9
	};
	if (nvme_queue_create(&setup, &b->queue))
		errx(1, "%s", nvme_error());
	bare_open(b);
}

static void bench_close(struct bench *b)
{
	nvme_queue_destroy(b->queue);
	free(b->sq);
	free(b->cq);
	free(b->lists);
	free((void *)(uintptr_t)b->sq_doorbell);
}

static void prepare(struct bench *b, unsigned int length)
{
	for (unsigned int i = 0; i < DEPTH; i++)
		b->requests[i] =
			(struct nvme_request){ .op = NVME_OP_READ,
					       .block = i * 8191ull % (BLOCKS - 256),
					       .iova = 0x100000000 +
						       (uint64_t)i * (MAX_LENGTH + STRIDE) / 4096 * 4096,
					       .len = length,
					       .tag = i };
}

/* The controller. */
static void serve(struct bench *b)
{
	while (b->sq_head != *b->sq_doorbell) {
		uint64_t cid = b->sq[b->sq_head].qword[0] >> 16 & 0xffff;

		if (++b->sq_head == b->entries)
			b->sq_head = 0;
		b->cq[b->cq_tail].qword[1] = b->sq_head | 1u << 16 | cid << 32 | (uint64_t)b->phase << 48;
		if (++b->cq_tail == b->entries) {
			b->cq_tail = 0;
			b->phase ^= 1;
		}
	}
}

__attribute__((noinline)) void bench_submit(struct bench *b, unsigned int batch)
{
	if (nvme_queue_submit(b->queue, &b->ns, b->requests, batch) != (int)batch)
		errx(1, "submitting: %s", nvme_error());
}

__attribute__((noinline)) void bench_complete(struct bench *b, unsigned int batch)
{
	if (nvme_queue_reap(b->queue, b->done, batch) != (int)batch)
		errx(1, "reaping: %s", nvme_error());
}

__attribute__((noinline)) void bare_submit(struct bench *b, unsigned int batch)
{
	bare_put(b, batch);
}

__attribute__((noinline)) void bare_complete(struct bench *b, unsigned int batch)
{
	if (bare_take(b, batch) != batch)
		errx(1, "the bare one has lost something");
}

static void check(const struct bench *b, unsigned int batch)
{
	for (unsigned int i = 0; i < batch; i++)
		if (b->done[i].tag != i || b->done[i].error)
			errx(1, "completion %u is not what it should be", i);
}

struct halves {
	uint64_t submit, complete;
};

typedef void half_fn(struct bench *b, unsigned int batch);

/* One run of many rounds; the time stamp counter is read outside of each half. */
static struct halves run(struct bench *b, unsigned int rounds, unsigned int batch, half_fn *submit,
			 half_fn *complete)
{
	struct halves sum = { 0 };

	for (unsigned int i = 0; i < rounds; i++) {
		uint64_t t0 = bench_clock(), t1, t2, t3;

		submit(b, batch);
		t1 = bench_clock();
		serve(b);
		t2 = bench_clock();
		complete(b, batch);
		t3 = bench_clock();
		sum.submit += t1 - t0;
		sum.complete += t3 - t2;
	}
	check(b, batch);
	return sum;
}

static void measure(const char *name, unsigned int length, unsigned int batch, bool bare)
{
	struct halves least = { UINT64_MAX, UINT64_MAX };
	uint64_t empty = UINT64_MAX;
	unsigned int rounds = ROUNDS * 8 / batch + 1;
	struct bench b;

	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t begun = bench_clock(), taken = bench_clock() - begun;

		empty = taken < empty ? taken : empty;
	}
	bench_open(&b);
	prepare(&b, length);
	for (unsigned int i = 0; i < RUNS * 8; i++) {
		struct halves taken = bare ? run(&b, rounds, batch, bare_submit, bare_complete)
					   : run(&b, rounds, batch, bench_submit, bench_complete);

		least.submit = taken.submit < least.submit ? taken.submit : least.submit;
		least.complete = taken.complete < least.complete ? taken.complete : least.complete;
	}
	double submit = ((double)least.submit / rounds - (double)empty) / batch;
	double complete = ((double)least.complete / rounds - (double)empty) / batch;

	printf("%-8s %7u %6u %8.1f %8.1f %8.1f\n", name, length, batch, submit, complete, submit + complete);
	bench_close(&b);
}

static int count(unsigned int rounds, unsigned int batch, unsigned int length)
{
	struct bench b;

	if (batch == 0 || batch > DEPTH || length > MAX_LENGTH)
		errx(2, "batches of 1 to %d, lengths up to %d", DEPTH, MAX_LENGTH);
	bench_open(&b);
	prepare(&b, length);
	for (unsigned int i = 0; i < rounds; i++) {
		bench_submit(&b, batch);
		serve(&b);
		bench_complete(&b, batch);
	}
	check(&b, batch);
	bench_close(&b);

	bench_open(&b);
	prepare(&b, length);
	for (unsigned int i = 0; i < rounds; i++) {
		bare_submit(&b, batch);
		serve(&b);
		bare_complete(&b, batch);
	}
	check(&b, batch);
	bench_close(&b);
	return 0;
}

int main(int argc, char **argv)
{
	static const unsigned int batches[] = { 128, 32, 8, 1 }, lengths[] = { 512, 4096, 131072 };

	if (argc == 4)
		return count((unsigned int)strtoul(argv[1], NULL, 0), (unsigned int)strtoul(argv[2], NULL, 0),
			     (unsigned int)strtoul(argv[3], NULL, 0));
	if (argc != 1)
		errx(2, "usage: weir-bench-nvme-commands [ROUNDS BATCH LENGTH]");
	printf("cycles of the time stamp counter for each command, the least of %d runs\n", RUNS * 8);
	printf("%-8s %7s %6s %8s %8s %8s\n", "", "bytes", "batch", "submit", "complete", "both");
	for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
		for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
			measure("bare", lengths[l], batches[i], true);
			measure("weir", lengths[l], batches[i], false);
		}
	return 0;
}
