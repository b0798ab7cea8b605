// SPDX-License-Identifier: MIT
/* A device's memory that is away: by the library, by what is written to its configuration space, by others. */
#include "conformance/away.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "conformance/machine.h"
#include "conformance/os.h"
#include "device/device.h"

enum { CAP_POWER = 0x01, CAP_EXPRESS = 0x10, D3HOT = 3, NVME_CC = 0x14, NVME_INTMS = 0x0c };

static uint32_t read32(struct weir_region *region, uint64_t offset)
{
	uint32_t value = 0;

	ASSERT_OK(weir_region_read32(region, offset, &value));
	return value;
}

/* Registers answer nothing, and the reason is the one that is expected. */
static void expect_away(struct weir_device *device, struct weir_region *bar, uint32_t why, const char *text)
{
	uint32_t value = 0x5a5a5a5a;
	uint64_t wide = 7;
	uint8_t byte = 7;

	EXPECT_EQ(weir_device_away(device), why);
	EXPECT_ERR(-EIO, weir_region_read32(bar, SOME_REGISTER, &value));
	EXPECT_CONTAINS(weir_error(), text);
	EXPECT_EQ(value, 0x5a5a5a5a);
	EXPECT_ERR(-EIO, weir_region_read64(bar, SOME_REGISTER, &wide));
	EXPECT_ERR(-EIO, weir_region_read8(bar, SOME_REGISTER, &byte));
	EXPECT_ERR(-EIO, weir_region_write32(bar, SOME_REGISTER, 0));
	EXPECT_CONTAINS(weir_error(), text);
	EXPECT_EQ(weir_device_away(device), why);
}

static void expect_here(struct weir_device *device, struct weir_region *bar, uint32_t value)
{
	EXPECT_EQ(weir_device_away(device), 0);
	EXPECT_EQ(read32(bar, SOME_REGISTER), value);
}

/* By the library ------------------------------------------------------------------------------------------------ */

CONFORMANCE(away, memory_that_is_off_is_an_error_and_no_signal, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	uint32_t value = read32(bar, SOME_REGISTER);

	for (int round = 0; round < 3; round++) {
		ASSERT_OK(weir_device_set_memory(device, false));
		expect_away(device, bar, WEIR_AWAY_MEMORY, "weir_device_set_memory");
		ASSERT_OK(weir_device_set_memory(device, true));
		expect_here(device, bar, value);
	}
}

CONFORMANCE(away, region_first_mapped_while_memory_is_off_works_when_it_is_on, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	unsigned char *registers;
	struct weir_region *bar;

	ASSERT_OK(weir_device_set_memory(device, false));
	bar = mapped_bar(t, device, &registers);
	expect_away(device, bar, WEIR_AWAY_MEMORY, "switched off");
	ASSERT_OK(weir_device_set_memory(device, true));
	EXPECT_NE(read32(bar, SOME_REGISTER), UINT32_MAX);
}

CONFORMANCE(away, reset_leaves_memory_as_it_was, NEEDS(NVME0, RESET))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	uint32_t value = read32(bar, SOME_REGISTER);

	ASSERT_OK(weir_device_reset(device));
	expect_here(device, bar, value);
	ASSERT_OK(weir_device_set_memory(device, false));
	ASSERT_OK(weir_device_reset(device));
	expect_away(device, bar, WEIR_AWAY_MEMORY, "switched off");
	ASSERT_OK(weir_device_set_memory(device, true));
	expect_here(device, bar, value);
}

/* By what is written to the configuration space ------------------------------------------------------------------ */

CONFORMANCE(away, command_written_in_configuration_space_counts, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_region *config = config_of(t, device);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	uint32_t value = read32(bar, SOME_REGISTER);
	uint16_t command = 0;

	ASSERT_OK(weir_region_read16(config, PCI_COMMAND_OFFSET, &command));
	ASSERT_OK(weir_region_write16(config, PCI_COMMAND_OFFSET, command & (uint16_t)~2u));
	expect_away(device, bar, WEIR_AWAY_MEMORY, "switched off");
	ASSERT_OK(weir_region_write8(config, PCI_COMMAND_OFFSET, (uint8_t)command));
	expect_here(device, bar, value);
	ASSERT_OK(weir_region_write32(config, PCI_COMMAND_OFFSET, 0));
	expect_away(device, bar, WEIR_AWAY_MEMORY, "switched off");
	/* What lies beside it is nothing to it. */
	ASSERT_OK(weir_region_write8(config, PCI_COMMAND_OFFSET + 1, (uint8_t)(command >> 8)));
	EXPECT_EQ(weir_device_away(device), WEIR_AWAY_MEMORY);
	ASSERT_OK(weir_device_set_memory(device, true));
	expect_here(device, bar, value);
}

