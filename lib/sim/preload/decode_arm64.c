// SPDX-License-Identifier: MIT
/*
 * arm64: loads and stores of one register or of two, integer or vector, with every kind of address; and
 * those with acquire and release. Exclusive accesses and atomics are not here: devices do not take part in
 * them. References are to the Arm manual, C4.1.94.
 */
#include <errno.h>
#include <string.h>

#include "sim/preload/decode.h"

enum { NONE = 31 }; /* register 31: sp as a base, else nothing: reads as zero, writes are lost */

struct access {
	unsigned int base, first, second;
	unsigned int num;   /* registers: 1 or 2 */
	unsigned int width; /* of each, in memory */
	bool vector, load;
	bool is_signed, to_32; /* loads: the sign is extended, to 32 bits only */
	uint64_t addr;
	bool writes_back;
	uint64_t new_base;
};

/* Fields ------------------------------------------------------------------------------------------------- */

static uint32_t field(uint32_t code, unsigned int last, unsigned int first)
{
	return code >> first & ((UINT32_C(2) << (last - first)) - 1);
}

static int64_t signed_field(uint32_t code, unsigned int last, unsigned int first)
{
	uint32_t sign = UINT32_C(1) << (last - first);

	return (int64_t)(field(code, last, first) ^ sign) - sign;
}

static uint64_t base_value(const struct sim_arm64_cpu *cpu, unsigned int reg)
{
	return reg == NONE ? *cpu->sp : cpu->regs[reg];
}

static uint64_t reg_value(const struct sim_arm64_cpu *cpu, unsigned int reg)
{
	return reg == NONE ? 0 : cpu->regs[reg];
}

/* Addresses ---------------------------------------------------------------------------------------------- */

static void offset_from(struct access *access, uint64_t base, int64_t offset)
{
	access->addr = base + (uint64_t)offset;
}

static void indexed(struct access *access, uint64_t base, int64_t offset, bool before)
{
	access->new_base = base + (uint64_t)offset;
	access->addr = before ? access->new_base : base;
	access->writes_back = true;
}

/* A register, extended and shifted. */
static int register_offset(const struct sim_arm64_cpu *cpu, uint32_t code, unsigned int shift,
			   struct access *access)
{
	enum { UXTW = 2, LSL = 3, SXTW = 6, SXTX = 7 };
	uint64_t offset = reg_value(cpu, field(code, 20, 16));

	switch (field(code, 15, 13)) {
	case UXTW:
		offset = (uint32_t)offset;
		break;
	case SXTW:
		offset = (uint64_t)(int64_t)(int32_t)offset;
		break;
	case LSL:
	case SXTX:
		break;
	default:
		return -ENOSYS;
	}
	if (code & 1u << 12)
		offset <<= shift;
	access->addr = base_value(cpu, access->base) + offset;
	return 0;
}

/* Decoding ----------------------------------------------------------------------------------------------- */

/* What size and opc say of a single register. */
static int single_kind(uint32_t code, struct access *access, unsigned int *ret_shift)
{
	unsigned int size = field(code, 31, 30), opc = field(code, 23, 22);

	if (access->vector) {
		*ret_shift = (opc & 2) << 1 | size;
		access->load = opc & 1;
	} else {
		*ret_shift = size;
		access->load = opc;
		access->is_signed = opc & 2;
		access->to_32 = opc == 3;
		/* Prefetches, and what does not exist. */
		if ((opc == 2 && size == 3) || (opc == 3 && size >= 2))
			return -ENOSYS;
	}
	access->width = 1u << *ret_shift;
	return *ret_shift > 4 ? -ENOSYS : 0;
}

/* "Load/store register": bits 29 to 27 are 111. */
static int single(const struct sim_arm64_cpu *cpu, uint32_t code, struct access *access)
{
	enum { UNSCALED, AFTER, UNPRIVILEGED, BEFORE };
	uint64_t base = base_value(cpu, access->base);
	unsigned int shift;
	int error = single_kind(code, access, &shift);

	if (error)
		return error;
	if (field(code, 25, 24) == 1) {
		offset_from(access, base, (int64_t)field(code, 21, 10) << shift);
		return 0;
	}
	if (field(code, 25, 24))
		return -ENOSYS;
	if (code & 1u << 21)
		return field(code, 11, 10) == 2 ? register_offset(cpu, code, shift, access) : -ENOSYS;
	switch (field(code, 11, 10)) {
	case AFTER:
	case BEFORE:
		indexed(access, base, signed_field(code, 20, 12), field(code, 11, 10) == BEFORE);
		return 0;
	case UNPRIVILEGED:
		if (access->vector)
			return -ENOSYS;
		/* In user space as any other. */
		__attribute__((fallthrough));
	default:
		offset_from(access, base, signed_field(code, 20, 12));
		return 0;
	}
}

