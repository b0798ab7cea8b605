// SPDX-License-Identifier: MIT
/*
 * What a mapping costs when it is a store, beside the system call that it spares.
 *
 *     weir-bench-nested                            on a simulated machine
 *     weir-bench-nested iommufd|type1 ADDRESS      on a device that is bound to vfio-pci
 *     weir-bench-nested --count                    32 times 256 pages, for callgrind (see `instructions`)
 *
 * By turns, a page of 4 KiB of a weir_memory, 256 of them at a time: mapped and unmapped by the bare system calls; by weir in a plain space; by weir in a
 * nested space, whose unmaps are flushed every 256; and stored into stage-1 tables at a given IOVA. Then batches of 1 to 4096 invalidations, and a shadow brought in
 * line with its tables. Figures are lower quartiles. Where the device's IOMMU does not nest, the nested space is that of a simulated machine: to map is no
 * system call in either, but what an unmap waits for is then the simulation's.
 *
 * A table goes to stderr, the same as JSON to stdout. Judged are: on a simulated machine, the map on a nested space (250 ns) and the store (40 ns), on a machine on
 * which a binary search among 1000 keys takes 10 ns, scaled for slower ones; on a device, that the bare call takes a hundred times as long as the store. Exits with
 * 1 when it is not like that.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/sim.h>
#include <weir/weir.h>

#include "bench/inval/measure.h"
#include "bench/memory/yardstick.h"
#include "bench/nested/bare.h"
#include "bench/series.h"

#define PAGE ((uint64_t)4096)
#define MIB  ((uint64_t)1 << 20)

/* Tables' IOVAs, and where shadows find theirs: what any of the machines addresses. */
#define IOVA ((uint64_t)1 << 32)

enum { PAGES = 256, ROUNDS = 41, COUNTED = 32 };

#define LIMIT_STORE 40.0
#define LIMIT_MAP   250.0
#define LIMIT_TIMES 100.0

static void check(int error)
{
	if (error)
		errx(1, "%s", weir_error());
}

/* Where one of the ways is measured: a host, a device in a space, and memory that is mapped there. */
struct place {
	struct weir_sim *sim; /* NULL: the real kernel */
	struct bare bare;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_memory *memory;
	struct weir_buffer buffer;
	uint32_t mode; /* of a nested space: enum weir_nested_mode */
	struct weir_map *maps[PAGES];
};

struct way {
	const char *name;
	struct series map, unmap;
	double map_ns, unmap_ns;
};

enum { BARE, PLAIN, NESTED, STORE, WAYS };

static void open_host(struct place *place, const char *backend)
{
	struct weir_host_opts opts = WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD);

	if (backend && !strcmp(backend, "type1"))
		opts.backend = WEIR_BACKEND_TYPE1;
	else if (backend && strcmp(backend, "iommufd") != 0)
		errx(2, "the backend is iommufd or type1, not '%s'", backend);
	if (!backend) {
		check(weir_sim_open(&WEIR_OPTS(weir_sim_opts, .iommu = WEIR_SIM_IOMMU_VTD), &place->sim));
		check(weir_sim_add_edu(place->sim, NULL, NULL, NULL));
	}
	bare_init(&place->bare, place->sim ? weir_sim_sys(place->sim) : weir_sys_real(),
		  opts.backend == WEIR_BACKEND_TYPE1);
	opts.sys = &place->bare.table;
	check(weir_host_open(&opts, &place->host));
}

static void open_memory(struct place *place)
{
	check(weir_memory_open(place->ioas, &WEIR_OPTS(weir_memory_opts, .initial = 4 * MIB),
			       &place->memory));
	check(weir_memory_alloc(place->memory, PAGES * PAGE, NULL, &place->buffer));
}

static void open_device(struct place *place, const char *address)
{
	check(weir_device_open(place->ioas, address ? address : "0000:00:01.0", NULL, &place->device));
}

static void open_plain(struct place *place, const char *backend, const char *address)
{
	open_host(place, backend);
	check(weir_ioas_open(place->host, NULL, &place->ioas));
	open_device(place, address);
	open_memory(place);
}

static void open_nested(struct place *place, const char *backend, const char *address, uint32_t mode)
{
	open_host(place, backend);
	check(weir_nested_space_open(
		place->host, &WEIR_OPTS(weir_nested_space_opts, .mode = mode, .defer = PAGES), &place->ioas));
	open_device(place, address);
	place->mode = mode;
	open_memory(place);
}

