// SPDX-License-Identifier: MIT
/* The container: what devices may have written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/type1_dirty.h"
#include "error.h"
#include "kernel/type1.h"

bool weir_container_can_track(struct weir_space *space)
{
	struct weir_type1_info info;

	if (space->kernel->iommu_type != ABI_VFIO_TYPE1v2_IOMMU ||
	    weir_type1_get_info(space->kernel->sys, space->container, &info))
		return false;
	free(info.ranges);
	return info.dirty_pages != 0;
}

int weir_container_track(struct weir_space *space, bool on)
{
	int error;

	if (on && !weir_container_can_track(space))
		return weir_fail(-EOPNOTSUPP, "this container tracks nothing: type1 v2 of Linux 5.8 does");
	error = space->live ? weir_type1_track(space->kernel->sys, space->container, on) : 0;
	if (!error || !on)
		space->tracking = on;
	return error ? weir_fail(error, "VFIO_IOMMU_DIRTY_PAGES: %s", strerror(-error)) : 0;
}

/* Everything that is mapped; it forgets nothing. */
int weir_container_dirty(struct weir_space *space, uint64_t iova, uint64_t len, uint64_t page, uint64_t *bits,
			 bool keep)
{
	(void)keep;
	return weir_type1_get_dirty(space->kernel->sys, space->container, iova, len, page, bits);
}
