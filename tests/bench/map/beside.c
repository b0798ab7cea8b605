// SPDX-License-Identifier: MIT
/*
 * weir's map and unmap beside the bare system calls: the same memory, at the same IOVA, on the same descriptor, in turns.
 *
 *     weir-bench-map-beside iommufd|type1|compat ADDRESS [SECONDS [PROCESSES [SHAPES]]]
 *
 * ADDRESS is a device bound to vfio-pci; each size is measured for SECONDS (default 0.7) in each of PROCESSES (default 7), one after the
 * other, or only the first SHAPES sizes. In every round each contender has its turn, in changing order: weir; the bare calls; the
 * bare calls once more, whose ratio to themselves tells how far this machine's ratios can be trusted; and the bare calls through a
 * function that only passes them on. A process's figure is the ratio of lower quartiles: other programs' turns on a busy machine lengthen
 * some turns, which moves a median long before it moves that. Processes differ by where their memory and code happen to
 * lie, so what is judged is their mean. A table goes to stderr, the same as JSON to stdout; exits with 1 above the limits.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "bench/map/forward.h"
#include "bench/series.h"
#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"

enum { KIB = 1024, MIB = 1024 * KIB, MOST_ROUNDS = 200000, FEWEST_ROUNDS = 30, MOST_PROCESSES = 50 };

/* The limits: to two digits; the noise comes on top. */
#define LIMIT_SMALL 1.05
#define LIMIT_LARGE 1.00
#define TOLERANCE   0.01

static const struct shape {
	const char *name;
	size_t len;
	int advice;
	double limit; /* 0: for information */
} shapes[] = {
	{ "4 KiB", 4 * KIB, MADV_NOHUGEPAGE, LIMIT_SMALL },
	{ "64 KiB", 64 * KIB, MADV_NOHUGEPAGE, 0 },
	{ "2 MiB, one huge page", 2 * MIB, MADV_HUGEPAGE, LIMIT_LARGE },
	{ "2 MiB, small pages", 2 * MIB, MADV_NOHUGEPAGE, LIMIT_LARGE },
	{ "64 MiB, huge pages", 64 * MIB, MADV_HUGEPAGE, LIMIT_LARGE },
};

enum { NUM_SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

enum contender { WEIR, BARE, BARE_AGAIN, FORWARD, CONTENDERS };

/* Where the mappings go: what the library's first call to map shows. */
struct raw {
	struct weir_sys table;
	int fd;
	uint32_t ioas;
	bool type1;
	struct forward forward;
};

/* After the first look the real call stands in the table, so that the library is measured without this one. */
static int peek(void *ctx, int fd, unsigned long request, void *arg)
{
	struct raw *raw = ctx;
	const struct weir_sys *real = weir_sys_real();

	if ((!raw->type1 && request == ABI_IOMMU_IOAS_MAP) ||
	    (raw->type1 && request == ABI_VFIO_IOMMU_MAP_DMA)) {
		raw->fd = fd;
		if (!raw->type1)
			raw->ioas = ((struct abi_iommu_ioas_map *)arg)->ioas_id;
		raw->table.ioctl = real->ioctl;
	}
	return real->ioctl(real->ctx, fd, request, arg);
}

static void map_raw(const struct raw *raw, void *addr, size_t len, uint64_t iova)
{
	const struct weir_sys *real = weir_sys_real();
	struct abi_iommu_ioas_map map = { .size = sizeof(map),
					  .flags = ABI_IOMMU_IOAS_MAP_FIXED_IOVA |
						   ABI_IOMMU_IOAS_MAP_READABLE | ABI_IOMMU_IOAS_MAP_WRITEABLE,
					  .ioas_id = raw->ioas,
					  .user_va = (uintptr_t)addr,
					  .length = len,
					  .iova = iova };
	struct abi_vfio_iommu_type1_dma_map dma = { .argsz = sizeof(dma),
						    .flags = ABI_VFIO_DMA_MAP_FLAG_READ |
							     ABI_VFIO_DMA_MAP_FLAG_WRITE,
						    .vaddr = (uintptr_t)addr,
						    .iova = iova,
						    .size = len };
	int error = raw->type1 ? real->ioctl(NULL, raw->fd, ABI_VFIO_IOMMU_MAP_DMA, &dma)
			       : real->ioctl(NULL, raw->fd, ABI_IOMMU_IOAS_MAP, &map);

	if (error)
		errx(1, "mapping %zu bytes at IOVA %#llx: %s", len, (unsigned long long)iova,
		     strerror(-error));
}

static void unmap_raw(const struct raw *raw, size_t len, uint64_t iova)
{
	const struct weir_sys *real = weir_sys_real();
	struct abi_iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = raw->ioas, .iova = iova, .length = len
	};
	struct abi_vfio_iommu_type1_dma_unmap dma = { .argsz = sizeof(dma), .iova = iova, .size = len };
	int error = raw->type1 ? real->ioctl(NULL, raw->fd, ABI_VFIO_IOMMU_UNMAP_DMA, &dma)
			       : real->ioctl(NULL, raw->fd, ABI_IOMMU_IOAS_UNMAP, &unmap);

