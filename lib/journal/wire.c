// SPDX-License-Identifier: MIT
/* Messages on a SOCK_SEQPACKET socket. */
#include "journal/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Room for as many descriptors as the kernel passes at once. */
union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(WEIR_WIRE_FDS_AT_ONCE * sizeof(int))];
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t weir_wire_deadline(int timeout_ms)
{
	return now_ms() + timeout_ms;
}

int weir_wire_left(int64_t deadline)
{
	int64_t left = deadline - now_ms();

	return left > 0 ? (int)left : 0;
}

/* Until @deadline (-1: for ever). -ETIMEDOUT */
static int wait_for(const struct weir_sys *sys, int socket, short events, int64_t deadline)
{
	struct pollfd poll = { .fd = socket, .events = events };
	int ready;

	do {
		ready = sys->poll(sys->ctx, &poll, 1, deadline < 0 ? -1 : weir_wire_left(deadline));
	} while (ready == -EINTR);
	if (ready < 0)
		return ready;
	return ready ? 0 : -ETIMEDOUT;
}

static bool means_closed(int error)
{
	return error == -EPIPE || error == -ECONNRESET || error == -ENOTCONN;
}

int weir_wire_send(const struct weir_sys *sys, int socket, const struct weir_wire *message, const int *fds,
		   uint32_t num_fds, int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	struct iovec bytes = { .iov_base = (void *)(uintptr_t)message, .iov_len = sizeof(*message) };
	struct msghdr header = { .msg_iov = &bytes, .msg_iovlen = 1 };
	union control control;
	ssize_t sent;

	if (num_fds) {
		memset(&control, 0, sizeof(control));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, num_fds * sizeof(int));
	}
	for (;;) {
		int error;

		sent = sys->sendmsg(sys->ctx, socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent == -EINTR)
			continue;
		if (sent != -EAGAIN)
			break;
		error = wait_for(sys, socket, POLLOUT, deadline);
		if (error)
			return error;
	}
	if (sent >= 0)
		return sent == (ssize_t)sizeof(*message) ? 0 : -EIO;
	return means_closed((int)sent) ? -EPIPE : (int)sent;
}

int weir_wire_say(const struct weir_sys *sys, int socket, enum weir_wire_type type, const char *text)
{
	enum { SOON_MS = 1000 };
	struct weir_wire message = { .magic = WEIR_WIRE_MAGIC,
				     .version = WEIR_WIRE_VERSION,
				     .type = (uint16_t)type };

	snprintf(message.text, sizeof(message.text), "%s", text);
	return weir_wire_send(sys, socket, &message, NULL, 0, SOON_MS);
}

/* Take the descriptors out of a message; those for which there is no room are closed. */
static bool take_fds(const struct weir_sys *sys, struct msghdr *header, int *fds, uint32_t room,
		     uint32_t *ret_num)
{
	uint32_t num = 0;
	bool all = !(header->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		size_t count;

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
			if (num < room) {
				fds[num++] = fd;
			} else {
				sys->close(sys->ctx, fd);
				all = false;
			}
		}
	}
	*ret_num = num;
	return all;
}

static void close_fds(const struct weir_sys *sys, const int *fds, uint32_t num)
{
	while (num-- > 0)
		sys->close(sys->ctx, fds[num]);
}

int weir_wire_receive(const struct weir_sys *sys, int socket, struct weir_wire *ret_message, int *fds,
		      uint32_t *num_fds, int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	struct iovec bytes = { .iov_base = ret_message, .iov_len = sizeof(*ret_message) };
	union control control;
	struct msghdr header;
	uint32_t num = 0;
	ssize_t got;
	bool all;

	do {
		int error = wait_for(sys, socket, POLLIN, deadline);

		if (error)
			return error;
		header = (struct msghdr){ .msg_iov = &bytes,
					  .msg_iovlen = 1,
					  .msg_control = &control,
					  .msg_controllen = sizeof(control) };
		got = sys->recvmsg(sys->ctx, socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (got == -EINTR || got == -EAGAIN);
	if (got < 0)
		return means_closed((int)got) ? -EPIPE : (int)got;
	all = take_fds(sys, &header, fds, *num_fds, &num);
	if (all && got == (ssize_t)sizeof(*ret_message) && ret_message->magic == WEIR_WIRE_MAGIC &&
	    !(header.msg_flags & MSG_TRUNC)) {
		ret_message->text[sizeof(ret_message->text) - 1] = '\0';
		*num_fds = num;
		return 0;
	}
	close_fds(sys, fds, num);
	/* Nothing at all is how a closed end looks. */
	return got == 0 && !num ? -EPIPE : -EPROTO;
}
