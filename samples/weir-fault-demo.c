/* SPDX-License-Identifier: MIT */
/*
 * weir-fault-demo: a device reads a file that nobody mapped for it. It asks for the pages that it does not find, and these are mapped as it asks.
 *
 * On a simulated host: hardware whose devices request pages is rare.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <edu/edu.h>
#include <weir/sim.h>
#include <weir/weir.h>

#include "common/progress.h"
#include "common/units.h"

#define PAGE ((size_t)4096)
#define IOVA (UINT64_C(1) << 39) /* far from where the library maps by itself */

enum { EXIT_FINE = 0, EXIT_FAILED = 1, TIMEOUT_MS = 5000, DEFAULT_PAGES = 256 };

struct demo {
	const char *path; /* NULL: made-up content */
	uint64_t ahead;
	int file; /* a copy in memory, which can be mapped for DMA */
	unsigned char *bytes;
	size_t len;
	struct weir_sim *sim;
	struct weir_host *host;
	struct weir_faultq *queue;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct edu *edu;
	struct weir_memory *memory;
	struct weir_buffer window; /* through which the device's buffer is looked at */
	struct weir_demand *demand;
};

static void check(int error, const char *text)
{
	if (error >= 0)
		return;
	fprintf(stderr, "weir-fault-demo: %s\n", text);
	exit(EXIT_FAILED);
}

/* The file --------------------------------------------------------------------------------------------------------- */

static void make_content(struct demo *demo)
{
	for (size_t i = 0; i < demo->len; i++)
		demo->bytes[i] = (unsigned char)(i * 31 + i / PAGE);
}

static void read_content(struct demo *demo, FILE *from)
{
	if (fread(demo->bytes, 1, demo->len, from) == 0)
		check(-1, "the file is empty, or cannot be read");
	fclose(from);
}

/* Whole pages, in a file in memory. */
static void load_file(struct demo *demo)
{
	FILE *from = demo->path ? fopen(demo->path, "rb") : NULL;
	struct stat status = { .st_size = DEFAULT_PAGES * PAGE };

	if (demo->path && (!from || fstat(fileno(from), &status)))
		check(-1, "the file cannot be opened");
	demo->len = ((size_t)status.st_size + PAGE - 1) / PAGE * PAGE;
	demo->file = memfd_create("weir-fault-demo", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (!demo->len || demo->file < 0 || ftruncate(demo->file, (off_t)demo->len))
		check(-1, "no memory for the file, or it is empty");
	demo->bytes = mmap(NULL, demo->len, PROT_READ | PROT_WRITE, MAP_SHARED, demo->file, 0);
	if (demo->bytes == MAP_FAILED)
		check(-1, "no memory for the file");
	if (from)
		read_content(demo, from);
	else
		make_content(demo);
}

/* The device ------------------------------------------------------------------------------------------------------- */

/* A machine with an IOMMU that nests, a device that requests pages, and a nested space whose requests go to a queue. */
static void set_up(struct demo *demo)
{
	struct weir_sim_device *edu;

	check(weir_sim_open(&WEIR_OPTS(weir_sim_opts, .iommu = WEIR_SIM_IOMMU_VTD), &demo->sim),
	      weir_error());
	check(weir_sim_add_edu(demo->sim, &WEIR_OPTS(weir_sim_edu_opts, .address_bits = 40),
			       &WEIR_OPTS(weir_sim_slot, .page_requests = 1), &edu),
	      weir_error());
	check(weir_sim_start(demo->sim), weir_error());
	check(weir_host_open(&WEIR_OPTS(weir_host_opts, .sys = weir_sim_sys(demo->sim)), &demo->host),
	      weir_error());
	check(weir_faultq_open(demo->host, NULL, &demo->queue), weir_error());
	check(weir_nested_space_open(
		      demo->host,
		      &WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_HARDWARE, .faultq = demo->queue),
		      &demo->ioas),
	      weir_error());
	check(weir_device_open(demo->ioas, weir_sim_device_address(edu),
			       &WEIR_OPTS(weir_device_opts, .address_bits = 40), &demo->device),
	      weir_error());
	check(edu_open(demo->device, EDU_INTERRUPTS, &demo->edu), edu_error());
	check(weir_memory_open(demo->ioas, NULL, &demo->memory), weir_error());
	check(weir_memory_alloc(demo->memory, PAGE, NULL, &demo->window), weir_error());
	check(weir_demand_open(demo->ioas, &WEIR_OPTS(weir_demand_opts, .ahead = demo->ahead), &demo->demand),
	      weir_error());
	check(weir_demand_add_file(demo->demand, IOVA, demo->len, demo->file, 0,
				   WEIR_MAP_READ | WEIR_MAP_WRITE),
	      weir_error());
}

