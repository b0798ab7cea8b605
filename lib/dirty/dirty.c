// SPDX-License-Identifier: MIT
/* Dirty tracking begins and ends; and what is unmapped meanwhile is noted. */
#include "dirty/dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/table.h"
#include "error.h"
#include "journal/journal.h"
#include "kernel/iommufd_abi.h"

/* Notes ------------------------------------------------------------------------------------------------------------ */

void weir_dirty_note(struct weir_dirty_spans *spans, uint64_t iova, uint64_t len)
{
	spans->num = weir_spans_add(spans->ranges, spans->num, WEIR_DIRTY_SPANS,
				    (struct weir_iova_range){ iova, iova + (len - 1) });
}

/* What of a quiet range was written. The lock is held. */
static void note_written(struct weir_dirty *dirty, uint64_t iova, uint64_t len)
{
	const uint64_t most = (uint64_t)WEIR_DIRTY_WORDS * 64 * dirty->page;

	for (uint64_t part; len; iova += part, len -= part) {
		uint64_t from = 0, run;

		part = len < most ? len : most;
		memset(dirty->quiet_bits, 0, sizeof(dirty->quiet_bits));
		if (weir_dirty_ask(dirty, iova, part, dirty->quiet_bits, false)) {
			weir_dirty_note(&dirty->gone, iova, part);
			continue;
		}
		for (; (run = weir_dirty_run(dirty->quiet_bits, &from, part / dirty->page)); from += run)
			weir_dirty_note(&dirty->gone, iova + from * dirty->page, run * dirty->page);
	}
}

/* The mapping at @iova or above it, not beyond @last, that devices may write. */
static bool next_writable(struct weir_ioas *ioas, uint64_t iova, uint64_t last, struct weir_iova_range *ret)
{
	struct weir_map *map;
	bool found;

	weir_gate_lock(&ioas->gate);
	map = weir_ioas_map_from(ioas, iova);
	while (map && weir_map_start(map) <= last && !(map->prot & WEIR_MAP_WRITE))
		map = weir_ioas_next_map(ioas, map);
	found = map && weir_map_start(map) <= last;
	if (found)
		*ret = (struct weir_iova_range){ weir_map_start(map), weir_map_last(map) };
	weir_gate_unlock(&ioas->gate);
	return found;
}

/* Before something is unmapped: it is in the table still, and its owner's. */
static int leave(struct weir_follower *follower, uint64_t iova, uint64_t last)
{
	struct weir_dirty *dirty = (struct weir_dirty *)follower;
	struct weir_iova_range map;

	while (next_writable(dirty->ioas, iova, last, &map)) {
		uint64_t start = map.start > iova ? map.start : iova;
		uint64_t end = map.last < last ? map.last : last;

		pthread_mutex_lock(&dirty->lock);
		if (dirty->quiet && dirty->source != WEIR_DIRTY_PINNED && dirty->ioas->space.live)
			note_written(dirty, start, end - start + 1);
		else
			weir_dirty_note(&dirty->gone, start, end - start + 1);
		pthread_mutex_unlock(&dirty->lock);
		if (end == last)
			break;
		iova = end + 1;
	}
	return 0;
}

static void back(struct weir_follower *follower, uint64_t iova, uint64_t last)
{
	(void)follower;
	(void)iova;
	(void)last;
}

/* Who can ---------------------------------------------------------------------------------------------------------- */

static int iommu_can(struct weir_function *function)
{
	const struct weir_domain_ops *domains = function->kernel->ops->domains;
	struct weir_hw_info info;
	int error = domains->hw_info(function, &info);

	if (error)
		return error == -EOPNOTSUPP ? error : weir_fail_within(-EOPNOTSUPP, "dirty tracking");
	if (info.caps & ABI_IOMMU_HW_CAP_DIRTY_TRACKING)
		return 0;
	return weir_fail(-EOPNOTSUPP,
			 "the IOMMU in front of %s keeps no dirty bits, and the device logs no DMA",
			 function->address);
}

int weir_dirty_can(struct weir_ioas *ioas, struct weir_function *function, bool pages)
{
	if (ioas->space.layer)
		return weir_fail(-EOPNOTSUPP, "a nested space is not tracked");
	if (!weir_dirty_devices_can(function))
		return 0;
	if (ioas->space.ops->tracks == WEIR_DIRTY_IOMMU)
		return iommu_can(function);
	if (ioas->space.ops->tracks != WEIR_DIRTY_PINNED || !ioas->space.ops->can_track(&ioas->space))
		return weir_fail(-EOPNOTSUPP, "this kernel interface tracks nothing, and %s logs no DMA",
				 function->address);
	if (pages)
		return weir_fail(-EOPNOTSUPP,
				 "the VFIO container tells of everything that is mapped, written or not, "
				 "and %s logs no DMA",
				 function->address);
	return 0;
}

/* Opening and closing ---------------------------------------------------------------------------------------------- */

static int start_backend(struct weir_ioas *ioas, uint32_t source)
{
	if (ioas->space.ops->tracks != source)
		return weir_fail(-EOPNOTSUPP, source == WEIR_DIRTY_IOMMU
						      ? "only iommufd has the IOMMU's dirty bits"
						      : "only the VFIO container tells what is pinned");
	return ioas->space.ops->track(&ioas->space, true);
}

