// SPDX-License-Identifier: MIT
/*
 * Nested spaces that were handed over. The journal says what the second stage maps and what the space maps; the tables in between are read, and have to agree. So what leads
 * to which piece need not be described. What the tables have beside that, a predecessor that was killed had begun or was about to end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "domain/domain.h"
#include "error.h"
#include "inval/inval.h"
#include "journal/layout.h"
#include "memory/memory.h"
#include "nested/nested.h"
#include "stage1/stage1.h"

/* Its parts ---------------------------------------------------------------------------------------------------------- */

static int check_options(const struct weir_slot_space *slot)
{
	if (slot->mode > WEIR_NESTED_SHADOW || slot->format > WEIR_STAGE1_MOCK ||
	    slot->policy > WEIR_INVAL_ONCE || slot->defer > WEIR_INVAL_MOST ||
	    slot->flags & ~WEIR_IOAS_LOOKUP)
		return weir_fail(-EPROTO, "the options of a nested space make no sense");
	return 0;
}

int weir_nested_space_adopt(struct weir_host *host, const struct weir_slot_space *slot, uint32_t number,
			    struct weir_ioas *stage2, struct weir_ioas *ordinary, struct weir_faultq *faultq,
			    struct weir_ioas **ret_ioas)
{
	const struct weir_nested_space_opts o = { .size = sizeof(o),
						  .mode = slot->mode,
						  .format = slot->format,
						  .ioas_flags = slot->flags,
						  .policy = slot->policy,
						  .address_bits = slot->address_bits,
						  .largest_page = slot->largest_page,
						  .defer = slot->defer,
						  .defer_bytes = slot->defer_bytes,
						  .faultq = faultq };
	const struct weir_ioas_opts ioas_opts = { .size = sizeof(ioas_opts),
						  .flags = slot->flags,
						  .address_bits = slot->address_bits };
	struct weir_nested_space *nested;
	int error = check_options(slot);

	if (error)
		return error;
	nested = weir_nested_space_new(host, &o);
	if (!nested)
		return weir_fail(-ENOMEM, "no memory for a nested space");
	nested->stage2 = stage2;
	nested->ordinary = ordinary;
	weir_pieces_init(&nested->pieces, stage2);
	error = weir_nested_space_open_batches(nested);
	if (!error)
		error = weir_ioas_adopt_with(host, &ioas_opts, &weir_nested_ops, nested, number, 0,
					     &nested->ioas);
	if (error) {
		weir_inval_close(nested->filled);
		weir_inval_close(nested->spare);
		weir_nested_space_free(nested);
		return error;
	}
	weir_nested_space_set_leaving(nested);
	*ret_ioas = nested->ioas;
	return 0;
}

/* A space with a device is made of hardware: shadows are not carried. */
void weir_nested_space_adopt_function(struct weir_ioas *ioas)
{
	struct weir_nested_space *nested = ioas->space.layer;

	nested->mode = WEIR_NESTED_HARDWARE;
	ioas->space.num_functions++;
	ioas->space.live = true;
	ioas->space.real = &nested->stage2->space;
	weir_ioas_adopt_function(nested->stage2, 64);
}

static int find_domains(struct weir_nested_space *nested)
{
	for (struct weir_table *table = nested->stage2->space.tables; table; table = table->next) {
		struct weir_kernel_domain *domain = weir_kernel_domain(table->domain);

		if (!table->parent && table->num_nested == 1)
			continue;
		if (!table->parent || nested->num_domains == WEIR_NESTED_MOST_DOMAINS)
			return weir_fail(-EPROTO, "a nested space has other domains than it can have");
		nested->parents[nested->num_domains] = &domain->parent->domain;
		nested->domains[nested->num_domains++] = &domain->domain;
	}
	return 0;
}

static int check_devices(const struct weir_nested_space *nested)
{
	for (const struct weir_group *group = nested->host->kernel.groups; group; group = group->next) {
		const struct weir_attachment *attachment =
			weir_attachment_find(group->functions, WEIR_NO_PASID);

		if (group->space == &nested->stage2->space && (!attachment || !attachment->table->parent))
			return weir_fail(-EPROTO, "a device of a nested space is in none of its domains");
	}
	return 0;
}

/* Its mappings ------------------------------------------------------------------------------------------------------- */

static int adopt_pieces(struct weir_nested_space *nested)
{
	int error = 0;

	for (struct weir_map *map = NULL; !error && (map = weir_ioas_next_map(nested->stage2, map));)
		if (!(map->prot & WEIR_MAP_OWN))
			error = weir_pieces_adopt(&nested->pieces, map);
	return error;
}

/* All of it is in the tables, and leads where it should. */
static int count_map(struct weir_nested_space *nested, const struct weir_map *map)
{
	const uint64_t start = weir_map_start(map), last = weir_map_last(map);
	struct weir_stage1_stretch stretch;
	int error = 0;

	for (uint64_t iova = start; !error;) {
		struct weir_backing backing = map->backing;

		if (!weir_stage1_next(nested->tables, iova, last, last, &stretch) || stretch.iova != iova)
			return weir_fail(-EPROTO, "IOVA %#" PRIx64 " leads nowhere, but is mapped", iova);
		backing.addr = (char *)backing.addr + (iova - start);
		error = weir_pieces_count(&nested->pieces, &backing, iova, stretch.ipa, stretch.len);
		if (last - iova < stretch.len)
			break;
		iova += stretch.len;
	}
	return error;
}

