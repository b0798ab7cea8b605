// SPDX-License-Identifier: MIT
/* A plain model of a container's mappings. */
#include "fuzz/type1_model.h"

#include <errno.h>
#include <string.h>

enum {
	SMALL_PAGE = 4096,
	RIGHTS = ABI_VFIO_DMA_MAP_FLAG_READ | ABI_VFIO_DMA_MAP_FLAG_WRITE,
	VADDR = ABI_VFIO_DMA_MAP_FLAG_VADDR,
};

bool type1_allows(const struct type1_verdict *verdict, int result)
{
	for (unsigned int i = 0; i < verdict->num; i++)
		if (verdict->errors[i] == result)
			return true;
	return !verdict->num && !result;
}

static struct type1_verdict verdict_of(int error, int or_error)
{
	return (struct type1_verdict){ { error, or_error }, !error ? 0 : or_error ? 2 : 1 };
}

static void add_error(struct type1_verdict *verdict, int error)
{
	if (verdict->num < TYPE1_ERRORS)
		verdict->errors[verdict->num++] = error;
}

/* The list ------------------------------------------------------------------------------------------------- */

static bool meets(const struct type1_mapping *mapping, uint64_t iova, uint64_t last)
{
	return mapping->iova <= last && mapping->last >= iova;
}

static void insert(struct type1 *type1, const struct type1_mapping *mapping)
{
	unsigned int at = type1->num++;

	for (; at && type1->mappings[at - 1].iova > mapping->iova; at--)
		type1->mappings[at] = type1->mappings[at - 1];
	type1->mappings[at] = *mapping;
}

static uint64_t take_out(struct type1 *type1, unsigned int at)
{
	uint64_t len = type1->mappings[at].last - type1->mappings[at].iova + 1;

	memmove(&type1->mappings[at], &type1->mappings[at + 1],
		(--type1->num - at) * sizeof(type1->mappings[0]));
	return len;
}

const struct type1_mapping *type1_reach(const struct type1 *type1, uint64_t iova)
{
	for (unsigned int i = 0; i < type1->num; i++)
		if (meets(&type1->mappings[i], iova, iova))
			return &type1->mappings[i];
	return NULL;
}

unsigned int type1_num_invalid(const struct type1 *type1)
{
	unsigned int num = 0;

	for (unsigned int i = 0; i < type1->num; i++)
		num += type1->mappings[i].invalid;
	return num;
}

/* MAP_DMA -------------------------------------------------------------------------------------------------- */

/* 48 bits, and the window for interrupts. */
static bool is_addressable(uint64_t iova, uint64_t last)
{
	return !(last >> 48) && (last < 0xfee00000 || iova > 0xfeefffff);
}

/* What can be said of the command alone: no right, no length, not aligned. The reference gives no order. */
static struct type1_verdict check_map(const struct type1 *type1,
				      const struct abi_vfio_iommu_type1_dma_map *cmd)
{
	bool rights = cmd->flags & RIGHTS, vaddr = cmd->flags & VADDR, compat = type1_is_compat(type1);
	uint64_t iova_last = cmd->iova + (cmd->size - 1), last = cmd->vaddr + (cmd->size - 1);
	struct type1_verdict verdict = { .num = 0 };

	if (cmd->flags & ~(uint32_t)(RIGHTS | (compat ? 0 : VADDR)) || (rights == vaddr && !compat) ||
	    !cmd->size || (cmd->size | cmd->iova | (compat ? 0 : cmd->vaddr)) % SMALL_PAGE)
		add_error(&verdict, -EINVAL);
	/* Memory that ends where the 64 bits do counts as wrapping on /dev/iommu. */
	if (iova_last < cmd->iova || last < cmd->vaddr || (compat && last == UINT64_MAX)) {
		add_error(&verdict, -EOVERFLOW);
		add_error(&verdict, -EINVAL);
	} else if (cmd->iova == UINT64_MAX || cmd->size == UINT64_MAX) {
		add_error(&verdict, -EOVERFLOW);
	}
	return verdict;
}

