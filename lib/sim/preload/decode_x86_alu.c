// SPDX-License-Identifier: MIT
/*
 * Arithmetic with a memory operand: the eight classic operations, test, xchg, not, neg, inc, dec and
 * single bits.
 */
#include <errno.h>

#include "sim/preload/decode_x86.h"

enum { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP };

enum { CF = 1 << 0, PF = 1 << 2, AF = 1 << 4, ZF = 1 << 6, SF = 1 << 7, OF = 1 << 11 };
enum { RESULT_FLAGS = PF | ZF | SF, ALL_FLAGS = CF | RESULT_FLAGS | AF | OF };

static uint64_t truncated(uint64_t value, unsigned int width)
{
	return width == 8 ? value : value & ((UINT64_C(1) << 8 * width) - 1);
}

static uint64_t top_bit(uint64_t value, unsigned int width)
{
	return value >> (8 * width - 1) & 1;
}

static uint64_t result_flags(uint64_t result, unsigned int width)
{
	uint64_t flags = __builtin_parityll(result & 0xff) ? 0 : PF;

	if (!result)
		flags |= ZF;
	return top_bit(result, width) ? flags | SF : flags;
}

static void set_flags(const struct x86_insn *insn, uint64_t mask, uint64_t flags)
{
	*insn->cpu->flags = (*insn->cpu->flags & ~mask) | flags;
}

/* Carries out of every bit: the identities hold for sums with and without a carry coming in. */
static uint64_t sum_flags(uint64_t a, uint64_t b, uint64_t result, unsigned int width)
{
	uint64_t carries = (a & b) | ((a | b) & ~result);
	uint64_t flags = result_flags(result, width);

	if (top_bit(carries, width))
		flags |= CF;
	if (carries & 8)
		flags |= AF;
	return top_bit((a ^ result) & (b ^ result), width) ? flags | OF : flags;
}

static uint64_t difference_flags(uint64_t a, uint64_t b, uint64_t result, unsigned int width)
{
	uint64_t borrows = (~a & b) | ((~a | b) & result);
	uint64_t flags = result_flags(result, width);

	if (top_bit(borrows, width))
		flags |= CF;
	if (borrows & 8)
		flags |= AF;
	return top_bit((a ^ b) & (a ^ result), width) ? flags | OF : flags;
}

static uint64_t compute(unsigned int operation, uint64_t a, uint64_t b, uint64_t carry)
{
	switch (operation) {
	case ADD:
		return a + b;
	case ADC:
		return a + b + carry;
	case SUB:
	case CMP:
		return a - b;
	case SBB:
		return a - b - carry;
	case AND:
		return a & b;
	case OR:
		return a | b;
	default:
		return a ^ b;
	}
}

static uint64_t flags_of(unsigned int operation, uint64_t a, uint64_t b, uint64_t result, unsigned int width)
{
	switch (operation) {
	case ADD:
	case ADC:
		return sum_flags(a, b, result, width);
	case SUB:
	case SBB:
	case CMP:
		return difference_flags(a, b, result, width);
	default:
		return result_flags(result, width);
	}
}

/* The eight operations ----------------------------------------------------------------------------------- */

/*
 * @to_memory: memory is the first operand and gets the result, @other is the second. Else it is the other
 * way round.
 */
static int operate(struct x86_insn *insn, unsigned int operation, unsigned int width, uint64_t other,
		   bool to_memory)
{
	uint64_t value, a, b, result;
	int error = x86_load(insn, width, &value);

	if (error)
		return error;
	other = truncated(other, width);
	a = to_memory ? value : other;
	b = to_memory ? other : value;
	result = truncated(compute(operation, a, b, *insn->cpu->flags & CF), width);
	if (operation != CMP && to_memory)
		error = x86_store(insn, width, result);
	else if (operation != CMP)
		x86_reg_set(insn, width, result);
	if (!error)
		set_flags(insn, ALL_FLAGS, flags_of(operation, a, b, result, width));
	return error;
}

/* Opcodes 00 to 3B: the operation in bits 3 to 5, the direction in bit 1, byte or not in bit 0. */
static int with_register(struct x86_insn *insn)
{
	unsigned int width = insn->opcode & 1 ? insn->width : 1;
	int error = x86_modrm(insn, 0, 1);

	if (error)
		return error;
	return operate(insn, insn->opcode >> 3, width, x86_reg_get(insn, width), !(insn->opcode & 2));
}

