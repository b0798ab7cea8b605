// SPDX-License-Identifier: MIT
/*
 * Threads that map, protect and unmap ranges of their own, which share tables with those of others; an IOMMU that walks all the time; one thread
 * that asks. Of most use under the thread sanitizer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "stage1/stage1.h"
#include "unit/stage1_rig.h"

enum { PAGE = 4096, MAPPERS = 3, ROUNDS = 1500, DROP_EVERY = 16 };

struct crowd {
	struct rig *rig;
	uint64_t stays; /* is mapped all the time, amid the others' ranges */
	_Atomic unsigned int next, left;
};

struct mapper {
	struct crowd *crowd;
	struct weir_inval *changes;
	uint64_t random;
	unsigned int number;
};

static uint64_t draw(struct mapper *mapper, uint64_t below)
{
	mapper->random = mapper->random * 6364136223846793005u + 1442695040888963407u;
	return (mapper->random >> 33) % below;
}

/* Each has every so many-th page, large page, and page of 1 GiB, so that tables of all levels are shared. */
static uint64_t own_place(struct mapper *mapper, uint64_t *ret_size)
{
	static const uint64_t sizes[] = { 4 * KIB, 2 * MIB, GIB };
	unsigned int kind = (unsigned int)draw(mapper, 3);
	uint64_t at = mapper->number + draw(mapper, 4) * MAPPERS;

	*ret_size = sizes[kind];
	return 16 * GIB * kind + (GIB + 2 * MIB) * (kind == 0 ? draw(mapper, 3) : 0) + (8 + at) * sizes[kind];
}

static void expect_found(struct mapper *mapper, uint64_t iova, bool there)
{
	uint64_t ipa, left;
	uint32_t prot;
	int error = weir_stage1_find(mapper->crowd->rig->tables, iova, &ipa, &left, &prot);

	EXPECT_EQ(error, there ? 0 : -ENOENT);
	if (!error)
		EXPECT_EQ(ipa, iova + 64 * GIB);
}

/* By whole pages, or a piece of a large one first. */
static void come_and_go(struct mapper *mapper)
{
	struct weir_stage1 *tables = mapper->crowd->rig->tables;
	uint64_t size, iova = own_place(mapper, &size), piece = draw(mapper, size / PAGE) * PAGE;

	EXPECT_OK(weir_stage1_map(tables, iova, iova + 64 * GIB, size, WEIR_MAP_READ, NULL));
	expect_found(mapper, iova + piece, true);
	if (draw(mapper, 2))
		EXPECT_OK(weir_stage1_protect(tables, iova + piece, PAGE, WEIR_MAP_WRITE, mapper->changes));
	if (draw(mapper, 2)) {
		EXPECT_OK(weir_stage1_unmap(tables, iova + piece, PAGE, mapper->changes));
		expect_found(mapper, iova + piece, false);
	}
	if (draw(mapper, 4) == 0)
		weir_inval_drop(mapper->changes);
	EXPECT_OK(weir_stage1_unmap(tables, iova, size, mapper->changes));
	expect_found(mapper, iova, false);
	/* The range is kept until the batch is done; and then the tables of all of its like may go. */
	weir_inval_drop(mapper->changes);
}

static void *map_and_unmap(void *arg)
{
	struct crowd *crowd = arg;
	struct mapper mapper = { .crowd = crowd };

	mapper.number = crowd->next++;
	mapper.random = mapper.number;
	EXPECT_OK(weir_inval_open(NULL, &mapper.changes));
	for (unsigned int i = 0; i < ROUNDS; i++)
		come_and_go(&mapper);
	EXPECT_OK(weir_inval_close(mapper.changes));
	crowd->left--;
	return NULL;
}

static void *walk_like_an_iommu(void *arg)
{
	struct crowd *crowd = arg;
	struct walker walker = crowd->rig->walker;
	struct walk_page page = { 0 };

	while (crowd->left) {
		EXPECT_TRUE(walk_one(&walker, crowd->stays, &page));
		EXPECT_EQ(page.ipa, 0x123000);
		if (walker.complaint)
			FAIL("%s", walker.complaint);
	}
	return NULL;
}

static void *ask(void *arg)
{
	struct crowd *crowd = arg;
	uint64_t random = 1, ipa, left;

	while (crowd->left) {
		struct weir_stage1_info info = info_of(crowd->rig->tables);

		EXPECT_LT(info.waiting, info.num_pages);
		random = random * 6364136223846793005u + 1442695040888963407u;
		weir_stage1_find(crowd->rig->tables, (random >> 24) % (64 * GIB), &ipa, &left, NULL);
	}
	return NULL;
}

