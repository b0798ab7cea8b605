/* SPDX-License-Identifier: MIT */
/* A nested space, as its own files see it. */
#ifndef WEIR_NESTED_NESTED_H
#define WEIR_NESTED_NESTED_H

#include <weir/nested.h>

#include "nested/piece.h"

enum { WEIR_NESTED_MOST_DOMAINS = 16 }; /* physical IOMMUs that the space's devices are behind */

struct weir_nested_space {
	struct weir_host *host;
	struct weir_nested_space_opts opts;
	struct weir_ioas *ioas;   /* what drivers have */
	struct weir_ioas *stage2; /* where pieces are mapped */
	struct weir_ioas
		*ordinary; /* that follows the tables, and has the devices, if it is a shadow; else NULL */
	struct weir_pieces pieces;

	/* Change with the host's lock, in transitions of the ioas. There while it is live. */
	uint32_t mode, format;
	struct weir_memory *memory; /* of the tables */
	struct weir_stage1 *tables;
	struct weir_domain *parents[WEIR_NESTED_MOST_DOMAINS]; /* of hardware: one for each IOMMU */
	struct weir_domain *domains[WEIR_NESTED_MOST_DOMAINS];
	uint32_t num_domains;

	/*
	 * What was removed, and is remembered by the hardware. Lock guards the batch that is filled; running is held by who runs one, and taken
	 * before it: so whoever has run has waited for those who began before him.
	 */
	pthread_mutex_t running, lock;
	struct weir_inval *filled, *spare;
	uint64_t num_syncs;
};

/* space.c: what the space does in place of a backend. */
extern const struct weir_space_ops weir_nested_ops;

/* device.c: its devices' part of that. The host's lock is held. */
int weir_nested_space_enter(struct weir_space *space, struct weir_function *function);
int weir_nested_space_commit(struct weir_space *space, struct weir_function *function);
void weir_nested_space_abandon(struct weir_space *space, struct weir_function *function);
int weir_nested_space_leave(struct weir_space *space, struct weir_function *function);

/* nested.c: the space's parts end with it. */
int weir_nested_space_end(struct weir_space *space);

/* space.c: run what was gathered. */
int weir_nested_space_run(struct weir_nested_space *nested);

/* space.c: it lies in what the space's devices can say. */
bool weir_nested_space_fits(const struct weir_nested_space *nested, const struct weir_map *map);

#endif
