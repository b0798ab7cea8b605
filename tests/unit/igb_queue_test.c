// SPDX-License-Identifier: MIT
/* The igb driver's pools and queues on plain memory: what they put into descriptors, and what they make of bad input and of a controller that lies. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <igb/queue.h>

#include "test.h"

enum { DEPTH = 64, BUFFERS = 256, BUFFER = 2048, STRIDE = 2112, MAX_LEN = 1518 };

#define BASE UINT64_C(0x123456780000)

struct rig {
	uint64_t rx_ring[DEPTH][2], tx_ring[DEPTH][2];
	uint32_t rx_registers[8], tx_registers[8];
	struct igb_pool *pool;
	struct igb_rx *rx;
	struct igb_tx *tx;
	uint32_t tx_head;
};

static void end_rig(void *arg)
{
	struct rig *rig = arg;

	igb_rx_destroy(rig->rx);
	igb_tx_destroy(rig->tx);
	EXPECT_EQ(igb_pool_free(rig->pool), BUFFERS);
	EXPECT_OK(igb_pool_close(rig->pool));
	free(rig);
}

static struct rig *a_rig(struct t *t)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	ASSERT_TRUE(rig);
	ASSERT_OK(igb_pool_open_at(BASE, NULL, (uint64_t)BUFFERS * STRIDE, BUFFERS, BUFFER, &rig->pool));
	ASSERT_OK(igb_rx_create(rig->rx_ring, DEPTH, rig->pool,
				(struct igb_doorbell){ .addr = &rig->rx_registers[6] }, &rig->rx));
	ASSERT_OK(igb_tx_create(rig->tx_ring, DEPTH, rig->pool,
				(struct igb_doorbell){ .addr = &rig->tx_registers[6] }, MAX_LEN, &rig->tx));
	t_defer(t, end_rig, rig);
	return rig;
}

static uint64_t word_of(uint32_t len, uint64_t flags)
{
	return (uint64_t)len << 32 | flags | IGB_RX_DONE;
}

static void give_back(struct rig *rig, const struct igb_packet *packets, int num)
{
	for (int i = 0; i < num; i++)
		EXPECT_OK(igb_pool_give(rig->pool, &packets[i].iova, 1));
}

static struct igb_piece a_piece(struct rig *rig, uint64_t what)
{
	struct igb_piece piece = { .what = what };

	ASSERT_EQ(igb_pool_take(rig->pool, &piece.iova, 1), 1);
	return piece;
}

/* The controller sends everything, and reports what it was asked to. */
static unsigned int send_all(struct rig *rig)
{
	unsigned int reports = 0;

	for (; rig->tx_head != rig->tx_registers[6]; rig->tx_head = (rig->tx_head + 1) % DEPTH)
		if (rig->tx_ring[rig->tx_head][1] & IGB_TXD_REPORT) {
			rig->tx_ring[rig->tx_head][1] = IGB_TXD_DONE;
			reports++;
		}
	rig->tx_registers[4] = rig->tx_head;
	return reports;
}

/* Pools ---------------------------------------------------------------------------------------------------------- */

UNIT(igb_pool, knows_its_own_buffers)
{
	struct rig *rig = a_rig(t);
	uint64_t one;

	ASSERT_EQ(igb_pool_take(rig->pool, &one, 1), 1);
	for (uint64_t wrong = 1; wrong < STRIDE; wrong++)
		ASSERT_EQ(igb_pool_give(rig->pool, &(uint64_t){ one + wrong }, 1), -EINVAL);
	EXPECT_EQ(igb_pool_give(rig->pool, &(uint64_t){ BASE - STRIDE }, 1), -EINVAL);
	EXPECT_EQ(igb_pool_give(rig->pool, &(uint64_t){ BASE + (uint64_t)BUFFERS * STRIDE }, 1), -EINVAL);
	EXPECT_EQ(igb_pool_give(rig->pool, &(uint64_t){ 0 }, 1), -EINVAL);
	EXPECT_OK(igb_pool_give(rig->pool, &one, 1));
	for (uint64_t i = 0; i < DEPTH; i++) /* as many as are lent, and no more */
		EXPECT_OK(igb_pool_give(rig->pool, &(uint64_t){ BASE + i * STRIDE }, 1));
	EXPECT_EQ(igb_pool_give(rig->pool, &one, 1), -EINVAL);
	EXPECT_EQ(igb_pool_close(rig->pool), -EBUSY);
	for (int i = 0; i < DEPTH; i++)
		igb_pool_take(rig->pool, &one, 1);
}

