// SPDX-License-Identifier: MIT
/* The model's mappings: MAP, MAP_FILE, COPY, UNMAP, ALLOW_IOVAS. */
#include <errno.h>
#include <string.h>

#include "fuzz/ioas_model_parts.h"

enum { SMALL_PAGE = 4096, HUGE_PAGE = 2 << 20, MOST_USED = MODEL_AREAS + 2 };

/* Where the kernel would put it ---------------------------------------------------------------------------- */

/* All that is in the way, in ascending order. */
static unsigned int list_used(const struct model *model, uint32_t id,
			      struct abi_iommu_iova_range used[MOST_USED])
{
	const struct model_object *ioas = &model->objects[id];
	unsigned int num = model_reserved(model, id, used);

	for (unsigned int i = 0; i < ioas->num_areas; i++)
		used[num++] = (struct abi_iommu_iova_range){ ioas->areas[i].iova, ioas->areas[i].last };
	for (unsigned int i = 1; i < num; i++)
		for (unsigned int j = i; j && used[j].start < used[j - 1].start; j--) {
			struct abi_iommu_iova_range swap = used[j];

			used[j] = used[j - 1];
			used[j - 1] = swap;
		}
	return num;
}

struct wish {
	uint64_t address, len, alignment;
};

/* The offset in the page is put into the aligned address by OR: where both have bits there, it is not the sum. */
static bool fits(const struct wish *wish, uint64_t start, uint64_t last, uint64_t *ret_iova)
{
	uint64_t iova = (start + (wish->alignment - 1)) / wish->alignment * wish->alignment;

	if (start + (wish->alignment - 1) < start)
		return false;
	iova |= wish->address % SMALL_PAGE;
	if (iova >= last || last - iova < wish->len - 1)
		return false;
	*ret_iova = iova;
	return true;
}

/* The lowest hole in [start, last] that it fits into. */
static bool first_fit(const struct model *model, uint32_t id, const struct wish *wish, uint64_t start,
		      uint64_t last, uint64_t *ret_iova)
{
	struct abi_iommu_iova_range used[MOST_USED];
	unsigned int num = list_used(model, id, used);

	if (start < SMALL_PAGE)
		start = SMALL_PAGE;
	if (last > UINT64_MAX - SMALL_PAGE)
		last = UINT64_MAX - SMALL_PAGE;
	for (unsigned int i = 0; i < num && start <= last; i++) {
		if (used[i].last < start)
			continue;
		if (used[i].start > start &&
		    fits(wish, start, used[i].start - 1 < last ? used[i].start - 1 : last, ret_iova))
			return true;
		if (used[i].last >= last)
			return false;
		start = used[i].last + 1;
	}
	return start <= last && fits(wish, start, last, ret_iova);
}

/* A.4.5 */
static int choose(const struct model *model, uint32_t id, uint64_t address, uint64_t len, uint64_t *ret_iova)
{
	const struct model_object *ioas = &model->objects[id];
	struct wish wish = { address, len, 1 };

	if (len >= UINT64_MAX / 2)
		return -EOVERFLOW;
	while (wish.alignment < len && !(address & wish.alignment) && wish.alignment < HUGE_PAGE)
		wish.alignment *= 2;
	if (wish.alignment < model_alignment(model, id))
		return -EINVAL;
	if (!ioas->num_allowed)
		return first_fit(model, id, &wish, 0, UINT64_MAX, ret_iova) ? 0 : -ENOSPC;
	for (unsigned int i = 0; i < ioas->num_allowed; i++) {
		uint64_t start = ioas->allowed[i].start, last = ioas->allowed[i].last;

		/* What touches is one range. */
		while (i + 1 < ioas->num_allowed && ioas->allowed[i + 1].start - 1 == last)
			last = ioas->allowed[++i].last;
		if (first_fit(model, id, &wish, start, last, ret_iova))
			return 0;
	}
	return -ENOSPC;
}