	if (error)
		errx(1, "unmapping %zu bytes: %s", len, strerror(-error));
}

static void check(int error)
{
	if (error)
		errx(1, "%s", weir_error());
}

static uint64_t time_weir(struct weir_ioas *ioas, void *addr, size_t len, uint64_t *ret_iova)
{
	uint64_t begin = now_ns(), taken;
	struct weir_map *map;

	check(weir_ioas_map(ioas, addr, len, NULL, &map));
	*ret_iova = weir_map_iova(map);
	check(weir_map_close(map));
	taken = now_ns() - begin;
	return taken;
}

static uint64_t time_raw(const struct raw *raw, void *addr, size_t len, uint64_t iova)
{
	uint64_t begin = now_ns();

	map_raw(raw, addr, len, iova);
	unmap_raw(raw, len, iova);
	return now_ns() - begin;
}

static uint64_t time_forward(const struct raw *raw, void *addr, size_t len, uint64_t iova)
{
	uint64_t begin = now_ns();

	check(forward_map(&raw->forward, addr, len, iova));
	check(forward_unmap(&raw->forward, len, iova));
	return now_ns() - begin;
}

static uint64_t take_turn(enum contender who, struct weir_ioas *ioas, const struct raw *raw, void *addr,
			  size_t len, uint64_t *iova)
{
	switch (who) {
	case WEIR:
		return time_weir(ioas, addr, len, iova);
	case FORWARD:
		return time_forward(raw, addr, len, *iova);
	default:
		return time_raw(raw, addr, len, *iova);
	}
}

/* Who comes after whom matters: what ran last is in the caches. */
static void shuffle(enum contender order[CONTENDERS])
{
	static uint32_t random = 1;

	for (unsigned int i = CONTENDERS - 1; i; i--) {
		unsigned int with;
		enum contender moved = order[i];

		random = random * 1664525u + 1013904223u;
		with = (random >> 8) % (i + 1);
		order[i] = order[with];
		order[with] = moved;
	}
}

/* What one process saw of one size. */
struct outcome {
	uint64_t rounds;
	double median[CONTENDERS], quartile[CONTENDERS];
};

static void *new_memory(const struct shape *shape)
{
	/* Aligned to what could be one large page. */
	size_t room = shape->len + 2 * MIB;
	char *area = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *memory = area + (2 * MIB - (uintptr_t)area % (2 * MIB)) % (2 * MIB);

	if (area == MAP_FAILED)
		err(1, "%zu bytes of memory", room);
	if (madvise(memory, shape->len, shape->advice))
		warn("madvise");
	memset(memory, 1, shape->len);
	return memory;
}

/* One mapping, made for the sake of the look at it. */
static void find_descriptor(struct weir_ioas *ioas, struct raw *raw)
{
	void *page = new_memory(&shapes[0]);
	uint64_t iova;

	time_weir(ioas, page, shapes[0].len, &iova);
	raw->forward = (struct forward){
		.sys = weir_sys_real(), .fd = raw->fd, .ioas = raw->ioas, .type1 = raw->type1
	};
	munmap(page, shapes[0].len);
}

