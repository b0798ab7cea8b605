// SPDX-License-Identifier: MIT
/* What a port is set up like after each reset: filters, RSS, interrupts; and the calls that change that. */
#include <errno.h>
#include <string.h>

#include "igb/port.h"
#include "igb/virtual.h"

int igb_write_all(struct igb_port *port, uint32_t offset, const uint32_t *values, uint32_t num)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < num && r == 0; i++)
		r = igb_write(port, offset + 4 * i, values[i]);
	return r;
}

/* Filters ----------------------------------------------------------------------------------------------------- */

int igb_write_address(struct igb_port *port, uint32_t index, const uint8_t *mac, uint32_t pools)
{
	uint32_t low = 0, high = 0;
	int r;

	if (mac) {
		low = (uint32_t)mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 |
		      (uint32_t)mac[3] << 24;
		high = (uint32_t)mac[4] | (uint32_t)mac[5] << 8 | IGB_RAH_VALID | pools << IGB_RAH_POOL_SHIFT;
	}
	r = igb_write(port, IGB_RAL + 8 * index, low);
	return r < 0 ? r : igb_write(port, IGB_RAH + 8 * index, high);
}

static int set_up_filters(struct igb_port *port)
{
	uint32_t i;
	int r;

	if (port->num_vfs)
		return igb_vfs_set_up_filters(port);
	r = igb_write_address(port, 0, port->mac, 0);
	for (i = 0; i < IGB_NUM_EXACT && r == 0; i++)
		r = igb_write_address(port, 1 + i, i < port->num_exact ? port->exact[i] : NULL, 0);
	if (r == 0)
		r = igb_write_all(port, IGB_MTA, port->groups, IGB_NUM_WORDS);
	return r < 0 ? r : igb_write_all(port, IGB_VFTA, port->vlans, IGB_NUM_WORDS);
}

int igb_set_up_rctl(struct igb_port *port)
{
	uint32_t rctl = IGB_RCTL_ENABLE | IGB_RCTL_BROADCAST | IGB_RCTL_STRIP_FCS | IGB_RCTL_LONG;

	if (port->flags & IGB_PROMISCUOUS)
		rctl |= IGB_RCTL_UNICAST | IGB_RCTL_MULTICAST;
	else if (port->num_vfs ? igb_vfs_filter_vlans(port) : port->filters_vlans)
		rctl |= IGB_RCTL_VLAN;
	return igb_write(port, IGB_RCTL, rctl);
}

int igb_port_set_promiscuous(struct igb_port *port, bool on)
{
	if (port->is_vf)
		return fail(-EOPNOTSUPP,
			    "what a virtual function receives is for its physical function to say");
	port->flags = on ? port->flags | IGB_PROMISCUOUS : port->flags & ~IGB_PROMISCUOUS;
	return port->num_vfs ? igb_vfs_set_up_filters(port) : igb_set_up_rctl(port);
}

int igb_port_set_mac(struct igb_port *port, const uint8_t mac[6])
{
	if (!igb_mac_is_station(mac))
		return fail(-EINVAL, "%02x:%02x:%02x:%02x:%02x:%02x is no station's address", mac[0], mac[1],
			    mac[2], mac[3], mac[4], mac[5]);
	if (port->is_vf)
		return igb_virtual_set_mac(port, mac);
	if (igb_vfs_have(port, mac, port->num_vfs))
		return fail(-EADDRINUSE, "%02x:%02x:%02x:%02x:%02x:%02x is a virtual function's", mac[0],
			    mac[1], mac[2], mac[3], mac[4], mac[5]);
	memcpy(port->mac, mac, 6);
	return igb_write_address(port, 0, mac, 1u << port->num_vfs);
}

int igb_port_set_multicast(struct igb_port *port, const uint8_t (*macs)[6], size_t num)
{
	uint32_t hash, most = IGB_NUM_EXACT - port->num_vfs;
	size_t i;

	for (i = 0; i < num; i++)
		if (!(macs[i][0] & 1))
			return fail(-EINVAL, "%02x:%02x:%02x:%02x:%02x:%02x is no group's address",
				    macs[i][0], macs[i][1], macs[i][2], macs[i][3], macs[i][4], macs[i][5]);
	if (port->is_vf)
		return igb_virtual_set_multicast(port, macs, num);
	memset(port->groups, 0, sizeof port->groups);
	port->num_exact = num < most ? (uint32_t)num : most;
	port->hashes_groups = num > most;
	memcpy(port->exact, macs, port->num_exact * sizeof port->exact[0]);
	for (i = most; i < num; i++) {
		hash = igb_group_hash(macs[i]);
		port->groups[hash >> 5] |= 1u << (hash & 31);
	}
	return set_up_filters(port);
}