/* Receiving ------------------------------------------------------------------------------------------------------ */

UNIT(igb_queue, receives_round_after_round)
{
	struct rig *rig = a_rig(t);
	struct igb_packet packets[32];
	uint64_t all = 0;
	uint32_t at = 0;

	for (uint32_t round = 0; round < 300; round++) {
		uint32_t num = round % 31 + 1, got = 0;

		for (uint32_t i = 0; i < num; i++, at++) {
			rig->rx_ring[at % DEPTH][0] = (uint64_t)at << 32;
			rig->rx_ring[at % DEPTH][1] = word_of(64 + at % 1000, IGB_RX_END);
		}
		while (got < num) { /* the end of the ring cuts a burst */
			int n = igb_rx_burst(rig->rx, packets, 32, &all);

			ASSERT_GT(n, 0);
			for (int i = 0; i < n; i++, got++) {
				EXPECT_EQ(igb_packet_hash(&packets[i]), at - num + got);
				EXPECT_EQ(igb_packet_len(&packets[i]), 64 + (at - num + got) % 1000);
			}
			give_back(rig, packets, n);
		}
		EXPECT_EQ(igb_rx_burst(rig->rx, packets, 32, &all), 0);
		EXPECT_EQ(igb_pool_free(rig->pool), BUFFERS - DEPTH);
	}
	/* What the controller owns never includes a descriptor that was not looked at. */
	EXPECT_LT((at - 1 - rig->rx_registers[6]) % DEPTH, 33);
}

UNIT(igb_queue, gathers_errors)
{
	struct rig *rig = a_rig(t);
	struct igb_packet packets[4];
	uint64_t all;

	rig->rx_ring[0][1] = word_of(64, IGB_RX_END);
	rig->rx_ring[1][1] = word_of(64, IGB_RX_END | IGB_RX_L4_WRONG);
	ASSERT_EQ(igb_rx_burst(rig->rx, packets, 4, &all), 2);
	EXPECT_EQ(all & IGB_RX_ERRORS, IGB_RX_L4_WRONG);
	give_back(rig, packets, 2);
	rig->rx_ring[2][1] = word_of(BUFFER, IGB_RX_END); /* a full one is none */
	ASSERT_EQ(igb_rx_burst(rig->rx, packets, 4, &all), 1);
	EXPECT_EQ(all & IGB_RX_ERRORS, 0);
	give_back(rig, packets, 1);
}

UNIT(igb_queue, fails_at_an_impossible_length)
{
	static const uint32_t lengths[] = { 0, BUFFER + 1, 0xffff };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct rig *rig = a_rig(t);
		struct igb_packet packets[8];
		uint64_t all;

		for (uint32_t k = 0; k < 6; k++)
			rig->rx_ring[k][1] = word_of(k == 3 ? lengths[i] : 64, IGB_RX_END);
		ASSERT_EQ(igb_rx_burst(rig->rx, packets, 8, &all), 3); /* those before it */
		EXPECT_EQ(igb_rx_burst(rig->rx, packets + 3, 5, &all), -EPROTO);
		EXPECT_EQ(igb_rx_burst(rig->rx, packets + 3, 5, &all), -EPROTO);
		give_back(rig, packets, 3);
		EXPECT_EQ(igb_pool_free(rig->pool), BUFFERS - DEPTH);
		igb_rx_restart(rig->rx);
		EXPECT_EQ(igb_rx_burst(rig->rx, packets, 8, &all), 0);
	}
}

UNIT(igb_queue, says_that_the_pool_is_empty)
{
	struct rig *rig = a_rig(t);
	uint64_t iovas[BUFFERS], all;
	struct igb_packet packets[2];
	uint32_t num = igb_pool_take(rig->pool, iovas, BUFFERS);

	EXPECT_EQ(num, BUFFERS - DEPTH);
	EXPECT_EQ(igb_rx_burst(rig->rx, packets, 2, &all), 0); /* nothing waits */
	rig->rx_ring[0][1] = word_of(64, IGB_RX_END);
	EXPECT_EQ(igb_rx_burst(rig->rx, packets, 2, &all), -ENOBUFS);
	/* What was sent is found. */
	EXPECT_EQ(igb_tx_burst(rig->tx, &(struct igb_piece){ iovas[0], IGB_TX_LEN(64) | IGB_TX_END }, 1), 1);
	EXPECT_EQ(igb_rx_burst(rig->rx, packets, 2, &all), -ENOBUFS);
	send_all(rig);
	EXPECT_EQ(igb_rx_burst(rig->rx, packets, 2, &all), 1);
	give_back(rig, packets, 1);
	EXPECT_OK(igb_pool_give(rig->pool, iovas + 1, num - 1));
}

