// SPDX-License-Identifier: MIT
/* Receiving: see igb.h. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "sim/models/igb_vf.h"

#define RCTL_ENABLE    (1u << 1)
#define RCTL_UNICAST   (1u << 3)
#define RCTL_MULTICAST (1u << 4)
#define RCTL_LONG      (1u << 5)
#define RCTL_BROADCAST (1u << 15)
#define RCTL_VLAN      (1u << 18)
#define CTRL_STRIP     (1u << 30)
#define RAH_VALID      (1u << 31)
#define MOLR_RSS       (1u << 17)
#define MOLR_STRIP     (1u << 30)

/* Written back, in the second half of a descriptor. */
#define DONE     (UINT64_C(1) << 0)
#define END      (UINT64_C(1) << 1)
#define TAG      (UINT64_C(1) << 3)
#define L4_SEEN  (UINT64_C(1) << 5)
#define IP_SEEN  (UINT64_C(1) << 6)
#define L4_WRONG (UINT64_C(1) << 29)
#define IP_WRONG (UINT64_C(1) << 30)

/* What is found out about a frame. */
struct sight {
	uint64_t status; /* but for what belongs to single descriptors */
	uint32_t hash, type, queue;
};

/* The wire ------------------------------------------------------------------------------------------------------ */

void sim_igb_arrive(struct sim_igb *igb, const unsigned char *bytes, uint32_t len, uint32_t pools)
{
	struct sim_igb_frame *frame;

	if (!(*sim_igb_reg(igb, SIM_IGB_RCTL) & RCTL_ENABLE))
		return;
	frame = igb->num_waiting < SIM_IGB_WAITING ? malloc(sizeof(*frame) + len) : NULL;
	if (!frame) {
		++*sim_igb_reg(igb, SIM_IGB_MPC);
		return;
	}
	frame->next = NULL;
	frame->len = len;
	frame->pools = pools;
	memcpy(frame->bytes, bytes, len);
	*igb->end = frame;
	igb->end = &frame->next;
	igb->num_waiting++;
}

static void forget_first(struct sim_igb *igb)
{
	struct sim_igb_frame *frame = igb->first;

	igb->first = frame->next;
	if (!igb->first)
		igb->end = &igb->first;
	igb->num_waiting--;
	free(frame);
}

void sim_igb_forget_frames(struct sim_igb *igb)
{
	while (igb->first)
		forget_first(igb);
}

/* Is it for us? ------------------------------------------------------------------------------------------------- */

bool sim_igb_has_address(struct sim_igb *igb, uint32_t entry, const unsigned char *mac)
{
	uint32_t low = *sim_igb_reg(igb, SIM_IGB_RAL + 8 * entry),
		 high = *sim_igb_reg(igb, SIM_IGB_RAH + 8 * entry);
	unsigned char own[6] = { (unsigned char)low,         (unsigned char)(low >> 8),
				 (unsigned char)(low >> 16), (unsigned char)(low >> 24),
				 (unsigned char)high,        (unsigned char)(high >> 8) };

	return high & RAH_VALID && memcmp(own, mac, 6) == 0;
}

static bool is_exact(struct sim_igb *igb, const unsigned char *to)
{
	for (uint32_t i = 0; i < 16; i++)
		if (sim_igb_has_address(igb, i, to))
			return true;
	return false;
}

static bool is_addressed(struct sim_igb *igb, const unsigned char *to, uint32_t rctl)
{
	uint32_t hash = ((uint32_t)to[4] >> 4 | (uint32_t)to[5] << 4) & 0xfff;

	if (memcmp(to, "\xff\xff\xff\xff\xff\xff", 6) == 0)
		return rctl & RCTL_BROADCAST;
	if (is_exact(igb, to))
		return true;
	if (!(to[0] & 1))
		return rctl & RCTL_UNICAST;
	return rctl & RCTL_MULTICAST || *sim_igb_reg(igb, SIM_IGB_MTA + hash / 32 * 4) & 1u << hash % 32;
}

static bool is_wanted(struct sim_igb *igb, const struct sim_igb_frame *frame)
{
	uint32_t rctl = *sim_igb_reg(igb, SIM_IGB_RCTL),
		 most = rctl & RCTL_LONG ? *sim_igb_reg(igb, SIM_IGB_RLPML) : 1522, vlan;

	if (frame->len + 4 > most) {
		++*sim_igb_reg(igb, SIM_IGB_ROC);
		return false;
	}
	if (rctl & RCTL_VLAN && frame->bytes[12] == 0x81 && frame->bytes[13] == 0) {
		vlan = ((uint32_t)frame->bytes[14] << 8 | frame->bytes[15]) & 0xfff;
		if (!(*sim_igb_reg(igb, SIM_IGB_VFTA + vlan / 32 * 4) & 1u << vlan % 32))
			return false;
	}
	return is_addressed(igb, frame->bytes, rctl);
}

