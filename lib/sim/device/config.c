// SPDX-License-Identifier: MIT
/*
 * Configuration space, as VFIO shows it: a mixture of the device's own and of what the kernel keeps for
 * itself (kernel-interface B.4).
 *
 * COMMAND is real, but for its INTx bit, which stands for a mask; BARs hold what was written to them and move
 * nothing; MSI can be enabled here only after SET_IRQS has done it, MSI-X not at all; a function reset asked
 * for here is done by the kernel.
 */
#include "sim/device/dmabuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sim/device/pci.h"
#include "sim/user.h"

struct sim_bdf sim_device_bdf(const struct weir_sim_device *device)
{
	unsigned int segment = 0, bus = 0, slot = 0, function = 0;

	sscanf(device->address, "%x:%x:%x.%x", &segment, &bus, &slot, &function);
	return (struct sim_bdf){ (uint16_t)segment, (uint8_t)bus, (uint8_t)(slot << 3 | function) };
}

/* ---- What a model's space looks like ---- */

static void set16(struct weir_sim_device *device, unsigned int offset, uint16_t value, uint16_t writable)
{
	sim_put16(device->config + offset, value);
	sim_put16(device->config_writable + offset, writable);
}

static void set32(struct weir_sim_device *device, unsigned int offset, uint32_t value, uint32_t writable)
{
	sim_put32(device->config + offset, value);
	sim_put32(device->config_writable + offset, writable);
}

