/* SPDX-License-Identifier: MIT */
/* What weir-nvme-perf says. */
#ifndef NVME_PERF_REPORT_H
#define NVME_PERF_REPORT_H

#include "common/histogram.h"
#include "common/drive.h"
#include "common/privileges.h"
#include "options.h"

/* All there is to report. */
struct report {
	const struct options *options;
	const struct drive *drive;
	struct privileges privileges; /* after dropping them */
	uint64_t num_blocks;          /* in which the requests were */
	double seconds;
	struct histogram latency; /* ns, of every request that was done */
};

/* Before it begins: what will be done to what. Nothing with --json. */
void report_subject(const struct report *report);

/* After it: the result, as text or as JSON. */
void report_result(const struct report *report);

/* The JSON to the file that the options name, if they do. Returns 0 or a negative errno. */
int report_save(const struct report *report);

#endif
