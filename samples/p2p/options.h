/* SPDX-License-Identifier: MIT */
/* The command line of weir-p2p. */
#ifndef P2P_OPTIONS_H
#define P2P_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"

struct options {
	const char *source, *target; /* PCI addresses */
	const char *simulate;        /* the source's disk image, on a simulated machine; NULL: a real one */
	uint32_t backend;            /* enum weir_backend */
	uint32_t queue_depth;
	uint32_t request_size; /* bytes; 0: 128 KiB, or as much as both controllers carry */
	uint32_t resets;       /* of the target, spread over the transfer */
	bool sink; /* while the window is away, DMA goes to scratch memory instead of being blocked */
	bool json, progress;
};

/* Understand the command line. Prints help, or what is wrong, and exits, where that is called for. */
struct options options_parse(int argc, char **argv);

#endif
