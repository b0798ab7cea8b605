// SPDX-License-Identifier: MIT
/* Virtual functions of the igb, and the physical function that answers them, on the simulated host. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "igb_family.h"

static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };
static const uint8_t stranger[6] = { 0x52, 0x54, 0, 0, 0, 0x77 };

static struct family *an_open_family(struct t *t, enum weir_backend backend, const struct igb_port_opts *pf,
				     const struct igb_port_opts *vf)
{
	struct family *family = a_family(t, backend, pf);

	serve_vfs(family);
	for (uint32_t i = 0; i < NUM_VFS; i++)
		open_vf(family, i, vf);
	return family;
}

UNIT(sim_igb_vf, reaches_its_physical_function_the_other_one_and_the_wire)
{
	for (size_t i = 0; i < sizeof(sim_backends) / sizeof(sim_backends[0]); i++) {
		struct family *f = an_open_family(t, sim_backends[i], NULL, NULL);
		struct igb_port_info info;
		struct igb_link link;

		t_note(t, "%s", weir_backend_name(sim_backends[i]));
		expect_ok(igb_port_info(f->vf[0].port, &info, sizeof(info)));
		EXPECT_EQ(info.device_id, IGB_VF_DEVICE_ID);
		expect_ok(igb_port_link(f->vf[0].port, &link, sizeof(link)));
		EXPECT_TRUE(link.up);
		send_as(&f->vf[0], f->mac[0], macs[0], 60, 1);
		EXPECT_TRUE(comes(&f->pf, f->mac[0], macs[0], 60, 1));
		send_as(&f->pf, macs[0], f->mac[0], 1400, 2);
		EXPECT_TRUE(comes(&f->vf[0], macs[0], f->mac[0], 1400, 2));
		send_as(&f->vf[0], f->mac[0], f->mac[1], 200, 3);
		EXPECT_TRUE(comes(&f->vf[1], f->mac[0], f->mac[1], 200, 3));
		send_as(&f->vf[1], f->mac[1], macs[1], 300, 4);
		EXPECT_TRUE(comes(&f->peer, f->mac[1], macs[1], 300, 4)); /* and none of those before it */
		send_as(&f->peer, macs[1], f->mac[1], 400, 5);
		EXPECT_TRUE(comes(&f->vf[1], macs[1], f->mac[1], 400, 5));
		expect_quiet(f->vf[0].rx[0]);
		expect_quiet(f->pf.rx[0]);
		EXPECT_EQ(weir_sim_num_faults(f->host->sim), 0);
	}
}

UNIT(sim_igb_vf, hears_what_is_for_everybody)
{
	struct family *f = an_open_family(t, WEIR_BACKEND_IOMMUFD, NULL, NULL);

	send_as(&f->vf[0], f->mac[0], everybody, 60, 1);
	EXPECT_TRUE(comes(&f->pf, f->mac[0], everybody, 60, 1));
	EXPECT_TRUE(comes(&f->vf[1], f->mac[0], everybody, 60, 1));
	EXPECT_TRUE(comes(&f->peer, f->mac[0], everybody, 60, 1));
	expect_quiet(f->vf[0].rx[0]);
	send_as(&f->peer, macs[1], everybody, 60, 2);
	EXPECT_TRUE(comes(&f->pf, macs[1], everybody, 60, 2));
	EXPECT_TRUE(comes(&f->vf[0], macs[1], everybody, 60, 2));
	EXPECT_TRUE(comes(&f->vf[1], macs[1], everybody, 60, 2));
}

UNIT(sim_igb_vf, loses_and_repeats_nothing)
{
	const struct igb_port_opts interrupts = WEIR_OPTS(igb_port_opts, .flags = IGB_INTERRUPTS);
	struct family *f = an_open_family(t, WEIR_BACKEND_IOMMUFD, &interrupts, &interrupts);
	struct igb_stats stats;

	for (uint32_t i = 0; i < 1000; i += 20) {
		for (uint32_t k = i; k < i + 20; k++) {
			send_as(&f->pf, macs[0], f->mac[0], 60 + k, k);
			send_as(&f->vf[0], f->mac[0], f->mac[1], 60 + k, k);
		}
		for (uint32_t k = i; k < i + 20; k++) {
			ASSERT_TRUE(comes(&f->vf[0], macs[0], f->mac[0], 60 + k, k));
			ASSERT_TRUE(comes(&f->vf[1], f->mac[0], f->mac[1], 60 + k, k));
		}
	}
	wait_until_sent(&f->vf[0]);
	expect_ok(igb_port_stats(f->vf[0].port, &stats, sizeof(stats)));
	EXPECT_EQ(stats.tx_packets, 1000);
	EXPECT_EQ(stats.rx_packets, 1000);
	EXPECT_EQ(stats.rx_bytes, 1000 * 64 + 999 * 500);
	EXPECT_EQ(igb_pool_free(f->vf[0].pool), BUFFERS - DEPTH);
	EXPECT_EQ(weir_sim_num_faults(f->host->sim), 0);
}

