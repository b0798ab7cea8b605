/* SPDX-License-Identifier: MIT */
/*
 * A shadow: an ordinary address space that is kept like stage-1 tables say, for an IOMMU or a kernel interface that cannot nest.
 *
 * What the tables say of a stretch, as far as the shadow has taken note of it, is a record: with a mapping in the ordinary space if the stretch leads
 * somewhere in stage 2, else without. When a range is to be followed, records that the tables no longer bear out go, and what the tables say
 * beside the others becomes new ones.
 */
#ifndef WEIR_SHADOW_SHADOW_H
#define WEIR_SHADOW_SHADOW_H

#include "domain/domain.h"
#include "ioas/ioas.h"
#include "stage1/stage1.h"
#include "tree.h"

struct weir_shadow_record {
	struct weir_tree_node node;   /* first; by IOVA */
	struct weir_tree_node by_ipa; /* where it leads; in the tree is one of those that lead to the same */
	struct weir_shadow_record *same_ipa; /* behind that one, the others */
	uint64_t last;
	uint32_t prot;        /* as the tables allow */
	struct weir_map *map; /* or NULL: there is nothing in stage 2 */
};

struct weir_shadow {
	struct weir_domain domain; /* first */
	struct weir_stage1 *tables;
	struct weir_ioas *stage2, *ioas;
	struct weir_follower follower; /* of stage2 */
	/* Guards the records; taken before the locks of the spaces, and held while mappings are made and ended. */
	pthread_mutex_t lock;
	struct weir_tree records, by_ipa;
};

/* As weir_domain_open_shadow(), of spaces that are in order. The host's lock may be held. */
int weir_shadow_open(struct weir_stage1 *tables, struct weir_ioas *stage2, struct weir_ioas *ioas,
		     struct weir_domain **ret_domain);

/*
 * Follow the tables between *@iova and *@last, which become what was looked at in the end: records that stuck out were taken along. Returns 0 or the first
 * error, with a text, after which the range is to be followed again; *@ret_stale: something could not be taken back, which devices may go on using.
 * Everything else is done in any case.
 */
int weir_shadow_follow(struct weir_shadow *shadow, uint64_t *iova, uint64_t *last, bool *ret_stale);

/* domain.c: the same of one that is known by its domain. */
int weir_shadow_follow_domain(struct weir_domain *domain, uint64_t iova, uint64_t last, bool *ret_stale);

/* What it has mapped ends. The first error. */
int weir_shadow_clear(struct weir_shadow *shadow);

/* What happens in stage 2: struct weir_follower. */
int weir_shadow_leave(struct weir_follower *follower, uint64_t ipa, uint64_t last);
void weir_shadow_back(struct weir_follower *follower, uint64_t ipa, uint64_t last);

#endif
