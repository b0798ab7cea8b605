// SPDX-License-Identifier: MIT
/* A mapping in a further space. The first one has NVME0, if it has a device, which is in no group with an edu on any machine. */
#include "conformance/dma.h"
#include "conformance/space.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FLAGS(flags_) (&WEIR_OPTS(weir_map_opts, .flags = (flags_)))

static struct weir_map *share(struct t *t, struct weir_map *map, struct weir_ioas *ioas,
			      const struct weir_map_opts *opts)
{
	struct weir_map *shared;

	(void)t;
	ASSERT_OK(weir_map_share(map, ioas, opts, &shared));
	return shared;
}

static struct weir_map *new_file_map(struct t *t, struct weir_ioas *ioas, uint64_t len,
				     const struct weir_map_opts *opts)
{
	int fd = memfd_create("case", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct weir_map *map;

	(void)t;
	ASSERT_TRUE(fd >= 0);
	ASSERT_EQ(ftruncate(fd, (off_t)len), 0);
	ASSERT_OK(weir_ioas_map_file(ioas, fd, 0, len, opts, &map));
	ASSERT_EQ(close(fd), 0);
	return map;
}

/* Two pieces: the second page, and the first. */
static struct weir_map *new_batch(struct t *t, struct weir_ioas *ioas, unsigned char *memory,
				  const struct weir_map_opts *opts)
{
	const struct weir_map_range ranges[] = { { memory + PAGE, PAGE }, { memory, PAGE } };
	struct weir_map *map;

	(void)t;
	ASSERT_OK(weir_ioas_map_batch(ioas, ranges, 2, opts, NULL, &map));
	return map;
}

static void check_place(struct t *t, struct weir_ioas *ioas)
{
	struct weir_ioas *from = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);
	struct weir_map *map = new_map(t, from, memory, 2 * PAGE, AT(16 * MIB)), *first, *second, *third;

	first = share(t, map, ioas, NULL);
	EXPECT_EQ(weir_map_iova(first), 16 * MIB);
	EXPECT_EQ(weir_map_len(first), 2 * PAGE);
	EXPECT_TRUE(weir_map_addr(first) == memory);
	/* There it is taken now. */
	second = share(t, map, ioas, NULL);
	EXPECT_NE(weir_map_iova(second), 16 * MIB);
	third = share(t, map, ioas, AT(32 * MIB));
	EXPECT_EQ(weir_map_iova(third), 32 * MIB);
	EXPECT_ERR(-EEXIST, weir_map_share(map, ioas, AT(32 * MIB), &third));
	ASSERT_OK(weir_map_close(first));
	ASSERT_OK(weir_map_close(second));
	ASSERT_OK(weir_map_close(third));
	/* In its own space as well. */
	second = share(t, map, from, NULL);
	EXPECT_NE(weir_map_iova(second), 16 * MIB);
	ASSERT_OK(weir_map_close(second));
	/* Where the address width is less, it is elsewhere. */
	second = new_map(t, from, memory, PAGE, AT(64 * GIB));
	first = share(t, second, ioas, BELOW(32));
	EXPECT_LE(weir_map_iova(first), 4 * GIB - PAGE);
	ASSERT_OK(weir_map_close(first));
}

CONFORMANCE(ioas_share, it_is_at_the_same_place_if_that_is_free, NEEDS(EDU0))
{
	in_both_states(t, check_place);
}

static void check_rights(struct t *t, struct weir_ioas *ioas)
{
	struct weir_ioas *from = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);
	struct weir_map *reads = new_map(t, from, memory, PAGE, FLAGS(WEIR_MAP_READ)), *again, *map;
	struct weir_ioas_info before = info_of(ioas);

	EXPECT_ERR(-EACCES, weir_map_share(reads, ioas, FLAGS(WEIR_MAP_WRITE), &map));
	EXPECT_ERR(-EACCES, weir_map_share(reads, ioas, FLAGS(WEIR_MAP_READ | WEIR_MAP_WRITE), &map));
	EXPECT_CONTAINS(weir_error(), "lets devices read the memory only");
	EXPECT_ERR(-EINVAL, weir_map_share(reads, ioas, FLAGS(1u << 31), &map));
	expect_unchanged(t, ioas, before);
	again = share(t, reads, ioas, NULL);
	/* What was shared knows no more than what it was shared from. */
	EXPECT_ERR(-EACCES, weir_map_share(again, from, FLAGS(WEIR_MAP_WRITE), &map));
	ASSERT_OK(weir_map_close(again));
	map = share(t, new_map(t, from, memory, PAGE, NULL), ioas, FLAGS(WEIR_MAP_READ));
	EXPECT_ERR(-EACCES, weir_map_share(map, from, FLAGS(WEIR_MAP_WRITE), &again));
	ASSERT_OK(weir_map_close(map));
}

CONFORMANCE(ioas_share, it_allows_no_more_than_the_first, NEEDS(EDU0))
{
	in_both_states(t, check_rights);
}

