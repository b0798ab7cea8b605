// SPDX-License-Identifier: MIT
/* VFIO devices: binding, what they are, their features, and registers that are switched off (B.2 to B.8). */
#include "conformance/raw/raw.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

enum { BAR0 = ABI_VFIO_PCI_BAR0_REGION_INDEX, CONFIG = ABI_VFIO_PCI_CONFIG_REGION_INDEX };

/* Binding (B.2) ----------------------------------------------------------------------------------------------------- */

CONFORMANCE(raw_bind, an_unbound_device_does_nothing, NEEDS(IOMMUFD, EDU0))
{
	const struct weir_sys *sys = sys_of(t);
	int device = open_cdev(t, "EDU0");
	uint32_t word = 0, pt_id = 1;
	void *addr;

	EXPECT_ERR(-EINVAL, raw_ioctl(t, device, ABI_VFIO_DEVICE_GET_INFO, ARGS(abi_vfio_device_info)));
	EXPECT_ERR(-EINVAL,
		   raw_ioctl(t, device, ABI_VFIO_DEVICE_GET_REGION_INFO, ARGS(abi_vfio_region_info)));
	EXPECT_ERR(-EINVAL, raw_ioctl(t, device, ABI_VFIO_DEVICE_RESET, NULL));
	EXPECT_ERR(-EINVAL, raw_attach(t, device, &pt_id));
	EXPECT_ERR(-EINVAL, raw_detach(t, device));
	EXPECT_ERR(-EINVAL, raw_ioctl(t, device, 0x3bff, NULL));
	EXPECT_EQ(sys->pread(sys->ctx, device, &word, 4, (uint64_t)CONFIG << 40), -EINVAL);
	EXPECT_EQ(sys->pwrite(sys->ctx, device, &word, 4, (uint64_t)CONFIG << 40), -EINVAL);
	EXPECT_ERR(-EINVAL, sys->mmap(sys->ctx, NULL, PAGE, PROT_READ, MAP_SHARED, device, 0, &addr));
}

CONFORMANCE(raw_bind, what_is_no_iommufd_is_refused, NEEDS(IOMMUFD, EDU0))
{
	int device = open_cdev(t, "EDU0"), iommufd = new_iommufd(t), memory = new_memfd(t, PAGE);
	struct {
		struct abi_vfio_device_bind_iommufd known;
		uint32_t tail;
	} longer = { { .argsz = sizeof(longer), .iommufd = iommufd }, 1 };
	uint32_t id;

	EXPECT_ERR(-EINVAL,
		   raw_ioctl(t, device, ABI_VFIO_DEVICE_BIND_IOMMUFD,
			     &(struct abi_vfio_device_bind_iommufd){ .argsz = 15, .iommufd = iommufd }));
	EXPECT_ERR(-EINVAL, raw_ioctl(t, device, ABI_VFIO_DEVICE_BIND_IOMMUFD,
				      ARGS(abi_vfio_device_bind_iommufd, .flags = 2, .iommufd = iommufd)));
	EXPECT_ERR(-E2BIG, raw_ioctl(t, device, ABI_VFIO_DEVICE_BIND_IOMMUFD, &longer));
	EXPECT_ERR(-EINVAL, raw_bind(t, device, -1, &id));
	EXPECT_ERR(-EBADFD, raw_bind(t, device, memory, &id));
	raw_close(t, memory);
	EXPECT_ERR(-EBADF, raw_bind(t, device, memory, &id));
	EXPECT_OK(raw_bind(t, device, iommufd, &id));
	EXPECT_EQ(id, 1);
}

CONFORMANCE(raw_bind, a_device_is_bound_once, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t), other = new_iommufd(t), second;
	struct raw_device edu = new_bound(t, iommufd, "EDU0");
	uint32_t id;

	EXPECT_ERR(-EINVAL, raw_bind(t, edu.fd, iommufd, &id));
	EXPECT_ERR(-EINVAL, raw_bind(t, edu.fd, other, &id));
	second = open_cdev(t, "EDU0");
	EXPECT_ERR(-EINVAL, raw_bind(t, second, iommufd, &id));
	EXPECT_ERR(-EINVAL, raw_bind(t, second, other, &id));
	raw_close(t, edu.fd);
	EXPECT_OK(raw_bind(t, second, other, &id));
}

static void group_path(struct t *t, const char *name, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "/dev/vfio/%d", group_of(address_of(t, name)));
}

static int open_raw(struct t *t, const char *path)
{
	return sys_of(t)->open(sys_of(t)->ctx, path, 02 /* O_RDWR */);
}

/* The device's own node and its group's exclude each other. */
CONFORMANCE(raw_bind, either_the_device_or_its_group_is_open, NEEDS(IOMMUFD, EDU0))
{
	int iommufd = new_iommufd(t), device = open_cdev(t, "EDU0"), group;
	char path[32];
	uint32_t id;

	group_path(t, "EDU0", path, sizeof(path));
	group = raw_open(t, path);
	EXPECT_ERR(-EBUSY, raw_bind(t, device, iommufd, &id));
	EXPECT_EQ(open_raw(t, path), -EBUSY);
	raw_close(t, group);
	EXPECT_OK(raw_bind(t, device, iommufd, &id));
	EXPECT_EQ(open_raw(t, path), -EBUSY);
}

