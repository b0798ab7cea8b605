// SPDX-License-Identifier: MIT
/*
 * I/O address spaces: made, asked and closed. Mappings are in map.c, devices' coming and going in attach.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/follow.h"
#include "error.h"
#include "ioas/map.h"
#include "ioas/window.h"
#include "spans.h"

/*
 * Where IOVAs are chosen before a device has told what it can reach: clear of the interrupt windows
 * (0xfee00000 on x86, 0x08000000 on Arm), and below the 39 bits that every IOMMU in use translates.
 */
static const struct weir_iova_range cautious[] = {
	{ 0x100000, 0x7ffffff },
	{ 0x100000000, 0x7fffffffff },
};

const struct weir_iova_range *weir_ioas_allowed(const struct weir_ioas *ioas, uint32_t *ret_num)
{
	if (ioas->space.live) {
		*ret_num = ioas->space.geometry.num_ranges;
		return ioas->space.geometry.ranges;
	}
	*ret_num = sizeof(cautious) / sizeof(cautious[0]);
	return cautious;
}

static void gather_diverted(struct weir_ioas *ioas)
{
	ioas->num_diverted = 0;
	if (!ioas->space.live)
		return;
	for (const struct weir_group *group = ioas->host->kernel.groups; group; group = group->next)
		for (uint32_t i = 0; group->space == &ioas->space && i < group->num_diverted; i++)
			ioas->num_diverted = weir_spans_add(ioas->diverted, ioas->num_diverted,
							    WEIR_MOST_DIVERTED, group->diverted[i]);
}

void weir_ioas_follow_geometry(struct weir_ioas *ioas)
{
	struct weir_choice choice;

	gather_diverted(ioas);
	choice.ranges = weir_ioas_allowed(ioas, &choice.num);
	choice.diverted = ioas->diverted;
	choice.num_diverted = ioas->num_diverted;
	ioas->grain = ioas->page_size;
	if (ioas->space.live && ioas->space.geometry.alignment > ioas->grain)
		ioas->grain = ioas->space.geometry.alignment;
	weir_iova_allow_choice(&ioas->iova, &choice, ioas->grain);
}

/* What is taken at @segment or further on, if it is a mapping. */
static struct weir_map *map_from(const struct weir_ioas *ioas, struct weir_segment *segment,
				 struct weir_segment *(*further)(const struct weir_segment *segment))
{
	for (; segment != &ioas->iova.edge; segment = further(segment)) {
		struct weir_map *map = (struct weir_map *)segment;

		if (atomic_load_explicit(&map->state, memory_order_relaxed) != WEIR_MAP_LOST)
			return map;
	}
	return NULL;
}

struct weir_map *weir_ioas_next_map(const struct weir_ioas *ioas, const struct weir_map *map)
{
	return map_from(ioas, weir_iova_above(map ? &map->segment : &ioas->iova.edge), weir_iova_above);
}

struct weir_map *weir_ioas_highest_map(const struct weir_ioas *ioas)
{
	return map_from(ioas, weir_iova_below(&ioas->iova.edge), weir_iova_below);
}

static struct weir_ioas *new_ioas(uint32_t flags)
{
	struct weir_ioas *ioas = calloc(1, sizeof(*ioas));

	if (!ioas)
		return NULL;
	ioas->view = (struct weir_ioas_view){ .memory = &weir_lookup_nothing, .iova = &weir_lookup_nothing };
	if ((flags & WEIR_IOAS_LOOKUP) && weir_addresses_open(ioas)) {
		free(ioas);
		return NULL;
	}
	if (weir_iova_init(&ioas->iova, sizeof(struct weir_map))) {
		weir_addresses_close(ioas);
		free(ioas);
		return NULL;
	}
	return ioas;
}

static void free_ioas(struct weir_ioas *ioas)
{
	weir_addresses_close(ioas);
	weir_iova_finish(&ioas->iova);
	weir_geometry_free(&ioas->space.geometry);
	free(ioas);
}

