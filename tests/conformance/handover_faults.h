/* SPDX-License-Identifier: MIT */
/* A predecessor whose device waits for a page. */
#ifndef TESTS_CONFORMANCE_HANDOVER_FAULTS_H
#define TESTS_CONFORMANCE_HANDOVER_FAULTS_H

#include "conformance/handover.h"

enum { ASKED_IOVA = 0x4000000 };

struct asking {
	struct predecessor *predecessor;
	struct weir_faultq *queue;
	struct weir_domain *domain; /* NULL: the space has the queue */
	struct weir_fault_token token;
};

/* It has asked for a page at ASKED_IOVA; nobody has read that. */
struct asking *new_asking(struct t *t, struct predecessor *predecessor);

/* The next group, which there has to be, soon; its token. */
struct weir_fault_token read_request(struct t *t, struct weir_faultq *queue, struct weir_device *device);

struct weir_faultq_info faultq_info(struct weir_faultq *queue);

/* A page is mapped where it was asked for, the group answered, and what the device wrote is there. */
void answer_and_expect(struct weir_faultq *queue, const struct weir_fault_token *token,
		       struct weir_device *device, struct weir_irq *irq);

#endif
