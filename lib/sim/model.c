// SPDX-License-Identifier: MIT
/* What models and tests may do with a device, and what has become of its DMA. */
#include <errno.h>
#include <string.h>

#include "kernel/sysfs.h"
#include "sim/device/dmabuf.h"
#include "sim/device/pci.h"

const char *weir_sim_device_address(const struct weir_sim_device *device)
{
	return device->address;
}

struct weir_sim_device *weir_sim_find(struct weir_sim *sim, const char *address)
{
	char wanted[WEIR_PCI_ADDRESS_SIZE];
	struct weir_sim_device *device;

	if (weir_pci_address(address, wanted) || sim_lock(sim))
		return NULL;
	device = sim->devices;
	while (device && strcmp(device->address, wanted) != 0)
		device = device->next;
	sim_unlock(sim);
	return device;
}

/* Faults --------------------------------------------------------------------------------------------------------- */

uint64_t weir_sim_num_faults(struct weir_sim *sim)
{
	uint64_t count;

	if (sim_lock(sim))
		return 0;
	count = sim->faults.count;
	sim_unlock(sim);
	return count;
}

size_t weir_sim_faults(struct weir_sim *sim, struct weir_sim_fault *ret_faults, size_t room)
{
	enum { KEPT = sizeof(sim->faults.ring) / sizeof(sim->faults.ring[0]) };
	size_t num;

	if (sim_lock(sim))
		return 0;
	num = sim->faults.count < KEPT ? (size_t)sim->faults.count : KEPT;
	if (num > room)
		num = room;
	for (size_t i = 0; i < num; i++)
		ret_faults[i] = sim->faults.ring[(sim->faults.count - num + i) % KEPT];
	sim_unlock(sim);
	return num;
}

/* Trouble -------------------------------------------------------------------------------------------------------- */

void weir_sim_unplug(struct weir_sim_device *device, bool gone)
{
	struct weir_sim *sim = device->sim;

	if (sim_lock(sim))
		return;
	sim_irq_signal(device, ABI_VFIO_PCI_REQ_IRQ_INDEX, 0);
	device->leaves = true;
	if (gone) {
		device->gone = true;
		sim_mapping_update(device);
		sim_dma_bufs_revoke(device);
	}
	sim_devices_settle(sim);
	sim_unlock(sim);
}

void weir_sim_report_error(struct weir_sim_device *device)
{
	if (sim_lock(device->sim))
		return;
	sim_irq_signal(device, ABI_VFIO_PCI_ERR_IRQ_INDEX, 0);
	sim_unlock(device->sim);
}

void weir_sim_set_memory(struct weir_sim_device *device, bool enabled)
{
	unsigned char command[2];

	if (sim_lock(device->sim))
		return;
	sim_put16(command, sim_get16(device->config + PCI_COMMAND) & (uint16_t)~PCI_COMMAND_MEMORY);
	if (enabled)
		command[0] |= PCI_COMMAND_MEMORY;
	sim_config_write(device, command, sizeof(command), PCI_COMMAND);
	sim_unlock(device->sim);
}

void weir_sim_hang(struct weir_sim_device *device, bool hangs)
{
	if (sim_lock(device->sim))
		return;
	device->hangs = hangs;
	sim_wake(device->sim);
	sim_unlock(device->sim);
}

void weir_sim_lose_irqs(struct weir_sim_device *device, uint32_t n)
{
	if (sim_lock(device->sim))
		return;
	device->lost_irqs = n;
	sim_unlock(device->sim);
}
