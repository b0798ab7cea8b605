// SPDX-License-Identifier: MIT
#include "igb_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const uint8_t macs[2][6] = { { 0x52, 0x54, 0, 0, 0, 1 }, { 0x52, 0x54, 0, 0, 0, 2 } };
const char *const addresses[2] = { "0000:00:01.0", "0000:00:02.0" };

void expect_ok(int r)
{
	if (r < 0)
		FAIL("%s", igb_error());
}

static void close_wire(void *arg)
{
	struct wire *wire = arg;

	for (int i = 0; i < 2; i++) {
		if (igb_port_close(wire->ends[i].port) < 0 && !wire->broken)
			FAIL("igb_port_close: %s", igb_error());
		EXPECT_OK(igb_pool_close(wire->ends[i].pool));
	}
	EXPECT_OK(weir_memory_close(wire->memory));
	free(wire);
}

static void open_end(struct t *t, struct wire *wire, int i, const struct igb_port_opts *opts, uint32_t buffer)
{
	struct end *end = &wire->ends[i];
	uint32_t queues = opts && opts->num_rx ? opts->num_rx : 1;

	expect_ok(igb_port_open(sim_host_device(t, wire->host, addresses[i], 0), opts, &end->port));
	expect_ok(igb_pool_open(wire->memory, BUFFERS, buffer, &end->pool));
	for (uint32_t q = 0; q < queues; q++)
		expect_ok(igb_rx_open(end->port, q, DEPTH, end->pool, &end->rx[q]));
	expect_ok(igb_tx_open(end->port, 0, DEPTH, end->pool, &end->tx));
}

struct wire *a_wire(struct t *t, enum weir_backend backend, const struct igb_port_opts *opts, uint32_t buffer)
{
	struct sim_host *host = sim_host_open(t, backend);
	struct wire *wire = calloc(1, sizeof(*wire));

	ASSERT_TRUE(wire);
	wire->host = host;
	for (int i = 0; i < 2; i++) {
		struct weir_sim_igb_opts model = WEIR_OPTS(weir_sim_igb_opts);

		memcpy(model.mac, macs[i], 6);
		ASSERT_OK(weir_sim_add_igb(host->sim, &model, NULL, &wire->ends[i].model));
	}
	ASSERT_OK(weir_sim_igb_connect(wire->ends[0].model, wire->ends[1].model));
	ASSERT_OK(weir_memory_open(host->ioas, NULL, &wire->memory));
	for (int i = 0; i < 2; i++)
		open_end(t, wire, i, opts, buffer);
	t_defer(t, close_wire, wire);
	return wire;
}

/* A frame from one end to the other, with a number in it. */
void fill(unsigned char *frame, uint32_t len, const uint8_t *to, uint32_t number)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, "\x52\x54\x00\x00\x00\x09\x88\xb5", 8);
	for (uint32_t i = 14; i < len; i++)
		frame[i] = (unsigned char)(number + i * 7);
}

void send_one(struct end *from, const uint8_t *to, uint32_t len, uint32_t number)
{
	struct igb_piece piece = { .what = IGB_TX_LEN(len) | IGB_TX_END };

	ASSERT_EQ(igb_pool_take(from->pool, &piece.iova, 1), 1);
	fill(igb_pool_addr(from->pool, piece.iova), len, to, number);
	ASSERT_EQ(igb_tx_burst(from->tx, &piece, 1), 1);
}

struct igb_packet receive_one(struct igb_rx *rx)
{
	struct igb_packet packet = { 0 };
	uint64_t all;

	expect_ok(igb_rx_wait(rx, TIMEOUT_MS));
	ASSERT_EQ(igb_rx_burst(rx, &packet, 1, &all), 1);
	return packet;
}

bool is_frame(struct end *at, const struct igb_packet *packet, uint32_t len, const uint8_t *to,
	      uint32_t number)
{
	unsigned char expected[BUFFER];

	fill(expected, len, to, number);
	return igb_packet_len(packet) == len && packet->word & IGB_RX_END &&
	       memcmp(igb_pool_addr(at->pool, packet->iova), expected, len) == 0;
}

void expect_quiet(struct igb_rx *rx)
{
	EXPECT_EQ(igb_rx_wait(rx, 50), -ETIMEDOUT);
}

void wait_until_sent(struct end *end)
{
	int left = 1;

	for (int i = 0; i < TIMEOUT_MS && left > 0; i++) {
		left = igb_tx_flush(end->tx);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	EXPECT_EQ(left, 0);
}
