// SPDX-License-Identifier: MIT
/* Memories with their chunks, files, and the mappings of both. */
#include <errno.h>
#include <stdlib.h>

#include "error.h"
#include "handover/adopt.h"

/* ---- Memories ---- */

static struct weir_memory *memory_of(const struct adoption *adoption, uint32_t number)
{
	return number && number <= adoption->description->used[WEIR_JOURNAL_MEMORIES]
		       ? adoption->memories[number]
		       : NULL;
}

static int adopt_memories(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_MEMORIES] && !error; number++) {
		const struct weir_slot_memory *slot =
			weir_described_in_force(description, WEIR_JOURNAL_MEMORIES, number);
		struct weir_ioas *ioas = slot ? weir_adoption_space(adoption, slot->space) : NULL;

		if (ioas)
			error = weir_memory_adopt(ioas, slot, number, &adoption->memories[number]);
	}
	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_SHARES] && !error; number++) {
		const struct weir_slot_share *slot =
			weir_described_in_force(description, WEIR_JOURNAL_SHARES, number);
		struct weir_memory *memory = slot ? memory_of(adoption, slot->memory) : NULL;
		struct weir_ioas *ioas = slot ? weir_adoption_space(adoption, slot->space) : NULL;

		if (memory && ioas)
			error = weir_memory_adopt_space(memory, ioas);
	}
	return error;
}

/* ---- Files ---- */

/* Which descriptor came for which file: there may be many. */
static void find_fds(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_FDS]; number++) {
		const struct weir_slot_fd *slot =
			weir_described_in_force(description, WEIR_JOURNAL_FDS, number);

		if (slot && slot->kind == WEIR_FD_FILE && slot->owner &&
		    slot->owner <= description->used[WEIR_JOURNAL_FILES] && description->fds[number] >= 0) {
			adoption->files[slot->owner].fd = &description->fds[number];
			adoption->host->kernel.journal->fd_of_file[slot->owner] = number;
		}
	}
}

static int adopt_chunk(struct adoption *adoption, const struct weir_slot_file *slot, uint32_t number)
{
	struct weir_memory *memory = memory_of(adoption, slot->memory);
	struct adopted_file *file = &adoption->files[number];
	int error;

	if (!memory)
		return 0;
	if (!file->fd)
		return weir_fail(-EPROTO, "no descriptor came for a chunk of a memory");
	error = weir_chunk_adopt(memory, slot, *file->fd, &file->chunk);
	if (error)
		return error;
	*file->fd = -1;
	file->is_chunk = true;
	file->chunk.backing.file = number;
	file->chunk.maps = (struct weir_map **)calloc(memory->num_spaces, sizeof(struct weir_map *));
	return file->chunk.maps ? 0 : weir_fail(-ENOMEM, "no memory for a chunk's mappings");
}

static int adopt_chunks(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_FILES] && !error; number++) {
		const struct weir_slot_file *slot =
			weir_described_in_force(description, WEIR_JOURNAL_FILES, number);

		if (slot && slot->memory)
			error = adopt_chunk(adoption, slot, number);
	}
	return error;
}

static int adopt_file(struct adoption *adoption, const struct weir_slot_file *slot, uint32_t number)
{
	struct adopted_file *file = &adoption->files[number];
	int error;

	if (file->held)
		return 0;
	if (!file->fd)
		return weir_fail(-EPROTO, "no descriptor came for a file");
	error = weir_file_adopt(adoption->host->kernel.journal, number, slot, *file->fd, &file->held);
	if (!error)
		*file->fd = -1;
	return error;
}

/* ---- Mappings ---- */

/* A chunk's place in one of its memory's spaces. */
static int adopt_chunk_map(struct adoption *adoption, struct weir_ioas *ioas,
			   const struct weir_slot_file *file, const struct weir_slot_map *slot,
			   uint32_t number)
{
	struct weir_memory *memory = memory_of(adoption, file->memory);
	struct weir_chunk *chunk = &adoption->files[slot->file].chunk;
	uint32_t i = 0;

	while (i < memory->num_spaces && memory->spaces[i] != ioas)
		i++;
	if (i == memory->num_spaces || chunk->maps[i] || slot->offset || slot->len != chunk->len)
		return weir_fail(-EPROTO, "a chunk of a memory is mapped otherwise than in one piece");
	return weir_ioas_adopt_map(ioas, &chunk->backing, NULL, slot, number, &chunk->maps[i]);
}

static int adopt_file_map(struct adoption *adoption, struct weir_ioas *ioas,
			  const struct weir_slot_file *file, const struct weir_slot_map *slot,
			  uint32_t number)
{
	struct adopted_file *of = &adoption->files[slot->file];
	struct weir_backing backing = { .offset = slot->offset, .file = slot->file };
	struct weir_map *map;
	int error;

	/* In the second stage of a nested space, that space's mapping holds the file. */
	if (slot->offset < file->offset || slot->offset - file->offset > file->len ||
	    slot->len > file->len - (slot->offset - file->offset) || slot->prot & ~file->prot)
		return weir_fail(-EPROTO, "a mapping is not within its file, or may do more than that");
	error = adopt_file(adoption, file, slot->file);
	if (error)
		return error;
	backing.addr = (char *)of->held->base + (slot->offset - file->offset);
	backing.fd = of->held->fd;
	return weir_ioas_adopt_map(ioas, &backing, ioas->inner ? NULL : of->held, slot, number, &map);
}

