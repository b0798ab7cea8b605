// SPDX-License-Identifier: MIT
/* Queues of a port: their memory, and what the controller is told about them (datasheet 4.5.9 and 4.5.10). */
#include <errno.h>
#include <string.h>

#include "igb/port.h"
#include "igb/virtual.h"

#define QUEUE_TIMEOUT_MS 100u
#define FCS_LEN          4u
#define POLL_INTERVAL_NS 50000
#define LOOK_MS          500 /* how long to sleep before looking whether the controller is there at all */

static uint32_t rx_base(const struct igb_port *port, uint32_t index)
{
	return port->is_vf ? IGB_VF_RX_QUEUE + index * IGB_VF_QUEUE_STRIDE
			   : IGB_RX_QUEUE + igb_queue_number(port, index) * IGB_QUEUE_STRIDE;
}

static uint32_t tx_base(const struct igb_port *port, uint32_t index)
{
	return port->is_vf ? IGB_VF_TX_QUEUE + index * IGB_VF_QUEUE_STRIDE
			   : IGB_TX_QUEUE + igb_queue_number(port, index) * IGB_QUEUE_STRIDE;
}

/* Memory of a ring, with the IOVA where the controller sees it. */
static int get_ring(struct igb_port *port, uint32_t depth, struct weir_buffer *ret_buffer)
{
	struct weir_buffer buffer;
	uint64_t len;
	int r;

	if (depth < 64 || depth > IGB_MAX_DEPTH || depth & (depth - 1))
		return fail(-EINVAL, "a queue of %u descriptors: a power of two from 64 to %u", depth,
			    IGB_MAX_DEPTH);
	len = depth * UINT64_C(16) < 4096
		      ? 4096
		      : depth * UINT64_C(16); /* whole pages begin at multiples of 128, as they must */
	r = weir_memory_alloc(port->memory, len, NULL, &buffer);
	if (r < 0)
		return fail(r, "memory for rings: %s", weir_error());
	r = weir_memory_iova_in(port->memory, port->ioas, &buffer, &buffer.iova);
	if (r < 0) {
		fail(r, "memory for rings: %s", weir_error());
		weir_memory_free(port->memory, &buffer);
		return r;
	}
	memset(buffer.addr, 0, len);
	*ret_buffer = buffer;
	return 0;
}

static struct igb_doorbell doorbell_of(struct igb_port *port, uint32_t base)
{
	struct igb_doorbell doorbell = { .region = port->bar, .offset = base + IGB_Q_TAIL };

	if (port->mapped)
		doorbell.addr = (volatile uint32_t *)(port->mapped + doorbell.offset);
	return doorbell;
}

/* Tell the controller of a ring, and enable the queue. */
static int enable(struct igb_port *port, const struct igb_queue *q, uint32_t base)
{
	int r = igb_write(port, base + IGB_Q_DCTL, 0);

	if (r == 0)
		r = igb_write(port, base + IGB_Q_BASE_LOW, (uint32_t)q->memory.iova);
	if (r == 0)
		r = igb_write(port, base + IGB_Q_BASE_HIGH, (uint32_t)(q->memory.iova >> 32));
	if (r == 0)
		r = igb_write(port, base + IGB_Q_LEN, (q->mask + 1) * 16);
	if (r == 0)
		r = igb_write(port, base + IGB_Q_HEAD, 0);
	if (r == 0)
		r = igb_write(port, base + IGB_Q_TAIL, 0);
	if (r == 0)
		r = igb_write(port, base + IGB_Q_DCTL, IGB_DCTL_THRESHOLDS | IGB_DCTL_ENABLE);
	return r < 0 ? r
		     : igb_await(port, base + IGB_Q_DCTL, IGB_DCTL_ENABLE, IGB_DCTL_ENABLE, QUEUE_TIMEOUT_MS,
				 "enabling a queue");
}

