// SPDX-License-Identifier: MIT
/* /dev/iommu of a simulated machine, spoken to as a program does. */
#include "sim_iommu.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sim/device/pci.h"

/* Descriptors -------------------------------------------------------------------------------------------- */

struct open_fd {
	struct weir_sim *sim;
	int fd;
};

static void close_open_fd(void *arg)
{
	struct open_fd *open = arg;

	if (fcntl(open->fd, F_GETFD) >= 0)
		close_node(open->sim, open->fd);
	free(open);
}

int open_node(struct t *t, struct weir_sim *sim, const char *path)
{
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct open_fd *open = malloc(sizeof(*open));
	int fd = sys->open(sys->ctx, path, O_RDWR);

	ASSERT_TRUE(open);
	*open = (struct open_fd){ sim, fd };
	t_defer(t, close_open_fd, open);
	ASSERT_GE(fd, 0);
	return fd;
}

int open_iommufd(struct t *t, struct weir_sim *sim)
{
	return open_node(t, sim, "/dev/iommu");
}

void close_node(struct weir_sim *sim, int fd)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	EXPECT_OK(sys->close(sys->ctx, fd));
}

/* Commands ----------------------------------------------------------------------------------------------- */

int call(struct weir_sim *sim, int fd, uint32_t request, void *arg)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	return sys->ioctl(sys->ctx, fd, request, arg);
}

int command(struct weir_sim *sim, int iommufd, uint32_t number, union cmd *cmd)
{
	static const uint32_t sizes[] = { 8,  12, 24, 40, 32, 40, 24, 24, 12, 48, 40,
					  16, 48, 32, 16, 40, 40, 24, 8,  32, 40 };

	if (!cmd->size)
		cmd->size = sizes[number - ABI_IOMMUFD_CMD_BASE];
	return call(sim, iommufd, ABI_IOMMUFD_TYPE << 8 | number, cmd);
}

void run_rows(struct t *t, struct weir_sim *sim, int iommufd, const struct row *rows, size_t num)
{
	for (size_t i = 0; i < num; i++) {
		union cmd cmd = rows[i].cmd;

		t_note(t, "%s", rows[i].what);
		EXPECT_ERR(rows[i].error, command(sim, iommufd, rows[i].number, &cmd));
		/* What has failed has not touched the struct. */
		if (rows[i].number != 0x84 && rows[i].number != 0x8d) {
			cmd.size = rows[i].cmd.size;
			EXPECT_MEMEQ(&cmd, &rows[i].cmd, sizeof(cmd));
		}
	}
	t_note(t, "%s", "");
}

uint32_t new_ioas(struct weir_sim *sim, int iommufd)
{
	union cmd cmd = { 0 };

	ASSERT_OK(command(sim, iommufd, 0x81, &cmd));
	return cmd.ioas_alloc.out_ioas_id;
}

int destroy(struct weir_sim *sim, int iommufd, uint32_t id)
{
	union cmd cmd = { .destroy = { .id = id } };

	return command(sim, iommufd, 0x80, &cmd);
}

int map_at(struct weir_sim *sim, int iommufd, uint32_t ioas, const void *addr, uint64_t len, uint64_t iova)
{
	union cmd cmd = { .map = { .flags = FIXED | BOTH,
				   .ioas_id = ioas,
				   .user_va = (uintptr_t)addr,
				   .length = len,
				   .iova = iova } };

	return command(sim, iommufd, 0x85, &cmd);
}

int map_anywhere(struct weir_sim *sim, int iommufd, uint32_t ioas, const void *addr, uint64_t len,
		 uint64_t *ret_iova)
{
	union cmd cmd = {
		.map = { .flags = BOTH, .ioas_id = ioas, .user_va = (uintptr_t)addr, .length = len }
	};
	int error = command(sim, iommufd, 0x85, &cmd);

	*ret_iova = cmd.map.iova;
	return error;
}

int map_file(struct weir_sim *sim, int iommufd, uint32_t ioas, int fd, uint64_t start, uint64_t len,
	     uint32_t flags, uint64_t iova)
{
	union cmd cmd = { .map_file = { .flags = flags | FIXED,
					.ioas_id = ioas,
					.fd = fd,
					.start = start,
					.length = len,
					.iova = iova } };

	return command(sim, iommufd, 0x8f, &cmd);
}

int unmap(struct weir_sim *sim, int iommufd, uint32_t ioas, uint64_t iova, uint64_t *len)
{
	union cmd cmd = { .unmap = { .ioas_id = ioas, .iova = iova, .length = *len } };
	int error = command(sim, iommufd, 0x86, &cmd);

	*len = cmd.unmap.length;
	return error;
}

int hwpt_alloc(struct weir_sim *sim, int iommufd, uint32_t dev_id, uint32_t ioas, uint32_t *ret_hwpt)
{
	union cmd cmd = { .hwpt = { .dev_id = dev_id, .pt_id = ioas } };
	int error = command(sim, iommufd, 0x89, &cmd);

	*ret_hwpt = cmd.hwpt.out_hwpt_id;
	return error;
}

int copy_at(struct weir_sim *sim, int iommufd, uint32_t from, uint64_t from_iova, uint64_t len, uint32_t to,
	    uint64_t iova, uint32_t flags)
{
	union cmd cmd = { .copy = { .flags = flags | FIXED,
				    .src_ioas_id = from,
				    .dst_ioas_id = to,
				    .length = len,
				    .src_iova = from_iova,
				    .dst_iova = iova } };

	return command(sim, iommufd, 0x83, &cmd);
}

