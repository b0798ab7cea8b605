/* SPDX-License-Identifier: MIT */
/* What a batch of invalidations takes beside a call for each of its entries. */
#ifndef TESTS_BENCH_INVAL_MEASURE_H
#define TESTS_BENCH_INVAL_MEASURE_H

#include <stdio.h>

#include <weir/inval.h>

enum { INVAL_SIZES = 7 };

struct inval_figure {
	uint32_t entries;
	double batch_ns,
		calls_ns; /* for one entry: in a batch of that many; run by itself. Lower quartiles */
};

/* Single pages, apart from each other, for a nested domain. Returns 0 or an error of the library's. */
int inval_measure(struct weir_domain *domain, struct inval_figure figures[INVAL_SIZES]);

/* As a table for people. */
void inval_print(FILE *out, const char *what, const struct inval_figure figures[INVAL_SIZES]);

#endif
