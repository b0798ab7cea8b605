/* SPDX-License-Identifier: MIT */
/*
 * What is at the ends of the two wires on a simulated host: a port each, that sends numbered frames, and knows those that the other one sends.
 * Functions return 0 or a negative errno, and igb_error() or weir_error() tells more.
 */
#ifndef L2FWD_ENDS_H
#define L2FWD_ENDS_H

#include <igb/igb.h>
#include <weir/sim.h>

struct end {
	struct weir_device *device;
	struct igb_port *port;
	struct igb_pool *pool;
	struct igb_rx *rx;
	struct igb_tx *tx;
	uint64_t sent, received; /* frames; they are numbered from 0 on */
};

struct ends {
	struct end ends[2];
	uint32_t longest; /* bytes of a frame, at most */
};

/*
 * Four ports: the first two, at @ret_addresses, for a bridge; a wire from the first to the third, and from the second to the
 * fourth, which are the ends.
 */
int ends_simulate(struct weir_sim *sim, const char *ret_addresses[2], const char *ret_ends[2]);

/* Open the ends, in the space of @memory. What is open after an error is closed by ends_close(), too. */
int ends_open(struct ends *ends, struct weir_ioas *ioas, const char *const addresses[2],
	      struct weir_memory *memory, uint32_t max_frame);
int ends_close(struct ends *ends);

/*
 * A step: each end sends a frame, unless it has sent @count, or many that the other one has not got yet, or its queue is full; and takes what has come. -EBADMSG: that
 * is not what was to come next.
 */
int ends_step(struct ends *ends, uint64_t count);

/* Both have got @count frames. */
bool ends_done(const struct ends *ends, uint64_t count);

#endif
