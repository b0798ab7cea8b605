// SPDX-License-Identifier: MIT
/* The kernel's own interface: descriptors, memory, and /dev/iommu. */
#include "conformance/raw/raw.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Descriptors ------------------------------------------------------------------------------------------------------- */

enum { MAX_OPEN = 64, MAX_WORDS = 64 };

static struct {
	struct t *t;
	unsigned int num;
	int fds[MAX_OPEN];
} opened;

/*
 * What the kernel has written into a command's struct goes into the record, word by word: it is to be the same on both sides of the
 * table. All of those structs begin with their size. Descriptors are numbers of the process's.
 */
static bool has_size(unsigned long request, const void *arg)
{
	return arg && request != ABI_VFIO_GROUP_SET_CONTAINER && request != ABI_VFIO_GROUP_GET_DEVICE_FD &&
	       request != ABI_IOMMU_FAULT_QUEUE_ALLOC;
}

static size_t words_of(unsigned long request, const void *arg, uint32_t words[MAX_WORDS])
{
	uint32_t size = 0;

	if (has_size(request, arg))
		memcpy(&size, arg, sizeof(size));
	if (size > MAX_WORDS * sizeof(*words))
		size = MAX_WORDS * sizeof(*words);
	memcpy(words, arg ? arg : words, size);
	return size / sizeof(*words);
}

int raw_ioctl(struct t *t, int fd, unsigned long request, void *arg)
{
	uint32_t before[MAX_WORDS], after[MAX_WORDS];
	size_t num = words_of(request, arg, before);
	int result = sys_of(t)->ioctl(sys_of(t)->ctx, fd, request, arg);

	if (num)
		memcpy(after, arg, num * sizeof(*after));
	for (size_t i = 0; i < num; i++)
		if (before[i] != after[i])
			t_record("\t\tword %zu: %#x", i, after[i]);
	return result;
}

/* Devices hold what they are bound to, so the last comes first. */
static void close_all(void *arg)
{
	struct t *t = arg;

	while (opened.num)
		if (opened.fds[--opened.num] >= 0)
			sys_of(t)->close(sys_of(t)->ctx, opened.fds[opened.num]);
}

int raw_keep(struct t *t, int fd)
{
	ASSERT_GE(fd, 0);
	if (!opened.num)
		t_defer(t, close_all, t);
	if (opened.num == MAX_OPEN)
		FAIL("more than %d descriptors", MAX_OPEN);
	opened.fds[opened.num++] = fd;
	return fd;
}

int raw_open(struct t *t, const char *path)
{
	return raw_keep(t, open_node(t, path));
}

void raw_close(struct t *t, int fd)
{
	for (unsigned int i = 0; i < opened.num; i++)
		if (opened.fds[i] == fd)
			opened.fds[i] = -1;
	ASSERT_OK(sys_of(t)->close(sys_of(t)->ctx, fd));
}

/* Memory ------------------------------------------------------------------------------------------------------------ */

int new_memfd(struct t *t, uint64_t len)
{
	int fd = raw_keep(t, memfd_create("weir-conformance", MFD_CLOEXEC | MFD_ALLOW_SEALING));

	ASSERT_EQ(ftruncate(fd, (off_t)len), 0);
	return fd;
}

uint64_t new_range(struct t *t, uint64_t len)
{
	return (uintptr_t)new_memory(t, len, 0x5a);
}

uint64_t no_memory(struct t *t, uint64_t len)
{
	void *addr = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)t;
	ASSERT_TRUE(addr != MAP_FAILED);
	ASSERT_EQ(munmap(addr, len), 0);
	return (uintptr_t)addr;
}

/* /dev/iommu -------------------------------------------------------------------------------------------------------- */

int new_iommufd(struct t *t)
{
	return raw_open(t, "/dev/iommu");
}

uint32_t raw_ioas(struct t *t, int iommufd)
{
	struct abi_iommu_ioas_alloc *alloc = COMMAND(abi_iommu_ioas_alloc);

	ASSERT_OK(raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_ALLOC, alloc));
	return alloc->out_ioas_id;
}