int weir_ioas_open(struct weir_host *host, const struct weir_ioas_opts *opts, struct weir_ioas **ret_ioas)
{
	return weir_ioas_open_with(host, opts, host->kernel.ops->space, NULL, ret_ioas);
}

static void set_up(struct weir_ioas *ioas, struct weir_host *host, const struct weir_ioas_opts *o,
		   const struct weir_space_ops *ops)
{
	ioas->host = host;
	ioas->address_bits = o->address_bits ? o->address_bits : 64;
	ioas->device_bits = 64;
	ioas->probes = (o->flags & WEIR_IOAS_PROBE) && host->kernel.ops->device_memory;
	ioas->limit = weir_last_address(ioas->address_bits);
	ioas->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	ioas->space.ops = ops;
	ioas->space.wants_dirty = o->flags & WEIR_IOAS_DIRTY;
	ioas->space.real = &ioas->space;
	ioas->space.kernel = &host->kernel;
	weir_ioas_follow_geometry(ioas);
}

static void join_host(struct weir_ioas *ioas)
{
	struct weir_host *host = ioas->host;

	weir_gate_init(&ioas->gate);
	pthread_mutex_lock(&host->lock);
	host->num_spaces += !ioas->inner;
	ioas->next = host->spaces;
	host->spaces = ioas;
	pthread_mutex_unlock(&host->lock);
}

int weir_ioas_adopt(struct weir_host *host, const struct weir_ioas_opts *opts, uint32_t number, uint32_t id,
		    struct weir_ioas **ret_ioas)
{
	return weir_ioas_adopt_with(host, opts, host->kernel.ops->space, NULL, number, id, ret_ioas);
}

int weir_ioas_adopt_with(struct weir_host *host, const struct weir_ioas_opts *opts,
			 const struct weir_space_ops *ops, void *layer, uint32_t number, uint32_t id,
			 struct weir_ioas **ret_ioas)
{
	struct weir_ioas *ioas = new_ioas(opts->flags);

	if (!ioas)
		return weir_fail(-ENOMEM, "no memory for an address space");
	set_up(ioas, host, opts, ops);
	ioas->space.layer = layer;
	ioas->space.number = number;
	ioas->space.ioas = id;
	ioas->space.container = -1;
	join_host(ioas);
	*ret_ioas = ioas;
	return 0;
}

void weir_ioas_set_inner(struct weir_ioas *ioas)
{
	pthread_mutex_lock(&ioas->host->lock);
	ioas->inner = true;
	ioas->host->num_spaces--;
	pthread_mutex_unlock(&ioas->host->lock);
}

static int note_space(struct weir_ioas *ioas, const struct weir_ioas_opts *o)
{
	struct weir_journal *journal = ioas->host->kernel.journal;
	struct weir_slot_space *slot;
	int error;

	error = weir_journal_take(journal, WEIR_JOURNAL_SPACES, &ioas->space.number);
	if (error)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_SPACES, ioas->space.number);
	slot->flags = o->flags;
	slot->address_bits = ioas->address_bits;
	slot->ioas = 0;
	slot->kind = ioas->inner         ? WEIR_SLOT_SPACE_INNER
		     : ioas->space.layer ? WEIR_SLOT_SPACE_NESTED
					 : WEIR_SLOT_SPACE_ORDINARY;
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

static void note_closed(struct weir_ioas *ioas)
{
	weir_journal_give(ioas->host->kernel.journal, WEIR_JOURNAL_SPACES, ioas->space.number);
}

static void note_opened(struct weir_ioas *ioas, int error)
{
	struct weir_slot_space *slot;

	if (error) {
		note_closed(ioas);
		return;
	}
	slot = weir_journal_at(ioas->host->kernel.journal, WEIR_JOURNAL_SPACES, ioas->space.number);
	slot->ioas = ioas->space.ioas;
	weir_slot_set(&slot->slot, WEIR_SLOT_IN_FORCE);
}

