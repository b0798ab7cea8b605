// SPDX-License-Identifier: MIT
/* Several devices and several spaces: who shares what, and devices that move from one space to another. */
#include "conformance/dma.h"
#include "conformance/space.h"

#include <errno.h>
#include <string.h>

CONFORMANCE(ioas_devices, devices_of_one_space_share_its_mappings, NEEDS(DMA_DEVICE, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 2);
	struct edu *edu0, *edu1;

	new_map(t, ioas, memory, PAGE, AT(MIB));
	edu0 = new_edu(t, ioas, "EDU0", 0);
	edu1 = new_edu(t, ioas, "EDU1", 0);
	EXPECT_EQ(info_of(ioas).num_devices, 2);
	new_map(t, ioas, memory + PAGE, PAGE, AT(MIB + PAGE));
	EXPECT_TRUE(dma_reads(t, edu1, MIB, memory, PAGE));
	EXPECT_TRUE(dma_reads(t, edu0, MIB + PAGE, memory + PAGE, PAGE));
	EXPECT_TRUE(dma_reaches(t, edu1, MIB + PAGE, memory + PAGE, PAGE));
}

CONFORMANCE(ioas_devices, one_device_leaves_and_the_other_goes_on, NEEDS(DMA_DEVICE, EDU1))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 1);
	struct weir_device *leaving;
	struct edu *edu;
	uint64_t pinned;

	new_map(t, ioas, memory, PAGE, AT(MIB));
	edu = new_edu(t, ioas, "EDU0", 0);
	pinned = pinned_bytes();
	for (int i = 0; i < 2; i++) {
		ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU1"), NULL, &leaving));
		EXPECT_EQ(pinned_bytes(), pinned);
		ASSERT_OK(weir_device_close(leaving));
		EXPECT_EQ(info_of(ioas).num_devices, 1);
	}
	EXPECT_TRUE(dma_reaches(t, edu, MIB, memory, PAGE));
}

CONFORMANCE(ioas_devices, the_first_device_leaves_and_the_second_goes_on, NEEDS(DMA_DEVICE, NVME0))
{
	struct weir_ioas *ioas = new_ioas(t);
	unsigned char *memory = new_pages(t, 1);
	struct weir_device *first;
	struct edu *edu;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "NVME0"), NULL, &first));
	new_map(t, ioas, memory, PAGE, AT(MIB));
	edu = new_edu(t, ioas, "EDU0", 0);
	ASSERT_OK(weir_device_close(first));
	EXPECT_TRUE(dma_reaches(t, edu, MIB, memory, PAGE));
}

CONFORMANCE(ioas_devices, a_mapping_is_out_of_reach_of_other_spaces, NEEDS(DMA_DEVICE, NVME0, FAULT_COUNT))
{
	struct weir_ioas *mine = new_ioas(t), *other = new_ioas(t);
	struct edu *edu = new_edu(t, mine, "EDU0", 0);
	unsigned char *memory = new_pages(t, 3);

	new_device(t, other, "NVME0", 0);
	new_map(t, mine, memory, PAGE, AT(MIB));
	new_map(t, other, memory + PAGE, PAGE, AT(MIB));
	new_map(t, other, memory + 2 * PAGE, PAGE, AT(MIB + PAGE));
	memset(memory + PAGE, 0x11, PAGE);
	EXPECT_TRUE(dma_reaches(t, edu, MIB, memory, PAGE));
	EXPECT_TRUE(all_bytes(memory + PAGE, 0x11, PAGE));
	EXPECT_TRUE(dma_write_blocked(t, edu, MIB + PAGE, memory + 2 * PAGE, PAGE));
	EXPECT_TRUE(dma_read_blocked(t, edu, MIB + PAGE, memory + 2 * PAGE, PAGE));
}

