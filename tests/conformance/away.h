/* SPDX-License-Identifier: MIT */
/* For the cases about a device's memory that is away: its registers, and what happens to it behind the library's back. */
#ifndef TESTS_CONFORMANCE_AWAY_H
#define TESTS_CONFORMANCE_AWAY_H

#include "conformance/fixture.h"

/* Offsets that both edu and nvme have: a register that never changes, and is not all ones. */
enum { SOME_REGISTER = 0, PCI_COMMAND_OFFSET = 4 };

/* BAR 0, mapped; the address of its registers. */
struct weir_region *mapped_bar(struct t *t, struct weir_device *device, unsigned char **ret_registers);

struct weir_region *config_of(struct t *t, struct weir_device *device);

/* The offset of a capability by its id; fails the case when the device has none such. */
uint32_t find_capability(struct t *t, struct weir_device *device, uint8_t id);

/* Past the library, by the device's descriptor. */
void set_memory_past(struct t *t, struct weir_device *device, bool enable);
int past_the_library(struct t *t, struct weir_device *device, unsigned long request, void *arg);

/* Installed until the case ends. */
void guarded(struct t *t);

/* Does a plain load at @at raise SIGBUS, and get to a handler that was there before? */
bool raises_sigbus(const volatile void *at);

/* Handle SIGBUS until the case ends, for raises_sigbus(); whoever wants the guard above it installs that after this. */
void catch_sigbus(struct t *t);

#endif