/* Sending -------------------------------------------------------------------------------------------------------- */

UNIT(igb_queue, writes_descriptors)
{
	struct rig *rig = a_rig(t);
	struct igb_piece pieces[3] = { a_piece(rig, IGB_TX_LEN(64) | IGB_TX_END),
				       a_piece(rig, IGB_TX_LEN(100) | IGB_TX_OFFSET(50) | IGB_TX_IP_SUM |
							    IGB_TX_VLAN),
				       a_piece(rig, IGB_TX_LEN(1) | IGB_TX_END) };
	const uint64_t common = UINT64_C(0x22300000), end = 1u << 24;

	ASSERT_EQ(igb_tx_burst(rig->tx, pieces, 3), 3);
	EXPECT_EQ(rig->tx_registers[6], 3);
	EXPECT_EQ(rig->tx_ring[0][0], pieces[0].iova);
	EXPECT_EQ(rig->tx_ring[0][1], UINT64_C(64) << 46 | common | end | 64);
	EXPECT_EQ(rig->tx_ring[1][0], pieces[1].iova + 50);
	EXPECT_EQ(rig->tx_ring[1][1], UINT64_C(101) << 46 | UINT64_C(1) << 40 | 1u << 30 | common | 100);
	EXPECT_EQ(rig->tx_ring[2][1], UINT64_C(1) << 40 | 1u << 30 | common | end | 1u << 27 | 1);
}

UNIT(igb_queue, asks_for_few_reports_and_gets_everything_back)
{
	struct rig *rig = a_rig(t);
	unsigned int reports = 0, sent = 0;

	for (uint32_t round = 0; round < 500; round++) {
		struct igb_piece pieces[40];
		uint32_t num = round % 40 + 1;
		int n;

		for (uint32_t i = 0; i < num; i++)
			pieces[i] = a_piece(rig, IGB_TX_LEN(60 + i) | IGB_TX_END);
		n = igb_tx_burst(rig->tx, pieces, num);
		ASSERT_TRUE(n >= 0 || n == -EAGAIN);
		n = n < 0 ? 0 : n;
		for (uint32_t i = (uint32_t)n; i < num; i++) /* what there was no room for stays ours */
			EXPECT_OK(igb_pool_give(rig->pool, &pieces[i].iova, 1));
		sent += (unsigned int)n;
		if (round % 3 == 2)
			reports += send_all(rig);
	}
	send_all(rig);
	EXPECT_EQ(igb_tx_flush(rig->tx), 0);
	EXPECT_EQ(igb_pool_free(rig->pool), BUFFERS - DEPTH);
	EXPECT_LT(reports, sent / 32 + 500 / 3 + 2);
	EXPECT_GT(sent, 4000);
}

UNIT(igb_queue, is_full_at_one_less_than_its_depth)
{
	struct rig *rig = a_rig(t);
	struct igb_piece pieces[DEPTH];

	for (int i = 0; i < DEPTH; i++)
		pieces[i] = a_piece(rig, IGB_TX_LEN(60) | IGB_TX_END);
	EXPECT_EQ(igb_tx_burst(rig->tx, pieces, DEPTH), DEPTH - 1);
	EXPECT_EQ(igb_tx_burst(rig->tx, pieces + DEPTH - 1, 1), -EAGAIN);
	EXPECT_EQ(igb_tx_offload(rig->tx, &WEIR_OPTS(igb_offload)), -EAGAIN);
	EXPECT_EQ(igb_tx_flush(rig->tx), DEPTH - 1);
	send_all(rig);
	EXPECT_EQ(igb_tx_burst(rig->tx, pieces + DEPTH - 1, 1), 1);
}

