// SPDX-License-Identifier: MIT
/* Processes that fork while devices run: what the parent has mapped stays the parent's. */
#include "conformance/dma.h"
#include "conformance/os.h"
#include "conformance/space.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that waits until it is told to look at what it has, and says by its exit whether that is right. */
struct child {
	pid_t pid;
	int to; /* the pipe that it waits at */
};

static bool wait_for_word(int from)
{
	char byte;

	return read(from, &byte, 1) == 1;
}

/* It expects a page of @private_fill and one of @shared_fill. */
static struct child new_child(struct t *t, const unsigned char *private_page, unsigned char private_fill,
			      const unsigned char *shared_page, unsigned char shared_fill)
{
	struct child child;
	int ends[2];

	(void)t;
	ASSERT_EQ(pipe(ends), 0);
	child.pid = os_fork();
	ASSERT_GE(child.pid, 0);
	if (!child.pid) {
		bool right;

		alarm(20); /* it must not outlive a case that the watchdog ends */
		close(ends[1]);
		right = wait_for_word(ends[0]) && all_bytes(private_page, private_fill, PAGE) &&
			all_bytes(shared_page, shared_fill, PAGE);
		_exit(right ? 0 : 1);
	}
	close(ends[0]);
	child.to = ends[1];
	return child;
}

static bool was_right(struct t *t, struct child child)
{
	int status = -1;

	(void)t;
	ASSERT_EQ(write(child.to, "", 1), 1);
	close(child.to);
	ASSERT_EQ(waitpid(child.pid, &status, 0), child.pid);
	return status == 0;
}

static struct weir_map *new_shared(struct t *t, struct weir_ioas *ioas)
{
	struct weir_map *map;

	ASSERT_OK(weir_ioas_map_file(ioas, new_file(t, PAGE), 0, PAGE, BELOW(EDU0_BITS), &map));
	return map;
}

CONFORMANCE(ioas_fork, devices_go_on_with_the_parents_pages, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *page = new_pages(t, 1);
	struct weir_map *map = new_map(t, ioas, page, PAGE, BELOW(EDU0_BITS)), *shared = new_shared(t, ioas);
	struct child child = new_child(t, page, 0x33, weir_map_addr(shared), 0xa5);

	/* Written by the parent first, which would part it from its page if that were still shared with the child. */
	memset(page, 0x77, PAGE);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), page, PAGE));
	dma_writes(t, edu, weir_map_iova(map), 0xa5, PAGE);
	EXPECT_TRUE(all_bytes(page, 0xa5, PAGE));
	dma_writes(t, edu, weir_map_iova(shared), 0xa5, PAGE);
	EXPECT_TRUE(all_bytes(weir_map_addr(shared), 0xa5, PAGE));
	/* The child has what was there when it was made, but for what is shared; and its end is nobody else's. */
	EXPECT_TRUE(was_right(t, child));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), page, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(shared), weir_map_addr(shared), PAGE));
	EXPECT_EQ(info_of(ioas).num_devices, 1);
}

CONFORMANCE(ioas_fork, devices_that_come_later_get_the_parents_pages, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *page = new_pages(t, 1), *read_only = new_pages(t, 1);
	struct weir_map_opts opts =
		WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ, .address_bits = EDU0_BITS);
	struct weir_map *map = new_map(t, ioas, page, PAGE, BELOW(EDU0_BITS));
	struct weir_map *reading = new_map(t, ioas, read_only, PAGE, &opts), *shared = new_shared(t, ioas);
	struct child child = new_child(t, page, 0x33, weir_map_addr(shared), 0);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);

	/* Pinned for reading while the child has the same page; then written by the parent. */
	memset(read_only, 0x77, PAGE);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(reading), read_only, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), page, PAGE));
	EXPECT_TRUE(was_right(t, child));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map), page, PAGE));
}
