// SPDX-License-Identifier: MIT
/* What the journal says of memories and their chunks. */
#include "error.h"
#include "memory/memory.h"

int weir_memory_note(struct weir_memory *memory)
{
	struct weir_journal *journal = weir_memory_journal(memory);
	const struct weir_memory_opts *opts = &memory->opts;
	struct weir_slot_memory *slot;
	int error;

	if (!journal)
		return 0;
	error = weir_journal_take(journal, WEIR_JOURNAL_MEMORIES, &memory->number);
	if (error)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_MEMORIES, memory->number);
	slot->page_size = opts->page_size;
	slot->chunk = opts->chunk;
	slot->limit = opts->limit;
	slot->space = memory->spaces[0]->space.number;
	slot->flags = opts->flags;
	slot->node = opts->node;
	slot->map_flags = opts->map_flags;
	slot->address_bits = opts->address_bits;
	slot->threads = opts->threads;
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

void weir_memory_forget(struct weir_memory *memory)
{
	struct weir_journal *journal = weir_memory_journal(memory);

	if (journal)
		weir_journal_give(journal, WEIR_JOURNAL_MEMORIES, memory->number);
}

int weir_memory_note_share(struct weir_memory *memory, const struct weir_ioas *ioas, uint32_t *ret_number)
{
	struct weir_journal *journal = weir_memory_journal(memory);
	struct weir_slot_share *slot;
	int error;

	/* In a space of another host, or one made of others, nobody can take it over. */
	if (!journal || ioas->host != memory->spaces[0]->host || !ioas->space.number)
		return 0;
	error = weir_journal_take(journal, WEIR_JOURNAL_SHARES, ret_number);
	if (error)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_SHARES, *ret_number);
	slot->memory = memory->number;
	slot->space = ioas->space.number;
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

void weir_memory_forget_share(struct weir_memory *memory, const struct weir_ioas *ioas)
{
	struct weir_journal *journal = weir_memory_journal(memory);
	uint32_t used = journal ? weir_journal_used(journal, WEIR_JOURNAL_SHARES) : 0;

	for (uint32_t number = 1; number <= used; number++) {
		const struct weir_slot_share *slot = weir_journal_at(journal, WEIR_JOURNAL_SHARES, number);

		if (weir_slot_state(&slot->slot) != WEIR_SLOT_FREE && slot->memory == memory->number &&
		    slot->space == ioas->space.number)
			weir_journal_give(journal, WEIR_JOURNAL_SHARES, number);
	}
}

int weir_chunk_note(struct weir_memory *memory, struct weir_chunk *chunk)
{
	struct weir_journal *journal = weir_memory_journal(memory);
	struct weir_slot_file *slot;
	uint32_t number = 0;
	int error;

	if (!journal)
		return 0;
	error = weir_journal_take(journal, WEIR_JOURNAL_FILES, &number);
	if (error)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_FILES, number);
	slot->offset = 0;
	slot->len = chunk->len;
	slot->page_size = chunk->page_size;
	slot->memory = memory->number;
	slot->chunk = memory->num_chunks;
	slot->prot = WEIR_MAP_READ | WEIR_MAP_WRITE;
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	error = weir_journal_add_fd(journal, chunk->backing.fd, WEIR_FD_FILE, number, 0);
	if (error) {
		weir_journal_give(journal, WEIR_JOURNAL_FILES, number);
		return error;
	}
	chunk->backing.file = number;
	return 0;
}

void weir_chunk_noted(struct weir_memory *memory, const struct weir_chunk *chunk)
{
	if (chunk->backing.file)
		weir_journal_mark(weir_memory_journal(memory), WEIR_JOURNAL_FILES, chunk->backing.file,
				  WEIR_SLOT_IN_FORCE);
}

void weir_chunk_forget(struct weir_memory *memory, const struct weir_chunk *chunk)
{
	struct weir_journal *journal = weir_memory_journal(memory);

	if (!chunk->backing.file)
		return;
	weir_journal_drop_fds(journal, WEIR_FD_FILE, chunk->backing.file);
	weir_journal_give(journal, WEIR_JOURNAL_FILES, chunk->backing.file);
}
