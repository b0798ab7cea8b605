// SPDX-License-Identifier: MIT
/* Only one call fails in a run, so there is one range at most. */
#include "sweep/lost.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"

struct range {
	int fd;        /* -1: there is none */
	uint32_t ioas; /* 0 where there is one only */
	uint64_t first, last;
};

static struct range lost = { .fd = -1 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct range range_of(int fd, uint32_t ioas, uint64_t iova, uint64_t len)
{
	return (struct range){ .fd = fd, .ioas = ioas, .first = iova, .last = iova + (len - 1) };
}

static struct range unmapped_by(int fd, unsigned long request, const void *arg)
{
	const struct abi_vfio_iommu_type1_dma_unmap *type1 = arg;
	const struct abi_iommu_ioas_unmap *ioas = arg;

	if (request == ABI_IOMMU_IOAS_UNMAP)
		return range_of(fd, ioas->ioas_id, ioas->iova, ioas->length);
	if (request == ABI_VFIO_IOMMU_UNMAP_DMA)
		return range_of(fd, 0, type1->iova, type1->size);
	return (struct range){ .fd = -1 };
}

static struct range mapped_by(int fd, unsigned long request, const void *arg)
{
	const struct abi_vfio_iommu_type1_dma_map *type1 = arg;
	const struct abi_iommu_ioas_map *ioas = arg;

	if (request == ABI_IOMMU_IOAS_MAP && (ioas->flags & ABI_IOMMU_IOAS_MAP_FIXED_IOVA))
		return range_of(fd, ioas->ioas_id, ioas->iova, ioas->length);
	if (request == ABI_VFIO_IOMMU_MAP_DMA)
		return range_of(fd, 0, type1->iova, type1->size);
	return (struct range){ .fd = -1 };
}

static bool concerns_lost(const struct range *range)
{
	return range->fd >= 0 && range->fd == lost.fd && range->ioas == lost.ioas;
}

/* With an IOAS goes what was mapped in it; with a container's last group, what was in the container. */
static bool ends_a_space(unsigned long request, const void *arg)
{
	const struct abi_iommu_destroy *destroy = arg;

	return request == ABI_VFIO_GROUP_UNSET_CONTAINER ||
	       (request == ABI_IOMMU_DESTROY && destroy->id == lost.ioas);
}

void lost_begin(int fd, unsigned long request, const void *arg)
{
	pthread_mutex_lock(&lock);
	lost = unmapped_by(fd, request, arg);
	pthread_mutex_unlock(&lock);
}

unsigned int lost_reused(int fd, unsigned long request, const void *arg)
{
	struct range map = mapped_by(fd, request, arg), unmap = unmapped_by(fd, request, arg);
	unsigned int reused;

	pthread_mutex_lock(&lock);
	reused = concerns_lost(&map) && map.first <= lost.last && lost.first <= map.last;
	if (concerns_lost(&unmap) && unmap.first <= lost.first && lost.last <= unmap.last)
		lost.fd = -1;
	if (ends_a_space(request, arg))
		lost.fd = -1;
	pthread_mutex_unlock(&lock);
	return reused;
}

void lost_end(int fd)
{
	pthread_mutex_lock(&lock);
	if (fd < 0 || lost.fd == fd)
		lost.fd = -1;
	pthread_mutex_unlock(&lock);
}
