// SPDX-License-Identifier: MIT
#include "l2fwd/ends.h"

#include <errno.h>
#include <string.h>

#define DEPTH   256u
#define BUFFERS 1024u
#define BURST   32u
#define AHEAD                                                                                                \
	48u /* frames on their way in one direction, at most: the packet buffer of a simulated port holds 64 */
#define HEAD     14u
#define SHORTEST 60u
#define FCS      4u
#define TYPE     0x88b5 /* for local experiments (IEEE 802) */

/* Addresses of the four ports, which differ in the last byte. */
static const uint8_t family[6] = { 0x52, 0x54, 0, 0, 1, 0 };

int ends_simulate(struct weir_sim *sim, const char *ret_addresses[2], const char *ret_ends[2])
{
	struct weir_sim_device *models[4] = { NULL };
	int r = 0;

	for (uint8_t i = 0; i < 4 && r == 0; i++) {
		struct weir_sim_igb_opts opts = WEIR_OPTS(weir_sim_igb_opts);

		memcpy(opts.mac, family, sizeof family);
		opts.mac[5] = i;
		r = weir_sim_add_igb(sim, &opts, NULL, &models[i]);
	}
	for (int i = 0; i < 2 && r == 0; i++) {
		r = weir_sim_igb_connect(models[i], models[2 + i]);
		ret_addresses[i] = weir_sim_device_address(models[i]);
		ret_ends[i] = weir_sim_device_address(models[2 + i]);
	}
	return r;
}

static int open_end(struct end *end, struct weir_memory *memory, uint32_t max_frame)
{
	int r = igb_port_open(end->device, &WEIR_OPTS(igb_port_opts, .max_frame = max_frame), &end->port);

	if (r == 0)
		r = igb_pool_open(memory, BUFFERS, (max_frame + 1023) / 1024 * 1024, &end->pool);
	if (r == 0)
		r = igb_rx_open(end->port, 0, DEPTH, end->pool, &end->rx);
	if (r == 0)
		r = igb_tx_open(end->port, 0, DEPTH, end->pool, &end->tx);
	return r;
}

int ends_open(struct ends *ends, struct weir_ioas *ioas, const char *const addresses[2],
	      struct weir_memory *memory, uint32_t max_frame)
{
	int r = 0;

	*ends = (struct ends){ .longest = max_frame - FCS };
	for (int i = 0; i < 2 && r == 0; i++) {
		r = weir_device_open(ioas, addresses[i], NULL, &ends->ends[i].device);
		if (r == 0)
			r = open_end(&ends->ends[i], memory, max_frame);
	}
	return r;
}

int ends_close(struct ends *ends)
{
	int first = 0, r;

	for (int i = 0; i < 2; i++) {
		struct end *end = &ends->ends[i];

		r = igb_port_close(end->port);
		first = first ? first : r;
		r = igb_pool_close(end->pool);
		first = first ? first : r;
		r = weir_device_close(end->device);
		first = first ? first : r;
		*end = (struct end){ 0 };
	}
	return first;
}

/* All lengths come up. */
static uint32_t len_of(const struct ends *ends, uint64_t number)
{
	return SHORTEST + (uint32_t)(number * 37 % (ends->longest - SHORTEST + 1));
}

static void fill(uint8_t *frame, int from, uint64_t number, uint32_t len)
{
	memcpy(frame, family, sizeof family);
	memcpy(frame + 6, family, sizeof family);
	frame[5] = (uint8_t)(3 - from);
	frame[11] = (uint8_t)(2 + from);
	frame[12] = TYPE >> 8;
	frame[13] = TYPE & 0xff;
	for (uint32_t i = HEAD; i < len; i++)
		frame[i] = (uint8_t)(number * 31 + i + (uint64_t)from);
}

static bool is_frame(const uint8_t *frame, int from, uint64_t number, uint32_t len)
{
	for (uint32_t i = HEAD; i < len; i++)
		if (frame[i] != (uint8_t)(number * 31 + i + (uint64_t)from))
			return false;
	return frame[11] == 2 + from;
}

static int send_one(struct ends *ends, int i)
{
	struct end *end = &ends->ends[i];
	uint32_t len = len_of(ends, end->sent);
	struct igb_piece piece = { .what = IGB_TX_LEN(len) | IGB_TX_END };
	int r;

	if (igb_pool_take(end->pool, &piece.iova, 1) != 1)
		return igb_tx_flush(end->tx) < 0 ? -EIO : 0;
	fill(igb_pool_addr(end->pool, piece.iova), i, end->sent, len);
	r = igb_tx_burst(end->tx, &piece, 1);
	if (r == -EAGAIN)
		return igb_pool_give(end->pool, &piece.iova, 1);
	end->sent += r == 1;
	return r < 0 ? r : 0;
}

static int receive(struct ends *ends, int i)
{
	struct end *end = &ends->ends[i];
	struct igb_packet packets[BURST];
	uint64_t all;
	int num = igb_rx_burst(end->rx, packets, BURST, &all), r = 0;
	bool right = true;

	for (int k = 0; k < num && r == 0; k++) {
		uint32_t len = igb_packet_len(&packets[k]);

		right &= len == len_of(ends, end->received) &&
			 is_frame(igb_pool_addr(end->pool, packets[k].iova), 1 - i, end->received, len);
		end->received++;
		r = igb_pool_give(end->pool, &packets[k].iova, 1);
	}
	return num < 0 ? num : r < 0 ? r : right ? 0 : -EBADMSG;
}

int ends_step(struct ends *ends, uint64_t count)
{
	int r = 0;

	for (int i = 0; i < 2 && r == 0; i++) {
		if (ends->ends[i].sent < count && ends->ends[i].sent - ends->ends[1 - i].received < AHEAD)
			r = send_one(ends, i);
		if (r == 0)
			r = receive(ends, i);
	}
	return r;
}

bool ends_done(const struct ends *ends, uint64_t count)
{
	return ends->ends[0].received == count && ends->ends[1].received == count;
}
