// SPDX-License-Identifier: MIT
/* A simulated machine for the fuzzers of its kernel. */
#include "fuzz/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/vfio_abi.h"
#include "sim/device/device.h"

/* A device ------------------------------------------------------------------------------------------------ */

static int probe_create(struct weir_sim_device *device, const void *config, void **ret_state)
{
	(void)config;
	*ret_state = device;
	return 0;
}

static void probe_destroy(void *state)
{
	(void)state;
}

static uint64_t probe_read(void *state, unsigned int bar, uint64_t offset, unsigned int width)
{
	(void)state;
	return bar + offset + width;
}

/* Whatever is written is an interrupt, too. */
static void probe_write(void *state, unsigned int bar, uint64_t offset, unsigned int width, uint64_t value)
{
	struct weir_sim_device *device = state;

	(void)bar;
	(void)width;
	weir_sim_device_msi(device, (unsigned int)value);
	weir_sim_device_intx(device, offset & 8);
}

static bool probe_step(void *state)
{
	(void)state;
	return false;
}

static const struct weir_sim_model probe = {
	.size = sizeof(probe),
	.name = "probe",
	.vendor_id = 0x1234,
	.device_id = 0x5678,
	.class_code = 0xff0000,
	.flags = WEIR_SIM_FLR | WEIR_SIM_PCIE | WEIR_SIM_INTX,
	.msi_vectors = 4,
	.msix_vectors = 5,
	.msix_bar = 1,
	.msix_offset = 0x1000,
	.bars = { { .len = 4096 },
		  { .len = 65536, .flags = WEIR_SIM_BAR_RAM },
		  { .len = 16384, .flags = WEIR_SIM_BAR_RAM | WEIR_SIM_BAR_64BIT },
		  { 0 },
		  { .len = 256, .flags = WEIR_SIM_BAR_IO } },
	.create = probe_create,
	.destroy = probe_destroy,
	.read = probe_read,
	.write = probe_write,
	.step = probe_step,
};

/* The machine --------------------------------------------------------------------------------------------- */

static int lowest_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	close(fd);
	return fd;
}

void rig_open(struct rig *rig, const struct weir_sim_opts *opts, const struct weir_sim_slot *slots,
	      unsigned int num_devices)
{
	*rig = (struct rig){ .lowest_fd = lowest_free_fd() };
	CHECK(weir_sim_open(opts, &rig->sim) == 0);
	rig->sys = weir_sim_sys(rig->sim);
	for (uint32_t i = 0; i < num_devices; i++)
		CHECK(weir_sim_add(rig->sim, &probe, &slots[i], NULL, &rig->devices[i]) == 0);
}

void rig_close(struct rig *rig)
{
	CHECK(weir_sim_close(rig->sim) == 0);
	CHECK(lowest_free_fd() == rig->lowest_fd);
}

int rig_node(const struct rig *rig, const char *path)
{
	return rig->sys->open(rig->sys->ctx, path, O_RDWR);
}

int rig_cdev(const struct rig *rig, unsigned int device)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%u", rig->devices[device]->vfio_number);
	return rig_node(rig, path);
}

int rig_group_device(const struct rig *rig, int group_fd, unsigned int device)
{
	char address[16];

	snprintf(address, sizeof(address), "%s", weir_sim_device_address(rig->devices[device]));
	return rig_ioctl(rig, group_fd, ABI_VFIO_GROUP_GET_DEVICE_FD, address);
}

int rig_ioctl(const struct rig *rig, int fd, unsigned long request, void *arg)
{
	return rig->sys->ioctl(rig->sys->ctx, fd, request, arg);
}

void rig_fd_close(const struct rig *rig, int fd)
{
	CHECK(rig->sys->close(rig->sys->ctx, fd) == 0);
}

void rig_enable(const struct rig *rig, int device_fd)
{
	const unsigned char command[2] = { 0x06, 0 };
	uint64_t at = (uint64_t)ABI_VFIO_PCI_CONFIG_REGION_INDEX << 40 | 4;

	CHECK(rig->sys->pwrite(rig->sys->ctx, device_fd, command, sizeof(command), at) == sizeof(command));
}

/* Memory -------------------------------------------------------------------------------------------------- */

unsigned char *arena_start(void)
{
	static unsigned char *start;
	size_t writable = WRITABLE_PAGES * PAGE, readable = READABLE_PAGES * PAGE;

	if (start)
		return start;
	/* In the middle of nothing on both sides. */
	start = mmap(NULL, writable + readable + 2ul * NOTHING_PAGES * PAGE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(start != MAP_FAILED);
	start += NOTHING_PAGES * PAGE;
	CHECK(mprotect(start, writable, PROT_READ | PROT_WRITE) == 0);
	CHECK(mprotect(start + writable, readable, PROT_READ) == 0);
	return start;
}

bool arena_can_pin(uint64_t addr, uint64_t len, bool write)
{
	uint64_t start = (uintptr_t)arena_start();
	uint64_t end = start + (WRITABLE_PAGES + (write ? 0 : READABLE_PAGES)) * (uint64_t)PAGE;

	return addr >= start && addr < end && len <= end - addr;
}

uint64_t arena_address(struct input *in)
{
	static const uint64_t nowhere[] = { 0, 0x1000, 1ull << 63, ~0ull - 0xfff, 0x8000000000001000 };
	static const uint64_t offsets[] = { 0, 0, 0, 123, 0x800, 0xffc };
	uint8_t byte = in_u8(in);

	if (byte >= 248)
		return in_pick(in, nowhere);
	if (byte < 192)
		return (uintptr_t)arena_start() + byte % (WRITABLE_PAGES + 1) * PAGE;
	return (uintptr_t)arena_start() + byte % 22 * PAGE + in_pick(in, offsets);
}

int arena_file(void)
{
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("arena", MFD_CLOEXEC);
		CHECK(fd >= 0 && ftruncate(fd, FILE_SIZE) == 0);
	}
	return fd;
}

void *arena_struct(size_t len)
{
	enum { ROOM = 16 * PAGE };
	static unsigned char *end;

	if (!end) {
		end = mmap(NULL, ROOM + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(end != MAP_FAILED && mprotect(end, ROOM, PROT_READ | PROT_WRITE) == 0);
		end += ROOM;
	}
	CHECK(len <= ROOM);
	return end - len;
}
