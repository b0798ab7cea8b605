// SPDX-License-Identifier: MIT
/* What cannot be carried: told by name, and dropped for the time of a hand-over if that is wanted. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backend/follow.h"
#include "device/region.h"
#include "domain/domain.h"
#include "error.h"
#include "handover/handover.h"
#include "ioas/map.h"
#include "ioas/window.h"
#include "nested/nested.h"

static bool is_chunk(const struct weir_map *map)
{
	const struct weir_slot_file *file =
		weir_journal_at(map->ioas->host->kernel.journal, WEIR_JOURNAL_FILES, map->backing.file);

	return file->memory != 0;
}

bool weir_handover_is_carried(const struct weir_map *map)
{
	if (!map->segment.number || !map->backing.file || (map->held && map->held->window))
		return false;
	return !(map->prot & WEIR_MAP_OWN) || is_chunk(map);
}

/* What is in two stages is not dropped. */
static bool is_nested(const struct weir_ioas *ioas)
{
	return ioas->space.layer || ioas->inner;
}

/* Which flag drops it; 0: none. */
static uint32_t dropped_by(const struct weir_map *map)
{
	if (is_nested(map->ioas))
		return 0;
	if (map->held && map->held->window)
		return WEIR_HANDOVER_DROP_PEERS;
	return map->prot & WEIR_MAP_OWN ? 0 : WEIR_HANDOVER_DROP_MAPS;
}

struct reporter {
	weir_handover_report *report;
	void *ctx;
	uint32_t flags; /* what these drop is no trouble */
	uint64_t num;
	char first[256];
};

static void tell(struct reporter *reporter, const char *what)
{
	if (!reporter->num++)
		snprintf(reporter->first, sizeof(reporter->first), "%s", what);
	if (reporter->report)
		reporter->report(reporter->ctx, what);
}

static void tell_map(struct reporter *reporter, const struct weir_map *map)
{
	const char *why = "memory of this process alone: map a file instead (weir_memory, "
			  "weir_ioas_map_file()), unmap it, "
			  "or give WEIR_HANDOVER_DROP_MAPS";
	char text[256];

	if (map->ioas->inner)
		why = "memory of this process alone, in the second stage of a nested space: unmap it "
		      "there, or take it back with weir_nested_space_unkeep()";
	else if (map->ioas->space.layer && map->backing.fd < 0)
		why = "memory of this process alone, in a nested space: map a file instead, or unmap it";
	else if (map->ioas->space.layer && map->held && map->held->window)
		why = "a window of a device in a nested space: close it";
	else if (map->held && map->held->window)
		why = "a window of a device: close it, or give WEIR_HANDOVER_DROP_PEERS and have the "
		      "successor import it "
		      "again";
	else if (map->prot & WEIR_MAP_OWN)
		why = "of a weir_cache, or of a weir_memory of another host: close that";
	else if (map->backing.fd >= 0)
		why = "of a dma-buf: unmap it, or give WEIR_HANDOVER_DROP_MAPS";
	snprintf(text, sizeof(text), "the mapping of %#" PRIx64 " bytes at IOVA %#" PRIx64 " is %s",
		 weir_map_size(map), weir_map_start(map), why);
	tell(reporter, text);
}

/* A transition is on. */
static void check_maps(struct reporter *reporter, const struct weir_ioas *ioas)
{
	for (const struct weir_map *map = NULL; (map = weir_ioas_next_map(ioas, map));)
		if (!weir_handover_is_carried(map) && !(dropped_by(map) & reporter->flags))
			tell_map(reporter, map);
}

static void check_space(struct reporter *reporter, const struct weir_ioas *ioas)
{
	if (ioas->shadowing)
		tell(reporter, ioas->inner
				       ? "a nested space that is a shadow: close it, and have the "
					 "successor open its own"
				       : "a shadow: close the domain, and have the successor open its own");
	for (const struct weir_table *table = ioas->space.tables; table; table = table->next)
		if (weir_kernel_domain(table->domain)->has_events)
			tell(reporter, "a queue of events: close it, and have the successor open its own");
	if (ioas->dirty)
		tell(reporter,
		     "a space that is tracked: close the weir_dirty, and have the successor open its own");
}

/* A window that another host has mapped ends as if its device were closed. */
static void check_window(struct reporter *reporter, struct weir_window *window, const struct weir_host *host)
{
	const struct weir_held *held;
	char text[256];

	pthread_mutex_lock(&window->lock);
	held = window->mappings;
	while (held && held->map->ioas->host == host)
		held = held->next;
	snprintf(text, sizeof(text),
		 "%s is a window in a space of another host: close it there, or give "
		 "WEIR_HANDOVER_DROP_PEERS, and have the successor's memory imported there again",
		 window->name);
	pthread_mutex_unlock(&window->lock);
	if (held)
		tell(reporter, text);
}

static void check_windows(struct reporter *reporter, struct weir_device *device)
{
	for (uint32_t i = 0; i < device->num_regions; i++) {
		struct weir_region *region;
		struct weir_window *window;

		pthread_mutex_lock(&device->lock);
		region = device->regions[i];
		pthread_mutex_unlock(&device->lock);
		window = region ? weir_region_window(region) : NULL;
		if (!window)
			continue;
		check_window(reporter, window, device->host);
		weir_window_put(window);
	}
}

