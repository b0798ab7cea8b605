// SPDX-License-Identifier: MIT
/*
 * Queues of a virtual IOMMU's events (kernel-interface A.14).
 *
 * A full queue drops what comes. In its place stands one header without data, which says that events were lost and has the number of the
 * last of them; it goes as soon as there is room for an event again, and then the gap in the numbers is all that tells.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "sim/file.h"
#include "sim/iommufd/ioas.h"
#include "sim/user.h"

enum { MAX_EVENTS = 1 << 19, HEADER = sizeof(struct abi_iommufd_vevent_header) };

struct event {
	struct event *next;
	struct abi_iommufd_vevent_header header;
	struct abi_iommu_vevent_arm_smmuv3 data;
};

/* What comes out next: an event, or, behind all events, that some were lost. */
struct sim_veventq {
	struct sim_object object; /* the open file is a user */
	struct sim_iommufd *iommufd;
	struct sim_viommu *viommu;
	struct sim_file *file;
	uint32_t depth, num;
	uint32_t sequence; /* of the next event */
	struct event *first, **end;
	bool lost;
	uint32_t last_lost;
	bool unwanted; /* goes when the file is closed */
};

/* Putting in ---------------------------------------------------------------------------------------------- */

static void show(const struct sim_veventq *queue)
{
	if (queue->file)
		sim_file_set_readable(queue->file, queue->first || queue->lost);
}

static void add(struct sim_veventq *queue, const struct abi_iommu_vevent_arm_smmuv3 *data)
{
	uint32_t sequence = queue->sequence;
	struct event *event = queue->num < queue->depth ? malloc(sizeof(*event)) : NULL;

	queue->sequence = (sequence + 1) & INT32_MAX;
	queue->lost = !event;
	queue->last_lost = sequence;
	if (event) {
		*event = (struct event){ .header = { .sequence = sequence }, .data = *data };
		*queue->end = event;
		queue->end = &event->next;
		queue->num++;
	}
	show(queue);
}

void sim_viommu_event(const struct sim_viommu *viommu, uint64_t virt_id, const uint64_t words[4])
{
	struct abi_iommu_vevent_arm_smmuv3 data;

	if (!viommu->events)
		return;
	memcpy(data.evt, words, sizeof(data.evt));
	data.evt[0] = (words[0] & UINT32_MAX) | virt_id << 32;
	add(viommu->events, &data);
}

/* Taking out ---------------------------------------------------------------------------------------------- */

static void drop_first(struct sim_veventq *queue)
{
	struct event *event = queue->first;

	queue->first = event->next;
	if (!queue->first)
		queue->end = &queue->first;
	queue->num--;
	free(event);
}

static int copy_event(struct sim_veventq *queue, uint64_t to, size_t room)
{
	const struct event *event = queue->first;

	if (room < HEADER + sizeof(event->data))
		return -EINVAL;
	if (sim_copy_out(queue->iommufd->sim, to, &event->header, HEADER) ||
	    sim_copy_out(queue->iommufd->sim, to + HEADER, &event->data, sizeof(event->data)))
		return -EFAULT;
	drop_first(queue);
	return HEADER + sizeof(event->data);
}

static int copy_lost(struct sim_veventq *queue, uint64_t to, size_t room)
{
	struct abi_iommufd_vevent_header header = { ABI_IOMMU_VEVENTQ_FLAG_LOST_EVENTS, queue->last_lost };

	if (room < HEADER)
		return -EINVAL;
	if (sim_copy_out(queue->iommufd->sim, to, &header, HEADER))
		return -EFAULT;
	queue->lost = false;
	return HEADER;
}

/* As many as there is room for, whole ones. Never waits: nothing there is 0. */
static ssize_t veventq_pread(struct sim_file *file, void *buf, size_t len, uint64_t offset)
{
	struct sim_veventq *queue = file->data;
	ssize_t done = 0, more = 1;

	if (offset)
		return -ESPIPE;
	if (queue->iommufd->sim->age == WEIR_SIM_7_2 && len < HEADER)
		return -EINVAL;
	while ((queue->first || queue->lost) && (size_t)done < len && more > 0) {
		uint64_t to = (uintptr_t)buf + (size_t)done;

		more = queue->first ? copy_event(queue, to, len - (size_t)done)
				    : copy_lost(queue, to, len - (size_t)done);
		done += more > 0 ? more : 0;
	}
	show(queue);
	return done || more > 0 ? done : more;
}

