// SPDX-License-Identifier: MIT
/* What the journal says of mappings, and of the files that they are of. */
#include "error.h"
#include "ioas/map.h"

static int note_file(struct weir_journal *journal, struct weir_held *held, struct weir_backing *backing,
		     uint32_t prot)
{
	struct weir_slot_file *slot;
	uint32_t number = 0;
	int error = weir_journal_take(journal, WEIR_JOURNAL_FILES, &number);

	if (error)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_FILES, number);
	slot->offset = backing->offset - (uint64_t)((char *)backing->addr - (char *)held->base);
	slot->len = held->len;
	slot->page_size = 0;
	slot->memory = slot->chunk = 0;
	slot->prot = prot;
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	error = weir_journal_add_fd(journal, held->fd, WEIR_FD_FILE, number, 0);
	if (error) {
		weir_journal_give(journal, WEIR_JOURNAL_FILES, number);
		return error;
	}
	weir_slot_set(&slot->slot, WEIR_SLOT_IN_FORCE);
	held->journal = journal;
	held->number = number;
	backing->file = number;
	return 0;
}

/* That this mapping is the first of. */
static int note_first(struct weir_journal *journal, struct weir_map *map)
{
	struct weir_held *held = map->held;

	if (!held || held->fd < 0 || held->dmabuf || held->window || held->journal ||
	    atomic_load_explicit(&held->users, memory_order_relaxed) != 1)
		return 0;
	return note_file(journal, held, &map->backing, map->prot & (WEIR_MAP_READ | WEIR_MAP_WRITE));
}

void weir_file_forget(struct weir_held *held)
{
	if (!held->number)
		return;
	weir_journal_drop_fds(held->journal, WEIR_FD_FILE, held->number);
	weir_journal_give(held->journal, WEIR_JOURNAL_FILES, held->number);
	held->number = 0;
}

void weir_file_forget_unused(struct weir_held *held)
{
	if (atomic_load_explicit(&held->users, memory_order_acquire) == 1)
		weir_file_forget(held);
}

static uint32_t file_serial(const struct weir_journal *journal, uint32_t file)
{
	const struct weir_slot *slot = file ? weir_journal_at(journal, WEIR_JOURNAL_FILES, file) : NULL;

	return slot ? (uint32_t)slot->serial : 0;
}

int weir_map_note(struct weir_ioas *ioas, struct weir_map *map)
{
	struct weir_journal *journal = ioas->space.kernel->journal;
	struct weir_slot_map *slot;
	uint32_t number = 0;
	int error;

	map->segment.number = 0;
	if (!ioas->space.number)
		return 0;
	error = weir_journal_take(journal, WEIR_JOURNAL_MAPS, &number);
	if (error)
		return error;
	error = note_first(journal, map);
	if (error) {
		weir_journal_give(journal, WEIR_JOURNAL_MAPS, number);
		return error;
	}
	map->segment.number = number;
	slot = weir_journal_at(journal, WEIR_JOURNAL_MAPS, number);
	slot->iova = weir_map_start(map);
	slot->len = weir_map_size(map);
	slot->offset = map->backing.offset;
	slot->space = ioas->space.number;
	slot->file = map->backing.file;
	slot->prot = map->prot & ~WEIR_MAP_TENDED;
	slot->file_serial = file_serial(journal, map->backing.file);
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

void weir_map_mark(const struct weir_map *map, enum weir_slot_state state)
{
	weir_journal_mark(map->ioas->space.kernel->journal, WEIR_JOURNAL_MAPS, map->segment.number, state);
}

void weir_map_forget(struct weir_ioas *ioas, struct weir_map *map, bool lost)
{
	struct weir_journal *journal = ioas->space.kernel->journal;

	/* What the kernel failed to unmap is for whoever comes after us to unmap. */
	if (!lost)
		weir_journal_give(journal, WEIR_JOURNAL_MAPS, map->segment.number);
}