UNIT(igb_queue, refuses_packets_that_cannot_be)
{
	static const struct {
		uint64_t what;
		int error;
	} cases[] = {
		{ IGB_TX_LEN(0) | IGB_TX_END, -EINVAL },
		{ IGB_TX_LEN(16) | IGB_TX_END, -EINVAL },
		{ IGB_TX_LEN(MAX_LEN + 1) | IGB_TX_END, -EMSGSIZE },
		{ IGB_TX_LEN(0xffff) | IGB_TX_END, -EINVAL }, /* no buffer holds it */
		{ IGB_TX_LEN(64), -EINVAL },
		{ IGB_TX_LEN(64) | IGB_TX_END | 1u << 20, -EINVAL },
		{ IGB_TX_LEN(64) | IGB_TX_END | IGB_TX_OFFSET(BUFFER - 63), -EINVAL },
	};
	struct rig *rig = a_rig(t);
	struct igb_piece pieces[IGB_MAX_PIECES + 1] = { a_piece(rig, IGB_TX_LEN(60) | IGB_TX_END),
							a_piece(rig, 0) };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pieces[1].what = cases[i].what;
		EXPECT_EQ(igb_tx_burst(rig->tx, pieces + 1, 1), cases[i].error);
		EXPECT_NE(igb_error()[0], '\0');
	}
	EXPECT_EQ(rig->tx_registers[6], 0); /* nothing was handed over */
	EXPECT_EQ(igb_tx_burst(rig->tx, pieces, 0), 0);
	EXPECT_EQ(igb_tx_burst(rig->tx, pieces, 2), 1); /* up to the one in error */
	EXPECT_EQ(rig->tx_registers[6], 1);
	pieces[1].what = IGB_TX_LEN(64) | IGB_TX_END | IGB_TX_IP_SUM;
	pieces[1].iova++;
	EXPECT_EQ(igb_tx_burst(rig->tx, pieces + 1, 1), -EINVAL);
	pieces[1].iova--;
	for (uint32_t i = 0; i <= IGB_MAX_PIECES; i++)
		pieces[i] = (struct igb_piece){ pieces[1].iova,
						IGB_TX_LEN(20) | (i == IGB_MAX_PIECES ? IGB_TX_END : 0) };
	EXPECT_EQ(igb_tx_burst(rig->tx, pieces, IGB_MAX_PIECES + 1), -EMSGSIZE);
	EXPECT_EQ(rig->tx_registers[6], 1);
	EXPECT_OK(igb_pool_give(rig->pool, &pieces[0].iova, 1));
}

UNIT(igb_queue, does_not_believe_in_a_head_that_cannot_be)
{
	static const struct {
		uint32_t head;
		int error;
	} cases[] = { { 2, -EPROTO }, { DEPTH, -EPROTO }, { 0x80000000, -EPROTO }, { UINT32_MAX, -ENODEV } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *rig = a_rig(t);
		struct igb_piece piece = a_piece(rig, IGB_TX_LEN(60) | IGB_TX_END);

		EXPECT_EQ(igb_tx_burst(rig->tx, &piece, 1), 1);
		rig->tx_registers[4] = cases[i].head;
		EXPECT_EQ(igb_tx_flush(rig->tx), cases[i].error);
		EXPECT_EQ(igb_tx_burst(rig->tx, &piece, 1), cases[i].error);
		igb_tx_restart(rig->tx);
		EXPECT_EQ(igb_pool_free(rig->pool), BUFFERS - DEPTH);
	}
}

/* One buffer that is sent twice: with it, more come back than there are. */
UNIT(igb_queue, fails_when_more_buffers_come_back_than_there_are)
{
	struct rig *rig = a_rig(t);
	struct igb_piece piece = a_piece(rig, IGB_TX_LEN(60) | IGB_TX_END);

	igb_rx_destroy(rig->rx);
	rig->rx = NULL;
	EXPECT_EQ(igb_tx_burst(rig->tx, &piece, 1), 1);
	EXPECT_EQ(igb_tx_burst(rig->tx, &piece, 1), 1);
	send_all(rig);
	igb_tx_flush(rig->tx);
	EXPECT_EQ(igb_tx_flush(rig->tx), -EINVAL);
	EXPECT_NE(igb_error()[0], '\0');
	EXPECT_EQ(igb_tx_burst(rig->tx, &piece, 1), -EINVAL);
	EXPECT_EQ(igb_pool_free(rig->pool), BUFFERS);
}

UNIT(igb_queue, survives_reports_that_were_not_asked_for)
{
	struct rig *rig = a_rig(t);

	for (uint32_t round = 0; round < 200; round++) {
		struct igb_piece piece = a_piece(rig, IGB_TX_LEN(60) | IGB_TX_END);

		for (int i = 0; i < DEPTH; i++) /* all of it written over */
			rig->tx_ring[i][0] = rig->tx_ring[i][1] = UINT64_MAX;
		EXPECT_EQ(igb_tx_burst(rig->tx, &piece, 1), 1);
		EXPECT_LE(igb_pool_free(rig->pool), BUFFERS - DEPTH);
	}
}

