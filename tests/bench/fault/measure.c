// SPDX-License-Identifier: MIT
#include "bench/fault/measure.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "bench/series.h"
#include "kernel/iommufd_abi.h"

enum { MOST = 1024, ROUNDS = 256, LEAST_ROUNDS = 3 };

static const uint32_t sizes[FAULT_SIZES] = { 1, 16, 256, MOST };

struct bench {
	struct weir_faultq *queue;
	const struct weir_sys *sys;
	void (*request)(void *ctx);
	void *ctx;
	uint32_t num;
	struct weir_fault *faults[MOST];
	struct abi_iommu_hwpt_pgfault records[MOST];
};

static void request_all(struct bench *b)
{
	for (uint32_t i = 0; i < b->num; i++)
		b->request(b->ctx);
}

static int by_library(struct bench *b)
{
	int num = weir_faultq_read(b->queue, b->faults, b->num), error = num == (int)b->num ? 0 : -EIO;

	for (int i = 0; i < num && !error; i++) {
		error = weir_faultq_respond(b->queue, &b->faults[i]->token, WEIR_FAULT_SUCCESS);
		weir_fault_free(b->faults[i]);
	}
	return error;
}

static int by_calls(struct bench *b)
{
	ssize_t len = b->sys->read(b->sys->ctx, weir_faultq_fd(b->queue), b->records,
				   b->num * sizeof(b->records[0]));
	int error = len == (ssize_t)(b->num * sizeof(b->records[0])) ? 0 : -EIO;

	for (uint32_t i = 0; i < b->num && !error; i++) {
		struct abi_iommu_hwpt_page_response response = { .cookie = b->records[i].cookie };

		len = b->sys->write(b->sys->ctx, weir_faultq_fd(b->queue), &response, sizeof(response));
		error = len == sizeof(response) ? 0 : -EIO;
	}
	return error;
}

static int add(struct bench *b, struct series *series, int (*way)(struct bench *b))
{
	uint64_t start;
	int error;

	request_all(b);
	start = now_ns();
	error = way(b);
	series_add(series, now_ns() - start);
	return error;
}

static int add_round_trip(struct bench *b, struct series *series)
{
	struct pollfd fd = { .fd = weir_faultq_fd(b->queue), .events = POLLIN };
	uint64_t start = now_ns();
	int error;

	request_all(b);
	error = b->sys->poll(b->sys->ctx, &fd, 1, 1000) == 1 ? 0 : -EIO;
	if (!error)
		error = by_library(b);
	series_add(series, now_ns() - start);
	return error;
}

static int measure_size(struct bench *b, struct fault_figure *figure)
{
	size_t rounds = ROUNDS / b->num < LEAST_ROUNDS ? LEAST_ROUNDS : ROUNDS / b->num;
	struct series library, bare, trips;
	int error = 0;

	series_init(&library, rounds);
	series_init(&bare, rounds);
	series_init(&trips, rounds);
	/* By turns, so that what else goes on is for both. */
	for (size_t i = 0; i < rounds && !error; i++) {
		error = add(b, &library, by_library);
		if (!error)
			error = add(b, &bare, by_calls);
		if (!error && b->num == 1)
			error = add_round_trip(b, &trips);
	}
	*figure = (struct fault_figure){ .groups = b->num,
					 .library_ns = series_quantile(&library, 0.5) / b->num,
					 .bare_ns = series_quantile(&bare, 0.5) / b->num,
					 .round_trip_ns = series_quantile(&trips, 0.5) };
	series_free(&library);
	series_free(&bare);
	series_free(&trips);
	return error;
}

int fault_measure(struct weir_faultq *queue, const struct weir_sys *sys, void (*request)(void *ctx),
		  void *ctx, struct fault_figure *ret_figures)
{
	struct bench *b = calloc(1, sizeof(*b));
	int error = b ? 0 : -ENOMEM;

	if (error)
		return error;
	b->queue = queue;
	b->sys = sys;
	b->request = request;
	b->ctx = ctx;
	for (int i = 0; i < FAULT_SIZES && !error; i++) {
		b->num = sizes[i];
		error = measure_size(b, &ret_figures[i]);
	}
	free(b);
	return error;
}

void fault_print(FILE *out, const char *name, const struct fault_figure *figures)
{
	fprintf(out, "%s: one page request, from the device to its answer: %.1f us\n", name,
		figures[0].round_trip_ns / 1000);
	fprintf(out, "%8s %12s %12s %8s\n", "groups", "library, us", "bare, us", "ratio");
	for (int i = 0; i < FAULT_SIZES; i++)
		fprintf(out, "%8u %12.2f %12.2f %8.2f\n", figures[i].groups, figures[i].library_ns / 1000,
			figures[i].bare_ns / 1000, figures[i].library_ns / figures[i].bare_ns);
}
