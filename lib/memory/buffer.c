// SPDX-License-Identifier: MIT
/*
 * Buffers: whole pages, or parts of a page that is divided into equal ones (a slab), each a power of two and aligned to it, so that
 * none crosses a boundary that it fits into.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "memory/memory.h"

enum { PAGE = 1 << WEIR_SLAB_SHIFT, LARGE_PAGE = 1 << 21 };

/* Keys are as IOVAs are up to here; beyond, an alignment cannot be promised. */
#define GIB ((uint64_t)1 << 30)

static bool is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

static uint64_t power_of_two_from(uint64_t value)
{
	return value < 2 ? 1 : (uint64_t)1 << (64 - __builtin_clzll(value - 1));
}

/* What is wanted, with all that follows from it. */
struct want {
	uint64_t len, align, boundary;
};

static int read_want(uint64_t len, const struct weir_buffer_opts *opts, struct want *want)
{
	struct weir_buffer_opts o;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	if (!len)
		return weir_fail(-EINVAL, "the length is 0");
	if (len > WEIR_MEMORY_MOST)
		return weir_fail(-ENOMEM, "%#" PRIx64 " bytes are more than there can be", len);
	if (o.align && (!is_power_of_two(o.align) || o.align > GIB))
		return weir_fail(-EINVAL, "an alignment of %#" PRIx64 " is no power of two up to 1 GiB",
				 o.align);
	if (o.boundary && !is_power_of_two(o.boundary))
		return weir_fail(-EINVAL, "a boundary of %#" PRIx64 " is no power of two", o.boundary);
	if (o.boundary && (len > o.boundary || len > GIB))
		return weir_fail(-EMSGSIZE,
				 "%#" PRIx64 " bytes cannot be kept from crossing a boundary of %#" PRIx64,
				 len, o.boundary);
	*want = (struct want){ .len = len, .align = o.align ? o.align : 1, .boundary = o.boundary };
	return 0;
}

/* From what there is, or -ENOSPC. */
static int take_keys(struct weir_memory *memory, uint64_t len, uint64_t align,
		     struct weir_segment **ret_segment)
{
	struct weir_iova_wish wish = {
		.len = len, .align = align, .limit = memory->end - 1, .exhaustive = true
	};
	int error = memory->num_chunks ? weir_iova_take(&memory->keys, &wish, ret_segment) : -ENOSPC;

	return error == -ENOMEM ? weir_fail(error, "no memory for a buffer") : error;
}

/* Pages: a run taken from the keys, which grow if there is none. */
static int take_run(struct weir_memory *memory, uint64_t wanted, uint64_t align, struct weir_run **ret_run)
{
	uint64_t len = (wanted + PAGE - 1) & ~(uint64_t)(PAGE - 1), slack;
	struct weir_segment *segment;
	int error;

	align = align > PAGE ? align : PAGE;
	error = take_keys(memory, len, align, &segment);
	/*
	 * A chunk's IOVA is a multiple of 2 MiB, and of 1 GiB if it is that long, where such a place is free. If this one's is not,
	 * there is another, with room for an aligned one anywhere.
	 */
	slack = align <= LARGE_PAGE || len >= GIB ? 0 : align - PAGE;
	for (; error == -ENOSPC; slack = align - PAGE) {
		error = weir_memory_grow(memory, len + slack);
		if (error)
			return error;
		error = take_keys(memory, len, align, &segment);
	}
	if (error)
		return error;
	*ret_run = (struct weir_run *)segment;
	(*ret_run)->shift = 0;
	(*ret_run)->pages = len / PAGE;
	weir_index_note(&memory->runs, segment);
	memory->used += len;
	return 0;
}

static void give_run(struct weir_memory *memory, struct weir_run *run)
{
	memory->used -= run->segment.last - run->segment.node.key + 1;
	weir_index_forget(&memory->runs, &run->segment);
	weir_iova_give(&memory->keys, &run->segment);
}

static void list_slab(struct weir_memory *memory, struct weir_run *slab)
{
	struct weir_run **first = &memory->slabs[slab->shift - WEIR_LEAST_SHIFT];

	slab->next = *first;
	slab->link = first;
	if (slab->next)
		slab->next->link = &slab->next;
	*first = slab;
}

static void unlist_slab(struct weir_run *slab)
{
	*slab->link = slab->next;
	if (slab->next)
		slab->next->link = slab->link;
}

/* Every part of a slab in use. */
static uint64_t full(uint32_t shift)
{
	unsigned int parts = 1u << (WEIR_SLAB_SHIFT - shift);

	return parts == 64 ? UINT64_MAX : ((uint64_t)1 << parts) - 1;
}

