// SPDX-License-Identifier: MIT
/* A plain model of an iommufd: objects, devices, and what may be where. ioas_model_map.c has the mappings. */
#include "fuzz/ioas_model_parts.h"

#include <errno.h>
#include <string.h>

bool verdict_allows(const struct verdict *verdict, int result)
{
	for (unsigned int i = 0; i < verdict->num; i++)
		if (verdict->errors[i] == result)
			return true;
	return !verdict->num && !result;
}

void verdict_add(struct verdict *verdict, int error)
{
	if (error && verdict->num < MOST_ERRORS)
		verdict->errors[verdict->num++] = error;
}

struct verdict verdict_of(int error)
{
	return (struct verdict){ { error }, error != 0 };
}

/* Objects -------------------------------------------------------------------------------------------------- */

uint32_t model_next_id(const struct model *model)
{
	uint32_t id = 1;

	while (id < MODEL_IDS && model->objects[id].kind)
		id++;
	return id;
}

/* So full that the next steps might not fit. */
bool model_is_full(const struct model *model)
{
	for (uint32_t id = 1; id < MODEL_IDS; id++)
		if (model->objects[id].num_areas > MODEL_AREAS / 2 - 1)
			return true;
	return model_next_id(model) > MODEL_IDS - 4;
}

struct model_object *model_find(struct model *model, uint32_t id, enum model_kind kind)
{
	return id < MODEL_IDS && model->objects[id].kind == kind ? &model->objects[id] : NULL;
}

static uint32_t new_object(struct model *model, enum model_kind kind)
{
	uint32_t id = model_next_id(model);

	memset(&model->objects[id], 0, sizeof(model->objects[id]));
	model->objects[id].kind = kind;
	return id;
}

/* Who uses what ------------------------------------------------------------------------------------------- */

static bool hwpt_has_device(const struct model *model, uint32_t hwpt)
{
	for (unsigned int i = 0; i < MODEL_DEVICES; i++)
		if (model->devices[i].hwpt == hwpt)
			return true;
	return false;
}

static uint32_t hwpt_in(const struct model *model, uint32_t ioas, bool automatic)
{
	for (uint32_t id = 1; id < MODEL_IDS; id++)
		if (model->objects[id].kind == MODEL_HWPT && model->objects[id].ioas == ioas &&
		    (model->objects[id].automatic || !automatic))
			return id;
	return 0;
}

static bool queue_is_used(const struct model *model, uint32_t queue)
{
	for (uint32_t id = 1; id < MODEL_IDS; id++)
		if (model->objects[id].kind == MODEL_HWPT && model->objects[id].queue == queue)
			return true;
	return model->objects[queue].open;
}

static bool ioas_has_device(const struct model *model, uint32_t ioas)
{
	for (unsigned int i = 0; i < MODEL_DEVICES; i++)
		if (model->devices[i].hwpt && model->objects[model->devices[i].hwpt].ioas == ioas)
			return true;
	return false;
}

/* What may be where --------------------------------------------------------------------------------------- */

static const struct abi_iommu_iova_range window = { 0xfee00000, 0xfeefffff };

static struct abi_iommu_iova_range beyond(const struct model *model)
{
	return (struct abi_iommu_iova_range){ 1ull << model->address_bits, UINT64_MAX };
}

unsigned int model_reserved(const struct model *model, uint32_t ioas, struct abi_iommu_iova_range reserved[2])
{
	unsigned int num = 0;

	if (ioas_has_device(model, ioas))
		reserved[num++] = window;
	if (hwpt_in(model, ioas, false))
		reserved[num++] = beyond(model);
	return num;
}

bool model_has_domain(const struct model *model, uint32_t ioas)
{
	return hwpt_in(model, ioas, false);
}

uint64_t model_alignment(const struct model *model, uint32_t ioas)
{
	return hwpt_in(model, ioas, false) || model->objects[ioas].small_pages ? 4096 : 1;
}

int model_ranges(const struct model *model, uint32_t ioas, struct abi_iommu_iova_range ranges[4],
		 uint32_t *num, uint64_t *alignment)
{
	struct abi_iommu_iova_range reserved[2];
	unsigned int num_reserved;
	uint64_t start = 0;

	if (ioas >= MODEL_IDS || model->objects[ioas].kind != MODEL_IOAS)
		return -ENOENT;
	num_reserved = model_reserved(model, ioas, reserved);
	*num = 0;
	*alignment = model_alignment(model, ioas);
	for (unsigned int i = 0; i < num_reserved; i++) {
		ranges[(*num)++] = (struct abi_iommu_iova_range){ start, reserved[i].start - 1 };
		start = reserved[i].last + 1;
	}
	if (start || !num_reserved)
		ranges[(*num)++] = (struct abi_iommu_iova_range){ start, UINT64_MAX };
	return 0;
}

