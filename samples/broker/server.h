/* SPDX-License-Identifier: MIT */
/* The loop that waits for clients and answers them. One thread, and nothing in it waits for a client. */
#ifndef BROKER_SERVER_H
#define BROKER_SERVER_H

#include "nodes.h"

struct server_config {
	int listener; /* a listening, non-blocking SOCK_SEQPACKET socket */
	int signals;  /* readable when it is time to end (a signalfd) */
	const struct machine *machine;
	const struct policy *policy;
	uint32_t backend; /* what is given out; AUTO: what the client wants, or what the machine has */
	bool once;        /* end when the first client that was given a device has gone */
};

/* Serve until the end. Every connection is closed then. Returns 0, or a negative errno if waiting itself
 * failed. */
int server_run(const struct server_config *config);

#endif