/* A token is for functions that have one. */
CONFORMANCE(raw_bind, a_token_that_nobody_asked_for_is_refused, NEEDS(IOMMUFD, EDU0))
{
	int device = open_cdev(t, "EDU0"), iommufd = new_iommufd(t);
	uint8_t token[16] = { 1 };

	EXPECT_ERR(-EINVAL,
		   raw_ioctl(t, device, ABI_VFIO_DEVICE_BIND_IOMMUFD,
			     ARGS(abi_vfio_device_bind_iommufd, .flags = ABI_VFIO_DEVICE_BIND_FLAG_TOKEN,
				  .iommufd = iommufd, .token_uuid_ptr = (uintptr_t)token)));
}

/* What of a device is the character device's alone. */
CONFORMANCE(raw_bind, a_device_of_a_group_is_not_bound_or_attached, NEEDS(COMPAT, EDU0))
{
	struct raw_container container = new_container(t, "EDU0", ABI_VFIO_TYPE1v2_IOMMU);
	uint32_t id = 1;

	EXPECT_ERR(-EINVAL, raw_bind(t, container.device, container.fd, &id));
	id = 1;
	EXPECT_ERR(-ENOTTY, raw_attach(t, container.device, &id));
	EXPECT_ERR(-ENOTTY, raw_detach(t, container.device));
}

/* What it is (B.3, B.6 to B.8) -------------------------------------------------------------------------------------- */

static struct abi_vfio_irq_info irq_info(struct t *t, int device, uint32_t index)
{
	struct abi_vfio_irq_info *info = ARGS(abi_vfio_irq_info, .index = index);

	ASSERT_OK(raw_ioctl(t, device, ABI_VFIO_DEVICE_GET_IRQ_INFO, info));
	return *info;
}

CONFORMANCE(raw_device, edu_has_one_message, NEEDS(IOMMUFD, EDU0))
{
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");
	struct abi_vfio_irq_info msi = irq_info(t, edu.fd, ABI_VFIO_PCI_MSI_IRQ_INDEX);

	EXPECT_EQ(msi.count, 1);
	EXPECT_EQ(msi.flags, ABI_VFIO_IRQ_INFO_EVENTFD | ABI_VFIO_IRQ_INFO_NORESIZE);
	EXPECT_EQ(irq_info(t, edu.fd, ABI_VFIO_PCI_MSIX_IRQ_INDEX).count, 0);
	EXPECT_EQ(irq_info(t, edu.fd, ABI_VFIO_PCI_INTX_IRQ_INDEX).count, 1);
}

CONFORMANCE(raw_device, edu_has_a_bar_and_configuration_space, NEEDS(IOMMUFD, EDU0))
{
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");
	struct abi_vfio_region_info bar = region_info(t, edu.fd, BAR0);

	EXPECT_EQ(bar.size, MIB);
	EXPECT_EQ(bar.offset, 0);
	EXPECT_EQ(bar.flags, ABI_VFIO_REGION_INFO_FLAG_READ | ABI_VFIO_REGION_INFO_FLAG_WRITE |
				     ABI_VFIO_REGION_INFO_FLAG_MMAP);
	EXPECT_EQ(region_info(t, edu.fd, 1).size, 0);
	EXPECT_EQ(region_info(t, edu.fd, CONFIG).offset, (uint64_t)CONFIG << 40);
}

CONFORMANCE(raw_device, edu_has_no_reset, NEEDS(IOMMUFD, EDU0))
{
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");

	EXPECT_ERR(-EINVAL, raw_ioctl(t, edu.fd, ABI_VFIO_DEVICE_RESET, NULL));
}

CONFORMANCE(raw_device, on_a_root_bus_there_is_no_hot_reset, NEEDS(IOMMUFD, ON_ROOT_BUS))
{
	struct raw_device nvme = new_bound(t, new_iommufd(t), "NVME0");

	EXPECT_ERR(-ENODEV, raw_ioctl(t, nvme.fd, ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
				      ARGS(abi_vfio_pci_hot_reset_info)));
}

