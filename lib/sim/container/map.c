// SPDX-License-Identifier: MIT
/*
 * Type1's mappings (kernel-interface C.3 to C.6). A mapping is the unit of everything: version 2 refuses to
 * cut one, version 1 takes the whole or nothing. Memory is pinned and charged when it is mapped.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "sim/container/container.h"
#include "sim/process.h"
#include "sim/user.h"

enum { GRAIN = 4096, WORD_BITS = 64, MOST_BITMAP = 256 << 20 };

/* What a mapping is made of: memory, or a BAR that the program has mapped. */
struct piece {
	struct piece *next; /* before it in the mapping */
	struct sim_pages *pages;
	uint64_t offset; /* in the mapping */
};

/* A mapping; "dma" is what the kernel calls one. */
struct dma {
	struct weir_tree_node node; /* key: IOVA */
	uint64_t len;
	struct piece *pieces; /* the last one first */
	bool invalid;         /* its address has been taken back, and none given yet */
};

static struct dma *dma_of(struct weir_tree_node *node)
{
	return (struct dma *)node; /* it comes first */
}

static uint64_t last_of(const struct dma *dma)
{
	return dma->node.key + (dma->len - 1);
}

/* The mapping at an address, or NULL. */
static struct dma *find(const struct sim_container *container, uint64_t iova)
{
	struct weir_tree_node *node = weir_tree_at_or_below(&container->mappings, iova);

	return node && last_of(dma_of(node)) >= iova ? dma_of(node) : NULL;
}

/* The first that meets [iova, last], or NULL. */
static struct dma *find_first(const struct sim_container *container, uint64_t iova, uint64_t last)
{
	struct dma *dma = find(container, iova);
	struct weir_tree_node *node;

	if (dma)
		return dma;
	node = weir_tree_at_or_above(&container->mappings, iova);
	return node && node->key <= last ? dma_of(node) : NULL;
}

static struct dma *find_next(const struct sim_container *container, const struct dma *dma, uint64_t last)
{
	return last_of(dma) >= last ? NULL : find_first(container, last_of(dma) + 1, last);
}

/* ---- MAP ---- */

static int check_map(const struct abi_vfio_iommu_type1_dma_map *cmd)
{
	const uint32_t rights = ABI_VFIO_DMA_MAP_FLAG_READ | ABI_VFIO_DMA_MAP_FLAG_WRITE;
	uint64_t last;

	if (cmd->flags & ~(rights | ABI_VFIO_DMA_MAP_FLAG_VADDR) || !cmd->size)
		return -EINVAL;
	if (__builtin_add_overflow(cmd->iova, cmd->size - 1, &last) ||
	    __builtin_add_overflow(cmd->vaddr, cmd->size - 1, &last))
		return -EOVERFLOW;
	if (!(cmd->flags & rights) != !!(cmd->flags & ABI_VFIO_DMA_MAP_FLAG_VADDR))
		return -EINVAL;
	return (cmd->size | cmd->iova | cmd->vaddr) % GRAIN ? -EINVAL : 0;
}

static bool is_addressable(const struct sim_container *container, uint64_t iova, uint64_t last)
{
	struct abi_vfio_iova_range range;

	for (unsigned int i = 0; sim_container_range(container, i, &range); i++)
		if (iova >= range.start && last <= range.end)
			return true;
	return false;
}

/* A BAR that the program has mapped can be mapped for DMA by its address, as nowhere else (B.10). What lies at @addr, as far as @len. */
static int make_pages(struct sim_container *container, uint64_t addr, uint64_t len, bool writable,
		      struct sim_pages **ret_pages)
{
	const struct sim_mapping *bar = sim_mapping_find(container->sim, addr, len);
	uint64_t start = bar ? (uintptr_t)bar->addr : addr + len;

	if (!bar || start > addr)
		return sim_pages_memory(container->sim, addr, start - addr < len ? start - addr : len,
					writable, sim_charge_now(container->sim, SIM_CHARGE_CONTAINER),
					ret_pages);
	if (len > start + bar->len - addr)
		len = start + bar->len - addr;
	return sim_pages_bar(bar->device, bar->bar, bar->offset + (addr - start), len, ret_pages);
}

static void drop_pieces(struct sim_container *container, struct dma *dma)
{
	while (dma->pieces) {
		struct piece *piece = dma->pieces;

		dma->pieces = piece->next;
		sim_domain_unmap(container->domain, dma->node.key + piece->offset, piece->pages->len);
		sim_pages_unpin(piece->pages);
		sim_pages_put(piece->pages);
		free(piece);
	}
}