UNIT(sim_igb_vf, has_the_address_that_it_is_given_or_one_of_its_own)
{
	static const uint8_t given[6] = { 0x52, 0x54, 0, 1, 0, 1 }, other[6] = { 0x52, 0x54, 0, 1, 0, 2 };
	struct family *f = a_family(t, WEIR_BACKEND_IOMMUFD, NULL);
	struct igb_port_info info;
	struct igb_vf_info seen;

	expect_ok(igb_vf_set_mac(f->pf.port, 0, given));
	EXPECT_EQ(igb_vf_set_mac(f->pf.port, 1, given), -EADDRINUSE);
	EXPECT_EQ(igb_vf_set_mac(f->pf.port, 1, macs[0]), -EADDRINUSE);
	EXPECT_EQ(igb_vf_set_mac(f->pf.port, 1, everybody), -EINVAL);
	EXPECT_EQ(igb_vf_set_mac(f->pf.port, 2, other), -EINVAL);
	serve_vfs(f);
	open_vf(f, 0, NULL);
	open_vf(f, 1, NULL);
	EXPECT_EQ(memcmp(f->mac[0], given, 6), 0);
	EXPECT_EQ(f->mac[1][0] & 3, 2);
	EXPECT_EQ(igb_port_set_mac(f->vf[0].port, other), -EPERM);
	expect_ok(igb_port_set_mac(f->vf[0].port, given));
	EXPECT_EQ(igb_port_set_mac(f->vf[1].port, given), -EPERM);
	EXPECT_EQ(igb_port_set_mac(f->vf[1].port, macs[0]), -EPERM);
	expect_ok(igb_port_set_mac(f->vf[1].port, stranger));
	serve_no_more(f);
	expect_ok(igb_vf_info(f->pf.port, 1, &seen, sizeof(seen)));
	EXPECT_EQ(memcmp(seen.mac, stranger, 6), 0);
	EXPECT_TRUE(seen.ready);
	EXPECT_FALSE(seen.fixed);
	EXPECT_EQ(seen.refused, 2);
	EXPECT_EQ(seen.max_frame, 1522);
	expect_ok(igb_port_check(f->vf[1].port));
	EXPECT_EQ(igb_port_set_mac(f->pf.port, given), -EADDRINUSE);
	EXPECT_EQ(igb_port_set_mac(f->pf.port, stranger), -EADDRINUSE);
	expect_ok(igb_port_set_mac(f->pf.port, macs[0]));
	expect_ok(igb_vf_set_mac(f->pf.port, 1, other)); /* now it is at work */
	EXPECT_EQ(igb_port_check(f->vf[1].port), -ECONNRESET);
	EXPECT_EQ(igb_rx_wait(f->vf[1].rx[0], 600), -ECONNRESET);
	serve_vfs(f);
	expect_ok(igb_port_reset(f->vf[1].port));
	expect_ok(igb_port_info(f->vf[1].port, &info, sizeof(info)));
	EXPECT_EQ(memcmp(info.mac, other, 6), 0);
	send_as(&f->peer, macs[1], other, 100, 1);
	EXPECT_TRUE(comes(&f->vf[1], macs[1], other, 100, 1));
}

UNIT(sim_igb_vf, cannot_send_from_an_address_that_is_not_its_own)
{
	struct family *f = an_open_family(t, WEIR_BACKEND_IOMMUFD, NULL, NULL);

	send_as(&f->vf[0], macs[0], macs[1], 60, 1);
	send_as(&f->vf[0], f->mac[1], everybody, 60, 2);
	send_as(&f->vf[0], f->mac[0], macs[1], 60, 3);
	EXPECT_TRUE(comes(&f->peer, f->mac[0], macs[1], 60, 3));
	send_as(&f->pf, stranger, macs[1], 60, 4); /* the physical function may */
	EXPECT_TRUE(comes(&f->peer, stranger, macs[1], 60, 4));
	expect_quiet(f->vf[1].rx[0]);
}

