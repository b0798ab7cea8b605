// SPDX-License-Identifier: MIT
/* Mappings of an address space, and the page tables that they are in. */
#include <errno.h>
#include <stdlib.h>

#include "sim/iommufd/ioas.h"

static struct sim_area *area_of(struct weir_tree_node *node)
{
	return (struct sim_area *)node; /* it comes first */
}

uint64_t sim_area_last(const struct sim_area *area)
{
	return area->node.key + (area->len - 1);
}

struct sim_area *sim_ioas_first(const struct sim_ioas *ioas, uint64_t start, uint64_t last)
{
	struct weir_tree_node *node = weir_tree_at_or_below(&ioas->areas, start);

	if (node && sim_area_last(area_of(node)) >= start)
		return area_of(node);
	node = weir_tree_at_or_above(&ioas->areas, start);
	return node && node->key <= last ? area_of(node) : NULL;
}

static struct sim_area *next_area(const struct sim_ioas *ioas, const struct sim_area *area)
{
	uint64_t last = area ? sim_area_last(area) : 0;

	if (!area)
		return sim_ioas_first(ioas, 0, UINT64_MAX);
	return last == UINT64_MAX ? NULL : sim_ioas_first(ioas, last + 1, UINT64_MAX);
}

/* In and out of page tables ------------------------------------------------------------------------------ */

/* What has been revoked counts as installed everywhere, and is nowhere. */
static int install(struct sim_hwpt *hwpt, const struct sim_area *area)
{
	int error;

	if (area->pages->revoked)
		return 0;
	error = sim_pages_pin(area->pages);
	if (error)
		return error;
	error = sim_domain_map(hwpt->domain, area->node.key, area->len, area->pages, area->offset,
			       area->prot);
	if (error)
		sim_pages_unpin(area->pages);
	return error;
}

static void uninstall(struct sim_hwpt *hwpt, const struct sim_area *area)
{
	if (area->pages->revoked)
		return;
	sim_domain_unmap(hwpt->domain, area->node.key, area->len);
	sim_pages_unpin(area->pages);
}

static int install_everywhere(struct sim_ioas *ioas, struct sim_area *area)
{
	struct sim_hwpt *hwpt = ioas->hwpts;
	int error = 0;

	for (; hwpt && !error; hwpt = error ? hwpt : hwpt->next)
		error = install(hwpt, area);
	for (struct sim_hwpt *done = ioas->hwpts; error && done != hwpt; done = done->next)
		uninstall(done, area);
	area->installed = !error;
	return error;
}

static void remove_area(struct sim_ioas *ioas, struct sim_area *area)
{
	for (struct sim_hwpt *hwpt = ioas->hwpts; hwpt && area->installed; hwpt = hwpt->next)
		uninstall(hwpt, area);
	weir_tree_remove(&ioas->areas, &area->node);
	sim_pages_put(area->pages);
	free(area);
}

/* Mapping ------------------------------------------------------------------------------------------------ */

static int insert_area(struct sim_ioas *ioas, const struct sim_piece *piece, uint64_t iova, uint32_t prot)
{
	uint64_t in_page = sim_pages_address(piece->pages, piece->offset) % sim_page_size();
	struct sim_area *area;

	if (prot & SIM_WRITE && !piece->pages->writable)
		return -EPERM;
	if (in_page & (ioas->alignment - 1))
		return -EINVAL;
	area = malloc(sizeof(*area));
	if (!area)
		return -ENOMEM;
	*area = (struct sim_area){ .node = { .key = iova },
				   .len = piece->len,
				   .pages = piece->pages,
				   .offset = piece->offset,
				   .prot = prot };
	sim_pages_hold(area->pages);
	weir_tree_insert(&ioas->areas, &area->node);
	return 0;
}

static int check_place(const struct sim_ioas *ioas, uint64_t iova, uint64_t len)
{
	uint64_t last;

	if (iova & (ioas->alignment - 1))
		return -EINVAL;
	if (__builtin_add_overflow(iova, len - 1, &last))
		return -EOVERFLOW;
	if (sim_ioas_is_reserved(ioas, iova, last))
		return -EINVAL;
	return sim_ioas_first(ioas, iova, last) ? -EEXIST : 0;
}

static int place(const struct sim_ioas *ioas, const struct sim_piece *first, uint64_t len, bool fixed,
		 uint64_t *iova)
{
	if (!len || len & (ioas->alignment - 1))
		return -EINVAL;
	if (fixed)
		return check_place(ioas, *iova, len);
	return sim_ioas_choose(ioas, sim_pages_address(first->pages, first->offset), len, iova);
}

int sim_ioas_map(struct sim_ioas *ioas, const struct sim_piece *pieces, size_t num, uint64_t len, bool fixed,
		 uint32_t prot, uint64_t *iova)
{
	struct sim_area *area;
	uint64_t start = *iova, last;
	int error = place(ioas, pieces, len, fixed, &start);

	if (error)
		return error;
	last = start + (len - 1);
	/* All find their places before the first is pinned. */
	for (size_t i = 0, done = 0; i < num && !error; done += pieces[i++].len)
		error = insert_area(ioas, &pieces[i], start + done, prot);
	area = error ? NULL : sim_ioas_first(ioas, start, last);
	for (; area && sim_area_last(area) <= last && !error; area = next_area(ioas, area))
		error = install_everywhere(ioas, area);
	while (error && (area = sim_ioas_first(ioas, start, last)))
		remove_area(ioas, area);
	if (!error)
		*iova = start;
	return error;
}

/* Revoking ----------------------------------------------------------------------------------------------- */

