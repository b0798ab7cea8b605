// SPDX-License-Identifier: MIT
/* Simulated machines that are what the virtual ones are. */
#include "conformance/sim_machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "shim/test.h"
#include "sim/device/device.h"

/* As the virtual machine's, the disk is no multiple of anything else long. */
enum { MIB = 1 << 20, BLOCK_SIZE = 512, NUM_BLOCKS = 2 * MIB / BLOCK_SIZE + 7 };

/* Pages in a transfer of a disk with a memory buffer, as a power of two: more than one page of a list names. */
enum { LONG_MDTS = 10 };

struct device {
	const char *name, *address;
	uint32_t group;        /* 0: one of its own */
	uint32_t bus;          /* of a slot: 0 for the root bus, which cannot be reset */
	uint32_t address_bits; /* of an edu; 0: it is an nvme, or */
	bool is_igb;
	uint32_t mib; /* of an nvme's disk; 0: the image */
	uint32_t cmb_mib;
	const char *serial;
	uint32_t pasid_bits, iommu_unit, page_requests;
	uint32_t logs_dma, migrates;
};

static const struct device side_by_side[] = {
	{ "NVME0", "0000:00:04.0", .serial = "weir-nvme0" },
	{ "NVME1", "0000:00:05.0", .mib = 16, .cmb_mib = 64, .serial = "weir-nvme1" },
	{ "EDU0", "0000:00:06.0", .address_bits = 64 },
	{ "EDU1", "0000:00:07.0", .address_bits = 28 },
	{ "IGB0", "0000:00:08.0", .is_igb = true },
	{ NULL, NULL, .group = 0 },
};

/* Groups: below the switch, below the bridge. Each port has a bus of its own, and the functions behind it are reset together. */
static const struct device topology[] = {
	{ "NVME0", "0000:03:00.0", .group = 20, .bus = 1, .serial = "weir-nvme0" },
	{ "NVME1", "0000:04:00.0", .group = 20, .bus = 2, .mib = 16, .cmb_mib = 64, .serial = "weir-nvme1" },
	{ "NVME2", "0000:05:00.0", .bus = 3, .mib = 16, .serial = "weir-nvme2" },
	{ "EDU0", "0000:06:01.0", .group = 30, .bus = 4, .address_bits = 64 },
	{ "EDU1", "0000:06:02.0", .group = 30, .bus = 4, .address_bits = 28 },
	{ "TWIN0", "0000:07:00.0", .bus = 5, .mib = 1, .serial = "twin0" },
	{ "TWIN1", "0000:07:00.1", .bus = 5, .mib = 1, .serial = "twin1" },
	{ "EDU2", "0000:08:00.0", .bus = 6, .address_bits = 28 },
	{ "EDU3", "0000:09:00.0", .bus = 7, .address_bits = 28 },
	{ NULL, NULL, .group = 0 },
};

/* For nested translation: a group of several, PASIDs, a device behind an IOMMU of its own, and one that requests pages. */
static const struct device in_groups[] = {
	{ "EDU0", "0000:00:06.0", .address_bits = 64, .page_requests = 1 },
	{ "EDU1", "0000:00:07.0", .group = 7, .address_bits = 64, .pasid_bits = 8 },
	{ "EDU2", "0000:00:08.0", .group = 7, .address_bits = 64 },
	{ "EDU3", "0000:00:09.0", .address_bits = 64, .iommu_unit = 1 },
	{ NULL, NULL, .group = 0 },
};

/* Whose drivers log what they write, and migrate what they can. */
static const struct device logging[] = {
	{ "NVME0", "0000:00:04.0", .serial = "weir-nvme0", .logs_dma = 1 },
	{ "NVME1", "0000:00:05.0", .mib = 16, .cmb_mib = 64, .serial = "weir-nvme1", .logs_dma = 1 },
	{ "EDU0", "0000:00:06.0", .address_bits = 64, .logs_dma = 1, .migrates = 1 },
	{ "EDU1", "0000:00:07.0", .address_bits = 28, .logs_dma = 1, .migrates = 1 },
	{ NULL, NULL, .group = 0 },
};

/* What they are behind. The kernel switches on what its groups need of ACS. */
struct port {
	const char *address;
	uint32_t kind;
	uint32_t group;
	uint8_t bus, last_bus;
	uint32_t acs;
	bool has_acs;
};

enum { ACS = 0x1d };

static const struct port root_only[] = {
	{ "0000:00:00.0", .kind = WEIR_SIM_HOST_BRIDGE },
	{ NULL, .kind = 0 },
};