static int count_maps(struct weir_nested_space *nested)
{
	int error = 0;

	for (struct weir_map *map = NULL; !error && (map = weir_ioas_next_map(nested->ioas, map));)
		error = weir_nested_space_fits(nested, map) ? count_map(nested, map)
							    : weir_fail(-EPROTO,
									"the mapping at IOVA %#" PRIx64
									" lies where devices cannot reach",
									weir_map_start(map));
	return error;
}

static int claim_tables(struct weir_nested_space *nested, const struct weir_slot_space *slot)
{
	const struct weir_stage1_opts opts = { .size = sizeof(opts),
					       .format = slot->tables_format,
					       .largest_page = slot->tables_largest_page };
	int error = weir_stage1_claim(nested->memory, &opts, slot->root, slot->descriptor, nested->filled,
				      &nested->tables);

	if (error)
		return error == -EINVAL ? weir_fail_within(-EPROTO, "the tables of a nested space") : error;
	nested->format = slot->tables_format;
	nested->largest_page = slot->tables_largest_page;
	return 0;
}

int weir_nested_space_adopted(struct weir_ioas *ioas, const struct weir_slot_space *slot,
			      struct weir_memory *memory)
{
	struct weir_nested_space *nested = ioas->space.layer;
	int error;

	if (!memory || memory->spaces[0] != nested->stage2)
		return weir_fail(-EPROTO, "a nested space has no memory for tables");
	nested->memory = memory;
	error = adopt_pieces(nested);
	if (error || !ioas->space.live)
		return error;
	error = find_domains(nested);
	if (!error)
		error = check_devices(nested);
	if (!error)
		error = claim_tables(nested, slot);
	if (!error)
		error = weir_nested_space_follow_geometry(nested);
	if (!error)
		error = count_maps(nested);
	if (!error)
		weir_ioas_follow_geometry(ioas);
	return error;
}

/* What was only begun ------------------------------------------------------------------------------------------------ */

/* Entries of the range that lie in no mapping: what they lead to is not known, and goes with what describes it. */
static int clear_range(struct weir_nested_space *nested, uint64_t iova, uint64_t last)
{
	struct weir_stage1_stretch stretch;
	int error = 0;

	while (!error && iova <= last && weir_stage1_next(nested->tables, iova, last, last, &stretch)) {
		const struct weir_map *map = weir_ioas_map_from(nested->ioas, stretch.iova);
		uint64_t end = stretch.iova + (stretch.len - 1);

		if (map && weir_map_start(map) <= stretch.iova) {
			end = weir_map_last(map);
		} else {
			if (map && weir_map_start(map) <= end)
				end = weir_map_start(map) - 1;
			error = weir_stage1_unmap(nested->tables, stretch.iova, end - stretch.iova + 1,
						  nested->filled);
		}
		if (end >= last)
			break;
		iova = end + 1;
	}
	return error;
}

int weir_nested_space_clear(struct weir_ioas *ioas, bool forget_all)
{
	struct weir_nested_space *nested = ioas->space.layer;
	const struct weir_geometry *geometry = &ioas->space.geometry;
	int error = 0;

	if (!ioas->space.live)
		return 0;
	for (uint32_t i = 0; i < geometry->num_ranges && !error; i++)
		error = clear_range(nested, geometry->ranges[i].start, geometry->ranges[i].last);
	if (!error && forget_all)
		error = weir_inval_all(nested->filled);
	return error ? error : weir_nested_space_run(nested);
}

int weir_nested_space_flush(struct weir_ioas *ioas)
{
	struct weir_nested_space *nested = ioas->space.layer;
	int error = nested->num_domains ? weir_nested_space_run(nested) : 0;

	return error ? weir_fail_within(-EBUSY, "devices could not be made to forget what was unmapped") : 0;
}

/* What waits in a batch is forgotten with the rest: that is not to be carried out. */
static void end_batch(struct weir_inval *batch)
{
	if (!batch)
		return;
	batch->waiting = NULL;
	batch->last_waiting = &batch->waiting;
	weir_inval_drop(batch);
	weir_inval_close(batch);
}

/* Threads that do not know yet may come still, and find nothing to do: where there may be such, the space stays. */
void weir_nested_space_let_go(struct weir_space *space)
{
	struct weir_nested_space *nested = space->layer;
	struct weir_tree_node *node;

	while ((node = weir_tree_at_or_above(&nested->pieces.by_ipa, 0)))
		weir_pieces_let_go(&nested->pieces, (struct weir_piece *)node);
	weir_stage1_forget(nested->tables);
	nested->tables = NULL;
	nested->num_domains = 0;
	if (nested->host->kernel.journal->stale)
		return;
	end_batch(nested->filled);
	end_batch(nested->spare);
	pthread_mutex_destroy(&nested->pieces.lock);
	/* The queue is let go of as well, and may be gone. */
	nested->opts.faultq = NULL;
	weir_nested_space_free(nested);
}
