// SPDX-License-Identifier: MIT
/* Which of an igb's functions a frame is for, when there are several (datasheet 7.10.3). See igb.h. */
#include <string.h>

#include "sim/models/igb_vf.h"

#define ALL            0xffu
#define RCTL_VLAN      (1u << 18)
#define RAH_POOLS(x)   ((x) >> 18 & ALL)
#define VLVF_VALID     (1u << 31)
#define VLVF_POOLS(x)  ((x) >> 12 & ALL)
#define NO_DEFAULT     (1u << 29)
#define DEFAULT_OF(x)  (1u << ((x) >> 7 & 7))
#define LOOPBACK       (1u << 31)
#define MOLR_LONG      (1u << 16)
#define MOLR_UNTAGGED  (1u << 24)
#define MOLR_HASHED    (1u << 25)
#define MOLR_BROADCAST (1u << 27)
#define MOLR_GROUPS    (1u << 28)

static const unsigned char everybody[6] = { 255, 255, 255, 255, 255, 255 };

bool sim_igb_has_pools(struct sim_igb *igb)
{
	uint32_t mode = *sim_igb_reg(igb, SIM_IGB_MRQC) & 7;

	return mode == 3 || mode == 5;
}

static uint32_t molr(struct sim_igb *igb, uint32_t pool)
{
	return *sim_igb_reg(igb, SIM_IGB_VMOLR + 4 * pool);
}

/* Those with such a bit. */
static uint32_t with(struct sim_igb *igb, uint32_t bit)
{
	uint32_t pools = 0;

	for (uint32_t i = 0; i < SIM_IGB_POOLS; i++)
		pools |= molr(igb, i) & bit ? 1u << i : 0;
	return pools;
}

/* Whose address is this? */
static uint32_t owners(struct sim_igb *igb, const unsigned char *mac)
{
	uint32_t pools = 0;

	for (uint32_t i = 0; i < 16; i++)
		if (sim_igb_has_address(igb, i, mac))
			pools |= RAH_POOLS(*sim_igb_reg(igb, SIM_IGB_RAH + 8 * i));
	return pools;
}

static uint32_t by_address(struct sim_igb *igb, const unsigned char *to)
{
	uint32_t hash = ((uint32_t)to[4] >> 4 | (uint32_t)to[5] << 4) & 0xfff, pools;

	if (memcmp(to, everybody, 6) == 0)
		return with(igb, MOLR_BROADCAST);
	pools = owners(igb, to);
	if (!(to[0] & 1))
		return pools;
	if (*sim_igb_reg(igb, SIM_IGB_MTA + hash / 32 * 4) & 1u << hash % 32)
		pools |= with(igb, MOLR_HASHED);
	return pools | with(igb, MOLR_GROUPS);
}

static uint32_t by_tag(struct sim_igb *igb, const unsigned char *bytes)
{
	uint32_t tag, pools = 0, entry;

	if (bytes[12] != 0x81 || bytes[13] != 0)
		return with(igb, MOLR_UNTAGGED);
	tag = ((uint32_t)bytes[14] << 8 | bytes[15]) & 0xfff;
	for (uint32_t i = 0; i < 32; i++) {
		entry = *sim_igb_reg(igb, SIM_IGB_VLVF + 4 * i);
		if (entry & VLVF_VALID && (entry & 0xfff) == tag)
			pools |= VLVF_POOLS(entry);
	}
	return pools;
}

static uint32_t by_length(struct sim_igb *igb, uint32_t len)
{
	uint32_t pools = 0;

	for (uint32_t i = 0; i < SIM_IGB_POOLS; i++) {
		uint32_t most = molr(igb, i) & MOLR_LONG ? molr(igb, i) & 0x3fff : 1522;

		pools |= len + 4 <= most ? 1u << i : 0;
	}
	return pools;
}

uint32_t sim_igb_pools_of(struct sim_igb *igb, const unsigned char *bytes, uint32_t len, bool from_wire)
{
	uint32_t control = *sim_igb_reg(igb, SIM_IGB_VT_CTL), pools = by_address(igb, bytes);

	if (*sim_igb_reg(igb, SIM_IGB_RCTL) & RCTL_VLAN)
		pools &= by_tag(igb, bytes);
	if (!pools && from_wire && !(control & NO_DEFAULT))
		pools = DEFAULT_OF(control);
	return pools & by_length(igb, len) & *sim_igb_reg(igb, SIM_IGB_VFRE);
}

bool sim_igb_may_send(struct sim_igb *igb, uint32_t pool, const unsigned char *bytes)
{
	return !(*sim_igb_reg(igb, SIM_IGB_DTXSWC) & 1u << pool) || owners(igb, bytes + 6) & 1u << pool;
}

bool sim_igb_send_inside(struct sim_igb *igb, uint32_t pool, const unsigned char *bytes, uint32_t len)
{
	uint32_t pools;

	if (!(*sim_igb_reg(igb, SIM_IGB_DTXSWC) & LOOPBACK))
		return false;
	pools = sim_igb_pools_of(igb, bytes, len, false) & ~(1u << pool);
	if (pools)
		sim_igb_arrive(igb, bytes, len, pools);
	return pools && !(bytes[0] & 1);
}

struct weir_sim_device *sim_igb_dma_device(struct sim_igb *igb, uint32_t queue)
{
	struct sim_igb_vf *vf = igb->vfs[queue % SIM_IGB_POOLS];

	return vf ? vf->device : igb->device;
}