static void close_place(struct place *place)
{
	check(weir_memory_close(place->memory));
	check(weir_device_close(place->device));
	check(weir_ioas_close(place->ioas));
	check(weir_host_close(place->host));
	if (place->sim)
		check(weir_sim_close(place->sim));
}

/* Mappings --------------------------------------------------------------------------------------------------------- */

/* Their names are what callgrind is told to look for. */
void bench_map(struct place *place);
void bench_unmap(struct place *place);

__attribute__((noinline)) void bench_map(struct place *place)
{
	for (size_t i = 0; i < PAGES; i++)
		check(weir_ioas_map(place->ioas, (char *)place->buffer.addr + i * PAGE, PAGE, NULL,
				    &place->maps[i]));
}

/* With the last of them, a space that defers is through with all. */
__attribute__((noinline)) void bench_unmap(struct place *place)
{
	for (size_t i = 0; i < PAGES; i++)
		check(weir_map_close(place->maps[i]));
}

static void by_weir(struct place *place, struct way *way)
{
	uint64_t begin = now_ns(), between;

	bench_map(place);
	between = now_ns();
	bench_unmap(place);
	series_add(&way->map, between - begin);
	series_add(&way->unmap, now_ns() - between);
}

static void by_bare_calls(struct place *place, uint64_t iova, struct way *way)
{
	uint64_t begin = now_ns(), between;

	for (size_t i = 0; i < PAGES; i++)
		bare_map(&place->bare, (char *)place->buffer.addr + i * PAGE, PAGE, iova + i * PAGE);
	between = now_ns();
	for (size_t i = 0; i < PAGES; i++)
		bare_unmap(&place->bare, PAGE, iova + i * PAGE);
	series_add(&way->map, between - begin);
	series_add(&way->unmap, now_ns() - between);
}

struct field {
	struct weir_stage1 *tables;
	struct weir_inval *changes;
};

static void by_store(const struct field *field, uint64_t ipa, struct way *way)
{
	uint64_t begin = now_ns(), between;

	for (size_t i = 0; i < PAGES; i++)
		check(weir_stage1_map(field->tables, IOVA + i * PAGE, ipa + i * PAGE, PAGE,
				      WEIR_MAP_READ | WEIR_MAP_WRITE, NULL));
	between = now_ns();
	for (size_t i = 0; i < PAGES; i++)
		check(weir_stage1_unmap(field->tables, IOVA + i * PAGE, PAGE, field->changes));
	weir_inval_drop(field->changes);
	series_add(&way->map, between - begin);
	series_add(&way->unmap, now_ns() - between);
}

/* A place where nothing is mapped. */
static uint64_t free_range(struct place *place)
{
	struct weir_map *map;
	uint64_t iova;

	check(weir_ioas_map(place->ioas, place->buffer.addr, PAGES * PAGE, NULL, &map));
	bare_found(&place->bare);
	iova = weir_map_iova(map);
	check(weir_map_close(map));
	return iova;
}

static void open_field(struct field *field, struct weir_memory *memory)
{
	check(weir_stage1_open(memory, &WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_X86_4),
			       &field->tables));
	check(weir_inval_open(NULL, &field->changes));
}

static void close_field(struct field *field)
{
	check(weir_inval_close(field->changes));
	weir_stage1_close(field->tables);
}

static void measure_plain(const char *backend, const char *address, struct way ways[WAYS])
{
	struct place place = { 0 };
	struct field field;
	uint64_t iova;

	open_plain(&place, backend, address);
	open_field(&field, place.memory);
	iova = free_range(&place);
	for (int round = 0; round < ROUNDS; round++) {
		by_bare_calls(&place, iova, &ways[BARE]);
		by_weir(&place, &ways[PLAIN]);
		by_store(&field, place.buffer.iova, &ways[STORE]);
	}
	close_field(&field);
	close_place(&place);
}

