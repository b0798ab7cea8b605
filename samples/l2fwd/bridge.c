// SPDX-License-Identifier: MIT
#include "l2fwd/bridge.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define BURST 32u
#define DEPTH 512u
#define BUFFERS                                                                                              \
	4096u /* both receive queues full, and both transmit queues, and a rest for what is under way */
#define FRAME  1522u
#define BUFFER 1024u /* buffers are multiples of this */

/* Opening and closing ------------------------------------------------------------------------------------- */

static int open_side(struct bridge *bridge, struct bridge_side *side, struct weir_device *device,
		     uint32_t max_frame)
{
	struct igb_port_opts opts =
		WEIR_OPTS(igb_port_opts, .flags = IGB_PROMISCUOUS | (bridge->polls ? 0 : IGB_INTERRUPTS),
			  .max_frame = max_frame);
	int r = igb_port_open(device, &opts, &side->port);

	if (r == 0)
		r = igb_rx_open(side->port, 0, DEPTH, bridge->pool, &side->rx);
	return r < 0 ? r : igb_tx_open(side->port, 0, DEPTH, bridge->pool, &side->tx);
}

/* The longest frame fits into one buffer, so a frame is one piece always. */
int bridge_open(struct bridge *bridge, struct weir_device *const devices[2], struct weir_memory *memory,
		const struct bridge_opts *opts)
{
	uint32_t max_frame = opts->max_frame ? opts->max_frame : FRAME;
	uint32_t buffer = (max_frame + BUFFER - 1) / BUFFER * BUFFER;
	int r;

	*bridge = (struct bridge){ .polls = opts->polls };
	r = igb_pool_open(memory, BUFFERS, buffer, &bridge->pool);
	for (int i = 0; i < 2 && r == 0; i++)
		r = open_side(bridge, &bridge->sides[i], devices[i], max_frame);
	return r;
}

int bridge_close(struct bridge *bridge)
{
	int first = 0, r;

	for (int i = 0; i < 2; i++) {
		r = igb_port_close(bridge->sides[i].port);
		first = first ? first : r;
		bridge->sides[i].port = NULL;
	}
	r = igb_pool_close(bridge->pool);
	bridge->pool = NULL;
	return first ? first : r;
}

/* At work --------------------------------------------------------------------------------------------------- */

static int drop(struct bridge *bridge, const struct igb_piece *pieces, uint32_t num, uint64_t *count)
{
	int r = 0;

	for (uint32_t i = 0; i < num && r == 0; i++)
		r = igb_pool_give(bridge->pool, &pieces[i].iova, 1);
	*count += num;
	return r;
}

/* Damaged frames are given back, which are rare. Returns how many are left, or an error. */
static int weed(struct bridge *bridge, struct bridge_side *from, struct igb_packet *packets, int num)
{
	int left = 0, r;

	for (int i = 0; i < num; i++) {
		if (!(packets[i].word & IGB_RX_BAD)) {
			packets[left++] = packets[i];
			continue;
		}
		from->bad++;
		r = igb_pool_give(bridge->pool, &packets[i].iova, 1);
		if (r < 0)
			return r;
	}
	return left;
}

/* The queue says that it is full, or that the next frame cannot be sent. All of @pieces are gone after this, one way or the other. */
static int send_on(struct bridge *bridge, struct bridge_side *from, struct bridge_side *to,
		   const struct igb_piece *pieces, uint32_t num)
{
	uint32_t done = 0;
	int r = 0;

	while (done < num) {
		r = igb_tx_burst(to->tx, pieces + done, num - done);
		if (r == -EAGAIN)
			return drop(bridge, pieces + done, num - done, &from->full);
		if (r == -EINVAL || r == -EMSGSIZE) {
			r = drop(bridge, pieces + done, 1, &from->bad);
			done++;
		} else if (r > 0) {
			from->packets += (uint32_t)r;
			for (; r > 0 && done < num; r--, done++)
				from->bytes += pieces[done].what >> 32;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int forward(struct bridge *bridge, struct bridge_side *from, struct bridge_side *to)
{
	struct igb_packet packets[BURST];
	struct igb_piece pieces[BURST];
	uint64_t all;
	int num = igb_rx_burst(from->rx, packets, BURST, &all), left = num, r;

	/* The pool is empty while much is being sent: what has come waits in the queue. */
	if (num == -ENOBUFS)
		return 0;
	if (num > 0 && all & IGB_RX_BAD)
		left = weed(bridge, from, packets, num);
	if (left <= 0)
		return left < 0 ? left : num;
	for (int i = 0; i < left; i++)
		pieces[i] = igb_forward(&packets[i]);
	r = send_on(bridge, from, to, pieces, (uint32_t)left);
	return r < 0 ? r : num;
}

int bridge_turn(struct bridge *bridge)
{
	int there = forward(bridge, &bridge->sides[0], &bridge->sides[1]), back;

	if (there < 0)
		return there;
	back = forward(bridge, &bridge->sides[1], &bridge->sides[0]);
	return back < 0 ? back : there + back;
}

/* What has been sent comes back to the pool, though no more is sent. */
static int flush(struct bridge *bridge)
{
	for (int i = 0; i < 2; i++) {
		int r = igb_tx_flush(bridge->sides[i].tx);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Returns whether something has come in since the last look; after that, the next frame is an interrupt. */
static int arm(struct bridge *bridge)
{
	int pending = 0, r = 0;

	for (int i = 0; i < 2 && r == 0; i++)
		r = igb_rx_arm(bridge->sides[i].rx);
	for (int i = 0; i < 2 && r == 0; i++) {
		r = igb_rx_wait(bridge->sides[i].rx, 0);
		pending += r == 0;
		r = r == -ETIMEDOUT ? 0 : r;
	}
	return r < 0 ? r : pending;
}

static int sleep_until_something(struct bridge *bridge, int timeout_ms)
{
	struct pollfd fds[2] = {
		{ .fd = igb_rx_fd(bridge->sides[0].rx), .events = POLLIN },
		{ .fd = igb_rx_fd(bridge->sides[1].rx), .events = POLLIN },
	};
	uint64_t count;

	if (poll(fds, 2, timeout_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < 2; i++)
		if (fds[i].revents & POLLIN && read(fds[i].fd, &count, sizeof count) < 0 && errno != EAGAIN)
			return -errno;
	return 0;
}

int bridge_wait(struct bridge *bridge, int timeout_ms)
{
	int r = flush(bridge);

	if (r == 0 && !bridge->polls)
		r = arm(bridge);
	return r != 0 || bridge->polls ? (r < 0 ? r : 0) : sleep_until_something(bridge, timeout_ms);
}
