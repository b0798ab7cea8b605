/* SPDX-License-Identifier: MIT */
#include "nvme/memory.h"

#include <string.h>

#include "nvme/error.h"
#include "nvme/spec.h"

#define CHUNK (64u << 10) /* a controller and a shallow queue; a deeper one makes it grow */

int nvme_memory_open(struct nvme_memory *memory, struct weir_device *device, struct weir_memory *callers)
{
	struct nvme_memory m = { .weir = callers, .ioas = weir_device_ioas(device), .own = !callers };
	int r = 0;

	if (m.own)
		r = weir_memory_open(
			m.ioas, &WEIR_OPTS(weir_memory_opts, .page_size = NVME_PAGE_SIZE, .chunk = CHUNK),
			&m.weir);
	if (r < 0)
		return fail(r, "memory for rings: %s", weir_error());
	*memory = m;
	return 0;
}

int nvme_memory_close(struct nvme_memory *memory)
{
	int r = memory->own ? weir_memory_close(memory->weir) : 0;

	memory->weir = NULL;
	return r < 0 ? fail(r, "memory for rings stays mapped: %s", weir_error()) : 0;
}

int nvme_memory_alloc(struct nvme_memory *memory, size_t len, struct weir_buffer *ret_buffer)
{
	struct weir_buffer buffer;
	int r = weir_memory_alloc(memory->weir, len, NULL, &buffer);

	if (r < 0)
		return fail(r, "memory for rings: %s", weir_error());
	r = weir_memory_iova_in(memory->weir, memory->ioas, &buffer, &buffer.iova);
	if (r < 0) {
		fail(r, "memory for rings: %s", weir_error());
		weir_memory_free(memory->weir, &buffer);
		return r;
	}
	memset(buffer.addr, 0, len);
	*ret_buffer = buffer;
	return 0;
}

void nvme_memory_free(struct nvme_memory *memory, struct weir_buffer *buffer)
{
	if (buffer->addr && !memory->reachable)
		weir_memory_free(memory->weir, buffer);
	buffer->addr = NULL;
}
