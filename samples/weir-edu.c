/* SPDX-License-Identifier: MIT */
/*
 * weir-edu: have QEMU's edu device compute and copy, and see that its DMA stays within what is mapped.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <edu/edu.h>

#include "common/options.h"
#include "common/privileges.h"
#include "common/progress.h"
#include "common/say.h"
#include "common/units.h"

#define PAGE       4096u
#define TIMEOUT_MS 5000

/* What the demonstration works with. */
struct session {
	struct open_request request;
	struct opened opened;
	struct edu *edu;
	struct weir_memory *memory;
	struct weir_buffer source;    /* a page the device reads */
	struct weir_buffer target;    /* a page the device writes, or tries to */
	struct weir_map *another_way; /* to the target */
	bool unexpected;              /* something did not go as it should */
};

/* Saying ------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void line(const char *label, const char *format, ...)
{
	va_list args;

	printf("  %-28s ", label);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* What should be and what is. */
static void verdict(struct session *s, const char *label, bool as_expected, const char *what, double seconds)
{
	s->unexpected |= !as_expected;
	line(label, "%-44s %7s  %s", what, seconds > 0 ? unit_time(seconds).text : "",
	     as_expected ? "ok" : "WRONG");
}

/* Steps -------------------------------------------------------------------------------------------------- */

static int compute(struct session *s, enum edu_completion how, const char *label)
{
	double start = seconds_now();
	uint32_t product;
	char what[48];
	int r = edu_factorial(s->edu, 12, how, TIMEOUT_MS, &product);

	if (r < 0)
		return say_error(r, NULL, edu_error);
	snprintf(what, sizeof what, "12! = %u", product);
	verdict(s, label, product == 479001600, what, seconds_now() - start);
	return 0;
}

/* A pattern that no other seed has, and that is no constant. */
static void fill(unsigned char *page, unsigned int seed)
{
	unsigned int i;

	for (i = 0; i < PAGE; i++)
		page[i] = (unsigned char)(seed + i * 7 + (i >> 8));
}

/* Put a new pattern into the device's buffer: one DMA out of memory. */
static int load(struct session *s, unsigned int seed, enum edu_completion how)
{
	int r;

	fill(s->source.addr, seed);
	r = edu_dma(s->edu, EDU_FROM_MEMORY, s->source.iova, 0, PAGE, how, TIMEOUT_MS);
	return say_error(r, NULL, edu_error);
}

/* Have the device write its buffer to @iova, and see whether it arrived in the target page. */
static int store(struct session *s, uint64_t iova, enum edu_completion how, const char *label,
		 bool should_arrive)
{
	double start;
	bool arrived;
	int r;

	memset(s->target.addr, 0, PAGE);
	start = seconds_now();
	r = edu_dma(s->edu, EDU_TO_MEMORY, iova, 0, PAGE, how, TIMEOUT_MS);
	if (r < 0)
		return say_error(r, NULL, edu_error);
	arrived = memcmp(s->target.addr, s->source.addr, PAGE) == 0;
	if (!arrived && *(char *)s->target.addr != 0)
		s->unexpected = true; /* neither blocked nor whole */
	verdict(s, label, arrived == should_arrive,
		arrived ? "4 KiB arrived" : "blocked: memory is as it was", seconds_now() - start);
	return 0;
}

/* Let the device reach the target at @iova as well, as @flags say; with 0, not any more. */
static int map_target(struct session *s, uint32_t flags, uint64_t iova)
{
	struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = flags | WEIR_MAP_FIXED, .iova = iova);
	int r = weir_map_close(s->another_way);

	s->another_way = NULL;
	if (r == 0 && flags)
		r = weir_ioas_map(s->opened.ioas, s->target.addr, PAGE, &opts, &s->another_way);
	return say_error(r, NULL, weir_error);
}

static int show_computing(struct session *s)
{
	int r = edu_liveness(s->edu, 0xcafe);

	if (r < 0)
		return say_error(r, NULL, edu_error);
	verdict(s, "Liveness", true, "0x0000cafe answered by 0xffff3501", 0);
	r = compute(s, EDU_BY_POLLING, "Factorial, polled");
	return r < 0 ? r : compute(s, EDU_BY_INTERRUPT, "Factorial, by interrupt");
}

static int show_copying(struct session *s)
{
	uint64_t iova = s->target.iova;
	int r;

	r = load(s, 1, EDU_BY_POLLING);
	if (r == 0)
		r = store(s, iova, EDU_BY_POLLING, "DMA there and back, polled", true);
	if (r == 0)
		r = load(s, 2, EDU_BY_INTERRUPT);
	if (r == 0)
		r = store(s, iova, EDU_BY_INTERRUPT, "... by interrupt", true);
	return r;
}

