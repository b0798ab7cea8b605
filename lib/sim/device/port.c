// SPDX-License-Identifier: MIT
/* Host bridges, ports and bridges: where the machine's devices sit. They are looked at, and do nothing. */
#include "sim/device/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "sim/device/pci.h"

enum {
	CLASS_HOST_BRIDGE = 0x060000,
	CLASS_BRIDGE = 0x060400,
	ACS_AT = PCI_EXTENDED + PCI_AER_SIZE,
	ACS_CAPABLE = 0x1f, /* validation, blocking, both redirects, upstream forwarding */
};

/* As QEMU has them. */
static const struct {
	uint16_t vendor_id, device_id;
	uint8_t express; /* the capability's number of the kind */
} kinds[] = {
	[WEIR_SIM_HOST_BRIDGE] = { 0x8086, 0x29c0, 0 },   [WEIR_SIM_ROOT_PORT] = { 0x1b36, 0x000c, 4 },
	[WEIR_SIM_UPSTREAM_PORT] = { 0x104c, 0x8232, 5 }, [WEIR_SIM_DOWNSTREAM_PORT] = { 0x104c, 0x8233, 6 },
	[WEIR_SIM_PCI_BRIDGE] = { 0x1b36, 0x000e, 7 },
};
enum { NUM_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void make_bridge(struct weir_sim_device *device, const struct weir_sim_port_opts *opts)
{
	unsigned char *config = device->config;
	unsigned char *express = config + device->caps.express + PCI_EXPRESS_TYPE;

	config[PCI_HEADER_TYPE] = PCI_HEADER_BRIDGE;
	config[PCI_PRIMARY_BUS] = sim_device_bdf(device).bus;
	config[PCI_SECONDARY_BUS] = opts->bus;
	config[PCI_SUBORDINATE_BUS] = opts->last_bus;
	sim_put16(express, (uint16_t)(2 | kinds[opts->kind].express << 4));
	if (!opts->has_acs)
		return;
	sim_put32(config + PCI_EXTENDED, PCI_EXT_CAP_AER | 2 << 16 | ACS_AT << 20);
	sim_put32(config + ACS_AT, PCI_EXT_CAP_ACS | 1 << 16);
	sim_put16(config + ACS_AT + 4, ACS_CAPABLE);
	sim_put16(config + ACS_AT + 6, (uint16_t)opts->acs);
}

static int create(struct weir_sim_device *device, const void *config, void **ret_state)
{
	const struct weir_sim_port_opts *opts = config;

	device->kind = SIM_BRIDGE;
	*ret_state = NULL;
	if (opts->kind == WEIR_SIM_HOST_BRIDGE) {
		device->kind = SIM_HOST_BRIDGE;
		return 0;
	}
	if (opts->bus <= sim_device_bdf(device).bus || opts->last_bus < opts->bus)
		return weir_fail(-EINVAL, "a bridge at %s to buses %u to %u", device->address, opts->bus,
				 opts->last_bus);
	device->bus = opts->bus;
	device->last_bus = opts->last_bus;
	make_bridge(device, opts);
	return 0;
}

static void destroy(void *state)
{
	(void)state;
}

int weir_sim_add_port(struct weir_sim *sim, const struct weir_sim_port_opts *callers_opts,
		      const struct weir_sim_slot *callers_slot, struct weir_sim_device **ret_device)
{
	struct weir_sim_model model = {
		.size = sizeof(model), .name = "bridge", .create = create, .destroy = destroy
	};
	struct weir_sim_port_opts opts;
	struct weir_sim_slot slot;
	int error = weir_opts_read(callers_opts, &opts, sizeof(opts));
	bool host;

	if (!error)
		error = weir_opts_read(callers_slot, &slot, sizeof(slot));
	if (error)
		return error;
	if (opts.kind >= NUM_KINDS || opts.acs & ~(uint32_t)ACS_CAPABLE || (opts.acs && !opts.has_acs))
		return weir_fail(-EINVAL, "a port of kind %u with ACS control 0x%x: see weir/sim.h",
				 opts.kind, opts.acs);
	host = opts.kind == WEIR_SIM_HOST_BRIDGE;
	model.vendor_id = opts.vendor_id ? opts.vendor_id : kinds[opts.kind].vendor_id;
	model.device_id = opts.device_id ? opts.device_id : kinds[opts.kind].device_id;
	model.class_code = host ? CLASS_HOST_BRIDGE : CLASS_BRIDGE;
	model.flags = host ? 0 : WEIR_SIM_PCIE;
	slot.size = sizeof(slot);
	if (!slot.driver)
		slot.driver = host || opts.kind == WEIR_SIM_PCI_BRIDGE ? "" : "pcieport";
	return weir_sim_add(sim, &model, &slot, &opts, ret_device);
}

const struct weir_sim_device *sim_bridge_above(const struct weir_sim_device *device)
{
	struct sim_bdf bdf = sim_device_bdf(device);
	const struct weir_sim_device *bridge = device->sim->devices;

	while (bridge && (bridge->kind != SIM_BRIDGE || bridge->bus != bdf.bus ||
			  sim_device_bdf(bridge).segment != bdf.segment))
		bridge = bridge->next;
	return bridge;
}

void sim_device_path(const struct weir_sim_device *device, char *ret_path, size_t size)
{
	const struct weir_sim_device *above = sim_bridge_above(device);
	const char *address = device->address;
	size_t used;

	if (above)
		sim_device_path(above, ret_path, size);
	else
		snprintf(ret_path, size, "/sys/devices/pci%.*s", (int)(strrchr(address, ':') - address),
			 address);
	used = strlen(ret_path);
	snprintf(ret_path + used, size - used, "/%s", address);
}