/* Tracking begins with the best that can, or with the one that is asked for. The host's lock is held. */
static int start(struct weir_ioas *ioas, uint32_t asked, uint32_t *ret_source)
{
	struct weir_first first = { 0 };
	int error = -EOPNOTSUPP;

	for (uint32_t source = WEIR_DIRTY_IOMMU; source <= WEIR_DIRTY_PINNED && error == -EOPNOTSUPP;
	     source++) {
		if (asked ? source != asked
			  : source != WEIR_DIRTY_DEVICES && source != ioas->space.ops->tracks)
			continue;
		error = source == WEIR_DIRTY_DEVICES ? weir_dirty_devices_start(ioas)
						     : start_backend(ioas, source);
		*ret_source = source;
		weir_first_note(&first, error);
	}
	return error == -EOPNOTSUPP ? weir_first_error(&first) : error;
}

static int stop(struct weir_ioas *ioas, uint32_t source)
{
	return source == WEIR_DIRTY_DEVICES ? weir_dirty_devices_stop(ioas)
					    : ioas->space.ops->track(&ioas->space, false);
}

static int check(const struct weir_ioas *ioas)
{
	if (ioas->space.layer)
		return weir_fail(-EOPNOTSUPP, "a nested space is not tracked");
	if (!ioas->space.wants_dirty)
		return weir_fail(-EINVAL, "the address space was opened without WEIR_IOAS_DIRTY");
	if (ioas->dirty)
		return weir_fail(-EBUSY, "the address space is tracked already");
	if (weir_space_table(&ioas->space))
		return weir_fail(-EBUSY,
				 "%s is open over this address space: what goes through it would be missed",
				 weir_space_table(&ioas->space));
	if (!ioas->space.live)
		return weir_fail(-ENODEV, "no device is in the address space");
	return 0;
}

/* In one transition, so that no mapping comes or goes between the two. The host's lock is held. */
static int open_in_transition(struct weir_dirty *dirty, uint32_t asked)
{
	struct weir_ioas *ioas = dirty->ioas;
	int error = check(ioas);

	if (error)
		return error;
	error = start(ioas, asked, &dirty->source);
	if (error)
		return error;
	dirty->page = ioas->grain;
	dirty->follower.next = ioas->followers;
	ioas->followers = &dirty->follower;
	ioas->dirty = dirty;
	ioas->space.dirt_lost = false;
	return 0;
}

static void free_dirty(struct weir_dirty *dirty)
{
	pthread_mutex_destroy(&dirty->scanning);
	pthread_mutex_destroy(&dirty->lock);
	free(dirty->bits);
	free(dirty);
}

static struct weir_dirty *new_dirty(struct weir_ioas *ioas)
{
	struct weir_dirty *dirty = calloc(1, sizeof(*dirty));

	if (!dirty)
		return NULL;
	dirty->ioas = ioas;
	dirty->follower.leave = leave;
	dirty->follower.back = back;
	dirty->num_words = WEIR_DIRTY_WORDS;
	dirty->bits = calloc(dirty->num_words, sizeof(uint64_t));
	pthread_mutex_init(&dirty->scanning, NULL);
	pthread_mutex_init(&dirty->lock, NULL);
	if (dirty->bits)
		return dirty;
	free_dirty(dirty);
	return NULL;
}

int weir_dirty_open(struct weir_ioas *ioas, const struct weir_dirty_opts *opts, struct weir_dirty **ret_dirty)
{
	struct weir_dirty_opts o;
	struct weir_dirty *dirty;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	if (o.source > WEIR_DIRTY_PINNED || o.reserved)
		return weir_fail(-EINVAL, "there is no source %u", o.source);
	dirty = new_dirty(ioas);
	if (!dirty)
		return weir_fail(-ENOMEM, "no memory for dirty tracking");
	pthread_mutex_lock(&ioas->host->lock);
	weir_ioas_begin_transition(ioas);
	error = open_in_transition(dirty, o.source);
	weir_ioas_end_transition(ioas);
	pthread_mutex_unlock(&ioas->host->lock);
	if (error) {
		free_dirty(dirty);
		return error;
	}
	weir_journal_count_odd(ioas->host->kernel.journal, 1);
	*ret_dirty = dirty;
	return 0;
}

int weir_dirty_close(struct weir_dirty *dirty)
{
	struct weir_follower **link;
	struct weir_ioas *ioas;
	int error;

	if (!dirty)
		return 0;
	ioas = dirty->ioas;
	pthread_mutex_lock(&ioas->host->lock);
	weir_ioas_begin_transition(ioas);
	for (link = &ioas->followers; *link != &dirty->follower;)
		link = &(*link)->next;
	*link = dirty->follower.next;
	ioas->dirty = NULL;
	weir_journal_count_odd(ioas->host->kernel.journal, -1);
	error = stop(ioas, dirty->source);
	weir_ioas_end_transition(ioas);
	pthread_mutex_unlock(&ioas->host->lock);
	free_dirty(dirty);
	return error;
}

int weir_dirty_set_quiet(struct weir_dirty *dirty, uint32_t quiet)
{
	pthread_mutex_lock(&dirty->lock);
	dirty->quiet = quiet != 0;
	pthread_mutex_unlock(&dirty->lock);
	return 0;
}

int weir_dirty_info(const struct weir_dirty *dirty, struct weir_dirty_info *ret_info, size_t size)
{
	struct weir_dirty *locked = (struct weir_dirty *)dirty;
	struct weir_dirty_info info = { .source = dirty->source };

	pthread_mutex_lock(&locked->lock);
	info.quiet = dirty->quiet;
	pthread_mutex_unlock(&locked->lock);
	info.page_size = dirty->source == WEIR_DIRTY_PINNED ? 0 : dirty->page;
	weir_result_write(ret_info, size, &info, sizeof(info));
	return 0;
}
