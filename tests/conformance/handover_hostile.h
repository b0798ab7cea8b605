/* SPDX-License-Identifier: MIT */
/* Descriptions that are spoilt on their way. */
#ifndef TESTS_CONFORMANCE_HANDOVER_HOSTILE_H
#define TESTS_CONFORMANCE_HANDOVER_HOSTILE_H

#include "conformance/handover.h"
#include "journal/layout.h"

enum { MOST_FDS = 32 };

/* What a keeper would have been sent, to be sent on otherwise. */
struct captured {
	int journal;
	uint32_t num;
	int fds[MOST_FDS];
	uint32_t numbers[MOST_FDS];
	struct weir_journal_header header;
	uint64_t len;
	unsigned char *bytes; /* of the journal, to be changed */
};

extern struct captured captured;
void capture(struct t *t, struct predecessor *predecessor);

/* The first slot of a table that is in force. */
void *slot_of(enum weir_journal_table table);

/* What is to be wrong. */
struct flaw {
	const char *name;
	void (*spoil)(void);
	const char *text; /* in the error; or NULL */
};

/* Send it, changed (NULL: as it is), and receive it: what that says. Whoever gave it is gone then. */
int receive_changed(struct t *t, void (*spoil)(void), struct weir_host **ret_host);

/* The same, and refuse it. */
int receive_spoilt(struct t *t, void (*spoil)(void));
void expect_each_refused(struct t *t, const struct flaw *list, size_t num);

#endif