static void measure(struct weir_ioas *ioas, struct raw *raw, const struct shape *shape, double seconds,
		    struct outcome *ret_outcome)
{
	struct series series[CONTENDERS];
	enum contender order[CONTENDERS] = { WEIR, BARE, BARE_AGAIN, FORWARD };
	void *memory = new_memory(shape);
	uint64_t end, iova;
	size_t round;

	for (int i = 0; i < CONTENDERS; i++)
		series_init(&series[i], MOST_ROUNDS);
	for (int i = 0; i < 3; i++)
		for (enum contender who = 0; who < CONTENDERS; who++)
			take_turn(who, ioas, raw, memory, shape->len, &iova);
	end = now_ns() + (uint64_t)(seconds * 1e9);
	for (round = 0; (now_ns() < end || round < FEWEST_ROUNDS) && round < MOST_ROUNDS; round++) {
		shuffle(order);
		for (size_t turn = 0; turn < CONTENDERS; turn++)
			series_add(&series[order[turn]],
				   take_turn(order[turn], ioas, raw, memory, shape->len, &iova));
	}
	ret_outcome->rounds = round;
	for (int i = 0; i < CONTENDERS; i++) {
		ret_outcome->median[i] = series_quantile(&series[i], 0.5);
		ret_outcome->quartile[i] = series_quantile(&series[i], 0.25);
		series_free(&series[i]);
	}
	munmap(memory, shape->len);
}

/* A contender's time by that of the bare calls, both times they were measured; and what these differ. */
static double ratio(const double time[CONTENDERS], enum contender who)
{
	return 2 * time[who] / (time[BARE] + time[BARE_AGAIN]);
}

/* How far ratios that ought to be 1 are from it here: of the bare calls to themselves, and to themselves through a function. */
static double noise(const double time[CONTENDERS])
{
	return fmax(fabs(time[BARE] / time[BARE_AGAIN] - 1), fabs(ratio(time, FORWARD) - 1));
}

/* One process: opens the device, and measures the first @num sizes. */
static void measure_all(uint32_t backend, const char *address, double seconds, int num,
			struct outcome *ret_outcomes)
{
	struct raw raw = { .table = *weir_sys_real(), .fd = -1, .type1 = backend != WEIR_BACKEND_IOMMUFD };
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;

	raw.table.ctx = &raw;
	raw.table.ioctl = peek;
	check(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend, .sys = &raw.table), &host));
	check(weir_ioas_open(host, NULL, &ioas));
	check(weir_device_open(ioas, address, NULL, &device));
	find_descriptor(ioas, &raw);
	for (int i = 0; i < num; i++)
		measure(ioas, &raw, &shapes[i], seconds, &ret_outcomes[i]);
	check(weir_device_close(device));
	check(weir_ioas_close(ioas));
	check(weir_host_close(host));
}

/* The same in a process of its own. */
static void measure_apart(uint32_t backend, const char *address, double seconds, int num,
			  struct outcome *ret_outcomes)
{
	size_t size = (size_t)num * sizeof(*ret_outcomes);
	struct outcome *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t child;

	if (shared == MAP_FAILED)
		err(1, "%zu bytes of memory", size);
	child = fork();
	if (!child) {
		measure_all(backend, address, seconds, num, shared);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		err(1, "a process");
	if (status)
		errx(1, "a process that was to measure ended with status %#x", status);
	memcpy(ret_outcomes, shared, size);
	munmap(shared, size);
}

/* What all processes saw of one size: means, and how far the mean of weir's ratio can be trusted. */
struct verdict {
	const struct shape *shape;
	uint64_t rounds;
	double weir_ns, bare_ns, quartile, median, forward;
	double noise; /* of the bare calls to themselves, in the same process */
	double error; /* twice the mean's standard error */
	bool within;
};

static struct verdict judge(const struct shape *shape, struct outcome (*outcomes)[NUM_SHAPES], int processes)
{
	struct verdict sum = { .shape = shape };
	double squares = 0, n = processes;

