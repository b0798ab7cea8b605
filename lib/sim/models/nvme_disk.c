// SPDX-License-Identifier: MIT
/* What is on the disk. Memory is a file too: one without a name. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "sim/models/nvme.h"

enum { DEFAULT_CAPACITY = 64 << 20, ZEROES = 64 << 10 };

static int open_image(struct sim_nvme_disk *disk, const char *path, off_t *ret_len)
{
	struct stat status;

	disk->fd = open(path, (disk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (disk->fd < 0 && errno == EISDIR)
		return weir_fail(-EINVAL, "disk image %s is a directory", path);
	if (disk->fd < 0)
		return weir_fail(-errno, "disk image %s cannot be opened for %s: %m", path,
				 disk->read_only ? "reading"
						 : "reading and writing (read_only would do without)");
	if (fstat(disk->fd, &status) < 0)
		return weir_fail(-errno, "disk image %s: %m", path);
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return weir_fail(-EINVAL, "disk image %s is neither a file nor a block device", path);
	*ret_len = lseek(disk->fd, 0, SEEK_END);
	if (*ret_len < 0)
		return weir_fail(-errno, "disk image %s has no size: %m", path);
	if (*ret_len == 0)
		return weir_fail(-EINVAL, "disk image %s is empty", path);
	if (*ret_len % disk->block_size != 0)
		return weir_fail(-EINVAL,
				 "disk image %s has %jd bytes, which is no multiple of its block size, %u",
				 path, (intmax_t)*ret_len, disk->block_size);
	return 0;
}

static int make_memory(struct sim_nvme_disk *disk, uint64_t capacity, off_t *ret_len)
{
	if (capacity == 0)
		capacity = DEFAULT_CAPACITY;
	if (capacity % disk->block_size != 0 || capacity > INT64_MAX)
		return weir_fail(-EINVAL,
				 "a capacity of %" PRIu64
				 " bytes is too much, or no multiple of the block size, %u",
				 capacity, disk->block_size);
	disk->fd = memfd_create("weir-sim-nvme", MFD_CLOEXEC);
	if (disk->fd < 0)
		return weir_fail(-errno, "no memory file for a disk: %m");
	if (ftruncate(disk->fd, (off_t)capacity) < 0)
		return weir_fail(-errno, "no memory file of %" PRIu64 " bytes for a disk: %m", capacity);
	*ret_len = (off_t)capacity;
	return 0;
}

int sim_nvme_disk_open(struct sim_nvme_disk *disk, const struct weir_sim_nvme_opts *opts)
{
	uint32_t block_size = opts->block_size ? opts->block_size : 512;
	off_t len = 0;
	int r;

	if (block_size != 512 && block_size != 4096)
		return weir_fail(-EINVAL, "blocks of %u bytes: 512 or 4096", block_size);
	if (opts->image && opts->capacity != 0)
		return weir_fail(-EINVAL, "the image decides the capacity; give one of them");
	*disk = (struct sim_nvme_disk){ .fd = -1, .block_size = block_size, .read_only = opts->read_only };
	r = opts->image ? open_image(disk, opts->image, &len) : make_memory(disk, opts->capacity, &len);
	if (r < 0)
		sim_nvme_disk_close(disk);
	disk->num_blocks = (uint64_t)len / block_size;
	return r;
}

void sim_nvme_disk_close(struct sim_nvme_disk *disk)
{
	if (disk->fd >= 0)
		close(disk->fd);
	disk->fd = -1;
}

/* The file may have become shorter since it was opened: that is -EIO. */
int sim_nvme_disk_read(const struct sim_nvme_disk *disk, uint64_t block, uint64_t num, void *buf)
{
	uint64_t offset = block * disk->block_size, len = num * disk->block_size, done = 0;

	while (done < len) {
		ssize_t r = pread(disk->fd, (char *)buf + done, len - done, (off_t)(offset + done));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		done += (uint64_t)r;
	}
	return 0;
}

static int write_bytes(const struct sim_nvme_disk *disk, uint64_t offset, uint64_t len, const void *buf)
{
	uint64_t done = 0;

	while (done < len) {
		ssize_t r = pwrite(disk->fd, (const char *)buf + done, len - done, (off_t)(offset + done));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		done += (uint64_t)r;
	}
	return 0;
}

int sim_nvme_disk_write(const struct sim_nvme_disk *disk, uint64_t block, uint64_t num, const void *buf)
{
	return write_bytes(disk, block * disk->block_size, num * disk->block_size, buf);
}

/* A hole reads as zeros. Not every filesystem has holes. */
int sim_nvme_disk_zero(const struct sim_nvme_disk *disk, uint64_t block, uint64_t num)
{
	static const unsigned char zeroes[ZEROES];
	uint64_t offset = block * disk->block_size, len = num * disk->block_size, piece;
	int r = 0;

	if (len == 0 ||
	    fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) == 0)
		return 0;
	for (; len > 0 && r == 0; offset += piece, len -= piece) {
		piece = len < ZEROES ? len : ZEROES;
		r = write_bytes(disk, offset, piece, zeroes);
	}
	return r;
}

int sim_nvme_disk_flush(const struct sim_nvme_disk *disk)
{
	return fdatasync(disk->fd) < 0 ? -errno : 0;
}