/* Features that are not there answer alike, save one (B.8). */
CONFORMANCE(raw_device, features_are_there_or_not, NEEDS(IOMMUFD, EDU0))
{
	static const struct {
		uint32_t feature, way;
		int error;
	} rows[] = {
		{ ABI_VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, ABI_VFIO_DEVICE_FEATURE_SET, -ENOTTY },
		{ ABI_VFIO_DEVICE_FEATURE_MIGRATION, ABI_VFIO_DEVICE_FEATURE_GET, -ENOTTY },
		{ ABI_VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, ABI_VFIO_DEVICE_FEATURE_GET, -ENOTTY },
		{ ABI_VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, ABI_VFIO_DEVICE_FEATURE_SET, 0 },
		{ ABI_VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, ABI_VFIO_DEVICE_FEATURE_SET, 0 },
		{ ABI_VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, ABI_VFIO_DEVICE_FEATURE_SET, 0 },
		{ ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_START, ABI_VFIO_DEVICE_FEATURE_SET, -ENOTTY },
		{ ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, ABI_VFIO_DEVICE_FEATURE_SET, -ENOTTY },
		{ ABI_VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, ABI_VFIO_DEVICE_FEATURE_GET, -ENOTTY },
		{ ABI_VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, ABI_VFIO_DEVICE_FEATURE_GET, -ENOTTY },
		{ ABI_VFIO_DEVICE_FEATURE_BUS_MASTER, ABI_VFIO_DEVICE_FEATURE_SET, -ENOTTY },
		{ ABI_VFIO_DEVICE_FEATURE_DMA_BUF, ABI_VFIO_DEVICE_FEATURE_GET, 0 },
		{ ABI_VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, ABI_VFIO_DEVICE_FEATURE_SET, -EINVAL },
		{ 13, ABI_VFIO_DEVICE_FEATURE_GET, -ENOTTY },
		{ 0xffff, ABI_VFIO_DEVICE_FEATURE_SET, -ENOTTY },
	};
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");
	const uint64_t room[8] = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "feature %u", rows[i].feature);
		EXPECT_EQ(raw_feature(t, edu.fd,
				      rows[i].feature | rows[i].way | ABI_VFIO_DEVICE_FEATURE_PROBE, room,
				      sizeof(room)),
			  rows[i].error);
	}
	EXPECT_ERR(-EINVAL, raw_feature(t, edu.fd,
					ABI_VFIO_DEVICE_FEATURE_MIGRATION | ABI_VFIO_DEVICE_FEATURE_GET |
						ABI_VFIO_DEVICE_FEATURE_SET,
					room, sizeof(room)));
}

CONFORMANCE(raw_device, low_power_is_entered_once_and_left, NEEDS(IOMMUFD, EDU0))
{
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");
	const uint32_t set = ABI_VFIO_DEVICE_FEATURE_SET;

	EXPECT_OK(raw_feature(t, edu.fd, set | ABI_VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, NULL, 0));
	EXPECT_OK(raw_feature(t, edu.fd, set | ABI_VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, NULL, 0));
	EXPECT_ERR(-EINVAL, raw_feature(t, edu.fd, set | ABI_VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, NULL, 0));
	EXPECT_OK(raw_feature(t, edu.fd, set | ABI_VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, NULL, 0));
}

/* Registers that are switched off (B.4, B.5) ------------------------------------------------------------------------ */

CONFORMANCE(raw_config, registers_that_are_off_are_not_read_or_written, NEEDS(IOMMUFD, EDU0))
{
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");
	uint32_t id = 0;

	EXPECT_EQ(raw_read(t, edu.fd, BAR0, 0, &id, 4), 4);
	set_decoding(t, edu.fd, false);
	EXPECT_EQ(raw_read(t, edu.fd, BAR0, 0, &id, 4), -EIO);
	EXPECT_EQ(raw_write(t, edu.fd, BAR0, 4, &id, 4), -EIO);
	EXPECT_EQ(raw_read(t, edu.fd, CONFIG, 0, &id, 4), 4);
	set_decoding(t, edu.fd, true);
	EXPECT_EQ(raw_read(t, edu.fd, BAR0, 0, &id, 4), 4);
	EXPECT_EQ(raw_read(t, edu.fd, BAR0, MIB, &id, 4), -EINVAL);
}

static sigjmp_buf touched;

static void on_bus_error(int number)
{
	(void)number;
	siglongjmp(touched, 1);
}

/* Load a register; whether that raised SIGBUS. */
static bool raises_sigbus(uint64_t addr, uint32_t *ret_value)
{
	struct sigaction before;
	bool raised = true;

	sigaction(SIGBUS, &(struct sigaction){ .sa_handler = on_bus_error }, &before);
	if (!sigsetjmp(touched, 1)) {
		*ret_value = *(const volatile uint32_t *)(uintptr_t)addr; // NOLINT(performance-no-int-to-ptr)
		raised = false;
	}
	sigaction(SIGBUS, &before, NULL);
	return raised;
}

CONFORMANCE(raw_config, mapped_registers_that_are_off_raise_sigbus, NEEDS(IOMMUFD, EDU0))
{
	struct raw_device edu = new_bound(t, new_iommufd(t), "EDU0");
	uint64_t addr = map_bar(t, edu.fd, BAR0, PAGE);
	uint32_t first = 0, again = 0;

	EXPECT_FALSE(raises_sigbus(addr, &first));
	set_decoding(t, edu.fd, false);
	EXPECT_TRUE(raises_sigbus(addr, &again));
	set_decoding(t, edu.fd, true);
	EXPECT_FALSE(raises_sigbus(addr, &again));
	EXPECT_EQ(again, first);
}
