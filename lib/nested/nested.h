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
	uint32_t mode, format, largest_page;
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

/* nested.c: one without parts, for @o, whose queue it keeps open until it is freed; NULL: no memory. What batches there are are opened. And what options that were read say of deferring. */
struct weir_nested_space *weir_nested_space_new(struct weir_host *host,
						const struct weir_nested_space_opts *o);
void weir_nested_space_free(struct weir_nested_space *nested);
int weir_nested_space_open_batches(struct weir_nested_space *nested);
void weir_nested_space_set_leaving(struct weir_nested_space *nested);

/* device.c: devices may say what the kernel's part can translate. -ENOMEM. */
int weir_nested_space_follow_geometry(struct weir_nested_space *nested);

/* note.c: what the journal says of the space's parts; and of its tables, which are made. Nothing without a journal. */
void weir_nested_space_note(const struct weir_space *space);
void weir_nested_space_note_tables(const struct weir_nested_space *nested);

/*
 * adopt.c: a space that was handed over: of parts that were adopted; its device has come; its mappings, those of the second stage and its domains have, too. Then what was only begun is taken out of
 * the tables, and forgotten by devices. -EPROTO, -ENOMEM, with texts. let_go: without a kernel call.
 */
struct weir_slot_space;
int weir_nested_space_adopt(struct weir_host *host, const struct weir_slot_space *slot, uint32_t number,
			    struct weir_ioas *stage2, struct weir_ioas *ordinary, struct weir_faultq *faultq,
			    struct weir_ioas **ret_ioas);
void weir_nested_space_adopt_function(struct weir_ioas *ioas);
int weir_nested_space_adopted(struct weir_ioas *ioas, const struct weir_slot_space *slot,
			      struct weir_memory *memory);
int weir_nested_space_clear(struct weir_ioas *ioas, bool forget_all);
void weir_nested_space_let_go(struct weir_space *space);

/* adopt.c: what is deferred is done; nothing comes meanwhile, since a transition is on. The error has a text. */
int weir_nested_space_flush(struct weir_ioas *ioas);

/* nested.c: the space's parts end with it. */
int weir_nested_space_end(struct weir_space *space);

/* space.c: run what was gathered. */
int weir_nested_space_run(struct weir_nested_space *nested);

/* space.c: it lies in what the space's devices can say. */
bool weir_nested_space_fits(const struct weir_nested_space *nested, const struct weir_map *map);

#endif
