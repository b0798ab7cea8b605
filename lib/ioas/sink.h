/* SPDX-License-Identifier: MIT */
/* Scratch memory that stray DMA goes to while a window is away. One serves a whole window: it is mapped again and again. */
#ifndef WEIR_IOAS_SINK_H
#define WEIR_IOAS_SINK_H

#include "backend/backend.h"

enum { WEIR_SINK_SIZE = 2 << 20 };

struct weir_sink {
	struct weir_backing backing; /* WEIR_SINK_SIZE bytes of a memfd */
	uint64_t pattern;
};

/* All its pages are brought in. -ENOMEM, -EMFILE, with a text. */
int weir_sink_open(const struct weir_sys *sys, struct weir_sink **ret_sink);
/* NULL is allowed. Runs to its end; the first error, with a text. */
int weir_sink_close(const struct weir_sys *sys, struct weir_sink *sink);

/* Make it such that a write would show; nothing else writes to it. */
void weir_sink_smooth(struct weir_sink *sink);

/* Has anything been written since? */
bool weir_sink_written(const struct weir_sink *sink);

#endif
