// SPDX-License-Identifier: MIT
/*
 * What it costs to find where memory is for devices, and back, beside a yardstick of the same run: a branch-free binary search over a
 * sorted array of 8-byte keys. For both, 2^20 random addresses.
 *
 *     weir-bench-memory-lookup [MOST]
 *     weir-bench-memory-lookup --count SHAPE LOOP       one loop once, among 1k mappings, for counting instructions
 *
 * Mappings are made on a table of calls that do nothing (tests/support/yes_kernel.c), 1k, 16k, 100k and 1M of them (up to MOST). The
 * yardstick's array and the queries ask for huge pages, as the library's tables do. A table goes to stderr, the same as JSON to
 * stdout; exits with 1 above the limits.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/memory/loops.h"
#include "bench/memory/random.h"
#include "support/yes_kernel.h"

enum { SIZES = 4, TURNS = 5, PAGE = 4096, LARGE = 2 << 20 };

static const size_t sizes[SIZES] = { 1000, 16384, 100000, 1 << 20 };

/* What is mapped: so long, each somewhere in its stride. */
static const struct shape {
	const char *name;
	uint64_t len, stride;
	double limits[SIZES]; /* ratios to the yardstick at most; 0: none */
} shapes[] = {
	{ "2 MiB", LARGE, LARGE, { 0.30, 0.20, 0.12, 0.08 } },
	{ "4 KiB, scattered", PAGE, 8 * PAGE, { 0.45, 0.35, 0.25, 0.15 } },
	{ "64 KiB, scattered", 16 * PAGE, 128 * PAGE, { 0 } },
	{ "4 KiB, far apart", PAGE, 2048 * PAGE, { 0 } },
};

enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static bool first_result = true;

/* A result for stdout begins. */
static void result(const char *kind)
{
	printf("%s {\"what\": \"%s\"", first_result ? "" : ",\n", kind);
	first_result = false;
}

static struct weir_ioas *new_space(struct weir_host *host, uint32_t flags, struct weir_device **ret_device)
{
	struct weir_ioas *ioas;

	if (weir_ioas_open(host, &WEIR_OPTS(weir_ioas_opts, .flags = flags), &ioas) ||
	    weir_device_open(ioas, YES_ADDRESS_0, NULL, ret_device))
		errx(1, "%s", weir_error());
	return ioas;
}

static void close_space(struct weir_ioas *ioas, struct weir_device *device)
{
	weir_device_close(device);
	weir_ioas_close(ioas);
}

static void map_all(struct field *field, const struct shape *shape)
{
	for (size_t i = 0; i < field->num; i++) {
		uint64_t room = (shape->stride - shape->len) / PAGE + 1,
			 at = 0x100000000000 + i * shape->stride + random_below(room) * PAGE;
		struct weir_map *map;

		if (weir_ioas_map(field->ioas, (void *)(uintptr_t)at, shape->len, NULL, &map))
			errx(1, "%s", weir_error());
		field->addresses[i] = at;
		field->iovas[i] = weir_map_iova(map);
	}
}

static void draw_queries(struct field *field)
{
	for (int i = 0; i < QUERIES; i++) {
		field->by_address[i] = field->addresses[random_below(field->num)] + random_below(field->len);
		field->by_iova[i] = field->iovas[random_below(field->num)] + random_below(field->len);
		field->offsets[i] = random_below(field->buffer.len - 64);
	}
}

/* Room for mappings, to be used again and again. */
static struct field new_field(size_t most)
{
	size_t len = QUERIES * sizeof(uint64_t), room = most * sizeof(uint64_t);

	return (struct field){
		.addresses = huge_memory(room),
		.iovas = huge_memory(room),
		.by_address = huge_memory(len),
		.by_iova = huge_memory(len),
		.offsets = huge_memory(len),
		.buffer = { .iova = 0x200000, .len = LARGE },
	};
}

