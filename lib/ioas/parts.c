// SPDX-License-Identifier: MIT
/* The parts of the lower 256 TiB. */
#include "ioas/parts.h"

#include <sys/mman.h>

void *weir_part_memory(size_t len)
{
	void *memory =
		mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* The one who writes reads what he has written himself. */
static struct weir_part *part_at(const struct weir_lookup_view *view, uint64_t i)
{
	return (struct weir_part *)__atomic_load_n(&view->parts[i], __ATOMIC_RELAXED);
}

struct weir_part *weir_part(const struct weir_lookup_view *view, uint64_t address)
{
	return address >> WEIR_PARTS_END_SHIFT ? NULL : part_at(view, address >> WEIR_PART_SHIFT);
}

struct weir_part *weir_part_make(struct weir_lookup_view *view, uint64_t address)
{
	struct weir_part *part = weir_part(view, address);

	if (part)
		return part;
	part = weir_part_memory(sizeof(*part));
	if (part)
		__atomic_store_n(&view->parts[address >> WEIR_PART_SHIFT], part->frames, __ATOMIC_RELEASE);
	return part;
}

void weir_parts_finish(struct weir_lookup_view *view)
{
	for (uint64_t i = 0; i < WEIR_LOOKUP_PARTS; i++)
		if (part_at(view, i))
			munmap(part_at(view, i), sizeof(struct weir_part));
}
