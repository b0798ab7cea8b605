/* SPDX-License-Identifier: MIT */
/*
 * The 82576 model: one function of the controller, with what a driver needs to receive and send with the descriptors that it calls advanced. Two of them
 * can be joined by a wire, and one can have virtual functions.
 *
 *     igb.c     the device: options, registers, interrupts, the link, the wire
 *     igb_rx.c  frames that came: filters, RSS, checksums, into descriptors
 *     igb_tx.c  descriptors that became frames: pieces, offloads
 *     igb_pools.c which function a frame is for
 *     igb_vf.c  a virtual function, and the mailbox
 *
 * Whatever a driver writes, the model stays within its own memory, and each step ends: a step is one descriptor sent, or one frame received.
 */
#ifndef WEIR_SIM_IGB_H
#define WEIR_SIM_IGB_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/sim.h>

enum {
	SIM_IGB_REGISTERS = 0x10000, /* bytes that there are any in */
	SIM_IGB_BAR_SIZE = 0x20000,
	SIM_IGB_QUEUES = 16,
	SIM_IGB_VECTORS = 10,
	SIM_IGB_POOLS = 8,         /* each of two queues: its number, and that and 8 */
	SIM_IGB_WAITING = 64,      /* frames that its packet buffer holds */
	SIM_IGB_FRAME = 9728 + 64, /* bytes that a frame can have here */

	SIM_IGB_CTRL = 0x0000,
	SIM_IGB_STATUS = 0x0008,
	SIM_IGB_EERD = 0x0014,
	SIM_IGB_CTRL_EXT = 0x0018,
	SIM_IGB_MDIC = 0x0020,
	SIM_IGB_RCTL = 0x0100,
	SIM_IGB_TCTL = 0x0400,
	SIM_IGB_PF_MAILBOX = 0x0c00,
	SIM_IGB_MBVFICR = 0x0c80,
	SIM_IGB_MBVFIMR = 0x0c84,
	SIM_IGB_VFLRE = 0x0c88,
	SIM_IGB_VFRE = 0x0c8c,
	SIM_IGB_VFTE = 0x0c90,
	SIM_IGB_ICR = 0x1500,
	SIM_IGB_IMS = 0x1508,
	SIM_IGB_IMC = 0x150c,
	SIM_IGB_GPIE = 0x1514,
	SIM_IGB_EIMS = 0x1524,
	SIM_IGB_EIMC = 0x1528,
	SIM_IGB_EIAC = 0x152c,
	SIM_IGB_EIAM = 0x1530,
	SIM_IGB_EICR = 0x1580,
	SIM_IGB_IVAR = 0x1700,
	SIM_IGB_IVAR_MISC = 0x1740,
	SIM_IGB_DTXSWC = 0x3500,
	SIM_IGB_STATISTICS = 0x4000, /* to 0x4fff: cleared when read */
	SIM_IGB_MPC = 0x4010,
	SIM_IGB_GPRC = 0x4074,
	SIM_IGB_BPRC = 0x4078,
	SIM_IGB_MPRC = 0x407c,
	SIM_IGB_GPTC = 0x4080,
	SIM_IGB_GORC = 0x4088,
	SIM_IGB_GOTC = 0x4090,
	SIM_IGB_RNBC = 0x40a0,
	SIM_IGB_ROC = 0x40ac,
	SIM_IGB_MPTC = 0x40f0,
	SIM_IGB_BPTC = 0x40f4,
	SIM_IGB_RLPML = 0x5004,
	SIM_IGB_MTA = 0x5200,
	SIM_IGB_RAL = 0x5400,
	SIM_IGB_RAH = 0x5404,
	SIM_IGB_VFTA = 0x5600,
	SIM_IGB_MRQC = 0x5818,
	SIM_IGB_VT_CTL = 0x581c,
	SIM_IGB_VMOLR = 0x5ad0,
	SIM_IGB_RETA = 0x5c00,
	SIM_IGB_RSSRK = 0x5c80,
	SIM_IGB_VLVF = 0x5d00,
	SIM_IGB_RX = 0xc000,
	SIM_IGB_TX = 0xe000,

	/* Of a queue, from SIM_IGB_RX or _TX + 0x40 * its number on. */
	SIM_IGB_BASE_LOW = 0x00,
	SIM_IGB_BASE_HIGH = 0x04,
	SIM_IGB_LEN = 0x08,
	SIM_IGB_SRRCTL = 0x0c,
	SIM_IGB_HEAD = 0x10,
	SIM_IGB_TAIL = 0x18,
	SIM_IGB_DCTL = 0x28,
};

