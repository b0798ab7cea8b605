/* SPDX-License-Identifier: MIT */
/* What a bridge has done, on a line that is redrawn in place while it works, and in words at the end. */
#ifndef L2FWD_LIVE_H
#define L2FWD_LIVE_H

#include "l2fwd/bridge.h"

struct live {
	bool shown;
	const char *const *addresses;
	double start, last_drawn;
	uint64_t packets[2], bytes[2]; /* then */
};

void live_start(struct live *live, bool shown, const char *const addresses[2]);

/* Draw, if it is time to. */
void live_at(struct live *live, const struct bridge *bridge);

/* Wipe the line. */
void live_end(struct live *live);

/* A line for each direction on stdout, with what the controllers have counted as lost. */
void live_print(const struct live *live, const struct bridge *bridge);

#endif
