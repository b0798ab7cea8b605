// SPDX-License-Identifier: MIT
/* The room in an address space: reserved, allowed, and where the kernel puts a mapping by itself. */
#include <errno.h>
#include <stdlib.h>

#include "sim/iommufd/ioas.h"

int sim_ioas_new(struct sim_iommufd *iommufd, struct sim_ioas **ret_ioas)
{
	struct sim_ioas *ioas = calloc(1, sizeof(*ioas));
	int error = ioas ? sim_object_add(iommufd, &ioas->object, SIM_IOAS) : -ENOMEM;

	if (error) {
		free(ioas);
		return error;
	}
	ioas->iommufd = iommufd;
	ioas->alignment = 1;
	*ret_ioas = ioas;
	return 0;
}

void sim_ioas_free(struct sim_ioas *ioas)
{
	uint64_t len;

	sim_ioas_unmap(ioas, 0, UINT64_MAX, &len);
	free(ioas->reserved);
	free(ioas->allowed);
	free(ioas);
}

/* Reserved, by owner (A.4.1) ----------------------------------------------------------------------------- */

bool sim_ioas_is_reserved(const struct sim_ioas *ioas, uint64_t start, uint64_t last)
{
	for (uint32_t i = 0; i < ioas->num_reserved; i++)
		if (ioas->reserved[i].start <= last && start <= ioas->reserved[i].last)
			return true;
	return false;
}

static bool is_allowed(const struct sim_ioas *ioas, uint64_t start, uint64_t last)
{
	for (uint32_t i = 0; i < ioas->num_allowed; i++)
		if (ioas->allowed[i].start <= last && start <= ioas->allowed[i].last)
			return true;
	return false;
}

static int grow(struct sim_ioas *ioas)
{
	uint32_t room = ioas->reserved_room ? ioas->reserved_room * 2 : 8;
	struct sim_reserved *reserved = realloc(ioas->reserved, room * sizeof(*reserved));

	if (!reserved)
		return -ENOMEM;
	ioas->reserved = reserved;
	ioas->reserved_room = room;
	return 0;
}

int sim_ioas_reserve(struct sim_ioas *ioas, uint64_t start, uint64_t last, const void *owner)
{
	int error = 0;

	if (sim_ioas_first(ioas, start, last) || is_allowed(ioas, start, last))
		return -EADDRINUSE;
	if (ioas->num_reserved == ioas->reserved_room)
		error = grow(ioas);
	if (!error)
		ioas->reserved[ioas->num_reserved++] = (struct sim_reserved){ start, last, owner };
	return error;
}

void sim_ioas_unreserve(struct sim_ioas *ioas, const void *owner)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < ioas->num_reserved; i++)
		if (ioas->reserved[i].owner != owner)
			ioas->reserved[kept++] = ioas->reserved[i];
	ioas->num_reserved = kept;
}

int sim_ioas_add_device(struct sim_ioas *ioas, const struct weir_sim_device *device)
{
	const struct sim_window *windows = sim_windows(device->sim);
	int error = 0;

	for (size_t i = 0; i < SIM_NUM_WINDOWS && !error; i++)
		error = sim_ioas_reserve(ioas, windows[i].start, windows[i].last, device);
	if (error)
		sim_ioas_unreserve(ioas, device);
	return error;
}

void sim_ioas_remove_device(struct sim_ioas *ioas, const struct weir_sim_device *device)
{
	sim_ioas_unreserve(ioas, device);
}

/* Allowed (A.4.3) ---------------------------------------------------------------------------------------- */

int sim_ioas_allow(struct sim_ioas *ioas, struct abi_iommu_iova_range *ranges, uint32_t num)
{
	for (uint32_t i = 0; i < num; i++)
		if (sim_ioas_is_reserved(ioas, ranges[i].start, ranges[i].last))
			return -EADDRINUSE;
	free(ioas->allowed);
	ioas->allowed = ranges;
	ioas->num_allowed = num;
	return 0;
}

/* Holes -------------------------------------------------------------------------------------------------- */

/* Of all that is reserved, or also of all that is mapped, what begins first of what ends at or behind @at. */
static bool next_used(const struct sim_ioas *ioas, bool mapped, uint64_t at,
		      struct abi_iommu_iova_range *ret_used)
{
	const struct sim_area *area = mapped ? sim_ioas_first(ioas, at, UINT64_MAX) : NULL;
	bool found = area;

