// SPDX-License-Identifier: MIT
#include "unit/stage1_rig.h"

#include <stdlib.h>

const uint32_t all_formats[NUM_FORMATS] = { WEIR_STAGE1_X86_4, WEIR_STAGE1_X86_5, WEIR_STAGE1_ARM64_4K,
					    WEIR_STAGE1_MOCK };

static _Thread_local struct added added;
static _Thread_local int next_error;

/* The linker leads the library here. */
int __real_weir_inval_range(struct weir_inval *inval, uint64_t iova, uint64_t len, uint32_t asid,
			    uint32_t flags);
int __wrap_weir_inval_range(struct weir_inval *inval, uint64_t iova, uint64_t len, uint32_t asid,
			    uint32_t flags);

int __wrap_weir_inval_range(struct weir_inval *inval, uint64_t iova, uint64_t len, uint32_t asid,
			    uint32_t flags)
{
	int error = next_error;

	next_error = 0;
	if (error)
		return error;
	added = (struct added){ iova, len, asid, flags, added.num + 1 };
	return __real_weir_inval_range(inval, iova, len, asid, flags);
}

struct added last_added(void)
{
	struct added last = added;

	added.num = 0;
	return last;
}

void expect_added(uint64_t iova, uint64_t len, uint32_t flags)
{
	struct added last = last_added();

	EXPECT_EQ(last.num, 1);
	EXPECT_EQ(last.iova, iova);
	EXPECT_EQ(last.len, len);
	EXPECT_EQ(last.flags, flags);
	EXPECT_EQ(last.asid, 0);
}

void fail_to_add(int error)
{
	next_error = error;
}

/* Is closed when the case ends. */
struct kept {
	struct weir_memory *memory;
};

static void close_memory(void *arg)
{
	struct weir_memory *memory = ((struct kept *)arg)->memory;
	struct weir_memory_info info;

	EXPECT_OK(weir_memory_info(memory, &info, sizeof(info)));
	EXPECT_EQ(info.num_buffers, 0);
	EXPECT_OK(weir_memory_close(memory));
	free(arg);
}

struct weir_memory *new_memory_in(struct t *t, struct weir_ioas *ioas)
{
	struct kept *kept = malloc(sizeof(*kept));

	ASSERT_TRUE(kept);
	ASSERT_OK(weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .page_size = 4096), &kept->memory));
	t_defer(t, close_memory, kept);
	return kept->memory;
}

static void close_rig(void *arg)
{
	struct rig *rig = arg;

	weir_inval_drop(rig->changes);
	EXPECT_OK(weir_inval_close(rig->changes));
	weir_stage1_close(rig->tables);
	free(rig);
}

struct rig *new_rig(struct t *t, const struct weir_stage1_opts *opts)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct weir_stage1_opts o = *opts;

	ASSERT_TRUE(rig);
	rig->t = t;
	o.largest_page = o.largest_page ? o.largest_page : 30;
	rig->ioas = new_ioas(t, new_host(t, new_yes_kernel(t), WEIR_BACKEND_IOMMUFD));
	rig->memory = new_memory_in(t, rig->ioas);
	ASSERT_OK(weir_stage1_open(rig->memory, &o, &rig->tables));
	ASSERT_OK(weir_inval_open(NULL, &rig->changes));
	walker_init(&rig->walker, rig->tables, rig->memory);
	t_defer(t, close_rig, rig);
	last_added();
	return rig;
}

struct rig *new_rig_of(struct t *t, uint32_t format)
{
	return new_rig(t, &WEIR_OPTS(weir_stage1_opts, .format = format));
}

uint64_t found_by(const struct weir_stage1 *tables, uint64_t iova)
{
	uint64_t ipa;

	return weir_stage1_find(tables, iova, &ipa, NULL, NULL) ? NOWHERE : ipa;
}

struct weir_stage1_info info_of(const struct weir_stage1 *tables)
{
	struct weir_stage1_info info;

	EXPECT_OK(weir_stage1_info(tables, &info, sizeof(info)));
	return info;
}

static bool walk(struct rig *rig, uint64_t iova, struct walk_page *page)
{
	bool found = walk_one(&rig->walker, iova, page);

	if (rig->walker.complaint)
		FAIL("IOVA %#lx: %s", iova, rig->walker.complaint);
	return found;
}

uint64_t page_size_at(struct rig *rig, uint64_t iova)
{
	struct walk_page page;

	return walk(rig, iova, &page) ? page.size : 0;
}

uint64_t walk_to(struct rig *rig, uint64_t iova)
{
	struct walk_page page;

	return walk(rig, iova, &page) ? page.ipa : NOWHERE;
}
