// SPDX-License-Identifier: MIT
/* The igb driver, unchanged, on the simulated host: two ports joined by a wire. What works; what goes wrong is in sim_igb_trouble_test.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "igb_wire.h"

UNIT(sim_igb_driver, brings_up_a_port)
{
	for (size_t i = 0; i < sizeof(sim_backends) / sizeof(sim_backends[0]); i++) {
		struct wire *wire = a_wire(t, sim_backends[i], NULL, BUFFER);
		struct igb_port_info info;
		struct igb_link link;

		t_note(t, "%s", weir_backend_name(sim_backends[i]));
		expect_ok(igb_port_info(wire->ends[1].port, &info, sizeof(info)));
		EXPECT_EQ(memcmp(info.mac, macs[1], 6), 0);
		EXPECT_EQ(info.max_frame, 1522);
		expect_ok(igb_port_link(wire->ends[0].port, &link, sizeof(link)));
		EXPECT_TRUE(link.up);
		EXPECT_TRUE(link.full_duplex);
		EXPECT_EQ(link.mbps, 1000);
		expect_ok(igb_port_check(wire->ends[0].port));
		send_one(&wire->ends[0], macs[1], 60, 1);
		struct igb_packet packet = receive_one(wire->ends[1].rx[0]);
		EXPECT_TRUE(is_frame(&wire->ends[1], &packet, 60, macs[1], 1));
		expect_ok(igb_pool_give(wire->ends[1].pool, &packet.iova, 1));
		EXPECT_EQ(weir_sim_num_faults(wire->host->sim), 0);
	}
}

UNIT(sim_igb_driver, loses_and_repeats_nothing)
{
	struct wire *wire =
		a_wire(t, WEIR_BACKEND_IOMMUFD, &WEIR_OPTS(igb_port_opts, .flags = IGB_INTERRUPTS), BUFFER);
	struct end *from = &wire->ends[0], *at = &wire->ends[1];
	uint32_t sent = 0, received = 0;

	while (received < 1000) {
		struct igb_packet packets[BURST];
		uint64_t all;
		int n;

		/* No more on their way than the other side's ring holds. */
		while (sent < 1000 && sent - received < DEPTH / 2 - 1)
			send_one(from, macs[1], 60 + sent % 1400, sent), sent++;
		expect_ok(igb_rx_wait(at->rx[0], TIMEOUT_MS));
		n = igb_rx_burst(at->rx[0], packets, BURST, &all);
		ASSERT_GT(n, 0);
		EXPECT_EQ(all & IGB_RX_ERRORS, 0);
		for (int i = 0; i < n; i++, received++) {
			ASSERT_TRUE(is_frame(at, &packets[i], 60 + received % 1400, macs[1], received));
			expect_ok(igb_pool_give(at->pool, &packets[i].iova, 1));
		}
	}
	wait_until_sent(from);
	EXPECT_EQ(igb_pool_free(from->pool), BUFFERS - DEPTH);
	EXPECT_EQ(igb_pool_free(at->pool), BUFFERS - DEPTH);
	EXPECT_EQ(weir_sim_num_faults(wire->host->sim), 0);
}

UNIT(sim_igb_driver, counts)
{
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD, NULL, BUFFER);
	static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };
	struct igb_stats stats;

	send_one(&wire->ends[0], macs[1], 100, 1);
	send_one(&wire->ends[0], everybody, 200, 2);
	for (int i = 0; i < 2; i++) {
		struct igb_packet packet = receive_one(wire->ends[1].rx[0]);

		expect_ok(igb_pool_give(wire->ends[1].pool, &packet.iova, 1));
	}
	expect_ok(igb_port_stats(wire->ends[0].port, &stats, sizeof(stats)));
	EXPECT_EQ(stats.tx_packets, 2);
	EXPECT_EQ(stats.tx_bytes, 308);
	EXPECT_EQ(stats.tx_broadcast, 1);
	for (int i = 0; i < 2; i++) { /* reading them does not lose them */
		expect_ok(igb_port_stats(wire->ends[1].port, &stats, sizeof(stats)));
		EXPECT_EQ(stats.rx_packets, 2);
		EXPECT_EQ(stats.rx_bytes, 308);
		EXPECT_EQ(stats.rx_broadcast, 1);
	}
}

