// SPDX-License-Identifier: MIT
/* Files for DMA: memfds, tmpfs and hugetlbfs, with their modes and seals. */
#include "conformance/dma.h"
#include "conformance/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct weir_map *map_file(struct t *t, struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t len,
				 const struct weir_map_opts *opts)
{
	struct weir_map *map;

	(void)t;
	ASSERT_OK(weir_ioas_map_file(ioas, fd, offset, len, opts, &map));
	return map;
}

#define FLAGS(flags_) (&WEIR_OPTS(weir_map_opts, .flags = (flags_)))

static void check_place(struct t *t, struct weir_ioas *ioas)
{
	int fd = new_file(t, 8 * MIB);
	struct weir_map *map = map_file(t, ioas, fd, 3 * PAGE, 5 * MIB, NULL);
	unsigned char byte = 0;

	EXPECT_EQ(weir_map_len(map), 5 * MIB);
	EXPECT_EQ(weir_map_iova(map) % (2 * MIB), 3 * PAGE);
	memset(weir_map_addr(map), 0x5a, 5 * MIB);
	EXPECT_EQ(pread(fd, &byte, 1, 3 * PAGE + 5 * MIB - 1), 1);
	EXPECT_EQ(byte, 0x5a);
	ASSERT_OK(weir_map_close(map));
}

CONFORMANCE(ioas_file, a_part_of_a_file_is_mapped_for_devices_and_for_the_process, NEEDS(EDU0, LOCKED_MEMORY))
{
	in_both_states(t, check_place);
}

CONFORMANCE(ioas_file, a_device_reads_and_writes_the_file, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	int fd = new_file(t, 2 * PAGE);
	struct weir_map *map = map_file(t, ioas, fd, PAGE, PAGE, BELOW(EDU0_BITS));
	unsigned char text[] = "from the file, and back", back[64] = { 0 };

	ASSERT_EQ(pwrite(fd, text, sizeof(text), PAGE), (ssize_t)sizeof(text));
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), text, sizeof(text)));
	dma_writes(t, edu, weir_map_iova(map), 0xa5, sizeof(back));
	ASSERT_EQ(pread(fd, back, sizeof(back), PAGE), (ssize_t)sizeof(back));
	EXPECT_TRUE(all_bytes(back, 0xa5, sizeof(back)));
}

static void check_mode(struct t *t, struct weir_ioas *ioas)
{
	int fd = new_file(t, PAGE), reading = reopened(t, fd, O_RDONLY), writing = reopened(t, fd, O_WRONLY);
	struct weir_ioas_info before = info_of(ioas);
	struct weir_map *map;

	EXPECT_ERR(-EACCES, weir_ioas_map_file(ioas, reading, 0, PAGE, NULL, &map));
	EXPECT_ERR(-EACCES, weir_ioas_map_file(ioas, reading, 0, PAGE, FLAGS(WEIR_MAP_WRITE), &map));
	EXPECT_ERR(-EACCES, weir_ioas_map_file(ioas, writing, 0, PAGE, FLAGS(WEIR_MAP_WRITE), &map));
	expect_unchanged(t, ioas, before);
	/* Nor can it be sealed against shrinking by who may not write it. */
	EXPECT_ERR(-EPERM, weir_ioas_map_file(ioas, reading, 0, PAGE, FLAGS(WEIR_MAP_READ), &map));
	ASSERT_OK(weir_map_close(
		map_file(t, ioas, reading, 0, PAGE, FLAGS(WEIR_MAP_READ | WEIR_MAP_MAY_SHRINK))));
	ASSERT_OK(weir_map_close(map_file(t, ioas, fd, 0, PAGE, NULL)));
	ASSERT_OK(weir_map_close(map_file(t, ioas, reading, 0, PAGE, FLAGS(WEIR_MAP_READ))));
}

CONFORMANCE(ioas_file, devices_may_do_what_the_descriptor_may, NEEDS(READ_ONLY, EDU0))
{
	in_both_states(t, check_mode);
}