CONFORMANCE(away, power_state_written_in_configuration_space_counts, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_region *config = config_of(t, device);
	uint32_t control = find_capability(t, device, CAP_POWER) + 4;
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	uint32_t value = read32(bar, SOME_REGISTER);
	uint16_t before = 0;

	ASSERT_OK(weir_region_read16(config, control, &before));
	ASSERT_OK(weir_region_write16(config, control, before | D3HOT));
	expect_away(device, bar, WEIR_AWAY_POWER, "D0");
	/* Both at once, and each comes back for itself. */
	ASSERT_OK(weir_device_set_memory(device, false));
	EXPECT_EQ(weir_device_away(device), WEIR_AWAY_POWER | WEIR_AWAY_MEMORY);
	ASSERT_OK(weir_region_write16(config, control, before));
	expect_away(device, bar, WEIR_AWAY_MEMORY, "switched off");
	ASSERT_OK(weir_device_set_memory(device, true));
	expect_here(device, bar, value);
}

CONFORMANCE(away, function_reset_written_in_configuration_space_ends, NEEDS(NVME0, RESET))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct weir_region *config = config_of(t, device);
	uint32_t control = find_capability(t, device, CAP_EXPRESS) + 8;
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	uint16_t before = 0;

	ASSERT_OK(weir_region_write32(bar, NVME_INTMS, 1));
	ASSERT_EQ(read32(bar, NVME_INTMS), 1);
	ASSERT_OK(weir_region_read16(config, control, &before));
	ASSERT_OK(weir_region_write16(config, control, before | 1 << 15));
	EXPECT_EQ(weir_device_away(device), 0);
	EXPECT_EQ(read32(bar, NVME_INTMS), 0);
}

/* Asleep --------------------------------------------------------------------------------------------------------- */

CONFORMANCE(away, sleeping_device_is_left_alone_until_it_wakes, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	uint32_t value = read32(bar, SOME_REGISTER);

	ASSERT_OK(weir_device_sleep(device, -1));
	expect_away(device, bar, WEIR_AWAY_ASLEEP, "weir_device_wake");
	EXPECT_ERR(-EALREADY, weir_device_sleep(device, -1));
	EXPECT_OK(weir_device_resync(device));
	expect_away(device, bar, WEIR_AWAY_ASLEEP, "sleeps");
	ASSERT_OK(weir_device_wake(device));
	expect_here(device, bar, value);
	EXPECT_OK(weir_device_wake(device));
}

CONFORMANCE(away, device_that_wakes_by_itself_is_away_until_it_is_told, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	const struct weir_sys *sys = os_sys();
	struct weir_region *config = config_of(t, device);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	uint32_t value = read32(bar, SOME_REGISTER);
	int fd = sys->eventfd(sys->ctx, 0, 0);
	struct pollfd poll = { .fd = fd, .events = POLLIN };
	int awake = 0, tries = 50;
	uint32_t id = 0;

	ASSERT_GE(fd, 0);
	record_no_calls(t);
	ASSERT_OK(weir_device_sleep(device, fd));
	if (sys->poll(sys->ctx, &poll, 1, 0))
		FAIL("it is awake already");
	/* The kernel wakes it to ask it something, which ends the sleep; if it has fallen asleep by then, which it does in its own time. */
	while (!awake && tries--) {
		if (weir_region_read32(config, 0, &id) || id != 0x11e81234)
			FAIL("reading %#x: %s", id, weir_error());
		awake = sys->poll(sys->ctx, &poll, 1, 100);
	}
	if (awake != 1)
		FAIL("it has not woken up");
	expect_away(device, bar, WEIR_AWAY_ASLEEP, "weir_device_wake");
	ASSERT_OK(weir_device_wake(device));
	expect_here(device, bar, value);
	sys->close(sys->ctx, fd);
}

CONFORMANCE(away, what_cannot_signal_waking_up_is_refused, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	int pipe_fds[2];

	ASSERT_EQ(pipe(pipe_fds), 0);
	EXPECT_ERR(-EINVAL, weir_device_sleep(device, pipe_fds[0]));
	EXPECT_ERR(-EINVAL, weir_device_sleep(device, -2));
	EXPECT_EQ(weir_device_away(device), 0);
	EXPECT_NE(read32(bar, SOME_REGISTER), UINT32_MAX);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

CONFORMANCE(away, sleeping_device_can_be_closed, NEEDS(EDU0))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device;

	ASSERT_OK(weir_device_open(ioas, address_of(t, "EDU0"), NULL, &device));
	ASSERT_OK(weir_device_sleep(device, -1));
	EXPECT_OK(weir_device_close(device));
	EXPECT_EQ(weir_device_away(new_device(t, ioas, "EDU0", 0)), 0);
}

