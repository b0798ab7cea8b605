/* SPDX-License-Identifier: MIT */
/* The command line of weir-handover-demo. */
#ifndef HANDOVER_OPTIONS_H
#define HANDOVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum way { WAY_EXEC, WAY_SOCKET };

struct options {
	const char *address, *broker, *output;
	const char *keeper, *name; /* kept by whom, and as what */
	uint32_t backend, namespace_id;
	uint32_t depth, request_size, length;
	const char *successor; /* the program that follows */
	uint32_t upgrades;     /* how often on the way */
	enum way way;
	bool resume; /* follow a process that was killed */
	bool progress;
	uint32_t pause_us; /* between batches: for tests that want to meet it in the middle */
	uint32_t mappings; /* so many more, of a page each: they are carried along */
};

/* Read the command line, or end the program with a message. */
void options_read(int argc, char **argv, struct options *ret_options);

#endif
