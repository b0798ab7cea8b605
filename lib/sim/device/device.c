// SPDX-License-Identifier: MIT
/*
 * PCI functions: their groups, what opening, closing and resetting does to them, their BARs, and what models
 * may ask.
 */
#include "sim/device/dmabuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "sim/device/pci.h"
#include "sim/iommufd/ioas.h"

struct sim_group *sim_group_get(struct weir_sim *sim, uint32_t number)
{
	struct sim_group **link = &sim->groups, *group;

	while (*link && (*link)->number < number)
		link = &(*link)->next;
	if (*link && (*link)->number == number)
		return *link;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->sim = sim;
	group->number = number;
	group->next = *link;
	*link = group;
	return group;
}

struct weir_sim_device *sim_group_next(const struct sim_group *group, const struct weir_sim_device *device)
{
	struct weir_sim_device *next = device ? device->next : group->sim->devices;

	while (next && next->group != group)
		next = next->next;
	return next;
}

/* Drivers that do no DMA of their own, and VFIO's. */
static bool is_harmless(const char *driver)
{
	return !*driver || !strcmp(driver, "vfio-pci") || !strcmp(driver, "pci-stub") ||
	       !strcmp(driver, "pcieport");
}

bool sim_group_viable(const struct sim_group *group)
{
	const struct weir_sim_device *device = NULL;

	while ((device = sim_group_next(group, device)))
		if (!device->gone && !is_harmless(device->driver))
			return false;
	return true;
}

/* ---- Open, close, reset ---- */

bool sim_device_can_reset(const struct weir_sim_device *device)
{
	if (device->model->flags & WEIR_SIM_FLR)
		return true;
	if (!device->bus_group)
		return false;
	/* The kernel falls back to resetting the bus, when that hits nobody else. */
	for (const struct weir_sim_device *other = device->sim->devices; other; other = other->next)
		if (other != device && other->bus_group == device->bus_group && !other->gone)
			return false;
	return true;
}

/*
 * DMA mappings and interrupts stay as VFIO has set them up, and the kernel restores configuration space,
 * COMMAND included: after a reset a device masters the bus again if it did before (kernel-interface B.7).
 */
void sim_device_reset(struct weir_sim_device *device)
{
	if (device->caps.pm)
		device->config[device->caps.pm + PCI_PM_CONTROL] &= (unsigned char)~PCI_PM_STATE_MASK;
	device->intx_asserted = false;
	sim_migration_reset(device);
	sim_dma_bufs_revoke(device);
	sim_device_forget_asks(device);
	if (device->model->reset)
		device->model->reset(device->state);
	sim_mapping_update(device);
	sim_dma_bufs_update(device);
	sim_wake(device->sim);
}

int sim_device_opened(struct weir_sim_device *device)
{
	uint16_t command = 0;

	if (device->gone)
		return -ENODEV;
	for (unsigned int i = 0; i < 6; i++)
		if (device->bars[i].spec.len)
			command |= device->bars[i].spec.flags & WEIR_SIM_BAR_IO ? PCI_COMMAND_IO
										: PCI_COMMAND_MEMORY;
	sim_config_reset(device);
	sim_put16(device->config + PCI_COMMAND, command);
	if (sim_device_can_reset(device))
		sim_device_reset(device);
	return 0;
}

void sim_device_closed(struct weir_sim_device *device)
{
	uint16_t command = sim_get16(device->config + PCI_COMMAND);

	sim_irq_all_off(device);
	sim_doorbells_drop(device);
	sim_dma_bufs_end(device);
	sim_put16(device->config + PCI_COMMAND, command & (uint16_t)~PCI_COMMAND_MASTER);
	sim_low_power_end(device);
	sim_dirty_set(&device->log, false);
	if (device->leaves)
		device->gone = true;
	if (!device->gone && sim_device_can_reset(device))
		sim_device_reset(device);
}

bool sim_device_memory_enabled(const struct weir_sim_device *device)
{
	if (device->caps.pm &&
	    (device->config[device->caps.pm + PCI_PM_CONTROL] & PCI_PM_STATE_MASK) == PCI_PM_STATE_D3)
		return false;
	return sim_get16(device->config + PCI_COMMAND) & PCI_COMMAND_MEMORY;
}

