// SPDX-License-Identifier: MIT
/* x86-64: prefixes, operands, moves. */
#include "sim/preload/decode_x86.h"

#include <errno.h>
#include <string.h>

enum { MOST_PREFIXES = 14, RSP = 4, RBP = 5, MOD_REGISTER = 3 };

/* Prefixes ----------------------------------------------------------------------------------------------- */

/* A legacy prefix: true if it was one. FS and GS are not here: what they point to is no device's. */
static bool legacy_prefix(struct x86_insn *insn, unsigned char byte)
{
	switch (byte) {
	case 0x66:
		insn->opsize = true;
		return true;
	case 0x67:
		insn->addr32 = true;
		return true;
	case 0xf2:
		insn->repne = true;
		insn->rep = false;
		return true;
	case 0xf3:
		insn->rep = true;
		insn->repne = false;
		return true;
	case 0xf0: /* lock: nobody else is at the registers meanwhile that it could matter to */
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e: /* segments without a base */
		return true;
	default:
		return false;
	}
}

static void rex_prefix(struct x86_insn *insn, unsigned char byte)
{
	insn->rex = true;
	insn->w = byte & 8;
	insn->r = byte & 4;
	insn->x = byte & 2;
	insn->b = byte & 1;
}

/* The fields that VEX has inverted in place of REX's. */
static void inverted_rxb(struct x86_insn *insn, unsigned char byte)
{
	insn->rex = true;
	insn->r = !(byte & 0x80);
	insn->x = !(byte & 0x40);
	insn->b = !(byte & 0x20);
}

static void vex_tail(struct x86_insn *insn, unsigned char byte)
{
	insn->vex = true;
	insn->vvvv = (~byte >> 3) & 15;
	insn->vector_len = byte & 4 ? 32 : 16;
	insn->vex_prefix = (enum x86_prefix)(byte & 3);
}

/* Returns how many bytes the prefix has. */
static unsigned int vex_prefix(struct x86_insn *insn, const unsigned char *at)
{
	if (at[0] == 0xc5) {
		insn->rex = true;
		insn->r = !(at[1] & 0x80);
		insn->map = 1;
		vex_tail(insn, at[1]);
		return 2;
	}
	inverted_rxb(insn, at[1]);
	insn->map = at[1] & 31;
	insn->w = at[2] & 0x80;
	vex_tail(insn, at[2]);
	return 3;
}

/*
 * 0: not one that is known. Masks, broadcasts and the upper half of vvvv are for arithmetic, not for
 * moves.
 */
static unsigned int evex_prefix(struct x86_insn *insn, const unsigned char *at)
{
	enum { LENGTH_SHIFT = 5, PREFIX_LEN = 4, NOT_MOVES = 0x97 };

	if ((at[3] & NOT_MOVES) || (at[3] >> LENGTH_SHIFT & 3) == 3)
		return 0;
	inverted_rxb(insn, at[1]);
	insn->r2 = !(at[1] & 0x10);
	insn->map = at[1] & 7;
	insn->w = at[2] & 0x80;
	vex_tail(insn, at[2]);
	insn->evex = true;
	insn->vector_len = 16u << (at[3] >> LENGTH_SHIFT & 3);
	return PREFIX_LEN;
}

static int prefixes(struct x86_insn *insn)
{
	unsigned int len = 0;

	for (unsigned int i = 0; i < MOST_PREFIXES && legacy_prefix(insn, *insn->at); i++)
		insn->at++;
	if (*insn->at == 0xc5 || *insn->at == 0xc4)
		len = vex_prefix(insn, insn->at);
	else if (*insn->at == 0x62)
		len = evex_prefix(insn, insn->at);
	if (*insn->at == 0x62 && !len)
		return -ENOSYS;
	insn->at += len;
	if ((*insn->at & 0xf0) == 0x40 && !len)
		rex_prefix(insn, *insn->at++);
	insn->width = insn->w ? 8 : insn->opsize ? 2 : 4;
	if (len) {
		insn->opcode = *insn->at++;
		return 0;
	}
	if (*insn->at == 0x0f) {
		insn->at++;
		insn->map = *insn->at == 0x38 ? 2 : *insn->at == 0x3a ? 3 : 1;
		insn->at += insn->map > 1;
	}
	insn->opcode = *insn->at++;
	return 0;
}

/* Operands ----------------------------------------------------------------------------------------------- */

static uint64_t little_endian(const unsigned char *at, unsigned int len)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < len; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