/* By others ------------------------------------------------------------------------------------------------------ */

CONFORMANCE(away, what_others_did_to_command_is_found_when_it_is_read, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_region *config = config_of(t, device);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	uint32_t value = read32(bar, SOME_REGISTER);

	/* For when looking fails, so that nothing is found (docs/testing.md, the failure sweep). */
	guarded(t);
	set_memory_past(t, device, false);
	EXPECT_EQ(weir_device_away(device), 0);
	read32(config, PCI_COMMAND_OFFSET);
	expect_away(device, bar, WEIR_AWAY_MEMORY, "switched off");
	/* And an access that would be refused looks first. */
	set_memory_past(t, device, true);
	EXPECT_EQ(read32(bar, SOME_REGISTER), value);
	expect_here(device, bar, value);
	/* So does what changes COMMAND. */
	set_memory_past(t, device, false);
	EXPECT_OK(weir_device_set_bus_master(device, true));
	expect_away(device, bar, WEIR_AWAY_MEMORY, "switched off");
	EXPECT_OK(weir_device_set_memory(device, true));
	expect_here(device, bar, value);
}

CONFORMANCE(away, failing_access_through_the_descriptor_is_a_trace, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	struct weir_region *bar;
	uint32_t value;

	ASSERT_OK(weir_device_region(device, WEIR_REGION_BAR0, &bar));
	value = read32(bar, SOME_REGISTER);
	set_memory_past(t, device, false);
	EXPECT_ERR(-EIO, weir_region_read32(bar, SOME_REGISTER, &value));
	EXPECT_CONTAINS(weir_error(), address_of(t, "EDU0"));
	expect_away(device, bar, WEIR_AWAY_MEMORY, "switched off");
	EXPECT_OK(weir_device_set_memory(device, true));
	expect_here(device, bar, value);
}

CONFORMANCE(away, resync_finds_what_others_did, NEEDS(EDU0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "EDU0", 0);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);

	EXPECT_OK(weir_device_resync(device));
	EXPECT_EQ(weir_device_away(device), 0);
	set_memory_past(t, device, false);
	EXPECT_OK(weir_device_resync(device));
	expect_away(device, bar, WEIR_AWAY_MEMORY, "switched off");
	set_memory_past(t, device, true);
	EXPECT_OK(weir_device_resync(device));
	EXPECT_EQ(weir_device_away(device), 0);
	EXPECT_NE(read32(bar, SOME_REGISTER), UINT32_MAX);
}

CONFORMANCE(away, request_for_the_device_leaves_its_registers, NEEDS(NVME0))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	unsigned char *registers;
	struct weir_region *bar = mapped_bar(t, device, &registers);
	struct weir_irq *irq;

	ASSERT_OK(weir_irq_enable(device, WEIR_IRQ_REQ, 1, &irq));
	ASSERT_OK(weir_irq_trigger(irq, 0));
	/* Waiting to be taken, it is found as well. */
	ASSERT_OK(weir_device_resync(device));
	EXPECT_EQ(weir_device_away(device), WEIR_AWAY_REQUESTED);
	ASSERT_OK(weir_irq_wait(irq, 0, 5000, NULL));
	EXPECT_EQ(weir_device_away(device), WEIR_AWAY_REQUESTED);
	EXPECT_NE(read32(bar, SOME_REGISTER), UINT32_MAX);
	ASSERT_OK(weir_device_resync(device));
	EXPECT_EQ(weir_device_away(device), 0);
	ASSERT_OK(weir_irq_trigger(irq, 0));
	ASSERT_OK(weir_irq_wait(irq, 0, 5000, NULL));
	EXPECT_EQ(weir_device_away(device), WEIR_AWAY_REQUESTED);
	EXPECT_OK(weir_irq_disable(irq));
}

/* Who is told ---------------------------------------------------------------------------------------------------- */

/* Of a page of a device's first BAR. */
struct watcher {
	struct weir_peer *peer;
	struct weir_watch *watch;
};

static void watch(struct watcher *watcher, struct weir_device *device)
{
	struct weir_region *bar;

	ASSERT_OK(weir_device_region(device, WEIR_REGION_BAR0, &bar));
	ASSERT_OK(weir_peer_open(bar, 0, (uint64_t)sysconf(_SC_PAGESIZE), &watcher->peer));
	ASSERT_OK(weir_peer_watch(watcher->peer, NULL, &watcher->watch));
}

static void unwatch(struct watcher *watcher)
{
	EXPECT_OK(weir_watch_close(watcher->watch));
	EXPECT_OK(weir_peer_close(watcher->peer));
}

