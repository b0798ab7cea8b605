// SPDX-License-Identifier: MIT
/* A device that somebody else has. */
#include "conformance/foreign.h"
#include "conformance/machine.h"
#include "conformance/os.h"
#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PCI_COMMAND = 4, PCI_COMMAND_MEMORY = 2, REGION_SHIFT = 40 };

static int do_ioctl(int fd, unsigned long request, void *arg)
{
	return os_sys()->ioctl(os_sys()->ctx, fd, request, arg);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		os_sys()->close(os_sys()->ctx, fd);
}

static void close_foreign(void *arg)
{
	struct foreign *foreign = arg;

	if (foreign->registers)
		foreign_uncover(foreign->registers, foreign->len);
	close_fd(foreign->device);
	close_fd(foreign->group);
	close_fd(foreign->interface);
	free(foreign);
}

static void open_cdev(struct t *t, struct foreign *foreign, const struct node_paths *nodes)
{
	struct abi_vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };

	foreign->device = open_node(t, nodes->path[NODE_DEVICE]);
	bind.iommufd = foreign->interface;
	ASSERT_OK(do_ioctl(foreign->device, ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind));
}

static void open_in_container(struct t *t, struct foreign *foreign, const struct node_paths *nodes,
			      const char *address)
{
	uintptr_t type = ABI_VFIO_TYPE1v2_IOMMU;

	foreign->group = open_node(t, nodes->path[NODE_DEVICE]);
	ASSERT_OK(do_ioctl(foreign->group, ABI_VFIO_GROUP_SET_CONTAINER, &foreign->interface));
	ASSERT_OK(do_ioctl(foreign->interface, ABI_VFIO_SET_IOMMU,
			   (void *)type)); // NOLINT(performance-no-int-to-ptr)
	foreign->device = do_ioctl(foreign->group, ABI_VFIO_GROUP_GET_DEVICE_FD, (void *)address);
	ASSERT_GE(foreign->device, 0);
}

struct foreign *new_foreign(struct t *t, const char *name, size_t len)
{
	struct foreign *foreign = malloc(sizeof(*foreign));
	struct node_paths nodes = nodes_of(t, name);
	void *registers;

	ASSERT_TRUE(foreign != NULL);
	*foreign = (struct foreign){ .interface = -1, .group = -1, .device = -1, .len = len };
	t_defer(t, close_foreign, foreign);
	foreign->interface = open_node(t, nodes.path[NODE_INTERFACE]);
	if (weir_host_backend(host_of(t)) == WEIR_BACKEND_IOMMUFD)
		open_cdev(t, foreign, &nodes);
	else
		open_in_container(t, foreign, &nodes, address_of(t, name));
	foreign_decode(foreign, true);
	ASSERT_OK(os_sys()->mmap(os_sys()->ctx, NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
				 foreign->device, 0, &registers));
	foreign->registers = registers;
	return foreign;
}

void foreign_cover(struct foreign *foreign, void *memory, size_t len)
{
	void *addr;

	ASSERT_OK(os_sys()->mmap(os_sys()->ctx, memory, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				 foreign->device, 0, &addr));
}

void foreign_uncover(void *memory, size_t len)
{
	os_sys()->munmap(os_sys()->ctx, memory, len);
}

/* vfio-pci puts every region there, always. */
static uint64_t place_of(unsigned int region, uint64_t at)
{
	return ((uint64_t)region << REGION_SHIFT) + at;
}

uint64_t foreign_first(const struct foreign *foreign)
{
	uint64_t value = 0;

	ASSERT_EQ(os_sys()->pread(os_sys()->ctx, foreign->device, &value, sizeof(value),
				  place_of(ABI_VFIO_PCI_BAR0_REGION_INDEX, 0)),
		  sizeof(value));
	return value;
}

void foreign_decode(const struct foreign *foreign, bool on)
{
	const uint64_t at = place_of(ABI_VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND);
	const struct weir_sys *sys = os_sys();
	uint16_t command = 0;

	ASSERT_EQ(sys->pread(sys->ctx, foreign->device, &command, sizeof(command), at), sizeof(command));
	command = (uint16_t)(on ? command | PCI_COMMAND_MEMORY : command & ~PCI_COMMAND_MEMORY);
	ASSERT_EQ(sys->pwrite(sys->ctx, foreign->device, &command, sizeof(command), at), sizeof(command));
}
