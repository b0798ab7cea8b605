// SPDX-License-Identifier: MIT
/* What this machine does in the same run. */
#include "bench/memory/yardstick.h"

#include <err.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "bench/memory/random.h"

enum { QUERIES = 1 << 20, CHASES = 1 << 20, ROUNDS = 4 };

static volatile uint64_t sink;

double yardstick_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

__attribute__((noinline)) size_t yardstick_find(const uint64_t *keys, size_t num, uint64_t key)
{
	const uint64_t *base = keys;

	while (num > 1) {
		size_t half = num / 2;

		base = base[half] <= key ? base + half : base;
		num -= half;
	}
	return (size_t)(base - keys);
}

double yardstick_search(size_t num)
{
	uint64_t *keys = calloc(num, sizeof(*keys)), *queries = calloc(QUERIES, sizeof(*queries));
	double least = 1e30;

	if (!keys || !queries)
		errx(1, "no memory");
	for (size_t i = 0; i < num; i++)
		keys[i] = i << 16;
	for (int i = 0; i < QUERIES; i++)
		queries[i] = random_below((uint64_t)num << 16);
	for (int round = 0; round < ROUNDS; round++) {
		double begin = yardstick_now(), took;
		uint64_t sum = 0;

		for (int i = 0; i < QUERIES; i++)
			sum += yardstick_find(keys, num, queries[i]);
		took = (yardstick_now() - begin) / QUERIES;
		sink += sum;
		least = took < least ? took : least;
	}
	free(keys);
	free(queries);
	return least;
}

double yardstick_slower(double search_1000)
{
	const double meant = 10;

	return search_1000 > meant ? search_1000 / meant : 1;
}

struct line {
	_Alignas(64) uint64_t next;
};

double yardstick_miss(size_t bytes, bool huge)
{
	size_t num = bytes / sizeof(struct line);
	struct line *lines = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double least = 1e30;
	uint64_t at = 0;

	if (lines == MAP_FAILED)
		errx(1, "no memory");
	madvise(lines, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (size_t i = 0; i < num; i++)
		lines[i].next = i;
	/* Exchanging each with an earlier one makes one cycle of all. */
	for (size_t i = num - 1; i > 0; i--) {
		size_t other = random_below(i);
		uint64_t next = lines[i].next;

		lines[i].next = lines[other].next;
		lines[other].next = next;
	}
	for (int round = 0; round < ROUNDS; round++) {
		double begin = yardstick_now(), took;

		for (int i = 0; i < CHASES; i++)
			at = lines[at].next;
		took = (yardstick_now() - begin) / CHASES;
		least = took < least ? took : least;
	}
	sink += at;
	munmap(lines, bytes);
	return least;
}
