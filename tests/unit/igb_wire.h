/* SPDX-License-Identifier: MIT */
/* Two igb ports of a simulated host, joined by a wire, and frames that go over it. */
#ifndef TESTS_UNIT_IGB_WIRE_H
#define TESTS_UNIT_IGB_WIRE_H

#include <igb/igb.h>

#include "sim_host.h"

enum { DEPTH = 64, BUFFERS = 512, BUFFER = 2048, TIMEOUT_MS = 5000, BURST = 32, JUMBO = 9018 };

extern const uint8_t macs[2][6];
extern const char *const addresses[2];

struct end {
	struct weir_sim_device *model;
	struct igb_port *port;
	struct igb_pool *pool;
	struct igb_rx *rx[2];
	struct igb_tx *tx;
};

struct wire {
	struct sim_host *host;
	struct weir_memory *memory;
	struct end ends[2];
	bool broken; /* closing may fail */
};

void expect_ok(int r);
struct wire *a_wire(struct t *t, enum weir_backend backend, const struct igb_port_opts *opts,
		    uint32_t buffer);
/* A frame from one end to the other, with a number in it. */
void fill(unsigned char *frame, uint32_t len, const uint8_t *to, uint32_t number);
void send_one(struct end *from, const uint8_t *to, uint32_t len, uint32_t number);
struct igb_packet receive_one(struct igb_rx *rx);
bool is_frame(struct end *at, const struct igb_packet *packet, uint32_t len, const uint8_t *to,
	      uint32_t number);
void expect_quiet(struct igb_rx *rx);
void wait_until_sent(struct end *end);

#endif
