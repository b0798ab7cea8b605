// SPDX-License-Identifier: MIT
/* iommufd: a space's own page tables, made and ended, and what devices write through them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/iommufd.h"
#include "error.h"
#include "journal/journal.h"
#include "kernel/iommufd.h"

int weir_iommufd_object_free(struct weir_space *space, struct weir_object *object, const char *what)
{
	struct weir_object **link = &space->undead;
	int error = weir_iommufd_destroy(space->kernel->sys, space->kernel->fd, object->id);

	if (!error) {
		free(object);
		return 0;
	}
	while (*link)
		link = &(*link)->next;
	object->next = NULL;
	*link = object;
	return weir_fail(error, "IOMMU_DESTROY of a %s: %s", what, strerror(-error));
}

int weir_iommufd_hwpt_free(struct weir_space *space, struct weir_hwpt *hwpt)
{
	struct weir_hwpt **link = &space->hwpts;
	uint32_t number;
	int error;

	while (*link != hwpt)
		link = &(*link)->next;
	*link = hwpt->next;
	space->dirt_lost = space->dirt_lost || hwpt->used;
	if (!space->kernel->journal)
		return weir_iommufd_object_free(space, &hwpt->object, "page table");
	number = hwpt->number;
	weir_journal_mark(space->kernel->journal, WEIR_JOURNAL_HWPTS, number, WEIR_SLOT_LEAVING);
	error = weir_iommufd_object_free(space, &hwpt->object, "page table");
	/* What could not be destroyed stays noted, for whoever comes after us. */
	if (!error)
		weir_journal_give(space->kernel->journal, WEIR_JOURNAL_HWPTS, number);
	return error;
}

static int set_tracking(struct weir_space *space, const struct weir_hwpt *hwpt, bool on)
{
	int error = weir_iommufd_set_dirty(space->kernel->sys, space->kernel->fd, hwpt->object.id, on);

	return error ? weir_fail(error, "IOMMU_HWPT_SET_DIRTY_TRACKING: %s", strerror(-error)) : 0;
}

/* With dirty bits, if the space wants them and the IOMMU has them: found by trying. */
static int alloc(struct weir_space *space, const struct weir_function *function, struct weir_hwpt *hwpt)
{
	const struct weir_kernel *kernel = space->kernel;
	uint32_t flags = space->wants_dirty ? ABI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING : 0;
	int error = weir_iommufd_hwpt_alloc(kernel->sys, kernel->fd, function->dev_id, space->ioas, flags,
					    ABI_IOMMU_HWPT_DATA_NONE, NULL, 0, 0, &hwpt->object.id);

	if (error == -EOPNOTSUPP && flags) {
		flags = 0;
		error = weir_iommufd_hwpt_alloc(kernel->sys, kernel->fd, function->dev_id, space->ioas, flags,
						ABI_IOMMU_HWPT_DATA_NONE, NULL, 0, 0, &hwpt->object.id);
	}
	hwpt->tracks = flags != 0;
	return error;
}

/* While the space is tracked, all of it is. */
static int begin_tracking(struct weir_space *space, const struct weir_function *function,
			  const struct weir_hwpt *hwpt)
{
	if (!space->tracking)
		return 0;
	if (!hwpt->tracks)
		return weir_fail(
			-EOPNOTSUPP,
			"the address space is tracked (weir_dirty), and the IOMMU in front of %s keeps "
			"no dirty bits",
			function->address);
	return set_tracking(space, hwpt, true);
}

static int note_hwpt(struct weir_space *space, struct weir_hwpt *hwpt)
{
	struct weir_journal *journal = space->kernel->journal;
	struct weir_slot_hwpt *slot;
	int error = weir_journal_take(journal, WEIR_JOURNAL_HWPTS, &hwpt->number);

	if (error)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_HWPTS, hwpt->number);
	slot->space = space->number;
	slot->id = 0;
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

static void note_hwpt_id(struct weir_space *space, const struct weir_hwpt *hwpt)
{
	struct weir_slot_hwpt *slot =
		weir_journal_at(space->kernel->journal, WEIR_JOURNAL_HWPTS, hwpt->number);

	slot->id = hwpt->object.id;
	slot->tracks = hwpt->tracks;
	weir_slot_set(&slot->slot, WEIR_SLOT_IN_FORCE);
}

