/* SPDX-License-Identifier: MIT */
/* DMA by a device that does nothing else: edu copies between memory and a buffer of its own. */
#ifndef TESTS_CONFORMANCE_DMA_H
#define TESTS_CONFORMANCE_DMA_H

#include "conformance/fixture.h"

#include <edu/edu.h>

/* The edu called @name, opened into @ioas with its driver. @flags: EDU_INTERRUPTS or 0. */
struct edu *new_edu(struct t *t, struct weir_ioas *ioas, const char *name, uint32_t flags);

/* The device behind it. */
struct weir_device *device_of(struct t *t, struct edu *edu);

/*
 * Have the device read @len bytes at @iova, and see whether they are those at @expected: a positive control reads memory that is
 * known to be reachable. True if they arrived.
 */
bool dma_reads(struct t *t, struct edu *edu, uint64_t iova, const void *expected, size_t len);

/* Have the device write @len bytes of @fill at @iova. Whether they arrived is seen in the memory. */
void dma_writes(struct t *t, struct edu *edu, uint64_t iova, unsigned char fill, size_t len);

/* Are @len bytes at @addr all @fill? */
bool all_bytes(const void *addr, unsigned char fill, size_t len);

/* Remember where the kernel's log is, and then: has it reported an IOMMU fault since? */
void faults_begin(struct t *t);
bool faults_reported(struct t *t);

#endif
