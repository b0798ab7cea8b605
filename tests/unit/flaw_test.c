// SPDX-License-Identifier: MIT
/* Memory that kernels refuse in ways that the machines at hand do not show. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include "unit/yes_host.h"

enum { PAGE = 4096, PAGES = 64 };

static struct {
	uintptr_t good_until; /* what lies beyond is refused */
	int error, error_of_nothing;
	unsigned int calls;
} kernel;

static int refusing_madvise(void *ctx, void *addr, size_t len, int advice)
{
	(void)ctx, (void)advice;
	kernel.calls++;
	if (!len)
		return kernel.error_of_nothing;
	return (uintptr_t)addr + len > kernel.good_until ? kernel.error : 0;
}

static int refusing_mmap(void *ctx, void *addr, size_t len, int prot, int flags, int fd, uint64_t offset,
			 void **ret_addr)
{
	(void)ctx, (void)addr, (void)len, (void)prot, (void)fd, (void)offset, (void)ret_addr;
	return flags & MAP_LOCKED ? -EAGAIN : -ENOMEM;
}

/* A space on a kernel that brings in nothing beyond @good_until. */
static struct weir_ioas *on_refusing_kernel(struct t *t, const void *good_until, int error,
					    int error_of_nothing)
{
	struct yes_kernel *yes = new_yes_kernel(t);

	yes->table.madvise = refusing_madvise;
	kernel.good_until = (uintptr_t)good_until;
	kernel.error = error;
	kernel.error_of_nothing = error_of_nothing;
	kernel.calls = 0;
	return new_ioas(t, new_host(t, yes, WEIR_BACKEND_TYPE1));
}

/* Linux before 5.14: what the memory is shows when it is pinned. */
UNIT(flaw, a_kernel_that_cannot_tell_leaves_it_to_the_device)
{
	unsigned char *memory = new_memory(t, PAGE, PAGE);
	struct weir_ioas *ioas = on_refusing_kernel(t, NULL, -EINVAL, -EINVAL);
	struct weir_map *map;

	ASSERT_OK(weir_ioas_map(ioas, memory, PAGE, NULL, &map));
	EXPECT_OK(weir_map_close(map));
}

/* Such as memfd_secret's: nothing tells it from other memory but that. */
UNIT(flaw, memory_of_an_unknown_kind_is_refused_where_the_kernel_can_tell)
{
	unsigned char *memory = new_memory(t, PAGE, PAGE);
	struct weir_ioas *ioas = on_refusing_kernel(t, NULL, -EINVAL, 0);
	struct weir_map *map;

	EXPECT_ERR(-EFAULT, weir_ioas_map(ioas, memory, PAGE, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "of a kind that the kernel lends to nobody");
	/* Where device memory will do, it may have been that. */
	ASSERT_OK(weir_ioas_map(ioas, memory, PAGE,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_DEVICE_MEMORY), &map));
	EXPECT_OK(weir_map_close(map));
}

UNIT(flaw, where_touching_would_end_the_process_is_found_to_the_page)
{
	unsigned char *memory = new_memory(t, PAGE, PAGES * PAGE);
	char text[64];

	for (size_t first = 0; first < PAGES; first += first < 4 ? 1 : 7) {
		struct weir_ioas *ioas = on_refusing_kernel(t, memory + first * PAGE, -EFAULT, 0);
		struct weir_map *map;

		t_note(t, "page %zu", first);
		snprintf(text, sizeof(text), "memory %#" PRIxPTR "..%#" PRIxPTR " ",
			 (uintptr_t)memory + first * PAGE, (uintptr_t)memory + PAGES * PAGE - 1);
		EXPECT_ERR(-EFAULT, weir_ioas_map(ioas, memory, (uint64_t)PAGES * PAGE, NULL, &map));
		EXPECT_CONTAINS(weir_error(), text);
		EXPECT_LE(kernel.calls, 2 + 6); /* 2^6 pages */
	}
}

/* Beyond the limit there may be more to it, which /proc says. The limit there is 8 MiB. */
UNIT(flaw, what_the_kernel_would_not_lock_is_refused_if_the_limit_says_so)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_ioas *ioas = new_ioas(t, new_host(t, yes, WEIR_BACKEND_IOMMUFD));
	unsigned char *memory = new_memory(t, PAGE, 8 << 20);
	struct weir_map *map, *more;

	yes->table.mmap = refusing_mmap;
	ASSERT_OK(weir_ioas_map(ioas, memory, 8 << 20, NULL, &map));
	EXPECT_ERR(-ENOMEM, weir_ioas_map(ioas, memory, PAGE, NULL, &more));
	EXPECT_CONTAINS(weir_error(), "RLIMIT_MEMLOCK is 8192 KiB; this mapping needs 4 KiB");
	EXPECT_OK(weir_map_close(map));
}
