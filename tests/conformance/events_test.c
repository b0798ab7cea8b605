// SPDX-License-Identifier: MIT
/* Events of virtual IOMMUs: what is wrong with DMA in tables of the program's own, and what is lost of it. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <weir/events.h>

#include "conformance/nested.h"
#include "kernel/iommufd_abi.h"

enum { IOVA = 0x4000000, ROOM = 64, WAIT_MS = 1000 };

static void close_events(void *events)
{
	EXPECT_OK(weir_events_close(events));
}

static struct weir_events *new_events(struct t *t, struct nested *nested, uint32_t depth)
{
	struct weir_events *events;

	ASSERT_OK(weir_events_open(nested->domain, &WEIR_OPTS(weir_events_opts, .depth = depth), &events));
	t_defer(t, close_events, events);
	return events;
}

/* Of IOMMUs that have no events, one call says so, and there is no more to the case. */
static bool has_events(struct nested *nested)
{
	struct weir_events *events;

	if (nested->iommu == WEIR_IOMMU_SMMUV3)
		return true;
	EXPECT_ERR(-EOPNOTSUPP, weir_events_open(nested->domain, NULL, &events));
	return false;
}

/* As a program's own loop would ask. */
static bool readable(struct weir_events *events, int timeout_ms)
{
	struct pollfd fd = { .fd = weir_events_fd(events), .events = POLLIN };

	return poll(&fd, 1, timeout_ms) == 1 && fd.revents == POLLIN;
}

/* All there are, in @ret_events[ROOM]. An event that is on its way still is waited for. */
static size_t all_events(struct weir_events *events, struct weir_event *ret_events)
{
	size_t num = 1, sum = 0;

	EXPECT_TRUE(readable(events, WAIT_MS));
	while (num && sum < ROOM) {
		num = ROOM - sum;
		ASSERT_OK(weir_events_read(events, ret_events + sum, &num));
		sum += num;
	}
	return sum;
}

static uint64_t stream_of(struct weir_device *device)
{
	struct weir_iommu_info info;

	EXPECT_OK(weir_device_iommu_info(device, &info, sizeof(info)));
	return info.stream;
}

/* Four bytes are one access of the device's. The buffer is full of something that is known, so that there is no other. */
static void write_at(struct t *t, struct nested *nested, uint64_t iova)
{
	dma_writes(t, nested->edu, iova, 8, 4);
}

static struct nested *new_writer(struct t *t)
{
	struct nested *nested = new_nested(t, "EDU0");

	record_no_calls(t);
	map_page(t, nested, IOVA, 7);
	EXPECT_TRUE(finds(t, nested, IOVA, 7));
	return nested;
}

CONFORMANCE(events, a_fault_of_the_first_stage_is_one, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_writer(t);
	struct weir_event found[ROOM];
	struct weir_events *events;

	if (has_events(nested)) {
		events = new_events(t, nested, 0);
		EXPECT_FALSE(readable(events, 0));
		write_at(t, nested, IOVA + 5 * PAGE + 8);
		ASSERT_EQ(all_events(events, found), 1);
		EXPECT_EQ(found[0].kind, WEIR_EVENT_TRANSLATION);
		EXPECT_EQ(found[0].code, 0x10);
		EXPECT_EQ(found[0].flags, WEIR_EVENT_HAS_IOVA | WEIR_EVENT_WRITE);
		EXPECT_EQ(found[0].iova, IOVA + 5 * PAGE + 8);
		EXPECT_EQ(found[0].stream, stream_of(nested->device));
		EXPECT_NE(found[0].stream, 0);
		EXPECT_EQ(found[0].data_len, 32);
		EXPECT_EQ(found[0].data[0], 0x10);
		EXPECT_FALSE(readable(events, 0));
	}
	run_changes(t, nested);
}

CONFORMANCE(events, what_is_not_allowed_and_what_was_read_is_told_apart, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_writer(t);
	struct weir_event found[ROOM];
	struct weir_events *events;

	if (has_events(nested)) {
		events = new_events(t, nested, 0);
		ASSERT_OK(weir_stage1_map(nested->tables, IOVA + PAGE, nested->ipa, PAGE, WEIR_MAP_READ,
					  nested->changes));
		write_at(t, nested, IOVA + PAGE);
		ASSERT_EQ(all_events(events, found), 1);
		EXPECT_EQ(found[0].kind, WEIR_EVENT_PERMISSION);
		EXPECT_EQ(found[0].flags, WEIR_EVENT_HAS_IOVA | WEIR_EVENT_WRITE);
		EXPECT_FALSE(dma_reads(t, nested->edu, IOVA + 2 * PAGE, nested->data, 4));
		ASSERT_EQ(all_events(events, found), 1);
		EXPECT_EQ(found[0].kind, WEIR_EVENT_TRANSLATION);
		EXPECT_EQ(found[0].flags, WEIR_EVENT_HAS_IOVA);
		EXPECT_EQ(found[0].iova, IOVA + 2 * PAGE);
	}
	run_changes(t, nested);
}

