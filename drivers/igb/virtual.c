// SPDX-License-Identifier: MIT
/* A port that is a virtual function: where it has no registers of its own, it asks. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "igb/virtual.h"

#define RESET_PAUSE_NS 2000000

enum { GREETINGS = 4 };

/* Everything of it is off then, also if nobody answers. */
int igb_virtual_reset(struct igb_port *port)
{
	uint32_t status;
	int r = igb_write(port, IGB_EIMC, UINT32_MAX);

	if (r == 0)
		r = igb_write(port, IGB_CTRL, IGB_CTRL_RESET);
	if (r < 0)
		return r;
	pause_ns(RESET_PAUSE_NS);
	return igb_read(port, IGB_STATUS, &status);
}

/* Counters ------------------------------------------------------------------------------------------------------- */

static const struct {
	uint16_t offset;
	size_t where; /* in struct igb_stats */
} counters[IGB_VIRTUAL_COUNTERS] = {
	{ IGB_VF_GPRC, offsetof(struct igb_stats, rx_packets) },
	{ IGB_VF_GORC, offsetof(struct igb_stats, rx_bytes) },
	{ IGB_VF_MPRC, offsetof(struct igb_stats, rx_multicast) },
	{ IGB_VF_GPTC, offsetof(struct igb_stats, tx_packets) },
	{ IGB_VF_GOTC, offsetof(struct igb_stats, tx_bytes) },
};

/* They have 32 bits, and go round. */
int igb_virtual_collect(struct igb_port *port)
{
	uint32_t now, i;
	int r;

	for (i = 0; i < IGB_VIRTUAL_COUNTERS; i++) {
		r = igb_read(port, counters[i].offset, &now);
		if (r < 0)
			return r;
		*(uint64_t *)(void *)((char *)&port->stats + counters[i].where) += now - port->counted[i];
		port->counted[i] = now;
	}
	return 0;
}

static int count_from_here(struct igb_port *port)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < IGB_VIRTUAL_COUNTERS && r == 0; i++)
		r = igb_read(port, counters[i].offset, &port->counted[i]);
	return r;
}

/* What it asks for ------------------------------------------------------------------------------------------------ */

static int ask_for_mac(struct igb_port *port, const uint8_t mac[6])
{
	uint32_t words[3] = { IGB_MSG_SET_MAC, 0, 0 };

	words[1] = (uint32_t)mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24;
	words[2] = (uint32_t)mac[4] | (uint32_t)mac[5] << 8;
	return igb_ask_for(port, words, 3, "the address");
}

static int ask_for_groups(struct igb_port *port)
{
	uint32_t words[IGB_MSG_WORDS] = { IGB_MSG_SET_MULTICAST | port->num_hashes << IGB_MSG_INFO_SHIFT }, i;

	for (i = 0; i < port->num_hashes; i++)
		words[1 + i / 2] |= (uint32_t)port->hashes[i] << (16 * (i % 2));
	return igb_ask_for(port, words, 1 + (port->num_hashes + 1) / 2, "the groups");
}

static int ask_for_vlan(struct igb_port *port, uint32_t vlan, bool receive)
{
	const uint32_t words[2] = { IGB_MSG_SET_VLAN | (uint32_t)receive << IGB_MSG_INFO_SHIFT, vlan };

	return igb_ask_for(port, words, 2, "the VLAN tag");
}

static int ask_for_length(struct igb_port *port)
{
	const uint32_t words[2] = { IGB_MSG_SET_LPE, port->max_frame };

	return igb_ask_for(port, words, 2, "frames of that length");
}

static int ask_for_vlans(struct igb_port *port)
{
	uint32_t vlan;
	int r = 0;

	for (vlan = 0; vlan < 4096 && r == 0; vlan++)
		if (port->vlans[vlan >> 5] & 1u << (vlan & 31))
			r = ask_for_vlan(port, vlan, true);
	return r;
}