static const struct port switches[] = {
	{ "0000:00:00.0", .kind = WEIR_SIM_HOST_BRIDGE },
	{ "0000:00:02.0", WEIR_SIM_ROOT_PORT, .group = 20, .bus = 1, .last_bus = 4 },
	{ "0000:01:00.0", WEIR_SIM_UPSTREAM_PORT, .group = 20, .bus = 2, .last_bus = 4 },
	{ "0000:02:00.0", WEIR_SIM_DOWNSTREAM_PORT, .group = 20, .bus = 3, .last_bus = 3 },
	{ "0000:02:01.0", WEIR_SIM_DOWNSTREAM_PORT, .group = 20, .bus = 4, .last_bus = 4 },
	{ "0000:00:03.0", WEIR_SIM_ROOT_PORT, .bus = 5, .last_bus = 5, .has_acs = true, .acs = ACS },
	{ "0000:00:09.0", WEIR_SIM_PCI_BRIDGE, .group = 30, .bus = 6, .last_bus = 6 },
	{ "0000:00:0a.0", WEIR_SIM_ROOT_PORT, .bus = 7, .last_bus = 7, .has_acs = true, .acs = ACS },
	{ "0000:00:0b.0", WEIR_SIM_ROOT_PORT, .bus = 8, .last_bus = 8, .has_acs = true, .acs = ACS },
	{ "0000:00:0b.1", WEIR_SIM_ROOT_PORT, .bus = 9, .last_bus = 9, .has_acs = true, .acs = ACS },
	{ NULL, .kind = 0 },
};

static const struct {
	const char *name;
	const struct device *devices;
	const struct port *ports;
	uint32_t flags;
	uint32_t iommu;
} machines[] = {
	{ "vtd", side_by_side, root_only, 0, WEIR_SIM_IOMMU_PLAIN },
	{ "topology", topology, switches, 0, WEIR_SIM_IOMMU_PLAIN },
	{ "stock", side_by_side, root_only, WEIR_SIM_NO_IOMMUFD, WEIR_SIM_IOMMU_PLAIN },
	{ "noiommu-at-all", side_by_side, root_only, WEIR_SIM_NO_IOMMU, WEIR_SIM_IOMMU_PLAIN },
	{ "virtio-refused", side_by_side, root_only, WEIR_SIM_UNSAFE_IRQS, WEIR_SIM_IOMMU_PLAIN },
	{ "vtd-logging", logging, root_only, 0, WEIR_SIM_IOMMU_PLAIN },
	{ "vtd-nested", side_by_side, root_only, WEIR_SIM_DIRTY_BITS, WEIR_SIM_IOMMU_VTD },
	{ "smmuv3-nested", side_by_side, root_only, 0, WEIR_SIM_IOMMU_SMMUV3 },
	{ "nest-vtd", in_groups, root_only, WEIR_SIM_NO_5_LEVEL | WEIR_SIM_NO_1_GIB, WEIR_SIM_IOMMU_VTD },
	{ "nest-smmuv3", in_groups, root_only, 0, WEIR_SIM_IOMMU_SMMUV3 },
	{ "nest-amd", in_groups, root_only, 0, WEIR_SIM_IOMMU_AMD },
};

/* The disk image ---------------------------------------------------------------------------------------------------- */

/* In memory, and open from the beginning, so that it is none of the descriptors that a case leaves behind; nor is a file left. */
static int image = -1;
static char path_of_image[32]; /* "" until it is filled */

__attribute__((constructor)) static void create_image(void)
{
	image = memfd_create("weir-conformance-disk", MFD_CLOEXEC);
}

void sim_machine_new_image(void)
{
	int old = image;

	create_image();
	if (image < 0 || close(old))
		FAIL("the disk image: %m");
	*path_of_image = '\0';
}

/* No two of its blocks are alike. */
static void fill_block(uint64_t number, uint64_t block[BLOCK_SIZE / 8])
{
	uint64_t state = (number + 1) * 0x9e3779b97f4a7c15;

	for (size_t i = 0; i < BLOCK_SIZE / 8; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		block[i] = state;
	}
}

/* Filled once for all cases; those that write put back what was there. */
static const char *image_path(void)
{
	const size_t size = (size_t)NUM_BLOCKS * BLOCK_SIZE;
	unsigned char *disk;

	if (*path_of_image)
		return path_of_image;
	disk = ftruncate(image, (off_t)size) ? MAP_FAILED
					     : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, image, 0);
	if (disk == MAP_FAILED)
		FAIL("the disk image: %m");
	for (uint64_t i = 0; i < NUM_BLOCKS; i++)
		fill_block(i, (uint64_t *)(disk + i * BLOCK_SIZE));
	munmap(disk, size);
	snprintf(path_of_image, sizeof(path_of_image), "/proc/self/fd/%d", image);
	return path_of_image;
}

/* The machine ------------------------------------------------------------------------------------------------------- */

static void set_variable(const char *prefix, const char *name, const char *value)
{
	char variable[64];

	snprintf(variable, sizeof(variable), "%s%s", prefix, name);
	if (value)
		setenv(variable, value, 1);
	else
		unsetenv(variable);
}

