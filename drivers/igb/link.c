// SPDX-License-Identifier: MIT
/* The link, and what the hardware counts. */
#include <errno.h>

#include "common/opts.h"
#include "igb/virtual.h"

#define POLL_MS 20 /* without interrupts */
#define LOOK_MS 500

int igb_port_link(struct igb_port *port, struct igb_link *ret_link, size_t size)
{
	static const uint32_t speeds[4] = { 10, 100, 1000, 1000 };
	struct igb_link link = { 0 };
	uint32_t status;
	int r = igb_read(port, IGB_STATUS, &status);

	if (r < 0)
		return r;
	link.up = status & IGB_STATUS_LINK_UP;
	if (link.up) {
		link.mbps = speeds[status >> IGB_STATUS_SPEED_SHIFT & 3];
		link.full_duplex = status & IGB_STATUS_FULL_DUPLEX;
	}
	info_copy(ret_link, size, &link, sizeof link);
	return 0;
}

/* Reading the cause takes it back, so that the next change is an interrupt again. */
static int sleep_for_link(struct igb_port *port, deadline_t deadline)
{
	uint32_t causes;
	int r = port->is_vf ? 0 : igb_read(port, IGB_ICR, &causes);

	if (r == 0 && port->irq) /* some mask the vector when they send it */
		r = igb_write(port, IGB_EIMS, 1u << IGB_LINK_VECTOR);
	if (r < 0)
		return r;
	if (!port->irq) {
		pause_ns(deadline_left(deadline, POLL_MS) * 1000000L);
		return 0;
	}
	r = weir_irq_wait(port->irq, IGB_LINK_VECTOR, deadline_left(deadline, LOOK_MS), NULL);
	return r == -ETIMEDOUT ? 0 : r < 0 ? fail(r, "waiting for the link: %s", weir_error()) : 0;
}

int igb_port_wait_link(struct igb_port *port, bool up, int timeout_ms)
{
	deadline_t deadline = deadline_in(timeout_ms);
	struct igb_link link = { 0 };
	bool last_look;
	int r;

	for (;;) {
		last_look = deadline_passed(deadline);
		r = igb_port_link(port, &link, sizeof link);
		if (r < 0 || link.up != up)
			return r;
		if (last_look)
			return fail(-ETIMEDOUT, "the link stayed %s for %d ms", up ? "up" : "down",
				    timeout_ms);
		r = sleep_for_link(port, deadline);
		if (r < 0)
			return r;
	}
}

int igb_port_link_fd(const struct igb_port *port)
{
	if (!port->irq)
		return fail(-EOPNOTSUPP, "the port was opened without IGB_INTERRUPTS");
	return weir_irq_fd(port->irq, IGB_LINK_VECTOR);
}

/* Counters ---------------------------------------------------------------------------------------------------- */

static const struct {
	uint16_t offset; /* of the register */
	bool wide;       /* there is another half behind it */
	size_t where;    /* in struct igb_stats */
} counters[] = {
	{ IGB_GPRC, false, offsetof(struct igb_stats, rx_packets) },
	{ IGB_GORC, true, offsetof(struct igb_stats, rx_bytes) },
	{ IGB_MPRC, false, offsetof(struct igb_stats, rx_multicast) },
	{ IGB_BPRC, false, offsetof(struct igb_stats, rx_broadcast) },
	{ IGB_GPTC, false, offsetof(struct igb_stats, tx_packets) },
	{ IGB_GOTC, true, offsetof(struct igb_stats, tx_bytes) },
	{ IGB_MPTC, false, offsetof(struct igb_stats, tx_multicast) },
	{ IGB_BPTC, false, offsetof(struct igb_stats, tx_broadcast) },
	{ IGB_MPC, false, offsetof(struct igb_stats, rx_missed) },
	{ IGB_RNBC, false, offsetof(struct igb_stats, rx_no_buffers) },
	{ IGB_CRCERRS, false, offsetof(struct igb_stats, rx_crc_errors) },
	{ IGB_RLEC, false, offsetof(struct igb_stats, rx_length_errors) },
	{ IGB_RUC, false, offsetof(struct igb_stats, rx_undersize) },
	{ IGB_ROC, false, offsetof(struct igb_stats, rx_oversize) },
	{ IGB_RFC, false, offsetof(struct igb_stats, rx_fragments) },
	{ IGB_RJC, false, offsetof(struct igb_stats, rx_jabbers) },
};

int igb_collect(struct igb_port *port)
{
	uint32_t low, high;
	size_t i;
	int r;

	if (port->is_vf)
		return igb_virtual_collect(port);
	for (i = 0; i < sizeof counters / sizeof counters[0]; i++) {
		high = 0;
		r = igb_read(port, counters[i].offset, &low);
		if (r == 0 && counters[i].wide)
			r = igb_read(port, counters[i].offset + 4u, &high);
		if (r < 0)
			return r;
		*(uint64_t *)(void *)((char *)&port->stats + counters[i].where) += (uint64_t)high << 32 | low;
	}
	return 0;
}

int igb_port_stats(struct igb_port *port, struct igb_stats *ret_stats, size_t size)
{
	int r = igb_collect(port);

	if (r < 0)
		return r;
	info_copy(ret_stats, size, &port->stats, sizeof port->stats);
	return 0;
}
