// SPDX-License-Identifier: MIT
/* The ioctls of a VFIO group. */
#include "kernel/vfio_group.h"

#include "kernel/vfio_abi.h"

int weir_vfio_group_status(const struct weir_sys *sys, int group, uint32_t *ret_flags)
{
	struct abi_vfio_group_status status = { .argsz = sizeof(status) };
	int error = sys->ioctl(sys->ctx, group, ABI_VFIO_GROUP_GET_STATUS, &status);

	if (!error)
		*ret_flags = status.flags;
	return error;
}

int weir_vfio_group_set_container(const struct weir_sys *sys, int group, int container)
{
	int32_t fd = container;

	return sys->ioctl(sys->ctx, group, ABI_VFIO_GROUP_SET_CONTAINER, &fd);
}

int weir_vfio_group_unset_container(const struct weir_sys *sys, int group)
{
	return sys->ioctl(sys->ctx, group, ABI_VFIO_GROUP_UNSET_CONTAINER, NULL);
}

int weir_vfio_group_device(const struct weir_sys *sys, int group, const char *name)
{
	return sys->ioctl(sys->ctx, group, ABI_VFIO_GROUP_GET_DEVICE_FD, (void *)(uintptr_t)name);
}
