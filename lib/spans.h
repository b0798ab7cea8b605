/* SPDX-License-Identifier: MIT */
/* A few ranges of addresses. */
#ifndef WEIR_LIB_SPANS_H
#define WEIR_LIB_SPANS_H

#include <stdbool.h>

#include <weir/ioas.h>

/*
 * Add @range to @num ranges that ascend and lie apart, and stay so: it takes in those that it meets. There is room for @room at @ranges, of
 * which one stays free: when they are as many, the two closest become one, with what is between them. Returns how many there are.
 */
uint32_t weir_spans_add(struct weir_iova_range *ranges, uint32_t num, uint32_t room,
			struct weir_iova_range range);

/* Does [@start, @last] meet one of them? */
bool weir_spans_meet(const struct weir_iova_range *ranges, uint32_t num, uint64_t start, uint64_t last);

#endif