static void run_crowd(struct t *t, uint32_t format)
{
	struct crowd crowd = { .rig = new_rig_of(t, format), .stays = 7 * PAGE, .left = MAPPERS };
	pthread_t threads[MAPPERS + 2];
	uint64_t empty = info_of(crowd.rig->tables).num_pages;

	ASSERT_OK(weir_stage1_map(crowd.rig->tables, crowd.stays, 0x123000, PAGE, 0, NULL));
	for (int i = 0; i < MAPPERS + 2; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL,
					 i < MAPPERS    ? map_and_unmap
					 : i == MAPPERS ? walk_like_an_iommu
							: ask,
					 &crowd),
			  0);
	for (int i = 0; i < MAPPERS + 2; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
	EXPECT_EQ(walk_to(crowd.rig, crowd.stays), 0x123000);
	ASSERT_OK(weir_stage1_unmap(crowd.rig->tables, 0, (uint64_t)1 << 46, crowd.rig->changes));
	weir_inval_drop(crowd.rig->changes);
	EXPECT_LE(info_of(crowd.rig->tables).num_pages, empty + 1);
}

UNIT(stage1, threads_map_beside_each_other_x86)
{
	run_crowd(t, WEIR_STAGE1_X86_5);
}

UNIT(stage1, threads_map_beside_each_other_arm64)
{
	run_crowd(t, WEIR_STAGE1_ARM64_4K);
}

/*
 * All at the same time, on pages of their own, in the same tables: the lock is held until all of them have found that there is no table, and want to
 * put one there.
 */
struct together {
	struct rig *rig;
	int (*call)(struct rig *rig, uint64_t iova, struct weir_inval *changes);
	uint64_t iova;
	_Atomic unsigned int next;
};

enum { TABLES = 4 };

static void *call_beside(void *arg)
{
	struct together *together = arg;
	uint64_t iova = together->iova + together->next++ * PAGE;
	struct weir_inval *changes;

	EXPECT_OK(weir_inval_open(NULL, &changes));
	EXPECT_OK(together->call(together->rig, iova, changes));
	weir_inval_drop(changes);
	EXPECT_OK(weir_inval_close(changes));
	return NULL;
}

static void run_together(struct together *together)
{
	const struct timespec enough = { .tv_nsec = 5000000 };
	pthread_t threads[MAPPERS];

	together->next = 0;
	pthread_mutex_lock(&together->rig->tables->lock);
	for (int i = 0; i < MAPPERS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, call_beside, together), 0);
	while (together->next < MAPPERS)
		nanosleep(&enough, NULL);
	nanosleep(&enough, NULL);
	pthread_mutex_unlock(&together->rig->tables->lock);
	for (int i = 0; i < MAPPERS; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
}

static int map_page(struct rig *rig, uint64_t iova, struct weir_inval *changes)
{
	return weir_stage1_map(rig->tables, iova, iova + MIB, PAGE, 0, changes);
}

static int unmap_page(struct rig *rig, uint64_t iova, struct weir_inval *changes)
{
	return weir_stage1_unmap(rig->tables, iova, PAGE, changes);
}

UNIT(stage1, threads_make_a_table_once)
{
	for (unsigned int i = 0; i < NUM_FORMATS * TABLES; i++) {
		struct together together = { .rig = new_rig_of(t, all_formats[i / TABLES]),
					     .call = map_page };
		struct weir_stage1_info empty = info_of(together.rig->tables);

		together.iova = i * GIB;
		run_together(&together);
		for (unsigned int j = 0; j < MAPPERS; j++)
			EXPECT_EQ(walk_to(together.rig, i * GIB + j * PAGE), i * GIB + j * PAGE + MIB);
		EXPECT_EQ(info_of(together.rig->tables).num_pages,
			  empty.num_pages + (empty.address_bits == 57 ? 4 : 3));
	}
}

UNIT(stage1, threads_divide_a_page_once)
{
	for (unsigned int i = 0; i < NUM_FORMATS; i++) {
		struct together together = { .rig = new_rig_of(t, all_formats[i]), .call = unmap_page };

		ASSERT_OK(weir_stage1_map(together.rig->tables, GIB, GIB, GIB, 0, NULL));
		for (unsigned int j = 0; j < TABLES; j++) {
			together.iova = GIB + j * 2 * MIB;
			run_together(&together);
			for (unsigned int k = 0; k < MAPPERS; k++)
				EXPECT_EQ(walk_to(together.rig, together.iova + k * PAGE), NOWHERE);
			EXPECT_EQ(page_size_at(together.rig, together.iova + MAPPERS * PAGE), PAGE);
		}
		EXPECT_EQ(page_size_at(together.rig, GIB + TABLES * 2 * MIB), 2 * MIB);
	}
}
