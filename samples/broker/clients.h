/* SPDX-License-Identifier: MIT */
/* Who is connected, and what they were given. */
#ifndef BROKER_CLIENTS_H
#define BROKER_CLIENTS_H

#include "nodes.h"

/* Bounds, so that nobody can use up the broker: in all, of one user, and of users without any device
 * together. */
#define MAX_CLIENTS          64
#define MAX_CLIENTS_PER_USER 16
#define MAX_STRANGERS        4
#define MAX_CLAIMS           16

/* How long a client may hold a connection without being given a device. */
#define IDLE_MS 10000

/* A device that a client was given, with its group: the kernel lends a group to one owner at a time. */
struct claim {
	char address[ADDRESS_SIZE];
	char group[16];
};

struct client {
	int fd;
	uid_t uid;
	bool stranger;
	uint64_t deadline_ms; /* holds until the first claim */
	uint32_t num_claims;
	struct claim claims[MAX_CLAIMS];
};

struct clients {
	uint32_t num;
	struct client all[MAX_CLIENTS];
};

/* Add a connection, which is the table's on success. False if a bound is reached. */
bool clients_add(struct clients *clients, int fd, uid_t uid, bool stranger, uint64_t now_ms);

/* Close a connection, which gives back all its devices. The last client of the table moves to its place. */
void clients_drop(struct clients *clients, struct client *client);

/* Whether @client may have the device at @place now. Returns 0, or -EBUSY or -EMFILE, which is then also in
 * @reply. */
int clients_check_free(const struct clients *clients, const struct client *client, const struct place *place,
		       struct weir_broker_reply *reply);

/* Note that @client has it. clients_check_free() has just allowed it. */
void clients_claim(struct client *client, const struct place *place);

#endif
