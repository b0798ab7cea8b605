/* SPDX-License-Identifier: MIT */
/*
 * How often a thing took how long. The buckets are those of an HDR histogram: each as wide as a 64th of the least value in it, or one if that
 * is more, so that what is read out of it is at most 1.6 % too high, whatever the size.
 */
#ifndef SAMPLES_HISTOGRAM_H
#define SAMPLES_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_PART_BITS 6
#define HISTOGRAM_BUCKETS   ((64 - HISTOGRAM_PART_BITS + 1) << HISTOGRAM_PART_BITS)

/* All zero is empty. */
struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t num, sum, least, most;
};

/* The bucket of a value; and the highest value of a bucket. */
size_t histogram_bucket(uint64_t value);
uint64_t histogram_highest(size_t bucket);

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The value that @part of all (0 to 1) are at or below. 0 when it is empty. */
uint64_t histogram_at(const struct histogram *histogram, double part);

double histogram_mean(const struct histogram *histogram);

#endif
