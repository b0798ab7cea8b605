// SPDX-License-Identifier: MIT
/*
 * Stage-1 tables against a plain model, as an IOMMU walks them.
 *
 * The input chooses a format and what it has, and then calls one after the other: with any arguments, of which most lie close together. What they
 * return is as the model says; what the walker reaches is what the model has, with nothing less but where a large page was broken and the batch has not been run.
 * In the end all of it is unmapped, and no page is left.
 */
#include <stdlib.h>

#include "fuzz/input.h"
#include "support/stage1_model.h"
#include "support/yes_kernel.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

enum { BATCHES = 2, MOST_STEPS = 150, COMPARE_EVERY = 16 };

struct program {
	struct input in;
	struct yes_kernel yes;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_memory *memory;
	struct weir_stage1 *tables;
	struct weir_inval *batches[BATCHES];
	struct weir_stage1_opts opts;
	struct model model;
	struct walker walker;
};

/* Near the borders of pages of all sizes, and of what there is; or anything. */
static uint64_t an_address(struct program *p)
{
	const uint64_t end = (uint64_t)1 << p->model.address_bits;
	const uint64_t places[] = { 0,       2 * MIB,   4 * MIB, GIB,      2 * GIB,    512 * GIB,
				    end / 2, end - GIB, end,     -end / 2, -(2 * GIB), -(4 * KIB) };
	static const uint64_t units[] = { 4 * KIB, 2 * MIB, GIB };
	uint8_t where = in_u8(&p->in), how = in_u8(&p->in);

	if (where == 255)
		return in_u64(&p->in);
	return places[where % 12] + (uint64_t)(int64_t)(where / 12 % 8 - 3) * units[how % 3] +
	       (uint64_t)(how / 3 % 16) * 4 * KIB + (how >= 252 ? 1 : 0);
}

static uint64_t a_length(struct program *p)
{
	static const uint64_t lengths[] = { 4 * KIB,  4 * KIB, 8 * KIB,           12 * KIB,
					    64 * KIB, 2 * MIB, 2 * MIB + 4 * KIB, 4 * MIB,
					    MIB,      GIB,     GIB + 2 * MIB,     GIB - 4 * KIB,
					    3 * GIB,  0,       512 * GIB,         (uint64_t)1 << 47 };
	uint8_t byte = in_u8(&p->in);

	return byte == 255 ? in_u64(&p->in) : lengths[byte % 16];
}

static struct weir_inval *a_batch(struct program *p)
{
	return p->batches[in_below(&p->in, BATCHES)];
}

static void expect(const char *what, uint64_t iova, uint64_t len, int error, int expected)
{
	say("  %s %#lx, %#lx: %d", what, iova, len, error);
	if (error != expected)
		fail("%s %#lx, %#lx bytes: %d, and the model says %d", what, iova, len, error, expected);
}

/* Small pages take a page of tables for each 2 MiB: too much to try for what is long. */
static void map(struct program *p)
{
	uint64_t iova = an_address(p), len = a_length(p), ipa = iova & (512 * GIB - 1);
	uint8_t how = in_u8(&p->in);
	uint32_t prot = how >= 250 ? in_u32(&p->in) : how % 4;
	int error;

	if (how & 64)
		ipa += (how & 128 ? 2 * MIB : 3 * GIB);
	if (how % 16 == 15)
		ipa = an_address(p);
	if (len > 4 * GIB ||
	    (len > 128 * KIB && (p->opts.largest_page == 12 || ((ipa ^ iova) & (2 * MIB - 1)))))
		return;
	error = weir_stage1_map(p->tables, iova, ipa, len, prot, how & 4 ? a_batch(p) : NULL);
	say("  to %#lx", ipa);
	expect("map", iova, len, error, model_map(&p->model, iova, ipa, len, prot));
}

static void unmap(struct program *p)
{
	uint64_t iova = an_address(p), len = a_length(p);

	expect("unmap", iova, len, weir_stage1_unmap(p->tables, iova, len, a_batch(p)),
	       model_unmap(&p->model, iova, len));
}

static void protect(struct program *p)
{
	uint64_t iova = an_address(p), len = a_length(p);
	uint32_t prot = in_u8(&p->in) % 5;

	expect("protect", iova, len, weir_stage1_protect(p->tables, iova, len, prot, a_batch(p)),
	       model_protect(&p->model, iova, len, prot));
}

