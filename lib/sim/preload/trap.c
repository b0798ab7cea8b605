// SPDX-License-Identifier: MIT
/*
 * Loads and stores of registers through a mapping. The machine maps such BARs without access
 * (sim/device_mmap.c); the instruction that faults there is executed in software.
 */
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "sim/device/device.h"
#include "sim/preload/context.h"
#include "sim/preload/preload.h"
#include "sim/user.h"

/* Registers at an address, if they are mapped there and answer. */
static struct sim_mapping *registers_at(struct weir_sim *sim, uint64_t addr, size_t len)
{
	struct sim_mapping *mapping = sim_mapping_find(sim, addr, len);

	return mapping && sim_mapping_traps(mapping) && addr >= (uintptr_t)mapping->addr ? mapping : NULL;
}

static uint64_t offset_in_bar(const struct sim_mapping *mapping, uint64_t addr)
{
	return mapping->offset + (addr - (uintptr_t)mapping->addr);
}

/* What no longer answers reads as ones, and what is written to it is lost. */
static int load(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct sim_mapping *mapping = registers_at(ctx, addr, len);

	if (!mapping)
		return sim_copy_in(buf, addr, len);
	if (!(mapping->prot & PROT_READ))
		return -EFAULT;
	if (sim_bar_read(mapping->device, mapping->bar, offset_in_bar(mapping, addr), buf, len))
		memset(buf, 0xff, len);
	return 0;
}

static int store(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	const struct sim_mapping *mapping = registers_at(ctx, addr, len);

	if (!mapping)
		return sim_copy_out(ctx, addr, buf, len);
	if (!(mapping->prot & PROT_WRITE))
		return -EFAULT;
	sim_bar_write(mapping->device, mapping->bar, offset_in_bar(mapping, addr), buf, len);
	return 0;
}

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

/* What was mapped there has just been replaced: what is there now may fault otherwise, or not at all. */
static bool has_changed(struct weir_sim *sim, uint64_t addr)
{
	const struct sim_mapping *mapping = sim_mapping_find(sim, addr, 1);

	return mapping && !mapping->device->bars[mapping->bar].ram && mapping->shows != SIM_SHOWS_RAM;
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
	const struct sim_memory memory = { sim, load, store };
	int error = -EFAULT;

	if (!sim)
		return false;
	if (!sim_lock(sim)) {
		error = has_changed(sim, addr) ? 0 : execute(registers_at(sim, addr, 1), context, &memory);
		sim_unlock(sim);
	}
	preload_leave(&call);
	if (error == -ENOSYS)
		tell_of_instruction(code_of(context));
	return !error;
}