static bool is_used(const struct model_object *ioas, struct abi_iommu_iova_range range)
{
	for (unsigned int i = 0; i < ioas->num_areas; i++)
		if (ioas->areas[i].iova <= range.last && ioas->areas[i].last >= range.start)
			return true;
	for (unsigned int i = 0; i < ioas->num_allowed; i++)
		if (ioas->allowed[i].start <= range.last && ioas->allowed[i].last >= range.start)
			return true;
	return false;
}

static bool all_aligned(const struct model_object *ioas)
{
	for (unsigned int i = 0; i < ioas->num_areas; i++) {
		const struct model_area *area = &ioas->areas[i];

		if (area->iova % 4096 || (area->last + 1) % 4096 || area->address % 4096)
			return false;
	}
	return true;
}

/* What keeps a first page table out of a space. */
static void check_domain(const struct model *model, uint32_t id, struct verdict *verdict)
{
	const struct model_object *ioas = &model->objects[id];

	if (hwpt_in(model, id, false))
		return;
	if (!all_aligned(ioas) || is_used(ioas, beyond(model)))
		verdict_add(verdict, -EADDRINUSE);
	for (unsigned int i = 0; i < ioas->num_areas; i++)
		if (ioas->areas[i].pin_error) {
			verdict_add(verdict, ioas->areas[i].pin_error);
			break;
		}
}

static void check_window(const struct model *model, uint32_t ioas, struct verdict *verdict)
{
	if (!ioas_has_device(model, ioas) && is_used(&model->objects[ioas], window))
		verdict_add(verdict, -EADDRINUSE);
}

/* Devices ------------------------------------------------------------------------------------------------- */

void model_bind(struct model *model, unsigned int device)
{
	model->devices[device].id = new_object(model, MODEL_DEVICE);
}

static void put_hwpt(struct model *model, uint32_t hwpt)
{
	if (hwpt && model->objects[hwpt].automatic && !hwpt_has_device(model, hwpt))
		model->objects[hwpt].kind = MODEL_FREE;
}

void model_detach(struct model *model, unsigned int device)
{
	uint32_t hwpt = model->devices[device].hwpt;

	model->devices[device].hwpt = 0;
	put_hwpt(model, hwpt);
}

void model_close(struct model *model, unsigned int device)
{
	model_detach(model, device);
	model->objects[model->devices[device].id].kind = MODEL_FREE;
	model->devices[device].id = 0;
}

/* What the device's group translates through, whichever of its members is attached; 0: nothing. */
static uint32_t hwpt_of_group(const struct model *model, unsigned int device)
{
	for (unsigned int i = 0; model->one_group && i < MODEL_DEVICES; i++)
		if (model->devices[i].hwpt)
			return model->devices[i].hwpt;
	return model->devices[device].hwpt;
}

/* A first attachment is the device's own; from then on the whole group moves. */
static void put_on(struct model *model, unsigned int device, uint32_t hwpt)
{
	uint32_t old = model->devices[device].hwpt;

	for (unsigned int i = 0; old && model->one_group && i < MODEL_DEVICES; i++)
		if (model->devices[i].hwpt)
			model->devices[i].hwpt = hwpt;
	model->devices[device].hwpt = hwpt;
	put_hwpt(model, old);
}

static uint32_t ioas_of(const struct model *model, uint32_t pt_id)
{
	return model->objects[pt_id].kind == MODEL_IOAS ? pt_id : model->objects[pt_id].ioas;
}

struct verdict model_attach(struct model *model, unsigned int device, uint32_t *pt_id)
{
	uint32_t old = model->devices[device].hwpt, hwpt = *pt_id, ioas;
	struct verdict verdict = { .num = 0 };

	if (*pt_id >= MODEL_IDS || !model->objects[*pt_id].kind)
		return verdict_of(-ENOENT);
	if (model->objects[*pt_id].kind == MODEL_DEVICE || model->objects[*pt_id].kind == MODEL_QUEUE)
		return verdict_of(-EINVAL);
	ioas = ioas_of(model, *pt_id);
	if (hwpt == ioas)
		hwpt = hwpt_in(model, ioas, true);
	if (!old && hwpt_of_group(model, device) && hwpt_of_group(model, device) != hwpt)
		return verdict_of(-EINVAL);
	if (!hwpt)
		check_domain(model, ioas, &verdict);
	if (!old || ioas_of(model, old) != ioas)
		check_window(model, ioas, &verdict);
	if (model->objects[hwpt].queue && old != hwpt) /* no device here can ask for pages */
		verdict_add(&verdict, -ENODEV);
	if (verdict.num)
		return verdict;
	if (!hwpt) {
		hwpt = new_object(model, MODEL_HWPT);
		model->objects[hwpt].ioas = ioas;
		model->objects[hwpt].automatic = true;
	}
	put_on(model, device, hwpt);
	*pt_id = hwpt;
	return verdict;
}

