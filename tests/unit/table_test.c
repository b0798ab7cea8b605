// SPDX-License-Identifier: MIT
/* The table of mappings, where the allocator of IOVAs and the kernel's word meet. */
#include <errno.h>
#include <stdlib.h>

#include "ioas/ioas.h"
#include "unit/yes_host.h"

enum { PAGE = 4096, MANY = 1000 };

static const uint64_t window = 0x200000000;

static struct weir_map *map_at(struct weir_ioas *ioas, void *memory, size_t len, uint64_t iova)
{
	struct weir_map *map;

	ASSERT_OK(weir_ioas_map(ioas, memory, len,
				&WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = iova), &map));
	return map;
}

/* A row without gaps. */
static void map_row(struct weir_ioas *ioas, void *memory)
{
	for (uint64_t i = 0; i < MANY; i++)
		map_at(ioas, memory, PAGE, window + i * PAGE);
}

static uint64_t num_mappings(struct weir_ioas *ioas)
{
	struct weir_ioas_info info;

	ASSERT_OK(weir_ioas_info(ioas, &info, sizeof(info)));
	EXPECT_EQ(info.num_mappings * PAGE, info.mapped_bytes);
	return info.num_mappings;
}

UNIT(table, finds_mappings_in_a_long_row)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_ioas *ioas = new_ioas(t, new_host(t, yes, WEIR_BACKEND_IOMMUFD));
	void *memory = new_memory(t, PAGE, PAGE);

	map_row(ioas, memory);
	EXPECT_OK(weir_ioas_unmap(ioas, window + 10 * PAGE, PAGE));
	for (uint64_t i = MANY - 1; i > 500; i--)
		EXPECT_OK(weir_ioas_unmap(ioas, window + i * PAGE, PAGE));
	EXPECT_EQ(500, num_mappings(ioas));
	/* New ones are found as well; what is not the beginning of one is not. */
	for (uint64_t i = 501; i < MANY; i++)
		map_at(ioas, memory, PAGE, window + i * PAGE);
	EXPECT_ERR(-EINVAL, weir_ioas_unmap(ioas, window + 700 * PAGE + 1, PAGE));
	EXPECT_OK(weir_ioas_unmap(ioas, window + 700 * PAGE, 2 * PAGE));
	EXPECT_ERR(-ENOENT, weir_ioas_unmap(ioas, window + 700 * PAGE, 2 * PAGE));
	EXPECT_OK(weir_ioas_unmap(ioas, 0, UINT64_MAX));
	EXPECT_EQ(0, num_mappings(ioas));
}

/* The kernel fails to unmap: the mapping ends, its addresses are gone, and nothing that comes later trips over them. */
UNIT(table, lost_ranges_are_never_used_again)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_ioas *ioas = new_ioas(t, new_host(t, yes, WEIR_BACKEND_IOMMUFD));
	struct weir_device *device = new_device(t, ioas, YES_ADDRESS_0);
	void *memory = new_memory(t, PAGE, PAGE);
	struct weir_map *maps[3], *map;
	struct weir_ioas_info info;

	(void)device;
	for (uint64_t i = 0; i < 3; i++)
		maps[i] = map_at(ioas, memory, PAGE, window + i * PAGE);
	yes_kernel_fail(yes, 1, -EIO);
	EXPECT_ERR(-EIO, weir_map_close(maps[1]));
	ASSERT_OK(weir_ioas_info(ioas, &info, sizeof(info)));
	EXPECT_EQ(2, info.num_mappings);
	EXPECT_EQ(PAGE, info.lost_bytes);
	EXPECT_ERR(-ENOENT, weir_ioas_unmap(ioas, window + PAGE, PAGE));
	EXPECT_ERR(-EEXIST,
		   weir_ioas_map(ioas, memory, PAGE,
				 &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = window + PAGE),
				 &map));
	yes_kernel_fail(yes, 1, -EIO);
	EXPECT_ERR(-EIO, weir_ioas_unmap(ioas, window, 3 * PAGE));
	ASSERT_OK(weir_ioas_info(ioas, &info, sizeof(info)));
	EXPECT_EQ(0, info.num_mappings);
	EXPECT_EQ(3 * PAGE, info.lost_bytes);
	/* They are no mappings: they are above what a narrow device reaches, and it may come. */
	ASSERT_OK(weir_device_open(ioas, YES_ADDRESS_1, &WEIR_OPTS(weir_device_opts, .address_bits = 32),
				   &device));
	EXPECT_OK(weir_device_close(device));
}

UNIT(table, what_is_chosen_follows_the_devices)
{
	struct yes_kernel *yes = new_yes_kernel(t);
	struct weir_ioas *ioas = new_ioas(t, new_host(t, yes, WEIR_BACKEND_TYPE1));
	void *memory = new_memory(t, PAGE, PAGE);
	struct weir_map *early, *map, *fixed;
	struct weir_device *device;

	ASSERT_OK(weir_ioas_map(ioas, memory, PAGE, NULL, &early));
	EXPECT_EQ(0x100000000, weir_map_iova(early));
	ASSERT_OK(weir_device_open(ioas, YES_ADDRESS_0, NULL, &device));
	/* Just below the interrupt window, and in a hole that reaches across the top of the cautious low range. */
	fixed = map_at(ioas, memory, PAGE, 0xfedff000);
	EXPECT_ERR(-ERANGE,
		   weir_ioas_map(ioas, memory, PAGE,
				 &WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED, .iova = 0xfee00000),
				 &map));
	ASSERT_OK(weir_ioas_map(ioas, memory, PAGE, &WEIR_OPTS(weir_map_opts, .address_bits = 20), &map));
	EXPECT_EQ(PAGE, weir_map_iova(map));
	EXPECT_OK(weir_map_close(map));
	EXPECT_OK(weir_map_close(fixed));
	EXPECT_OK(weir_device_close(device));
	EXPECT_ERR(-ENOSPC,
		   weir_ioas_map(ioas, memory, PAGE, &WEIR_OPTS(weir_map_opts, .address_bits = 20), &map));
	map_at(ioas, memory, PAGE, 0xfee00000);
	EXPECT_OK(weir_map_close(early));
}
