// SPDX-License-Identifier: MIT
/* /dev/iommu: commands, objects, options. */
#include "sim/iommufd/iommufd.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/iommufd/ioas.h"
#include "sim/user.h"

/* Objects ------------------------------------------------------------------------------------------------ */

/* Stands where an object was that the kernel took away. */
static struct sim_object tombstone;

static int grow(struct sim_iommufd *iommufd)
{
	uint32_t num = iommufd->num_objects ? iommufd->num_objects * 2 : 16;
	struct sim_object **objects = realloc(iommufd->objects, num * sizeof(struct sim_object *));

	if (!objects)
		return -ENOMEM;
	memset(objects + iommufd->num_objects, 0, (num - iommufd->num_objects) * sizeof(struct sim_object *));
	iommufd->objects = objects;
	iommufd->num_objects = num;
	return 0;
}

int sim_object_add(struct sim_iommufd *iommufd, struct sim_object *object, enum sim_object_type type)
{
	uint32_t id = 1;
	int error = 0;

	while (id < iommufd->num_objects && iommufd->objects[id])
		id++;
	if (id >= iommufd->num_objects)
		error = grow(iommufd);
	if (error)
		return error;
	object->type = type;
	object->id = id;
	object->users = 0;
	iommufd->objects[id] = object;
	return 0;
}

void sim_object_remove(struct sim_iommufd *iommufd, const struct sim_object *object)
{
	iommufd->objects[object->id] = NULL;
}

struct sim_object *sim_object_find(const struct sim_iommufd *iommufd, uint32_t id)
{
	struct sim_object *object = id && id < iommufd->num_objects ? iommufd->objects[id] : NULL;

	return object == &tombstone ? NULL : object;
}

static void *find_typed(const struct sim_iommufd *iommufd, uint32_t id, enum sim_object_type type)
{
	struct sim_object *object = sim_object_find(iommufd, id);

	return object && object->type == type ? object : NULL;
}

struct sim_ioas *sim_ioas_find(const struct sim_iommufd *iommufd, uint32_t id)
{
	return find_typed(iommufd, id, SIM_IOAS);
}

struct sim_hwpt *sim_hwpt_find(const struct sim_iommufd *iommufd, uint32_t id)
{
	return find_typed(iommufd, id, SIM_HWPT);
}

struct sim_bound *sim_bound_find(const struct sim_iommufd *iommufd, uint32_t id)
{
	return find_typed(iommufd, id, SIM_DEVICE);
}

struct sim_fault_queue *sim_fault_queue_find(const struct sim_iommufd *iommufd, uint32_t id)
{
	return find_typed(iommufd, id, SIM_FAULT);
}

struct sim_viommu *sim_viommu_find(const struct sim_iommufd *iommufd, uint32_t id)
{
	return find_typed(iommufd, id, SIM_VIOMMU);
}

void sim_object_bury(struct sim_iommufd *iommufd, struct sim_object *object)
{
	uint32_t id = object->id;

	sim_object_destroy(iommufd, object);
	iommufd->objects[id] = &tombstone;
}

void sim_object_destroy(struct sim_iommufd *iommufd, struct sim_object *object)
{
	sim_object_remove(iommufd, object);
	if (iommufd->compat_ioas == object->id)
		iommufd->compat_ioas = 0;
	switch (object->type) {
	case SIM_DEVICE:
		free(object);
		break;
	case SIM_HWPT:
	case SIM_HWPT_NESTED:
		sim_hwpt_free((struct sim_hwpt *)object);
		break;
	case SIM_IOAS:
		sim_ioas_free((struct sim_ioas *)object);
		break;
	case SIM_FAULT:
		sim_fault_queue_free((struct sim_fault_queue *)object);
		break;
	case SIM_VIOMMU:
		sim_viommu_free((struct sim_viommu *)object);
		break;
	case SIM_VDEVICE:
		sim_vdevice_free((struct sim_vdevice *)object);
		break;
	case SIM_VEVENTQ:
		sim_veventq_free((struct sim_veventq *)object);
		break;
	}
}

static int destroy(struct sim_call *call)
{
	const struct abi_iommu_destroy *cmd = call->cmd;
	struct sim_object *object = sim_object_find(call->iommufd, cmd->id);

	if (!object)
		return -ENOENT;
	if (object->users)
		return -EBUSY;
	sim_object_destroy(call->iommufd, object);
	return 0;
}

/* Options (A.4.8) ---------------------------------------------------------------------------------------- */

static bool has_objects(const struct sim_iommufd *iommufd)
{
	for (uint32_t id = 1; id < iommufd->num_objects; id++)
		if (iommufd->objects[id])
			return true;
	return false;
}

static int set_rlimit_mode(struct sim_iommufd *iommufd, uint64_t mode)
{
	if (!sim_capable(CAP_SYS_RESOURCE))
		return -EPERM;
	if (has_objects(iommufd))
		return -EBUSY;
	if (mode > 1)
		return -EINVAL;
	iommufd->per_process = mode;
	return 0;
}