static void tear_down(struct demo *demo)
{
	check(weir_demand_close(demo->demand), weir_error());
	check(edu_close(demo->edu), edu_error());
	check(weir_memory_close(demo->memory), weir_error());
	check(weir_device_close(demo->device), weir_error());
	check(weir_ioas_close(demo->ioas), weir_error());
	check(weir_faultq_close(demo->queue), weir_error());
	check(weir_host_close(demo->host), weir_error());
	check(weir_sim_close(demo->sim), weir_error());
	munmap(demo->bytes, demo->len);
	close(demo->file);
}

/* The program's loop: what the device asks for, until its DMA is over. */
static void copy(struct demo *demo, enum edu_direction direction, uint64_t iova)
{
	struct pollfd fds[2] = { { .fd = weir_faultq_fd(demo->queue), .events = POLLIN },
				 { .fd = weir_irq_fd(edu_irq(demo->edu), 0), .events = POLLIN } };

	check(edu_dma_start(demo->edu, direction, iova, 0, PAGE, EDU_BY_INTERRUPT), edu_error());
	do {
		int timeout = weir_faultq_timeout(demo->queue), handled;

		if (poll(fds, 2, timeout < 0 ? TIMEOUT_MS : timeout) <= 0 && timeout < 0)
			check(-1, "the device does not answer");
		while ((handled = weir_faultq_run(demo->queue, weir_demand_handle, demo->demand)) > 0)
			;
		check(handled, weir_error());
	} while (!(fds[1].revents & POLLIN));
	check(edu_dma_wait(demo->edu, TIMEOUT_MS), edu_error());
}

/* Did the device find the file's page there? */
static bool finds(struct demo *demo, uint64_t iova, const unsigned char *page)
{
	for (size_t i = 0; i < PAGE; i++)
		((unsigned char *)demo->window.addr)[i] = (unsigned char)~page[i];
	copy(demo, EDU_FROM_MEMORY, demo->window.iova);
	copy(demo, EDU_FROM_MEMORY, iova);
	copy(demo, EDU_TO_MEMORY, demo->window.iova);
	return !memcmp(demo->window.addr, page, PAGE);
}

/* Command line ----------------------------------------------------------------------------------------------------- */

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct demo *demo = state->input;

	switch (key) {
	case 'a':
		if (!unit_parse(arg, &demo->ahead))
			argp_error(state, "ahead: a size such as 64K, not \"%s\"", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (demo->path)
			argp_error(state, "one file");
		demo->path = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option table[] = {
		{ "ahead", 'a', "SIZE", 0, "Map so much at a time, a power of two (default 64K)", 0 }, { 0 }
	};
	static const struct argp argp = {
		.options = table,
		.parser = take,
		.args_doc = "[FILE]",
		.doc = "Have a device of a simulated host read FILE (default: a MiB of something), of which "
		       "nothing is mapped: "
		       "it asks for the pages that it does not find, and these are mapped as it asks."
	};
	struct demo demo = { 0 };
	struct weir_faultq_info queue;
	struct weir_demand_info demand;
	size_t pages = 0;
	double start;

	argp_parse(&argp, argc, argv, 0, NULL, &demo);
	load_file(&demo);
	set_up(&demo);
	start = seconds_now();
	for (size_t at = 0; at < demo.len; at += PAGE)
		pages += finds(&demo, IOVA + at, demo.bytes + at);
	weir_faultq_info(demo.queue, &queue, sizeof(queue));
	weir_demand_info(demo.demand, &demand, sizeof(demand));
	printf("  %zu of %zu pages read by the device, none of which was mapped (%s)\n", pages,
	       demo.len / PAGE, unit_time(seconds_now() - start).text);
	printf("  %llu page requests answered, %llu KiB mapped, %llu mappings\n",
	       (unsigned long long)queue.num_answered, (unsigned long long)demand.mapped_bytes / 1024,
	       (unsigned long long)demand.num_maps);
	printf("  beyond the file: %s\n", finds(&demo, IOVA + demo.len, demo.bytes)
						  ? "something WRONG"
						  : "refused, the device found nothing");
	pages = pages == demo.len / PAGE;
	tear_down(&demo);
	return pages ? EXIT_FINE : EXIT_FAILED;
}