/* Areas ---------------------------------------------------------------------------------------------------- */

static void insert(struct model_object *ioas, const struct model_area *area)
{
	unsigned int at = ioas->num_areas++;

	for (; at && ioas->areas[at - 1].iova > area->iova; at--)
		ioas->areas[at] = ioas->areas[at - 1];
	ioas->areas[at] = *area;
}

static void take_out(struct model_object *ioas, unsigned int at)
{
	memmove(&ioas->areas[at], &ioas->areas[at + 1], (--ioas->num_areas - at) * sizeof(ioas->areas[0]));
}

static int check_place(const struct model *model, uint32_t id, uint64_t iova, uint64_t len)
{
	struct abi_iommu_iova_range used[MOST_USED];
	struct abi_iommu_iova_range reserved[2];
	unsigned int num = list_used(model, id, used), num_reserved = model_reserved(model, id, reserved);
	uint64_t last = iova + (len - 1);

	if (iova % model_alignment(model, id))
		return -EINVAL;
	if (last < iova)
		return -EOVERFLOW;
	for (unsigned int i = 0; i < num_reserved; i++)
		if (reserved[i].start <= last && iova <= reserved[i].last)
			return -EINVAL;
	for (unsigned int i = 0; i < num; i++)
		if (used[i].start <= last && iova <= used[i].last)
			return -EEXIST;
	return 0;
}

/* MAP and MAP_FILE from step 7 of A.4.4 on. The source's address, protection and errors are in @area. */
static int map(struct model *model, uint32_t id, struct model_area *area, uint64_t len, bool fixed,
	       uint64_t *iova)
{
	uint64_t at = *iova, alignment = model_alignment(model, id);
	int error = len % alignment ? -EINVAL : 0;

	if (!error)
		error = fixed ? check_place(model, id, at, len) : choose(model, id, area->address, len, &at);
	if (!error && area->address % SMALL_PAGE % alignment)
		error = -EINVAL;
	if (!error && model_has_domain(model, id))
		error = area->pin_error;
	if (error)
		return error;
	area->iova = at;
	area->last = at + (len - 1);
	insert(&model->objects[id], area);
	*iova = at;
	return 0;
}

/* Steps 1 to 3 */
static int check_flags(uint32_t flags, uint64_t iova, uint64_t len)
{
	if (flags & ~7u)
		return -EOPNOTSUPP;
	if (iova == UINT64_MAX || len == UINT64_MAX)
		return -EOVERFLOW;
	return flags & 6 ? 0 : -EINVAL;
}

/* Steps 5 and 6, and that the kernel rounds lengths up to pages. */
static int check_length(uint64_t address, uint64_t len)
{
	if (!len)
		return -EINVAL;
	if (address + len < address)
		return -EOVERFLOW;
	return len > UINT64_MAX - SMALL_PAGE ? -EINVAL : 0;
}

/* Commands ------------------------------------------------------------------------------------------------- */

static struct model_area new_area(uint32_t flags, uint64_t address, bool file, int pin_error)
{
	return (struct model_area){ .address = address,
				    .file = file,
				    .readable = flags & ABI_IOMMU_IOAS_MAP_READABLE,
				    .writable = flags & ABI_IOMMU_IOAS_MAP_WRITEABLE,
				    .may_write = flags & ABI_IOMMU_IOAS_MAP_WRITEABLE,
				    .pin_error = pin_error };
}

struct verdict model_map(struct model *model, struct abi_iommu_ioas_map *cmd, int pin_error)
{
	struct model_area area = new_area(cmd->flags, cmd->user_va, false, pin_error);
	int error = cmd->__reserved ? -EOPNOTSUPP : check_flags(cmd->flags, cmd->iova, cmd->length);

