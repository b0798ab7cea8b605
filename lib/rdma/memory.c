// SPDX-License-Identifier: MIT
/* Host memory: one memory region for each chunk. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "rdma/rdma.h"

struct region {
	struct ibv_mr *mr;
	uint64_t addr;
	uint64_t len;
};

struct weir_rdma_memory {
	struct weir_rdma *rdma;
	struct weir_memory *memory;
	int access;
	pthread_mutex_t lock;   /* guards what follows */
	struct region *regions; /* by the chunk's number */
	uint32_t num;
};

static int fail_registration(const struct weir_rdma *rdma, const struct weir_memory_chunk *chunk, int error)
{
	if (error == -ENOMEM)
		return weir_fail(error,
				 "ibv_reg_mr() of %" PRIu64
				 " bytes on %s: no memory, or over RLIMIT_MEMLOCK, "
				 "against which RDMA charges these pages once more",
				 chunk->len, rdma->device);
	return weir_fail(error, "ibv_reg_mr() of %" PRIu64 " bytes on %s: %s", chunk->len, rdma->device,
			 strerror(-error));
}

static int register_chunk(struct weir_rdma_memory *m, const struct weir_memory_chunk *chunk)
{
	struct region *more = realloc(m->regions, (m->num + 1) * sizeof(*more));
	struct ibv_mr *mr;

	if (!more)
		return weir_fail(-ENOMEM, "no memory for a memory region");
	m->regions = more;
	errno = 0;
	mr = m->rdma->verbs->reg_mr(m->rdma->pd, chunk->addr, chunk->len, m->access);
	if (!mr)
		return fail_registration(m->rdma, chunk, errno > 0 ? -errno : -EIO);
	m->regions[m->num++] = (struct region){ .mr = mr, .addr = (uintptr_t)chunk->addr, .len = chunk->len };
	return 0;
}

/* All chunks that there are; what is registered stays so when one fails. The lock is held. */
static int register_all(struct weir_rdma_memory *m)
{
	struct weir_memory_chunk chunk;
	int error = 0;

	while (!error && !weir_memory_chunk(m->memory, m->num, &chunk))
		error = register_chunk(m, &chunk);
	return error;
}

int weir_rdma_memory_open(struct weir_rdma *rdma, struct weir_memory *memory, int access,
			  struct weir_rdma_memory **ret_registered)
{
	struct weir_rdma_memory *m;
	struct weir_first first = { 0 };
	int error = weir_rdma_check_access(access);

	if (error)
		return error;
	m = calloc(1, sizeof(*m));
	if (!m)
		return weir_fail(-ENOMEM, "no memory for a registration");
	*m = (struct weir_rdma_memory){ .rdma = rdma, .memory = memory, .access = access };
	pthread_mutex_init(&m->lock, NULL);
	atomic_fetch_add(&rdma->users, 1);
	weir_first_note(&first, register_all(m));
	if (first.error) {
		weir_rdma_memory_close(m);
		return weir_first_error(&first);
	}
	*ret_registered = m;
	return 0;
}

int weir_rdma_memory_close(struct weir_rdma_memory *m)
{
	struct weir_first first = { 0 };

	if (!m)
		return 0;
	while (m->num > 0)
		weir_first_note(&first, weir_rdma_deregister(m->rdma, m->regions[--m->num].mr));
	atomic_fetch_sub(&m->rdma->users, 1);
	pthread_mutex_destroy(&m->lock);
	free(m->regions);
	free(m);
	return weir_first_error(&first);
}

/* A buffer of another memory has another address there. */
static bool lies_in(const struct region *region, const struct weir_buffer *buffer)
{
	return buffer->len <= region->len && buffer->offset <= region->len - buffer->len &&
	       (uintptr_t)buffer->addr == region->addr + buffer->offset;
}

/* The lock is held. */
static int find(struct weir_rdma_memory *m, const struct weir_buffer *buffer, struct region *ret_region)
{
	int error = buffer->chunk < m->num ? 0 : register_all(m);

	if (error)
		return error;
	if (buffer->chunk >= m->num || !lies_in(&m->regions[buffer->chunk], buffer))
		return weir_fail(-ENOENT, "at %p in chunk %u there is no buffer of this memory", buffer->addr,
				 buffer->chunk);
	*ret_region = m->regions[buffer->chunk];
	return 0;
}

int weir_rdma_memory_range(struct weir_rdma_memory *m, const struct weir_buffer *buffer, uint64_t offset,
			   uint64_t len, struct weir_rdma_range *ret_range)
{
	struct region region;
	int error;

	if (offset > buffer->len || len > buffer->len - offset)
		return weir_fail(-ERANGE,
				 "%" PRIu64 " bytes from %" PRIu64 " on of a buffer that has %" PRIu64, len,
				 offset, buffer->len);
	pthread_mutex_lock(&m->lock);
	error = find(m, buffer, &region);
	pthread_mutex_unlock(&m->lock);
	if (error)
		return error;
	*ret_range = (struct weir_rdma_range){ .addr = region.addr + buffer->offset + offset,
					       .len = len,
					       .lkey = region.mr->lkey,
					       .rkey = region.mr->rkey };
	return 0;
}
