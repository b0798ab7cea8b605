// SPDX-License-Identifier: MIT
/*
 * Many threads in one address space: some map and unmap, some unmap ranges, some ask, some open and close devices. What the
 * kernel held at each moment is counted page by page, and what is left in the end is known. Of most use under the thread
 * sanitizer.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "unit/yes_host.h"

enum { PAGE = 4096, SLOTS = 8, MOST_PAGES = 16, OTHERS = 3 };

/* Fixed ranges for those that unmap by range; everything else is chosen above 4 GiB. */
static const uint64_t window = 0x100000000, window_last = 0x107ffffff, low_window = 0x200000;

struct arena {
	struct weir_host *host;
	struct weir_ioas *ioas;
	unsigned char *memory;
	unsigned int each; /* of mappers, and of those that unmap ranges */
	atomic_bool over;
	_Atomic unsigned int maps, range_unmaps, openings, answers;
};

struct mapper {
	struct arena *arena;
	unsigned int random;
	uint64_t mapped_bytes, num_maps; /* in the end */
	struct weir_map *maps[SLOTS];
	unsigned int pieces[SLOTS]; /* of which each is */
};

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 200 * 1000 }, NULL);
}

static unsigned int draw(unsigned int *random, unsigned int below)
{
	*random = *random * 1664525u + 1013904223u;
	return (*random >> 8) % below;
}

/* Two pieces, or one. */
static int map_some(struct mapper *mapper, size_t len, unsigned int slot)
{
	struct arena *arena = mapper->arena;
	const struct weir_map_range ranges[] = { { arena->memory + PAGE, len - PAGE },
						 { arena->memory, PAGE } };

	if (len == PAGE || draw(&mapper->random, 2)) {
		mapper->pieces[slot] = 1;
		return weir_ioas_map(arena->ioas, arena->memory, len, NULL, &mapper->maps[slot]);
	}
	mapper->pieces[slot] = 2;
	return weir_ioas_map_batch(arena->ioas, ranges, 2, NULL, NULL, &mapper->maps[slot]);
}

static void *map_and_close(void *arg)
{
	struct mapper *mapper = arg;
	struct arena *arena = mapper->arena;

	while (!atomic_load(&arena->over)) {
		unsigned int which = draw(&mapper->random, SLOTS);
		struct weir_map **slot = &mapper->maps[which];
		size_t len = (1 + draw(&mapper->random, MOST_PAGES)) * (size_t)PAGE;

		if (*slot) {
			EXPECT_OK(draw(&mapper->random, 2) ? weir_map_close(*slot)
							   : weir_map_close_batch(slot, 1));
			*slot = NULL;
		} else if (EXPECT_OK(map_some(mapper, len, which))) {
			EXPECT_EQ(len, weir_map_len(*slot));
			EXPECT_GE(weir_map_iova(*slot), window);
			atomic_fetch_add_explicit(&arena->maps, 1, memory_order_relaxed);
		}
	}
	for (int i = 0; i < SLOTS; i++)
		if (mapper->maps[i]) {
			mapper->num_maps += mapper->pieces[i];
			mapper->mapped_bytes += weir_map_len(mapper->maps[i]);
		}
	return NULL;
}

/* Maps into ranges of its own and takes them back several at a time, with and without gaps between them. */
static void *map_and_unmap_ranges(void *arg)
{
	struct mapper *mapper = arg;
	struct arena *arena = mapper->arena;
	/* Each has a range of its own, and what lies there is its own. */
	uint64_t base =
		low_window + (uint64_t)draw(&mapper->random, 1) + (uint64_t)mapper->num_maps * 0x100000;

	mapper->num_maps = 0;
	while (!atomic_load(&arena->over)) {
		unsigned int gap = draw(&mapper->random, 3), num = 1 + draw(&mapper->random, 4);

		for (unsigned int i = 0; i < num; i++) {
			uint64_t iova = base + (uint64_t)i * (2 + gap) * PAGE;
			struct weir_map *map;

			EXPECT_OK(weir_ioas_map(
				arena->ioas, arena->memory, 2 * (size_t)PAGE,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = iova), &map));
		}
		EXPECT_ERR(-EINVAL, weir_ioas_unmap(arena->ioas, base + PAGE, PAGE));
		EXPECT_OK(weir_ioas_unmap(arena->ioas, base, (uint64_t)num * (2 + gap) * PAGE));
		atomic_fetch_add_explicit(&arena->range_unmaps, 1, memory_order_relaxed);
	}
	return NULL;
}