static int add_edu(struct weir_sim *sim, const struct device *device, const struct weir_sim_slot *slot)
{
	struct weir_sim_edu_opts opts = WEIR_OPTS(weir_sim_edu_opts, .address_bits = device->address_bits);

	return weir_sim_add_edu(sim, &opts, slot, NULL);
}

static int add_nvme(struct weir_sim *sim, const struct device *device, const struct weir_sim_slot *slot)
{
	struct weir_sim_nvme_opts opts = WEIR_OPTS(
		weir_sim_nvme_opts, .capacity = (uint64_t)device->mib * MIB, .cmb_mib = device->cmb_mib,
		.serial = device->serial, .mdts = device->cmb_mib ? LONG_MDTS : 0);

	if (!device->mib) {
		opts.image = image_path();
		set_variable("WEIR_IMAGE_", device->name, opts.image);
	}
	return weir_sim_add_nvme(sim, &opts, slot, NULL);
}

/* With no wire. */
static int add_igb(struct weir_sim *sim, const struct weir_sim_slot *slot)
{
	return weir_sim_add_igb(sim,
				&WEIR_OPTS(weir_sim_igb_opts, .mac = { 0x52, 0x54, 0x00, 0x77, 0x65, 0x69 }),
				slot, NULL);
}

static void add_device(struct weir_sim *sim, const struct device *device)
{
	struct weir_sim_slot slot =
		WEIR_OPTS(weir_sim_slot, .address = device->address, .group = device->group,
			  .bus_group = device->bus, .pasid_bits = device->pasid_bits,
			  .iommu_unit = device->iommu_unit, .page_requests = device->page_requests,
			  .logs_dma = device->logs_dma, .migrates = device->migrates);

	set_variable("WEIR_DEVICE_", device->name, device->address);
	if (device->is_igb         ? add_igb(sim, &slot)
	    : device->address_bits ? add_edu(sim, device, &slot)
				   : add_nvme(sim, device, &slot))
		FAIL("%s: %s", device->name, weir_error());
}

static void add_port(struct weir_sim *sim, const struct port *port)
{
	struct weir_sim_slot slot = WEIR_OPTS(weir_sim_slot, .address = port->address, .group = port->group);
	struct weir_sim_port_opts opts =
		WEIR_OPTS(weir_sim_port_opts, .kind = port->kind, .bus = port->bus,
			  .last_bus = port->last_bus, .acs = port->acs, .has_acs = port->has_acs);

	if (weir_sim_add_port(sim, &opts, &slot, NULL))
		FAIL("%s: %s", port->address, weir_error());
}

static int chosen_machine(void)
{
	const char *name = getenv("WEIR_SIM_MACHINE");

	for (int i = 0; i < (int)(sizeof(machines) / sizeof(machines[0])); i++)
		if (!strcmp(machines[i].name, name ? name : "vtd"))
			return i;
	FAIL("there is no machine WEIR_SIM_MACHINE=%s", name);
}

static void close_sim(void *sim)
{
	sim_registers_end();
	if (weir_sim_close(sim))
		FAIL("weir_sim_close: %s", weir_error());
	for (const struct device *device = machines[chosen_machine()].devices; device->name; device++) {
		set_variable("WEIR_DEVICE_", device->name, NULL);
		set_variable("WEIR_IMAGE_", device->name, NULL);
	}
}

struct weir_sim *sim_machine_open(struct t *t)
{
	int chosen = chosen_machine();
	struct weir_sim *sim;

	if (weir_sim_open(&WEIR_OPTS(weir_sim_opts, .flags = machines[chosen].flags,
				     .iommu = machines[chosen].iommu),
			  &sim))
		FAIL("weir_sim_open: %s", weir_error());
	t_defer(t, close_sim, sim);
	sim->traps = true;
	for (const struct device *device = machines[chosen].devices; device->name; device++)
		add_device(sim, device);
	for (const struct port *port = machines[chosen].ports; port->address; port++)
		add_port(sim, port);
	sim_registers_begin(sim);
	if (weir_sim_start(sim))
		FAIL("weir_sim_start: %s", weir_error());
	return sim;
}

bool sim_machine_nests(const struct weir_sim *sim)
{
	return sim->iommu != WEIR_SIM_IOMMU_PLAIN;
}

bool sim_machine_is_arm(const struct weir_sim *sim)
{
	return sim->iommu == WEIR_SIM_IOMMU_SMMUV3;
}

unsigned int sim_machine_mappings(struct weir_sim *sim)
{
	unsigned int count = 0;

	if (sim_lock(sim))
		return 0;
	for (const struct sim_mapping *mapping = sim->mappings; mapping; mapping = mapping->next)
		count++;
	sim_unlock(sim);
	return count;
}
