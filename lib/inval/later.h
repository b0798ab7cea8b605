/* SPDX-License-Identifier: MIT */
/* What waits for a batch of invalidations: pages of tables, mappings of a space. */
#ifndef WEIR_INVAL_LATER_H
#define WEIR_INVAL_LATER_H

#include <weir/inval.h>

/*
 * @done is called once: when the entries that the batch has now are safe, so that nobody can go on using what was there before. It may give @later
 * back, or let it wait again.
 */
struct weir_later {
	struct weir_later *next;
	void (*done)(struct weir_later *later);
};

void weir_inval_later(struct weir_inval *inval, struct weir_later *later);

#endif
