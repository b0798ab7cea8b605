// SPDX-License-Identifier: MIT
/* DMA memory: opened, asked, put into further spaces, and closed. */
#include "memory/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <numa.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* A node that this process may have memory of. */
static bool is_node(uint32_t node)
{
	return numa_available() >= 0 && numa_bitmask_isbitset(numa_all_nodes_ptr, node);
}

static int check_opts(struct weir_memory_opts *o)
{
	const uint32_t known = WEIR_MEMORY_EXACT_PAGES | WEIR_MEMORY_NODE;

	if ((o->flags & ~known) || o->reserved)
		return weir_fail(-EINVAL, "unknown flags %#x", o->flags & ~known);
	if (o->map_flags & ~(WEIR_MAP_READ | WEIR_MAP_WRITE))
		return weir_fail(-EINVAL, "map_flags are WEIR_MAP_READ and WEIR_MAP_WRITE, not %#x",
				 o->map_flags);
	if (o->page_size && o->page_size != 4096 && o->page_size != 1 << 21 && o->page_size != 1 << 30)
		return weir_fail(-EINVAL, "pages of %#" PRIx64 " bytes: there are 4 KiB, 2 MiB and 1 GiB",
				 o->page_size);
	if (o->chunk > WEIR_MEMORY_MOST)
		return weir_fail(-EINVAL, "chunks of %#" PRIx64 " bytes are more than there can be",
				 o->chunk);
	if (o->limit && o->initial > o->limit)
		return weir_fail(-EINVAL,
				 "%#" PRIx64 " bytes to begin with are beyond the limit of %#" PRIx64,
				 o->initial, o->limit);
	if (o->address_bits && (o->address_bits < 12 || o->address_bits > 64))
		return weir_fail(-EINVAL, "address_bits is %u; it can be 12 to 64", o->address_bits);
	if ((o->flags & WEIR_MEMORY_NODE) && !is_node(o->node))
		return weir_fail(-EINVAL, "there is no NUMA node %u", o->node);
	if (!o->page_size)
		o->page_size = 1 << 21;
	if (!o->chunk)
		o->chunk = 1 << 21;
	return 0;
}

/* A space that some memory is in is not closed. */
static void use_space(struct weir_ioas *ioas, bool begins)
{
	if (begins)
		ioas->num_memories++;
	else
		ioas->num_memories--;
}

static void free_memory(struct weir_memory *memory)
{
	weir_index_finish(&memory->runs);
	weir_iova_finish(&memory->keys);
	pthread_mutex_destroy(&memory->lock);
	free((void *)memory->spaces);
	free(memory->chunks);
	free(memory);
}

static struct weir_memory *new_memory(struct weir_ioas *ioas, const struct weir_memory_opts *o)
{
	const struct weir_iova_range keys = { (uint64_t)1 << 32, UINT64_MAX };
	struct weir_memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return NULL;
	pthread_mutex_init(&memory->lock, NULL);
	memory->opts = *o;
	memory->sys = ioas->host->kernel.sys;
	memory->end = keys.start;
	memory->spaces = (struct weir_ioas **)calloc(1, sizeof(struct weir_ioas *));
	weir_index_begin(&memory->runs);
	if (!memory->spaces || !memory->runs.slots ||
	    weir_iova_init(&memory->keys, sizeof(struct weir_run))) {
		free_memory(memory);
		return NULL;
	}
	memory->spaces[0] = ioas;
	memory->num_spaces = 1;
	weir_iova_allow(&memory->keys, &keys, 1, 4096);
	return memory;
}

static void mark(const struct weir_memory *memory, enum weir_slot_state state)
{
	if (memory->number)
		weir_journal_mark(weir_memory_journal(memory), WEIR_JOURNAL_MEMORIES, memory->number, state);
}

/* It is in order, and one of its host's from now on. */
static void join(struct weir_memory *memory)
{
	struct weir_host *host = memory->spaces[0]->host;

	mark(memory, WEIR_SLOT_IN_FORCE);
	pthread_mutex_lock(&host->lock);
	memory->next = host->memories;
	host->memories = memory;
	pthread_mutex_unlock(&host->lock);
}

static void leave(struct weir_memory *memory)
{
	struct weir_host *host = memory->spaces[0]->host;
	struct weir_memory **link = &host->memories;

	pthread_mutex_lock(&host->lock);
	while (*link != memory)
		link = &(*link)->next;
	*link = memory->next;
	pthread_mutex_unlock(&host->lock);
}

int weir_memory_open(struct weir_ioas *ioas, const struct weir_memory_opts *opts,
		     struct weir_memory **ret_memory)
{
	struct weir_memory_opts o;
	struct weir_memory *memory;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (!error)
		error = check_opts(&o);
	if (error)
		return error;
	memory = new_memory(ioas, &o);
	if (!memory)
		return weir_fail(-ENOMEM, "no memory for DMA memory");
	error = weir_memory_note(memory);
	if (error) {
		free_memory(memory);
		return error;
	}
	error = o.initial ? weir_memory_grow(memory, o.initial) : 0;
	if (error) {
		weir_memory_forget(memory);
		free_memory(memory);
		return error;
	}
	join(memory);
	use_space(ioas, true);
	*ret_memory = memory;
	return 0;
}

