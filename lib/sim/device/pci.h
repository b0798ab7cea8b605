/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space: the offsets and bits that the simulated machine gives a meaning to, and access to
 * its little-endian fields.
 */
#ifndef WEIR_SIM_PCI_H
#define WEIR_SIM_PCI_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

enum {
	PCI_VENDOR_ID = 0x00,
	PCI_DEVICE_ID = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_CLASS = 0x08, /* revision, programming interface, subclass, base class */
	PCI_CACHE_LINE = 0x0c,
	PCI_LATENCY = 0x0d,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_PRIMARY_BUS = 0x18, /* this and the next two: of a bridge */
	PCI_SECONDARY_BUS = 0x19,
	PCI_SUBORDINATE_BUS = 0x1a,
	PCI_SUBSYSTEM_VENDOR = 0x2c,
	PCI_SUBSYSTEM = 0x2e,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
	PCI_FIRST_CAPABILITY = 0x40,

	PCI_HEADER_BRIDGE = 1,
	PCI_COMMAND_IO = 1 << 0,
	PCI_COMMAND_MEMORY = 1 << 1,
	PCI_COMMAND_MASTER = 1 << 2,
	PCI_COMMAND_PARITY = 1 << 6,
	PCI_COMMAND_SERR = 1 << 8,
	PCI_COMMAND_INTX_DISABLE = 1 << 10,
	PCI_STATUS_INTERRUPT = 1 << 3,
	PCI_STATUS_CAPABILITIES = 1 << 4,

	PCI_BAR_IO = 1 << 0,
	PCI_BAR_64BIT = 1 << 2,
	PCI_BAR_PREFETCHABLE = 1 << 3,
};

/* Capabilities: each begins with its id and the offset of the next. */
enum {
	PCI_CAP_PM = 0x01,
	PCI_PM_SIZE = 8,
	PCI_PM_CAPABILITIES = 2,
	PCI_PM_CONTROL = 4,
	PCI_PM_STATE_MASK = 3,
	PCI_PM_STATE_D3 = 3,
	PCI_PM_NO_SOFT_RESET = 1 << 3,

	PCI_CAP_MSI = 0x05,
	PCI_MSI_SIZE = 14, /* with a 64-bit address, without masks */
	PCI_MSI_CONTROL = 2,
	PCI_MSI_ADDRESS = 4,
	PCI_MSI_DATA = 12,
	PCI_MSI_ENABLE = 1 << 0,
	PCI_MSI_CAPABLE_SHIFT = 1,
	PCI_MSI_ENABLED_SHIFT = 4,
	PCI_MSI_64BIT = 1 << 7,

	PCI_CAP_EXPRESS = 0x10,
	PCI_EXPRESS_SIZE = 0x3c,
	PCI_EXPRESS_TYPE = 2,
	PCI_EXPRESS_DEVICE_CAPABILITIES = 4,
	PCI_EXPRESS_DEVICE_CONTROL = 8,
	PCI_EXPRESS_LINK_CAPABILITIES = 0x0c,
	PCI_EXPRESS_LINK_STATUS = 0x12,
	PCI_EXPRESS_DEVICE_CONTROL2 = 0x28,
	PCI_EXPRESS_RESETS = 1 << 28,         /* device capabilities: function level reset */
	PCI_EXPRESS_FUNCTION_RESET = 1 << 15, /* device control */

	PCI_CAP_MSIX = 0x11,
	PCI_MSIX_SIZE = 12,
	PCI_MSIX_CONTROL = 2,
	PCI_MSIX_TABLE = 4,
	PCI_MSIX_PENDING = 8,
	PCI_MSIX_ENABLE = 1 << 15,

	PCI_CAP_FEATURES = 0x13, /* "advanced features": how conventional PCI functions are reset */
	PCI_FEATURES_SIZE = 6,
	PCI_FEATURES_CAPABILITIES = 3,
	PCI_FEATURES_CONTROL = 4,
	PCI_FEATURES_PENDING = 1 << 0,
	PCI_FEATURES_RESETS = 1 << 1,
	PCI_FEATURES_FUNCTION_RESET = 1 << 0,
};

/* In extended space, from 0x100: a 32-bit header with id, version and the offset of the next. */
enum {
	PCI_EXTENDED = 0x100,
	PCI_EXT_CAP_AER = 0x0001,
	PCI_EXT_CAP_ATS = 0x000f,
	PCI_EXT_CAP_PRI = 0x0013,
	PCI_ATS = 0x148, /* where they are, in a device that has them */
	PCI_PRI = 0x150,
	PCI_AER_SIZE = 0x48,
	PCI_EXT_CAP_ACS = 0x000d,
};

static inline uint16_t sim_get16(const unsigned char *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return le16toh(value);
}

static inline uint32_t sim_get32(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static inline void sim_put16(unsigned char *at, uint16_t value)
{
	value = htole16(value);
	memcpy(at, &value, sizeof(value));
}

static inline void sim_put32(unsigned char *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

#endif
