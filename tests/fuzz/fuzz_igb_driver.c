/* SPDX-License-Identifier: MIT */
/*
 * The igb driver and a controller that lies, or virtual functions that do. Twice the input's first byte is how much of it is what the program does; the
 * rest is the controller's.
 *
 * Whatever that writes back, each buffer is at one place: nobody gets one that the program has. A packet lies within its buffer. The driver comes back in
 * bounded time, gives the controller no address that is not its own, and when it is closed all buffers are in the pool again.
 */
#include <errno.h>

#include <igb/igb.h>
#include <igb/vfs.h>

#include "fuzz/hostile_igb.h"

enum { BUFFERS = 256, DEPTH = 64, BURST = 16, SHORT_MS = 30 };

struct program {
	struct input in;
	struct weir_memory *memory;
	struct igb_pool *pool;
	struct igb_port *port;
	struct igb_rx *rx[CARD_QUEUES];
	struct igb_tx *tx[CARD_QUEUES];
	uint64_t mine[BUFFERS]; /* what the program has */
	unsigned int num_mine;
};

/* Buffers ---------------------------------------------------------------------------------------------------------- */

static void take(struct program *p, uint64_t iova)
{
	CHECK(p->num_mine < BUFFERS);
	CHECK(stub_reaches((void *)(uintptr_t)iova, CARD_BUFFER));
	for (unsigned int i = 0; i < p->num_mine; i++)
		CHECK(p->mine[i] != iova);
	p->mine[p->num_mine++] = iova;
}

static void lose(struct program *p, unsigned int i)
{
	p->mine[i] = p->mine[--p->num_mine];
}

static void take_some(struct program *p)
{
	uint64_t iovas[BURST];
	uint32_t num = igb_pool_take(p->pool, iovas, 1 + in_below(&p->in, BURST));

	CHECK(num <= BURST);
	for (uint32_t i = 0; i < num; i++)
		take(p, iovas[i]);
}

static void give_some(struct program *p)
{
	uint64_t wrong = p->num_mine ? p->mine[0] + 1 + in_u8(&p->in) % 64 : 5;

	CHECK(igb_pool_give(p->pool, &wrong, 1) == -EINVAL);
	for (unsigned int num = in_below(&p->in, BURST); num > 0 && p->num_mine; num--) {
		CHECK(igb_pool_give(p->pool, &p->mine[p->num_mine - 1], 1) == 0);
		lose(p, p->num_mine - 1);
	}
}

/* Queues ----------------------------------------------------------------------------------------------------------- */

static void open_queue(struct program *p)
{
	unsigned int i = in_below(&p->in, CARD_QUEUES), what = in_u8(&p->in);

	if (!p->port)
		return;
	if (what & 1 && !p->rx[i])
		igb_rx_open(p->port, i, DEPTH, p->pool, &p->rx[i]);
	if (what & 2 && !p->tx[i])
		igb_tx_open(p->port, i, DEPTH, p->pool, &p->tx[i]);
}

static void close_queue(struct program *p)
{
	unsigned int i = in_below(&p->in, CARD_QUEUES);

	if (in_u8(&p->in) & 1) {
		igb_rx_close(p->rx[i]);
		p->rx[i] = NULL;
	} else {
		igb_tx_close(p->tx[i]);
		p->tx[i] = NULL;
	}
}

static void receive(struct program *p)
{
	unsigned int i = in_below(&p->in, CARD_QUEUES);
	uint32_t max = BURST - in_below(&p->in, BURST + 1);
	struct igb_packet packets[BURST];
	uint64_t all;
	int num;

	if (!p->rx[i])
		return;
	if (in_u8(&p->in) >= 192)
		igb_rx_wait(p->rx[i], SHORT_MS);
	num = igb_rx_burst(p->rx[i], packets, max, &all);
	say("received %d of %u", num, max);
	CHECK(num <= (int)max);
	for (int j = 0; j < num; j++) {
		uint32_t len = igb_packet_len(&packets[j]);

		CHECK(len >= 1 && len <= CARD_BUFFER);
		CHECK((packets[j].word & IGB_RX_ERRORS & ~all) == 0);
		take(p, packets[j].iova);
	}
}

static void transmit(struct program *p)
{
	unsigned int i = in_below(&p->in, CARD_QUEUES);
	uint32_t num = 1 + in_below(&p->in, BURST);
	struct igb_piece pieces[BURST];
	int sent;

	num = num < p->num_mine ? num : p->num_mine;
	if (!p->tx[i])
		return;
	for (uint32_t j = 0; j < num; j++) {
		uint8_t odd = in_u8(&p->in);

		pieces[j].iova = p->mine[j];
		pieces[j].what = IGB_TX_LEN(60 + odd) | IGB_TX_END;
		if (odd >= 200)
			in_bytes(&p->in, &pieces[j].what, sizeof(pieces[j].what));
		if (odd >= 240)
			pieces[j].iova += in_u16(&p->in);
	}
	sent = igb_tx_burst(p->tx[i], pieces, num);
	say("sent %d of %u", sent, num);
	CHECK(sent <= (int)num);
	for (int j = 0; j < sent; j++)
		CHECK(pieces[j].iova == p->mine[j]);
	for (int j = sent; j-- > 0;)
		lose(p, (unsigned int)j);
}

