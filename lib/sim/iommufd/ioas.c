// SPDX-License-Identifier: MIT
/* The commands on address spaces (kernel-interface A.4, A.6, A.7). Checks stand in the kernel's order. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "sim/iommufd/ioas.h"
#include "sim/process.h"
#include "sim/user.h"

enum {
	DMA_BUF_FS = 0x444d4142, /* DMA_BUF_MAGIC of <linux/magic.h>, which older ones lack */
	MAP_FLAGS =
		ABI_IOMMU_IOAS_MAP_FIXED_IOVA | ABI_IOMMU_IOAS_MAP_WRITEABLE | ABI_IOMMU_IOAS_MAP_READABLE,
};

int sim_cmd_ioas_alloc(struct sim_call *call)
{
	struct abi_iommu_ioas_alloc *cmd = call->cmd;
	struct sim_ioas *ioas;
	int error;

	if (cmd->flags)
		return -EOPNOTSUPP;
	error = sim_ioas_new(call->iommufd, &ioas);
	if (error)
		return error;
	cmd->out_ioas_id = ioas->object.id;
	error = sim_respond(call);
	if (error)
		sim_object_destroy(call->iommufd, &ioas->object);
	return error;
}

/* Ranges (A.4.2, A.4.3) ---------------------------------------------------------------------------------- */

static int copy_out_ranges(struct sim_call *call, const struct abi_iommu_iova_range *ranges, uint32_t num)
{
	const struct abi_iommu_ioas_iova_ranges *cmd = call->cmd;
	uint32_t room = cmd->num_iovas < num ? cmd->num_iovas : num;

	return sim_copy_out(call->iommufd->sim, cmd->allowed_iovas, ranges, room * sizeof(*ranges));
}

