// SPDX-License-Identifier: MIT
/*
 * /dev/vfio/devices/vfioN. Anyone may open it; the one who binds it to an iommufd has the device, and there
 * is no way back but to close it (kernel-interface B.2).
 */
#include "sim/device/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "sim/iommufd/iommufd.h"
#include "sim/user.h"

static bool is_bound(const struct sim_file *file)
{
	const struct weir_sim_device *device = file->data;

	return device->cdev == file;
}

/* PASIDs since 6.15, the token since 6.17: nothing of the ages before 6.19 has either. */
static bool is_old(const struct weir_sim *sim)
{
	return sim->age != WEIR_SIM_7_2 && sim->age != WEIR_SIM_6_19;
}

/* ---- BIND ---- */

static int read_bind(struct weir_sim *sim, void *arg, struct abi_vfio_device_bind_iommufd *ret_cmd)
{
	const size_t min = offsetof(struct abi_vfio_device_bind_iommufd, token_uuid_ptr);
	uint32_t known = is_old(sim) ? 0 : ABI_VFIO_DEVICE_BIND_FLAG_TOKEN, user_size;
	int error;

	/* Before the token the tail was not looked at. */
	if (is_old(sim))
		error = sim_argsz_in(arg, ret_cmd, min, min);
	else
		error = sim_cmd_in(arg, ret_cmd, sizeof(*ret_cmd), min, &user_size);
	if (error)
		return error;
	return ret_cmd->iommufd < 0 || ret_cmd->flags & ~known ? -EINVAL : 0;
}

/* No function here is, or has, a virtual one: no token is wanted, and one that is given is refused. */
static int check_token(const struct abi_vfio_device_bind_iommufd *cmd)
{
	uint8_t uuid[16];

	if (!(cmd->flags & ABI_VFIO_DEVICE_BIND_FLAG_TOKEN))
		return 0;
	return sim_copy_in(uuid, cmd->token_uuid_ptr, sizeof(uuid)) ? -EFAULT : -EINVAL;
}

static int find_iommufd(struct weir_sim *sim, int fd, struct sim_iommufd **ret_iommufd)
{
	struct sim_file *file;

	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	file = sim_file_find(sim, fd);
	*ret_iommufd = file ? sim_iommufd_of(file) : NULL;
	return *ret_iommufd ? 0 : -EBADFD;
}

static void unbind(struct weir_sim_device *device)
{
	sim_device_closed(device);
	sim_iommufd_unbind(device);
	device->cdev = NULL;
	device->opens = 0;
}

static int bind_open(struct sim_file *file, struct sim_iommufd *iommufd, uint32_t *ret_dev_id)
{
	struct weir_sim_device *device = file->data;
	int error = device->gone ? -ENODEV : sim_iommufd_bind(iommufd, device, ret_dev_id);

	if (error)
		return error;
	error = sim_device_opened(device);
	if (error) {
		sim_iommufd_unbind(device);
		return error;
	}
	device->cdev = file;
	device->opens = 1;
	return 0;
}

static int bind_iommufd(struct sim_file *file, void *arg)
{
	const size_t at = offsetof(struct abi_vfio_device_bind_iommufd, out_devid);
	struct weir_sim_device *device = file->data;
	struct abi_vfio_device_bind_iommufd cmd = { 0 };
	struct sim_iommufd *iommufd;
	uint32_t dev_id;
	int error = read_bind(device->sim, arg, &cmd);

	if (error)
		return error;
	if (device->group->file)
		return -EBUSY;
	if (is_bound(file))
		return -EINVAL;
	error = check_token(&cmd);
	if (!error)
		error = find_iommufd(device->sim, cmd.iommufd, &iommufd);
	if (error)
		return error;
	/* Another descriptor has it, or a group that has been closed since still does. */
	if (device->opens)
		return -EINVAL;
	error = bind_open(file, iommufd, &dev_id);
	if (error)
		return error;
	error = sim_copy_out(device->sim, (uintptr_t)arg + at, &dev_id, sizeof(dev_id));
	if (error)
		unbind(device);
	return error;
}

/* ---- ATTACH and DETACH ---- */

