// SPDX-License-Identifier: MIT
#include "clients.h"

#include "reply.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

bool clients_add(struct clients *clients, int fd, uid_t uid, bool stranger, uint64_t now_ms)
{
	uint32_t same_uid = 0, strangers = 0;

	for (uint32_t i = 0; i < clients->num; i++) {
		same_uid += clients->all[i].uid == uid;
		strangers += clients->all[i].stranger;
	}
	if (clients->num == MAX_CLIENTS || same_uid >= MAX_CLIENTS_PER_USER ||
	    (stranger && strangers >= MAX_STRANGERS))
		return false;
	clients->all[clients->num++] = (struct client){
		.fd = fd,
		.uid = uid,
		.stranger = stranger,
		.deadline_ms = now_ms + IDLE_MS,
	};
	return true;
}

void clients_drop(struct clients *clients, struct client *client)
{
	close(client->fd);
	*client = clients->all[--clients->num];
}

/* Its end may not have had its turn in the loop yet, while the next client asks already. */
static bool has_gone(const struct client *client)
{
	struct pollfd pollfd = { .fd = client->fd };

	return poll(&pollfd, 1, 0) > 0;
}

/* The claim of @holder that excludes @asker from the device at @place, or NULL. */
static const struct claim *conflict(const struct client *holder, const struct client *asker,
				    const struct place *place)
{
	for (uint32_t i = 0; i < holder->num_claims; i++) {
		const struct claim *claim = &holder->claims[i];

		if (!strcmp(claim->address, place->address) ||
		    (holder != asker && !strcmp(claim->group, place->group)))
			return claim;
	}
	return NULL;
}

int clients_check_free(const struct clients *clients, const struct client *client, const struct place *place,
		       struct weir_broker_reply *reply)
{
	if (client->num_claims == MAX_CLAIMS)
		return reply_refuse(reply, -EMFILE, "a connection can have %d devices, and this one has",
				    MAX_CLAIMS);
	for (uint32_t i = 0; i < clients->num; i++) {
		const struct client *holder = &clients->all[i];
		const struct claim *claim = conflict(holder, client, place);

		if (!claim || has_gone(holder))
			continue;
		if (holder == client)
			return reply_refuse(reply, -EBUSY, "this connection has %s already", place->address);
		if (!strcmp(claim->address, place->address))
			return reply_refuse(reply, -EBUSY, "another client has %s", place->address);
		return reply_refuse(reply, -EBUSY,
				    "another client has %s, which shares IOMMU group %s with %s",
				    claim->address, place->group, place->address);
	}
	return 0;
}

void clients_claim(struct client *client, const struct place *place)
{
	struct claim *claim = &client->claims[client->num_claims++];

	memcpy(claim->address, place->address, sizeof(claim->address));
	memcpy(claim->group, place->group, sizeof(claim->group));
}
