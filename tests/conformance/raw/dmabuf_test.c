// SPDX-License-Identifier: MIT
/* dma-bufs of registers: made, mapped by file, withdrawn (A.6, B.9, B.10). */
#include "conformance/faults.h"
#include "conformance/raw/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define GET   ABI_VFIO_DEVICE_FEATURE_GET
#define SET   ABI_VFIO_DEVICE_FEATURE_SET
#define PROBE ABI_VFIO_DEVICE_FEATURE_PROBE
enum { DMA_BUF = ABI_VFIO_DEVICE_FEATURE_DMA_BUF, BAR0 = 0, BAR1 = 1, BAR2 = 2, CONFIG = 7 };

/* As raw_export(), with everything that can be wrong. */
struct request {
	struct abi_vfio_device_feature_dma_buf header;
	struct abi_vfio_region_dma_range range;
};

CONFORMANCE(raw_dmabuf, what_is_no_part_of_registers_is_refused, NEEDS(IOMMUFD, EDU0))
{
	static const struct {
		const char *what;
		int error;
		uint32_t flags;
		struct request request;
	} rows[] = {
		{ "no range", -EINVAL, GET, { { .region_index = BAR0, .nr_ranges = 0 }, { 0, 4096 } } },
		{ "a flag",
		  -EINVAL,
		  GET,
		  { { .region_index = BAR0, .flags = 1, .nr_ranges = 1 }, { 0, 4096 } } },
		{ "no BAR", -ENODEV, GET, { { .region_index = CONFIG, .nr_ranges = 1 }, { 0, 4096 } } },
		{ "absent BAR", -ENODEV, GET, { { .region_index = BAR1, .nr_ranges = 1 }, { 0, 4096 } } },
		{ "no length", -EINVAL, GET, { { .region_index = BAR0, .nr_ranges = 1 }, { 0, 0 } } },
		{ "part of a page", -EINVAL, GET, { { .region_index = BAR0, .nr_ranges = 1 }, { 0, 100 } } },
		{ "within a page", -EINVAL, GET, { { .region_index = BAR0, .nr_ranges = 1 }, { 8, 4096 } } },
		{ "behind the end",
		  -EINVAL,
		  GET,
		  { { .region_index = BAR0, .nr_ranges = 1 }, { 1 << 20, 4096 } } },
		{ "past the end",
		  -EINVAL,
		  GET,
		  { { .region_index = BAR0, .nr_ranges = 1 }, { 0, (1 << 20) + 4096 } } },
		{ "the wrong way",
		  -EINVAL,
		  SET | PROBE,
		  { { .region_index = BAR0, .nr_ranges = 1 }, { 0, 4096 } } },
		{ "is it there", 0, GET | PROBE, { { .region_index = BAR0, .nr_ranges = 1 }, { 0, 4096 } } },
	};
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%s", rows[i].what);
		EXPECT_EQ(raw_feature(t, edu.fd, rows[i].flags | DMA_BUF, &rows[i].request,
				      sizeof(rows[i].request)),
			  rows[i].error);
	}
}

/* The size that a request gives has to reach to its ranges and no further; too many of them are no request. */
CONFORMANCE(raw_dmabuf, ranges_are_read_whatever_the_size_says, NEEDS(IOMMUFD, EDU0))
{
	struct {
		struct abi_vfio_device_feature feature;
		struct request request;
	} cmd = { { .argsz = sizeof(cmd.feature) + sizeof(cmd.request.header), .flags = GET | DMA_BUF },
		  { { .region_index = BAR0, .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1 },
		    { 0, PAGE } } };
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");

	raw_keep(t, raw_ioctl(t, edu.fd, ABI_VFIO_DEVICE_FEATURE, &cmd));
	cmd.feature.argsz--;
	EXPECT_ERR(-EINVAL, raw_ioctl(t, edu.fd, ABI_VFIO_DEVICE_FEATURE, &cmd));
	cmd.feature.argsz++;
	cmd.request.header.nr_ranges = 1 << 20;
	EXPECT_ERR(-ENOMEM, raw_ioctl(t, edu.fd, ABI_VFIO_DEVICE_FEATURE, &cmd));
}