/* Whatever the controller writes: buffers come out once each, and none is lost. */
UNIT(igb_queue, loses_no_buffer_to_garbage)
{
	struct rig *rig = a_rig(t);
	uint64_t next = 1;

	for (int round = 0; round < 20000; round++) {
		struct igb_packet packets[16];
		struct igb_piece pieces[16];
		uint64_t all = 0;
		int n, sent;

		for (int i = 0; i < 8; i++) {
			uint64_t *word = i % 2 ? &rig->tx_ring[next >> 40 & (DEPTH - 1)][1]
					       : &rig->rx_ring[next >> 40 & (DEPTH - 1)][1];

			next = next * 6364136223846793005u + 1442695040888963407u;
			/* Mostly what could be. */
			*word = i % 2      ? next
				: next % 8 ? word_of((uint32_t)(next >> 20) & 0x7ff, next & 0xffff0000)
					   : next;
		}
		rig->tx_registers[4] = (uint32_t)(next >> 33) % (DEPTH + 2);
		n = igb_rx_burst(rig->rx, packets, 16, &all);
		for (int i = 0; i < n; i++) {
			uint32_t len = igb_packet_len(&packets[i]);

			ASSERT_TRUE(len > 0 && len <= BUFFER);
			pieces[i] = (struct igb_piece){ packets[i].iova,
							IGB_TX_LEN(60 + (len & 63)) | IGB_TX_END };
		}
		sent = n > 0 ? igb_tx_burst(rig->tx, pieces, (uint32_t)n) : 0;
		for (int i = sent < 0 ? 0 : sent; i < n; i++)
			ASSERT_OK(igb_pool_give(rig->pool, &pieces[i].iova, 1));
		if (round % 7 == 0)
			sent = igb_tx_flush(rig->tx);
		if (n == -EPROTO)
			igb_rx_restart(rig->rx);
		if (sent == -EPROTO)
			igb_tx_restart(rig->tx);
		ASSERT_LE(igb_pool_free(rig->pool), BUFFERS - DEPTH);
	}
	igb_tx_restart(rig->tx);
	EXPECT_EQ(igb_pool_free(rig->pool), BUFFERS - DEPTH);
}

UNIT(igb_queue, offloads_take_a_descriptor_and_no_buffer)
{
	struct rig *rig = a_rig(t);

	for (int round = 0; round < 100; round++) {
		struct igb_piece piece = a_piece(rig, IGB_TX_LEN(60) | IGB_TX_END | IGB_TX_L4_SUM);

		EXPECT_OK(igb_tx_offload(rig->tx, &WEIR_OPTS(igb_offload, .l4 = 6, .vlan = 7)));
		EXPECT_EQ(igb_tx_burst(rig->tx, &piece, 1), 1);
		send_all(rig);
		EXPECT_EQ(igb_tx_flush(rig->tx), 0);
		EXPECT_EQ(igb_pool_free(rig->pool), BUFFERS - DEPTH);
	}
	EXPECT_EQ(igb_tx_offload(rig->tx, &WEIR_OPTS(igb_offload, .mac_len = 13)), -EINVAL);
	EXPECT_EQ(igb_tx_offload(rig->tx, &WEIR_OPTS(igb_offload, .ip_len = 512)), -EINVAL);
	EXPECT_EQ(igb_tx_offload(rig->tx, &WEIR_OPTS(igb_offload, .l4 = 1)), -EINVAL);
}

#ifdef IGB_CHECKS
/* Where checks are left in: a thread that finds another one in its queue is sent away. */
UNIT(igb_queue, sends_a_second_thread_away)
{
	struct rig *rig = a_rig(t);
	struct igb_packet packet;
	struct igb_piece piece = { 0 };
	uint64_t all;

	ASSERT_TRUE(igb_queue_enter(&rig->rx->q));
	ASSERT_TRUE(igb_queue_enter(&rig->tx->q));
	EXPECT_EQ(igb_rx_burst(rig->rx, &packet, 1, &all), -EBUSY);
	EXPECT_EQ(igb_tx_burst(rig->tx, &piece, 1), -EBUSY);
	EXPECT_EQ(igb_tx_flush(rig->tx), -EBUSY);
	EXPECT_EQ(igb_tx_offload(rig->tx, &WEIR_OPTS(igb_offload)), -EBUSY);
	igb_queue_leave(&rig->rx->q);
	igb_queue_leave(&rig->tx->q);
	EXPECT_EQ(igb_rx_burst(rig->rx, &packet, 1, &all), 0);
}
#endif
