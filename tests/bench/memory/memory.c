// SPDX-License-Identifier: MIT
/*
 * What DMA memory costs beside a yardstick of the same run: a branch-free binary search over a sorted array of 8-byte keys.
 *
 *     weir-bench-memory [MOST]
 *
 * Mappings are made on a table of calls that do nothing (tests/support/yes_kernel.c), 1k, 16k, 100k and 1M of them (up to MOST):
 * of 2 MiB each, in a row; and of 4 KiB, scattered. Then 2^20 random addresses are looked up. The times are the best of several
 * rounds, of this thread's processor time. A table goes to stderr, the same as JSON to stdout; exits with 1 above the limits.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/weir.h>

#include "bench/memory/random.h"
#include "support/yes_kernel.h"

enum { QUERIES = 1 << 20, ROUNDS = 5, SIZES = 4, PAGE = 4096, LARGE = 2 << 20 };

static const size_t sizes[SIZES] = { 1000, 16384, 100000, 1 << 20 };

/* Ratios to the yardstick at most. */
static const double limit_large[SIZES] = { 0.30, 0.20, 0.12, 0.08 };
static const double limit_small[SIZES] = { 0.45, 0.35, 0.25, 0.15 };

static uint64_t queries[QUERIES];
static volatile uint64_t sink;

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

__attribute__((noinline)) static size_t search(const uint64_t *keys, size_t num, uint64_t key)
{
	const uint64_t *base = keys;

	while (num > 1) {
		size_t half = num / 2;

		base = base[half] <= key ? base + half : base;
		num -= half;
	}
	return (size_t)(base - keys);
}

/* What is measured: mappings in one space. */
struct field {
	struct weir_ioas *ioas;
	uint64_t *addresses, *iovas; /* sorted by address; where each begins */
	size_t num;
	uint64_t len;
};

static double time_yardstick(const struct field *field)
{
	double begin = now_ns();
	uint64_t sum = 0;

	for (int i = 0; i < QUERIES; i++)
		sum += search(field->addresses, field->num, queries[i]);
	sink += sum;
	return (now_ns() - begin) / QUERIES;
}

static double time_iova(const struct field *field)
{
	double begin = now_ns();
	uint64_t sum = 0, iova = 0;

	for (int i = 0; i < QUERIES; i++) {
		if (weir_ioas_iova(field->ioas, (void *)(uintptr_t)queries[i], 1, &iova, NULL))
			errx(1, "%s", weir_error());
		sum += iova;
	}
	sink += sum;
	return (now_ns() - begin) / QUERIES;
}

static double time_memory(const struct field *field)
{
	double begin = now_ns();
	uint64_t sum = 0;
	void *addr = NULL;

	for (int i = 0; i < QUERIES; i++) {
		if (weir_ioas_memory(field->ioas, queries[i], 1, &addr, NULL))
			errx(1, "%s", weir_error());
		sum += (uintptr_t)addr;
	}
	sink += sum;
	return (now_ns() - begin) / QUERIES;
}

static void draw_queries(const uint64_t *begins, const struct field *field)
{
	for (int i = 0; i < QUERIES; i++)
		queries[i] = begins[random_below(field->num)] + random_below(field->len);
}

static double best(double (*measure)(const struct field *field), const struct field *field)
{
	double least = 1e30;

	for (int i = 0; i < ROUNDS; i++) {
		double took = measure(field);

		least = took < least ? took : least;
	}
	return least;
}

static void map_all(struct field *field, bool scattered)
{
	/* One in eight pages, or one large page after the other. */
	uint64_t stride = scattered ? 8 * PAGE : field->len;

	for (size_t i = 0; i < field->num; i++) {
		uint64_t at = 0x100000000000 + i * stride + (scattered ? random_below(8) * PAGE : 0);
		struct weir_map *map;

		if (weir_ioas_map(field->ioas, (void *)(uintptr_t)at, field->len, NULL, &map))
			errx(1, "%s", weir_error());
		field->addresses[i] = at;
		field->iovas[i] = weir_map_iova(map);
	}
}

static bool report(const char *name, size_t num, double yardstick, double iova, double memory, double limit,
		   bool more)
{
	bool within = iova <= limit * yardstick && memory <= limit * yardstick;

	fprintf(stderr, "%-22s %8zu %10.1f %8.2f %8.2f %8.3f %8.3f %8.2f%s\n", name, num, yardstick, iova,
		memory, iova / yardstick, memory / yardstick, limit, within ? "" : "  above its limit");
	printf(" {\"mappings\": \"%s\", \"num\": %zu, \"yardstick_ns\": %.2f, \"to_iova_ns\": %.2f, "
	       "\"to_memory_ns\": %.2f, \"limit\": "
	       "%.2f, \"within\": %s}%s\n",
	       name, num, yardstick, iova, memory, limit, within ? "true" : "false", more ? "," : "");
	return within;
}

static bool measure(struct weir_host *host, bool scattered, int size, bool more)
{
	struct field field = { .num = sizes[size], .len = scattered ? PAGE : LARGE };
	struct weir_device *device;
	double yardstick, iova, memory;

	field.addresses = calloc(field.num, sizeof(*field.addresses));
	field.iovas = calloc(field.num, sizeof(*field.iovas));
	if (!field.addresses || !field.iovas)
		errx(1, "no memory");
	if (weir_ioas_open(host, &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_LOOKUP), &field.ioas) ||
	    weir_device_open(field.ioas, YES_ADDRESS_0, NULL, &device))
		errx(1, "%s", weir_error());
	map_all(&field, scattered);
	draw_queries(field.addresses, &field);
	yardstick = best(time_yardstick, &field);
	iova = best(time_iova, &field);
	draw_queries(field.iovas, &field);
	memory = best(time_memory, &field);
	weir_device_close(device);
	weir_ioas_close(field.ioas);
	free(field.addresses);
	free(field.iovas);
	return report(scattered ? "4 KiB, scattered" : "2 MiB", field.num, yardstick, iova, memory,
		      scattered ? limit_small[size] : limit_large[size], more);
}

int main(int argc, char **argv)
{
	static struct yes_kernel yes;
	size_t most = argc > 1 ? strtoul(argv[1], NULL, 0) : SIZE_MAX;
	struct weir_host *host;
	bool within = true;

	yes_kernel_init(&yes);
	if (weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = &yes.table),
			   &host))
		errx(1, "%s", weir_error());
	fprintf(stderr, "%-22s %8s %10s %8s %8s %8s %8s %8s\n", "lookup, ns", "mappings", "yardstick",
		"to IOVA", "back", "ratio", "ratio", "limit");
	printf("{\"benchmark\": \"memory\", \"results\": [\n");
	for (int scattered = 0; scattered < 2; scattered++)
		for (int size = 0; size < SIZES && sizes[size] <= most; size++)
			within = measure(host, scattered, size,
					 !scattered || (size + 1 < SIZES && sizes[size + 1] <= most)) &&
				 within;
	printf("]}\n");
	weir_host_close(host);
	yes_kernel_finish(&yes);
	return !within;
}
