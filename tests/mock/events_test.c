// SPDX-License-Identifier: MIT
/* Events of the kernel's mock of a virtual IOMMU, and those that find its queue full. */
#include <errno.h>
#include <poll.h>

#include "mock/mock_host.h"

static void detach(void *device)
{
	EXPECT_OK(weir_domain_detach(device, WEIR_NO_PASID));
}

static void close_events(void *events)
{
	EXPECT_OK(weir_events_close(events));
}

/* A device attached with that number, and a queue. */
static struct weir_events *new_events(struct t *t, struct weir_device *device, uint64_t stream,
				      uint32_t depth)
{
	struct weir_domain *parent = new_parent(t, device, 0),
			   *nested = new_nested(t, parent, device, 1, stream);
	struct weir_events *events;

	ASSERT_OK(weir_domain_attach(nested, device, WEIR_NO_PASID));
	t_defer(t, detach, device);
	ASSERT_OK(weir_events_open(nested, &WEIR_OPTS(weir_events_opts, .depth = depth), &events));
	t_defer(t, close_events, events);
	return events;
}

static bool readable(struct weir_events *events)
{
	struct pollfd fd = { .fd = weir_events_fd(events), .events = POLLIN };

	return poll(&fd, 1, 0) == 1 && fd.revents == POLLIN;
}

UNIT(mock_events, an_event_names_the_device_by_its_number)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_events *events = new_events(t, device, 0x1234, 0);
	struct weir_iommu_info info;
	struct weir_event found[2];
	size_t num = 2;

	EXPECT_FALSE(readable(events));
	EXPECT_OK(weir_events_read(events, found, &num));
	EXPECT_EQ(num, 0);
	ASSERT_OK(mock_raise_event(t, device));
	EXPECT_TRUE(readable(events));
	num = 2;
	EXPECT_OK(weir_events_read(events, found, &num));
	ASSERT_EQ(num, 1);
	EXPECT_EQ(found[0].kind, WEIR_EVENT_OTHER);
	EXPECT_EQ(found[0].stream, 0x1234);
	EXPECT_EQ(found[0].data_len, 4);
	ASSERT_OK(weir_device_iommu_info(device, &info, sizeof(info)));
	EXPECT_EQ(info.stream, 0x1234);
	EXPECT_FALSE(readable(events));
}

UNIT(mock_events, those_that_find_no_room_are_counted)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_events *events = new_events(t, device, 7, 2);
	struct weir_event found[8];
	size_t num = 8;

	for (uint32_t i = 0; i < 6; i++)
		ASSERT_OK(mock_raise_event(t, device));
	EXPECT_OK(weir_events_read(events, found, &num));
	ASSERT_EQ(num, 3);
	EXPECT_EQ(found[0].stream, 7);
	EXPECT_EQ(found[1].stream, 7);
	EXPECT_EQ(found[2].kind, WEIR_EVENT_LOST);
	EXPECT_EQ(found[2].num_lost, 4);
	/* What was read and not given comes before what came later. */
	for (uint32_t i = 0; i < 3; i++)
		ASSERT_OK(mock_raise_event(t, device));
	num = 1;
	EXPECT_OK(weir_events_read(events, found, &num));
	EXPECT_EQ(num, 1);
	EXPECT_EQ(found[0].stream, 7);
	ASSERT_OK(mock_raise_event(t, device));
	num = 8;
	EXPECT_OK(weir_events_read(events, found, &num));
	ASSERT_EQ(num, 3);
	EXPECT_EQ(found[0].stream, 7);
	EXPECT_EQ(found[1].num_lost, 1);
	EXPECT_EQ(found[2].stream, 7);
}

UNIT(mock_events, what_is_nested_without_a_number_has_none)
{
	struct mock_host *mock = new_mock_host(t, 0);
	struct weir_device *device = mock_device(t, mock, 0);
	struct weir_domain *parent = new_parent(t, device, 0), *nested = new_nested(t, parent, device, 1, 0);
	struct weir_events *events;

	EXPECT_ERR(-EOPNOTSUPP, weir_events_open(nested, NULL, &events));
	EXPECT_CONTAINS(weir_error(), "virtual IOMMU");
}
