/* SPDX-License-Identifier: MIT */
/* What is timed: loops over random queries, and how. Times are of the thread's processor time, in nanoseconds a query. */
#ifndef TESTS_BENCH_MEMORY_LOOPS_H
#define TESTS_BENCH_MEMORY_LOOPS_H

#include <weir/weir.h>

enum { QUERIES = 1 << 20 };

/* What the loops work on. */
struct field {
	struct weir_ioas *ioas;
	uint64_t *addresses, *iovas; /* where each mapping begins; addresses ascend */
	size_t num;
	uint64_t len;                   /* of each mapping */
	uint64_t *by_address, *by_iova; /* the queries */
	uint64_t *offsets;
	struct weir_buffer buffer;
};

/* Does queries @from up to @end. */
typedef void loop(const struct field *field, size_t from, size_t end);

loop loop_search; /* the yardstick: a branch-free binary search over the sorted array of addresses */
loop loop_iova, loop_iova_left, loop_memory, loop_buffer;

/* Memory of zeros that asks for huge pages, as the library's tables do; exits when there is none. */
void *huge_memory(size_t len);

/*
 * The loops, in turns. The queries are timed in slices, and of each slice its best time counts, so that it matters less what else the
 * machine does.
 */
void time_loops(const struct field *field, loop *const *loops, size_t num, double *ret_ns);

/* The same in two threads at once: what each takes, on average. */
void time_loops_twice(const struct field *field, loop *const *loops, size_t num, double *ret_ns);

#endif
