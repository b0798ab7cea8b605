// SPDX-License-Identifier: MIT
/*
 * Devices joining and leaving a space that has mappings: the table is put in force with the first device, and outlives the last.
 * Other hosts' sharing and moving of spaces is in ioas_devices_test.c.
 */
#include "conformance/dma.h"
#include "conformance/space.h"

#include <errno.h>
#include <sys/mman.h>

CONFORMANCE(ioas_replay, mappings_made_before_the_device_are_in_force_for_it, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 3);
	uint64_t chosen = weir_map_iova(new_map(t, ioas, memory, PAGE, BELOW(EDU0_BITS)));
	struct edu *edu;

	new_map(t, ioas, memory + PAGE, 2 * PAGE, AT(0x7000));
	edu = new_edu(t, ioas, "EDU0", 0);
	EXPECT_TRUE(dma_reaches(t, edu, chosen, memory, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, 0x8000, memory + 2 * PAGE, PAGE));
}

CONFORMANCE(ioas_replay, chosen_before_the_device_is_usable_with_it, NEEDS(DMA_DEVICE, LOCKED_MEMORY))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_memory(t, 2 * MIB, 0);
	static const uint32_t widths[] = { 24, 27, 32, 36, 64 };
	uint64_t iovas[5];

	for (size_t i = 0; i < 5; i++)
		iovas[i] = weir_map_iova(new_map(t, ioas, memory, 2 * MIB, BELOW(widths[i])));
	new_device(t, ioas, "EDU0", 0);
	for (size_t i = 0; i < 5; i++)
		EXPECT_TRUE(within_ranges(t, ioas, iovas[i], 2 * MIB));
	EXPECT_EQ(info_of(ioas).num_mappings, 5);
}

/* Leaves the space with the mappings it had, and no device. */
static void visit(struct t *t, struct weir_ioas *ioas)
{
	struct weir_device *device;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	ASSERT_EQ(info_of(ioas).num_devices, 1);
	ASSERT_OK(weir_device_close(device));
	ASSERT_EQ(info_of(ioas).num_devices, 0);
}

CONFORMANCE(ioas_replay, mappings_outlive_the_last_device_unpinned, NEEDS(DMA_DEVICE))
{
	uint64_t pinned = pinned_bytes();
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 5);
	struct weir_device *device;

	new_map(t, ioas, memory, 4 * PAGE, AT(MIB));
	for (int i = 0; i < 3; i++) {
		ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
		EXPECT_EQ(pinned_bytes(), pinned + 4 * PAGE);
		ASSERT_OK(weir_device_close(device));
		EXPECT_EQ(pinned_bytes(), pinned);
		EXPECT_EQ(info_of(ioas).num_mappings, 1);
	}
	/* And can be taken back without one. */
	EXPECT_OK(weir_ioas_unmap(ioas, MIB, 4 * PAGE));
	EXPECT_EQ(info_of(ioas).num_mappings, 0);
}

CONFORMANCE(ioas_replay, a_device_that_comes_back_finds_the_mappings_in_force, NEEDS(DMA_DEVICE, FAULT_COUNT))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 3);
	struct weir_device *device;
	struct weir_map *gone;
	struct edu *edu;

	new_map(t, ioas, memory, PAGE, AT(MIB));
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	new_map(t, ioas, memory + PAGE, PAGE, AT(MIB + PAGE));
	gone = new_map(t, ioas, memory + 2 * PAGE, PAGE, AT(MIB + 2 * PAGE));
	ASSERT_OK(weir_device_close(device));
	ASSERT_OK(weir_map_close(gone));

	edu = new_edu(t, ioas, "EDU0", 0);
	EXPECT_TRUE(dma_reads(t, edu, MIB, memory, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu, MIB + PAGE, memory + PAGE, PAGE));
	EXPECT_TRUE(dma_write_blocked(t, edu, MIB + 2 * PAGE, memory + 2 * PAGE, PAGE));
}

CONFORMANCE(ioas_replay, memory_may_be_swapped_for_other_memory_between_devices, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *page = new_pages(t, 1);
	struct edu *edu;

	new_map(t, ioas, page, PAGE, AT(MIB));
	visit(t, ioas);
	ASSERT_TRUE(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == page);
	edu = new_edu(t, ioas, "EDU0", 0);
	EXPECT_TRUE(dma_reaches(t, edu, MIB, page, PAGE));
}

/* What keeps a device out ----------------------------------------------------------------------------------------- */

