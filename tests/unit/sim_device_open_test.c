// SPDX-License-Identifier: MIT
/* VFIO devices of the simulated machine: opened, attached, mapped (kernel-interface B.2, B.5), row by row. */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "sim/device/pci.h"
#include "sim_probe.h"

enum { PAGE = 4096 };

/* The character device (B.2) ----------------------------------------------------------------------------- */

UNIT(sim_device, before_bind_everything_is_einval)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct weir_sim_device *device;
	char bytes[4] = { 0 };
	void *addr;
	int fd;

	ASSERT_OK(weir_sim_add(sim, &probe_model, NULL, NULL, &device));
	fd = device_node(device);
	ASSERT_GE(fd, 0);
	for (unsigned long request = ABI_VFIO_DEVICE_GET_INFO; request <= ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT;
	     request++) {
		t_note(t, "request 0x%lx", request);
		EXPECT_ERR(-EINVAL, call(sim, fd, request, bytes));
	}
	EXPECT_ERR(-EINVAL, get(sim, fd, CONFIG, bytes, 4));
	EXPECT_ERR(-EINVAL, put(sim, fd, CONFIG, bytes, 4));
	EXPECT_ERR(-EINVAL, map(sim, fd, REGION(2), PAGE, MAP_SHARED, &addr));
	done(sim, fd);
}

UNIT(sim_device, binds_that_are_refused)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct bind {
		struct abi_vfio_device_bind_iommufd cmd;
		uint64_t tail;
	};
	const struct {
		const char *what;
		struct bind bind;
		int result;
	} rows[] = {
		{ "argsz too small", { { 15, 0, rig->iommu, 0, 0 }, 0 }, -EINVAL },
		{ "a tail that is not zero", { { 32, 0, rig->iommu, 0, 0 }, 1 }, -E2BIG },
		{ "a tail before a bad descriptor", { { 32, 0, -1, 0, 0 }, 1 }, -E2BIG },
		{ "negative descriptor", { { 24, 0, -1, 0, 0 }, 0 }, -EINVAL },
		{ "unknown flag", { { 24, 2, rig->iommu, 0, 0 }, 0 }, -EINVAL },
		{ "closed descriptor", { { 16, 0, 9999, 0, 0 }, 0 }, -EBADF },
		{ "no iommufd", { { 16, 0, 0, 0, 0 }, 0 }, -EBADFD },
		{ "a device", { { 16, 0, rig->fd, 0, 0 }, 0 }, -EBADFD },
		{ "a token that nobody wants", { { 24, 1, rig->iommu, 0, (uintptr_t)rig }, 0 }, -EINVAL },
		{ "a token that is not there", { { 24, 1, rig->iommu, 0, 0 }, 0 }, -EFAULT },
		{ "bound by another descriptor", { { 24, 0, rig->iommu, 0, 0 }, 0 }, -EINVAL },
	};
	int fd = device_node(rig->device); /* a second opener is none of the kernel's business */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bind bind = rows[i].bind;

		t_note(t, "%s", rows[i].what);
		EXPECT_EQ(call(rig->sim, fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &bind), rows[i].result);
		EXPECT_EQ(bind.cmd.out_devid, 0);
	}
	t_note(t, "the one that is bound");
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD,
				 &(struct bind){ { 16, 0, rig->iommu, 0, 0 }, 0 }));
	EXPECT_ERR(-EINVAL, call(rig->sim, fd, ABI_VFIO_DEVICE_GET_INFO,
				 &(struct abi_vfio_device_info){ .argsz = 24 }));
	done(rig->sim, fd);
}

UNIT(sim_device, an_answer_that_cannot_be_given_unbinds)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct abi_vfio_device_bind_iommufd cmd = { .argsz = 16, .iommufd = rig->iommu };

	done(rig->sim, rig->fd);
	rig->fd = device_node(rig->device);
	weir_sim_fail_call(rig->sim, 1, -EFAULT, true);
	EXPECT_ERR(-EFAULT, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &cmd));
	EXPECT_ERR(-EINVAL, get(rig->sim, rig->fd, CONFIG, &cmd, 4));
	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &cmd));
	EXPECT_EQ(cmd.out_devid, 1);
}

UNIT(sim_device, group_and_character_device_exclude_each_other)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct abi_vfio_device_bind_iommufd cmd = { .argsz = 16, .iommufd = rig->iommu };

	EXPECT_ERR(-EBUSY, group_node(rig->device));
	done(rig->sim, rig->fd);
	rig->fd = device_node(rig->device);
	rig->group = group_node(rig->device);
	ASSERT_GE(rig->group, 0);
	EXPECT_ERR(-EBUSY, group_node(rig->device));
	EXPECT_ERR(-EBUSY, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &cmd));
}

UNIT(sim_device, descriptors_from_a_group_know_no_attachment)
{
	struct rig *rig = rig_new(t, &probe_model, BY_COMPAT);
	uint32_t words[6] = { 24 };

	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, words));
	EXPECT_ERR(-ENOTTY, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, words));
	EXPECT_ERR(-ENOTTY, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, words));
}

