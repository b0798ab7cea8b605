/* SPDX-License-Identifier: MIT */
/* A device, as the files of this folder and the floors above see it. */
#ifndef WEIR_LIB_DEVICE_H
#define WEIR_LIB_DEVICE_H

#include <weir/irq.h>
#include <weir/region.h>

#include "ioas/ioas.h"

enum { WEIR_NUM_IRQ_KINDS = WEIR_IRQ_REQ + 1 };

struct weir_device {
	struct weir_host *host;
	struct weir_ioas *ioas;         /* guarded by the host's lock */
	struct weir_function *function; /* the backend's part of it */
	uint32_t address_bits;
	uint32_t flags; /* ABI_VFIO_DEVICE_FLAGS_... */
	uint32_t num_regions;

	/* Guards what follows; taken after the host's lock. */
	pthread_mutex_t lock;
	struct weir_region **regions;              /* num_regions of them, each NULL until first asked for */
	struct weir_irq *irqs[WEIR_NUM_IRQ_KINDS]; /* those enabled */
};

static inline const struct weir_sys *weir_device_sys(const struct weir_device *device)
{
	return device->host->kernel.sys;
}

/* region.c and irq.c: let go of everything, at close; the first error. */
int weir_device_drop_regions(struct weir_device *device);
int weir_device_drop_irqs(struct weir_device *device);

/* region.c: the configuration space, little-endian registers of 1, 2 or 4 bytes. */
int weir_config_read16(struct weir_device *device, uint32_t offset, uint16_t *ret_value);
int weir_config_read32(struct weir_device *device, uint32_t offset, uint32_t *ret_value);
int weir_config_write16(struct weir_device *device, uint32_t offset, uint16_t value);

#endif