	if (!error && !model_find(model, cmd->ioas_id, MODEL_IOAS))
		error = -ENOENT;
	if (!error)
		error = check_length(cmd->user_va, cmd->length);
	if (!error)
		error = map(model, cmd->ioas_id, &area, cmd->length, cmd->flags & 1, &cmd->iova);
	return verdict_of(error);
}

struct verdict model_map_file(struct model *model, struct abi_iommu_ioas_map_file *cmd, int fd_error,
			      int pin_error)
{
	struct model_area area = new_area(cmd->flags, cmd->start, true, pin_error);
	int error = check_flags(cmd->flags, cmd->iova, cmd->length);

	if (!error && !model_find(model, cmd->ioas_id, MODEL_IOAS))
		error = -ENOENT;
	if (!error)
		error = fd_error;
	if (!error)
		error = check_length(cmd->start, cmd->length);
	if (!error)
		error = map(model, cmd->ioas_id, &area, cmd->length, cmd->flags & 1, &cmd->iova);
	return verdict_of(error);
}

/* The pieces of the source, as areas without a place; 0 if there is a hole. */
static unsigned int collect(const struct model_object *from, const struct abi_iommu_ioas_copy *cmd,
			    struct model_area pieces[MODEL_AREAS])
{
	uint64_t at = cmd->src_iova, last = cmd->src_iova + (cmd->length - 1);
	unsigned int num = 0;

	for (unsigned int i = 0; i < from->num_areas; i++) {
		const struct model_area *area = &from->areas[i];
		struct model_area *piece = &pieces[num];

		if (area->last < at || area->iova > at)
			continue;
		*piece = *area;
		piece->address += at - area->iova;
		piece->iova = at;
		piece->last = area->last < last ? area->last : last;
		piece->readable = cmd->flags & ABI_IOMMU_IOAS_MAP_READABLE;
		piece->writable = cmd->flags & ABI_IOMMU_IOAS_MAP_WRITEABLE;
		num++;
		if (piece->last == last)
			return num;
		at = piece->last + 1;
	}
	return 0;
}

/* In which order these are seen the reference does not say. */
static void check_pieces(const struct model *model, const struct abi_iommu_ioas_copy *cmd,
			 const struct model_area *pieces, unsigned int num, struct verdict *verdict)
{
	uint64_t alignment = model_alignment(model, cmd->dst_ioas_id);

	for (unsigned int i = 0; i < num; i++) {
		if (pieces[i].writable && !pieces[i].may_write)
			verdict_add(verdict, -EPERM);
		if (pieces[i].address % SMALL_PAGE % alignment)
			verdict_add(verdict, -EINVAL);
		if (model_has_domain(model, cmd->dst_ioas_id))
			verdict_add(verdict, pieces[i].pin_error);
	}
}

static void copy(struct model *model, struct abi_iommu_ioas_copy *cmd, struct verdict *verdict)
{
	const struct model_object *from = model_find(model, cmd->src_ioas_id, MODEL_IOAS);
	struct model_object *to = model_find(model, cmd->dst_ioas_id, MODEL_IOAS);
	struct model_area pieces[MODEL_AREAS];
	uint64_t iova = cmd->dst_iova;
	unsigned int num;
	int error;

	num = collect(from, cmd, pieces);
	if (!num) {
		verdict_add(verdict, -ENOENT);
		return;
	}
	error = cmd->length % model_alignment(model, cmd->dst_ioas_id) ? -EINVAL : 0;
	if (!error)
		error = cmd->flags & 1
				? check_place(model, cmd->dst_ioas_id, iova, cmd->length)
				: choose(model, cmd->dst_ioas_id, pieces[0].address, cmd->length, &iova);
	verdict_add(verdict, error);
	check_pieces(model, cmd, pieces, num, verdict);
	if (verdict->num)
		return;
	for (unsigned int i = 0; i < num; i++) {
		pieces[i].iova += iova - cmd->src_iova;
		pieces[i].last += iova - cmd->src_iova;
		insert(to, &pieces[i]);
	}
	cmd->dst_iova = iova;
}