	for (int i = 0; i < processes; i++) {
		const struct outcome *out = &outcomes[i][shape - shapes];

		sum.rounds += out->rounds;
		sum.weir_ns += out->quartile[WEIR] / n;
		sum.bare_ns += (out->quartile[BARE] + out->quartile[BARE_AGAIN]) / 2 / n;
		sum.quartile += ratio(out->quartile, WEIR) / n;
		sum.median += ratio(out->median, WEIR) / n;
		sum.forward += ratio(out->quartile, FORWARD) / n;
		sum.noise += noise(out->quartile) / n;
	}
	for (int i = 0; i < processes; i++)
		squares += pow(ratio(outcomes[i][shape - shapes].quartile, WEIR) - sum.quartile, 2);
	sum.error = processes > 1 ? 2 * sqrt(squares / (n - 1) / n) : 0;
	sum.within = shape->limit <= 0 || sum.quartile <= shape->limit + TOLERANCE + sum.noise + sum.error;
	return sum;
}

static void print_table(const char *backend, const struct verdict *verdicts, int num)
{
	fprintf(stderr, "%-8s %-22s %8s %10s %10s %8s %8s %8s %8s %8s\n", backend, "map and unmap", "rounds",
		"weir ns", "bare ns", "quartile", "median", "forward", "noise", "error");
	for (int i = 0; i < num; i++) {
		const struct verdict *v = &verdicts[i];

		fprintf(stderr, "%-8s %-22s %8" PRIu64 " %10.0f %10.0f %8.4f %8.4f %8.4f %8.4f %8.4f%s\n", "",
			v->shape->name, v->rounds, v->weir_ns, v->bare_ns, v->quartile, v->median, v->forward,
			v->noise, v->error, v->within ? "" : "  above its limit");
	}
}

static void print_json(const char *backend, const struct verdict *verdicts, int num)
{
	printf("{\"benchmark\": \"map/beside\", \"backend\": \"%s\", \"results\": [", backend);
	for (int i = 0; i < num; i++) {
		const struct verdict *v = &verdicts[i];

		printf("%s\n {\"shape\": \"%s\", \"bytes\": %zu, \"rounds\": %" PRIu64
		       ", \"weir_ns\": %.0f, \"bare_ns\": %.0f, \"ratio_of_quartiles\": %.4f, "
		       "\"ratio_of_medians\": %.4f, \"forward\": %.4f, \"noise\": %.4f, \"error\": %.4f, "
		       "\"limit\": %.2f, \"within\": %s}",
		       i ? "," : "", v->shape->name, v->shape->len, v->rounds, v->weir_ns, v->bare_ns,
		       v->quartile, v->median, v->forward, v->noise, v->error, v->shape->limit,
		       v->within ? "true" : "false");
	}
	printf("]}\n");
}

static uint32_t backend_named(const char *name)
{
	for (uint32_t kind = WEIR_BACKEND_IOMMUFD; kind <= WEIR_BACKEND_COMPAT; kind++)
		if (!strcmp(name, weir_backend_name(kind)))
			return kind;
	errx(2, "there is no backend '%s'", name);
}

int main(int argc, char **argv)
{
	static struct outcome outcomes[MOST_PROCESSES][NUM_SHAPES];
	struct verdict verdicts[NUM_SHAPES];
	double seconds = argc > 3 ? strtod(argv[3], NULL) : 0.7;
	int processes = argc > 4 ? atoi(argv[4]) : 7, num = argc > 5 ? atoi(argv[5]) : NUM_SHAPES;
	bool within = true;

	if (argc < 3 || argc > 6 || num < 1 || num > NUM_SHAPES || processes < 1 ||
	    processes > MOST_PROCESSES)
		errx(2, "usage: weir-bench-map-beside iommufd|type1|compat ADDRESS [SECONDS [PROCESSES "
			"[SHAPES]]]");
	for (int i = 0; i < processes; i++)
		measure_apart(backend_named(argv[1]), argv[2], seconds, num, outcomes[i]);
	for (int i = 0; i < num; i++) {
		verdicts[i] = judge(&shapes[i], outcomes, processes);
		within = within && verdicts[i].within;
	}
	print_table(argv[1], verdicts, num);
	print_json(argv[1], verdicts, num);
	return !within;
}