static int open_space(struct weir_host *host, const struct weir_ioas_opts *opts,
		      const struct weir_space_ops *ops, void *layer, bool inner, struct weir_ioas **ret_ioas)
{
	const uint32_t known = WEIR_IOAS_LOOKUP | WEIR_IOAS_PROBE | WEIR_IOAS_DIRTY;
	struct weir_ioas_opts o;
	struct weir_ioas *ioas;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	if (o.flags & ~known)
		return weir_fail(-EINVAL, "unknown flags %#x", o.flags & ~known);
	if (o.address_bits && (o.address_bits < 12 || o.address_bits > 64))
		return weir_fail(-EINVAL, "address_bits is %u; it can be 12 to 64", o.address_bits);
	ioas = new_ioas(o.flags);
	if (!ioas)
		return weir_fail(-ENOMEM, "no memory for an address space");
	set_up(ioas, host, &o, ops);
	ioas->space.layer = layer;
	ioas->inner = inner;
	error = host->kernel.journal ? note_space(ioas, &o) : 0;
	if (!error)
		error = ioas->space.ops->open(&ioas->space);
	if (host->kernel.journal)
		note_opened(ioas, error);
	if (error) {
		free_ioas(ioas);
		return error;
	}
	join_host(ioas);
	*ret_ioas = ioas;
	return 0;
}

int weir_ioas_open_with(struct weir_host *host, const struct weir_ioas_opts *opts,
			const struct weir_space_ops *ops, void *layer, struct weir_ioas **ret_ioas)
{
	return open_space(host, opts, ops, layer, false, ret_ioas);
}

int weir_ioas_open_inner(struct weir_host *host, struct weir_ioas **ret_ioas)
{
	return open_space(host, NULL, host->kernel.ops->space, NULL, true, ret_ioas);
}

static const char *attached_device(const struct weir_ioas *ioas)
{
	for (const struct weir_group *group = ioas->host->kernel.groups; group; group = group->next)
		if (group->space == ioas->space.real)
			return group->functions->address;
	return "a device";
}

/* From now on nobody gets hold of it (share.c). */
static void park_held(struct weir_ioas *ioas, struct weir_held *held)
{
	weir_gate_lock(&ioas->gate);
	atomic_store_explicit(&held->parked, true, memory_order_relaxed);
	weir_gate_unlock(&ioas->gate);
}

/* What is held for its mappings; @parks: these stay, and so does that, when it has ended. */
static int close_held(struct weir_ioas *ioas, bool parks)
{
	int error = 0;

	for (struct weir_map *map = NULL; (map = weir_ioas_next_map(ioas, map));) {
		struct weir_held *held = map->held;

		/* Before it is put: whoever is the last to do that looks. */
		if (held && parks)
			park_held(ioas, held);
		if (!held || !weir_held_put(held))
			continue;
		if (held->window)
			weir_window_closing(held);
		error = weir_held_close(ioas->host->kernel.sys, held, error);
	}
	return error;
}

static void forget_maps(struct weir_ioas *ioas)
{
	for (struct weir_map *map = NULL; (map = weir_ioas_next_map(ioas, map));)
		weir_map_forget(ioas, map, false);
}

/* -EBUSY, with a text that says who has it open still. The host's lock is held. */
static int check_unused(const struct weir_ioas *ioas)
{
	if (ioas->space.num_functions)
		return weir_fail(-EBUSY, "%s is attached to this address space: close it first",
				 attached_device(ioas));
	if (ioas->num_memories)
		return weir_fail(-EBUSY, "%u weir_memory in this address space: close or unshare it first",
				 ioas->num_memories);
	if (ioas->dirty)
		return weir_fail(-EBUSY, "this address space is tracked: close the weir_dirty first");
	if (ioas->shadowing || ioas->followers)
		return weir_fail(-EBUSY, "a shadow is open over this address space: close it first");
	if (weir_space_table(&ioas->space))
		return weir_fail(-EBUSY, "%s is open over this address space: close it first",
				 weir_space_table(&ioas->space));
	return 0;
}