/* Returns whether the hardware that is asked for nests; then also what its invalidations take. */
static bool nests(const char *backend, const char *address, struct inval_figure *figures)
{
	struct place place = { 0 };
	struct weir_domain *parent, *nested;
	uint32_t format;
	bool can;

	open_plain(&place, backend, address);
	can = weir_caps_check(place.device, WEIR_CAP_NEST) == 0;
	if (can) {
		check(weir_domain_open(place.device,
				       &WEIR_OPTS(weir_domain_opts, .flags = WEIR_DOMAIN_NEST_PARENT),
				       &parent));
		format = WEIR_STAGE1_X86_4;
		if (weir_domain_open_nested(parent, place.device,
					    &WEIR_OPTS(weir_nested_opts, .format = format), &nested)) {
			format = WEIR_STAGE1_ARM64_4K;
			check(weir_domain_open_nested(parent, place.device,
						      &WEIR_OPTS(weir_nested_opts, .format = format),
						      &nested));
		}
		check(inval_measure(nested, figures));
		check(weir_domain_close(nested));
		check(weir_domain_close(parent));
	}
	close_place(&place);
	return can;
}

static void measure_nested(const char *backend, const char *address, struct way *way)
{
	struct place place = { 0 };

	open_nested(&place, backend, address, WEIR_NESTED_HARDWARE);
	for (int round = 0; round < ROUNDS; round++)
		by_weir(&place, way);
	close_place(&place);
}

/* Shadow ----------------------------------------------------------------------------------------------------------- */

/* A change, and how long it takes a shadow to follow it, for a page: pages that are adjacent, and every second one. */
struct shadow {
	struct series map[2], unmap[2];
	double map_ns[2], unmap_ns[2];
};

static void run_shadow(struct weir_inval *changes, struct weir_domain *domain, struct series *series)
{
	uint64_t begin = now_ns();

	check(weir_inval_run(changes, &domain, 1, NULL));
	series_add(series, now_ns() - begin);
}

/* Every second page is a mapping of its own to the shadow; those that are adjacent here are not so there, else they would be one. */
static void change_tables(struct place *stage2, const struct field *field, struct weir_domain *domain,
			  struct shadow *shadow, int apart)
{
	const uint64_t step = apart ? 2 * PAGE : PAGE;

	for (size_t i = 0; i < PAGES; i++)
		check(weir_stage1_map(field->tables, IOVA + i * step, stage2->buffer.iova + i * PAGE, PAGE,
				      WEIR_MAP_READ | WEIR_MAP_WRITE, field->changes));
	run_shadow(field->changes, domain, &shadow->map[apart]);
	for (size_t i = 0; i < PAGES; i++)
		check(weir_stage1_unmap(field->tables, IOVA + i * step, PAGE, field->changes));
	run_shadow(field->changes, domain, &shadow->unmap[apart]);
}

static void measure_shadow(const char *backend, const char *address, struct shadow *shadow)
{
	struct place place = { 0 };
	struct weir_ioas *ordinary;
	struct weir_domain *domain;
	struct field field;

	open_host(&place, backend);
	check(weir_ioas_open(place.host, &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_LOOKUP), &place.ioas));
	check(weir_ioas_open(place.host, NULL, &ordinary));
	check(weir_device_open(ordinary, address ? address : "0000:00:01.0", NULL, &place.device));
	open_memory(&place);
	open_field(&field, place.memory);
	check(weir_domain_open_shadow(field.tables, place.ioas, ordinary, &domain));
	for (int round = 0; round < ROUNDS; round++) {
		change_tables(&place, &field, domain, shadow, 0);
		change_tables(&place, &field, domain, shadow, 1);
	}
	check(weir_domain_close(domain));
	close_field(&field);
	check(weir_device_close(place.device));
	place.device = NULL;
	check(weir_ioas_close(ordinary));
	close_place(&place);
}

/* Told ------------------------------------------------------------------------------------------------------------- */

static double lower(struct series *series)
{
	double ns = series_quantile(series, 0.25) / PAGES;

	series_free(series);
	return ns;
}

static void print_ways(struct way ways[WAYS], const char *where)
{
	fprintf(stderr, "a page of 4 KiB, %d at a time, ns (%s)\n%-44s %9s %9s %12s\n", PAGES, where, "",
		"map", "unmap", "bare / map");
	printf(" \"ways\": [");
	for (int i = 0; i < WAYS; i++) {
		ways[i].map_ns = lower(&ways[i].map);
		ways[i].unmap_ns = lower(&ways[i].unmap);
		fprintf(stderr, "%-44s %9.1f %9.1f %12.1f\n", ways[i].name, ways[i].map_ns, ways[i].unmap_ns,
			ways[BARE].map_ns / ways[i].map_ns);
		printf("%s\n  {\"way\": \"%s\", \"map_ns\": %.1f, \"unmap_ns\": %.1f}", i ? "," : "",
		       ways[i].name, ways[i].map_ns, ways[i].unmap_ns);
	}
	printf("\n ]");
}