static void check_device(struct reporter *reporter, struct weir_device *device)
{
	char text[256];

	if (weir_device_away(device) & WEIR_AWAY_ASLEEP) {
		snprintf(text, sizeof(text), "%s sleeps: wake it", device->function->address);
		tell(reporter, text);
	} else if (weir_device_migrates(device)) {
		snprintf(text, sizeof(text),
			 "%s migrates, through a stream: end that, and have it run, or stopped",
			 device->function->address);
		tell(reporter, text);
	}
	if (!(reporter->flags & WEIR_HANDOVER_DROP_PEERS))
		check_windows(reporter, device);
}

/* No transition is on: who maps a window may have its lock, and wait for the end of one. */
static void check_host(struct reporter *reporter, const struct weir_host *host)
{
	for (const struct weir_group *group = host->kernel.groups; group; group = group->next)
		for (const struct weir_function *member = group->functions; member; member = member->next)
			check_device(reporter, member->device);
	for (const struct weir_memory *memory = host->memories; memory; memory = memory->next)
		for (uint32_t i = 1; i < memory->num_spaces; i++)
			if (memory->spaces[i]->host != host)
				tell(reporter,
				     "a weir_memory is in a space of another host, too: unshare it");
}

static int check_kernel(struct weir_host *host)
{
	if (!host->kernel.journal)
		return weir_fail(-EINVAL, "the host keeps no journal: open it with WEIR_HOST_JOURNAL");
	if (!host->kernel.ops->follow)
		return weir_fail(
			-EOPNOTSUPP,
			"the container's ioctls on /dev/iommu cannot tell that memory is in another process: "
			"iommufd's own can, and the VFIO container's");
	return host->kernel.ops->follow->check(&host->kernel);
}

static int result_of(const struct reporter *reporter)
{
	if (!reporter->num)
		return 0;
	return weir_fail(-ENOTSUP, "%s%s", reporter->first,
			 reporter->num > 1 ? " (and more: weir_handover_check() names all)" : "");
}

int weir_handover_check(struct weir_host *host, weir_handover_report *report, void *ctx)
{
	struct reporter reporter = { .report = report, .ctx = ctx };
	int error = check_kernel(host);

	if (error)
		return error;
	pthread_mutex_lock(&host->lock);
	check_host(&reporter, host);
	for (struct weir_ioas *ioas = host->spaces; ioas; ioas = ioas->next) {
		check_space(&reporter, ioas);
		weir_ioas_begin_transition(ioas);
		check_maps(&reporter, ioas);
		weir_ioas_end_transition(ioas);
	}
	pthread_mutex_unlock(&host->lock);
	return result_of(&reporter);
}

int weir_handover_check_before(struct weir_host *host, uint32_t flags)
{
	struct reporter reporter = { .flags = flags };
	int error = check_kernel(host);

	for (struct weir_ioas *ioas = host->spaces; ioas && !error; ioas = ioas->next)
		check_space(&reporter, ioas);
	if (!error)
		check_host(&reporter, host);
	return error ? error : result_of(&reporter);
}

/* ---- Dropping ---- */

static int drop_maps(struct weir_ioas *ioas)
{
	int error = 0;

	for (struct weir_map *map = NULL; !error && (map = weir_ioas_next_map(ioas, map));) {
		if (weir_handover_is_carried(map) || is_nested(ioas))
			continue;
		weir_map_mark(map, WEIR_SLOT_LEAVING);
		if (ioas->space.live)
			error = ioas->space.ops->remove(&ioas->space, weir_map_start(map),
							weir_map_size(map));
		if (error == -ENOENT)
			error = 0;
		if (error)
			error = weir_fail(error, "the kernel failed to unmap IOVA %#" PRIx64 ": %s",
					  weir_map_start(map), strerror(-error));
	}
	return error;
}

int weir_handover_drop(struct weir_host *host, uint32_t flags)
{
	struct reporter reporter = { .flags = flags };
	int error;

	for (struct weir_ioas *ioas = host->spaces; ioas; ioas = ioas->next)
		check_maps(&reporter, ioas);
	error = result_of(&reporter);
	for (struct weir_ioas *ioas = host->spaces; ioas && !error; ioas = ioas->next)
		error = drop_maps(ioas);
	return error;
}

static int put_back(struct weir_ioas *ioas, struct weir_map *map)
{
	int error = 0;

	if (ioas->space.live) {
		error = map->held && map->held->window
				? weir_window_replay(map)
				: ioas->space.ops->install(&ioas->space, &map->backing, weir_map_size(map),
							   weir_map_start(map), map->prot);
		if (error == -EEXIST)
			error = 0; /* it was not dropped yet */
	}
	if (error)
		return weir_fail(-ENOTRECOVERABLE,
				 "the mapping at IOVA %#" PRIx64 " could not be put back: %s",
				 weir_map_start(map), strerror(-error));
	weir_map_mark(map, WEIR_SLOT_IN_FORCE);
	return 0;
}

int weir_handover_put_back(struct weir_host *host)
{
	struct weir_first first = { 0 };

	for (struct weir_ioas *ioas = host->spaces; ioas; ioas = ioas->next)
		for (struct weir_map *map = NULL; (map = weir_ioas_next_map(ioas, map));)
			if (!weir_handover_is_carried(map) && !is_nested(ioas))
				weir_first_note(&first, put_back(ioas, map));
	return weir_first_error(&first);
}
