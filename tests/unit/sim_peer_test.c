// SPDX-License-Identifier: MIT
/* BARs that are no windows: of a device that has one of each kind, which no machine of the tests has. */
#include <errno.h>
#include <stdlib.h>

#include "sim_host.h"

enum { PAGE = 4096 };

static int create(struct weir_sim_device *device, const void *config, void **ret_state)
{
	(void)device;
	(void)config;
	*ret_state = malloc(1);
	return *ret_state ? 0 : -ENOMEM;
}

static uint64_t read_nothing(void *state, unsigned int bar, uint64_t offset, unsigned int width)
{
	(void)state;
	(void)bar;
	(void)offset;
	(void)width;
	return 0;
}

static void write_nothing(void *state, unsigned int bar, uint64_t offset, unsigned int width, uint64_t value)
{
	(void)state;
	(void)bar;
	(void)offset;
	(void)width;
	(void)value;
}

static const struct weir_sim_model model = {
	.size = sizeof(model),
	.name = "motley",
	.vendor_id = 0x1234,
	.device_id = 0x70f1,
	.class_code = 0x00ff00,
	.flags = WEIR_SIM_PCIE,
	.bars = { { .len = 65536, .flags = WEIR_SIM_BAR_RAM },
		  { .len = 64, .flags = WEIR_SIM_BAR_IO },
		  { .len = 256 },
		  { .len = 256, .flags = WEIR_SIM_BAR_IO } },
	.create = create,
	.destroy = free,
	.read = read_nothing,
	.write = write_nothing,
};

UNIT(sim_peer, bars_without_a_page_that_can_be_mapped_are_no_windows)
{
	static const uint32_t bars[] = { WEIR_REGION_BAR1, WEIR_REGION_BAR2, WEIR_REGION_BAR3 };

	for (int i = 0; i < 3; i++) {
		struct sim_host *host = sim_host_open(t, sim_backends[i]);
		struct weir_device *device;
		struct weir_region *region;
		struct weir_peer *peer;

		ASSERT_OK(weir_sim_add(host->sim, &model, NULL, NULL, NULL));
		device = sim_host_device(t, host, NULL, 0);
		for (int bar = 0; bar < 3; bar++) {
			t_note(t, "%s, BAR %u", weir_backend_name(sim_backends[i]), bars[bar]);
			ASSERT_OK(weir_device_region(device, bars[bar], &region));
			EXPECT_ERR(-EOPNOTSUPP, weir_peer_open(region, 0, PAGE, &peer));
			EXPECT_CONTAINS(weir_error(), "cannot be mapped");
		}
		ASSERT_OK(weir_device_region(device, WEIR_REGION_BAR0, &region));
		ASSERT_OK(weir_peer_open(region, 0, PAGE, &peer));
		EXPECT_OK(weir_peer_close(peer));
	}
}

/* What others do ------------------------------------------------------------------------------------------------ */

enum { CMB_BAR = 2 };

/* A controller's memory buffer, watched, and mapped where the interface can. */
struct window {
	struct weir_sim_device *card;
	struct weir_device *device;
	struct weir_region *bar;
	struct weir_peer *peer;
	struct weir_watch *watch;
	struct weir_map *map;
};

static struct window new_window(struct t *t, enum weir_backend backend)
{
	struct sim_host *host = sim_host_open(t, backend);
	struct window w = { .map = NULL };

	ASSERT_OK(weir_sim_add_nvme(host->sim, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 1), NULL, &w.card));
	ASSERT_OK(weir_device_open(host->ioas, "0000:00:01.0", NULL, &w.device));
	ASSERT_OK(weir_device_region(w.device, CMB_BAR, &w.bar));
	ASSERT_OK(weir_peer_open(w.bar, 0, 4 * PAGE, &w.peer));
	ASSERT_OK(weir_peer_watch(w.peer, NULL, &w.watch));
	if (weir_caps_check(w.device, WEIR_CAP_PEER) == 0)
		ASSERT_OK(weir_peer_map(w.peer, host->ioas, 0, 4 * PAGE, NULL, &w.map));
	return w;
}

static void close_window(const struct window *w)
{
	if (w->map)
		EXPECT_OK(weir_map_close(w->map));
	EXPECT_OK(weir_watch_close(w->watch));
	EXPECT_OK(weir_peer_close(w->peer));
	EXPECT_OK(weir_device_close(w->device));
}

static void expect_told(const struct window *w, uint32_t kind, uint32_t state, const char *reason)
{
	struct weir_peer_event event = { .kind = UINT32_MAX };
	struct weir_peer_info info;

	ASSERT_OK(weir_watch_next(w->watch, &event, sizeof(event)));
	EXPECT_EQ(event.kind, kind);
	EXPECT_ERR(-EAGAIN, weir_watch_next(w->watch, &event, sizeof(event)));
	ASSERT_OK(weir_peer_info(w->peer, &info, sizeof(info)));
	EXPECT_EQ(info.state, state);
	EXPECT_CONTAINS(info.reason, reason);
}

UNIT(sim_peer, an_error_event_withdraws_the_window_of_a_device_that_is_off)
{
	for (int i = 0; i < 3; i++) {
		struct window w = new_window(t, sim_backends[i]);
		struct weir_peer_event event;
		struct weir_irq *irq;
		uint32_t value;

		ASSERT_OK(weir_irq_enable(w.device, WEIR_IRQ_ERR, 1, &irq));
		/* One after which all is as it was changes nothing. */
		weir_sim_report_error(w.card);
		EXPECT_OK(weir_irq_wait(irq, 0, 5000, NULL));
		EXPECT_ERR(-EAGAIN, weir_watch_next(w.watch, &event, sizeof(event)));
		weir_sim_set_memory(w.card, false);
		weir_sim_report_error(w.card);
		EXPECT_OK(weir_irq_wait(irq, 0, 5000, NULL));
		expect_told(&w, WEIR_PEER_WITHDRAWN, WEIR_PEER_AWAY, "switched off");
		weir_sim_set_memory(w.card, true);
		EXPECT_OK(weir_region_read32(w.bar, 0, &value));
		expect_told(&w, WEIR_PEER_RESTORED, WEIR_PEER_HERE, "");
		EXPECT_OK(weir_irq_disable(irq));
		close_window(&w);
	}
}

UNIT(sim_peer, the_window_of_an_unplugged_device_is_away)
{
	for (int i = 0; i < 3; i++) {
		struct window w = new_window(t, sim_backends[i]);

		weir_sim_unplug(w.card, true);
		EXPECT_ERR(-ENODEV, weir_device_resync(w.device));
		expect_told(&w, WEIR_PEER_WITHDRAWN, WEIR_PEER_AWAY, "gone");
		close_window(&w);
	}
}

/* Whoever is asked hands it back by closing it. */
UNIT(sim_peer, the_window_of_a_device_that_is_handed_back_is_lost)
{
	for (int i = 0; i < 3; i++) {
		struct window w = new_window(t, sim_backends[i]);
		struct weir_irq *irq;

		ASSERT_OK(weir_irq_enable(w.device, WEIR_IRQ_REQ, 1, &irq));
		weir_sim_unplug(w.card, false);
		EXPECT_OK(weir_irq_wait(irq, 0, 5000, NULL));
		expect_told(&w, WEIR_PEER_WITHDRAWN, WEIR_PEER_AWAY, "wants the device back");
		EXPECT_OK(weir_device_close(w.device));
		w.device = NULL;
		expect_told(&w, WEIR_PEER_IS_LOST, WEIR_PEER_LOST, "closed");
		close_window(&w);
	}
}
