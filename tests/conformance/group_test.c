// SPDX-License-Identifier: MIT
/* Devices that the IOMMU cannot tell apart: one group, one address space. */
#include "conformance/dma.h"
#include "conformance/machine.h"

#include <errno.h>

enum { LOW_BITS = 28 };

struct page {
	unsigned char *memory;
	struct weir_map *map;
};

/* A mapped page that both edus can address. */
static struct page new_page(struct t *t, struct weir_ioas *ioas, unsigned char fill)
{
	struct weir_map_opts low = WEIR_OPTS(weir_map_opts, .address_bits = LOW_BITS);
	struct page page = { .memory = new_memory(t, 4096, fill) };

	page.map = new_map(t, ioas, page.memory, 4096, &low);
	return page;
}

CONFORMANCE(group, both_members_reach_the_space, NEEDS(EDU_PAIR))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edus[] = { new_edu(t, ioas, "EDU0", 0), new_edu(t, ioas, "EDU1", 0) };
	struct page page = new_page(t, ioas, 0x5a);
	struct weir_device_info info[2];

	for (int i = 0; i < 2; i++) {
		t_note(t, "EDU%d", i);
		ASSERT_OK(weir_device_info(device_of(t, edus[i]), &info[i], sizeof(info[i])));
		dma_writes(t, edus[i], weir_map_iova(page.map), (unsigned char)(0xa0 + i), 4096);
		EXPECT_TRUE(all_bytes(page.memory, (unsigned char)(0xa0 + i), 4096));
	}
	EXPECT_EQ(info[0].iommu_group, info[1].iommu_group);
}

CONFORMANCE(group, another_space_is_busy_for_the_second_member, NEEDS(EDU_PAIR))
{
	struct weir_ioas *first = new_ioas(t), *second = new_ioas(t);
	struct weir_device *sibling = NULL;

	new_device(t, first, "EDU0", 0);
	EXPECT_ERR(-EBUSY, weir_device_open(second, address_of(t, "EDU1"), NULL, &sibling));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU0"));
	EXPECT_TRUE(sibling == NULL);
	/* The right space still takes it, and the other one takes neither harm. */
	new_device(t, first, "EDU1", 0);
	new_device(t, second, "NVME0", 0);
}

CONFORMANCE(group, another_host_is_busy_for_the_second_member, NEEDS(EDU_PAIR))
{
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .backend = fixture_of(t)->backend, .sys = sys_of(t));
	struct weir_device *sibling = NULL;
	struct weir_host *host;
	struct weir_ioas *ioas;

	new_device(t, new_ioas(t), "EDU0", 0);
	ASSERT_OK(weir_host_open(&opts, &host));
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	EXPECT_ERR(-EBUSY, weir_device_open(ioas, address_of(t, "EDU1"), NULL, &sibling));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU1"));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_host_close(host));
}

CONFORMANCE(group, closing_one_member_leaves_the_other_working, NEEDS(EDU_PAIR))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *edu = new_edu(t, ioas, "EDU0", 0);
	struct page page = new_page(t, ioas, 0x5a), later;
	struct weir_device *sibling;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU1"), NULL, &sibling));
	ASSERT_OK(weir_device_close(sibling));
	later = new_page(t, ioas, 0x33);
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(page.map), page.memory, 4096));
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(later.map), later.memory, 4096));
}

CONFORMANCE(group, first_opened_may_be_closed_first, NEEDS(EDU_PAIR))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *first;
	struct page page;
	struct edu *edu;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &first));
	edu = new_edu(t, ioas, "EDU1", 0);
	page = new_page(t, ioas, 0x5a);
	ASSERT_OK(weir_device_close(first));
	EXPECT_TRUE(dma_reads(t, edu, weir_map_iova(page.map), page.memory, 4096));
}

CONFORMANCE(group, moving_one_member_moves_both, NEEDS(EDU_PAIR, MOVE))
{
	struct weir_ioas *from = new_ioas(t), *to = new_ioas(t);
	struct weir_device *devices[] = { new_device(t, from, "EDU0", 32), new_device(t, from, "EDU1", 28) };
	struct page page = new_page(t, to, 0x5a);
	struct weir_ioas_info info;

	ASSERT_OK(weir_device_attach(devices[0], to));
	EXPECT_EQ(weir_device_ioas(devices[0]), to);
	EXPECT_EQ(weir_device_ioas(devices[1]), to);
	ASSERT_OK(weir_ioas_info(from, &info, sizeof(info)));
	EXPECT_EQ(info.num_devices, 0);
	EXPECT_EQ(info.address_bits, 64);
	ASSERT_OK(weir_ioas_info(to, &info, sizeof(info)));
	EXPECT_EQ(info.num_devices, 2);
	EXPECT_EQ(info.address_bits, 28);
	/* The second one back, with the first. */
	ASSERT_OK(weir_device_attach(devices[1], from));
	EXPECT_EQ(weir_device_ioas(devices[0]), from);
	EXPECT_OK(weir_map_close(page.map));
}

/* Have the device copy what is at @from to @to, both in the space where it is. */
static void copy_through(struct edu *edu, uint64_t from, uint64_t to)
{
	ASSERT_EQ(edu_dma(edu, EDU_FROM_MEMORY, from, 0, 4096, EDU_BY_POLLING, 5000), 0);
	ASSERT_EQ(edu_dma(edu, EDU_TO_MEMORY, to, 0, 4096, EDU_BY_POLLING, 5000), 0);
}

CONFORMANCE(group, moved_members_reach_the_new_space, NEEDS(EDU_PAIR, MOVE))
{
	struct weir_ioas *from = new_ioas(t), *to = new_ioas(t);
	struct edu *edus[] = { new_edu(t, from, "EDU0", 0), new_edu(t, from, "EDU1", 0) };
	struct page source = new_page(t, to, 0x5a), target = new_page(t, to, 0);
	unsigned char *elsewhere = new_memory(t, 4096, 0x11);
	struct weir_map_opts opts = WEIR_OPTS(weir_map_opts, .flags = WEIR_MAP_FIXED);

	/* The old space has other data at the same address, if that is free there. */
	opts.iova = weir_map_iova(source.map);
	ASSERT_OK(weir_device_attach(device_of(t, edus[1]), to));
	new_map(t, from, elsewhere, 4096, &opts);
	for (int i = 0; i < 2; i++) {
		t_note(t, "EDU%d", i);
		source.memory[0] = (unsigned char)i;
		copy_through(edus[i], weir_map_iova(source.map), weir_map_iova(target.map));
		EXPECT_MEMEQ(target.memory, source.memory, 4096);
	}
	ASSERT_OK(weir_device_attach(device_of(t, edus[0]), from));
}

CONFORMANCE(group, member_without_a_driver_is_no_hindrance, NEEDS(EDU_PAIR, ROOT))
{
	struct weir_ioas *ioas = new_ioas(t);

	bind_until_end(t, "EDU1", NULL);
	new_device(t, ioas, "EDU0", 0);
}

CONFORMANCE(group, member_with_a_kernel_driver_is_named, NEEDS(NVME_PAIR, NVME_DRIVER, ROOT))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = NULL;

	bind_until_end(t, "NVME1", "nvme");
	EXPECT_ERR(-EBUSY, weir_device_open(ioas, address_of(t, "NVME0"), NULL, &device));
	EXPECT_CONTAINS(weir_error(), address_of(t, "NVME1"));
	EXPECT_CONTAINS(weir_error(), "bound to nvme");
	EXPECT_TRUE(device == NULL);
}
