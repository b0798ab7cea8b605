/* SPDX-License-Identifier: MIT */
/* Who sends the packets on a simulated host: a port at the other end of the wire. Functions return 0 or a negative errno; igb_error() tells more. */
#ifndef PACKET_DUMP_SENDER_H
#define PACKET_DUMP_SENDER_H

#include <igb/igb.h>

struct sender {
	struct weir_ioas *space;
	struct weir_device *device;
	struct weir_memory *memory;
	struct igb_port *port;
	struct igb_pool *pool;
	struct igb_tx *tx;
	uint64_t sent; /* packets */
};

int sender_open(struct sender *sender, struct weir_host *host, const char *address);
int sender_close(struct sender *sender);

/* The packets are numbered, each of another length. Returns that, and the bytes in @ret_frame, which has room for 1514. */
uint32_t sender_frame(uint64_t number, uint8_t *ret_frame);

/* Send the next, unless all buffers are on their way. */
int sender_send(struct sender *sender);

#endif