	if (area)
		*ret_used = (struct abi_iommu_iova_range){ area->node.key, sim_area_last(area) };
	for (uint32_t i = 0; i < ioas->num_reserved; i++) {
		const struct sim_reserved *reserved = &ioas->reserved[i];

		if (reserved->last < at || (found && ret_used->start <= reserved->start))
			continue;
		*ret_used = (struct abi_iommu_iova_range){ reserved->start, reserved->last };
		found = true;
	}
	return found;
}

/* The first hole in what is used, as far as it lies in [@at, @last]. */
static bool next_hole(const struct sim_ioas *ioas, bool mapped, uint64_t at, uint64_t last,
		      struct abi_iommu_iova_range *ret_hole)
{
	struct abi_iommu_iova_range used = { 0, 0 };
	bool found;

	while ((found = next_used(ioas, mapped, at, &used)) && used.start <= at) {
		if (used.last >= last)
			return false;
		at = used.last + 1;
	}
	ret_hole->start = at;
	ret_hole->last = found && used.start - 1 < last ? used.start - 1 : last;
	return true;
}

uint32_t sim_ioas_ranges(const struct sim_ioas *ioas, struct abi_iommu_iova_range *ranges, uint32_t room)
{
	struct abi_iommu_iova_range hole = { 0, 0 };
	uint32_t num = 0;
	bool found = next_hole(ioas, false, 0, UINT64_MAX, &hole);

	while (found) {
		if (num < room)
			ranges[num] = hole;
		num++;
		found = hole.last != UINT64_MAX && next_hole(ioas, false, hole.last + 1, UINT64_MAX, &hole);
	}
	return num;
}

/* Automatic addresses (A.4.5) ---------------------------------------------------------------------------- */

struct wish {
	uint64_t len, alignment, in_page;
};

static bool fits(const struct wish *wish, const struct abi_iommu_iova_range *hole, uint64_t *ret_iova)
{
	uint64_t iova;

	if (__builtin_add_overflow(hole->start, wish->alignment - 1, &iova))
		return false;
	iova = (iova & ~(wish->alignment - 1)) | wish->in_page;
	if (iova >= hole->last || hole->last - iova < wish->len - 1)
		return false;
	*ret_iova = iova;
	return true;
}

static bool search(const struct sim_ioas *ioas, const struct wish *wish, uint64_t start, uint64_t last,
		   uint64_t *ret_iova)
{
	/* Neither the first page nor the last is ever chosen. */
	uint64_t lowest = sim_page_size(), highest = UINT64_MAX - sim_page_size();
	struct abi_iommu_iova_range hole;
	bool found;

	if (start < lowest)
		start = lowest;
	if (last > highest)
		last = highest;
	if (start > last)
		return false;
	found = next_hole(ioas, true, start, last, &hole);
	while (found) {
		if (fits(wish, &hole, ret_iova))
			return true;
		found = hole.last != last && next_hole(ioas, true, hole.last + 1, last, &hole);
	}
	return false;
}

static uint64_t power_of_two_from(uint64_t value)
{
	return value <= 1 ? 1 : (uint64_t)1 << (64 - __builtin_clzll(value - 1));
}

/* So that large pages can form: as the memory is aligned, at most as huge pages of this machine are. */
static uint64_t wanted_alignment(uint64_t address, uint64_t len)
{
	uint64_t huge = sim_page_size() * (sim_page_size() / sizeof(uint64_t));
	uint64_t want = power_of_two_from(len), natural = address & -address;

	if (address && natural < want)
		want = natural;
	return want < huge ? want : huge;
}

int sim_ioas_choose(const struct sim_ioas *ioas, uint64_t address, uint64_t len, uint64_t *ret_iova)
{
	struct wish wish = { .len = len, .in_page = address % sim_page_size() };

	if (len >= UINT64_MAX / 2)
		return -EOVERFLOW;
	wish.alignment = wanted_alignment(address, len);
	if (wish.alignment < ioas->alignment)
		return -EINVAL;
	if (!ioas->num_allowed)
		return search(ioas, &wish, 0, UINT64_MAX, ret_iova) ? 0 : -ENOSPC;
	for (uint32_t i = 0; i < ioas->num_allowed; i++)
		if (search(ioas, &wish, ioas->allowed[i].start, ioas->allowed[i].last, ret_iova))
			return 0;
	return -ENOSPC;
}