/* The controller stops using a queue. If it does not say so, it loses its way to memory, and with it all of its queues. */
static int disable(struct igb_port *port, uint32_t base)
{
	int r = igb_write(port, base + IGB_Q_DCTL, 0);

	if (r == 0)
		r = igb_await(port, base + IGB_Q_DCTL, IGB_DCTL_ENABLE, 0, QUEUE_TIMEOUT_MS,
			      "disabling a queue");
	if (r < 0) {
		if (weir_device_set_bus_master(port->device, false) < 0 && r != -ENODEV)
			port->reachable = true;
		igb_fail_queues(port, r);
	}
	return r;
}

static int start_rx(struct igb_port *port, struct igb_rx *rx)
{
	uint32_t base = rx_base(port, rx->q.index),
		 srrctl = IGB_SRRCTL_ADVANCED | rx->q.pool->place.len / 1024;
	int r;

	if (port->num_rx > 1 || port->num_vfs || port->is_vf)
		srrctl |= IGB_SRRCTL_DROP; /* a queue that is not served does not hold up the others */
	r = igb_write(port, base + IGB_Q_SRRCTL, srrctl);
	if (r == 0)
		r = enable(port, &rx->q, base);
	if (r < 0)
		return r;
	r = igb_queue_ring(&rx->q, UINT32_MAX); /* one before the first: see struct igb_queue */
	return r < 0 ? fail(r, "the doorbell cannot be rung: %s", weir_error()) : 0;
}

/* Receive ------------------------------------------------------------------------------------------------------- */

int igb_rx_open(struct igb_port *port, uint32_t index, uint32_t depth, struct igb_pool *pool,
		struct igb_rx **ret_rx)
{
	struct weir_buffer memory;
	struct igb_rx *rx;
	int r;

	if (index >= port->num_rx)
		return fail(-EINVAL, "receive queue %u: the port has %u", index, port->num_rx);
	if (port->rx[index])
		return fail(-EBUSY, "receive queue %u is open", index);
	r = get_ring(port, depth, &memory);
	if (r < 0)
		return r;
	r = igb_rx_create(memory.addr, depth, pool, doorbell_of(port, rx_base(port, index)), &rx);
	if (r < 0) {
		weir_memory_free(port->memory, &memory);
		return r;
	}
	rx->q.port = port;
	rx->q.index = index;
	rx->q.memory = memory;
	port->rx[index] = rx;
	r = start_rx(port, rx);
	if (r < 0) {
		igb_rx_close(rx);
		return r;
	}
	*ret_rx = rx;
	return 0;
}

int igb_rx_close(struct igb_rx *rx)
{
	struct igb_port *port;
	struct weir_buffer memory;
	int r;

	if (!rx)
		return 0;
	port = rx->q.port;
	memory = rx->q.memory;
	port->rx[rx->q.index] = NULL;
	r = disable(port, rx_base(port, rx->q.index));
	igb_rx_destroy(rx);
	if (!port->reachable)
		weir_memory_free(port->memory, &memory);
	return r;
}

int igb_rx_arm(struct igb_rx *rx)
{
	uint32_t vector = igb_vector_of(rx->q.port, rx->q.index);

	if (vector == 0)
		return fail(-EOPNOTSUPP, "receive queue %u has no interrupt", rx->q.index);
	return igb_write(rx->q.port, IGB_EIMS, 1u << vector);
}

int igb_rx_fd(const struct igb_rx *rx)
{
	uint32_t vector = igb_vector_of(rx->q.port, rx->q.index);

	if (vector == 0)
		return fail(-EOPNOTSUPP, "receive queue %u has no interrupt", rx->q.index);
	return weir_irq_fd(rx->q.port->irq, vector);
}

/* Sleep until packets may have come. Returns 0, also if it was for nothing; or -EINTR. */
static int doze(struct igb_rx *rx, deadline_t deadline)
{
	uint32_t vector = igb_vector_of(rx->q.port, rx->q.index);
	int r;

	if (vector == 0) {
		pause_ns(POLL_INTERVAL_NS);
		return 0;
	}
	r = igb_rx_arm(rx);
	if (r < 0 || igb_rx_pending(rx))
		return r;
	r = weir_irq_wait(rx->q.port->irq, vector, deadline_left(deadline, LOOK_MS), NULL);
	return r == -ETIMEDOUT ? 0 : r < 0 ? fail(r, "waiting for packets: %s", weir_error()) : 0;
}

