/* SPDX-License-Identifier: MIT */
/* Running a batch: what is asked of each domain, and what those who carry it out have in common. */
#ifndef WEIR_INVAL_RUN_H
#define WEIR_INVAL_RUN_H

#include "inval/inval.h"

/* A batch's run for one domain. */
struct weir_inval_task {
	uint32_t policy; /* enum weir_inval_policy */
	uint32_t tries;

	/* One for each entry; it begins as done without a try. */
	struct weir_inval_outcome *outcomes;
	uint32_t state; /* enum weir_inval_state */
};

/* One thing to invalidate, of one or several entries of a batch. */
struct weir_inval_item {
	uint64_t iova, last;
	uint32_t id;   /* RANGE: ASID; CONTEXT: PASID */
	uint8_t kind;  /* enum weir_inval_kind */
	uint8_t flags; /* WEIR_INVAL_LEAF */
};

/*
 * Put the batch in order: inval->order has its entries' numbers then, so that those that become one item stand beside each other. Items begin at
 * *@at, which is moved on to the next; false: there is none any more.
 *
 * Everything stands first, and takes in all that is to be invalidated up to the next command of the kernel's own; then contexts; then ranges, by ASID and
 * address, which become one where they touch; then what is new; then the command.
 */
void weir_inval_sort(struct weir_inval *inval);
bool weir_inval_item(const struct weir_inval *inval, uint32_t *at, struct weir_inval_item *ret_item);

#endif