int64_t x86_signed(uint64_t value, unsigned int width)
{
	unsigned int unused = 64 - 8 * width;

	return (int64_t)(value << unused) >> unused;
}

uint64_t x86_immediate(struct x86_insn *insn, unsigned int len)
{
	uint64_t value = little_endian(insn->at, len);

	insn->at += len;
	return (uint64_t)x86_signed(value, len);
}

/* The scaled-index byte: base, and index times scale. */
static uint64_t sib(struct x86_insn *insn)
{
	unsigned char byte = *insn->at++;
	unsigned int base = byte & 7, index = (byte >> 3 & 7) | insn->x << 3;
	uint64_t addr = 0;

	if (base == RBP && insn->mod == 0)
		addr = x86_immediate(insn, 4);
	else
		addr = *insn->cpu->regs[base | insn->b << 3];
	return index == RSP ? addr : addr + (*insn->cpu->regs[index] << (byte >> 6));
}

int x86_modrm(struct x86_insn *insn, unsigned int imm_len, unsigned int scale)
{
	unsigned char byte = *insn->at++;

	insn->mod = byte >> 6;
	insn->reg = byte >> 3 & 7;
	insn->rm = byte & 7;
	if (insn->mod == MOD_REGISTER)
		return -ENOSYS;
	if (insn->rm == RSP)
		insn->addr = sib(insn);
	else if (insn->rm == RBP && insn->mod == 0)
		insn->ip_relative = true;
	else
		insn->addr = *insn->cpu->regs[insn->rm | insn->b << 3];
	if (insn->mod == 1)
		insn->addr += x86_immediate(insn, 1) * scale;
	else if (insn->mod == 2)
		insn->addr += x86_immediate(insn, 4);
	else if (insn->ip_relative) {
		uint64_t displacement = x86_immediate(insn, 4);

		/* It counts from the next instruction. */
		insn->addr = *insn->cpu->ip + (uint64_t)(insn->at - insn->start) + imm_len + displacement;
	}
	if (insn->addr32)
		insn->addr &= UINT32_MAX;
	return 0;
}

static uint64_t merged(uint64_t before, unsigned int width, uint64_t value)
{
	uint64_t mask = width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;

	/* 32-bit results clear the upper half, narrower ones leave the rest. */
	return width == 4 ? value & mask : (before & ~mask) | (value & mask);
}

/* Without REX, byte registers 4 to 7 are ah, ch, dh, bh. */
static bool is_high_byte(const struct x86_insn *insn, unsigned int width)
{
	return width == 1 && !insn->rex && insn->reg >= 4;
}

uint64_t x86_reg_get(const struct x86_insn *insn, unsigned int width)
{
	uint64_t value;

	if (is_high_byte(insn, width))
		return *insn->cpu->regs[insn->reg - 4] >> 8 & 0xff;
	value = *insn->cpu->regs[insn->reg | insn->r << 3];
	return width == 8 ? value : value & ((UINT64_C(1) << 8 * width) - 1);
}

void x86_reg_set(const struct x86_insn *insn, unsigned int width, uint64_t value)
{
	uint64_t *reg;

	if (is_high_byte(insn, width)) {
		reg = insn->cpu->regs[insn->reg - 4];
		*reg = (*reg & ~UINT64_C(0xff00)) | (value & 0xff) << 8;
		return;
	}
	reg = insn->cpu->regs[insn->reg | insn->r << 3];
	*reg = merged(*reg, width, value);
}

void x86_rax_set(const struct x86_insn *insn, unsigned int width, uint64_t value)
{
	*insn->cpu->regs[0] = merged(*insn->cpu->regs[0], width, value);
}

int x86_load(const struct x86_insn *insn, unsigned int width, uint64_t *ret_value)
{
	unsigned char bytes[8];
	int error = insn->memory->load(insn->memory->ctx, insn->addr, bytes, width);

	if (!error)
		*ret_value = little_endian(bytes, width);
	return error;
}

int x86_store(const struct x86_insn *insn, unsigned int width, uint64_t value)
{
	unsigned char bytes[8];

	for (unsigned int i = 0; i < width; i++)
		bytes[i] = (unsigned char)(value >> 8 * i);
	return insn->memory->store(insn->memory->ctx, insn->addr, bytes, width);
}

/* Moves -------------------------------------------------------------------------------------------------- */

