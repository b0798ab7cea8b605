/* SPDX-License-Identifier: MIT */
#include "common/drive.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>

#include "common/say.h"

int drive_open(struct drive *drive, const struct open_request *request,
	       const struct nvme_controller_opts *opts, uint32_t namespace_id)
{
	int r = open_device(request, &drive->opened);

	if (r < 0)
		return say_error(r, NULL, weir_error);
	drive->address = request->address;
	drive->backend = weir_backend_name(weir_host_backend(drive->opened.host));
	r = nvme_controller_open(drive->opened.device, opts, &drive->controller);
	if (r == 0)
		r = nvme_controller_info(drive->controller, &drive->info, sizeof drive->info);
	if (r == 0)
		r = nvme_namespace_info(drive->controller, namespace_id, &drive->ns, sizeof drive->ns);
	return say_error(r, drive->address, nvme_error);
}

int drive_range(const struct drive *drive, uint64_t first, uint64_t wanted, uint64_t *ret_num_blocks)
{
	const struct nvme_namespace *ns = &drive->ns;

	if (first >= ns->num_blocks || wanted > ns->num_blocks - first) {
		warnx("namespace %u has %" PRIu64 " blocks: no %" PRIu64 " from block %" PRIu64 " on",
		      ns->nsid, ns->num_blocks, wanted ? wanted : 1, first);
		return -ERANGE;
	}
	*ret_num_blocks = wanted ? wanted : ns->num_blocks - first;
	return 0;
}

int drive_close(struct drive *drive)
{
	int first = 0;

	keep_first(&first, say_error(nvme_controller_close(drive->controller), "closing", nvme_error));
	keep_first(&first, say_error(weir_memory_close(drive->memory), "closing", weir_error));
	keep_first(&first, say_error(close_device(&drive->opened), "closing", weir_error));
	return first;
}
