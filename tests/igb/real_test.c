// SPDX-License-Identifier: MIT
/*
 * The igb driver on WEIR_DEVICE_IGB0, whose wire ends at the kernel's card WEIR_CARD; WEIR_MONITOR is the node by which the plug WEIR_PLUG can be pulled.
 * The kernel interface is WEIR_BACKEND's; with WEIR_POLLS in the environment, there are no interrupts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <igb/igb.h>
#include <weir/weir.h>

#include "igb/far.h"
#include "shim/test.h"

enum {
	DEPTH = 256,
	BUFFERS = 2048,
	BUFFER = 2048,
	TIMEOUT_MS = 10000,
	QUIET_MS = 100,
	LONGEST = 1514,
	JUMBO = 9018,
	QUEUES = 4,
	AT_ONCE = 32,
	HEAD = 14,
};

struct setting {
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;
	struct weir_memory *memory;
	struct igb_port *port;
	struct igb_pool *pool;
	struct igb_rx *rx[QUEUES];
	struct igb_tx *tx;
	uint32_t num_rx;
	uint8_t mac[6];
	struct far far;
};

static void expect_ok(int r)
{
	if (r < 0)
		FAIL("%d: %s", r, igb_error());
}

static void end_setting(void *arg)
{
	struct setting *s = arg;

	far_close(&s->far);
	expect_ok(igb_port_close(s->port));
	expect_ok(igb_pool_close(s->pool));
	EXPECT_OK(weir_memory_close(s->memory));
	EXPECT_OK(weir_device_close(s->device));
	EXPECT_OK(weir_ioas_close(s->ioas));
	EXPECT_OK(weir_host_close(s->host));
	free(s);
}

static struct setting *begin(struct t *t, uint32_t num_rx, uint32_t max_frame)
{
	struct setting *s = calloc(1, sizeof(*s));
	uint32_t flags = getenv("WEIR_POLLS") ? 0 : IGB_INTERRUPTS;
	struct igb_port_info info;

	ASSERT_TRUE(s != NULL);
	s->num_rx = num_rx;
	ASSERT_OK(far_open(getenv("WEIR_CARD"), &s->far));
	t_defer(t, end_setting, s);
	ASSERT_OK(weir_host_open(NULL, &s->host));
	ASSERT_OK(weir_ioas_open(s->host, NULL, &s->ioas));
	ASSERT_OK(weir_device_open(s->ioas, getenv("WEIR_DEVICE_IGB0"), NULL, &s->device));
	ASSERT_OK(weir_memory_open(s->ioas, NULL, &s->memory));
	expect_ok(igb_port_open(
		s->device,
		&WEIR_OPTS(igb_port_opts, .flags = flags, .num_rx = num_rx, .max_frame = max_frame),
		&s->port));
	expect_ok(igb_pool_open(s->memory, BUFFERS, BUFFER, &s->pool));
	for (uint32_t q = 0; q < num_rx; q++)
		expect_ok(igb_rx_open(s->port, q, DEPTH, s->pool, &s->rx[q]));
	expect_ok(igb_tx_open(s->port, 0, DEPTH, s->pool, &s->tx));
	expect_ok(igb_port_info(s->port, &info, sizeof(info)));
	memcpy(s->mac, info.mac, 6);
	expect_ok(igb_port_wait_link(s->port, false, TIMEOUT_MS));
	return s;
}

/* Frames ------------------------------------------------------------------------------------------------------ */

/* A frame with a number in it. */
static void fill(uint8_t *frame, uint32_t len, const uint8_t *to, uint32_t number)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, "\x52\x54\x00\x00\x00\x09\x88\xb5", 8);
	memcpy(frame + HEAD, &number, sizeof(number));
	for (uint32_t i = HEAD + 4; i < len; i++)
		frame[i] = (uint8_t)(number + i * 7);
}

static void expect_frame(const uint8_t *frame, uint32_t len, uint32_t expected_len, const uint8_t *to,
			 uint32_t number)
{
	uint8_t expected[JUMBO];

	ASSERT_EQ(len, expected_len);
	fill(expected, len, to, number);
	ASSERT_MEMEQ(frame, expected, len);
}

