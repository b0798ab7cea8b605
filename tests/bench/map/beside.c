// SPDX-License-Identifier: MIT
/*
 * weir's map and unmap beside the bare system calls: the same memory, at the same IOVA, on the same descriptor, in turns.
 *
 *     weir-bench-map-beside iommufd|type1|compat ADDRESS [SECONDS]
 *
 * ADDRESS is a device bound to vfio-pci; each size is measured for SECONDS (default 3). In every round all three contenders have
 * their turn, in changing order: weir, the bare calls, and the bare calls once more, whose ratio to themselves tells how far
 * this machine's ratios can be trusted. A table goes to stderr, the same as JSON to stdout; exits with 1 above the limits.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <weir/weir.h>

#include "bench/map/series.h"
#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"

enum { KIB = 1024, MIB = 1024 * KIB, MOST_ROUNDS = 200000, FEWEST_ROUNDS = 30 };

/* The limits: ratio of medians, on top of what the bare calls differ from themselves. */
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

enum { NUM_SHAPES = sizeof(shapes) / sizeof(shapes[0]), CONTENDERS = 3 };

/* Where the mappings go: what the library's first call to map shows. */
struct raw {
	struct weir_sys table;
	int fd;
	uint32_t ioas;
	bool type1;
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

/* What came of one size: weir's times, and those of the bare calls twice. */
struct outcome {
	const struct shape *shape;
	size_t rounds;
	double median[CONTENDERS], minimum[CONTENDERS];
	bool within;
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

static void measure(struct weir_ioas *ioas, struct raw *raw, const struct shape *shape, double seconds,
		    struct outcome *ret_outcome)
{
	struct series series[CONTENDERS];
	void *memory = new_memory(shape);
	uint64_t end, iova;
	size_t round;

	for (int i = 0; i < CONTENDERS; i++)
		series_init(&series[i], MOST_ROUNDS);
	for (int i = 0; i < 3; i++) {
		time_weir(ioas, memory, shape->len, &iova);
		time_raw(raw, memory, shape->len, iova);
	}
	end = now_ns() + (uint64_t)(seconds * 1e9);
	for (round = 0; (now_ns() < end || round < FEWEST_ROUNDS) && round < MOST_ROUNDS; round++)
		for (size_t turn = 0; turn < CONTENDERS; turn++) {
			/* All six orders in turn. */
			size_t who = round / 3 % 2 ? (round + turn) % 3 : (round + 2 * turn) % 3;

			series_add(&series[who], who ? time_raw(raw, memory, shape->len, iova)
						     : time_weir(ioas, memory, shape->len, &iova));
		}
	*ret_outcome = (struct outcome){ .shape = shape, .rounds = round };
	for (int i = 0; i < CONTENDERS; i++) {
		ret_outcome->median[i] = series_median(&series[i]);
		ret_outcome->minimum[i] = series_minimum(&series[i]);
		series_free(&series[i]);
	}
	munmap(memory, shape->len);
}

/* weir's time by that of the bare calls, both times they were measured; and what these differ. */
static double ratio(const double time[CONTENDERS])
{
	return 2 * time[0] / (time[1] + time[2]);
}

static double noise(const double time[CONTENDERS])
{
	return fabs(time[1] / time[2] - 1);
}

static void judge(struct outcome *outcome)
{
	double margin = noise(outcome->median);

	if (margin < TOLERANCE)
		margin = TOLERANCE;
	outcome->within =
		outcome->shape->limit <= 0 || ratio(outcome->median) <= outcome->shape->limit + margin;
}

static void print_table(const char *backend, const struct outcome *outcomes)
{
	fprintf(stderr, "%-8s %-22s %8s %10s %10s %8s %8s %8s\n", backend, "map and unmap", "rounds",
		"weir ns", "bare ns", "median", "minimum", "noise");
	for (int i = 0; i < NUM_SHAPES; i++)
		fprintf(stderr, "%-8s %-22s %8zu %10.0f %10.0f %8.3f %8.3f %8.3f%s\n", "",
			outcomes[i].shape->name, outcomes[i].rounds, outcomes[i].median[0],
			outcomes[i].median[1], ratio(outcomes[i].median), ratio(outcomes[i].minimum),
			noise(outcomes[i].median), outcomes[i].within ? "" : "  above its limit");
}

static void print_json(const char *backend, const struct outcome *outcomes)
{
	printf("{\"benchmark\": \"map/beside\", \"backend\": \"%s\", \"results\": [", backend);
	for (int i = 0; i < NUM_SHAPES; i++)
		printf("%s\n {\"shape\": \"%s\", \"bytes\": %zu, \"rounds\": %zu, \"weir_ns\": %.0f, "
		       "\"bare_ns\": %.0f, "
		       "\"ratio_of_medians\": %.4f, \"ratio_of_minima\": %.4f, \"noise\": %.4f, \"limit\": "
		       "%.2f, "
		       "\"within\": %s}",
		       i ? "," : "", outcomes[i].shape->name, outcomes[i].shape->len, outcomes[i].rounds,
		       outcomes[i].median[0], outcomes[i].median[1], ratio(outcomes[i].median),
		       ratio(outcomes[i].minimum), noise(outcomes[i].median), outcomes[i].shape->limit,
		       outcomes[i].within ? "true" : "false");
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
	struct raw raw = { .table = *weir_sys_real(), .fd = -1 };
	struct outcome outcomes[NUM_SHAPES];
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	bool within = true;

	if (argc < 3 || argc > 4)
		errx(2, "usage: weir-bench-map-beside iommufd|type1|compat ADDRESS [SECONDS]");
	raw.table.ctx = &raw;
	raw.table.ioctl = peek;
	raw.type1 = backend_named(argv[1]) != WEIR_BACKEND_IOMMUFD;
	check(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend_named(argv[1]), .sys = &raw.table),
			     &host));
	check(weir_ioas_open(host, NULL, &ioas));
	check(weir_device_open(ioas, argv[2], NULL, &device));
	for (int i = 0; i < NUM_SHAPES; i++) {
		measure(ioas, &raw, &shapes[i], argc > 3 ? strtod(argv[3], NULL) : 3, &outcomes[i]);
		judge(&outcomes[i]);
		within = within && outcomes[i].within;
	}
	print_table(argv[1], outcomes);
	print_json(argv[1], outcomes);
	check(weir_device_close(device));
	check(weir_ioas_close(ioas));
	check(weir_host_close(host));
	return !within;
}