static void find(struct program *p)
{
	uint64_t iova = an_address(p) + in_u8(&p->in), ipa, left;
	const struct model_range *range = model_at(&p->model, iova);
	uint32_t prot;

	expect("find", iova, 0, weir_stage1_find(p->tables, iova, &ipa, &left, &prot), range ? 0 : -ENOENT);
	if (!range)
		return;
	CHECK(ipa == range->ipa + (iova - range->iova));
	CHECK(prot == (range->writes ? 3 : 1));
	range = model_at(&p->model, iova + left - 1);
	CHECK(range && ipa + left - 1 == range->ipa + (iova + left - 1 - range->iova));
}

static void compare(struct program *p)
{
	uint64_t where;
	const char *wrong = model_compare(&p->model, &p->walker, &where);

	if (wrong)
		fail("%s: IOVA %#lx", wrong, where);
}

/* One batch leaves what the other has broken as it is. */
static void run_batch(struct program *p)
{
	weir_inval_drop(a_batch(p));
}

static void run_batches(struct program *p)
{
	struct weir_stage1_info info;

	for (unsigned int i = 0; i < BATCHES; i++)
		weir_inval_drop(p->batches[i]);
	model_settle(&p->model);
	compare(p);
	weir_stage1_info(p->tables, &info, sizeof(info));
	CHECK(!info.waiting);
}

/* ---- */

static void begin(struct program *p)
{
	static const uint32_t widths[] = { 0, 0, 0, 48, 47, 39, 32, 25 }, pages[] = { 0, 12, 21, 30 },
			      outputs[] = { 0, 0, 48, 40 };
	uint8_t how = in_u8(&p->in);

	p->opts = WEIR_OPTS(weir_stage1_opts, .format = WEIR_STAGE1_X86_4 + how % 4,
			    .address_bits = widths[how / 4 % 8], .largest_page = pages[how / 32 % 4],
			    .output_bits = in_pick(&p->in, outputs));
	yes_kernel_init(&p->yes);
	CHECK(!weir_host_open(
		&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = &p->yes.table), &p->host));
	CHECK(!weir_ioas_open(p->host, NULL, &p->ioas));
	CHECK(!weir_memory_open(p->ioas, &WEIR_OPTS(weir_memory_opts, .page_size = 4096, .chunk = 512 * KIB),
				&p->memory));
	CHECK(!weir_stage1_open(p->memory, &p->opts, &p->tables));
	for (unsigned int i = 0; i < BATCHES; i++)
		CHECK(!weir_inval_open(NULL, &p->batches[i]));
	model_init(&p->model, &p->opts);
	walker_init(&p->walker, p->tables, p->memory);
}

static void end(struct program *p)
{
	uint64_t half = (uint64_t)1 << (p->model.address_bits - 1), least;
	struct weir_memory_info memory;
	struct weir_stage1_info info;

	CHECK(!weir_stage1_unmap(p->tables, 0, half, p->batches[0]));
	CHECK(!weir_stage1_unmap(p->tables, p->model.canonical ? -half : half, half, p->batches[1]));
	p->model.num = 0;
	run_batches(p);
	weir_stage1_info(p->tables, &info, sizeof(info));
	/* x86 has as many levels as ever: tables that could translate more than there are addresses stay. */
	least = info.descriptor ? 2 : 1;
	CHECK(info.num_pages >= least && info.num_pages <= least + (p->opts.address_bits ? 4 : 0));
	for (unsigned int i = 0; i < BATCHES; i++)
		CHECK(!weir_inval_close(p->batches[i]));
	weir_stage1_close(p->tables);
	CHECK(!weir_memory_info(p->memory, &memory, sizeof(memory)));
	CHECK(!memory.num_buffers);
	CHECK(!weir_memory_close(p->memory));
	CHECK(!weir_ioas_close(p->ioas));
	CHECK(!weir_host_close(p->host));
	yes_kernel_finish(&p->yes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct program *) = { map,   map,     map,  unmap,     unmap,
							   unmap, protect, find, run_batch, run_batches };
	static struct program p;

	p.in = (struct input){ data, data + size };
	begin(&p);
	for (unsigned int i = 0; i < MOST_STEPS && !in_empty(&p.in) && !model_is_full(&p.model); i++) {
		unsigned int step = in_below(&p.in, 10);

		say("step %u", step);
		steps[step](&p);
		if (i % COMPARE_EVERY == 0)
			compare(&p);
	}
	end(&p);
	return 0;
}
