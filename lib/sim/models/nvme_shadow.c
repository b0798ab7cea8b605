// SPDX-License-Identifier: MIT
/*
 * Doorbells in memory (Doorbell Buffer Config; Base 2.0, 5.8): two pages laid out as the registers are. In one the host writes what it
 * would ring with; in the other we write up to where it need not ring. The admin queue is rung.
 */
#include "sim/models/nvme.h"

enum { MAX_SHADOWED = SIM_NVME_PAGE / 8 - 1 }; /* queues whose places lie in a page */

uint16_t sim_nvme_set_shadows(struct sim_nvme *n, const struct sim_nvme_command *c)
{
	if (c->prp1 & (sim_nvme_page_size(n) - 1) || c->prp2 & (sim_nvme_page_size(n) - 1) || !c->prp1 ||
	    !c->prp2)
		return SIM_NVME_GENERIC(NVME_SC_INVALID_FIELD);
	n->shadows = c->prp1;
	n->asked = c->prp2;
	return NVME_SC_SUCCESS;
}

static uint32_t last_queue(const struct sim_nvme *n)
{
	return n->max_queues < MAX_SHADOWED ? n->max_queues : MAX_SHADOWED;
}

static bool look(struct sim_nvme *n, uint32_t qid, bool completion, uint32_t known)
{
	uint32_t value;

	if (sim_nvme_copy_in(n, n->shadows + 8ull * qid + 4ull * completion, &value, sizeof(value)) < 0) {
		sim_nvme_fatal(n);
		return false;
	}
	value = le32toh(value);
	if (value == known)
		return false;
	sim_nvme_rung(n, qid, completion, value);
	return (completion ? n->cqs[qid].head : n->sqs[qid].tail) != known;
}

bool sim_nvme_look_at_shadows(struct sim_nvme *n)
{
	bool changed = false;
	uint32_t qid;

	for (qid = 1; n->shadows && qid <= last_queue(n); qid++) {
		if (n->cqs[qid].entries)
			changed |= look(n, qid, true, n->cqs[qid].head);
		if (n->sqs[qid].entries)
			changed |= look(n, qid, false, n->sqs[qid].tail);
	}
	return changed;
}

static void ask(struct sim_nvme *n, uint32_t qid, bool completion, uint32_t value)
{
	value = htole32(value);
	if (sim_nvme_copy_out(n, n->asked + 8ull * qid + 4ull * completion, &value, sizeof(value)) < 0)
		sim_nvme_fatal(n);
}

void sim_nvme_ask_to_be_rung(struct sim_nvme *n)
{
	uint32_t qid;

	for (qid = 1; qid <= last_queue(n); qid++) {
		if (n->cqs[qid].entries)
			ask(n, qid, true, n->cqs[qid].head);
		if (n->sqs[qid].entries)
			ask(n, qid, false, n->sqs[qid].tail);
	}
}
