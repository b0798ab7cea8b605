// SPDX-License-Identifier: MIT
/* The igb driver on the simulated host: links that go, resets, devices that disappear, and what makes no sense. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "igb_wire.h"

UNIT(sim_igb_trouble, sees_the_link_go_and_come)
{
	static const uint32_t flags[] = { 0, IGB_INTERRUPTS };

	for (int i = 0; i < 2; i++) {
		struct wire *wire =
			a_wire(t, WEIR_BACKEND_IOMMUFD, &WEIR_OPTS(igb_port_opts, .flags = flags[i]), BUFFER);
		struct end *from = &wire->ends[0], *at = &wire->ends[1];
		struct igb_packet packet;

		EXPECT_EQ(igb_port_wait_link(from->port, true, 0), -ETIMEDOUT);
		ASSERT_OK(weir_sim_igb_set_link(at->model, false));
		expect_ok(igb_port_wait_link(from->port, true, TIMEOUT_MS));
		send_one(from, macs[1], 60, 1); /* into the void */
		wait_until_sent(from);
		ASSERT_OK(weir_sim_igb_set_link(at->model, true));
		expect_ok(igb_port_wait_link(from->port, false, TIMEOUT_MS));
		send_one(from, macs[1], 60, 2);
		packet = receive_one(at->rx[0]);
		EXPECT_TRUE(is_frame(at, &packet, 60, macs[1], 2));
	}
}

UNIT(sim_igb_trouble, goes_on_after_a_reset)
{
	struct wire *wire =
		a_wire(t, WEIR_BACKEND_IOMMUFD, &WEIR_OPTS(igb_port_opts, .flags = IGB_INTERRUPTS), BUFFER);
	struct end *from = &wire->ends[0], *at = &wire->ends[1];
	static const uint8_t other[6] = { 0x52, 0x54, 0, 0, 0, 7 };
	struct igb_stats stats;

	expect_ok(igb_port_set_mac(at->port, other));
	for (uint32_t round = 0; round < 5; round++) {
		struct igb_packet packet;

		for (uint32_t i = 0; i < 20; i++)
			send_one(from, other, 60, i);
		expect_ok(igb_port_reset(round % 2 ? from->port : at->port)); /* in mid-stream */
		expect_ok(igb_port_reset(from->port));
		expect_ok(igb_port_reset(at->port));
		EXPECT_EQ(igb_pool_free(from->pool), BUFFERS - DEPTH);
		EXPECT_EQ(igb_pool_free(at->pool), BUFFERS - DEPTH);
		send_one(from, other, 60, 100 + round);
		packet = receive_one(at->rx[0]);
		EXPECT_TRUE(is_frame(at, &packet, 60, other, 100 + round));
		expect_ok(igb_pool_give(at->pool, &packet.iova, 1));
		wait_until_sent(from);
	}
	expect_ok(igb_port_stats(from->port, &stats, sizeof(stats)));
	EXPECT_GE(stats.tx_packets, 5);
	EXPECT_EQ(weir_sim_num_faults(wire->host->sim), 0);
}

/* Take what has come: numbers from @next on, rising, below @end; with @each, no number is missing. Returns the one after the last. */
static uint32_t take_in_order(struct end *at, uint32_t next, uint32_t end, bool each)
{
	struct igb_packet packet;
	uint64_t all;

	while (igb_rx_burst(at->rx[0], &packet, 1, &all) == 1) {
		while (!each && next < end && !is_frame(at, &packet, 60, macs[1], next))
			next++;
		if (next == end || !is_frame(at, &packet, 60, macs[1], next))
			FAIL("what has come is not frame %u, and there are %u", next, end);
		expect_ok(igb_pool_give(at->pool, &packet.iova, 1));
		next++;
	}
	return next;
}

static void run_until_idle(struct wire *wire)
{
	while (weir_sim_step(wire->host->sim) > 0)
		;
}

