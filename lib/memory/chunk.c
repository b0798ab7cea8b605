// SPDX-License-Identifier: MIT
/* Chunks: memfds of the pages that can be had, brought in, sealed, and mapped. */
#include "memory/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "error.h"
#include "kernel/memfd.h"
#include "memory/fill.h"

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

enum { SMALL_PAGE = 4096 };

static unsigned int log2_of(uint64_t size)
{
	return 63 - (unsigned int)__builtin_clzll(size);
}

static int make_file(const struct weir_sys *sys, uint64_t len, uint64_t page_size)
{
	unsigned int flags = page_size > SMALL_PAGE ? MFD_HUGETLB | log2_of(page_size) << MFD_HUGE_SHIFT : 0;

	return weir_memfd_sealed(sys, "weir-memory", flags, len);
}

static int bind_to_node(const struct weir_memory *memory, const struct weir_backing *backing, uint64_t len)
{
	struct bitmask *nodes;
	int error;

	if (!(memory->opts.flags & WEIR_MEMORY_NODE))
		return 0;
	nodes = numa_allocate_nodemask();
	if (!nodes)
		return -ENOMEM;
	numa_bitmask_setbit(nodes, memory->opts.node);
	error = mbind(backing->addr, len, MPOL_BIND, nodes->maskp, nodes->size + 1, 0) ? -errno : 0;
	numa_bitmask_free(nodes);
	return error;
}

/* A file of these pages, mapped and filled. Nothing is left of it when it fails. */
static int make_backing(struct weir_memory *memory, uint64_t len, uint64_t page_size,
			struct weir_backing *ret_backing)
{
	const struct weir_sys *sys = memory->sys;
	struct weir_backing backing = { .fd = make_file(sys, len, page_size) };
	int error;

	if (backing.fd < 0)
		return backing.fd;
	error = sys->mmap(sys->ctx, NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, backing.fd, 0,
			  &backing.addr);
	if (error) {
		sys->close(sys->ctx, backing.fd);
		return error;
	}
	error = bind_to_node(memory, &backing, len);
	if (!error)
		error = weir_fill(memory, backing.addr, len);
	if (error) {
		sys->munmap(sys->ctx, backing.addr, len);
		sys->close(sys->ctx, backing.fd);
		return error;
	}
	*ret_backing = backing;
	return 0;
}

static uint64_t round_up(uint64_t len, uint64_t to)
{
	return (len + (to - 1)) & ~(to - 1);
}

/* How long a chunk that has room for @len is with such pages; 0: the limit leaves no such room. */
static uint64_t chunk_len(const struct weir_memory *memory, uint64_t len, uint64_t page_size)
{
	uint64_t limit = memory->opts.limit ? memory->opts.limit : UINT64_MAX;
	uint64_t room = (limit - memory->bytes) & ~(page_size - 1);
	uint64_t wanted = round_up(len > memory->opts.chunk ? len : memory->opts.chunk, page_size);

	if (round_up(len, page_size) > room)
		return 0;
	return wanted < room ? wanted : room;
}

/* The kernel says so of pages of a size that it does not know. */
static bool means_unknown(int error)
{
	return error == -EINVAL || error == -ENODEV || error == -ENOSYS || error == -EOPNOTSUPP;
}

/* A text for what happened to a chunk of @len bytes of such pages, and the error that it stands for. */
static int explain_pages(const struct weir_memory *memory, uint64_t len, uint64_t page_size, int error,
			 char text[WEIR_MEMORY_TEXT])
{
	uint64_t kib = page_size / 1024;
	char node[32] = "";

	if (memory->opts.flags & WEIR_MEMORY_NODE)
		snprintf(node, sizeof(node), " on NUMA node %u", memory->opts.node);
	if (error == -ENOSPC) {
		snprintf(text, WEIR_MEMORY_TEXT,
			 "the memory has %" PRIu64 " of %" PRIu64 " bytes; %" PRIu64
			 " more, in pages of %" PRIu64 " KiB, are beyond its limit",
			 memory->bytes, memory->opts.limit, len, kib);
	} else if (page_size > SMALL_PAGE && means_unknown(error)) {
		snprintf(text, WEIR_MEMORY_TEXT, "this machine has no pages of %" PRIu64 " KiB", kib);
		error = -EOPNOTSUPP;
	} else if (page_size > SMALL_PAGE && error == -ENOMEM) {
		snprintf(text, WEIR_MEMORY_TEXT,
			 "%" PRIu64 " free pages of %" PRIu64 " KiB are needed%s: reserve them in "
			 "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/nr_hugepages",
			 len / page_size, kib, node, kib);
	} else {
		snprintf(text, WEIR_MEMORY_TEXT, "%" PRIu64 " bytes of memory cannot be had%s: %s", len, node,
			 strerror(-error));
	}
	return error;
}

