// SPDX-License-Identifier: MIT
/* Sending: see igb.h. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "sim/models/igb_vf.h"

#define TCTL_ENABLE (1u << 1)
#define TYPE        (UINT64_C(0xf) << 20)
#define DATA        (UINT64_C(3) << 20)
#define CONTEXT     (UINT64_C(2) << 20)
#define END         (UINT64_C(1) << 24)
#define REPORT      (UINT64_C(1) << 27)
#define ADVANCED    (UINT64_C(1) << 29)
#define VLAN        (UINT64_C(1) << 30)
#define IP_SUM      (UINT64_C(1) << 40)
#define L4_SUM      (UINT64_C(1) << 41)
#define DONE        (UINT64_C(1) << 32)
#define SHORTEST    60

static void count(struct sim_igb *igb, const unsigned char *frame, uint32_t len)
{
	++*sim_igb_reg(igb, SIM_IGB_GPTC);
	*sim_igb_reg(igb, SIM_IGB_GOTC) += len + 4;
	if (memcmp(frame, "\xff\xff\xff\xff\xff\xff", 6) == 0)
		++*sim_igb_reg(igb, SIM_IGB_BPTC);
	else if (frame[0] & 1)
		++*sim_igb_reg(igb, SIM_IGB_MPTC);
}

static void count_for(struct sim_igb_vf *vf, uint32_t len)
{
	if (!vf)
		return;
	vf->counters[SIM_IGB_VF_GPTC]++;
	vf->counters[SIM_IGB_VF_GOTC] += len + 4;
}

static void put_sum(unsigned char *field, uint16_t sum)
{
	field[0] = (unsigned char)(sum >> 8);
	field[1] = (unsigned char)sum;
}

/* The header's own checksum; and the one of what it carries, whose field holds the sum of the pseudo header. */
static void fill_sums(unsigned char *frame, uint32_t len, const struct sim_igb_context *context,
		      uint64_t flags)
{
	static const uint32_t places[3] = { 6, 16, 8 };
	uint32_t ip = context->mac_len, l4 = ip + context->ip_len;

	if (flags & IP_SUM && l4 <= len && context->ip_len >= 20) {
		put_sum(frame + ip + 10, 0);
		put_sum(frame + ip + 10, (uint16_t)~sim_igb_sum(frame + ip, context->ip_len, 0));
	}
	if (flags & L4_SUM && context->l4 < 2 && l4 + places[context->l4] + 2 <= len)
		put_sum(frame + l4 + places[context->l4], (uint16_t)~sim_igb_sum(frame + l4, len - l4, 0));
}

static uint32_t insert_tag(unsigned char *frame, uint32_t len, uint32_t vlan)
{
	memmove(frame + 16, frame + 12, len - 12);
	frame[12] = 0x81;
	frame[13] = 0x00;
	put_sum(frame + 14, (uint16_t)vlan);
	return len + 4;
}

static void send_frame(struct sim_igb *igb, uint32_t queue)
{
	unsigned char *frame = igb->pieces[queue];
	uint32_t len = igb->num_bytes[queue];

	if (igb->broken[queue] || len < 14)
		return;
	fill_sums(frame, len, &igb->contexts[queue], igb->flags[queue]);
	if (igb->flags[queue] & VLAN)
		len = insert_tag(frame, len, igb->contexts[queue].vlan);
	if (len < SHORTEST) {
		memset(frame + len, 0, SHORTEST - len);
		len = SHORTEST;
	}
	if (sim_igb_has_pools(igb)) {
		count_for(igb->vfs[queue % SIM_IGB_POOLS], len);
		if (!sim_igb_may_send(igb, queue % SIM_IGB_POOLS, frame) ||
		    sim_igb_send_inside(igb, queue % SIM_IGB_POOLS, frame, len))
			return;
	}
	count(igb, frame, len);
	if (sim_igb_is_up(igb))
		sim_igb_arrive(igb->peer, frame, len, 0);
}

static void add_piece(struct sim_igb *igb, uint32_t queue, uint64_t iova, uint64_t what)
{
	uint32_t len = (uint32_t)what & 0xffff;

	if (!igb->pieces[queue])
		igb->pieces[queue] = malloc(SIM_IGB_FRAME);
	if (igb->num_bytes[queue] == 0 && !igb->broken[queue])
		igb->flags[queue] = what;
	/* Room is left for a tag. */
	if (!igb->pieces[queue] || len > SIM_IGB_FRAME - 4 - igb->num_bytes[queue] ||
	    weir_sim_device_dma_read(sim_igb_dma_device(igb, queue), iova,
				     igb->pieces[queue] + igb->num_bytes[queue], len) < 0)
		igb->broken[queue] = true;
	else
		igb->num_bytes[queue] += len;
	if (!(what & END))
		return;
	send_frame(igb, queue);
	igb->num_bytes[queue] = 0;
	igb->broken[queue] = false;
}

static void set_context(struct sim_igb *igb, uint32_t queue, uint64_t first, uint64_t second)
{
	igb->contexts[queue] = (struct sim_igb_context){
		.vlan = (uint32_t)(first >> 16) & 0xffff,
		.mac_len = (uint32_t)(first >> 9) & 0x7f,
		.ip_len = (uint32_t)first & 0x1ff,
		.l4 = (uint32_t)(second >> 11) & 3,
	};
}

static bool transmit_from(struct sim_igb *igb, uint32_t queue)
{
	struct weir_sim_device *device = sim_igb_dma_device(igb, queue);
	uint64_t at, words[2];

	if (sim_igb_available(igb, SIM_IGB_TX, queue) == 0)
		return false;
	if (sim_igb_has_pools(igb) && !(*sim_igb_reg(igb, SIM_IGB_VFTE) & 1u << queue % SIM_IGB_POOLS))
		return false;
	at = sim_igb_descriptor(igb, SIM_IGB_TX, queue);
	if (weir_sim_device_dma_read(device, at, words, sizeof(words)) < 0) {
		*sim_igb_queue(igb, SIM_IGB_TX, queue, SIM_IGB_DCTL) &= ~SIM_IGB_DCTL_ENABLE;
		return true;
	}
	words[0] = le64toh(words[0]);
	words[1] = le64toh(words[1]);
	if ((words[1] & (TYPE | ADVANCED)) == (CONTEXT | ADVANCED))
		set_context(igb, queue, words[0], words[1]);
	else if ((words[1] & (TYPE | ADVANCED)) == (DATA | ADVANCED))
		add_piece(igb, queue, words[0], words[1]);
	sim_igb_advance(igb, SIM_IGB_TX, queue);
	if (words[1] & REPORT && (words[1] & TYPE) == DATA) {
		words[1] = htole64(DONE);
		weir_sim_device_dma_write(device, at + 8, &words[1], 8);
		sim_igb_raise_queue(igb, true, queue);
	}
	return true;
}

bool sim_igb_transmit(struct sim_igb *igb)
{
	if (!(*sim_igb_reg(igb, SIM_IGB_TCTL) & TCTL_ENABLE))
		return false;
	for (uint32_t queue = 0; queue < SIM_IGB_QUEUES; queue++)
		if (transmit_from(igb, queue))
			return true;
	return false;
}
