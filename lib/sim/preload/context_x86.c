// SPDX-License-Identifier: MIT
/*
 * x86-64. Vector registers lie in the frame as XSAVE wrote them (Intel manual, volume 1, chapter 13). What
 * is in its initial state is marked as not written, and would not be read back either: such a part is made
 * a written one, of zeros, before it is used.
 */
#ifdef __x86_64__

#include <cpuid.h>
#include <stdint.h>
#include <string.h>

#include "sim/preload/context.h"

enum { XSAVE_LEAF = 0xd };

/* XSAVE's components. Masks are not used here. */
enum { SSE = 1, AVX = 2, UPPER_HALF = 6, UPPER_16 = 7 };

enum {
	SSE_OFFSET = 160,
	SOFTWARE_OFFSET = 464, /* what the kernel says of the frame */
	HEADER_OFFSET = 512,
	NUM_CLASSIC = 16, /* registers, before AVX-512 */
};

static const uint32_t frame_magic = 0x46505853;

/* What the kernel writes at SOFTWARE_OFFSET. */
struct software {
	uint32_t magic, size;
	uint64_t components;
};

/* The component's place in the frame, or NULL. */
static unsigned char *component(unsigned char *frame, unsigned int number, unsigned int len)
{
	uint64_t *written = (uint64_t *)(void *)(frame + HEADER_OFFSET), bit = UINT64_C(1) << number;
	unsigned int size = 0, offset = SSE_OFFSET, unused;
	struct software software;

	memcpy(&software, frame + SOFTWARE_OFFSET, sizeof(software));
	if (software.magic != frame_magic)
		return number == SSE ? frame + offset : NULL;
	if (!(software.components & bit))
		return NULL;
	if (number != SSE)
		__cpuid_count(XSAVE_LEAF, number, size, offset, unused, unused);
	if (!(*written & bit))
		memset(frame + offset, 0, len);
	*written |= bit;
	return frame + offset;
}

/* Registers @first to @last have their lanes from @lane on, @num each, in a component. */
static void place(struct sim_x86_cpu *cpu, unsigned char *at, unsigned int first, unsigned int lane,
		  unsigned int num)
{
	for (unsigned int i = 0; at && i < NUM_CLASSIC; i++)
		for (unsigned int j = 0; j < num; j++)
			cpu->vectors[first + i][lane + j] = at + (size_t)(i * num + j) * SIM_LANE;
}

static void find_vectors(struct sim_x86_cpu *cpu, unsigned char *frame)
{
	static const struct {
		unsigned int number, first, lane, num;
	} parts[] = {
		{ SSE, 0, 0, 1 }, { AVX, 0, 1, 1 }, { UPPER_HALF, 0, 2, 2 }, { UPPER_16, NUM_CLASSIC, 0, 4 }
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		place(cpu, component(frame, parts[i].number, NUM_CLASSIC * parts[i].num * SIM_LANE),
		      parts[i].first, parts[i].lane, parts[i].num);
}

int sim_context_step(ucontext_t *context, const struct sim_memory *memory)
{
	static const int order[16] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15
	};
	uint64_t *gregs = (uint64_t *)(void *)context->uc_mcontext.gregs;
	struct sim_x86_cpu cpu = { .ip = &gregs[REG_RIP], .flags = &gregs[REG_EFL] };

	for (unsigned int i = 0; i < 16; i++)
		cpu.regs[i] = &gregs[order[i]];
	if (context->uc_mcontext.fpregs)
		find_vectors(&cpu, (unsigned char *)context->uc_mcontext.fpregs);
	return sim_x86_step(&cpu, (const unsigned char *)(uintptr_t)*cpu.ip, memory);
}

#endif