UNIT(sim_igb_vf, filters_groups_and_tags)
{
	struct family *f = an_open_family(t, WEIR_BACKEND_IOMMUFD, NULL, NULL);
	struct igb_packet packet;
	uint8_t groups[31][6];
	uint16_t vlan;

	for (int i = 0; i < 31; i++)
		memcpy(groups[i], (const uint8_t[6]){ 1, 0, 0x5e, 0, 0, (uint8_t)i }, 6);
	send_as(&f->peer, macs[1], groups[3], 60, 1);
	expect_quiet(f->vf[0].rx[0]);
	expect_ok(igb_port_set_multicast(f->vf[0].port, (const uint8_t(*)[6])groups, 30));
	EXPECT_EQ(igb_port_set_multicast(f->vf[0].port, (const uint8_t(*)[6])groups, 31), -ENOSPC);
	for (uint32_t i = 0; i < 30; i++) {
		send_as(&f->peer, macs[1], groups[i], 60, i);
		EXPECT_TRUE(comes(&f->vf[0], macs[1], groups[i], 60, i));
	}
	expect_quiet(f->vf[1].rx[0]);
	expect_quiet(f->pf.rx[0]);

	expect_ok(igb_port_set_vlan(f->vf[1].port, 5, true));
	EXPECT_EQ(igb_port_set_vlan(f->vf[1].port, UINT16_MAX, true), -EOPNOTSUPP);
	EXPECT_EQ(igb_port_set_promiscuous(f->vf[1].port, true), -EOPNOTSUPP);
	for (vlan = 5; vlan < 7; vlan++) {
		struct igb_piece piece = { .what = IGB_TX_LEN(100) | IGB_TX_END | IGB_TX_VLAN };

		ASSERT_EQ(igb_pool_take(f->peer.pool, &piece.iova, 1), 1);
		fill(igb_pool_addr(f->peer.pool, piece.iova), 100, everybody, 5);
		expect_ok(igb_tx_offload(f->peer.tx, &WEIR_OPTS(igb_offload, .vlan = vlan)));
		ASSERT_EQ(igb_tx_burst(f->peer.tx, &piece, 1), 1);
	}
	packet = receive_one(f->vf[1].rx[0]);
	EXPECT_TRUE(packet.word & IGB_RX_VLAN);
	EXPECT_EQ(igb_packet_len(&packet), 104);
	expect_ok(igb_pool_give(f->vf[1].pool, &packet.iova, 1));
	expect_quiet(f->vf[1].rx[0]);
	expect_quiet(f->vf[0].rx[0]);
}

/* One that takes all the tags that it can get leaves the other and the physical function theirs. */
UNIT(sim_igb_vf, has_its_part_of_the_tags)
{
	struct family *f = an_open_family(t, WEIR_BACKEND_IOMMUFD, NULL, NULL);
	const uint16_t part = 32 / (NUM_VFS + 1);
	struct igb_vf_info seen;

	for (uint16_t vlan = 0; vlan < part; vlan++)
		expect_ok(igb_port_set_vlan(f->vf[0].port, vlan, true));
	EXPECT_EQ(igb_port_set_vlan(f->vf[0].port, 1000, true), -EPERM);
	expect_ok(igb_port_set_vlan(f->vf[0].port, 5, true)); /* it has that */
	expect_ok(igb_port_set_vlan(f->vf[0].port, 6, false));
	expect_ok(igb_port_set_vlan(f->vf[0].port, 1000, true));
	EXPECT_EQ(igb_port_set_vlan(f->vf[0].port, 6, true), -EPERM);
	for (uint16_t i = 0; i < part; i++)
		expect_ok(igb_port_set_vlan(f->vf[1].port, 2000 + i, true));
	EXPECT_EQ(igb_port_set_vlan(f->vf[1].port, 1000, true), -EPERM); /* though it costs nothing */
	serve_no_more(f);
	for (int i = 0; i < 32 - NUM_VFS * part; i++)
		expect_ok(igb_port_set_vlan(f->pf.port, 3000 + i, true));
	EXPECT_EQ(igb_port_set_vlan(f->pf.port, 4000, true), -ENOSPC);
	expect_ok(igb_port_set_vlan(f->pf.port, 1000, true));
	expect_ok(igb_vf_info(f->pf.port, 0, &seen, sizeof(seen)));
	EXPECT_EQ(seen.num_vlans, part);
	serve_vfs(f);
	expect_ok(igb_port_set_vlan(f->vf[1].port, 2000, false));
	expect_ok(igb_port_set_vlan(f->vf[1].port, 2000, true));
	expect_ok(igb_port_set_vlan(f->vf[1].port, 2001, false));
	serve_no_more(f);
	expect_ok(igb_port_set_vlan(f->pf.port, 4000, true)); /* which may have more */
	serve_vfs(f);
	EXPECT_EQ(igb_port_set_vlan(f->vf[1].port, 2001, true), -EPERM);
	expect_ok(igb_port_set_vlan(f->vf[1].port, 4000, true));
}

