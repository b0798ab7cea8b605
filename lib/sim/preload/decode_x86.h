/* SPDX-License-Identifier: MIT */
/* Between the files of the x86-64 decoder. References are to the Intel manual, volume 2. */
#ifndef WEIR_SIM_PRELOAD_DECODE_X86_H
#define WEIR_SIM_PRELOAD_DECODE_X86_H

#include "sim/preload/decode.h"

enum x86_prefix { X86_NONE, X86_66, X86_F3, X86_F2 }; /* in the order of VEX's pp field */

struct x86_insn {
	struct sim_x86_cpu *cpu;
	const struct sim_memory *memory;
	const unsigned char *start, *at; /* the instruction; what comes next of it */
	bool opsize, addr32, rep, repne;
	bool rex, w, r, x, b; /* REX or its like in VEX, where rex is set too */
	bool vex, evex;
	bool r2; /* EVEX: fifth bit of the register */
	unsigned int vector_len, vvvv;
	enum x86_prefix vex_prefix;
	unsigned int map; /* 0: one byte; 1: 0F; 2: 0F 38; 3: 0F 3A */
	unsigned char opcode;
	unsigned int mod, reg, rm; /* reg without its extension */
	bool ip_relative;
	uint64_t addr;      /* of the memory operand */
	unsigned int width; /* of an integer operand that is not a byte: 2, 4, 8 */
};

/*
 * Parts of the decoder: 0: done, but for advancing; 1: done, and does not advance (a string instruction to
 * be continued); -ENOSYS or an error of memory.
 */
int x86_alu(struct x86_insn *insn);
int x86_string(struct x86_insn *insn);
int x86_vector(struct x86_insn *insn);

/*
 * Read ModRM and what belongs to it; @imm_len bytes of immediate operand will follow. @scale: what an
 * 8-bit displacement counts in. -ENOSYS: it names no memory.
 */
int x86_modrm(struct x86_insn *insn, unsigned int imm_len, unsigned int scale);

/* The immediate operand of @len bytes, sign-extended. */
uint64_t x86_immediate(struct x86_insn *insn, unsigned int len);

/* The register that ModRM's reg field names, as an operand of @width bytes. */
uint64_t x86_reg_get(const struct x86_insn *insn, unsigned int width);
void x86_reg_set(const struct x86_insn *insn, unsigned int width, uint64_t value);

/* rax, as an operand of @width bytes. */
void x86_rax_set(const struct x86_insn *insn, unsigned int width, uint64_t value);

int x86_load(const struct x86_insn *insn, unsigned int width, uint64_t *ret_value);
int x86_store(const struct x86_insn *insn, unsigned int width, uint64_t value);

/* @value, of @width bytes, with its sign. */
int64_t x86_signed(uint64_t value, unsigned int width);

#endif
