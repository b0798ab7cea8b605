// SPDX-License-Identifier: MIT
/* Which system calls are made: no more than it takes. */
#include "conformance/space.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sys_log *log_of(struct t *t)
{
	return &fixture_of(t)->log;
}

static void free_text(void *text)
{
	free(text);
}

/* Since the log was cleared there was one call, an ioctl. */
static void expect_one_ioctl(struct t *t)
{
	char *text = sys_log_text(log_of(t));

	ASSERT_TRUE(text != NULL);
	t_defer(t, free_text, text);
	if (sys_log_count(log_of(t)) != 1 || sys_log_count_call(log_of(t), "ioctl") != 1)
		FAIL("these calls were made, not one ioctl:\n%s", text);
	sys_log_clear(log_of(t));
}

CONFORMANCE(calls, a_map_is_one_and_an_unmap_is_one, NEEDS(DMA_DEVICE))
{
	static const uint64_t lengths[] = { PAGE, 2 * MIB, 3 * MIB + PAGE };
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_memory(t, 4 * MIB, 0);
	struct weir_map *map;

	new_device(t, ioas, "EDU0", 0);
	sys_log_clear(log_of(t));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		t_note(t, "length %#lx", (unsigned long)lengths[i]);
		ASSERT_OK(weir_ioas_map(ioas, memory, lengths[i], NULL, &map));
		expect_one_ioctl(t);
		ASSERT_OK(weir_map_close(map));
		expect_one_ioctl(t);
		ASSERT_OK(weir_ioas_map(ioas, memory, lengths[i], AT(MIB), &map));
		expect_one_ioctl(t);
		ASSERT_OK(weir_ioas_unmap(ioas, MIB, lengths[i]));
		expect_one_ioctl(t);
	}
}

CONFORMANCE(calls, unmapping_a_range_of_many_is_one, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);

	new_device(t, ioas, "EDU0", 0);
	for (uint64_t i = 0; i < 20; i++)
		new_map(t, ioas, memory, (i % 2 + 1) * PAGE, AT(MIB + 3 * i * PAGE));
	sys_log_clear(log_of(t));
	ASSERT_OK(weir_ioas_unmap(ioas, MIB, MIB));
	expect_one_ioctl(t);
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

/* As many ioctls as that since the log was cleared, and nothing else. */
static void expect_ioctls(struct t *t, unsigned int num)
{
	(void)t;
	EXPECT_EQ(sys_log_count(log_of(t)), num);
	EXPECT_EQ(sys_log_count_call(log_of(t), "ioctl"), num);
	sys_log_clear(log_of(t));
}

CONFORMANCE(calls, a_batch_is_one_for_each_piece_and_its_end_is_one, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 16);
	struct weir_map_range ranges[16];
	struct weir_map *maps[16];

	new_device(t, ioas, "EDU0", 0);
	sys_log_clear(log_of(t));
	/* In order they are one piece, the other way round they are sixteen. */
	for (int i = 0; i < 16; i++)
		ranges[i] = (struct weir_map_range){ memory + i * PAGE, PAGE };
	ASSERT_OK(weir_ioas_map_batch(ioas, ranges, 16, NULL, NULL, &maps[0]));
	expect_one_ioctl(t);
	ASSERT_OK(weir_map_close(maps[0]));
	expect_one_ioctl(t);
	for (int i = 0; i < 16; i++)
		ranges[i].addr = memory + (15 - i) * PAGE;
	ASSERT_OK(weir_ioas_map_batch(ioas, ranges, 16, NULL, NULL, &maps[0]));
	expect_ioctls(t, 16);
	ASSERT_OK(weir_map_close(maps[0]));
	expect_one_ioctl(t);
	/* Handles: those that follow each other, whatever their order; with one gap it is two. */
	for (int i = 0; i < 16; i++)
		maps[i] = new_map(t, ioas, memory, PAGE, AT(MIB + (15 - i + (i < 7)) * PAGE));
	sys_log_clear(log_of(t));
	ASSERT_OK(weir_map_close_batch(maps, 16));
	expect_ioctls(t, 2);
}

/* Where the kernel cannot share, each piece is mapped again. */
CONFORMANCE(calls, sharing_is_one_where_the_kernel_can, NEEDS(DMA_DEVICE, NVME0))
{
	struct weir_ioas *first = new_ioas(t), *second = new_ioas(t);
	unsigned char *memory = new_pages(t, 4);
	const struct weir_map_range ranges[] = { { memory, PAGE }, { memory + 2 * PAGE, PAGE } };
	struct weir_map *map, *shared;

	new_device(t, first, "NVME0", 0);
	new_device(t, second, "EDU0", 0);
	ASSERT_OK(weir_ioas_map_batch(first, ranges, 2, NULL, NULL, &map));
	sys_log_clear(log_of(t));
	ASSERT_OK(weir_map_share(map, second, NULL, &shared));
	expect_ioctls(t, weir_host_backend(host_of(t)) == WEIR_BACKEND_IOMMUFD ? 1 : 2);
	ASSERT_OK(weir_map_close(shared));
	expect_one_ioctl(t);
}

