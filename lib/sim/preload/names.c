// SPDX-License-Identifier: MIT
/* Names of files, and what was opened under which: for fstat(), and for names relative to a directory. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/file.h"
#include "sim/preload/preload.h"

/* The machine's descriptors are known by their inodes (sim/file.h), which duplicates share. */
struct opened {
	struct opened *next;
	uint64_t inode;
	char path[];
};

static struct opened *list; /* guarded by the machine's lock */

static bool is_open(const struct weir_sim *sim, uint64_t inode)
{
	const struct sim_file *file = sim->files;

	while (file && file->inode != inode)
		file = file->next;
	return file;
}

static void forget_closed(const struct weir_sim *sim)
{
	struct opened **link = &list, *entry;

	while ((entry = *link)) {
		if (is_open(sim, entry->inode)) {
			link = &entry->next;
			continue;
		}
		*link = entry->next;
		free(entry);
	}
}

/* Without memory for it the descriptor works, but has no name. */
void preload_opened(struct weir_sim *sim, int fd, const char *path)
{
	size_t size = strlen(path) + 1;
	struct opened *entry = malloc(sizeof(*entry) + size);
	const struct sim_file *file;

	if (!entry)
		return;
	if (sim_lock(sim)) {
		free(entry);
		return;
	}
	forget_closed(sim);
	file = sim_file_find(sim, fd);
	if (file) {
		entry->inode = file->inode;
		memcpy(entry->path, path, size);
		entry->next = list;
		list = entry;
	} else {
		free(entry);
	}
	sim_unlock(sim);
}

bool preload_name_of(struct weir_sim *sim, int fd, char path[PRELOAD_PATH_SIZE])
{
	const struct sim_file *file;
	const struct opened *entry = NULL;

	if (sim_lock(sim))
		return false;
	file = sim_file_find(sim, fd);
	if (file)
		for (entry = list; entry && entry->inode != file->inode;)
			entry = entry->next;
	if (entry)
		snprintf(path, PRELOAD_PATH_SIZE, "%s", entry->path);
	sim_unlock(sim);
	return entry;
}

const char *preload_path(int dirfd, const char *name, char path[PRELOAD_PATH_SIZE])
{
	struct preload_call call;
	struct weir_sim *sim;
	bool found;
	size_t len;

	if (!name || *name == '/')
		return name;
	/* A working directory of the machine's there is not: chdir() is the real one. */
	sim = dirfd == AT_FDCWD ? NULL : preload_enter_fd(&call, dirfd);
	if (!sim)
		return NULL;
	found = preload_name_of(sim, dirfd, path);
	preload_leave(&call);
	if (!found)
		return NULL;
	len = strlen(path);
	if (*name &&
	    snprintf(path + len, PRELOAD_PATH_SIZE - len, "/%s", name) >= (int)(PRELOAD_PATH_SIZE - len))
		return NULL;
	return path;
}
