/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <string.h>
#include <unistd.h>

#include "common/options.h"

#define DEFAULT_DEPTH 8

enum {
	KEY_BACKEND = 256,
	KEY_SIMULATE,
	KEY_RESETS,
	KEY_SINK,
	KEY_JSON,
	KEY_PROGRESS,
};

static const char doc[] = "Copy an NVMe namespace to another controller's namespace, by way of that "
			  "controller's memory buffer and not "
			  "of host memory, and print the SHA-256 of both.\n"
			  "\n"
			  "SOURCE and TARGET are PCI addresses of controllers that are bound to vfio-pci. "
			  "The source's first namespace "
			  "is read; as much of it as fits is WRITTEN OVER what is on the target's. With "
			  "--simulate, both can be left "
			  "out.\v"
			  "Exit status: 0 when both sums are the same; 1 when it could not be set up; 2 for "
			  "a command line that makes no "
			  "sense; 3 when it failed on the way; 130 when stopped by a signal.\n"
			  "\n"
			  "SIZE is in bytes, or with K or M in units of 1024 of them.";

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "How:", 1 },
	{ "queue-depth", 'q', "N", 0, "Requests in flight (default 8)", 1 },
	{ "request-size", 's', "SIZE", 0, "Of each (default 128K, or the controllers' limit)", 1 },
	{ "resets", KEY_RESETS, "N", 0, "Reset the target N times on the way, with requests in flight", 1 },
	{ "sink", KEY_SINK, NULL, 0, "While it is in reset, let DMA go to scratch memory (default: block it)",
	  1 },
	{ "backend", KEY_BACKEND, "NAME", 0, "auto, iommufd, type1 or compat (default auto)", 1 },
	{ "simulate", KEY_SIMULATE, "IMAGE", 0,
	  "Not real controllers but simulated ones, inside this program, with IMAGE as the source's disk",
	  1 },
	{ NULL, 0, NULL, 0, "What to show:", 2 },
	{ "json", KEY_JSON, NULL, 0, "The result as a JSON object", 2 },
	{ "progress", KEY_PROGRESS, NULL, 0, "Progress even if standard error is no terminal", 2 },
	{ 0 },
};

static void finish(struct options *options, struct argp_state *state)
{
	if (options->simulate && !options->source)
		options->source = "0000:00:01.0";
	if (options->simulate && !options->target)
		options->target = "0000:00:02.0";
	if (!options->source || !options->target)
		argp_error(state, "the addresses of two controllers are needed");
	else if (!strcmp(options->source, options->target))
		argp_error(state, "two different controllers are needed");
}

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	const struct option_target targets[] = {
		{ 'q', "queue-depth", .number = &options->queue_depth },
		{ 's', "request-size", .number = &options->request_size },
		{ KEY_RESETS, "resets", .number = &options->resets },
		{ KEY_SINK, .flag = &options->sink },
		{ KEY_BACKEND, .backend = &options->backend },
		{ KEY_SIMULATE, .text = &options->simulate },
		{ KEY_JSON, .flag = &options->json },
		{ KEY_PROGRESS, .flag = &options->progress },
		{ ARGP_KEY_ARG, "SOURCE", .text = &options->source },
		{ ARGP_KEY_ARG, "TARGET", .text = &options->target },
	};

	if (key == ARGP_KEY_END) {
		finish(options, state);
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

struct options options_parse(int argc, char **argv)
{
	const struct argp argp = {
		.options = table, .parser = take, .args_doc = "SOURCE TARGET", .doc = doc
	};
	struct options options = { .queue_depth = DEFAULT_DEPTH, .progress = isatty(STDERR_FILENO) };

	option_parse(&argp, argc, argv, &options);
	return options;
}