/* What is in it? -------------------------------------------------------------------------------------------------- */

/* Toeplitz: for each bit that is set, the 32 bits of the key that begin there. */
static uint32_t hash_of(struct sim_igb *igb, const unsigned char *input, uint32_t len)
{
	const unsigned char *key = (const unsigned char *)sim_igb_reg(igb, SIM_IGB_RSSRK);
	uint32_t hash = 0,
		 window = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];

	for (uint32_t i = 0; i < len; i++)
		for (int bit = 7; bit >= 0; bit--) {
			if (input[i] & 1 << bit)
				hash ^= window;
			window = window << 1 | (key[i + 4] >> bit & 1);
		}
	return hash;
}

/* TCP and UDP: ports count for the hash, and there is a checksum of their own. */
static void see_l4(struct sim_igb *igb, const unsigned char *ip, uint32_t header, uint32_t total,
		   struct sight *sight)
{
	unsigned char input[12];
	uint32_t pseudo = ip[9] + (total - header);

	memcpy(input, ip + 12, 8);
	memcpy(input + 8, ip + header, 4);
	sight->hash = hash_of(igb, input, 12);
	sight->type = ip[9] == 6 ? 1 : 7;
	if (ip[9] == 17 && ip[header + 6] == 0 && ip[header + 7] == 0)
		return;
	pseudo = sim_igb_sum(ip + 12, 8, pseudo);
	sight->status |=
		L4_SEEN | (sim_igb_sum(ip + header, total - header, pseudo) == 0xffff ? 0 : L4_WRONG);
}

static void see_ip(struct sim_igb *igb, const unsigned char *ip, uint32_t len, struct sight *sight)
{
	uint32_t header, total;

	if (len < 20 || ip[0] >> 4 != 4)
		return;
	header = (ip[0] & 15) * 4u;
	total = (uint32_t)ip[2] << 8 | ip[3];
	if (header < 20 || header > len || total < header || total > len)
		return;
	sight->status |= IP_SEEN | (sim_igb_sum(ip, header, 0) == 0xffff ? 0 : IP_WRONG);
	sight->hash = hash_of(igb, ip + 12, 8);
	sight->type = 2;
	if ((ip[9] == 6 && total - header >= 20) || (ip[9] == 17 && total - header >= 8))
		see_l4(igb, ip, header, total, sight);
}

static struct sight look(struct sim_igb *igb, struct sim_igb_frame *frame)
{
	struct sight sight = { 0 };
	unsigned char *bytes = frame->bytes;
	uint32_t start = 14;

	if (bytes[12] == 0x81 && bytes[13] == 0) {
		sight.status |= TAG;
		start = 18;
	}
	if (frame->len > start && bytes[start - 2] == 8 && bytes[start - 1] == 0)
		see_ip(igb, bytes + start, frame->len - start, &sight);
	if ((*sim_igb_reg(igb, SIM_IGB_MRQC) & 7) == 2)
		sight.queue =
			*sim_igb_reg(igb, SIM_IGB_RETA + (sight.hash & 0x7c)) >> (8 * (sight.hash & 3)) & 15;
	return sight;
}

static void strip(struct sim_igb_frame *frame, struct sight *sight)
{
	unsigned char *bytes = frame->bytes;

	if (!(sight->status & TAG))
		return;
	sight->status |= (uint64_t)((uint32_t)bytes[14] << 8 | bytes[15]) << 48;
	memmove(bytes + 12, bytes + 16, frame->len - 16);
	frame->len -= 4;
}

/* Into descriptors -------------------------------------------------------------------------------------------------- */

static void count(struct sim_igb *igb, const struct sim_igb_frame *frame)
{
	++*sim_igb_reg(igb, SIM_IGB_GPRC);
	*sim_igb_reg(igb, SIM_IGB_GORC) += frame->len + 4;
	if (memcmp(frame->bytes, "\xff\xff\xff\xff\xff\xff", 6) == 0)
		++*sim_igb_reg(igb, SIM_IGB_BPRC);
	else if (frame->bytes[0] & 1)
		++*sim_igb_reg(igb, SIM_IGB_MPRC);
}

