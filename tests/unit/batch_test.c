// SPDX-License-Identifier: MIT
/* Batches and shared mappings, where the kernel fails in the middle, or is slow. */
#include "ioas/ioas.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "kernel/iommufd_abi.h"
#include "unit/yes_host.h"

enum { PAGE = 4096, PIECES = 6 };

/* What the kernel refuses: the n-th map from now on, all unmapping that begins there; 0: nothing. */
struct refusal {
	unsigned int map;
	uint64_t unmap;
};

static int refuse(void *ctx, int fd, unsigned long request, void *arg)
{
	struct refusal *refusal = ctx;
	const struct abi_iommu_ioas_unmap *unmap = arg;

	(void)fd;
	if (request == ABI_IOMMU_IOAS_MAP && refusal->map && !--refusal->map)
		return -EFAULT;
	if (request == ABI_IOMMU_IOAS_UNMAP && refusal->unmap && unmap->iova == refusal->unmap)
		return -EIO;
	return YES_PASS;
}

struct bench {
	struct yes_kernel *yes;
	struct weir_ioas *ioas;
	unsigned char *memory;
	struct weir_map_range ranges[PIECES]; /* one page each, not merged */
	struct refusal refusal;
};

/* The bench ends before what is still open is closed. */
static void forget_bench(void *yes)
{
	((struct yes_kernel *)yes)->hook = NULL;
}

static void make_bench(struct t *t, struct bench *bench)
{
	*bench = (struct bench){ .yes = new_yes_kernel(t) };
	bench->yes->hook = refuse;
	bench->yes->hook_ctx = &bench->refusal;
	bench->ioas = new_ioas(t, new_host(t, bench->yes, WEIR_BACKEND_IOMMUFD));
	new_device(t, bench->ioas, YES_ADDRESS_0);
	t_defer(t, forget_bench, bench->yes);
	bench->memory = new_memory(t, PAGE, 2 * PIECES * (size_t)PAGE);
	for (size_t i = 0; i < PIECES; i++)
		bench->ranges[i] = (struct weir_map_range){ bench->memory + 2 * i * PAGE, PAGE };
}

static struct weir_ioas_info info_of(struct weir_ioas *ioas)
{
	struct weir_ioas_info info;

	ASSERT_OK(weir_ioas_info(ioas, &info, sizeof(info)));
	return info;
}

#define AT(iova_) (&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = (iova_)))

static const uint64_t base = 0x200000;

UNIT(batch, that_is_refused_in_the_middle_is_taken_back)
{
	struct bench bench;
	struct weir_map *map;

	make_bench(t, &bench);
	yes_kernel_track(bench.yes, base, base + PIECES * PAGE - 1);
	for (unsigned int nth = 1; nth <= PIECES; nth++) {
		bench.refusal.map = nth;
		EXPECT_ERR(-EFAULT,
			   weir_ioas_map_batch(bench.ioas, bench.ranges, PIECES, AT(base), NULL, &map));
		EXPECT_EQ(info_of(bench.ioas).num_mappings, 0);
		EXPECT_EQ(info_of(bench.ioas).lost_bytes, 0);
		EXPECT_EQ(yes_kernel_state(bench.yes).pages, 0);
	}
	ASSERT_OK(weir_ioas_map_batch(bench.ioas, bench.ranges, PIECES, AT(base), NULL, &map));
	EXPECT_EQ(yes_kernel_state(bench.yes).pages, PIECES);
	ASSERT_OK(weir_map_close(map));
	EXPECT_EQ(yes_kernel_state(bench.yes).pages, 0);
}

/* What cannot be taken back again is lost, and nothing else. */
UNIT(batch, that_stays_in_part_loses_that_part)
{
	struct bench bench;
	struct weir_map *map;

	make_bench(t, &bench);
	bench.refusal = (struct refusal){ .map = 4, .unmap = base };
	EXPECT_ERR(-EFAULT, weir_ioas_map_batch(bench.ioas, bench.ranges, PIECES, AT(base), NULL, &map));
	EXPECT_CONTAINS(weir_error(), "then to unmap 0x3000 bytes at IOVA 0x200000");
	EXPECT_CONTAINS(weir_error(), "of a batch of 0x6000");
	EXPECT_EQ(info_of(bench.ioas).lost_bytes, 3 * PAGE);
	EXPECT_EQ(info_of(bench.ioas).num_mappings, 0);
	EXPECT_EQ(info_of(bench.ioas).mapped_bytes, 0);
	EXPECT_ERR(-EEXIST, weir_ioas_map(bench.ioas, bench.memory, PAGE, AT(base + 2 * PAGE), &map));
	ASSERT_OK(weir_ioas_map(bench.ioas, bench.memory, 3 * PAGE, AT(base + 3 * PAGE), &map));
}