static void print_inval(const char *where, const struct inval_figure figures[INVAL_SIZES])
{
	inval_print(stderr, where, figures);
	printf(",\n \"invalidation\": [");
	for (int i = 0; i < INVAL_SIZES; i++)
		printf("%s\n  {\"entries\": %u, \"batch_ns\": %.0f, \"calls_ns\": %.0f}", i ? "," : "",
		       figures[i].entries, figures[i].batch_ns, figures[i].calls_ns);
	printf("\n ]");
}

static void print_shadow(struct shadow *shadow)
{
	static const char *const names[] = { "adjacent", "every second" };

	fprintf(stderr, "a shadow follows, ns a page: pages, new, taken away\n");
	printf(",\n \"shadow\": [");
	for (int i = 0; i < 2; i++) {
		shadow->map_ns[i] = lower(&shadow->map[i]);
		shadow->unmap_ns[i] = lower(&shadow->unmap[i]);
		fprintf(stderr, "%-44s %9.1f %9.1f\n", names[i], shadow->map_ns[i], shadow->unmap_ns[i]);
		printf("%s\n  {\"pages\": \"%s\", \"new_ns\": %.1f, \"away_ns\": %.1f}", i ? "," : "",
		       names[i], shadow->map_ns[i], shadow->unmap_ns[i]);
	}
	printf("\n ]\n}\n");
}

static int judge(const struct way ways[WAYS], bool simulated)
{
	double slower, times = ways[BARE].map_ns / ways[STORE].map_ns;
	bool bad;

	if (!simulated) {
		bad = times < LIMIT_TIMES;
		fprintf(stderr, "a store takes a %.0fth of the bare call%s\n", times,
			bad ? ": less than a hundredth was wanted" : "");
		return bad;
	}
	slower = yardstick_slower(yardstick_search(1000));
	bad = ways[STORE].map_ns > LIMIT_STORE * slower || ways[NESTED].map_ns > LIMIT_MAP * slower;
	fprintf(stderr, "limits: store %.0f ns, map on a nested space %.0f ns%s\n", LIMIT_STORE * slower,
		LIMIT_MAP * slower, bad ? ": above" : "");
	return bad;
}

/* Many times, so that what the first one takes to make the tables does not show. */
static int count(void)
{
	struct place place = { 0 };

	open_nested(&place, NULL, NULL, WEIR_NESTED_HARDWARE);
	for (int i = 0; i < COUNTED; i++) {
		bench_map(&place);
		bench_unmap(&place);
	}
	close_place(&place);
	return 0;
}

int main(int argc, char **argv)
{
	const char *backend = argc == 3 ? argv[1] : NULL, *address = argc == 3 ? argv[2] : NULL;
	struct way ways[WAYS] = { { .name = "bare system call" },
				  { .name = "weir_ioas_map(), a plain space" },
				  { .name = "weir_ioas_map(), a nested space" },
				  { .name = "weir_stage1_map() at an IOVA" } };
	static struct inval_figure figures[INVAL_SIZES];
	struct shadow shadow = { 0 };
	const char *where;
	bool real;

	if (argc == 2 && !strcmp(argv[1], "--count"))
		return count();
	if (argc != 1 && argc != 3)
		errx(2, "usage: weir-bench-nested [iommufd|type1 ADDRESS | --count]");
	for (int i = 0; i < WAYS; i++) {
		series_init(&ways[i].map, ROUNDS);
		series_init(&ways[i].unmap, ROUNDS);
	}
	for (int i = 0; i < 2; i++) {
		series_init(&shadow.map[i], ROUNDS);
		series_init(&shadow.unmap[i], ROUNDS);
	}
	measure_plain(backend, address, ways);
	real = backend && nests(backend, address, figures);
	if (!real)
		nests(NULL, NULL, figures);
	measure_nested(real ? backend : NULL, real ? address : NULL, &ways[NESTED]);
	measure_shadow(backend, address, &shadow);
	where = real ? "nested in hardware" : "nested on a simulated machine";
	printf("{\n \"benchmark\": \"nested\", \"backend\": \"%s\", \"nested\": \"%s\",\n",
	       backend ? backend : "simulated", real ? "hardware" : "simulated");
	print_ways(ways, where);
	print_inval(where, figures);
	print_shadow(&shadow);
	return judge(ways, !backend);
}
