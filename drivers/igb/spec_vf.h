/* SPDX-License-Identifier: MIT */
/*
 * What the 82576 has for virtual functions: numbers from its datasheet (7.10: the mailbox; 8.10 and 8.14: pools; 9.5: registers of a virtual function), and the
 * messages that go through its mailboxes. What those say is settled among drivers, not in hardware: these are the ones of Linux's igb and igbvf. Internal.
 */
#ifndef IGB_SPEC_VF_H
#define IGB_SPEC_VF_H

/* Registers of a virtual function. Those that are not here lie where a physical function has them. */
enum {
	IGB_VF_MAILBOX = 0x0c40,
	IGB_VF_MBMEM = 0x0800, /* 16 words */
	IGB_VF_IVAR = 0x1700,  /* a byte each: receive and transmit queue 0, receive and transmit queue 1 */
	IGB_VF_IVAR_MISC = 0x1740,
	IGB_VF_RX_QUEUE = 0x2800,
	IGB_VF_TX_QUEUE = 0x3800,
	IGB_VF_QUEUE_STRIDE = 0x100,
	IGB_VF_REGISTERS = 0x4000,

	/* Counters, not cleared when read. */
	IGB_VF_GPRC = 0x0f10,
	IGB_VF_GPTC = 0x0f14,
	IGB_VF_GORC = 0x0f18,
	IGB_VF_GOTC = 0x0f34,
	IGB_VF_MPRC = 0x0f3c,
};

/* Registers of a physical function for virtual ones. */
enum {
	IGB_MBMEM = 0x0800,   /* + 0x40 * n: 16 words */
	IGB_MAILBOX = 0x0c00, /* + 4 * n */
	IGB_MBVFICR = 0x0c80,
	IGB_MBVFIMR = 0x0c84,
	IGB_VFLRE = 0x0c88,
	IGB_VFRE = 0x0c8c,
	IGB_VFTE = 0x0c90,
	IGB_QDE = 0x2408,
	IGB_DTXSWC = 0x3500,
	IGB_VT_CTL = 0x581c,
	IGB_VMOLR = 0x5ad0, /* + 4 * pool */
	IGB_VLVF = 0x5d00,  /* + 4 * n, for 32 */
};

#define IGB_MAX_POOLS 8u
#define IGB_NUM_VLVF  32u

/* VFMailbox. Reading it clears PFSTS, PFACK and RSTD. */
#define IGB_VFMB_REQ   (1u << 0) /* a message for the physical function is in the memory */
#define IGB_VFMB_ACK   (1u << 1)
#define IGB_VFMB_VFU   (1u << 2) /* the memory is taken, by this side */
#define IGB_VFMB_PFU   (1u << 3) /* by the other one */
#define IGB_VFMB_PFSTS (1u << 4) /* a message from there is in it */
#define IGB_VFMB_PFACK (1u << 5)
#define IGB_VFMB_RSTI  (1u << 6) /* the physical function is being reset */
#define IGB_VFMB_RSTD  (1u << 7) /* it has been */
#define IGB_VFMB_READ  (IGB_VFMB_PFSTS | IGB_VFMB_PFACK | IGB_VFMB_RSTD)

/* PFMailbox. */
#define IGB_PFMB_STS  (1u << 0)
#define IGB_PFMB_ACK  (1u << 1)
#define IGB_PFMB_VFU  (1u << 2)
#define IGB_PFMB_PFU  (1u << 3)
#define IGB_PFMB_RVFU (1u << 4) /* take the memory from the virtual function */

#define IGB_MBVFICR_ACK_SHIFT 16 /* acknowledgements; requests are from bit 0 on */

/* Messages: the first word. */
#define IGB_MSG_TYPE       0x0000ffffu
#define IGB_MSG_INFO_SHIFT 16
#define IGB_MSG_INFO       0x00ff0000u
#define IGB_MSG_CTS        (1u << 29) /* the virtual function may send */
#define IGB_MSG_NACK       (1u << 30)
#define IGB_MSG_ACK        (1u << 31)
#define IGB_MSG_WORDS      16u

enum {
	IGB_MSG_RESET = 1,         /* answered with the address in two words */
	IGB_MSG_SET_MAC = 2,       /* two words */
	IGB_MSG_SET_MULTICAST = 3, /* info: how many; hashes of 16 bits */
	IGB_MSG_SET_VLAN = 4,      /* info: 1 to have it; a word: the number */
	IGB_MSG_SET_LPE = 5,       /* a word: bytes of the longest frame */
	IGB_MSG_CONTROL = 0x100,   /* from the physical function; without CTS: reset yourself */
};

#define IGB_MSG_HASHES 30u

#define IGB_CTRL_EXT_PF_READY (1u << 14) /* PFRSTD */
#define IGB_ICR_MAILBOX       (1u << 8)  /* VMMB */

#define IGB_VT_CTL_POOL_SHIFT 7
#define IGB_VT_CTL_NO_DEFAULT (1u << 29)
#define IGB_VT_CTL_REPLICATE  (1u << 30)
#define IGB_DTXSWC_LOOPBACK   (1u << 31)
#define IGB_RAH_POOL_SHIFT    18

#define IGB_MRQC_POOLS     3u
#define IGB_MRQC_POOLS_RSS 5u /* with two queues each */

#define IGB_VMOLR_LONG       (1u << 16) /* LPE: with the length in bits 13:0 */
#define IGB_VMOLR_RSS        (1u << 17)
#define IGB_VMOLR_UNTAGGED   (1u << 24)
#define IGB_VMOLR_GROUPS     (1u << 25) /* ROMPE: what MTA lets through */
#define IGB_VMOLR_BROADCAST  (1u << 27)
#define IGB_VMOLR_ALL_GROUPS (1u << 28)
#define IGB_VMOLR_STRIP_VLAN (1u << 30)
#define IGB_VMOLR_STRIP_FCS  (1u << 31)

#define IGB_VLVF_POOL_SHIFT 12
#define IGB_VLVF_VALID      (1u << 31)

#endif
