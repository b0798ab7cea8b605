/* SPDX-License-Identifier: MIT */
/* Memory brought in, by several threads if the caller wants that. */
#ifndef WEIR_MEMORY_FILL_H
#define WEIR_MEMORY_FILL_H

#include "memory/memory.h"

/* Bring in @len bytes at @addr, in pieces, telling the progress. -ENOMEM: there are not so many pages. */
int weir_fill(struct weir_memory *memory, void *addr, uint64_t len);

#endif
