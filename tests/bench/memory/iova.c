// SPDX-License-Identifier: MIT
/*
 * What choosing IOVAs and keeping the table of mappings costs, beside yardsticks of the same run (yardstick.h).
 *
 *     weir-bench-memory-iova [MOST]
 *
 * Absolute limits, at 1k ranges, are scaled by how much slower the machine is than the one that they are meant for. With many ranges or
 * holes, three dependent cache misses may come on top, in memory of the size that the tables then have; as many as holes are looked at where all that
 * there is looks as if it would do, and does not. The times are the best of several
 * rounds, of this thread's processor time. A table goes to stderr, the same as JSON to stdout; exits with 1 above the limits.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "bench/memory/random.h"
#include "bench/memory/yardstick.h"
#include "ioas/ioas.h"
#include "support/yes_kernel.h"

enum { PAGE = 4096, LARGE = 2 << 20, SIZES = 4, MILLION = 1 << 20, ROUNDS = 3, STEPS = 1 << 18 };

static const size_t sizes[SIZES] = { 1000, 16384, 100000, MILLION };
static const uint64_t four_gib = 0x100000000;

static double slower;
static size_t most = SIZE_MAX;
static bool within = true, any;

static size_t table_bytes(const struct weir_iova *iova)
{
	return sizeof(*iova) + iova->num_segments * iova->segment_size;
}

/* Limits are for 1k and 1M. What lies between is shown beside the same. */
static bool strict(int size)
{
	return size == 0 || size == SIZES - 1;
}

static void report(const char *name, size_t num, double ns, double limit, bool is_strict, double miss)
{
	bool good = ns <= limit;

	within = within && (good || !is_strict);
	fprintf(stderr, "%-52s %8zu %9.1f %9.1f%c %9.1f%s\n", name, num, ns, limit, is_strict ? ' ' : '*',
		miss, good || !is_strict ? "" : "  above its limit");
	printf("%s {\"what\": \"%s\", \"num\": %zu, \"ns\": %.1f, \"limit_ns\": %.1f, \"is_limit\": %s, "
	       "\"miss_ns\": %.1f}",
	       any ? ",\n" : "", name, num, ns, limit, is_strict ? "true" : "false", miss);
	any = true;
}

/* Measured again when the size is another. */
static double miss_in(size_t bytes)
{
	static size_t last_bytes;
	static double last;

	if (bytes > last_bytes + last_bytes / 8 || bytes < last_bytes - last_bytes / 8)
		last = yardstick_miss(bytes, true);
	else
		return last;
	last_bytes = bytes;
	return last;
}

static double miss_of(const struct weir_iova *iova)
{
	return miss_in(table_bytes(iova));
}

/* Half of all are one page; each further power of two has half as many, up to 64 MiB; and any number of pages in between. */
static uint64_t draw_len(void)
{
	unsigned int order = (unsigned int)__builtin_ctzll(random_below(1 << 14) | 1 << 14);

	return ((uint64_t)1 << order) * PAGE + (order ? random_below((uint64_t)1 << order) * PAGE : 0);
}

/* Ranges that are taken, and what to do with them: those at slots[] go, and ranges of lens[] come in their place. */
struct churn {
	struct weir_iova *iova;
	struct weir_segment **live;
	size_t num;
	uint64_t limit;
	uint32_t *slots;
	uint64_t *lens, *remainders;
};

/* As weir_ioas_map() does it; NULL: there is no room. */
static struct weir_segment *take(struct weir_iova *iova, uint64_t len, uint64_t remainder, uint64_t limit)
{
	struct weir_iova_wish wish = {
		.len = len, .align = LARGE, .remainder = remainder & (LARGE - 1), .limit = limit
	};
	struct weir_segment *segment;

	if (len >= LARGE && !weir_iova_take(iova, &wish, &segment))
		return segment;
	wish.align = PAGE;
	wish.remainder = 0;
	wish.exhaustive = true;
	return weir_iova_take(iova, &wish, &segment) ? NULL : segment;
}

static struct weir_iova *new_iova(uint64_t start)
{
	struct weir_iova *iova = calloc(1, sizeof(*iova));

	if (!iova || weir_iova_init(iova, sizeof(struct weir_map)))
		errx(1, "no memory");
	weir_iova_allow(iova, &(struct weir_iova_range){ start, (1ull << 57) - 1 }, 1, PAGE);
	return iova;
}

static void free_iova(struct weir_iova *iova)
{
	weir_iova_finish(iova);
	free(iova);
}

/* @num random ranges. */
static struct churn new_churn(struct weir_iova *iova, size_t num, uint64_t limit)
{
	struct churn churn = { .iova = iova, .num = num, .limit = limit };

