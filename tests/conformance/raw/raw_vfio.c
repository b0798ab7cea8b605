// SPDX-License-Identifier: MIT
/* The kernel's own interface: VFIO's devices, groups and containers. */
#include "conformance/raw/raw.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PCI_COMMAND = 4, PCI_COMMAND_MEMORY = 2, PCI_COMMAND_MASTER = 4 };

/* Devices ----------------------------------------------------------------------------------------------------------- */

int open_cdev(struct t *t, const char *name)
{
	return raw_open(t, nodes_of(t, name).path[NODE_DEVICE]);
}

int raw_bind(struct t *t, int device, int iommufd, uint32_t *ret_id)
{
	struct abi_vfio_device_bind_iommufd *bind = ARGS(abi_vfio_device_bind_iommufd, .iommufd = iommufd);
	int error = raw_ioctl(t, device, ABI_VFIO_DEVICE_BIND_IOMMUFD, bind);

	*ret_id = bind->out_devid;
	return error;
}

struct raw_device new_bound(struct t *t, int iommufd, const char *name)
{
	struct raw_device device = { .fd = open_cdev(t, name) };

	ASSERT_OK(raw_bind(t, device.fd, iommufd, &device.id));
	return device;
}

int raw_attach(struct t *t, int device, uint32_t *pt_id)
{
	struct abi_vfio_device_attach_iommufd_pt *attach =
		ARGS(abi_vfio_device_attach_iommufd_pt, .pt_id = *pt_id);
	int error = raw_ioctl(t, device, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach);

	*pt_id = attach->pt_id;
	return error;
}

int raw_detach(struct t *t, int device)
{
	return raw_ioctl(t, device, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT,
			 ARGS(abi_vfio_device_detach_iommufd_pt));
}

uint32_t attached(struct t *t, int device, uint32_t ioas)
{
	uint32_t id = ioas;

	ASSERT_OK(raw_attach(t, device, &id));
	return id;
}

/* Regions ----------------------------------------------------------------------------------------------------------- */

struct abi_vfio_region_info region_info(struct t *t, int device, uint32_t index)
{
	struct abi_vfio_region_info *info = ARGS(abi_vfio_region_info, .index = index);

	ASSERT_OK(raw_ioctl(t, device, ABI_VFIO_DEVICE_GET_REGION_INFO, info));
	return *info;
}

/* vfio-pci puts every region there, always; asking each time would only make records longer. */
static uint64_t place_of(uint32_t index, uint64_t at)
{
	return ((uint64_t)index << 40) + at;
}

ssize_t raw_read(struct t *t, int device, uint32_t index, uint64_t at, void *value, size_t len)
{
	return sys_of(t)->pread(sys_of(t)->ctx, device, value, len, place_of(index, at));
}

ssize_t raw_write(struct t *t, int device, uint32_t index, uint64_t at, const void *value, size_t len)
{
	return sys_of(t)->pwrite(sys_of(t)->ctx, device, value, len, place_of(index, at));
}

struct bar {
	struct t *t;
	void *addr;
	size_t len;
};

static void unmap_bar(void *arg)
{
	struct bar *bar = arg;

	sys_of(bar->t)->munmap(sys_of(bar->t)->ctx, bar->addr, bar->len);
	free(bar);
}

uint64_t map_bar(struct t *t, int device, uint32_t index, uint64_t len)
{
	struct bar *bar = malloc(sizeof(*bar));
	int error;

	ASSERT_TRUE(bar != NULL);
	*bar = (struct bar){ .t = t, .len = len };
	error = sys_of(t)->mmap(sys_of(t)->ctx, NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, device,
				place_of(index, 0), &bar->addr);
	if (error) {
		free(bar);
		FAIL("mmap of a BAR: %s", strerror(-error));
	}
	t_defer(t, unmap_bar, bar);
	return (uintptr_t)bar->addr;
}

static void change_command(struct t *t, int device, uint16_t bit, bool on)
{
	uint16_t command = 0;

	ASSERT_EQ(raw_read(t, device, ABI_VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 2), 2);
	command = (uint16_t)(on ? command | bit : command & ~bit);
	ASSERT_EQ(raw_write(t, device, ABI_VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 2), 2);
}

void set_decoding(struct t *t, int device, bool on)
{
	change_command(t, device, PCI_COMMAND_MEMORY, on);
}

/* DMA by an edu: its registers, and where its buffer is for it ------------------------------------------------------ */

enum {
	EDU_SOURCE = 0x80,
	EDU_DESTINATION = 0x88,
	EDU_COUNT = 0x90,
	EDU_COMMAND = 0x98,
	EDU_BUFFER = 0x40000
};
enum { EDU_RUN = 1, EDU_OUT = 2 };

