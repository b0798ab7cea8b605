// SPDX-License-Identifier: MIT
/*
 * The client of a broker. The broker may do as it likes with this user's devices, but not with this process:
 * what it sends is checked like anything that comes from outside.
 */
#include <weir/broker.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "host/host.h"
#include "kernel/sysfs.h"

/* A broker opens two files and answers. One that needs longer than this is stuck. */
#define DEADLINE_MS 10000

/* Room for exactly the descriptors that a reply can have: the kernel keeps back more, and says so with
 * MSG_CTRUNC. */
union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int) * WEIR_BROKER_MAX_NODES)];
};

struct answer {
	struct weir_broker_reply reply;
	uint32_t num_fds;
	int fds[sizeof(union control) / sizeof(int)]; /* whatever the kernel delivers fits */
};

static void close_all(const struct weir_sys *sys, struct answer *answer)
{
	while (answer->num_fds)
		sys->close(sys->ctx, answer->fds[--answer->num_fds]);
}

static int connect_to(const struct weir_sys *sys, const char *path)
{
	int fd;

	do {
		fd = sys->connect(sys->ctx, path);
	} while (fd == -EINTR);
	switch (fd) {
	case -ENOENT:
		return weir_fail(fd, "there is no broker at %s: is weir-broker running?", path);
	case -ECONNREFUSED:
		return weir_fail(fd, "nobody listens at %s any more: is weir-broker running?", path);
	case -EACCES:
	case -EPERM:
		return weir_fail(-EACCES, "this user may not connect to the broker at %s", path);
	case -EPROTOTYPE:
		return weir_fail(-EPROTO, "%s is a socket of another kind: no broker", path);
	case -EAGAIN:
		return weir_fail(-ETIMEDOUT, "the broker at %s does not accept connections", path);
	default:
		return fd >= 0 ? fd : weir_fail(fd, "connecting to %s: %s", path, strerror(-fd));
	}
}

/* The end of a connection may show as an error of whatever was tried next. */
static int hung_up(const char *path)
{
	return weir_fail(-ECONNRESET,
			 "the broker at %s hung up without an answer: too many clients, or it is ending",
			 path);
}

static int send_request(const struct weir_sys *sys, int fd, const char *path,
			struct weir_broker_request *request)
{
	struct iovec body = { .iov_base = request, .iov_len = sizeof(*request) };
	struct msghdr message = { .msg_iov = &body, .msg_iovlen = 1 };
	ssize_t sent;

	/* The first message of a connection always finds room: no need to wait. */
	do {
		sent = sys->sendmsg(sys->ctx, fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent == -EINTR);
	if (sent == (ssize_t)sizeof(*request))
		return 0;
	if (sent == -EPIPE || sent == -ECONNRESET)
		return hung_up(path);
	return weir_fail(sent < 0 ? (int)sent : -EIO, "asking the broker at %s: %s", path,
			 strerror(sent < 0 ? (int)-sent : EIO));
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_for_answer(const struct weir_sys *sys, int fd, const char *path)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	int64_t deadline = now_ms() + DEADLINE_MS, left = DEADLINE_MS;
	int ready;

	/* Signals must not stretch the deadline. */
	do {
		ready = sys->poll(sys->ctx, &pollfd, 1, (int)left);
		if (ready == -EINTR)
			left = deadline - now_ms();
	} while (ready == -EINTR && left > 0);
	if (ready == 0 || ready == -EINTR)
		return weir_fail(-ETIMEDOUT, "the broker at %s has not answered for %d seconds", path,
				 DEADLINE_MS / 1000);
	return ready > 0 ? 0 : weir_fail(ready, "waiting for the broker at %s: %s", path, strerror(-ready));
}

/* From here on they are this process's descriptors, whatever else is wrong with the message. */
static void collect(struct msghdr *message, struct answer *answer)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		uint32_t num;

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		num = (uint32_t)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(answer->fds + answer->num_fds, CMSG_DATA(part), num * sizeof(int));
		answer->num_fds += num;
	}
}

