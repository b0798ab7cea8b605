/* SPDX-License-Identifier: MIT */
/*
 * A VFIO group (/dev/vfio/N), a function per ioctl. All return 0 (or what they say) or the kernel's negative errno.
 */
#ifndef WEIR_KERNEL_VFIO_GROUP_H
#define WEIR_KERNEL_VFIO_GROUP_H

#include <weir/sys.h>

/* ABI_VFIO_GROUP_FLAGS_... in @ret_flags. */
int weir_vfio_group_status(const struct weir_sys *sys, int group, uint32_t *ret_flags);
int weir_vfio_group_set_container(const struct weir_sys *sys, int group, int container);
int weir_vfio_group_unset_container(const struct weir_sys *sys, int group);

/*
 * The device's descriptor. @name is its PCI address, with " vf_token=UUID" behind it where one is needed.
 */
int weir_vfio_group_device(const struct weir_sys *sys, int group, const char *name);

#endif