static void make_header(struct weir_sim_device *device)
{
	const struct weir_sim_model *model = device->model;

	set16(device, PCI_VENDOR_ID, model->vendor_id, 0);
	set16(device, PCI_DEVICE_ID, model->device_id, 0);
	set16(device, PCI_SUBSYSTEM_VENDOR, model->vendor_id, 0);
	set16(device, PCI_SUBSYSTEM, model->device_id, 0);
	set32(device, PCI_CLASS, model->class_code << 8, 0);
	set16(device, PCI_COMMAND, 0,
	      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
		      PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	device->config_writable[PCI_CACHE_LINE] = 0xff;
	device->config_writable[PCI_LATENCY] = model->flags & WEIR_SIM_PCIE ? 0 : 0xff;
	if (model->flags & WEIR_SIM_INTX) {
		device->config[PCI_INTERRUPT_PIN] = 1;
		device->config[PCI_INTERRUPT_LINE] = 11;
	}
	device->config_writable[PCI_INTERRUPT_LINE] = 0xff;
}

/* Somewhere for each BAR to lie, aligned to its size; nothing depends on where. */
static uint64_t bar_address(const struct weir_sim_device *device, unsigned int bar)
{
	const struct weir_sim_bar *spec = &device->bars[bar].spec;
	struct sim_bdf bdf = sim_device_bdf(device);
	uint64_t address;

	if (spec->flags & WEIR_SIM_BAR_IO)
		address = 0x8000 + (bdf.devfn * 8u + bar) * 16;
	else if (spec->flags & WEIR_SIM_BAR_64BIT)
		address = (UINT64_C(1) << 46) + ((uint64_t)((bdf.bus << 8 | bdf.devfn) * 8u + bar) << 30);
	else
		address = 0x80000000 + ((bdf.devfn * 8u + bar) << 20);
	return address & ~(spec->len - 1);
}

static void make_bars(struct weir_sim_device *device)
{
	for (unsigned int i = 0; i < 6; i++) {
		const struct weir_sim_bar *spec = &device->bars[i].spec;
		uint64_t address, writable = ~(spec->len - 1);
		uint32_t kind = 0;

		if (!spec->len)
			continue;
		address = bar_address(device, i);
		if (spec->flags & WEIR_SIM_BAR_IO)
			kind = PCI_BAR_IO;
		if (spec->flags & WEIR_SIM_BAR_64BIT)
			kind |= PCI_BAR_64BIT;
		if (spec->flags & WEIR_SIM_BAR_PREFETCHABLE)
			kind |= PCI_BAR_PREFETCHABLE;
		set32(device, PCI_BAR0 + 4 * i, (uint32_t)address | kind, (uint32_t)writable);
		if (spec->flags & WEIR_SIM_BAR_64BIT && i < 5) {
			i++;
			set32(device, PCI_BAR0 + 4 * i, (uint32_t)(address >> 32),
			      (uint32_t)(writable >> 32));
		}
	}
}

/* Where the next capability goes; the chain's last link points there. */
struct chain {
	struct weir_sim_device *device;
	unsigned int link, free;
};

static uint8_t add_capability(struct chain *chain, uint8_t id, unsigned int size)
{
	unsigned char *config = chain->device->config;
	unsigned int at = chain->free;

	config[chain->link] = (unsigned char)at;
	config[at] = id;
	chain->link = at + 1;
	chain->free = (at + size + 3) & ~3u;
	return (uint8_t)at;
}

static void add_pm(struct chain *chain)
{
	struct weir_sim_device *device = chain->device;
	unsigned int at = add_capability(chain, PCI_CAP_PM, PCI_PM_SIZE);

	device->caps.pm = (uint8_t)at;
	set16(device, at + PCI_PM_CAPABILITIES, 3, 0);
	/* D3hot and back is no reset of this device, so it is none of the kernel's reset methods. */
	set16(device, at + PCI_PM_CONTROL, PCI_PM_NO_SOFT_RESET, PCI_PM_STATE_MASK);
}

static void add_express(struct chain *chain)
{
	struct weir_sim_device *device = chain->device;
	unsigned int at = add_capability(chain, PCI_CAP_EXPRESS, PCI_EXPRESS_SIZE);
	bool on_root_bus = !device->bus_group; /* an integrated endpoint: no link, no bus reset */
	uint32_t capabilities = 1 << 15;

	device->caps.express = (uint8_t)at;
	if (device->model->flags & WEIR_SIM_FLR)
		capabilities |= PCI_EXPRESS_RESETS;
	set16(device, at + PCI_EXPRESS_TYPE, (uint16_t)(2 | (on_root_bus ? 9 : 0) << 4), 0);
	set32(device, at + PCI_EXPRESS_DEVICE_CAPABILITIES, capabilities, 0);
	set16(device, at + PCI_EXPRESS_DEVICE_CONTROL, 0x2810, 0xfdff);
	set16(device, at + PCI_EXPRESS_DEVICE_CONTROL2, 0, 0x1f);
	if (!on_root_bus) {
		set32(device, at + PCI_EXPRESS_LINK_CAPABILITIES, 0x11, 0);
		set16(device, at + PCI_EXPRESS_LINK_STATUS, 0x11, 0);
	}
}

static unsigned int log2_of(uint32_t number)
{
	return number ? 31u - (unsigned int)__builtin_clz(number) : 0;
}

static void add_msi(struct chain *chain)
{
	struct weir_sim_device *device = chain->device;
	unsigned int at = add_capability(chain, PCI_CAP_MSI, PCI_MSI_SIZE);
	unsigned int capable = log2_of(device->model->msi_vectors);

	device->caps.msi = (uint8_t)at;
	/* The low byte takes any value, even where it says what the device is capable of. */
	set16(device, at + PCI_MSI_CONTROL, (uint16_t)(PCI_MSI_64BIT | capable << PCI_MSI_CAPABLE_SHIFT),
	      0xff);
	/* Address and data are kept for who reads them back; the kernel has put in its own. */
	set32(device, at + PCI_MSI_ADDRESS, 0, 0xffffffff);
	set32(device, at + PCI_MSI_ADDRESS + 4, 0, 0xffffffff);
	set16(device, at + PCI_MSI_DATA, 0, 0xffff);
}

static void add_msix(struct chain *chain)
{
	struct weir_sim_device *device = chain->device;
	const struct weir_sim_model *model = device->model;
	unsigned int at = add_capability(chain, PCI_CAP_MSIX, PCI_MSIX_SIZE);

	device->caps.msix = (uint8_t)at;
	set16(device, at + PCI_MSIX_CONTROL, (uint16_t)(model->msix_vectors - 1), 0);
	set32(device, at + PCI_MSIX_TABLE, model->msix_offset | model->msix_bar, 0);
	set32(device, at + PCI_MSIX_PENDING,
	      (model->msix_offset + model->msix_vectors * 16) | model->msix_bar, 0);
}

static void add_features(struct chain *chain)
{
	struct weir_sim_device *device = chain->device;
	unsigned int at = add_capability(chain, PCI_CAP_FEATURES, PCI_FEATURES_SIZE);

	device->caps.features = (uint8_t)at;
	device->config[at + 2] = PCI_FEATURES_SIZE;
	device->config[at + PCI_FEATURES_CAPABILITIES] = PCI_FEATURES_PENDING | PCI_FEATURES_RESETS;
	device->config_writable[at + PCI_FEATURES_CONTROL] = PCI_FEATURES_FUNCTION_RESET;
}

/* Error reporting: the masks and severities as after reset. */
static void make_extended(struct weir_sim_device *device)
{
	set32(device, PCI_EXTENDED, PCI_EXT_CAP_AER | 2 << 16, 0);
	set32(device, PCI_EXTENDED + 0x08, 0, 0x0047f030);
	set32(device, PCI_EXTENDED + 0x0c, 0x00462030, 0x0047f030);
	set32(device, PCI_EXTENDED + 0x14, 0x2000, 0x31c1);
	if (!device->page_requests)
		return;
	/* Both are the IOMMU driver's, and cannot be written: on, with 32 requests at a time. */
	set32(device, PCI_EXTENDED, PCI_EXT_CAP_AER | 2 << 16 | PCI_ATS << 20, 0);
	set32(device, PCI_ATS, PCI_EXT_CAP_ATS | 1 << 16 | PCI_PRI << 20, 0);
	set32(device, PCI_ATS + 0x04, 1u << 31, 0);
	set32(device, PCI_PRI, PCI_EXT_CAP_PRI | 1 << 16, 0);
	set32(device, PCI_PRI + 0x04, 1, 0);
	set32(device, PCI_PRI + 0x08, SIM_MOST_ASKS, 0);
	set32(device, PCI_PRI + 0x0c, SIM_MOST_ASKS, 0);
}

int sim_config_make(struct weir_sim_device *device)
{
	const struct weir_sim_model *model = device->model;
	struct chain chain = { device, PCI_CAPABILITIES, PCI_FIRST_CAPABILITY };

	memset(device->config, 0, sizeof(device->config));
	memset(device->config_writable, 0, sizeof(device->config_writable));
	memset(&device->caps, 0, sizeof(device->caps));
	make_header(device);
	make_bars(device);
	if (model->flags & WEIR_SIM_PCIE) {
		add_pm(&chain);
		add_express(&chain);
		make_extended(device);
	}
	if (model->msi_vectors)
		add_msi(&chain);
	if (model->msix_vectors)
		add_msix(&chain);
	if (model->flags & WEIR_SIM_FLR && !(model->flags & WEIR_SIM_PCIE))
		add_features(&chain);
	if (chain.link != PCI_CAPABILITIES)
		set16(device, PCI_STATUS, PCI_STATUS_CAPABILITIES, 0);
	return 0;
}

void sim_config_reset(struct weir_sim_device *device)
{
	sim_config_make(device);
}

/* ---- Accesses ---- */

static unsigned int config_size(const struct weir_sim_device *device)
{
	return device->model->flags & WEIR_SIM_PCIE ? SIM_CONFIG_SIZE : SIM_CONFIG_SIZE_PCI;
}

/* The kernel says -EFAULT for what lies outside, wholly or in part. */
static int check_range(const struct weir_sim_device *device, size_t len, uint64_t offset)
{
	return offset >= config_size(device) || len > config_size(device) - offset ? -EFAULT : 0;
}

ssize_t sim_config_read(struct weir_sim_device *device, void *buf, size_t len, uint64_t offset)
{
	unsigned char bytes[SIM_CONFIG_SIZE];
	int error = check_range(device, len, offset);

	if (error)
		return error;
	memcpy(bytes, device->config, sizeof(bytes));
	if (device->intx_asserted)
		bytes[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	if (device->gone)
		memset(bytes, 0xff, sizeof(bytes));
	error = sim_copy_out(device->sim, (uintptr_t)buf, bytes + offset, len);
	return error ? error : (ssize_t)len;
}

static void command_written(struct weir_sim_device *device, uint16_t old)
{
	uint16_t command = sim_get16(device->config + PCI_COMMAND);
	struct sim_irq_index *intx = &device->irqs[ABI_VFIO_PCI_INTX_IRQ_INDEX];

	/* The bit stands for VFIO's own mask, and clearing it lifts that, whoever set it. */
	if ((command ^ old) & PCI_COMMAND_INTX_DISABLE)
		intx->masked = command & PCI_COMMAND_INTX_DISABLE;
	sim_irq_intx(device);
	sim_mapping_update(device);
	sim_dma_bufs_update(device);
	sim_wake(device->sim);
}

static void msi_written(struct weir_sim_device *device)
{
	unsigned char *at = device->config + device->caps.msi + PCI_MSI_CONTROL;
	uint32_t count = device->irqs[ABI_VFIO_PCI_MSI_IRQ_INDEX].count;
	unsigned int control = sim_get16(at), most = count ? log2_of(2 * count - 1) : 0;

	/* No more vectors than SET_IRQS has enabled. */
	if (!count)
		control &= ~(unsigned int)PCI_MSI_ENABLE;
	if ((control >> PCI_MSI_ENABLED_SHIFT & 7) > most)
		control = (control & ~(7u << PCI_MSI_ENABLED_SHIFT)) | most << PCI_MSI_ENABLED_SHIFT;
	sim_put16(at, (uint16_t)control);
}

/* A function reset asked for by a bit that always reads as zero. */
static void reset_written(struct weir_sim_device *device)
{
	unsigned char *features = device->config + device->caps.features + PCI_FEATURES_CONTROL;
	unsigned char *express = device->config + device->caps.express + PCI_EXPRESS_DEVICE_CONTROL;
	bool asked = false;

	if (device->caps.express && sim_get16(express) & PCI_EXPRESS_FUNCTION_RESET) {
		sim_put16(express, sim_get16(express) & (uint16_t)~PCI_EXPRESS_FUNCTION_RESET);
		asked = true;
	}
	if (device->caps.features && *features & PCI_FEATURES_FUNCTION_RESET) {
		*features = 0;
		asked = true;
	}
	if (asked && device->model->flags & WEIR_SIM_FLR)
		sim_device_reset(device);
}

static bool meets(uint64_t offset, size_t len, unsigned int field, unsigned int size)
{
	return offset < field + size && field < offset + len;
}

/* One access to at most a dword. */
static void write_part(struct weir_sim_device *device, uint64_t offset, const unsigned char *bytes,
		       size_t len)
{
	uint16_t command = sim_get16(device->config + PCI_COMMAND);

	for (size_t i = 0; i < len; i++) {
		unsigned char writable = device->config_writable[offset + i];
		unsigned char *to = &device->config[offset + i];

		*to = (unsigned char)((*to & ~writable) | (bytes[i] & writable));
	}
	if (meets(offset, len, PCI_COMMAND, 2))
		command_written(device, command);
	if (device->caps.msi && meets(offset, len, device->caps.msi + PCI_MSI_CONTROL, 2))
		msi_written(device);
	if (device->caps.pm && meets(offset, len, device->caps.pm + PCI_PM_CONTROL, 1)) {
		sim_mapping_update(device);
		sim_dma_bufs_update(device);
	}
	reset_written(device);
}

ssize_t sim_config_write(struct weir_sim_device *device, const void *buf, size_t len, uint64_t offset)
{
	unsigned char bytes[SIM_CONFIG_SIZE];
	int error = check_range(device, len, offset);

	if (!error)
		error = sim_copy_in(bytes, (uintptr_t)buf, len);
	if (error)
		return error;
	for (size_t done = 0, part; done < len && !device->gone; done += part) {
		part = 4 - (offset + done) % 4;
		if (part > len - done)
			part = len - done;
		write_part(device, offset + done, bytes + done, part);
	}
	return (ssize_t)len;
}