static int rlimit_mode(struct sim_iommufd *iommufd, struct abi_iommu_option *cmd)
{
	if (cmd->object_id)
		return -EOPNOTSUPP;
	switch (cmd->op) {
	case ABI_IOMMU_OPTION_OP_GET:
		cmd->val64 = iommufd->per_process;
		return 0;
	case ABI_IOMMU_OPTION_OP_SET:
		return set_rlimit_mode(iommufd, cmd->val64);
	default:
		return -EOPNOTSUPP;
	}
}

static int huge_pages(struct sim_iommufd *iommufd, struct abi_iommu_option *cmd)
{
	struct sim_ioas *ioas = sim_ioas_find(iommufd, cmd->object_id);

	if (!ioas)
		return -ENOENT;
	switch (cmd->op) {
	case ABI_IOMMU_OPTION_OP_GET:
		cmd->val64 = !ioas->no_large_pages;
		return 0;
	case ABI_IOMMU_OPTION_OP_SET:
		return cmd->val64 > 1 ? -EINVAL : sim_ioas_set_large_pages(ioas, cmd->val64);
	default:
		return -EOPNOTSUPP;
	}
}

static int option(struct sim_call *call)
{
	struct abi_iommu_option *cmd = call->cmd;
	int error = -EOPNOTSUPP;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	if (cmd->option_id == ABI_IOMMU_OPTION_RLIMIT_MODE)
		error = rlimit_mode(call->iommufd, cmd);
	else if (cmd->option_id == ABI_IOMMU_OPTION_HUGE_PAGES)
		error = huge_pages(call->iommufd, cmd);
	return error ? error : sim_respond(call);
}

/* Commands (A.1, A.2) ------------------------------------------------------------------------------------ */

enum { LARGEST = 64 };

/*
 * One command: the length of its struct now and in its first release, and the oldest kernel that has it. Of
 * those here, only 6.6 has some of them in their first release, and all of its structs are of that length.
 */
struct command {
	uint32_t request;
	uint16_t size, min;
	enum weir_sim_age oldest;
	int (*run)(struct sim_call *call);
};

#define COMMAND(nr, type, min, oldest, run)                                                                  \
	[(nr)-ABI_IOMMUFD_CMD_BASE] = { ABI_IOMMUFD_TYPE << 8 | (nr), sizeof(struct type), min, oldest, run }

static const struct command commands[] = {
	COMMAND(0x80, abi_iommu_destroy, 8, WEIR_SIM_6_6, destroy),
	COMMAND(0x81, abi_iommu_ioas_alloc, 12, WEIR_SIM_6_6, sim_cmd_ioas_alloc),
	COMMAND(0x82, abi_iommu_ioas_allow_iovas, 24, WEIR_SIM_6_6, sim_cmd_ioas_allow_iovas),
	COMMAND(0x83, abi_iommu_ioas_copy, 40, WEIR_SIM_6_6, sim_cmd_ioas_copy),
	COMMAND(0x84, abi_iommu_ioas_iova_ranges, 32, WEIR_SIM_6_6, sim_cmd_ioas_iova_ranges),
	COMMAND(0x85, abi_iommu_ioas_map, 40, WEIR_SIM_6_6, sim_cmd_ioas_map),
	COMMAND(0x86, abi_iommu_ioas_unmap, 24, WEIR_SIM_6_6, sim_cmd_ioas_unmap),
	COMMAND(0x87, abi_iommu_option, 24, WEIR_SIM_6_6, option),
	COMMAND(0x88, abi_iommu_vfio_ioas, 12, WEIR_SIM_6_6, sim_cmd_vfio_ioas),
	COMMAND(0x89, abi_iommu_hwpt_alloc, 24, WEIR_SIM_6_6, sim_cmd_hwpt_alloc),
	COMMAND(0x8a, abi_iommu_hw_info, 32, WEIR_SIM_6_6, sim_cmd_get_hw_info),
	COMMAND(0x8b, abi_iommu_hwpt_set_dirty_tracking, 16, WEIR_SIM_6_12, sim_cmd_hwpt_set_dirty_tracking),
	COMMAND(0x8c, abi_iommu_hwpt_get_dirty_bitmap, 48, WEIR_SIM_6_12, sim_cmd_hwpt_get_dirty_bitmap),
	COMMAND(0x8d, abi_iommu_hwpt_invalidate, 32, WEIR_SIM_6_12, sim_cmd_hwpt_invalidate),
	COMMAND(0x8e, abi_iommu_fault_alloc, 16, WEIR_SIM_6_12, sim_cmd_fault_queue_alloc),
	COMMAND(0x8f, abi_iommu_ioas_map_file, 40, WEIR_SIM_6_19, sim_cmd_ioas_map_file),
	COMMAND(0x90, abi_iommu_viommu_alloc, 24, WEIR_SIM_6_19, sim_cmd_viommu_alloc),
	COMMAND(0x91, abi_iommu_vdevice_alloc, 24, WEIR_SIM_6_19, sim_cmd_vdevice_alloc),
	COMMAND(0x92, abi_iommu_ioas_change_process, 8, WEIR_SIM_6_19, sim_cmd_ioas_change_process),
	COMMAND(0x93, abi_iommu_veventq_alloc, 28, WEIR_SIM_6_19, sim_cmd_veventq_alloc),
	COMMAND(0x94, abi_iommu_hw_queue_alloc, 40, WEIR_SIM_6_19, sim_cmd_hw_queue_alloc),
};

