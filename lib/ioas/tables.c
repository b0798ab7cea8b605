// SPDX-License-Identifier: MIT
/* Hash tables that are read without a lock: what the one who changes them does. */
#include "ioas/tables.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Before the slots is a line for how many places there are. */
enum { HEAD_WORDS = 8, FEWEST_PLACES = 96 };

void weir_tables_init(struct weir_tables *tables, struct weir_lookup_table *shown, uint32_t slot_words,
		      uint64_t (*key)(const uint64_t *slot))
{
	memset(tables, 0, sizeof(*tables));
	tables->shown = shown;
	tables->slot_words = slot_words;
	tables->key = key;
}

void weir_tables_finish(struct weir_tables *tables)
{
	for (uint32_t i = 0; i < tables->num_made; i++)
		munmap(tables->made[i] - HEAD_WORDS, tables->sizes[i]);
}

void weir_tables_renew(struct weir_tables *tables)
{
	weir_write(&tables->shown->version, weir_written(&tables->shown->version) + 1);
}

static uint64_t words_of(const uint64_t *table)
{
	return weir_written(table - 1) * WEIR_PLACE_WORDS;
}

uint64_t weir_tables_room(const struct weir_tables *tables)
{
	return tables->table ? words_of(tables->table) / tables->slot_words : 0;
}

static uint64_t *take(struct weir_tables *tables, uint64_t *table, uint64_t key)
{
	struct weir_search search = weir_search_begin(table, key);

	while (weir_written(search.slot) & WEIR_TAG_USED)
		weir_search_next(&search, tables->slot_words);
	tables->given_up -= weir_written(search.slot) == WEIR_TAG_GIVEN_UP;
	tables->used++;
	return search.slot;
}

uint64_t *weir_tables_take(struct weir_tables *tables, uint64_t key)
{
	return take(tables, tables->table, key);
}

/* A slot that is given up becomes empty when nobody has to look past it, and so do those before it. */
void weir_tables_drop(struct weir_tables *tables, uint64_t *slot)
{
	struct weir_search after = { tables->table, slot, words_of(tables->table) };

	tables->used--;
	tables->given_up++;
	weir_write(slot, WEIR_TAG_GIVEN_UP);
	weir_search_next(&after, tables->slot_words);
	if (weir_written(after.slot) != WEIR_TAG_EMPTY)
		return;
	while (weir_written(slot) == WEIR_TAG_GIVEN_UP) {
		tables->given_up--;
		weir_write(slot, WEIR_TAG_EMPTY);
		slot = (slot == tables->table ? slot + after.words : slot) - tables->slot_words;
	}
}

/*
 * Memory of zeros, with large pages where there are any: looking something up is a miss in the processor's cache, and shall not be one in its cache of
 * page tables, too. NULL: no memory.
 */
static void *large_pages(size_t len)
{
	const size_t large = (size_t)2 << 20, room = len < large ? len : len + large;
	char *memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (memory == MAP_FAILED)
		return NULL;
	if (room == len)
		return memory;
	before = -(uintptr_t)memory & (large - 1);
	if (before)
		munmap(memory, before);
	if (before < large)
		munmap(memory + before + len, large - before);
	madvise(memory + before, len, MADV_HUGEPAGE);
	return memory + before;
}

/* A table with so many places, empty, other than the one in use. NULL: no memory. */
static uint64_t *empty_table(struct weir_tables *tables, uint64_t places)
{
	const size_t page = 4096;
	size_t len = ((HEAD_WORDS + places * WEIR_PLACE_WORDS) * sizeof(uint64_t) + page - 1) & ~(page - 1);
	uint64_t *head;

	for (uint32_t i = 0; i < tables->num_made; i++)
		if (tables->sizes[i] == len && tables->made[i] != tables->table)
			return tables->made[i];
	if (tables->num_made == WEIR_TABLES_MOST)
		return NULL;
	head = large_pages(len);
	if (!head)
		return NULL;
	tables->sizes[tables->num_made] = len;
	return tables->made[tables->num_made++] = head + HEAD_WORDS;
}

static void copy(struct weir_tables *tables, uint64_t *table, const uint64_t *slot)
{
	uint64_t *to = take(tables, table, tables->key(slot));

	for (uint32_t i = tables->slot_words; i-- > 0;)
		weir_write(&to[i], weir_written(&slot[i]));
}

/* Replace the table by one of which @used slots are at most three of eight. */
static int replace(struct weir_tables *tables, uint64_t used)
{
	uint64_t places = FEWEST_PLACES, *old = tables->table, *table;

	while (used * tables->slot_words > places * WEIR_PLACE_WORDS / 8 * 3)
		places *= 2;
	table = empty_table(tables, places);
	if (!table)
		return -ENOMEM;
	weir_write(table - 1, places);
	tables->used = tables->given_up = 0;
	for (uint64_t *slot = old; old && slot < old + words_of(old); slot += tables->slot_words)
		if (weir_written(slot) & WEIR_TAG_USED)
			copy(tables, table, slot);
	__atomic_store_n(&tables->shown->slots, table, __ATOMIC_RELEASE);
	tables->table = table;
	weir_tables_renew(tables);
	if (old)
		madvise(old - HEAD_WORDS, (HEAD_WORDS + words_of(old)) * sizeof(*old), MADV_DONTNEED);
	return 0;
}

int weir_tables_reserve(struct weir_tables *tables, uint64_t num)
{
	uint64_t needed = tables->used + tables->reserved + num;
	int error = 0;

	/* At most every other slot is not empty; a new table is less full, so that it lasts a while. */
	if (needed + tables->given_up > weir_tables_room(tables) / 2)
		error = replace(tables, needed);
	if (!error)
		tables->reserved += num;
	return error;
}
