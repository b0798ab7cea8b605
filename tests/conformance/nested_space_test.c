// SPDX-License-Identifier: MIT
/*
 * Nested spaces, and the shadows that stand in for them. That they are address spaces like others is shown by all other cases, which are run in them
 * as well (tests/conformance/sim); here is what is special.
 */
#include "conformance/dma.h"
#include "conformance/nested.h"
#include "conformance/os.h"
#include "conformance/space.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/iommufd_abi.h"

#define GIB ((uint64_t)1 << 30)

static void close_space(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

static struct weir_ioas *new_space(struct t *t, const struct weir_nested_space_opts *opts)
{
	struct weir_ioas *ioas;

	ASSERT_OK(weir_nested_space_open(host_of(t), opts, &ioas));
	t_defer(t, close_space, ioas);
	return ioas;
}

static struct weir_nested_space_info nested_info(struct weir_ioas *ioas)
{
	struct weir_nested_space_info info = { 0 };

	EXPECT_OK(weir_nested_space_info(ioas, &info, sizeof(info)));
	return info;
}

/* Of those that ask for something of the kernel. */
static size_t num_ioctls(struct t *t)
{
	return sys_log_count_call(&fixture_of(t)->log, "ioctl");
}

CONFORMANCE(nested_space, the_first_device_decides_what_it_is_made_of, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_space(t, NULL);
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	struct weir_map *map = new_map(t, ioas, memory, PAGE, BELOW(EDU0_BITS));
	struct edu *edu;

	record_no_calls(t);
	EXPECT_EQ(nested_info(ioas).mode, WEIR_NESTED_AUTO);
	edu = new_edu(t, ioas, "EDU0", 0);
	EXPECT_NE(nested_info(ioas).mode, WEIR_NESTED_AUTO);
	EXPECT_NE(nested_info(ioas).format, 0);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), memory, PAGE));
}

CONFORMANCE(nested_space, where_it_nests_hardware_does_it, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space(t, NULL);

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	EXPECT_EQ(nested_info(ioas).mode, WEIR_NESTED_HARDWARE);
}

CONFORMANCE(nested_space, hardware_that_cannot_is_not_taken_for_it, NEEDS(DMA_DEVICE, NO_NEST))
{
	struct weir_ioas *ioas =
		new_space(t, &WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_HARDWARE));
	struct weir_device *device;

	record_no_calls(t);
	EXPECT_ERR(-EOPNOTSUPP, weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	EXPECT_EQ(nested_info(ioas).mode, WEIR_NESTED_AUTO);
	EXPECT_EQ(info_of(ioas).num_devices, 0);
}

CONFORMANCE(nested_space, what_is_kept_is_mapped_without_a_system_call, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 64));
	unsigned char *memory = new_memory(t, 16 * PAGE, 0x5a);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_map *map;
	size_t before;

	record_no_calls(t);
	ASSERT_OK(weir_nested_space_keep(ioas, memory, 16 * PAGE));
	before = num_ioctls(t);
	for (int i = 0; i < 16; i++) {
		ASSERT_OK(weir_ioas_map(ioas, memory + (uint64_t)i * PAGE, PAGE, NULL, &map));
		ASSERT_OK(weir_map_close(map));
	}
	EXPECT_EQ(num_ioctls(t), before);
	map = new_map(t, ioas, memory + PAGE, 2 * PAGE, NULL);
	EXPECT_EQ(num_ioctls(t), before);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), memory + PAGE, PAGE));
	ASSERT_OK(weir_map_close(map));
	EXPECT_OK(weir_ioas_sync(ioas));
	EXPECT_OK(weir_nested_space_unkeep(ioas, memory));
}

