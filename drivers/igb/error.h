/* SPDX-License-Identifier: MIT */
/* The text behind igb_error(). Internal. */
#ifndef IGB_ERROR_H
#define IGB_ERROR_H

#include "common/detail.h"

extern _Thread_local char igb_detail[DETAIL_SIZE];

/* Set the text, and be the error: return fail(-EIO, "..."). */
#define fail(error, ...) detail_fail(igb_detail, error, __VA_ARGS__)

#endif
