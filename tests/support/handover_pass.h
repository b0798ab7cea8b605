/* SPDX-License-Identifier: MIT */
/*
 * Both sides of a hand-over between two processes of a simulated machine (support/handover_rig.h), at once: the successor is a thread.
 *
 *     pass_begin(&pass, &rig, sys);
 *     error = pass_give(&pass);
 *     pass_end(&pass);              now pass.taker_error, and pass.next if that is 0
 */
#ifndef TESTS_SUPPORT_HANDOVER_PASS_H
#define TESTS_SUPPORT_HANDOVER_PASS_H

#include <pthread.h>

#include "support/handover_rig.h"

enum { PASS_SOON_MS = 2000 };

struct pass {
	struct handover_rig *giver, next;
	struct weir_kept *kept; /* gives instead of the giver, who is dead */
	const struct weir_sys *takers;
	int ends[2];                          /* the giver's, the taker's */
	void (*received)(struct pass *taker); /* called before the drivers are restored */
	pthread_t thread;
	struct weir_host *host;
	int taker_error;
	char why[512]; /* in words */
};

/* The socket alone, for who wants to do something with it first; and the successor's thread. */
void pass_connect(struct pass *pass, struct handover_rig *giver, const struct weir_sys *takers);
void pass_start(struct pass *pass);
void pass_begin(struct pass *pass, struct handover_rig *giver, const struct weir_sys *takers);

/* Returns what weir_handover_give() or weir_kept_give() did. The drivers are the caller's to resume or to forget. */
int pass_give(struct pass *pass);
void pass_end(struct pass *pass);

#endif
