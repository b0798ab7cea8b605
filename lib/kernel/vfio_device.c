// SPDX-License-Identifier: MIT
/* The ioctls of a VFIO device. */
#include "kernel/vfio_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/info_chain.h"

int weir_vfio_device_bind(const struct weir_sys *sys, int device, int iommufd, const uint8_t *token,
			  uint32_t *ret_dev_id)
{
	struct abi_vfio_device_bind_iommufd cmd = {
		/* The token came later; without one, the first form works everywhere. */
		.argsz = token ? sizeof(cmd) : offsetof(struct abi_vfio_device_bind_iommufd, token_uuid_ptr),
		.flags = token ? ABI_VFIO_DEVICE_BIND_FLAG_TOKEN : 0,
		.iommufd = iommufd,
		.token_uuid_ptr = (uintptr_t)token,
	};
	int error = sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_BIND_IOMMUFD, &cmd);

	if (!error)
		*ret_dev_id = cmd.out_devid;
	return error;
}

int weir_vfio_device_attach(const struct weir_sys *sys, int device, uint32_t pt_id)
{
	/* The first form, without a PASID, works everywhere. */
	struct abi_vfio_device_attach_iommufd_pt cmd = {
		.argsz = offsetof(struct abi_vfio_device_attach_iommufd_pt, pasid), .pt_id = pt_id
	};

	return sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

int weir_vfio_device_detach(const struct weir_sys *sys, int device)
{
	struct abi_vfio_device_detach_iommufd_pt cmd = {
		.argsz = offsetof(struct abi_vfio_device_detach_iommufd_pt, pasid)
	};

	return sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

int weir_vfio_device_attach_pasid(const struct weir_sys *sys, int device, uint32_t pt_id, uint32_t pasid)
{
	struct abi_vfio_device_attach_iommufd_pt cmd = {
		.argsz = sizeof(cmd), .flags = ABI_VFIO_DEVICE_ATTACH_PASID, .pt_id = pt_id, .pasid = pasid
	};

	return sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

int weir_vfio_device_detach_pasid(const struct weir_sys *sys, int device, uint32_t pasid)
{
	struct abi_vfio_device_detach_iommufd_pt cmd = { .argsz = sizeof(cmd),
							 .flags = ABI_VFIO_DEVICE_DETACH_PASID,
							 .pasid = pasid };

	return sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

int weir_vfio_device_info(const struct weir_sys *sys, int device, struct abi_vfio_device_info *ret_info)
{
	struct abi_vfio_device_info info = { .argsz = sizeof(info) };
	int error = sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_GET_INFO, &info);

	if (!error)
		*ret_info = info;
	return error;
}

int weir_vfio_device_region(const struct weir_sys *sys, int device, uint32_t index,
			    struct abi_vfio_region_info **ret_info, uint32_t *ret_size)
{
	return weir_info_get(sys, device, ABI_VFIO_DEVICE_GET_REGION_INFO, sizeof(**ret_info), index,
			     (void **)ret_info, ret_size);
}

int weir_vfio_device_irq(const struct weir_sys *sys, int device, uint32_t index,
			 struct abi_vfio_irq_info *ret_info)
{
	struct abi_vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	int error = sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_GET_IRQ_INFO, &info);

	if (!error)
		*ret_info = info;
	return error;
}

int weir_vfio_device_set_irqs(const struct weir_sys *sys, int device, uint32_t flags, uint32_t index,
			      uint32_t start, uint32_t count, const int *eventfds)
{
	size_t data = flags & ABI_VFIO_IRQ_SET_DATA_EVENTFD ? count * sizeof(int32_t) : 0;
	struct abi_vfio_irq_set plain = { 0 }, *set = &plain;
	int result;

	if (count > 1 << 16)
		return -EINVAL;
	/* Without data, as when they are disabled, no memory is needed: it must not be for lack of that that they stay. */
	if (data)
		set = calloc(1, sizeof(*set) + data);
	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)(sizeof(*set) + data);
	set->flags = flags;
	set->index = index;
	set->start = start;
	set->count = count;
	if (data)
		memcpy(set->data, eventfds, data);
	result = sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_SET_IRQS, set);
	if (set != &plain)
		free(set);
	return result;
}

