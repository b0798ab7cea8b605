/* SPDX-License-Identifier: MIT */
/* A device, as the files of this folder and the floors above see it. */
#ifndef WEIR_LIB_DEVICE_H
#define WEIR_LIB_DEVICE_H

#include <stdatomic.h>

#include <weir/irq.h>
#include <weir/region.h>

#include "device/away.h"
#include "device/config.h"
#include "ioas/ioas.h"

enum { WEIR_NUM_IRQ_KINDS = WEIR_IRQ_REQ + 1 };

struct weir_device {
	struct weir_host *host;
	struct weir_function *function; /* the backend's part of it */
	uint32_t address_bits;
	uint32_t flags; /* ABI_VFIO_DEVICE_FLAGS_... */
	uint32_t num_regions;

	_Atomic uint32_t away; /* WEIR_AWAY_...; written with the host's lock and the device's, by away.c */
	struct weir_config_caps config_caps; /* guarded by the host's lock */
	_Atomic uint8_t power_at;            /* config_caps.power, for those without the lock */

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

/* device.c: an open function that was handed over, in @ioas; and let go of, with all there is of it, for it is somebody else's. The host's lock is held. */
int weir_device_adopt(struct weir_ioas *ioas, struct weir_function *function, uint32_t address_bits,
		      struct weir_device **ret_device);
void weir_device_let_go(struct weir_device *device);

/* migration.c: its state is being read, or written, through a stream. */
bool weir_device_migrates(struct weir_device *device);

/* irq.c: the same of interrupts, which get their descriptors one by one. -EPROTO, -ENOMEM, with texts. */
int weir_irq_adopt(struct weir_device *device, enum weir_irq_kind kind, uint32_t count, uint32_t number,
		   struct weir_irq **ret_irq);
void weir_irq_adopt_fd(struct weir_irq *irq, int fd);
void weir_device_let_go_irqs(struct weir_device *device);

/* region.c: accessors follow whether the device's memory is away. The device's lock is held. */
void weir_device_open_or_shut_regions(struct weir_device *device);

/* irq.c: is a REQ event waiting to be taken? Returns 0 or an errno with a text. */
int weir_device_is_requested(struct weir_device *device, bool *ret_requested);

#endif