int igb_rx_wait(struct igb_rx *rx, int timeout_ms)
{
	deadline_t deadline = deadline_in(timeout_ms), look = deadline_in(LOOK_MS);
	bool last_look;
	int r;

	for (;;) {
		last_look = deadline_passed(deadline);
		if (rx->q.failed)
			return igb_queue_explain(&rx->q, "receive");
		if (igb_rx_pending(rx))
			return 0;
		if (deadline_passed(look) || last_look) {
			r = igb_port_check(rx->q.port);
			if (r < 0)
				return r;
			look = deadline_in(LOOK_MS);
		}
		if (last_look)
			return fail(-ETIMEDOUT, "no packets within %d ms", timeout_ms);
		r = doze(rx, deadline);
		if (r < 0)
			return r;
	}
}

/* Transmit ------------------------------------------------------------------------------------------------------ */

int igb_tx_open(struct igb_port *port, uint32_t index, uint32_t depth, struct igb_pool *pool,
		struct igb_tx **ret_tx)
{
	struct weir_buffer memory;
	struct igb_tx *tx;
	int r;

	if (index >= igb_num_tx_queues(port))
		return fail(-EINVAL, "transmit queue %u: there are %u", index, igb_num_tx_queues(port));
	if (port->tx[index])
		return fail(-EBUSY, "transmit queue %u is open", index);
	r = get_ring(port, depth, &memory);
	if (r < 0)
		return r;
	r = igb_tx_create(memory.addr, depth, pool, doorbell_of(port, tx_base(port, index)),
			  port->max_frame - FCS_LEN, &tx);
	if (r < 0) {
		weir_memory_free(port->memory, &memory);
		return r;
	}
	tx->q.port = port;
	tx->q.index = index;
	tx->q.memory = memory;
	port->tx[index] = tx;
	r = enable(port, &tx->q, tx_base(port, index));
	if (r < 0) {
		igb_tx_close(tx);
		return r;
	}
	*ret_tx = tx;
	return 0;
}

/* Let what is on its way be sent, as far as that ends soon. */
static void drain(struct igb_tx *tx)
{
	deadline_t deadline = deadline_in(QUEUE_TIMEOUT_MS);

	while (igb_tx_flush(tx) > 0 && !deadline_passed(deadline))
		pause_ns(POLL_INTERVAL_NS);
}

int igb_tx_close(struct igb_tx *tx)
{
	struct igb_port *port;
	struct weir_buffer memory;
	int r;

	if (!tx)
		return 0;
	port = tx->q.port;
	memory = tx->q.memory;
	port->tx[tx->q.index] = NULL;
	drain(tx);
	r = disable(port, tx_base(port, tx->q.index));
	igb_tx_destroy(tx);
	if (!port->reachable)
		weir_memory_free(port->memory, &memory);
	return r;
}

/* All of them --------------------------------------------------------------------------------------------------- */

int igb_start_queues(struct igb_port *port)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < IGB_MAX_QUEUES && r == 0; i++) {
		if (!port->tx[i])
			continue;
		igb_tx_restart(port->tx[i]);
		r = enable(port, &port->tx[i]->q, tx_base(port, i));
	}
	for (i = 0; i < IGB_MAX_QUEUES && r == 0; i++) {
		if (!port->rx[i])
			continue;
		igb_rx_restart(port->rx[i]);
		r = start_rx(port, port->rx[i]);
	}
	return r;
}

void igb_fail_queues(struct igb_port *port, int error)
{
	uint32_t i;

	for (i = 0; i < IGB_MAX_QUEUES; i++) {
		struct igb_queue *queues[2] = { port->rx[i] ? &port->rx[i]->q : NULL,
						port->tx[i] ? &port->tx[i]->q : NULL };

		for (int k = 0; k < 2; k++) {
			if (queues[k])
				igb_queue_fail(queues[k], error);
		}
	}
}
