/* SPDX-License-Identifier: MIT */
/* The command line of weir-rdma-serve. */
#ifndef SAMPLES_RDMA_SERVE_H
#define SAMPLES_RDMA_SERVE_H

#include "common/open.h"

struct serve_options {
	struct open_request open;
	const char *listen; /* address; NULL: all of this machine */
	const char *port;
	const char *device; /* of RDMA; NULL: the first */
	int gid_index;      /* -1: chosen */
	uint32_t namespace_id;
	uint32_t queue_depth;
	uint32_t clients;      /* to serve before it ends; 0: any number */
	uint64_t request_size; /* bytes, at most */
};

/* What the program exits with. */
enum {
	EXIT_SERVED = 0,       /* those that it was to serve, or it was stopped */
	EXIT_REFUSED = 1,      /* it could not be set up */
	EXIT_USAGE = 2,        /* the command line makes no sense */
	EXIT_SERVE_FAILED = 3, /* the disk failed, or closing it */
};

/* Understand the command line. Prints help, or what is wrong, and exits, where that is called for. */
struct serve_options serve_options_parse(int argc, char **argv);

#endif
