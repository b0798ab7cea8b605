// SPDX-License-Identifier: MIT
#include "handover/keeper.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_MS 10000

static int ask(int fd, enum keeper_wish wish, const char *name, struct keeper_reply *ret_reply)
{
	struct keeper_request request = { .version = KEEPER_VERSION, .wish = wish };
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	memcpy(request.magic, KEEPER_MAGIC, sizeof request.magic);
	snprintf(request.name, sizeof request.name, "%s", name);
	if (send(fd, &request, sizeof request, MSG_NOSIGNAL) < 0)
		return -errno;
	if (poll(&pollfd, 1, TIMEOUT_MS) <= 0)
		return -ETIMEDOUT;
	if (recv(fd, ret_reply, sizeof *ret_reply, 0) != (ssize_t)sizeof *ret_reply)
		return -EPROTO;
	ret_reply->text[sizeof ret_reply->text - 1] = '\0';
	return ret_reply->error > 0 ? -EPROTO : ret_reply->error;
}

int keeper_connect(const char *path, enum keeper_wish wish, const char *name, char *text, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct keeper_reply reply = { 0 };
	int fd, r;

	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno
									       : ask(fd, wish, name, &reply);
	if (r < 0) {
		snprintf(text, size, "%s: %s", path, reply.text[0] ? reply.text : strerror(-r));
		close(fd);
		return r;
	}
	return fd;
}
