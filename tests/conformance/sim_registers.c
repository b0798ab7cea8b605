// SPDX-License-Identifier: MIT
/*
 * Mapped registers of a simulated machine, for programs that are given its table of system calls: what libweir-sim-preload.so does
 * for those that know nothing of it (lib/sim/preload/trap.c).
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "conformance/sim_machine.h"
#include "sim/device/device.h"
#include "sim/preload/context.h"
#include "sim/user.h"

static struct weir_sim *machine;
static struct sigaction before;

static const struct sim_mapping *registers_at(uint64_t addr, size_t len)
{
	const struct sim_mapping *mapping = sim_mapping_find(machine, addr, len);

	return mapping && sim_mapping_traps(mapping) && addr >= (uintptr_t)mapping->addr ? mapping : NULL;
}

static uint64_t place(const struct sim_mapping *mapping, uint64_t addr)
{
	return mapping->offset + (addr - (uintptr_t)mapping->addr);
}

/* The other operand of an instruction may be memory. */
static int load(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct sim_mapping *mapping = registers_at(addr, len);

	(void)ctx;
	if (!mapping)
		return sim_copy_in(buf, addr, len);
	if (sim_bar_read(mapping->device, mapping->bar, place(mapping, addr), buf, len))
		memset(buf, 0xff, len);
	return 0;
}

static int store(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	const struct sim_mapping *mapping = registers_at(addr, len);

	(void)ctx;
	if (!mapping)
		return sim_copy_out(machine, addr, buf, len);
	sim_bar_write(mapping->device, mapping->bar, place(mapping, addr), buf, len);
	return 0;
}

/* What was mapped there has just been replaced: what is there now may fault otherwise, or not at all. */
static bool has_changed(uint64_t addr)
{
	const struct sim_mapping *mapping = sim_mapping_find(machine, addr, 1);

	return mapping && !mapping->device->bars[mapping->bar].ram && mapping->shows != SIM_SHOWS_RAM;
}

/* On the thread that faulted, which is in the middle of nothing of ours: it can take the lock. */
static bool serve(uint64_t addr, void *context)
{
	const struct sim_memory memory = { NULL, load, store };
	bool served;

	if (!machine || sim_lock(machine))
		return false;
	served = has_changed(addr) || (registers_at(addr, 1) && sim_context_step(context, &memory) == 0);
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
