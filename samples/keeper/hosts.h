/* SPDX-License-Identifier: MIT */
/* Whom the keeper keeps for, and who is connected to it. */
#ifndef KEEPER_HOSTS_H
#define KEEPER_HOSTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <weir/handover.h>

#include "keeper/protocol.h"

/* Bounds, so that nobody can use up the keeper; and how long a connection may say nothing. */
#define MAX_HOSTS   32
#define MAX_CALLERS 32
#define CALLER_MS   2000

/* A host that is kept, by name and user. */
struct kept_host {
	char name[sizeof(((struct keeper_request *)0)->name)];
	uid_t uid;
	int fd; /* to its process; -1: that has ended */
	struct weir_kept *kept;
};

/* Connected, and has not said what it wants. */
struct caller {
	int fd;
	uid_t uid;
	uint64_t deadline_ms;
};

struct hosts {
	uint32_t num, num_callers;
	struct kept_host all[MAX_HOSTS];
	struct caller callers[MAX_CALLERS];
};

/* Add a connection, which is the table's on success. False if there are too many. */
bool hosts_add_caller(struct hosts *hosts, int fd, uid_t uid, uint64_t now_ms);

/* It has said something, or has not in time, or is gone: do what it wants, and forget the caller. */
void hosts_hear(struct hosts *hosts, struct caller *caller);
void hosts_drop_caller(struct hosts *hosts, struct caller *caller);

/* Something has come from the process of a host, or its end. */
void hosts_take_in(struct hosts *hosts, struct kept_host *host);

/* Let go of one, or of all. The last of the table moves to its place. */
void hosts_drop(struct hosts *hosts, struct kept_host *host);
void hosts_drop_all(struct hosts *hosts);

#endif
