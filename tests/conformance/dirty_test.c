// SPDX-License-Identifier: MIT
/* Dirty tracking: what devices wrote is told, once, and nothing that was written is left out. */
#include "conformance/dma.h"
#include "conformance/space.h"

#include <errno.h>
#include <string.h>

enum { MOST_RANGES = 1024 };

struct told {
	struct weir_dirty *dirty;
	struct weir_dirty_range ranges[MOST_RANGES];
	uint32_t num;
	uint32_t most; /* stop with the range after so many */
};

static int note(void *context, const struct weir_dirty_range *range)
{
	struct told *told = context;

	if (told->num == told->most)
		return -ECANCELED;
	if (!range->len || range->iova % PAGE || range->len % PAGE || range->reserved)
		FAIL("a range of %#llx bytes at %#llx", (unsigned long long)range->len,
		     (unsigned long long)range->iova);
	told->ranges[told->num++] = *range;
	return 0;
}

static int scan_up_to(struct told *told, uint32_t flags, uint32_t most)
{
	told->num = 0;
	told->most = most;
	return weir_dirty_scan(told->dirty, flags, note, told);
}

static void scan(struct t *t, struct told *told)
{
	(void)t;
	ASSERT_OK(scan_up_to(told, 0, MOST_RANGES));
}

/* Of @num pages from @iova on, how many are told for that reason. */
static uint32_t pages_told(const struct told *told, uint32_t why, uint64_t iova, uint32_t num)
{
	uint32_t found = 0;

	for (uint64_t page = iova; page < iova + num * PAGE; page += PAGE)
		for (uint32_t i = 0; i < told->num; i++)
			if (told->ranges[i].why == why && page >= told->ranges[i].iova &&
			    page - told->ranges[i].iova < told->ranges[i].len) {
				found++;
				break;
			}
	return found;
}

/* For whatever reason. */
static uint32_t pages_counted(const struct told *told, uint64_t iova, uint32_t num)
{
	return pages_told(told, WEIR_DIRTY_WRITTEN, iova, num) +
	       pages_told(told, WEIR_DIRTY_GONE, iova, num) + pages_told(told, WEIR_DIRTY_UNKNOWN, iova, num);
}

static struct weir_ioas *tracked_ioas(struct t *t)
{
	return new_ioas_with(t, &WEIR_OPTS(weir_ioas_opts, .flags = WEIR_IOAS_DIRTY));
}

static void stop_tracking(void *arg)
{
	struct told *told = arg;

	EXPECT_OK(weir_dirty_close(told->dirty));
	told->dirty = NULL;
}

static struct told *track(struct t *t, struct weir_ioas *ioas)
{
	static struct told told;

	told = (struct told){ 0 };
	ASSERT_OK(weir_dirty_open(ioas, NULL, &told.dirty));
	t_defer(t, stop_tracking, &told);
	return &told;
}

static struct weir_dirty_info dirty_info(const struct told *told)
{
	struct weir_dirty_info info;

	weir_dirty_info(told->dirty, &info, sizeof(info));
	return info;
}

/* A space, an edu in it, and @num pages that it may reach. */
struct scene {
	struct weir_ioas *ioas;
	struct edu *edu;
	unsigned char *memory;
	struct weir_map *map;
	uint64_t iova;
};

static struct scene new_scene(struct t *t, uint32_t num)
{
	struct scene scene = { .ioas = tracked_ioas(t) };

	record_no_calls(t);
	scene.edu = new_edu(t, scene.ioas, "EDU0", 0);
	scene.memory = new_memory(t, num * PAGE, 1);
	scene.map = new_map(t, scene.ioas, scene.memory, num * PAGE, NULL);
	scene.iova = weir_map_iova(scene.map);
	return scene;
}

/* Page by page ------------------------------------------------------------------------------------------------------ */

