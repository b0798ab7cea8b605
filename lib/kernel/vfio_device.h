/* SPDX-License-Identifier: MIT */
/*
 * A VFIO device, a function per ioctl. No policy. All return 0 (or what they say) or the kernel's negative errno.
 */
#ifndef WEIR_KERNEL_VFIO_DEVICE_H
#define WEIR_KERNEL_VFIO_DEVICE_H

#include <stddef.h>

#include <weir/sys.h>

#include "kernel/vfio_abi.h"

/* Character devices only. @token: 16 bytes, or NULL. @ret_dev_id: the iommufd's id of the device. */
int weir_vfio_device_bind(const struct weir_sys *sys, int device, int iommufd, const uint8_t *token,
			  uint32_t *ret_dev_id);
int weir_vfio_device_attach(const struct weir_sys *sys, int device, uint32_t pt_id);
int weir_vfio_device_detach(const struct weir_sys *sys, int device);

/* The same for one PASID, not 0. */
int weir_vfio_device_attach_pasid(const struct weir_sys *sys, int device, uint32_t pt_id, uint32_t pasid);
int weir_vfio_device_detach_pasid(const struct weir_sys *sys, int device, uint32_t pasid);

int weir_vfio_device_info(const struct weir_sys *sys, int device, struct abi_vfio_device_info *ret_info);

/* The region's info with its chain; malloc'ed, *@ret_size bytes. -EINVAL beyond the last index. */
int weir_vfio_device_region(const struct weir_sys *sys, int device, uint32_t index,
			    struct abi_vfio_region_info **ret_info, uint32_t *ret_size);

int weir_vfio_device_irq(const struct weir_sys *sys, int device, uint32_t index,
			 struct abi_vfio_irq_info *ret_info);

/*
 * @flags: ABI_VFIO_IRQ_SET_...; @eventfds: @count descriptors, with DATA_EVENTFD. A positive result is the
 * kernel's way to say that the platform has only so many vectors: nothing is enabled then. -EINVAL when
 * @count is more than fits one call.
 */
int weir_vfio_device_set_irqs(const struct weir_sys *sys, int device, uint32_t flags, uint32_t index,
			      uint32_t start, uint32_t count, const int *eventfds);

int weir_vfio_device_reset(const struct weir_sys *sys, int device);

/* Who a hot reset reaches; malloc'ed. -ENODEV: the bus cannot be reset. */
int weir_vfio_device_hot_reset_info(const struct weir_sys *sys, int device,
				    struct abi_vfio_pci_hot_reset_info **ret_info);

/* @groups: the descriptors of every group in reach; none for a device opened as a character device. */
int weir_vfio_device_hot_reset(const struct weir_sys *sys, int device, const int *groups, uint32_t num);

/* ABI_VFIO_DEVICE_FEATURE_..., with SET. */
int weir_vfio_device_set_feature(const struct weir_sys *sys, int device, uint32_t feature, const void *data,
				 size_t len);

/* The same, with GET: @data is what the kernel reads, and then what it wrote. */
int weir_vfio_device_get_feature(const struct weir_sys *sys, int device, uint32_t feature, void *data,
				 size_t len);

/* Could such a feature be had? @how: ABI_VFIO_DEVICE_FEATURE_GET or _SET. -ENOTTY and others: no. */
int weir_vfio_device_probe_feature(const struct weir_sys *sys, int device, uint32_t feature, uint32_t how);

/* A dma-buf of @len bytes of a BAR from @offset on: its descriptor, close-on-exec. -ENOTTY, -EOPNOTSUPP: the kernel or driver has none. */
int weir_vfio_device_dmabuf(const struct weir_sys *sys, int device, uint32_t region, uint64_t offset,
			    uint64_t len);

#endif
