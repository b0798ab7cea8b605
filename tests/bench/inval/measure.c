// SPDX-License-Identifier: MIT
#include "bench/inval/measure.h"

#include "bench/series.h"

enum { PAGE = 4096, ROUNDS = 21, MOST_SINGLES = 256 };

static const uint32_t sizes[INVAL_SIZES] = { 1, 4, 16, 64, 256, 1024, 4096 };

static int add(struct weir_inval *inval, uint32_t number)
{
	int entry =
		weir_inval_range(inval, 0x40000000 + (uint64_t)number * 2 * PAGE, PAGE, 1, WEIR_INVAL_LEAF);

	return entry < 0 ? entry : 0;
}

static int run_together(struct weir_inval *inval, struct weir_domain *domain, uint32_t num,
			struct series *series)
{
	uint64_t start = now_ns();
	int error = 0;

	for (uint32_t i = 0; i < num && !error; i++)
		error = add(inval, i);
	if (!error)
		error = weir_inval_run(inval, &domain, 1, NULL);
	series_add(series, (now_ns() - start) / num);
	return error;
}

static int run_apart(struct weir_inval *inval, struct weir_domain *domain, uint32_t num,
		     struct series *series)
{
	uint64_t start = now_ns();
	int error = 0;

	num = num < MOST_SINGLES ? num : MOST_SINGLES;
	for (uint32_t i = 0; i < num && !error; i++) {
		error = add(inval, i);
		if (!error)
			error = weir_inval_run(inval, &domain, 1, NULL);
	}
	series_add(series, (now_ns() - start) / num);
	return error;
}

/* In turns, so that what disturbs the machine disturbs both. */
static int measure_size(struct weir_inval *inval, struct weir_domain *domain, struct inval_figure *figure)
{
	struct series together, apart;
	int error = 0;

	series_init(&together, ROUNDS);
	series_init(&apart, ROUNDS);
	for (int round = 0; round < ROUNDS && !error; round++) {
		error = run_together(inval, domain, figure->entries, &together);
		if (!error)
			error = run_apart(inval, domain, figure->entries, &apart);
	}
	figure->batch_ns = series_quantile(&together, 0.25);
	figure->calls_ns = series_quantile(&apart, 0.25);
	series_free(&together);
	series_free(&apart);
	return error;
}

int inval_measure(struct weir_domain *domain, struct inval_figure figures[INVAL_SIZES])
{
	struct weir_inval *inval;
	int error = weir_inval_open(&WEIR_OPTS(weir_inval_opts, .room = sizes[INVAL_SIZES - 1]), &inval);

	for (int i = 0; i < INVAL_SIZES && !error; i++) {
		figures[i].entries = sizes[i];
		error = measure_size(inval, domain, &figures[i]);
	}
	if (!error)
		error = weir_inval_close(inval);
	return error;
}

void inval_print(FILE *out, const char *what, const struct inval_figure figures[INVAL_SIZES])
{
	fprintf(out, "%s: entries, ns for each in a batch, ns for each by itself, ratio\n", what);
	for (int i = 0; i < INVAL_SIZES; i++)
		fprintf(out, "%6u %10.0f %10.0f %8.1f\n", figures[i].entries, figures[i].batch_ns,
			figures[i].calls_ns,
			figures[i].batch_ns > 0 ? figures[i].calls_ns / figures[i].batch_ns : 0);
}
