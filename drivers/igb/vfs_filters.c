// SPDX-License-Identifier: MIT
/* A physical function with virtual ones: what goes to whom. All is written anew when something changes: it is rare, and cannot go out of step. */
#include <string.h>

#include "igb/virtual.h"

#define ALL_TAGS 4096u

static uint32_t own_pool(const struct igb_port *port)
{
	return 1u << port->num_vfs;
}

static bool is_in(const uint32_t *tags, uint32_t vlan)
{
	return tags[vlan >> 5] & 1u << (vlan & 31);
}

/* Who has a tag, as pools. */
static uint32_t pools_of(const struct igb_port *port, uint32_t vlan)
{
	uint32_t pools = is_in(port->vlans, vlan) ? own_pool(port) : 0, i;

	for (i = 0; i < port->num_vfs; i++)
		if (is_in(port->vfs->vf[i].vlans, vlan))
			pools |= 1u << i;
	return pools;
}

bool igb_vfs_has_room_for(const struct igb_port *port, uint16_t vlan)
{
	uint32_t num = 0, i;

	if (pools_of(port, vlan))
		return true;
	for (i = 0; i < ALL_TAGS; i++)
		num += pools_of(port, i) != 0;
	return num < IGB_NUM_VLVF;
}

bool igb_vfs_filter_vlans(const struct igb_port *port)
{
	static const uint32_t none[IGB_NUM_WORDS];
	uint32_t i;

	for (i = 0; i < port->num_vfs; i++)
		if (memcmp(port->vfs->vf[i].vlans, none, sizeof none) != 0)
			return true;
	return port->filters_vlans;
}

/* Addresses: the port's own, its groups', and from the end on those of virtual functions. */
static int set_up_addresses(struct igb_port *port)
{
	uint32_t i;
	int r = igb_write_address(port, 0, port->mac, own_pool(port));

	for (i = 1; i < 16 - port->num_vfs && r == 0; i++)
		r = igb_write_address(port, i, i - 1 < port->num_exact ? port->exact[i - 1] : NULL,
				      own_pool(port));
	for (i = 0; i < port->num_vfs && r == 0; i++) {
		const struct igb_vf *vf = &port->vfs->vf[i];

		r = igb_write_address(port, 15 - i, vf->ready && igb_mac_is_station(vf->mac) ? vf->mac : NULL,
				      1u << i);
	}
	return r;
}

static int set_up_groups(struct igb_port *port)
{
	uint32_t words[IGB_NUM_WORDS], i, k;

	memcpy(words, port->groups, sizeof words);
	for (i = 0; i < port->num_vfs; i++)
		for (k = 0; k < port->vfs->vf[i].num_groups; k++)
			words[port->vfs->vf[i].groups[k] >> 5] |= 1u << (port->vfs->vf[i].groups[k] & 31);
	return igb_write_all(port, IGB_MTA, words, IGB_NUM_WORDS);
}

static int set_up_vlans(struct igb_port *port)
{
	uint32_t tags[IGB_NUM_WORDS] = { 0 }, table[IGB_NUM_VLVF] = { 0 }, num = 0, vlan;
	int r;

	for (vlan = 0; vlan < ALL_TAGS && num < IGB_NUM_VLVF; vlan++) {
		uint32_t pools = pools_of(port, vlan);

		if (!pools)
			continue;
		tags[vlan >> 5] |= 1u << (vlan & 31);
		table[num++] = vlan | pools << IGB_VLVF_POOL_SHIFT | IGB_VLVF_VALID;
	}
	r = igb_write_all(port, IGB_VLVF, table, IGB_NUM_VLVF);
	return r < 0 ? r : igb_write_all(port, IGB_VFTA, tags, IGB_NUM_WORDS);
}

static uint32_t vmolr_of(const struct igb_port *port, uint32_t pool)
{
	uint32_t len = pool == port->num_vfs ? port->max_frame : port->vfs->vf[pool].max_frame,
		 bits = IGB_VMOLR_UNTAGGED | IGB_VMOLR_BROADCAST | IGB_VMOLR_LONG | IGB_VMOLR_STRIP_FCS | len;

	if (port->flags & IGB_VLAN_STRIP)
		bits |= IGB_VMOLR_STRIP_VLAN;
	if (pool < port->num_vfs)
		return bits | (port->vfs->vf[pool].num_groups != 0 ? IGB_VMOLR_GROUPS : 0);
	bits |= port->hashes_groups ? IGB_VMOLR_GROUPS : 0;
	bits |= port->num_rx > 1 ? IGB_VMOLR_RSS : 0;
	return bits | (port->flags & IGB_PROMISCUOUS ? IGB_VMOLR_ALL_GROUPS : 0);
}

/* Frames that are for nobody are dropped, or the physical function's if it wants all. */
static int set_up_pools(struct igb_port *port)
{
	uint32_t enabled = own_pool(port), i;
	int r = igb_write(port, IGB_VT_CTL,
			  port->num_vfs << IGB_VT_CTL_POOL_SHIFT | IGB_VT_CTL_REPLICATE |
				  (port->flags & IGB_PROMISCUOUS ? 0 : IGB_VT_CTL_NO_DEFAULT));

	for (i = 0; i <= port->num_vfs && r == 0; i++) {
		r = igb_write(port, IGB_VMOLR + 4 * i, vmolr_of(port, i));
		if (i < port->num_vfs && port->vfs->vf[i].ready)
			enabled |= 1u << i;
	}
	if (r == 0)
		r = igb_write(port, IGB_VFRE, enabled);
	return r < 0 ? r : igb_write(port, IGB_VFTE, enabled);
}

int igb_vfs_set_up_filters(struct igb_port *port)
{
	int r = set_up_addresses(port);

	if (r == 0)
		r = set_up_groups(port);
	if (r == 0)
		r = set_up_vlans(port);
	if (r == 0)
		r = set_up_pools(port);
	return r < 0 ? r : igb_set_up_rctl(port);
}