int sim_respond(const struct sim_call *call)
{
	return sim_cmd_out(call->iommufd->sim, call->arg, call->cmd, call->size, call->user_size);
}

static int run(struct sim_iommufd *iommufd, const struct command *command, void *arg)
{
	bool first_release = iommufd->sim->age == WEIR_SIM_6_6;
	uint64_t cmd[LARGEST / sizeof(uint64_t)];
	struct sim_call call = { .iommufd = iommufd,
				 .arg = arg,
				 .cmd = cmd,
				 .size = first_release ? command->min : command->size };
	int error;

	memset(cmd, 0, sizeof(cmd));
	error = sim_cmd_in(arg, cmd, call.size, command->min, &call.user_size);
	return error ? error : command->run(&call);
}

static int iommufd_ioctl(struct sim_file *file, unsigned long request, void *arg)
{
	struct sim_iommufd *iommufd = file->data;
	unsigned long number = request & 0xff;
	const struct command *command;
	uint32_t size;

	/* What is not in this kernel's table is the container's (A.15). */
	if (number < ABI_IOMMUFD_CMD_BASE ||
	    number - ABI_IOMMUFD_CMD_BASE >= sizeof(commands) / sizeof(commands[0]))
		return sim_compat_ioctl(iommufd, request, arg);
	command = &commands[number - ABI_IOMMUFD_CMD_BASE];
	if (iommufd->sim->age > command->oldest)
		return sim_compat_ioctl(iommufd, request, arg);
	/* The size is read before the number is compared as a whole. */
	if (sim_copy_in(&size, (uintptr_t)arg, sizeof(size)))
		return -EFAULT;
	return request == command->request ? run(iommufd, command, arg) : -ENOTTY;
}

/* The file ----------------------------------------------------------------------------------------------- */

/* Nothing here has anything to map (A.16). */
static int iommufd_mmap(struct sim_file *file, void *addr, size_t len, int prot, int flags, uint64_t offset,
			void **ret_addr)
{
	const struct sim_iommufd *iommufd = file->data;

	(void)addr;
	(void)len;
	(void)offset;
	(void)ret_addr;
	if (iommufd->sim->age > WEIR_SIM_6_19) /* 6.17 is the first that maps anything */
		return -ENODEV;
	if (!(flags & MAP_SHARED))
		return -EINVAL;
	return prot & PROT_EXEC ? -EPERM : -ENXIO;
}

/* Nothing holds the file any more: no device is bound, no queue is open. Users go before what they use. */
static void iommufd_release(struct sim_file *file)
{
	static const enum sim_object_type order[] = { SIM_DEVICE, SIM_HWPT_NESTED, SIM_VDEVICE, SIM_VEVENTQ,
						      SIM_VIOMMU, SIM_HWPT,        SIM_IOAS,    SIM_FAULT };
	struct sim_iommufd *iommufd = file->data;

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		for (uint32_t id = 1; id < iommufd->num_objects; id++) {
			struct sim_object *object = sim_object_find(iommufd, id);

			if (object && object->type == order[i])
				sim_object_destroy(iommufd, object);
		}
	free(iommufd->objects);
	free(iommufd);
}

static const struct sim_file_ops ops = {
	.name = "iommufd",
	.ioctl = iommufd_ioctl,
	.mmap = iommufd_mmap,
	.release = iommufd_release,
};

struct sim_iommufd *sim_iommufd_of(struct sim_file *file)
{
	return file && file->ops == &ops ? file->data : NULL;
}

static void for_each_ioas(const struct sim_iommufd *iommufd, const struct sim_dma_buf *buf,
			  void (*what)(struct sim_ioas *ioas, const struct sim_dma_buf *buf))
{
	for (uint32_t id = 1; id < iommufd->num_objects; id++)
		if (sim_ioas_find(iommufd, id))
			what(sim_ioas_find(iommufd, id), buf);
}

/* Spaces share pages, so all of them are done with before the first forgets. */
void sim_iommufd_revoke(struct weir_sim *sim, const struct sim_dma_buf *buf)
{
	for (struct sim_file *file = sim->files; file; file = file->next)
		if (sim_iommufd_of(file))
			for_each_ioas(file->data, buf, sim_ioas_uninstall);
	for (struct sim_file *file = sim->files; file; file = file->next)
		if (sim_iommufd_of(file))
			for_each_ioas(file->data, buf, sim_ioas_mark_revoked);
}

int sim_iommufd_open(struct weir_sim *sim)
{
	struct sim_iommufd *iommufd = calloc(1, sizeof(*iommufd));
	int fd;

	if (!iommufd)
		return -ENOMEM;
	iommufd->sim = sim;
	fd = sim_file_open(sim, &ops, iommufd, &iommufd->file);
	if (fd < 0)
		free(iommufd);
	return fd;
}
