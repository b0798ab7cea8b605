/* SPDX-License-Identifier: MIT */
/* What a controller's virtual functions get of it (Base 2.0, 5.28 and 8.26). */
#include "nvme/secondary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/admin.h"
#include "nvme/error.h"

#define MOST 0xffffu

/* In order, and no more of them than there is room for. */
static int read_list(const struct nvme_secondary_ctrl_list *list, uint16_t after,
		     struct nvme_secondary *ret_secondaries, size_t max)
{
	size_t num = 0;

	if (list->num > NVME_SECONDARIES)
		return fail(-EPROTO, "a list of %u secondary controllers", list->num);
	for (; num < max && num < list->num; num++) {
		const struct nvme_secondary_ctrl *entry = &list->sc_entry[num];
		uint16_t id = le16toh(entry->scid);

		if (id <= after)
			return fail(-EPROTO, "the list of secondary controllers is not in order: %u after %u",
				    id, after);
		after = id;
		ret_secondaries[num] = (struct nvme_secondary){
			.controller_id = id,
			.vf = le16toh(entry->vfn),
			.num_queues = le16toh(entry->nvq),
			.num_vectors = le16toh(entry->nvi),
			.online = entry->scs & 1,
		};
	}
	return (int)num;
}

static int check_manages(const struct nvme_controller *c)
{
	if (!c->info.secondaries)
		return fail(-EOPNOTSUPP, "the controller does not manage virtual functions");
	return 0;
}

int nvme_secondary_list(struct nvme_controller *c, uint16_t after, struct nvme_secondary *ret_secondaries,
			size_t max)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_identify,
		/* It begins with the first that is not below. */
		.cdw10 = NVME_IDENTIFY_CNS_SECONDARY_CTRL_LIST | (after + 1u) << 16,
		.name = "list secondary controllers",
	};
	struct nvme_secondary_ctrl_list *list;
	int r = check_manages(c);

	if (r < 0 || after == MOST)
		return r;
	_Static_assert(sizeof *list == NVME_PAGE_SIZE, "a list of secondary controllers is one page");
	list = malloc(sizeof *list);
	if (!list)
		return fail(-ENOMEM, "no memory for a list of secondary controllers");
	r = nvme_admin_transfer(c, &command, list, sizeof *list, NULL);
	if (r == 0)
		r = read_list(list, after, ret_secondaries, max);
	free(list);
	return r;
}

static int manage(struct nvme_controller *c, uint16_t id, enum nvme_virt_mgmt_act action, uint32_t resource,
		  uint32_t num, const char *name)
{
	struct nvme_admin_command command = {
		.opcode = nvme_admin_virtual_mgmt,
		.cdw10 = (uint32_t)id << 16 | resource << 8 | (uint32_t)action,
		.cdw11 = num,
		.name = name,
	};
	uint32_t result = 0;
	int r = nvme_admin_execute(c, &command, &result);

	if (r < 0)
		return r;
	if (action == NVME_VIRT_MGMT_ACT_ASSIGN_SEC_CTRL && (result & MOST) < num)
		return fail(-EIO, "%s: controller %u got %u, not %u", name, id, result & MOST, num);
	return 0;
}

int nvme_secondary_keep(struct nvme_controller *c, uint32_t num_queues, uint32_t num_vectors)
{
	int r = check_manages(c);

	if (r == 0 && (num_queues > MOST || num_vectors > MOST))
		r = fail(-EINVAL, "%u queues and %u interrupts: at most %u", num_queues, num_vectors, MOST);
	if (r == 0)
		r = manage(c, c->info.controller_id, NVME_VIRT_MGMT_ACT_PRIM_CTRL_FLEX_ALLOC,
			   NVME_VIRT_MGMT_RT_VQ_RESOURCE, num_queues, "keep queues");
	if (r == 0)
		r = manage(c, c->info.controller_id, NVME_VIRT_MGMT_ACT_PRIM_CTRL_FLEX_ALLOC,
			   NVME_VIRT_MGMT_RT_VI_RESOURCE, num_vectors, "keep interrupts");
	return r;
}

static int assign(struct nvme_controller *c, uint16_t id, uint32_t num_queues, uint32_t num_vectors)
{
	int r = manage(c, id, NVME_VIRT_MGMT_ACT_ASSIGN_SEC_CTRL, NVME_VIRT_MGMT_RT_VQ_RESOURCE, num_queues,
		       "assign queues");

	return r < 0 ? r
		     : manage(c, id, NVME_VIRT_MGMT_ACT_ASSIGN_SEC_CTRL, NVME_VIRT_MGMT_RT_VI_RESOURCE,
			      num_vectors, "assign interrupts");
}

static int take_offline(struct nvme_controller *c, uint16_t id)
{
	return manage(c, id, NVME_VIRT_MGMT_ACT_OFFLINE_SEC_CTRL, 0, 0, "take offline");
}

int nvme_secondary_start(struct nvme_controller *c, uint16_t id, uint32_t num_queues, uint32_t num_vectors)
{
	char why[DETAIL_SIZE];
	int r = check_manages(c);

	if (r < 0)
		return r;
	if (num_queues < 2 || num_queues > MOST || num_vectors < 1 || num_vectors > MOST)
		return fail(-EINVAL, "%u queues and %u interrupts: at least 2 and 1, at most %u", num_queues,
			    num_vectors, MOST);
	r = take_offline(c, id);
	if (r < 0)
		return r;
	r = assign(c, id, num_queues, num_vectors);
	if (r == 0)
		r = manage(c, id, NVME_VIRT_MGMT_ACT_ONLINE_SEC_CTRL, 0, 0, "take online");
	if (r == 0)
		return 0;
	memcpy(why, nvme_detail, sizeof why);
	nvme_secondary_stop(c, id);
	return fail(r, "%s", why);
}

int nvme_secondary_stop(struct nvme_controller *c, uint16_t id)
{
	static const enum nvme_virt_mgmt_rt resources[] = { NVME_VIRT_MGMT_RT_VQ_RESOURCE,
							    NVME_VIRT_MGMT_RT_VI_RESOURCE };
	char why[DETAIL_SIZE] = "";
	int first = check_manages(c), r;
	size_t i;

	if (first < 0)
		return first;
	first = take_offline(c, id);
	memcpy(why, nvme_detail, sizeof why);
	for (i = 0; i < 2; i++) {
		r = manage(c, id, NVME_VIRT_MGMT_ACT_ASSIGN_SEC_CTRL, resources[i], 0, "take back");
		if (r < 0 && first == 0) {
			first = r;
			memcpy(why, nvme_detail, sizeof why);
		}
	}
	return first < 0 ? fail(first, "%s", why) : 0;
}