static int take_part(struct weir_memory *memory, uint32_t shift, uint64_t *ret_key)
{
	struct weir_run *slab = memory->slabs[shift - WEIR_LEAST_SHIFT];
	unsigned int part;

	if (!slab) {
		int error = take_run(memory, PAGE, PAGE, &slab);

		if (error)
			return error;
		slab->shift = shift;
		slab->used = 0;
		list_slab(memory, slab);
	}
	part = (unsigned int)__builtin_ctzll(~slab->used);
	slab->used |= (uint64_t)1 << part;
	if (slab->used == full(shift))
		unlist_slab(slab);
	*ret_key = slab->segment.node.key + ((uint64_t)part << shift);
	return 0;
}

static int take_key(struct weir_memory *memory, const struct want *want, uint64_t *ret_key)
{
	uint64_t whole = power_of_two_from(want->len > want->align ? want->len : want->align);
	struct weir_run *run;
	int error;

	if (whole < (uint64_t)1 << WEIR_LEAST_SHIFT)
		whole = (uint64_t)1 << WEIR_LEAST_SHIFT;
	if (whole < PAGE)
		return take_part(memory, (uint32_t)__builtin_ctzll(whole), ret_key);
	error = take_run(memory, want->len, want->boundary ? whole : want->align, &run);
	if (!error)
		*ret_key = run->segment.node.key;
	return error;
}

/* The buffer of @len bytes that begins with a key that was taken. */
static void fill_in(struct weir_memory *memory, uint64_t key, uint64_t len, struct weir_buffer *ret_buffer)
{
	const struct weir_chunk *chunk = weir_chunk_at(memory, key);

	memory->num_buffers++;
	*ret_buffer = (struct weir_buffer){ .addr = (char *)chunk->backing.addr + (key - chunk->key),
					    .iova = weir_map_start(chunk->maps[0]) + (key - chunk->key),
					    .len = len,
					    .offset = key - chunk->key,
					    .key = key,
					    .chunk = (uint32_t)(chunk - memory->chunks) };
}

int weir_memory_alloc(struct weir_memory *memory, uint64_t len, const struct weir_buffer_opts *opts,
		      struct weir_buffer *ret_buffer)
{
	struct want want;
	uint64_t key = 0;
	int error = read_want(len, opts, &want);

	if (error)
		return error;
	pthread_mutex_lock(&memory->lock);
	error = weir_memory_check(memory);
	if (!error)
		error = take_key(memory, &want, &key);
	if (!error)
		fill_in(memory, key, len, ret_buffer);
	pthread_mutex_unlock(&memory->lock);
	return error;
}

static int free_part(struct weir_memory *memory, struct weir_run *slab, uint64_t key)
{
	uint64_t offset = key - slab->segment.node.key, bit = (uint64_t)1 << (offset >> slab->shift);

	if ((offset & (((uint64_t)1 << slab->shift) - 1)) || !(slab->used & bit))
		return -EINVAL;
	if (slab->used == full(slab->shift))
		list_slab(memory, slab);
	slab->used &= ~bit;
	if (!slab->used) {
		unlist_slab(slab);
		give_run(memory, slab);
	}
	return 0;
}

/* The run that begins with this page, or NULL. */
static struct weir_run *run_at(struct weir_memory *memory, uint64_t page)
{
	struct weir_segment *segment = weir_index_find(&memory->runs, page);

	/* Either there is none, or there was no memory for the index. */
	if (!segment)
		segment = weir_iova_find(&memory->keys, page);
	if (segment->hole || segment->node.key != page || !((struct weir_run *)segment)->pages)
		return NULL;
	return (struct weir_run *)segment;
}

/* Pages that are free become a run. */
static int claim_run(struct weir_memory *memory, uint64_t key, uint64_t len, struct weir_run **ret_run)
{
	struct weir_segment *segment;
	int error = weir_iova_take_fixed(&memory->keys, key, key + (len - 1), &segment);

	if (error == -EEXIST)
		return weir_fail(-EBUSY, "part of it is a buffer");
	if (error)
		return weir_fail(error, "no memory for a buffer");
	*ret_run = (struct weir_run *)segment;
	(*ret_run)->shift = 0;
	(*ret_run)->pages = len / PAGE;
	weir_index_note(&memory->runs, segment);
	memory->used += len;
	return 0;
}

/* Parts may have been larger than what was asked for at their places: what lies closer together tells. */
static int coarsen(struct weir_run *slab, uint32_t shift)
{
	uint64_t used = 0;

	for (uint64_t left = slab->used; left; left &= left - 1) {
		uint64_t offset = (uint64_t)__builtin_ctzll(left) << slab->shift;

		if (offset & (((uint64_t)1 << shift) - 1))
			return weir_fail(-EBUSY, "a buffer lies closer than a page's equal parts allow");
		used |= (uint64_t)1 << (offset >> shift);
	}
	slab->shift = shift;
	slab->used = used;
	return 0;
}

