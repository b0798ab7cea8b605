// SPDX-License-Identifier: MIT
/* A device's memory that goes while nobody asked for that: what only a simulated machine does to order. */
#include <errno.h>

#include "sim_host.h"

enum { CMB_BAR = 2 };

/* A controller with memory of its own, which can be mapped without further ado. */
static struct weir_sim_device *add_nvme(struct sim_host *host)
{
	struct weir_sim_device *device;

	ASSERT_OK(weir_sim_add_nvme(host->sim, &WEIR_OPTS(weir_sim_nvme_opts, .cmb_mib = 1), NULL, &device));
	return device;
}

static struct weir_region *mapped_cmb(struct weir_device *device, unsigned char **ret_memory)
{
	struct weir_region *cmb;
	void *addr;

	ASSERT_OK(weir_device_region(device, CMB_BAR, &cmb));
	ASSERT_OK(weir_region_map(cmb, &addr, NULL));
	*ret_memory = addr;
	return cmb;
}

UNIT(sim_away, unplugged_device_is_no_device_once_it_is_noticed)
{
	for (int i = 0; i < 3; i++) {
		struct sim_host *host = sim_host_open(t, sim_backends[i]);
		struct weir_sim_device *card = add_nvme(host);
		struct weir_device *device = sim_host_device(t, host, NULL, 0);
		unsigned char *memory;
		struct weir_region *cmb = mapped_cmb(device, &memory), *bar;
		uint32_t value = 0;

		ASSERT_OK(weir_device_region(device, WEIR_REGION_BAR0, &bar));
		ASSERT_OK(weir_region_write32(cmb, 0, 0x12345678));
		weir_sim_unplug(card, true);
		/* Nothing has told of it yet: ones, as on real machines. */
		EXPECT_OK(weir_region_read32(cmb, 0, &value));
		EXPECT_EQ(value, UINT32_MAX);
		EXPECT_ERR(-ENODEV, weir_device_resync(device));
		EXPECT_CONTAINS(weir_error(), "gone");
		EXPECT_EQ(weir_device_away(device), WEIR_AWAY_GONE);
		EXPECT_ERR(-ENODEV, weir_region_read32(cmb, 0, &value));
		EXPECT_ERR(-ENODEV, weir_region_write32(cmb, 0, 0));
		EXPECT_ERR(-ENODEV, weir_region_read32(bar, 0, &value));
		EXPECT_ERR(-ENODEV, weir_device_set_memory(device, true));
	}
}

UNIT(sim_away, unplugged_device_is_noticed_by_its_configuration_space)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct weir_sim_device *card = add_nvme(host);
	struct weir_device *device = sim_host_device(t, host, NULL, 0);
	struct weir_region *config;
	uint32_t value = 0;

	ASSERT_OK(weir_device_region(device, WEIR_REGION_CONFIG, &config));
	weir_sim_unplug(card, true);
	EXPECT_OK(weir_region_read32(config, 4, &value));
	EXPECT_EQ(value, UINT32_MAX);
	EXPECT_EQ(weir_device_away(device), WEIR_AWAY_GONE);
}

UNIT(sim_away, error_event_makes_the_library_look)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct weir_sim_device *card = add_nvme(host);
	struct weir_device *device = sim_host_device(t, host, NULL, 0);
	unsigned char *memory;
	struct weir_region *cmb = mapped_cmb(device, &memory);
	struct weir_irq *irq;
	uint32_t value;

	ASSERT_OK(weir_irq_enable(device, WEIR_IRQ_ERR, 1, &irq));
	weir_sim_set_memory(card, false);
	weir_sim_report_error(card);
	EXPECT_EQ(weir_device_away(device), 0);
	EXPECT_OK(weir_irq_wait(irq, 0, 5000, NULL));
	EXPECT_EQ(weir_device_away(device), WEIR_AWAY_MEMORY);
	EXPECT_ERR(-EIO, weir_region_read32(cmb, 0, &value));
	weir_sim_set_memory(card, true);
	EXPECT_OK(weir_region_read32(cmb, 0, &value));
	EXPECT_OK(weir_irq_disable(irq));
}

UNIT(sim_away, guard_catches_what_a_simulated_machine_takes_away)
{
	struct sim_host *host = sim_host_open(t, WEIR_BACKEND_IOMMUFD);
	struct weir_sim_device *card = add_nvme(host);
	struct weir_device *device = sim_host_device(t, host, NULL, 0);
	unsigned char *memory;
	struct weir_region *cmb = mapped_cmb(device, &memory);
	uint32_t value = 7;

	ASSERT_OK(weir_guard_install());
	weir_sim_set_memory(card, false);
	EXPECT_EQ(weir_mmio_read32(memory, &value), -EIO);
	EXPECT_ERR(-EIO, weir_region_read32(cmb, 0, &value));
	EXPECT_EQ(value, 7);
	EXPECT_EQ(weir_device_away(device), WEIR_AWAY_MEMORY);
	weir_sim_set_memory(card, true);
	EXPECT_EQ(weir_mmio_write32(memory, 5), 0);
	EXPECT_OK(weir_region_read32(cmb, 0, &value));
	EXPECT_EQ(value, 5);
	EXPECT_OK(weir_guard_remove());
}
