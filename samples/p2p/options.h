/* SPDX-License-Identifier: MIT */
/* The command line of weir-p2p. */
#ifndef P2P_OPTIONS_H
#define P2P_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *source, *target; /* PCI addresses */
	const char *simulate;        /* the source's disk image, on a simulated machine; NULL: a real one */
	uint32_t backend;            /* enum weir_backend */
	uint32_t queue_depth;
	uint64_t request_size; /* bytes; 0: 128 KiB, or as much as both controllers carry */
	uint32_t resets;       /* of the target, spread over the transfer */
	bool sink; /* while the window is away, DMA goes to scratch memory instead of being blocked */
	bool json, progress;
};

/* What the program exits with. */
enum {
	EXIT_MOVED = 0,     /* all of it, and both sums are the same */
	EXIT_REFUSED = 1,   /* it could not be set up */
	EXIT_USAGE = 2,     /* the command line makes no sense */
	EXIT_FAILED = 3,    /* it failed on the way, or the sums differ */
	EXIT_STOPPED = 130, /* by a signal */
};

/* Understand the command line. Prints help, or what is wrong, and exits, where that is called for. */
struct options options_parse(int argc, char **argv);

#endif
