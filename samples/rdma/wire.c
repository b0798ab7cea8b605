/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <assert.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static_assert(sizeof(struct wire_hello) == 48 && sizeof(struct wire_message) == 56, "no padding on the wire");

/* Swapping is its own inverse. */
void wire_swap_hello(struct wire_hello *hello)
{
	hello->magic = htole32(hello->magic);
	hello->version = htole32(hello->version);
	hello->qpn = htole32(hello->qpn);
	hello->psn = htole32(hello->psn);
	hello->mtu = htole32(hello->mtu);
	hello->max_piece = htole32(hello->max_piece);
	hello->bytes = htole64(hello->bytes);
}

void wire_swap_message(struct wire_message *message)
{
	message->kind = htole32(message->kind);
	message->len = htole32(message->len);
	message->addr = htole64(message->addr);
	message->rkey = htole32(message->rkey);
	message->reserved = htole32(message->reserved);
}

/* Checks -------------------------------------------------------------------------------------------------- */

const char *wire_check_hello(const struct wire_hello *hello, bool from_server)
{
	static const uint8_t none[16];

	if (hello->magic != WIRE_MAGIC)
		return "it does not speak this protocol";
	if (hello->version != WIRE_VERSION)
		return "it speaks another version of this protocol";
	/* Queue pairs 0 and 1 are management's. */
	if (hello->qpn < 2 || hello->qpn > 0xffffff || hello->psn > 0xffffff)
		return "there is no such queue pair";
	if (memcmp(hello->gid, none, sizeof none) == 0 || hello->gid[0] == 0xff)
		return "its GID is nobody's, or everybody's";
	if (hello->mtu < 1 || hello->mtu > 5)
		return "there is no such MTU";
	if (from_server && (hello->max_piece == 0 || hello->max_piece > WIRE_MAX_PIECE || hello->bytes == 0))
		return "its disk makes no sense";
	return NULL;
}

const char *wire_check_piece(const struct wire_message *message, uint64_t left, uint32_t max_piece)
{
	if (message->len == 0 || message->len > max_piece)
		return "a piece of a length that was not agreed on";
	if (message->len > left)
		return "more than the disk has";
	if (message->addr > UINT64_MAX - message->len)
		return "a piece beyond the last address";
	return NULL;
}

/* TCP ----------------------------------------------------------------------------------------------------- */

/* Whoever is silent does not keep us for ever, and a small message is worth a packet of its own. */
static int adjust(int fd)
{
	struct timeval timeout = { .tv_sec = WIRE_TIMEOUT_S };
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
		return -errno;
	return 0;
}

/* Each address in turn, until one does. */
static int first_that_does(const char *host, const char *port, int flags,
			   int (*does)(int fd, const struct addrinfo *at))
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *list, *at;
	int r = getaddrinfo(host, port, &hints, &list), fd = -1;

	if (r != 0) {
		warnx("%s port %s: %s", host ? host : "any address", port, gai_strerror(r));
		return -EINVAL;
	}
	r = -EADDRNOTAVAIL;
	for (at = list; at && r < 0; at = at->ai_next) {
		fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
		r = fd < 0 ? -errno : does(fd, at);
		if (r < 0 && fd >= 0)
			close(fd);
	}
	freeaddrinfo(list);
	if (r < 0)
		warnx("%s port %s: %s", host ? host : "any address", port, strerror(-r));
	return r < 0 ? r : fd;
}

static int does_listen(int fd, const struct addrinfo *at)
{
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	return bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, 8) < 0 ? -errno : 0;
}

static int does_connect(int fd, const struct addrinfo *at)
{
	int r = adjust(fd);

	return r < 0 ? r : connect(fd, at->ai_addr, at->ai_addrlen) < 0 ? -errno : 0;
}

int wire_listen(const char *address, const char *port)
{
	return first_that_does(address, port, AI_PASSIVE, does_listen);
}

int wire_connect(const char *host, const char *port)
{
	return first_that_does(host, port, 0, does_connect);
}

int wire_accept(int listening)
{
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC), r;

	if (fd < 0) {
		r = -errno;
		if (r != -EINTR)
			warn("waiting for a client");
		return r;
	}
	r = adjust(fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* What a transfer of some bytes came to: 0, or why it is over. */
static int outcome(ssize_t moved, const char *what)
{
	if (moved > 0)
		return 0;
	if (moved == 0 || errno == ECONNRESET || errno == EPIPE) {
		warnx("the other side is gone");
		return -EPIPE;
	}
	if (errno == EAGAIN) {
		warnx("the other side has been silent for %d seconds", WIRE_TIMEOUT_S);
		return -ETIMEDOUT;
	}
	if (errno != EINTR)
		warn("%s", what);
	return -errno;
}

int wire_send(int fd, const void *data, uint32_t len)
{
	const char *at = data;
	int r = 0;

	while (len > 0 && r == 0) {
		ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);

		r = outcome(sent, "sending");
		if (r == 0) {
			at += sent;
			len -= (uint32_t)sent;
		}
	}
	return r;
}

int wire_receive(int fd, void *data, uint32_t len)
{
	char *at = data;
	int r = 0;

	while (len > 0 && r == 0) {
		ssize_t received = recv(fd, at, len, 0);

		r = outcome(received, "receiving");
		if (r == 0) {
			at += received;
			len -= (uint32_t)received;
		}
	}
	return r;
}

/* Messages ------------------------------------------------------------------------------------------------ */

int wire_send_hello(int fd, const struct wire_hello *hello)
{
	struct wire_hello swapped = *hello;

	wire_swap_hello(&swapped);
	return wire_send(fd, &swapped, sizeof swapped);
}

int wire_receive_hello(int fd, bool from_server, struct wire_hello *ret_hello)
{
	struct wire_hello hello;
	const char *wrong;
	int r = wire_receive(fd, &hello, sizeof hello);

	if (r < 0)
		return r;
	wire_swap_hello(&hello);
	wrong = wire_check_hello(&hello, from_server);
	if (wrong) {
		warnx("the other side is refused: %s", wrong);
		return -EPROTO;
	}
	*ret_hello = hello;
	return 0;
}

int wire_send_message(int fd, const struct wire_message *message)
{
	struct wire_message swapped = *message;

	wire_swap_message(&swapped);
	return wire_send(fd, &swapped, sizeof swapped);
}

int wire_receive_message(int fd, struct wire_message *ret_message)
{
	int r = wire_receive(fd, ret_message, sizeof *ret_message);

	if (r == 0)
		wire_swap_message(ret_message);
	return r;
}
