// SPDX-License-Identifier: MIT
/* Whether a function can request pages: the kernel may attach one that cannot, and then nothing ever comes. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "domain/domain.h"
#include "error.h"
#include "kernel/vfio_device.h"

enum {
	EXTENDED = 0x100, /* where extended capabilities begin, */
	EXTENDED_END = 0x1000,
	CAP_PRI = 0x13,
	MOST_CAPS = (EXTENDED_END - EXTENDED) / 8, /* and how many there can be */
};

static int read32(const struct weir_function *function, uint64_t at, uint32_t *ret_value)
{
	const struct weir_sys *sys = function->kernel->sys;
	uint32_t value;
	ssize_t len = sys->pread(sys->ctx, function->fd, &value, sizeof(value), at);

	if (len != sizeof(value))
		return weir_fail(len < 0 ? (int)len : -EIO, "reading the configuration space of %s: %s",
				 function->address, len < 0 ? strerror((int)-len) : "cut short");
	*ret_value = le32toh(value);
	return 0;
}

/* -EOPNOTSUPP, without a text: it is not in the list. */
static int find_pri(const struct weir_function *function, uint64_t config)
{
	uint32_t at = EXTENDED, header = 0;

	for (int i = 0; i < MOST_CAPS && at >= EXTENDED; i++) {
		int error = read32(function, config + at, &header);

		if (error)
			return error;
		if ((header & 0xffff) == CAP_PRI)
			return 0;
		at = header >> 20 & 0xffc;
	}
	return -EOPNOTSUPP;
}

static int look_for_pri(const struct weir_function *function)
{
	struct abi_vfio_region_info *info;
	uint32_t size;
	int error = weir_vfio_device_region(function->kernel->sys, function->fd, WEIR_REGION_CONFIG, &info,
					    &size);

	if (error)
		return weir_fail(error, "VFIO_DEVICE_GET_REGION_INFO of %s: %s", function->address,
				 strerror(-error));
	error = info->size < EXTENDED_END ? -EOPNOTSUPP : find_pri(function, info->offset);
	free(info);
	return error == -EOPNOTSUPP
		       ? weir_fail(error, "%s does not request pages: it has no Page Request Interface (PRI)",
				   function->address)
		       : error;
}

int weir_function_check_pri(struct weir_function *function)
{
	struct weir_hw_info info;
	int error = weir_function_hw_info(function, &info);

	/* The mock's devices have no configuration space, and the tests request for them. */
	if (!error && weir_vendor_of(info.type, 0)->kind == WEIR_IOMMU_MOCK)
		return 0;
	return error == -EOPNOTSUPP || !error ? look_for_pri(function) : error;
}
