// SPDX-License-Identifier: MIT
#include "reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int reply_refuse(struct weir_broker_reply *reply, int error, const char *format, ...)
{
	va_list args;

	*reply = (struct weir_broker_reply){ .version = WEIR_BROKER_VERSION, .error = error };
	va_start(args, format);
	vsnprintf(reply->text, sizeof(reply->text), format, args);
	va_end(args);
	return error;
}

int reply_send(int fd, const struct weir_broker_reply *reply, const int *fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * WEIR_BROKER_MAX_NODES)];
	} control = { 0 };
	struct iovec body = { .iov_base = (void *)reply, .iov_len = sizeof(*reply) };
	struct msghdr message = { .msg_iov = &body, .msg_iovlen = 1 };
	size_t len = sizeof(int) * reply->num_nodes;

	if (reply->num_nodes) {
		control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(len),
						   .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), fds, len);
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(len);
	}
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
