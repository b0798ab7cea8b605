// SPDX-License-Identifier: MIT
/*
 * I/O address spaces: made, asked and closed. Mappings are in map.c, devices' coming and going in attach.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "ioas/address.h"
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

static void gather_shadows(struct weir_ioas *ioas)
{
	ioas->num_shadows = 0;
	if (!ioas->space.live)
		return;
	for (const struct weir_group *group = ioas->host->kernel.groups; group; group = group->next)
		for (uint32_t i = 0; group->space == &ioas->space && i < group->num_shadows; i++)
			ioas->num_shadows = weir_spans_add(ioas->shadows, ioas->num_shadows,
							   WEIR_MOST_SHADOWS, group->shadows[i]);
}

void weir_ioas_follow_geometry(struct weir_ioas *ioas)
{
	struct weir_choice choice;

	gather_shadows(ioas);
	choice.ranges = weir_ioas_allowed(ioas, &choice.num);
	choice.shadows = ioas->shadows;
	choice.num_shadows = ioas->num_shadows;
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

int weir_ioas_open_with(struct weir_host *host, const struct weir_ioas_opts *opts,
			const struct weir_space_ops *ops, void *layer, struct weir_ioas **ret_ioas)
{
	struct weir_ioas_opts o;
	struct weir_ioas *ioas;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	if (o.flags & ~(WEIR_IOAS_LOOKUP | WEIR_IOAS_PROBE))
		return weir_fail(-EINVAL, "unknown flags %#x",
				 o.flags & ~(WEIR_IOAS_LOOKUP | WEIR_IOAS_PROBE));
	if (o.address_bits && (o.address_bits < 12 || o.address_bits > 64))
		return weir_fail(-EINVAL, "address_bits is %u; it can be 12 to 64", o.address_bits);
	ioas = new_ioas(o.flags);
	if (!ioas)
		return weir_fail(-ENOMEM, "no memory for an address space");
	ioas->host = host;
	ioas->address_bits = o.address_bits ? o.address_bits : 64;
	ioas->device_bits = 64;
	ioas->probes = (o.flags & WEIR_IOAS_PROBE) && host->kernel.ops->device_memory;
	ioas->limit = weir_last_address(ioas->address_bits);
	ioas->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	ioas->space.ops = ops;
	ioas->space.layer = layer;
	ioas->space.real = &ioas->space;
	ioas->space.kernel = &host->kernel;
	weir_ioas_follow_geometry(ioas);
	error = ioas->space.ops->open(&ioas->space);
	if (error) {
		free_ioas(ioas);
		return error;
	}
	weir_gate_init(&ioas->gate);
	pthread_mutex_lock(&host->lock);
	host->num_spaces++;
	pthread_mutex_unlock(&host->lock);
	*ret_ioas = ioas;
	return 0;
}

static const char *attached_device(const struct weir_ioas *ioas)
{
	for (const struct weir_group *group = ioas->host->kernel.groups; group; group = group->next)
		if (group->space == ioas->space.real)
			return group->functions->address;
	return "a device";
}

static int close_held(struct weir_ioas *ioas)
{
	int error = 0;

	for (struct weir_map *map = NULL; (map = weir_ioas_next_map(ioas, map));)
		if (map->held && weir_held_put(map->held)) {
			if (map->held->window)
				weir_window_closing(map->held);
			error = weir_held_close(ioas->host->kernel.sys, map->held, error);
		}
	return error;
}

int weir_ioas_check_unused(const struct weir_ioas *ioas)
{
	if (ioas->space.num_functions)
		return weir_fail(-EBUSY, "%s is attached to this address space: close it first",
				 attached_device(ioas));
	if (ioas->num_memories)
		return weir_fail(-EBUSY, "%u weir_memory in this address space: close or unshare it first",
				 ioas->num_memories);
	if (weir_space_table(&ioas->space))
		return weir_fail(-EBUSY, "%s is open over this address space: close it first",
				 weir_space_table(&ioas->space));
	return 0;
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
	error = weir_ioas_check_unused(ioas);
	pthread_mutex_unlock(&host->lock);
	if (error)
		return error;
	/* Not live, so the kernel holds none of the mappings. */
	weir_first_note(&first, close_held(ioas));
	weir_first_note(&first, ioas->space.ops->close(&ioas->space));
	weir_gate_finish(&ioas->gate);
	free_ioas(ioas);
	/* Last of all: from here on the host may be closed. */
	pthread_mutex_lock(&host->lock);
	host->num_spaces -= !inner;
	pthread_mutex_unlock(&host->lock);
	return weir_first_error(&first);
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