static uint64_t sent_by(struct end *end)
{
	struct igb_stats stats;

	expect_ok(igb_port_stats(end->port, &stats, sizeof(stats)));
	return stats.tx_packets;
}

/* Step by step, so that the reset comes after every number of frames there can be: those have come, the others never do, and the counters tell. */
UNIT(sim_igb_trouble, what_was_not_sent_before_a_reset_never_is)
{
	enum { FRAMES = 30 }; /* for which the receiver has room whatever happens */
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD, NULL, BUFFER);
	struct end *from = &wire->ends[0], *at = &wire->ends[1];
	uint32_t sent = 0, total = 0, divided = 0;

	ASSERT_OK(weir_sim_stop(wire->host->sim));
	for (int round = 0; round < FRAMES + 2; round++) {
		uint32_t first = sent, next;

		for (uint32_t i = 0; i < FRAMES; i++)
			send_one(from, macs[1], 60, sent++);
		for (int i = 0; i < round; i++)
			weir_sim_step(wire->host->sim);
		expect_ok(igb_port_reset(from->port));
		EXPECT_EQ(igb_pool_free(from->pool), BUFFERS - DEPTH);
		next = take_in_order(at, first, sent, true);
		total += next - first;
		divided += next > first && next < sent;
		EXPECT_EQ(sent_by(from), total);
		send_one(from, macs[1], 60, sent);
		run_until_idle(wire);
		EXPECT_EQ(take_in_order(at, sent, sent + 1, true), sent + 1);
		sent++;
		total++;
	}
	EXPECT_GT(divided, 2);
	ASSERT_OK(weir_sim_start(wire->host->sim));
}

/* With devices that work meanwhile, and frames that follow at once: of a sender, the first ones and then all that follow; of a receiver, some of them. */
static void expect_order_over_resets(struct t *t, uint32_t resetting)
{
	enum { FRAMES = 15 };
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD, NULL, BUFFER);
	struct end *from = &wire->ends[0], *at = &wire->ends[1];
	uint32_t sent = 0;

	for (uint32_t round = 0; round < 40; round++) {
		uint32_t next = sent;

		for (uint32_t i = 0; i < FRAMES; i++)
			send_one(from, macs[1], 60, sent++);
		if (round % 2)
			next = take_in_order(at, next, sent, true);
		expect_ok(igb_port_reset(wire->ends[resetting].port));
		for (uint32_t i = 0; i < FRAMES; i++)
			send_one(from, macs[1], 60, sent++);
		wait_until_sent(from);
		next = take_in_order(at, next, sent, false);
		EXPECT_EQ(next, sent);
		EXPECT_EQ(igb_pool_free(from->pool), BUFFERS - DEPTH);
		EXPECT_EQ(igb_pool_free(at->pool), BUFFERS - DEPTH);
	}
	EXPECT_EQ(weir_sim_num_faults(wire->host->sim), 0);
}

UNIT(sim_igb_trouble, nothing_is_sent_twice_or_late_over_a_reset)
{
	expect_order_over_resets(t, 0);
}

UNIT(sim_igb_trouble, nothing_is_received_twice_or_late_over_a_reset)
{
	expect_order_over_resets(t, 1);
}

UNIT(sim_igb_trouble, says_that_the_device_is_gone)
{
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD, NULL, BUFFER);
	struct end *at = &wire->ends[1];
	struct igb_link link;
	struct igb_stats stats;

	wire->broken = true;
	weir_sim_unplug(at->model, true);
	EXPECT_EQ(igb_port_check(at->port), -ENODEV);
	EXPECT_EQ(igb_port_link(at->port, &link, sizeof(link)), -ENODEV);
	EXPECT_EQ(igb_port_stats(at->port, &stats, sizeof(stats)), -ENODEV);
	EXPECT_EQ(igb_rx_wait(at->rx[0], 100), -ENODEV);
	EXPECT_EQ(igb_port_reset(at->port), -ENODEV);
	EXPECT_LT(igb_rx_wait(at->rx[0], 100), 0);
}

