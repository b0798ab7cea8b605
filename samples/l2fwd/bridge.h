/* SPDX-License-Identifier: MIT */
/*
 * Two ports, and what comes in at one goes out at the other, unchanged: a bridge that learns nothing.
 *
 * A frame stays in the buffer that it was received into; both ports use one pool, in one address space. Functions return 0 or a
 * negative errno, and igb_error() tells more.
 */
#ifndef L2FWD_BRIDGE_H
#define L2FWD_BRIDGE_H

#include <igb/igb.h>

/* A port, and what has become of the frames that came in there. */
struct bridge_side {
	struct igb_port *port;
	struct igb_rx *rx;
	struct igb_tx *tx;
	uint64_t packets, bytes; /* sent on at the other side */
	uint64_t full;           /* not sent on: no room in the other side's queue */
	uint64_t bad; /* not sent on: damaged, or nothing that the other side's controller could send */
};

struct bridge {
	struct igb_pool *pool;
	struct bridge_side sides[2];
	bool polls;
};

struct bridge_opts {
	uint32_t max_frame; /* bytes, with check sequence; 0: 1522 */
	bool polls;         /* no interrupts */
};

/* Take charge of both devices, which are in the space of @memory. What is open after an error is closed by bridge_close(), too. */
int bridge_open(struct bridge *bridge, struct weir_device *const devices[2], struct weir_memory *memory,
		const struct bridge_opts *opts);

/* A burst in each direction. Never waits. Returns how many frames came in. */
int bridge_turn(struct bridge *bridge);

/* Nothing has come in: wait until something has, @timeout_ms at most, or a signal. Polling, that is not at all. */
int bridge_wait(struct bridge *bridge, int timeout_ms);

/* Let what is being sent end, and close both ports. Returns 0 or the first error. */
int bridge_close(struct bridge *bridge);

#endif