CONFORMANCE(dirty, pages_that_were_written_are_told_and_no_others, NEEDS(DIRTY_PAGES, DMA_DEVICE))
{
	struct scene scene = new_scene(t, 16);
	struct told *told = track(t, scene.ioas);

	EXPECT_EQ(dirty_info(told).page_size, PAGE);
	EXPECT_TRUE(dirty_info(told).source != WEIR_DIRTY_PINNED);
	dma_writes(t, scene.edu, scene.iova + 3 * PAGE, 7, 64);
	dma_writes(t, scene.edu, scene.iova + 9 * PAGE - 8, 7, 16);
	scan(t, told);
	EXPECT_EQ(pages_told(told, WEIR_DIRTY_WRITTEN, scene.iova + 3 * PAGE, 1), 1);
	EXPECT_EQ(pages_told(told, WEIR_DIRTY_WRITTEN, scene.iova + 8 * PAGE, 2), 2);
	EXPECT_EQ(pages_counted(told, scene.iova, 16), 3);
}

CONFORMANCE(dirty, what_was_told_is_not_told_again_unless_it_is_kept, NEEDS(DIRTY_PAGES, DMA_DEVICE))
{
	struct scene scene = new_scene(t, 4);
	struct told *told = track(t, scene.ioas);

	dma_writes(t, scene.edu, scene.iova + PAGE, 7, 64);
	ASSERT_OK(scan_up_to(told, WEIR_DIRTY_KEEP, MOST_RANGES));
	EXPECT_EQ(pages_counted(told, scene.iova, 4), 1);
	scan(t, told);
	EXPECT_EQ(pages_counted(told, scene.iova + PAGE, 1), 1);
	scan(t, told);
	EXPECT_EQ(told->num, 0);
	dma_writes(t, scene.edu, scene.iova + PAGE, 8, 64);
	scan(t, told);
	EXPECT_EQ(pages_counted(told, scene.iova, 4), 1);
}

CONFORMANCE(dirty, what_was_written_before_is_not_told, NEEDS(DIRTY_PAGES, DMA_DEVICE))
{
	struct scene scene = new_scene(t, 4);
	struct told *told;

	dma_writes(t, scene.edu, scene.iova, 7, 64);
	told = track(t, scene.ioas);
	scan(t, told);
	EXPECT_EQ(told->num, 0);
	dma_writes(t, scene.edu, scene.iova, 8, 64);
	stop_tracking(told);
	told = track(t, scene.ioas);
	scan(t, told);
	EXPECT_EQ(told->num, 0);
}

CONFORMANCE(dirty, what_is_unmapped_is_told_whole_unless_devices_are_quiet, NEEDS(DIRTY_PAGES, DMA_DEVICE))
{
	struct scene scene = new_scene(t, 8);
	struct told *told = track(t, scene.ioas);
	struct weir_map *second = new_map(t, scene.ioas, scene.memory, 8 * PAGE, NULL);
	uint64_t iova = weir_map_iova(second);

	dma_writes(t, scene.edu, scene.iova + 2 * PAGE, 7, 64);
	dma_writes(t, scene.edu, iova + 5 * PAGE, 7, 64);
	ASSERT_OK(weir_map_close(scene.map));
	EXPECT_OK(weir_dirty_set_quiet(told->dirty, 1));
	EXPECT_EQ(dirty_info(told).quiet, 1);
	ASSERT_OK(weir_ioas_unmap(scene.ioas, iova, 8 * PAGE));
	EXPECT_OK(weir_dirty_set_quiet(told->dirty, 0));
	scan(t, told);
	EXPECT_EQ(pages_told(told, WEIR_DIRTY_GONE, scene.iova, 8), 8);
	EXPECT_EQ(pages_told(told, WEIR_DIRTY_GONE, iova, 8), 1);
	EXPECT_EQ(pages_told(told, WEIR_DIRTY_GONE, iova + 5 * PAGE, 1), 1);
	scan(t, told);
	EXPECT_EQ(told->num, 0);
}

