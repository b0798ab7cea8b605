// SPDX-License-Identifier: MIT
/* Descriptors: real ones, with a file of ours behind each. */
#include "sim/file.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* All sockets are on one file system of the kernel's, so the inode alone says which one it is; 0: not a socket. */
static uint64_t socket_inode(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

int sim_file_open(struct weir_sim *sim, const struct sim_file_ops *ops, void *data,
		  struct sim_file **ret_file)
{
	struct sim_file *file = calloc(1, sizeof(*file));
	int ends[2];

	if (!file)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		int error = -errno;

		free(file);
		return error;
	}
	*file = (struct sim_file){ .next = sim->files,
				   .ops = ops,
				   .sim = sim,
				   .data = data,
				   .peer = ends[1],
				   .inode = socket_inode(ends[0]) };
	sim->files = file;
	if (ret_file)
		*ret_file = file;
	return ends[0];
}

struct sim_file *sim_file_find(struct weir_sim *sim, int fd)
{
	struct sim_file *file = sim->files;
	uint64_t inode = file ? socket_inode(fd) : 0;

	if (!inode)
		return NULL;
	while (file && file->inode != inode)
		file = file->next;
	return file;
}

static void release(struct weir_sim *sim, struct sim_file *file)
{
	struct sim_file **link = &sim->files;

	while (*link != file)
		link = &(*link)->next;
	*link = file->next;
	close(file->peer);
	if (file->ops->release)
		file->ops->release(file);
	free(file);
}

void sim_file_hold(struct sim_file *file)
{
	file->refs++;
}

void sim_file_drop(struct sim_file *file)
{
	if (!--file->refs && file->closed)
		release(file->sim, file);
}

/* Poll ---------------------------------------------------------------------------------------------------------- */

/* A child's copy of the machine shares the sockets with the parent's, but not what is in the files. */
void sim_file_set_readable(struct sim_file *file, bool readable)
{
	file->readable = readable;
	if (!readable || file->signalled || file->inherited)
		return;
	file->signalled = send(file->peer, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

void sim_file_settle(struct sim_file *file, int fd)
{
	char byte;

	if (file->signalled && !file->readable && recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
		file->signalled = false;
}

/* Close --------------------------------------------------------------------------------------------------------- */

/* Mark as closed those of up to as many files, from @file on, as fit; returns the next. */
static struct sim_file *mark_closed(struct sim_file *file)
{
	enum { AT_ONCE = 64 };
	struct pollfd peers[AT_ONCE];
	struct sim_file *first = file;
	nfds_t num = 0;

	for (; file && num < AT_ONCE; file = file->next)
		peers[num++] = (struct pollfd){ .fd = file->closed ? -1 : file->peer };
	if (poll(peers, num, 0) <= 0)
		return file;
	for (nfds_t i = 0; i < num; i++, first = first->next)
		if (peers[i].revents & (POLLHUP | POLLNVAL))
			first->closed = true;
	return file;
}

static struct sim_file *first_over(const struct weir_sim *sim)
{
	struct sim_file *file = sim->files;

	while (file && (!file->closed || file->refs))
		file = file->next;
	return file;
}

/* Releasing one may release others. The oldest come last: they carry the others. */
void sim_files_reap(struct weir_sim *sim)
{
	struct sim_file *file = sim->files;

	while (file)
		file = mark_closed(file);
	while ((file = first_over(sim)))
		release(sim, file);
}