/* Opening @name fails and says so, changing nothing; and works once @culprit is closed. */
static void expect_kept_out(struct t *t, struct weir_ioas *ioas, const char *name, uint32_t address_bits,
			    struct weir_map *culprit, int error, const char *const *texts)
{
	struct weir_device_opts opts = WEIR_OPTS(weir_device_opts, .address_bits = address_bits);
	struct weir_ioas_info before = info_of(ioas);
	uint64_t pinned = pinned_bytes();
	struct weir_device *device = NULL;

	for (int i = 0; i < 2; i++) {
		EXPECT_ERR(error, weir_device_open(ioas, address_of(t, name), &opts, &device));
		for (const char *const *text = texts; *text; text++)
			EXPECT_CONTAINS(weir_error(), *text);
		EXPECT_TRUE(device == NULL);
		EXPECT_TRUE(same_info(info_of(ioas), before));
		EXPECT_EQ(pinned_bytes(), pinned);
	}
	ASSERT_OK(weir_map_close(culprit));
	new_device(t, ioas, name, address_bits);
	EXPECT_EQ(info_of(ioas).num_mappings, before.num_mappings - 1);
}

CONFORMANCE(ioas_replay, freed_memory_keeps_the_device_out_until_its_mapping_is_closed, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 6);
	struct weir_map *culprit;

	new_map(t, ioas, memory, 2 * PAGE, AT(MIB));
	culprit = new_map(t, ioas, memory + 2 * PAGE, 3 * PAGE, AT(2 * MIB));
	new_map(t, ioas, memory, PAGE, AT(3 * MIB));
	take_away(t, memory + 3 * PAGE, PAGE);
	expect_kept_out(t, ioas, "EDU0", 0, culprit, -EFAULT,
			(const char *[]){ "the mapping at IOVA 0x200000 cannot be put in force",
					  range_text((uintptr_t)memory + 3 * PAGE, PAGE),
					  "nothing is mapped there", NULL });
	EXPECT_EQ(pinned_bytes(), 3 * PAGE);
}

CONFORMANCE(ioas_replay, memory_made_read_only_keeps_the_device_out, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);
	struct weir_map *culprit = new_map(t, ioas, memory, 2 * PAGE, AT(MIB));

	visit(t, ioas);
	ASSERT_EQ(mprotect(memory + PAGE, PAGE, PROT_READ), 0);
	expect_kept_out(t, ioas, "EDU0", 0, culprit, -EFAULT,
			(const char *[]){ "the mapping at IOVA 0x100000 ", "it cannot be written", NULL });
}

CONFORMANCE(ioas_replay, a_mapping_in_the_interrupt_window_keeps_the_device_out,
	    NEEDS(DMA_DEVICE, X86_WINDOW))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);
	struct weir_map *culprit;

	new_map(t, ioas, memory, PAGE, AT(MIB));
	culprit = new_map(t, ioas, memory, 2 * PAGE, AT(0xfedff000));
	expect_kept_out(t, ioas, "EDU0", 0, culprit, -EADDRINUSE,
			(const char *[]){ "the mapping at IOVA 0xfedff000..0xfee00fff",
					  "reserved window 0xfee00000..0xfeefffff", NULL });
}

CONFORMANCE(ioas_replay, a_mapping_beyond_the_iommu_keeps_the_device_out, NEEDS(DMA_DEVICE, X86_WINDOW))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);
	struct weir_map *culprit;

	new_map(t, ioas, memory, PAGE, AT(MIB));
	culprit = new_map(t, ioas, memory, PAGE, AT((uint64_t)1 << 60));
	expect_kept_out(t, ioas, "EDU0", 0, culprit, -ERANGE,
			(const char *[]){ "the mapping at IOVA 0x1000000000000000..0x1000000000000fff",
					  "outside what the device's IOMMU translates", NULL });
}

CONFORMANCE(ioas_replay, a_mapping_above_its_address_width_keeps_the_device_out, NEEDS(EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);
	struct weir_map *culprit;

	new_map(t, ioas, memory, PAGE, AT(((uint64_t)1 << 28) - PAGE));
	culprit = new_map(t, ioas, memory, 2 * PAGE, AT(((uint64_t)1 << 28)));
	expect_kept_out(t, ioas, "EDU1", 28, culprit, -ERANGE,
			(const char *[]){ "the mapping at IOVA 0x10000000..0x10001fff is above the 28 "
					  "address bits",
					  address_of(t, "EDU1"), NULL });
}