static void tend(struct program *p)
{
	unsigned int i = in_below(&p->in, CARD_QUEUES), what = in_u8(&p->in);
	struct igb_offload offload = WEIR_OPTS(igb_offload, .mac_len = in_u8(&p->in), .l4 = in_u8(&p->in));

	if (p->tx[i] && what & 1)
		CHECK(igb_tx_flush(p->tx[i]) <= DEPTH);
	if (p->tx[i] && what & 2)
		igb_tx_offload(p->tx[i], &offload);
	if (p->rx[i] && what & 4)
		igb_rx_arm(p->rx[i]);
}

/* The port --------------------------------------------------------------------------------------------------------- */

static void open_port(struct program *p)
{
	uint8_t ways = in_u8(&p->in);
	struct igb_port_opts opts =
		WEIR_OPTS(igb_port_opts, .num_rx = card.is_vf ? 1 : CARD_QUEUES, .ready_timeout_ms = SHORT_MS,
			  .flags = ways & 4 ? IGB_INTERRUPTS : 0);

	if (!card.is_vf || ways >= 240)
		opts.num_vfs = (ways + 2) & 3;
	if (ways >= 224)
		opts.max_frame = in_u16(&p->in);
	if (p->port)
		return;
	/* Most are to get so far. */
	card.is_honest = ways < 208;
	say("opened: %d", igb_port_open(stub_device(), &opts, &p->port));
	if (p->port) {
		igb_rx_open(p->port, 0, DEPTH, p->pool, &p->rx[0]);
		igb_tx_open(p->port, 0, DEPTH, p->pool, &p->tx[0]);
	}
	card.is_honest = false;
}

static void close_port(struct program *p)
{
	igb_port_close(p->port);
	p->port = NULL;
	memset(p->rx, 0, sizeof(p->rx));
	memset(p->tx, 0, sizeof(p->tx));
}

static void set(struct program *p)
{
	unsigned int what = in_below(&p->in, 8);
	uint8_t macs[4][6];

	if (!p->port)
		return;
	in_bytes(&p->in, macs, sizeof(macs));
	if (what == 0)
		igb_port_set_mac(p->port, macs[0]);
	if (what == 1)
		igb_port_set_multicast(p->port, (const uint8_t(*)[6])macs, in_below(&p->in, 5));
	if (what == 2)
		igb_port_set_vlan(p->port, in_u16(&p->in), in_u8(&p->in) & 1);
	if (what == 3)
		igb_port_set_promiscuous(p->port, in_u8(&p->in) & 1);
	if (what == 4)
		igb_vf_set_mac(p->port, in_below(&p->in, 4), in_u8(&p->in) & 1 ? macs[0] : NULL);
	if (what == 5)
		igb_port_reset(p->port);
}

/* What virtual functions were granted is what can be. */
static void serve(struct program *p)
{
	struct igb_vf_info info;

	if (!p->port)
		return;
	if (!card.is_vf && in_u8(&p->in) & 1)
		card_ask();
	say("served %d", igb_vfs_serve(p->port));
	for (uint32_t i = 0; i < IGB_MAX_VFS; i++) {
		if (igb_vf_info(p->port, i, &info, sizeof(info)) < 0)
			break;
		CHECK(info.refused <= info.messages);
		CHECK(info.max_frame <= IGB_MAX_FRAME);
		CHECK(info.num_groups <= IGB_MSG_HASHES);
		CHECK(info.num_vlans <= IGB_NUM_VLVF);
		CHECK(!(info.mac[0] & 1));
	}
}

static void look(struct program *p)
{
	struct igb_stats stats;
	struct igb_link link;

	if (!p->port)
		return;
	igb_port_check(p->port);
	igb_port_stats(p->port, &stats, sizeof(stats));
	igb_port_link(p->port, &link, sizeof(link));
	igb_port_wait_link(p->port, in_u8(&p->in) & 1, SHORT_MS);
	CHECK(igb_error());
}

static void act(struct program *p)
{
	(void)p;
	card_act();
}

static void vanish(struct program *p)
{
	card.gone = in_u8(&p->in) >= 250;
}

static void run(struct program *p)
{
	static void (*const steps[])(
		struct program *) = { open_port, open_queue, take_some, give_some,   act,    receive,
				      transmit,  act,        serve,     set,         look,   tend,
				      act,       receive,    transmit,  close_queue, vanish, close_port };

	open_port(p);
	take_some(p);
	while (!in_empty(&p->in)) {
		unsigned int step = in_below(&p->in, 18);

		say("step %u", step);
		steps[step](p);
	}
	close_port(p);
	CHECK(igb_pool_free(p->pool) + p->num_mine == BUFFERS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program p = { .in = { data, data + size } };
	size_t len = in_u8(&p.in) * 2u;

	card_begin(in_split(&p.in, len));
	if (weir_memory_open(NULL, NULL, &p.memory) != 0)
		return 0;
	if (igb_pool_open(p.memory, BUFFERS, CARD_BUFFER, &p.pool) == 0) {
		run(&p);
		CHECK(igb_pool_close(p.pool) == 0);
	}
	weir_memory_close(p.memory);
	card_end();
	return 0;
}
