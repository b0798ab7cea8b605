// SPDX-License-Identifier: MIT
/* arm64. Vector registers lie in one of the records that the kernel appends to the frame. */
#ifdef __aarch64__

#include <asm/sigcontext.h>
#include <stdint.h>
#include <string.h>

#include "sim/preload/context.h"

static void *find_vectors(unsigned char *records, size_t room)
{
	struct _aarch64_ctx head;

	for (size_t at = 0; at + sizeof(head) <= room; at += head.size) {
		memcpy(&head, records + at, sizeof(head));
		if (head.magic == FPSIMD_MAGIC)
			return records + at + offsetof(struct fpsimd_context, vregs);
		if (!head.magic || !head.size)
			break;
	}
	return NULL;
}

int sim_context_step(ucontext_t *context, const struct sim_memory *memory)
{
	mcontext_t *machine = &context->uc_mcontext;
	struct sim_arm64_cpu cpu = {
		.regs = (uint64_t *)(void *)machine->regs,
		.sp = (uint64_t *)(void *)&machine->sp,
		.pc = (uint64_t *)(void *)&machine->pc,
		.vectors = find_vectors(machine->__reserved, sizeof(machine->__reserved)),
	};
	uint32_t code;

	memcpy(&code, (const void *)(uintptr_t)*cpu.pc, sizeof(code));
	return sim_arm64_step(&cpu, code, memory);
}

#endif
