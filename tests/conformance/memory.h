/* SPDX-License-Identifier: MIT */
/* What cases about DMA memory have in common. */
#ifndef TESTS_CONFORMANCE_MEMORY_H
#define TESTS_CONFORMANCE_MEMORY_H

#include "conformance/space.h"

/* Small pages, so that the case does not depend on how many large ones the machine has reserved. */
#define SMALL .page_size = PAGE

/* DMA memory, until the case ends; a buffer of it, which ends with it; and what it says of itself. */
struct weir_memory *new_dma_memory(struct t *t, struct weir_ioas *ioas, const struct weir_memory_opts *opts);
struct weir_buffer new_buffer(struct t *t, struct weir_memory *memory, uint64_t len,
			      const struct weir_buffer_opts *opts);
struct weir_memory_info memory_info(struct weir_memory *memory);

#endif
