// SPDX-License-Identifier: MIT
/* Where regions are mapped: looked up, while others come and go. */
#include "ioas/mapped.h"

#include <errno.h>
#include <pthread.h>

#include "shim/test.h"

/* Nothing there is touched. */
static struct weir_region *region(uintptr_t n)
{
	return (struct weir_region *)(0x1000 + n);
}

static void *at(uintptr_t addr)
{
	return (void *)addr;
}

/* High up, where no test maps anything. */
#define BASE ((uintptr_t)1 << 60)

UNIT(mapped, a_range_that_meets_a_region_finds_it)
{
	struct weir_mapped found = { 0 };

	EXPECT_FALSE(weir_mapped_find(at(BASE), 1, &found));
	ASSERT_EQ(weir_mapped_add(region(1), NULL, at(BASE + 0x1000), 0x2000), 0);
	EXPECT_FALSE(weir_mapped_find(at(BASE), 0x1000, &found));
	EXPECT_FALSE(weir_mapped_find(at(BASE + 0x3000), 0x1000, &found));
	EXPECT_TRUE(weir_mapped_find(at(BASE), 0x1001, &found));
	EXPECT_EQ(found.region, region(1));
	EXPECT_EQ(found.start, BASE + 0x1000);
	EXPECT_EQ(found.end, BASE + 0x3000);
	EXPECT_TRUE(weir_mapped_find(at(BASE + 0x2fff), 1, &found));
	EXPECT_TRUE(weir_mapped_find(at(BASE), SIZE_MAX, &found));
	EXPECT_FALSE(weir_mapped_find(at(BASE + 0x2000), 0, &found) && found.start > BASE + 0x2000);
	weir_mapped_remove(at(BASE + 0x1000));
	EXPECT_FALSE(weir_mapped_find(at(BASE), SIZE_MAX, &found));
	weir_mapped_remove(at(BASE + 0x1000));
}

UNIT(mapped, of_several_the_lowest_is_found)
{
	struct weir_mapped found = { 0 };

	ASSERT_EQ(weir_mapped_add(region(2), NULL, at(BASE + 0x5000), 0x1000), 0);
	ASSERT_EQ(weir_mapped_add(region(1), NULL, at(BASE + 0x1000), 0x1000), 0);
	EXPECT_TRUE(weir_mapped_find(at(BASE), 0x10000, &found));
	EXPECT_EQ(found.region, region(1));
	/* Between them, though inside the box around both. */
	EXPECT_FALSE(weir_mapped_find(at(BASE + 0x2000), 0x3000, &found));
	weir_mapped_remove(at(BASE + 0x1000));
	EXPECT_TRUE(weir_mapped_find(at(BASE), 0x10000, &found));
	EXPECT_EQ(found.region, region(2));
	weir_mapped_remove(at(BASE + 0x5000));
}

enum { MANY = 1000 };

UNIT(mapped, there_is_room_for_any_number)
{
	struct weir_mapped found = { 0 };

	for (uintptr_t i = 0; i < MANY; i++)
		ASSERT_EQ(weir_mapped_add(region(i), NULL, at(BASE + i * 0x2000), 0x1000), 0);
	for (uintptr_t i = 0; i < MANY; i++) {
		ASSERT_TRUE(weir_mapped_find(at(BASE + i * 0x2000), 1, &found));
		ASSERT_EQ(found.region, region(i));
		ASSERT_FALSE(weir_mapped_find(at(BASE + i * 0x2000 + 0x1000), 0x1000, &found));
	}
	for (uintptr_t i = 0; i < MANY; i++)
		weir_mapped_remove(at(BASE + i * 0x2000));
	EXPECT_FALSE(weir_mapped_find(at(BASE), SIZE_MAX, &found));
}

/* A region is either found as it is, or not. */
static void *look(void *arg)
{
	const atomic_bool *stop = arg;
	struct weir_mapped found;

	while (!atomic_load(stop))
		for (uintptr_t i = 0; i < 4; i++)
			if (weir_mapped_find(at(BASE + i * 0x10000), 0x10000, &found)) {
				EXPECT_EQ(found.region, region(i));
				EXPECT_EQ(found.start, BASE + i * 0x10000);
				EXPECT_EQ(found.end, BASE + i * 0x10000 + 0x1000 * (i + 1));
			}
	return NULL;
}

UNIT(mapped, an_entry_that_changes_is_never_half_of_two)
{
	atomic_bool stop = false;
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, look, &stop), 0);
	for (uintptr_t round = 0; round < 1000; round++) {
		uintptr_t i = round * 7 % 4;

		if (weir_mapped_add(region(i), NULL, at(BASE + i * 0x10000), 0x1000 * (i + 1)))
			FAIL("no memory");
		weir_mapped_remove(at(BASE + i * 0x10000));
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}