UNIT(sim_igb_driver, filters_addresses)
{
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD, NULL, BUFFER);
	struct end *from = &wire->ends[0], *at = &wire->ends[1];
	static const uint8_t other[6] = { 0x52, 0x54, 0, 0, 0, 7 };
	uint8_t groups[20][6];
	struct igb_packet packet;

	for (int i = 0; i < 20; i++)
		memcpy(groups[i], (const uint8_t[6]){ 1, 0, 0x5e, 0, (uint8_t)(i * 16), (uint8_t)i }, 6);
	send_one(from, other, 60, 1);
	send_one(from, groups[0], 60, 2);
	expect_quiet(at->rx[0]);
	expect_ok(igb_port_set_multicast(at->port, (const uint8_t(*)[6])groups, 20));
	for (uint32_t i = 0; i < 20; i++) {
		send_one(from, groups[i], 60, i);
		packet = receive_one(at->rx[0]);
		EXPECT_TRUE(is_frame(at, &packet, 60, groups[i], i));
	}
	expect_ok(igb_port_set_mac(at->port, other));
	send_one(from, other, 60, 30);
	packet = receive_one(at->rx[0]);
	EXPECT_TRUE(is_frame(at, &packet, 60, other, 30));
	send_one(from, macs[1], 60, 31);
	expect_quiet(at->rx[0]);
	expect_ok(igb_port_set_promiscuous(at->port, true));
	send_one(from, macs[1], 60, 32);
	packet = receive_one(at->rx[0]);
	EXPECT_TRUE(is_frame(at, &packet, 60, macs[1], 32));
	EXPECT_EQ(igb_port_set_mac(at->port, groups[0]), -EINVAL);
	EXPECT_EQ(igb_port_set_multicast(at->port, (const uint8_t(*)[6])macs, 1), -EINVAL);
}

UNIT(sim_igb_driver, puts_vlan_tags_in_and_takes_them_out)
{
	struct wire *wire =
		a_wire(t, WEIR_BACKEND_IOMMUFD, &WEIR_OPTS(igb_port_opts, .flags = IGB_VLAN_STRIP), BUFFER);
	struct end *from = &wire->ends[0], *at = &wire->ends[1];
	struct igb_piece piece = { .what = IGB_TX_LEN(100) | IGB_TX_END | IGB_TX_VLAN };
	struct igb_packet packet;

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(igb_pool_take(from->pool, &piece.iova, 1), 1);
		fill(igb_pool_addr(from->pool, piece.iova), 100, macs[1], 5);
		expect_ok(igb_tx_offload(from->tx, &WEIR_OPTS(igb_offload, .vlan = 0x2000 | 77)));
		ASSERT_EQ(igb_tx_burst(from->tx, &piece, 1), 1);
		if (i == 1)
			break;
		packet = receive_one(at->rx[0]);
		EXPECT_TRUE(is_frame(at, &packet, 100, macs[1], 5));
		EXPECT_TRUE(packet.word & IGB_RX_VLAN);
		EXPECT_EQ(packet.word >> 48, 0x2000 | 77);
		expect_ok(igb_port_set_vlan(at->port, 78, true)); /* 77 is none of ours now */
	}
	expect_quiet(at->rx[0]);
	EXPECT_EQ(igb_port_set_vlan(at->port, 4096, true), -EINVAL);
}

UNIT(sim_igb_driver, carries_jumbo_frames_in_several_buffers)
{
	struct wire *wire =
		a_wire(t, WEIR_BACKEND_IOMMUFD, &WEIR_OPTS(igb_port_opts, .max_frame = JUMBO), 1024);
	struct end *from = &wire->ends[0], *at = &wire->ends[1];
	static unsigned char frame[9000], got[16384];
	struct igb_piece pieces[9];
	uint32_t len = 0;
	bool end = false;

	fill(frame, sizeof(frame), macs[1], 3);
	for (uint32_t i = 0; i < 9; i++) {
		pieces[i].what = IGB_TX_LEN(1000) | IGB_TX_OFFSET(i) | (i == 8 ? IGB_TX_END : 0);
		ASSERT_EQ(igb_pool_take(from->pool, &pieces[i].iova, 1), 1);
		memcpy((char *)igb_pool_addr(from->pool, pieces[i].iova) + i, frame + (size_t)i * 1000, 1000);
	}
	for (int round = 0; round < 20; round++) {
		ASSERT_EQ(igb_tx_burst(from->tx, pieces, 9), 9);
		for (len = 0, end = false; !end;) {
			struct igb_packet packet = receive_one(at->rx[0]);

			ASSERT_LE(len + igb_packet_len(&packet), sizeof(got));
			memcpy(got + len, igb_pool_addr(at->pool, packet.iova), igb_packet_len(&packet));
			len += igb_packet_len(&packet);
			end = packet.word & IGB_RX_END;
			expect_ok(igb_pool_give(at->pool, &packet.iova, 1));
		}
		EXPECT_EQ(len, 9000);
		EXPECT_EQ(memcmp(got, frame, 9000), 0);
		wait_until_sent(from);
		for (uint32_t i = 0; i < 9; i++) {
			ASSERT_EQ(igb_pool_take(from->pool, &pieces[i].iova, 1), 1);
			memcpy((char *)igb_pool_addr(from->pool, pieces[i].iova) + i,
			       frame + (size_t)i * 1000, 1000);
		}
	}
	expect_ok(igb_pool_give(from->pool, &pieces[0].iova, 1));
}

