// SPDX-License-Identifier: MIT
/*
 * Every system call and every allocation on a program's way made to fail in turn: the step that it belongs to either
 * succeeds or says why not and leaves the world as it was; and in the end nothing is left of anything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/alloc_fail.h"
#include "error.h"
#include "unit/yes_host.h"

enum { PAGE = 4096, MEMORY = 16 * PAGE };

static const uint64_t window = 0x100000000, fixed = 0x100800000;

/* A program's things, in the middle of its work. */
struct world {
	struct yes_kernel *yes;
	unsigned char *memory;
	enum weir_backend backend;
	struct weir_host *host;
	struct weir_ioas *ioas, *other;
	struct weir_device *devices[YES_DEVICES];
	struct weir_map *early, *map, *low, *high;
	struct weir_region *region;
	struct weir_irq *irq;
	bool moved;
};

static int open_host(struct world *w)
{
	return weir_host_open(&WEIR_OPTS(weir_host_opts, .backend = w->backend, .sys = &w->yes->table),
			      &w->host);
}

static int open_ioas(struct world *w)
{
	return weir_ioas_open(w->host, NULL, &w->ioas);
}

static int open_other(struct world *w)
{
	return weir_ioas_open(w->host, NULL, &w->other);
}

static int map_early(struct world *w)
{
	return weir_ioas_map(w->ioas, w->memory, 2 * PAGE, NULL, &w->early);
}

static int open_device(struct world *w, int i)
{
	static const char *const addresses[] = { YES_ADDRESS_0, YES_ADDRESS_1, YES_ADDRESS_2, YES_ADDRESS_3 };

	return weir_device_open(w->ioas, addresses[i],
				&WEIR_OPTS(weir_device_opts, .address_bits = 48 - (uint32_t)i),
				&w->devices[i]);
}

static int open_0(struct world *w)
{
	return open_device(w, 0);
}

static int open_1(struct world *w)
{
	return open_device(w, 1);
}

static int open_2(struct world *w)
{
	return open_device(w, 2);
}

static int open_3(struct world *w)
{
	return open_device(w, 3);
}

static int map(struct world *w)
{
	return weir_ioas_map(w->ioas, w->memory, MEMORY, NULL, &w->map);
}

static int map_at(struct world *w, uint64_t iova, struct weir_map **ret_map)
{
	return weir_ioas_map(w->ioas, w->memory, 2 * PAGE,
			     &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = iova), ret_map);
}

static int map_low(struct world *w)
{
	return map_at(w, fixed, &w->low);
}

static int map_high(struct world *w)
{
	return map_at(w, fixed + 8 * PAGE, &w->high);
}

static int get_region(struct world *w)
{
	return weir_device_region(w->devices[0], 0, &w->region);
}

static int map_region(struct world *w)
{
	void *addr;

	return weir_region_map(w->region, &addr, NULL);
}

static int enable_irq(struct world *w)
{
	return weir_irq_enable(w->devices[0], WEIR_IRQ_MSIX, 3, &w->irq);
}

static int move(struct world *w)
{
	int error = w->backend == WEIR_BACKEND_IOMMUFD ? weir_device_attach(w->devices[2], w->other) : 0;

	w->moved = !error;
	return error;
}

static int move_back(struct world *w)
{
	int error = w->backend == WEIR_BACKEND_IOMMUFD ? weir_device_attach(w->devices[3], w->ioas) : 0;

	w->moved = error;
	return error;
}

static int close_map(struct world *w)
{
	return weir_map_close(w->map);
}

static int unmap_both(struct world *w)
{
	return weir_ioas_unmap(w->ioas, fixed, 10 * PAGE);
}

static int disable_irq(struct world *w)
{
	return weir_irq_disable(w->irq);
}

static int close_0(struct world *w)
{
	return weir_device_close(w->devices[0]);
}

static int close_1(struct world *w)
{
	return weir_device_close(w->devices[1]);
}

static int close_2(struct world *w)
{
	return weir_device_close(w->devices[2]);
}

static int close_3(struct world *w)
{
	return weir_device_close(w->devices[3]);
}

static int close_ioas(struct world *w)
{
	return weir_ioas_close(w->ioas);
}

static int close_other(struct world *w)
{
	return weir_ioas_close(w->other);
}

static int close_host(struct world *w)
{
	return weir_host_close(w->host);
}

/* A step that releases runs to its end, whatever it returns; every other one can be tried again. */
static const struct step {
	const char *name;
	int (*take)(struct world *w);
	bool releases;
} steps[] = {
	{ "open host", open_host, false },
	{ "open ioas", open_ioas, false },
	{ "open other ioas", open_other, false },
	{ "map early", map_early, false },
	{ "open device 0", open_0, false },
	{ "map", map, false },
	{ "open device 1", open_1, false },
	{ "map low", map_low, false },
	{ "map high", map_high, false },
	{ "open device 2", open_2, false },
	{ "open device 3", open_3, false },
	{ "get region", get_region, false },
	{ "map region", map_region, false },
	{ "enable irq", enable_irq, false },
	{ "move", move, false },
	{ "move back", move_back, false },
	{ "close map", close_map, true },
	{ "unmap both", unmap_both, true },
	{ "disable irq", disable_irq, true },
	{ "close device 1", close_1, true },
	{ "close device 0", close_0, true },
	{ "close device 3", close_3, true },
	{ "close device 2", close_2, true },
	{ "close ioas", close_ioas, true },
	{ "close other ioas", close_other, true },
	{ "close host", close_host, true },
};

