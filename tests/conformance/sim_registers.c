// SPDX-License-Identifier: MIT
/*
 * Mapped registers of a simulated machine, for programs that are given its table of system calls: what libweir-sim-preload.so does
 * for those that know nothing of it (lib/sim/preload/trap.c).
 */
#include <signal.h>

#include "conformance/sim_machine.h"
#include "sim/preload/context.h"
#include "sim/preload/registers.h"

static struct weir_sim *machine;
static struct sigaction before;

/* On the thread that faulted, which is in the middle of nothing of ours: it can take the lock. */
static bool serve(uint64_t addr, void *context)
{
	const struct sim_memory memory = sim_registers_memory(machine);
	bool served;

	if (!machine || sim_lock(machine))
		return false;
	served = sim_registers_changed(machine, addr) ||
		 (sim_registers_at(machine, addr, 1) && sim_context_step(context, &memory) == 0);
	sim_wake(machine);
	sim_unlock(machine);
	return served;
}

/* What is not ours faults again, with what was there before us. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	if (info->si_code <= 0 || !serve((uintptr_t)info->si_addr, context))
		sigaction(number, &before, NULL);
}

void sim_registers_begin(struct weir_sim *sim)
{
	machine = sim;
	sigaction(SIGSEGV,
		  &(struct sigaction){ .sa_sigaction = on_fault,
				       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER },
		  &before);
}

void sim_registers_end(void)
{
	sigaction(SIGSEGV, &before, NULL);
	machine = NULL;
}
