/* SPDX-License-Identifier: MIT */
/* A simulated igb with two virtual functions, at a wire with another igb at its end; and somebody who answers the virtual functions. */
#ifndef TESTS_UNIT_IGB_FAMILY_H
#define TESTS_UNIT_IGB_FAMILY_H

#include <pthread.h>
#include <stdatomic.h>

#include <igb/vfs.h>

#include "igb_wire.h"

enum { NUM_VFS = 2 };

struct family {
	struct sim_host *host;
	struct weir_memory *memory;
	struct end pf, peer, vf[NUM_VFS];
	struct weir_device *devices[NUM_VFS]; /* of virtual functions */
	uint8_t mac[NUM_VFS][6];              /* as they are after the opening */
	pthread_t server;
	atomic_bool stops;
	atomic_int served; /* messages and resets; or the error that ended it */
	bool serves, broken;
};

/* The ports of @host's igbs, and two virtual functions' devices, whose ports are not open yet. @flags: of the physical function. */
struct family *a_family(struct t *t, enum weir_backend backend, const struct igb_port_opts *opts);

/* The physical function is a thread's from now on, which answers; and is the caller's again. */
void serve_vfs(struct family *family);
void serve_no_more(struct family *family);

/* Open a virtual function's port, with queues, while it is served. */
void open_vf(struct family *family, uint32_t number, const struct igb_port_opts *opts);

/* A frame with a number in it, from an address to another. */
void send_as(struct end *from, const uint8_t *source, const uint8_t *to, uint32_t len, uint32_t number);

/* Is the next one that comes that frame? It goes back to the pool. */
bool comes(struct end *at, const uint8_t *source, const uint8_t *to, uint32_t len, uint32_t number);

#endif
