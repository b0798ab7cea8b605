// SPDX-License-Identifier: MIT
/* mmap() and munmap(). BARs are mapped by the machine, which keeps a list of where. */
#include <sys/mman.h>

#include "sim/device/device.h"
#include "sim/preload/preload.h"

static bool answered(void *addr, size_t len, int prot, int flags, int fd, off_t offset, void **ret_addr)
{
	struct preload_call call;
	struct weir_sim *sim = flags & MAP_ANONYMOUS ? NULL : preload_enter_fd(&call, fd);
	int error;

	if (!sim)
		return false;
	*ret_addr = MAP_FAILED;
	error = sim->table.mmap(sim, addr, len, prot, flags, fd, (uint64_t)offset, ret_addr);
	preload_leave(&call);
	preload_result(error);
	return true;
}

/* Where a BAR was mapped, the program has mapped something else. */
static void *replaced(void *addr, size_t len, int flags)
{
	struct preload_call call;
	struct weir_sim *sim = addr != MAP_FAILED && flags & MAP_FIXED ? preload_enter_any(&call) : NULL;

	if (!sim)
		return addr;
	if (!sim_lock(sim)) {
		sim_mapping_gone(sim, addr, len);
		sim_unlock(sim);
	}
	preload_leave(&call);
	return addr;
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *at;

	if (answered(addr, len, prot, flags, fd, offset, &at))
		return at;
	return replaced(NEXT(mmap)(addr, len, prot, flags, fd, offset), len, flags);
}

EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	void *at;

	if (answered(addr, len, prot, flags, fd, offset, &at))
		return at;
	return replaced(NEXT(mmap64)(addr, len, prot, flags, fd, offset), len, flags);
}

static bool has_mapping(struct weir_sim *sim, const void *addr, size_t len)
{
	bool found;

	if (sim_lock(sim))
		return false;
	found = sim_mapping_find(sim, (uintptr_t)addr, len);
	sim_unlock(sim);
	return found;
}

EXPORT int munmap(void *addr, size_t len)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_any(&call);
	int result;

	if (!sim)
		return NEXT(munmap)(addr, len);
	result = has_mapping(sim, addr, len) ? sim->table.munmap(sim, addr, len)
		 : NEXT(munmap)(addr, len)   ? -errno
					     : 0;
	preload_leave(&call);
	return (int)preload_result(result);
}