CONFORMANCE(raw_dmabuf, parts_are_mapped_as_often_as_one_likes, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	int dma_buf = raw_export(t, edu.fd, BAR0, 0, 4 * PAGE);

	attached(t, edu.fd, ioas);
	EXPECT_OK(raw_map_file(t, iommufd, ioas, dma_buf, 0, 4 * PAGE, 1 * MIB));
	EXPECT_OK(raw_map_file(t, iommufd, ioas, dma_buf, 0, 4 * PAGE, 2 * MIB));
	EXPECT_OK(raw_map_file(t, iommufd, ioas, dma_buf, PAGE, 2 * PAGE, 3 * MIB));
	EXPECT_ERR(-EINVAL, raw_map_file(t, iommufd, ioas, dma_buf, PAGE, 4 * PAGE, 4 * MIB));
	EXPECT_ERR(-EINVAL, raw_map_file(t, iommufd, ioas, dma_buf, 4 * PAGE, PAGE, 4 * MIB));
	EXPECT_EQ(pinned_bytes(), 0);
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), 10 * PAGE);
}

/* Of several ranges, none is iommufd's to choose. */
CONFORMANCE(raw_dmabuf, several_ranges_are_made_and_not_mapped, NEEDS(IOMMUFD, EDU0))
{
	const struct {
		struct abi_vfio_device_feature_dma_buf header;
		struct abi_vfio_region_dma_range ranges[2];
	} request = { { .region_index = BAR0, .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 2 },
		      { { 0, PAGE }, { 2 * PAGE, PAGE } } };
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	int dma_buf = raw_keep(t, raw_feature(t, edu.fd, GET | DMA_BUF, &request, sizeof(request)));

	EXPECT_ERR(-EOPNOTSUPP, raw_map_file(t, iommufd, ioas, dma_buf, 0, 2 * PAGE, MIB));
}

CONFORMANCE(raw_dmabuf, it_cannot_be_mapped_into_the_process, NEEDS(IOMMUFD, EDU0))
{
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");
	int dma_buf = raw_export(t, edu.fd, BAR0, 0, PAGE);
	void *addr;

	ASSERT_GE(dma_buf, 0);
	EXPECT_ERR(-EINVAL,
		   sys_of(t)->mmap(sys_of(t)->ctx, NULL, PAGE, PROT_READ, MAP_SHARED, dma_buf, 0, &addr));
}

/* Withdrawing ------------------------------------------------------------------------------------------------------- */

/* Made while the device does not answer, it is good as soon as the device does. */
CONFORMANCE(raw_dmabuf, it_is_good_while_memory_is_on, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t), dma_buf;
	uint32_t ioas = raw_ioas(t, iommufd);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");

	set_decoding(t, edu.fd, false);
	dma_buf = raw_export(t, edu.fd, BAR0, 0, PAGE);
	ASSERT_GE(dma_buf, 0);
	EXPECT_ERR(-ENODEV, raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, MIB));
	set_decoding(t, edu.fd, true);
	EXPECT_OK(raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, MIB));
	set_decoding(t, edu.fd, false);
	EXPECT_ERR(-ENODEV, raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, 2 * MIB));
	set_decoding(t, edu.fd, true);
	EXPECT_OK(raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, 2 * MIB));
}

/* What was mapped is dead for good, and in the way until it is unmapped. */
CONFORMANCE(raw_dmabuf, a_withdrawn_mapping_stays_dead_and_in_the_way, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t), dma_buf;
	uint32_t ioas = raw_ioas(t, iommufd);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	uint64_t len = PAGE;

	attached(t, edu.fd, ioas);
	dma_buf = raw_export(t, edu.fd, BAR0, 0, PAGE);
	ASSERT_OK(raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, MIB));
	set_decoding(t, edu.fd, false);
	set_decoding(t, edu.fd, true);
	EXPECT_ERR(-EEXIST, raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, MIB));
	/* A copy of it is as dead, and no error; nor is another device that comes. */
	EXPECT_OK(raw_copy(t, iommufd, ioas, MIB, PAGE, ioas, 2 * MIB));
	EXPECT_OK(raw_unmap(t, iommufd, ioas, MIB, &len));
	EXPECT_EQ(len, PAGE);
	EXPECT_OK(raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, MIB));
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), 2 * PAGE);
}

/* The memory of NVME1, seen from the device. */
static uint64_t word_of(struct t *t, int nvme)
{
	uint64_t word = 0;

	ASSERT_EQ(raw_read(t, nvme, BAR2, 0, &word, 8), 8);
	return word;
}

static void set_word_of(struct t *t, int nvme, uint64_t word)
{
	ASSERT_EQ(raw_write(t, nvme, BAR2, 0, &word, 8), 8);
}