/* On failure, too, @answer may hold descriptors. */
static int receive(const struct weir_sys *sys, int fd, const char *path, struct answer *answer)
{
	union control control;
	struct iovec body = { .iov_base = &answer->reply, .iov_len = sizeof(answer->reply) };
	struct msghdr message = {
		.msg_iov = &body, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t got;

	do {
		got = sys->recvmsg(sys->ctx, fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (got == -EINTR);
	if (got == -ECONNRESET)
		return hung_up(path);
	if (got < 0)
		return weir_fail((int)got, "hearing the broker at %s: %s", path, strerror((int)-got));
	collect(&message, answer);
	if (message.msg_flags & MSG_CTRUNC)
		return weir_fail(
			-EPROTO,
			"not all descriptors from the broker at %s arrived: it sent more than %d, or this "
			"process may not open so many files",
			path, WEIR_BROKER_MAX_NODES);
	if (got == 0)
		return hung_up(path);
	if (got != (ssize_t)sizeof(answer->reply) || message.msg_flags & MSG_TRUNC)
		return weir_fail(-EPROTO, "what answers at %s is no broker: its reply has the wrong size",
				 path);
	return 0;
}

/* A refusal, in the broker's words, without what they could do to a terminal. */
static int refused(const struct weir_broker_reply *reply)
{
	char text[sizeof(reply->text) + 1] = { 0 };

	if (reply->error > 0 || reply->error < -4095)
		return weir_fail(-EPROTO, "the broker's reply carries %d, which is no error number",
				 reply->error);
	memcpy(text, reply->text, sizeof(reply->text));
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return weir_fail(reply->error, "the broker says: %s", *text ? text : strerror(-reply->error));
}

/* Is this reply a broker's, and an answer to the question? */
static int check(const struct answer *answer, uint32_t wanted)
{
	const struct weir_broker_reply *reply = &answer->reply;

	if (reply->version != WEIR_BROKER_VERSION)
		return weir_fail(-EPROTO, "the broker speaks version %u of the protocol, weir %s version %d",
				 reply->version, weir_version(), WEIR_BROKER_VERSION);
	if (reply->error)
		return refused(reply);
	if (reply->num_nodes == 0 || reply->num_nodes > WEIR_BROKER_MAX_NODES ||
	    reply->num_nodes != answer->num_fds)
		return weir_fail(-EPROTO, "the broker announced %u descriptors and sent %u", reply->num_nodes,
				 answer->num_fds);
	if (reply->backend == WEIR_BACKEND_AUTO || reply->backend > WEIR_BACKEND_COMPAT ||
	    (wanted != WEIR_BACKEND_AUTO && reply->backend != wanted))
		return weir_fail(-EPROTO, "the broker gave descriptors for backend number %u, asked for %u",
				 reply->backend, wanted);
	for (uint32_t i = 0; i < reply->num_nodes; i++)
		if (!memchr(reply->paths[i], '\0', sizeof(reply->paths[i])))
			return weir_fail(-EPROTO, "the broker's reply names a node without an end");
	return 0;
}

/* The descriptors become the host's as soon as there is one; the connection does on success. */
static int open_host(const struct weir_host_opts *callers, const struct weir_sys *sys, struct answer *answer,
		     int connection, struct weir_host **ret_host)
{
	struct weir_node nodes[WEIR_BROKER_MAX_NODES];
	struct weir_host *host;
	int error;

	for (uint32_t i = 0; i < answer->num_fds; i++)
		nodes[i] = (struct weir_node){ .path = answer->reply.paths[i], .fd = answer->fds[i] };
	error = weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = answer->reply.backend,
					  .num_nodes = answer->num_fds, .nodes = nodes, .sys = sys,
					  .flags = callers->flags, .journal_maps = callers->journal_maps,
					  .journal_blocks = callers->journal_blocks),
			       &host);
	if (error)
		return weir_fail_within(error, "with the broker's descriptors");
	answer->num_fds = 0;
	error = weir_host_own_fd(host, connection);
	if (error) {
		weir_host_close(host);
		return error;
	}
	*ret_host = host;
	return 0;
}

static int ask(const struct weir_sys *sys, int connection, const char *path,
	       struct weir_broker_request *request, struct answer *answer)
{
	int error = send_request(sys, connection, path, request);

	if (!error)
		error = wait_for_answer(sys, connection, path);
	if (!error)
		error = receive(sys, connection, path, answer);
	return error ? error : check(answer, request->backend);
}

int weir_host_open_broker(const char *socket_path, const char *address, const struct weir_host_opts *opts,
			  struct weir_host **ret_host)
{
	struct weir_broker_request request = { .version = WEIR_BROKER_VERSION };
	struct answer answer = { 0 };
	struct weir_host_opts ours;
	const struct weir_sys *sys;
	enum weir_backend wanted = WEIR_BACKEND_AUTO;
	int connection, error;

	error = weir_opts_read(opts, &ours, sizeof(ours));
	if (!error && ours.num_nodes)
		error = weir_fail(-EINVAL,
				  "a host takes its nodes from its caller or from a broker, not from both");
	if (!error)
		error = weir_backend_choose(ours.backend, &wanted);
	request.backend = wanted;
	if (!error)
		error = weir_pci_address(address, request.address);
	if (error)
		return error;

	sys = ours.sys ? ours.sys : weir_sys_real();
	connection = connect_to(sys, socket_path);
	if (connection < 0)
		return connection;
	error = ask(sys, connection, socket_path, &request, &answer);
	if (!error)
		error = open_host(&ours, sys, &answer, connection, ret_host);
	if (error) {
		close_all(sys, &answer);
		sys->close(sys->ctx, connection);
	}
	return error;
}
