/* SPDX-License-Identifier: MIT */
/* The samples' histogram of times. */
#include <stdlib.h>

#include "common/histogram.h"

#include "test.h"

static struct histogram *a_histogram(struct t *t)
{
	struct histogram *histogram = calloc(1, sizeof *histogram);

	ASSERT_TRUE(histogram);
	t_defer(t, free, histogram);
	return histogram;
}

UNIT(histogram, each_value_is_in_one_bucket_that_is_not_much_wider)
{
	size_t bucket;
	uint64_t value;
	unsigned int shift;

	for (bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		uint64_t highest = histogram_highest(bucket);

		ASSERT_EQ(histogram_bucket(highest), bucket);
		if (bucket + 1 < HISTOGRAM_BUCKETS)
			ASSERT_EQ(histogram_bucket(highest + 1), bucket + 1);
	}
	EXPECT_EQ(histogram_highest(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
	for (shift = 0; shift < 64; shift++)
		for (value = 1ull << shift; value > (1ull << shift) / 2 && value != 0;
		     value -= value / 7 + 1) {
			uint64_t highest = histogram_highest(histogram_bucket(value));

			ASSERT_GE(highest, value);
			ASSERT_LE(highest - value, value / 64);
		}
}

UNIT(histogram, percentiles_are_those_of_the_values)
{
	struct histogram *h = a_histogram(t);
	uint64_t i;

	EXPECT_EQ(histogram_at(h, 0.5), 0);
	for (i = 1; i <= 1000; i++)
		histogram_add(h, i * 1000);
	EXPECT_EQ(h->num, 1000);
	EXPECT_EQ(h->least, 1000);
	EXPECT_EQ(h->most, 1000000);
	EXPECT_TRUE(histogram_mean(h) == 500500);
	EXPECT_TRUE(histogram_at(h, 0) >= 1000 && histogram_at(h, 0) <= 1016);
	EXPECT_TRUE(histogram_at(h, 0.5) >= 500000 && histogram_at(h, 0.5) <= 508000);
	EXPECT_TRUE(histogram_at(h, 0.99) >= 990000 && histogram_at(h, 0.99) <= 1000000);
	EXPECT_EQ(histogram_at(h, 1), 1000000);
}

UNIT(histogram, several_are_one)
{
	struct histogram *all = a_histogram(t), *one = a_histogram(t), *empty = a_histogram(t);
	uint64_t i;

	for (i = 0; i < 100; i++)
		histogram_add(one, i);
	histogram_add(all, 50000);
	histogram_merge(all, empty);
	histogram_merge(all, one);
	EXPECT_EQ(all->num, 101);
	EXPECT_EQ(all->least, 0);
	EXPECT_EQ(all->most, 50000);
	EXPECT_EQ(all->sum, 4950 + 50000);
	EXPECT_EQ(histogram_at(all, 0.5), 50);
	histogram_merge(empty, one);
	EXPECT_EQ(empty->least, 0);
	EXPECT_EQ(empty->most, 99);
}