int raw_destroy(struct t *t, int iommufd, uint32_t id)
{
	return raw_ioctl(t, iommufd, ABI_IOMMU_DESTROY, COMMAND(abi_iommu_destroy, .id = id));
}

enum { READ_WRITE = ABI_IOMMU_IOAS_MAP_READABLE | ABI_IOMMU_IOAS_MAP_WRITEABLE };
enum { FIXED = READ_WRITE | ABI_IOMMU_IOAS_MAP_FIXED_IOVA };

int raw_map(struct t *t, int iommufd, uint32_t ioas, uint64_t addr, uint64_t len, uint64_t iova)
{
	return raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_MAP,
			 COMMAND(abi_iommu_ioas_map, .flags = FIXED, .ioas_id = ioas, .user_va = addr,
				 .length = len, .iova = iova));
}

int raw_map_anywhere(struct t *t, int iommufd, uint32_t ioas, uint64_t addr, uint64_t len, uint64_t *ret_iova)
{
	struct abi_iommu_ioas_map *map = COMMAND(abi_iommu_ioas_map, .flags = READ_WRITE, .ioas_id = ioas,
						 .user_va = addr, .length = len);
	int error = raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_MAP, map);

	*ret_iova = map->iova;
	return error;
}

int raw_map_file(struct t *t, int iommufd, uint32_t ioas, int fd, uint64_t start, uint64_t len, uint64_t iova)
{
	return raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_MAP_FILE,
			 COMMAND(abi_iommu_ioas_map_file, .flags = FIXED, .ioas_id = ioas, .fd = fd,
				 .start = start, .length = len, .iova = iova));
}

int raw_map_file_anywhere(struct t *t, int iommufd, uint32_t ioas, int fd, uint64_t start, uint64_t len,
			  uint64_t *ret_iova)
{
	struct abi_iommu_ioas_map_file *map =
		COMMAND(abi_iommu_ioas_map_file, .flags = READ_WRITE, .ioas_id = ioas, .fd = fd,
			.start = start, .length = len);
	int error = raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_MAP_FILE, map);

	*ret_iova = map->iova;
	return error;
}

int raw_copy(struct t *t, int iommufd, uint32_t ioas, uint64_t from, uint64_t len, uint32_t to_ioas,
	     uint64_t to)
{
	return raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_COPY,
			 COMMAND(abi_iommu_ioas_copy, .flags = FIXED, .src_ioas_id = ioas, .src_iova = from,
				 .length = len, .dst_ioas_id = to_ioas, .dst_iova = to));
}

int raw_unmap(struct t *t, int iommufd, uint32_t ioas, uint64_t iova, uint64_t *len)
{
	struct abi_iommu_ioas_unmap *unmap =
		COMMAND(abi_iommu_ioas_unmap, .ioas_id = ioas, .iova = iova, .length = *len);
	int error = raw_ioctl(t, iommufd, ABI_IOMMU_IOAS_UNMAP, unmap);

	*len = unmap->length;
	return error;
}

uint64_t raw_unmap_all(struct t *t, int iommufd, uint32_t ioas)
{
	uint64_t len = UINT64_MAX;

	ASSERT_OK(raw_unmap(t, iommufd, ioas, 0, &len));
	return len;
}

bool is_taken(struct t *t, int iommufd, uint32_t ioas, uint64_t iova)
{
	uint64_t addr = new_range(t, PAGE), len = PAGE;

	if (raw_map(t, iommufd, ioas, addr, PAGE, iova))
		return true;
	ASSERT_OK(raw_unmap(t, iommufd, ioas, iova, &len));
	return false;
}

int raw_hwpt_alloc(struct t *t, int iommufd, uint32_t device, uint32_t pt_id, uint32_t flags,
		   uint32_t *ret_id)
{
	struct abi_iommu_hwpt_alloc *alloc =
		COMMAND(abi_iommu_hwpt_alloc, .dev_id = device, .pt_id = pt_id, .flags = flags);
	int error = raw_ioctl(t, iommufd, ABI_IOMMU_HWPT_ALLOC, alloc);

	*ret_id = alloc->out_hwpt_id;
	return error;
}