static bool report(const struct shape *shape, int size, const double *ns)
{
	double limit = shape->limits[size];
	bool within = !limit || (ns[1] <= limit * ns[0] && ns[2] <= limit * ns[0]);

	fprintf(stderr, "%-18s %8zu %9.1f %8.2f %8.2f %8.2f %8.3f %8.3f", shape->name, sizes[size], ns[0],
		ns[1], ns[2], ns[3], ns[1] / ns[0], ns[2] / ns[0]);
	if (limit)
		fprintf(stderr, " %7.2f", limit);
	fprintf(stderr, "%s\n", within ? "" : "  above its limit");
	result("lookup");
	printf(", \"mappings\": \"%s\", \"num\": %zu, \"yardstick_ns\": %.2f, \"to_iova_ns\": %.2f, "
	       "\"to_memory_ns\": %.2f, \"to_iova_with_length_ns\": %.2f, \"limit\": %.2f, \"within\": %s}",
	       shape->name, sizes[size], ns[0], ns[1], ns[2], ns[3], limit, within ? "true" : "false");
	return within;
}

static bool measure(struct weir_host *host, struct field *field, const struct shape *shape, int size)
{
	loop *const loops[] = { loop_search, loop_iova, loop_memory, loop_iova_left };
	struct weir_device *device;
	double ns[4];

	field->ioas = new_space(host, WEIR_IOAS_LOOKUP, &device);
	field->num = sizes[size];
	field->len = shape->len;
	map_all(field, shape);
	draw_queries(field);
	time_loops(field, loops, 4, ns);
	close_space(field->ioas, device);
	return report(shape, size, ns);
}

static int compare(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return (first > second) - (first < second);
}

/*
 * Two threads beside one, and how much worse that is than the yardstick's own two: of several turns, which may be disturbed, the median. Beside it a
 * control, which is not judged: a loop that shares nothing, a buffer's IOVA. Where that scales worse than the yardstick, too, the
 * processors share a core, which matters to what is limited by instructions, and not to what waits for memory.
 */
static bool measure_threads(struct weir_host *host, struct field *field, const struct shape *shape)
{
	enum { YARDSTICK, TO_IOVA, BACK, CONTROL, LOOPS };
	const double limit = 0.95;
	loop *const loops[LOOPS] = { loop_search, loop_iova, loop_memory, loop_buffer };
	double one[LOOPS], two[LOOPS], scaling[LOOPS][TURNS], worse;
	struct weir_device *device;

	field->ioas = new_space(host, WEIR_IOAS_LOOKUP, &device);
	field->num = sizes[1];
	field->len = shape->len;
	map_all(field, shape);
	draw_queries(field);
	for (int turn = 0; turn < TURNS; turn++) {
		time_loops(field, loops, LOOPS, one);
		time_loops_twice(field, loops, LOOPS, two);
		for (int i = 0; i < LOOPS; i++)
			scaling[i][turn] = one[i] / two[i] / (one[YARDSTICK] / two[YARDSTICK]);
	}
	close_space(field->ioas, device);
	for (int i = 0; i < LOOPS; i++)
		qsort(scaling[i], TURNS, sizeof(scaling[i][0]), compare);
	worse = scaling[TO_IOVA][TURNS / 2] < scaling[BACK][TURNS / 2] ? scaling[TO_IOVA][TURNS / 2]
								       : scaling[BACK][TURNS / 2];
	fprintf(stderr,
		"two threads, %-18s %5.2f as well as the yardstick's two; at least %.2f; the control "
		"%.2f%s\n",
		shape->name, worse, limit, scaling[CONTROL][TURNS / 2],
		worse < limit ? "  below its limit" : "");
	result("threads");
	printf(", \"mappings\": \"%s\", \"scaling\": %.3f, \"control\": %.3f, \"limit\": %.2f, \"within\": "
	       "%s}",
	       shape->name, worse, scaling[CONTROL][TURNS / 2], limit, worse < limit ? "false" : "true");
	return worse >= limit;
}

static bool measure_buffer(struct field *field)
{
	const double limit = 1.5;
	loop *const loops[] = { loop_buffer };
	double ns;

	field->num = 1;
	field->len = 1;
	draw_queries(field);
	time_loops(field, loops, 1, &ns);
	fprintf(stderr, "buffer to IOVA     %28.2f ns; at most %.2f%s\n", ns, limit,
		ns > limit ? "  above its limit" : "");
	result("buffer");
	printf(", \"ns\": %.2f, \"limit\": %.2f, \"within\": %s}", ns, limit, ns > limit ? "false" : "true");
	return ns <= limit;
}

