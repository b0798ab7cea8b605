// SPDX-License-Identifier: MIT
/* Which system calls opening, mapping and closing make, and in what order. */
#include <stdlib.h>
#include <string.h>

#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"
#include "support/sys_log.h"
#include "unit/yes_host.h"

static struct sys_log *new_log(struct t *t, struct yes_kernel *yes)
{
	struct sys_log *log = calloc(1, sizeof(*log));

	ASSERT_TRUE(log);
	t_defer(t, free, log);
	sys_log_init(log, &yes->table);
	return log;
}

static void close_host(void *arg)
{
	EXPECT_OK(weir_host_close(arg));
}

static struct weir_host *host_on(struct t *t, struct sys_log *log, enum weir_backend backend)
{
	struct weir_host *host;

	ASSERT_OK(weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = backend, .sys = &log->table), &host));
	t_defer(t, close_host, host);
	return host;
}

/* A call as it should have been: an ioctl by its number, another by its name. */
struct expected {
	const char *call;
	unsigned long request;
};

#define IOCTL(number)                                                                                        \
	{                                                                                                    \
		"ioctl", (number)                                                                            \
	}

static void expect_calls(struct t *t, const struct sys_log *log, const struct expected *expected,
			 unsigned int num)
{
	EXPECT_EQ(num, sys_log_count(log));
	for (unsigned int i = 0; i < num && i < sys_log_count(log); i++) {
		t_note(t, "call %u", i + 1);
		EXPECT_STREQ(expected[i].call, log->entries[i].call);
		EXPECT_EQ(expected[i].request, log->entries[i].request);
	}
	t_note(t, "%s", "");
}

#define EXPECT_CALLS(log, ...)                                                                               \
	expect_calls(t, (log), (const struct expected[]){ __VA_ARGS__ },                                     \
		     sizeof((const struct expected[]){ __VA_ARGS__ }) / sizeof(struct expected))

UNIT(opening, a_device_on_iommufd_takes_each_call_once)
{
	struct sys_log *log = new_log(t, new_yes_kernel(t));
	struct weir_ioas *ioas = new_ioas(t, host_on(t, log, WEIR_BACKEND_IOMMUFD));
	struct weir_device *device;

	sys_log_clear(log);
	ASSERT_OK(weir_device_open(ioas, YES_ADDRESS_0, NULL, &device));
	EXPECT_CALLS(log, { "readlink", 0 }, { "list_dir", 0 }, { "open", 0 },
		     IOCTL(ABI_VFIO_DEVICE_BIND_IOMMUFD), { "list_dir", 0 }, IOCTL(ABI_IOMMU_HWPT_ALLOC),
		     IOCTL(ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT), IOCTL(ABI_IOMMU_IOAS_IOVA_RANGES),
		     IOCTL(ABI_VFIO_DEVICE_GET_INFO), IOCTL(ABI_VFIO_DEVICE_GET_REGION_INFO), { "pread", 0 },
		     { "pwrite", 0 });
	sys_log_clear(log);
	/* DMA stops before its mappings go; the device's descriptor is the last. */
	ASSERT_OK(weir_device_set_bus_master(device, true));
	sys_log_clear(log);
	ASSERT_OK(weir_device_close(device));
	EXPECT_CALLS(log, { "pread", 0 }, { "pwrite", 0 }, IOCTL(ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT),
		     IOCTL(ABI_IOMMU_DESTROY), IOCTL(ABI_IOMMU_IOAS_UNMAP), { "close", 0 });
}

