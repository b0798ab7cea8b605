// SPDX-License-Identifier: MIT
/* Bridges of the simulated machine: what lies behind them in /sys, and what they say of themselves. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kernel/pci_config.h"
#include "sim_toy.h"

#define PORT "0000:00:02.0"
#define TOY  "0000:01:00.0"
#define ROOT "/sys/devices/pci0000:00"

static int add(struct weir_sim *sim, const char *address, const struct weir_sim_port_opts *opts)
{
	return weir_sim_add_port(sim, opts, &WEIR_OPTS(weir_sim_slot, .address = address), NULL);
}

static struct weir_sim *machine_with_port(struct t *t)
{
	struct weir_sim *sim = new_machine(t, NULL);

	ASSERT_OK(add(sim, PORT,
		      &WEIR_OPTS(weir_sim_port_opts, .kind = WEIR_SIM_ROOT_PORT, .bus = 1, .last_bus = 1,
				 .has_acs = true, .acs = 0x1d)));
	new_toy(t, sim, TOY);
	return sim;
}

UNIT(sim_port, a_device_lies_below_its_bridge)
{
	struct weir_sim *sim = machine_with_port(t);
	char text[256], entries[1024];

	EXPECT_STREQ(link_of(sim, "/sys/bus/pci/devices/" TOY, text),
		     "../../../devices/pci0000:00/" PORT "/" TOY);
	EXPECT_STREQ(link_of(sim, ROOT "/" PORT "/" TOY "/driver", text),
		     "../../../../bus/pci/drivers/vfio-pci");
	EXPECT_GE(read_name(sim, ROOT "/" PORT "/" TOY "/vendor", text, sizeof(text)), 0);
	EXPECT_GE(read_name(sim, "/sys/bus/pci/devices/" TOY "/../vendor", text, sizeof(text)), 0);
	EXPECT_STREQ(text, "0x1b36\n");
	EXPECT_STREQ(list_of(sim, ROOT, entries), PORT " ");
	EXPECT_ERR(-ENOENT, read_name(sim, "/sys/devices/pci0000:01/" TOY "/vendor", text, sizeof(text)));
	EXPECT_ERR(-ENOENT, read_name(sim, ROOT "/" TOY "/vendor", text, sizeof(text)));
	EXPECT_ERR(-ENOENT, read_name(sim, ROOT "/" PORT "/" PORT "/" TOY "/vendor", text, sizeof(text)));
	EXPECT_STREQ(list_of(sim, "/sys/devices/pci0000:01", entries), "-2");
}

UNIT(sim_port, a_port_says_what_it_is)
{
	struct weir_sim *sim = machine_with_port(t);
	struct weir_pci_config config;
	char text[2048];

	ASSERT_OK(weir_pci_config_read(weir_sim_sys(sim), PORT, &config));
	EXPECT_TRUE(config.responds && config.complete && config.bridge && config.has_acs);
	EXPECT_EQ(config.kind, WEIR_PCI_ROOT_PORT);
	EXPECT_EQ(config.acs, 0x1d);
	ASSERT_GE(read_name(sim, "/sys/bus/pci/devices/" PORT "/class", text, sizeof(text)), 0);
	EXPECT_STREQ(text, "0x060400\n");
	/* It passes down the toy's two BARs, which are its 14th and 15th line together. */
	ASSERT_GE(read_name(sim, "/sys/bus/pci/devices/" PORT "/resource", text, sizeof(text)), 0);
	EXPECT_CONTAINS(text, "0x0000000000000200\n");
	ASSERT_OK(weir_pci_config_read(weir_sim_sys(sim), TOY, &config));
	EXPECT_FALSE(config.bridge);
}

UNIT(sim_port, its_driver_is_no_hindrance_and_vfio_does_not_take_it)
{
	struct weir_sim *sim = new_machine(t, NULL);
	char text[256];

	ASSERT_OK(weir_sim_add_port(
		sim,
		&WEIR_OPTS(weir_sim_port_opts, .kind = WEIR_SIM_DOWNSTREAM_PORT, .bus = 1, .last_bus = 3),
		&WEIR_OPTS(weir_sim_slot, .address = PORT, .group = 7), NULL));
	EXPECT_STREQ(link_of(sim, "/sys/bus/pci/devices/" PORT "/driver", text),
		     "../../../bus/pci/drivers/pcieport");
	EXPECT_GE(write_name(sim, "/sys/bus/pci/drivers/pcieport/unbind", PORT), 0);
	EXPECT_GE(write_name(sim, "/sys/bus/pci/devices/" PORT "/driver_override", "vfio-pci"), 0);
	EXPECT_ERR(-EINVAL, write_name(sim, "/sys/bus/pci/drivers/vfio-pci/bind", PORT));
}

UNIT(sim_port, what_is_no_bridge_is_refused)
{
	static const struct weir_sim_port_opts wrong[] = {
		{ .size = sizeof(wrong[0]), .kind = WEIR_SIM_PCI_BRIDGE + 1, .bus = 1, .last_bus = 1 },
		{ .size = sizeof(wrong[0]), .kind = WEIR_SIM_ROOT_PORT },
		{ .size = sizeof(wrong[0]), .kind = WEIR_SIM_ROOT_PORT, .bus = 2, .last_bus = 1 },
		{ .size = sizeof(wrong[0]), .kind = WEIR_SIM_ROOT_PORT, .bus = 1, .last_bus = 1, .acs = 4 },
		{ .size = sizeof(wrong[0]),
		  .kind = WEIR_SIM_ROOT_PORT,
		  .bus = 1,
		  .last_bus = 1,
		  .has_acs = true,
		  .acs = 0x20 },
	};
	struct weir_sim *sim = new_machine(t, NULL);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		t_note(t, "row %zu", i);
		EXPECT_ERR(-EINVAL, add(sim, PORT, &wrong[i]));
	}
	EXPECT_TRUE(weir_sim_find(sim, PORT) == NULL);
}
