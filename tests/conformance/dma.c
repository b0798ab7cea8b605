// SPDX-License-Identifier: MIT
/* DMA by edu. */
#include "conformance/dma.h"

#include <stdlib.h>
#include <string.h>

enum { DMA_TIMEOUT_MS = 5000 };

/* A mapped page beside each edu, through which the device's buffer is filled and looked at. */
struct bench {
	struct edu *edu;
	struct weir_device *device;
	unsigned char *window;
	struct weir_map *map;
	unsigned char held[EDU_BUFFER_SIZE]; /* what the device's buffer begins with, */
	size_t num_held;                     /* as far as that is known */
	struct bench *next;
};

static struct bench *benches;

static struct bench *bench_of(struct edu *edu)
{
	struct bench *bench = benches;

	while (bench && bench->edu != edu)
		bench = bench->next;
	ASSERT_TRUE(bench != NULL);
	return bench;
}

static void close_bench(void *arg)
{
	struct bench *bench = arg, **link = &benches;

	while (*link != bench)
		link = &(*link)->next;
	*link = bench->next;
	EXPECT_EQ(edu_close(bench->edu), 0);
	free(bench);
}

static struct edu *open_edu(struct t *t, struct weir_ioas *ioas, const char *name, uint32_t bits,
			    uint32_t flags)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .address_bits = bits);

	ASSERT_TRUE(bench != NULL);
	bench->device = new_device(t, ioas, name, bits);
	bench->window = new_memory(t, EDU_BUFFER_SIZE, 0);
	if (edu_open(bench->device, flags, &bench->edu)) {
		free(bench);
		FAIL("edu_open: %s", edu_error());
	}
	bench->next = benches;
	benches = bench;
	t_defer(t, close_bench, bench);
	bench->map = new_map(t, ioas, bench->window, EDU_BUFFER_SIZE, &opts);
	return bench->edu;
}

struct edu *new_edu(struct t *t, struct weir_ioas *ioas, const char *name, uint32_t flags)
{
	return open_edu(t, ioas, name, strcmp(name, "EDU1") ? EDU0_BITS : EDU1_BITS, flags);
}

struct edu *new_edu_with_bits(struct t *t, struct weir_ioas *ioas, const char *name, uint32_t address_bits)
{
	return open_edu(t, ioas, name, address_bits, 0);
}

uint64_t dma_window(struct t *t, struct edu *edu)
{
	(void)t;
	return weir_map_iova(bench_of(edu)->map);
}

struct weir_device *device_of(struct t *t, struct edu *edu)
{
	(void)t;
	return bench_of(edu)->device;
}

static void copy(struct bench *bench, enum edu_direction direction, uint64_t iova, size_t len)
{
	if (edu_dma(bench->edu, direction, iova, 0, (uint32_t)len, EDU_BY_POLLING, DMA_TIMEOUT_MS))
		FAIL("edu_dma: %s", edu_error());
}

/* Fill the device's buffer from the window. */
static void load(struct bench *bench, size_t len)
{
	bench->num_held = 0;
	copy(bench, EDU_FROM_MEMORY, weir_map_iova(bench->map), len);
	memcpy(bench->held, bench->window, len);
	bench->num_held = len;
}

/* Does the device's buffer surely differ from @bytes, everywhere? */
static bool holds_nothing_of(const struct bench *bench, const unsigned char *bytes, size_t len)
{
	if (bench->num_held < len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (bench->held[i] == bytes[i])
			return false;
	return true;
}

static void invert(unsigned char *to, const unsigned char *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)~from[i];
}

bool dma_reads(struct t *t, struct edu *edu, uint64_t iova, const void *expected, size_t len)
{
	struct bench *bench = bench_of(edu);

	(void)t;
	/* What the buffer or the window held before must not pass for what was read. */
	invert(bench->window, expected, len);
	if (!holds_nothing_of(bench, expected, len))
		load(bench, len);
	bench->num_held = 0;
	copy(bench, EDU_FROM_MEMORY, iova, len);
	copy(bench, EDU_TO_MEMORY, weir_map_iova(bench->map), len);
	if (memcmp(bench->window, expected, len) != 0)
		return false;
	memcpy(bench->held, expected, len);
	bench->num_held = len;
	return true;
}