/* Smaller pages may do where these did not. */
static bool may_fall_back(const struct weir_memory *memory, int error)
{
	return !(memory->opts.flags & WEIR_MEMORY_EXACT_PAGES) &&
	       (error == -EOPNOTSUPP || error == -ENOMEM || error == -ENOSPC);
}

/* With the largest pages that can be had; once that were smaller ones, all that follows has no larger ones. */
static int make_pages(struct weir_memory *memory, uint64_t len, struct weir_chunk *chunk)
{
	static const uint64_t sizes[] = { (uint64_t)1 << 30, 1 << 21, SMALL_PAGE };
	char text[WEIR_MEMORY_TEXT] = "", why[WEIR_MEMORY_TEXT] = "";
	int error = -ENOMEM;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (sizes[i] > memory->opts.page_size)
			continue;
		chunk->len = chunk_len(memory, len, sizes[i]);
		error = chunk->len ? make_backing(memory, chunk->len, sizes[i], &chunk->backing) : -ENOSPC;
		if (!error) {
			chunk->page_size = memory->opts.page_size = sizes[i];
			if (*why && !*memory->fell_back)
				memcpy(memory->fell_back, why, sizeof(why));
			return 0;
		}
		error = explain_pages(memory, chunk->len ? chunk->len : len, sizes[i], error, text);
		if (!*why)
			memcpy(why, text, sizeof(why));
		if (!may_fall_back(memory, error))
			break;
	}
	return weir_fail(error, "%s", text);
}

struct weir_map *weir_chunk_map(struct weir_memory *memory, const struct weir_chunk *chunk,
				struct weir_ioas *ioas, int *error)
{
	struct weir_map_opts opts = { .size = sizeof(opts),
				      .flags = memory->opts.map_flags | WEIR_MAP_OWN,
				      .address_bits = memory->opts.address_bits };
	const struct weir_map *source = chunk->maps ? chunk->maps[0] : NULL;
	struct weir_map *map = NULL;

	*error = weir_ioas_map_backing(ioas, &chunk->backing, chunk->len, &opts, source, &map);
	return *error ? NULL : map;
}

int weir_chunk_close(struct weir_memory *memory, struct weir_chunk *chunk)
{
	const struct weir_sys *sys = memory->sys;
	struct weir_first first = { 0 };
	int error;

	for (uint32_t i = memory->num_spaces; chunk->maps && i-- > 0;)
		weir_first_note(&first, weir_map_close(chunk->maps[i]));
	free((void *)chunk->maps);
	weir_chunk_forget(memory, chunk);
	/* What devices may still reach stays pinned, and so nobody else's. */
	error = sys->munmap(sys->ctx, chunk->backing.addr, chunk->len);
	if (error)
		error = weir_fail(error, "%#" PRIx64 " bytes of DMA memory stay in this process: %s",
				  chunk->len, strerror(-error));
	weir_first_note(&first, error);
	sys->close(sys->ctx, chunk->backing.fd);
	return weir_first_error(&first);
}

static int map_everywhere(struct weir_memory *memory, struct weir_chunk *chunk)
{
	struct weir_map **maps = (struct weir_map **)calloc(memory->num_spaces, sizeof(struct weir_map *));
	int error = 0;

	if (!maps)
		return weir_fail(-ENOMEM, "no memory for a chunk's mappings");
	for (uint32_t i = 0; i < memory->num_spaces && !error; i++) {
		maps[i] = weir_chunk_map(memory, chunk, memory->spaces[i], &error);
		chunk->maps = maps; /* from the second on, the first is the source */
	}
	return error;
}