static int claim_part(struct weir_memory *memory, uint64_t key, uint32_t shift)
{
	uint64_t page = key & ~(uint64_t)(PAGE - 1), bit;
	struct weir_run *slab = run_at(memory, page);
	bool listed = slab && slab->shift && slab->used != full(slab->shift);
	int error = 0;

	if (slab && !slab->shift)
		return weir_fail(-EBUSY, "it is within a buffer");
	if (slab && shift < slab->shift)
		shift = slab->shift;
	if (key & (((uint64_t)1 << shift) - 1))
		return weir_fail(-EINVAL, "no buffer of that length begins there");
	if (!slab) {
		error = claim_run(memory, page, PAGE, &slab);
		if (error)
			return error;
		slab->used = 0;
		slab->shift = shift;
	} else {
		if (slab->used & (uint64_t)1 << ((key - page) >> slab->shift))
			return weir_fail(-EBUSY, "it is a buffer already");
		if (listed)
			unlist_slab(slab);
		if (shift > slab->shift)
			error = coarsen(slab, shift);
	}
	bit = (uint64_t)1 << ((key - page) >> slab->shift);
	if (!error)
		slab->used |= bit;
	if (slab->used != full(slab->shift))
		list_slab(memory, slab);
	return error;
}

static int claim_key(struct weir_memory *memory, uint32_t number, uint64_t offset, uint64_t len,
		     uint64_t *ret_key)
{
	const struct weir_chunk *chunk;
	uint64_t whole;
	struct weir_run *run;

	if (number >= memory->num_chunks)
		return weir_fail(-EINVAL, "there is no chunk %u", number);
	chunk = &memory->chunks[number];
	if (!len || offset > chunk->len || len > chunk->len - offset)
		return weir_fail(-EINVAL,
				 "%#" PRIx64 " bytes from %#" PRIx64
				 " on are not within the chunk's %#" PRIx64,
				 len, offset, chunk->len);
	*ret_key = chunk->key + offset;
	whole = power_of_two_from(len < (uint64_t)1 << WEIR_LEAST_SHIFT ? (uint64_t)1 << WEIR_LEAST_SHIFT
									: len);
	if (whole < PAGE)
		return claim_part(memory, *ret_key, (uint32_t)__builtin_ctzll(whole));
	if (*ret_key & (PAGE - 1))
		return weir_fail(-EINVAL, "no buffer of that length begins there");
	return claim_run(memory, *ret_key, (len + PAGE - 1) & ~(uint64_t)(PAGE - 1), &run);
}

int weir_memory_claim(struct weir_memory *memory, uint32_t chunk, uint64_t offset, uint64_t len,
		      struct weir_buffer *ret_buffer)
{
	uint64_t key = 0;
	int error;

	pthread_mutex_lock(&memory->lock);
	error = weir_memory_check(memory);
	if (!error)
		error = claim_key(memory, chunk, offset, len, &key);
	if (!error)
		fill_in(memory, key, len, ret_buffer);
	pthread_mutex_unlock(&memory->lock);
	return error ? weir_fail_within(error, "%#" PRIx64 " bytes at %#" PRIx64 " of chunk %u", len, offset,
					chunk)
		     : 0;
}

int weir_memory_claim_at(struct weir_memory *memory, uint64_t iova, uint64_t len,
			 struct weir_buffer *ret_buffer)
{
	uint32_t number = 0;
	uint64_t offset = 0;

	pthread_mutex_lock(&memory->lock);
	for (; number < memory->num_chunks; number++) {
		const struct weir_chunk *chunk = &memory->chunks[number];

		offset = iova - weir_map_start(chunk->maps[0]);
		if (offset < chunk->len)
			break;
	}
	pthread_mutex_unlock(&memory->lock);
	return weir_memory_claim(memory, number, offset, len, ret_buffer);
}

int weir_memory_free(struct weir_memory *memory, const struct weir_buffer *buffer)
{
	struct weir_run *run;
	int error = 0;

	pthread_mutex_lock(&memory->lock);
	run = run_at(memory, buffer->key & ~(uint64_t)(PAGE - 1));
	if (!run || (!run->shift && buffer->key != run->segment.node.key))
		error = -EINVAL;
	else if (run->shift)
		error = free_part(memory, run, buffer->key);
	else
		give_run(memory, run);
	if (!error)
		memory->num_buffers--;
	pthread_mutex_unlock(&memory->lock);
	return error ? weir_fail(error, "IOVA %#" PRIx64 " is no buffer of this memory, or was freed already",
				 buffer->iova)
		     : 0;
}
