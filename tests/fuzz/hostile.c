// SPDX-License-Identifier: MIT
/* A kernel that lies. */
#include "fuzz/hostile.h"

#include <errno.h>
#include <stdio.h>

#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"
#include "support/yes_parts.h"

/* What is wrong with an answer. Mostly nothing, or nothing would ever be opened. */
enum lie { TRUTH, ERROR, GARBAGE, FIELD };

enum { MOST_CALLS = 200000 }; /* of one input: more means that something goes round in circles */

static enum lie next_lie(struct hostile *hostile)
{
	static const enum lie lies[] = { [0] = GARBAGE, [1] = FIELD, [2] = ERROR };
	uint8_t byte = in_empty(&hostile->in) ? UINT8_MAX : in_u8(&hostile->in);

	if (++hostile->calls > MOST_CALLS)
		fail("more than %d system calls", MOST_CALLS);
	return byte < 96 ? lies[byte % 3] : TRUTH;
}

static int an_error(struct hostile *hostile)
{
	static const int errors[] = { -EINVAL, -ENOMEM, -ENOTTY, -EBUSY,    -ENODEV,
				      -EFAULT, -EPERM,  -EAGAIN, -ENOENT,   -ENOSPC,
				      -EIO,    -EACCES, -EINTR,  -EMSGSIZE, -EOPNOTSUPP };

	return in_pick(&hostile->in, errors);
}

/* Half of it is numbers that matter, the other half anything. */
static uint64_t a_number(struct hostile *hostile, size_t width)
{
	static const uint64_t numbers[] = { 0,          1,          2,          3,      4,     8,
					    16,         24,         32,         40,     64,    0xff,
					    0x100,      0x200,      0x1000,     0xffff, 10000, 0x10000,
					    0x7fffffff, 1ull << 32, 1ull << 39, ~0ull,  ~1ull, ~7ull,
					    ~0xfffull,  1ull << 63, 0xfee00000 };
	uint64_t number = 0;

	if (in_u8(&hostile->in) & 1)
		return in_pick(&hostile->in, numbers);
	in_bytes(&hostile->in, &number, width);
	return number;
}

/* Ioctls ------------------------------------------------------------------------------------------------- */

/* How much of the argument is the kernel's to write: of those that say it themselves, what they say. */
static size_t room_of(unsigned long request, const void *arg)
{
	uint32_t said;

	switch (request) {
	case ABI_VFIO_GET_API_VERSION:
	case ABI_VFIO_CHECK_EXTENSION:
	case ABI_VFIO_SET_IOMMU:
	case ABI_VFIO_GROUP_SET_CONTAINER:
	case ABI_VFIO_GROUP_UNSET_CONTAINER:
	case ABI_VFIO_GROUP_GET_DEVICE_FD:
	case ABI_VFIO_DEVICE_RESET:
		return 0;
	default:
		memcpy(&said, arg, sizeof(said));
		return said;
	}
}

/* Of the ranges that are asked for, as many as there is room for, and then the number is a lie. */
static void garbage_ranges(struct hostile *hostile, struct abi_iommu_ioas_iova_ranges *cmd)
{
	struct abi_iommu_iova_range *ranges = (void *)(uintptr_t)cmd->allowed_iovas;

	for (uint32_t i = 0; i < cmd->num_iovas && !in_empty(&hostile->in); i++) {
		ranges[i].start = a_number(hostile, 8);
		ranges[i].last = a_number(hostile, 8);
	}
	cmd->num_iovas = (uint32_t)a_number(hostile, 1);
	cmd->out_iova_alignment = a_number(hostile, 2);
}

/* A chain of capabilities such as the kernel makes them, but for what they say. Offsets and lengths are in words. */
static void garbage_chain(struct hostile *hostile, uint32_t *words, size_t num_words)
{
	size_t at = 8;

	while (at + 4 < num_words && in_u8(&hostile->in) >= 64) {
		size_t len = 4 + in_u8(&hostile->in) % 16u;

		words[at] = in_below(&hostile->in, 5) | 1 << 16;
		words[at + 1] = (uint32_t)(in_u8(&hostile->in) < 200 ? (at + len) * 4 : a_number(hostile, 4));
		words[at + 2] = (uint32_t)(in_u8(&hostile->in) < 128 ? (len - 4) / 4 : a_number(hostile, 4));
		for (size_t i = 3; i < len && at + i < num_words; i++)
			words[at + i] = i % 2 ? 0 : (uint32_t)a_number(hostile, 4);
		at += len;
	}
}

/* Functions that a hot reset reaches, ours and others', and how many there are said to be. */
static void garbage_reach(struct hostile *hostile, struct abi_vfio_pci_hot_reset_info *info, size_t room)
{
	size_t most = (room - sizeof(*info)) / sizeof(info->devices[0]);
	uint32_t num = in_u8(&hostile->in) % 20u;

	info->flags = in_u8(&hostile->in) % 4u;
	info->count = in_u8(&hostile->in) < 200 ? num : (uint32_t)a_number(hostile, 4);
	for (uint32_t i = 0; i < num && i < most; i++)
		info->devices[i].devid = in_u8(&hostile->in) < 200 ? in_below(&hostile->in, 5)
								   : (uint32_t)a_number(hostile, 4);
}

