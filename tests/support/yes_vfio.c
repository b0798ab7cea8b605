// SPDX-License-Identifier: MIT
/* A kernel that says yes: groups and devices. */
#include "support/yes_parts.h"

#include <errno.h>
#include <string.h>

#include "kernel/vfio_abi.h"

static int index_of(struct yes_kernel *yes, int fd)
{
	return yes_fd_get(yes, fd)->index;
}

static struct yes_object *hwpt_get(struct yes_kernel *yes, uint32_t id)
{
	for (int i = 0; id && i < YES_OBJECTS; i++)
		if (yes->objects[i].id == id && yes->objects[i].ioas)
			return &yes->objects[i];
	return NULL;
}

static bool device_is_open(const struct yes_kernel *yes, unsigned int group)
{
	for (int i = 0; i < YES_DEVICES; i++)
		if (yes_group_of(i) == group && yes->devices[i].open)
			return true;
	return false;
}

static void leave_container(struct yes_kernel *yes, unsigned int group)
{
	struct yes_fd *container = yes_fd_get(yes, yes->containers[group]);

	yes->containers[group] = -1;
	if (!container || --container->groups)
		return;
	container->has_iommu = false;
	if (yes->pages)
		yes_unmap(yes, 0, UINT64_MAX);
}

static int open_device(struct yes_kernel *yes, unsigned int group, const char *name)
{
	static const char *const addresses[YES_DEVICES] = { YES_ADDRESS_0, YES_ADDRESS_1, YES_ADDRESS_2,
							    YES_ADDRESS_3 };
	struct yes_fd *container = yes_fd_get(yes, yes->containers[group]);
	int fd;

	if (!container || !container->has_iommu)
		return -EINVAL;
	for (int i = 0; i < YES_DEVICES; i++) {
		if (strncmp(name, addresses[i], strlen(addresses[i])) != 0 || yes_group_of(i) != group)
			continue;
		if (yes->devices[i].open)
			return -EBUSY;
		fd = yes_fd_new(yes, YES_DEVICE, i, NULL);
		yes->devices[i].open = fd >= 0;
		return fd;
	}
	return -ENODEV;
}

int yes_group_ioctl(struct yes_kernel *yes, int fd, unsigned long request, void *arg)
{
	unsigned int group = (unsigned int)index_of(yes, fd);
	struct abi_vfio_group_status *status = arg;
	struct yes_fd *container;

	switch (request) {
	case ABI_VFIO_GROUP_GET_STATUS:
		status->flags = ABI_VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case ABI_VFIO_GROUP_SET_CONTAINER:
		container = yes_fd_get(yes, *(int32_t *)arg);
		if (!container || yes->containers[group] >= 0)
			return -EINVAL;
		yes->containers[group] = *(int32_t *)arg;
		container->groups++;
		return 0;
	case ABI_VFIO_GROUP_UNSET_CONTAINER:
		if (yes->containers[group] < 0)
			return -EINVAL;
		if (device_is_open(yes, group))
			return -EBUSY;
		leave_container(yes, group);
		return 0;
	case ABI_VFIO_GROUP_GET_DEVICE_FD:
		return open_device(yes, group, arg);
	default:
		return -ENOTTY;
	}
}

static void detach(struct yes_kernel *yes, struct yes_device *device)
{
	struct yes_object *hwpt = hwpt_get(yes, device->hwpt);

	if (hwpt)
		hwpt->users--;
	device->hwpt = 0;
}

/* One attachment counts for the whole group: its members follow, but none is left behind on another page table. */
static int attach(struct yes_kernel *yes, int index, uint32_t id)
{
	struct yes_object *hwpt = hwpt_get(yes, id);
	struct yes_device *device = &yes->devices[index];

	if (!hwpt)
		return -ENOENT;
	if (hwpt->iommu != (yes->two_iommus && index == 1))
		return -EINVAL;
	for (int i = 0; !device->hwpt && i < YES_DEVICES; i++)
		if (yes_group_of(i) == yes_group_of(index) && yes->devices[i].hwpt &&
		    yes->devices[i].hwpt != id)
			return -EINVAL;
	for (int i = 0; i < YES_DEVICES; i++) {
		if (i != index && (!yes->devices[i].hwpt || yes_group_of(i) != yes_group_of(index)))
			continue;
		detach(yes, &yes->devices[i]);
		yes->devices[i].hwpt = id;
		hwpt->users++;
	}
	return 0;
}