UNIT(sim_device, attach_and_detach)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct abi_iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct abi_vfio_device_attach_iommufd_pt attach = { .argsz = 12 };
	struct abi_vfio_device_detach_iommufd_pt detach = { .argsz = 8 };

	ASSERT_OK(call(rig->sim, rig->iommu, ABI_IOMMU_IOAS_ALLOC, &ioas));
	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach)); /* [VM] */
	attach.pt_id = ioas.out_ioas_id;
	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
	EXPECT_EQ(attach.pt_id, ioas.out_ioas_id + 1); /* the automatic table's */
	attach.pt_id = 99;
	EXPECT_ERR(-ENOENT, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
	attach.flags = 2;
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
	attach = (struct abi_vfio_device_attach_iommufd_pt){ .argsz = 11 };
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
	detach.flags = 2;
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	detach = (struct abi_vfio_device_detach_iommufd_pt){ .argsz = 7 };
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	detach.argsz = 8;
	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	EXPECT_TRUE(rig->device->group->domain == NULL);
}

/* Mappings (B.5) ----------------------------------------------------------------------------------------- */

UNIT(sim_device, mappings_that_are_refused)
{
	static const struct {
		const char *what;
		uint64_t offset;
		size_t len;
		int flags;
	} rows[] = {
		{ "private", REGION(2), PAGE, MAP_PRIVATE },
		{ "registers", REGION(0), PAGE, MAP_SHARED },
		{ "ports", REGION(1), PAGE, MAP_SHARED },
		{ "absent", REGION(3), PAGE, MAP_SHARED },
		{ "ROM", REGION(6), PAGE, MAP_SHARED },
		{ "configuration space", REGION(7), PAGE, MAP_SHARED },
		{ "no region", REGION(9), PAGE, MAP_SHARED },
		{ "too long", REGION(2), PROBE_RAM + 1, MAP_SHARED },
		{ "past the end", REGION(2) + PROBE_RAM, PAGE, MAP_SHARED },
		{ "across the end", REGION(2) + PROBE_RAM - PAGE, 2 * PAGE, MAP_SHARED },
		{ "nothing", REGION(2), 0, MAP_SHARED },
		{ "inside a page", REGION(2) + 8, PAGE, MAP_SHARED },
	};
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	void *addr = NULL;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "%s", rows[i].what);
		EXPECT_ERR(-EINVAL,
			   map(rig->sim, rig->fd, rows[i].offset, rows[i].len, rows[i].flags, &addr));
		EXPECT_TRUE(addr == NULL);
	}
}

UNIT(sim_device, mapped_memory_is_the_bars)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	unsigned char *ram = weir_sim_device_ram(rig->device, 2);
	void *mapped, *small;

	ASSERT_OK(map(rig->sim, rig->fd, REGION(2) + PAGE, 2 * PAGE, MAP_SHARED, &mapped));
	ASSERT_OK(map(rig->sim, rig->fd, REGION(4), PAGE, MAP_SHARED, &small)); /* a BAR less than a page */
	((unsigned char *)mapped)[3] = 0x77;
	EXPECT_EQ(ram[PAGE + 3], 0x77);
	ram[PAGE + 4] = 0x78;
	EXPECT_EQ(((unsigned char *)mapped)[4], 0x78);
	EXPECT_OK(unmap(rig->sim, mapped, 2 * PAGE));
	EXPECT_OK(unmap(rig->sim, small, PAGE));
}

UNIT(sim_device, memory_off_is_sigbus)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	unsigned char *early, *late;
	void *mapped;

	ASSERT_OK(map(rig->sim, rig->fd, REGION(2), PAGE, MAP_SHARED, &mapped));
	early = mapped;
	*early = 0x42;
	put16(rig->sim, rig->fd, CONFIG + PCI_COMMAND, 0);
	EXPECT_EQ(touch(early), SIGBUS);
	ASSERT_OK(map(rig->sim, rig->fd, REGION(2), PAGE, MAP_SHARED, &mapped));
	late = mapped;
	EXPECT_EQ(touch(late), SIGBUS);
	put16(rig->sim, rig->fd, CONFIG + PCI_COMMAND, PCI_COMMAND_MEMORY);
	EXPECT_EQ(touch(early), 0);
	EXPECT_EQ(*early, 0x42);
	EXPECT_EQ(*late, 0x42);
	weir_sim_unplug(rig->device, true);
	EXPECT_EQ(*early, 0xff);
	EXPECT_OK(unmap(rig->sim, early, PAGE));
	EXPECT_OK(unmap(rig->sim, late, PAGE));
}

UNIT(sim_device, a_mapping_keeps_the_device_open)
{
	struct rig *rig = rig_new(t, &probe_model, BY_CDEV);
	struct abi_vfio_device_bind_iommufd cmd = { .argsz = 16, .iommufd = rig->iommu };
	void *mapped;

	ASSERT_OK(map(rig->sim, rig->fd, REGION(2), 4 * PAGE, MAP_SHARED, &mapped));
	done(rig->sim, rig->fd);
	rig->fd = device_node(rig->device);
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &cmd));
	EXPECT_OK(unmap(rig->sim, (char *)mapped + PAGE, PAGE)); /* in the middle */
	EXPECT_EQ(touch((unsigned char *)mapped), 0);
	EXPECT_OK(unmap(rig->sim, mapped, PAGE));
	EXPECT_ERR(-EINVAL, call(rig->sim, rig->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &cmd));
	EXPECT_OK(unmap(rig->sim, (char *)mapped + 2 * PAGE, 2 * PAGE));
	EXPECT_OK(call(rig->sim, rig->fd, ABI_VFIO_DEVICE_BIND_IOMMUFD, &cmd));
}
