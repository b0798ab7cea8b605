// SPDX-License-Identifier: MIT
/* Dirty tracking on the kernel's mock, whose dirty bits can be set: what was written is known exactly, and so is what must be told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/iommufd.h"
#include "bench/series.h"
#include "ioas/ioas.h"
#include "mock/mock_host.h"

enum { PAGE = 4096, HALF = 2048 };

/* A bit for each page from @iova on, as it should be told, and as it was told. */
struct pattern {
	struct weir_ioas *ioas;
	struct weir_dirty *dirty;
	uint64_t iova, num;
	uint64_t *written, *told;
	uint64_t ranges, strange;
};

static bool has(const uint64_t *bits, uint64_t number)
{
	return bits[number / 64] >> number % 64 & 1;
}

static void set(uint64_t *bits, uint64_t number)
{
	bits[number / 64] |= UINT64_C(1) << number % 64;
}

static int note(void *context, const struct weir_dirty_range *range)
{
	struct pattern *pattern = context;

	pattern->ranges++;
	if (range->why != WEIR_DIRTY_WRITTEN || range->iova < pattern->iova ||
	    range->iova + range->len > pattern->iova + pattern->num * PAGE) {
		pattern->strange++;
		return 0;
	}
	for (uint64_t at = 0; at < range->len; at += PAGE)
		set(pattern->told, (range->iova + at - pattern->iova) / PAGE);
	return 0;
}

static void end_pattern(void *arg)
{
	struct pattern *pattern = arg;

	EXPECT_OK(weir_dirty_close(pattern->dirty));
	free(pattern->written);
	free(pattern->told);
}

/* @num pages of one file of @file_pages, mapped again and again, without a gap. */
static struct pattern *new_pattern(struct t *t, uint64_t num, uint64_t file_pages)
{
	static struct pattern pattern;
	struct mock_host *mock = new_mock_host(t, 0);
	int fd = memfd_create("pattern", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	pattern = (struct pattern){ .ioas = mock_ioas_with(t, mock, WEIR_IOAS_DIRTY),
				    .num = num,
				    .iova = 2 * ABI_MOCK_APERTURE_START };
	mock_device_in(t, pattern.ioas, 0);
	ASSERT_TRUE(fd >= 0 && !ftruncate(fd, (off_t)(file_pages * PAGE)));
	for (uint64_t at = 0; at < num; at += file_pages) {
		struct weir_map *map;

		ASSERT_OK(weir_ioas_map_file(
			pattern.ioas, fd, 0, file_pages * PAGE,
			&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = pattern.iova + at * PAGE),
			&map));
	}
	close(fd);
	pattern.written = calloc(num / 64 + 1, sizeof(uint64_t));
	pattern.told = calloc(num / 64 + 1, sizeof(uint64_t));
	ASSERT_TRUE(pattern.written && pattern.told);
	ASSERT_OK(weir_dirty_open(pattern.ioas, NULL, &pattern.dirty));
	t_defer(t, end_pattern, &pattern);
	return &pattern;
}

/* As if a device had written: the kernel sets its bits. @granule: bytes for each of @bits. */
static void write_pages(struct t *t, struct pattern *pattern, uint64_t *bits, uint64_t granule)
{
	struct abi_iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = ABI_IOMMU_TEST_OP_DIRTY,
		.id = pattern->ioas->space.hwpts->object.id,
		.dirty = { .iova = pattern->iova,
			   .length = pattern->num * PAGE,
			   .page_size = granule,
			   .uptr = (uintptr_t)bits },
	};

	(void)t;
	ASSERT_OK(weir_sys_real()->ioctl(NULL, pattern->ioas->host->kernel.fd, ABI_IOMMU_TEST_CMD, &cmd));
}

static void expect_told(struct t *t, struct pattern *pattern, uint32_t flags)
{
	uint64_t wrong = 0;

	(void)t;
	pattern->ranges = 0;
	memset(pattern->told, 0, (pattern->num / 64 + 1) * sizeof(uint64_t));
	ASSERT_OK(weir_dirty_scan(pattern->dirty, flags, note, pattern));
	for (uint64_t i = 0; i < pattern->num; i++)
		wrong += has(pattern->told, i) != has(pattern->written, i);
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(pattern->strange, 0);
}

static void forget(struct pattern *pattern)
{
	memset(pattern->written, 0, (pattern->num / 64 + 1) * sizeof(uint64_t));
}

UNIT(mock_dirty, what_can_be_told_is_known_beforehand)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device_in(t, mock_ioas_with(t, mock, WEIR_IOAS_DIRTY), 0);

	EXPECT_OK(weir_caps_check(device, WEIR_CAP_DIRTY));
	EXPECT_OK(weir_caps_check(device, WEIR_CAP_DIRTY_PAGES));
}