#define SIM_IGB_DCTL_ENABLE (1u << 25)
#define SIM_IGB_PF_READY    (1u << 14) /* in CTRL_EXT */

/* What a context descriptor said. */
struct sim_igb_context {
	uint32_t vlan, mac_len, ip_len, l4; /* l4: 0 UDP, 1 TCP, 2 SCTP */
};

struct sim_igb_frame {
	struct sim_igb_frame *next;
	uint32_t len;
	uint32_t pools;        /* from another function, for these; 0: it came along the wire */
	unsigned char bytes[]; /* SIM_IGB_FRAME of them */
};

struct sim_igb {
	struct weir_sim_device *device;
	struct sim_igb_vf *vfs[SIM_IGB_POOLS];
	struct sim_igb *peer; /* at the other end of the wire */
	uint8_t mac[6];       /* in its EEPROM */
	bool link;            /* its own end is in order */
	uint32_t regs[SIM_IGB_REGISTERS / 4];

	/* Being sent, from each queue. */
	struct sim_igb_context contexts[SIM_IGB_QUEUES];
	unsigned char *pieces[SIM_IGB_QUEUES]; /* SIM_IGB_FRAME bytes each, when there are any */
	uint32_t num_bytes[SIM_IGB_QUEUES];
	bool broken[SIM_IGB_QUEUES]; /* more than a frame can have, or out of reach */
	uint64_t flags[SIM_IGB_QUEUES];

	/* Received, not in descriptors yet. */
	struct sim_igb_frame *first, **end;
	uint32_t num_waiting;
};

/* A register of a queue, such as SIM_IGB_HEAD. */
static inline uint32_t *sim_igb_queue(struct sim_igb *igb, uint32_t base, uint32_t queue, uint32_t which)
{
	return &igb->regs[(base + queue * 0x40 + which) / 4];
}

static inline uint32_t *sim_igb_reg(struct sim_igb *igb, uint32_t offset)
{
	return &igb->regs[offset / 4];
}

/* Descriptors that the driver has handed over; 0 when head or tail are beyond the ring. */
uint32_t sim_igb_available(struct sim_igb *igb, uint32_t base, uint32_t queue);

/* The head's descriptor, and going on to the next one. */
uint64_t sim_igb_descriptor(struct sim_igb *igb, uint32_t base, uint32_t queue);
void sim_igb_advance(struct sim_igb *igb, uint32_t base, uint32_t queue);

/* Something has been written back: an interrupt for it, if one is assigned. */
void sim_igb_raise_queue(struct sim_igb *igb, bool transmit, uint32_t queue);

/* Is there light? */
bool sim_igb_is_up(const struct sim_igb *igb);

/* One descriptor; false: there is none. */
bool sim_igb_transmit(struct sim_igb *igb);

/* A frame comes along the wire; or from another function, for @pools. */
void sim_igb_arrive(struct sim_igb *igb, const unsigned char *bytes, uint32_t len, uint32_t pools);

/* Is it set up for several functions? Then whose is a frame, as far as they receive; may a pool send it, and is it for others of them only, who have it then? */
bool sim_igb_has_pools(struct sim_igb *igb);
uint32_t sim_igb_pools_of(struct sim_igb *igb, const unsigned char *bytes, uint32_t len, bool from_wire);
bool sim_igb_may_send(struct sim_igb *igb, uint32_t pool, const unsigned char *bytes);
bool sim_igb_send_inside(struct sim_igb *igb, uint32_t pool, const unsigned char *bytes, uint32_t len);

/* In whose name a queue's DMA is done. */
struct weir_sim_device *sim_igb_dma_device(struct sim_igb *igb, uint32_t queue);

/* The first that waits goes into descriptors, or is dropped; false: there is none, or no descriptor. */
bool sim_igb_receive(struct sim_igb *igb);
bool sim_igb_has_address(struct sim_igb *igb, uint32_t entry,
			 const unsigned char *mac); /* of the 16 of RAL and RAH: it is in force, and this */
void sim_igb_forget_frames(struct sim_igb *igb);

/* The sum of 16-bit words that Internet checksums are made of, onto @sum; folded to 16 bits. */
uint16_t sim_igb_sum(const unsigned char *bytes, uint32_t len, uint32_t sum);

#endif