/* Tries for what is taken, so that failing is among what happens at the same time. */
static void *collide(void *arg)
{
	struct arena *arena = arg;
	struct weir_map *map;
	int error;

	while (!atomic_load(&arena->over)) {
		EXPECT_ERR(-EINVAL, weir_ioas_map(arena->ioas, arena->memory + 1, PAGE, NULL, &map));
		error = weir_ioas_map(arena->ioas, arena->memory, PAGE,
				      &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = window),
				      &map);
		if (error)
			EXPECT_EQ(-EEXIST, error);
		else
			EXPECT_OK(weir_map_close(map));
		EXPECT_ERR(-ENOENT, weir_ioas_unmap(arena->ioas, 0x1000, PAGE));
		nap();
	}
	return NULL;
}

static void *ask(void *arg)
{
	struct arena *arena = arg;

	while (!atomic_load(&arena->over)) {
		struct weir_iova_range ranges[8];
		struct weir_ioas_info info;
		size_t num = 8;

		EXPECT_OK(weir_ioas_info(arena->ioas, &info, sizeof(info)));
		EXPECT_EQ(PAGE, info.alignment);
		EXPECT_LE(info.num_devices, YES_DEVICES);
		EXPECT_LE(info.num_mappings * PAGE, info.mapped_bytes);
		EXPECT_EQ(0, info.lost_bytes);
		EXPECT_OK(weir_ioas_ranges(arena->ioas, ranges, &num));
		EXPECT_EQ(2, num);
		atomic_fetch_add_explicit(&arena->answers, 1, memory_order_relaxed);
		nap();
	}
	return NULL;
}

static void use(struct weir_device *device)
{
	struct weir_device_info info;
	struct weir_region *region;
	struct weir_irq *irq;
	uint32_t value;

	EXPECT_OK(weir_device_info(device, &info, sizeof(info)));
	EXPECT_OK(weir_device_set_bus_master(device, true));
	if (EXPECT_OK(weir_irq_enable(device, WEIR_IRQ_MSIX, 2, &irq)))
		EXPECT_OK(weir_irq_disable(irq));
	if (EXPECT_OK(weir_device_region(device, 0, &region)))
		EXPECT_OK(weir_region_read32(region, 16, &value));
}

/* Comes and goes; with the last device goes what the kernel holds of the mappings. */
static void *open_and_close(void *arg)
{
	static const char *const addresses[] = { YES_ADDRESS_0, YES_ADDRESS_2, YES_ADDRESS_3 };
	struct arena *arena = arg;

	while (!atomic_load(&arena->over)) {
		struct weir_device *devices[3] = { NULL };

		for (int i = 0; i < 3; i++)
			if (EXPECT_OK(weir_device_open(arena->ioas, addresses[i],
						       &WEIR_OPTS(weir_device_opts, .address_bits = 40),
						       &devices[i])))
				use(devices[i]);
		nap();
		for (int i = 0; i < 3; i++)
			EXPECT_OK(weir_device_close(devices[i]));
		atomic_fetch_add_explicit(&arena->openings, 1, memory_order_relaxed);
		nap();
	}
	return NULL;
}

static void start(pthread_t *thread, void *(*body)(void *arg), void *arg)
{
	ASSERT_EQ(0, pthread_create(thread, NULL, body, arg));
}

/* What is left is in the table, and with a device, in the kernel; page by page. */
static void check_rest(struct arena *arena, struct yes_kernel *yes, const struct mapper *mappers)
{
	struct weir_ioas_info info;
	struct weir_device *device;
	uint64_t maps = 0, bytes = 0;

	for (unsigned int i = 0; i < arena->each; i++) {
		maps += mappers[i].num_maps;
		bytes += mappers[i].mapped_bytes;
	}
	ASSERT_OK(weir_ioas_info(arena->ioas, &info, sizeof(info)));
	EXPECT_EQ(maps, info.num_mappings);
	EXPECT_EQ(bytes, info.mapped_bytes);
	EXPECT_EQ(0, yes->overlaps);
	EXPECT_EQ(0, yes->num_mapped);
	ASSERT_OK(weir_device_open(arena->ioas, YES_ADDRESS_1, NULL, &device));
	EXPECT_EQ(bytes / PAGE, yes->num_mapped);
	for (unsigned int i = 0; i < arena->each; i++)
		for (int k = 0; k < SLOTS; k++)
			EXPECT_OK(weir_map_close(mappers[i].maps[k]));
	EXPECT_EQ(0, yes->num_mapped);
	EXPECT_OK(weir_device_close(device));
}