	churn.live = calloc(num, sizeof(*churn.live));
	churn.slots = calloc(STEPS, sizeof(*churn.slots));
	churn.lens = calloc(STEPS, sizeof(*churn.lens));
	churn.remainders = calloc(STEPS, sizeof(*churn.remainders));
	if (!churn.live || !churn.slots || !churn.lens || !churn.remainders)
		errx(1, "no memory");
	for (size_t i = 0; i < num; i++)
		churn.live[i] = take(iova, draw_len(), random_below(512) * PAGE, limit);
	return churn;
}

static void free_churn(struct churn *churn)
{
	for (size_t i = 0; i < churn->num; i++)
		if (churn->live[i])
			weir_iova_give(churn->iova, churn->live[i]);
	free(churn->live);
	free(churn->slots);
	free(churn->lens);
	free(churn->remainders);
}

/* Its name is for callgrind. */
void bench_churn(struct churn *churn);

__attribute__((noinline)) void bench_churn(struct churn *churn)
{
	for (size_t i = 0; i < STEPS; i++) {
		struct weir_segment **slot = &churn->live[churn->slots[i]];

		/* The array is not the allocator's. */
		__builtin_prefetch(&churn->live[churn->slots[i + 16 < STEPS ? i + 16 : i]], 1);
		if (*slot)
			weir_iova_give(churn->iova, *slot);
		*slot = take(churn->iova, churn->lens[i], churn->remainders[i], churn->limit);
	}
}

static double time_churn(struct churn *churn)
{
	double begin;

	for (size_t i = 0; i < STEPS; i++) {
		churn->slots[i] = (uint32_t)random_below(churn->num);
		churn->lens[i] = draw_len();
		churn->remainders[i] = random_below(512) * PAGE;
	}
	begin = yardstick_now();
	bench_churn(churn);
	return (yardstick_now() - begin) / STEPS;
}

static double best_churn(struct churn *churn, int warm_up, int rounds)
{
	double least = 1e30;

	while (warm_up--)
		time_churn(churn);
	while (rounds--) {
		double took = time_churn(churn);

		least = took < least ? took : least;
	}
	return least;
}

/* Returns what it takes at 1k. */
static double measure_live(void)
{
	double first = 0;

	for (int size = 0; size < SIZES && sizes[size] <= most; size++) {
		struct weir_iova *iova = new_iova(four_gib);
		struct churn churn = new_churn(iova, sizes[size], UINT64_MAX);
		double ns = best_churn(&churn, 1 + (int)(4 * sizes[size] / STEPS), ROUNDS),
		       miss = miss_of(iova);

		report("allocate + free, random order: live ranges", sizes[size], ns,
		       size ? first + 3 * miss : 100 * slower, strict(size), miss);
		if (!size)
			first = ns;
		free_churn(&churn);
		free_iova(iova);
	}
	return first;
}

/* Only the last of many ranges that may be chosen from is large. */
static void measure_ranges(void)
{
	enum { RANGES = 31 };
	struct weir_iova *iova = new_iova(four_gib);
	struct weir_iova_range ranges[RANGES];
	struct churn churn;
	double ns, miss;

	for (uint64_t i = 0; i < RANGES; i++) {
		ranges[i].start = 2 * four_gib + i * LARGE;
		ranges[i].last = ranges[i].start + (i + 1 < RANGES ? PAGE : four_gib) - 1;
	}
	weir_iova_allow(iova, ranges, RANGES, PAGE);
	churn = new_churn(iova, 1000, UINT64_MAX);
	ns = best_churn(&churn, 1, ROUNDS);
	miss = miss_of(iova);
	report("allocate + free, random order: the last of 31 ranges", 1000, ns, 100 * slower, true, miss);
	free_churn(&churn);
	free_iova(iova);
}

/* Every second of many ranges goes, whose lengths are mixed or all alike. */
static struct weir_iova *with_holes(size_t num, bool mixed)
{
	struct weir_iova *iova = new_iova(0x100000);
	uint64_t at = four_gib;

	for (size_t i = 0; i < num; i++) {
		uint64_t len = mixed ? draw_len() : PAGE;
		struct weir_segment *segment;

		at += len;
		len = mixed ? draw_len() : PAGE;
		if (weir_iova_take_fixed(iova, at, at + len - 1, &segment))
			errx(1, "no memory");
		at += len;
	}
	return iova;
}

