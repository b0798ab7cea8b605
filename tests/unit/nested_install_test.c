// SPDX-License-Identifier: MIT
/* A mapping in a nested space that is a shadow, which the kernel refuses while memory runs out. */
#include "inval/inval.h"
#include "kernel/iommufd_abi.h"
#include "nested/nested.h"
#include "support/alloc_fail.h"
#include "unit/yes_host.h"

#include <errno.h>

enum { PAGE = 4096, ENOUGH = 64 };

static const uint64_t fixed = 0x200000;

static int refuse(void *ctx, int fd, unsigned long request, void *arg)
{
	const bool *refuses = ctx;

	(void)fd;
	(void)arg;
	return *refuses && request == ABI_IOMMU_IOAS_MAP ? -EFAULT : YES_PASS;
}

static void close_space(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

static void forget_hook(void *yes)
{
	((struct yes_kernel *)yes)->hook = NULL;
}

/* Until the batch has room for no more. */
static void fill_batch(struct weir_ioas *ioas, void *memory)
{
	const struct weir_nested_space *nested = ioas->space.layer;
	struct weir_map *map;

	do {
		ASSERT_OK(weir_ioas_map(ioas, memory, PAGE, NULL, &map));
		ASSERT_OK(weir_map_close(map));
	} while (nested->filled->num < nested->filled->room);
}

/* Whatever allocation fails: what was entered for it is not in the way of the next. */
UNIT(nested_install, what_is_refused_leaves_no_entries)
{
	const struct weir_nested_space_opts opts =
		WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_SHADOW, .defer = WEIR_INVAL_MOST);
	const struct weir_map_opts at = WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = fixed);
	struct yes_kernel *yes = new_yes_kernel(t);
	void *memory = new_memory(t, PAGE, 2 * PAGE);
	bool refuses = false, failed = true;
	struct weir_ioas *ioas;
	struct weir_map *map;
	unsigned int nth;

	yes->hook = refuse;
	yes->hook_ctx = &refuses;
	ASSERT_OK(weir_nested_space_open(new_host(t, yes, WEIR_BACKEND_IOMMUFD), &opts, &ioas));
	t_defer(t, close_space, ioas);
	new_device(t, ioas, YES_ADDRESS_0);
	t_defer(t, forget_hook, yes);
	for (nth = 1; nth < ENOUGH && failed; nth++) {
		t_note(t, "allocation %u", nth);
		fill_batch(ioas, memory);
		refuses = true;
		alloc_fail(nth);
		EXPECT_TRUE(weir_ioas_map(ioas, (char *)memory + PAGE, PAGE, &at, &map) < 0);
		failed = alloc_failed();
		refuses = false;
		ASSERT_OK(weir_ioas_map(ioas, memory, PAGE, &at, &map));
		EXPECT_OK(weir_map_close(map));
		EXPECT_OK(weir_ioas_sync(ioas));
	}
	EXPECT_LT(nth, ENOUGH);
}
