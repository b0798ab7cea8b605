/* SPDX-License-Identifier: MIT */
/*
 * What tables of stage 1 are to say: a list of what is mapped, in no order. And a machine to hold the library's tables against it: memory that is not any device's,
 * and the walker on it.
 */
#ifndef TESTS_SUPPORT_STAGE1_MODEL_H
#define TESTS_SUPPORT_STAGE1_MODEL_H

#include <weir/weir.h>

#include "support/stage1_walk.h"

enum { MODEL_RANGES = 2048 };

struct model_range {
	uint64_t iova, last, ipa;
	bool writes;
};

struct model {
	uint32_t address_bits, output_bits; /* what it has: never 0 */
	bool canonical, breaks;
	bool away; /* pieces of large pages that were divided may be missing, until the batch is run */
	unsigned int num;
	struct model_range ranges[MODEL_RANGES];
};

void model_init(struct model *model, const struct weir_stage1_opts *opts);

/* What the calls are to return; and it is so. Not more often than there is room for: model_is_full(). */
int model_map(struct model *model, uint64_t iova, uint64_t ipa, uint64_t len, uint32_t prot);
int model_unmap(struct model *model, uint64_t iova, uint64_t len);
int model_protect(struct model *model, uint64_t iova, uint64_t len, uint32_t prot);
bool model_is_full(const struct model *model);

/* The batch has been run: nothing is missing any more. */
void model_settle(struct model *model);

/* NULL: nothing is mapped there. */
const struct model_range *model_at(const struct model *model, uint64_t iova);

/* A walker for tables in @memory, which outlives it. */
void walker_init(struct walker *walker, const struct weir_stage1 *tables, struct weir_memory *memory);

/* What is wrong with the tables, or NULL. @ret_where: an IOVA that shows it. */
const char *model_compare(struct model *model, struct walker *walker, uint64_t *ret_where);

#endif
