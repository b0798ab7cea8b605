// SPDX-License-Identifier: MIT
/* libibverbs behind the table. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rdma/rdma.h"

static struct ibv_mr *real_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	return ibv_reg_mr(pd, addr, length, access);
}

static struct ibv_mr *real_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
					 int fd, int access)
{
	return ibv_reg_dmabuf_mr(pd, offset, length, iova, fd, access);
}

static int real_dereg_mr(struct ibv_mr *mr)
{
	return ibv_dereg_mr(mr);
}

/*
 * The driver of the hardware in sysfs. The two that have none are known by other marks: soft-RoCE names the network interface that
 * it is on, and siw is the only one without hardware whose transport is iWARP.
 */
static void find_driver(const struct ibv_device *device, char *driver, size_t size)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *name;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/device/driver", device->ibdev_path);
	len = readlink(path, target, sizeof(target) - 1);
	if (len > 0) {
		target[len] = '\0';
		name = strrchr(target, '/');
		snprintf(driver, size, "%s", name ? name + 1 : target);
		return;
	}
	snprintf(path, sizeof(path), "%s/parent", device->ibdev_path);
	if (device->transport_type == IBV_TRANSPORT_IWARP)
		snprintf(driver, size, "siw");
	else
		snprintf(driver, size, "%s", access(path, F_OK) ? "" : "rdma_rxe");
}

static void real_query(struct ibv_pd *pd, char *ret_device, size_t device_size, char *ret_driver,
		       size_t driver_size)
{
	const char *name = ibv_get_device_name(pd->context->device);

	snprintf(ret_device, device_size, "%s", name ? name : "");
	find_driver(pd->context->device, ret_driver, driver_size);
}

const struct weir_verbs *weir_verbs_real(void)
{
	static const struct weir_verbs real = {
		.reg_mr = real_reg_mr,
		.reg_dmabuf_mr = real_reg_dmabuf_mr,
		.dereg_mr = real_dereg_mr,
		.query = real_query,
	};

	return &real;
}
