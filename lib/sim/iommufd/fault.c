// SPDX-License-Identifier: MIT
/* Queues of page faults (kernel-interface A.13). No device here asks for pages, so they stay empty. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/file.h"
#include "sim/iommufd/ioas.h"
#include "sim/user.h"

/* Whole records or nothing, and no other place than the next one. Nothing there is 0: it never waits. */
static ssize_t fault_pread(struct sim_file *file, void *buf, size_t len, uint64_t offset)
{
	(void)file;
	(void)buf;
	return offset || len % sizeof(struct abi_iommu_hwpt_pgfault) ? -ESPIPE : 0;
}

static ssize_t fault_read(struct sim_file *file, void *buf, size_t len)
{
	return fault_pread(file, buf, len, 0);
}

/* Answers to what nobody asked. */
static ssize_t fault_pwrite(struct sim_file *file, const void *buf, size_t len, uint64_t offset)
{
	struct abi_iommu_hwpt_page_response response;

	(void)file;
	if (offset || len % sizeof(response))
		return -ESPIPE;
	if (len && sim_copy_in(&response, (uintptr_t)buf, sizeof(response)))
		return -EFAULT;
	return len ? -EINVAL : 0;
}

static ssize_t fault_write(struct sim_file *file, const void *buf, size_t len)
{
	return fault_pwrite(file, buf, len, 0);
}

/* As long as it is open, the queue is used and the iommufd stays. */
static void fault_release(struct sim_file *file)
{
	struct sim_fault_queue *queue = file->data;
	struct sim_file *iommufd_file = queue->iommufd->file;

	queue->file = NULL;
	queue->object.users--;
	if (queue->unwanted)
		sim_object_destroy(queue->iommufd, &queue->object);
	sim_file_drop(iommufd_file);
}

static const struct sim_file_ops ops = {
	.name = "fault queue",
	.read = fault_read,
	.write = fault_write,
	.pread = fault_pread,
	.pwrite = fault_pwrite,
	.release = fault_release,
};

void sim_fault_queue_free(struct sim_fault_queue *queue)
{
	free(queue);
}

/* A queue and its open file. */
static int open_queue(struct sim_iommufd *iommufd, struct sim_fault_queue *queue)
{
	int fd = sim_file_open(iommufd->sim, &ops, queue, &queue->file);

	if (fd < 0)
		return fd;
	queue->object.users = 1;
	sim_file_hold(iommufd->file);
	return fd;
}

static int new_queue(struct sim_iommufd *iommufd, struct sim_fault_queue **ret_queue)
{
	struct sim_fault_queue *queue = calloc(1, sizeof(*queue));
	int error = queue ? sim_object_add(iommufd, &queue->object, SIM_FAULT) : -ENOMEM;

	if (error) {
		free(queue);
		return error;
	}
	queue->iommufd = iommufd;
	*ret_queue = queue;
	return 0;
}

int sim_cmd_fault_queue_alloc(struct sim_call *call)
{
	struct abi_iommu_fault_alloc *cmd = call->cmd;
	struct sim_fault_queue *queue;
	int fd, error;

	if (cmd->flags)
		return -EOPNOTSUPP;
	error = new_queue(call->iommufd, &queue);
	if (error)
		return error;
	fd = open_queue(call->iommufd, queue);
	if (fd < 0) {
		sim_object_destroy(call->iommufd, &queue->object);
		return fd;
	}
	cmd->out_fault_id = queue->object.id;
	cmd->out_fault_fd = (uint32_t)fd;
	error = sim_respond(call);
	if (error) {
		/* The machine will find that nobody has it open, and release it. */
		queue->unwanted = true;
		close(fd);
	}
	return error;
}