static int bind_iommufd(struct yes_kernel *yes, int index, struct abi_vfio_device_bind_iommufd *cmd)
{
	if (yes->devices[index].iommufd >= 0)
		return -EINVAL;
	yes->devices[index].iommufd = cmd->iommufd;
	cmd->out_devid = (uint32_t)index + 1;
	return 0;
}

static int region_info(struct abi_vfio_region_info *info)
{
	if (info->index > ABI_VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info->flags = ABI_VFIO_REGION_INFO_FLAG_READ | ABI_VFIO_REGION_INFO_FLAG_WRITE;
	info->cap_offset = 0;
	info->offset = (uint64_t)info->index << 40;
	info->size = 0;
	if (info->index == ABI_VFIO_PCI_CONFIG_REGION_INDEX)
		info->size = 4096;
	if (info->index == ABI_VFIO_PCI_BAR0_REGION_INDEX) {
		info->size = YES_BAR_SIZE;
		info->flags |= ABI_VFIO_REGION_INFO_FLAG_MMAP;
	}
	info->argsz = sizeof(*info);
	return 0;
}

static int irq_info(struct abi_vfio_irq_info *info)
{
	if (info->index >= ABI_VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info->flags = ABI_VFIO_IRQ_INFO_EVENTFD;
	info->count = info->index == ABI_VFIO_PCI_MSIX_IRQ_INDEX ? 4 : 1;
	return 0;
}

int yes_device_ioctl(struct yes_kernel *yes, int fd, unsigned long request, void *arg)
{
	int index = index_of(yes, fd);
	struct abi_vfio_device_info *info = arg;

	switch (request) {
	case ABI_VFIO_DEVICE_BIND_IOMMUFD:
		return bind_iommufd(yes, index, arg);
	case ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		return attach(yes, index, ((struct abi_vfio_device_attach_iommufd_pt *)arg)->pt_id);
	case ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT:
		detach(yes, &yes->devices[index]);
		return 0;
	case ABI_VFIO_DEVICE_GET_INFO:
		info->flags = ABI_VFIO_DEVICE_FLAGS_PCI | ABI_VFIO_DEVICE_FLAGS_RESET;
		info->num_regions = ABI_VFIO_PCI_NUM_REGIONS;
		info->num_irqs = ABI_VFIO_PCI_NUM_IRQS;
		return 0;
	case ABI_VFIO_DEVICE_GET_REGION_INFO:
		return region_info(arg);
	case ABI_VFIO_DEVICE_GET_IRQ_INFO:
		return irq_info(arg);
	case ABI_VFIO_DEVICE_SET_IRQS:
	case ABI_VFIO_DEVICE_RESET:
		return 0;
	default:
		return -ENOTTY;
	}
}

static void close_iommu(struct yes_kernel *yes, int fd)
{
	for (int i = 0; i < YES_OBJECTS; i++)
		if (yes->objects[i].owner == fd)
			yes->objects[i] = (struct yes_object){ 0 };
	if (yes->pages)
		yes_unmap(yes, 0, UINT64_MAX);
}

/* Groups that are still in it have nothing any more. */
static void forget_container(struct yes_kernel *yes, int fd)
{
	for (int i = 0; i < YES_GROUPS; i++)
		if (yes->containers[i] == fd)
			leave_container(yes, (unsigned int)i);
}

void yes_closed(struct yes_kernel *yes, int fd, enum yes_kind kind)
{
	unsigned int index = (unsigned int)index_of(yes, fd);

	switch (kind) {
	case YES_IOMMU:
		close_iommu(yes, fd);
		forget_container(yes, fd);
		break;
	case YES_CONTAINER:
		forget_container(yes, fd);
		break;
	case YES_GROUP:
		if (yes->containers[index] >= 0)
			leave_container(yes, index);
		break;
	case YES_CDEV:
		if (yes->devices[index].iommufd >= 0) {
			detach(yes, &yes->devices[index]);
			yes->devices[index].iommufd = -1;
		}
		break;
	case YES_DEVICE:
		yes->devices[index].open = false;
		break;
	default:
		break;
	}
}
