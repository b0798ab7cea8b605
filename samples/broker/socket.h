/* SPDX-License-Identifier: MIT */
/* The broker's place in the file system. */
#ifndef BROKER_SOCKET_H
#define BROKER_SOCKET_H

#include <sys/stat.h>

struct listening {
	const char *path;
	int fd;
	struct stat file; /* which file is ours */
};

/*
 * Listen at @path, which belongs to nobody else: what a dead broker left there is replaced. Returns 0 or a
 * negative errno, having reported why.
 */
int listening_open(const char *path, mode_t mode, struct listening *ret_listening);

/* Stop listening and remove the file, if it is still ours. */
void listening_close(struct listening *listening);

#endif
