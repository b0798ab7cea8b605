// SPDX-License-Identifier: MIT
/* A fault on mapped registers: the instruction is executed in software. */
#include <errno.h>
#include <ucontext.h>

#include "sim/preload/context.h"
#include "sim/preload/preload.h"
#include "sim/preload/registers.h"

static void tell_of_instruction(const void *code)
{
	const unsigned char *byte = code;

	preload_say(
		"the program reaches a device's registers with an instruction that is not known here, at %p: "
		"%02x %02x %02x %02x %02x %02x %02x %02x",
		code, byte[0], byte[1], byte[2], byte[3], byte[4], byte[5], byte[6], byte[7]);
}

static void *code_of(const ucontext_t *context)
{
#if defined(__x86_64__)
	return (void *)(uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (void *)(uintptr_t)context->uc_mcontext.pc;
#endif
}

/* A forked child that uses a device takes it over, as with a call on its descriptor (sim/sys.c). */
static int execute(const struct sim_mapping *mapping, void *context, const struct sim_memory *memory)
{
	int error;

	if (!mapping)
		return -EFAULT;
	preload_tell_of_copy(mapping->file);
	mapping->device->sleeps = false;
	error = sim_context_step(context, memory);
	sim_wake(mapping->device->sim);
	return error;
}

bool preload_trap(uintptr_t addr, void *context)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_any(&call);
	const struct sim_memory memory = sim_registers_memory(sim);
	int error = -EFAULT;

	if (!sim)
		return false;
	if (!sim_lock(sim)) {
		error = sim_registers_changed(sim, addr)
				? 0
				: execute(sim_registers_at(sim, addr, 1), context, &memory);
		sim_unlock(sim);
	}
	preload_leave(&call);
	if (error == -ENOSYS)
		tell_of_instruction(code_of(context));
	return !error;
}