CONFORMANCE(calls, what_is_refused_beforehand_makes_none, NEEDS(DMA_DEVICE, X86_WINDOW))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);
	struct weir_map *map;

	new_device(t, ioas, "EDU0", 0);
	new_map(t, ioas, memory, 2 * PAGE, AT(MIB));
	sys_log_clear(log_of(t));
	EXPECT_ERR(-EINVAL, weir_ioas_map(ioas, memory, 1, NULL, &map));
	EXPECT_ERR(-EEXIST, weir_ioas_map(ioas, memory, PAGE, AT(MIB), &map));
	EXPECT_ERR(-ERANGE, weir_ioas_map(ioas, memory, PAGE, AT(0xfee00000), &map));
	EXPECT_ERR(-EINVAL, weir_ioas_unmap(ioas, MIB, PAGE));
	EXPECT_ERR(-ENOENT, weir_ioas_unmap(ioas, 2 * MIB, PAGE));
	EXPECT_EQ(sys_log_count(log_of(t)), 0);
}

CONFORMANCE(calls, without_a_device_the_kernel_is_not_told_of_mappings, NEEDS())
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_map *map;

	sys_log_clear(log_of(t));
	map = new_map(t, ioas, new_pages(t, 2), 2 * PAGE, NULL);
	EXPECT_EQ(sys_log_count_call(log_of(t), "ioctl"), 0);
	sys_log_clear(log_of(t));
	EXPECT_OK(weir_map_close(map));
	EXPECT_EQ(sys_log_count(log_of(t)), 0);
}

/* What /proc says of the process is for refusals. */
static void expect_nothing_in_proc(struct t *t)
{
	const struct sys_log *log = log_of(t);

	for (unsigned int i = 0; i < sys_log_count(log); i++)
		if (!strncmp(log->entries[i].path, "/proc/", 6))
			FAIL("%s %s", log->entries[i].call, log->entries[i].path);
}

static void map_in_every_way(struct t *t, struct weir_ioas *ioas)
{
	static const uint32_t ways[] = { 0, WEIR_MAP_READ, WEIR_MAP_WRITE };
	unsigned char *memory = new_pages(t, 4);
	int fd = new_file(t, PAGE);
	struct weir_map *map;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = ways[i]);

		new_map(t, ioas, memory, 4 * PAGE, &opts);
		ASSERT_OK(weir_ioas_map_file(ioas, fd, 0, PAGE, &opts, &map));
	}
}

CONFORMANCE(calls, what_is_mapped_without_a_refusal_reads_nothing_in_proc, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas_with(t, &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_PROBE));
	struct weir_device *device;
	struct weir_map *map;

	sys_log_clear(log_of(t));
	map_in_every_way(t, ioas);
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	map_in_every_way(t, ioas);
	ASSERT_OK(weir_device_close(device));
	map_in_every_way(t, ioas);
	expect_nothing_in_proc(t);
	/* The other way round: it is looked for where it would be. */
	EXPECT_ERR(-EFAULT, weir_ioas_map(ioas, NULL, PAGE, NULL, &map));
	EXPECT_EQ(sys_log_count_call(log_of(t), "open") > 0, true);
}

/* Asking costs nothing: the answers are known since the device came. */
CONFORMANCE(calls, questions_about_a_space_make_none, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);

	new_device(t, ioas, "EDU0", 0);
	sys_log_clear(log_of(t));
	EXPECT_EQ(info_of(ioas).num_devices, 1);
	EXPECT_TRUE(within_ranges(t, ioas, MIB, PAGE));
	EXPECT_EQ(sys_log_count(log_of(t)), 0);
}

/* Opening a device ------------------------------------------------------------------------------------------------ */

/* As in the comment above weir_device_open() in lib/device/device.c. "?": only if memory decoding was off. */
static const char *const iommufd_open[] = {
	"readlink /sys/bus/pci/devices/DEVICE/iommu_group",
	"list_dir /sys/bus/pci/devices/DEVICE/vfio-dev",
	"open /dev/vfio/devices/NODE",
	"ioctl VFIO_DEVICE_BIND_IOMMUFD",
	"ioctl IOMMU_HWPT_ALLOC",
	"ioctl VFIO_DEVICE_ATTACH_IOMMUFD_PT",
	"ioctl IOMMU_IOAS_IOVA_RANGES",
	"ioctl VFIO_DEVICE_GET_INFO",
	"ioctl VFIO_DEVICE_GET_REGION_INFO",
	"pread",
	"?pwrite",
	NULL,
};

static const char *const container_open[] = {
	"readlink /sys/bus/pci/devices/DEVICE/iommu_group",
	"open /dev/vfio/NODE",
	"ioctl VFIO_GROUP_GET_STATUS",
	"ioctl VFIO_GROUP_SET_CONTAINER",
	"ioctl VFIO_SET_IOMMU",
	"ioctl VFIO_GROUP_GET_DEVICE_FD",
	"ioctl VFIO_IOMMU_GET_INFO",
	"ioctl VFIO_DEVICE_GET_INFO",
	"ioctl VFIO_DEVICE_GET_REGION_INFO",
	"pread",
	"?pwrite",
	NULL,
};

