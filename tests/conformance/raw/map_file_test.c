// SPDX-License-Identifier: MIT
/* IOMMU_IOAS_MAP_FILE, of files of all kinds (A.6). dma-bufs are in dmabuf_test.c. */
#include "conformance/raw/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

CONFORMANCE(raw_map_file, what_is_no_request_is_refused, NEEDS(IOMMUFD))
{
	int iommufd = new_iommufd(t), memory = new_memfd(t, PAGE), closed = new_memfd(t, PAGE);
	uint32_t ioas = raw_ioas(t, iommufd);

	raw_close(t, closed);
	EXPECT_ERR(-EBADF, raw_map_file(t, iommufd, ioas, closed, 0, PAGE, MIB));
	EXPECT_ERR(-EBADF, raw_map_file(t, iommufd, ioas, -1, 0, PAGE, MIB));
	EXPECT_ERR(-EINVAL, raw_map_file(t, iommufd, ioas, memory, 0, 0, MIB));
	EXPECT_ERR(-ENOENT, raw_map_file(t, iommufd, ioas + 1, memory, 0, PAGE, MIB));
	EXPECT_ERR(-EOVERFLOW, raw_map_file(t, iommufd, ioas, memory, 0, UINT64_MAX, MIB));
	EXPECT_ERR(-EOPNOTSUPP, raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_MAP_FILE,
					  COMMAND(abi_iommu_ioas_map_file, .flags = 8, .ioas_id = ioas,
						  .fd = memory, .length = PAGE)));
}

/* A file on tmpfs without a name. */
static int new_tmpfs_file(struct t *t, uint64_t len)
{
	int fd = raw_keep(t, open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));

	ASSERT_EQ(ftruncate(fd, (off_t)len), 0);
	return fd;
}

static int reopened_for_reading(struct t *t, int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return raw_keep(t, open(path, O_RDONLY | O_CLOEXEC));
}

/* Neither how it is open nor its seals stand in the way of a device that writes (G10). */
CONFORMANCE(raw_map_file, shared_memory_is_taken_whoever_may_write_it, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t), memory = new_memfd(t, PAGE), sealed = new_memfd(t, PAGE);
	uint32_t ioas = raw_ioas(t, iommufd);

	attached(t, new_bound(t, iommufd, "EDU0").fd, ioas);
	ASSERT_EQ(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	EXPECT_OK(raw_map_file(t, iommufd, ioas, memory, 0, PAGE, 1 * MIB));
	EXPECT_OK(raw_map_file(t, iommufd, ioas, new_tmpfs_file(t, PAGE), 0, PAGE, 2 * MIB));
	EXPECT_OK(raw_map_file(t, iommufd, ioas, reopened_for_reading(t, memory), 0, PAGE, 3 * MIB));
	EXPECT_OK(raw_map_file(t, iommufd, ioas, sealed, 0, PAGE, 4 * MIB));
	EXPECT_EQ(raw_unmap_all(t, iommufd, ioas), 4 * PAGE);
}

/* The file may be made shorter while it is mapped: that is not noticed. */
CONFORMANCE(raw_map_file, a_file_cut_short_stays_mapped, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t), memory = new_memfd(t, 2 * PAGE);
	uint32_t ioas = raw_ioas(t, iommufd);
	uint64_t len = 2 * PAGE;

	attached(t, new_bound(t, iommufd, "EDU0").fd, ioas);
	ASSERT_OK(raw_map_file(t, iommufd, ioas, memory, 0, len, MIB));
	EXPECT_EQ(ftruncate(memory, 0), 0);
	EXPECT_OK(raw_unmap(t, iommufd, ioas, MIB, &len));
	EXPECT_EQ(len, 2 * PAGE);
}

struct mapper {
	int iommufd, file;
	uint32_t ioas;
};

static void map_and_end(struct t *t, void *arg)
{
	const struct mapper *mapper = arg;

	ASSERT_OK(raw_map_file(t, mapper->iommufd, mapper->ioas, mapper->file, 0, PAGE, MIB));
	ASSERT_OK(raw_map(t, mapper->iommufd, mapper->ioas, new_range(t, PAGE), PAGE, 2 * MIB));
}

/* What a process has mapped by file outlives it. Its own memory does not: it cannot be pinned any more. */
CONFORMANCE(raw_map_file, a_mapping_outlives_the_process_that_made_it, NEEDS(IOMMUFD, EDU0, REAL_SYSTEM))
{
	struct mapper mapper = { .iommufd = new_iommufd(t), .file = new_memfd(t, PAGE) };
	struct raw_device edu = new_bound(t, mapper.iommufd, "EDU0");
	uint64_t len = PAGE;
	uint32_t pt_id;

	mapper.ioas = pt_id = raw_ioas(t, mapper.iommufd);
	in_child(t, map_and_end, &mapper);
	EXPECT_ERR(-EFAULT, raw_attach(t, edu.fd, &pt_id));
	EXPECT_OK(raw_unmap(t, mapper.iommufd, mapper.ioas, 2 * MIB, &len));
	EXPECT_OK(raw_attach(t, edu.fd, &pt_id));
	EXPECT_EQ(raw_unmap_all(t, mapper.iommufd, mapper.ioas), PAGE);
}

/* A dma-buf of some pages of a memfd. */
static int new_udmabuf(struct t *t)
{
	int maker = raw_keep(t, open("/dev/udmabuf", O_RDWR | O_CLOEXEC)), memory = new_memfd(t, PAGE);
	struct udmabuf_create create = { .memfd = (uint32_t)memory,
					 .flags = UDMABUF_FLAGS_CLOEXEC,
					 .size = PAGE };

	ASSERT_EQ(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return raw_keep(t, ioctl(maker, UDMABUF_CREATE, &create));
}

/* A page of the system's heap. */
static int new_heap_buffer(struct t *t)
{
	struct dma_heap_allocation_data data = { .len = PAGE, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = raw_keep(t, open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC));

	ASSERT_EQ(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data), 0);
	return raw_keep(t, (int)data.fd);
}

CONFORMANCE(raw_map_file, dma_bufs_of_others_than_vfio_are_not_taken, NEEDS(IOMMUFD, REAL_SYSTEM))
{
	int iommufd = new_iommufd(t);
	uint32_t ioas = raw_ioas(t, iommufd);

	EXPECT_ERR(-EOPNOTSUPP, raw_map_file(t, iommufd, ioas, new_udmabuf(t), 0, PAGE, MIB));
	EXPECT_ERR(-EOPNOTSUPP, raw_map_file(t, iommufd, ioas, new_heap_buffer(t), 0, PAGE, MIB));
}