UNIT(sim_igb_vf, receives_long_frames_when_it_asks_for_them)
{
	struct family *f = a_family(t, WEIR_BACKEND_IOMMUFD, &WEIR_OPTS(igb_port_opts, .max_frame = JUMBO));

	serve_vfs(f);
	open_vf(f, 0, &WEIR_OPTS(igb_port_opts, .max_frame = 2000));
	open_vf(f, 1, NULL);
	send_as(&f->peer, macs[1], f->mac[0], 1990, 1);
	EXPECT_TRUE(comes(&f->vf[0], macs[1], f->mac[0], 1990, 1));
	send_as(&f->peer, macs[1], f->mac[1], 1990, 2);
	expect_quiet(f->vf[1].rx[0]);
}

UNIT(sim_igb_vf, goes_on_after_resets)
{
	struct family *f = an_open_family(t, WEIR_BACKEND_IOMMUFD, NULL, NULL);
	uint8_t group[6] = { 1, 0, 0x5e, 0, 0, 9 };

	expect_ok(igb_port_set_multicast(f->vf[0].port, (const uint8_t(*)[6])group, 1));
	for (uint32_t round = 0; round < 5; round++) {
		for (uint32_t i = 0; i < 20; i++)
			send_as(&f->peer, macs[1], f->mac[0], 60, i);
		if (round % 2) {
			serve_no_more(f);
			expect_ok(igb_port_reset(f->pf.port));
			EXPECT_EQ(igb_port_check(f->vf[0].port), -ECONNRESET);
			EXPECT_EQ(igb_port_check(f->vf[1].port), -ECONNRESET);
			serve_vfs(f);
			expect_ok(igb_port_reset(f->vf[1].port));
		}
		expect_ok(igb_port_reset(f->vf[0].port));
		expect_ok(igb_port_check(f->vf[0].port));
		EXPECT_EQ(igb_pool_free(f->vf[0].pool), BUFFERS - DEPTH);
		send_as(&f->peer, macs[1], group, 60, 100 + round);
		while (!comes(&f->vf[0], macs[1], group, 60, 100 + round))
			;
		send_as(&f->vf[0], f->mac[0], f->mac[1], 60, round);
		EXPECT_TRUE(comes(&f->vf[1], f->mac[0], f->mac[1], 60, round));
	}
	EXPECT_EQ(weir_sim_num_faults(f->host->sim), 0);
}

UNIT(sim_igb_vf, says_that_nobody_answers)
{
	struct family *f = a_family(t, WEIR_BACKEND_IOMMUFD, NULL);
	const struct igb_port_opts soon = WEIR_OPTS(igb_port_opts, .ready_timeout_ms = 300);
	struct igb_port *port;

	EXPECT_EQ(igb_port_open(f->devices[0], &soon, &port), -ETIMEDOUT);
	EXPECT_TRUE(strstr(igb_error(), "does not answer"));
	serve_vfs(f);
	open_vf(f, 0, &soon);
	serve_no_more(f);
	EXPECT_EQ(igb_port_set_mac(f->vf[0].port, stranger), -ETIMEDOUT);
	expect_ok(igb_port_check(f->vf[0].port));
	expect_ok(igb_port_close(f->pf.port));
	f->pf.port = NULL;
	EXPECT_EQ(igb_port_reset(f->vf[0].port), -ETIMEDOUT);
}

