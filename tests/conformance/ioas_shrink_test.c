// SPDX-License-Identifier: MIT
/* Files that lose pages while devices have them: by a hole, or by a new end. */
#include "conformance/dma.h"
#include "conformance/machine.h"
#include "conformance/os.h"
#include "conformance/space.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGES = 4 };

/* @pages pages of 0x33. */
static int new_filled(struct t *t, size_t pages)
{
	unsigned char *content = new_pages(t, pages);
	int fd = new_file(t, pages * PAGE);

	ASSERT_EQ(pwrite(fd, content, pages * PAGE, 0), (ssize_t)(pages * PAGE));
	return fd;
}

/* The file, as this process sees it: in a place of its own. */
static unsigned char *new_view(struct t *t, int fd, size_t pages)
{
	unsigned char *view = new_pages(t, pages);

	ASSERT_TRUE(mmap(view, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == view);
	return view;
}

/* The page at @offset, as a file. */
static bool file_has(int fd, uint64_t offset, unsigned char fill)
{
	unsigned char page[PAGE];

	return pread(fd, page, PAGE, (off_t)offset) == (ssize_t)PAGE && all_bytes(page, fill, PAGE);
}

struct seen {
	int fd;
	const unsigned char *view;
};

static void expect_zeros(struct t *t, void *arg)
{
	const struct seen *seen = arg;

	(void)t;
	EXPECT_TRUE(file_has(seen->fd, PAGE, 0));
	EXPECT_TRUE(all_bytes(seen->view + PAGE, 0, PAGE));
	EXPECT_TRUE(all_bytes(seen->view + 2 * PAGE, 0x33, PAGE));
}

/*
 * The second page of four is taken from a file that is mapped at @iova. The device keeps the page; this process, by whatever view, and another
 * one have a new one; nobody sees what the other writes; and what lies beside it is as it was. No DMA is blocked: all of it arrives.
 */
static void check_hole(struct t *t, struct edu *edu, uint64_t iova, int fd, unsigned char *view)
{
	unsigned char old[PAGE], *other = new_view(t, fd, PAGES);

	memset(old, 0x33, sizeof(old));
	ASSERT_OK(os_punch_hole(fd, PAGE, PAGE));
	in_child(t, expect_zeros, &(struct seen){ fd, other });
	EXPECT_TRUE(all_bytes(view + PAGE, 0, PAGE));
	EXPECT_TRUE(dma_reads(t, edu, iova + PAGE, old, PAGE));
	dma_writes(t, edu, iova + PAGE, 0xa5, PAGE);
	EXPECT_TRUE(all_bytes(view + PAGE, 0, PAGE));
	EXPECT_TRUE(all_bytes(other + PAGE, 0, PAGE));
	memset(other + PAGE, 0x77, PAGE);
	memset(old, 0xa5, sizeof(old));
	EXPECT_TRUE(dma_reads(t, edu, iova + PAGE, old, PAGE));
	EXPECT_TRUE(all_bytes(view + PAGE, 0x77, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, iova + 2 * PAGE, view + 2 * PAGE, PAGE));
	EXPECT_TRUE(all_bytes(view, 0x33, PAGE));
	EXPECT_TRUE(all_bytes(view + 3 * PAGE, 0x33, PAGE));
}

CONFORMANCE(ioas_shrink, a_hole_in_a_file_leaves_devices_their_pages_and_harms_nobody, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	int fd = new_filled(t, PAGES);
	struct weir_map *map;

	ASSERT_OK(weir_ioas_map_file(ioas, fd, 0, PAGES * PAGE, BELOW(EDU0_BITS), &map));
	check_hole(t, edu, weir_map_iova(map), fd, weir_map_addr(map));
	/* Mapped anew, it is the file again. */
	ASSERT_OK(weir_map_close(map));
	ASSERT_OK(weir_ioas_map_file(ioas, fd, 0, PAGES * PAGE, BELOW(EDU0_BITS), &map));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map) + PAGE, (char *)weir_map_addr(map) + PAGE, PAGE));
	EXPECT_FALSE(file_has(fd, PAGE, 0x77));
}

CONFORMANCE(ioas_shrink, a_hole_in_memory_that_is_a_file_is_no_other, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	int fd = new_filled(t, PAGES);
	unsigned char *view = new_view(t, fd, PAGES);

	check_hole(t, edu, weir_map_iova(new_map(t, ioas, view, PAGES * PAGE, BELOW(EDU0_BITS))), fd, view);
}