/* Load @width bytes and put them, extended, into a register of @to bytes. */
static int load_extended(struct x86_insn *insn, unsigned int width, unsigned int to, bool is_signed)
{
	uint64_t value;
	int error = x86_modrm(insn, 0, 1);

	if (!error)
		error = x86_load(insn, width, &value);
	if (!error)
		x86_reg_set(insn, to, is_signed ? (uint64_t)x86_signed(value, width) : value);
	return error;
}

static int store_reg(struct x86_insn *insn, unsigned int width)
{
	int error = x86_modrm(insn, 0, 1);

	return error ? error : x86_store(insn, width, x86_reg_get(insn, width));
}

static int store_immediate(struct x86_insn *insn, unsigned int width)
{
	unsigned int len = width > 4 ? 4 : width;
	int error = x86_modrm(insn, len, 1);

	if (error || insn->reg)
		return -ENOSYS;
	return x86_store(insn, width, x86_immediate(insn, len));
}

/* mov between rax and an address that the instruction itself has. */
static int move_rax(struct x86_insn *insn, unsigned int width, bool store)
{
	unsigned int len = insn->addr32 ? 4 : 8;
	uint64_t value;
	int error;

	insn->addr = little_endian(insn->at, len);
	insn->at += len;
	if (store)
		return x86_store(insn, width, *insn->cpu->regs[0]);
	error = x86_load(insn, width, &value);
	if (!error)
		x86_rax_set(insn, width, value);
	return error;
}

static int swapped_load(struct x86_insn *insn)
{
	uint64_t value;
	int error = x86_modrm(insn, 0, 1);

	if (!error)
		error = x86_load(insn, insn->width, &value);
	if (!error)
		x86_reg_set(insn, insn->width, __builtin_bswap64(value) >> (64 - 8 * insn->width));
	return error;
}

static int swapped_store(struct x86_insn *insn)
{
	uint64_t value;
	int error = x86_modrm(insn, 0, 1);

	if (error)
		return error;
	value = __builtin_bswap64(x86_reg_get(insn, insn->width)) >> (64 - 8 * insn->width);
	return x86_store(insn, insn->width, value);
}

static int one_byte(struct x86_insn *insn)
{
	switch (insn->opcode) {
	case 0x63:
		return load_extended(insn, insn->width < 4 ? insn->width : 4, insn->width, true);
	case 0x88:
		return store_reg(insn, 1);
	case 0x89:
		return store_reg(insn, insn->width);
	case 0x8a:
		return load_extended(insn, 1, 1, false);
	case 0x8b:
		return load_extended(insn, insn->width, insn->width, false);
	case 0xa0:
	case 0xa2:
		return move_rax(insn, 1, insn->opcode & 2);
	case 0xa1:
	case 0xa3:
		return move_rax(insn, insn->width, insn->opcode & 2);
	case 0xa4:
	case 0xa5:
	case 0xaa:
	case 0xab:
	case 0xac:
	case 0xad:
		return x86_string(insn);
	case 0xc6:
		return store_immediate(insn, 1);
	case 0xc7:
		return store_immediate(insn, insn->width);
	default:
		return x86_alu(insn);
	}
}

static int two_bytes(struct x86_insn *insn)
{
	switch (insn->opcode) {
	case 0xb6:
		return load_extended(insn, 1, insn->width, false);
	case 0xb7:
		return load_extended(insn, 2, insn->width, false);
	case 0xbe:
		return load_extended(insn, 1, insn->width, true);
	case 0xbf:
		return load_extended(insn, 2, insn->width, true);
	case 0xc3: /* movnti */
		return store_reg(insn, insn->width);
	case 0xba:
		return x86_alu(insn);
	default:
		return x86_vector(insn);
	}
}

static int dispatch(struct x86_insn *insn)
{
	if (insn->vex)
		return x86_vector(insn);
	if (insn->map == 0)
		return one_byte(insn);
	if (insn->map == 1)
		return two_bytes(insn);
	if (insn->map == 2 && insn->opcode == 0xf0 && !insn->repne)
		return swapped_load(insn);
	if (insn->map == 2 && insn->opcode == 0xf1 && !insn->repne)
		return swapped_store(insn);
	return x86_vector(insn);
}

int sim_x86_step(struct sim_x86_cpu *cpu, const unsigned char *code, const struct sim_memory *memory)
{
	struct x86_insn insn = { .cpu = cpu, .memory = memory, .start = code, .at = code };
	int result = prefixes(&insn);

	if (!result)
		result = dispatch(&insn);
	if (result < 0)
		return result;
	if (result == 0)
		*cpu->ip += (uint64_t)(insn.at - insn.start);
	return 0;
}
