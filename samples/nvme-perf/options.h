/* SPDX-License-Identifier: MIT */
/* The command line of weir-nvme-perf. */
#ifndef NVME_PERF_OPTIONS_H
#define NVME_PERF_OPTIONS_H

#include <nvme/nvme.h>

#include "common/open.h"
#include "common/status.h"

struct options {
	struct open_request open;
	uint32_t namespace_id;
	uint64_t offset; /* blocks */
	uint64_t length; /* blocks; 0: to the end */
	bool random, writes, destroys, verifies;
	uint32_t request_size; /* bytes */
	uint32_t queue_depth;  /* of each thread */
	uint32_t threads;
	double seconds;        /* to run; 0: until the requests are done */
	uint64_t num_requests; /* of all threads together; 0: as many as there is time for */
	uint64_t seed;
	enum nvme_wait wait;
	uint32_t flags;   /* NVME_SGL, ... */
	const char *save; /* file for JSON; NULL: none */
	bool json;
	bool progress;
};

/* Understand the command line: @ret_options points into itself. Prints help, or what is wrong, and exits, where that is called for. */
void options_parse(int argc, char **argv, struct options *ret_options);

#endif
