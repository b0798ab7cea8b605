// SPDX-License-Identifier: MIT
/*
 * What a change of stage-1 tables costs: mapping and unmapping 4 KiB at a given IOVA, over 1 GiB of IOVAs, in ascending and in random
 * order, and 2 MiB over 64 GiB. Beside it, in the same run, a bare store into a prepared array, at the same places.
 *
 *     weir-bench-stage1-maps [--count LOOP random|ascending]
 *
 * Tables are there before, as they are when IOVAs are used again. An unmap is noted in a batch, which is done with every 256; what the IOMMU takes to
 * invalidate is not in it. Each loop is timed in slices, and of each slice its best time counts. The limit, of 40 ns for a page of 4 KiB, is
 * that of a machine on which a binary search among 1000 keys takes 10 ns, and is scaled for slower ones. A table goes to stderr, the
 * same as JSON to stdout; exits with 1 above the limit. With --count, one loop runs once, for callgrind (see `instructions`).
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "bench/memory/random.h"
#include "bench/memory/yardstick.h"
#include "support/yes_kernel.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

enum { FLUSH_EVERY = 256, PAGES = 1 << 18, LARGE_PAGES = 1 << 15, SLICE = 1 << 12, ROUNDS = 12 };

/* IOVAs begin here, and lead to IPAs from elsewhere on. */
#define IOVA (64 * GIB)
#define IPA  (16 * GIB)

#define LIMIT 40.0

struct field {
	struct weir_stage1 *tables;
	struct weir_inval *changes;
	volatile uint64_t *array; /* the yardstick's */
	uint64_t *order;          /* of IOVAs, from 0 on */
	size_t num;
	uint64_t len;
};

typedef void loop(const struct field *field, size_t from, size_t end);

/* Their names are what callgrind is told to look for. */
loop loop_store, loop_map, loop_unmap, loop_protect, loop_find;

static void check(int error)
{
	if (error)
		errx(1, "%s", weir_error());
}

__attribute__((noinline)) void loop_store(const struct field *field, size_t from, size_t end)
{
	for (size_t i = from; i < end; i++)
		field->array[field->order[i] / field->len] = field->order[i] | 1;
}

__attribute__((noinline)) void loop_map(const struct field *field, size_t from, size_t end)
{
	for (size_t i = from; i < end; i++)
		check(weir_stage1_map(field->tables, IOVA + field->order[i], IPA + field->order[i],
				      field->len, WEIR_MAP_READ | WEIR_MAP_WRITE, NULL));
}

__attribute__((noinline)) void loop_unmap(const struct field *field, size_t from, size_t end)
{
	for (size_t i = from; i < end; i++) {
		check(weir_stage1_unmap(field->tables, IOVA + field->order[i], field->len, field->changes));
		if (i % FLUSH_EVERY == FLUSH_EVERY - 1)
			weir_inval_drop(field->changes);
	}
}

/* What is mapped is both read and written. */
__attribute__((noinline)) void loop_protect(const struct field *field, size_t from, size_t end)
{
	for (size_t i = from; i < end; i++) {
		check(weir_stage1_protect(field->tables, IOVA + field->order[i], field->len, WEIR_MAP_READ,
					  field->changes));
		if (i % FLUSH_EVERY == FLUSH_EVERY - 1)
			weir_inval_drop(field->changes);
	}
}

__attribute__((noinline)) void loop_find(const struct field *field, size_t from, size_t end)
{
	uint64_t ipa;

	for (size_t i = from; i < end; i++)
		check(weir_stage1_find(field->tables, IOVA + field->order[i], &ipa, NULL, NULL));
}

/* In the order in which they have to come. */
static const struct {
	const char *name;
	loop *loop;
	bool limited;
} loops[] = { { "store", loop_store, false },
	      { "map", loop_map, true },
	      { "find", loop_find, false },
	      { "protect", loop_protect, false },
	      { "unmap", loop_unmap, false } };

enum { NUM_LOOPS = sizeof(loops) / sizeof(loops[0]), NUM_SHAPES = 4 };

static const struct shape {
	const char *name;
	uint64_t len;
	size_t num;
	bool random;
} shapes[NUM_SHAPES] = { { "4 KiB, ascending", 4 * KIB, PAGES, false },
			 { "4 KiB, random", 4 * KIB, PAGES, true },
			 { "2 MiB, ascending", 2 * MIB, LARGE_PAGES, false },
			 { "2 MiB, random", 2 * MIB, LARGE_PAGES, true } };