static bool all_had_their_turn(struct arena *arena)
{
	enum { TURNS = 3 };

	return arena->maps >= TURNS && arena->range_unmaps >= TURNS && arena->openings >= TURNS &&
	       arena->answers >= TURNS;
}

static void run(struct t *t, enum weir_backend backend)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct arena *arena = calloc(1, sizeof(*arena));
	struct mapper mappers[MOST_OF_A_KIND], rangers[MOST_OF_A_KIND];
	pthread_t threads[2 * MOST_OF_A_KIND + OTHERS];
	int num = 0;

	ASSERT_TRUE(arena);
	t_defer(t, free, arena);
	t_timeout(t, 60);
	yes_kernel_track(yes, low_window, window_last);
	arena->host = new_host(t, yes, backend);
	arena->ioas = new_ioas(t, arena->host);
	arena->memory = new_memory(t, PAGE, MOST_PAGES * (size_t)PAGE);
	arena->each = threads_of_a_kind();
	for (unsigned int i = 0; i < arena->each; i++) {
		mappers[i] = (struct mapper){ .arena = arena, .random = i + 1 };
		start(&threads[num++], map_and_close, &mappers[i]);
	}
	for (unsigned int i = 0; i < arena->each; i++) {
		rangers[i] = (struct mapper){ .arena = arena, .random = i + 1, .num_maps = i };
		start(&threads[num++], map_and_unmap_ranges, &rangers[i]);
	}
	start(&threads[num++], collide, arena);
	start(&threads[num++], ask, arena);
	start(&threads[num++], open_and_close, arena);
	/* A while, and under valgrind, which runs one thread at a time, as long as it takes. */
	do {
		nanosleep(&(struct timespec){ .tv_nsec = 800 * 1000 * 1000 }, NULL);
	} while (!all_had_their_turn(arena));
	atomic_store(&arena->over, true);
	while (num)
		pthread_join(threads[--num], NULL);
	check_rest(arena, yes, mappers);
}

UNIT(threads, share_a_space_on_iommufd)
{
	run(t, WEIR_BACKEND_IOMMUFD);
}

UNIT(threads, share_a_space_on_type1)
{
	run(t, WEIR_BACKEND_TYPE1);
}

UNIT(threads, share_a_space_on_compat)
{
	run(t, WEIR_BACKEND_COMPAT);
}

struct opener {
	struct weir_host *host;
	const char *address;
	unsigned char *memory;
};

static void *live_alone(void *arg)
{
	const struct opener *opener = arg;

	for (int i = 0; i < 50; i++) {
		struct weir_ioas *ioas;
		struct weir_device *device;
		struct weir_map *map;

		EXPECT_OK(weir_ioas_open(opener->host, NULL, &ioas));
		EXPECT_OK(weir_ioas_map(ioas, opener->memory, PAGE, NULL, &map));
		EXPECT_OK(weir_device_open(ioas, opener->address, NULL, &device));
		EXPECT_OK(weir_map_close(map));
		EXPECT_OK(weir_device_close(device));
		EXPECT_OK(weir_ioas_close(ioas));
	}
	return NULL;
}

UNIT(threads, with_spaces_of_their_own_share_a_host)
{
	for (int i = 0; i < NUM_BACKENDS; i++) {
		struct yes_kernel *yes = new_yes_kernel(t);
		struct weir_host *host = new_host(t, yes, all_backends[i]);
		unsigned char *memory = new_memory(t, PAGE, PAGE);
		struct opener openers[] = { { host, YES_ADDRESS_0, memory },
					    { host, YES_ADDRESS_1, memory },
					    { host, YES_ADDRESS_2, memory } };
		pthread_t threads[3];

		for (int k = 0; k < 3; k++)
			start(&threads[k], live_alone, &openers[k]);
		for (int k = 0; k < 3; k++)
			pthread_join(threads[k], NULL);
	}
}

static void *close_last(void *arg)
{
	EXPECT_OK(weir_ioas_close(arg));
	return NULL;
}

/* A host may be closed as soon as its last space is: by another thread, while the space's close is on its way out. */
UNIT(threads, may_close_a_host_as_soon_as_it_says_yes)
{
	for (int i = 0; i < 200; i++) {
		struct yes_kernel *yes = new_yes_kernel(t);
		struct weir_host *host;
		struct weir_ioas *ioas;
		pthread_t thread;

		ASSERT_OK(weir_host_open(
			&WEIR_OPTS(weir_host_opts, .backend = WEIR_BACKEND_IOMMUFD, .sys = &yes->table),
			&host));
		ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
		start(&thread, close_last, ioas);
		while (weir_host_close(host))
			;
		pthread_join(thread, NULL);
	}
}
