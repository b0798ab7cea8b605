// SPDX-License-Identifier: MIT
/*
 * Tables that a predecessor made: the records beside them are made again, from what the pages say. Whoever handed them over may write into them still; so each entry is read
 * once, and a page is claimed before it is looked at: no page is of two tables, and no way down is longer than there are levels.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"
#include "inval/inval.h"
#include "memory/memory.h"
#include "stage1/stage1.h"

static int claim_page(struct weir_stage1 *tables, uint64_t ipa, struct weir_buffer *ret_page)
{
	int error;

	if (ipa & (WEIR_STAGE1_PAGE - 1) || ipa > tables->output)
		return weir_fail(-EPROTO, "a table of stage 1 is at IPA %#" PRIx64 ", where none can be",
				 ipa);
	error = weir_memory_claim_at(tables->memory, ipa, WEIR_STAGE1_PAGE, ret_page);
	if (error == -EINVAL || error == -EBUSY)
		error = -EPROTO;
	return error ? weir_fail_within(error, "a table of stage 1 at IPA %#" PRIx64, ipa) : 0;
}

static int claim_table(struct weir_stage1 *tables, uint64_t ipa, uint32_t level,
		       struct weir_stage1_table **ret_table)
{
	struct weir_buffer page;
	int error = claim_page(tables, ipa, &page);

	if (error)
		return error;
	*ret_table = weir_table_on(tables, &page, level);
	if (!*ret_table) {
		weir_memory_free(tables->memory, &page);
		return weir_fail(-ENOMEM, "no memory for a table of stage 1");
	}
	tables->info.num_pages++;
	return 0;
}

static int claim_below(struct weir_stage1_table *table, uint32_t index, bool mend)
{
	struct weir_stage1 *tables = table->tables;
	const uint64_t entry = weir_entry_read(table, index);
	struct weir_stage1_table *below;
	int error;

	if (!entry)
		return 0;
	if (weir_entry_is_page(tables, entry, table->level))
		return table->level <= tables->largest
			       ? 0
			       : weir_fail(-EPROTO, "a page of stage 1 is larger than these tables have");
	error = claim_table(tables, entry & tables->bits.address, table->level - 1, &below);
	if (error)
		return error;
	below->link = &table->entries[index];
	atomic_store_explicit(&table->below[index], below, memory_order_release);
	below->broken = !(entry & WEIR_ENTRY_VALID);
	return below->broken && !(mend && tables->bits.break_before_make)
		       ? weir_fail(-EPROTO, "a table of stage 1 is half made")
		       : 0;
}

/* A level after the other, from above; what is claimed is in its place, for who fails to give back. */
static int claim_all(struct weir_stage1_table *table, bool mend)
{
	int error = 0;

	for (uint32_t i = 0; table->level && i < WEIR_STAGE1_ENTRIES && !error; i++) {
		struct weir_stage1_table *below;

		error = claim_below(table, i, mend);
		below = weir_table_below(table, i);
		if (!error && below)
			error = claim_all(below, mend);
	}
	return error;
}

/* The other half of break before make: an entry is valid again when nobody remembers the block that was there. */
static void make_whole(struct weir_stage1_table *table, struct weir_inval *changes)
{
	for (uint32_t i = 0; table->level && i < WEIR_STAGE1_ENTRIES; i++) {
		struct weir_stage1_table *below = weir_table_below(table, i);

		if (!below)
			continue;
		if (below->broken)
			weir_inval_later(changes, &below->later);
		make_whole(below, changes);
	}
}

static int claim_context(struct weir_stage1 *tables, uint64_t descriptor)
{
	int error;

	if (!tables->bits.has_asid)
		return descriptor ? weir_fail(-EPROTO, "%s has no context descriptor", tables->bits.name) : 0;
	error = claim_page(tables, descriptor, &tables->context);
	if (error)
		return error;
	tables->info.descriptor = descriptor;
	tables->info.num_pages++;
	return 0;
}

int weir_stage1_claim(struct weir_memory *memory, const struct weir_stage1_opts *opts, uint64_t root,
		      uint64_t descriptor, struct weir_inval *changes, struct weir_stage1 **ret_tables)
{
	struct weir_first first = { 0 };
	struct weir_stage1 *tables;
	int error = weir_stage1_new(memory, opts, &tables);

	if (error)
		return error;
	error = claim_table(tables, root, tables->top, &tables->root);
	if (!error) {
		tables->info.root = root;
		error = claim_context(tables, descriptor);
	}
	if (!error)
		error = claim_all(tables->root, changes != NULL);
	if (!error) {
		make_whole(tables->root, changes);
		*ret_tables = tables;
		return 0;
	}
	weir_first_note(&first, error);
	weir_stage1_close(tables);
	return weir_first_error(&first);
}

static void forget_table(struct weir_stage1_table *table)
{
	for (uint32_t i = 0; table->level && i < WEIR_STAGE1_ENTRIES; i++) {
		struct weir_stage1_table *below = weir_table_below(table, i);

		if (below)
			forget_table(below);
	}
	free(table);
}

void weir_stage1_forget(struct weir_stage1 *tables)
{
	if (!tables)
		return;
	forget_table(tables->root);
	pthread_mutex_destroy(&tables->lock);
	free(tables);
}