struct verdict model_copy(struct model *model, struct abi_iommu_ioas_copy *cmd)
{
	struct verdict verdict = verdict_of(check_flags(cmd->flags, cmd->dst_iova, cmd->length));

	if (cmd->src_iova == UINT64_MAX)
		verdict_add(&verdict, -EOVERFLOW);
	if (!model_find(model, cmd->src_ioas_id, MODEL_IOAS) ||
	    !model_find(model, cmd->dst_ioas_id, MODEL_IOAS))
		verdict_add(&verdict, -ENOENT);
	if (!cmd->length)
		verdict_add(&verdict, -EINVAL);
	else if (cmd->src_iova + (cmd->length - 1) < cmd->src_iova)
		verdict_add(&verdict, -EOVERFLOW);
	if (!verdict.num)
		copy(model, cmd, &verdict);
	return verdict;
}

static int check_unmap(const struct abi_iommu_ioas_unmap *cmd)
{
	if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX)
		return -EOVERFLOW;
	if (!cmd->length)
		return -EINVAL;
	return cmd->iova + (cmd->length - 1) < cmd->iova ? -EOVERFLOW : 0;
}

struct verdict model_unmap(struct model *model, struct abi_iommu_ioas_unmap *cmd)
{
	struct model_object *ioas = model_find(model, cmd->ioas_id, MODEL_IOAS);
	bool all = !cmd->iova && cmd->length == UINT64_MAX;
	uint64_t last = all ? UINT64_MAX : cmd->iova + (cmd->length - 1), done = 0;
	struct verdict verdict = verdict_of(all ? 0 : check_unmap(cmd));

	if (!ioas)
		verdict_add(&verdict, -ENOENT);
	for (unsigned int i = 0; !verdict.num && i < ioas->num_areas;) {
		const struct model_area *area = &ioas->areas[i];

		if (area->last < cmd->iova || area->iova > last) {
			i++;
		} else if (area->iova < cmd->iova || area->last > last) {
			return verdict_of(-ENOENT);
		} else {
			done += area->last - area->iova + 1;
			take_out(ioas, i);
		}
	}
	if (!verdict.num && !done && !all)
		return verdict_of(-ENOENT);
	if (!verdict.num)
		cmd->length = done;
	return verdict;
}

/* The elements come in one by one, and the first that is wrong decides. */
struct verdict model_allow(struct model *model, const struct abi_iommu_ioas_allow_iovas *cmd,
			   const struct abi_iommu_iova_range *ranges)
{
	struct model_object *ioas = model_find(model, cmd->ioas_id, MODEL_IOAS);
	struct abi_iommu_iova_range reserved[2], sorted[MODEL_ALLOWED];
	unsigned int num_reserved;

	if (cmd->__reserved)
		return verdict_of(-EOPNOTSUPP);
	if (!ioas)
		return verdict_of(-ENOENT);
	for (unsigned int i = 0; i < cmd->num_iovas; i++) {
		unsigned int at = i;

		for (unsigned int j = 0; j < i; j++)
			if (ranges[j].start <= ranges[i].last && ranges[i].start <= ranges[j].last)
				return verdict_of(-EINVAL);
		if (ranges[i].start >= ranges[i].last)
			return verdict_of(-EINVAL);
		for (; at && sorted[at - 1].start > ranges[i].start; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = ranges[i];
	}
	num_reserved = model_reserved(model, cmd->ioas_id, reserved);
	for (unsigned int i = 0; i < cmd->num_iovas; i++)
		for (unsigned int j = 0; j < num_reserved; j++)
			if (sorted[i].start <= reserved[j].last && reserved[j].start <= sorted[i].last)
				return verdict_of(-EADDRINUSE);
	memcpy(ioas->allowed, sorted, cmd->num_iovas * sizeof(sorted[0]));
	ioas->num_allowed = cmd->num_iovas;
	return verdict_of(0);
}