int weir_vfio_device_reset(const struct weir_sys *sys, int device)
{
	return sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_RESET, NULL);
}

int weir_vfio_device_hot_reset_info(const struct weir_sys *sys, int device,
				    struct abi_vfio_pci_hot_reset_info **ret_info)
{
	uint32_t room = 16;

	/* Devices may come while we ask, so the second answer may not fit either. */
	for (int attempt = 0; attempt < 4; attempt++) {
		size_t size =
			sizeof(struct abi_vfio_pci_hot_reset_info) + room * sizeof((*ret_info)->devices[0]);
		struct abi_vfio_pci_hot_reset_info *info = calloc(1, size);
		int error;

		if (!info)
			return -ENOMEM;
		info->argsz = (uint32_t)size;
		error = sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
		if (!error && info->count <= room) {
			*ret_info = info;
			return 0;
		}
		room = info->count;
		free(info);
		if (error != -ENOSPC)
			return error ? error : -EIO;
		if (room > 1 << 16)
			break;
	}
	return -EIO;
}

int weir_vfio_device_hot_reset(const struct weir_sys *sys, int device, const int *groups, uint32_t num)
{
	size_t size = sizeof(struct abi_vfio_pci_hot_reset) + num * sizeof(int32_t);
	struct abi_vfio_pci_hot_reset *cmd = calloc(1, size);
	int error;

	if (!cmd)
		return -ENOMEM;
	cmd->argsz = (uint32_t)size;
	cmd->count = num;
	if (num)
		memcpy(cmd->group_fds, groups, num * sizeof(int32_t));
	error = sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_PCI_HOT_RESET, cmd);
	free(cmd);
	return error;
}

int weir_vfio_device_set_feature(const struct weir_sys *sys, int device, uint32_t feature, const void *data,
				 size_t len)
{
	struct {
		struct abi_vfio_device_feature head;
		uint8_t data[24]; /* the longest that is ever set */
	} cmd = { .head = { .argsz = (uint32_t)(sizeof(cmd.head) + len),
			    .flags = feature | ABI_VFIO_DEVICE_FEATURE_SET } };

	if (len > sizeof(cmd.data))
		return -EINVAL;
	if (len)
		memcpy(cmd.data, data, len);
	return sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_FEATURE, &cmd);
}

int weir_vfio_device_get_feature(const struct weir_sys *sys, int device, uint32_t feature, void *data,
				 size_t len)
{
	struct {
		struct abi_vfio_device_feature head;
		uint8_t data[32]; /* the longest that is ever asked for */
	} cmd = { .head = { .argsz = (uint32_t)(sizeof(cmd.head) + len),
			    .flags = feature | ABI_VFIO_DEVICE_FEATURE_GET } };
	int error;

	if (len > sizeof(cmd.data))
		return -EINVAL;
	memcpy(cmd.data, data, len);
	error = sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_FEATURE, &cmd);
	if (!error)
		memcpy(data, cmd.data, len);
	return error;
}

int weir_vfio_device_dmabuf(const struct weir_sys *sys, int device, uint32_t region, uint64_t offset,
			    uint64_t len)
{
	struct {
		struct abi_vfio_device_feature head;
		struct abi_vfio_device_feature_dma_buf dmabuf;
		struct abi_vfio_region_dma_range range;
	} cmd = { .head = { .argsz = sizeof(cmd),
			    .flags = ABI_VFIO_DEVICE_FEATURE_DMA_BUF | ABI_VFIO_DEVICE_FEATURE_GET },
		  .dmabuf = { .region_index = region, .open_flags = O_CLOEXEC | O_RDWR, .nr_ranges = 1 },
		  .range = { .offset = offset, .length = len } };

	return sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_FEATURE, &cmd);
}

int weir_vfio_device_probe_feature(const struct weir_sys *sys, int device, uint32_t feature, uint32_t how)
{
	struct {
		struct abi_vfio_device_feature head;
		struct abi_vfio_device_feature_dma_buf dmabuf; /* as long as any that is probed for */
	} cmd = { .head = { .argsz = sizeof(cmd), .flags = feature | how | ABI_VFIO_DEVICE_FEATURE_PROBE } };

	return sys->ioctl(sys->ctx, device, ABI_VFIO_DEVICE_FEATURE, &cmd);
}