/* The frame stays as it was asked for, but for argsz, with which the kernel says how much room it wants. */
static void garbage(struct hostile *hostile, unsigned long request, void *arg, size_t room)
{
	uint32_t *words = arg;
	size_t len = in_u8(&hostile->in) * 4u;

	if (request == ABI_IOMMU_IOAS_IOVA_RANGES)
		garbage_ranges(hostile, arg);
	if (request >= ABI_IOMMU_DESTROY)
		return;
	if (len > room - 4)
		len = room - 4;
	if (request == ABI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO && room >= 16 && in_u8(&hostile->in) & 1) {
		garbage_reach(hostile, arg, room);
		return;
	}
	if (request == ABI_VFIO_DEVICE_GET_REGION_INFO || request == ABI_VFIO_IOMMU_GET_INFO) {
		/* Both have their chain behind the frame, and say where it begins in different places. */
		uint32_t flags = request == ABI_VFIO_DEVICE_GET_REGION_INFO
					 ? ABI_VFIO_REGION_INFO_FLAG_CAPS | ABI_VFIO_REGION_INFO_FLAG_MMAP
					 : ABI_VFIO_IOMMU_INFO_CAPS;
		size_t offset_at = request == ABI_VFIO_DEVICE_GET_REGION_INFO ? 3 : 4;

		if (room >= 64 && in_u8(&hostile->in) & 1) {
			words[1] |= flags;
			words[offset_at] = 32;
			garbage_chain(hostile, words, room / 4);
			return;
		}
	}
	in_bytes(&hostile->in, words + 1, len);
	if (in_u8(&hostile->in) & 1)
		words[0] = (uint32_t)a_number(hostile, 3);
}

/* One field of a true answer. */
static void change_field(struct hostile *hostile, unsigned long request, void *arg, size_t room)
{
	size_t width = in_u8(&hostile->in) & 1 ? 8 : 4, most = room < 256 ? room : 256;
	size_t at = in_u8(&hostile->in) * 4u;
	uint64_t number = a_number(hostile, width);

	if (room < width || request == ABI_IOMMU_IOAS_IOVA_RANGES)
		return;
	at %= most - width + 4;
	if (at + width > room)
		at = 0;
	memcpy((char *)arg + at, &number, width);
}

static int hostile_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	struct hostile *hostile = ctx;
	const struct weir_sys *yes = &hostile->yes.table;
	enum lie lie = next_lie(hostile);
	size_t room = lie == TRUTH || lie == ERROR ? 0 : room_of(request, arg);
	int result;

	say("ioctl %#lx of %d: %s", request, fd,
	    (const char *const[]){ "true", "error", "garbage", "field" }[lie]);
	if (lie == ERROR)
		return an_error(hostile);
	result = yes->ioctl(yes->ctx, fd, request, arg);
	if (lie == TRUTH || request == ABI_VFIO_GROUP_GET_DEVICE_FD)
		return result;
	if (request == ABI_VFIO_GET_API_VERSION || request == ABI_VFIO_CHECK_EXTENSION)
		return (int)a_number(hostile, 1);
	if (room < 8)
		return result;
	if (lie == GARBAGE)
		garbage(hostile, request, arg, room);
	else
		change_field(hostile, request, arg, room);
	if (request == ABI_VFIO_DEVICE_SET_IRQS)
		return in_u8(&hostile->in);
	if (in_u8(&hostile->in) % 8 == 0)
		return an_error(hostile);
	return result < 0 ? 0 : result;
}

/* Files -------------------------------------------------------------------------------------------------- */

static int hostile_open(void *ctx, const char *path, int flags)
{
	struct hostile *hostile = ctx;
	enum lie lie = next_lie(hostile);

	say("open %s: %d", path, lie);
	if (lie == ERROR)
		return an_error(hostile);
	if (lie != TRUTH && strncmp(path, "/dev", 4) != 0) {
		in_bytes(&hostile->in, hostile->files, in_u8(&hostile->in) % (sizeof(hostile->files) - 1));
		return yes_fd_new(&hostile->yes, YES_FILE, 0, hostile->files);
	}
	return hostile->yes.table.open(&hostile->yes, path, flags);
}

static ssize_t hostile_read(void *ctx, int fd, void *buf, size_t len)
{
	struct hostile *hostile = ctx;
	ssize_t got;

	switch (next_lie(hostile)) {
	case ERROR:
		return an_error(hostile);
	case FIELD:
		return hostile->yes.table.read(&hostile->yes, fd, buf, len > 1 ? len / 2 : len);
	default:
		got = hostile->yes.table.read(&hostile->yes, fd, buf, len);
		if (got != -EAGAIN || in_empty(&hostile->in))
			return got;
		in_bytes(&hostile->in, buf, len); /* an eventfd */
		return (ssize_t)len;
	}
}