/* Would touching it raise SIGBUS? The kernel finds out. */
static bool is_gone(struct t *t, const unsigned char *addr)
{
	int ends[2];
	bool gone;

	(void)t;
	ASSERT_EQ(pipe(ends), 0);
	gone = write(ends[1], addr, 1) < 0 && errno == EFAULT;
	close(ends[0]);
	close(ends[1]);
	return gone;
}

CONFORMANCE(ioas_shrink, a_file_cut_off_leaves_devices_their_pages_and_harms_nobody, NEEDS(DMA_DEVICE))
{
	struct weir_map_opts opts =
		WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_MAY_SHRINK, .address_bits = EDU0_BITS);
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	int fd = new_filled(t, PAGES);
	unsigned char old[PAGE], *view;
	struct weir_map *map;

	memset(old, 0x33, sizeof(old));
	ASSERT_OK(weir_ioas_map_file(ioas, fd, 0, PAGES * PAGE, &opts, &map));
	view = weir_map_addr(map);
	ASSERT_OK(os_truncate(fd, 2 * PAGE));
	EXPECT_TRUE(is_gone(t, view + 2 * PAGE));
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map) + 3 * PAGE, old, PAGE));
	/* It grows again: with new pages. */
	ASSERT_OK(os_truncate(fd, PAGES * PAGE));
	dma_writes(t, edu, weir_map_iova(map) + 3 * PAGE, 0xa5, PAGE);
	EXPECT_TRUE(all_bytes(view + 3 * PAGE, 0, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(map) + PAGE, view + PAGE, PAGE));
	ASSERT_OK(weir_map_close(map));
	/* Too short now for what is asked for. */
	ASSERT_OK(os_truncate(fd, 2 * PAGE));
	EXPECT_ERR(-EINVAL, weir_ioas_map_file(ioas, fd, 0, PAGES * PAGE, &opts, &map));
}

CONFORMANCE(ioas_shrink, a_file_cut_off_before_the_device_comes_keeps_it_out, NEEDS(DMA_DEVICE))
{
	struct weir_map_opts opts =
		WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_MAY_SHRINK | WEIR_MAP_FIXED, .iova = MIB);
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = NULL;
	int fd = new_filled(t, PAGES);
	struct weir_map *map;

	ASSERT_OK(weir_ioas_map_file(ioas, fd, PAGE, 3 * PAGE, &opts, &map));
	ASSERT_OK(os_truncate(fd, 2 * PAGE));
	EXPECT_ERR(-EFAULT, weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), "the mapping at IOVA 0x100000 cannot be put in force");
	EXPECT_CONTAINS(weir_error(), "the file has become shorter: it has 0x2000 bytes");
	EXPECT_TRUE(device == NULL);
	EXPECT_EQ(info_of(ioas).num_mappings, 1);
	ASSERT_OK(os_truncate(fd, PAGES * PAGE));
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	ASSERT_OK(weir_device_close(device));
	ASSERT_OK(weir_map_close(map));
}

static void check_cut_view(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_pages(t, 9);
	struct weir_ioas_info before = info_of(ioas);
	struct weir_map *map = NULL;
	int fd = new_filled(t, 8);

	/* Anonymous memory, then the file. */
	ASSERT_TRUE(mmap(memory + PAGE, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    memory + PAGE);
	ASSERT_OK(os_truncate(fd, 5 * PAGE));
	EXPECT_ERR(-EFAULT, weir_ioas_map(ioas, memory, 9 * PAGE, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "beyond the end of its file");
	EXPECT_CONTAINS(weir_error(), "/memfd:weir-conformance");
	EXPECT_CONTAINS(weir_error(), range_text((uintptr_t)memory + 6 * PAGE, 3 * PAGE));
	expect_unchanged(t, ioas, before);
	/* Two kinds of memory, both of them memory. */
	new_map(t, ioas, memory, 6 * PAGE, NULL);
}

CONFORMANCE(ioas_shrink, memory_whose_file_was_cut_off_is_refused_from_where_it_ends, NEEDS(DMA_DEVICE))
{
	in_both_states(t, check_cut_view);
}