CONFORMANCE(ioas_share, a_shared_mapping_that_is_read_only_is_not_written,
	    NEEDS(DMA_DEVICE, NVME0, FAULT_COUNT))
{
	struct weir_ioas *first = new_ioas(t), *second = new_ioas(t);
	unsigned char *memory = new_pages(t, 1);
	struct weir_map *map;
	struct edu *edu = new_edu(t, second, "EDU0", 0);

	new_device(t, first, "NVME0", 0);
	map = share(t, new_map(t, first, memory, PAGE, AT(MIB)), second, FLAGS(WEIR_MAP_READ));
	/* In this order, because of QEMU: see ioas_memory.a_mapping_for_reading_cannot_be_written. */
	EXPECT_TRUE(dma_write_blocked(t, edu, weir_map_iova(map), memory, PAGE));
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), memory, PAGE));
}

/* The first mapping is closed, and the second is as it was, for the device and for this process. */
static void check_lifetime(struct t *t, struct edu *edu, struct weir_map *map, struct weir_map *shared,
			   uint64_t offset)
{
	unsigned char *addr = weir_map_addr(shared);

	EXPECT_TRUE(weir_map_addr(map) == addr);
	ASSERT_OK(weir_map_close(map));
	EXPECT_TRUE(dma_reaches(t, edu, weir_map_iova(shared) + offset, addr - offset, PAGE));
}

CONFORMANCE(ioas_share, each_of_the_two_ends_by_itself, NEEDS(DMA_DEVICE, NVME0))
{
	struct weir_ioas *first = new_ioas(t), *second = new_ioas(t);
	struct edu *edu = new_edu(t, second, "EDU0", 0);
	struct weir_map *map, *shared;
	uint64_t num;

	new_device(t, first, "NVME0", 0);
	map = new_map(t, first, new_pages(t, 1), PAGE, AT(MIB));
	check_lifetime(t, edu, map, share(t, map, second, NULL), 0);
	map = new_file_map(t, first, PAGE, AT(MIB));
	shared = share(t, map, second, NULL);
	check_lifetime(t, edu, map, shared, 0);
	ASSERT_OK(weir_map_close(shared));
	map = new_batch(t, first, new_pages(t, 2), AT(MIB));
	num = info_of(second).num_mappings;
	shared = share(t, map, second, AT(2 * MIB));
	EXPECT_EQ(info_of(second).num_mappings, num + 2);
	check_lifetime(t, edu, map, shared, PAGE);
	/* The other way round. */
	map = new_file_map(t, first, PAGE, AT(MIB));
	ASSERT_OK(weir_map_close(share(t, map, second, NULL)));
	memset(weir_map_addr(map), 0x5a, PAGE);
	ASSERT_OK(weir_map_close(map));
}

/* A file outlives the space that it came from, and both may end with their spaces. */
CONFORMANCE(ioas_share, it_outlives_the_space_that_it_was_shared_from)
{
	struct weir_ioas *first, *second = new_ioas(t);
	struct weir_map *shared, *batch;

	ASSERT_OK(weir_ioas_open(host_of(t), NULL, &first));
	shared = share(t, new_file_map(t, first, PAGE, NULL), second, NULL);
	share(t, shared, second, NULL);
	batch = share(t, new_batch(t, first, new_pages(t, 2), NULL), second, NULL);
	ASSERT_OK(weir_ioas_close(first));
	memset(weir_map_addr(shared), 0x5a, PAGE);
	EXPECT_EQ(weir_map_len(batch), 2 * PAGE);
	EXPECT_EQ(info_of(second).num_mappings, 4);
	/* All at once. */
	ASSERT_OK(weir_ioas_unmap(second, 0, UINT64_MAX));
	EXPECT_EQ(info_of(second).num_mappings, 0);
}

CONFORMANCE(ioas_share, both_are_in_force_again_when_devices_come_back, NEEDS(DMA_DEVICE, NVME0))
{
	struct weir_ioas *first = new_ioas(t), *second = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);
	struct weir_map *map = new_batch(t, first, memory, AT(MIB));
	struct weir_device *device;
	struct edu *edu;

	ASSERT_OK(weir_device_open(first, address_of(t, "NVME0"), NULL, &device));
	share(t, map, second, NULL);
	ASSERT_OK(weir_device_close(device));
	ASSERT_OK(weir_map_close(map));
	ASSERT_OK(weir_device_open(second, address_of(t, "EDU0"),
				   &WEIR_OPTS(weir_device_opts, .address_bits = EDU0_BITS), &device));
	ASSERT_OK(weir_device_close(device));
	edu = new_edu(t, second, "EDU0", 0);
	EXPECT_TRUE(dma_reaches(t, edu, MIB + PAGE, memory, PAGE));
}