int igb_port_set_vlan(struct igb_port *port, uint16_t vlan, bool receive)
{
	int r;

	if (vlan > 4095 && vlan != UINT16_MAX)
		return fail(-EINVAL, "VLAN %u: 0 to 4095", vlan);
	if (port->is_vf)
		return igb_virtual_set_vlan(port, vlan, receive);
	if (port->num_vfs && receive && vlan != UINT16_MAX && !igb_vfs_has_room_for(port, vlan))
		return fail(-ENOSPC, "with virtual functions there is room for %u VLAN tags", IGB_NUM_VLVF);
	if (vlan == UINT16_MAX)
		memset(port->vlans, 0, sizeof port->vlans);
	else if (receive)
		port->vlans[vlan >> 5] |= 1u << (vlan & 31);
	else
		port->vlans[vlan >> 5] &= ~(1u << (vlan & 31));
	port->filters_vlans = vlan != UINT16_MAX;
	if (port->num_vfs)
		return igb_vfs_set_up_filters(port);
	r = igb_write_all(port, IGB_VFTA, port->vlans, IGB_NUM_WORDS);
	return r < 0 ? r : igb_set_up_rctl(port);
}

/* The rest ------------------------------------------------------------------------------------------------------ */

/* Flows are dealt to the queues in turn (7.1.1.7). One queue has a hash all the same. */
static int set_up_rss(struct igb_port *port)
{
	uint32_t table[32], mode = IGB_MRQC_RSS, i;
	int r;

	if (port->num_vfs)
		mode = port->num_rx > 1 ? IGB_MRQC_POOLS_RSS : IGB_MRQC_POOLS;

	memset(table, 0, sizeof table);
	for (i = 0; i < 128; i++)
		table[i / 4] |= i % port->num_rx << (8 * (i % 4));
	r = igb_write_all(port, IGB_RETA, table, 32);
	if (r == 0)
		r = igb_write_all(port, IGB_RSSRK, port->rss_key, 10);
	if (r == 0)
		r = igb_write(port, IGB_MRQC, mode | IGB_MRQC_FIELDS);
	return r < 0 ? r : igb_write(port, IGB_RXCSUM, IGB_RXCSUM_IP | IGB_RXCSUM_L4 | IGB_RXCSUM_RSS);
}

/* Vector 0 is the link's; each receive queue has the one after its index. Those clear and mask themselves when they are sent (7.3.1). */
static int set_up_interrupts(struct igb_port *port)
{
	uint32_t queues = 0, ivar[8] = { 0 }, i, number, shift;
	int r;

	if (!port->irq)
		return 0;
	for (i = 0; i < port->num_rx; i++) {
		number = igb_queue_number(port, i);
		shift = number < 8 ? 0 : 16;
		if (igb_vector_of(port, i) == 0)
			continue;
		ivar[number % 8] |= (igb_vector_of(port, i) | IGB_IVAR_VALID) << shift;
		queues |= 1u << igb_vector_of(port, i);
	}
	r = igb_write(port, IGB_GPIE, IGB_GPIE_MSIX | IGB_GPIE_PBA | IGB_GPIE_AUTO_MASK | IGB_GPIE_CLEAR);
	if (r == 0)
		r = igb_write_all(port, IGB_IVAR, ivar, 8);
	if (r == 0)
		r = igb_write(port, IGB_IVAR_MISC, (IGB_LINK_VECTOR | IGB_IVAR_VALID) << 8);
	if (r == 0)
		r = igb_write(port, IGB_EIAC, queues | 1u << IGB_LINK_VECTOR);
	if (r == 0)
		r = igb_write(port, IGB_EIAM, queues);
	if (r == 0)
		r = igb_write(port, IGB_EIMS, 1u << IGB_LINK_VECTOR);
	return r < 0 ? r : igb_write(port, IGB_IMS, IGB_ICR_LINK);
}

static int set_up_link(struct igb_port *port)
{
	uint32_t ctrl = 0, ext = 0;
	int r = igb_read(port, IGB_CTRL, &ctrl);

	if (r == 0)
		r = igb_read(port, IGB_CTRL_EXT, &ext);
	if (r == 0)
		r = igb_write(port, IGB_CTRL_EXT, ext | IGB_CTRL_EXT_DRIVER);
	if (r < 0)
		return r;
	ctrl &= ~(IGB_CTRL_FORCE | IGB_CTRL_MASTER_DISABLE | IGB_CTRL_VLAN);
	ctrl |= IGB_CTRL_LINK_UP | (port->flags & IGB_VLAN_STRIP ? IGB_CTRL_VLAN : 0);
	r = igb_write(port, IGB_CTRL, ctrl);
	if (r == 0)
		r = igb_write(port, IGB_VET, 0x8100);
	return r < 0 ? r : igb_wake_phy(port);
}

int igb_set_up(struct igb_port *port)
{
	int r;

	if (port->is_vf)
		return igb_virtual_set_up(port);
	r = set_up_link(port);
	if (r == 0)
		r = port->num_vfs ? igb_vfs_set_up(port) : set_up_filters(port);
	if (r == 0)
		r = set_up_rss(port);
	if (r == 0)
		r = set_up_interrupts(port);
	if (r == 0)
		r = igb_write(port, IGB_RLPML, port->num_vfs ? IGB_MAX_FRAME : port->max_frame);
	if (r == 0)
		r = igb_set_up_rctl(port);
	return r < 0 ? r
		     : igb_write(port, IGB_TCTL,
				 IGB_TCTL_ENABLE | IGB_TCTL_PAD | IGB_TCTL_COLLISION | IGB_TCTL_RETRY);
}
