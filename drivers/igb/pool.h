/* SPDX-License-Identifier: MIT */
/* What queues do with pools. Internal. */
#ifndef IGB_POOL_H
#define IGB_POOL_H

#include "igb/queue.h"

/*
 * Is that the IOVA of one of its buffers? They are an odd number of lines apart: multiplied with the inverse of that number, and without the bits
 * of a line, the distance from the first is the buffer's index; of any other IOVA, it comes out larger than every index.
 */
static inline bool igb_pool_has(const struct igb_pool *pool, uint64_t iova)
{
	uint64_t product = (iova - pool->place.iova) * pool->inverse;

	return (product >> 6 | product << 58) < pool->num;
}

/* The next to be taken; the others follow. */
static inline uint64_t *igb_pool_top(const struct igb_pool *pool)
{
	return pool->free + (pool->num - pool->num_free);
}

#endif