/* On iommufd, once; elsewhere, as often as it is mapped. */
static void check_charge(struct t *t, struct weir_ioas *second, struct weir_map *map, const char *what)
{
	bool once = weir_host_backend(host_of(t)) == WEIR_BACKEND_IOMMUFD;
	uint64_t pinned = pinned_bytes(), more = once ? 0 : weir_map_len(map);
	struct weir_map *shared = share(t, map, second, NULL);

	t_note(t, "%s", what);
	EXPECT_EQ(pinned_bytes(), pinned + more);
	ASSERT_OK(weir_map_close(map));
	EXPECT_EQ(pinned_bytes(), pinned);
	ASSERT_OK(weir_map_close(shared));
}

CONFORMANCE(ioas_share, pages_are_pinned_and_charged_once_where_the_kernel_can,
	    NEEDS(ORDINARY, DMA_DEVICE, NVME0, LOCKED_MEMORY))
{
	struct weir_ioas *first = new_ioas(t), *second = new_ioas(t);
	uint64_t pinned = pinned_bytes();

	new_device(t, first, "NVME0", 0);
	new_device(t, second, "EDU0", EDU0_BITS);
	check_charge(t, second, new_map(t, first, new_memory(t, MIB, 1), MIB, NULL), "memory");
	check_charge(t, second, new_file_map(t, first, MIB, NULL), "file");
	check_charge(t, second, new_batch(t, first, new_pages(t, 2), NULL), "batch");
	EXPECT_EQ(pinned_bytes(), pinned);
}

static void close_other_device(void *device)
{
	EXPECT_OK(weir_device_close(device));
}

static void close_other_space(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

static void close_other_host(void *host)
{
	EXPECT_OK(weir_host_close(host));
}

CONFORMANCE(ioas_share, another_host_has_a_second_mapping, NEEDS(ORDINARY, DMA_DEVICE, NVME0))
{
	struct weir_ioas *first = new_ioas(t), *second;
	struct weir_map *map = new_map(t, first, new_pages(t, 2), 2 * PAGE, AT(MIB)), *shared;
	uint64_t pinned = pinned_bytes();
	struct weir_device *device;
	struct weir_host *other;

	new_device(t, first, "NVME0", 0);
	ASSERT_OK(weir_host_open(
		&WEIR_OPTS(weir_host_opts, .backend = fixture_of(t)->backend, .sys = sys_of(t)), &other));
	t_defer(t, close_other_host, other);
	ASSERT_OK(weir_ioas_open(other, NULL, &second));
	t_defer(t, close_other_space, second);
	ASSERT_OK(weir_device_open(second, address_of(t, "EDU0"),
				   &WEIR_OPTS(weir_device_opts, .address_bits = EDU0_BITS), &device));
	t_defer(t, close_other_device, device);
	ASSERT_OK(weir_map_share(map, second, NULL, &shared));
	EXPECT_EQ(pinned_bytes(), pinned + 4 * PAGE);
	/* The case's host writes down its calls, so that its table is another one. */
	EXPECT_ERR(-EXDEV, weir_map_share(new_file_map(t, first, PAGE, NULL), second, NULL, &shared));
}

/* Two hosts with journals, of the same system calls, which share a file's mapping. */
struct two_hosts {
	struct weir_host *hosts[2];
	struct weir_ioas *spaces[2];
	struct weir_map *maps[2];
};

static void end_host(struct two_hosts *two, int i)
{
	EXPECT_OK(weir_map_close(two->maps[i]));
	EXPECT_OK(weir_ioas_close(two->spaces[i]));
	EXPECT_OK(weir_host_close(two->hosts[i]));
}

static void share_between_hosts(struct t *t, struct two_hosts *two)
{
	const struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .sys = sys_of(t), .flags = WEIR_HOST_JOURNAL,
			  .backend = fixture_of(t)->backend, .journal_maps = 64, .journal_blocks = PAGE);

	record_no_calls(t);
	for (int i = 0; i < 2; i++) {
		ASSERT_OK(weir_host_open(&opts, &two->hosts[i]));
		ASSERT_OK(weir_ioas_open(two->hosts[i], NULL, &two->spaces[i]));
	}
	two->maps[0] = new_file_map(t, two->spaces[0], 2 * PAGE, AT(16 * MIB));
	memset(weir_map_addr(two->maps[0]), 0x5a, 2 * PAGE);
	two->maps[1] = share(t, two->maps[0], two->spaces[1], NULL);
	EXPECT_EQ(weir_map_iova(two->maps[1]), 16 * MIB);
	EXPECT_TRUE(weir_map_addr(two->maps[1]) != weir_map_addr(two->maps[0]));
	EXPECT_TRUE(all_bytes(weir_map_addr(two->maps[1]), 0x5a, 2 * PAGE));
}

/* What is noted of the file ends with each journal. */
CONFORMANCE(ioas_share, a_file_of_another_host_outlives_that, NEEDS(LOCKED_MEMORY))
{
	struct two_hosts two;

	share_between_hosts(t, &two);
	end_host(&two, 0);
	EXPECT_TRUE(all_bytes(weir_map_addr(two.maps[1]), 0x5a, 2 * PAGE));
	end_host(&two, 1);
	share_between_hosts(t, &two);
	end_host(&two, 1);
	end_host(&two, 0);
}
