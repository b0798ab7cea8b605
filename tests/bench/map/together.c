// SPDX-License-Identifier: MIT
/*
 * What doing things together saves: many buffers mapped as one batch against one by one; large memory at an IOVA that is congruent with
 * it against one that is not; a mapping shared into a second space against mapping again.
 *
 *     weir-bench-map-together iommufd|type1|compat ADDRESS ADDRESS [ROUNDS]
 *
 * The ADDRESSes are devices bound to vfio-pci, in groups of their own. In each of ROUNDS (default 3) every way has its turn; figures are
 * medians. Large pages are taken if the machine has them reserved, as much as there are of them. A table goes to stderr, the same as JSON
 * to stdout. Nothing is judged.
 */
#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <weir/weir.h>

#include "bench/series.h"

#define PAGE ((uint64_t)4096)
#define MIB  ((uint64_t)1 << 20)
#define GIB  ((uint64_t)1 << 30)

/* Where mappings go that are to be congruent with nothing larger than a page, or with everything. */
#define CONGRUENT (64 * GIB)

enum { BUFFERS = 1 << 16, MOST_ROWS = 16 };

static void check(int error)
{
	if (error)
		errx(1, "%s", weir_error());
}

struct machine {
	struct weir_host *host;
	struct weir_ioas *first, *second;
	struct weir_device *devices[2];
	unsigned int rounds;
};

/* One way of doing something, and how long it took. */
struct row {
	const char *what, *way;
	uint64_t bytes;
	struct series map, unmap;
	double map_us, unmap_us; /* medians */
};

static struct row rows[MOST_ROWS];
static unsigned int num_rows;

static struct row *new_row(const char *what, const char *way, uint64_t bytes, unsigned int rounds)
{
	struct row *row = &rows[num_rows++];

	*row = (struct row){ .what = what, .way = way, .bytes = bytes };
	series_init(&row->map, rounds);
	series_init(&row->unmap, rounds);
	return row;
}

static void *new_memory(uint64_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "%" PRIu64 " bytes of memory", len);
	madvise(memory, len, MADV_NOHUGEPAGE);
	memset(memory, 1, len);
	return memory;
}

/* Buffers --------------------------------------------------------------------------------------------------------- */

/* Every one by itself; the way back is by handle, or all handles in one call. */
static void one_by_one(struct weir_ioas *ioas, const struct weir_map_range *ranges, size_t num, bool at_once,
		       struct row *row)
{
	struct weir_map **maps = (struct weir_map **)calloc(BUFFERS, sizeof(struct weir_map *));
	uint64_t begin = now_ns();

	if (!maps)
		err(1, "handles");
	for (size_t i = 0; i < num; i++)
		check(weir_ioas_map(ioas, ranges[i].addr, ranges[i].len, NULL, &maps[i]));
	series_add(&row->map, now_ns() - begin);
	begin = now_ns();
	if (at_once)
		check(weir_map_close_batch(maps, num));
	for (size_t i = 0; i < num && !at_once; i++)
		check(weir_map_close(maps[i]));
	series_add(&row->unmap, now_ns() - begin);
	free((void *)maps);
}

static void as_a_batch(struct weir_ioas *ioas, const struct weir_map_range *ranges, size_t num,
		       struct row *row)
{
	uint64_t begin = now_ns();
	struct weir_map *map;

	check(weir_ioas_map_batch(ioas, ranges, num, NULL, NULL, &map));
	series_add(&row->map, now_ns() - begin);
	begin = now_ns();
	check(weir_map_close(map));
	series_add(&row->unmap, now_ns() - begin);
}