static void forget_hwpt(struct weir_space *space, const struct weir_hwpt *hwpt)
{
	if (space->kernel->journal)
		weir_journal_give(space->kernel->journal, WEIR_JOURNAL_HWPTS, hwpt->number);
}

int weir_iommufd_hwpt_make(struct weir_space *space, const struct weir_function *function,
			   struct weir_hwpt **ret_hwpt)
{
	struct weir_hwpt *hwpt = calloc(1, sizeof(*hwpt));
	struct weir_first first = { 0 };
	int error;

	if (!hwpt)
		return weir_fail(-ENOMEM, "no memory for a page table");
	error = space->kernel->journal ? note_hwpt(space, hwpt) : 0;
	if (error) {
		free(hwpt);
		return error;
	}
	error = alloc(space, function, hwpt);
	if (error) {
		forget_hwpt(space, hwpt);
		free(hwpt);
		return weir_fail(error, "IOMMU_HWPT_ALLOC for %s: %s", function->address, strerror(-error));
	}
	weir_first_note(&first, begin_tracking(space, function, hwpt));
	if (first.error) {
		forget_hwpt(space, hwpt);
		weir_iommufd_object_free(space, &hwpt->object, "page table");
		return weir_first_error(&first);
	}
	if (space->kernel->journal)
		note_hwpt_id(space, hwpt);
	hwpt->next = space->hwpts;
	space->hwpts = hwpt;
	*ret_hwpt = hwpt;
	return 0;
}

static int stop_before(struct weir_space *space, const struct weir_hwpt *end)
{
	struct weir_first first = { 0 };

	for (struct weir_hwpt *hwpt = space->hwpts; hwpt != end; hwpt = hwpt->next)
		weir_first_note(&first, set_tracking(space, hwpt, false));
	return weir_first_error(&first);
}

int weir_iommufd_track(struct weir_space *space, bool on)
{
	struct weir_first first = { 0 };

	if (!on) {
		space->tracking = false;
		return stop_before(space, NULL);
	}
	for (const struct weir_hwpt *hwpt = space->hwpts; hwpt; hwpt = hwpt->next)
		if (!hwpt->tracks)
			return weir_fail(-EOPNOTSUPP,
					 "the IOMMU in front of the space's devices keeps no dirty bits");
	for (const struct weir_hwpt *hwpt = space->hwpts; hwpt; hwpt = hwpt->next) {
		weir_first_note(&first, set_tracking(space, hwpt, true));
		if (first.error) {
			stop_before(space, hwpt);
			return weir_first_error(&first);
		}
	}
	space->tracking = true;
	return 0;
}

int weir_iommufd_dirty(struct weir_space *space, uint64_t iova, uint64_t len, uint64_t page, uint64_t *bits,
		       bool keep)
{
	const struct weir_kernel *kernel = space->kernel;
	int error = 0;

	/* Each, also after an error. */
	for (const struct weir_hwpt *hwpt = space->hwpts; hwpt; hwpt = hwpt->next) {
		int said = weir_iommufd_get_dirty(kernel->sys, kernel->fd, hwpt->object.id, iova, len, page,
						  bits, keep);

		error = error ? error : said;
	}
	return error;
}

int weir_iommufd_read_geometry(struct weir_space *space)
{
	enum { MOST_RANGES = 1 << 16 };
	struct weir_geometry geometry = { .max_mappings = UINT64_MAX };
	uint32_t room = 16;
	int error;

	for (;;) {
		geometry.num_ranges = room;
		free(geometry.ranges);
		geometry.ranges = calloc(room, sizeof(*geometry.ranges));
		if (!geometry.ranges)
			return weir_fail(-ENOMEM, "no memory for the IOVA ranges");
		error = weir_iommufd_iova_ranges(space->kernel->sys, space->kernel->fd, space->ioas,
						 geometry.ranges, &geometry.num_ranges, &geometry.alignment);
		if (error != -EMSGSIZE || geometry.num_ranges <= room || geometry.num_ranges > MOST_RANGES)
			break;
		room = geometry.num_ranges;
	}
	/* What the alignment is used for wants a power of two. */
	if (!error && (geometry.num_ranges > room || !geometry.alignment ||
		       (geometry.alignment & (geometry.alignment - 1))))
		error = -EIO;
	if (error) {
		free(geometry.ranges);
		return weir_fail(error, "IOMMU_IOAS_IOVA_RANGES: %s", strerror(-error));
	}
	weir_geometry_free(&space->geometry);
	space->geometry = geometry;
	return 0;
}