/* Opcodes 80, 81 and 83: the operation in ModRM. */
static int with_immediate(struct x86_insn *insn)
{
	unsigned int width = insn->opcode == 0x80 ? 1 : insn->width;
	unsigned int len = insn->opcode == 0x81 ? (width > 4 ? 4 : width) : 1;
	int error = x86_modrm(insn, len, 1);
	uint64_t value;

	if (error)
		return error;
	value = x86_immediate(insn, len);
	return operate(insn, insn->reg, width, value, true);
}

/* The others --------------------------------------------------------------------------------------------- */

static int test(struct x86_insn *insn, unsigned int width, uint64_t other)
{
	uint64_t value;
	int error = x86_load(insn, width, &value);

	if (!error)
		set_flags(insn, ALL_FLAGS, result_flags(truncated(value & other, width), width));
	return error;
}

static int test_register(struct x86_insn *insn)
{
	unsigned int width = insn->opcode & 1 ? insn->width : 1;
	int error = x86_modrm(insn, 0, 1);

	return error ? error : test(insn, width, x86_reg_get(insn, width));
}

static int exchange(struct x86_insn *insn)
{
	unsigned int width = insn->opcode & 1 ? insn->width : 1;
	uint64_t value;
	int error = x86_modrm(insn, 0, 1);

	if (!error)
		error = x86_load(insn, width, &value);
	if (!error)
		error = x86_store(insn, width, x86_reg_get(insn, width));
	if (!error)
		x86_reg_set(insn, width, value);
	return error;
}

/* not, neg. */
static int unary(struct x86_insn *insn, unsigned int width, bool negate)
{
	uint64_t value, result;
	int error = x86_load(insn, width, &value);

	if (error)
		return error;
	result = truncated(negate ? 0 - value : ~value, width);
	error = x86_store(insn, width, result);
	if (!error && negate)
		set_flags(insn, ALL_FLAGS, difference_flags(0, value, result, width));
	return error;
}

/* Opcodes F6 and F7. */
static int group_3(struct x86_insn *insn)
{
	unsigned int width = insn->opcode & 1 ? insn->width : 1;
	unsigned int operation = *insn->at >> 3 & 7, len = width > 4 ? 4 : width;
	int error = x86_modrm(insn, operation < 2 ? len : 0, 1);

	if (error || operation > 3)
		return -ENOSYS;
	if (operation < 2)
		return test(insn, width, x86_immediate(insn, len));
	return unary(insn, width, operation == 3);
}

/* Opcodes FE and FF: inc, dec. They leave the carry alone. */
static int step_by_one(struct x86_insn *insn)
{
	unsigned int width = insn->opcode & 1 ? insn->width : 1;
	uint64_t value, result, flags;
	int error = x86_modrm(insn, 0, 1);

	if (error || insn->reg > 1)
		return -ENOSYS;
	error = x86_load(insn, width, &value);
	if (error)
		return error;
	result = truncated(insn->reg ? value - 1 : value + 1, width);
	flags = insn->reg ? difference_flags(value, 1, result, width) : sum_flags(value, 1, result, width);
	error = x86_store(insn, width, result);
	if (!error)
		set_flags(insn, ALL_FLAGS & ~CF, flags & ~(uint64_t)CF);
	return error;
}

/* 0F BA: bt, bts, btr, btc with an immediate bit number. */
static int single_bit(struct x86_insn *insn)
{
	enum { BT = 4, BTS, BTR, BTC };
	uint64_t value, bit;
	int error = x86_modrm(insn, 1, 1);

	if (error || insn->reg < BT)
		return -ENOSYS;
	bit = UINT64_C(1) << (x86_immediate(insn, 1) & (8 * insn->width - 1));
	error = x86_load(insn, insn->width, &value);
	if (error)
		return error;
	if (insn->reg != BT)
		error = x86_store(insn, insn->width,
				  insn->reg == BTS   ? value | bit
				  : insn->reg == BTR ? value & ~bit
						     : value ^ bit);
	if (!error)
		set_flags(insn, CF, value & bit ? CF : 0);
	return error;
}

int x86_alu(struct x86_insn *insn)
{
	if (insn->map == 1)
		return single_bit(insn);
	if (insn->opcode < 0x40 && (insn->opcode & 7) < 4)
		return with_register(insn);
	switch (insn->opcode) {
	case 0x80:
	case 0x81:
	case 0x83:
		return with_immediate(insn);
	case 0x84:
	case 0x85:
		return test_register(insn);
	case 0x86:
	case 0x87:
		return exchange(insn);
	case 0xf6:
	case 0xf7:
		return group_3(insn);
	case 0xfe:
	case 0xff:
		return step_by_one(insn);
	default:
		return -ENOSYS;
	}
}