/* The same write to the same IOVA each time; only the mapping differs. The device itself notices nothing. */
static int show_borders(struct session *s)
{
	uint64_t iova;
	int r = weir_ioas_map(s->opened.ioas, s->target.addr, PAGE, NULL, &s->another_way);

	if (r < 0)
		return say_error(r, NULL, weir_error);
	iova = weir_map_iova(s->another_way);
	printf("\n  The device writes to IOVA 0x%" PRIx64 ", where the page is mapped as well\n", iova);
	r = store(s, iova, EDU_BY_POLLING, "... for reading and writing", true);
	if (r == 0)
		r = map_target(s, WEIR_MAP_READ, iova);
	if (r == 0)
		r = store(s, iova, EDU_BY_POLLING, "... for reading only", false);
	if (r == 0)
		r = map_target(s, 0, iova);
	if (r == 0)
		r = store(s, iova, EDU_BY_POLLING, "... no more", false);
	if (r == 0)
		r = map_target(s, WEIR_MAP_READ | WEIR_MAP_WRITE, iova);
	if (r == 0)
		r = store(s, iova, EDU_BY_POLLING, "... again", true);
	if (r == 0)
		puts("\n  What was blocked, the IOMMU reported: see the kernel's log.");
	return r;
}

/* Setting up --------------------------------------------------------------------------------------------- */

static int get_pages(struct session *s)
{
	int r = weir_memory_open(s->opened.ioas, NULL, &s->memory);

	if (r == 0)
		r = weir_memory_alloc(s->memory, PAGE, NULL, &s->source);
	if (r == 0)
		r = weir_memory_alloc(s->memory, PAGE, NULL, &s->target);
	return say_error(r, NULL, weir_error);
}

static int set_up(struct session *s)
{
	int r;

	r = open_device(&s->request, &s->opened);
	if (r < 0)
		return say_error(r, NULL, weir_error);
	r = edu_open(s->opened.device, EDU_INTERRUPTS, &s->edu);
	if (r < 0)
		return say_error(r, NULL, edu_error);
	r = get_pages(s);
	if (r < 0)
		return r;
	return privileges_give_up(NULL);
}

static int tear_down(struct session *s)
{
	int first = 0;

	keep_first(&first, say_error(edu_close(s->edu), NULL, edu_error));
	keep_first(&first, say_error(weir_map_close(s->another_way), NULL, weir_error));
	keep_first(&first, say_error(weir_memory_close(s->memory), NULL, weir_error));
	keep_first(&first, say_error(close_device(&s->opened), NULL, weir_error));
	return first;
}

/* Command line ------------------------------------------------------------------------------------------- */

static const char doc[] =
	"Have QEMU's edu device compute and copy, and see that its DMA stays within what is mapped.\n"
	"\n"
	"ADDRESS is its PCI address, such as 0000:00:04.0; it has to be bound to vfio-pci.\v"
	"Exit status: 0 when all went as it should; 1 when not, or when it could not be set up; 2 for a "
	"command line that "
	"makes no sense.";

static const struct argp_option table[] = {
	{ "address-bits", 'a', "N", 0, "What the device drives (default 28, as QEMU makes it)", 0 },
	{ "backend", 'b', "NAME", 0, "auto, iommufd, type1 or compat (default auto)", 0 },
	{ "broker", 'B', "SOCKET", 0, "Get the device from the weir-broker that listens there", 0 },
	{ 0 },
};

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct open_request *request = state->input;
	const struct option_target targets[] = {
		{ 'b', .backend = &request->backend },
		{ 'B', .text = &request->broker },
		{ ARGP_KEY_ARG, "ADDRESS", .text = &request->address },
	};
	uint64_t bits;

	switch (key) {
	case 'a':
		if (!unit_parse(arg, &bits) || bits < 12 || bits > 64)
			argp_error(state, "address-bits: from 12 to 64, not \"%s\"", arg);
		request->address_bits = (uint32_t)bits;
		return 0;
	case ARGP_KEY_END:
		if (!request->address)
			argp_error(state, "the ADDRESS of an edu is missing");
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

int main(int argc, char **argv)
{
	const struct argp argp = { .options = table, .parser = take, .args_doc = "ADDRESS", .doc = doc };
	struct session s = { .request = { .address_bits = 28 } };
	int r;

	option_parse(&argp, argc, argv, &s.request);
	r = set_up(&s);
	if (r == 0) {
		printf("%s is an edu, version %u.%u, opened through %s\n\n", s.request.address,
		       edu_version(s.edu) >> 8, edu_version(s.edu) & 0xff,
		       weir_backend_name(weir_host_backend(s.opened.host)));
		r = show_computing(&s);
	}
	if (r == 0)
		r = show_copying(&s);
	if (r == 0)
		r = show_borders(&s);
	return tear_down(&s) < 0 || r < 0 || s.unexpected ? EXIT_FAILURE : EXIT_SUCCESS;
}
