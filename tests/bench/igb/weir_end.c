// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <igb/igb.h>
#include <weir/weir.h>

#include "bench/igb/ends.h"

#define DEPTH   256u
#define BUFFERS 1024u
#define BUFFER  2048u
#define LINK_MS 20000
#define WAIT_MS 1000

struct weir_end {
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_memory *memory;
	struct igb_port *port;
	struct igb_pool *pool;
	struct igb_rx *rx;
	struct igb_tx *tx;
	bool interrupts;
};

static void must(int r, const char *text)
{
	if (r >= 0)
		return;
	fprintf(stderr, "igb: %s\n", text);
	exit(1);
}

/* To everybody, of a type for local experiments; the same for all, so that what is measured is not the filling in. */
static void fill_all(struct weir_end *end)
{
	static const uint8_t head[14] = { 255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0, 0, 9, 0x88, 0xb5 };
	uint64_t iovas[BUFFERS];
	uint32_t num = igb_pool_take(end->pool, iovas, BUFFERS);

	for (uint32_t i = 0; i < num; i++)
		memcpy(igb_pool_addr(end->pool, iovas[i]), head, sizeof head);
	must(igb_pool_give(end->pool, iovas, num), igb_error());
}

struct weir_end *weir_end_open(const char *address, bool interrupts)
{
	struct igb_port_opts opts = WEIR_OPTS(igb_port_opts, .flags = interrupts ? IGB_INTERRUPTS : 0);
	struct weir_end *end = calloc(1, sizeof *end);

	must(end ? 0 : -ENOMEM, "no memory");
	end->interrupts = interrupts;
	must(weir_host_open(NULL, &end->host), weir_error());
	must(weir_ioas_open(end->host, NULL, &end->ioas), weir_error());
	must(weir_device_open(end->ioas, address, NULL, &end->device), weir_error());
	must(weir_memory_open(end->ioas, NULL, &end->memory), weir_error());
	must(igb_port_open(end->device, &opts, &end->port), igb_error());
	must(igb_pool_open(end->memory, BUFFERS, BUFFER, &end->pool), igb_error());
	fill_all(end);
	must(igb_rx_open(end->port, 0, DEPTH, end->pool, &end->rx), igb_error());
	must(igb_tx_open(end->port, 0, DEPTH, end->pool, &end->tx), igb_error());
	return end;
}

void weir_end_wait_link(struct weir_end *end)
{
	must(igb_port_wait_link(end->port, false, LINK_MS), igb_error());
}

void weir_end_close(struct weir_end *end)
{
	must(igb_port_close(end->port), igb_error());
	must(igb_pool_close(end->pool), igb_error());
	must(weir_memory_close(end->memory), weir_error());
	must(weir_device_close(end->device), weir_error());
	must(weir_ioas_close(end->ioas), weir_error());
	must(weir_host_close(end->host), weir_error());
	free(end);
}

void weir_end_send(struct weir_end *end, uint32_t num, uint32_t len)
{
	struct igb_piece pieces[ENDS_BURST];
	uint64_t iovas[ENDS_BURST];
	uint32_t sent = 0, burst;
	int r;

	while (sent < num) {
		burst = num - sent < ENDS_BURST ? num - sent : ENDS_BURST;
		burst = igb_pool_take(end->pool, iovas, burst);
		for (uint32_t i = 0; i < burst; i++)
			pieces[i] = (struct igb_piece){ iovas[i], IGB_TX_LEN(len) | IGB_TX_END };
		r = burst ? igb_tx_burst(end->tx, pieces, burst) : 0;
		r = r == -EAGAIN ? 0 : r;
		must(r, igb_error());
		if ((uint32_t)r < burst)
			must(igb_pool_give(end->pool, iovas + r, burst - (uint32_t)r), igb_error());
		if (burst == 0)
			must(igb_tx_flush(end->tx), igb_error());
		sent += (uint32_t)r;
	}
	while ((r = igb_tx_flush(end->tx)) > 0)
		;
	must(r, igb_error());
}

uint32_t weir_end_receive(struct weir_end *end, uint32_t num, uint32_t len)
{
	struct igb_packet packets[ENDS_BURST];
	uint64_t iovas[ENDS_BURST], all;
	uint32_t got = 0, kept;
	int came, r;

	while (got < num) {
		came = igb_rx_burst(end->rx, packets, ENDS_BURST, &all);
		must(came, igb_error());
		kept = (uint32_t)came;
		for (uint32_t i = 0; i < kept; i++) {
			got += igb_packet_len(&packets[i]) == len;
			iovas[i] = packets[i].iova;
		}
		if (came > 0) {
			must(igb_pool_give(end->pool, iovas, kept), igb_error());
			continue;
		}
		r = igb_rx_wait(end->rx, WAIT_MS);
		if (r == -ETIMEDOUT)
			break;
		must(r, igb_error());
	}
	return got;
}