/* So that the tables are there; what another shape left is not. */
static void prepare(struct field *field)
{
	check(weir_stage1_unmap(field->tables, 0, (uint64_t)1 << 46, field->changes));
	for (size_t i = 0; i < field->num; i++)
		check(weir_stage1_map(field->tables, IOVA + field->order[i], IPA + field->order[i],
				      field->len, 0, NULL));
	for (size_t i = 0; i < field->num; i++)
		check(weir_stage1_unmap(field->tables, IOVA + field->order[i], field->len, field->changes));
	weir_inval_drop(field->changes);
}

static void set_shape(struct field *field, const struct shape *shape)
{
	field->len = shape->len;
	field->num = shape->num;
	for (size_t i = 0; i < field->num; i++)
		field->order[i] = i * field->len;
	for (size_t i = 1; shape->random && i < field->num; i++) {
		size_t other = random_below(i + 1);
		uint64_t kept = field->order[i];

		field->order[i] = field->order[other];
		field->order[other] = kept;
	}
	prepare(field);
}

static void time_shape(struct field *field, const struct shape *shape, double *ret_ns)
{
	static double best[NUM_LOOPS][PAGES / SLICE];
	const size_t slices = shape->num / SLICE;

	set_shape(field, shape);
	memset(best, 0, sizeof(best));
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < NUM_LOOPS; i++)
			for (size_t slice = 0; slice < slices; slice++) {
				double begin = yardstick_now(), took;

				loops[i].loop(field, slice * SLICE, (slice + 1) * SLICE);
				took = (yardstick_now() - begin) / SLICE;
				if (!round || took < best[i][slice])
					best[i][slice] = took;
			}
	for (int i = 0; i < NUM_LOOPS; i++) {
		ret_ns[i] = 0;
		for (size_t slice = 0; slice < slices; slice++)
			ret_ns[i] += best[i][slice] / (double)slices;
	}
}

static int time_all(struct field *field)
{
	double slower = yardstick_slower(yardstick_search(1000)), limit = LIMIT * slower;
	bool above = false;

	fprintf(stderr, "ns; the limit for a map of 4 KiB is %.1f (this machine is %.2f times slower)\n%-18s",
		limit, slower, "");
	for (int i = 0; i < NUM_LOOPS; i++)
		fprintf(stderr, " %8s", loops[i].name);
	printf("{\n \"benchmark\": \"stage1/maps\", \"limit\": %.1f,\n \"results\": [", limit);
	for (int i = 0; i < NUM_SHAPES; i++) {
		double ns[NUM_LOOPS];

		time_shape(field, &shapes[i], ns);
		fprintf(stderr, "\n%-18s", shapes[i].name);
		printf("%s\n  {\"shape\": \"%s\"", i ? "," : "", shapes[i].name);
		for (int j = 0; j < NUM_LOOPS; j++) {
			fprintf(stderr, " %8.1f", ns[j]);
			printf(", \"%s\": %.1f", loops[j].name, ns[j]);
			above = above || (shapes[i].len == 4 * KIB && loops[j].limited && ns[j] > limit);
		}
		printf("}");
	}
	fprintf(stderr, "\n");
	printf("\n ]\n}\n");
	if (above)
		fprintf(stderr, "above the limit\n");
	return above;
}

static int count(struct field *field, const char *name, const char *order)
{
	set_shape(field, &shapes[!strcmp(order, "random")]);
	for (int i = 0; i < NUM_LOOPS; i++) {
		loops[i].loop(field, 0, SLICE);
		if (!strcmp(loops[i].name, name))
			return 0;
	}
	errx(2, "there is no loop %s", name);
}

int main(int argc, char **argv)
{
	static struct yes_kernel yes;
	struct field field = { .array = calloc(PAGES, sizeof(uint64_t)),
			       .order = calloc(PAGES, sizeof(uint64_t)) };
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_memory *memory;
	int result;

	if (argc != 1 && (argc != 4 || strcmp(argv[1], "--count") != 0))
		errx(2, "usage: weir-bench-stage1-maps [--count LOOP random|ascending]");
	if (!field.array || !field.order)
		errx(1, "no memory");
	yes_kernel_init(&yes);
	check(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = &yes.table),
			     &host));
	check(weir_ioas_open(host, NULL, &ioas));
	check(weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .initial = 8 * MIB), &memory));
	check(weir_stage1_open(memory, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_X86_4),
			       &field.tables));
	check(weir_inval_open(NULL, &field.changes));
	result = argc == 1 ? time_all(&field) : count(&field, argv[2], argv[3]);
	weir_inval_drop(field.changes);
	check(weir_inval_close(field.changes));
	weir_stage1_close(field.tables);
	check(weir_memory_close(memory));
	check(weir_ioas_close(ioas));
	check(weir_host_close(host));
	yes_kernel_finish(&yes);
	free((void *)field.array);
	free(field.order);
	return result;
}
