// SPDX-License-Identifier: MIT
/* A few ranges in order. */
#include "spans.h"

#include "test.h"

enum { ROOM = 4 };

struct spans {
	struct weir_iova_range ranges[ROOM];
	uint32_t num;
};

static void add(struct spans *spans, uint64_t start, uint64_t last)
{
	spans->num = weir_spans_add(spans->ranges, spans->num, ROOM, (struct weir_iova_range){ start, last });
}

static void expect_span(const struct spans *spans, uint32_t i, uint64_t start, uint64_t last)
{
	ASSERT_LT(i, spans->num);
	EXPECT_EQ(spans->ranges[i].start, start);
	EXPECT_EQ(spans->ranges[i].last, last);
}

UNIT(spans, they_ascend_and_take_in_what_they_meet)
{
	struct spans spans = { .num = 0 };

	(void)t;
	add(&spans, 100, 199);
	add(&spans, 10, 19);
	add(&spans, 200, 209);
	ASSERT_EQ(spans.num, 2);
	expect_span(&spans, 0, 10, 19);
	expect_span(&spans, 1, 100, 209);
	add(&spans, 15, 150);
	ASSERT_EQ(spans.num, 1);
	expect_span(&spans, 0, 10, 209);
	add(&spans, UINT64_MAX - 9, UINT64_MAX);
	add(&spans, UINT64_MAX - 99, UINT64_MAX - 5);
	add(&spans, 0, 9);
	ASSERT_EQ(spans.num, 2);
	expect_span(&spans, 0, 0, 209);
	expect_span(&spans, 1, UINT64_MAX - 99, UINT64_MAX);
}

UNIT(spans, of_too_many_the_closest_become_one)
{
	struct spans spans = { .num = 0 };

	(void)t;
	add(&spans, 1000, 1009);
	add(&spans, 0, 9);
	add(&spans, 1000000, 1000009);
	add(&spans, 1100, 1109);
	ASSERT_EQ(spans.num, 3);
	expect_span(&spans, 0, 0, 9);
	expect_span(&spans, 1, 1000, 1109);
	expect_span(&spans, 2, 1000000, 1000009);
	add(&spans, 1000020, 1000029);
	expect_span(&spans, 2, 1000000, 1000029);
	add(&spans, 12, 12);
	expect_span(&spans, 0, 0, 12);
	EXPECT_EQ(spans.num, 3);
}

UNIT(spans, what_meets_one_is_told)
{
	struct spans spans = { .num = 0 };

	(void)t;
	EXPECT_FALSE(weir_spans_meet(spans.ranges, spans.num, 0, UINT64_MAX));
	add(&spans, 10, 19);
	add(&spans, 30, 39);
	EXPECT_FALSE(weir_spans_meet(spans.ranges, spans.num, 0, 9));
	EXPECT_TRUE(weir_spans_meet(spans.ranges, spans.num, 0, 10));
	EXPECT_FALSE(weir_spans_meet(spans.ranges, spans.num, 20, 29));
	EXPECT_TRUE(weir_spans_meet(spans.ranges, spans.num, 15, 15));
	EXPECT_TRUE(weir_spans_meet(spans.ranges, spans.num, 39, 50));
	EXPECT_FALSE(weir_spans_meet(spans.ranges, spans.num, 40, UINT64_MAX));
}
