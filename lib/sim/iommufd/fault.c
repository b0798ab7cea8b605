// SPDX-License-Identifier: MIT
/*
 * Queues of page faults (kernel-interface A.13): groups that wait to be read, and groups that were read and wait for an answer, each with a
 * number (cookie) that is given again afterwards. What devices ask is in pri.c.
 */
#include "sim/iommufd/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/device/device.h"
#include "sim/file.h"
#include "sim/user.h"

/* Groups --------------------------------------------------------------------------------------------------------- */

/* The device gets its answer. */
static void end_group(struct sim_fault_group *group, uint32_t code)
{
	sim_device_answered(group->device, group->pasid, group->grpid, code);
	free(group);
}

void sim_fault_queue_add(struct sim_fault_queue *queue, struct sim_fault_group *group)
{
	*queue->end = group;
	queue->end = &group->next;
	sim_file_set_readable(queue->file, true);
}

static void show(struct sim_fault_queue *queue)
{
	if (queue->file)
		sim_file_set_readable(queue->file, queue->first != NULL);
}

static bool is_from(const struct sim_fault_group *group, const struct weir_sim_device *device,
		    uint32_t through)
{
	return !device || (group->device == device && group->through == through);
}

/* Those of a device that came through its attachment with a PASID; NULL: all. */
static void fail_groups(struct sim_fault_queue *queue, const struct weir_sim_device *device, uint32_t through)
{
	struct sim_fault_group *group, **link = &queue->first;

	while ((group = *link)) {
		if (is_from(group, device, through)) {
			*link = group->next;
			end_group(group, ABI_IOMMUFD_PAGE_RESP_INVALID);
		} else {
			link = &group->next;
		}
	}
	queue->end = link;
	for (uint32_t cookie = 1; cookie < queue->num_read; cookie++) {
		group = queue->read[cookie];
		if (group && is_from(group, device, through)) {
			queue->read[cookie] = NULL;
			end_group(group, ABI_IOMMUFD_PAGE_RESP_INVALID);
		}
	}
	queue->lowest = 1;
	show(queue);
}

void sim_faults_left(const struct sim_hwpt *hwpt, const struct weir_sim_device *device, uint32_t through)
{
	if (hwpt->fault)
		fail_groups(hwpt->fault, device, through);
}

/* Reading -------------------------------------------------------------------------------------------------------- */

/* The lowest that is free, from 1 on. 0: no memory. */
static uint32_t free_cookie(struct sim_fault_queue *queue)
{
	struct sim_fault_group **read;
	uint32_t room = queue->num_read ? queue->num_read * 2 : 16;

	while (queue->lowest < queue->num_read && queue->read[queue->lowest])
		queue->lowest++;
	if (queue->lowest < queue->num_read)
		return queue->lowest;
	read = realloc(queue->read, room * sizeof(struct sim_fault_group *));
	if (!read)
		return 0;
	for (uint32_t i = queue->num_read; i < room; i++)
		read[i] = NULL;
	queue->read = read;
	queue->num_read = room;
	return queue->lowest;
}

static int copy_group(struct weir_sim *sim, const struct sim_fault_group *group, uint32_t cookie, uint64_t to)
{
	for (uint32_t i = 0; i < group->num; i++) {
		const struct abi_iommu_hwpt_pgfault record = {
			.flags = (group->pasid ? ABI_IOMMU_PGFAULT_FLAGS_PASID_VALID : 0) |
				 (i + 1 == group->num ? ABI_IOMMU_PGFAULT_FLAGS_LAST_PAGE : 0),
			.dev_id = group->dev_id,
			.pasid = group->pasid,
			.grpid = group->grpid,
			.perm = group->pages[i].perm,
			.addr = group->pages[i].addr,
			.cookie = cookie,
		};

		if (sim_copy_out(sim, to + i * sizeof(record), &record, sizeof(record)))
			return -EFAULT;
	}
	return 0;
}

/* The next group, if it fits. How long it is, or an errno. */
static ssize_t read_group(struct sim_fault_queue *queue, uint64_t to, size_t len)
{
	struct sim_fault_group *group = queue->first;
	size_t size = group->num * sizeof(struct abi_iommu_hwpt_pgfault);
	uint32_t cookie;

	if (size > len)
		return -EINVAL;
	cookie = free_cookie(queue);
	if (!cookie)
		return -ENOMEM;
	if (copy_group(queue->iommufd->sim, group, cookie, to))
		return -EFAULT;
	queue->first = group->next;
	if (!queue->first)
		queue->end = &queue->first;
	group->next = NULL;
	queue->read[cookie] = group;
	return (ssize_t)size;
}

/* Whole groups, and no other place than the next one. Nothing there is 0: it never waits. */
static ssize_t fault_pread(struct sim_file *file, void *buf, size_t len, uint64_t offset)
{
	struct sim_fault_queue *queue = file->data;
	ssize_t done = 0;

	if (offset || len % sizeof(struct abi_iommu_hwpt_pgfault))
		return -ESPIPE;
	while (queue->first) {
		ssize_t size = read_group(queue, (uintptr_t)buf + (size_t)done, len - (size_t)done);

		if (size < 0) {
			done = done ? done : size;
			break;
		}
		done += size;
	}
	show(queue);
	return done;
}

static ssize_t fault_read(struct sim_file *file, void *buf, size_t len)
{
	return fault_pread(file, buf, len, 0);
}

/* Answering ------------------------------------------------------------------------------------------------------ */

static int answer(struct sim_fault_queue *queue, const struct abi_iommu_hwpt_page_response *response)
{
	struct sim_fault_group *group =
		response->cookie < queue->num_read ? queue->read[response->cookie] : NULL;

	if (response->code > ABI_IOMMUFD_PAGE_RESP_INVALID || !group)
		return -EINVAL;
	queue->read[response->cookie] = NULL;
	if (response->cookie < queue->lowest)
		queue->lowest = response->cookie;
	end_group(group, response->code);
	return 0;
}

/* One after the other; what comes after a bad one is not looked at. */
static ssize_t fault_pwrite(struct sim_file *file, const void *buf, size_t len, uint64_t offset)
{
	struct abi_iommu_hwpt_page_response response;
	size_t done = 0;
	int error = 0;

	if (offset || len % sizeof(response))
		return -ESPIPE;
	for (; done < len && !error; done += error ? 0 : sizeof(response)) {
		error = sim_copy_in(&response, (uintptr_t)buf + done, sizeof(response)) ? -EFAULT : 0;
		if (!error)
			error = answer(file->data, &response);
	}
	return done ? (ssize_t)done : error;
}

static ssize_t fault_write(struct sim_file *file, const void *buf, size_t len)
{
	return fault_pwrite(file, buf, len, 0);
}

/* Making --------------------------------------------------------------------------------------------------------- */

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
	.link = "anon_inode:[iommufd-pgfault]",
	.read = fault_read,
	.write = fault_write,
	.pread = fault_pread,
	.pwrite = fault_pwrite,
	.release = fault_release,
};

void sim_fault_queue_free(struct sim_fault_queue *queue)
{
	fail_groups(queue, NULL, 0);
	free(queue->read);
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
	queue->end = &queue->first;
	queue->lowest = 1;
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