UNIT(sim_igb_vf, says_what_it_cannot_have)
{
	struct family *f = a_family(t, WEIR_BACKEND_IOMMUFD, NULL);
	struct igb_port *port;
	struct igb_tx *tx;

	serve_vfs(f);
	EXPECT_EQ(igb_port_open(f->devices[0], &WEIR_OPTS(igb_port_opts, .num_rx = 2), &port), -EINVAL);
	EXPECT_EQ(igb_port_open(f->devices[0], &WEIR_OPTS(igb_port_opts, .num_vfs = 1), &port), -EOPNOTSUPP);
	EXPECT_EQ(igb_port_open(f->devices[0], &WEIR_OPTS(igb_port_opts, .flags = IGB_PROMISCUOUS), &port),
		  -EOPNOTSUPP);
	open_vf(f, 0, NULL);
	expect_ok(igb_tx_open(f->vf[0].port, 1, DEPTH, f->vf[0].pool, &tx));
	EXPECT_EQ(igb_tx_open(f->vf[0].port, 2, DEPTH, f->vf[0].pool, &tx), -EINVAL);
	EXPECT_EQ(igb_tx_open(f->pf.port, 2, DEPTH, f->pf.pool, &tx), -EINVAL);
	EXPECT_EQ(igb_vfs_serve(f->peer.port), -EINVAL);
}

UNIT(sim_igb_vf, is_gone_when_its_physical_function_is)
{
	struct family *f = an_open_family(t, WEIR_BACKEND_IOMMUFD, NULL, NULL);

	serve_no_more(f);
	f->broken = true;
	weir_sim_unplug(f->pf.model, true);
	EXPECT_EQ(igb_port_check(f->vf[0].port), -ENODEV);
	EXPECT_EQ(igb_port_set_mac(f->vf[0].port, stranger), -ENODEV);
	EXPECT_EQ(igb_vfs_serve(f->pf.port), -ENODEV);
}

/* A physical function that divides its flows among its two queues, with virtual functions beside it. */
UNIT(sim_igb_vf, leaves_its_physical_function_two_queues)
{
	struct family *f =
		an_open_family(t, WEIR_BACKEND_IOMMUFD, &WEIR_OPTS(igb_port_opts, .num_rx = 2), NULL);
	uint32_t seen[2] = { 0 };

	for (uint32_t i = 0; i < 40; i++) {
		struct igb_piece piece = { .what = IGB_TX_LEN(60) | IGB_TX_END };
		unsigned char *frame;
		struct igb_packet packet;
		uint64_t all;

		ASSERT_EQ(igb_pool_take(f->peer.pool, &piece.iova, 1), 1);
		frame = igb_pool_addr(f->peer.pool, piece.iova);
		memset(frame, 0, 60);
		memcpy(frame, macs[0], 6);
		memcpy(frame + 6, macs[1], 6);
		memcpy(frame + 12, "\x08\x00\x45\x00\x00\x2e", 6);
		frame[26] = 10;
		frame[29] = (unsigned char)i;
		ASSERT_EQ(igb_tx_burst(f->peer.tx, &piece, 1), 1);
		while (igb_rx_burst(f->pf.rx[0], &packet, 1, &all) != 1) {
			if (igb_rx_burst(f->pf.rx[1], &packet, 1, &all) != 1)
				continue;
			seen[1]++;
			break;
		}
		expect_ok(igb_pool_give(f->pf.pool, &packet.iova, 1));
	}
	EXPECT_GT(seen[1], 5);
	EXPECT_LT(seen[1], 35);
}

/* Who asks is heard by an interrupt. */
UNIT(sim_igb_vf, wakes_its_physical_function)
{
	struct family *f =
		a_family(t, WEIR_BACKEND_IOMMUFD, &WEIR_OPTS(igb_port_opts, .flags = IGB_INTERRUPTS));
	struct pollfd waits = { .fd = igb_port_link_fd(f->pf.port), .events = POLLIN };
	struct igb_port *port;
	uint64_t count;

	while (poll(&waits, 1, 50) == 1)
		ASSERT_EQ(read(waits.fd, &count, 8), 8);
	expect_ok(igb_vfs_serve(f->pf.port));
	for (int round = 0; round < 3; round++) {
		EXPECT_EQ(igb_port_open(f->devices[0], &WEIR_OPTS(igb_port_opts, .ready_timeout_ms = 10),
					&port),
			  -ETIMEDOUT);
		EXPECT_EQ(poll(&waits, 1, TIMEOUT_MS), 1);
		ASSERT_EQ(read(waits.fd, &count, 8), 8);
		EXPECT_GT(igb_vfs_serve(f->pf.port), 0);
	}
}

