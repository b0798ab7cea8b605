// SPDX-License-Identifier: MIT
/*
 * Namespace Attachment (Base 2.0, 5.20): the one namespace can be taken from this controller, the only one there is, and given back. As
 * with QEMU's, none can be made or deleted, and what is attached outlasts resets.
 */
#include "sim/models/nvme.h"

enum {
	ATTACH = 0,
	DETACH = 1,
	OWN_ID = 0, /* CNTLID */
};

/* A list of controllers that names this one, and nobody else. */
static uint16_t check_list(const struct nvme_ctrl_list *list)
{
	return le16toh(list->num) == 1 && le16toh(list->identifier[0]) == OWN_ID
		       ? NVME_SC_SUCCESS
		       : SIM_NVME_SPECIFIC(NVME_SC_CTRL_LIST_INVALID);
}

uint16_t sim_nvme_attach(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	uint32_t select = c->cdw10 & 0xf;
	struct nvme_ctrl_list list;
	uint16_t status;

	if (c->nsid == 0 || c->nsid > SIM_NVME_NUM_NSIDS)
		return SIM_NVME_GENERIC(NVME_SC_INVALID_NS);
	if (c->nsid != SIM_NVME_NSID || (select != ATTACH && select != DETACH))
		return SIM_NVME_GENERIC(NVME_SC_INVALID_FIELD);
	status = sim_nvme_map(n, c, sizeof(list));
	if (status == NVME_SC_SUCCESS)
		status = sim_nvme_receive(n, &list);
	if (status == NVME_SC_SUCCESS)
		status = check_list(&list);
	if (status != NVME_SC_SUCCESS)
		return status;
	if (n->detached == (select == DETACH))
		return SIM_NVME_SPECIFIC(select == DETACH ? NVME_SC_NS_NOT_ATTACHED
							  : NVME_SC_NS_ALREADY_ATTACHED);
	n->detached = select == DETACH;
	n->changed = true;
	if (n->features.events & NVME_CTRL_OAES_NA)
		sim_nvme_event(n, NVME_AER_NOTICE, NVME_AER_NOTICE_NS_CHANGED, NVME_LOG_LID_CHANGED_NS);
	return NVME_SC_SUCCESS;
}