static int update_vaddr(struct type1 *type1, const struct abi_vfio_iommu_type1_dma_map *cmd)
{
	for (unsigned int i = 0; i < type1->num; i++) {
		struct type1_mapping *mapping = &type1->mappings[i];

		if (!meets(mapping, cmd->iova, cmd->iova + (cmd->size - 1)))
			continue;
		if (!mapping->invalid || mapping->iova != cmd->iova ||
		    mapping->last - mapping->iova != cmd->size - 1)
			return -EINVAL;
		mapping->address = cmd->vaddr;
		mapping->invalid = false;
		return 0;
	}
	return -ENOENT;
}

struct type1_verdict type1_map(struct type1 *type1, const struct abi_vfio_iommu_type1_dma_map *cmd,
			       bool can_pin)
{
	struct type1_verdict verdict = check_map(type1, cmd);
	uint64_t last = cmd->iova + (cmd->size - 1);
	struct type1_mapping mapping = { cmd->iova, last, cmd->vaddr, cmd->flags & RIGHTS, false };

	if (verdict.num)
		return verdict;
	if (cmd->flags & VADDR)
		return verdict_of(update_vaddr(type1, cmd), 0);
	for (unsigned int i = 0; i < type1->num; i++)
		if (meets(&type1->mappings[i], cmd->iova, last)) {
			add_error(&verdict, -EEXIST);
			break;
		}
	if (!type1_is_compat(type1) && type1->num >= type1->limit)
		add_error(&verdict, -ENOSPC);
	if (!is_addressable(cmd->iova, last))
		add_error(&verdict, -EINVAL);
	if (!verdict.num && !can_pin)
		add_error(&verdict, -EFAULT);
	/* /dev/iommu sees last where in a page memory begins, and leaves to the page table that nothing may be done with it. */
	if (!(cmd->flags & RIGHTS) || cmd->vaddr % SMALL_PAGE)
		add_error(&verdict, -EINVAL);
	if (!verdict.num)
		insert(type1, &mapping);
	return verdict;
}

/* UNMAP_DMA ------------------------------------------------------------------------------------------------ */

/* All in the range; one that sticks out has been seen to. */
static uint64_t unmap_range(struct type1 *type1, uint64_t iova, uint64_t last)
{
	uint64_t size = 0;

	for (unsigned int i = 0; i < type1->num;) {
		if (meets(&type1->mappings[i], iova, last))
			size += take_out(type1, i);
		else
			i++;
	}
	return size;
}

static bool is_cut(const struct type1 *type1, uint64_t border)
{
	for (unsigned int i = 0; i < type1->num; i++)
		if (type1->mappings[i].iova < border && type1->mappings[i].last >= border)
			return true;
	return false;
}

/* Version 1: one that begins before the range ends it all; others go as a whole. */
static uint64_t unmap_v1(struct type1 *type1, uint64_t iova, uint64_t last)
{
	return is_cut(type1, iova) ? 0 : unmap_range(type1, iova, last);
}

static struct type1_verdict invalidate(struct type1 *type1, uint64_t iova, uint64_t last, uint64_t *ret_size)
{
	if (type1->kind == TYPE1_V1 && is_cut(type1, iova))
		return verdict_of(0, 0);
	for (unsigned int i = 0; i < type1->num; i++)
		if (meets(&type1->mappings[i], iova, last) && type1->mappings[i].invalid)
			return verdict_of(-EINVAL, 0);
	for (unsigned int i = 0; i < type1->num; i++) {
		struct type1_mapping *mapping = &type1->mappings[i];

		if (!meets(mapping, iova, last))
			continue;
		mapping->invalid = true;
		*ret_size += mapping->last - mapping->iova + 1;
	}
	return verdict_of(0, 0);
}

