// SPDX-License-Identifier: MIT
/*
 * /dev/vfio/N: a group, which is put into a container, or into an iommufd that serves as one, and gives out
 * descriptors of its devices (kernel-interface B.2).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sim/container/container.h"
#include "sim/iommufd/iommufd.h"
#include "sim/user.h"

enum { NAME_SIZE = 4096, UUID_LEN = 36 };

static bool has_container(const struct sim_group *group)
{
	return group->container || group->compat;
}

static int get_status(struct sim_group *group, void *arg)
{
	struct abi_vfio_group_status status;
	int error = sim_argsz_in(arg, &status, sizeof(status), sizeof(status));

	if (error)
		return error;
	status.flags = 0;
	if (has_container(group))
		status.flags = ABI_VFIO_GROUP_FLAGS_CONTAINER_SET | ABI_VFIO_GROUP_FLAGS_VIABLE;
	else if (sim_group_viable(group))
		status.flags = ABI_VFIO_GROUP_FLAGS_VIABLE;
	return sim_copy_out(group->sim, (uintptr_t)arg, &status, sizeof(status));
}

/* ---- Into a container and out of it ---- */

static int set_container(struct sim_group *group, void *arg)
{
	struct sim_container *container;
	struct sim_iommufd *iommufd;
	struct sim_file *file;
	int32_t fd;

	if (sim_copy_in(&fd, (uintptr_t)arg, sizeof(fd)))
		return -EFAULT;
	/* Before 6.13 a negative one was looked at by itself. */
	if (fd < 0 && group->sim->age != WEIR_SIM_7_2 && group->sim->age != WEIR_SIM_6_19)
		return -EINVAL;
	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	if (has_container(group))
		return -EINVAL;
	file = sim_file_find(group->sim, fd);
	container = file ? sim_container_of(file) : NULL;
	if (container)
		return sim_container_add_group(container, group);
	iommufd = file ? sim_iommufd_of(file) : NULL;
	if (!iommufd)
		return group->sim->age == WEIR_SIM_6_1 ? -EINVAL : -EBADFD;
	return sim_compat_add_group(iommufd, group);
}

/*
 * Devices opened in the container keep the group there; those on an iommufd have a hold on it of their own.
 */
static int unset_container(struct sim_group *group)
{
	if (!has_container(group))
		return -EINVAL;
	if (group->container) {
		if (group->open_devices)
			return -EBUSY;
		sim_container_remove_group(group->container, group);
	}
	if (group->compat)
		sim_compat_remove_group(group->compat, group);
	return 0;
}

/* ---- Devices ---- */

static void close_last(struct weir_sim_device *device)
{
	struct sim_group *group = device->group;
	struct sim_iommufd *iommufd = device->iommufd;

	sim_device_closed(device);
	if (iommufd) {
		sim_compat_close_device(iommufd, device);
	} else {
		group->open_devices--;
		sim_file_drop(group->file);
	}
}

/* In a container, the device keeps the group's file open; on an iommufd it does not. */
static int open_first(struct weir_sim_device *device)
{
	struct sim_group *group = device->group;
	int error = 0;

	if (device->gone)
		return -ENODEV;
	if (group->compat) {
		error = sim_compat_open_device(group->compat, device);
		if (error)
			return error;
	} else if (!group->container->iommu_type) {
		return -EINVAL;
	} else {
		group->open_devices++;
		sim_file_hold(group->file);
	}
	error = sim_device_opened(device);
	if (error)
		close_last(device);
	return error;
}

static void close_device(struct weir_sim_device *device)
{
	if (!--device->opens)
		close_last(device);
}

static int open_device(struct weir_sim_device *device)
{
	int error = 0;

	if (!has_container(device->group))
		return -EINVAL;
	if (!device->opens)
		error = open_first(device);
	if (!error)
		device->opens++;
	return error;
}

static int device_ioctl(struct sim_file *file, unsigned long request, void *arg)
{
	/* That is for character devices. ATTACH and DETACH are -ENOTTY. */
	if ((uint32_t)request == ABI_VFIO_DEVICE_BIND_IOMMUFD && sim_has_iommufd(file->sim))
		return -EINVAL;
	return sim_vfio_ioctl(file, file->data, request, arg);
}

