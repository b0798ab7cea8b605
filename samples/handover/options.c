// SPDX-License-Identifier: MIT
#include "handover/options.h"

#include <string.h>
#include <unistd.h>

#include "common/options.h"

enum {
	KEY_UPGRADES = 256,
	KEY_BY,
	KEY_BACKEND,
	KEY_BROKER,
	KEY_KEEPER,
	KEY_NAME,
	KEY_RESUME,
	KEY_PROGRESS,
	KEY_PAUSE,
	KEY_MAPPINGS,
	KEY_LENGTH,
	KEY_SUCCESSOR,
};

static const char doc[] =
	"Read a whole NVMe namespace, and upgrade this program in the middle of it.\n"
	"\n"
	"ADDRESS is the controller's PCI address, such as 0000:01:00.0; it has to be bound to vfio-pci. "
	"Nothing is written to it. While the "
	"program is replaced by another process, its requests stay in flight, and the device is not reset.\v"
	"Exit status: 0 when all was read; 1 when it could not be set up or taken over; 2 for a command line "
	"that makes no sense; 3 when "
	"reading failed on the way.";

static const struct argp_option table[] = {
	{ "upgrades", KEY_UPGRADES, "N", 0, "How often on the way (default 1; 0: not at all)", 1 },
	{ "by", KEY_BY, "WAY", 0,
	  "exec: by a program in the place of this one (default); socket: by another process", 1 },
	{ "keeper", KEY_KEEPER, "SOCKET", 0, "Have what is open kept by the weir-keeper that listens there",
	  1 },
	{ "name", KEY_NAME, "NAME", 0, "As what it keeps it (default weir-handover-demo)", 1 },
	{ "resume", KEY_RESUME, NULL, 0, "Go on where a process that was killed left off; needs --keeper",
	  1 },
	{ "length", KEY_LENGTH, "BLOCKS", 0, "Read so many blocks (default: all)", 2 },
	{ "output", 'o', "FILE", 0, "Write what was read to FILE (default weir-handover-demo.img)", 2 },
	{ "queue-depth", 'q', "N", 0, "Requests in flight (default 8, at most 64)", 2 },
	{ "request-size", 's', "SIZE", 0, "Of each (default 64K)", 2 },
	{ "backend", KEY_BACKEND, "NAME", 0, "auto, iommufd or type1 (default auto)", 2 },
	{ "broker", KEY_BROKER, "SOCKET", 0, "Get the device from the weir-broker that listens there", 2 },
	{ "successor", KEY_SUCCESSOR, "PROGRAM", 0, "What follows this program (default: this program)", 3 },
	{ "mappings", KEY_MAPPINGS, "N", 0, "Map so many single pages besides, to be carried along", 3 },
	{ "pause", KEY_PAUSE, "MICROSECONDS", 0, "Rest between two batches of requests", 3 },
	{ "progress", KEY_PROGRESS, NULL, 0, "Progress even if standard error is no terminal", 3 },
	{ 0 },
};

static uint32_t number_or_none(const char *text, const char *what, struct argp_state *state)
{
	return strcmp(text, "0") != 0 ? option_number(text, what, state) : 0;
}

static enum way read_way(const char *text, struct argp_state *state)
{
	if (strcmp(text, "exec") != 0 && strcmp(text, "socket") != 0)
		argp_error(state, "by: exec or socket, not \"%s\"", text);
	return text[0] == 'e' ? WAY_EXEC : WAY_SOCKET;
}

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	const struct option_target targets[] = {
		{ KEY_KEEPER, .text = &options->keeper },
		{ KEY_NAME, .text = &options->name },
		{ KEY_RESUME, .flag = &options->resume },
		{ KEY_LENGTH, "length", .number = &options->length },
		{ KEY_SUCCESSOR, .text = &options->successor },
		{ KEY_PROGRESS, .flag = &options->progress },
		{ 'o', .text = &options->output },
		{ 'q', "queue-depth", .number = &options->depth },
		{ 's', "request-size", .number = &options->request_size },
		{ KEY_BACKEND, .backend = &options->backend },
		{ KEY_BROKER, .text = &options->broker },
		{ ARGP_KEY_ARG, "ADDRESS", .text = &options->address },
	};

	switch (key) {
	case KEY_UPGRADES:
		options->upgrades = number_or_none(arg, "upgrades", state);
		return 0;
	case KEY_BY:
		options->way = read_way(arg, state);
		return 0;
	case KEY_MAPPINGS:
		options->mappings = number_or_none(arg, "mappings", state);
		return 0;
	case KEY_PAUSE:
		options->pause_us = number_or_none(arg, "pause", state);
		return 0;
	case ARGP_KEY_END:
		if (!options->address)
			argp_error(state, "which controller?");
		if (options->resume && !options->keeper)
			argp_error(state, "resume: only a keeper has what a killed process left");
		if (options->depth > 64 || options->request_size % 4096)
			argp_error(state, "queue-depth is 64 at most, and request-size whole pages");
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

void options_read(int argc, char **argv, struct options *ret_options)
{
	static const struct argp argp = { table, take, "ADDRESS", doc, NULL, NULL, NULL };

	*ret_options = (struct options){
		.name = "weir-handover-demo",
		.output = "weir-handover-demo.img",
		.successor = "/proc/self/exe",
		.namespace_id = 1,
		.depth = 8,
		.request_size = 64u << 10,
		.upgrades = 1,
		.progress = isatty(STDERR_FILENO),
	};
	option_parse(&argp, argc, argv, ret_options);
}
