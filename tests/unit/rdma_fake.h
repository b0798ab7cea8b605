/* SPDX-License-Identifier: MIT */
/* An RDMA device behind the table of verbs, of any class; and the other side, that uses keys whether it may or not. */
#ifndef UNIT_RDMA_FAKE_H
#define UNIT_RDMA_FAKE_H

#include <weir/rdma.h>

#include "test.h"

/* What the kernel's drivers do with a window of vfio-pci. */
enum fake_class {
	FAKE_REFUSES,  /* registration is EOPNOTSUPP */
	FAKE_DIES,     /* revoked once, a region is dead */
	FAKE_RECOVERS, /* revoked, its pages are gone until they are back */
};

struct fake_mr {
	struct ibv_mr mr;
	bool used, of_window;
	uint64_t offset, addr, len; /* what keys call @addr lies at @offset of the window */
	uint64_t generation;        /* of the window when it was registered */
	int access;
};

enum { FAKE_MRS = 8 };

struct fake_rdma {
	struct ibv_pd pd;
	struct weir_verbs verbs;
	enum fake_class kind;
	const char *driver;
	struct weir_peer *peer; /* whose windows it is given */
	uint32_t next_key;
	int reg_error, dereg_error; /* errno of the next such call */
	uint32_t calls_until_error; /* how many registrations go well before reg_error; 0: none */
	struct fake_mr mrs[FAKE_MRS];
};

/* @driver as the kernel calls it. */
struct fake_rdma *fake_rdma_new(struct t *t, enum fake_class kind, const char *driver);

/* Regions that are registered. */
uint32_t fake_rdma_mrs(const struct fake_rdma *fake);

/*
 * The other side reads (@access IBV_ACCESS_REMOTE_READ) or writes. Returns 0; -EKEYREJECTED, the RDMA device refuses the key, the range or the
 * access; -EFAULT, the window behind it does not answer.
 */
int fake_rdma_reach(const struct fake_rdma *fake, uint32_t rkey, uint64_t addr, uint64_t len, int access);

#endif