/* The host's lock is held. */
static void leave_host(const struct weir_ioas *ioas)
{
	struct weir_ioas **link = &ioas->host->spaces;

	while (*link != ioas)
		link = &(*link)->next;
	*link = ioas->next;
}

int weir_ioas_close(struct weir_ioas *ioas)
{
	struct weir_first first = { 0 };
	struct weir_host *host;
	bool inner;
	int error;

	if (!ioas)
		return 0;
	host = ioas->host;
	inner = ioas->inner;
	pthread_mutex_lock(&host->lock);
	error = check_unused(ioas);
	if (!error)
		leave_host(ioas);
	pthread_mutex_unlock(&host->lock);
	if (error)
		return error;
	/* Not live, so the kernel holds none of the mappings. */
	if (host->kernel.journal) {
		weir_journal_mark(host->kernel.journal, WEIR_JOURNAL_SPACES, ioas->space.number,
				  WEIR_SLOT_LEAVING);
		forget_maps(ioas);
	}
	weir_first_note(&first, close_held(ioas, false));
	weir_first_note(&first, ioas->space.ops->close(&ioas->space));
	if (host->kernel.journal)
		note_closed(ioas);
	weir_gate_finish(&ioas->gate);
	free_ioas(ioas);
	/* Last of all: from here on the host may be closed. */
	pthread_mutex_lock(&host->lock);
	host->num_spaces -= !inner;
	pthread_mutex_unlock(&host->lock);
	return weir_first_error(&first);
}

/* Threads that do not know yet that the host is another's may come still, and are told so: what they look at stays. */
static void park(struct weir_ioas *ioas)
{
	struct weir_host *host = ioas->host;

	ioas->space.live = false;
	ioas->next = host->parked;
	host->parked = ioas;
}

/* Whose windows these were has told all that watch them. */
void weir_ioas_let_go(struct weir_ioas *ioas)
{
	struct weir_host *host = ioas->host;
	bool parks = host->kernel.journal && host->kernel.journal->stale;

	for (struct weir_map *map = NULL; (map = weir_ioas_next_map(ioas, map));)
		if (map->held)
			map->held->number = 0;
	close_held(ioas, parks);
	leave_host(ioas);
	weir_space_let_go(&ioas->space);
	host->num_spaces -= !ioas->inner;
	if (parks) {
		park(ioas);
		return;
	}
	weir_gate_finish(&ioas->gate);
	free_ioas(ioas);
}

int weir_ioas_ranges(struct weir_ioas *ioas, struct weir_iova_range *ranges, size_t *num)
{
	const struct weir_iova_range *allowed;
	size_t room = *num, found = 0;
	uint32_t num_allowed;
	uint64_t limit;

	weir_gate_lock_calm(&ioas->gate);
	allowed = weir_ioas_allowed(ioas, &num_allowed);
	limit = ioas->limit;
	for (uint32_t i = 0; i < num_allowed && allowed[i].start <= limit; i++, found++) {
		if (found >= room)
			continue;
		ranges[found] = allowed[i];
		if (ranges[found].last > limit)
			ranges[found].last = limit;
	}
	weir_gate_unlock(&ioas->gate);
	*num = found;
	if (found > room)
		return weir_fail(-ENOSPC, "there are %zu ranges, and room for %zu", found, room);
	return 0;
}

int weir_ioas_info(struct weir_ioas *ioas, struct weir_ioas_info *ret_info, size_t size)
{
	struct weir_ioas_info info = { 0 };

	weir_gate_lock_calm(&ioas->gate);
	info.alignment = ioas->space.live ? ioas->space.geometry.alignment : ioas->page_size;
	info.num_mappings = weir_iova_num_taken(&ioas->iova) - ioas->num_lost;
	info.mapped_bytes = ioas->mapped_bytes;
	info.lost_bytes = ioas->lost_bytes;
	info.max_mappings = ioas->space.live ? ioas->space.geometry.max_mappings : UINT64_MAX;
	info.num_devices = ioas->space.num_functions;
	info.address_bits = weir_ioas_address_bits(ioas);
	weir_gate_unlock(&ioas->gate);
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}
