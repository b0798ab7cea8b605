// SPDX-License-Identifier: MIT
/*
 * A scan of a million pages (4 GiB of addresses, which lead to 64 MiB of memory): what it takes, for a page, and what of that is the kernel's.
 *
 *     weir-bench-dirty                             on a simulated machine whose IOMMU has dirty bits
 *     weir-bench-dirty iommufd|type1 ADDRESS       on a device that is bound to vfio-pci
 *
 * In mappings of 64 MiB that touch each other, and in single pages that do not (2048 of them). Medians. A table goes to stderr, the same as JSON to stdout. Nothing is judged.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <weir/sim.h>
#include <weir/weir.h>

#include "bench/series.h"
#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"

#define PAGE ((uint64_t)4096)
#define IOVA ((uint64_t)4 << 30)

enum { ROUNDS = 9, MAPPINGS = 64, MAPPING_PAGES = 16384, SINGLE_PAGES = 2048 };

static struct {
	const struct weir_sys *below;
	struct weir_sys table;
	uint64_t in_kernel_ns;
} kernel;

static void check(int error)
{
	if (error)
		errx(1, "%s", weir_error());
}

static int timed_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	uint64_t begin = now_ns();
	int result = kernel.below->ioctl(ctx, fd, request, arg);

	if (request == ABI_IOMMU_HWPT_GET_DIRTY_BITMAP || request == ABI_VFIO_IOMMU_DIRTY_PAGES)
		kernel.in_kernel_ns += now_ns() - begin;
	return result;
}

static int count(void *context, const struct weir_dirty_range *range)
{
	(void)range;
	++*(uint64_t *)context;
	return 0;
}

/* Scans of @pages pages: how long they take, and how much of that in the kernel. */
static void measure(struct weir_dirty *dirty, const char *what, uint64_t pages)
{
	static bool more;
	struct series whole, inside;
	uint64_t ranges = 0;
	double whole_ns, inside_ns;

	series_init(&whole, ROUNDS);
	series_init(&inside, ROUNDS);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t begin = now_ns();

		kernel.in_kernel_ns = 0;
		ranges = 0;
		check(weir_dirty_scan(dirty, 0, count, &ranges));
		series_add(&whole, now_ns() - begin);
		series_add(&inside, kernel.in_kernel_ns);
	}
	whole_ns = series_quantile(&whole, 0.5) / (double)pages;
	inside_ns = series_quantile(&inside, 0.5) / (double)pages;
	fprintf(stderr, "%-32s %9" PRIu64 " %9.1f %9.1f %9.1f %9" PRIu64 "\n", what, pages, whole_ns,
		inside_ns, whole_ns - inside_ns, ranges);
	printf("%s\n  {\"what\": \"%s\", \"pages\": %" PRIu64 ", \"ns\": %.2f, \"kernel_ns\": %.2f}",
	       more ? "," : "", what, pages, whole_ns, inside_ns);
	more = true;
	series_free(&whole);
	series_free(&inside);
}

static struct weir_host *open_host(int argc, char **argv, struct weir_sim **ret_sim)
{
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD);
	struct weir_host *host;

	kernel.below = weir_sys_real();
	if (argc == 1) {
		check(weir_sim_open(
			&WEIR_OPTS(weir_sim_opts, .iommu = WEIR_SIM_IOMMU_VTD, .flags = WEIR_SIM_DIRTY_BITS),
			ret_sim));
		check(weir_sim_add_edu(*ret_sim, NULL, NULL, NULL));
		kernel.below = weir_sim_sys(*ret_sim);
	} else if (!strcmp(argv[1], "type1")) {
		opts.backend = WEIR_BACKEND_TYPE1;
	} else if (strcmp(argv[1], "iommufd") != 0) {
		errx(2, "the backend is iommufd or type1, not '%s'", argv[1]);
	}
	kernel.table = *kernel.below;
	kernel.table.ioctl = timed_ioctl;
	opts.sys = &kernel.table;
	check(weir_host_open(&opts, &host));
	return host;
}

static void map(struct weir_ioas *ioas, void *memory, uint64_t iova, uint64_t len)
{
	struct weir_map *map;

	check(weir_ioas_map(ioas, memory, len,
			    &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = iova), &map));
}

int main(int argc, char **argv)
{
	struct weir_sim *sim = NULL;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_dirty *dirty;
	void *memory =
		mmap(NULL, MAPPING_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (argc != 1 && argc != 3)
		errx(2, "usage: weir-bench-dirty [iommufd|type1 ADDRESS]");
	if (memory == MAP_FAILED)
		err(1, "memory");
	host = open_host(argc, argv, &sim);
	check(weir_ioas_open(host, &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_DIRTY), &ioas));
	check(weir_device_open(ioas, argc == 3 ? argv[2] : "0000:00:01.0", NULL, &device));
	fprintf(stderr, "%-32s %9s %9s %9s %9s %9s\n", "a scan, ns a page", "pages", "all", "kernel", "weir",
		"ranges");
	printf("{\n \"benchmark\": \"dirty/scan\", \"backend\": \"%s\",\n \"results\": [",
	       argc == 3 ? argv[1] : "simulated");
	for (uint64_t i = 0; i < MAPPINGS; i++)
		map(ioas, memory, IOVA + i * MAPPING_PAGES * PAGE, MAPPING_PAGES * PAGE);
	check(weir_dirty_open(ioas, NULL, &dirty));
	measure(dirty, "mappings of 64 MiB, adjacent", (uint64_t)MAPPINGS * MAPPING_PAGES);
	check(weir_ioas_unmap(ioas, IOVA, MAPPINGS * MAPPING_PAGES * PAGE));
	check(weir_dirty_close(dirty));
	for (uint64_t i = 0; i < SINGLE_PAGES; i++)
		map(ioas, memory, IOVA + i * 2 * PAGE, PAGE);
	check(weir_dirty_open(ioas, NULL, &dirty));
	measure(dirty, "single pages, none adjacent", SINGLE_PAGES);
	printf("\n ]\n}\n");
	check(weir_dirty_close(dirty));
	check(weir_device_close(device));
	check(weir_ioas_close(ioas));
	check(weir_host_close(host));
	check(weir_sim_close(sim));
	munmap(memory, MAPPING_PAGES * PAGE);
	return 0;
}