static void measure_buffers(struct machine *machine)
{
	static struct weir_map_range adjacent[BUFFERS], scattered[BUFFERS];
	struct weir_ioas_info info;
	size_t num = BUFFERS;
	char *memory = new_memory(BUFFERS * PAGE);
	struct row *single, *closed, *batch, *pieces;

	/* The container takes one less. */
	check(weir_ioas_info(machine->first, &info, sizeof(info)));
	if (info.max_mappings < num)
		num = info.max_mappings;
	for (size_t i = 0; i < num; i++) {
		adjacent[i] = (struct weir_map_range){ memory + i * PAGE, PAGE };
		/* From the end on downwards nothing follows what comes before it. */
		scattered[i] = (struct weir_map_range){ memory + (BUFFERS - 1 - i) * PAGE, PAGE };
	}
	single = new_row("buffers of 4 KiB", "one by one", num * PAGE, machine->rounds);
	closed = new_row("buffers of 4 KiB", "one by one, closed in one call", num * PAGE, machine->rounds);
	batch = new_row("buffers of 4 KiB", "a batch, adjacent", num * PAGE, machine->rounds);
	pieces = new_row("buffers of 4 KiB", "a batch, none adjacent", num * PAGE, machine->rounds);
	for (unsigned int i = 0; i < machine->rounds; i++) {
		one_by_one(machine->first, adjacent, num, false, single);
		one_by_one(machine->first, adjacent, num, true, closed);
		as_a_batch(machine->first, adjacent, num, batch);
		as_a_batch(machine->first, scattered, num, pieces);
	}
	munmap(memory, BUFFERS * PAGE);
}

/* Large pages ----------------------------------------------------------------------------------------------------- */

/* As much in 2 MiB pages as can be had, up to 512 MiB; else in small ones. */
static struct weir_memory *new_large(struct machine *machine, struct weir_memory_chunk *ret_chunk)
{
	struct weir_memory_info info;
	struct weir_memory *memory;
	uint64_t len = 512 * MIB;
	int error;

	do {
		error = weir_memory_open(machine->first,
					 &WEIR_OPTS(weir_memory_opts, .page_size = 2 * MIB, .initial = len,
						    .flags = WEIR_MEMORY_EXACT_PAGES),
					 &memory);
		if (error)
			len /= 2;
	} while (error && len >= 32 * MIB);
	if (error) {
		len = 512 * MIB;
		check(weir_memory_open(machine->first,
				       &WEIR_OPTS(weir_memory_opts, .page_size = PAGE, .initial = len),
				       &memory));
	}
	check(weir_memory_info(memory, &info, sizeof(info)));
	check(weir_memory_chunk(memory, 0, ret_chunk));
	if (info.page_size != 2 * MIB || len != 512 * MIB)
		fprintf(stderr, "only %" PRIu64 " MiB of pages of %" PRIu64 " KiB could be had\n", len / MIB,
			info.page_size / 1024);
	return memory;
}

static void map_at(struct weir_ioas *ioas, const struct weir_memory_chunk *chunk, uint64_t iova,
		   struct row *row)
{
	struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = iova);
	uint64_t begin = now_ns();
	struct weir_map *map;

	check(weir_ioas_map_file(ioas, chunk->fd, 0, chunk->len, &opts, &map));
	series_add(&row->map, now_ns() - begin);
	begin = now_ns();
	check(weir_map_close(map));
	series_add(&row->unmap, now_ns() - begin);
}

static void measure_congruence(struct machine *machine, const struct weir_memory_chunk *chunk)
{
	struct row *congruent = new_row("large memory", "congruent", chunk->len, machine->rounds);
	struct row *incongruent = new_row("large memory", "incongruent", chunk->len, machine->rounds);
	/* The container goes by the address in the process, which is a multiple of the memory's pages. */
	for (unsigned int i = 0; i < machine->rounds; i++) {
		map_at(machine->first, chunk, CONGRUENT, congruent);
		map_at(machine->first, chunk, CONGRUENT + PAGE, incongruent);
	}
}

/* A second space -------------------------------------------------------------------------------------------------- */

static void share(struct weir_map *map, struct weir_ioas *ioas, struct row *row)
{
	uint64_t begin = now_ns();
	struct weir_map *shared;

	check(weir_map_share(map, ioas, NULL, &shared));
	series_add(&row->map, now_ns() - begin);
	begin = now_ns();
	check(weir_map_close(shared));
	series_add(&row->unmap, now_ns() - begin);
}

static void map_again(void *addr, uint64_t len, struct weir_ioas *ioas, struct row *row)
{
	const struct weir_map_range range = { addr, len };

	as_a_batch(ioas, &range, 1, row);
}

