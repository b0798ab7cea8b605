/* SPDX-License-Identifier: MIT */
/*
 * Executing one load or store in software: an instruction that faulted on a page without access, done
 * through callbacks instead.
 *
 *     decode_x86.c          x86-64: prefixes, operands, moves
 *     decode_x86_alu.c      arithmetic on memory, and its flags
 *     decode_x86_string.c   movs, stos, lods
 *     decode_x86_vector.c   SSE, AVX and AVX-512 moves
 *     decode_arm64.c        arm64: all of it
 *
 * Nothing here knows about signals: registers are wherever the pointers say, so that the decoders can be
 * tested on any machine.
 */
#ifndef WEIR_SIM_PRELOAD_DECODE_H
#define WEIR_SIM_PRELOAD_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How memory is reached: 0 or a negative errno. Each call is one access of the instruction, of up to 8
 * bytes.
 */
struct sim_memory {
	void *ctx;
	int (*load)(void *ctx, uint64_t addr, void *buf, size_t len);
	int (*store)(void *ctx, uint64_t addr, const void *buf, size_t len);
};

enum { SIM_LANE = 16, SIM_X86_VECTORS = 32, SIM_X86_LANES = 4 };

struct sim_x86_cpu {
	uint64_t *regs[16]; /* in the encoding's order: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15 */
	uint64_t *ip, *flags;
	/* The 16-byte lanes of each vector register, lowest first; NULL: the processor has no such lane. */
	unsigned char *vectors[SIM_X86_VECTORS][SIM_X86_LANES];
};

struct sim_arm64_cpu {
	uint64_t *regs; /* x0 to x30 */
	uint64_t *sp, *pc;
	unsigned char (*vectors)[SIM_LANE]; /* v0 to v31; NULL: not known */
};

/*
 * Execute the instruction at @code (which is what *ip, *pc says, as the program sees it) and advance.
 * Returns 0; -ENOSYS: not an instruction that is known here; or what @memory returned. On failure nothing
 * has changed, but that a string instruction or a pair may be done in part, as on the processor.
 */
int sim_x86_step(struct sim_x86_cpu *cpu, const unsigned char *code, const struct sim_memory *memory);
int sim_arm64_step(struct sim_arm64_cpu *cpu, uint32_t code, const struct sim_memory *memory);

/* In pieces of at most 8 bytes, naturally aligned where @addr is. */
int sim_memory_load(const struct sim_memory *memory, uint64_t addr, void *buf, size_t len);
int sim_memory_store(const struct sim_memory *memory, uint64_t addr, const void *buf, size_t len);

#endif