int sim_cmd_ioas_iova_ranges(struct sim_call *call)
{
	struct abi_iommu_ioas_iova_ranges *cmd = call->cmd;
	struct abi_iommu_iova_range *ranges;
	struct sim_ioas *ioas;
	uint32_t num, room = cmd->num_iovas;
	int error;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	ioas = sim_ioas_find(call->iommufd, cmd->ioas_id);
	if (!ioas)
		return -ENOENT;
	num = sim_ioas_ranges(ioas, NULL, 0);
	ranges = calloc(num ? num : 1, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	sim_ioas_ranges(ioas, ranges, num);
	error = copy_out_ranges(call, ranges, num);
	free(ranges);
	cmd->num_iovas = num;
	cmd->out_iova_alignment = ioas->alignment;
	/* One of the few answers that go back with an error, too. */
	if (!error)
		error = sim_respond(call);
	return error ? error : num > room ? -EMSGSIZE : 0;
}

/* Ranges as they come in, in ascending order. */
struct range_list {
	struct abi_iommu_iova_range *ranges;
	uint32_t num, room;
};

static int list_insert(struct range_list *list, const struct abi_iommu_iova_range *range)
{
	uint32_t at = list->num;

	while (at && list->ranges[at - 1].start > range->start)
		at--;
	if (range->start >= range->last || (at && list->ranges[at - 1].last >= range->start) ||
	    (at < list->num && list->ranges[at].start <= range->last))
		return -EINVAL;
	if (list->num == list->room) {
		uint32_t room = list->room ? list->room * 2 : 8;
		void *ranges = realloc(list->ranges, room * sizeof(*list->ranges));

		if (!ranges)
			return -ENOMEM;
		list->ranges = ranges;
		list->room = room;
	}
	memmove(&list->ranges[at + 1], &list->ranges[at], (list->num++ - at) * sizeof(*range));
	list->ranges[at] = *range;
	return 0;
}

/* What touches is one range to the allocator. */
static void list_join(struct range_list *list)
{
	uint32_t kept = 0;

	for (uint32_t i = 1; i < list->num; i++) {
		if (list->ranges[i].start - 1 == list->ranges[kept].last)
			list->ranges[kept].last = list->ranges[i].last;
		else
			list->ranges[++kept] = list->ranges[i];
	}
	if (list->num)
		list->num = kept + 1;
}

int sim_cmd_ioas_allow_iovas(struct sim_call *call)
{
	const struct abi_iommu_ioas_allow_iovas *cmd = call->cmd;
	struct range_list list = { 0 };
	struct sim_ioas *ioas;
	int error = 0;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	ioas = sim_ioas_find(call->iommufd, cmd->ioas_id);
	if (!ioas)
		return -ENOENT;
	for (uint32_t i = 0; i < cmd->num_iovas && !error; i++) {
		struct abi_iommu_iova_range range;

		error = sim_copy_in(&range, cmd->allowed_iovas + i * sizeof(range), sizeof(range));
		if (!error)
			error = list_insert(&list, &range);
	}
	list_join(&list);
	if (!error)
		error = sim_ioas_allow(ioas, list.ranges, list.num);
	if (error)
		free(list.ranges);
	return error;
}

/* Mapping (A.4.4, A.6, A.4.7) ---------------------------------------------------------------------------- */

static uint32_t prot_of(uint32_t flags)
{
	uint32_t prot = 0;

	if (flags & ABI_IOMMU_IOAS_MAP_READABLE)
		prot |= SIM_READ;
	if (flags & ABI_IOMMU_IOAS_MAP_WRITEABLE)
		prot |= SIM_WRITE;
	return prot;
}

static int check_flags(uint32_t flags)
{
	return flags & ~(uint32_t)MAP_FLAGS ? -EOPNOTSUPP : 0;
}

static int check_numbers(uint32_t flags, uint64_t iova, uint64_t len)
{
	if (iova == UINT64_MAX || len == UINT64_MAX)
		return -EOVERFLOW;
	return prot_of(flags) ? 0 : -EINVAL;
}

/* Lengths that the kernel's bookkeeping of pages cannot hold. */
static int check_length(uint64_t address, uint64_t len)
{
	uint64_t end;

	if (__builtin_add_overflow(address, len, &end))
		return -EOVERFLOW;
	return !len || len > UINT64_MAX - sim_page_size() ? -EINVAL : 0;
}

static enum sim_charge charge_of(const struct sim_iommufd *iommufd)
{
	return sim_charge_now(iommufd->sim, iommufd->per_process ? SIM_CHARGE_MM : SIM_CHARGE_USER);
}

/* Map all of @pages, and drop the caller's reference to them. */
static int map_pages(struct sim_ioas *ioas, struct sim_pages *pages, bool fixed, uint32_t prot,
		     uint64_t *iova)
{
	struct sim_piece piece = { .pages = pages, .offset = 0, .len = pages->len };
	int error = sim_ioas_map(ioas, &piece, 1, piece.len, fixed, prot, iova);

	sim_pages_put(pages);
	return error;
}

int sim_ioas_map_memory(struct sim_ioas *ioas, uint64_t addr, uint64_t len, bool fixed, uint32_t prot,
			uint64_t *iova)
{
	struct sim_pages *pages;
	int error = check_length(addr, len);

	if (!error)
		error = sim_pages_memory(ioas->iommufd->sim, addr, len, prot & SIM_WRITE,
					 charge_of(ioas->iommufd), &pages);
	return error ? error : map_pages(ioas, pages, fixed, prot, iova);
}

/* If the answer cannot be copied back, the mapping stays all the same (A.1). */
int sim_cmd_ioas_map(struct sim_call *call)
{
	struct abi_iommu_ioas_map *cmd = call->cmd;
	struct sim_ioas *ioas;
	int error = cmd->__reserved ? -EOPNOTSUPP : check_flags(cmd->flags);

	if (!error)
		error = check_numbers(cmd->flags, cmd->iova, cmd->length);
	if (error)
		return error;
	ioas = sim_ioas_find(call->iommufd, cmd->ioas_id);
	if (!ioas)
		return -ENOENT;
	error = sim_ioas_map_memory(ioas, cmd->user_va, cmd->length,
				    cmd->flags & ABI_IOMMU_IOAS_MAP_FIXED_IOVA, prot_of(cmd->flags),
				    &cmd->iova);
	return error ? error : sim_respond(call);
}

static int check_descriptor(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || flags & O_PATH ? -EBADF : 0;
}

/* dma-bufs of others than vfio-pci are refused. */
static int check_file(const struct weir_sim *sim, int fd)
{
	struct statfs fs;

	return sim_has_dma_buf(sim) && fstatfs(fd, &fs) == 0 && fs.f_type == DMA_BUF_FS ? -EOPNOTSUPP : 0;
}

static int pages_of_file(const struct sim_ioas *ioas, const struct abi_iommu_ioas_map_file *cmd,
			 struct sim_pages **ret_pages)
{
	struct weir_sim *sim = ioas->iommufd->sim;
	struct sim_dma_buf *buf = sim_dma_buf_of(sim_file_find(sim, cmd->fd));
	int error = check_file(sim, cmd->fd);

	if (error)
		return error;
	if (buf)
		return sim_pages_dma_buf(buf, cmd->start, cmd->length, ret_pages);
	return sim_pages_file(sim, cmd->fd, cmd->start, cmd->length,
			      cmd->flags & ABI_IOMMU_IOAS_MAP_WRITEABLE, charge_of(ioas->iommufd), ret_pages);
}

static int map_file(struct sim_ioas *ioas, const struct abi_iommu_ioas_map_file *cmd, uint64_t *iova)
{
	struct sim_pages *pages;
	int error = check_descriptor(cmd->fd);

	if (!error)
		error = check_length(cmd->start, cmd->length);
	if (!error)
		error = pages_of_file(ioas, cmd, &pages);
	if (error)
		return error;
	return map_pages(ioas, pages, cmd->flags & ABI_IOMMU_IOAS_MAP_FIXED_IOVA, prot_of(cmd->flags), iova);
}

int sim_cmd_ioas_map_file(struct sim_call *call)
{
	struct abi_iommu_ioas_map_file *cmd = call->cmd;
	struct sim_ioas *ioas;
	int error = check_flags(cmd->flags);

	if (!error)
		error = check_numbers(cmd->flags, cmd->iova, cmd->length);
	if (error)
		return error;
	ioas = sim_ioas_find(call->iommufd, cmd->ioas_id);
	if (!ioas)
		return -ENOENT;
	error = map_file(ioas, cmd, &cmd->iova);
	return error ? error : sim_respond(call);
}

/* What [start, last] of a space is mapped to, which must be without holes: a malloc'ed list. */
static int collect(const struct sim_ioas *ioas, uint64_t start, uint64_t last, struct sim_piece **ret_pieces,
		   size_t *ret_num)
{
	struct sim_piece *pieces = NULL;
	size_t num = 0, room = 0;

	for (uint64_t at = start;; at = start) {
		const struct sim_area *area = sim_ioas_first(ioas, at, at);
		uint64_t end = area && sim_area_last(area) < last ? sim_area_last(area) : last;

		if (num == room) {
			void *more = realloc(pieces, (room = room * 2 + 1) * sizeof(*pieces));

			if (!more) {
				free(pieces);
				return -ENOMEM;
			}
			pieces = more;
		}
		if (!area) {
			free(pieces);
			return -ENOENT;
		}
		pieces[num++] =
			(struct sim_piece){ area->pages, area->offset + (at - area->node.key), end - at + 1 };
		if (end == last)
			break;
		start = end + 1;
	}
	*ret_pieces = pieces;
	*ret_num = num;
	return 0;
}

/* The source is looked at before the destination is looked for. */
static int copy(struct sim_iommufd *iommufd, struct abi_iommu_ioas_copy *cmd)
{
	struct sim_ioas *from = sim_ioas_find(iommufd, cmd->src_ioas_id), *to;
	struct sim_piece *pieces;
	uint64_t last;
	size_t num;
	int error;

	if (!from)
		return -ENOENT;
	if (!cmd->length)
		return -EINVAL;
	if (__builtin_add_overflow(cmd->src_iova, cmd->length - 1, &last))
		return -EOVERFLOW;
	error = collect(from, cmd->src_iova, last, &pieces, &num);
	if (error)
		return error;
	to = sim_ioas_find(iommufd, cmd->dst_ioas_id);
	error = to ? sim_ioas_map(to, pieces, num, cmd->length, cmd->flags & ABI_IOMMU_IOAS_MAP_FIXED_IOVA,
				  prot_of(cmd->flags), &cmd->dst_iova)
		   : -ENOENT;
	free(pieces);
	return error;
}

int sim_cmd_ioas_copy(struct sim_call *call)
{
	struct abi_iommu_ioas_copy *cmd = call->cmd;
	int error = check_flags(cmd->flags);

	if (!error && cmd->src_iova == UINT64_MAX)
		error = -EOVERFLOW;
	if (!error)
		error = check_numbers(cmd->flags, cmd->dst_iova, cmd->length);
	if (!error)
		error = copy(call->iommufd, cmd);
	return error ? error : sim_respond(call);
}

/* Unmapping (A.4.6) -------------------------------------------------------------------------------------- */

static int unmap(struct sim_ioas *ioas, uint64_t iova, uint64_t len, uint64_t *ret_len)
{
	uint64_t last;
	int error;

	if (iova == 0 && len == UINT64_MAX)
		return sim_ioas_unmap(ioas, 0, UINT64_MAX, ret_len);
	if (iova == UINT64_MAX || len == UINT64_MAX)
		return -EOVERFLOW;
	if (!len)
		return -EINVAL;
	if (__builtin_add_overflow(iova, len - 1, &last))
		return -EOVERFLOW;
	error = sim_ioas_unmap(ioas, iova, last, ret_len);
	return error ? error : *ret_len ? 0 : -ENOENT;
}

int sim_cmd_ioas_unmap(struct sim_call *call)
{
	struct abi_iommu_ioas_unmap *cmd = call->cmd;
	struct sim_ioas *ioas = sim_ioas_find(call->iommufd, cmd->ioas_id);
	uint64_t len;
	int error;

	if (!ioas)
		return -ENOENT;
	error = unmap(ioas, cmd->iova, cmd->length, &len);
	if (error)
		return error;
	cmd->length = len;
	return sim_respond(call);
}

/* Changing hands (A.7) ----------------------------------------------------------------------------------- */

static bool all_files(const struct sim_ioas *ioas)
{
	const struct sim_area *area = sim_ioas_first(ioas, 0, UINT64_MAX);

	while (area && area->pages->kind == SIM_PAGES_FILE) {
		uint64_t last = sim_area_last(area);

		area = last == UINT64_MAX ? NULL : sim_ioas_first(ioas, last + 1, UINT64_MAX);
	}
	return !area;
}

/* All areas of a space, up to @end, are the caller's; or whose they were. */
static int move_areas(const struct sim_ioas *ioas, const struct sim_area **end, bool back)
{
	const struct sim_area *area = sim_ioas_first(ioas, 0, UINT64_MAX);
	int error = 0;

	while (area && area != *end && !error) {
		uint64_t last = sim_area_last(area);

		if (!back && area->pages->process != sim_process_now()) {
			area->pages->moved_from = area->pages->process;
			error = sim_pages_move(area->pages, sim_process_now());
			area->pages->moved_from += !error ? SIM_PROCESSES : 0;
		} else if (back && area->pages->moved_from >= SIM_PROCESSES) {
			sim_pages_move(area->pages, area->pages->moved_from - SIM_PROCESSES);
			area->pages->moved_from = 0;
		}
		if (error)
			*end = area;
		area = last == UINT64_MAX ? NULL : sim_ioas_first(ioas, last + 1, UINT64_MAX);
	}
	return error;
}

static void forget_move(const struct sim_ioas *ioas)
{
	const struct sim_area *area = sim_ioas_first(ioas, 0, UINT64_MAX);

	while (area) {
		uint64_t last = sim_area_last(area);

		area->pages->moved_from = 0;
		area = last == UINT64_MAX ? NULL : sim_ioas_first(ioas, last + 1, UINT64_MAX);
	}
}

/* All of it, or none. */
static int move_all(const struct sim_iommufd *iommufd)
{
	const struct sim_area *end = NULL;
	int error = 0;

	for (uint32_t id = 1; id < iommufd->num_objects && !error; id++) {
		const struct sim_ioas *ioas = sim_ioas_find(iommufd, id);

		if (ioas)
			error = move_areas(ioas, &end, false);
	}
	for (uint32_t id = 1; id < iommufd->num_objects; id++) {
		const struct sim_ioas *ioas = sim_ioas_find(iommufd, id);

		if (!ioas)
			continue;
		end = NULL;
		if (error)
			move_areas(ioas, &end, true);
		forget_move(ioas);
	}
	return error;
}

int sim_cmd_ioas_change_process(struct sim_call *call)
{
	const struct abi_iommu_ioas_change_process *cmd = call->cmd;
	const struct sim_iommufd *iommufd = call->iommufd;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	for (uint32_t id = 1; id < iommufd->num_objects; id++) {
		const struct sim_ioas *ioas = sim_ioas_find(iommufd, id);

		if (ioas && !all_files(ioas))
			return -EINVAL;
	}
	return move_all(iommufd);
}