/* More stretches than are asked for at a time. */
CONFORMANCE(dirty, mappings_that_touch_nothing_are_told_apart, NEEDS(DIRTY_PAGES, DMA_DEVICE))
{
	enum { MAPS = 300 };
	struct weir_ioas *ioas = tracked_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_memory(t, PAGE, 1);
	struct told *told;

	record_no_calls(t);
	for (uint64_t i = 0; i < MAPS; i++)
		new_map(t, ioas, memory, PAGE, AT(64 * MIB + 2 * i * PAGE));
	told = track(t, ioas);
	for (uint64_t i = 0; i < MAPS; i += 37)
		dma_writes(t, edu, 64 * MIB + 2 * i * PAGE, (unsigned char)i, 16);
	scan(t, told);
	for (uint64_t i = 0; i < MAPS; i++)
		EXPECT_EQ(pages_told(told, WEIR_DIRTY_WRITTEN, 64 * MIB + 2 * i * PAGE, 1), i % 37 == 0);
	EXPECT_EQ(told->num, (MAPS + 36) / 37);
}

CONFORMANCE(dirty, what_it_was_not_told_because_it_stopped_comes_next_time, NEEDS(DIRTY_PAGES, DMA_DEVICE))
{
	struct scene scene = new_scene(t, 16);
	struct told *told = track(t, scene.ioas);
	struct weir_map *gone = new_map(t, scene.ioas, scene.memory, PAGE, NULL);
	uint64_t iova = weir_map_iova(gone);

	for (uint64_t i = 0; i < 16; i += 5)
		dma_writes(t, scene.edu, scene.iova + i * PAGE, 7, 64);
	ASSERT_OK(weir_map_close(gone));
	EXPECT_EQ(scan_up_to(told, 0, 0), -ECANCELED);
	EXPECT_EQ(scan_up_to(told, 0, 2), -ECANCELED);
	EXPECT_EQ(pages_told(told, WEIR_DIRTY_GONE, iova, 1), 1);
	EXPECT_EQ(pages_told(told, WEIR_DIRTY_WRITTEN, scene.iova, 1), 1);
	scan(t, told);
	EXPECT_EQ(pages_counted(told, scene.iova, 1), 0);
	for (uint64_t i = 5; i < 16; i += 5)
		EXPECT_EQ(pages_counted(told, scene.iova + i * PAGE, 1), 1);
	EXPECT_EQ(pages_told(told, WEIR_DIRTY_GONE, iova, 1), 0);
}