struct ranges ranges_of(struct weir_sim *sim, int iommufd, uint32_t ioas)
{
	struct ranges ranges;
	union cmd cmd = { .ranges = {
				  .ioas_id = ioas, .num_iovas = 4, .allowed_iovas = (uintptr_t)ranges.at } };

	memset(&ranges, 0, sizeof(ranges));
	EXPECT_OK(command(sim, iommufd, 0x84, &cmd));
	ranges.num = cmd.ranges.num_iovas;
	ranges.alignment = cmd.ranges.out_iova_alignment;
	return ranges;
}

/* Devices ------------------------------------------------------------------------------------------------ */

int open_cdev(struct t *t, struct weir_sim *sim, const struct weir_sim_device *device)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%u", device->vfio_number);
	return open_node(t, sim, path);
}

int bind_cdev(struct weir_sim *sim, int cdev, int iommufd, uint32_t *ret_dev_id)
{
	struct abi_vfio_device_bind_iommufd cmd = { .argsz = sizeof(cmd), .iommufd = iommufd };
	int error = call(sim, cdev, ABI_VFIO_DEVICE_BIND_IOMMUFD, &cmd);

	*ret_dev_id = cmd.out_devid;
	return error;
}

int attach(struct weir_sim *sim, int cdev, uint32_t *pt_id)
{
	struct abi_vfio_device_attach_iommufd_pt cmd = { .argsz = sizeof(cmd), .pt_id = *pt_id };
	int error = call(sim, cdev, ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);

	*pt_id = cmd.pt_id;
	return error;
}

int attach_to(struct weir_sim *sim, int cdev, uint32_t pt_id)
{
	return attach(sim, cdev, &pt_id);
}

int detach(struct weir_sim *sim, int cdev)
{
	struct abi_vfio_device_detach_iommufd_pt cmd = { .argsz = sizeof(cmd) };

	return call(sim, cdev, ABI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

void set_bus_master(struct weir_sim *sim, int cdev)
{
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct abi_vfio_region_info info = { .argsz = sizeof(info),
					     .index = ABI_VFIO_PCI_CONFIG_REGION_INDEX };
	unsigned char value[2];

	ASSERT_OK(call(sim, cdev, ABI_VFIO_DEVICE_GET_REGION_INFO, &info));
	sim_put16(value, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ASSERT_EQ(sys->pwrite(sys->ctx, cdev, value, sizeof(value), info.offset + PCI_COMMAND),
		  sizeof(value));
}

bool reaches(struct weir_sim_device *device, uint64_t iova)
{
	char byte;

	return weir_sim_device_dma_read(device, iova, &byte, 1) == 0;
}

struct board new_board(struct t *t)
{
	return new_board_on(t, NULL, NULL);
}

struct board new_board_on(struct t *t, const struct weir_sim_opts *opts, const struct weir_sim_slot *slot)
{
	struct board board = { .sim = new_machine(t, opts) };

	ASSERT_OK(weir_sim_add(board.sim, &toy_model, slot, NULL, &board.device));
	board.iommufd = open_iommufd(t, board.sim);
	board.ioas = new_ioas(board.sim, board.iommufd);
	board.cdev = open_cdev(t, board.sim, board.device);
	ASSERT_OK(bind_cdev(board.sim, board.cdev, board.iommufd, &board.dev_id));
	set_bus_master(board.sim, board.cdev);
	return board;
}

/* Memory ------------------------------------------------------------------------------------------------- */

struct memory {
	void *addr;
	size_t len;
};

static void free_memory(void *arg)
{
	struct memory *memory = arg;

	munmap(memory->addr, memory->len);
	free(memory);
}

unsigned char *new_memory(struct t *t, size_t len)
{
	struct memory *memory = malloc(sizeof(*memory));

	ASSERT_TRUE(memory);
	memory->len = len;
	memory->addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	t_defer(t, free_memory, memory);
	ASSERT_TRUE(memory->addr != MAP_FAILED);
	return memory->addr;
}

static void close_fd(void *fd)
{
	close((int)(intptr_t)fd);
}

int new_memfd(struct t *t, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ASSERT_GE(fd, 0);
	t_defer(t, close_fd, (void *)(intptr_t)fd);
	ASSERT_OK(ftruncate(fd, (off_t)len));
	return fd;
}

/* Rights ------------------------------------------------------------------------------------------------- */

struct caps {
	struct __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3];
};

static void change_caps(struct caps *caps, bool set)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	ASSERT_OK(syscall(set ? SYS_capset : SYS_capget, &header, caps->words));
}

static void restore_capabilities(void *arg)
{
	change_caps(arg, true);
	free(arg);
}

void drop_capabilities(struct t *t)
{
	struct caps *before = malloc(sizeof(*before)), none;

	ASSERT_TRUE(before);
	change_caps(before, false);
	t_defer(t, restore_capabilities, before);
	none = *before;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		none.words[i].effective = 0;
	change_caps(&none, true);
}

static void restore_limit(void *arg)
{
	EXPECT_OK(setrlimit(RLIMIT_MEMLOCK, arg));
	free(arg);
}

void limit_memlock(struct t *t, uint64_t bytes)
{
	struct rlimit *before = malloc(sizeof(*before)), now;

	ASSERT_TRUE(before);
	ASSERT_OK(getrlimit(RLIMIT_MEMLOCK, before));
	t_defer(t, restore_limit, before);
	now = *before;
	now.rlim_cur = bytes;
	ASSERT_OK(setrlimit(RLIMIT_MEMLOCK, &now));
}