static int install_piece(struct sim_container *container, uint64_t iova, struct sim_pages *pages,
			 uint32_t prot)
{
	int error = sim_pages_pin(pages);

	if (error)
		return error;
	error = sim_domain_map(container->domain, iova, pages->len, pages, 0, prot);
	if (error)
		sim_pages_unpin(pages);
	return error;
}

/* The piece from @offset on; *@ret_len: how long it is. */
static int add_piece(struct sim_container *container, const struct abi_vfio_iommu_type1_dma_map *cmd,
		     struct dma *dma, uint64_t offset, uint64_t *ret_len)
{
	bool reads = cmd->flags & ABI_VFIO_DMA_MAP_FLAG_READ,
	     writes = cmd->flags & ABI_VFIO_DMA_MAP_FLAG_WRITE;
	struct piece *piece = malloc(sizeof(*piece));
	int error = piece ? 0 : -ENOMEM;

	if (error)
		return error;
	*piece = (struct piece){ .next = dma->pieces, .offset = offset };
	error = make_pages(container, cmd->vaddr + offset, cmd->size - offset, writes, &piece->pages);
	if (!error) {
		error = install_piece(container, cmd->iova + offset, piece->pages,
				      (reads ? SIM_READ : 0) | (writes ? SIM_WRITE : 0));
		if (error)
			sim_pages_put(piece->pages);
	}
	if (error) {
		free(piece);
		return error;
	}
	dma->pieces = piece;
	*ret_len = piece->pages->len;
	return 0;
}

static int install(struct sim_container *container, const struct abi_vfio_iommu_type1_dma_map *cmd,
		   struct dma *dma)
{
	uint64_t len = 0;
	int error = 0;

	for (uint64_t done = 0; done < cmd->size && !error; done += len)
		error = add_piece(container, cmd, dma, done, &len);
	if (error)
		drop_pieces(container, dma);
	return error;
}

static int add(struct sim_container *container, const struct abi_vfio_iommu_type1_dma_map *cmd)
{
	struct dma *dma;
	int error;

	if (container->num_mappings >= container->sim->max_mappings)
		return -ENOSPC;
	if (!is_addressable(container, cmd->iova, cmd->iova + (cmd->size - 1)))
		return -EINVAL;
	dma = calloc(1, sizeof(*dma));
	if (!dma)
		return -ENOMEM;
	dma->node.key = cmd->iova;
	dma->len = cmd->size;
	error = install(container, cmd, dma);
	if (error) {
		free(dma);
		return error;
	}
	weir_tree_insert(&container->mappings, &dma->node);
	container->num_mappings++;
	return 0;
}

/* Whoever gives the new address is charged, or nobody else than before. */
static int move_pieces(const struct dma *dma)
{
	unsigned int before = dma->pieces ? dma->pieces->pages->process : 0;
	const struct piece *piece = dma->pieces;
	int error = 0;

	for (; piece && !error; piece = error ? piece : piece->next)
		error = sim_pages_move(piece->pages, sim_process_now());
	for (const struct piece *moved = dma->pieces; error && moved != piece; moved = moved->next)
		sim_pages_move(moved->pages, before);
	return error;
}

/*
 * The memory of a mapping is at another address now. The pages are the same to the kernel; for us they are
 * where they are.
 */
static int update_vaddr(struct sim_container *container, const struct abi_vfio_iommu_type1_dma_map *cmd,
			struct dma *dma)
{
	int error;

	if (!dma)
		return -ENOENT;
	if (!dma->invalid || dma->node.key != cmd->iova || dma->len != cmd->size)
		return -EINVAL;
	error = move_pieces(dma);
	if (error)
		return error;
	for (const struct piece *piece = dma->pieces; piece; piece = piece->next)
		if (piece->pages->kind == SIM_PAGES_MEMORY)
			piece->pages->addr = (unsigned char *)(uintptr_t)(cmd->vaddr + piece->offset);
	dma->invalid = false;
	container->num_invalid--;
	return 0;
}

int sim_container_map(struct sim_container *container, void *arg)
{
	struct abi_vfio_iommu_type1_dma_map cmd;
	struct dma *dma;
	int error = sim_argsz_in(arg, &cmd, sizeof(cmd), sizeof(cmd));

	if (!error)
		error = check_map(&cmd);
	if (error)
		return error;
	dma = find_first(container, cmd.iova, cmd.iova + (cmd.size - 1));
	if (cmd.flags & ABI_VFIO_DMA_MAP_FLAG_VADDR)
		return update_vaddr(container, &cmd, dma);
	return dma ? -EEXIST : add(container, &cmd);
}