static ssize_t device_pread(struct sim_file *file, void *buf, size_t len, uint64_t offset)
{
	return sim_vfio_pread(file, file->data, buf, len, offset);
}

static ssize_t device_pwrite(struct sim_file *file, const void *buf, size_t len, uint64_t offset)
{
	return sim_vfio_pwrite(file, file->data, buf, len, offset);
}

static int device_mmap(struct sim_file *file, void *addr, size_t len, int prot, int flags, uint64_t offset,
		       void **ret_addr)
{
	return sim_vfio_mmap(file, file->data, addr, len, prot, flags, offset, ret_addr);
}

static void device_release(struct sim_file *file)
{
	close_device(file->data);
}

static const struct sim_file_ops device_ops = {
	.name = "device",
	.ioctl = device_ioctl,
	.pread = device_pread,
	.pwrite = device_pwrite,
	.mmap = device_mmap,
	.release = device_release,
};

static bool is_uuid(const char *text)
{
	for (unsigned int i = 0; i < UUID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]) || !text[i])
			return false;
	}
	return true;
}

/*
 * 1: this device is meant; 0: another; or what is wrong with the options. No function here has a token, so
 * giving one is wrong too.
 */
static int match(const struct weir_sim_device *device, const char *name)
{
	static const char token[] = "vf_token=";
	size_t len = strlen(device->address);
	bool has_token = false;

	if (strncmp(device->address, name, len) != 0 || (name[len] && name[len] != ' '))
		return 0;
	for (name += len; *name; name++) {
		if (*name == ' ')
			continue;
		if (has_token || strncmp(name, token, strlen(token)) != 0)
			return -EINVAL;
		name += strlen(token);
		if (strlen(name) < UUID_LEN || !is_uuid(name))
			return -EINVAL;
		name += UUID_LEN - 1;
		has_token = true;
	}
	return has_token ? -EINVAL : 1;
}

static int get_device(struct sim_group *group, void *arg)
{
	struct weir_sim_device *device = NULL;
	char name[NAME_SIZE];
	int error = sim_copy_string(name, arg, sizeof(name)), found = 0, fd;

	if (error)
		return error == -ENAMETOOLONG ? -EINVAL : error;
	while (!found && (device = sim_group_next(group, device)))
		if (!strcmp(device->driver, "vfio-pci"))
			found = match(device, name);
	if (found <= 0)
		return found ? found : -ENODEV;
	error = open_device(device);
	if (error)
		return error;
	fd = sim_file_open(group->sim, &device_ops, device, NULL);
	if (fd < 0)
		close_device(device);
	return fd;
}

/* ---- The file ---- */

static int group_ioctl(struct sim_file *file, unsigned long request, void *arg)
{
	struct sim_group *group = file->data;

	switch ((uint32_t)request) {
	case ABI_VFIO_GROUP_GET_STATUS:
		return get_status(group, arg);
	case ABI_VFIO_GROUP_SET_CONTAINER:
		return set_container(group, arg);
	case ABI_VFIO_GROUP_UNSET_CONTAINER:
		return unset_container(group);
	case ABI_VFIO_GROUP_GET_DEVICE_FD:
		return get_device(group, arg);
	default:
		return -ENOTTY;
	}
}

static void group_release(struct sim_file *file)
{
	struct sim_group *group = file->data;

	if (group->container)
		sim_container_remove_group(group->container, group);
	if (group->compat)
		sim_compat_remove_group(group->compat, group);
	group->file = NULL;
}

static const struct sim_file_ops group_ops = {
	.name = "group",
	.ioctl = group_ioctl,
	.release = group_release,
};

struct sim_group *sim_group_of(const struct sim_file *file)
{
	return file->ops == &group_ops ? file->data : NULL;
}

/* One opener, and none while a character device of the group is bound. */
int sim_group_open(struct sim_group *group)
{
	struct weir_sim_device *device = NULL;

	while ((device = sim_group_next(group, device)))
		if (device->cdev)
			return -EBUSY;
	if (group->file)
		return -EBUSY;
	return sim_file_open(group->sim, &group_ops, group, &group->file);
}
