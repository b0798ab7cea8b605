// SPDX-License-Identifier: MIT
/* Migration: a device's own state goes from one device to another; and the states in between. */
#include "conformance/dma.h"
#include "conformance/space.h"

#include <errno.h>
#include <string.h>

#include <weir/migration.h>

static uint32_t state_of(struct weir_device *device)
{
	struct weir_migration_info info = { 0 };

	EXPECT_OK(weir_migration_info(device, &info, sizeof(info)));
	return info.state;
}

/* Without a stream. */
static void go(struct t *t, struct weir_device *device, uint32_t state)
{
	struct weir_migration *stream = NULL;

	(void)t;
	ASSERT_OK(weir_migration_set(device, state, &stream));
	EXPECT_TRUE(!stream);
	EXPECT_EQ(state_of(device), state);
}

static void close_stream(void *stream)
{
	EXPECT_OK(weir_migration_close(stream));
}

/* With one, closed with the case. */
static struct weir_migration *begin(struct t *t, struct weir_device *device, uint32_t state)
{
	struct weir_migration *stream = NULL;

	ASSERT_OK(weir_migration_set(device, state, &stream));
	ASSERT_TRUE(stream != NULL);
	t_defer(t, close_stream, stream);
	EXPECT_EQ(state_of(device), state);
	return stream;
}

enum { ROOM = 1 << 17 };

static size_t read_all(struct t *t, struct weir_migration *stream, char *bytes)
{
	size_t num = 0;
	int got;

	(void)t;
	while ((got = weir_migration_read(stream, bytes + num, num + 1000 < ROOM ? 1000 : ROOM - num)) > 0)
		num += (size_t)got;
	ASSERT_OK(got);
	return num;
}

/* What the edu's register says. */
static uint32_t factorial_of(struct t *t, struct weir_device *device)
{
	struct weir_region *bar;
	uint32_t value = 0;

	(void)t;
	ASSERT_OK(weir_device_region(device, 0, &bar));
	ASSERT_OK(weir_region_read32(bar, 8, &value));
	return value;
}

CONFORMANCE(migration, a_device_goes_on_in_another_one, NEEDS(MIGRATION, DMA_DEVICE))
{
	static char bytes[ROOM];
	struct weir_ioas *ioas = new_ioas(t);
	struct edu *from = new_edu(t, ioas, "EDU0", 0), *to = new_edu(t, ioas, "EDU1", 0);
	struct weir_device *source = device_of(t, from), *target = device_of(t, to);
	struct weir_migration_info info;
	struct weir_migration *stream;
	uint32_t result;
	size_t num;

	record_no_calls(t);
	ASSERT_OK(weir_migration_info(source, &info, sizeof(info)));
	EXPECT_EQ(info.flags,
		  WEIR_MIGRATION_CAN_STOP_COPY | WEIR_MIGRATION_CAN_P2P | WEIR_MIGRATION_CAN_PRE_COPY);
	EXPECT_EQ(info.state, WEIR_MIGRATION_RUNNING);
	ASSERT_OK(edu_factorial(from, 5, EDU_BY_POLLING, 10000, &result));
	EXPECT_EQ(result, 120);
	stream = begin(t, source, WEIR_MIGRATION_STOP_COPY);
	num = read_all(t, stream, bytes);
	EXPECT_EQ(num, info.stop_bytes);
	go(t, source, WEIR_MIGRATION_STOP);
	stream = begin(t, target, WEIR_MIGRATION_RESUMING);
	ASSERT_OK(weir_migration_write(stream, bytes, num));
	go(t, target, WEIR_MIGRATION_RUNNING);
	EXPECT_EQ(factorial_of(t, target), 120);
	go(t, source, WEIR_MIGRATION_RUNNING);
	ASSERT_OK(edu_factorial(from, 4, EDU_BY_POLLING, 10000, &result));
	EXPECT_EQ(result, 24);
}

