// SPDX-License-Identifier: MIT
/* Hand-over of nested spaces: tables and what lies in the second stage are the successor's to go on with. */
#include "conformance/handover.h"

#include <errno.h>
#include <string.h>

#include "conformance/os.h"

static struct weir_nested_space_info nested_info(struct weir_ioas *ioas)
{
	struct weir_nested_space_info info = { 0 };

	EXPECT_OK(weir_nested_space_info(ioas, &info, sizeof(info)));
	return info;
}

CONFORMANCE(handover_nested, a_space_is_carried_and_works, NEEDS(EDU0, HANDOVER, NEST, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_nested_predecessor(t);
	struct weir_nested_space_info before = nested_info(predecessor->ioas), after;
	struct weir_ioas *ioas;
	struct weir_host *host;

	EXPECT_OK(weir_handover_check(predecessor->host, NULL, NULL));
	host = give_all(t, predecessor, predecessor->host);
	ASSERT_OK(weir_handover_ioas(host, 0, &ioas));
	EXPECT_ERR(-ENOENT, weir_handover_ioas(host, 1, &ioas));
	after = nested_info(ioas);
	EXPECT_EQ(after.mode, WEIR_NESTED_HARDWARE);
	EXPECT_EQ(after.format, before.format);
	EXPECT_EQ(after.table_pages, before.table_pages);
	EXPECT_EQ(after.num_pieces, before.num_pieces);
	EXPECT_EQ(after.piece_bytes, before.piece_bytes);
	expect_estate(t, host);
}

/* What was closed is deferred, and ends before; its addresses are free for the successor. */
CONFORMANCE(handover_nested, what_is_deferred_ends_before, NEEDS(EDU0, HANDOVER, NEST, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_nested_predecessor(t);
	unsigned char *memory = new_memory(t, 8 * PAGE, 0x11);
	struct weir_map *map;

	for (int i = 0; i < 8; i++) {
		ASSERT_OK(weir_ioas_map(predecessor->ioas, memory + i * PAGE, PAGE, NULL, &map));
		if (i == 7)
			EXPECT_ERR(-ENOTSUP, weir_handover_check(predecessor->host, NULL, NULL));
		EXPECT_OK(weir_map_close(map));
	}
	expect_estate(t, give_all(t, predecessor, predecessor->host));
}

CONFORMANCE(handover_nested, the_third_successor_finds_it_too, NEEDS(EDU0, HANDOVER, NEST, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_nested_predecessor(t);
	struct weir_host *host = predecessor->host;

	for (int i = 0; i < 3; i++)
		host = give_all(t, predecessor, host);
	expect_estate(t, host);
}

CONFORMANCE(handover_nested, who_is_refused_has_all_as_before, NEEDS(EDU0, HANDOVER, NEST, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_nested_predecessor(t);

	begin_successor(t, predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	EXPECT_EQ(end_successor(t)->error, 0);
	expect_unharmed(t, predecessor);
	other_ends(predecessor);
	expect_estate(t, give_all(t, predecessor, predecessor->host));
}

/* It sleeps and wakes for the successor, which opens the device anew. */
CONFORMANCE(handover_nested, a_successor_takes_it_apart, NEEDS(EDU0, HANDOVER, NEST, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_nested_predecessor(t);
	struct weir_host *host = give_all(t, predecessor, predecessor->host);
	struct weir_device *device;
	struct weir_memory *memory;
	struct weir_buffer buffer;
	struct weir_ioas *ioas;

	ASSERT_OK(weir_handover_ioas(host, 0, &ioas));
	ASSERT_OK(weir_handover_device(host, address_of(t, "EDU0"), &device));
	ASSERT_OK(weir_handover_memory(host, 0, &memory));
	EXPECT_OK(weir_device_close(device));
	EXPECT_EQ(nested_info(ioas).mode, WEIR_NESTED_AUTO);
	EXPECT_EQ(nested_info(ioas).num_pieces, 0);
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"),
				   &WEIR_OPTS(weir_device_opts, .address_bits = EDU0_BITS), &device));
	ASSERT_OK(weir_device_set_bus_master(device, true));
	ASSERT_OK(weir_memory_alloc(memory, PAGE, NULL, &buffer));
	EXPECT_TRUE(arrives(device, buffer.iova, buffer.addr));
	EXPECT_OK(weir_device_close(device));
	EXPECT_OK(weir_memory_close(memory));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_host_close(host));
}

/* Without a device it has no tables, and is carried all the same. */
CONFORMANCE(handover_nested, a_space_without_a_device_is_carried, NEEDS(EDU0, HANDOVER, NEST, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_nested_predecessor(t);
	struct weir_nested_space_info info;
	struct weir_ioas *ioas;
	struct weir_host *host;

	EXPECT_OK(weir_device_close(predecessor->device));
	host = give_all(t, predecessor, predecessor->host);
	ASSERT_OK(weir_handover_ioas(host, 0, &ioas));
	info = nested_info(ioas);
	EXPECT_EQ(info.mode, WEIR_NESTED_AUTO);
	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"),
				   &WEIR_OPTS(weir_device_opts, .address_bits = EDU0_BITS),
				   &predecessor->device));
	EXPECT_EQ(nested_info(ioas).mode, WEIR_NESTED_HARDWARE);
	ASSERT_OK(weir_irq_enable(predecessor->device, WEIR_IRQ_MSI, 1, &predecessor->irq));
	ASSERT_OK(weir_device_set_bus_master(predecessor->device, true));
	put_edu_number(predecessor->device, 0x12345678);
	expect_estate(t, host);
}