CONFORMANCE(dirty, what_went_with_its_device_is_told_whole, NEEDS(DIRTY_PAGES, DMA_DEVICE))
{
	struct weir_ioas *ioas = tracked_ioas(t);
	uint64_t iova = weir_map_iova(new_map(t, ioas, new_memory(t, 4 * PAGE, 1), 4 * PAGE, NULL));
	struct weir_device *device;
	struct told *told;
	bool by_devices;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	told = track(t, ioas);
	by_devices = dirty_info(told).source == WEIR_DIRTY_DEVICES;
	scan(t, told);
	EXPECT_EQ(told->num, 0);
	ASSERT_OK(weir_device_close(device));
	EXPECT_EQ(scan_up_to(told, 0, 0), -ECANCELED);
	scan(t, told);
	EXPECT_EQ(pages_told(told, WEIR_DIRTY_UNKNOWN, iova, 4), 4);
	scan(t, told);
	EXPECT_EQ(told->num, 0);
	if (by_devices)
		EXPECT_ERR(-EBUSY, weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	else
		new_device(t, ioas, "EDU0", 0);
	scan(t, told);
	EXPECT_EQ(told->num, 0);
}

/* What a device writes that came later, or came back, is told like any other's. */
CONFORMANCE(dirty, a_device_that_comes_while_it_is_tracked_is_tracked, NEEDS(DIRTY, DMA_DEVICE))
{
	struct weir_ioas *ioas = tracked_ioas(t);
	unsigned char *memory = new_memory(t, 4 * PAGE, 1);
	uint64_t iova = weir_map_iova(new_map(t, ioas, memory, 4 * PAGE, BELOW(32)));
	struct weir_device *device;
	struct told *told;

	record_no_calls(t);
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU1"), NULL, &device));
	told = track(t, ioas);
	ASSERT_OK(weir_device_close(device));
	scan(t, told);
	if (dirty_info(told).source == WEIR_DIRTY_DEVICES)
		return;
	dma_writes(t, new_edu(t, ioas, "EDU0", 0), iova + PAGE, 7, 64);
	scan(t, told);
	EXPECT_EQ(pages_counted(told, iova + PAGE, 1), 1);
}

/* However coarse ---------------------------------------------------------------------------------------------------- */

CONFORMANCE(dirty, nothing_that_was_written_is_left_out, NEEDS(DIRTY, DMA_DEVICE))
{
	struct scene scene = new_scene(t, 8);
	struct told *told = track(t, scene.ioas);
	struct weir_map *gone = new_map(t, scene.ioas, scene.memory, 2 * PAGE, NULL);
	uint64_t iova = weir_map_iova(gone);

	dma_writes(t, scene.edu, scene.iova + 4 * PAGE, 7, 64);
	dma_writes(t, scene.edu, iova + PAGE, 7, 64);
	ASSERT_OK(weir_map_close(gone));
	scan(t, told);
	EXPECT_EQ(pages_counted(told, scene.iova + 4 * PAGE, 1), 1);
	EXPECT_EQ(pages_told(told, WEIR_DIRTY_GONE, iova, 2), 2);
}

CONFORMANCE(dirty, where_nobody_tells_pages_apart_all_that_may_be_written_is_told,
	    NEEDS(DIRTY, NO_DIRTY_PAGES, DMA_DEVICE))
{
	struct weir_ioas *ioas = tracked_ioas(t);
	struct told *told;
	unsigned char *memory = new_memory(t, 12 * PAGE, 1);
	uint64_t iova, only_read;

	new_device(t, ioas, "EDU0", 0);
	iova = weir_map_iova(new_map(t, ioas, memory, 8 * PAGE, NULL));
	only_read = weir_map_iova(new_map(t, ioas, memory + 8 * PAGE, 4 * PAGE,
					  &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ)));
	told = track(t, ioas);
	EXPECT_EQ(dirty_info(told).source, WEIR_DIRTY_PINNED);
	EXPECT_EQ(dirty_info(told).page_size, 0);
	for (int i = 0; i < 2; i++) {
		scan(t, told);
		EXPECT_EQ(pages_told(told, WEIR_DIRTY_UNKNOWN, iova, 8), 8);
		EXPECT_EQ(pages_counted(told, only_read, 4), 0);
	}
}

CONFORMANCE(dirty, what_devices_may_only_read_is_never_told, NEEDS(DIRTY, DMA_DEVICE, READ_ONLY))
{
	struct weir_ioas *ioas = tracked_ioas(t);
	struct weir_map *map;
	struct told *told;
	uint64_t iova;

	new_device(t, ioas, "EDU0", 0);
	map = new_map(t, ioas, new_memory(t, PAGE, 1), PAGE,
		      &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ));
	iova = weir_map_iova(map);
	told = track(t, ioas);
	ASSERT_OK(weir_map_close(map));
	scan(t, told);
	EXPECT_EQ(pages_counted(told, iova, 1), 0);
}

/* A callback may do what it likes to the space. */
struct worker {
	struct weir_ioas *ioas;
	struct weir_dirty *dirty;
	void *memory;
	uint32_t calls;
};

static int work(void *context, const struct weir_dirty_range *range)
{
	struct worker *worker = context;
	struct weir_map *map;

	(void)range;
	worker->calls++;
	EXPECT_ERR(-EBUSY, weir_dirty_scan(worker->dirty, 0, work, worker));
	ASSERT_OK(weir_ioas_map(worker->ioas, worker->memory, PAGE, NULL, &map));
	ASSERT_OK(weir_map_close(map));
	return 0;
}

CONFORMANCE(dirty, the_table_may_change_while_it_is_told, NEEDS(DIRTY, DMA_DEVICE))
{
	struct scene scene = new_scene(t, 4);
	struct told *told = track(t, scene.ioas);
	struct worker worker = { .ioas = scene.ioas, .dirty = told->dirty, .memory = scene.memory };

	dma_writes(t, scene.edu, scene.iova, 7, 64);
	ASSERT_OK(weir_dirty_scan(told->dirty, 0, work, &worker));
	EXPECT_TRUE(worker.calls >= 1);
	scan(t, told);
	EXPECT_TRUE(told->num >= 1);
}