/* A device may have the closed mapping still: the memory stays behind what it reaches until that is forgotten, and so do its addresses there. */
CONFORMANCE(nested_space, what_is_kept_no_more_leaves_when_devices_have_forgotten_it, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 64));
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	uint64_t others;
	struct weir_map *map;

	record_no_calls(t);
	new_edu(t, ioas, "EDU0", 0);
	others = nested_info(ioas).num_pieces;
	ASSERT_OK(weir_nested_space_keep(ioas, memory, PAGE));
	ASSERT_OK(weir_ioas_map(ioas, memory, PAGE, NULL, &map));
	ASSERT_OK(weir_map_close(map));
	EXPECT_OK(weir_nested_space_unkeep(ioas, memory));
	EXPECT_EQ(nested_info(ioas).num_pieces, others + 1);
	EXPECT_OK(weir_ioas_sync(ioas));
	EXPECT_EQ(nested_info(ioas).num_pieces, others);
	EXPECT_ERR(-ENOENT, weir_nested_space_unkeep(ioas, memory));
}

CONFORMANCE(nested_space, buffers_of_a_memory_are_mapped_without_a_system_call, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 64));
	struct weir_memory *memory;
	struct weir_buffer buffer;
	struct weir_map *map;
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	size_t before;

	record_no_calls(t);
	ASSERT_OK(weir_memory_open(ioas, NULL, &memory));
	ASSERT_OK(weir_memory_alloc(memory, 4 * PAGE, NULL, &buffer));
	memset(buffer.addr, 0x3c, 4 * PAGE);
	before = num_ioctls(t);
	ASSERT_OK(weir_ioas_map(ioas, buffer.addr, 4 * PAGE, BELOW(EDU0_BITS), &map));
	EXPECT_EQ(num_ioctls(t), before);
	EXPECT_NE(weir_map_iova(map), buffer.iova);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), buffer.addr, PAGE));
	EXPECT_OK(weir_map_close(map));
	EXPECT_OK(weir_ioas_sync(ioas));
	EXPECT_OK(weir_memory_close(memory));
}

CONFORMANCE(nested_space, what_was_deferred_ends_with_a_sync, NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_space(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 64));
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	uint64_t mapped = info_of(ioas).num_mappings, iova;
	struct weir_map *map = new_map(t, ioas, memory, PAGE, BELOW(EDU0_BITS));

	record_no_calls(t);
	iova = weir_map_iova(map);
	EXPECT_TRUE(dma_reads(t, edu, iova, memory, PAGE));
	ASSERT_OK(weir_map_close(map));
	EXPECT_EQ(info_of(ioas).num_mappings, mapped + 1);
	EXPECT_OK(weir_ioas_sync(ioas));
	EXPECT_EQ(info_of(ioas).num_mappings, mapped);
	EXPECT_TRUE(dma_write_blocked(t, edu, iova, memory, PAGE));
	/* There is nothing any more. */
	EXPECT_OK(weir_ioas_sync(ioas));
}

CONFORMANCE(nested_space, so_many_are_ended_together, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_space(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 4));
	unsigned char *memory = new_pages(t, 8);
	struct weir_map *maps[8];
	uint64_t before;

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	for (int i = 0; i < 8; i++)
		maps[i] = new_map(t, ioas, memory + i * PAGE, PAGE, NULL);
	before = nested_info(ioas).num_syncs;
	for (int i = 0; i < 8; i++)
		ASSERT_OK(weir_map_close(maps[i]));
	EXPECT_EQ(nested_info(ioas).num_syncs, before + 2);
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

CONFORMANCE(nested_space, so_many_bytes_are_ended_together, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_space(t, &WEIR_OPTS(weir_nested_space_opts, .defer_bytes = 3 * PAGE));
	unsigned char *memory = new_pages(t, 4);
	struct weir_map *maps[4];

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	for (int i = 0; i < 4; i++)
		maps[i] = new_map(t, ioas, memory + i * PAGE, PAGE, NULL);
	ASSERT_OK(weir_map_close(maps[0]));
	ASSERT_OK(weir_map_close(maps[1]));
	EXPECT_EQ(info_of(ioas).num_mappings, 4);
	ASSERT_OK(weir_map_close(maps[2]));
	EXPECT_EQ(info_of(ioas).num_mappings, 1);
	ASSERT_OK(weir_map_close(maps[3]));
}

