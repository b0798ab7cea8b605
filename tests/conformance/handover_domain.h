/* SPDX-License-Identifier: MIT */
/* A predecessor whose device goes through tables of the case's own. */
#ifndef TESTS_CONFORMANCE_HANDOVER_DOMAIN_H
#define TESTS_CONFORMANCE_HANDOVER_DOMAIN_H

#include "conformance/handover.h"

#define STAGE_IOVA ((uint64_t)0x340000)

struct stage {
	struct predecessor *predecessor;
	struct weir_stage1_opts opts;
	struct weir_stage1_info info;
	struct weir_stage1 *tables;
	struct weir_inval *changes;
	struct weir_domain *parent, *nested;
};

/* STAGE_IOVA leads to the predecessor's buffer. */
struct stage *new_stage(struct t *t, struct predecessor *predecessor);

#endif