/* An UDP packet of IPv4. */
static void fill_udp(unsigned char *frame, uint8_t source, uint16_t port)
{
	static const unsigned char head[] = { 0x08, 0x00, 0x45, 0,  0, 46, 0, 0,  0, 0, 64,
					      17,   0,    0,    10, 0, 0,  1, 10, 0, 0, 2 };

	memcpy(frame, macs[1], 6);
	memcpy(frame + 6, macs[0], 6);
	memcpy(frame + 12, head, sizeof(head));
	frame[29] = source;
	memset(frame + 34, 0x31, 26);
	frame[34] = (unsigned char)(port >> 8);
	frame[35] = (unsigned char)port;
	frame[38] = 0;
	frame[39] = 26;
	/* The sum of the pseudo header: 10.0.0.source, 10.0.0.2, UDP, 26 bytes. */
	frame[40] = 0x14;
	frame[41] = (unsigned char)(source + 2 + 17 + 26);
}

UNIT(sim_igb_driver, fills_in_and_looks_at_checksums)
{
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD, NULL, BUFFER);
	struct end *from = &wire->ends[0], *at = &wire->ends[1];

	for (int offloaded = 0; offloaded < 2; offloaded++) {
		struct igb_piece piece = { .what = IGB_TX_LEN(60) | IGB_TX_END };
		struct igb_packet packet;
		uint64_t all;

		ASSERT_EQ(igb_pool_take(from->pool, &piece.iova, 1), 1);
		fill_udp(igb_pool_addr(from->pool, piece.iova), 1, 1000);
		if (offloaded) {
			expect_ok(igb_tx_offload(from->tx, &WEIR_OPTS(igb_offload, .l4 = 17)));
			piece.what |= IGB_TX_IP_SUM | IGB_TX_L4_SUM;
		}
		ASSERT_EQ(igb_tx_burst(from->tx, &piece, 1), 1);
		expect_ok(igb_rx_wait(at->rx[0], TIMEOUT_MS));
		ASSERT_EQ(igb_rx_burst(at->rx[0], &packet, 1, &all), 1);
		EXPECT_TRUE(packet.word & IGB_RX_IP_SEEN);
		EXPECT_TRUE(packet.word & IGB_RX_L4_SEEN);
		EXPECT_EQ(all & IGB_RX_ERRORS, offloaded ? 0 : IGB_RX_IP_WRONG | IGB_RX_L4_WRONG);
	}
}

UNIT(sim_igb_driver, deals_flows_to_queues)
{
	struct wire *wire = a_wire(t, WEIR_BACKEND_IOMMUFD,
				   &WEIR_OPTS(igb_port_opts, .num_rx = 2, .flags = IGB_INTERRUPTS), BUFFER);
	struct end *from = &wire->ends[0], *at = &wire->ends[1];
	unsigned int came[2] = { 0 };

	for (uint16_t port = 0; port < 40; port++) {
		struct igb_piece piece = { .what = IGB_TX_LEN(60) | IGB_TX_END };

		ASSERT_EQ(igb_pool_take(from->pool, &piece.iova, 1), 1);
		fill_udp(igb_pool_addr(from->pool, piece.iova), 1, port);
		ASSERT_EQ(igb_tx_burst(from->tx, &piece, 1), 1);
	}
	for (int i = 0; i < TIMEOUT_MS && came[0] + came[1] < 40; i++) {
		for (uint32_t q = 0; q < 2; q++) {
			struct igb_packet packets[BURST];
			uint64_t all;
			int n = igb_rx_burst(at->rx[q], packets, BURST, &all);

			expect_ok(n);
			for (int k = 0; k < n; k++)
				EXPECT_EQ(igb_packet_hash(&packets[k]) & 1, q);
			came[q] += (unsigned int)n;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	EXPECT_EQ(came[0] + came[1], 40);
	EXPECT_GT(came[0], 5);
	EXPECT_GT(came[1], 5);
}

/* Trouble ------------------------------------------------------------------------------------------------------ */