/* "Load/store register pair": bits 29 to 27 are 101, bit 25 is 0. */
static int pair(const struct sim_arm64_cpu *cpu, uint32_t code, struct access *access)
{
	enum { NO_ALLOCATE, AFTER, OFFSET, BEFORE };
	uint64_t base = base_value(cpu, access->base);
	unsigned int opc = field(code, 31, 30), mode = field(code, 24, 23);
	int64_t offset;

	access->num = 2;
	access->second = field(code, 14, 10);
	access->load = code & 1u << 22;
	access->is_signed = !access->vector && opc == 1;
	if (opc == 3 || (access->is_signed && (!access->load || mode == NO_ALLOCATE)))
		return -ENOSYS;
	access->width = access->vector ? 4u << opc : opc & 2 ? 8 : 4;
	offset = signed_field(code, 21, 15) * (int64_t)access->width;
	if (mode == AFTER || mode == BEFORE)
		indexed(access, base, offset, mode == BEFORE);
	else
		offset_from(access, base, offset);
	return 0;
}

/* ldar, stlr, ldlar, stllr and ldapr: a register, and a base without an offset. */
static bool ordered(const struct sim_arm64_cpu *cpu, uint32_t code, struct access *access)
{
	bool acquire = (code & 0x3fbf7c00) == 0x089f7c00, rcpc = (code & 0x3ffffc00) == 0x38bfc000;

	if (!acquire && !rcpc)
		return false;
	access->width = 1u << field(code, 31, 30);
	access->load = rcpc || code & 1u << 22;
	access->addr = base_value(cpu, access->base);
	return true;
}

static int decode(const struct sim_arm64_cpu *cpu, uint32_t code, struct access *access)
{
	*access = (struct access){ .base = field(code, 9, 5), .first = field(code, 4, 0), .num = 1 };
	if (ordered(cpu, code, access))
		return 0;
	access->vector = code & 1u << 26;
	if (access->vector && !cpu->vectors)
		return -ENOSYS;
	if (field(code, 29, 27) == 7)
		return single(cpu, code, access);
	if (field(code, 29, 27) == 5 && !(code & 1u << 25))
		return pair(cpu, code, access);
	return -ENOSYS;
}

/* Doing -------------------------------------------------------------------------------------------------- */

static uint64_t extended(const struct access *access, uint64_t value)
{
	unsigned int unused = 64 - 8 * access->width;

	if (!access->is_signed)
		return value;
	value = (uint64_t)((int64_t)(value << unused) >> unused);
	return access->to_32 ? (uint32_t)value : value;
}

static void put(struct sim_arm64_cpu *cpu, const struct access *access, unsigned int reg,
		const unsigned char *bytes)
{
	uint64_t value = 0;

	if (access->vector) {
		memset(cpu->vectors[reg], 0, SIM_LANE);
		memcpy(cpu->vectors[reg], bytes, access->width);
		return;
	}
	for (unsigned int i = 0; i < access->width; i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	if (reg != NONE)
		cpu->regs[reg] = extended(access, value);
}

static void take(const struct sim_arm64_cpu *cpu, const struct access *access, unsigned int reg,
		 unsigned char *bytes)
{
	if (access->vector)
		memcpy(bytes, cpu->vectors[reg], access->width);
	for (unsigned int i = 0; i < access->width && !access->vector; i++)
		bytes[i] = (unsigned char)(reg_value(cpu, reg) >> 8 * i);
}

static int load(struct sim_arm64_cpu *cpu, const struct access *access, const struct sim_memory *memory)
{
	unsigned char bytes[2 * SIM_LANE];
	int error = sim_memory_load(memory, access->addr, bytes, access->width);

	/* Both before either register changes: the base may be one of them. */
	if (!error && access->num == 2)
		error = sim_memory_load(memory, access->addr + access->width, bytes + access->width,
					access->width);
	if (error)
		return error;
	put(cpu, access, access->first, bytes);
	if (access->num == 2)
		put(cpu, access, access->second, bytes + access->width);
	return 0;
}

static int store(const struct sim_arm64_cpu *cpu, const struct access *access,
		 const struct sim_memory *memory)
{
	unsigned char bytes[2 * SIM_LANE];
	int error;

	take(cpu, access, access->first, bytes);
	error = sim_memory_store(memory, access->addr, bytes, access->width);
	if (error || access->num == 1)
		return error;
	take(cpu, access, access->second, bytes);
	return sim_memory_store(memory, access->addr + access->width, bytes, access->width);
}

int sim_arm64_step(struct sim_arm64_cpu *cpu, uint32_t code, const struct sim_memory *memory)
{
	struct access access;
	int error = decode(cpu, code, &access);

	if (!error)
		error = access.load ? load(cpu, &access, memory) : store(cpu, &access, memory);
	if (error)
		return error;
	if (access.writes_back && access.base == NONE)
		*cpu->sp = access.new_base;
	else if (access.writes_back)
		cpu->regs[access.base] = access.new_base;
	*cpu->pc += sizeof(code);
	return 0;
}