void dma_writes(struct t *t, struct edu *edu, uint64_t iova, unsigned char fill, size_t len)
{
	struct bench *bench = bench_of(edu);

	(void)t;
	if (bench->num_held < len || !all_bytes(bench->held, fill, len)) {
		memset(bench->window, fill, len);
		load(bench, len);
	}
	copy(bench, EDU_TO_MEMORY, iova, len);
}

/* One copy by each of the devices, of @len bytes at @offset of their buffers, side by side. */
static void copy_together(struct edu *const *edus, uint32_t num_edus, enum edu_direction direction,
			  const uint64_t *iovas, uint32_t offset, uint32_t len)
{
	for (uint32_t i = 0; i < num_edus; i++)
		if (edu_dma_start(edus[i], direction, iovas[i], offset, len, EDU_BY_POLLING))
			FAIL("edu_dma_start: %s", edu_error());
	for (uint32_t i = 0; i < num_edus; i++)
		if (edu_dma_wait(edus[i], DMA_TIMEOUT_MS))
			FAIL("edu_dma_wait: %s", edu_error());
}

enum { MOST_EDUS = 4 };

void dma_gather(struct t *t, struct edu *const *edus, uint32_t num_edus, const uint64_t *iovas, uint32_t num,
		uint32_t len, unsigned char *ret_bytes)
{
	uint32_t each = (num + num_edus - 1) / num_edus * len;
	struct bench *benches_of[MOST_EDUS];
	uint64_t windows[MOST_EDUS];

	ASSERT_TRUE(num_edus <= MOST_EDUS && each <= EDU_BUFFER_SIZE);
	for (uint32_t i = 0; i < num_edus; i++) {
		benches_of[i] = bench_of(edus[i]);
		benches_of[i]->num_held = 0;
		windows[i] = dma_window(t, edus[i]);
		for (uint32_t at = 0; at < each; at++)
			benches_of[i]->window[at] = at % 2 ? 0x55 : 0xaa;
	}
	copy_together(edus, num_edus, EDU_FROM_MEMORY, windows, 0, each);
	for (uint32_t i = 0; i < num; i += num_edus)
		copy_together(edus, num - i < num_edus ? num - i : num_edus, EDU_FROM_MEMORY, iovas + i,
			      i / num_edus * len, len);
	copy_together(edus, num_edus, EDU_TO_MEMORY, windows, 0, each);
	for (uint32_t i = 0; i < num; i++)
		memcpy(ret_bytes + i * len, benches_of[i % num_edus]->window + i / num_edus * len, len);
}

bool all_bytes(const void *addr, unsigned char fill, size_t len)
{
	const unsigned char *bytes = addr;

	for (size_t i = 0; i < len; i++)
		if (bytes[i] != fill)
			return false;
	return true;
}

/* A byte that was not used for a while; never 0 or 0xff, which is what blocked reads may yield. */
static unsigned char fresh_byte(void)
{
	static unsigned char last;

	last = (unsigned char)(last % 250 + 1);
	return last;
}

/* What the device's buffer is filled with, if it is with one byte; else a fresh one, which costs a copy. */
static unsigned char cheap_byte(const struct bench *bench, size_t len)
{
	return bench->num_held >= len && all_bytes(bench->held, bench->held[0], len) ? bench->held[0]
										     : fresh_byte();
}

bool dma_reaches(struct t *t, struct edu *edu, uint64_t iova, void *memory, size_t len)
{
	unsigned char fill = fresh_byte();

	memset(memory, fill, len);
	if (!dma_reads(t, edu, iova, memory, len))
		return false;
	memset(memory, ~fill, len);
	dma_writes(t, edu, iova, fill, len);
	return all_bytes(memory, fill, len);
}

bool dma_write_stopped(struct t *t, struct edu *edu, uint64_t iova, void *memory, size_t len)
{
	unsigned char fill = cheap_byte(bench_of(edu), len);
	unsigned char other = (unsigned char)~fill;

	memset(memory, other, len);
	dma_writes(t, edu, iova, fill, len);
	return all_bytes(memory, other, len);
}

bool dma_write_blocked(struct t *t, struct edu *edu, uint64_t iova, void *memory, size_t len)
{
	faults_begin(t);
	return dma_write_stopped(t, edu, iova, memory, len) && faults_reported(t);
}

bool dma_read_blocked(struct t *t, struct edu *edu, uint64_t iova, void *memory, size_t len)
{
	memset(memory, fresh_byte(), len);
	faults_begin(t);
	return !dma_reads(t, edu, iova, memory, len) && faults_reported(t);
}
