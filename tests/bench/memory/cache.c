// SPDX-License-Identifier: MIT
/*
 * What finding a mapping in the registration cache costs, got and put, beside a yardstick of the same run.
 *
 *     weir-bench-memory-cache [MOST]
 *
 * 1k, 16k and 100k buffers (up to MOST) of 4 to 64 KiB, scattered, mapped on a table of calls that do nothing (tests/support/yes_kernel.c). Then 2^20 of them
 * are got and put: one and the same; each 16 times before the next; at random; and at random, a part of each. A hit takes some 17 ns and, at random among 100k, one
 * miss of the processor's caches more, up to 1.6 on a busy machine; docs/performance.md has the figures, and what lookups of other libraries take. The times are the best of several rounds, of this
 * thread's processor time, and so is a miss, in as much memory as the cache looks at. A table goes to stderr, the same as JSON to stdout; exits with 1 above the limits.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "bench/memory/random.h"
#include "bench/memory/yardstick.h"
#include "support/yes_kernel.h"

enum { QUERIES = 1 << 20, ROUNDS = 5, SIZES = 3, PATTERNS = 4, PAGE = 4096 };

static const size_t sizes[SIZES] = { 1000, 16384, 100000 };

/* Nanoseconds at most, on a machine as the yardstick means it; and how many dependent cache misses more. The table in docs/performance.md has the same. */
static const struct pattern {
	const char *name;
	double limit, misses;
} patterns[PATTERNS] = { { "the same", 30, 0 },
			 { "16 times each", 30, 2.0 / 16 },
			 { "random", 30, 2 },
			 { "parts, random", 60, 3 } };

/* What it takes of memory: hints and entries. */
enum { PER_ENTRY = 4 * 8 + 128 };

struct buffer {
	uint64_t at, len;
};

static struct buffer queries[QUERIES];
static volatile uint64_t sink;

static double time_gets(struct weir_cache *cache)
{
	double begin = yardstick_now();
	struct weir_cached cached = { 0 };
	uint64_t sum = 0;

	for (int i = 0; i < QUERIES; i++) {
		if (weir_cache_get(cache, (const void *)(uintptr_t)queries[i].at, queries[i].len, 0, &cached))
			errx(1, "%s", weir_error());
		sum += cached.iova;
		if (weir_cache_put(cache, &cached))
			errx(1, "%s", weir_error());
	}
	sink += sum;
	return (yardstick_now() - begin) / QUERIES;
}

static void draw(const struct buffer *buffers, size_t num, int pattern)
{
	struct buffer buffer = buffers[random_below(num)];

	for (int i = 0; i < QUERIES; i++) {
		if (pattern > 1 || (pattern == 1 && i % 16 == 0))
			buffer = buffers[random_below(num)];
		queries[i] = buffer;
		if (pattern == 3) {
			queries[i].at += random_below(buffer.len);
			queries[i].len = 1;
		}
	}
}

static double measure(struct weir_cache *cache, const struct buffer *buffers, size_t num, int pattern)
{
	double least = 1e30;

	draw(buffers, num, pattern);
	for (int i = 0; i < ROUNDS; i++) {
		double took = time_gets(cache);

		least = took < least ? took : least;
	}
	return least;
}

static void map_all(struct weir_cache *cache, struct buffer *buffers, size_t num)
{
	for (size_t i = 0; i < num; i++) {
		struct weir_cached cached;

		/* One to sixteen pages of thirty-two. */
		buffers[i].len = (1 + random_below(16)) * PAGE;
		buffers[i].at = 0x100000000000 + (i * 32 + random_below(16)) * PAGE;
		if (weir_cache_get(cache, (const void *)(uintptr_t)buffers[i].at, buffers[i].len, 0,
				   &cached) ||
		    weir_cache_put(cache, &cached))
			errx(1, "%s", weir_error());
	}
}

/* What this machine does in this run. */
struct machine {
	double search; /* the yardstick at that number of entries */
	double slower; /* than it is meant to be */
	double miss;
};

static bool report(size_t num, const struct pattern *pattern, const struct machine *machine, double took,
		   bool more)
{
	double limit = pattern->limit * machine->slower + pattern->misses * machine->miss;
	bool within = took <= limit;

	fprintf(stderr, "%-16s %8zu %10.1f %8.1f %10.1f %8.3f %8.1f%s\n", pattern->name, num, machine->search,
		machine->miss, took, took / machine->search, limit, within ? "" : "  above its limit");
	printf(" {\"hits\": \"%s\", \"num\": %zu, \"yardstick_ns\": %.2f, \"miss_ns\": %.2f, \"hit_ns\": "
	       "%.2f, "
	       "\"limit_ns\": %.2f, \"within\": %s}%s\n",
	       pattern->name, num, machine->search, machine->miss, took, limit, within ? "true" : "false",
	       more ? "," : "");
	return within;
}

static bool measure_all(struct weir_ioas *ioas, size_t num, double slower, bool more)
{
	struct buffer *buffers = calloc(num, sizeof(*buffers));
	struct machine machine = { yardstick_search(num), slower, yardstick_miss(num * PER_ENTRY, true) };
	struct weir_cache *cache;
	struct weir_cache_info info;
	bool within = true;

	if (!buffers)
		errx(1, "no memory");
	if (weir_cache_open(ioas, &WEIR_OPTS(weir_cache_opts, .most = (uint32_t)num), &cache))
		errx(1, "%s", weir_error());
	map_all(cache, buffers, num);
	for (int i = 0; i < PATTERNS; i++)
		within = report(num, &patterns[i], &machine, measure(cache, buffers, num, i),
				more || i + 1 < PATTERNS) &&
			 within;
	weir_cache_info(cache, &info, sizeof(info));
	if (info.misses != num)
		errx(1, "%llu misses", (unsigned long long)info.misses);
	weir_cache_close(cache);
	free(buffers);
	return within;
}

int main(int argc, char **argv)
{
	static struct yes_kernel yes;
	size_t most = argc > 1 ? strtoul(argv[1], NULL, 0) : SIZE_MAX;
	double slower = yardstick_slower(yardstick_search(1000));
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	bool within = true;

	yes_kernel_init(&yes);
	if (weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = &yes.table),
			   &host) ||
	    weir_ioas_open(host, NULL, &ioas) || weir_device_open(ioas, YES_ADDRESS_0, NULL, &device))
		errx(1, "%s", weir_error());
	fprintf(stderr, "%-16s %8s %10s %8s %10s %8s %8s\n", "cache hit, ns", "entries", "yardstick", "miss",
		"get, put", "ratio", "limit");
	printf("{\"benchmark\": \"memory-cache\", \"results\": [\n");
	for (int i = 0; i < SIZES && sizes[i] <= most; i++)
		within = measure_all(ioas, sizes[i], slower, i + 1 < SIZES && sizes[i + 1] <= most) && within;
	printf("]}\n");
	weir_device_close(device);
	weir_ioas_close(ioas);
	weir_host_close(host);
	yes_kernel_finish(&yes);
	return !within;
}