static void put(struct sim_igb *igb, const struct sim_igb_frame *frame, const struct sight *sight,
		uint32_t size)
{
	struct weir_sim_device *device = sim_igb_dma_device(igb, sight->queue);
	uint32_t done = 0, len;

	do {
		uint64_t at = sim_igb_descriptor(igb, SIM_IGB_RX, sight->queue), words[2];

		len = frame->len - done < size ? frame->len - done : size;
		if (weir_sim_device_dma_read(device, at, words, sizeof(words)) < 0) {
			*sim_igb_queue(igb, SIM_IGB_RX, sight->queue, SIM_IGB_DCTL) &= ~SIM_IGB_DCTL_ENABLE;
			return;
		}
		weir_sim_device_dma_write(device, le64toh(words[0]), frame->bytes + done, len);
		done += len;
		words[0] = htole64((uint64_t)sight->hash << 32 | sight->type);
		words[1] =
			htole64((uint64_t)len << 32 | DONE | sight->status | (done == frame->len ? END : 0));
		weir_sim_device_dma_write(device, at, words, sizeof(words));
		sim_igb_advance(igb, SIM_IGB_RX, sight->queue);
	} while (done < frame->len);
	sim_igb_raise_queue(igb, false, sight->queue);
}

/* Returns whether there was room. */
static bool deliver(struct sim_igb *igb, const struct sim_igb_frame *frame, const struct sight *sight)
{
	uint32_t srrctl = *sim_igb_queue(igb, SIM_IGB_RX, sight->queue, SIM_IGB_SRRCTL),
		 size = (srrctl & 0x7f) * 1024;

	/* One for which there is no room is dropped here; on hardware it may wait a while. */
	if (size == 0 || sim_igb_available(igb, SIM_IGB_RX, sight->queue) < (frame->len + size - 1) / size) {
		++*sim_igb_reg(igb, SIM_IGB_RNBC);
		return false;
	}
	put(igb, frame, sight, size);
	return true;
}

/* To one of several functions. */
static void deliver_to(struct sim_igb *igb, const struct sim_igb_frame *frame, struct sight sight,
		       uint32_t pool)
{
	uint32_t rss = *sim_igb_reg(igb, SIM_IGB_RETA + (sight.hash & 0x7c)) >> (8 * (sight.hash & 3)) & 1;
	struct sim_igb_vf *vf = igb->vfs[pool];

	sight.queue = pool;
	if ((*sim_igb_reg(igb, SIM_IGB_MRQC) & 7) == 5 &&
	    *sim_igb_reg(igb, SIM_IGB_VMOLR + 4 * pool) & MOLR_RSS)
		sight.queue += SIM_IGB_POOLS * rss;
	if (!deliver(igb, frame, &sight) || !vf)
		return;
	vf->counters[SIM_IGB_VF_GPRC]++;
	vf->counters[SIM_IGB_VF_GORC] += frame->len + 4;
	vf->counters[SIM_IGB_VF_MPRC] += frame->bytes[0] & 1;
}

/* Those that want the tag taken out come last. */
static void deliver_to_all(struct sim_igb *igb, struct sim_igb_frame *frame, uint32_t pools)
{
	struct sight sight = look(igb, frame);

	for (int strips = 0; strips < 2; strips++) {
		if (strips)
			strip(frame, &sight);
		for (uint32_t pool = 0; pool < SIM_IGB_POOLS; pool++) {
			bool wants = *sim_igb_reg(igb, SIM_IGB_VMOLR + 4 * pool) & MOLR_STRIP;

			if (pools & 1u << pool && wants == strips)
				deliver_to(igb, frame, sight, pool);
		}
	}
}

static void receive_for_pools(struct sim_igb *igb, struct sim_igb_frame *frame)
{
	uint32_t pools = frame->pools ? frame->pools : sim_igb_pools_of(igb, frame->bytes, frame->len, true);

	if (!frame->pools && pools)
		count(igb, frame);
	deliver_to_all(igb, frame, pools);
}

static void receive_alone(struct sim_igb *igb, struct sim_igb_frame *frame)
{
	struct sight sight;

	if (!is_wanted(igb, frame))
		return;
	count(igb, frame);
	sight = look(igb, frame);
	if (*sim_igb_reg(igb, SIM_IGB_CTRL) & CTRL_STRIP)
		strip(frame, &sight);
	deliver(igb, frame, &sight);
}

bool sim_igb_receive(struct sim_igb *igb)
{
	struct sim_igb_frame *frame = igb->first;

	if (!frame)
		return false;
	if (sim_igb_has_pools(igb))
		receive_for_pools(igb, frame);
	else
		receive_alone(igb, frame);
	forget_first(igb);
	return true;
}
