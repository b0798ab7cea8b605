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
