/* SPDX-License-Identifier: MIT */
/* What weir-nvme-read says. */
#ifndef NVME_READ_REPORT_H
#define NVME_READ_REPORT_H

#include "common/drive.h"
#include "common/privileges.h"
#include "common/sha256.h"
#include "options.h"

/* All there is to report. */
struct report {
	const struct options *options;
	const struct drive *drive;
	struct privileges privileges; /* after dropping them */
	uint32_t request_size;
	uint64_t num_blocks; /* to be read */
	uint64_t buffers_iova;
	uint64_t mapped_bytes;
	uint64_t bytes; /* read */
	double seconds;
	struct weir_nested_space_info nested; /* with a nested space */
	double map_seconds;                   /* with requests that are mapped one by one */
	char sha256[SHA256_TEXT];
};

/* Before reading: what it is that will be read. Nothing with --json. */
void report_subject(const struct report *report);

/* After reading: the result, as text or as JSON. */
void report_result(const struct report *report);

#endif
