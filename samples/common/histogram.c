/* SPDX-License-Identifier: MIT */
#include "histogram.h"

#define PART_BITS HISTOGRAM_PART_BITS

/* Values of up to PART_BITS + 1 bits have a bucket each. Of longer ones, the highest PART_BITS + 1 bits count. */
size_t histogram_bucket(uint64_t value)
{
	unsigned int highest = 63 - (unsigned int)__builtin_clzll(value | 1);
	unsigned int shift = highest > PART_BITS ? highest - PART_BITS : 0;

	return ((size_t)shift << PART_BITS) + (size_t)(value >> shift);
}

uint64_t histogram_highest(size_t bucket)
{
	unsigned int shift;

	if (bucket < 2u << PART_BITS)
		return bucket;
	shift = (unsigned int)(bucket >> PART_BITS) - 1;
	return ((((uint64_t)bucket - ((uint64_t)shift << PART_BITS)) + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	h->counts[histogram_bucket(value)]++;
	h->least = h->num == 0 || value < h->least ? value : h->least;
	h->most = value > h->most ? value : h->most;
	h->sum += value;
	h->num++;
}

void histogram_merge(struct histogram *h, const struct histogram *other)
{
	size_t i;

	if (other->num == 0)
		return;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->counts[i] += other->counts[i];
	h->least = h->num == 0 || other->least < h->least ? other->least : h->least;
	h->most = other->most > h->most ? other->most : h->most;
	h->sum += other->sum;
	h->num += other->num;
}

uint64_t histogram_at(const struct histogram *h, double part)
{
	double rank = part * (double)h->num;
	uint64_t below = 0, value;
	size_t i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		below += h->counts[i];
		if (below == 0 || (double)below < rank)
			continue;
		value = histogram_highest(i);
		return value < h->most ? value : h->most;
	}
	return h->most;
}

double histogram_mean(const struct histogram *h)
{
	return h->num > 0 ? (double)h->sum / (double)h->num : 0;
}
