/* SPDX-License-Identifier: MIT */
/* Formats of Arm's SMMUv3, as far as nested translation has to do with them. Little-endian 64-bit words throughout. */
#ifndef WEIR_SIM_SMMU_H
#define WEIR_SIM_SMMU_H

#include <stdbool.h>
#include <stdint.h>

/* A field of a word: bits @high to @low. */
static inline uint64_t sim_field(uint64_t word, unsigned int high, unsigned int low)
{
	return word << (63 - high) >> (63 - high + low);
}

/* Stream table entry ------------------------------------------------------------------------------------- */

#define SIM_STE0_VALID   ((uint64_t)1 << 0)
#define SIM_STE0_ALLOWED 0xf80fffffffffffffull /* V, Config, S1Fmt, S1ContextPtr, S1CDMax */
#define SIM_STE1_ALLOWED 0x00000000380000ffull /* S1DSS, S1CIR, S1COR, S1CSH, S1STALLD, EATS */

enum { SIM_STE_ABORT = 0, SIM_STE_BYPASS = 4, SIM_STE_S1 = 5 };

static inline unsigned int sim_ste_config(const uint64_t ste[2])
{
	return ste[0] & SIM_STE0_VALID ? (unsigned int)sim_field(ste[0], 3, 1) : SIM_STE_ABORT;
}

/* Context descriptor ------------------------------------------------------------------------------------- */

enum { SIM_CD_WORDS = 8 };

/* One that has been read, and what of it the walk needs. */
struct sim_context {
	uint64_t table;
	unsigned int input_bits, output_bits;
	uint32_t asid;
	bool records;           /* faults are reported */
	bool ignores_access;    /* no access flag faults */
	bool ignores_hierarchy; /* tables' permissions do not count */
	bool no_low_half;       /* EPD0: nothing is translated */
};

/* Events ------------------------------------------------------------------------------------------------- */

enum sim_smmu_event {
	SIM_EVENT_NONE = 0, /* or one that only the kernel hears of */
	SIM_EVENT_BAD_STE = 0x04,
	SIM_EVENT_STREAM_DISABLED = 0x06,
	SIM_EVENT_BAD_SUBSTREAM = 0x08,
	SIM_EVENT_BAD_CD = 0x0a,
	SIM_EVENT_TRANSLATION = 0x10,
	SIM_EVENT_ADDRESS_SIZE = 0x11,
	SIM_EVENT_ACCESS = 0x12,
	SIM_EVENT_PERMISSION = 0x13,
};

/* Commands ----------------------------------------------------------------------------------------------- */

enum sim_smmu_command {
	SIM_CFGI_CD = 0x05,
	SIM_CFGI_CD_ALL = 0x06,
	SIM_TLBI_NH_ALL = 0x10,
	SIM_TLBI_NH_ASID = 0x11,
	SIM_TLBI_NH_VA = 0x12,
	SIM_TLBI_NH_VAA = 0x13,
	SIM_TLBI_NSNH_ALL = 0x30,
	SIM_ATC_INV = 0x40,
};

#endif