/* A range of keys for the chunk, after all others. What lies between is taken. */
static int place_keys(struct weir_memory *memory, struct weir_chunk *chunk)
{
	const uint64_t gib = (uint64_t)1 << 30;
	uint64_t begin = round_up(memory->end + gib, gib) + (weir_map_start(chunk->maps[0]) & (gib - 1));
	struct weir_segment *gap;
	int error = weir_iova_take_fixed(&memory->keys, memory->end, begin - 1, &gap);

	if (error)
		return weir_fail(error, "no memory for a chunk's place");
	((struct weir_run *)gap)->pages = 0;
	chunk->key = begin;
	memory->end = begin + chunk->len;
	return 0;
}

int weir_memory_grow(struct weir_memory *memory, uint64_t len)
{
	struct weir_chunk *chunks = realloc(memory->chunks, (memory->num_chunks + 1) * sizeof(*chunks)),
			  *chunk;
	struct weir_first first = { 0 };
	int error;

	if (!chunks)
		return weir_fail(-ENOMEM, "no memory for one chunk more");
	memory->chunks = chunks;
	chunk = &chunks[memory->num_chunks];
	*chunk = (struct weir_chunk){ 0 };
	if (len > WEIR_MEMORY_MOST)
		return weir_fail(-ENOMEM, "%#" PRIx64 " bytes are more than there can be", len);
	error = make_pages(memory, len, chunk);
	if (error)
		return error;
	error = weir_chunk_note(memory, chunk);
	if (!error)
		error = map_everywhere(memory, chunk);
	if (!error)
		error = place_keys(memory, chunk);
	if (error) {
		weir_first_note(&first, error);
		weir_first_note(&first, weir_chunk_close(memory, chunk));
		return weir_first_error(&first);
	}
	weir_chunk_noted(memory, chunk);
	memory->num_chunks++;
	memory->bytes += chunk->len;
	return 0;
}

int weir_chunk_adopt(struct weir_memory *memory, const struct weir_slot_file *slot, int fd,
		     struct weir_chunk *chunk)
{
	const struct weir_sys *sys = memory->sys;
	const int seals = sys->fcntl(sys->ctx, fd, F_GET_SEALS, 0);
	struct stat stat;
	int error = sys->fstat(sys->ctx, fd, &stat);

	if (error || seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW) ||
	    !slot->len || (uint64_t)stat.st_size != slot->len || slot->page_size < SMALL_PAGE ||
	    (slot->page_size & (slot->page_size - 1)) || slot->len & (slot->page_size - 1) ||
	    (uint64_t)stat.st_blksize > slot->page_size)
		return weir_fail(-EPROTO,
				 "what came for chunk %u of a memory is no sealed file of %#" PRIx64 " bytes",
				 slot->chunk, slot->len);
	*chunk = (struct weir_chunk){ .backing = { .fd = fd },
				      .len = slot->len,
				      .page_size = slot->page_size };
	error = sys->mmap(sys->ctx, NULL, chunk->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0,
			  &chunk->backing.addr);
	return error ? weir_fail(error, "mapping a chunk of %#" PRIx64 " bytes: %s", chunk->len,
				 strerror(-error))
		     : 0;
}

int weir_chunk_adopted(struct weir_memory *memory, const struct weir_chunk *chunk)
{
	struct weir_chunk *chunks = realloc(memory->chunks, (memory->num_chunks + 1) * sizeof(*chunks));
	int error;

	if (!chunks)
		return weir_fail(-ENOMEM, "no memory for one chunk more");
	memory->chunks = chunks;
	chunks[memory->num_chunks] = *chunk;
	error = place_keys(memory, &chunks[memory->num_chunks]);
	if (error)
		return error;
	memory->num_chunks++;
	memory->bytes += chunk->len;
	return 0;
}

struct weir_chunk *weir_chunk_at(struct weir_memory *memory, uint64_t key)
{
	uint32_t low = 0, num = memory->num_chunks;

	while (num > 1) {
		uint32_t half = num / 2;

		low += memory->chunks[low + half].key <= key ? half : 0;
		num -= half;
	}
	return &memory->chunks[low];
}
