/* SPDX-License-Identifier: MIT */
/* Which driver has a device. As the kernel's driver core: a device is given to a driver that matches it, or by driver_override. */
#ifndef WEIR_SIM_BIND_H
#define WEIR_SIM_BIND_H

#include "sim/device/device.h"

enum { SIM_DRIVER_SIZE = 32 };

/* The machine's drivers, in turn: the name of the one after @name ("": the first). False: there is no more. */
bool sim_driver_next(const struct weir_sim *sim, const char *name, char ret_name[SIM_DRIVER_SIZE]);

/* What is done by writing into a driver's bind and unbind: 0; -ENODEV: it does not match, or has another; -EBUSY. */
int sim_driver_bind(struct weir_sim_device *device, const char *driver);
int sim_driver_unbind(struct weir_sim_device *device, const char *driver);

/* drivers_probe: give it to a driver that matches it, if there is one and it has none. */
void sim_driver_probe(struct weir_sim_device *device);

/* Bind without asking, as when the machine starts; and let go. */
void sim_driver_attach(struct weir_sim_device *device, const char *driver);
void sim_driver_detach(struct weir_sim_device *device);

/* Is it held open by a program? */
bool sim_device_in_use(const struct weir_sim_device *device);

#endif
