/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says of DMA that its IOMMU blocked.
 *
 * Two witnesses. The count of the IOMMUs' fault interrupts is exact but says nothing else (capability FAULT_COUNT). The
 * kernel's log says which device, which way and where, but only for the first few faults of every 5 s (KERNEL_LOG). A simulated
 * machine is both of them itself.
 */
#ifndef TESTS_CONFORMANCE_FAULTS_H
#define TESTS_CONFORMANCE_FAULTS_H

#include <stdbool.h>

struct t;

/* Does the kernel count fault interrupts here? */
bool faults_counted(void);

/* Remember the count, and then: has there been a fault since? Waits for one for a second. */
void faults_begin(struct t *t);
bool faults_reported(struct t *t);

/* Can the log be read? */
bool log_readable(void);

/* From here on look at the kernel's log, and then: is there a new line that contains all of these (NULL ends them)? */
void log_begin(struct t *t);
bool log_shows(struct t *t, const char *const *words);

#endif