/* A run that the kernel does not unmap is lost as a whole, and no other; all handles have ended. */
UNIT(batch, of_handles_loses_what_was_not_unmapped)
{
	struct weir_map *maps[PIECES];
	struct bench bench;

	make_bench(t, &bench);
	/* Three runs of two; the second begins at a page, and has a batch in it. */
	for (unsigned int i = 0; i < PIECES; i++) {
		uint64_t at = base + i / 2 * 16 * PAGE + i % 2 * PAGE;

		if (i == 3)
			ASSERT_OK(weir_ioas_map_batch(bench.ioas, bench.ranges, 4, AT(at), NULL, &maps[5]));
		else
			ASSERT_OK(weir_ioas_map(bench.ioas, bench.memory, PAGE, AT(at),
						&maps[5 - (i + 3) % 6]));
	}
	bench.refusal.unmap = base + 16 * PAGE;
	EXPECT_ERR(-EIO, weir_map_close_batch(maps, PIECES));
	EXPECT_CONTAINS(weir_error(), "the kernel failed to unmap 0x5000 bytes at IOVA 0x210000");
	EXPECT_EQ(info_of(bench.ioas).lost_bytes, 5 * PAGE);
	EXPECT_EQ(info_of(bench.ioas).num_mappings, 0);
}

/* Slowness ---------------------------------------------------------------------------------------------------------- */

struct slow {
	_Atomic bool holds, reached;
};

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000 }, NULL);
}

/* The first map waits until it is let go. */
static int wait_in_map(void *ctx, int fd, unsigned long request, void *arg)
{
	struct slow *slow = ctx;

	(void)fd;
	(void)arg;
	if (request == ABI_IOMMU_IOAS_COPY)
		return -EOPNOTSUPP;
	if (request == ABI_IOMMU_IOAS_MAP && !atomic_exchange(&slow->reached, true))
		while (atomic_load(&slow->holds))
			nap();
	return YES_PASS;
}

struct errand {
	struct weir_ioas *ioas;
	struct weir_device *device;
	void *memory;
};

static void *map_slowly(void *arg)
{
	const struct errand *errand = arg;
	struct weir_map *map;

	EXPECT_OK(weir_ioas_map(errand->ioas, errand->memory, PAGE, NULL, &map));
	return NULL;
}

static void *move(void *arg)
{
	const struct errand *errand = arg;

	EXPECT_OK(weir_device_attach(errand->device, errand->ioas));
	return NULL;
}

/*
 * Whoever moves a device holds up the space that it leaves, and then waits for what is under way in the one where it goes. Sharing
 * from the one into the other must not wait for the former.
 */
UNIT(share, does_not_wait_for_a_device_that_leaves_the_first_space)
{
	struct slow slow = { .holds = true };
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_host *host = new_host(t, yes, WEIR_BACKEND_IOMMUFD);
	struct weir_ioas *from = new_ioas(t, host), *to = new_ioas(t, host);
	void *memory = new_memory(t, PAGE, PAGE);
	struct errand mapping = { .ioas = from, .memory = memory }, moving = { .ioas = to };
	struct weir_map *map, *shared;
	pthread_t mapper, mover;

	moving.device = new_device(t, from, YES_ADDRESS_0);
	new_device(t, to, YES_ADDRESS_1);
	ASSERT_OK(weir_ioas_map(from, memory, PAGE, NULL, &map));
	yes->hook = wait_in_map;
	yes->hook_ctx = &slow;
	ASSERT_EQ(0, pthread_create(&mapper, NULL, map_slowly, &mapping));
	while (!atomic_load(&slow.reached))
		nap();
	ASSERT_EQ(0, pthread_create(&mover, NULL, move, &moving));
	while (!(atomic_load(&from->gate.word) & WEIR_GATE_TRANSITION))
		nap();
	EXPECT_OK(weir_map_share(map, to, NULL, &shared));
	atomic_store(&slow.holds, false);
	pthread_join(mapper, NULL);
	pthread_join(mover, NULL);
	yes->hook = NULL;
}
