/* SPDX-License-Identifier: MIT */
/*
 * An 82576 that lies, or a virtual function whose physical function lies, behind as much of weir as the igb driver calls (stub_weir.h): what registers
 * read as, what the mailbox says and what is written back to descriptors is what the input says, where that says that it is wrong. It writes only to
 * rings that it was told of, as an IOMMU would have it. With the input at its end it is honest. Time passes when somebody looks at the clock.
 */
#ifndef TESTS_FUZZ_HOSTILE_IGB_H
#define TESTS_FUZZ_HOSTILE_IGB_H

#include <igb/igb.h>
#include <igb/spec.h>
#include <igb/spec_vf.h>

#include "fuzz/input.h"
#include "support/stub_weir.h"

enum { CARD_QUEUES = 2, CARD_BUFFER = 2048 };

struct card {
	struct input in;
	bool is_vf, mapped, gone;
	bool is_honest; /* whatever the input says */
	unsigned int calls;
	uint32_t registers[IGB_REGISTERS / 4];
	uint32_t heads[2][CARD_QUEUES]; /* of receive and transmit queues */
};

/* There is one at a time. */
extern struct card card;

void card_begin(struct input in);

/* Fails unless everything was given back and switched off. */
void card_end(void);

/* It does something to a queue, or with a mailbox. */
void card_act(void);

/* Of a physical function: a virtual one asks for something. */
void card_ask(void);

#endif
