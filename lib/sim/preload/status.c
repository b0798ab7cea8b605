// SPDX-License-Identifier: MIT
/* stat() and its like, under all the names that the C library has had for them. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sim/sysfs/paths.h"
#include "sim/preload/preload.h"

enum { MISC_MAJOR = 10, VFIO_MINOR = 196, IOMMU_MINOR = 125, GROUP_MAJOR = 510, CDEV_MAJOR = 511 };
enum { FILE_SIZE = 4096, SYSFS_DEVICE = 0x16 };

/* What is there ------------------------------------------------------------------------------------------ */

/* Inodes are as good as random, and always the same. */
static uint64_t inode_of(const char *path)
{
	uint64_t hash = 14695981039346656037u;

	while (*path)
		hash = (hash ^ (unsigned char)*path++) * 1099511628211u;
	return hash >> 16;
}

static dev_t node_number(const struct sim_name *name)
{
	if (!strcmp(name->path, "/dev/iommu"))
		return makedev(MISC_MAJOR, IOMMU_MINOR);
	if (name->group)
		return makedev(GROUP_MAJOR, name->group->number);
	if (name->device)
		return makedev(CDEV_MAJOR, name->device->vfio_number);
	return makedev(MISC_MAJOR, VFIO_MINOR);
}

static mode_t type_of(enum sim_path_kind kind)
{
	switch (kind) {
	case SIM_PATH_DIR:
		return S_IFDIR;
	case SIM_PATH_LINK:
		return S_IFLNK;
	case SIM_PATH_NODE:
		return S_IFCHR;
	default:
		return S_IFREG;
	}
}

static void fill(const struct sim_name *name, struct stat *status)
{
	memset(status, 0, sizeof(*status));
	status->st_dev = SYSFS_DEVICE;
	status->st_ino = inode_of(name->path);
	status->st_mode = type_of(name->row->kind) | name->row->mode;
	status->st_nlink = name->row->kind == SIM_PATH_DIR ? 2 : 1;
	status->st_uid = name->sim->owner;
	status->st_gid = getegid();
	status->st_blksize = FILE_SIZE;
	if (name->row->kind == SIM_PATH_FILE)
		status->st_size = FILE_SIZE;
	if (name->row->kind == SIM_PATH_NODE)
		status->st_rdev = node_number(name);
	clock_gettime(CLOCK_REALTIME, &status->st_mtim);
	status->st_atim = status->st_ctim = status->st_mtim;
}

/* "/dev/vfio/..": the directory around what only the machine has is the real one. */
static int fill_parent(const char *path, struct stat *status)
{
	char parent[PRELOAD_PATH_SIZE];
	size_t len = strlen(path);

	if (len < 3 || len >= sizeof(parent) || strcmp(path + len - 3, "/..") != 0)
		return SIM_PASS_ON;
	memcpy(parent, path, len + 1);
	parent[len - 3] = '\0';
	*(strrchr(parent, '/') ? strrchr(parent, '/') : parent) = '\0';
	return stat(parent, status) ? -errno : 0;
}

int preload_status(struct weir_sim *sim, const char *path, bool follow, struct stat *ret_status)
{
	struct sim_name name;
	int error = sim_lock(sim);

	if (error)
		return error;
	error = sim_path_find(sim, path, follow, &name);
	if (!error)
		fill(&name, ret_status);
	sim_unlock(sim);
	return error == SIM_PASS_ON ? fill_parent(path, ret_status) : error;
}

/* Devices that came out of a group have no name: they are anonymous inodes. */
static void fill_anonymous(struct stat *status)
{
	memset(status, 0, sizeof(*status));
	status->st_mode = 0600;
	status->st_nlink = 1;
	status->st_blksize = FILE_SIZE;
}

/* True if the machine has answered, with *@ret_result as stat() returns it. ------------------------------ */

static bool answered_fd(int fd, struct stat *status, int *ret_result)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_fd(&call, fd);
	char path[PRELOAD_PATH_SIZE];

	if (!sim)
		return false;
	if (!preload_name_of(sim, fd, path) || preload_status(sim, path, true, status))
		fill_anonymous(status);
	preload_leave(&call);
	*ret_result = 0;
	return true;
}

static bool answered(int dirfd, const char *path, int flags, struct stat *status, int *ret_result)
{
	char buf[PRELOAD_PATH_SIZE];
	const char *absolute;
	struct preload_call call;
	struct weir_sim *sim;

	if (flags & AT_EMPTY_PATH && (!path || !*path))
		return answered_fd(dirfd, status, ret_result);
	absolute = preload_path(dirfd, path, buf);
	sim = preload_enter(&call, absolute);
	if (!sim)
		return false;
	*ret_result = preload_status(sim, absolute, !(flags & AT_SYMLINK_NOFOLLOW), status);
	preload_leave(&call);
	if (*ret_result == SIM_PASS_ON)
		return false;
	*ret_result = (int)preload_result(*ret_result);
	return true;
}