CONFORMANCE(nested_space, an_address_that_is_leaving_can_be_had_again, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_space(t, &WEIR_OPTS(weir_nested_space_opts, .defer = 64));
	unsigned char *memory = new_pages(t, 2);
	struct weir_map *map;

	record_no_calls(t);
	new_device(t, ioas, "EDU0", 0);
	ASSERT_OK(weir_map_close(new_map(t, ioas, memory, PAGE, AT(16 * MIB))));
	ASSERT_OK(weir_ioas_map(ioas, memory + PAGE, PAGE, AT(16 * MIB), &map));
	EXPECT_EQ(info_of(ioas).num_mappings, 1);
	ASSERT_OK(weir_map_close(map));
	EXPECT_ERR(-ENOENT, weir_ioas_unmap(ioas, 16 * MIB, PAGE));
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

CONFORMANCE(nested_space, a_mapping_in_another_outlives_it, NEEDS(DMA_DEVICE, NEST))
{
	struct weir_ioas *ioas = new_space(t, NULL);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	int fd = new_file(t, 4 * PAGE);
	struct weir_map *whole, *part;
	unsigned char *memory;

	record_no_calls(t);
	ASSERT_OK(weir_ioas_map_file(ioas, fd, 0, 4 * PAGE, BELOW(EDU0_BITS), &whole));
	memory = weir_map_addr(whole);
	memset(memory + PAGE, 0x77, PAGE);
	ASSERT_OK(weir_ioas_map(ioas, memory + PAGE, PAGE, BELOW(EDU0_BITS), &part));
	ASSERT_OK(weir_map_close(whole));
	/* The file's page is there still, though not in this process. */
	memory = new_memory(t, PAGE, 0x77);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(part), memory, PAGE));
	ASSERT_OK(weir_map_close(part));
}

CONFORMANCE(nested_space, memory_that_is_only_read_is_refused_where_the_second_stage_cannot_hold_it,
	    NEEDS(DMA_DEVICE, NESTED_VTD))
{
	struct weir_ioas *ioas = new_space(t, NULL);
	int fd = reopened(t, new_file(t, PAGE), O_RDONLY);
	unsigned char *memory = new_memory(t, PAGE, 0x5a);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct weir_map *map;

	record_no_calls(t);
	EXPECT_ERR(-EACCES,
		   weir_ioas_map_file(ioas, fd, 0, PAGE,
				      &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ | WEIR_MAP_MAY_SHRINK),
				      &map));
	EXPECT_CONTAINS(weir_error(), "second stage");
	/* What could be written is kept from it by the first. */
	ASSERT_OK(weir_ioas_map(ioas, memory, PAGE,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_READ, .address_bits = EDU0_BITS),
				&map));
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map), memory, PAGE));
	EXPECT_TRUE(dma_write_blocked(t, edu, weir_map_iova(map), memory, PAGE));
}

CONFORMANCE(nested_space, its_options_are_checked, NEEDS(DMA_DEVICE))
{
	static const struct weir_nested_space_opts wrong[] = {
		{ .size = sizeof(wrong[0]), .mode = 3 },
		{ .size = sizeof(wrong[0]), .format = 77 },
		{ .size = sizeof(wrong[0]), .ioas_flags = 1u << 9 },
		{ .size = sizeof(wrong[0]), .policy = 9 },
		{ .size = sizeof(wrong[0]), .address_bits = 65 },
		{ .size = sizeof(wrong[0]), .largest_page = 13 },
	};
	struct weir_ioas *ioas, *ordinary = new_ioas(t);
	unsigned char *memory = new_pages(t, 1);
	struct weir_nested_space_info info;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		EXPECT_ERR(-EINVAL, weir_nested_space_open(host_of(t), &wrong[i], &ioas));
	if (fixture_of(t)->nested == WEIR_NESTED_AUTO) {
		EXPECT_ERR(-EINVAL, weir_nested_space_info(ordinary, &info, sizeof(info)));
		EXPECT_ERR(-EINVAL, weir_nested_space_keep(ordinary, memory, PAGE));
		EXPECT_ERR(-EINVAL, weir_nested_space_unkeep(ordinary, memory));
	}
	ioas = new_space(t, NULL);
	EXPECT_ERR(-EINVAL, weir_nested_space_keep(ioas, memory + 1, PAGE));
	EXPECT_ERR(-ENOENT, weir_nested_space_unkeep(ioas, memory));
	ASSERT_OK(weir_nested_space_keep(ioas, memory, PAGE));
	EXPECT_ERR(-EEXIST, weir_nested_space_keep(ioas, memory, PAGE));
	EXPECT_EQ(nested_info(ioas).num_pieces, 1);
	EXPECT_OK(weir_nested_space_unkeep(ioas, memory));
	EXPECT_EQ(nested_info(ioas).num_pieces, 0);
}