int weir_memory_close(struct weir_memory *memory)
{
	struct weir_first first = { 0 };

	if (!memory)
		return 0;
	mark(memory, WEIR_SLOT_LEAVING);
	for (uint32_t i = memory->num_chunks; i-- > 0;)
		weir_first_note(&first, weir_chunk_close(memory, &memory->chunks[i]));
	for (uint32_t i = 0; i < memory->num_spaces; i++) {
		if (i)
			weir_memory_forget_share(memory, memory->spaces[i]);
	}
	leave(memory);
	weir_memory_forget(memory);
	for (uint32_t i = memory->num_spaces; i-- > 0;)
		use_space(memory->spaces[i], false);
	free_memory(memory);
	return weir_first_error(&first);
}

int weir_memory_check(const struct weir_memory *memory)
{
	return memory->parked ? weir_fail(-ESTALE, "the host has been handed over to another process") : 0;
}

/* Threads that do not know yet that it is another's may be waiting for its lock: it stays, without chunks. The lock is held. */
static void park(struct weir_memory *memory, struct weir_host *host)
{
	memory->num_chunks = 0;
	memory->parked = true;
	memory->next = host->parked_memories;
	host->parked_memories = memory;
}

void weir_memory_let_go(struct weir_memory *memory)
{
	struct weir_host *host;
	bool parks;

	/* Whoever made it grow, in vain, is done. */
	pthread_mutex_lock(&memory->lock);
	host = memory->spaces[0]->host;
	parks = host->kernel.journal && host->kernel.journal->stale;
	leave(memory);
	for (uint32_t i = 0; i < memory->num_chunks; i++) {
		memory->sys->munmap(memory->sys->ctx, memory->chunks[i].backing.addr, memory->chunks[i].len);
		memory->sys->close(memory->sys->ctx, memory->chunks[i].backing.fd);
		free((void *)memory->chunks[i].maps);
	}
	for (uint32_t i = 0; i < memory->num_spaces; i++)
		memory->spaces[i]->num_memories--;
	if (parks)
		park(memory, host);
	pthread_mutex_unlock(&memory->lock);
	if (!parks)
		free_memory(memory);
}

int weir_memory_info(struct weir_memory *memory, struct weir_memory_info *ret_info, size_t size)
{
	struct weir_memory_info info = { 0 };

	pthread_mutex_lock(&memory->lock);
	info.page_size = memory->opts.page_size;
	info.bytes = memory->bytes;
	info.used = memory->used;
	info.num_buffers = memory->num_buffers;
	info.num_chunks = memory->num_chunks;
	info.num_spaces = memory->num_spaces;
	memcpy(info.fell_back, memory->fell_back, sizeof(info.fell_back));
	pthread_mutex_unlock(&memory->lock);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}

int weir_memory_chunk(struct weir_memory *memory, uint32_t chunk, struct weir_memory_chunk *ret_chunk)
{
	int error = -ENOENT;

	pthread_mutex_lock(&memory->lock);
	if (chunk < memory->num_chunks) {
		const struct weir_chunk *of = &memory->chunks[chunk];

		*ret_chunk = (struct weir_memory_chunk){ .fd = of->backing.fd,
							 .addr = of->backing.addr,
							 .iova = weir_map_start(of->maps[0]),
							 .len = of->len,
							 .page_size = of->page_size };
		error = 0;
	}
	pthread_mutex_unlock(&memory->lock);
	return error ? weir_fail(error, "there is no chunk %u", chunk) : 0;
}

/* Which of the memory's spaces @ioas is, or how many there are. */
static uint32_t space_number(const struct weir_memory *memory, const struct weir_ioas *ioas)
{
	uint32_t i = 0;

	while (i < memory->num_spaces && memory->spaces[i] != ioas)
		i++;
	return i;
}

/* The last mapping of each of the first @num chunks ends. */
static void drop_last_space(struct weir_memory *memory, uint32_t num)
{
	while (num-- > 0)
		weir_map_close(memory->chunks[num].maps[memory->num_spaces]);
}

static int share_chunks(struct weir_memory *memory, struct weir_ioas *ioas)
{
	for (uint32_t i = 0; i < memory->num_chunks; i++) {
		struct weir_chunk *chunk = &memory->chunks[i];
		struct weir_map **maps = (struct weir_map **)realloc(
			(void *)chunk->maps, (memory->num_spaces + 1) * sizeof(struct weir_map *));
		struct weir_first first = { 0 };
		int error = maps ? 0 : weir_fail(-ENOMEM, "no memory for a chunk's mappings");

		if (maps) {
			chunk->maps = maps;
			maps[memory->num_spaces] = weir_chunk_map(memory, chunk, ioas, &error);
		}
		if (error) {
			weir_first_note(&first, error);
			drop_last_space(memory, i);
			return weir_first_error(&first);
		}
	}
	return 0;
}