void sim_ioas_uninstall(struct sim_ioas *ioas, const struct sim_dma_buf *buf)
{
	struct sim_area *area = NULL;

	while ((area = next_area(ioas, area)))
		for (struct sim_hwpt *hwpt = ioas->hwpts; hwpt && area->pages->dma_buf == buf;
		     hwpt = hwpt->next)
			uninstall(hwpt, area);
}

void sim_ioas_mark_revoked(struct sim_ioas *ioas, const struct sim_dma_buf *buf)
{
	struct sim_area *area = NULL;

	while ((area = next_area(ioas, area)))
		if (area->pages->dma_buf == buf)
			area->pages->revoked = true;
}

/* Unmapping ---------------------------------------------------------------------------------------------- */

int sim_ioas_unmap(struct sim_ioas *ioas, uint64_t start, uint64_t last, uint64_t *ret_len)
{
	struct sim_area *area;

	*ret_len = 0;
	while ((area = sim_ioas_first(ioas, start, last))) {
		if (area->node.key < start || sim_area_last(area) > last)
			return -ENOENT;
		*ret_len += area->len;
		remove_area(ioas, area);
	}
	return 0;
}

/* The part of @area from @iova on, as an area of its own. */
static int split_area(struct sim_ioas *ioas, struct sim_area *area, uint64_t iova)
{
	struct sim_area *upper = malloc(sizeof(*upper));
	uint64_t lower_len = iova - area->node.key;
	int error = upper ? 0 : -ENOMEM;

	for (struct sim_hwpt *hwpt = ioas->hwpts; hwpt && !error; hwpt = hwpt->next)
		error = sim_domain_split(hwpt->domain, iova);
	if (error) {
		free(upper);
		return error;
	}
	*upper = *area;
	upper->node.key = iova;
	upper->len -= lower_len;
	upper->offset += lower_len;
	area->len = lower_len;
	sim_pages_hold(upper->pages);
	for (struct sim_hwpt *hwpt = ioas->hwpts; hwpt; hwpt = hwpt->next)
		sim_pages_pin(upper->pages); /* pinned already, so it cannot fail */
	weir_tree_insert(&ioas->areas, &upper->node);
	return 0;
}

int sim_ioas_split(struct sim_ioas *ioas, uint64_t iova)
{
	struct sim_area *area = sim_ioas_first(ioas, iova, iova);
	uint64_t address;

	if (!area || area->node.key == iova)
		return 0;
	if (area->pages->dma_buf)
		return -EOPNOTSUPP;
	address = sim_pages_address(area->pages, area->offset + (iova - area->node.key));
	if ((iova | address) & (ioas->alignment - 1))
		return -EINVAL;
	return split_area(ioas, area, iova);
}

/* Page tables -------------------------------------------------------------------------------------------- */

static uint64_t own_alignment(const struct sim_ioas *ioas)
{
	return ioas->no_large_pages ? sim_page_size() : 1;
}

static bool is_aligned(const struct sim_ioas *ioas, uint64_t alignment)
{
	struct sim_area *area = NULL;

	while ((area = next_area(ioas, area))) {
		uint64_t in_page = sim_pages_address(area->pages, area->offset) % sim_page_size();

		if ((area->node.key | area->len | in_page) & (alignment - 1))
			return false;
	}
	return true;
}

static int fill(struct sim_ioas *ioas, struct sim_hwpt *hwpt)
{
	struct sim_area *area = NULL, *done = NULL;
	int error = 0;

	while (!error && (area = next_area(ioas, area)))
		error = install(hwpt, area);
	while (error && (done = next_area(ioas, done)) != area)
		uninstall(hwpt, done);
	return error;
}

/* What a page table has to do with where things can be: its reach, and its smallest page. */
static int limit(struct sim_ioas *ioas, const struct sim_hwpt *hwpt, uint64_t alignment)
{
	if (alignment != ioas->alignment && !is_aligned(ioas, alignment))
		return -EADDRINUSE;
	return sim_ioas_reserve(ioas, (uint64_t)1 << hwpt->domain->address_bits, UINT64_MAX, hwpt);
}

int sim_ioas_add_hwpt(struct sim_ioas *ioas, struct sim_hwpt *hwpt)
{
	uint64_t alignment = ioas->alignment < SIM_IOMMU_PAGE ? SIM_IOMMU_PAGE : ioas->alignment;
	struct sim_hwpt **link = &ioas->hwpts;
	int error = limit(ioas, hwpt, alignment);

	if (error)
		return error;
	error = fill(ioas, hwpt);
	if (error) {
		sim_ioas_unreserve(ioas, hwpt);
		return error;
	}
	ioas->alignment = alignment;
	while (*link)
		link = &(*link)->next;
	*link = hwpt;
	return 0;
}

void sim_ioas_remove_hwpt(struct sim_ioas *ioas, struct sim_hwpt *hwpt)
{
	struct sim_hwpt **link = &ioas->hwpts;
	struct sim_area *area = NULL;

	while (*link != hwpt)
		link = &(*link)->next;
	*link = hwpt->next;
	while ((area = next_area(ioas, area)))
		uninstall(hwpt, area);
	sim_ioas_unreserve(ioas, hwpt);
	if (!ioas->hwpts)
		ioas->alignment = own_alignment(ioas);
}

int sim_ioas_set_large_pages(struct sim_ioas *ioas, bool large)
{
	if (large == !ioas->no_large_pages)
		return 0;
	if (!large && ioas->hwpts && ioas->areas.root)
		return -EINVAL;
	if (!large && !is_aligned(ioas, sim_page_size()))
		return -EADDRINUSE;
	ioas->no_large_pages = !large;
	ioas->alignment = own_alignment(ioas);
	if (ioas->hwpts && ioas->alignment < SIM_IOMMU_PAGE)
		ioas->alignment = SIM_IOMMU_PAGE;
	return 0;
}
