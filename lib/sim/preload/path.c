// SPDX-License-Identifier: MIT
/* Calls on names: access, readlink, realpath. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sim/sysfs/paths.h"
#include "sim/preload/preload.h"

_Noreturn void __chk_fail(void);

/* access() ----------------------------------------------------------------------------------------------- */

static int check_access(const struct stat *status, int wanted)
{
	unsigned int shift = geteuid() == 0 || geteuid() == status->st_uid ? 6 : 0;
	unsigned int allowed = status->st_mode >> shift & 7;

	return ((unsigned int)wanted & ~allowed) ? -EACCES : 0;
}

static bool answered_access(int dirfd, const char *name, int wanted, int flags, int *ret_result)
{
	char path[PRELOAD_PATH_SIZE];
	const char *absolute = preload_path(dirfd, name, path);
	struct preload_call call;
	struct weir_sim *sim = preload_enter(&call, absolute);
	struct stat status;

	if (!sim)
		return false;
	*ret_result = preload_status(sim, absolute, !(flags & AT_SYMLINK_NOFOLLOW), &status);
	if (!*ret_result)
		*ret_result = check_access(&status, wanted);
	preload_leave(&call);
	if (*ret_result == SIM_PASS_ON)
		return false;
	*ret_result = (int)preload_result(*ret_result);
	return true;
}

#define ACCESS(name)                                                                                         \
	EXPORT int name(const char *path, int wanted)                                                        \
	{                                                                                                    \
		int result;                                                                                  \
                                                                                                             \
		return answered_access(AT_FDCWD, path, wanted, 0, &result) ? result                          \
									   : NEXT(name)(path, wanted);       \
	}

ACCESS(access)
ACCESS(euidaccess)
ACCESS(eaccess)

EXPORT int faccessat(int dirfd, const char *path, int wanted, int flags)
{
	int result;

	return answered_access(dirfd, path, wanted, flags, &result)
		       ? result
		       : NEXT(faccessat)(dirfd, path, wanted, flags);
}

/* readlink() --------------------------------------------------------------------------------------------- */

static bool answered_readlink(int dirfd, const char *name, char *buf, size_t room, ssize_t *ret_result)
{
	char path[PRELOAD_PATH_SIZE];
	const char *absolute = preload_path(dirfd, name, path);
	struct preload_call call;
	struct weir_sim *sim = preload_enter(&call, absolute);
	struct stat status;

	if (!sim)
		return false;
	*ret_result = preload_status(sim, absolute, false, &status);
	if (*ret_result != SIM_PASS_ON)
		*ret_result = sim->table.readlink(sim, absolute, buf, room);
	preload_leave(&call);
	if (*ret_result == SIM_PASS_ON)
		return false;
	*ret_result = preload_result(*ret_result);
	return true;
}

EXPORT ssize_t readlink(const char *path, char *buf, size_t room)
{
	ssize_t len;

	return answered_readlink(AT_FDCWD, path, buf, room, &len) ? len : NEXT(readlink)(path, buf, room);
}

EXPORT ssize_t readlinkat(int dirfd, const char *path, char *buf, size_t room)
{
	ssize_t len;

	return answered_readlink(dirfd, path, buf, room, &len) ? len
							       : NEXT(readlinkat)(dirfd, path, buf, room);
}

ssize_t __readlink_chk(const char *path, char *buf, size_t len, size_t room);
ssize_t __readlinkat_chk(int dirfd, const char *path, char *buf, size_t len, size_t room);

EXPORT ssize_t __readlink_chk(const char *path, char *buf, size_t len, size_t room)
{
	if (len > room)
		__chk_fail();
	return readlink(path, buf, len);
}

EXPORT ssize_t __readlinkat_chk(int dirfd, const char *path, char *buf, size_t len, size_t room)
{
	if (len > room)
		__chk_fail();
	return readlinkat(dirfd, path, buf, len);
}

/* realpath() --------------------------------------------------------------------------------------------- */

/* 0 and the name without links; a negative errno. */
static int resolve(struct weir_sim *sim, const char *path, char ret_path[SIM_PATH_SIZE])
{
	struct sim_name name;
	int error = sim_lock(sim);

	if (error)
		return error;
	error = sim_path_find(sim, path, true, &name);
	if (!error)
		memcpy(ret_path, name.path, SIM_PATH_SIZE);
	sim_unlock(sim);
	return error;
}

static bool answered_realpath(const char *path, char *buf, char **ret_path)
{
	char resolved[SIM_PATH_SIZE];
	struct preload_call call;
	struct weir_sim *sim = preload_enter(&call, path);
	int error;

	if (!sim)
		return false;
	error = resolve(sim, path, resolved);
	preload_leave(&call);
	if (error == SIM_PASS_ON)
		return false;
	*ret_path = NULL;
	if (preload_result(error) == 0)
		*ret_path = buf ? strcpy(buf, resolved) : strdup(resolved);
	return true;
}

EXPORT char *realpath(const char *path, char *buf)
{
	char *resolved;

	return answered_realpath(path, buf, &resolved) ? resolved : NEXT(realpath)(path, buf);
}

EXPORT char *canonicalize_file_name(const char *path)
{
	char *resolved;

	return answered_realpath(path, NULL, &resolved) ? resolved : NEXT(canonicalize_file_name)(path);
}

char *__realpath_chk(const char *path, char *buf, size_t room);

EXPORT char *__realpath_chk(const char *path, char *buf, size_t room)
{
	if (room < PATH_MAX)
		__chk_fail();
	return realpath(path, buf);
}

/* Extended attributes: there are none, but ls asks. ------------------------------------------------------ */

static bool answered_xattr(const char *path)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter(&call, path);
	struct stat status;
	int error;

	if (!sim)
		return false;
	error = preload_status(sim, path, false, &status);
	preload_leave(&call);
	if (error == SIM_PASS_ON)
		return false;
	errno = error ? -error : ENOTSUP;
	return true;
}

EXPORT ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
{
	return answered_xattr(path) ? -1 : NEXT(getxattr)(path, name, value, size);
}

EXPORT ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)
{
	return answered_xattr(path) ? -1 : NEXT(lgetxattr)(path, name, value, size);
}