CONFORMANCE(ioas_devices, a_host_has_many_spaces_that_know_nothing_of_each_other, NEEDS(DMA_DEVICE))
{
	enum { NUM = 16 };
	struct weir_ioas *spaces[NUM];
	unsigned char *page = new_pages(t, 1);

	for (int i = 0; i < NUM; i++) {
		spaces[i] = new_ioas(t);
		for (int j = 0; j <= i; j++)
			new_map(t, spaces[i], page, PAGE, AT(MIB + (uint64_t)j * PAGE));
	}
	for (int i = 0; i < NUM; i++)
		EXPECT_EQ(info_of(spaces[i]).num_mappings, i + 1);
	/* One device visits them all. */
	for (int i = 0; i < NUM; i += 5) {
		struct weir_device *device;

		ASSERT_OK(weir_device_open(spaces[i], address_of(t, "EDU0"), NULL, &device));
		EXPECT_TRUE(weir_device_ioas(device) == spaces[i]);
		ASSERT_OK(weir_device_close(device));
	}
}

/* Moving ---------------------------------------------------------------------------------------------------------- */

CONFORMANCE(ioas_devices, dma_follows_a_device_that_moves, NEEDS(DMA_DEVICE, MOVE, FAULT_COUNT))
{
	struct weir_ioas *from = new_ioas(t), *to = new_ioas(t);
	struct edu *edu = new_edu(t, from, "EDU0", 0);
	unsigned char *old = new_pages(t, 2), *new = new_pages(t, 1);
	struct weir_device *device = device_of(t, edu);

	new_map(t, from, old, PAGE, AT(MIB));
	new_map(t, from, old + PAGE, PAGE, AT(MIB + PAGE));
	new_map(t, to, new, PAGE, AT(MIB));
	EXPECT_TRUE(dma_reaches(t, edu, MIB, old, PAGE));

	ASSERT_OK(weir_device_attach(device, to));
	EXPECT_TRUE(weir_device_ioas(device) == to);
	EXPECT_EQ(info_of(from).num_devices, 0);
	EXPECT_EQ(info_of(to).num_devices, 1);
	EXPECT_EQ(pinned_bytes(), PAGE);
	/* The helper's own window on the device's buffer is in the old space: what needs none is a write of what it holds. */
	memset(new, 0, PAGE);
	memset(old + PAGE, 0x22, PAGE);
	faults_begin(t);
	dma_writes(t, edu, MIB, old[0], PAGE);
	EXPECT_TRUE(all_bytes(new, old[0], PAGE));
	dma_writes(t, edu, MIB + PAGE, old[0], PAGE);
	EXPECT_TRUE(all_bytes(old + PAGE, 0x22, PAGE));
	EXPECT_TRUE(faults_reported(t));

	ASSERT_OK(weir_device_attach(device, from));
	EXPECT_TRUE(dma_reaches(t, edu, MIB + PAGE, old + PAGE, PAGE));
}

CONFORMANCE(ioas_devices, attaching_a_device_where_it_is_does_nothing, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "EDU0", 0);

	sys_log_clear(&fixture_of(t)->log);
	EXPECT_OK(weir_device_attach(device, ioas));
	EXPECT_EQ(sys_log_count(&fixture_of(t)->log), 0);
}

CONFORMANCE(ioas_devices, the_capability_to_move_tells_what_attaching_will_say, NEEDS(DMA_DEVICE))
{
	struct weir_ioas *from = new_ioas(t), *to = new_ioas(t);
	struct weir_device *device = new_device(t, from, "EDU0", 0);
	int can = weir_caps_check(device, WEIR_CAP_MOVE);

	if (can)
		EXPECT_CONTAINS(weir_error(), "a group cannot leave while its devices are open");
	EXPECT_TRUE(can == 0 || can == -EOPNOTSUPP);
	EXPECT_EQ(weir_device_attach(device, to), can);
	if (can)
		EXPECT_CONTAINS(weir_error(), "a group cannot leave while its devices are open");
	EXPECT_TRUE(weir_device_ioas(device) == (can ? from : to));
	EXPECT_EQ(info_of(from).num_devices, can ? 1 : 0);
	EXPECT_EQ(info_of(to).num_devices, can ? 0 : 1);
}

static void close_second_host(void *host)
{
	EXPECT_OK(weir_host_close(host));
}

static void close_space(void *ioas)
{
	EXPECT_OK(weir_ioas_close(ioas));
}