static void measure_sharing(struct machine *machine, void *addr, uint64_t len, const char *what)
{
	struct row *again = new_row(what, "mapped again", len, machine->rounds);
	struct row *shared = new_row(what, "shared", len, machine->rounds);
	struct weir_map *map;

	check(weir_ioas_map(machine->first, addr, len, NULL, &map));
	for (unsigned int i = 0; i < machine->rounds; i++) {
		map_again(addr, len, machine->second, again);
		share(map, machine->second, shared);
	}
	check(weir_map_close(map));
}

/* ----------------------------------------------------------------------------------------------------------------- */

static uint32_t backend_named(const char *name)
{
	for (uint32_t kind = WEIR_BACKEND_IOMMUFD; kind <= WEIR_BACKEND_COMPAT; kind++)
		if (!strcmp(name, weir_backend_name(kind)))
			return kind;
	errx(2, "there is no backend '%s'", name);
}

static void open_machine(struct machine *machine, char **argv)
{
	check(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend_named(argv[1])), &machine->host));
	check(weir_ioas_open(machine->host, NULL, &machine->first));
	check(weir_ioas_open(machine->host, NULL, &machine->second));
	check(weir_device_open(machine->first, argv[2], NULL, &machine->devices[0]));
	check(weir_device_open(machine->second, argv[3], NULL, &machine->devices[1]));
}

static void close_machine(struct machine *machine)
{
	check(weir_device_close(machine->devices[1]));
	check(weir_device_close(machine->devices[0]));
	check(weir_ioas_close(machine->second));
	check(weir_ioas_close(machine->first));
	check(weir_host_close(machine->host));
}

/* Each way beside the first one of the same thing: how many times as fast it is. */
static void print(const char *backend)
{
	const struct row *first = rows;

	fprintf(stderr, "%-8s %-22s %-32s %5s %11s %11s %9s %9s\n", backend, "what", "way", "MiB", "map us",
		"unmap us", "map", "both");
	printf("{\"benchmark\": \"map/together\", \"backend\": \"%s\", \"results\": [", backend);
	for (struct row *row = rows; row < rows + num_rows; row++) {
		double map, both;

		row->map_us = series_quantile(&row->map, 0.5) / 1000;
		row->unmap_us = series_quantile(&row->unmap, 0.5) / 1000;
		if (strcmp(row->what, first->what) != 0)
			first = row;
		map = first->map_us / row->map_us;
		both = (first->map_us + first->unmap_us) / (row->map_us + row->unmap_us);
		fprintf(stderr, "%-8s %-22s %-32s %5" PRIu64 " %11.0f %11.0f %9.2f %9.2f\n", "", row->what,
			row->way, row->bytes / MIB, row->map_us, row->unmap_us, map, both);
		printf("%s\n {\"what\": \"%s\", \"way\": \"%s\", \"bytes\": %" PRIu64
		       ", \"map_us\": %.1f, \"unmap_us\": %.1f, \"map_times_as_fast\": %.3f, "
		       "\"both_times_as_fast\": %.3f}",
		       row == rows ? "" : ",", row->what, row->way, row->bytes, row->map_us, row->unmap_us,
		       map, both);
		series_free(&row->map);
		series_free(&row->unmap);
	}
	printf("]}\n");
}

int main(int argc, char **argv)
{
	struct machine machine = { .rounds = argc > 4 ? (unsigned int)atoi(argv[4]) : 3 };
	struct weir_memory_chunk chunk;
	struct weir_memory *large;
	void *small;

	if (argc < 4 || argc > 5 || !machine.rounds)
		errx(2, "usage: weir-bench-map-together iommufd|type1|compat ADDRESS ADDRESS [ROUNDS]");
	open_machine(&machine, argv);
	measure_buffers(&machine);
	large = new_large(&machine, &chunk);
	measure_congruence(&machine, &chunk);
	measure_sharing(&machine, chunk.addr, chunk.len, "large, second space");
	check(weir_memory_close(large));
	small = new_memory(256 * MIB);
	measure_sharing(&machine, small, 256 * MIB, "small, second space");
	munmap(small, 256 * MIB);
	close_machine(&machine);
	print(argv[1]);
	return 0;
}