/* Refusals ---------------------------------------------------------------------------------------------------------- */

CONFORMANCE(dirty, what_makes_no_sense_is_refused, NEEDS(ORDINARY, DMA_DEVICE))
{
	struct weir_ioas *ioas = tracked_ioas(t), *plain = new_ioas(t);
	struct weir_dirty *dirty = NULL;

	new_device(t, plain, "EDU0", 0);
	EXPECT_ERR(-EINVAL, weir_dirty_open(plain, NULL, &dirty));
	EXPECT_TRUE(strstr(weir_error(), "WEIR_IOAS_DIRTY"));
	EXPECT_ERR(-ENODEV, weir_dirty_open(ioas, NULL, &dirty));
	EXPECT_ERR(-EINVAL, weir_dirty_open(ioas, &WEIR_OPTS(weir_dirty_opts, .source = 4), &dirty));
	EXPECT_ERR(-EINVAL, weir_dirty_open(ioas, &WEIR_OPTS(weir_dirty_opts, .reserved = 1), &dirty));
	EXPECT_TRUE(!dirty);
	EXPECT_OK(weir_dirty_close(NULL));
}

CONFORMANCE(dirty, a_space_that_is_tracked_is_tracked_once_and_stays_open, NEEDS(DIRTY, DMA_DEVICE))
{
	struct weir_ioas *ioas = tracked_ioas(t);
	struct weir_device *device;
	struct weir_dirty *second = NULL;
	struct told *told;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	told = track(t, ioas);
	EXPECT_ERR(-EBUSY, weir_dirty_open(ioas, NULL, &second));
	EXPECT_ERR(-EINVAL, weir_dirty_scan(told->dirty, 2, note, told));
	ASSERT_OK(weir_device_close(device));
	EXPECT_ERR(-EBUSY, weir_ioas_close(ioas));
	EXPECT_TRUE(strstr(weir_error(), "weir_dirty"));
}

CONFORMANCE(dirty, a_domain_and_tracking_exclude_each_other, NEEDS(DIRTY, DOMAIN, DMA_DEVICE))
{
	struct weir_ioas *ioas = tracked_ioas(t);
	struct weir_device *device = new_device(t, ioas, "EDU0", 0);
	struct weir_dirty *dirty = NULL;
	struct weir_domain *domain = NULL;

	ASSERT_OK(weir_domain_open(device, NULL, &domain));
	EXPECT_ERR(-EBUSY, weir_dirty_open(ioas, NULL, &dirty));
	ASSERT_OK(weir_domain_close(domain));
	ASSERT_OK(weir_dirty_open(ioas, NULL, &dirty));
	EXPECT_ERR(-EBUSY, weir_domain_open(device, NULL, &domain));
	EXPECT_OK(weir_dirty_close(dirty));
	ASSERT_OK(weir_domain_open(device, NULL, &domain));
	ASSERT_OK(weir_domain_close(domain));
}

CONFORMANCE(dirty, where_nobody_knows_it_says_so, NEEDS(NO_DIRTY, DMA_DEVICE))
{
	struct weir_ioas *ioas = tracked_ioas(t);
	struct weir_device *device = new_device(t, ioas, "EDU0", 0);
	struct weir_dirty *dirty;

	EXPECT_ERR(-EOPNOTSUPP, weir_caps_check(device, WEIR_CAP_DIRTY));
	for (uint32_t source = WEIR_DIRTY_AUTO; source <= WEIR_DIRTY_PINNED; source++)
		EXPECT_ERR(-EOPNOTSUPP,
			   weir_dirty_open(ioas, &WEIR_OPTS(weir_dirty_opts, .source = source), &dirty));
	/* It is a space like any other. */
	new_map(t, ioas, new_memory(t, PAGE, 1), PAGE, NULL);
}
