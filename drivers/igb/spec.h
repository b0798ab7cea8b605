/* SPDX-License-Identifier: MIT */
/*
 * The 82576's descriptors and registers, those that are used here: numbers from its datasheet (chapters 7 and 8). Internal.
 */
#ifndef IGB_SPEC_H
#define IGB_SPEC_H

#include <stdint.h>

/* Advanced receive descriptor, as written back: the words of struct igb_packet (7.1.5). */
#define IGB_RXD_LEN_SHIFT 32

/* Advanced transmit data descriptor, second quadword (7.2.2.4). */
#define IGB_TXD_DATA         (UINT64_C(3) << 20) /* DTYP */
#define IGB_TXD_END          (UINT64_C(1) << 24) /* EOP */
#define IGB_TXD_VLAN         (UINT64_C(1) << 30) /* VLE */
#define IGB_TXD_IP_SUM       (UINT64_C(1) << 40) /* POPTS.IXSM */
#define IGB_TXD_L4_SUM       (UINT64_C(1) << 41) /* POPTS.TXSM */
#define IGB_TXD_FCS          (UINT64_C(1) << 25) /* insert the check sequence */
#define IGB_TXD_REPORT       (UINT64_C(1) << 27) /* RS */
#define IGB_TXD_ADVANCED     (UINT64_C(1) << 29) /* DEXT */
#define IGB_TXD_CONTEXT      (UINT64_C(2) << 20) /* DTYP of a context descriptor (7.2.2.3) */
#define IGB_TXD_PAYLEN_SHIFT 46
#define IGB_TXD_DONE         (UINT64_C(1) << 32) /* DD, as written back */

/* Context descriptor: first quadword, and the upper bits of the second. */
#define IGB_CTX_MAC_SHIFT  9
#define IGB_CTX_VLAN_SHIFT 16
#define IGB_CTX_IPV4       (UINT64_C(1) << 10)
#define IGB_CTX_TCP        (UINT64_C(1) << 11)
#define IGB_CTX_SCTP       (UINT64_C(2) << 11)

/* Registers. */
enum {
	IGB_CTRL = 0x0000,
	IGB_STATUS = 0x0008,
	IGB_EERD = 0x0014,
	IGB_CTRL_EXT = 0x0018,
	IGB_MDIC = 0x0020,
	IGB_VET = 0x0038,
	IGB_RCTL = 0x0100,
	IGB_TCTL = 0x0400,
	IGB_ICR = 0x1500,
	IGB_IMS = 0x1508,
	IGB_IMC = 0x150c,
	IGB_GPIE = 0x1514,
	IGB_EIMS = 0x1524,
	IGB_EIMC = 0x1528,
	IGB_EIAC = 0x152c,
	IGB_EIAM = 0x1530,
	IGB_EICR = 0x1580,
	IGB_EITR = 0x1680, /* + 4 * vector */
	IGB_IVAR = 0x1700, /* + 4 * (queue % 8) */
	IGB_IVAR_MISC = 0x1740,
	IGB_RXCSUM = 0x5000,
	IGB_RLPML = 0x5004,
	IGB_MTA = 0x5200, /* 128 words */
	IGB_RAL = 0x5400, /* + 8 * n, for 16 */
	IGB_RAH = 0x5404,
	IGB_VFTA = 0x5600, /* 128 words */
	IGB_MRQC = 0x5818,
	IGB_RETA = 0x5c00,  /* 32 words of four entries */
	IGB_RSSRK = 0x5c80, /* 10 words */

	/* Of a queue: + 0x40 * n from here. */
	IGB_RX_QUEUE = 0xc000,
	IGB_TX_QUEUE = 0xe000,
	IGB_QUEUE_STRIDE = 0x40,
	IGB_Q_BASE_LOW = 0x00,
	IGB_Q_BASE_HIGH = 0x04,
	IGB_Q_LEN = 0x08,
	IGB_Q_SRRCTL = 0x0c, /* of a receive queue */
	IGB_Q_HEAD = 0x10,
	IGB_Q_TAIL = 0x18,
	IGB_Q_DCTL = 0x28,

