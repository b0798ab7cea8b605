/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/options.h"

#define DEFAULT_SIZE    4096
#define DEFAULT_DEPTH   32
#define DEFAULT_SECONDS 5
#define MAX_THREADS     64

enum {
	KEY_OFFSET = 256,
	KEY_LENGTH,
	KEY_DESTROY,
	KEY_VERIFY,
	KEY_SEED,
	KEY_INTERRUPTS,
	KEY_HYBRID,
	KEY_SGL,
	KEY_SHADOW,
	KEY_BACKEND,
	KEY_BROKER,
	KEY_SIMULATE,
	KEY_JSON,
	KEY_SAVE,
	KEY_PROGRESS,
};

static const char doc[] =
	"Measure how fast an NVMe namespace is read or written through VFIO: rates, and how long requests "
	"take.\n"
	"\n"
	"ADDRESS is the controller's PCI address, such as 0000:01:00.0; it has to be bound to vfio-pci. "
	"With --simulate, it can be left out. Once everything is open and mapped, the program gives up all "
	"capabilities. It reads, unless told both to write and to destroy what is there.\v"
	"Exit status: 0 when all went well; 1 when it could not be set up; 2 for a command line that makes "
	"no "
	"sense; 3 when a request failed; 130 when stopped by a signal.\n"
	"\n"
	"SIZE and N are numbers, or with K or M in units of 1024. samples/nvme-perf/plot makes pictures of "
	"what --json says.";

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "What to do:", 1 },
	{ "random", 'r', NULL, 0, "At random places (default: one after the other)", 1 },
	{ "write", 'w', NULL, 0, "Write; takes --destroy-data as well", 1 },
	{ "destroy-data", KEY_DESTROY, NULL, 0, "What is on the disk may be overwritten", 1 },
	{ "verify", KEY_VERIFY, NULL, 0,
	  "Data tells where it belongs: write such, or read and look at each byte (fio: --bs=4k "
	  "--verify=pattern --verify_pattern=%o)",
	  1 },
	{ "request-size", 's', "SIZE", 0, "Of each request (default 4K)", 1 },
	{ "seconds", 't', "SECONDS", 0, "For how long (default 5)", 1 },
	{ "requests", 'c', "N", 0, "So many requests instead, of all threads together", 1 },
	{ "seed", KEY_SEED, "N", 0, "Of the random places (default 1)", 1 },
	{ NULL, 0, NULL, 0, "Where:", 2 },
	{ "namespace", 'n', "N", 0, "Namespace (default 1)", 2 },
	{ "offset", KEY_OFFSET, "BLOCKS", 0, "From this block on (default 0)", 2 },
	{ "length", KEY_LENGTH, "BLOCKS", 0, "In so many blocks (default: to the end)", 2 },
	{ NULL, 0, NULL, 0, "How:", 3 },
	{ "queue-depth", 'q', "N", 0, "Requests in flight of each thread (default 32)", 3 },
	{ "threads", 'j', "N", 0, "Threads, each with a queue of its own (default 1)", 3 },
	{ "interrupts", KEY_INTERRUPTS, NULL, 0, "Wait for completions by interrupt (default: by looking)",
	  3 },
	{ "hybrid", KEY_HYBRID, NULL, 0, "Look for a while, then wait by interrupt", 3 },
	{ "sgl", KEY_SGL, NULL, 0, "Describe data by scatter-gather lists", 3 },
	{ "shadow-doorbells", KEY_SHADOW, NULL, 0, "Doorbells in memory", 3 },
	{ "backend", KEY_BACKEND, "NAME", 0, "auto, iommufd, type1 or compat (default auto)", 3 },
	{ "broker", KEY_BROKER, "SOCKET", 0, "Get the device from the weir-broker that listens there", 3 },
	{ "simulate", KEY_SIMULATE, "IMAGE", 0,
	  "Not a real controller but a simulated one, inside this program, with IMAGE as its disk", 3 },
	{ NULL, 0, NULL, 0, "What to show:", 4 },
	{ "json", KEY_JSON, NULL, 0, "The result as a JSON object", 4 },
	{ "save", KEY_SAVE, "FILE", 0, "Write that object to FILE, too", 4 },
	{ "progress", KEY_PROGRESS, NULL, 0, "Progress even if standard error is no terminal", 4 },
	{ 0 },
};

static double seconds_of(const char *text, struct argp_state *state)
{
	char *end;
	double value = strtod(text, &end);

	if (*end != '\0' || !(value > 0 && value <= 1e6))
		argp_error(state, "seconds: more than 0, not \"%s\"", text);
	return value;
}

/* All of it together. */
static void check(struct argp_state *state, struct options *options)
{
	option_controller(&options->open, state);
	if (options->threads > MAX_THREADS)
		argp_error(state, "threads: %d at most", MAX_THREADS);
	if (options->writes && !options->destroys)
		argp_error(state,
			   "--write overwrites what is on the disk: say --destroy-data as well, if it may");
	if (options->seconds == 0 && options->num_requests == 0)
		options->seconds = DEFAULT_SECONDS;
	options->open.writable = options->writes;
}

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	const struct option_target targets[] = {
		{ 'r', .flag = &options->random },
		{ 'w', .flag = &options->writes },
		{ KEY_DESTROY, .flag = &options->destroys },
		{ KEY_VERIFY, .flag = &options->verifies },
		{ 's', "request-size", .number = &options->request_size },
		{ 'c', "requests", .number64 = &options->num_requests },
		{ KEY_SEED, "seed", .number64 = &options->seed },
		{ 'n', "namespace", .number = &options->namespace_id },
		{ KEY_OFFSET, "offset", .number64 = &options->offset },
		{ KEY_LENGTH, "length", .number64 = &options->length },
		{ 'q', "queue-depth", .number = &options->queue_depth },
		{ 'j', "threads", .number = &options->threads },
		{ KEY_BACKEND, .backend = &options->open.backend },
		{ KEY_BROKER, .text = &options->open.broker },
		{ KEY_SIMULATE, .text = &options->open.simulate },
		{ KEY_JSON, .flag = &options->json },
		{ KEY_SAVE, .text = &options->save },
		{ KEY_PROGRESS, .flag = &options->progress },
		{ ARGP_KEY_ARG, "ADDRESS", .text = &options->open.address },
	};

	switch (key) {
	case 't':
		options->seconds = seconds_of(arg, state);
		return 0;
	case KEY_INTERRUPTS:
		options->wait = NVME_WAIT_INTERRUPTS;
		return 0;
	case KEY_HYBRID:
		options->wait = NVME_WAIT_HYBRID;
		return 0;
	case KEY_SGL:
		options->flags |= NVME_SGL;
		return 0;
	case KEY_SHADOW:
		options->flags |= NVME_SHADOW_DOORBELLS;
		return 0;
	case ARGP_KEY_END:
		check(state, options);
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

void options_parse(int argc, char **argv, struct options *ret_options)
{
	const struct argp argp = { .options = table, .parser = take, .args_doc = "ADDRESS", .doc = doc };
	*ret_options = (struct options){
		.namespace_id = 1,
		.request_size = DEFAULT_SIZE,
		.queue_depth = DEFAULT_DEPTH,
		.threads = 1,
		.seed = 1,
		.wait = NVME_WAIT_POLLING,
		.progress = isatty(STDERR_FILENO),
	};

	option_parse(&argp, argc, argv, ret_options);
}
