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
	uint32_t request_size; /* bytes, at most */
};

/* Understand the command line. Prints help, or what is wrong, and exits, where that is called for. */
struct serve_options serve_options_parse(int argc, char **argv);

#endif