CONFORMANCE(nested_space, its_devices_have_no_domains_of_their_own, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_space(t, NULL), *other = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "EDU0", 0);
	struct weir_domain *domain;

	record_no_calls(t);
	EXPECT_ERR(-EINVAL, weir_domain_open(device, NULL, &domain));
	EXPECT_CONTAINS(weir_error(), "nested space");
	EXPECT_ERR(-EINVAL, weir_domain_detach(device, WEIR_NO_PASID));
	EXPECT_ERR(-EOPNOTSUPP, weir_device_attach(device, other));
}

static void drop_memory(void *addr)
{
	munmap(addr, (size_t)2 * GIB);
}

/* A GiB of memory, aligned to that; not touched, it takes none. */
static unsigned char *new_gib(struct t *t)
{
	void *addr = mmap(NULL, (size_t)2 * GIB, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ASSERT_TRUE(addr != MAP_FAILED);
	t_defer(t, drop_memory, addr);
	return (unsigned char *)(((uintptr_t)addr + GIB - 1) & ~(uintptr_t)(GIB - 1));
}

/* Has the IOMMU such pages? Arm's always has. */
static bool has_pages_of_1_gib(struct weir_device *device)
{
	struct abi_iommu_hw_info_vtd vtd;
	struct weir_iommu_info info;

	EXPECT_OK(weir_device_iommu_info(device, &info, sizeof(info)));
	memcpy(&vtd, info.data, sizeof(vtd));
	return info.kind != WEIR_IOMMU_VTD || (vtd.cap_reg >> 56 & 1);
}

/* How many tables it takes to map a GiB in a space whose largest pages are @largest_page bits; devices reach its end. */
static uint64_t tables_of_a_gib(struct t *t, uint32_t largest_page, bool *ret_has)
{
	struct weir_nested_space_opts opts =
		WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_HARDWARE, .largest_page = largest_page);
	struct weir_ioas *ioas = new_space(t, &opts);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	unsigned char *memory = new_gib(t);
	uint64_t before = nested_info(ioas).table_pages;
	struct weir_map *map = new_map(t, ioas, memory, GIB, BELOW(EDU0_BITS));
	uint64_t tables = nested_info(ioas).table_pages - before;

	record_no_calls(t);
	*ret_has = has_pages_of_1_gib(device_of(t, edu));
	memset(memory + GIB - 64, 0x5a, 64);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(map) + GIB - 64, memory + GIB - 64, 64));
	EXPECT_OK(weir_map_close(map));
	return tables;
}

static void needs_cheap_memory(void)
{
	if (!os_sim())
		SKIP(SIMULATED, "a GiB is much to pin");
}

CONFORMANCE(nested_space, pages_of_1_gib_are_used_where_the_iommu_has_them,
	    NEEDS(DMA_DEVICE, NEST, LOCKED_MEMORY))
{
	uint64_t tables;
	bool has;

	needs_cheap_memory();
	tables = tables_of_a_gib(t, 0, &has);
	EXPECT_EQ(tables, has ? 0 : 1);
}

CONFORMANCE(nested_space, no_page_is_larger_than_was_asked_for, NEEDS(EDU1, NEST, LOCKED_MEMORY))
{
	struct weir_nested_space_opts opts =
		WEIR_OPTS(weir_nested_space_opts, .mode = WEIR_NESTED_HARDWARE, .largest_page = 30);
	struct weir_device *device;
	bool has;

	needs_cheap_memory();
	EXPECT_EQ(tables_of_a_gib(t, 21, &has), 1);
	if (has)
		return;
	EXPECT_ERR(-EOPNOTSUPP, weir_device_open(new_space(t, &opts), address_of(t, "EDU1"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), "largest_page");
}