/* Wait for a frame and put its pieces together, and the buffers back. Returns its length; or -ETIMEDOUT. */
static int receive(struct setting *s, uint32_t q, uint8_t *frame, int timeout_ms)
{
	struct igb_packet packet = { 0 };
	uint32_t len = 0;
	uint64_t all;
	int r;

	do {
		r = igb_rx_wait(s->rx[q], timeout_ms);
		if (r == -ETIMEDOUT)
			return r;
		expect_ok(r);
		ASSERT_EQ(igb_rx_burst(s->rx[q], &packet, 1, &all), 1);
		EXPECT_EQ(all & IGB_RX_BAD, 0);
		ASSERT_LE(len + igb_packet_len(&packet), JUMBO);
		memcpy(frame + len, igb_pool_addr(s->pool, packet.iova), igb_packet_len(&packet));
		len += igb_packet_len(&packet);
		expect_ok(igb_pool_give(s->pool, &packet.iova, 1));
	} while (!(packet.word & IGB_RX_END));
	return (int)len;
}

/* In as many pieces as it takes. */
static void send_frame(struct setting *s, const uint8_t *frame, uint32_t len)
{
	struct igb_piece pieces[IGB_MAX_PIECES];
	uint32_t num = 0, done = 0, part;
	int r;

	for (; done < len; done += part, num++) {
		part = len - done < BUFFER ? len - done : BUFFER;
		ASSERT_EQ(igb_pool_take(s->pool, &pieces[num].iova, 1), 1);
		memcpy(igb_pool_addr(s->pool, pieces[num].iova), frame + done, part);
		pieces[num].what = IGB_TX_LEN(part) | (done + part == len ? IGB_TX_END : 0);
	}
	do
		r = igb_tx_burst(s->tx, pieces, num);
	while (r == -EAGAIN);
	ASSERT_EQ(r, num);
}

static uint32_t len_of(uint32_t number, uint32_t longest)
{
	return 60 + number * 37 % (longest - 60 + 1);
}

/* @num frames each way, AT_ONCE at a time, and each as it was sent. Returns the bytes of all in one direction, with check sequences. */
static uint64_t exchange(struct setting *s, uint32_t num, uint32_t longest)
{
	uint8_t frame[JUMBO];
	uint64_t bytes = 0;

	for (uint32_t first = 0; first < num; first += AT_ONCE) {
		for (uint32_t i = first; i < first + AT_ONCE; i++) {
			fill(frame, len_of(i, longest), s->mac, i);
			ASSERT_OK(far_send(&s->far, frame, len_of(i, longest)));
			fill(frame, len_of(i, longest), s->far.mac, i);
			send_frame(s, frame, len_of(i, longest));
			bytes += len_of(i, longest) + 4;
		}
		for (uint32_t i = first; i < first + AT_ONCE; i++) {
			int len = receive(s, 0, frame, TIMEOUT_MS);

			expect_frame(frame, (uint32_t)len, len_of(i, longest), s->mac, i);
			len = far_receive(&s->far, frame, sizeof(frame), TIMEOUT_MS);
			expect_frame(frame, (uint32_t)len, len_of(i, longest), s->far.mac, i);
		}
	}
	return bytes;
}

/* Cases ------------------------------------------------------------------------------------------------------- */

UNIT(igb_real, counts_what_comes_and_goes)
{
	struct setting *s = begin(t, 1, 0);
	uint64_t bytes = exchange(s, 320, LONGEST);
	struct igb_stats stats, again;

	expect_ok(igb_port_stats(s->port, &stats, sizeof(stats)));
	EXPECT_EQ(stats.rx_packets, 320);
	EXPECT_EQ(stats.tx_packets, 320);
	EXPECT_EQ(stats.rx_bytes, bytes);
	EXPECT_EQ(stats.tx_bytes, bytes);
	EXPECT_EQ(stats.rx_broadcast + stats.rx_multicast + stats.tx_broadcast + stats.tx_multicast, 0);
	EXPECT_EQ(stats.rx_missed + stats.rx_no_buffers + stats.rx_crc_errors + stats.rx_length_errors +
			  stats.rx_oversize,
		  0);
	expect_ok(igb_port_stats(s->port, &again, sizeof(again)));
	EXPECT_MEMEQ(&again, &stats, sizeof(stats)); /* reading them loses nothing */
}

UNIT(igb_real, counts_broadcasts_and_groups)
{
	static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 },
			     group[6] = { 1, 0, 0x5e, 0, 0, 9 };
	struct setting *s = begin(t, 1, 0);
	uint8_t frame[LONGEST];
	struct igb_stats stats;

	expect_ok(igb_port_set_multicast(s->port, &group, 1));
	for (uint32_t i = 0; i < 30; i++) {
		const uint8_t *to = i % 3 == 0 ? everybody : i % 3 == 1 ? group : s->mac;

		fill(frame, 100, to, i);
		ASSERT_OK(far_send(&s->far, frame, 100));
		send_frame(s, frame, 100);
		expect_frame(frame, (uint32_t)receive(s, 0, frame, TIMEOUT_MS), 100, to, i);
	}
	expect_ok(igb_port_stats(s->port, &stats, sizeof(stats)));
	EXPECT_EQ(stats.rx_packets, 30);
	EXPECT_EQ(stats.rx_broadcast, 10);
	EXPECT_EQ(stats.rx_multicast, 10);
	EXPECT_EQ(stats.tx_broadcast, 10);
	EXPECT_EQ(stats.tx_multicast, 10);
}