/* By the names of today; struct stat64 is the same as struct stat on 64-bit machines. -------------------- */

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "a 64-bit machine");

#define STAT(name, type, flags)                                                                              \
	EXPORT int name(const char *path, struct type *status)                                               \
	{                                                                                                    \
		int result;                                                                                  \
                                                                                                             \
		return answered(AT_FDCWD, path, flags, (struct stat *)(void *)status, &result)               \
			       ? result                                                                      \
			       : NEXT(name)(path, status);                                                   \
	}

#define FSTAT(name, type)                                                                                    \
	EXPORT int name(int fd, struct type *status)                                                         \
	{                                                                                                    \
		int result;                                                                                  \
                                                                                                             \
		return answered_fd(fd, (struct stat *)(void *)status, &result) ? result                      \
									       : NEXT(name)(fd, status);     \
	}

#define FSTATAT(name, type)                                                                                  \
	EXPORT int name(int dirfd, const char *path, struct type *status, int flags)                         \
	{                                                                                                    \
		int result;                                                                                  \
                                                                                                             \
		return answered(dirfd, path, flags, (struct stat *)(void *)status, &result)                  \
			       ? result                                                                      \
			       : NEXT(name)(dirfd, path, status, flags);                                     \
	}

STAT(stat, stat, 0)
STAT(stat64, stat64, 0)
STAT(lstat, stat, AT_SYMLINK_NOFOLLOW)
STAT(lstat64, stat64, AT_SYMLINK_NOFOLLOW)
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)
FSTATAT(fstatat, stat)
FSTATAT(fstatat64, stat64)

/* By those of glibc before 2.33, with the version of the struct in front. -------------------------------- */

#define XSTAT(name, type, flags)                                                                             \
	int name(int version, const char *path, struct type *status);                                        \
	EXPORT int name(int version, const char *path, struct type *status)                                  \
	{                                                                                                    \
		int result;                                                                                  \
                                                                                                             \
		return answered(AT_FDCWD, path, flags, (struct stat *)(void *)status, &result)               \
			       ? result                                                                      \
			       : NEXT(name)(version, path, status);                                          \
	}

#define FXSTAT(name, type)                                                                                   \
	int name(int version, int fd, struct type *status);                                                  \
	EXPORT int name(int version, int fd, struct type *status)                                            \
	{                                                                                                    \
		int result;                                                                                  \
                                                                                                             \
		return answered_fd(fd, (struct stat *)(void *)status, &result)                               \
			       ? result                                                                      \
			       : NEXT(name)(version, fd, status);                                            \
	}

#define FXSTATAT(name, type)                                                                                 \
	int name(int version, int dirfd, const char *path, struct type *status, int flags);                  \
	EXPORT int name(int version, int dirfd, const char *path, struct type *status, int flags)            \
	{                                                                                                    \
		int result;                                                                                  \
                                                                                                             \
		return answered(dirfd, path, flags, (struct stat *)(void *)status, &result)                  \
			       ? result                                                                      \
			       : NEXT(name)(version, dirfd, path, status, flags);                            \
	}

XSTAT(__xstat, stat, 0)
XSTAT(__xstat64, stat64, 0)
XSTAT(__lxstat, stat, AT_SYMLINK_NOFOLLOW)
XSTAT(__lxstat64, stat64, AT_SYMLINK_NOFOLLOW)
FXSTAT(__fxstat, stat)
FXSTAT(__fxstat64, stat64)
FXSTATAT(__fxstatat, stat)
FXSTATAT(__fxstatat64, stat64)

/* statx -------------------------------------------------------------------------------------------------- */

static struct statx_timestamp stamp(const struct timespec *time)
{
	return (struct statx_timestamp){ .tv_sec = time->tv_sec, .tv_nsec = (uint32_t)time->tv_nsec };
}

static void convert(const struct stat *from, struct statx *to)
{
	*to = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = (uint32_t)from->st_blksize,
		.stx_nlink = (uint32_t)from->st_nlink,
		.stx_uid = from->st_uid,
		.stx_gid = from->st_gid,
		.stx_mode = (uint16_t)from->st_mode,
		.stx_ino = from->st_ino,
		.stx_size = (uint64_t)from->st_size,
		.stx_atime = stamp(&from->st_atim),
		.stx_ctime = stamp(&from->st_ctim),
		.stx_mtime = stamp(&from->st_mtim),
		.stx_rdev_major = major(from->st_rdev),
		.stx_rdev_minor = minor(from->st_rdev),
		.stx_dev_major = major(from->st_dev),
		.stx_dev_minor = minor(from->st_dev),
	};
}

EXPORT int statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret_status)
{
	struct stat status = { 0 };
	int result;

	if (!answered(dirfd, path, flags, &status, &result))
		return NEXT(statx)(dirfd, path, flags, mask, ret_status);
	if (!result)
		convert(&status, ret_status);
	return result;
}