static void measure_holes(double at_1k)
{
	static const char *const names[] = { "allocate + free, random order: holes of a page",
					     "allocate + free, random order: holes of mixed sizes" };

	for (int mixed = 0; mixed < 2; mixed++) {
		size_t num = most < MILLION ? most : MILLION;
		struct weir_iova *iova = with_holes(num, mixed);
		struct churn churn = new_churn(iova, 1000, UINT64_MAX),
			     low = new_churn(iova, 1000, (1 << 28) - 1);
		double ns = 1e30, limited = 1e30, miss = miss_of(iova);

		/* In turns, so that what else the machine does meets both. */
		for (int round = 0; round < 2 * ROUNDS; round++) {
			double took = best_churn(&churn, 0, 1), took_low = best_churn(&low, 0, 1);

			ns = took < ns ? took : ns;
			limited = took_low < limited ? took_low : limited;
		}
		report(names[mixed], num, ns, at_1k + 3 * miss, true, miss);
		report("  the same below 28 bits, beneath them", num, limited, 2 * ns, true, miss);
		free_churn(&low);
		free_churn(&churn);
		free_iova(iova);
	}
}

/* A space with holes of one kind and nothing else, and what is wished of it. */
struct trap {
	const char *name;
	uint64_t hole, gap; /* lengths of the holes, and of what is taken between them */
	uint64_t begin;     /* where the first hole begins */
	struct weir_iova_wish wish;
	unsigned int looks; /* how many holes may be looked at */
};

static const struct trap traps[] = {
	{ "holes of 8 pages, 9 are wished",
	  8 * PAGE,
	  PAGE,
	  1ull << 36,
	  { .len = 9 * PAGE, .align = PAGE, .limit = UINT64_MAX, .exhaustive = true },
	  WEIR_BIN_LOOKS },
	{ "holes of 2 MiB, a page more is wished",
	  LARGE,
	  PAGE,
	  1ull << 36,
	  { .len = LARGE + PAGE, .align = PAGE, .limit = UINT64_MAX, .exhaustive = true },
	  WEIR_BIN_MANY_LOOKS },
	{ "holes of a page, 1 GiB congruent modulo 1 GiB",
	  PAGE,
	  PAGE,
	  1ull << 36,
	  { .len = 1 << 30, .align = 1 << 30, .remainder = 5 * PAGE, .limit = UINT64_MAX },
	  WEIR_BIN_LOOKS },
	{ "holes of 3 MiB that all lie wrongly modulo 2 MiB",
	  3 << 20,
	  LARGE + (LARGE - (3 << 20) % LARGE),
	  (1ull << 36) + PAGE,
	  { .len = 3 << 20, .align = LARGE, .limit = UINT64_MAX },
	  WEIR_BIN_LOOKS },
	{ "holes above the limit, inside of a stretch",
	  PAGE,
	  PAGE,
	  1ull << 36,
	  { .len = PAGE, .align = PAGE, .limit = (1ull << 36) - 1, .exhaustive = true },
	  WEIR_BIN_LOOKS },
};

/* From the first hole to the last nothing is free but they, and outside of that nothing may be chosen. */
static void measure_trap(const struct trap *trap, double at_1k)
{
	const int tries = (1 << 16) / (int)trap->looks;
	struct weir_iova *iova = new_iova(four_gib);
	size_t num = most < MILLION ? most : MILLION;
	uint64_t at = trap->begin;
	double least = 1e30, miss;

	for (size_t i = 0; i < num; i++, at += trap->hole + trap->gap) {
		uint64_t start = at + trap->hole;
		struct weir_segment *segment;

		if (weir_iova_take_fixed(iova, start, start + trap->gap - 1, &segment))
			errx(1, "no memory");
	}
	weir_iova_allow(iova, &(struct weir_iova_range){ trap->begin - LARGE, at - 1 }, 1, PAGE);
	if (weir_iova_take_fixed(iova, trap->begin - LARGE, trap->begin - 1,
				 &(struct weir_segment *){ NULL }))
		errx(1, "no memory");
	for (int round = 0; round < ROUNDS; round++) {
		double begin = yardstick_now(), took;

		for (int i = 0; i < tries; i++) {
			struct weir_segment *segment;

			if (!weir_iova_take(iova, &trap->wish, &segment))
				errx(1, "%s: found", trap->name);
		}
		took = (yardstick_now() - begin) / tries;
		least = took < least ? took : least;
	}
	miss = miss_of(iova);
	report(trap->name, num, least, at_1k + trap->looks * miss, true, miss);
	free_iova(iova);
}

/* Mappings of a page each that are made in a row, and taken back in some order: by their handles, or by where they are. */
struct row {
	struct weir_ioas *ioas;
	size_t num;
	struct weir_map **maps;
	uint64_t *iovas;
	uint32_t *order;
	bool by_iova;
};

/* Its name is for callgrind. */
void bench_row(struct row *row);