enum { NUM_STEPS = sizeof(steps) / sizeof(steps[0]) };

/* All that can be seen of the world from outside. */
struct view {
	struct yes_state kernel;
	struct weir_ioas_info ioas, other;
	struct weir_iova_range ranges[4];
	size_t num_ranges;
	struct weir_ioas *where[YES_DEVICES];
};

static void look(const struct world *w, struct view *ret_view)
{
	memset(ret_view, 0, sizeof(*ret_view));
	ret_view->kernel = yes_kernel_state(w->yes);
	/* Used once, a /dev/iommu that serves as a container is closed: the next attempt opens another. */
	if (w->backend == WEIR_BACKEND_COMPAT)
		ret_view->kernel.fds = 0;
	if (w->ioas) {
		weir_ioas_info(w->ioas, &ret_view->ioas, sizeof(ret_view->ioas));
		ret_view->num_ranges = 4;
		weir_ioas_ranges(w->ioas, ret_view->ranges, &ret_view->num_ranges);
	}
	if (w->other)
		weir_ioas_info(w->other, &ret_view->other, sizeof(ret_view->other));
	for (int i = 0; i < YES_DEVICES; i++)
		ret_view->where[i] = w->devices[i] ? weir_device_ioas(w->devices[i]) : NULL;
}

/* What is to fail: the nth system call with an error, or (error 0) the nth allocation. */
struct failure {
	const struct step *step;
	unsigned int nth;
	int error;
};

/* Returns whether the failure came to pass. */
static bool take_failing(struct world *w, const struct failure *failure)
{
	static struct view before, after;
	int error;
	bool failed;

	if (!failure->step->releases)
		look(w, &before);
	weir_error_set("nothing said");
	if (failure->error)
		yes_kernel_fail(w->yes, failure->nth, failure->error);
	else
		alloc_fail(failure->nth);
	error = failure->step->take(w);
	failed = failure->error ? yes_kernel_failed(w->yes) : alloc_failed();
	if (error) {
		EXPECT_TRUE(failed);
		EXPECT_LT(error, 0);
		EXPECT_TRUE(strcmp(weir_error(), "nothing said") != 0);
		if (!failure->error && !failure->step->releases)
			EXPECT_EQ(-ENOMEM, error);
	}
	if (error && !failure->step->releases) {
		look(w, &after);
		EXPECT_MEMEQ(&before, &after, sizeof(after));
		EXPECT_OK(failure->step->take(w));
	}
	return failed;
}

static bool run(struct t *t, enum weir_backend backend, unsigned char *memory, const struct failure *failure)
{
	static const struct yes_state nothing;
	struct yes_kernel *yes = malloc(sizeof(*yes));
	struct world w = { .yes = yes, .memory = memory, .backend = backend };
	struct yes_state state;
	bool failed = false;

	ASSERT_TRUE(yes);
	yes_kernel_init(yes);
	yes_kernel_track(yes, window, window + 0xffffff);
	yes->two_iommus = true;
	for (int i = 0; i < NUM_STEPS; i++) {
		t_note(t, "%s: '%s' with call %u failing (%d), at '%s'", weir_backend_name(backend),
		       failure->step->name, failure->nth, failure->error, steps[i].name);
		if (&steps[i] == failure->step)
			failed = take_failing(&w, failure);
		else
			ASSERT_OK(steps[i].take(&w));
	}
	state = yes_kernel_state(yes);
	EXPECT_MEMEQ(&nothing, &state, sizeof(state));
	EXPECT_EQ(0, yes->overlaps);
	yes_kernel_finish(yes);
	free(yes);
	return failed;
}

/* Each step, with its first call failing, its second, and so on until it makes fewer. */
static void sweep(struct t *t, int error)
{
	unsigned char *memory = new_memory(t, PAGE, MEMORY);
	unsigned int failures = 0;

	t_timeout(t, 120);
	for (int i = 0; i < NUM_BACKENDS; i++)
		for (int step = 0; step < NUM_STEPS; step++) {
			struct failure failure = { .step = &steps[step], .error = error };

			do {
				failure.nth++;
				ASSERT_LT(failure.nth, 200);
			} while (run(t, all_backends[i], memory, &failure));
			failures += failure.nth - 1;
		}
	t_note(t, "%u failures", failures);
	EXPECT_GT(failures, 20);
}

UNIT(failure, of_any_call_with_eio)
{
	sweep(t, -EIO);
}

UNIT(failure, of_any_call_with_enomem)
{
	sweep(t, -ENOMEM);
}

/* How a page table says that it does not suit a device. */
UNIT(failure, of_any_call_with_einval)
{
	sweep(t, -EINVAL);
}

UNIT(failure, of_any_call_with_eacces)
{
	sweep(t, -EACCES);
}

UNIT(failure, of_any_call_with_ebusy)
{
	sweep(t, -EBUSY);
}

UNIT(failure, of_any_call_with_enoent)
{
	sweep(t, -ENOENT);
}

UNIT(failure, of_any_call_with_enospc)
{
	sweep(t, -ENOSPC);
}

UNIT(failure, of_any_call_with_eaddrinuse)
{
	sweep(t, -EADDRINUSE);
}

UNIT(failure, of_any_allocation)
{
	sweep(t, 0);
}
