/* SPDX-License-Identifier: MIT */
/*
 * What can be done here: asked beforehand, answered by trying or by what the kernel says, never by its
 * version.
 */
#ifndef WEIR_CAPS_H
#define WEIR_CAPS_H

#include <weir/device.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weir_cap {
	WEIR_CAP_MOVE,  /* weir_device_attach() can move an open device to another space */
	WEIR_CAP_RESET, /* weir_device_reset() */
	WEIR_CAP_HOT_RESET, /* weir_device_hot_reset(): the device's bus can be reset, and all it reaches is ours */
	WEIR_CAP_MANY_MAPS, /* no limit on the number of mappings other than memory */
	WEIR_CAP_EXACT_UNMAP, /* unmapping is exact: the kernel refuses what would cut a mapping (not so on type1 v1) */
	WEIR_CAP_DEVICE_MEMORY, /* weir_ioas_map() takes device memory, with WEIR_MAP_DEVICE_MEMORY */
	WEIR_CAP_PEER, /* weir_peer_map(): other devices can be let into this one's memory, by spaces of the kind it is in */
	WEIR_CAP_DOMAIN,      /* weir_domain_open(): page tables beside the space's own */
	WEIR_CAP_NEST,        /* weir_domain_open_nested(), in the format of the device's IOMMU */
	WEIR_CAP_PASID,       /* weir_domain_attach() for a PASID */
	WEIR_CAP_DIRTY,       /* weir_dirty_open(), in a space with WEIR_IOAS_DIRTY */
	WEIR_CAP_DIRTY_PAGES, /* and it tells pages apart */
	WEIR_CAP_FAULT, /* weir_faultq_open(): the device requests pages that it does not find (PRI), and waits */
	WEIR_CAP_MIGRATION, /* weir_migration_set() */
};

/* "move", "reset", ... Static text. Since 0.1. */
WEIR_API const char *weir_cap_name(enum weir_cap cap);

/*
 * Whether @device in its address space can do @cap.
 *
 * Returns 0 if it can; -EOPNOTSUPP if it cannot, and weir_error() says why; -EINVAL for an unknown
 * capability. Since 0.1.
 */
WEIR_API int weir_caps_check(struct weir_device *device, enum weir_cap cap);

#ifdef __cplusplus
}
#endif

#endif
