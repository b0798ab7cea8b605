// SPDX-License-Identifier: MIT
/* The igb driver on IGB0, whatever is at the other end of its wire: opened, with a queue of each kind, at work, and reset. */
#include "conformance/away.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <igb/igb.h>

enum { BUFFERS = 256, BUFFER = 2048, DEPTH = 64, FRAMES = 40, TRIES = 3000 };

struct card {
	struct weir_device *device;
	struct weir_memory *memory;
	struct igb_port *port;
	struct igb_pool *pool;
	struct igb_rx *rx;
	struct igb_tx *tx;
};

static void close_card(void *arg)
{
	struct card *card = arg;
	int port = igb_port_close(card->port);
	int pool = igb_pool_close(card->pool);

	/* Whatever these say, nothing is left open. */
	EXPECT_OK(weir_memory_close(card->memory));
	if (port || pool)
		FAIL("igb_port_close or igb_pool_close: %s", igb_error());
}

static struct card *open_card(struct t *t, uint32_t flags)
{
	static struct card card;
	struct weir_ioas *ioas = new_ioas(t);
	struct igb_port_opts opts = WEIR_OPTS(igb_port_opts, .flags = flags);

	card = (struct card){ .device = new_device(t, ioas, "IGB0", 0) };
	ASSERT_OK(weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .page_size = 4096), &card.memory));
	t_defer(t, close_card, &card);
	if (igb_port_open(card.device, &opts, &card.port) ||
	    igb_pool_open(card.memory, BUFFERS, BUFFER, &card.pool) ||
	    igb_rx_open(card.port, 0, DEPTH, card.pool, &card.rx) ||
	    igb_tx_open(card.port, 0, DEPTH, card.pool, &card.tx))
		FAIL("IGB0: %s", igb_error());
	return &card;
}

/* To a group that nobody is in. */
static void send_frames(struct card *card)
{
	int left = 1;

	for (int i = 0; i < FRAMES; i++) {
		struct igb_piece piece = { .what = IGB_TX_LEN(60) | IGB_TX_END };

		if (igb_pool_take(card->pool, &piece.iova, 1) != 1)
			FAIL("frame %d has no buffer", i);
		memset(igb_pool_addr(card->pool, piece.iova), 0, 60);
		memcpy(igb_pool_addr(card->pool, piece.iova), "\x03\0\0\0\0\x01\x02\0\0\0\0\x01\x88\xb5", 14);
		if (igb_tx_burst(card->tx, &piece, 1) != 1)
			FAIL("frame %d: %s", i, igb_error());
	}
	for (int i = 0; i < TRIES && left > 0; i++, usleep(1000)) {
		left = igb_tx_flush(card->tx);
		if (left < 0)
			FAIL("igb_tx_flush: %s", igb_error());
	}
	EXPECT_EQ(left, 0);
	EXPECT_EQ(igb_pool_free(card->pool), BUFFERS - DEPTH);
}

static void is_in_order(struct card *card)
{
	struct igb_port_info info;

	if (igb_port_check(card->port) || igb_port_info(card->port, &info, sizeof(info)))
		FAIL("the port: %s", igb_error());
	EXPECT_EQ(info.device_id, IGB_DEVICE_ID);
	EXPECT_EQ(info.mac[0] & 1, 0);
}

static void expect_counted(struct card *card, uint64_t frames)
{
	struct igb_stats stats;

	if (igb_port_stats(card->port, &stats, sizeof(stats)))
		FAIL("igb_port_stats: %s", igb_error());
	EXPECT_EQ(stats.tx_packets, frames);
	EXPECT_EQ(stats.tx_multicast, frames);
	EXPECT_EQ(stats.tx_bytes, frames * 64);
}

CONFORMANCE(igb, a_port_is_opened_and_sends, NEEDS(IGB0))
{
	struct card *card = open_card(t, 0);

	is_in_order(card);
	send_frames(card);
	expect_counted(card, FRAMES);
}

CONFORMANCE(igb, a_port_with_interrupts_is_opened_and_sends, NEEDS(IGB0))
{
	struct card *card = open_card(t, IGB_INTERRUPTS);

	is_in_order(card);
	EXPECT_TRUE(igb_rx_fd(card->rx) >= 0);
	EXPECT_TRUE(igb_port_link_fd(card->port) >= 0);
	send_frames(card);
}

CONFORMANCE(igb, a_port_goes_on_after_resets, NEEDS(IGB0))
{
	struct card *card = open_card(t, IGB_INTERRUPTS);

	send_frames(card);
	if (igb_port_reset(card->port))
		FAIL("igb_port_reset: %s", igb_error());
	send_frames(card);
	/* And one of the whole function, behind the driver's back. */
	EXPECT_OK(weir_device_reset(card->device));
	if (igb_port_reset(card->port))
		FAIL("igb_port_reset: %s", igb_error());
	is_in_order(card);
	send_frames(card);
}

CONFORMANCE(igb, another_device_is_refused, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct igb_port *port;

	EXPECT_EQ(igb_port_open(device, NULL, &port), -ENODEV);
}

/* The next burst is told why, and what that was to send stays the caller's. */
CONFORMANCE(igb, a_burst_whose_doorbell_cannot_be_rung_has_been_taken, NEEDS(IGB0))
{
	struct card *card = open_card(t, 0);
	struct igb_piece pieces[2] = { { .what = IGB_TX_LEN(60) | IGB_TX_END },
				       { .what = IGB_TX_LEN(60) | IGB_TX_END } };

	guarded(t);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(igb_pool_take(card->pool, &pieces[i].iova, 1), 1);
	ASSERT_OK(weir_device_set_memory(card->device, false));
	EXPECT_EQ(igb_tx_burst(card->tx, &pieces[0], 1), 1);
	EXPECT_EQ(igb_tx_burst(card->tx, &pieces[1], 1), -EIO);
	EXPECT_EQ(igb_pool_give(card->pool, &pieces[1].iova, 1), 0);
	ASSERT_OK(weir_device_set_memory(card->device, true));
	if (igb_port_reset(card->port))
		FAIL("igb_port_reset: %s", igb_error());
	EXPECT_EQ(igb_pool_free(card->pool), BUFFERS - DEPTH);
}
