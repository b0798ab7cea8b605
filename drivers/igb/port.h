/* SPDX-License-Identifier: MIT */
/* A port: what is known about the controller, and what it is to be set up like. Internal. */
#ifndef IGB_PORT_H
#define IGB_PORT_H

#include "igb/queue.h"

#define IGB_NUM_EXACT   15u  /* receive addresses beside the port's own */
#define IGB_NUM_WORDS   128u /* of MTA and VFTA */
#define IGB_LINK_VECTOR 0u

#define IGB_VIRTUAL_COUNTERS 5u
#define IGB_VIRTUAL_HASHES   30u

struct igb_port {
	struct weir_device *device;
	struct weir_region *bar;
	volatile uint8_t *mapped; /* the BAR; NULL: by accessor */
	struct weir_memory *memory;
	struct weir_ioas *ioas;
	struct weir_irq *irq; /* NULL: polled */
	uint32_t num_vectors;
	bool own_memory;
	bool reachable; /* the controller could not be kept from memory: rings are not given back */

	/* What reset brings back. */
	uint32_t flags, num_rx, max_frame, timeout_ms;
	uint32_t rss_key[10];
	uint8_t mac[6];
	uint16_t device_id;
	uint8_t exact[IGB_NUM_EXACT][6];
	uint32_t num_exact;
	uint32_t groups[IGB_NUM_WORDS]; /* MTA */
	uint32_t vlans[IGB_NUM_WORDS];  /* VFTA */
	bool filters_vlans;
	bool hashes_groups; /* there are more groups than are matched exactly */

	/* A physical function with virtual ones. */
	struct igb_vfs *vfs;
	uint32_t num_vfs;

	/* A virtual function (virtual.h). */
	bool is_vf;
	bool to_be_reset; /* the physical function was reset, or wants this one to be */
	uint32_t mailbox; /* bits that were read, and nothing done about them yet */
	uint16_t hashes[IGB_VIRTUAL_HASHES];
	uint32_t num_hashes;
	uint32_t counted[IGB_VIRTUAL_COUNTERS]; /* as the counters were last */

	struct igb_stats stats;
	struct igb_rx *rx[IGB_MAX_QUEUES];
	struct igb_tx *tx[IGB_MAX_QUEUES];
};

/* registers.c: returns 0; -EIO; or -ENODEV, it reads as ones, and so does STATUS. */
int igb_read(struct igb_port *port, uint32_t offset, uint32_t *ret_value);
int igb_write(struct igb_port *port, uint32_t offset, uint32_t value);

/* Wait until @mask of a register is @wanted. Returns 0, -ETIMEDOUT, -ENODEV, -EIO. */
int igb_await(struct igb_port *port, uint32_t offset, uint32_t mask, uint32_t wanted, uint32_t timeout_ms,
	      const char *what);

/* Reset the function. Interrupts are off after it, and so is everything else. */
int igb_reset_function(struct igb_port *port);

/* The address that the EEPROM gave it. -EPROTO: it is no station's. */
int igb_read_mac(struct igb_port *port);

/* Have the PHY look for a link, if there is none. */
int igb_wake_phy(struct igb_port *port);

/* setup.c: after a reset, all but the queues. */
int igb_set_up(struct igb_port *port);
int igb_set_up_rctl(struct igb_port *port);
int igb_write_all(struct igb_port *port, uint32_t offset, const uint32_t *values, uint32_t num);

/* An entry of the address table; @mac NULL: none. @pools: with virtual functions, who gets it. */
int igb_write_address(struct igb_port *port, uint32_t index, const uint8_t *mac, uint32_t pools);

/* work.c: after a reset, the queues that are open. */
int igb_start_queues(struct igb_port *port);

/* All queues have failed. */
void igb_fail_queues(struct igb_port *port, int error);

/* link.c: take what the hardware has counted. */
int igb_collect(struct igb_port *port);

bool igb_mac_is_station(const uint8_t mac[6]);

/* vfs_filters.c: has somebody asked for a tag, so that all others are not let through? */
bool igb_vfs_filter_vlans(const struct igb_port *port);

/*
 * A queue's number in the controller. With virtual functions, the last pool is the port's: of its two queues, the second is 8 further on (7.10.3.2).
 */
static inline uint32_t igb_queue_number(const struct igb_port *port, uint32_t index)
{
	return port->num_vfs ? port->num_vfs + 8 * index : index;
}

/* How many there are. */
static inline uint32_t igb_num_rx_queues(const struct igb_port *port)
{
	return port->is_vf ? 1 : port->num_vfs ? 2 : IGB_MAX_QUEUES;
}

static inline uint32_t igb_num_tx_queues(const struct igb_port *port)
{
	return port->is_vf || port->num_vfs ? 2 : IGB_MAX_QUEUES;
}

/* Interrupt vector of a receive queue; 0: it has none. */
static inline uint32_t igb_vector_of(const struct igb_port *port, uint32_t index)
{
	return index + 1 < port->num_vectors ? index + 1 : 0;
}

#endif