/* A controller that does nothing: the queue fills up and says so, nothing waits for ever, and all buffers are back after a reset. */
UNIT(sim_igb_trouble, comes_through_a_controller_that_hangs)
{
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD, NULL, BUFFER);
	struct end *from = &wire->ends[0], *at = &wire->ends[1];
	struct igb_piece piece = { .what = IGB_TX_LEN(60) | IGB_TX_END };
	struct igb_packet packet;

	weir_sim_hang(from->model, true);
	for (uint32_t i = 0; i < DEPTH - 1; i++)
		send_one(from, macs[1], 60, i);
	ASSERT_EQ(igb_pool_take(from->pool, &piece.iova, 1), 1);
	EXPECT_EQ(igb_tx_burst(from->tx, &piece, 1), -EAGAIN);
	expect_ok(igb_pool_give(from->pool, &piece.iova, 1));
	EXPECT_EQ(igb_tx_flush(from->tx), DEPTH - 1);
	EXPECT_EQ(igb_rx_wait(from->rx[0], 20), -ETIMEDOUT);
	expect_quiet(at->rx[0]);
	weir_sim_hang(from->model, false);
	expect_ok(igb_port_reset(from->port));
	EXPECT_EQ(igb_pool_free(from->pool), BUFFERS - DEPTH);
	while (igb_rx_wait(at->rx[0], 20) == 0) { /* what got away before the reset */
		packet = receive_one(at->rx[0]);
		expect_ok(igb_pool_give(at->pool, &packet.iova, 1));
	}
	send_one(from, macs[1], 60, 1000);
	packet = receive_one(at->rx[0]);
	EXPECT_TRUE(is_frame(at, &packet, 60, macs[1], 1000));
	expect_ok(igb_pool_give(at->pool, &packet.iova, 1));
}

/* One that hangs for good is closed in bounded time. */
UNIT(sim_igb_trouble, closes_a_controller_that_hangs)
{
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD, NULL, BUFFER);
	struct end *from = &wire->ends[0];
	struct timespec start, now;

	weir_sim_hang(from->model, true);
	for (uint32_t i = 0; i < 10; i++)
		send_one(from, macs[1], 60, i);
	clock_gettime(CLOCK_MONOTONIC, &start);
	igb_port_close(from->port);
	clock_gettime(CLOCK_MONOTONIC, &now);
	EXPECT_LT(now.tv_sec - start.tv_sec, 10);
	EXPECT_EQ(igb_pool_free(from->pool), BUFFERS);
	from->port = NULL;
}

UNIT(sim_igb_trouble, is_blocked_where_nothing_is_mapped)
{
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD, NULL, BUFFER);
	uint64_t nowhere = sim_host_nowhere(t, wire->host);
	struct igb_piece piece = { .what = IGB_TX_LEN(60) | IGB_TX_END };
	struct igb_pool *pool;
	struct igb_tx *tx;

	expect_ok(igb_pool_open_at(nowhere, NULL, 4096, 1, 1024, &pool));
	expect_ok(igb_tx_open(wire->ends[0].port, 1, DEPTH, pool, &tx));
	ASSERT_EQ(igb_pool_take(pool, &piece.iova, 1), 1);
	EXPECT_EQ(igb_tx_burst(tx, &piece, 1), 1);
	expect_quiet(wire->ends[1].rx[0]);
	EXPECT_EQ(weir_sim_num_faults(wire->host->sim), 1);
	expect_ok(igb_tx_close(tx));
	EXPECT_EQ(igb_pool_free(pool), 1);
	expect_ok(igb_pool_close(pool));
}

