/* SPDX-License-Identifier: MIT */
/* Tables of stage 1 for one case, closed when it ends, and what they add to batches. */
#ifndef TESTS_UNIT_STAGE1_RIG_H
#define TESTS_UNIT_STAGE1_RIG_H

#include "support/stage1_model.h"
#include "unit/yes_host.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

enum { NUM_FORMATS = 4 };
extern const uint32_t all_formats[NUM_FORMATS];

struct rig {
	struct t *t;
	struct weir_ioas *ioas;
	struct weir_memory *memory;
	struct weir_stage1 *tables;
	struct weir_inval *changes;
	struct walker walker;
};

/* With pages of up to 1 GiB, unless opts say something else. */
struct rig *new_rig(struct t *t, const struct weir_stage1_opts *opts);
struct rig *new_rig_of(struct t *t, uint32_t format);

/* A memory that ends with the case. */
struct weir_memory *new_memory_in(struct t *t, struct weir_ioas *ioas);

/* What weir_stage1_find() says: an IPA, or NOWHERE. */
#define NOWHERE UINT64_MAX
uint64_t found_by(const struct weir_stage1 *tables, uint64_t iova);

struct weir_stage1_info info_of(const struct weir_stage1 *tables);

/* The size of the page that a device's access to @iova meets; 0: it meets none. Fails the case when a page is not as it ought to be. */
uint64_t page_size_at(struct rig *rig, uint64_t iova);

/* What a device's access to @iova meets: an IPA, or NOWHERE. */
uint64_t walk_to(struct rig *rig, uint64_t iova);

/* The last entry that this thread had added to a batch, and how many since the last call of this. */
struct added {
	uint64_t iova, len;
	uint32_t asid, flags, num;
};
struct added last_added(void);

void expect_added(uint64_t iova, uint64_t len, uint32_t flags);

/* The next one that this thread adds fails. */
void fail_to_add(int error);

#endif
