/* SPDX-License-Identifier: MIT */
/* Page requests, read and answered: by the library, and by bare system calls on the same descriptor. */
#ifndef TESTS_BENCH_FAULT_MEASURE_H
#define TESTS_BENCH_FAULT_MEASURE_H

#include <stdio.h>

#include <weir/weir.h>

enum { FAULT_SIZES = 4 };

struct fault_figure {
	uint32_t groups; /* that are there at a time */
	/* For each of them, medians: reading and answering, by the library; and by bare read() and write(). */
	double library_ns, bare_ns;
	/* Of one at a time: from the device's request to its answer. Else 0. */
	double round_trip_ns;
};

/* Of devices that request a page when @request is called, from an empty queue. 0 or an errno. */
int fault_measure(struct weir_faultq *queue, const struct weir_sys *sys, void (*request)(void *ctx),
		  void *ctx, struct fault_figure *ret_figures);
void fault_print(FILE *out, const char *name, const struct fault_figure *figures);

#endif
