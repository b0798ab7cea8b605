// SPDX-License-Identifier: MIT
#include "igb_family.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const vf_addresses[NUM_VFS] = { "0000:00:10.0", "0000:00:10.1" };

static void *serve(void *arg)
{
	struct family *family = arg;

	while (!atomic_load(&family->stops)) {
		int r = igb_vfs_serve(family->pf.port);

		if (r < 0) {
			atomic_store(&family->served, r);
			break;
		}
		atomic_fetch_add(&family->served, r);
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
	return NULL;
}

void serve_vfs(struct family *family)
{
	atomic_store(&family->stops, false);
	ASSERT_EQ(pthread_create(&family->server, NULL, serve, family), 0);
	family->serves = true;
}

void serve_no_more(struct family *family)
{
	if (!family->serves)
		return;
	atomic_store(&family->stops, true);
	pthread_join(family->server, NULL);
	family->serves = false;
	if (!family->broken)
		EXPECT_GE(atomic_load(&family->served), 0);
}

static void close_end(struct family *family, struct end *end)
{
	if (igb_port_close(end->port) < 0 && !family->broken)
		FAIL("igb_port_close: %s", igb_error());
	EXPECT_OK(igb_pool_close(end->pool));
}

static void close_family(void *arg)
{
	struct family *family = arg;

	serve_no_more(family);
	for (int i = 0; i < NUM_VFS; i++)
		close_end(family, &family->vf[i]);
	close_end(family, &family->pf);
	close_end(family, &family->peer);
	EXPECT_OK(weir_memory_close(family->memory));
	free(family);
}

static void open_queues(struct family *family, struct end *end, uint32_t num_rx)
{
	expect_ok(igb_pool_open(family->memory, BUFFERS, BUFFER, &end->pool));
	for (uint32_t i = 0; i < num_rx; i++)
		expect_ok(igb_rx_open(end->port, i, DEPTH, end->pool, &end->rx[i]));
	expect_ok(igb_tx_open(end->port, 0, DEPTH, end->pool, &end->tx));
}

struct family *a_family(struct t *t, enum weir_backend backend, const struct igb_port_opts *callers)
{
	struct igb_port_opts opts = callers ? *callers : WEIR_OPTS(igb_port_opts);
	struct sim_host *host = sim_host_open(t, backend);
	struct family *family = calloc(1, sizeof(*family));
	struct end *ends[2] = { &family->pf, &family->peer };

	ASSERT_TRUE(family);
	family->host = host;
	opts.num_vfs = NUM_VFS;
	for (int i = 0; i < 2; i++) {
		struct weir_sim_igb_opts model = WEIR_OPTS(weir_sim_igb_opts);

		memcpy(model.mac, macs[i], 6);
		ASSERT_OK(weir_sim_add_igb(host->sim, &model, NULL, &ends[i]->model));
	}
	ASSERT_OK(weir_sim_igb_connect(family->pf.model, family->peer.model));
	for (uint32_t i = 0; i < NUM_VFS; i++)
		ASSERT_OK(weir_sim_add_igb_vf(family->pf.model, i,
					      &WEIR_OPTS(weir_sim_slot, .address = vf_addresses[i]),
					      &family->vf[i].model));
	ASSERT_OK(weir_memory_open(host->ioas, NULL, &family->memory));
	expect_ok(igb_port_open(sim_host_device(t, host, addresses[0], 0), &opts, &family->pf.port));
	expect_ok(igb_port_open(sim_host_device(t, host, addresses[1], 0),
				&WEIR_OPTS(igb_port_opts, .flags = IGB_PROMISCUOUS,
					   .max_frame = callers ? callers->max_frame : 0),
				&family->peer.port));
	for (int i = 0; i < NUM_VFS; i++)
		family->devices[i] = sim_host_device(t, host, vf_addresses[i], 0);
	open_queues(family, &family->pf, opts.num_rx ? opts.num_rx : 1);
	open_queues(family, &family->peer, 1);
	t_defer(t, close_family, family);
	return family;
}

void open_vf(struct family *family, uint32_t number, const struct igb_port_opts *opts)
{
	struct end *vf = &family->vf[number];
	struct igb_port_info info;

	expect_ok(igb_port_open(family->devices[number], opts, &vf->port));
	ASSERT_TRUE(vf->port);
	expect_ok(igb_port_info(vf->port, &info, sizeof(info)));
	memcpy(family->mac[number], info.mac, 6);
	open_queues(family, vf, 1);
}

void send_as(struct end *from, const uint8_t *source, const uint8_t *to, uint32_t len, uint32_t number)
{
	struct igb_piece piece = { .what = IGB_TX_LEN(len) | IGB_TX_END };
	unsigned char *frame;

	ASSERT_EQ(igb_pool_take(from->pool, &piece.iova, 1), 1);
	frame = igb_pool_addr(from->pool, piece.iova);
	fill(frame, len, to, number);
	memcpy(frame + 6, source, 6);
	ASSERT_EQ(igb_tx_burst(from->tx, &piece, 1), 1);
}

bool comes(struct end *at, const uint8_t *source, const uint8_t *to, uint32_t len, uint32_t number)
{
	struct igb_packet packet = receive_one(at->rx[0]);
	unsigned char expected[BUFFER];
	bool is;

	fill(expected, len, to, number);
	memcpy(expected + 6, source, 6);
	is = igb_packet_len(&packet) == len && packet.word & IGB_RX_END &&
	     memcmp(igb_pool_addr(at->pool, packet.iova), expected, len) == 0;
	expect_ok(igb_pool_give(at->pool, &packet.iova, 1));
	return is;
}
