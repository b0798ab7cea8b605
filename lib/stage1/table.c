// SPDX-License-Identifier: MIT
/* Which tables there are: made, put below an entry, put in the place of a block, taken away, given back. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "stage1/stage1.h"

static void on_later(struct weir_later *later);

/* One by itself, with nothing in it. */
static int new_table(struct weir_stage1 *tables, bool upper, struct weir_stage1_table **ret_table)
{
	size_t room = upper ? WEIR_STAGE1_ENTRIES * sizeof(struct weir_stage1_table *) : 0;
	struct weir_stage1_table *table = calloc(1, sizeof(*table) + room);
	int error;

	if (!table)
		return weir_fail(-ENOMEM, "no memory for a table of stage 1");
	error = weir_memory_alloc(tables->memory, WEIR_STAGE1_PAGE, NULL, &table->buffer);
	if (error) {
		free(table);
		return weir_fail_within(error, "a page for a table of stage 1");
	}
	if (table->buffer.iova + WEIR_STAGE1_PAGE - 1 > tables->output) {
		error = weir_fail(-ERANGE,
				  "a page for a table of stage 1 is at IPA %#" PRIx64 ", beyond %#" PRIx64
				  ": give the memory address_bits",
				  table->buffer.iova, tables->output);
		weir_memory_free(tables->memory, &table->buffer);
		free(table);
		return error;
	}
	memset(table->buffer.addr, 0, WEIR_STAGE1_PAGE);
	table->entries = table->buffer.addr;
	table->tables = tables;
	table->later.done = on_later;
	*ret_table = table;
	return 0;
}

struct weir_stage1_table *weir_table_on(struct weir_stage1 *tables, const struct weir_buffer *page,
					uint32_t level)
{
	size_t room = level ? WEIR_STAGE1_ENTRIES * sizeof(struct weir_stage1_table *) : 0;
	struct weir_stage1_table *table = calloc(1, sizeof(*table) + room);

	if (!table)
		return NULL;
	table->buffer = *page;
	table->entries = page->addr;
	table->tables = tables;
	table->later.done = on_later;
	table->level = level;
	return table;
}

static void free_one(struct weir_stage1_table *table)
{
	weir_memory_free(table->tables->memory, &table->buffer);
	free(table);
}

static void free_list(struct weir_stage1_table *list)
{
	while (list) {
		struct weir_stage1_table *next = list->next;

		free_one(list);
		list = next;
	}
}

static int reserve_list(struct weir_stage1 *tables, bool upper, uint64_t num, struct weir_stage1_table **list)
{
	for (; num; num--) {
		struct weir_stage1_table *table;
		int error = new_table(tables, upper, &table);

		if (error)
			return error;
		table->next = *list;
		*list = table;
	}
	return 0;
}

int weir_stage1_reserve(struct weir_stage1 *tables, struct weir_stage1_reserve *reserve)
{
	int error = reserve_list(tables, false, reserve->last, &reserve->lasts);

	if (!error)
		error = reserve_list(tables, true, reserve->upper, &reserve->uppers);
	if (error)
		weir_stage1_unreserve(reserve);
	return error;
}

void weir_stage1_unreserve(struct weir_stage1_reserve *reserve)
{
	free_list(reserve->lasts);
	free_list(reserve->uppers);
	reserve->lasts = reserve->uppers = NULL;
}

/* The lock is held. */
static struct weir_stage1_table *take_from(struct weir_stage1_reserve *reserve,
					   struct weir_stage1_table *above, uint32_t index)
{
	struct weir_stage1_table **list = above->level == 1 ? &reserve->lasts : &reserve->uppers;
	struct weir_stage1_table *table = *list;

	*list = table->next;
	table->level = above->level - 1;
	table->link = &above->entries[index];
	table->tables->info.num_pages++;
	return table;
}

static uint64_t entry_for(const struct weir_stage1_table *table)
{
	return table->buffer.iova | table->tables->bits.table;
}

static void put_below(struct weir_stage1_table *above, uint32_t index, struct weir_stage1_table *table)
{
	atomic_store_explicit(&above->below[index], table, memory_order_release);
}

struct weir_stage1_table *weir_table_step(struct weir_stage1 *tables, struct weir_stage1_table *table,
					  uint32_t index, uint64_t *ret_entry)
{
	struct weir_stage1_table *below = weir_table_below(table, index);

	*ret_entry = 0;
	if (below)
		return below;
	*ret_entry = weir_entry_read(table, index);
	if (!*ret_entry || weir_entry_is_page(tables, *ret_entry, table->level))
		return NULL;
	/* Someone is just putting a table there: the entry comes first. */
	pthread_mutex_lock(&tables->lock);
	below = weir_table_below(table, index);
	pthread_mutex_unlock(&tables->lock);
	return below;
}

