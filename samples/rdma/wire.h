/* SPDX-License-Identifier: MIT */
/*
 * What weir-rdma-serve and weir-rdma-fetch say to each other over TCP, while the data goes by RDMA:
 *
 *   client: hello                          its queue pair
 *   server: hello                          its own, and how much there is to fetch
 *   server: piece, client: taken, ...      where the next piece of the disk lies; that it has been read from there
 *   server: end                            the SHA-256 of all that it offered
 *
 * Messages have a fixed length, and little-endian numbers. Whoever receives one believes none of it before it is checked.
 */
#ifndef SAMPLES_RDMA_WIRE_H
#define SAMPLES_RDMA_WIRE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	WIRE_MAGIC = 0x72696577, /* "weir" */
	WIRE_VERSION = 1,
	WIRE_MAX_PIECE = 16 << 20,
	WIRE_TIMEOUT_S = 10, /* for the other side's next message */
	WIRE_SHA256 = 32,
};

struct wire_hello {
	uint32_t magic, version;
	uint32_t qpn, psn; /* 24 bits each */
	uint8_t gid[16];
	uint32_t mtu;       /* enum ibv_mtu */
	uint32_t max_piece; /* bytes; a client's is 0 */
	uint64_t bytes;     /* of the disk; a client's is 0 */
};

enum wire_kind {
	WIRE_PIECE = 1,
	WIRE_END,
	WIRE_TAKEN,
};

struct wire_message {
	uint32_t kind;
	uint32_t len;  /* PIECE, TAKEN */
	uint64_t addr; /* PIECE */
	uint32_t rkey; /* PIECE */
	uint32_t reserved;
	uint8_t sha256[WIRE_SHA256]; /* END */
};

/* The numbers of a message, from this machine's order to the wire's or back. */
void wire_swap_hello(struct wire_hello *hello);
void wire_swap_message(struct wire_message *message);

/* Could this be the other side's? @from_server: what to expect. NULL, or what is wrong with it. */
const char *wire_check_hello(const struct wire_hello *hello, bool from_server);

/* A piece, of a server that says it has @left bytes to give yet, in pieces of @max_piece. NULL, or what is wrong with it. */
const char *wire_check_piece(const struct wire_message *message, uint64_t left, uint32_t max_piece);

/* TCP. All print what goes wrong and return a negative errno then; -EPIPE when the other side is gone. */
int wire_listen(const char *address, const char *port);
int wire_accept(int listening);
int wire_connect(const char *host, const char *port);

/* All of it. The other side has WIRE_TIMEOUT_S. */
int wire_send(int fd, const void *data, uint32_t len);
int wire_receive(int fd, void *data, uint32_t len);

int wire_send_hello(int fd, const struct wire_hello *hello);
int wire_receive_hello(int fd, bool from_server, struct wire_hello *ret_hello);
int wire_send_message(int fd, const struct wire_message *message);
int wire_receive_message(int fd, struct wire_message *ret_message);

#endif
