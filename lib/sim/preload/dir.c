// SPDX-License-Identifier: MIT
/* opendir() and its like: directories of the machine are lists in memory, made when they are opened. */
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/sysfs/paths.h"
#include "sim/preload/preload.h"

enum { FIRST_ROOM = 4096, MOST_ROOM = 1 << 20, NUM_DOTS = 2 };

/* The program has it as a DIR *. */
struct listing {
	struct listing *next;
	int fd; /* of the machine: -1 before dirfd() was asked */
	char path[PRELOAD_PATH_SIZE];
	char *names; /* each with its zero byte; an empty one ends them */
	long at;     /* how many were read: "." and ".." come first */
	struct dirent entry;
};

static struct listing *_Atomic all;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;

static struct listing *of(DIR *dir)
{
	struct listing *listing;

	if (!all)
		return NULL;
	pthread_mutex_lock(&all_lock);
	for (listing = all; listing && listing != (void *)dir;)
		listing = listing->next;
	pthread_mutex_unlock(&all_lock);
	return listing;
}

/* Opening ------------------------------------------------------------------------------------------------ */

static int read_names(struct weir_sim *sim, const char *path, char **ret_names)
{
	ssize_t used = -ENOSPC;
	char *names = NULL;

	for (size_t room = FIRST_ROOM; used == -ENOSPC && room <= MOST_ROOM; room *= 2) {
		char *more = realloc(names, room + 1);

		if (!more) {
			free(names);
			return -ENOMEM;
		}
		names = more;
		used = sim->table.list_dir(sim, path, names, room);
	}
	if (used < 0) {
		free(names);
		return (int)used;
	}
	names[used] = '\0';
	*ret_names = names;
	return 0;
}

static int open_listing(struct weir_sim *sim, const char *path, int fd, struct listing **ret_listing)
{
	struct listing *listing;
	struct stat status;
	int error = preload_status(sim, path, true, &status);

	if (error)
		return error;
	listing = calloc(1, sizeof(*listing));
	if (!listing)
		return -ENOMEM;
	listing->fd = fd;
	error = read_names(sim, path, &listing->names);
	if (error) {
		free(listing);
		return error;
	}
	snprintf(listing->path, sizeof(listing->path), "%s", path);
	pthread_mutex_lock(&all_lock);
	listing->next = all;
	all = listing;
	pthread_mutex_unlock(&all_lock);
	*ret_listing = listing;
	return 0;
}

EXPORT DIR *opendir(const char *path)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter(&call, path);
	struct listing *listing = NULL;
	int error;

	if (!sim)
		return NEXT(opendir)(path);
	error = open_listing(sim, path, -1, &listing);
	preload_leave(&call);
	if (error == SIM_PASS_ON)
		return NEXT(opendir)(path);
	return preload_result(error) < 0 ? NULL : (DIR *)listing;
}

EXPORT DIR *fdopendir(int fd)
{
	struct preload_call call;
	struct weir_sim *sim = preload_enter_fd(&call, fd);
	struct listing *listing = NULL;
	char path[PRELOAD_PATH_SIZE];
	int error = -ENOTDIR;

	if (!sim)
		return NEXT(fdopendir)(fd);
	if (preload_name_of(sim, fd, path))
		error = open_listing(sim, path, fd, &listing);
	preload_leave(&call);
	return preload_result(error) < 0 ? NULL : (DIR *)listing;
}

static void unlist(struct listing *listing)
{
	struct listing *before;

	pthread_mutex_lock(&all_lock);
	before = all;
	if (before == listing)
		all = listing->next;
	while (before->next != listing && before != listing)
		before = before->next;
	if (before != listing)
		before->next = listing->next;
	pthread_mutex_unlock(&all_lock);
}

EXPORT int closedir(DIR *dir)
{
	struct listing *listing = of(dir);

	if (!listing)
		return NEXT(closedir)(dir);
	unlist(listing);
	if (listing->fd >= 0)
		close(listing->fd);
	free(listing->names);
	free(listing);
	return 0;
}

