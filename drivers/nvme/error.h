/* SPDX-License-Identifier: MIT */
/* The text behind nvme_error(). Internal. */
#ifndef NVME_ERROR_H
#define NVME_ERROR_H

#include "common/detail.h"

extern _Thread_local char nvme_detail[DETAIL_SIZE];

/* Set the text, and be the error: return fail(-EIO, "..."). */
#define fail(error, ...) detail_fail(nvme_detail, error, __VA_ARGS__)

#endif