UNIT(mock_dirty, an_iommu_without_dirty_bits_is_used_without)
{
	struct mock_host *mock = new_mock_host(t, ABI_MOCK_FLAGS_DEVICE_NO_DIRTY);
	struct weir_ioas *ioas = mock_ioas_with(t, mock, WEIR_IOAS_DIRTY);
	struct weir_device *device = mock_device_in(t, ioas, 0);
	struct weir_dirty *dirty;

	EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_DIRTY));
	EXPECT_ERR(-EOPNOTSUPP, weir_dirty_open(ioas, NULL, &dirty));
	EXPECT_CONTAINS(weir_error(), "dirty bits");
	mock_map(t, ioas);
}

UNIT(mock_dirty, patterns_are_told_as_they_are)
{
	struct pattern *pattern = new_pattern(t, 1024, 256);
	uint32_t seed = 1;

	expect_told(t, pattern, 0);
	for (int round = 0; round < 8; round++) {
		forget(pattern);
		for (uint64_t i = 0; i < pattern->num; i++) {
			seed = seed * 1103515245 + 12345;
			if (seed >> 16 & 1 && (seed >> 17) % (unsigned int)(1 << round) == 0)
				set(pattern->written, i);
		}
		write_pages(t, pattern, pattern->written, PAGE);
		expect_told(t, pattern, WEIR_DIRTY_KEEP);
		expect_told(t, pattern, 0);
		forget(pattern);
		expect_told(t, pattern, 0);
	}
	memset(pattern->written, -1, pattern->num / 8);
	write_pages(t, pattern, pattern->written, PAGE);
	expect_told(t, pattern, 0);
	EXPECT_EQ(pattern->ranges, 1);
}

/* The mock's pages are half a page, and neighbours that lie together are one entry: a half that was written is a page that was. */
UNIT(mock_dirty, half_a_page_is_a_page)
{
	struct pattern *pattern = new_pattern(t, 64, 64);
	uint64_t halves[2] = { 0 };

	for (uint64_t i = 0; i < pattern->num; i += 3) {
		set(pattern->written, i);
		set(halves, 2 * i + (i & 1));
	}
	write_pages(t, pattern, halves, HALF);
	expect_told(t, pattern, 0);
}

/* The naive call says 0 to a hole, and forgets what lay behind it. */
UNIT(mock_dirty, holes_cost_nothing)
{
	struct pattern *pattern = new_pattern(t, 64, 4);

	for (uint64_t i = 0; i < pattern->num; i += 8)
		ASSERT_OK(weir_ioas_unmap(pattern->ioas, pattern->iova + (i + 4) * PAGE, 4 * PAGE));
	weir_dirty_scan(pattern->dirty, 0, note, pattern);
	pattern->strange = 0;
	for (uint64_t i = 0; i < pattern->num; i += 8)
		set(pattern->written, i + 3);
	for (uint64_t i = 0; i < pattern->num; i += 8) {
		uint64_t one = 1;
		struct abi_iommu_test_cmd cmd = {
			.size = sizeof(cmd),
			.op = ABI_IOMMU_TEST_OP_DIRTY,
			.id = pattern->ioas->space.hwpts->object.id,
			.dirty = { .iova = pattern->iova + (i + 3) * PAGE,
				   .length = PAGE,
				   .page_size = PAGE,
				   .uptr = (uintptr_t)&one },
		};

		ASSERT_OK(weir_sys_real()->ioctl(NULL, pattern->ioas->host->kernel.fd, ABI_IOMMU_TEST_CMD,
						 &cmd));
	}
	expect_told(t, pattern, 0);
}

/* As many as the mock's addresses have room for, but a few. No limit: the figure is kept. */
UNIT(mock_dirty, half_a_million_pages_are_scanned)
{
	enum { PAGES = 480 << 10, FILE_PAGES = 16 << 10, EVERY = 97 };
	struct pattern *pattern;
	uint64_t begin;

	pattern = new_pattern(t, PAGES, FILE_PAGES);
	begin = now_ns();
	expect_told(t, pattern, 0);
	printf("nothing written: %.1f ns a page\n", (double)(now_ns() - begin) / PAGES);
	for (uint64_t i = 0; i < PAGES; i += EVERY)
		set(pattern->written, i);
	write_pages(t, pattern, pattern->written, PAGE);
	begin = now_ns();
	expect_told(t, pattern, 0);
	printf("every %dth written: %.1f ns a page\n", EVERY, (double)(now_ns() - begin) / PAGES);
	EXPECT_EQ(pattern->ranges, (PAGES + EVERY - 1) / EVERY);
}