/* Commands ------------------------------------------------------------------------------------------------ */

struct verdict model_ioas_alloc(struct model *model, struct abi_iommu_ioas_alloc *cmd)
{
	if (cmd->flags)
		return verdict_of(-EOPNOTSUPP);
	cmd->out_ioas_id = new_object(model, MODEL_IOAS);
	return verdict_of(0);
}

struct verdict model_destroy(struct model *model, const struct abi_iommu_destroy *cmd)
{
	struct model_object *object = cmd->id < MODEL_IDS ? &model->objects[cmd->id] : NULL;

	if (!object || !object->kind)
		return verdict_of(-ENOENT);
	if (object->kind == MODEL_DEVICE || (object->kind == MODEL_IOAS && hwpt_in(model, cmd->id, false)) ||
	    (object->kind == MODEL_HWPT && hwpt_has_device(model, cmd->id)) ||
	    (object->kind == MODEL_QUEUE && queue_is_used(model, cmd->id)))
		return verdict_of(-EBUSY);
	memset(object, 0, sizeof(*object));
	return verdict_of(0);
}

uint32_t model_open_queue(struct model *model)
{
	uint32_t id = new_object(model, MODEL_QUEUE);

	model->objects[id].open = true;
	return id;
}

void model_close_queue(struct model *model, uint32_t id)
{
	model->objects[id].open = false;
}

/* Without data of the hardware's own, and no flag but that for a queue. */
struct verdict model_hwpt_alloc(struct model *model, struct abi_iommu_hwpt_alloc *cmd)
{
	struct verdict verdict = { .num = 0 };

	if (!model_find(model, cmd->dev_id, MODEL_DEVICE))
		return verdict_of(-ENOENT);
	if (model_find(model, cmd->pt_id, MODEL_HWPT))
		return verdict_of(-EOPNOTSUPP); /* nested, and no data */
	if (!model_find(model, cmd->pt_id, MODEL_IOAS))
		return verdict_of(-EINVAL);
	check_domain(model, cmd->pt_id, &verdict);
	if (!verdict.num && cmd->flags && !model_find(model, cmd->fault_id, MODEL_QUEUE))
		verdict_add(&verdict, -ENOENT);
	if (verdict.num)
		return verdict;
	cmd->out_hwpt_id = new_object(model, MODEL_HWPT);
	model->objects[cmd->out_hwpt_id].ioas = cmd->pt_id;
	model->objects[cmd->out_hwpt_id].queue = cmd->flags ? cmd->fault_id : 0;
	return verdict;
}

struct verdict model_option(struct model *model, struct abi_iommu_option *cmd)
{
	struct model_object *ioas = model_find(model, cmd->object_id, MODEL_IOAS);

	if (!ioas)
		return verdict_of(-ENOENT);
	if (cmd->op == ABI_IOMMU_OPTION_OP_GET) {
		cmd->val64 = !ioas->small_pages;
		return verdict_of(0);
	}
	if (cmd->op != ABI_IOMMU_OPTION_OP_SET)
		return verdict_of(-EOPNOTSUPP);
	if (cmd->val64 > 1)
		return verdict_of(-EINVAL);
	if (!cmd->val64 && !ioas->small_pages) {
		if (hwpt_in(model, cmd->object_id, false) && ioas->num_areas)
			return verdict_of(-EINVAL);
		if (!all_aligned(ioas))
			return verdict_of(-EADDRINUSE);
	}
	ioas->small_pages = !cmd->val64;
	return verdict_of(0);
}

const struct model_area *model_reach(const struct model *model, unsigned int device, uint64_t iova)
{
	uint32_t hwpt = hwpt_of_group(model, device);
	const struct model_object *ioas = &model->objects[model->objects[hwpt].ioas];

	for (unsigned int i = 0; hwpt && i < ioas->num_areas; i++)
		if (ioas->areas[i].iova <= iova && ioas->areas[i].last >= iova)
			return &ioas->areas[i];
	return NULL;
}