EXPORT int dirfd(DIR *dir)
{
	struct listing *listing = of(dir);

	if (!listing)
		return NEXT(dirfd)(dir);
	if (listing->fd < 0)
		listing->fd = open(listing->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return listing->fd;
}

/* Reading ------------------------------------------------------------------------------------------------ */

static const char *name_at(const struct listing *listing, long at)
{
	const char *name = listing->names;

	if (at < NUM_DOTS)
		return at ? ".." : ".";
	for (; at > NUM_DOTS && *name; at--)
		name += strlen(name) + 1;
	return *name ? name : NULL;
}

static void fill(struct listing *listing, const char *name)
{
	char path[2 * PRELOAD_PATH_SIZE];
	struct stat status;
	struct dirent *entry = &listing->entry;

	snprintf(path, sizeof(path), "%s/%s", listing->path, name);
	memset(entry, 0, sizeof(*entry));
	snprintf(entry->d_name, sizeof(entry->d_name), "%s", name);
	entry->d_reclen = sizeof(*entry);
	entry->d_off = listing->at;
	entry->d_ino = 1;
	entry->d_type = DT_UNKNOWN;
	if (lstat(path, &status) == 0) {
		entry->d_ino = status.st_ino;
		entry->d_type = IFTODT(status.st_mode);
	}
}

static struct dirent *next_entry(struct listing *listing)
{
	const char *name = name_at(listing, listing->at);

	if (!name)
		return NULL;
	listing->at++;
	fill(listing, name);
	return &listing->entry;
}

_Static_assert(sizeof(struct dirent) == sizeof(struct dirent64), "a 64-bit machine");

EXPORT struct dirent *readdir(DIR *dir)
{
	struct listing *listing = of(dir);

	return listing ? next_entry(listing) : NEXT(readdir)(dir);
}

EXPORT struct dirent64 *readdir64(DIR *dir)
{
	struct listing *listing = of(dir);

	return listing ? (struct dirent64 *)(void *)next_entry(listing) : NEXT(readdir64)(dir);
}

EXPORT void rewinddir(DIR *dir)
{
	struct listing *listing = of(dir);

	if (listing)
		listing->at = 0;
	else
		NEXT(rewinddir)(dir);
}

EXPORT long telldir(DIR *dir)
{
	const struct listing *listing = of(dir);

	return listing ? listing->at : NEXT(telldir)(dir);
}

EXPORT void seekdir(DIR *dir, long at)
{
	struct listing *listing = of(dir);

	if (listing)
		listing->at = at;
	else
		NEXT(seekdir)(dir, at);
}

/* All at once -------------------------------------------------------------------------------------------- */

static struct dirent *copy_entry(const struct dirent *entry)
{
	struct dirent *copy = malloc(sizeof(*copy));

	if (copy)
		*copy = *entry;
	return copy;
}

static int release(struct dirent **list, int num, int result)
{
	while (num)
		free(list[--num]);
	free(list);
	return result;
}

/* As the C library's, which opens directories without asking anybody. */
static int scan(DIR *dir, struct dirent ***ret_list, int (*wanted)(const struct dirent *entry))
{
	struct dirent **list = NULL;
	const struct dirent *entry;
	int num = 0;

	while ((entry = readdir(dir))) {
		struct dirent **more;

		if (wanted && !wanted(entry))
			continue;
		more = realloc(list, (size_t)(num + 1) * sizeof(struct dirent *));
		if (!more)
			return release(list, num, -1);
		list = more;
		list[num] = copy_entry(entry);
		if (!list[num])
			return release(list, num, -1);
		num++;
	}
	*ret_list = list ? list : calloc(1, sizeof(struct dirent *));
	return num;
}

typedef int (*compare_fn)(const struct dirent **a, const struct dirent **b);

static int scan_ours(DIR *dir, struct dirent ***ret_list, int (*wanted)(const struct dirent *entry),
		     compare_fn compare)
{
	int num = scan(dir, ret_list, wanted);

	closedir(dir);
	if (num > 0 && compare)
		qsort(*ret_list, (size_t)num, sizeof(struct dirent *),
		      (int (*)(const void *, const void *))(void (*)(void))compare);
	return num;
}

/* The machine's directory of that name; NULL: somebody else's, or nobody's. */
static DIR *open_ours(const char *path)
{
	DIR *dir = opendir(path);

	if (!dir || of(dir))
		return dir;
	closedir(dir);
	return NULL;
}

EXPORT int scandir(const char *path, struct dirent ***ret_list, int (*wanted)(const struct dirent *entry),
		   compare_fn compare)
{
	DIR *dir = open_ours(path);

	return dir ? scan_ours(dir, ret_list, wanted, compare)
		   : NEXT(scandir)(path, ret_list, wanted, compare);
}

typedef int (*wanted_fn)(const struct dirent *entry);

EXPORT int scandir64(const char *path, struct dirent64 ***ret_list,
		     int (*wanted)(const struct dirent64 *entry),
		     int (*compare)(const struct dirent64 **a, const struct dirent64 **b))
{
	DIR *dir = open_ours(path);

	if (!dir)
		return NEXT(scandir64)(path, ret_list, wanted, compare);
	return scan_ours(dir, (struct dirent ***)(void *)ret_list, (wanted_fn)(void (*)(void))wanted,
			 (compare_fn)(void (*)(void))compare);
}

/* The C library lets us say how directories are read. */
static void close_listing(void *dir)
{
	closedir(dir);
}

static struct dirent *read_listing(void *dir)
{
	return readdir(dir);
}

static void *open_any(const char *path)
{
	return opendir(path);
}

static int use_ours(glob_t *result, int flags)
{
	if (flags & GLOB_ALTDIRFUNC)
		return flags;
	result->gl_closedir = close_listing;
	result->gl_readdir = read_listing;
	result->gl_opendir = open_any;
	result->gl_lstat = lstat;
	result->gl_stat = stat;
	return flags | GLOB_ALTDIRFUNC;
}

_Static_assert(sizeof(glob_t) == sizeof(glob64_t), "a 64-bit machine");

EXPORT int glob(const char *pattern, int flags, int (*on_error)(const char *path, int error), glob_t *result)
{
	return NEXT(glob)(pattern, use_ours(result, flags), on_error, result);
}

EXPORT int glob64(const char *pattern, int flags, int (*on_error)(const char *path, int error),
		  glob64_t *result)
{
	return NEXT(glob64)(pattern, use_ours((glob_t *)(void *)result, flags), on_error, result);
}