static void check_seals(struct t *t, struct weir_ioas *ioas)
{
	int fd = new_file(t, PAGE), sealed = new_file(t, PAGE), stubborn = new_file(t, PAGE);
	struct weir_map *map;

	ASSERT_EQ(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE), 0);
	EXPECT_ERR(-EPERM, weir_ioas_map_file(ioas, sealed, 0, PAGE, NULL, &map));
	ASSERT_OK(weir_map_close(map_file(t, ioas, sealed, 0, PAGE, FLAGS(WEIR_MAP_READ))));

	ASSERT_OK(weir_map_close(map_file(t, ioas, fd, 0, PAGE, NULL)));
	EXPECT_TRUE(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK);
	EXPECT_EQ(ftruncate(fd, 0), -1);

	ASSERT_EQ(fcntl(stubborn, F_ADD_SEALS, F_SEAL_SEAL), 0);
	EXPECT_ERR(-EPERM, weir_ioas_map_file(ioas, stubborn, 0, PAGE, NULL, &map));
	ASSERT_OK(weir_map_close(map_file(t, ioas, stubborn, 0, PAGE, FLAGS(WEIR_MAP_MAY_SHRINK))));
}

CONFORMANCE(ioas_file, seals_are_kept_and_a_file_is_sealed_against_shrinking, NEEDS(READ_ONLY, EDU0))
{
	in_both_states(t, check_seals);
}