static void hear_no_more(int fd)
{
	uint64_t count;

	while (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 50) == 1)
		ASSERT_EQ(read(fd, &count, 8), 8);
}

struct question {
	struct igb_port *port;
	pthread_t thread;
	int answer;
};

static void *ask(void *arg)
{
	struct question *question = arg;

	question->answer = igb_port_set_vlan(question->port, 7, true);
	return NULL;
}

/* What it asked for is in the mailbox when it is given another address. */
UNIT(sim_igb_vf, is_answered_also_when_it_is_to_reset_itself)
{
	static const uint8_t given[6] = { 0x52, 0x54, 0, 1, 0, 1 };
	const struct igb_port_opts interrupts = WEIR_OPTS(igb_port_opts, .flags = IGB_INTERRUPTS);
	struct family *f = an_open_family(t, WEIR_BACKEND_IOMMUFD, &interrupts, NULL);
	struct question question = { .port = f->vf[0].port };
	struct igb_port_info info;
	struct igb_vf_info seen;

	serve_no_more(f);
	expect_ok(igb_vfs_serve(f->pf.port));
	hear_no_more(igb_port_link_fd(f->pf.port));
	expect_ok(igb_vfs_serve(f->pf.port));
	ASSERT_EQ(pthread_create(&question.thread, NULL, ask, &question), 0);
	EXPECT_EQ(
		poll(&(struct pollfd){ .fd = igb_port_link_fd(f->pf.port), .events = POLLIN }, 1, TIMEOUT_MS),
		1);
	expect_ok(igb_vf_set_mac(f->pf.port, 0, given));
	EXPECT_EQ(igb_vfs_serve(f->pf.port), 1);
	pthread_join(question.thread, NULL);
	EXPECT_EQ(question.answer, -ECONNRESET);
	EXPECT_EQ(igb_port_check(f->vf[0].port), -ECONNRESET);
	expect_ok(igb_vf_info(f->pf.port, 0, &seen, sizeof(seen)));
	EXPECT_EQ(seen.num_vlans, 0);
	EXPECT_EQ(seen.refused, 1);
	serve_vfs(f);
	expect_ok(igb_port_reset(f->vf[0].port));
	expect_ok(igb_port_info(f->vf[0].port, &info, sizeof(info)));
	EXPECT_EQ(memcmp(info.mac, given, 6), 0);
}

/* A guest that is shut down and started again gets any virtual function, and brings its address. */
UNIT(sim_igb_vf, lets_go_of_its_address_when_its_function_goes)
{
	static const uint8_t given[6] = { 0x52, 0x54, 0, 1, 0, 1 };
	struct family *f = an_open_family(t, WEIR_BACKEND_IOMMUFD, NULL, NULL);
	struct igb_vf_info seen;

	expect_ok(igb_port_set_mac(f->vf[0].port, stranger));
	EXPECT_EQ(igb_port_set_mac(f->vf[1].port, stranger), -EPERM);
	expect_ok(igb_port_close(f->vf[0].port));
	f->vf[0].port = NULL;
	expect_ok(weir_device_reset(f->devices[0]));
	expect_ok(igb_port_set_mac(f->vf[1].port, stranger));
	expect_ok(igb_vf_info(f->pf.port, 0, &seen, sizeof(seen)));
	EXPECT_FALSE(seen.ready);
	EXPECT_EQ(memcmp(seen.mac, (const uint8_t[6]){ 0 }, 6), 0);
	serve_no_more(f);
	expect_ok(igb_vf_set_mac(f->pf.port, 0, given));
	expect_ok(weir_device_reset(f->devices[0]));
	expect_ok(igb_vfs_serve(f->pf.port));
	EXPECT_EQ(igb_vf_set_mac(f->pf.port, 1, given), -EADDRINUSE); /* no choice of its own */
}
