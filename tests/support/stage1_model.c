// SPDX-License-Identifier: MIT
#include "support/stage1_model.h"

#include <errno.h>
#include <string.h>

#define PAGE ((uint64_t)4096)

void model_init(struct model *model, const struct weir_stage1_opts *opts)
{
	bool arm = opts->format == WEIR_STAGE1_ARM64_4K;
	uint32_t most = opts->format == WEIR_STAGE1_X86_5 ? 57 : 48;

	model->num = 0;
	model->away = false;
	model->address_bits = opts->address_bits ? opts->address_bits : most;
	model->output_bits = opts->output_bits ? opts->output_bits : arm ? 48 : 52;
	model->canonical = !arm && model->address_bits == most;
	model->breaks = arm;
}

static bool is_reachable(const struct model *model, uint64_t iova, uint64_t last)
{
	uint64_t half = (uint64_t)1 << (model->address_bits - 1);

	if (!model->canonical)
		return last < half * 2;
	return last < half || iova >= -half;
}

static int check(const struct model *model, uint64_t iova, uint64_t len)
{
	if (!len || iova % PAGE || len % PAGE)
		return -EINVAL;
	if (iova + len < len && iova + len)
		return -EOVERFLOW;
	return is_reachable(model, iova, iova + len - 1) ? 0 : -ERANGE;
}

const struct model_range *model_at(const struct model *model, uint64_t iova)
{
	for (unsigned int i = 0; i < model->num; i++)
		if (iova >= model->ranges[i].iova && iova <= model->ranges[i].last)
			return &model->ranges[i];
	return NULL;
}

bool model_is_full(const struct model *model)
{
	return model->num > MODEL_RANGES - 4;
}

static void add(struct model *model, uint64_t iova, uint64_t last, uint64_t ipa, bool writes)
{
	model->ranges[model->num++] = (struct model_range){ iova, last, ipa, writes };
}

int model_map(struct model *model, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot)
{
	int error = prot & ~3u ? -EINVAL : check(model, iova, len);
	uint64_t last = iova + len - 1;

	/* What is wrong with the IOVA comes first. */
	if (error)
		return error;
	if (ipa % PAGE)
		return -EINVAL;
	if (ipa + len < len && ipa + len)
		return -EOVERFLOW;
	if ((ipa + len - 1) >> model->output_bits)
		return -ERANGE;
	for (unsigned int i = 0; i < model->num; i++)
		if (model->ranges[i].iova <= last && model->ranges[i].last >= iova)
			return -EEXIST;
	add(model, iova, last, ipa, prot != WEIR_MAP_READ);
	return 0;
}

/* So that no range begins before @at and ends behind it. */
static void cut(struct model *model, uint64_t at)
{
	for (unsigned int i = 0; i < model->num; i++) {
		struct model_range *range = &model->ranges[i];

		if (range->iova >= at || range->last < at)
			continue;
		add(model, at, range->last, range->ipa + (at - range->iova), range->writes);
		range->last = at - 1;
		return;
	}
}

int model_unmap(struct model *model, uint64_t iova, uint64_t len)
{
	int error = check(model, iova, len);
	uint64_t last = iova + len - 1;

	if (error)
		return error;
	model->away = model->breaks;
	cut(model, iova);
	cut(model, iova + len);
	for (unsigned int i = 0; i < model->num;)
		if (model->ranges[i].iova >= iova && model->ranges[i].last <= last)
			model->ranges[i] = model->ranges[--model->num];
		else
			i++;
	return 0;
}

