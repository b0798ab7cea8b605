// SPDX-License-Identifier: MIT
/*
 * RAM BARs in the program's address space. What is mapped is the memory behind the BAR; while it does not
 * answer, its place is taken by an empty file, so that touching it raises SIGBUS as in the kernel
 * (kernel-interface B.5), and by all ones for good when the device has gone. Registers can be mapped only
 * for the preloaded library, which executes the loads and stores itself.
 */
#include "sim/device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { INDEX_SHIFT = 40 };

static enum sim_shows what_shows(const struct weir_sim_device *device)
{
	if (device->gone)
		return SIM_SHOWS_ONES;
	return sim_device_memory_enabled(device) && !device->low_power ? SIM_SHOWS_RAM : SIM_SHOWS_NOTHING;
}

static bool show_ones(const struct sim_mapping *mapping)
{
	void *at = mmap(mapping->addr, mapping->len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (at == MAP_FAILED)
		return false;
	memset(at, 0xff, mapping->len);
	return mprotect(at, mapping->len, mapping->prot) == 0;
}

static bool show_file(const struct sim_mapping *mapping, int fd, uint64_t offset)
{
	return mmap(mapping->addr, mapping->len, mapping->prot, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) !=
	       MAP_FAILED;
}

static bool show_nothing(const struct sim_mapping *mapping)
{
	int fd = memfd_create("weir-sim-off", MFD_CLOEXEC);
	bool shown = fd >= 0 && show_file(mapping, fd, 0);

	if (fd >= 0)
		close(fd);
	return shown;
}

/* Registers: every access faults, and whoever has set sim->traps serves the fault. */
static void *map_bar(const struct sim_mapping *mapping, int flags)
{
	const struct sim_bar *bar = &mapping->device->bars[mapping->bar];

	if (bar->ram)
		return mmap(mapping->addr, mapping->len, mapping->prot, flags, bar->ram_fd,
			    (off_t)mapping->offset);
	flags = (flags & ~MAP_TYPE) | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	return mmap(mapping->addr, mapping->len, PROT_NONE, flags, -1, 0);
}

static bool show_bar(const struct sim_mapping *mapping)
{
	return map_bar(mapping, MAP_SHARED | MAP_FIXED) != MAP_FAILED;
}

bool sim_mapping_traps(const struct sim_mapping *mapping)
{
	return !mapping->device->bars[mapping->bar].ram && mapping->shows == SIM_SHOWS_RAM;
}

bool sim_bar_can_map(const struct weir_sim_device *device, unsigned int bar)
{
	const struct weir_sim_bar *spec = &device->bars[bar].spec;

	return device->bars[bar].ram || (device->sim->traps && spec->len && !(spec->flags & WEIR_SIM_BAR_IO));
}

/* Where there is no memory for it, the mapping stays as it is until the next time. */
static void show(struct sim_mapping *mapping, enum sim_shows what)
{
	bool shown;

	if (mapping->shows == what)
		return;
	if (what == SIM_SHOWS_ONES)
		shown = show_ones(mapping);
	else if (what == SIM_SHOWS_NOTHING)
		shown = show_nothing(mapping);
	else
		shown = show_bar(mapping);
	if (shown)
		mapping->shows = what;
}

void sim_mapping_update(struct weir_sim_device *device)
{
	enum sim_shows what = what_shows(device);

	for (struct sim_mapping *mapping = device->sim->mappings; mapping; mapping = mapping->next)
		if (mapping->device == device)
			show(mapping, what);
}

struct sim_mapping *sim_mapping_find(struct weir_sim *sim, uint64_t addr, uint64_t len)
{
	struct sim_mapping *first = NULL;

	for (struct sim_mapping *mapping = sim->mappings; mapping; mapping = mapping->next) {
		uint64_t start = (uintptr_t)mapping->addr;

		if (start < addr + len && addr < start + mapping->len &&
		    (!first || mapping->addr < first->addr))
			first = mapping;
	}
	return first;
}

static struct sim_mapping *add_mapping(struct weir_sim *sim, const struct sim_mapping *like)
{
	struct sim_mapping *mapping = malloc(sizeof(*mapping));

	if (!mapping)
		return NULL;
	*mapping = *like;
	mapping->next = sim->mappings;
	sim->mappings = mapping;
	sim_file_hold(mapping->file);
	return mapping;
}

static void drop_mapping(struct weir_sim *sim, struct sim_mapping *mapping)
{
	struct sim_mapping **link = &sim->mappings;

	while (*link != mapping)
		link = &(*link)->next;
	*link = mapping->next;
	sim_file_drop(mapping->file);
	free(mapping);
}

/* Cut [start, end) out of a mapping that it meets. */
static void cut(struct weir_sim *sim, struct sim_mapping *mapping, unsigned char *start, unsigned char *end)
{
	unsigned char *last = mapping->addr + mapping->len;

	if (end < last) {
		struct sim_mapping rest = *mapping;

		rest.offset += (uint64_t)(end - mapping->addr);
		rest.addr = end;
		rest.len = (size_t)(last - end);
		/*
		 * Without memory for the record, what is left there stays mapped but is no longer looked
		 * after.
		 */
		add_mapping(sim, &rest);
	}
	if (start > mapping->addr)
		mapping->len = (size_t)(start - mapping->addr);
	else
		drop_mapping(sim, mapping);
}

void sim_mapping_gone(struct weir_sim *sim, void *addr, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *start = addr, *end = start + ((len + page - 1) & ~(page - 1));
	struct sim_mapping *mapping;

	/* What munmap refuses leaves everything as it is. */
	if ((uintptr_t)addr % page || !len || end < start)
		return;
	while ((mapping = sim_mapping_find(sim, (uintptr_t)start, (uint64_t)(end - start))))
		cut(sim, mapping, start, end);
}

/* The errors of vfio-pci, in its order; MAP_SHARED only. */
static int check(const struct weir_sim_device *device, size_t len, int flags, uint64_t offset)
{
	uint64_t bar = offset >> INDEX_SHIFT, start = offset & ((UINT64_C(1) << INDEX_SHIFT) - 1);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size;

	if (!len || offset % page || bar >= ABI_VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	if ((flags & MAP_TYPE) != MAP_SHARED && (flags & MAP_TYPE) != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (bar >= ABI_VFIO_PCI_ROM_REGION_INDEX || !sim_bar_can_map(device, (unsigned int)bar))
		return -EINVAL;
	size = (device->bars[bar].spec.len + page - 1) & ~(page - 1);
	len = (len + page - 1) & ~(page - 1);
	return start > size || len > size - start ? -EINVAL : 0;
}

int sim_vfio_mmap(struct sim_file *file, struct weir_sim_device *device, void *addr, size_t len, int prot,
		  int flags, uint64_t offset, void **ret_addr)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct sim_mapping mapping = { .file = file, .device = device, .prot = prot, .shows = SIM_SHOWS_RAM };
	struct sim_mapping *added;
	int error = check(device, len, flags, offset);
	void *at;

	if (error)
		return error;
	mapping.bar = (unsigned int)(offset >> INDEX_SHIFT);
	mapping.offset = offset & ((UINT64_C(1) << INDEX_SHIFT) - 1);
	mapping.len = (len + page - 1) & ~(page - 1);
	mapping.addr = addr;
	at = map_bar(&mapping, flags);
	if (at == MAP_FAILED)
		return -errno;
	if (flags & MAP_FIXED) /* what was there before has been replaced */
		sim_mapping_gone(device->sim, at, mapping.len);
	mapping.addr = at;
	added = add_mapping(device->sim, &mapping);
	if (!added) {
		munmap(at, mapping.len);
		return -ENOMEM;
	}
	show(added, what_shows(device));
	*ret_addr = at;
	return 0;
}