	/* Counters, cleared when read; those of 64 bits are low, then high. */
	IGB_CRCERRS = 0x4000,
	IGB_MPC = 0x4010,
	IGB_RLEC = 0x4040,
	IGB_GPRC = 0x4074,
	IGB_BPRC = 0x4078,
	IGB_MPRC = 0x407c,
	IGB_GPTC = 0x4080,
	IGB_GORC = 0x4088,
	IGB_GOTC = 0x4090,
	IGB_RNBC = 0x40a0,
	IGB_RUC = 0x40a4,
	IGB_RFC = 0x40a8,
	IGB_ROC = 0x40ac,
	IGB_RJC = 0x40b0,
	IGB_MPTC = 0x40f0,
	IGB_BPTC = 0x40f4,

	IGB_REGISTERS = 0x10000, /* bytes of BAR 0 that all these lie in */
};

#define IGB_CTRL_MASTER_DISABLE (1u << 2)
#define IGB_CTRL_LINK_UP        (1u << 6)  /* SLU */
#define IGB_CTRL_FORCE          (3u << 11) /* FRCSPD, FRCDPLX */
#define IGB_CTRL_RESET          (1u << 26)
#define IGB_CTRL_VLAN           (1u << 30) /* VME: strip tags */

#define IGB_STATUS_FULL_DUPLEX (1u << 0)
#define IGB_STATUS_LINK_UP     (1u << 1)
#define IGB_STATUS_SPEED_SHIFT 6
#define IGB_STATUS_MASTER      (1u << 19) /* requests are on their way */

#define IGB_CTRL_EXT_DRIVER (1u << 28) /* DRV_LOAD */

#define IGB_EERD_START         (1u << 0)
#define IGB_EERD_DONE          (1u << 1)
#define IGB_EERD_ADDRESS_SHIFT 2
#define IGB_EERD_DATA_SHIFT    16

#define IGB_MDIC_REGISTER_SHIFT 16
#define IGB_MDIC_PHY            (1u << 21)
#define IGB_MDIC_WRITE          (1u << 26)
#define IGB_MDIC_READ           (2u << 26)
#define IGB_MDIC_READY          (1u << 28)
#define IGB_MDIC_ERROR          (1u << 30)
#define IGB_PHY_CONTROL         0u
#define IGB_PHY_POWER_DOWN      (1u << 11)
#define IGB_PHY_RESTART         (1u << 9)
#define IGB_PHY_NEGOTIATE       (1u << 12)

#define IGB_RCTL_ENABLE    (1u << 1)
#define IGB_RCTL_UNICAST   (1u << 3) /* promiscuous */
#define IGB_RCTL_MULTICAST (1u << 4) /* promiscuous */
#define IGB_RCTL_LONG      (1u << 5)
#define IGB_RCTL_BROADCAST (1u << 15)
#define IGB_RCTL_VLAN      (1u << 18) /* filter by VFTA */
#define IGB_RCTL_STRIP_FCS (1u << 26)

#define IGB_TCTL_ENABLE    (1u << 1)
#define IGB_TCTL_PAD       (1u << 3)
#define IGB_TCTL_COLLISION (0xfu << 4 | 0x40u << 12)
#define IGB_TCTL_RETRY     (1u << 24)

#define IGB_ICR_LINK       (1u << 2)
#define IGB_GPIE_CLEAR     (1u << 0) /* NSICR */
#define IGB_GPIE_MSIX      (1u << 4)
#define IGB_GPIE_AUTO_MASK (1u << 30) /* EIAME */
#define IGB_GPIE_PBA       (1u << 31)
#define IGB_IVAR_VALID     0x80u

#define IGB_RXCSUM_IP  (1u << 8)
#define IGB_RXCSUM_L4  (1u << 9)
#define IGB_RXCSUM_RSS (1u << 13) /* PCSD: the hash, and no packet checksum */

#define IGB_MRQC_RSS    2u
#define IGB_MRQC_FIELDS (0x3fu << 16 | 3u << 22) /* IPv4, IPv6 and their TCP and UDP */

#define IGB_RAH_VALID (1u << 31)

#define IGB_SRRCTL_ADVANCED (1u << 25)
#define IGB_SRRCTL_DROP     (1u << 31)
#define IGB_DCTL_ENABLE     (1u << 25)
#define IGB_DCTL_THRESHOLDS (8u | 8u << 8 | 1u << 16) /* prefetch, host, write-back */

#endif
