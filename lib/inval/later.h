/* SPDX-License-Identifier: MIT */
/* What waits until nothing stale is left: for those who change tables, and have something to give back when a batch has been run. */
#ifndef WEIR_LIB_LATER_H
#define WEIR_LIB_LATER_H

#include <weir/inval.h>

/* Embedded in what waits. @done is called once, by the thread that ran or dropped the batch; it may free @later, and may not use the batch. */
struct weir_later {
	struct weir_later *next;
	void (*done)(struct weir_later *later);
};

/*
 * Let @later wait for @inval: done is called when every domain that it was run for is safe, or when it is dropped; in the order of these calls. It
 * waits for what is in the batch already, so what is to be invalidated first is added first.
 */
void weir_inval_later(struct weir_inval *inval, struct weir_later *later);

/* Room for @num entries more, so that adding them cannot fail (but for -ENOSPC, which this says too). Returns 0, -ENOMEM or -ENOSPC. */
int weir_inval_reserve(struct weir_inval *inval, uint32_t num);

#endif