UNIT(opening, a_device_on_a_container_takes_each_call_once)
{
	struct sys_log *log = new_log(t, new_yes_kernel(t));
	struct weir_ioas *ioas = new_ioas(t, host_on(t, log, WEIR_BACKEND_TYPE1));
	struct weir_device *device;

	sys_log_clear(log);
	ASSERT_OK(weir_device_open(ioas, YES_ADDRESS_0, NULL, &device));
	EXPECT_CALLS(log, { "readlink", 0 }, { "open", 0 }, IOCTL(ABI_VFIO_GROUP_GET_STATUS),
		     { "list_dir", 0 }, IOCTL(ABI_VFIO_GROUP_SET_CONTAINER), IOCTL(ABI_VFIO_SET_IOMMU),
		     IOCTL(ABI_VFIO_GROUP_GET_DEVICE_FD), IOCTL(ABI_VFIO_IOMMU_GET_INFO),
		     IOCTL(ABI_VFIO_DEVICE_GET_INFO), IOCTL(ABI_VFIO_DEVICE_GET_REGION_INFO), { "pread", 0 },
		     { "pwrite", 0 });
	sys_log_clear(log);
	ASSERT_OK(weir_device_close(device));
	EXPECT_CALLS(log, { "pread", 0 }, { "close", 0 }, IOCTL(ABI_VFIO_GROUP_UNSET_CONTAINER),
		     { "close", 0 });
}

UNIT(opening, a_sibling_joins_its_group_where_it_is)
{
	struct sys_log *log = new_log(t, new_yes_kernel(t));
	struct weir_ioas *ioas = new_ioas(t, host_on(t, log, WEIR_BACKEND_TYPE1));

	new_device(t, ioas, YES_ADDRESS_2);
	sys_log_clear(log);
	new_device(t, ioas, YES_ADDRESS_3);
	EXPECT_CALLS(log, { "readlink", 0 }, IOCTL(ABI_VFIO_GROUP_GET_DEVICE_FD),
		     IOCTL(ABI_VFIO_DEVICE_GET_INFO), IOCTL(ABI_VFIO_DEVICE_GET_REGION_INFO), { "pread", 0 },
		     { "pwrite", 0 });
}

UNIT(opening, mappings_are_put_in_force_before_the_device_can_use_them)
{
	struct sys_log *log = new_log(t, new_yes_kernel(t));
	struct weir_ioas *ioas = new_ioas(t, host_on(t, log, WEIR_BACKEND_IOMMUFD));
	unsigned char *memory = new_memory(t, 4096, 8192);
	struct weir_map *map;

	ASSERT_OK(weir_ioas_map(ioas, memory, 4096, NULL, &map));
	ASSERT_OK(weir_ioas_map(ioas, memory, 8192, NULL, &map));
	sys_log_clear(log);
	new_device(t, ioas, YES_ADDRESS_0);
	EXPECT_EQ(2, sys_log_count_ioctl(log, ABI_IOMMU_IOAS_MAP));
	EXPECT_EQ(ABI_IOMMU_HWPT_ALLOC, log->entries[5].request);
	EXPECT_EQ(ABI_IOMMU_IOAS_MAP, log->entries[6].request);
	EXPECT_EQ(ABI_IOMMU_IOAS_MAP, log->entries[7].request);
	EXPECT_EQ(ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, log->entries[8].request);
}

UNIT(opening, mapping_and_unmapping_take_one_call_each)
{
	for (int i = 0; i < NUM_BACKENDS; i++) {
		struct sys_log *log = new_log(t, new_yes_kernel(t));
		struct weir_ioas *ioas = new_ioas(t, host_on(t, log, all_backends[i]));
		unsigned char *memory = new_memory(t, 4096, 8192);
		struct weir_map *map, *maps[3];

		new_device(t, ioas, YES_ADDRESS_0);
		sys_log_clear(log);
		ASSERT_OK(weir_ioas_map(ioas, memory, 8192, NULL, &map));
		EXPECT_EQ(1, sys_log_count(log));
		ASSERT_OK(weir_map_close(map));
		EXPECT_EQ(2, sys_log_count(log));
		/* A range of several, gaps and all. */
		for (uint64_t k = 0; k < 3; k++)
			ASSERT_OK(weir_ioas_map(ioas, memory, 4096,
						&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED,
							   .iova = 0x10000 + k * 0x3000),
						&maps[k]));
		EXPECT_EQ(5, sys_log_count(log));
		ASSERT_OK(weir_ioas_unmap(ioas, 0x10000, 0x7000));
		EXPECT_EQ(6, sys_log_count(log));
	}
}
