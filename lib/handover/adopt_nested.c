// SPDX-License-Identifier: MIT
/* Nested spaces that were handed over: their parts are ordinary spaces and memories, adopted as such. */
#include <errno.h>
#include <inttypes.h>

#include "backend/table.h"
#include "domain/domain.h"
#include "error.h"
#include "handover/adopt.h"
#include "nested/nested.h"

/* An inner space that is nobody's yet is the nested space's. */
static struct weir_ioas *take_part(const struct adoption *adoption, uint32_t number)
{
	const struct weir_slot_space *slot =
		weir_described_in_force(adoption->description, WEIR_JOURNAL_SPACES, number);
	struct weir_ioas *part = slot ? weir_adoption_space(adoption, number) : NULL;

	if (!part || slot->kind != WEIR_SLOT_SPACE_INNER || part->inner)
		return NULL;
	weir_ioas_set_inner(part);
	return part;
}

static int adopt_nested_space(struct adoption *adoption, const struct weir_slot_space *slot, uint32_t number)
{
	struct weir_ioas *stage2 = take_part(adoption, slot->stage2);
	struct weir_ioas *ordinary = slot->ordinary ? take_part(adoption, slot->ordinary) : NULL;

	struct weir_faultq *faultq = weir_adoption_faultq(adoption, slot->faultq);

	if (slot->faultq && (!faultq || slot->mode != WEIR_NESTED_HARDWARE))
		return weir_fail(-EPROTO, "page requests of nested space %" PRIu32 " go to no queue", number);
	if (!stage2 || (slot->ordinary && !ordinary))
		return weir_fail(-EPROTO, "nested space %" PRIu32 " has no parts, or another's", number);
	return weir_nested_space_adopt(adoption->host, slot, number, stage2, ordinary, faultq,
				       &adoption->spaces[number]);
}

/* A predecessor was killed before they were a nested space's, or when they were no longer. */
static void drop_orphans(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_SPACES]; number++) {
		struct weir_slot_space *slot =
			weir_described_in_force(description, WEIR_JOURNAL_SPACES, number);
		struct weir_ioas *ioas = slot ? adoption->spaces[number] : NULL;

		if (!ioas || slot->kind != WEIR_SLOT_SPACE_INNER || ioas->inner)
			continue;
		weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
		adoption->spaces[number] = NULL;
		pthread_mutex_lock(&adoption->host->lock);
		weir_ioas_let_go(ioas);
		pthread_mutex_unlock(&adoption->host->lock);
	}
}

int weir_adoption_nested_spaces(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_SPACES] && !error; number++) {
		const struct weir_slot_space *slot =
			weir_described_in_force(description, WEIR_JOURNAL_SPACES, number);

		if (slot && slot->kind == WEIR_SLOT_SPACE_NESTED)
			error = adopt_nested_space(adoption, slot, number);
	}
	if (!error)
		drop_orphans(adoption);
	return error;
}

struct weir_ioas *weir_adoption_outer(const struct adoption *adoption, struct weir_ioas *ioas)
{
	struct weir_ioas *outer = adoption->host->spaces;

	if (!ioas->inner)
		return ioas->space.layer ? NULL : ioas;
	while (outer &&
	       !(outer->space.layer && ((struct weir_nested_space *)outer->space.layer)->stage2 == ioas))
		outer = outer->next;
	return outer;
}

/* Tables --------------------------------------------------------------------------------------------------------- */

/* Without a device it has none: a predecessor was killed that had made them, or was about to end them. */
static void drop_domains(struct adoption *adoption, struct weir_ioas *stage2)
{
	const struct weir_description *description = adoption->description;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_VIOMMUS]; number++) {
		struct weir_slot_viommu *slot =
			weir_described_in_force(description, WEIR_JOURNAL_VIOMMUS, number);
		const struct weir_domain *parent = slot ? adoption->domains[slot->parent] : NULL;

		if (parent && ((const struct weir_kernel_domain *)parent)->ioas == stage2)
			weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
	}
	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_DOMAINS]; number++) {
		struct weir_slot_domain *slot = weir_described(description, WEIR_JOURNAL_DOMAINS, number);
		const struct weir_domain *domain = adoption->domains[number];

		if (!domain || ((const struct weir_kernel_domain *)domain)->ioas != stage2)
			continue;
		weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
		adoption->domains[number] = NULL;
	}
	weir_space_let_go_tables(&stage2->space);
}

/* Was something of the space only begun, or about to end? */
static bool has_half(const struct adoption *adoption, uint32_t space)
{
	const struct weir_description *description = adoption->description;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_MAPS]; number++) {
		const struct weir_slot_map *slot = weir_described(description, WEIR_JOURNAL_MAPS, number);

		if (slot->space == space && weir_described_half(slot))
			return true;
	}
	return false;
}

/* Memory in the second stage to which nothing leads: it goes with what else nobody relies on. */
static void drop_idle(struct adoption *adoption, struct weir_nested_space *nested)
{
	struct weir_piece *piece;

	while ((piece = weir_pieces_next_idle(&nested->pieces, 0))) {
		struct weir_map *map = piece->map;
		struct weir_slot_map *slot =
			weir_described(adoption->description, WEIR_JOURNAL_MAPS, map->segment.number);

		weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
		weir_pieces_let_go(&nested->pieces, piece);
		map->segment.number = 0; /* the journal stays as it is */
		weir_gate_lock(&nested->stage2->gate);
		weir_ioas_drop_map(nested->stage2, map, false);
		weir_gate_unlock(&nested->stage2->gate);
	}
}

static int adopt_tables(struct adoption *adoption, const struct weir_slot_space *slot, uint32_t number)
{
	const uint32_t num_memories = adoption->description->used[WEIR_JOURNAL_MEMORIES];
	struct weir_memory *memory =
		slot->memory && slot->memory <= num_memories ? adoption->memories[slot->memory] : NULL;
	struct weir_ioas *ioas = adoption->spaces[number];
	struct weir_nested_space *nested = ioas->space.layer;
	int error;

	if (!ioas->space.live && nested->stage2->space.tables)
		drop_domains(adoption, nested->stage2);
	error = weir_nested_space_adopted(ioas, slot, memory);
	if (!error)
		error = weir_nested_space_clear(ioas, has_half(adoption, number));
	if (!error)
		drop_idle(adoption, nested);
	return error;
}

int weir_adoption_nested_tables(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_SPACES] && !error; number++) {
		const struct weir_slot_space *slot =
			weir_described_in_force(description, WEIR_JOURNAL_SPACES, number);

		if (slot && slot->kind == WEIR_SLOT_SPACE_NESTED)
			error = adopt_tables(adoption, slot, number);
	}
	return error;
}