UNIT(igb_real, carries_jumbo_frames_in_several_buffers)
{
	struct setting *s = begin(t, 1, JUMBO);
	struct igb_stats stats;

	exchange(s, 128, JUMBO - 4);
	expect_ok(igb_port_stats(s->port, &stats, sizeof(stats)));
	EXPECT_EQ(stats.rx_packets, 128);
	EXPECT_EQ(stats.tx_packets, 128);
}

/* A UDP datagram from a port of its own to the igb. Its checksum is left out. */
static void fill_udp(uint8_t *frame, const uint8_t *to, uint16_t port, uint8_t number)
{
	static const uint8_t head[30] = { 0x08, 0x00, 0x45, 0,  0, 46, 0, 0, 0, 0, 64, 17, 0x66, 0xbb, 10,
					  0,    0,    1,    10, 0, 0,  2, 0, 0, 0, 9,  0,  26,   0,    0 };

	fill(frame, 60, to, number);
	memcpy(frame + 12, head, sizeof(head));
	frame[34] = (uint8_t)(port >> 8);
	frame[35] = (uint8_t)port;
	frame[42] = number;
}

/* One after the other; a flow's frames are to come in the order in which they were sent, all in one queue. */
UNIT(igb_real, deals_flows_to_queues)
{
	enum { FLOWS = 32, ROUNDS = 8 };
	struct setting *s = begin(t, QUEUES, 0);
	uint8_t frame[JUMBO], queue_of[FLOWS], next[FLOWS] = { 0 };
	uint32_t came[QUEUES] = { 0 }, total = 0;

	for (uint32_t round = 0; round < ROUNDS; round++)
		for (uint32_t flow = 0; flow < FLOWS; flow++) {
			fill_udp(frame, s->mac, (uint16_t)(1000 + 7 * flow), (uint8_t)round);
			ASSERT_OK(far_send(&s->far, frame, 60));
		}
	for (int tries = 0; tries < TIMEOUT_MS / 10 && total < FLOWS * ROUNDS; tries++)
		for (uint32_t q = 0; q < QUEUES; q++) {
			struct igb_packet packet;
			uint64_t all;

			if (igb_rx_wait(s->rx[q], 2) < 0)
				continue;
			while (igb_rx_burst(s->rx[q], &packet, 1, &all) == 1) {
				const uint8_t *got = igb_pool_addr(s->pool, packet.iova);
				uint32_t flow = (((uint32_t)got[34] << 8 | got[35]) - 1000u) / 7;

				ASSERT_LT(flow, FLOWS);
				EXPECT_EQ(igb_packet_hash(&packet) % 128 % QUEUES, q);
				EXPECT_EQ(got[42], next[flow]);
				EXPECT_TRUE(next[flow] == 0 || queue_of[flow] == q);
				next[flow]++;
				queue_of[flow] = (uint8_t)q;
				came[q]++;
				total++;
				expect_ok(igb_pool_give(s->pool, &packet.iova, 1));
			}
		}
	EXPECT_EQ(total, FLOWS * ROUNDS);
	for (uint32_t q = 0; q < QUEUES; q++)
		EXPECT_GT(came[q], 0);
}

UNIT(igb_real, sees_the_link_go_and_come)
{
	struct setting *s = begin(t, 1, 0);
	const char *monitor = getenv("WEIR_MONITOR"), *plug = getenv("WEIR_PLUG");
	struct igb_link link;
	uint8_t frame[JUMBO];

	for (int round = 0; round < 2; round++) {
		exchange(s, AT_ONCE, LONGEST);
		ASSERT_OK(far_set_link(monitor, plug, false));
		expect_ok(igb_port_wait_link(s->port, true, TIMEOUT_MS));
		expect_ok(igb_port_link(s->port, &link, sizeof(link)));
		EXPECT_FALSE(link.up);
		EXPECT_EQ(link.mbps, 0);
		/* Into the void, both of them. */
		fill(frame, 100, s->far.mac, 1);
		send_frame(s, frame, 100);
		fill(frame, 100, s->mac, 1);
		ASSERT_OK(far_send(&s->far, frame, 100));
		EXPECT_EQ(receive(s, 0, frame, QUIET_MS), -ETIMEDOUT);
		EXPECT_EQ(far_receive(&s->far, frame, sizeof(frame), 0), -ETIMEDOUT);
		ASSERT_OK(far_set_link(monitor, plug, true));
		expect_ok(igb_port_wait_link(s->port, false, TIMEOUT_MS));
		expect_ok(igb_port_link(s->port, &link, sizeof(link)));
		EXPECT_EQ(link.mbps, 1000);
	}
	exchange(s, AT_ONCE, LONGEST);
}