/* Waits until it is done, blocked or not. */
static void edu_copy(struct t *t, int edu, uint64_t from, uint64_t to, uint64_t len, uint64_t command)
{
	const struct weir_sys *sys = sys_of(t);
	bool written = raw_write(t, edu, 0, EDU_SOURCE, &from, 8) == 8 &&
		       raw_write(t, edu, 0, EDU_DESTINATION, &to, 8) == 8 &&
		       raw_write(t, edu, 0, EDU_COUNT, &len, 8) == 8 &&
		       raw_write(t, edu, 0, EDU_COMMAND, &command, 8) == 8;

	for (int i = 0; written && command & EDU_RUN && i < 10000; i++) {
		sys->sleep(sys->ctx, 1000000);
		written = raw_read(t, edu, 0, EDU_COMMAND, &command, 8) == 8;
	}
	if (!written || command & EDU_RUN)
		FAIL("the edu does not get done");
}

void raw_dma(struct t *t, int edu, uint64_t from, uint64_t to, uint64_t len)
{
	change_command(t, edu, PCI_COMMAND_MASTER, true);
	edu_copy(t, edu, from, EDU_BUFFER, len, EDU_RUN);
	edu_copy(t, edu, EDU_BUFFER, to, len, EDU_RUN | EDU_OUT);
}

/* Features ---------------------------------------------------------------------------------------------------------- */

int raw_feature(struct t *t, int device, uint32_t flags, const void *data, size_t len)
{
	uint32_t words[32] = { (uint32_t)(sizeof(struct abi_vfio_device_feature) + len), flags };

	ASSERT_LE(sizeof(struct abi_vfio_device_feature) + len, sizeof(words));
	if (len)
		memcpy(words + 2, data, len);
	return raw_ioctl(t, device, ABI_VFIO_DEVICE_FEATURE, words);
}

int raw_export(struct t *t, int device, uint32_t bar, uint64_t offset, uint64_t len)
{
	struct {
		struct abi_vfio_device_feature_dma_buf header;
		struct abi_vfio_region_dma_range range;
	} dma_buf = { { .region_index = bar, .open_flags = 02 /* O_RDWR */, .nr_ranges = 1 },
		      { offset, len } };
	int fd = raw_feature(t, device, ABI_VFIO_DEVICE_FEATURE_GET | ABI_VFIO_DEVICE_FEATURE_DMA_BUF,
			     &dma_buf, sizeof(dma_buf));

	return fd < 0 ? fd : raw_keep(t, fd);
}

/* Containers and groups --------------------------------------------------------------------------------------------- */

int open_group(struct t *t, const char *name)
{
	return raw_open(t, nodes_of(t, name).path[NODE_DEVICE]);
}

int raw_set_container(struct t *t, int group, int container)
{
	return raw_ioctl(t, group, ABI_VFIO_GROUP_SET_CONTAINER, &container);
}

int raw_device_of(struct t *t, int group, const char *name)
{
	int fd = raw_ioctl(t, group, ABI_VFIO_GROUP_GET_DEVICE_FD, (void *)(uintptr_t)address_of(t, name));

	return fd < 0 ? fd : raw_keep(t, fd);
}

int raw_number(struct t *t, int fd, unsigned long request, uintptr_t number)
{
	return sys_of(t)->ioctl(sys_of(t)->ctx, fd, request,
				(void *)number); // NOLINT(performance-no-int-to-ptr)
}

struct raw_container new_container(struct t *t, const char *name, unsigned int type)
{
	struct raw_container container = { .fd = raw_open(t, nodes_of(t, name).path[NODE_INTERFACE]) };

	container.group = open_group(t, name);
	ASSERT_OK(raw_set_container(t, container.group, container.fd));
	ASSERT_OK(raw_number(t, container.fd, ABI_VFIO_SET_IOMMU, type));
	container.device = raw_device_of(t, container.group, name);
	ASSERT_GE(container.device, 0);
	return container;
}

int raw_map_dma(struct t *t, int container, uint64_t addr, uint64_t len, uint64_t iova)
{
	return raw_ioctl(t, container, ABI_VFIO_IOMMU_MAP_DMA,
			 ARGS(abi_vfio_iommu_type1_dma_map,
			      .flags = ABI_VFIO_DMA_MAP_FLAG_READ | ABI_VFIO_DMA_MAP_FLAG_WRITE,
			      .vaddr = addr, .iova = iova, .size = len));
}

int raw_unmap_dma(struct t *t, int container, uint32_t flags, uint64_t iova, uint64_t *len)
{
	struct abi_vfio_iommu_type1_dma_unmap *unmap =
		ARGS(abi_vfio_iommu_type1_dma_unmap, .flags = flags, .iova = iova, .size = *len);
	int error = raw_ioctl(t, container, ABI_VFIO_IOMMU_UNMAP_DMA, unmap);

	*len = unmap->size;
	return error;
}