CONFORMANCE(migration, what_is_read_before_it_stops_is_the_first_part, NEEDS(MIGRATION, DMA_DEVICE))
{
	static char bytes[ROOM];
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "EDU0", 0);
	struct weir_migration *stream = begin(t, device, WEIR_MIGRATION_PRE_COPY), *more = NULL;
	struct weir_migration_left left;
	size_t first;

	record_no_calls(t);
	ASSERT_OK(weir_migration_left(stream, &left, sizeof(left)));
	EXPECT_TRUE(left.initial_bytes > 0);
	first = read_all(t, stream, bytes);
	EXPECT_EQ(first, left.initial_bytes);
	ASSERT_OK(weir_migration_left(stream, &left, sizeof(left)));
	EXPECT_EQ(left.initial_bytes, 0);
	go(t, device, WEIR_MIGRATION_PRE_COPY_P2P);
	ASSERT_OK(weir_migration_set(device, WEIR_MIGRATION_STOP_COPY, &more));
	EXPECT_TRUE(!more);
	EXPECT_TRUE(read_all(t, stream, bytes) > 0);
	EXPECT_ERR(-EINVAL, weir_migration_left(stream, &left, sizeof(left)));
	EXPECT_ERR(-EINVAL, weir_migration_write(stream, bytes, 1));
	go(t, device, WEIR_MIGRATION_RUNNING);
	EXPECT_TRUE(weir_migration_read(stream, bytes, 1) < 0);
}

CONFORMANCE(migration, every_state_leads_to_every_other_but_for_few, NEEDS(MIGRATION, DMA_DEVICE))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);

	record_no_calls(t);
	for (uint32_t from = WEIR_MIGRATION_STOP; from <= WEIR_MIGRATION_PRE_COPY_P2P; from++)
		for (uint32_t to = WEIR_MIGRATION_STOP; to <= WEIR_MIGRATION_PRE_COPY_P2P; to++) {
			bool refused = from == WEIR_MIGRATION_STOP_COPY && to >= WEIR_MIGRATION_PRE_COPY;
			struct weir_migration *stream = NULL;

			t_note(t, "%s to %s", weir_migration_name(from), weir_migration_name(to));
			ASSERT_OK(weir_migration_set(device, WEIR_MIGRATION_RUNNING, &stream));
			ASSERT_OK(weir_migration_set(device, from, &stream));
			weir_migration_close(stream);
			stream = NULL;
			if (refused)
				EXPECT_ERR(-EINVAL, weir_migration_set(device, to, &stream));
			else
				EXPECT_OK(weir_migration_set(device, to, &stream));
			weir_migration_close(stream);
			EXPECT_EQ(state_of(device), refused ? from : to);
		}
	go(t, device, WEIR_MIGRATION_RUNNING);
}

CONFORMANCE(migration, what_is_not_the_device_it_was_is_an_error_until_a_reset, NEEDS(MIGRATION, NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_migration *stream = begin(t, device, WEIR_MIGRATION_RESUMING), *none = NULL;
	char byte;

	record_no_calls(t);
	EXPECT_ERR(-EINVAL, weir_migration_read(stream, &byte, 1));
	ASSERT_OK(weir_migration_write(stream, "nonsense", 8));
	EXPECT_ERR(-EIO, weir_migration_set(device, WEIR_MIGRATION_RUNNING, &none));
	EXPECT_CONTAINS(weir_error(), "error");
	EXPECT_EQ(state_of(device), WEIR_MIGRATION_ERROR);
	EXPECT_ERR(-EINVAL, weir_migration_set(device, WEIR_MIGRATION_RUNNING, &none));
	EXPECT_CONTAINS(weir_error(), "reset");
}

CONFORMANCE(migration, what_makes_no_sense_is_refused, NEEDS(MIGRATION, DMA_DEVICE))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_migration *stream = NULL;

	record_no_calls(t);
	EXPECT_ERR(-EINVAL, weir_migration_set(device, WEIR_MIGRATION_ERROR, &stream));
	EXPECT_ERR(-EINVAL, weir_migration_set(device, 8, &stream));
	EXPECT_EQ(state_of(device), WEIR_MIGRATION_RUNNING);
	EXPECT_TRUE(!stream);
	go(t, device, WEIR_MIGRATION_RUNNING);
	EXPECT_OK(weir_migration_close(NULL));
	EXPECT_STREQ(weir_migration_name(99), "unknown");
}

CONFORMANCE(migration, a_device_that_does_not_migrate_says_so, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_migration_info info;
	struct weir_migration *stream = NULL;

	EXPECT_ERR(-EOPNOTSUPP, weir_migration_info(device, &info, sizeof(info)));
	EXPECT_ERR(-EOPNOTSUPP, weir_migration_set(device, WEIR_MIGRATION_STOP, &stream));
	EXPECT_CONTAINS(weir_error(), "does not migrate");
	EXPECT_TRUE(!stream);
}