/* Each call of a sample fails in turn: what was opened before it is closed again, and the next attempt finds everything as it was. */
UNIT(sim_igb_trouble, leaves_nothing_behind_when_opening_fails)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct weir_memory *memory;
	struct weir_device *device;
	struct igb_pool *pool;
	unsigned int failed = 0;

	ASSERT_OK(weir_sim_add_igb(host->sim, NULL, NULL, NULL));
	device = sim_host_device(t, host, NULL, 0);
	ASSERT_OK(weir_memory_open(host->ioas, NULL, &memory));
	expect_ok(igb_pool_open(memory, BUFFERS, BUFFER, &pool));
	for (uint64_t n = 1; n < 900; n += n < 30 ? 1 : 23) {
		struct igb_port *port = NULL;
		struct igb_rx *rx;
		struct igb_tx *tx;
		int r;

		weir_sim_fail_call(host->sim, n, -EIO, false);
		r = igb_port_open(device, &WEIR_OPTS(igb_port_opts, .flags = IGB_INTERRUPTS), &port);
		if (r == 0)
			r = igb_rx_open(port, 0, DEPTH, pool, &rx);
		if (r == 0)
			r = igb_tx_open(port, 0, DEPTH, pool, &tx);
		weir_sim_fail_call(host->sim, 0, 0, false);
		failed += r < 0;
		expect_ok(igb_port_close(port));
		EXPECT_EQ(igb_pool_free(pool), BUFFERS);
	}
	EXPECT_GT(failed, 20);
	expect_ok(igb_pool_close(pool));
	EXPECT_OK(weir_memory_close(memory));
}

UNIT(sim_igb_trouble, refuses_what_makes_no_sense)
{
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD, NULL, BUFFER);
	struct end *end = &wire->ends[0];
	struct igb_port *port;
	struct igb_pool *pool;
	struct igb_rx *rx;
	struct igb_tx *tx;

	ASSERT_OK(weir_sim_add_edu(wire->host->sim, NULL, NULL, NULL));
	EXPECT_EQ(igb_port_open(sim_host_device(t, wire->host, "0000:00:03.0", 0), NULL, &port), -ENODEV);
	EXPECT_EQ(igb_port_open(wire->host->device, &WEIR_OPTS(igb_port_opts, .flags = 1u << 31), &port),
		  -EINVAL);
	EXPECT_EQ(igb_port_open(wire->host->device, &WEIR_OPTS(igb_port_opts, .num_rx = 17), &port), -EINVAL);
	EXPECT_EQ(igb_port_open(wire->host->device, &WEIR_OPTS(igb_port_opts, .max_frame = 10000), &port),
		  -EINVAL);
	EXPECT_EQ(igb_rx_open(end->port, 1, DEPTH, end->pool, &rx), -EINVAL);
	EXPECT_EQ(igb_rx_open(end->port, 0, DEPTH, end->pool, &rx), -EBUSY);
	EXPECT_EQ(igb_tx_open(end->port, 16, DEPTH, end->pool, &tx), -EINVAL);
	EXPECT_EQ(igb_tx_open(end->port, 0, DEPTH, end->pool, &tx), -EBUSY);
	EXPECT_EQ(igb_tx_open(end->port, 1, 65, end->pool, &tx), -EINVAL);
	EXPECT_EQ(igb_pool_close(end->pool), -EBUSY);
	EXPECT_EQ(igb_pool_open(wire->memory, 0, 2048, &pool), -EINVAL);
	EXPECT_EQ(igb_pool_open(wire->memory, 1, 2000, &pool), -EINVAL);
	EXPECT_EQ(igb_pool_open_at(0, NULL, 4096, 2, 2048, &pool), -EMSGSIZE);
	EXPECT_EQ(igb_port_link_fd(end->port), -EOPNOTSUPP);
	EXPECT_EQ(igb_rx_fd(end->rx[0]), -EOPNOTSUPP);
	expect_ok(igb_pool_open(wire->memory, 63, 2048, &pool));
	expect_ok(igb_rx_close(end->rx[0]));
	EXPECT_EQ(igb_rx_open(end->port, 0, 64, pool, &rx), -ENOBUFS);
	expect_ok(igb_pool_close(pool));
}
