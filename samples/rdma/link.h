/* SPDX-License-Identifier: MIT */
/* RDMA as the two programs need it: a device, a reliable connection, and reading from the other side. */
#ifndef SAMPLES_RDMA_LINK_H
#define SAMPLES_RDMA_LINK_H

#include <infiniband/verbs.h>

#include "wire.h"

/* This side: port 1 of an RDMA device. */
struct end {
	struct ibv_context *context;
	struct ibv_pd *pd;
	union ibv_gid gid;
	uint32_t gid_index;
	enum ibv_mtu mtu;
	uint16_t lid;
	bool ethernet;
};

/* One connection. */
struct link {
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	uint32_t psn;
};

/*
 * All print what goes wrong, and return a negative errno then. @name: of the RDMA device, NULL: the first. @gid_index: -1: the first that
 * is of RoCE v2 on IPv4, else the first of RoCE v2, else 0.
 */
int end_open(const char *name, int gid_index, struct end *ret_end);
void end_close(struct end *end);

/* A queue pair that the other side may read through, where a memory region lets it. */
int link_open(const struct end *end, struct link *ret_link);
void link_close(struct link *link);

/* What the other side has to know of it. */
struct wire_hello link_hello(const struct end *end, const struct link *link);

/* Connect with the queue pair that the other side's hello, which has been checked, tells of. */
int link_connect(const struct end *end, struct link *link, const struct wire_hello *other);

/* Read @len bytes from the other side. */
int link_read(struct link *link, struct ibv_mr *to, uint64_t addr, uint32_t rkey, uint32_t len);

#endif