/* ---- Dirty bitmaps ---- */

static int check_bitmap(uint64_t len, const struct abi_vfio_bitmap *bitmap)
{
	uint64_t bits = bitmap->pgsize ? len >> __builtin_ctzll(bitmap->pgsize) : 0;

	if (!bits || !bitmap->size || bitmap->size > MOST_BITMAP ||
	    bitmap->size < (bits + WORD_BITS - 1) / WORD_BITS * sizeof(uint64_t))
		return -EINVAL;
	return 0;
}

/*
 * Everything that is mapped counts as dirty (C.5). The kernel writes whole words, and of the first keeps only
 * what lies below the mapping: the bitmap's first bit stands for @base.
 */
static int mark_dirty(struct sim_container *container, const struct dma *dma, uint64_t base,
		      const struct abi_vfio_bitmap *bitmap)
{
	uint64_t first = (dma->node.key - base) / GRAIN, last = first + dma->len / GRAIN - 1;
	uint64_t at = (uintptr_t)bitmap->data + first / WORD_BITS * sizeof(uint64_t);

	for (uint64_t word = first / WORD_BITS; word <= last / WORD_BITS; word++, at += sizeof(uint64_t)) {
		uint64_t bits = ~UINT64_C(0), below = 0;

		if (word == first / WORD_BITS && first % WORD_BITS) {
			if (sim_copy_in(&below, at, sizeof(below)))
				return -EFAULT;
			bits <<= first % WORD_BITS;
			below &= ~bits;
		}
		if (word == last / WORD_BITS)
			bits &= ~UINT64_C(0) >> (WORD_BITS - 1 - last % WORD_BITS);
		bits |= below;
		if (sim_copy_out(container->sim, at, &bits, sizeof(bits)))
			return -EFAULT;
	}
	return 0;
}

static bool cuts(const struct sim_container *container, uint64_t iova, uint64_t last)
{
	const struct dma *low = find(container, iova), *high = find(container, last);

	return (low && low->node.key != iova) || (high && last_of(high) != last);
}

static int get_dirty(struct sim_container *container, uint64_t from, uint32_t room)
{
	struct abi_vfio_iommu_type1_dirty_bitmap_get cmd;
	uint64_t last;
	int error;

	if (room < sizeof(cmd))
		return -EINVAL;
	if (sim_copy_in(&cmd, from, sizeof(cmd)))
		return -EFAULT;
	if (!cmd.size)
		return -EINVAL;
	if (__builtin_add_overflow(cmd.iova, cmd.size - 1, &last))
		return -EOVERFLOW;
	error = check_bitmap(cmd.size, &cmd.bitmap);
	if (error)
		return error;
	if (cmd.bitmap.pgsize != GRAIN || cmd.iova % GRAIN || cmd.size % GRAIN || !container->tracks_dirty)
		return -EINVAL;
	if (cuts(container, cmd.iova, last))
		return -EINVAL;
	for (struct dma *dma = find_first(container, cmd.iova, last); dma && !error;
	     dma = find_next(container, dma, last))
		error = mark_dirty(container, dma, cmd.iova, &cmd.bitmap);
	return error;
}

int sim_container_dirty(struct sim_container *container, void *arg)
{
	struct abi_vfio_iommu_type1_dirty_bitmap cmd;
	int error;

	if (container->iommu_type != ABI_VFIO_TYPE1v2_IOMMU)
		return -EACCES;
	error = sim_argsz_in(arg, &cmd, sizeof(cmd), sizeof(cmd));
	if (error)
		return error;
	switch (cmd.flags) {
	case ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		container->tracks_dirty = true;
		return 0;
	case ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		container->tracks_dirty = false;
		return 0;
	case ABI_VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		return get_dirty(container, (uintptr_t)arg + sizeof(cmd), cmd.argsz - (uint32_t)sizeof(cmd));
	default:
		return -EINVAL;
	}
}

/* ---- UNMAP ---- */

static void drop(struct sim_container *container, struct dma *dma)
{
	drop_pieces(container, dma);
	if (dma->invalid)
		container->num_invalid--;
	weir_tree_remove(&container->mappings, &dma->node);
	container->num_mappings--;
	free(dma);
}

