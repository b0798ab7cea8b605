// SPDX-License-Identifier: MIT
/* Buffers that nobody has: a stack. */
#include "igb/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BUFFERS (1u << 20)
#define LEN_UNIT    1024u /* of SRRCTL.BSIZEPACKET */
#define MAX_LEN     16384u

/* What is multiplied by an odd number comes back by its inverse modulo 2^64: each step doubles the bits that are right. */
static uint64_t inverse_of(uint64_t odd)
{
	uint64_t inverse = odd; /* three bits */
	unsigned int i;

	for (i = 0; i < 5; i++)
		inverse *= 2 - odd * inverse;
	return inverse;
}

/* An odd number of cache lines apart: neighbours do not fall into the same set of a cache. */
static uint32_t stride_for(uint32_t len)
{
	return len + IGB_POOL_LINE;
}

static int check(uint32_t num, uint32_t len)
{
	if (num == 0 || num > MAX_BUFFERS)
		return fail(-EINVAL, "a pool of %u buffers: from 1 to %u", num, MAX_BUFFERS);
	if (len == 0 || len > MAX_LEN || len % LEN_UNIT != 0)
		return fail(-EINVAL, "buffers of %u bytes: multiples of %u up to %u", len, LEN_UNIT, MAX_LEN);
	return 0;
}

static int make(uint64_t iova, void *addr, uint32_t num, uint32_t len, struct igb_pool **ret_pool)
{
	struct igb_pool *pool = calloc(1, sizeof *pool);
	uint32_t i;

	if (pool)
		pool->free = calloc(num, sizeof *pool->free);
	if (!pool || !pool->free) {
		free(pool);
		return fail(-ENOMEM, "no memory for a pool of %u buffers", num);
	}
	pool->place = (struct igb_pool_place){
		.iova = iova,
		.delta = addr ? (uintptr_t)addr - (uintptr_t)iova : 0,
		.len = len,
		.stride = stride_for(len),
	};
	pool->place.room = (uint64_t)num * pool->place.stride;
	pool->inverse = inverse_of(pool->place.stride / IGB_POOL_LINE);
	pool->num = num;
	pool->num_free = num;
	for (i = 0; i < num; i++)
		pool->free[i] = iova + (uint64_t)i * pool->place.stride;
	*ret_pool = pool;
	return 0;
}

int igb_pool_open(struct weir_memory *memory, uint32_t num, uint32_t len, struct igb_pool **ret_pool)
{
	struct weir_buffer buffer;
	int r = check(num, len);

	if (r < 0)
		return r;
	r = weir_memory_alloc(memory, (uint64_t)num * stride_for(len), NULL, &buffer);
	if (r < 0)
		return fail(r, "buffers: %s", weir_error());
	r = make(buffer.iova, buffer.addr, num, len, ret_pool);
	if (r < 0) {
		weir_memory_free(memory, &buffer);
		return r;
	}
	(*ret_pool)->memory = memory;
	(*ret_pool)->buffer = buffer;
	return 0;
}

int igb_pool_open_at(uint64_t iova, void *addr, uint64_t room, uint32_t num, uint32_t len,
		     struct igb_pool **ret_pool)
{
	int r = check(num, len);

	if (r < 0)
		return r;
	if (iova % IGB_POOL_LINE != 0 || room > UINT64_MAX - iova)
		return fail(-EINVAL, "buffers at IOVA 0x%" PRIx64 ": no multiple of %u, or it wraps", iova,
			    IGB_POOL_LINE);
	if ((uint64_t)num * stride_for(len) > room)
		return fail(-EMSGSIZE, "%u buffers need %" PRIu64 " bytes; there are %" PRIu64, num,
			    (uint64_t)num * stride_for(len), room);
	return make(iova, addr, num, len, ret_pool);
}

int igb_pool_close(struct igb_pool *pool)
{
	if (!pool)
		return 0;
	if (pool->users != 0)
		return fail(-EBUSY, "%u queues use the pool: close them first", pool->users);
	if (pool->memory)
		weir_memory_free(pool->memory, &pool->buffer);
	free(pool->free);
	free(pool);
	return 0;
}

uint32_t igb_pool_take(struct igb_pool *pool, uint64_t *ret_iovas, uint32_t num)
{
	if (num > pool->num_free)
		num = pool->num_free;
	memcpy(ret_iovas, igb_pool_top(pool), num * sizeof *ret_iovas);
	pool->num_free -= num;
	return num;
}

int igb_pool_give(struct igb_pool *pool, const uint64_t *iovas, uint32_t num)
{
	uint32_t i;

	if (unlikely(num > pool->num - pool->num_free))
		return fail(-EINVAL, "%u buffers given to a pool that has lent %u: one was given twice", num,
			    pool->num - pool->num_free);
	for (i = 0; i < num; i++)
		if (unlikely(!igb_pool_has(pool, iovas[i])))
			return fail(-EINVAL, "IOVA 0x%" PRIx64 " is no buffer of this pool", iovas[i]);
	pool->num_free += num;
	memcpy(igb_pool_top(pool), iovas, num * sizeof *iovas);
	return 0;
}

uint32_t igb_pool_free(const struct igb_pool *pool)
{
	return pool->num_free;
}