/* Begin to talk. It may be told its address; one that it had before is asked for again. */
static int greet(struct igb_port *port)
{
	const uint32_t hello = IGB_MSG_RESET;
	uint32_t answer[3] = { 0 }, i;
	uint8_t mac[6];
	int r = igb_forget_mail(port);

	if (r == 0)
		r = igb_ask(port, &hello, 1, answer, 3);
	if (r < 0)
		return r;
	port->to_be_reset = false;
	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)(answer[1 + i / 4] >> (8 * (i % 4)));
	if (!(answer[0] & IGB_MSG_NACK) && igb_mac_is_station(mac)) {
		memcpy(port->mac, mac, 6);
		return 0;
	}
	if (!igb_mac_is_station(port->mac)) {
		if (getrandom(port->mac, 6, 0) != 6)
			return fail(-EIO, "no chance to make an address from");
		port->mac[0] = (uint8_t)((port->mac[0] & 0xfc) | 2); /* a station's, locally administered */
	}
	return ask_for_mac(port, port->mac);
}

/* Vector 0 is the mailbox's, as it is the link's of a physical function; 1 the receive queue's. */
static int set_up_interrupts(struct igb_port *port)
{
	const uint32_t queue = igb_vector_of(port, 0);
	int r;

	if (!port->irq)
		return 0;
	r = igb_write(port, IGB_VF_IVAR, queue ? queue | IGB_IVAR_VALID : 0);
	if (r == 0)
		r = igb_write(port, IGB_VF_IVAR_MISC, IGB_LINK_VECTOR | IGB_IVAR_VALID);
	if (r == 0)
		r = igb_write(port, IGB_EIAC, 1u << queue | 1u << IGB_LINK_VECTOR);
	if (r == 0)
		r = igb_write(port, IGB_EIAM, queue ? 1u << queue : 0);
	return r < 0 ? r : igb_write(port, IGB_EIMS, 1u << IGB_LINK_VECTOR);
}

static int introduce(struct igb_port *port)
{
	int r = greet(port);

	if (r == 0)
		r = ask_for_length(port);
	if (r == 0 && port->num_hashes != 0)
		r = ask_for_groups(port);
	return r < 0 ? r : ask_for_vlans(port);
}

int igb_virtual_set_up(struct igb_port *port)
{
	int tries = GREETINGS, r;

	/* A greeting from before the reset may be answered after it, and the one that follows be taken for part of that. */
	do
		r = introduce(port);
	while (r == -ECONNRESET && --tries > 0);
	if (r == 0)
		r = set_up_interrupts(port);
	return r < 0 ? r : count_from_here(port);
}

/* Filters ------------------------------------------------------------------------------------------------------------ */

int igb_virtual_set_mac(struct igb_port *port, const uint8_t mac[6])
{
	int r = ask_for_mac(port, mac);

	if (r == 0)
		memcpy(port->mac, mac, 6);
	return r;
}

int igb_virtual_set_multicast(struct igb_port *port, const uint8_t (*macs)[6], size_t num)
{
	size_t i;

	if (num > IGB_MSG_HASHES)
		return fail(-ENOSPC, "%zu groups: a virtual function can have %u", num, IGB_MSG_HASHES);
	port->num_hashes = (uint32_t)num;
	for (i = 0; i < num; i++)
		port->hashes[i] = (uint16_t)igb_group_hash(macs[i]);
	return ask_for_groups(port);
}

int igb_virtual_set_vlan(struct igb_port *port, uint16_t vlan, bool receive)
{
	uint32_t bit, *word;
	int r;

	if (vlan == UINT16_MAX)
		return fail(-EOPNOTSUPP,
			    "a virtual function receives the VLAN tags that it asked for, not all");
	r = ask_for_vlan(port, vlan, receive);
	if (r < 0)
		return r;
	word = &port->vlans[vlan >> 5];
	bit = 1u << (vlan & 31);
	*word = receive ? *word | bit : *word & ~bit;
	return 0;
}
