// SPDX-License-Identifier: MIT
/* What the library has mapped with iommufd and the container, and what of that was lost. */
#include "sweep/lost.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"
#include "shim/run.h"

struct mapping {
	int fd;
	uint32_t ioas; /* 0 where there is one only */
	uint64_t first, last;
	uint64_t addr;
	bool lost;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mapping *mappings;
static size_t num_mappings, room;

enum { MAX_LOST = 64 };
static struct lost lost[MAX_LOST];
static unsigned int num_lost;

static struct mapping range_of(int fd, uint32_t ioas, uint64_t iova, uint64_t len, uint64_t addr)
{
	return (struct mapping){
		.fd = fd, .ioas = ioas, .first = iova, .last = iova + (len - 1), .addr = addr
	};
}

static struct mapping unmapped_by(int fd, unsigned long request, const void *arg)
{
	const struct abi_vfio_iommu_type1_dma_unmap *type1 = arg;
	const struct abi_iommu_ioas_unmap *ioas = arg;

	if (request == ABI_IOMMU_IOAS_UNMAP)
		return range_of(fd, ioas->ioas_id, ioas->iova, ioas->length, 0);
	if (request == ABI_VFIO_IOMMU_UNMAP_DMA)
		return range_of(fd, 0, type1->iova, type1->size, 0);
	return (struct mapping){ .fd = -1 };
}

static struct mapping mapped_by(int fd, unsigned long request, const void *arg)
{
	const struct abi_vfio_iommu_type1_dma_map *type1 = arg;
	const struct abi_iommu_ioas_map *ioas = arg;

	if (request == ABI_IOMMU_IOAS_MAP)
		return range_of(fd, ioas->ioas_id, ioas->iova, ioas->length, ioas->user_va);
	/* A device's hot reset has the same number, another size, and no flags. */
	if (request == ABI_VFIO_IOMMU_MAP_DMA && type1->argsz >= sizeof(*type1) && type1->flags)
		return range_of(fd, 0, type1->iova, type1->size, type1->vaddr);
	return (struct mapping){ .fd = -1 };
}

static void forget(size_t at)
{
	mappings[at] = mappings[--num_mappings];
}

static bool overlap(const struct mapping *a, const struct mapping *b)
{
	return a->fd == b->fd && a->ioas == b->ioas && a->first <= b->last && b->first <= a->last;
}

void lost_clear(void)
{
	pthread_mutex_lock(&lock);
	num_mappings = 0;
	num_lost = 0;
	pthread_mutex_unlock(&lock);
}

void lost_begin(int fd, unsigned long request, const void *arg)
{
	struct mapping range = unmapped_by(fd, request, arg);

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < num_mappings; i++) {
		struct mapping *mapping = &mappings[i];

		if (!overlap(mapping, &range))
			continue;
		mapping->lost = true;
		if (num_lost == MAX_LOST)
			continue;
		lost[num_lost++] = (struct lost){ .iova = mapping->first,
						  .addr = mapping->addr,
						  .len = mapping->last - mapping->first + 1 };
	}
	pthread_mutex_unlock(&lock);
}

bool lost_reused(int fd, unsigned long request, const void *arg)
{
	struct mapping range = mapped_by(fd, request, arg);
	bool reused = false;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < num_mappings && num_lost; i++)
		reused |= mappings[i].lost && overlap(&mappings[i], &range);
	pthread_mutex_unlock(&lock);
	return reused;
}

/* With an IOAS goes what was mapped in it; with a container's last group, what was in the container. */
static bool ended_by(const struct mapping *mapping, int fd, unsigned long request, const void *arg)
{
	const struct abi_iommu_destroy *destroy = arg;

	return (request == ABI_VFIO_GROUP_UNSET_CONTAINER && !mapping->ioas) ||
	       (request == ABI_IOMMU_DESTROY && fd == mapping->fd && destroy->id == mapping->ioas);
}

void lost_passed(int fd, unsigned long request, const void *arg)
{
	struct mapping unmap = unmapped_by(fd, request, arg), map = mapped_by(fd, request, arg);

	/* In the answer to an unmap of everything, the length is what there was of it. */
	if (request == ABI_IOMMU_IOAS_UNMAP && !unmap.first)
		unmap.last = UINT64_MAX;
	pthread_mutex_lock(&lock);
	for (size_t i = num_mappings; i-- > 0;)
		if (overlap(&mappings[i], &unmap) || ended_by(&mappings[i], fd, request, arg))
			forget(i);
	if (map.fd >= 0) {
		mappings = t_grow(mappings, num_mappings, &room, sizeof(*mappings));
		mappings[num_mappings++] = map;
	}
	pthread_mutex_unlock(&lock);
}

void lost_closed(int fd)
{
	pthread_mutex_lock(&lock);
	for (size_t i = num_mappings; i-- > 0;)
		if (mappings[i].fd == fd)
			forget(i);
	pthread_mutex_unlock(&lock);
}

bool lost_nth(unsigned int n, struct lost *ret_lost)
{
	if (n >= num_lost)
		return false;
	*ret_lost = lost[n];
	return true;
}