/* A part of a chunk, in the second stage of the nested space that the memory is in. */
static int adopt_piece(struct adoption *adoption, struct weir_ioas *ioas, const struct weir_slot_map *slot,
		       uint32_t number)
{
	const struct weir_chunk *chunk = &adoption->files[slot->file].chunk;
	struct weir_backing backing = chunk->backing;
	struct weir_map *map;

	if (slot->offset > chunk->len || slot->len > chunk->len - slot->offset)
		return weir_fail(-EPROTO, "a mapping is not within its chunk of a memory");
	backing.addr = (char *)backing.addr + slot->offset;
	backing.offset = slot->offset;
	return weir_ioas_adopt_map(ioas, &backing, NULL, slot, number, &map);
}

static bool is_piece(const struct weir_ioas *ioas, const struct weir_slot_map *slot)
{
	return ioas->inner && !(slot->prot & WEIR_MAP_OWN);
}

/* Of a mapping in force: the file that it can be taken over with, or NULL. */
static const struct weir_slot_file *file_of(const struct adoption *adoption, const struct weir_ioas *ioas,
					    const struct weir_slot_map *slot)
{
	const struct weir_slot_file *file =
		weir_described_in_force(adoption->description, WEIR_JOURNAL_FILES, slot->file);

	if (!file || (uint32_t)file->slot.serial != slot->file_serial ||
	    (!is_piece(ioas, slot) && !(slot->prot & WEIR_MAP_OWN) != !file->memory))
		return NULL;
	return file->memory && !adoption->files[slot->file].is_chunk ? NULL : file;
}

static int adopt_map(struct adoption *adoption, struct weir_slot_map *slot, uint32_t number)
{
	struct weir_ioas *ioas = weir_adoption_space(adoption, slot->space);
	const struct weir_slot_file *file = ioas ? file_of(adoption, ioas, slot) : NULL;
	struct weir_memory *memory = file ? memory_of(adoption, file->memory) : NULL;
	bool is_in = !memory || is_piece(ioas, slot);

	for (uint32_t i = 0; memory && i < memory->num_spaces; i++)
		is_in |= memory->spaces[i] == ioas;
	/* Nobody has it any more: it goes with what was only begun. */
	if (!file || !is_in) {
		weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
		return 0;
	}
	if (memory && is_piece(ioas, slot))
		return adopt_piece(adoption, ioas, slot, number);
	return memory ? adopt_chunk_map(adoption, ioas, file, slot, number)
		      : adopt_file_map(adoption, ioas, file, slot, number);
}

static int adopt_maps(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_MAPS] && !error; number++) {
		struct weir_slot_map *slot = weir_described_in_force(description, WEIR_JOURNAL_MAPS, number);

		if (slot)
			error = adopt_map(adoption, slot, number);
	}
	return error;
}

/* ---- Chunks, in their order ---- */

static int compare(const void *a, const void *b)
{
	const struct weir_slot_file *first = *(const struct weir_slot_file *const *)a,
				    *second = *(const struct weir_slot_file *const *)b;

	if (first->memory != second->memory)
		return first->memory < second->memory ? -1 : 1;
	return (first->chunk > second->chunk) - (first->chunk < second->chunk);
}

static uint32_t number_of(const struct adoption *adoption, const struct weir_slot_file *slot)
{
	return (uint32_t)(slot -
			  (const struct weir_slot_file *)adoption->description->tables[WEIR_JOURNAL_FILES]) +
	       1;
}

static int enter_chunk(struct adoption *adoption, const struct weir_slot_file *slot)
{
	struct weir_memory *memory = memory_of(adoption, slot->memory);
	struct adopted_file *file = &adoption->files[number_of(adoption, slot)];
	int error;

	if (slot->chunk != memory->num_chunks)
		return weir_fail(-EPROTO, "a memory has no chunk %u, but more", memory->num_chunks);
	for (uint32_t i = 0; i < memory->num_spaces; i++)
		if (!file->chunk.maps[i])
			return weir_fail(-EPROTO, "chunk %u of a memory is not mapped in one of its spaces",
					 slot->chunk);
	error = weir_chunk_adopted(memory, &file->chunk);
	if (!error)
		file->is_chunk = false;
	return error;
}

static int enter_chunks(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	uint32_t used = description->used[WEIR_JOURNAL_FILES], num = 0;
	const struct weir_slot_file **order =
		(const struct weir_slot_file **)calloc(used + 1, sizeof(const struct weir_slot_file *));
	int error = order ? 0 : weir_fail(-ENOMEM, "no memory for what is handed over");

	for (uint32_t number = 1; number <= used && order; number++)
		if (adoption->files[number].is_chunk)
			order[num++] = weir_described(description, WEIR_JOURNAL_FILES, number);
	if (num)
		qsort((void *)order, num, sizeof(void *), compare);
	for (uint32_t i = 0; i < num && !error; i++)
		error = enter_chunk(adoption, order[i]);
	free((void *)order);
	return error;
}

int weir_adoption_maps(struct adoption *adoption)
{
	int error = adopt_memories(adoption);

	find_fds(adoption);
	if (!error)
		error = adopt_chunks(adoption);
	if (!error)
		error = adopt_maps(adoption);
	if (!error)
		error = enter_chunks(adoption);
	return error;
}

void weir_adoption_end_files(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	const struct weir_sys *sys = adoption->host ? adoption->host->kernel.sys : NULL;

	for (uint32_t number = 1; adoption->files && sys && number <= description->used[WEIR_JOURNAL_FILES];
	     number++) {
		struct adopted_file *file = &adoption->files[number];

		if (file->is_chunk) {
			sys->munmap(sys->ctx, file->chunk.backing.addr, file->chunk.len);
			sys->close(sys->ctx, file->chunk.backing.fd);
			free((void *)file->chunk.maps);
			file->is_chunk = false;
		}
		if (file->held && !atomic_load(&file->held->users)) {
			file->held->number = 0; /* the journal stays as it is */
			weir_held_close(sys, file->held, 0);
		}
		/* What has users ends with them. */
		file->held = NULL;
	}
}
