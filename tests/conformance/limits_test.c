// SPDX-License-Identifier: MIT
/* Limits: of locked memory, of the number of mappings, of a device's address width. */
#include "conformance/dma.h"
#include "conformance/os.h"
#include "conformance/space.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Locked memory --------------------------------------------------------------------------------------------------- */

#define KIB ((uint64_t)1024)

/* Run @body in a child process, which may give up what a case cannot get back. */
static void in_a_child(struct t *t, void (*body)(struct t *t))
{
	int status;
	pid_t pid;

	pid = os_fork();
	ASSERT_GE(pid, 0);
	if (pid == 0) {
		alarm(20); /* it must not outlive a case that the watchdog ends */
		body(t);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

static void limit_locked_memory(uint64_t bytes)
{
	ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ bytes, bytes }), 0);
}

/* Leaving user 0 empties the capability sets. */
static void become_nobody_special(void)
{
	ASSERT_EQ(setresgid(1000, 1000, 1000), 0);
	ASSERT_EQ(setresuid(1000, 1000, 1000), 0);
}

/* Stay user 0, who may open the nodes, but be held to the limit. */
static void give_up_locking(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	ASSERT_EQ(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	ASSERT_EQ(syscall(SYS_capset, &header, data), 0);
}

/* What the child works with is its own; the end of the process closes it. */
static struct weir_ioas *child_ioas(struct t *t)
{
	struct weir_host *host;
	struct weir_ioas *ioas;

	ASSERT_OK(weir_host_open(
		&WEIR_OPTS(weir_host_opts, .backend = fixture_of(t)->backend, .sys = sys_of(t)), &host));
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	return ioas;
}

/* Files count as any memory. */
static void check_memlock_of_files(struct t *t, struct weir_ioas *ioas)
{
	int fd = new_file(t, 96 * KIB);
	struct weir_map *map;

	EXPECT_ERR(-ENOMEM, weir_ioas_map_file(ioas, fd, 0, 96 * KIB, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "needs 96 KiB beside the 64 KiB that are mapped in this space already");
	ASSERT_OK(weir_ioas_map_file(ioas, fd, 0, 32 * KIB, NULL, &map));
	ASSERT_OK(weir_map_close(map));
}

/* Within a limit of 128 KiB. */
static void check_memlock(struct t *t, struct weir_ioas *ioas)
{
	unsigned char *memory = new_memory(t, 1024 * KIB, 0);
	struct weir_map *small, *map;
	struct weir_ioas_info before;

	EXPECT_ERR(-ENOMEM, weir_ioas_map(ioas, memory, 256 * KIB, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "RLIMIT_MEMLOCK is 128 KiB; this mapping needs 256 KiB");
	EXPECT_CONTAINS(weir_error(), "CAP_IPC_LOCK");
	ASSERT_OK(weir_ioas_map(ioas, memory, 64 * KIB, NULL, &small));
	before = info_of(ioas);
	EXPECT_ERR(-ENOMEM, weir_ioas_map(ioas, memory + 512 * KIB, 96 * KIB, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "needs 96 KiB beside the 64 KiB that are mapped in this space already");
	expect_unchanged(t, ioas, before);
	check_memlock_of_files(t, ioas);
	expect_unchanged(t, ioas, before);
	ASSERT_OK(weir_map_close(small));
	ASSERT_OK(weir_ioas_map(ioas, memory + 512 * KIB, 96 * KIB, NULL, &map));
	ASSERT_OK(weir_map_close(map));
}

static void memlock_with_a_device(struct t *t)
{
	struct weir_ioas *ioas = child_ioas(t);
	struct weir_device *device;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	limit_locked_memory(128 * KIB);
	become_nobody_special();
	check_memlock(t, ioas);
}

CONFORMANCE(limits, locked_memory_of_a_user_with_a_device, NEEDS(DMA_DEVICE, ROOT))
{
	in_a_child(t, memlock_with_a_device);
}

static void memlock_without_a_device(struct t *t)
{
	struct weir_ioas *ioas = child_ioas(t);

	limit_locked_memory(128 * KIB);
	become_nobody_special();
	check_memlock(t, ioas);
}

CONFORMANCE(limits, locked_memory_of_a_user_without_a_device, NEEDS(ROOT))
{
	in_a_child(t, memlock_without_a_device);
}

/* Within a limit of 128 KiB. */
static void check_memlock_of_memory(struct t *t, struct weir_ioas *ioas)
{
	struct weir_memory *memory;
	struct weir_buffer first, second, none;
	struct weir_memory_info info;

	(void)t;
	ASSERT_OK(weir_memory_open(ioas, &WEIR_OPTS(weir_memory_opts, .page_size = PAGE, .chunk = 64 * KIB),
				   &memory));
	ASSERT_OK(weir_memory_alloc(memory, 32 * KIB, NULL, &first));
	EXPECT_ERR(-ENOMEM, weir_memory_alloc(memory, 96 * KIB, NULL, &none));
	EXPECT_CONTAINS(weir_error(),
			"RLIMIT_MEMLOCK is 128 KiB; this mapping needs 96 KiB beside the 64 KiB");
	/* What there is can still be used. */
	ASSERT_OK(weir_memory_alloc(memory, 32 * KIB, NULL, &second));
	ASSERT_OK(weir_memory_info(memory, &info, sizeof(info)));
	EXPECT_EQ(info.num_chunks, 1);
	EXPECT_EQ(info.used, 64 * KIB);
	ASSERT_OK(weir_memory_free(memory, &first));
	ASSERT_OK(weir_memory_close(memory));
	EXPECT_EQ(info_of(ioas).mapped_bytes, 0);
	EXPECT_ERR(-ENOMEM,
		   weir_memory_open(ioas,
				    &WEIR_OPTS(weir_memory_opts, .page_size = PAGE, .initial = 256 * KIB),
				    &memory));
}

static void memlock_of_memory(struct t *t)
{
	struct weir_ioas *ioas = child_ioas(t), *without_device = child_ioas(t);
	struct weir_device *device;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	limit_locked_memory(128 * KIB);
	become_nobody_special();
	check_memlock_of_memory(t, ioas);
	check_memlock_of_memory(t, without_device);
}

CONFORMANCE(limits, locked_memory_of_a_user_and_dma_memory, NEEDS(DMA_DEVICE, ROOT))
{
	in_a_child(t, memlock_of_memory);
}

static void memlock_at_open(struct t *t)
{
	struct weir_ioas *ioas = child_ioas(t);
	unsigned char *memory = new_memory(t, 512 * KIB, 0);
	struct weir_device *device = NULL;
	struct weir_map *large;

	give_up_locking();
	limit_locked_memory(512 * KIB);
	new_map(t, ioas, memory, 64 * KIB, AT(MIB));
	large = new_map(t, ioas, memory + 64 * KIB, 256 * KIB, AT(2 * MIB));
	limit_locked_memory(128 * KIB);
	EXPECT_ERR(-ENOMEM, weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), "the mapping at IOVA 0x200000 cannot be put in force");
	EXPECT_CONTAINS(weir_error(), "RLIMIT_MEMLOCK is 128 KiB; this mapping needs 256 KiB");
	EXPECT_EQ(info_of(ioas).num_mappings, 2);
	EXPECT_EQ(pinned_bytes(), 0);
	ASSERT_OK(weir_map_close(large));
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_EQ(pinned_bytes(), 64 * KIB);
}

CONFORMANCE(limits, locked_memory_when_the_device_comes_last, NEEDS(DMA_DEVICE, ROOT))
{
	in_a_child(t, memlock_at_open);
}

/* The number of mappings ------------------------------------------------------------------------------------------ */

/* Map one page over and over, until that fails. */
static uint64_t map_many(struct t *t, struct weir_ioas *ioas, uint64_t num, int *ret_error)
{
	unsigned char *page = new_pages(t, 1);
	struct weir_map *map;
	uint64_t done = 0;

	*ret_error = 0;
	while (done < num && !(*ret_error = weir_ioas_map(ioas, page, PAGE, AT(done * PAGE), &map)))
		done++;
	return done;
}

CONFORMANCE(limits, the_kernels_number_of_mappings_is_reached_and_named,
	    NEEDS(DMA_DEVICE, MAP_LIMIT, LOCKED_MEMORY, X86_WINDOW))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_ioas_info info;
	uint64_t done;
	char text[64];
	int error;

	t_timeout(t, 120);
	new_device(t, ioas, "EDU0", 0);
	info = info_of(ioas);
	EXPECT_EQ(info.max_mappings, 65535);
	done = map_many(t, ioas, info.max_mappings + 1, &error);
	EXPECT_EQ(error, -ENOSPC);
	snprintf(text, sizeof(text), "limit of %lu mappings", (unsigned long)info.max_mappings);
	EXPECT_CONTAINS(weir_error(), text);
	EXPECT_EQ(done, info.max_mappings);
	EXPECT_EQ(info_of(ioas).num_mappings, done);
	/* One less, one more. */
	ASSERT_OK(weir_ioas_unmap(ioas, 5 * PAGE, PAGE));
	expect_unchanged(t, ioas, info_of(ioas));
	EXPECT_OK(weir_ioas_unmap(ioas, 0, done * PAGE));
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

CONFORMANCE(limits, there_is_none_to_the_number_of_mappings,
	    NEEDS(DMA_DEVICE, MANY_MAPS, LOCKED_MEMORY, X86_WINDOW))
{
	enum { MANY = 65536 + 1 };
	struct weir_ioas *ioas = new_ioas(t);
	int error;

	t_timeout(t, 120);
	new_device(t, ioas, "EDU0", 0);
	EXPECT_EQ(info_of(ioas).max_mappings, UINT64_MAX);
	EXPECT_EQ(map_many(t, ioas, MANY, &error), MANY);
	EXPECT_EQ(error, 0);
	EXPECT_EQ(info_of(ioas).num_mappings, MANY);
	EXPECT_OK(weir_ioas_unmap(ioas, 0, MANY * PAGE));
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

/* The address width ----------------------------------------------------------------------------------------------- */

#define NARROW ((uint64_t)1 << EDU1_BITS)

CONFORMANCE(limits, a_narrow_device_narrows_its_space_while_it_is_there, NEEDS(EDU1, LOCKED_MEMORY))
{
	struct weir_device_opts opts = WEIR_OPTS(weir_device_opts, .address_bits = EDU1_BITS);
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_memory(t, 2 * MIB, 0);
	struct weir_device *device;
	struct weir_map *map;

	EXPECT_EQ(info_of(ioas).address_bits, 64);
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU1"), &opts, &device));
	EXPECT_EQ(info_of(ioas).address_bits, EDU1_BITS);
	EXPECT_TRUE(within_ranges(t, ioas, NARROW - PAGE, PAGE));
	EXPECT_FALSE(within_ranges(t, ioas, NARROW, PAGE));
	for (int i = 0; i < 8; i++)
		EXPECT_LE(weir_map_iova(new_map(t, ioas, memory, 2 * MIB, NULL)) + 2 * MIB, NARROW);
	EXPECT_LE(weir_map_iova(new_map(t, ioas, memory, PAGE, BELOW(40))) + PAGE, NARROW);

	EXPECT_ERR(-ERANGE, weir_ioas_map(ioas, memory, PAGE, AT(NARROW), &map));
	EXPECT_CONTAINS(weir_error(), "above the address width, which ends at 0xfffffff");
	EXPECT_ERR(-ERANGE, weir_ioas_map(ioas, memory, 2 * PAGE, AT(NARROW - PAGE), &map));
	ASSERT_OK(weir_device_close(device));
	EXPECT_EQ(info_of(ioas).address_bits, 64);
	new_map(t, ioas, memory, PAGE, AT(NARROW));
}

CONFORMANCE(limits, a_narrow_space_can_be_used_up_and_is_whole_again_afterwards,
	    NEEDS(EDU1, LOCKED_MEMORY, X86_WINDOW))
{
	enum { PIECE = 8 << 20, ROOM = 64 };
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_memory(t, PIECE, 0);
	struct weir_map *maps[ROOM], *map;
	uint64_t freed;
	int num = 0;

	new_device(t, ioas, "EDU1", EDU1_BITS);
	while (num < ROOM && weir_ioas_map(ioas, memory, PIECE, NULL, &maps[num]) == 0)
		num++;
	EXPECT_GE(num, 256 / 8 - 1);
	EXPECT_LE(num, 256 / 8);
	EXPECT_ERR(-ENOSPC, weir_ioas_map(ioas, memory, PIECE, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "no free range of 0x800000 bytes at or below IOVA 0xfffffff");

	freed = weir_map_iova(maps[num / 2]);
	ASSERT_OK(weir_map_close(maps[num / 2]));
	ASSERT_OK(weir_ioas_map(ioas, memory, PIECE, NULL, &map));
	EXPECT_EQ(weir_map_iova(map), freed);
	EXPECT_OK(weir_ioas_unmap(ioas, 0, NARROW));
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
	/* Nothing is left in pieces. */
	for (int i = 0; i < num; i++)
		new_map(t, ioas, memory, PIECE, NULL);
}

static void use_up(struct t *t, struct weir_ioas *ioas)
{
	enum { PAGES = 8, MOST = 64 };
	struct weir_map *maps[MOST], *map;
	unsigned char *memory = new_pages(t, PAGES);
	int fd = new_file(t, PAGES * PAGE), num = 0, error = 0;

	for (; num < MOST && !error; num += !error)
		error = num % 2 ? weir_ioas_map(ioas, memory, PAGES * PAGE, NULL, &maps[num])
				: weir_ioas_map_file(ioas, fd, 0, PAGES * PAGE, NULL, &maps[num]);
	EXPECT_EQ(error, -ENOSPC);
	EXPECT_GE(num, 16);
	EXPECT_ERR(-ENOSPC, weir_ioas_map_file(ioas, fd, 0, PAGES * PAGE, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "no free range of 0x8000 bytes at or below IOVA");
	/* All but the first: every other, then what lies between. There is room for as many again. */
	for (int i = 1; i < num; i += 2)
		ASSERT_OK(weir_map_close(maps[i]));
	for (int i = 2; i < num; i += 2)
		ASSERT_OK(weir_map_close(maps[i]));
	for (int i = 1; i < num; i++)
		new_map(t, ioas, memory, PAGES * PAGE, NULL);
	EXPECT_ERR(-ENOSPC, weir_ioas_map(ioas, memory, PAGES * PAGE, NULL, &map));
}

CONFORMANCE(limits, a_small_space_can_be_used_up_with_a_device_and_without, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *bare = new_ioas_with(t, &WEIR_OPTS(weir_ioas_opts, .address_bits = 21));
	struct weir_ioas *used = new_ioas_with(t, &WEIR_OPTS(weir_ioas_opts, .address_bits = 20));

	use_up(t, bare);
	new_device(t, used, "EDU0", 0);
	use_up(t, used);
}

CONFORMANCE(limits, the_narrowest_device_counts, NEEDS(DMA_DEVICE, EDU1))
{
	struct weir_device_opts opts = WEIR_OPTS(weir_device_opts, .address_bits = EDU1_BITS);
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *wide = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_pages(t, 1);
	struct weir_device *narrow;
	struct weir_map *map;

	EXPECT_EQ(info_of(ioas).address_bits, EDU0_BITS);
	map = new_map(t, ioas, memory, PAGE, AT(NARROW));
	/* What lies above its width keeps a device from joining. */
	EXPECT_ERR(-ERANGE, weir_device_open(ioas, address_of(t, "EDU1"), &opts, &narrow));
	EXPECT_CONTAINS(weir_error(), "0x10000000..0x10000fff is above the 28 address bits");
	EXPECT_EQ(info_of(ioas).num_devices, 1);
	EXPECT_TRUE(dma_reads(t, wide, NARROW, memory, PAGE));
	ASSERT_OK(weir_map_close(map));
	(void)weir_ioas_unmap(ioas, NARROW, 4 * GIB);
}
