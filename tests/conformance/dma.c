// SPDX-License-Identifier: MIT
/* DMA by edu, and the kernel's word on DMA that was blocked. */
#include "conformance/dma.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DMA_TIMEOUT_MS = 5000 };

/* A mapped page beside each edu, through which the device's buffer is filled and looked at. */
struct bench {
	struct edu *edu;
	struct weir_device *device;
	unsigned char *window;
	struct weir_map *map;
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

struct edu *new_edu(struct t *t, struct weir_ioas *ioas, const char *name, uint32_t flags)
{
	/* EDU1 is as QEMU makes it, with 28 address bits; EDU0 drives 32. */
	uint32_t bits = strcmp(name, "EDU1") ? 32 : 28;
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

struct weir_device *device_of(struct t *t, struct edu *edu)
{
	(void)t;
	return bench_of(edu)->device;
}

static void dma(struct edu *edu, enum edu_direction direction, uint64_t iova, size_t len)
{
	if (edu_dma(edu, direction, iova, 0, (uint32_t)len, EDU_BY_POLLING, DMA_TIMEOUT_MS))
		FAIL("edu_dma: %s", edu_error());
}

bool dma_reads(struct t *t, struct edu *edu, uint64_t iova, const void *expected, size_t len)
{
	struct bench *bench = bench_of(edu);

	(void)t;
	/* What the buffer held before must not pass for what was read. */
	for (size_t i = 0; i < len; i++)
		bench->window[i] = (unsigned char)~((const unsigned char *)expected)[i];
	dma(edu, EDU_FROM_MEMORY, weir_map_iova(bench->map), len);
	dma(edu, EDU_FROM_MEMORY, iova, len);
	dma(edu, EDU_TO_MEMORY, weir_map_iova(bench->map), len);
	return !memcmp(bench->window, expected, len);
}

void dma_writes(struct t *t, struct edu *edu, uint64_t iova, unsigned char fill, size_t len)
{
	struct bench *bench = bench_of(edu);

	(void)t;
	memset(bench->window, fill, len);
	dma(edu, EDU_FROM_MEMORY, weir_map_iova(bench->map), len);
	dma(edu, EDU_TO_MEMORY, iova, len);
}

bool all_bytes(const void *addr, unsigned char fill, size_t len)
{
	const unsigned char *bytes = addr;

	for (size_t i = 0; i < len; i++)
		if (bytes[i] != fill)
			return false;
	return true;
}

static int log_fd = -1;

static void faults_end(void *arg)
{
	(void)arg;
	close(log_fd);
	log_fd = -1;
}

void faults_begin(struct t *t)
{
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_TRUE(log_fd >= 0);
	t_defer(t, faults_end, NULL);
	ASSERT_TRUE(lseek(log_fd, 0, SEEK_END) >= 0);
}

bool faults_reported(struct t *t)
{
	char record[2048];
	bool found = false;
	ssize_t got;

	(void)t;
	/* The fault interrupt is served soon, not at once. */
	for (int i = 0; i < 50 && !found; i++) {
		while ((got = read(log_fd, record, sizeof(record) - 1)) > 0 || (got < 0 && errno == EPIPE)) {
			if (got < 0)
				continue;
			record[got] = '\0';
			found |= strstr(record, "fault addr") != NULL || strstr(record, "DMAR: [DMA") != NULL;
		}
		if (!found)
			usleep(20000);
	}
	return found;
}
