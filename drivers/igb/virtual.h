/* SPDX-License-Identifier: MIT */
/* What a port does otherwise when it is a virtual function, or has some. Internal. */
#ifndef IGB_VIRTUAL_H
#define IGB_VIRTUAL_H

#include "igb/port.h"
#include "igb/spec_vf.h"

/* mailbox.c, for a virtual function -------------------------------------------------------------------------- */

/*
 * Send a message, and wait for its answer. Returns 0; -ETIMEDOUT, there is none; -ENODEV, -EIO. igb_ask_for() also looks whether it is granted: -EPERM, it is not.
 */
int igb_ask(struct igb_port *port, const uint32_t *words, uint32_t num, uint32_t *ret_words,
	    uint32_t num_ret);
int igb_ask_for(struct igb_port *port, const uint32_t *words, uint32_t num, const char *what);

/* Has the physical function something to say? Returns 0; -ECONNRESET, this one is to be reset; -ENODEV, -EIO. */
int igb_hear(struct igb_port *port);

/* When the physical function is there, what it said to whoever came before is nothing to us. Returns 0, -ETIMEDOUT, -ENODEV, -EIO. */
int igb_forget_mail(struct igb_port *port);

/* virtual.c, for a virtual function ---------------------------------------------------------------------------- */

int igb_virtual_reset(struct igb_port *port);
int igb_virtual_set_up(struct igb_port *port);
int igb_virtual_collect(struct igb_port *port);
int igb_virtual_set_mac(struct igb_port *port, const uint8_t mac[6]);
int igb_virtual_set_multicast(struct igb_port *port, const uint8_t (*macs)[6], size_t num);
int igb_virtual_set_vlan(struct igb_port *port, uint16_t vlan, bool receive);

/* vfs.c, for a physical function with virtual ones -------------------------------------------------------------- */

struct igb_vfs *igb_vfs_create(void);

/* After a reset: pools, and all filters. Also tells virtual functions that are there to reset themselves. */
int igb_vfs_set_up(struct igb_port *port);

/* vfs_filters.c: all filters of all functions anew, as they are to be. */
int igb_vfs_set_up_filters(struct igb_port *port);

/* Are there as many tags as there is room for, with that one? */
bool igb_vfs_has_room_for(const struct igb_port *port, uint16_t vlan);

/* Has one of them this address, another than @but? */
bool igb_vfs_have(const struct igb_port *port, const uint8_t mac[6], uint32_t but);

struct igb_vf {
	uint8_t mac[6];
	bool fixed, ready;
	uint32_t max_frame;
	uint16_t groups[IGB_MSG_HASHES];
	uint32_t num_groups;
	uint32_t vlans[IGB_NUM_WORDS];
	uint64_t messages, refused;
};

struct igb_vfs {
	struct igb_vf vf[IGB_MAX_VFS];
};

/* 12 bits of a group's address, which choose a bit of MTA (RCTL.MO is 0). */
static inline uint32_t igb_group_hash(const uint8_t mac[6])
{
	return ((uint32_t)mac[4] >> 4 | (uint32_t)mac[5] << 4) & 0xfff;
}

#endif
