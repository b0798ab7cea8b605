/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include "common/options.h"

enum { KEY_BACKEND = 256, KEY_SIMULATE, KEY_GID, KEY_CLIENTS };

static const char doc[] = "Offer a whole NVMe namespace, read through VFIO, to weir-rdma-fetch on other "
			  "machines: what the controller "
			  "writes into memory, they read from there by RDMA.\n"
			  "\n"
			  "ADDRESS is the controller's PCI address, such as 0000:01:00.0; it has to be bound "
			  "to vfio-pci. Nothing is "
			  "written to it. With --simulate, it can be left out. Whoever reaches the TCP port "
			  "may read the disk.\v"
			  "Exit status: 0 when it was stopped or has served as many as it was to; 1 when it "
			  "could not be set up; 2 for a "
			  "command line that makes no sense; 3 when the disk failed.";

static const struct argp_option table[] = {
	{ "namespace", 'n', "N", 0, "Namespace (default 1)", 0 },
	{ "queue-depth", 'q', "N", 0, "Requests in flight (default 8)", 0 },
	{ "request-size", 's', "SIZE", 0, "Of each, in bytes, or with K or M (default 128K)", 0 },
	{ "backend", KEY_BACKEND, "NAME", 0, "auto, iommufd, type1 or compat (default auto)", 0 },
	{ "simulate", KEY_SIMULATE, "IMAGE", 0,
	  "Not a real controller but a simulated one, inside this program, with IMAGE as its disk", 0 },
	{ "device", 'd', "NAME", 0, "RDMA device (default: the first)", 0 },
	{ "gid-index", KEY_GID, "N", 0, "Of this side's address (default: one of RoCE v2, if there is any)",
	  0 },
	{ "listen", 'l', "HOST", 0, "Wait for clients at this address (default: all of this machine)", 0 },
	{ "port", 'p', "PORT", 0, "At this TCP port (default 7471)", 0 },
	{ "clients", KEY_CLIENTS, "N", 0, "Serve so many, then end (default: any number)", 0 },
	{ 0 },
};

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct serve_options *options = state->input;
	const struct option_target targets[] = {
		{ 'n', "namespace", .number = &options->namespace_id },
		{ 'q', "queue-depth", .number = &options->queue_depth },
		{ 's', "request-size", .number = &options->request_size },
		{ KEY_BACKEND, .backend = &options->open.backend },
		{ KEY_SIMULATE, .text = &options->open.simulate },
		{ 'd', .text = &options->device },
		{ 'l', .text = &options->listen },
		{ 'p', .text = &options->port },
		{ KEY_CLIENTS, "clients", .number = &options->clients },
		{ ARGP_KEY_ARG, "ADDRESS", .text = &options->open.address },
	};

	switch (key) {
	case KEY_GID:
		options->gid_index = (int)option_within(arg, "gid-index", 0, 255, state);
		return 0;
	case ARGP_KEY_END:
		option_controller(&options->open, state);
		return 0;
	}
	return option_take(targets, sizeof targets / sizeof targets[0], key, arg, state);
}

struct serve_options serve_options_parse(int argc, char **argv)
{
	static const struct argp argp = {
		.options = table, .parser = take, .args_doc = "ADDRESS", .doc = doc
	};
	struct serve_options options = {
		.port = "7471",
		.gid_index = -1,
		.namespace_id = 1,
		.queue_depth = 8,
		.request_size = 128 << 10,
	};

	option_parse(&argp, argc, argv, &options);
	return options;
}