/* What has been sent is back in the pool, and each queue has as many as it has descriptors. */
static void expect_buffers_at_home(struct setting *s)
{
	for (int i = 0; i < 1000 && igb_tx_flush(s->tx) > 0; i++)
		igb_rx_wait(s->rx[0], 1);
	EXPECT_EQ(igb_pool_free(s->pool), BUFFERS - DEPTH * s->num_rx);
}

/* What was on its way is lost, or not; what comes, comes once and in order. */
static uint32_t take_until_quiet(struct setting *s, uint32_t next, uint32_t end)
{
	uint8_t frame[JUMBO];
	uint32_t number;
	int len;

	while ((len = receive(s, 0, frame, QUIET_MS)) >= 0) {
		memcpy(&number, frame + HEAD, sizeof(number));
		ASSERT_GE(number, next);
		ASSERT_LT(number, end);
		expect_frame(frame, (uint32_t)len, len_of(number, LONGEST), s->mac, number);
		next = number + 1;
	}
	return next;
}

/* The same at the other end of the wire: what was with the driver as it was reset has been sent once, or is not sent at all. */
static uint32_t take_far_until_quiet(struct setting *s, uint32_t next, uint32_t end, uint32_t *num)
{
	uint8_t frame[JUMBO];
	uint32_t number;
	int len;

	while ((len = far_receive(&s->far, frame, sizeof(frame), QUIET_MS)) >= 0) {
		memcpy(&number, frame + HEAD, sizeof(number));
		ASSERT_GE(number, next);
		ASSERT_LT(number, end);
		expect_frame(frame, (uint32_t)len, 200, s->far.mac, number);
		next = number + 1;
		++*num;
	}
	EXPECT_EQ(len, -ETIMEDOUT);
	return next;
}

UNIT(igb_real, goes_on_after_a_reset_in_mid_stream)
{
	struct setting *s = begin(t, 1, 0);
	uint8_t frame[JUMBO];
	struct igb_stats stats;
	uint32_t next = 0, next_far = 0, sent = 0, num_far = 0;

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 100; i++, sent++) {
			fill(frame, len_of(sent, LONGEST), s->mac, sent);
			ASSERT_OK(far_send(&s->far, frame, len_of(sent, LONGEST)));
			fill(frame, 200, s->far.mac, sent);
			send_frame(s, frame, 200);
			if (i == 50)
				expect_ok(igb_port_reset(s->port));
		}
		/* While the link is down, what is on the wire waits. */
		expect_ok(igb_port_wait_link(s->port, false, TIMEOUT_MS));
		next = take_until_quiet(s, next, sent);
		next_far = take_far_until_quiet(s, next_far, sent, &num_far);
		EXPECT_GT(next_far, sent - 100); /* of each round something came */
		exchange(s, AT_ONCE, LONGEST);
		expect_buffers_at_home(s);
	}
	expect_ok(igb_port_stats(s->port, &stats, sizeof(stats)));
	EXPECT_GE(stats.rx_packets, 3 * AT_ONCE);
	/* What came was sent; what was sent after the counters were read, and before the reset, was not counted: at most what was with the driver then. */
	EXPECT_LE(stats.tx_packets, sent + 3 * AT_ONCE);
	EXPECT_GE(stats.tx_packets + 3 * 51, num_far + 3 * AT_ONCE);
}

/* A reset by the kernel (FLR) is past the driver: its queues have failed, or are silent, until the port is reset. */
UNIT(igb_real, goes_on_after_a_reset_of_the_device)
{
	struct setting *s = begin(t, 1, 0);

	exchange(s, AT_ONCE, LONGEST);
	ASSERT_OK(weir_device_reset(s->device));
	expect_ok(igb_port_reset(s->port));
	expect_ok(igb_port_wait_link(s->port, false, TIMEOUT_MS));
	exchange(s, AT_ONCE, LONGEST);
	expect_buffers_at_home(s);
}
