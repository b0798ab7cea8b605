/* SPDX-License-Identifier: MIT */
/*
 * Memory shared with a device: order and single accesses. Internal to drivers/.
 */
#ifndef DRIVERS_COMMON_IO_H
#define DRIVERS_COMMON_IO_H

#include <stdint.h>

/*
 * dma_wmb: stores to memory before it are seen by devices before stores (doorbells included) after it.
 * dma_rmb: loads before it are done before loads after it.
 * On x86 the processor keeps both promises for ordinary memory and uncached registers; the compiler must too.
 */
#if defined(__x86_64__) || defined(__i386__)
#define dma_wmb() __asm__ __volatile__("" ::: "memory")
#define dma_rmb() __asm__ __volatile__("" ::: "memory")
#elif defined(__aarch64__)
#define dma_wmb() __asm__ __volatile__("dmb oshst" ::: "memory")
#define dma_rmb() __asm__ __volatile__("dmb oshld" ::: "memory")
#else
#define dma_wmb() __sync_synchronize()
#define dma_rmb() __sync_synchronize()
#endif

/*
 * One load of exactly this width, neither torn nor repeated nor left out. Between threads it also orders what is behind it, for a
 * controller that is played by one; between host and device that takes the barriers above. Stores to registers: weir/guard.h.
 */
static inline uint64_t load64(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/* One store of exactly this width: not joined with its neighbour into a wide one, which whoever reads one of them next would have to wait for. */
static inline void store64(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

/* Tell the processor that this is a spin loop. */
static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
