/* SPDX-License-Identifier: MIT */
/*
 * What comes in at the port is written to the disk, from the first block on: each packet from the beginning of a block, in the order in
 * which they came. What is behind its end in its last block is anything.
 *
 * Functions return 0 (or a count) or a negative errno, after they have said on stderr what is wrong.
 */
#ifndef PACKET_DUMP_DUMP_H
#define PACKET_DUMP_DUMP_H

#include "packet-dump/pair.h"

/* Where a packet lies. */
struct dump_packet {
	uint64_t block;
	uint32_t len; /* bytes */
	uint32_t reserved;
};

struct dump {
	struct pair *pair;
	struct dump_packet *packets; /* in order */
	uint64_t most;               /* packets that there is room for */
	uint64_t taken, written;     /* packets: on their way to the disk, or there; there */
	uint64_t bytes;              /* of those taken */
	uint64_t next;               /* block */
	uint64_t bad;                /* damaged, or longer than a buffer, and thrown away */
	bool full;                   /* the disk is */
};

/* Begin, with room for @most packets. Ends with dump_close(), in any case. */
int dump_open(struct dump *dump, struct pair *pair, uint64_t most);
void dump_close(struct dump *dump);

/* Take what has come, and what has been written. Never waits. Returns how many of both. */
int dump_turn(struct dump *dump);

/* Wait until there is something to be done, @timeout_ms at most, or until a signal. */
int dump_wait(struct dump *dump, int timeout_ms);

/* As many packets as were wanted have been taken, or the disk is full. */
bool dump_done(const struct dump *dump);

/* Nothing more is taken: wait until what is on its way is on the medium. */
int dump_finish(struct dump *dump);

/* Takes @len bytes of a packet, in order; returns 0, or a negative errno to stop. */
typedef int (*dump_sink)(void *ctx, const void *data, size_t len);

/* Read the packets back from the disk, into host memory. */
int dump_read_back(struct dump *dump, dump_sink sink, void *ctx);

#endif
