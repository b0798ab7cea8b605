/* SPDX-License-Identifier: MIT */
/* The command line of weir-nvme-read. */
#ifndef NVME_READ_OPTIONS_H
#define NVME_READ_OPTIONS_H

#include <nvme/nvme.h>

#include "common/open.h"
#include "common/status.h"

struct options {
	struct open_request open;
	uint32_t namespace_id;
	uint32_t queue_depth;
	uint32_t request_size; /* bytes; 0: 128 KiB, or as much as the controller carries */
	uint64_t offset;       /* blocks */
	uint64_t length;       /* blocks; 0: to the end */
	enum nvme_wait wait;
	bool map_each;                        /* each request's buffer is mapped for its time */
	struct weir_nested_space_opts nested; /* what open.nested points to, if to anything */
	const char *output;                   /* file; NULL: none */
	bool json;
	bool progress;
	bool verbose;
};

/* Understand the command line: @ret_options points into itself. Prints help, or what is wrong, and exits, where that is called for. */
void options_parse(int argc, char **argv, struct options *ret_options);

#endif