static struct type1_verdict unmap_type1(struct type1 *type1, const struct abi_vfio_iommu_type1_dma_unmap *cmd,
					uint64_t *ret_size)
{
	uint32_t dirty = cmd->flags & ABI_VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
	uint32_t all = cmd->flags & ABI_VFIO_DMA_UNMAP_FLAG_ALL,
		 vaddr = cmd->flags & ABI_VFIO_DMA_UNMAP_FLAG_VADDR;
	uint64_t last = all ? UINT64_MAX : cmd->iova + (cmd->size - 1);

	if (cmd->flags & ~7u || (dirty && (all || vaddr)) || (dirty && !type1->tracks_dirty) ||
	    last < cmd->iova ||
	    (all ? cmd->iova || cmd->size : !cmd->size || (cmd->iova | cmd->size) % SMALL_PAGE))
		return verdict_of(-EINVAL, last < cmd->iova ? -EOVERFLOW : 0);
	if (type1->kind == TYPE1_V2 && !all &&
	    (is_cut(type1, cmd->iova) || (last != UINT64_MAX && is_cut(type1, last + 1))))
		return verdict_of(-EINVAL, 0);
	if (vaddr)
		return invalidate(type1, cmd->iova, last, ret_size);
	*ret_size = type1->kind == TYPE1_V1 ? unmap_v1(type1, cmd->iova, last)
					    : unmap_range(type1, cmd->iova, last);
	return verdict_of(0, 0);
}

/* On /dev/iommu, version 1: what reaches across becomes two. */
static void cut(struct type1 *type1, uint64_t border)
{
	for (unsigned int i = 0; i < type1->num; i++) {
		struct type1_mapping upper = type1->mappings[i];

		if (upper.iova >= border || upper.last < border)
			continue;
		type1->mappings[i].last = border - 1;
		upper.address += border - upper.iova;
		upper.iova = border;
		insert(type1, &upper);
		return;
	}
}

/* In ascending order, up to one that sticks out. */
static int unmap_whole(struct type1 *type1, uint64_t iova, uint64_t last, uint64_t *ret_size)
{
	for (unsigned int i = 0; i < type1->num;) {
		const struct type1_mapping *mapping = &type1->mappings[i];

		if (!meets(mapping, iova, last)) {
			i++;
			continue;
		}
		if (mapping->iova < iova || mapping->last > last)
			return -ENOENT;
		*ret_size += take_out(type1, i);
	}
	return 0;
}

static struct type1_verdict unmap_compat(struct type1 *type1,
					 const struct abi_vfio_iommu_type1_dma_unmap *cmd, uint64_t *ret_size)
{
	uint64_t last = cmd->iova + (cmd->size - 1), end = cmd->iova + cmd->size;
	bool all = cmd->flags & ABI_VFIO_DMA_UNMAP_FLAG_ALL;

	if (cmd->flags & ~(uint32_t)ABI_VFIO_DMA_UNMAP_FLAG_ALL || (all && (cmd->iova || cmd->size)))
		return verdict_of(-EINVAL, 0);
	if (all) {
		*ret_size = unmap_range(type1, 0, UINT64_MAX);
		return verdict_of(0, 0);
	}
	if (type1->kind == COMPAT_V1) {
		/* Both ends are cut before the range is looked at; not where pages cannot be. */
		if (end % SMALL_PAGE && is_cut(type1, end))
			return verdict_of(-EINVAL, 0);
		cut(type1, end);
		if (cmd->iova % SMALL_PAGE && is_cut(type1, cmd->iova))
			return verdict_of(-EINVAL, 0);
		cut(type1, cmd->iova);
	}
	if (!cmd->size)
		return verdict_of(-EINVAL, 0);
	if (last < cmd->iova)
		return verdict_of(-EOVERFLOW, -EINVAL);
	return verdict_of(unmap_whole(type1, cmd->iova, last, ret_size), 0);
}

struct type1_verdict type1_unmap(struct type1 *type1, const struct abi_vfio_iommu_type1_dma_unmap *cmd,
				 uint64_t *ret_size)
{
	*ret_size = 0;
	return type1_is_compat(type1) ? unmap_compat(type1, cmd, ret_size)
				      : unmap_type1(type1, cmd, ret_size);
}
