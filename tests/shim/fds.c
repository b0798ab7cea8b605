/* SPDX-License-Identifier: MIT */
/* The open descriptors of this process, before and after a case. */
#include "run.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct open_fd {
	int fd;
	char target[256]; /* what /proc/self/fd says it is; for sockets and pipes that has the inode number */
};

struct t_fds {
	size_t count;
	size_t room;
	struct open_fd *fds;
};

static void add(struct t_fds *fds, int dir, const char *name)
{
	struct open_fd *entry;
	ssize_t len;

	fds->fds = t_grow(fds->fds, fds->count, &fds->room, sizeof(*fds->fds));
	entry = &fds->fds[fds->count++];
	entry->fd = (int)strtol(name, NULL, 10);
	len = readlinkat(dir, name, entry->target, sizeof(entry->target) - 1);
	entry->target[len > 0 ? len : 0] = '\0';
}

struct t_fds *t_fds_look(void)
{
	struct t_fds *fds = calloc(1, sizeof(*fds));
	int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!fds || !dir) {
		perror("/proc/self/fd");
		abort();
	}
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) != fd)
			add(fds, fd, entry->d_name);
	closedir(dir);
	return fds;
}

void t_fds_free(struct t_fds *fds)
{
	free(fds->fds);
	free(fds);
}

static bool contains(const struct t_fds *fds, const struct open_fd *wanted)
{
	for (size_t i = 0; i < fds->count; i++)
		if (fds->fds[i].fd == wanted->fd && strcmp(fds->fds[i].target, wanted->target) == 0)
			return true;
	return false;
}

static void list_missing(const struct t_fds *from, const struct t_fds *in, const char *what, char *text,
			 size_t size)
{
	for (size_t i = 0; i < from->count; i++) {
		size_t used = strlen(text);

		if (!contains(in, &from->fds[i]))
			snprintf(text + used, size - used, "descriptor %d %s: %s\n", from->fds[i].fd, what,
				 from->fds[i].target);
	}
}

void t_fds_compare(const struct t_fds *before, const struct t_fds *after, char *ret_text, size_t size)
{
	ret_text[0] = '\0';
	list_missing(after, before, "was left open", ret_text, size);
	list_missing(before, after, "of someone else was closed", ret_text, size);
}
