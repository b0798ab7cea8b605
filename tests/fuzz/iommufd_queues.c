// SPDX-License-Identifier: MIT
/* Queues of page faults. */
#include "fuzz/iommufd_queues.h"

#include <errno.h>

enum { RECORD = 40, RESPONSE = 8 };

void queues_init(struct queues *queues)
{
	for (unsigned int i = 0; i < MOST_QUEUES; i++)
		queues->fds[i] = -1;
}

void queues_close(struct queues *queues, const struct rig *rig)
{
	for (unsigned int i = 0; i < MOST_QUEUES; i++)
		if (queues->fds[i] >= 0)
			rig_fd_close(rig, queues->fds[i]);
}

/* What was made for an answer that cannot be written goes away again. */
static void make(struct queues *queues, unsigned int slot, const struct rig *rig, int iommufd,
		 struct model *model, uint8_t how)
{
	struct abi_iommu_fault_alloc *cmd = arena_struct(sizeof(*cmd));
	bool mute = how >= 224;
	int result;

	*cmd = (struct abi_iommu_fault_alloc){ .size = sizeof(*cmd), .flags = how % 32 == 31 };
	if (mute)
		weir_sim_fail_call(rig->sim, 1, 0, true);
	result = rig_ioctl(rig, iommufd, ABI_IOMMU_FAULT_QUEUE_ALLOC, cmd);
	say("  queue: %d", result);
	CHECK(result == (cmd->flags ? -EOPNOTSUPP : mute ? -EFAULT : 0));
	if (result)
		return;
	queues->fds[slot] = (int)cmd->out_fault_fd;
	queues->ids[slot] = model_open_queue(model);
	CHECK(cmd->out_fault_id == queues->ids[slot]);
}

/* There is nothing to be read, and so nothing to answer. */
static void use(const struct rig *rig, int fd, uint8_t how)
{
	size_t len = how % 4 * 20ul;
	void *bytes = arena_struct(len);

	if (how & 64) {
		CHECK(rig->sys->read(rig->sys->ctx, fd, bytes, len) == (len % RECORD ? -ESPIPE : 0));
		return;
	}
	memset(bytes, 0, len);
	CHECK(rig->sys->write(rig->sys->ctx, fd, bytes, len) == (len % RESPONSE ? -ESPIPE
								 : len          ? -EINVAL
										: 0));
}

void queues_step(struct queues *queues, const struct rig *rig, int iommufd, struct model *model,
		 struct input *in)
{
	unsigned int slot = in_below(in, MOST_QUEUES);
	uint8_t how = in_u8(in);

	if (queues->fds[slot] < 0) {
		make(queues, slot, rig, iommufd, model, how);
	} else if (how < 128) {
		use(rig, queues->fds[slot], how);
	} else {
		rig_fd_close(rig, queues->fds[slot]);
		queues->fds[slot] = -1;
		model_close_queue(model, queues->ids[slot]);
	}
}