void sim_container_unmap_all(struct sim_container *container)
{
	struct dma *dma;

	while ((dma = find_first(container, 0, UINT64_MAX)))
		drop(container, dma);
}

struct unmap {
	uint32_t flags;
	uint64_t iova, last, done;
	struct abi_vfio_bitmap bitmap;
};

/*
 * Version 1 goes no further when the first mapping begins before the range; of one that begins in it, it
 * takes all.
 */
static bool is_out(const struct sim_container *container, const struct unmap *range, const struct dma *dma)
{
	return container->iommu_type == ABI_VFIO_TYPE1_IOMMU && dma->node.key < range->iova;
}

/* The addresses of all in the range become invalid; when one is so already, none does. */
static int invalidate(struct sim_container *container, struct unmap *range)
{
	struct dma *first = find_first(container, range->iova, range->last), *dma;

	for (dma = first; dma && !is_out(container, range, dma); dma = find_next(container, dma, range->last))
		if (dma->invalid)
			return -EINVAL;
	for (dma = first; dma && !is_out(container, range, dma);
	     dma = find_next(container, dma, range->last)) {
		dma->invalid = true;
		container->num_invalid++;
		range->done += dma->len;
	}
	return 0;
}

static int unmap_range(struct sim_container *container, struct unmap *range)
{
	struct dma *dma;

	if (range->flags & ABI_VFIO_DMA_UNMAP_FLAG_VADDR)
		return invalidate(container, range);
	while ((dma = find_first(container, range->iova, range->last)) && !is_out(container, range, dma)) {
		if (range->flags & ABI_VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) {
			int error = mark_dirty(container, dma, range->iova, &range->bitmap);

			if (error)
				return error;
		}
		range->done += dma->len;
		drop(container, dma);
	}
	return 0;
}

/* The frame: what can be said without looking at the mappings. */
static int check_unmap(const struct abi_vfio_iommu_type1_dma_unmap *cmd, uint64_t bitmap, struct unmap *range)
{
	const uint32_t dirty = ABI_VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, all = ABI_VFIO_DMA_UNMAP_FLAG_ALL,
		       vaddr = ABI_VFIO_DMA_UNMAP_FLAG_VADDR;

	if (cmd->flags & ~(dirty | all | vaddr) || (cmd->flags & dirty && cmd->flags & (all | vaddr)))
		return -EINVAL;
	range->flags = cmd->flags;
	range->iova = cmd->iova;
	if (!(cmd->flags & dirty))
		return 0;
	if (cmd->argsz < sizeof(*cmd) + sizeof(range->bitmap))
		return -EINVAL;
	if (sim_copy_in(&range->bitmap, bitmap, sizeof(range->bitmap)))
		return -EFAULT;
	return check_bitmap(cmd->size, &range->bitmap);
}

static int check_range(const struct sim_container *container,
		       const struct abi_vfio_iommu_type1_dma_unmap *cmd, struct unmap *range)
{
	if (cmd->iova % GRAIN)
		return -EINVAL;
	range->last = UINT64_MAX;
	if (cmd->flags & ABI_VFIO_DMA_UNMAP_FLAG_ALL)
		return cmd->iova || cmd->size ? -EINVAL : 0;
	if (!cmd->size || cmd->size % GRAIN)
		return -EINVAL;
	if (__builtin_add_overflow(cmd->iova, cmd->size - 1, &range->last))
		return -EOVERFLOW;
	if (cmd->flags & ABI_VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP &&
	    (!container->tracks_dirty || range->bitmap.pgsize != GRAIN))
		return -EINVAL;
	if (container->iommu_type == ABI_VFIO_TYPE1v2_IOMMU && cuts(container, range->iova, range->last))
		return -EINVAL;
	return 0;
}

int sim_container_unmap(struct sim_container *container, void *arg)
{
	struct abi_vfio_iommu_type1_dma_unmap cmd;
	struct unmap range = { 0 };
	int error = sim_argsz_in(arg, &cmd, sizeof(cmd), sizeof(cmd));

	if (!error)
		error = check_unmap(&cmd, (uintptr_t)arg + sizeof(cmd), &range);
	if (!error)
		error = check_range(container, &cmd, &range);
	if (!error)
		error = unmap_range(container, &range);
	if (error)
		return error;
	cmd.size = range.done;
	return sim_copy_out(container->sim, (uintptr_t)arg, &cmd, sizeof(cmd));
}
