/* SPDX-License-Identifier: MIT */
/* A batch, as those see it who carry it out. */
#ifndef WEIR_LIB_INVAL_H
#define WEIR_LIB_INVAL_H

#include <stdbool.h>

#include "inval/later.h"

enum {
	WEIR_INVAL_MOST = 1 << 20, /* entries of a batch */
	WEIR_INVAL_CALL = 4096,    /* commands in one call to the kernel, which takes up to 2^19 */
	WEIR_INVAL_RAW_SIZE = 64,
};

enum weir_inval_kind {
	WEIR_INVAL_RANGE,
	WEIR_INVAL_ALL,
	WEIR_INVAL_CONTEXT,
	WEIR_INVAL_RAW,
};

/* An entry, as it was added. */
struct weir_inval_entry {
	uint64_t iova, last; /* RANGE: the first and the last byte */
	uint32_t id;         /* RANGE: ASID; CONTEXT: PASID; RAW: its type */
	uint8_t kind;        /* enum weir_inval_kind */
	uint8_t flags;       /* RANGE: WEIR_INVAL_LEAF, _NEW */
	uint8_t len;         /* RAW: bytes */
	uint32_t
		stretch; /* how many commands of the kernel's own came before: nothing is moved across one of these */
	uint32_t raw; /* RAW: its number among these */
};

struct weir_inval {
	struct weir_inval_entry *entries;
	struct weir_inval_outcome *outcomes; /* one for each entry there is room for, of the first domain */
	uint32_t *order;         /* one for each: their numbers, in the order in which they are run */
	unsigned char *commands; /* where they are translated to what the kernel takes */
	size_t commands_size;
	uint32_t num, room;
	uint32_t num_raw, room_raw;
	unsigned char (*raw)[WEIR_INVAL_RAW_SIZE];

	struct weir_later *waiting, **last_waiting;

	bool settled; /* all entries are done: they are kept to be looked at */

	/* The last run's outcomes, which it left. */
	struct weir_inval_outcome *more_outcomes; /* of further domains, judged entries for each */
	size_t num_domains;
	uint32_t judged; /* entries that it had */
};

/* What waits is free. */
void weir_inval_release(struct weir_inval *inval);

#endif
