// SPDX-License-Identifier: MIT
/*
 * The system calls of opening a device, and of what comes before and after it, as JSON.
 *
 *     weir-bench-open iommufd|type1|compat ADDRESS     on this machine
 *     weir-bench-open iommufd|type1|compat             on a made-up one
 */
#include <err.h>
#include <stdio.h>
#include <string.h>

#include <weir/weir.h>

#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"
#include "support/sys_log.h"
#include "support/yes_kernel.h"

static const struct {
	unsigned long request;
	const char *name;
} ioctls[] = {
	{ ABI_IOMMU_IOAS_ALLOC, "IOMMU_IOAS_ALLOC" },
	{ ABI_IOMMU_HWPT_ALLOC, "IOMMU_HWPT_ALLOC" },
	{ ABI_IOMMU_IOAS_IOVA_RANGES, "IOMMU_IOAS_IOVA_RANGES" },
	{ ABI_IOMMU_IOAS_UNMAP, "IOMMU_IOAS_UNMAP" },
	{ ABI_IOMMU_DESTROY, "IOMMU_DESTROY" },
	{ ABI_VFIO_DEVICE_BIND_IOMMUFD, "VFIO_DEVICE_BIND_IOMMUFD" },
	{ ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, "VFIO_DEVICE_ATTACH_IOMMUFD_PT" },
	{ ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, "VFIO_DEVICE_DETACH_IOMMUFD_PT" },
	{ ABI_VFIO_DEVICE_GET_INFO, "VFIO_DEVICE_GET_INFO" },
	{ ABI_VFIO_DEVICE_GET_REGION_INFO, "VFIO_DEVICE_GET_REGION_INFO" },
	{ ABI_VFIO_GET_API_VERSION, "VFIO_GET_API_VERSION" },
	{ ABI_VFIO_CHECK_EXTENSION, "VFIO_CHECK_EXTENSION" },
	{ ABI_VFIO_SET_IOMMU, "VFIO_SET_IOMMU" },
	{ ABI_VFIO_IOMMU_GET_INFO, "VFIO_IOMMU_GET_INFO" },
	{ ABI_VFIO_GROUP_GET_STATUS, "VFIO_GROUP_GET_STATUS" },
	{ ABI_VFIO_GROUP_SET_CONTAINER, "VFIO_GROUP_SET_CONTAINER" },
	{ ABI_VFIO_GROUP_UNSET_CONTAINER, "VFIO_GROUP_UNSET_CONTAINER" },
	{ ABI_VFIO_GROUP_GET_DEVICE_FD, "VFIO_GROUP_GET_DEVICE_FD" },
};

static void print_call(const struct sys_log_entry *entry)
{
	const char *name = NULL;

	for (size_t i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]); i++)
		if (!strcmp(entry->call, "ioctl") && entry->request == ioctls[i].request)
			name = ioctls[i].name;
	if (name)
		printf("\"%s\"", name);
	else if (entry->request)
		printf("\"%s %#lx\"", entry->call, entry->request);
	else
		printf("\"%s%s%s\"", entry->call, *entry->path ? " " : "", entry->path);
}

/* What was logged since the last time, as a member of an object. */
static void print_calls(struct sys_log *log, const char *what)
{
	unsigned int num = sys_log_count(log);

	printf(",\n \"%s\": {\"num\": %u, \"calls\": [", what, num);
	for (unsigned int i = 0; i < num; i++) {
		printf("%s", i ? ",\n  " : "\n  ");
		print_call(&log->entries[i]);
	}
	printf("]}");
	sys_log_clear(log);
}

static void check(int error)
{
	if (error)
		errx(1, "%s", weir_error());
}

static uint32_t backend_named(const char *name)
{
	for (uint32_t kind = WEIR_BACKEND_IOMMUFD; kind <= WEIR_BACKEND_COMPAT; kind++)
		if (!strcmp(name, weir_backend_name(kind)))
			return kind;
	errx(2, "there is no backend '%s'", name);
}

int main(int argc, char **argv)
{
	static struct yes_kernel yes;
	static struct sys_log log;
	struct weir_host *host;
	struct weir_ioas *ioas;
	struct weir_device *device;

	if (argc < 2 || argc > 3)
		errx(2, "usage: weir-bench-open iommufd|type1|compat [ADDRESS]");
	yes_kernel_init(&yes);
	sys_log_init(&log, argc > 2 ? weir_sys_real() : &yes.table);
	check(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend_named(argv[1]), .sys = &log.table),
			     &host));
	printf("{\"benchmark\": \"open\", \"backend\": \"%s\"", argv[1]);
	print_calls(&log, "host_open");
	check(weir_ioas_open(host, NULL, &ioas));
	print_calls(&log, "ioas_open");
	check(weir_device_open(ioas, argc > 2 ? argv[2] : YES_ADDRESS_0, NULL, &device));
	print_calls(&log, "device_open");
	check(weir_device_close(device));
	print_calls(&log, "device_close");
	check(weir_ioas_close(ioas));
	print_calls(&log, "ioas_close");
	check(weir_host_close(host));
	print_calls(&log, "host_close");
	printf("\n}\n");
	yes_kernel_finish(&yes);
	return 0;
}