__attribute__((noinline)) void bench_row(struct row *row)
{
	for (size_t i = 0; i < row->num; i++) {
		if (weir_ioas_map(row->ioas, (void *)(0x100000000000 + i * PAGE), PAGE, NULL, &row->maps[i]))
			errx(1, "%s", weir_error());
		row->iovas[i] = weir_map_iova(row->maps[i]);
	}
	for (size_t i = 0; i < row->num; i++)
		if (row->by_iova ? weir_ioas_unmap(row->ioas, row->iovas[row->order[i]], PAGE)
				 : weir_map_close(row->maps[row->order[i]]))
			errx(1, "%s", weir_error());
}

static double best_row(struct row *row)
{
	size_t times = 1 + STEPS / row->num;
	double least = 1e30;

	for (int round = 0; round < ROUNDS; round++) {
		double begin = yardstick_now(), took;

		for (size_t i = 0; i < times; i++)
			bench_row(row);
		took = (yardstick_now() - begin) / (double)(times * row->num);
		least = took < least ? took : least;
	}
	return least;
}

enum order { OLDEST_FIRST, NEWEST_FIRST, ANY_ORDER, BY_IOVA, ORDERS };

static void put_in_order(struct row *row, enum order order)
{
	row->by_iova = order == BY_IOVA;
	for (size_t i = 0; i < row->num; i++)
		row->order[i] = (uint32_t)(order == NEWEST_FIRST ? row->num - 1 - i : i);
	if (order < ANY_ORDER)
		return;
	for (size_t i = row->num - 1; i > 0; i--) {
		size_t other = random_below(i + 1);
		uint32_t at = row->order[i];

		row->order[i] = row->order[other];
		row->order[other] = at;
	}
}

static void measure_row(struct row *row, enum order order)
{
	static const char *const names[ORDERS] = { "map + unmap, oldest first", "map + unmap, newest first",
						   "map + unmap, random order",
						   "map + unmap by IOVA, random order" };
	double first = 0;

	for (int size = 0; size < SIZES && sizes[size] <= most; size++) {
		double ns, miss;

		row->num = sizes[size];
		put_in_order(row, order);
		ns = best_row(row);
		miss = miss_in(sizeof(*row->ioas) + row->num * row->ioas->iova.segment_size);
		report(names[order], row->num, ns, size ? first + 3 * miss : 400 * slower,
		       order < ANY_ORDER && strict(size), miss);
		if (!size)
			first = ns;
	}
}

static void measure_bookkeeping(void)
{
	static struct yes_kernel yes;
	struct row row = { .maps = calloc(MILLION, sizeof(*row.maps)),
			   .iovas = calloc(MILLION, sizeof(*row.iovas)),
			   .order = calloc(MILLION, sizeof(*row.order)) };
	struct weir_host *host;
	struct weir_device *device;

	if (!row.maps || !row.iovas || !row.order)
		errx(1, "no memory");
	yes_kernel_init(&yes);
	if (weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = &yes.table),
			   &host) ||
	    weir_ioas_open(host, NULL, &row.ioas) || weir_device_open(row.ioas, YES_ADDRESS_0, NULL, &device))
		errx(1, "%s", weir_error());
	for (int order = 0; order < ORDERS; order++)
		measure_row(&row, (enum order)order);
	weir_device_close(device);
	weir_ioas_close(row.ioas);
	weir_host_close(host);
	yes_kernel_finish(&yes);
	free(row.maps);
	free(row.iovas);
	free(row.order);
}

int main(int argc, char **argv)
{
	double search, at_1k;

	if (argc > 1)
		most = strtoul(argv[1], NULL, 0);
	printf("{\"benchmark\": \"memory/iova\", \"results\": [\n");
	for (int size = 0; size < SIZES && sizes[size] <= most; size++) {
		search = yardstick_search(sizes[size]);
		if (!size)
			slower = yardstick_slower(search);
		fprintf(stderr, "yardstick: a binary search of %zu keys takes %.1f ns\n", sizes[size],
			search);
		printf("%s {\"what\": \"yardstick\", \"num\": %zu, \"ns\": %.1f}", any ? ",\n" : "",
		       sizes[size], search);
		any = true;
	}
	fprintf(stderr, "limits are scaled by %.2f\n\n%-52s %8s %9s %9s %9s\n", slower,
		"ns (*: no limit, the same sum)", "num", "takes", "limit", "a miss");
	at_1k = measure_live();
	measure_ranges();
	measure_holes(at_1k);
	for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++)
		measure_trap(&traps[i], at_1k);
	measure_bookkeeping();
	printf("],\n \"slower\": %.2f, \"within\": %s}\n", slower, within ? "true" : "false");
	return !within;
}