static ssize_t transfer(struct hostile *hostile, int fd, void *buf, size_t len, uint64_t offset, bool write)
{
	enum lie lie = next_lie(hostile);

	if (lie == ERROR)
		return an_error(hostile);
	if (lie == FIELD)
		len /= 2;
	if (lie == GARBAGE) {
		if (!write)
			in_bytes(&hostile->in, buf, len);
		return (ssize_t)len;
	}
	if (write)
		return hostile->yes.table.pwrite(&hostile->yes, fd, buf, len, offset);
	return hostile->yes.table.pread(&hostile->yes, fd, buf, len, offset);
}

static ssize_t hostile_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
	return transfer(ctx, fd, buf, len, offset, false);
}

static ssize_t hostile_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
	return transfer(ctx, fd, (void *)buf, len, offset, true);
}

static ssize_t hostile_readlink(void *ctx, const char *path, char *buf, size_t len)
{
	struct hostile *hostile = ctx;
	enum lie lie = next_lie(hostile);
	size_t used;

	if (lie == ERROR)
		return an_error(hostile);
	if (lie == TRUTH)
		return hostile->yes.table.readlink(&hostile->yes, path, buf, len);
	used = in_u8(&hostile->in);
	if (lie == FIELD) /* as long as it can be */
		used = len;
	if (used > len)
		used = len;
	in_bytes(&hostile->in, buf, used);
	return (ssize_t)used;
}

/* Each entry ends in a zero byte: that is the table's promise, not the kernel's. */
static ssize_t hostile_list_dir(void *ctx, const char *path, char *buf, size_t len)
{
	struct hostile *hostile = ctx;
	enum lie lie = next_lie(hostile);
	size_t used;

	if (lie == ERROR)
		return an_error(hostile);
	if (lie == TRUTH)
		return hostile->yes.table.list_dir(&hostile->yes, path, buf, len);
	used = lie == FIELD ? len : in_u8(&hostile->in);
	if (used > len)
		return -ENOSPC;
	in_bytes(&hostile->in, buf, used);
	if (used)
		buf[used - 1] = '\0';
	return (ssize_t)used;
}

/* The rest ----------------------------------------------------------------------------------------------- */

static int hostile_poll(void *ctx, struct pollfd *fds, size_t num, int timeout_ms)
{
	struct hostile *hostile = ctx;

	(void)fds, (void)num, (void)timeout_ms;
	switch (next_lie(hostile)) {
	case ERROR:
		return an_error(hostile);
	case TRUTH:
		return 0;
	default:
		return 1;
	}
}

/* What is too long for an address space is refused; a BAR of some MiB will do for us. */
static int hostile_mmap(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
			void **ret_addr)
{
	struct hostile *hostile = ctx;

	say("mmap of %#zx bytes", len);
	if (next_lie(hostile) == ERROR)
		return an_error(hostile);
	if (!len || len > 64 << 20)
		return len ? -ENOMEM : -EINVAL;
	return hostile->yes.table.mmap(&hostile->yes, addr, len, prot, flags, fd, offset, ret_addr);
}

static int hostile_eventfd(void *ctx, unsigned int initial, int flags)
{
	struct hostile *hostile = ctx;

	if (next_lie(hostile) == ERROR)
		return an_error(hostile);
	return hostile->yes.table.eventfd(&hostile->yes, initial, flags);
}

static int hostile_sleep(void *ctx, uint64_t nanoseconds)
{
	(void)ctx;
	(void)nanoseconds;
	return 0;
}

static int hostile_close(void *ctx, int fd)
{
	struct hostile *hostile = ctx;

	return hostile->yes.table.close(&hostile->yes, fd);
}

static int hostile_munmap(void *ctx, void *addr, size_t len)
{
	struct hostile *hostile = ctx;

	return hostile->yes.table.munmap(&hostile->yes, addr, len);
}

void hostile_init(struct hostile *hostile, struct input in)
{
	memset(hostile, 0, sizeof(*hostile));
	hostile->in = in;
	yes_kernel_init(&hostile->yes);
	hostile->table = hostile->yes.table;
	hostile->table.ctx = hostile;
	hostile->table.open = hostile_open;
	hostile->table.close = hostile_close;
	hostile->table.eventfd = hostile_eventfd;
	hostile->table.ioctl = hostile_ioctl;
	hostile->table.read = hostile_read;
	hostile->table.pread = hostile_pread;
	hostile->table.pwrite = hostile_pwrite;
	hostile->table.poll = hostile_poll;
	hostile->table.mmap = hostile_mmap;
	hostile->table.munmap = hostile_munmap;
	hostile->table.readlink = hostile_readlink;
	hostile->table.list_dir = hostile_list_dir;
	hostile->table.sleep = hostile_sleep;
}

void hostile_finish(struct hostile *hostile)
{
	struct yes_state state = yes_kernel_state(&hostile->yes);

	if (state.fds || state.mmaps)
		fail("left behind: %u descriptors, %u mappings", state.fds, state.mmaps);
	yes_kernel_finish(&hostile->yes);
}
