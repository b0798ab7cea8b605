/* SPDX-License-Identifier: MIT */
#include "nvme/dma.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nvme/error.h"

int nvme_dma_alloc(struct weir_device *device, size_t len, struct nvme_dma *ret_dma)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct nvme_dma dma = { .len = (len + page - 1) & ~(page - 1) };
	int r;

	dma.addr = mmap(NULL, dma.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (dma.addr == MAP_FAILED)
		return fail(-ENOMEM, "no memory for %zu bytes of rings", dma.len);
	r = weir_ioas_map(weir_device_ioas(device), dma.addr, dma.len, NULL, &dma.map);
	if (r < 0) {
		munmap(dma.addr, dma.len);
		return fail(r, "memory for rings: %s", weir_error());
	}
	dma.iova = weir_map_iova(dma.map);
	*ret_dma = dma;
	return 0;
}

int nvme_dma_free(struct nvme_dma *dma)
{
	int r;

	if (!dma->addr)
		return 0;
	r = weir_map_close(dma->map);
	if (r < 0)
		fail(r, "memory for rings stays mapped: %s", weir_error());
	else
		munmap(dma->addr, dma->len);
	*dma = (struct nvme_dma){ 0 };
	return r;
}