bool sim_device_bus_master(const struct weir_sim_device *device)
{
	return sim_get16(device->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

/* ---- BARs ---- */

/* The largest naturally aligned access that begins at @offset. Ports have no 8 byte accesses. */
static unsigned int access_width(const struct weir_sim_bar *spec, uint64_t offset, size_t len)
{
	unsigned int width = spec->flags & WEIR_SIM_BAR_IO ? 4 : 8;

	while (width > len || offset % width)
		width /= 2;
	return width;
}

bool sim_msix_table(const struct weir_sim_device *device, unsigned int bar, uint64_t offset,
		    uint64_t *ret_end)
{
	uint64_t start = device->model->msix_offset;

	if (!device->model->msix_vectors || bar != device->model->msix_bar)
		return false;
	*ret_end = start + device->model->msix_vectors * UINT64_C(16);
	return offset >= start && offset < *ret_end;
}

/* The MSI-X table and its pending bits are the kernel's; the model never sees them touched. */
static bool is_msix_structure(const struct weir_sim_device *device, unsigned int bar, uint64_t offset)
{
	uint32_t vectors = device->model->msix_vectors;
	uint64_t len = vectors * UINT64_C(16) + (vectors + 63) / 64 * UINT64_C(8);

	return vectors && bar == device->model->msix_bar && offset >= device->model->msix_offset &&
	       offset - device->model->msix_offset < len;
}

static uint64_t register_read(struct weir_sim_device *device, unsigned int bar, uint64_t offset,
			      unsigned int width)
{
	if (is_msix_structure(device, bar, offset) || !device->model->read)
		return 0;
	return device->model->read(device->state, bar, offset, width);
}

static void register_write(struct weir_sim_device *device, unsigned int bar, uint64_t offset,
			   unsigned int width, uint64_t value)
{
	if (!is_msix_structure(device, bar, offset) && device->model->write)
		device->model->write(device->state, bar, offset, width, value);
}

static int check_bar(const struct weir_sim_device *device, unsigned int bar, uint64_t offset, size_t len)
{
	const struct weir_sim_bar *spec = bar < 6 ? &device->bars[bar].spec : NULL;

	if (!spec || offset > spec->len || len > spec->len - offset || device->gone)
		return -EIO;
	if (!(spec->flags & WEIR_SIM_BAR_IO))
		return sim_device_memory_enabled(device) ? 0 : -EIO;
	return sim_get16(device->config + PCI_COMMAND) & PCI_COMMAND_IO ? 0 : -EIO;
}

int sim_bar_read(struct weir_sim_device *device, unsigned int bar, uint64_t offset, void *buf, size_t len)
{
	unsigned char *to = buf;
	int error = check_bar(device, bar, offset, len);

	if (error)
		return error;
	if (device->bars[bar].ram) {
		memcpy(to, device->bars[bar].ram + offset, len);
		return 0;
	}
	while (len) {
		unsigned int width = access_width(&device->bars[bar].spec, offset, len);
		uint64_t value = htole64(register_read(device, bar, offset, width));

		memcpy(to, &value, width);
		to += width;
		offset += width;
		len -= width;
	}
	return 0;
}

int sim_bar_write(struct weir_sim_device *device, unsigned int bar, uint64_t offset, const void *buf,
		  size_t len)
{
	const unsigned char *from = buf;
	int error = check_bar(device, bar, offset, len);

	if (error)
		return error;
	if (device->bars[bar].ram) {
		memcpy(device->bars[bar].ram + offset, from, len);
		return 0;
	}
	while (len) {
		unsigned int width = access_width(&device->bars[bar].spec, offset, len);
		uint64_t value = 0;

		memcpy(&value, from, width);
		register_write(device, bar, offset, width, le64toh(value));
		from += width;
		offset += width;
		len -= width;
	}
	sim_wake(device->sim);
	return 0;
}

/* ---- What models may ask ---- */

/* A stream's own table says for each PASID (SMMUv3's substreams); else there is one for each that the kernel was given. */
static struct sim_domain *domain_for(const struct weir_sim_device *device, uint32_t pasid)
{
	struct sim_domain *domain = device->group->domain;

	if (pasid == SIM_NO_PASID ||
	    (domain && domain->stage1 && device->sim->iommu == WEIR_SIM_IOMMU_SMMUV3))
		return domain;
	return sim_pasid_domain(device->group, pasid);
}

static int device_dma(struct weir_sim_device *device, uint32_t pasid, uint64_t iova, void *buf, size_t len,
		      bool write)
{
	struct sim_domain *domain;

	if (device->gone || !sim_device_bus_master(device))
		return -EIO;
	domain = domain_for(device, pasid);
	for (uint64_t at = iova; write && device->log.on && at < iova + len;
	     at = (at / SIM_IOMMU_PAGE + 1) * SIM_IOMMU_PAGE)
		sim_dirty_mark(&device->log, at);
	if (domain) {
		bool asks = device->page_requests && domain->faults && domain->faults->file;

		return sim_domain_dma_by(domain,
					 &(struct sim_requester){ device, pasid, asks ? device : NULL }, iova,
					 buf, len, write);
	}
	sim_fault(device->sim, device, iova, write);
	return -EFAULT;
}

int weir_sim_device_dma_read(struct weir_sim_device *device, uint64_t iova, void *buf, size_t len)
{
	return device_dma(device, SIM_NO_PASID, iova, buf, len, false);
}

int weir_sim_device_dma_write(struct weir_sim_device *device, uint64_t iova, const void *buf, size_t len)
{
	return device_dma(device, SIM_NO_PASID, iova, (void *)(uintptr_t)buf, len, true);
}

int weir_sim_device_dma_pasid(struct weir_sim_device *device, uint32_t pasid, uint64_t iova, void *buf,
			      size_t len, bool write)
{
	if (!pasid || pasid >> device->pasid_bits)
		return weir_fail(-EINVAL, "%s has no PASID %u: it has %u bits of them", device->address,
				 pasid, device->pasid_bits);
	return device_dma(device, pasid, iova, buf, len, write);
}

/* A message is a write on the bus, so without bus mastering there is none. */
void weir_sim_device_msi(struct weir_sim_device *device, unsigned int vector)
{
	unsigned int index = device->irqs[ABI_VFIO_PCI_MSIX_IRQ_INDEX].count ? ABI_VFIO_PCI_MSIX_IRQ_INDEX
									     : ABI_VFIO_PCI_MSI_IRQ_INDEX;

	if (device->gone || !sim_device_bus_master(device))
		return;
	if (device->lost_irqs) {
		device->lost_irqs--;
		return;
	}
	if (sim_domain_interrupts(device->group->domain,
				  &(struct sim_requester){ device, SIM_NO_PASID, NULL }))
		sim_irq_signal(device, index, vector);
}

void weir_sim_device_intx(struct weir_sim_device *device, bool asserted)
{
	bool rises = asserted && !device->intx_asserted;

	device->intx_asserted = asserted;
	if (rises && device->lost_irqs) {
		device->lost_irqs--;
		return;
	}
	sim_irq_intx(device);
}

void *weir_sim_device_ram(struct weir_sim_device *device, unsigned int bar)
{
	return bar < 6 ? device->bars[bar].ram : NULL;
}
