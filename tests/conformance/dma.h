/* SPDX-License-Identifier: MIT */
/*
 * DMA by a device that does nothing else: edu copies between memory and a buffer of its own.
 *
 * Each copy takes it a tenth of a second, whatever the length, so cases are sparing with them: the comments below say how many
 * it takes. What the device's buffer holds is remembered from one call to the next.
 */
#ifndef TESTS_CONFORMANCE_DMA_H
#define TESTS_CONFORMANCE_DMA_H

#include "conformance/faults.h"
#include "conformance/fixture.h"

#include <edu/edu.h>

/* How many address bits the edus are opened with: EDU1 is as QEMU makes it, EDU0 as most simple devices are. */
enum { EDU0_BITS = 32, EDU1_BITS = 28 };

/* The edu called @name, opened into @ioas with its driver. @flags: EDU_INTERRUPTS or 0. */
struct edu *new_edu(struct t *t, struct weir_ioas *ioas, const char *name, uint32_t flags);

/* The same with another number of address bits; not more than the device has. */
struct edu *new_edu_with_bits(struct t *t, struct weir_ioas *ioas, const char *name, uint32_t address_bits);

/* Where the device reaches the page through which its buffer is filled and looked at: EDU_BUFFER_SIZE bytes. */
uint64_t dma_window(struct t *t, struct edu *edu);

/* The device behind it. */
struct weir_device *device_of(struct t *t, struct edu *edu);

/*
 * Have the device read @len bytes at @iova, and see whether they are those at @expected: a positive control reads memory that is
 * known to be reachable. True if they arrived. Two or three copies.
 */
bool dma_reads(struct t *t, struct edu *edu, uint64_t iova, const void *expected, size_t len);

/* Have the device write @len bytes of @fill at @iova. Whether they arrived is seen in the memory. One or two copies. */
void dma_writes(struct t *t, struct edu *edu, uint64_t iova, unsigned char fill, size_t len);

/*
 * Have @num_edus devices, each in its turn and all at the same time, read @len bytes at each of @num addresses: of the first address by the first device.
 * What they find is in @ret_bytes, @len bytes for each address; where nothing arrived, no two bytes beside each other are equal. All of one device's
 * have room in its buffer. Two copies, and one for each address of a device.
 */
void dma_gather(struct t *t, struct edu *const *edus, uint32_t num_edus, const uint64_t *iovas, uint32_t num,
		uint32_t len, unsigned char *ret_bytes);

/* Are @len bytes at @addr all @fill? */
bool all_bytes(const void *addr, unsigned char fill, size_t len);

/* Can the device read and write the @len bytes at @memory through @iova? They are overwritten. Three copies or four. */
bool dma_reaches(struct t *t, struct edu *edu, uint64_t iova, void *memory, size_t len);

/*
 * Is the device kept from writing (reading) the @len bytes at @memory through @iova, and did the IOMMU report a fault? @memory
 * is overwritten. NEEDS(FAULT_COUNT). One or two copies (two or three).
 */
bool dma_write_blocked(struct t *t, struct edu *edu, uint64_t iova, void *memory, size_t len);
bool dma_read_blocked(struct t *t, struct edu *edu, uint64_t iova, void *memory, size_t len);

/* As dma_write_blocked(), where nobody need be told: an SMMUv3 has no event for a device whose stream table entry aborts. */
bool dma_write_stopped(struct t *t, struct edu *edu, uint64_t iova, void *memory, size_t len);

#endif
