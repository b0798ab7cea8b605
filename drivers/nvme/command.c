/* SPDX-License-Identifier: MIT */
/* Admin commands of the caller's own. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "nvme/admin.h"
#include "nvme/error.h"
#include "nvme/manage.h"

/* Whether the driver would not know any more how things stand. */
static bool is_the_drivers(const struct nvme_admin_request *request)
{
	switch (request->opcode) {
	case nvme_admin_delete_sq:
	case nvme_admin_create_sq:
	case nvme_admin_delete_cq:
	case nvme_admin_create_cq:
	case nvme_admin_abort_cmd:
	case nvme_admin_async_event:
	case nvme_admin_dbbuf:
		return true;
	case nvme_admin_set_features:
		/* A memory buffer of the host's would be named by IOVAs that the driver does not keep. */
		return (request->cdw10 & 0xff) == NVME_FEAT_FID_NUM_QUEUES ||
		       (request->cdw10 & 0xff) == NVME_FEAT_FID_HOST_MEM_BUF;
	}
	return false;
}

int nvme_controller_admin(struct nvme_controller *c, const struct nvme_admin_request *request, void *data,
			  size_t len, uint32_t *ret_result)
{
	struct nvme_admin_command command = { .opcode = request->opcode,
					      .nsid = request->nsid,
					      .cdw10 = request->cdw10,
					      .cdw11 = request->cdw11,
					      .cdw12 = request->cdw12,
					      .cdw13 = request->cdw13,
					      .cdw14 = request->cdw14,
					      .cdw15 = request->cdw15 };
	bool has_data = request->opcode & 3; /* or might: some features have, others have not */
	char name[32];

	snprintf(name, sizeof name, "admin command 0x%02x", request->opcode);
	command.name = name;
	if (len % 4 != 0 || len > NVME_PAGE_SIZE || (len > 0) != (data != NULL))
		return fail(-EINVAL, "%s: %zu bytes of data: a multiple of 4, up to 4096", name, len);
	if (len > 0 && !has_data)
		return fail(-EINVAL, "%s has no data, by its opcode", name);
	if (is_the_drivers(request))
		return fail(-EPERM, "%s: the driver's own, which it gives itself", name);
	return has_data ? nvme_admin_transfer(c, &command, data, len, ret_result)
			: nvme_admin_execute(c, &command, ret_result);
}
