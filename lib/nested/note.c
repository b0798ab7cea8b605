// SPDX-License-Identifier: MIT
/* What the journal says of nested spaces. */
#include "faultq/queue.h"
#include "journal/journal.h"
#include "memory/memory.h"
#include "nested/nested.h"

static struct weir_slot_space *slot_of(const struct weir_space *space)
{
	return space->number ? weir_journal_at(space->kernel->journal, WEIR_JOURNAL_SPACES, space->number)
			     : NULL;
}

void weir_nested_space_note(const struct weir_space *space)
{
	const struct weir_nested_space *nested = space->layer;
	const struct weir_nested_space_opts *o = &nested->opts;
	struct weir_slot_space *slot = slot_of(space);

	if (!slot)
		return;
	slot->stage2 = nested->stage2->space.number;
	slot->ordinary = nested->ordinary ? nested->ordinary->space.number : 0;
	slot->memory = nested->memory->number;
	slot->faultq = o->faultq ? o->faultq->noted : 0;
	slot->mode = o->mode;
	slot->format = o->format;
	slot->largest_page = o->largest_page;
	slot->policy = o->policy;
	slot->defer = o->defer;
	slot->defer_bytes = o->defer_bytes;
	slot->tables_format = slot->tables_largest_page = 0;
	slot->root = slot->descriptor = 0;
}

void weir_nested_space_note_tables(const struct weir_nested_space *nested)
{
	struct weir_slot_space *slot = slot_of(&nested->ioas->space);
	struct weir_stage1_info info;

	if (!slot)
		return;
	weir_stage1_info(nested->tables, &info, sizeof(info));
	slot->tables_format = nested->format;
	slot->tables_largest_page = nested->largest_page;
	slot->root = info.root;
	slot->descriptor = info.descriptor;
}
