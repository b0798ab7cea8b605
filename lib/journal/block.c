// SPDX-License-Identifier: MIT
/* Blocks in the journal: by name, from the lowest gap that is large enough. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "journal/journal.h"

enum { ALIGN = 64 };

static struct weir_slot_block *block_at(const struct weir_journal *journal, uint32_t number)
{
	return weir_journal_at(journal, WEIR_JOURNAL_BLOCKS, number);
}

static bool is_there(const struct weir_slot_block *block)
{
	return weir_slot_state(&block->slot) == WEIR_SLOT_IN_FORCE;
}

static unsigned char *bytes_at(const struct weir_journal *journal, uint64_t offset)
{
	return (unsigned char *)journal->header + journal->layout.blocks + offset;
}

static uint32_t find(const struct weir_journal *journal, const char *name, uint32_t used)
{
	for (uint32_t number = 1; number <= used; number++) {
		const struct weir_slot_block *block = block_at(journal, number);

		if (is_there(block) && !strncmp(block->name, name, sizeof(block->name)))
			return number;
	}
	return 0;
}

/* The block that meets [offset, offset + len), or NULL. */
static const struct weir_slot_block *in_the_way(const struct weir_journal *journal, uint32_t used,
						uint64_t offset, uint64_t len)
{
	for (uint32_t number = 1; number <= used; number++) {
		const struct weir_slot_block *block = block_at(journal, number);

		if (is_there(block) && block->offset < offset + len && offset < block->offset + block->len)
			return block;
	}
	return NULL;
}

static int place(const struct weir_journal *journal, uint32_t used, uint64_t len, uint64_t *ret_offset)
{
	const struct weir_slot_block *block;
	uint64_t room = journal->layout.block_bytes, offset = 0;

	if (len > room)
		return -ENOSPC;
	while ((block = in_the_way(journal, used, offset, len))) {
		uint64_t next = (block->offset + block->len + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);

		if (next > room - len)
			return -ENOSPC;
		offset = next;
	}
	*ret_offset = offset;
	return 0;
}

static int reopen(const struct weir_journal *journal, uint32_t number, const char *name, size_t len)
{
	uint64_t there = block_at(journal, number)->len;

	if (journal->blocks[number])
		return weir_fail(-EBUSY, "the block '%s' is open already", name);
	if (there != len)
		return weir_fail(-EEXIST, "the block '%s' has %" PRIu64 " bytes, not %zu", name, there, len);
	return 0;
}

/* The lock of blocks is held: nobody else looks for a gap. */
static int make(struct weir_journal *journal, uint32_t used, uint32_t number, const char *name, size_t len)
{
	struct weir_slot_block *block = block_at(journal, number);
	uint64_t offset = 0;
	int error = place(journal, used, len, &offset);

	if (error)
		return weir_fail(
			error, "the journal has %" PRIu64 " bytes for blocks; there is no room for %zu more",
			journal->layout.block_bytes, len);
	block->offset = offset;
	block->len = len;
	memset(block->name, 0, sizeof(block->name));
	memcpy(block->name, name, strlen(name));
	memset(bytes_at(journal, offset), 0, len);
	weir_slot_set(&block->slot, WEIR_SLOT_IN_FORCE);
	return 0;
}

static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER; /* before any journal's */

static int open_locked(struct weir_journal *journal, const char *name, size_t len, void **ret_block)
{
	uint32_t used = weir_journal_used(journal, WEIR_JOURNAL_BLOCKS);
	uint32_t number = find(journal, name, used);
	int error;

	if (number) {
		error = reopen(journal, number, name, len);
	} else {
		error = weir_journal_take(journal, WEIR_JOURNAL_BLOCKS, &number);
		if (error)
			return error;
		error = make(journal, used, number, name, len);
		if (error)
			weir_journal_give(journal, WEIR_JOURNAL_BLOCKS, number);
	}
	if (error)
		return error;
	journal->blocks[number] = bytes_at(journal, block_at(journal, number)->offset);
	*ret_block = journal->blocks[number];
	return 0;
}

int weir_journal_open_block(struct weir_journal *journal, const char *name, size_t len, void **ret_block)
{
	int error;

	pthread_mutex_lock(&blocks_lock);
	error = open_locked(journal, name, len, ret_block);
	pthread_mutex_unlock(&blocks_lock);
	return error;
}

void weir_journal_close_block(struct weir_journal *journal, const void *block, bool give)
{
	uint32_t used;

	pthread_mutex_lock(&blocks_lock);
	used = weir_journal_used(journal, WEIR_JOURNAL_BLOCKS);
	for (uint32_t number = 1; number <= used; number++)
		if (journal->blocks[number] == block) {
			journal->blocks[number] = NULL;
			if (give)
				weir_journal_give(journal, WEIR_JOURNAL_BLOCKS, number);
		}
	pthread_mutex_unlock(&blocks_lock);
}
