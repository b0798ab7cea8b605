/* SPDX-License-Identifier: MIT */
/*
 * Rules of what to map on demand, and the windows of them that are mapped. A window that somebody maps at the moment is MAPPING: others wait for it, with no lock held
 * by who maps.
 */
#ifndef WEIR_DEMAND_DEMAND_H
#define WEIR_DEMAND_DEMAND_H

#include <pthread.h>

#include <weir/demand.h>

#include "tree.h"

enum weir_window_state { WEIR_DEMAND_ABSENT, WEIR_DEMAND_MAPPING, WEIR_DEMAND_MAPPED };

struct weir_demand_window {
	struct weir_map *map;
	enum weir_window_state state;
};

/* Windows are aligned to their size, so the first and the last may be shorter. */
struct weir_demand_rule {
	struct weir_tree_node by_iova; /* first */
	uint64_t last;
	uint64_t first_window; /* the first is this times the size of one */
	uint64_t num_windows;
	struct weir_demand_window **pages; /* of windows, as they are wanted */
	unsigned char *addr;               /* of memory */
	uint64_t offset;                   /* of a file */
	int fd;                            /* -1: memory */
	uint32_t prot;
};

struct weir_demand {
	struct weir_ioas *ioas;
	struct weir_demand_opts opts;
	pthread_mutex_t lock; /* guards all that follows */
	pthread_cond_t mapped;
	struct weir_tree rules;
	struct weir_demand_info info;
};

/* rule.c: the rule at an IOVA, or NULL; the first from there on. The lock is held. */
struct weir_demand_rule *weir_demand_rule_at(const struct weir_demand *demand, uint64_t iova);
struct weir_demand_rule *weir_demand_rule_from(const struct weir_demand *demand, uint64_t iova);

/* rule.c: unmap its windows, and free it. The first error. Nobody uses it. */
int weir_demand_rule_free(struct weir_demand *demand, struct weir_demand_rule *rule);

/* rule.c: see to it that the window with @iova is mapped. 0 or an errno with a text. The lock is held, and given up meanwhile. */
int weir_demand_bring_in(struct weir_demand *demand, struct weir_demand_rule *rule, uint64_t iova);

#endif