CONFORMANCE(events, what_finds_the_queue_full_is_told_as_lost, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = new_writer(t);
	struct weir_event found[ROOM];
	struct weir_events *events;

	if (has_events(nested)) {
		events = new_events(t, nested, 2);
		for (uint32_t i = 1; i <= 5; i++)
			write_at(t, nested, IOVA + i * PAGE);
		/* The last of them has come when the device has been seen to work. */
		EXPECT_TRUE(finds(t, nested, IOVA, 7));
		ASSERT_EQ(all_events(events, found), 3);
		EXPECT_EQ(found[0].iova, IOVA + PAGE);
		EXPECT_EQ(found[1].iova, IOVA + 2 * PAGE);
		EXPECT_EQ(found[2].kind, WEIR_EVENT_LOST);
		EXPECT_EQ(found[2].num_lost, 3);
		EXPECT_EQ(found[2].data_len, 0);
		/* There is room again, and nothing is missing between. */
		write_at(t, nested, IOVA + 6 * PAGE);
		ASSERT_EQ(all_events(events, found), 1);
		EXPECT_EQ(found[0].iova, IOVA + 6 * PAGE);
	}
	run_changes(t, nested);
}

CONFORMANCE(events, a_virtual_iommu_has_one_queue_which_keeps_the_domain_open, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = prepare_nested(t, "EDU0");
	struct weir_events *events, *second;
	struct weir_domain *domain;

	if (!has_events(nested))
		return;
	ASSERT_OK(open_nested(nested, nested->device, &domain));
	ASSERT_OK(weir_events_open(domain, NULL, &events));
	EXPECT_ERR(-EEXIST, weir_events_open(nested->domain, NULL, &second));
	EXPECT_ERR(-EBUSY, weir_domain_close(domain));
	EXPECT_CONTAINS(weir_error(), "events");
	EXPECT_OK(weir_events_close(events));
	EXPECT_OK(weir_domain_close(domain));
	ASSERT_OK(weir_events_open(nested->domain, NULL, &events));
	EXPECT_OK(weir_events_close(events));
	EXPECT_OK(weir_events_close(NULL));
}

CONFORMANCE(events, what_has_none_is_told_so, NEEDS(NEST, DMA_DEVICE))
{
	struct nested *nested = prepare_nested(t, "EDU0");
	struct weir_events *events;

	has_events(nested);
	EXPECT_ERR(-EOPNOTSUPP, weir_events_open(nested->parent, NULL, &events));
	EXPECT_CONTAINS(weir_error(), "a nesting parent");
	EXPECT_ERR(-EINVAL, weir_events_open(nested->domain,
					     &WEIR_OPTS(weir_events_opts, .depth = (1 << 19) + 1), &events));
	EXPECT_ERR(-EINVAL,
		   weir_events_open(nested->domain, &WEIR_OPTS(weir_events_opts, .reserved = 1), &events));
}

/* A kernel that does not write what it should ----------------------------------------------------------------------- */

enum { HEADER = 8, EVENT = HEADER + 32, LOST_FLAG = ABI_IOMMU_VEVENTQ_FLAG_LOST_EVENTS };

/* What the kernel's next reads give. */
static struct {
	unsigned char bytes[EVENT * 8];
	size_t at, len;
	int error; /* of the next */
} script;

static ssize_t (*usual_read)(void *ctx, int fd, void *buf, size_t len);

static ssize_t scripted_read(void *ctx, int fd, void *buf, size_t len)
{
	size_t left = script.len - script.at;
	int error = script.error;

	(void)ctx, (void)fd;
	script.error = 0;
	if (error)
		return error;
	ASSERT_TRUE(left <= len);
	memcpy(buf, script.bytes + script.at, left);
	script.at = script.len;
	return (ssize_t)left;
}

static void end_script(void *fixture)
{
	((struct fixture *)fixture)->log.table.read = usual_read;
}

static void begin_script(struct t *t)
{
	struct fixture *fixture = fixture_of(t);

	memset(&script, 0, sizeof(script));
	usual_read = fixture->log.table.read;
	fixture->log.table.read = scripted_read;
	t_defer(t, end_script, fixture);
}

/* One more event, of code @code; or a header of an event that is lost. */
static void add_record(uint32_t flags, uint32_t sequence, uint64_t code)
{
	const uint32_t header[2] = { flags, sequence };
	const uint64_t words[4] = { code | (uint64_t)5 << 32 };

	if (script.at == script.len)
		script.at = script.len = 0;
	memcpy(script.bytes + script.len, header, sizeof(header));
	script.len += HEADER;
	if (flags)
		return;
	memcpy(script.bytes + script.len, words, sizeof(words));
	script.len += EVENT - HEADER;
}

