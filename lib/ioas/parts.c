// SPDX-License-Identifier: MIT
/* The parts of the lower 256 TiB. */
#include "ioas/parts.h"

#include <sys/mman.h>

void *weir_part_memory(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

struct weir_lookup_part *weir_part(const struct weir_lookup_view *view, uint64_t address)
{
	return (struct weir_lookup_part *)weir_lookup_part(view, address);
}

struct weir_lookup_part *weir_part_make(struct weir_lookup_view *view, uint64_t address)
{
	struct weir_lookup_part *part = weir_part(view, address);

	if (part)
		return part;
	part = weir_part_memory(sizeof(*part));
	__atomic_store_n(&view->parts[address >> WEIR_PART_SHIFT], part, __ATOMIC_RELEASE);
	return part;
}

void weir_parts_finish(struct weir_lookup_view *view)
{
	for (int i = 0; i < WEIR_PARTS; i++)
		if (view->parts[i])
			munmap((void *)view->parts[i], sizeof(*view->parts[i]));
}
