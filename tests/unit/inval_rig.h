/* SPDX-License-Identifier: MIT */
/*
 * Domains on a made-up kernel, which carries out invalidations as the drivers do it, writes down what it did, and refuses what it is told to.
 */
#ifndef TESTS_UNIT_INVAL_RIG_H
#define TESTS_UNIT_INVAL_RIG_H

#include "domain/nested.h"
#include "inval/run.h"
#include "shim/test.h"

enum rig_kind {
	RIG_VTD,    /* one after the other; the count is what it seems */
	RIG_SMMUV3, /* converted first, issued in blocks of 63; the count is of those converted */
};

enum { RIG_MOST_CALLS = 1024, RIG_COMMAND = 64 };

struct rig {
	struct weir_kernel_domain domain; /* first */
	enum rig_kind kind;
	struct weir_table table;
	struct weir_space space;
	struct weir_ioas ioas;
	struct weir_host host;
	struct weir_backend_ops backend;
	struct weir_domain_ops ops;
	struct weir_function functions[4];
	struct weir_attachment attachments[4];
	struct weir_vdevice vdevices[4];
	uint32_t num_functions;

	/* Is a command refused? @sent: how many of this call are before it. */
	int (*refuses)(struct rig *rig, const void *command, uint32_t len, uint32_t number);
	uint64_t bad;      /* for that: an address */
	uint32_t bad_left; /* for that: how often it is bad still */
	int call_error;    /* every call fails at once */
	int block_error;

	/* What it did. */
	uint32_t num_calls, num_blocks;
	uint32_t call_sizes[RIG_MOST_CALLS];
	uint32_t call_types[RIG_MOST_CALLS], call_lens[RIG_MOST_CALLS];
	uint32_t num_done;
	unsigned char (*done)[RIG_COMMAND];
	uint32_t room_done;
};

/* A nested domain of that kind, with @num devices attached, whose streams are 0x10 and so on. Closed with the case. */
struct rig *new_inval_rig(struct t *t, enum rig_kind kind, uint32_t num);

/* Refuse what is about the page at rig->bad, bad_left times. */
int refuse_bad(struct rig *rig, const void *command, uint32_t len, uint32_t number);

/* Was such a command carried out? */
bool rig_did(const struct rig *rig, const void *command, uint32_t len);

/* Was the page at @iova invalidated, by itself or with others, or with everything? */
bool rig_forgot(const struct rig *rig, uint64_t iova);

/* A batch, dropped and closed with the case. */
struct weir_inval *new_batch(struct t *t);

/* Run it for one domain. */
int run_for(struct rig *rig, struct weir_inval *inval, const struct weir_inval_run_opts *opts);

/* The outcome of an entry for a domain. */
struct weir_inval_outcome outcome_of(struct t *t, const struct weir_inval *inval, size_t domain,
				     uint32_t entry);

#endif
