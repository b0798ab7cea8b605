/* SPDX-License-Identifier: MIT */
/* What the parts of the controller that lies know of each other. */
#ifndef TESTS_FUZZ_HOSTILE_NVME_PARTS_H
#define TESTS_FUZZ_HOSTILE_NVME_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool liar_lies(void);  /* is this answer to be wrong? */
bool liar_fails(void); /* is this call of weir's to fail? */

/* Registers; the doorbell of an index is rung; it does what there is to do. */
uint32_t liar_read(uint64_t offset);
void liar_write(uint64_t offset, uint32_t value);
void liar_doorbell(uint32_t index, uint32_t value);
void liar_act(void);
void liar_forget_doorbells(uint32_t qid); /* a queue is made: what was rung for an earlier one is past */

#endif