/* The entry comes first: who is led below without looking at it relies on that. */
struct weir_stage1_table *weir_table_make(struct weir_stage1_table *table, uint32_t index,
					  struct weir_stage1_reserve *reserve)
{
	struct weir_stage1_table *below;

	pthread_mutex_lock(&table->tables->lock);
	below = weir_table_below(table, index);
	if (!below) {
		below = take_from(reserve, table, index);
		weir_entry_write(table, index, entry_for(below));
		put_below(table, index, below);
	}
	pthread_mutex_unlock(&table->tables->lock);
	return below;
}

/* The pages that a block is made of. */
static void fill(struct weir_stage1_table *table, uint64_t block)
{
	const struct weir_stage1_format_bits *bits = &table->tables->bits;
	uint64_t entry = (block & bits->address) | (block & bits->prot_bits) |
			 (table->level ? bits->block : bits->page);

	for (uint32_t i = 0; i < WEIR_STAGE1_ENTRIES; i++)
		weir_entry_write(table, i, entry + i * weir_level_size(table->level));
}

/*
 * Break before make: the entry is made invalid, and what it says in the end comes when nobody remembers the block. Until then nothing below it is
 * reached. An invalid entry that is not 0 is passed over by the hardware and tells others that the place is taken.
 */
struct weir_stage1_table *weir_table_split(struct weir_stage1_table *table, uint32_t index,
					   struct weir_stage1_reserve *reserve, struct weir_inval *changes)
{
	struct weir_stage1 *tables = table->tables;
	struct weir_stage1_table *below;

	pthread_mutex_lock(&tables->lock);
	below = weir_table_below(table, index);
	if (!below) {
		uint64_t block = weir_entry_read(table, index);

		below = take_from(reserve, table, index);
		fill(below, block);
		below->broken = tables->bits.break_before_make;
		weir_entry_write(table, index, entry_for(below) & ~(below->broken ? WEIR_ENTRY_VALID : 0));
		put_below(table, index, below);
		if (below->broken)
			weir_inval_later(changes, &below->later);
	}
	pthread_mutex_unlock(&tables->lock);
	return below;
}

/*
 * Returns how many pages go with this one. A table that is broken, and waits for another batch, goes when that one is done: the hardware has never seen
 * it.
 */
static uint64_t take_all(struct weir_stage1_table *table)
{
	uint64_t num = 1;

	for (uint32_t i = 0; table->level && i < WEIR_STAGE1_ENTRIES; i++) {
		struct weir_stage1_table *below = weir_table_below(table, i);

		if (!below)
			continue;
		num += take_all(below);
		if (below->broken) {
			below->gone = true;
			put_below(table, i, NULL);
		}
	}
	return num;
}

void weir_table_take(struct weir_stage1_table *table, uint32_t index, struct weir_inval *changes)
{
	struct weir_stage1 *tables = table->tables;
	struct weir_stage1_table *below;

	pthread_mutex_lock(&tables->lock);
	below = weir_table_below(table, index);
	put_below(table, index, NULL);
	weir_entry_write(table, index, 0);
	tables->info.waiting += take_all(below);
	if (below->broken)
		below->gone = true;
	else
		weir_inval_later(changes, &below->later);
	pthread_mutex_unlock(&tables->lock);
}

void weir_table_free(struct weir_stage1_table *table)
{
	for (uint32_t i = 0; table->level && i < WEIR_STAGE1_ENTRIES; i++) {
		struct weir_stage1_table *below = weir_table_below(table, i);

		if (below)
			weir_table_free(below);
	}
	free_one(table);
}

static uint64_t count_all(const struct weir_stage1_table *table)
{
	uint64_t num = 1;

	for (uint32_t i = 0; table->level && i < WEIR_STAGE1_ENTRIES; i++) {
		struct weir_stage1_table *below = weir_table_below(table, i);

		num += below ? count_all(below) : 0;
	}
	return num;
}

/* The batch has been run: the other half of break before make, or the end. */
static void on_later(struct weir_later *later)
{
	struct weir_stage1_table *table =
		(struct weir_stage1_table *)((char *)later - offsetof(struct weir_stage1_table, later));
	struct weir_stage1 *tables = table->tables;
	bool make;

	pthread_mutex_lock(&tables->lock);
	make = table->broken && !table->gone;
	table->broken = false;
	if (make) {
		atomic_store_explicit(table->link, entry_for(table), memory_order_release);
	} else {
		uint64_t num = count_all(table);

		tables->info.num_pages -= num;
		tables->info.waiting -= num;
	}
	pthread_mutex_unlock(&tables->lock);
	if (!make)
		weir_table_free(table);
}