static int enter_space(struct weir_memory *memory, struct weir_ioas *ioas)
{
	struct weir_ioas **spaces;
	uint32_t number = 0;
	int error;

	if (space_number(memory, ioas) < memory->num_spaces)
		return weir_fail(-EEXIST, "the memory is in that address space already");
	spaces = (struct weir_ioas **)realloc((void *)memory->spaces,
					      (memory->num_spaces + 1) * sizeof(struct weir_ioas *));
	if (!spaces)
		return weir_fail(-ENOMEM, "no memory for one space more");
	memory->spaces = spaces;
	error = weir_memory_note_share(memory, ioas, &number);
	if (error)
		return error;
	error = share_chunks(memory, ioas);
	if (error) {
		if (number)
			weir_journal_give(weir_memory_journal(memory), WEIR_JOURNAL_SHARES, number);
		return error;
	}
	if (number)
		weir_journal_mark(weir_memory_journal(memory), WEIR_JOURNAL_SHARES, number,
				  WEIR_SLOT_IN_FORCE);
	spaces[memory->num_spaces++] = ioas;
	use_space(ioas, true);
	return 0;
}

int weir_memory_share(struct weir_memory *memory, struct weir_ioas *ioas)
{
	int error;

	pthread_mutex_lock(&memory->lock);
	error = weir_memory_check(memory);
	if (!error)
		error = enter_space(memory, ioas);
	pthread_mutex_unlock(&memory->lock);
	return error;
}

static int leave_space(struct weir_memory *memory, uint32_t number)
{
	struct weir_ioas *ioas = memory->spaces[number];
	struct weir_first first = { 0 };

	weir_memory_forget_share(memory, ioas);
	memory->num_spaces--;
	memory->spaces[number] = memory->spaces[memory->num_spaces];
	for (uint32_t i = 0; i < memory->num_chunks; i++) {
		struct weir_map **maps = memory->chunks[i].maps;

		weir_first_note(&first, weir_map_close(maps[number]));
		maps[number] = maps[memory->num_spaces];
	}
	use_space(ioas, false);
	return weir_first_error(&first);
}

int weir_memory_unshare(struct weir_memory *memory, struct weir_ioas *ioas)
{
	uint32_t number;
	int error;

	pthread_mutex_lock(&memory->lock);
	error = weir_memory_check(memory);
	number = space_number(memory, ioas);
	/* Its own space it leaves when it is closed. */
	if (!error && (!number || number == memory->num_spaces))
		error = weir_fail(-ENOENT, "the memory was not put into that address space");
	else if (!error)
		error = leave_space(memory, number);
	pthread_mutex_unlock(&memory->lock);
	return error;
}

int weir_memory_iova_in(struct weir_memory *memory, const struct weir_ioas *ioas,
			const struct weir_buffer *buffer, uint64_t *ret_iova)
{
	uint32_t number;
	int error = -ENOENT;

	pthread_mutex_lock(&memory->lock);
	number = space_number(memory, ioas);
	if (number < memory->num_spaces && buffer->chunk < memory->num_chunks) {
		*ret_iova = weir_map_start(memory->chunks[buffer->chunk].maps[number]) + buffer->offset;
		error = 0;
	}
	pthread_mutex_unlock(&memory->lock);
	return error ? weir_fail(error, "the memory is not in that address space") : 0;
}

int weir_memory_adopt(struct weir_ioas *ioas, const struct weir_slot_memory *slot, uint32_t number,
		      struct weir_memory **ret_memory)
{
	struct weir_memory_opts o = { .page_size = slot->page_size,
				      .chunk = slot->chunk,
				      .limit = slot->limit,
				      .flags = slot->flags,
				      .node = slot->node,
				      .map_flags = slot->map_flags,
				      .address_bits = slot->address_bits,
				      .threads = slot->threads };
	struct weir_memory *memory;
	int error = check_opts(&o);

	if (error)
		return error;
	memory = new_memory(ioas, &o);
	if (!memory)
		return weir_fail(-ENOMEM, "no memory for DMA memory");
	memory->number = number;
	join(memory);
	use_space(ioas, true);
	*ret_memory = memory;
	return 0;
}

int weir_memory_adopt_space(struct weir_memory *memory, struct weir_ioas *ioas)
{
	struct weir_ioas **spaces = (struct weir_ioas **)realloc(
		(void *)memory->spaces, (memory->num_spaces + 1) * sizeof(struct weir_ioas *));

	if (!spaces)
		return weir_fail(-ENOMEM, "no memory for one space more");
	memory->spaces = spaces;
	if (space_number(memory, ioas) < memory->num_spaces)
		return weir_fail(-EPROTO, "a memory is described twice in one space");
	spaces[memory->num_spaces++] = ioas;
	use_space(ioas, true);
	return 0;
}
