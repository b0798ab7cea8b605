/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <string.h>
#include <unistd.h>

#include "common/options.h"

#define DEFAULT_DEPTH 8

enum {
	KEY_INTERRUPTS = 256,
	KEY_POLLING,
	KEY_BACKEND,
	KEY_BROKER,
	KEY_SIMULATE,
	KEY_DOMAIN,
	KEY_VF_TOKEN,
	KEY_OFFSET,
	KEY_LENGTH,
	KEY_JSON,
	KEY_PROGRESS,
};

static const char doc[] =
	"Read a whole NVMe namespace through VFIO, and print the SHA-256 of what is on it.\n"
	"\n"
	"ADDRESS is the controller's PCI address, such as 0000:01:00.0; it has to be bound to vfio-pci. "
	"Nothing is written to it. With --simulate, it can be left out. Once everything is open and mapped, "
	"the program gives up all capabilities.\v"
	"Exit status: 0 when all was read; 1 when it could not be set up; 2 for a command line that makes no "
	"sense; "
	"3 when reading failed on the way; 130 when stopped by a signal.\n"
	"\n"
	"SIZE is in bytes, or with K or M in units of 1024 of them.";

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "What to read:", 1 },
	{ "namespace", 'n', "N", 0, "Namespace (default 1)", 1 },
	{ "offset", KEY_OFFSET, "BLOCKS", 0, "Begin at this block (default 0)", 1 },
	{ "length", KEY_LENGTH, "BLOCKS", 0, "Read this many blocks (default: to the end)", 1 },
	{ "output", 'o', "FILE", 0, "Write what was read to FILE", 1 },
	{ NULL, 0, NULL, 0, "How:", 2 },
	{ "queue-depth", 'q', "N", 0, "Requests in flight (default 8)", 2 },
	{ "request-size", 's', "SIZE", 0, "Of each (default 128K, or the controller's limit)", 2 },
	{ "interrupts", KEY_INTERRUPTS, NULL, 0,
	  "Wait for completions by interrupt (default if there are any)", 2 },
	{ "polling", KEY_POLLING, NULL, 0, "Wait by looking for them", 2 },
	{ "backend", KEY_BACKEND, "NAME", 0, "auto, iommufd, type1 or compat (default auto)", 2 },
	{ "broker", KEY_BROKER, "SOCKET", 0, "Get the device from the weir-broker that listens there", 2 },
	{ "simulate", KEY_SIMULATE, "IMAGE", 0,
	  "Not a real controller but a simulated one, inside this program, with IMAGE as its disk", 2 },
	{ "domain", KEY_DOMAIN, "KIND", 0,
	  "Map each request's buffer for its time, in a space that is plain, nested (hardware or a shadow), "
	  "hardware or "
	  "shadow, and say what that took",
	  2 },
	{ "vf-token", KEY_VF_TOKEN, "UUID", 0,
	  "The token between a physical function and its virtual ones, when vfio-pci has both", 2 },
	{ NULL, 0, NULL, 0, "What to show:", 3 },
	{ "json", KEY_JSON, NULL, 0, "The result as a JSON object", 3 },
	{ "progress", KEY_PROGRESS, NULL, 0, "Progress even if standard error is no terminal", 3 },
	{ "verbose", 'v', NULL, 0, "What is mapped where, and what is left of privileges", 3 },
	{ 0 },
};

static void take_domain(const char *kind, struct argp_state *state, struct options *options)
{
	enum { DEFER = 256 };
	static const char *const kinds[] = { [WEIR_NESTED_AUTO] = "nested",
					     [WEIR_NESTED_HARDWARE] = "hardware",
					     [WEIR_NESTED_SHADOW] = "shadow" };

	options->map_each = true;
	options->open.nested = NULL;
	if (strcmp(kind, "plain") == 0)
		return;
	options->nested = WEIR_OPTS(weir_nested_space_opts, .defer = DEFER);
	options->open.nested = &options->nested;
	for (uint32_t mode = WEIR_NESTED_AUTO; mode <= WEIR_NESTED_SHADOW; mode++) {
		options->nested.mode = mode;
		if (strcmp(kind, kinds[mode]) == 0)
			return;
	}
	argp_error(state, "domain: plain, nested, hardware or shadow, not \"%s\"", kind);
}

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	const struct option_target targets[] = {
		{ 'n', "namespace", .number = &options->namespace_id },
		{ KEY_OFFSET, "offset", .number64 = &options->offset },
		{ 'o', .text = &options->output },
		{ 'q', "queue-depth", .number = &options->queue_depth },
		{ 's', "request-size", .number = &options->request_size },
		{ KEY_BACKEND, .backend = &options->open.backend },
		{ KEY_BROKER, .text = &options->open.broker },
		{ KEY_SIMULATE, .text = &options->open.simulate },
		{ KEY_VF_TOKEN, .text = &options->open.vf_token },
		{ KEY_JSON, .flag = &options->json },
		{ KEY_PROGRESS, .flag = &options->progress },
		{ 'v', .flag = &options->verbose },
		{ ARGP_KEY_ARG, "ADDRESS", .text = &options->open.address },
	};

	switch (key) {
	case KEY_LENGTH:
		options->length = option_number64(arg, "length", state);
		if (options->length == 0)
			argp_error(state, "length: at least one block");
		return 0;
	case KEY_INTERRUPTS:
		options->wait = NVME_WAIT_INTERRUPTS;
		return 0;
	case KEY_POLLING:
		options->wait = NVME_WAIT_POLLING;
		return 0;
	case KEY_DOMAIN:
		take_domain(arg, state, options);
		return 0;
	case ARGP_KEY_END:
		option_controller(&options->open, state);
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

void options_parse(int argc, char **argv, struct options *ret_options)
{
	const struct argp argp = { .options = table, .parser = take, .args_doc = "ADDRESS", .doc = doc };
	*ret_options = (struct options){
		.namespace_id = 1,
		.queue_depth = DEFAULT_DEPTH,
		.progress = isatty(STDERR_FILENO),
	};

	option_parse(&argp, argc, argv, ret_options);
}
