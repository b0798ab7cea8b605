/* SPDX-License-Identifier: MIT */
/* Bus addresses at which a group's devices answer before the IOMMU. */
#ifndef WEIR_REACH_DIVERTED_H
#define WEIR_REACH_DIVERTED_H

#include <weir/reach.h>

/*
 * What IOVAs for the group of the device at @address are to keep clear of: all that its devices answer at, or nothing if it is alone. @ranges: as
 * weir_spans_add(). 0 or an error with a text.
 */
int weir_diverted_read(const struct weir_sys *sys, uint32_t group, const char *address,
		       struct weir_iova_range *ranges, uint32_t room, uint32_t *ret_num);

#endif