static void check_refused(struct t *t, struct weir_ioas *ioas)
{
	int fd = new_file(t, 4 * PAGE), disk = keep_file(t, open("/etc/passwd", O_RDONLY | O_CLOEXEC)),
	    null = keep_file(t, open("/dev/null", O_RDWR | O_CLOEXEC));
	struct weir_ioas_info before = info_of(ioas);
	struct weir_map *map;

	EXPECT_ERR(-EBADF, weir_ioas_map_file(ioas, -1, 0, PAGE, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_file(ioas, null, 0, PAGE, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_file(ioas, fd, 0, 0, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_file(ioas, fd, 0, PAGE + 1, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_file(ioas, fd, 512, PAGE, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_file(ioas, fd, 0, 5 * PAGE, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_file(ioas, fd, 5 * PAGE, PAGE, NULL, &map));
	EXPECT_ERR(-EOVERFLOW, weir_ioas_map_file(ioas, fd, UINT64_MAX - PAGE + 1, 2 * PAGE, NULL, &map));
	EXPECT_ERR(-EINVAL, weir_ioas_map_file(ioas, disk, 0, PAGE, FLAGS(WEIR_MAP_READ), &map));
	expect_unchanged(t, ioas, before);
}

static int one_end(struct t *t, int ends[2])
{
	keep_file(t, ends[1]);
	return keep_file(t, ends[0]);
}

/* Descriptors of all that is not a file, or not one that memory can be had of. */
static void check_descriptors(struct t *t, struct weir_ioas *ioas)
{
	struct weir_ioas_info before = info_of(ioas);
	int ends[2][2], path_only = reopened(t, new_file(t, PAGE), O_PATH);
	struct weir_map *map;

	ASSERT_EQ(pipe2(ends[0], O_CLOEXEC), 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[1]), 0);
	const struct {
		const char *what;
		int fd;
	} rows[] = {
		{ "a pipe", one_end(t, ends[0]) },
		{ "a socket", one_end(t, ends[1]) },
		{ "a directory", keep_file(t, open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) },
		{ "an event", keep_file(t, eventfd(0, EFD_CLOEXEC)) },
		{ "a file that is made up", keep_file(t, open("/proc/self/status", O_RDONLY | O_CLOEXEC)) },
		{ "a name of a file", path_only },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		at(t, ioas, rows[i].what);
		EXPECT_ERR(-EINVAL, weir_ioas_map_file(ioas, rows[i].fd, 0, PAGE,
						       FLAGS(WEIR_MAP_READ | WEIR_MAP_MAY_SHRINK), &map));
		expect_unchanged(t, ioas, before);
	}
}

CONFORMANCE(ioas_file, what_memory_cannot_be_had_of_is_refused, NEEDS(EDU0))
{
	in_both_states(t, check_descriptors);
}

static void check_overlap(struct t *t, struct weir_ioas *ioas)
{
	int fd = new_file(t, 4 * PAGE);
	struct weir_map *map = map_file(t, ioas, fd, 0, 2 * PAGE, AT(16 * MIB)), *other;
	struct weir_ioas_info before = info_of(ioas);

	EXPECT_ERR(-EEXIST, weir_ioas_map_file(ioas, fd, 0, 2 * PAGE, AT(16 * MIB), &other));
	EXPECT_ERR(-EEXIST, weir_ioas_map_file(ioas, fd, PAGE, 2 * PAGE, AT(16 * MIB + PAGE), &other));
	EXPECT_ERR(-EEXIST, weir_ioas_map(ioas, new_memory(t, PAGE, 0), PAGE, AT(16 * MIB + PAGE), &other));
	expect_unchanged(t, ioas, before);
	/* The same part of the file may be mapped as often as one likes, elsewhere. */
	map_file(t, ioas, fd, PAGE, 2 * PAGE, AT(16 * MIB + 2 * PAGE));
	ASSERT_OK(weir_map_close(map));
	map_file(t, ioas, fd, PAGE, 2 * PAGE, AT(16 * MIB));
}

CONFORMANCE(ioas_file, a_taken_range_is_not_taken_again, NEEDS(EDU0))
{
	in_both_states(t, check_overlap);
}

CONFORMANCE(ioas_file, a_file_only_written_is_read_only_as_the_iommu_has_it, NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_map_opts opts =
		WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_WRITE, .address_bits = EDU0_BITS);
	struct weir_map *map = map_file(t, ioas, new_file(t, PAGE), 0, PAGE, &opts);
	bool arrived;

	memset(weir_map_addr(map), 0x33, PAGE);
	faults_begin(t);
	arrived = dma_reads(t, edu, weir_map_iova(map), weir_map_addr(map), PAGE);
	EXPECT_NE(arrived, faults_reported(t));
	dma_writes(t, edu, weir_map_iova(map), 0xa5, PAGE);
	EXPECT_TRUE(all_bytes(weir_map_addr(map), 0xa5, PAGE));
}

CONFORMANCE(ioas_file, what_is_no_file_or_too_short_is_refused, NEEDS(EDU0))
{
	in_both_states(t, check_refused);
}

CONFORMANCE(ioas_file, the_mapping_outlives_the_callers_descriptor, NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	int fd = memfd_create("case", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	unsigned char *memory = new_memory(t, PAGE, 0);
	struct weir_map *map;
	uint64_t iova;

	ASSERT_EQ(ftruncate(fd, (off_t)PAGE), 0);
	map = map_file(t, ioas, fd, 0, PAGE, BELOW(EDU0_BITS));
	close(fd);
	iova = weir_map_iova(map);
	EXPECT_TRUE(dma_reaches(t, edu, iova, weir_map_addr(map), PAGE));
	ASSERT_OK(weir_map_close(map));
	EXPECT_TRUE(dma_write_blocked(t, edu, iova, memory, PAGE));
}

CONFORMANCE(ioas_file, a_file_only_read_is_out_of_reach_for_writing,
	    NEEDS(READ_ONLY, DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	int fd = new_file(t, PAGE);
	struct weir_map *map =
		map_file(t, ioas, fd, 0, PAGE,
			 &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ, .address_bits = EDU0_BITS));
	unsigned char zeros[PAGE] = { 0 };

	/* Written to first: where a read has come before, an emulated IOMMU blocks the write without a fault (docs/kernel-notes.md). */
	EXPECT_TRUE(dma_write_blocked(t, edu, weir_map_iova(map), new_memory(t, PAGE, 0), PAGE));
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), zeros, PAGE));
	EXPECT_TRUE(all_bytes(weir_map_addr(map), 0, PAGE));
}

CONFORMANCE(ioas_file, files_end_with_their_range_and_with_the_space, NEEDS(EDU0))
{
	struct weir_ioas *ioas = new_ioas(t);
	int fd = new_file(t, 4 * PAGE);

	new_device(t, ioas, "EDU0", 0);
	for (uint64_t i = 0; i < 4; i++)
		map_file(t, ioas, fd, i * PAGE, PAGE, AT(16 * MIB + i * PAGE));
	ASSERT_OK(weir_ioas_unmap(ioas, 16 * MIB, 2 * PAGE));
	/* What is left ends with the space; open descriptors are counted after each case. */
}
