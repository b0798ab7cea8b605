// SPDX-License-Identifier: MIT
/* movs, stos and lods, with and without rep: what compilers and C libraries copy and fill with. */
#include <errno.h>

#include "sim/preload/decode_x86.h"

/*
 * So many elements at once: then the program runs on, faults again, and can be interrupted as on the
 * processor.
 */
enum { AT_ONCE = 4096 };

enum { RCX = 1, RSI = 6, RDI = 7, DIRECTION = 1 << 10 };

static int load_source(struct x86_insn *insn, unsigned int width, uint64_t *ret_value)
{
	insn->addr = *insn->cpu->regs[RSI];
	return x86_load(insn, width, ret_value);
}

static int store_target(struct x86_insn *insn, unsigned int width, uint64_t value)
{
	insn->addr = *insn->cpu->regs[RDI];
	return x86_store(insn, width, value);
}

/* One element. Pointers move only when all of it was done. */
static int element(struct x86_insn *insn, unsigned int width)
{
	struct sim_x86_cpu *cpu = insn->cpu;
	uint64_t step = *cpu->flags & DIRECTION ? 0 - (uint64_t)width : width, value = *cpu->regs[0];
	bool loads = (insn->opcode & ~1) != 0xaa, stores = (insn->opcode & ~1) != 0xac;
	int error = 0;

	if (loads)
		error = load_source(insn, width, &value);
	if (!error && stores)
		error = store_target(insn, width, value);
	if (error)
		return error;
	if (!stores)
		x86_rax_set(insn, width, value);
	*cpu->regs[RSI] += loads ? step : 0;
	*cpu->regs[RDI] += stores ? step : 0;
	return 0;
}

int x86_string(struct x86_insn *insn)
{
	unsigned int width = insn->opcode & 1 ? insn->width : 1;
	uint64_t *count = insn->cpu->regs[RCX];
	int error = 0;

	if (insn->addr32)
		return -ENOSYS;
	if (!insn->rep && !insn->repne)
		return element(insn, width);
	for (unsigned int i = 0; i < AT_ONCE && *count && !error; i++) {
		error = element(insn, width);
		*count -= error ? 0 : 1;
	}
	return error ? error : *count ? 1 : 0;
}