int model_protect(struct model *model, uint64_t iova, uint64_t len, uint32_t prot)
{
	int error = prot & ~3u ? -EINVAL : check(model, iova, len);
	uint64_t last = iova + len - 1, sum = 0;

	if (error)
		return error;
	cut(model, iova);
	cut(model, iova + len);
	for (unsigned int i = 0; i < model->num; i++)
		if (model->ranges[i].iova >= iova && model->ranges[i].last <= last)
			sum += model->ranges[i].last - model->ranges[i].iova + 1;
	if (sum != len)
		return -ENOENT;
	model->away = model->breaks;
	for (unsigned int i = 0; i < model->num; i++)
		if (model->ranges[i].iova >= iova && model->ranges[i].last <= last)
			model->ranges[i].writes = prot != WEIR_MAP_READ;
	return 0;
}

void model_settle(struct model *model)
{
	model->away = false;
}

/* The walker ------------------------------------------------------------------------------------------------------- */

static const uint64_t *memory_at(void *ctx, uint64_t ipa)
{
	struct weir_memory_chunk chunk;

	for (uint32_t i = 0; weir_memory_chunk(ctx, i, &chunk) == 0; i++)
		if (ipa >= chunk.iova && ipa - chunk.iova < chunk.len)
			return (const uint64_t *)((const char *)chunk.addr + (ipa - chunk.iova));
	return NULL;
}

void walker_init(struct walker *walker, const struct weir_stage1 *tables, struct weir_memory *memory)
{
	struct weir_stage1_info info;

	weir_stage1_info(tables, &info, sizeof(info));
	*walker = (struct walker){ .arm = info.format == WEIR_STAGE1_ARM64_4K,
				   .levels = info.format == WEIR_STAGE1_X86_5 ? 5 : 4,
				   .largest = 30,
				   .root = info.descriptor ? info.descriptor : info.root,
				   .at = memory_at,
				   .ctx = memory };
}

struct comparison {
	const struct model *model;
	const struct model_range *range; /* that the last page was in: mostly the next one is, too */
	const char *wrong;
	uint64_t where, sum;
};

/* A page may belong to more than one range: they follow each other. */
static void compare_page(void *ctx, const struct walk_page *page)
{
	struct comparison *comparison = ctx;
	uint64_t inside = 0;

	while (inside < page->size && !comparison->wrong) {
		const struct model_range *range = comparison->range;

		comparison->where = page->iova + inside;
		if (!range || comparison->where < range->iova || comparison->where > range->last)
			range = model_at(comparison->model, comparison->where);
		comparison->range = range;
		if (!range) {
			comparison->wrong = "a device reaches what is not mapped";
			return;
		}
		if (page->ipa + inside != range->ipa + (page->iova + inside - range->iova))
			comparison->wrong = "a device is led elsewhere";
		if (page->writes != range->writes)
			comparison->wrong = "a device may do something else";
		inside = range->last - page->iova + 1;
		if (range->last >= page->iova + page->size - 1)
			inside = page->size;
	}
	comparison->sum += page->size;
}

static const char *find_missing(const struct model *model, struct walker *walker, uint64_t *ret_where)
{
	for (unsigned int i = 0; i < model->num; i++) {
		const struct model_range *range = &model->ranges[i];

		for (uint64_t at = range->iova;;) {
			struct walk_page page;
			uint64_t end;

			*ret_where = at;
			if (!walk_one(walker, at, &page))
				return "a device does not reach what is mapped";
			end = at | (page.size - 1);
			if (end >= range->last)
				break;
			at = end + 1;
		}
	}
	return "more is mapped than was asked for";
}

const char *model_compare(struct model *model, struct walker *walker, uint64_t *ret_where)
{
	struct comparison comparison = { .model = model };
	uint64_t sum = 0;

	walk_all(walker, compare_page, &comparison);
	*ret_where = comparison.where;
	if (walker->complaint || comparison.wrong)
		return walker->complaint ? walker->complaint : comparison.wrong;
	for (unsigned int i = 0; i < model->num; i++)
		sum += model->ranges[i].last - model->ranges[i].iova + 1;
	if (sum == comparison.sum || (sum > comparison.sum && model->away))
		return NULL;
	return find_missing(model, walker, ret_where);
}