CONFORMANCE(raw_dmabuf, dma_reaches_it_until_it_is_withdrawn, NEEDS(IOMMUFD, DMA_DEVICE, NVME1, FAULT_COUNT))
{
	int iommufd = new_iommufd(t), dma_buf;
	uint32_t ioas = raw_ioas(t, iommufd);
	struct raw_device edu = new_bound(t, iommufd, "EDU0"), nvme = new_bound(t, iommufd, "NVME1");

	attached(t, edu.fd, ioas);
	dma_buf = raw_export(t, nvme.fd, BAR2, 0, PAGE);
	ASSERT_OK(raw_map(t, iommufd, ioas, new_range(t, PAGE), PAGE, MIB));
	ASSERT_OK(raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, 2 * MIB));
	raw_dma(t, edu.fd, MIB, 2 * MIB, 8);
	EXPECT_EQ(word_of(t, nvme.fd), 0x5a5a5a5a5a5a5a5a);
	set_word_of(t, nvme.fd, 1);
	set_decoding(t, nvme.fd, false);
	set_decoding(t, nvme.fd, true);
	faults_begin(t);
	raw_dma(t, edu.fd, MIB, 2 * MIB, 8);
	EXPECT_TRUE(faults_reported(t));
	EXPECT_EQ(word_of(t, nvme.fd), 1);
}

/* Registers that a container maps by their address are not withdrawn: DMA goes there again when they answer again. */
CONFORMANCE(raw_dmabuf, in_a_container_dma_reaches_it_always, NEEDS(TYPE1, DMA_DEVICE, NVME1))
{
	struct raw_container edu = new_container(t, "EDU0", ABI_VFIO_TYPE1v2_IOMMU);
	int group = open_group(t, "NVME1"), nvme;

	ASSERT_OK(raw_set_container(t, group, edu.fd));
	nvme = raw_device_of(t, group, "NVME1");
	ASSERT_OK(raw_map_dma(t, edu.fd, new_range(t, PAGE), PAGE, MIB));
	ASSERT_OK(raw_map_dma(t, edu.fd, map_bar(t, nvme, BAR2, PAGE), PAGE, 2 * MIB));
	raw_dma(t, edu.device, MIB, 2 * MIB, 8);
	EXPECT_EQ(word_of(t, nvme), 0x5a5a5a5a5a5a5a5a);
	set_word_of(t, nvme, 1);
	set_decoding(t, nvme, false);
	raw_dma(t, edu.device, MIB, 2 * MIB, 8);
	set_decoding(t, nvme, true);
	EXPECT_EQ(word_of(t, nvme), 1);
	raw_dma(t, edu.device, MIB, 2 * MIB, 8);
	EXPECT_EQ(word_of(t, nvme), 0x5a5a5a5a5a5a5a5a);
}

CONFORMANCE(raw_dmabuf, closing_the_device_withdraws_it_for_good, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t), dma_buf;
	uint32_t ioas = raw_ioas(t, iommufd);
	struct raw_device edu = new_bound(t, iommufd, "EDU0");

	dma_buf = raw_export(t, edu.fd, BAR0, 0, PAGE);
	ASSERT_OK(raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, MIB));
	raw_close(t, edu.fd);
	EXPECT_ERR(-ENODEV, raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, 2 * MIB));
	new_bound(t, iommufd, "EDU0");
	EXPECT_ERR(-ENODEV, raw_map_file(t, iommufd, ioas, dma_buf, 0, PAGE, 2 * MIB));
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), PAGE);
}

/* A device that was opened through its group makes them, too; nobody there takes them but the container's iommufd. */
CONFORMANCE(raw_dmabuf, a_device_of_a_group_makes_them_too, NEEDS(TYPE1, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", ABI_VFIO_TYPE1v2_IOMMU);

	EXPECT_GE(raw_export(t, container.device, BAR0, 0, PAGE), 0);
}

CONFORMANCE(raw_dmabuf, a_container_that_is_an_iommufd_takes_them, NEEDS(COMPAT, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", ABI_VFIO_TYPE1v2_IOMMU);
	struct abi_iommu_vfio_ioas *get = COMMAND(abi_iommu_vfio_ioas, .op = ABI_IOMMU_VFIO_IOAS_GET);
	int dma_buf = raw_export(t, container.device, BAR0, 0, PAGE);
	uint64_t len = PAGE;

	ASSERT_OK(raw_ioctl(t, container.fd, ABI_IOMMU_VFIO_IOAS, get));
	EXPECT_OK(raw_map_file(t, container.fd, get->ioas_id, dma_buf, 0, PAGE, MIB));
	EXPECT_OK(raw_unmap_dma(t, container.fd, 0, MIB, &len));
	EXPECT_EQ(len, PAGE);
}