/* How often, since it was last asked. */
static void expect_told(struct watcher *watcher, unsigned int withdrawn, unsigned int restored,
			unsigned int lost)
{
	unsigned int told[3] = { 0 };
	struct weir_peer_event event;

	while (!weir_watch_next(watcher->watch, &event, sizeof(event)))
		told[event.kind]++;
	EXPECT_EQ(told[WEIR_PEER_WITHDRAWN], withdrawn);
	EXPECT_EQ(told[WEIR_PEER_RESTORED], restored);
	EXPECT_EQ(told[WEIR_PEER_IS_LOST], lost);
}

CONFORMANCE(away, watchers_are_told_before_and_after, NEEDS(NVME0, RESET))
{
	struct weir_device *device = new_device(t, new_ioas(t), "NVME0", 0);
	struct watcher watcher;

	watch(&watcher, device);
	EXPECT_OK(weir_device_reset(device));
	expect_told(&watcher, 1, 1, 0);
	EXPECT_OK(weir_device_set_memory(device, false));
	expect_told(&watcher, 1, 0, 0);
	EXPECT_OK(weir_device_reset(device));
	expect_told(&watcher, 0, 0, 0);
	EXPECT_OK(weir_device_set_memory(device, true));
	expect_told(&watcher, 0, 1, 0);
	EXPECT_OK(weir_device_set_bus_master(device, true));
	expect_told(&watcher, 0, 0, 0);
	/* There may have been a reset that left no trace. */
	EXPECT_OK(weir_device_resync(device));
	expect_told(&watcher, 1, 1, 0);
	unwatch(&watcher);
}

CONFORMANCE(away, closing_tells_watchers_for_the_last_time, NEEDS(EDU0))
{
	struct weir_device *device;
	struct watcher watcher;

	ASSERT_OK(weir_device_open(new_ioas(t), address_of(t, "EDU0"), NULL, &device));
	watch(&watcher, device);
	EXPECT_OK(weir_device_close(device));
	expect_told(&watcher, 1, 0, 1);
	unwatch(&watcher);
}

CONFORMANCE(away, hot_reset_tells_of_every_function_in_reach, NEEDS(TWIN0, TWIN1))
{
	struct weir_ioas *ioas = new_ioas(t);
	struct weir_device *device = new_device(t, ioas, "TWIN0", 0);
	struct weir_device *twin = new_device(t, ioas, "TWIN1", 0);
	struct watcher watchers[2];

	watch(&watchers[0], device);
	watch(&watchers[1], twin);
	EXPECT_OK(weir_device_hot_reset(device));
	for (int i = 0; i < 2; i++)
		expect_told(&watchers[i], 1, 1, 0);
	unwatch(&watchers[0]);
	unwatch(&watchers[1]);
}

/* Two hosts on one iommufd: a hot reset by the one reaches what is open on the other. */
CONFORMANCE(away, hot_reset_tells_of_functions_on_another_host, NEEDS(TWIN0, TWIN1, IOMMUFD))
{
	const struct weir_sys *sys = sys_of(t);
	const char *names[] = { "TWIN0", "TWIN1" };
	struct weir_device *devices[2];
	struct weir_host *hosts[2];
	struct weir_ioas *spaces[2];
	struct watcher watchers[2];
	int iommu = -1;

	for (int i = 0; i < 2; i++) {
		struct node_paths paths = nodes_of(t, names[i]);
		struct weir_node nodes[2] = { { .path = paths.path[NODE_INTERFACE] },
					      { .path = paths.path[NODE_DEVICE] } };

		nodes[0].fd = i ? sys->dup(sys->ctx, iommu) : open_node(t, paths.path[NODE_INTERFACE]);
		iommu = nodes[0].fd;
		nodes[1].fd = open_node(t, paths.path[NODE_DEVICE]);
		ASSERT_OK(weir_host_open(
			&WEIR_OPTS(weir_host_opts, .nodes = nodes, .num_nodes = 2, .sys = sys), &hosts[i]));
		ASSERT_OK(weir_ioas_open(hosts[i], NULL, &spaces[i]));
		ASSERT_OK(weir_device_open(spaces[i], address_of(t, names[i]), NULL, &devices[i]));
		watch(&watchers[i], devices[i]);
	}
	EXPECT_OK(weir_device_hot_reset(devices[0]));
	for (int i = 0; i < 2; i++)
		expect_told(&watchers[i], 1, 1, 0);
	for (int i = 1; i >= 0; i--) {
		unwatch(&watchers[i]);
		EXPECT_OK(weir_device_close(devices[i]));
		EXPECT_OK(weir_ioas_close(spaces[i]));
		EXPECT_OK(weir_host_close(hosts[i]));
	}
}
