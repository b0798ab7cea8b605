// SPDX-License-Identifier: MIT
#include "sim/preload/registers.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/user.h"

struct sim_mapping *sim_registers_at(struct weir_sim *sim, uint64_t addr, size_t len)
{
	struct sim_mapping *mapping = sim_mapping_find(sim, addr, len);

	return mapping && sim_mapping_traps(mapping) && addr >= (uintptr_t)mapping->addr ? mapping : NULL;
}

bool sim_registers_changed(struct weir_sim *sim, uint64_t addr)
{
	const struct sim_mapping *mapping = sim_mapping_find(sim, addr, 1);

	return mapping && !mapping->device->bars[mapping->bar].ram && mapping->shows != SIM_SHOWS_RAM;
}

static uint64_t offset_in_bar(const struct sim_mapping *mapping, uint64_t addr)
{
	return mapping->offset + (addr - (uintptr_t)mapping->addr);
}

/* What no longer answers reads as ones, and what is written to it is lost. */
static int load(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct sim_mapping *mapping = sim_registers_at(ctx, addr, len);

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
	const struct sim_mapping *mapping = sim_registers_at(ctx, addr, len);

	if (!mapping)
		return sim_copy_out(ctx, addr, buf, len);
	if (!(mapping->prot & PROT_WRITE))
		return -EFAULT;
	sim_bar_write(mapping->device, mapping->bar, offset_in_bar(mapping, addr), buf, len);
	return 0;
}

struct sim_memory sim_registers_memory(struct weir_sim *sim)
{
	return (struct sim_memory){ sim, load, store };
}