static double resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long size, resident;

	if (!file || fscanf(file, "%lu %lu", &size, &resident) != 2)
		errx(1, "/proc/self/statm cannot be read");
	fclose(file);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* How much memory a mapping takes, in a space with or without looking up. */
static double bytes_of(struct weir_host *host, struct field *field, uint32_t flags)
{
	struct weir_device *device;
	double before, after;

	field->ioas = new_space(host, flags, &device);
	before = resident_bytes();
	map_all(field, &shapes[1]);
	after = resident_bytes();
	close_space(field->ioas, device);
	return (after - before) / (double)field->num;
}

static bool measure_bytes(struct weir_host *host, struct field *field)
{
	const double limit = 128;
	double bytes;

	field->num = 256 << 10;
	bytes = -bytes_of(host, field, 0);
	bytes += bytes_of(host, field, WEIR_IOAS_LOOKUP);
	fprintf(stderr, "tables, 4 KiB scattered, 256k %17.1f bytes a mapping; at most %.0f%s\n", bytes,
		limit, bytes > limit ? "  above its limit" : "");
	result("tables");
	printf(", \"num\": %zu, \"bytes_per_mapping\": %.1f, \"limit\": %.0f, \"within\": %s}", field->num,
	       bytes, limit, bytes > limit ? "false" : "true");
	return bytes <= limit;
}

static void run_once(struct weir_host *host, struct field *field, const struct shape *shape, const char *name)
{
	static const struct {
		const char *name;
		loop *run;
	} loops[] = { { "loop_search", loop_search },
		      { "loop_iova", loop_iova },
		      { "loop_iova_left", loop_iova_left },
		      { "loop_memory", loop_memory },
		      { "loop_buffer", loop_buffer } };
	struct weir_device *device;

	field->ioas = new_space(host, WEIR_IOAS_LOOKUP, &device);
	field->num = sizes[0];
	field->len = shape->len;
	map_all(field, shape);
	draw_queries(field);
	for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++)
		if (!strcmp(loops[i].name, name))
			loops[i].run(field, 0, QUERIES);
	close_space(field->ioas, device);
}

static bool measure_all(struct weir_host *host, struct field *field, size_t most)
{
	bool within;

	printf("{\"benchmark\": \"memory-lookup\", \"results\": [\n");
	within = measure_bytes(host, field);
	within = measure_buffer(field) && within;
	fprintf(stderr, "%-18s %8s %9s %8s %8s %8s %8s %8s %7s\n", "lookup, ns", "mappings", "yardstick",
		"to IOVA", "back", "+length", "ratio", "ratio", "limit");
	for (int shape = 0; shape < SHAPES; shape++)
		for (int size = 0; size < SIZES && sizes[size] <= most; size++)
			within = measure(host, field, &shapes[shape], size) && within;
	for (int shape = 0; shape < 2; shape++)
		within = measure_threads(host, field, &shapes[shape]) && within;
	printf("\n]}\n");
	return within;
}

int main(int argc, char **argv)
{
	static struct yes_kernel yes;
	struct field field = new_field(sizes[SIZES - 1]);
	struct weir_host *host;
	bool within = true;

	yes_kernel_init(&yes);
	if (weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = &yes.table),
			   &host))
		errx(1, "%s", weir_error());
	memset(field.addresses, 1, sizes[SIZES - 1] * sizeof(uint64_t));
	memset(field.iovas, 1, sizes[SIZES - 1] * sizeof(uint64_t));
	if (argc == 4 && !strcmp(argv[1], "--count"))
		run_once(host, &field, &shapes[strtoul(argv[2], NULL, 0) % SHAPES], argv[3]);
	else
		within = measure_all(host, &field, argc > 1 ? strtoul(argv[1], NULL, 0) : SIZE_MAX);
	weir_host_close(host);
	yes_kernel_finish(&yes);
	return !within;
}