static ssize_t veventq_read(struct sim_file *file, void *buf, size_t len)
{
	return veventq_pread(file, buf, len, 0);
}

/* Making -------------------------------------------------------------------------------------------------- */

/* As long as it is open, the queue is used and the iommufd stays. */
static void veventq_release(struct sim_file *file)
{
	struct sim_veventq *queue = file->data;
	struct sim_file *iommufd_file = queue->iommufd->file;

	queue->file = NULL;
	queue->object.users--;
	if (queue->unwanted)
		sim_object_destroy(queue->iommufd, &queue->object);
	sim_file_drop(iommufd_file);
}

static const struct sim_file_ops ops = {
	.name = "event queue",
	.read = veventq_read,
	.pread = veventq_pread,
	.release = veventq_release,
};

void sim_veventq_free(struct sim_veventq *queue)
{
	while (queue->first)
		drop_first(queue);
	queue->viommu->events = NULL;
	queue->viommu->object.users--;
	free(queue);
}

static int new_queue(struct sim_iommufd *iommufd, struct sim_viommu *viommu, uint32_t depth,
		     struct sim_veventq **ret_queue)
{
	struct sim_veventq *queue = calloc(1, sizeof(*queue));
	int error = queue ? sim_object_add(iommufd, &queue->object, SIM_VEVENTQ) : -ENOMEM;

	if (error) {
		free(queue);
		return error;
	}
	queue->iommufd = iommufd;
	queue->viommu = viommu;
	queue->depth = depth;
	queue->end = &queue->first;
	viommu->events = queue;
	viommu->object.users++;
	*ret_queue = queue;
	return 0;
}

static int open_queue(struct sim_veventq *queue)
{
	int fd = sim_file_open(queue->iommufd->sim, &ops, queue, &queue->file);

	if (fd < 0)
		return fd;
	queue->object.users = 1;
	sim_file_hold(queue->iommufd->file);
	return fd;
}

static int check(const struct sim_iommufd *iommufd, const struct abi_iommu_veventq_alloc *cmd,
		 struct sim_viommu **ret_viommu)
{
	if (cmd->flags || cmd->__reserved || cmd->type == ABI_IOMMU_VEVENTQ_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	if (!cmd->veventq_depth || cmd->veventq_depth > MAX_EVENTS)
		return -EINVAL;
	*ret_viommu = sim_viommu_find(iommufd, cmd->viommu_id);
	if (!*ret_viommu)
		return -ENOENT;
	if (iommufd->sim->iommu != WEIR_SIM_IOMMU_SMMUV3 || cmd->type != ABI_IOMMU_VEVENTQ_TYPE_ARM_SMMUV3)
		return -EOPNOTSUPP;
	return (*ret_viommu)->events ? -EEXIST : 0;
}

int sim_cmd_veventq_alloc(struct sim_call *call)
{
	struct abi_iommu_veventq_alloc *cmd = call->cmd;
	struct sim_veventq *queue;
	struct sim_viommu *viommu;
	int fd, error = check(call->iommufd, cmd, &viommu);

	if (!error)
		error = new_queue(call->iommufd, viommu, cmd->veventq_depth, &queue);
	if (error)
		return error;
	fd = open_queue(queue);
	if (fd < 0) {
		sim_object_destroy(call->iommufd, &queue->object);
		return fd;
	}
	cmd->out_veventq_id = queue->object.id;
	cmd->out_veventq_fd = (uint32_t)fd;
	error = sim_respond(call);
	if (error) {
		/* The machine will find that nobody has it open, and release it. */
		queue->unwanted = true;
		close(fd);
	}
	return error;
}

/* Events on request --------------------------------------------------------------------------------------- */

static int raise_event(const struct weir_sim_device *device, const uint64_t words[4])
{
	const struct sim_bound *bound =
		device->iommufd ? sim_bound_find(device->iommufd, device->dev_id) : NULL;

	if (!bound || !bound->vdevice)
		return weir_fail(-ENOENT, "no virtual IOMMU has a number for %s", device->address);
	if (!bound->vdevice->viommu->events)
		return weir_fail(-EOPNOTSUPP, "the virtual IOMMU of %s has no queue of events",
				 device->address);
	sim_viommu_event(bound->vdevice->viommu, bound->vdevice->virt_id, words);
	return 0;
}

int weir_sim_smmuv3_event(struct weir_sim_device *device, const uint64_t event[4])
{
	int error = sim_lock(device->sim);

	if (error)
		return error;
	error = raise_event(device, event);
	sim_unlock(device->sim);
	return error;
}