CONFORMANCE(ioas_devices, a_device_does_not_move_to_another_host, NEEDS(DMA_DEVICE))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_host *host;
	struct weir_ioas *ioas;

	ASSERT_OK(weir_host_open(
		&WEIR_OPTS(weir_host_opts, .backend = fixture_of(t)->backend, .sys = sys_of(t)), &host));
	t_defer(t, close_second_host, host);
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	t_defer(t, close_space, ioas);
	EXPECT_ERR(-EXDEV, weir_device_attach(device, ioas));
	EXPECT_CONTAINS(weir_error(), "belongs to another host");
}

/* What keeps a device out of a space where it would be the first. */
static void in_the_window(struct t *t, struct weir_ioas *ioas, unsigned char *memory)
{
	new_map(t, ioas, memory, PAGE, AT(0xfee00000));
}

static void above_its_width(struct t *t, struct weir_ioas *ioas, unsigned char *memory)
{
	new_map(t, ioas, memory, PAGE, AT(4 * GIB));
}

static void freed(struct t *t, struct weir_ioas *ioas, unsigned char *memory)
{
	new_map(t, ioas, memory, PAGE, AT(2 * MIB));
	take_away(t, memory, PAGE);
}

CONFORMANCE(ioas_devices, a_move_that_fails_leaves_the_device_where_it_was,
	    NEEDS(DMA_DEVICE, MOVE, X86_WINDOW))
{
	static const struct {
		const char *what;
		void (*spoil)(struct t *t, struct weir_ioas *ioas, unsigned char *memory);
		int error;
		const char *text;
	} rows[] = {
		{ "in the interrupt window", in_the_window, -EADDRINUSE, "0xfee00000..0xfeefffff" },
		{ "above the device's width", above_its_width, -ERANGE, "above the 32 address bits" },
		{ "freed memory", freed, -EFAULT, "the mapping at IOVA 0x200000 cannot be put in force" },
	};
	struct weir_ioas *from = new_ioas(t);
	struct edu *edu = new_edu(t, from, "EDU0", 0);
	unsigned char *page = new_pages(t, 1);
	uint64_t pinned;

	new_map(t, from, page, PAGE, AT(MIB));
	pinned = pinned_bytes();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_ioas *to = new_ioas(t);
		struct weir_ioas_info before;

		t_note(t, "%s", rows[i].what);
		new_map(t, to, page, PAGE, AT(MIB));
		rows[i].spoil(t, to, new_pages(t, 1));
		before = info_of(to);
		EXPECT_ERR(rows[i].error, weir_device_attach(device_of(t, edu), to));
		EXPECT_CONTAINS(weir_error(), rows[i].text);
		EXPECT_TRUE(same_info(info_of(to), before));
		EXPECT_EQ(info_of(from).num_devices, 1);
		EXPECT_EQ(pinned_bytes(), pinned);
		EXPECT_TRUE(weir_device_ioas(device_of(t, edu)) == from);
	}
	EXPECT_TRUE(dma_reaches(t, edu, MIB, page, PAGE));
}

CONFORMANCE(ioas_devices, a_group_moves_as_a_whole, NEEDS(EDU_PAIR, MOVE))
{
	struct weir_ioas *from = new_ioas(t), *to = new_ioas(t);
	struct edu *edu0 = new_edu(t, from, "EDU0", 0), *edu1 = new_edu(t, from, "EDU1", 0);
	unsigned char *old = new_pages(t, 1), *new = new_pages(t, 1);

	new_map(t, from, old, PAGE, AT(MIB));
	new_map(t, to, new, PAGE, AT(MIB));
	EXPECT_TRUE(dma_reaches(t, edu1, MIB, old, PAGE));
	memset(new, 0, PAGE);
	ASSERT_OK(weir_device_attach(device_of(t, edu0), to));
	EXPECT_TRUE(weir_device_ioas(device_of(t, edu1)) == to);
	EXPECT_EQ(info_of(to).num_devices, 2);
	EXPECT_EQ(info_of(from).num_devices, 0);
	EXPECT_EQ(info_of(to).address_bits, EDU1_BITS);
	EXPECT_EQ(info_of(from).address_bits, 64);
	dma_writes(t, edu1, MIB, old[0], PAGE);
	EXPECT_TRUE(all_bytes(new, old[0], PAGE));
}
