/* SPDX-License-Identifier: MIT */
/* The configuration space: little-endian registers of 1, 2 or 4 bytes, some of which take the device's memory away. */
#ifndef WEIR_LIB_CONFIG_H
#define WEIR_LIB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_device;

enum {
	PCI_VENDOR_ID = 0x00,
	PCI_COMMAND = 0x04,
	PCI_REVISION = 0x08, /* and the class code above it */
	PCI_COMMAND_MEMORY = 1 << 1,
	PCI_COMMAND_MASTER = 1 << 2,
};

/* Where what takes the memory away is; 0: the device has none such. Guarded by the host's lock. */
struct weir_config_caps {
	bool known;
	uint8_t power;    /* the power state, bits 0 and 1 of a byte */
	uint8_t express;  /* function level reset, bit 7 */
	uint8_t features; /* likewise, bit 0 */
};

int weir_config_read16(struct weir_device *device, uint32_t offset, uint16_t *ret_value);
int weir_config_read32(struct weir_device *device, uint32_t offset, uint32_t *ret_value);

/* What COMMAND and the power state tell: WEIR_AWAY_FROM_REGISTERS. Returns 0 or an errno, without a text. The host's lock is held. */
int weir_config_look(struct weir_device *device, uint32_t *ret_seen);

/*
 * Write @len bytes at @offset, and begin and end what that takes away. The host's lock is held. Returns 0, -ENODEV or -EIO with a text.
 */
int weir_config_write(struct weir_device *device, uint64_t offset, const void *bytes, size_t len);

/* @bytes have been read at @offset: is this what the library knows of COMMAND and the power state? */
void weir_config_was_read(struct weir_device *device, uint64_t offset, const void *bytes, size_t len);

#endif