static uint32_t known_flags(const struct weir_sim *sim)
{
	return is_old(sim) ? 0 : ABI_VFIO_DEVICE_ATTACH_PASID;
}

static int attach(struct weir_sim_device *device, void *arg)
{
	const size_t min = offsetof(struct abi_vfio_device_attach_iommufd_pt, pasid);
	const size_t at = offsetof(struct abi_vfio_device_attach_iommufd_pt, pt_id);
	struct abi_vfio_device_attach_iommufd_pt cmd;
	int error = sim_argsz_in(arg, &cmd, sizeof(cmd), min);

	if (error)
		return error;
	if (cmd.flags & ~known_flags(device->sim))
		return -EINVAL;
	/* Nobody minds PASID 0, which is the device as such (A.9.1). */
	if (cmd.flags & ABI_VFIO_DEVICE_ATTACH_PASID && cmd.argsz < sizeof(cmd))
		return -EINVAL;
	if (cmd.flags & ABI_VFIO_DEVICE_ATTACH_PASID && cmd.pasid)
		error = sim_pasid_attach(device, cmd.pasid, cmd.pt_id);
	else
		error = sim_iommufd_attach(device, &cmd.pt_id);
	if (error)
		return error;
	/* Whatever it was that was attached, the kernel takes the device as such off again. */
	error = sim_copy_out(device->sim, (uintptr_t)arg + at, &cmd.pt_id, sizeof(cmd.pt_id));
	if (error)
		sim_iommufd_detach(device);
	return error;
}

static int detach(struct weir_sim_device *device, void *arg)
{
	const size_t min = offsetof(struct abi_vfio_device_detach_iommufd_pt, pasid);
	struct abi_vfio_device_detach_iommufd_pt cmd;
	int error = sim_argsz_in(arg, &cmd, sizeof(cmd), min);

	if (error)
		return error;
	if (cmd.flags & ~known_flags(device->sim))
		return -EINVAL;
	if (cmd.flags & ABI_VFIO_DEVICE_DETACH_PASID && cmd.argsz < sizeof(cmd))
		return -EINVAL;
	if (!(cmd.flags & ABI_VFIO_DEVICE_DETACH_PASID) || !cmd.pasid)
		return sim_iommufd_detach(device);
	sim_pasid_detach(device, cmd.pasid);
	return 0;
}

/* ---- The file ---- */

static int cdev_ioctl(struct sim_file *file, unsigned long request, void *arg)
{
	struct weir_sim_device *device = file->data;

	if ((uint32_t)request == ABI_VFIO_DEVICE_BIND_IOMMUFD)
		return bind_iommufd(file, arg);
	if (!is_bound(file))
		return -EINVAL;
	switch ((uint32_t)request) {
	case ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		sim_low_power_touch(device);
		return attach(device, arg);
	case ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT:
		sim_low_power_touch(device);
		return detach(device, arg);
	default:
		return sim_vfio_ioctl(file, device, request, arg);
	}
}

static ssize_t cdev_pread(struct sim_file *file, void *buf, size_t len, uint64_t offset)
{
	return is_bound(file) ? sim_vfio_pread(file, file->data, buf, len, offset) : -EINVAL;
}

static ssize_t cdev_pwrite(struct sim_file *file, const void *buf, size_t len, uint64_t offset)
{
	return is_bound(file) ? sim_vfio_pwrite(file, file->data, buf, len, offset) : -EINVAL;
}

static int cdev_mmap(struct sim_file *file, void *addr, size_t len, int prot, int flags, uint64_t offset,
		     void **ret_addr)
{
	if (!is_bound(file))
		return -EINVAL;
	return sim_vfio_mmap(file, file->data, addr, len, prot, flags, offset, ret_addr);
}

static void cdev_release(struct sim_file *file)
{
	if (is_bound(file))
		unbind(file->data);
}

static const struct sim_file_ops cdev_ops = {
	.name = "cdev",
	.ioctl = cdev_ioctl,
	.pread = cdev_pread,
	.pwrite = cdev_pwrite,
	.mmap = cdev_mmap,
	.release = cdev_release,
};

int sim_cdev_open(struct weir_sim_device *device)
{
	return device->gone ? -ENODEV : sim_file_open(device->sim, &cdev_ops, device, NULL);
}