static void expect_next(struct weir_events *events, uint32_t kind, uint64_t code_or_lost)
{
	struct weir_event event = { .kind = UINT32_MAX };
	size_t num = 1;

	EXPECT_OK(weir_events_read(events, &event, &num));
	EXPECT_EQ(num, 1);
	EXPECT_EQ(event.kind, kind);
	EXPECT_EQ(kind == WEIR_EVENT_LOST ? event.num_lost : event.code, code_or_lost);
}

static void expect_none(struct weir_events *events)
{
	struct weir_event event;
	size_t num = 1;

	EXPECT_OK(weir_events_read(events, &event, &num));
	EXPECT_EQ(num, 0);
	EXPECT_ERR(-EINVAL, weir_events_read(events, &event, &num));
}

/* Queue, and what is read from it instead; or NULL where there are none. */
static struct weir_events *scripted_events(struct t *t)
{
	struct nested *nested = prepare_nested(t, "EDU0");
	struct weir_events *events;

	record_no_calls(t);
	if (!has_events(nested))
		return NULL;
	events = new_events(t, nested, 0);
	begin_script(t);
	return events;
}

CONFORMANCE(events, gaps_in_the_numbers_are_told_wherever_they_are, NEEDS(NEST, DMA_DEVICE))
{
	struct weir_events *events = scripted_events(t);

	if (!events)
		return;
	add_record(0, 2, 0x10);
	add_record(0, 3, 0x77); /* of a type that nobody knows */
	add_record(LOST_FLAG, 9, 0);
	add_record(0, INT32_MAX, 0x0a);
	add_record(0, 0, 0x12); /* after the last number comes the first */
	expect_next(events, WEIR_EVENT_LOST, 2);
	expect_next(events, WEIR_EVENT_TRANSLATION, 0x10);
	expect_next(events, WEIR_EVENT_OTHER, 0x77);
	expect_next(events, WEIR_EVENT_LOST, 6);
	/* So many cannot have been: the numbers have jumped. */
	expect_next(events, WEIR_EVENT_LOST, 0);
	expect_next(events, WEIR_EVENT_CONTEXT, 0x0a);
	expect_next(events, WEIR_EVENT_ACCESS, 0x12);
	expect_none(events);
	/* The same number again. */
	add_record(0, 0, 0x13);
	expect_next(events, WEIR_EVENT_LOST, 0);
	expect_next(events, WEIR_EVENT_PERMISSION, 0x13);
	expect_none(events);
}

CONFORMANCE(events, what_is_not_in_order_is_an_error_and_told_as_lost, NEEDS(NEST, DMA_DEVICE))
{
	struct weir_events *events = scripted_events(t);
	const struct {
		uint32_t flags, sequence;
		size_t cut;
		const char *words;
	} rows[] = {
		{ 0, 1, EVENT - HEADER + 3, "header" }, /* of which five bytes are there */
		{ 0, 1, 1, "31 bytes" },
		{ 0, 1, EVENT - HEADER, "0 bytes" },
		{ LOST_FLAG << 1, 1, 0, "flags 0x2" },
		{ 0, UINT32_MAX, 0, "31 bits" },
	};
	struct weir_event found[4];
	size_t num;

	for (size_t i = 0; events && i < sizeof(rows) / sizeof(rows[0]); i++) {
		t_note(t, "row %zu", i);
		add_record(0, 0, 0x10);
		add_record(rows[i].flags, rows[i].sequence, 0x11);
		script.len -= rows[i].cut;
		/* Where the row before went wrong, the first number is taken as it is. */
		num = 4;
		EXPECT_OK(weir_events_read(events, found, &num));
		EXPECT_EQ(num, 1);
		EXPECT_EQ(found[0].kind, WEIR_EVENT_TRANSLATION);
		EXPECT_EQ(found[0].stream, 5);
		num = 4;
		EXPECT_ERR(-EIO, weir_events_read(events, found, &num));
		EXPECT_CONTAINS(weir_error(), rows[i].words);
		EXPECT_EQ(num, 0);
		expect_next(events, WEIR_EVENT_LOST, 0);
		expect_none(events);
	}
}

CONFORMANCE(events, an_error_of_the_kernels_loses_nothing, NEEDS(NEST, DMA_DEVICE))
{
	struct weir_events *events = scripted_events(t);
	struct weir_event event;
	size_t num = 1;

	if (!events)
		return;
	add_record(0, 0, 0x10);
	script.error = -EIO;
	EXPECT_ERR(-EIO, weir_events_read(events, &event, &num));
	expect_next(events, WEIR_EVENT_TRANSLATION, 0x10);
	expect_none(events);
}
