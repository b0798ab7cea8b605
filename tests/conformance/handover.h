/* SPDX-License-Identifier: MIT */
/*
 * What cases about hand-over have in common: a host with a journal and something of every kind, that an edu works for; and a successor, which runs in a
 * thread of its own with system calls of its own.
 */
#ifndef TESTS_CONFORMANCE_HANDOVER_H
#define TESTS_CONFORMANCE_HANDOVER_H

#include <pthread.h>

#include "conformance/dma.h"
#include "conformance/memory.h"

enum { FILE_PAGES = 4, BLOCK_SIZE = 200 };

/* Kept in a block: where the successor finds what. */
struct estate {
	uint32_t chunk;
	uint64_t offset, iova, file_iova;
};

struct predecessor {
	struct weir_host *host; /* NULL: gone */
	struct weir_ioas *ioas;
	struct weir_memory *memory;
	struct weir_buffer buffer;
	struct weir_device *device;
	struct weir_irq *irq;
	struct weir_map *file_map;
	struct estate *estate;
	int ends[2]; /* of the socket: ours, the successor's */
};

/* With EDU0, MSI enabled, DMA allowed. Ends with the case, unless it was given away. */
struct predecessor *new_predecessor(struct t *t);

/* The same in a nested space, of hardware, which defers. */
struct predecessor *new_nested_predecessor(struct t *t);

/* The same in a space that can be tracked. */
struct predecessor *new_tracked_predecessor(struct t *t);

/* Nothing is left of it: for who gave it away. */
void forget_predecessor(struct predecessor *predecessor);

/* What it has works still. */
void expect_unharmed(struct t *t, struct predecessor *predecessor);

/* Raw registers of an edu: begin to write @len bytes of its buffer to memory, with an interrupt; is it done; the identity. */
void begin_edu_write(struct weir_device *device, uint64_t iova, uint32_t len);
void put_edu_number(struct weir_device *device, uint32_t value);
uint32_t edu_number(struct weir_device *device);

/* What the device writes at @iova is found in the page. */
bool arrives(struct weir_device *device, uint64_t iova, unsigned char *page);

/* The interrupt of a write that was begun, which is acknowledged. */
void expect_interrupt(struct weir_device *device, struct weir_irq *irq);

/* A new socket between the two. */
void other_ends(struct predecessor *predecessor);

/* Whose system calls the successor makes: on a simulated machine those of another process. */
const struct weir_sys *successors_sys(struct t *t);

struct successor {
	pthread_t thread;
	const struct weir_sys *sys;
	int socket, error;
	char text[512];
	struct weir_host *host;
};

/* It receives; the case goes on with it after giving. */
void begin_successor(struct t *t, struct predecessor *predecessor, void *(*body)(void *successor));
struct successor *end_successor(struct t *t);

/* Give @host, which has the predecessor's sockets, to a successor that takes all. The successor's. */
struct weir_host *give_all(struct t *t, struct predecessor *predecessor, struct weir_host *host);

/* A body: take all, and be done. */
void *take_all(void *successor);

/* A body: take all, and refuse. */
void *refuse_all(void *successor);

/* All of it is there, and works; then close it. */
void expect_estate(struct t *t, struct weir_host *host);

#endif
