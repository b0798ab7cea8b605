/* SPDX-License-Identifier: MIT */
/* What goes over a socket: between the two sides of a hand-over, and to a keeper. One message each, with descriptors. */
#ifndef WEIR_JOURNAL_WIRE_H
#define WEIR_JOURNAL_WIRE_H

#include <stdint.h>

#include <weir/sys.h>

enum weir_wire_type {
	WEIR_WIRE_HELLO = 1,  /* giver, keeper's client: the journal; num: how many descriptors follow */
	WEIR_WIRE_FDS,        /* giver: some of these, with their numbers */
	WEIR_WIRE_TAKEN,      /* taker: it has all, and what is charged is its */
	WEIR_WIRE_REFUSED,    /* taker: why not */
	WEIR_WIRE_DONE,       /* taker: the commit point */
	WEIR_WIRE_TAKEN_BACK, /* giver: it has waited long enough */
	WEIR_WIRE_DROP,  /* keeper's client: a descriptor is to be closed; the keeper answers with the same */
	WEIR_WIRE_READY, /* taker: all is in order so far; giver: then take what is charged */
};

enum { WEIR_WIRE_MAGIC = 0x52494557, WEIR_WIRE_VERSION = 1, WEIR_WIRE_FDS_AT_ONCE = 253 };

struct weir_wire {
	uint32_t magic;
	uint16_t version, type;
	uint32_t num;
	uint32_t reserved;
	union {
		uint32_t numbers[256];
		uint64_t sum; /* HELLO of a hand-over: weir_description_sum() */
		char text[1024];
	};
};

/*
 * Send one. 0; -EPIPE, the other end is closed; -ETIMEDOUT; or another errno. Without a text.
 */
int weir_wire_send(const struct weir_sys *sys, int socket, const struct weir_wire *message, const int *fds,
		   uint32_t num_fds, int timeout_ms);

/* One end for several of these: when @timeout_ms are over; and how many are left until then, at least 0, which is a look at what is there. */
int64_t weir_wire_deadline(int timeout_ms);
int weir_wire_left(int64_t deadline);

/* Send one that is only a word. */
int weir_wire_say(const struct weir_sys *sys, int socket, enum weir_wire_type type, const char *text);

/*
 * Receive one: up to *@num_fds descriptors, close-on-exec; *@num_fds: out, how many came. -EPIPE, the other end is closed; -ETIMEDOUT; -EPROTO, it is none,
 * or has more descriptors, which are closed. Without a text.
 */
int weir_wire_receive(const struct weir_sys *sys, int socket, struct weir_wire *ret_message, int *fds,
		      uint32_t *num_fds, int timeout_ms);

#endif
