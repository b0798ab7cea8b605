// SPDX-License-Identifier: MIT
#include "server.h"

#include "clients.h"
#include "reply.h"
#include "report.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* How long to leave the listener alone when the system is short of descriptors. */
#define PAUSE_MS 1000

struct server {
	const struct server_config *config;
	struct clients clients;
	uint64_t listen_again_ms;
	bool over;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void drop(struct server *server, struct client *client)
{
	for (uint32_t i = 0; i < client->num_claims; i++)
		report(LOG_INFO, "user %u has given back %s", client->uid, client->claims[i].address);
	if (client->num_claims && server->config->once)
		server->over = true;
	clients_drop(&server->clients, client);
}

static void accept_client(struct server *server)
{
	int fd = accept4(server->config->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t len = sizeof(peer);
	bool stranger;

	if (fd < 0) {
		/* Otherwise the same connection would wake the loop again at once, for ever. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			server->listen_again_ms = now_ms() + PAUSE_MS;
		return;
	}
	/* The kernel notes the peer at connect(): what it does to its ids afterwards changes nothing. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || len != sizeof(peer)) {
		close(fd);
		return;
	}
	stranger = !policy_knows(server->config->policy, peer.uid);
	if (!clients_add(&server->clients, fd, peer.uid, stranger, now_ms())) {
		report(LOG_WARNING, "too many connections: one of user %u (process %d) refused", peer.uid,
		       peer.pid);
		close(fd);
	}
}

/* The backend for a client that wishes for @wish. */
static int choose_backend(uint32_t ours, uint32_t wish, uint32_t *ret_backend,
			  struct weir_broker_reply *reply)
{
	if (ours != WEIR_BACKEND_AUTO && wish != WEIR_BACKEND_AUTO && ours != wish)
		return reply_refuse(reply, -EOPNOTSUPP,
				    "this broker gives out no descriptors for that backend");
	*ret_backend = ours != WEIR_BACKEND_AUTO ? ours : wish;
	return 0;
}

/* Decide on a request and open what it gets. Whether the client may have the device comes before whether
 * there is one. */
static int decide(struct server *server, struct client *client, const struct weir_broker_request *request,
		  struct place *ret_place, struct weir_broker_reply *reply, int fds[WEIR_BROKER_MAX_NODES])
{
	const struct server_config *config = server->config;
	uint32_t backend = WEIR_BACKEND_AUTO;
	int error;

	if (client->stranger)
		return reply_refuse(reply, -EACCES, "the broker has no device for user %u", client->uid);
	if (!policy_allows(config->policy, client->uid, request->address))
		return reply_refuse(reply, -EACCES,
				    "%s is not for user %u: the broker's --allow does not list it",
				    request->address, client->uid);
	error = choose_backend(config->backend, request->backend, &backend, reply);
	if (!error)
		error = nodes_find(config->machine, request->address, ret_place, reply);
	if (!error)
		error = clients_check_free(&server->clients, client, ret_place, reply);
	/* Also for a character device, which is one device's alone: the IOMMU does not keep the members of a
	 * group apart, so that DMA of the one reaches the other. */
	if (!error)
		error = nodes_check_group(config->machine, ret_place, config->policy, client->uid, reply);
	if (!error)
		error = nodes_open(config->machine, ret_place, backend, reply, fds);
	return error;
}

/* Answer one message. Returns false if the connection is to end. */
static bool answer(struct server *server, struct client *client, const void *message, size_t len)
{
	struct weir_broker_request request;
	struct weir_broker_reply reply;
	struct place place;
	int fds[WEIR_BROKER_MAX_NODES];
	int error;

	/* Who does not speak the protocol gets one answer. */
	if (request_read(message, len, &request, &reply) < 0) {
		report(LOG_WARNING, "user %u: %s", client->uid, reply.text);
		reply_send(client->fd, &reply, NULL);
		return false;
	}
	error = decide(server, client, &request, &place, &reply, fds);
	if (error)
		report(LOG_WARNING, "refused user %u: %s", client->uid, reply.text);
	error = reply_send(client->fd, &reply, fds);
	nodes_close(fds, reply.num_nodes);
	if (error)
		return false;
	if (!reply.error) {
		clients_claim(client, &place);
		report(LOG_INFO, "user %u has %s (%s)", client->uid, place.address, reply.paths[1]);
	}
	return !client->stranger;
}

/* One message at most, so that a busy client takes turns with the others. */
static void serve(struct server *server, struct client *client)
{
	char message[sizeof(struct weir_broker_request) + 1];
	/* Without room for control data, descriptors that a client sends are closed by the kernel. */
	ssize_t len = recv(client->fd, message, sizeof(message), MSG_DONTWAIT);

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len <= 0 || !answer(server, client, message, (size_t)len))
		drop(server, client);
}

/* Returns how long poll() may wait. */
static int prepare(const struct server *server, struct pollfd *fds)
{
	uint64_t now = now_ms(), next = UINT64_MAX;
	bool listening = now >= server->listen_again_ms;

	fds[0] = (struct pollfd){ .fd = server->config->signals, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = listening ? server->config->listener : -1, .events = POLLIN };
	if (!listening)
		next = server->listen_again_ms;
	for (uint32_t i = 0; i < server->clients.num; i++) {
		const struct client *client = &server->clients.all[i];

		fds[2 + i] = (struct pollfd){ .fd = client->fd, .events = POLLIN };
		if (!client->num_claims && client->deadline_ms < next)
			next = client->deadline_ms;
	}
	if (next == UINT64_MAX)
		return -1;
	return next > now ? (int)(next - now) : 0;
}

static void handle(struct server *server, const struct pollfd *fds)
{
	uint64_t now = now_ms();

	/* From the last: a dropped client's place is taken by one that has had its turn. */
	for (uint32_t i = server->clients.num; i > 0; i--) {
		struct client *client = &server->clients.all[i - 1];

		if (fds[1 + i].revents)
			serve(server, client);
		else if (!client->num_claims && client->deadline_ms <= now)
			drop(server, client);
	}
	if (fds[1].revents)
		accept_client(server);
	if (fds[0].revents)
		server->over = true;
}

int server_run(const struct server_config *config)
{
	struct server server = { .config = config };
	struct pollfd fds[2 + MAX_CLIENTS];
	int error = 0;

	while (!server.over && !error) {
		int timeout = prepare(&server, fds);
		int ready = poll(fds, 2 + server.clients.num, timeout);

		if (ready >= 0)
			handle(&server, fds);
		else if (errno != EINTR)
			error = -errno;
	}
	while (server.clients.num)
		drop(&server, &server.clients.all[0]);
	return error;
}
