// SPDX-License-Identifier: MIT
/* Vectors are moved in pieces as wide as registers of devices get. */
#include "sim/preload/decode.h"

enum { WIDEST = 8 };

int sim_memory_load(const struct sim_memory *memory, uint64_t addr, void *buf, size_t len)
{
	unsigned char *to = buf;
	int error = 0;

	for (size_t at = 0; at < len && !error; at += WIDEST)
		error = memory->load(memory->ctx, addr + at, to + at, len - at < WIDEST ? len - at : WIDEST);
	return error;
}

int sim_memory_store(const struct sim_memory *memory, uint64_t addr, const void *buf, size_t len)
{
	const unsigned char *from = buf;
	int error = 0;

	for (size_t at = 0; at < len && !error; at += WIDEST)
		error = memory->store(memory->ctx, addr + at, from + at,
				      len - at < WIDEST ? len - at : WIDEST);
	return error;
}