/* Numbers of <linux/vfio.h> and <linux/iommufd.h>; here once more, so that the test does not believe what it tests. */
static const char *ioctl_name(unsigned long request)
{
	static const struct {
		unsigned long request;
		const char *name;
	} names[] = {
		{ 0x3b66, "VFIO_SET_IOMMU" },
		{ 0x3b67, "VFIO_GROUP_GET_STATUS" },
		{ 0x3b68, "VFIO_GROUP_SET_CONTAINER" },
		{ 0x3b6a, "VFIO_GROUP_GET_DEVICE_FD" },
		{ 0x3b6b, "VFIO_DEVICE_GET_INFO" },
		{ 0x3b6c, "VFIO_DEVICE_GET_REGION_INFO" },
		{ 0x3b70, "VFIO_IOMMU_GET_INFO" },
		{ 0x3b76, "VFIO_DEVICE_BIND_IOMMUFD" },
		{ 0x3b77, "VFIO_DEVICE_ATTACH_IOMMUFD_PT" },
		{ 0x3b84, "IOMMU_IOAS_IOVA_RANGES" },
		{ 0x3b89, "IOMMU_HWPT_ALLOC" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].request == request)
			return names[i].name;
	return "unexpected";
}

/* "call what", the way the lists above have it: the device's address and the node's number do not matter. */
static void entry_text(const struct sys_log_entry *entry, const char *address, char *text, size_t size)
{
	const char *at = strstr(entry->path, address), *node = strrchr(entry->path, '/');

	if (!strcmp(entry->call, "ioctl"))
		snprintf(text, size, "ioctl %s", ioctl_name(entry->request));
	else if (at)
		snprintf(text, size, "%s %.*sDEVICE%s", entry->call, (int)(at - entry->path), entry->path,
			 at + strlen(address));
	else if (node)
		snprintf(text, size, "%s %.*s/NODE", entry->call, (int)(node - entry->path), entry->path);
	else
		snprintf(text, size, "%s", entry->call);
}

CONFORMANCE(calls, opening_a_device_makes_those_listed_once_each, NEEDS(DMA_DEVICE))
{
	const char *const *expected =
		weir_host_backend(host_of(t)) == WEIR_BACKEND_IOMMUFD ? iommufd_open : container_open;
	struct weir_ioas *ioas = new_ioas(t);
	const struct sys_log *log = log_of(t);
	unsigned int num, i;
	char text[160];

	sys_log_clear(log_of(t));
	new_device(t, ioas, "EDU0", 0);
	num = sys_log_count(log);
	for (i = 0; i < num; i++) {
		entry_text(&log->entries[i], address_of(t, "EDU0"), text, sizeof(text));
		if (*expected && **expected == '?' && strcmp(*expected + 1, text) != 0)
			expected++;
		if (!*expected)
			FAIL("call %u is one too many: %s", i, text);
		EXPECT_STREQ(text, *expected + (**expected == '?'));
		expected++;
	}
	EXPECT_TRUE(!*expected || **expected == '?');
}

/* Closing --------------------------------------------------------------------------------------------------------- */

/* That no descriptor is left and nothing is pinned is looked at after every case. */
CONFORMANCE(calls, everything_opened_is_closed, NEEDS(DMA_DEVICE, NVME0))
{
	struct weir_ioas *first, *second;
	struct weir_device *edu, *nvme;
	struct weir_region *region;
	struct weir_irq *irq;
	uint32_t value;

	for (int i = 0; i < 2; i++) {
		ASSERT_OK(weir_ioas_open(host_of(t), NULL, &first));
		ASSERT_OK(weir_ioas_open(host_of(t), NULL, &second));
		new_map(t, first, new_pages(t, 4), 4 * PAGE, NULL);
		ASSERT_OK(weir_device_open(first, address_of(t, "EDU0"), NULL, &edu));
		ASSERT_OK(weir_device_open(second, address_of(t, "NVME0"), NULL, &nvme));
		new_map(t, first, new_pages(t, 4), 4 * PAGE, NULL);
		new_map(t, second, new_pages(t, 4), 4 * PAGE, NULL);
		ASSERT_OK(weir_irq_enable(edu, WEIR_IRQ_MSI, 1, &irq));
		ASSERT_OK(weir_device_region(nvme, WEIR_REGION_BAR0, &region));
		ASSERT_OK(weir_region_read32(region, 0, &value));
		EXPECT_GT(pinned_bytes(), 0);
		/* In the order they came and in reverse. */
		EXPECT_OK(weir_device_close(i ? nvme : edu));
		EXPECT_OK(weir_ioas_close(i ? second : first));
		EXPECT_OK(weir_device_close(i ? edu : nvme));
		EXPECT_OK(weir_ioas_close(i ? first : second));
		EXPECT_EQ(pinned_bytes(), 0);
	}
}
