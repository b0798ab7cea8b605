/* SPDX-License-Identifier: MIT */
/*
 * The guard: a load or store of a device's register that cannot be done returns an error instead of ending the program.
 *
 *     weir_guard_install();
 *     if (weir_mmio_read32(registers + STATUS, &status))
 *             ...                        // the device's memory is away (weir/away.h)
 *
 * While a device's memory is switched off, asleep or unplugged, touching a mapping of it raises SIGBUS in whichever thread does. The
 * library's own accessors (weir/region.h) do not touch it when the library knows. What it does not know - what another process or a raw
 * ioctl did, or another thread is just doing - and what a program does through pointers from weir_region_map(), is for the guard.
 *
 * It is a handler of SIGBUS that knows two things: the few load and store instructions of this header, and where the regions of devices
 * are mapped. A fault of one of those instructions at one of those places makes that access return -EIO. Every other SIGBUS goes to
 * whoever handled it before. Nothing is saved beforehand as with sigsetjmp(): an access costs the same with the guard and without,
 * and at most three instructions more than a plain one.
 *
 * Without the guard these accesses are plain ones: they raise SIGBUS.
 *
 * An error is not certain: the platform, and any device that has been unplugged, may answer reads with all ones instead of a fault, and
 * lose writes without a word. A driver that reads all ones where that makes no sense asks weir_device_resync().
 *
 * Threads: everything here may be called from any thread. The accesses may also be used in signal handlers.
 */
#ifndef WEIR_GUARD_H
#define WEIR_GUARD_H

#include <weir/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An instruction that may fault and the one after it, each relative to the field's own address. */
struct weir_guard_entry {
	int32_t access;
	int32_t resume;
};

/* The instructions of one program or shared library. */
struct weir_guard_table {
	struct weir_guard_table *next; /* the library's */
	uint64_t users;                /* the library's */
	const struct weir_guard_entry *start, *end;
};

/*
 * Install the guard. The whole process has one; it is counted: as many weir_guard_remove() take it away.
 *
 * It covers the instructions of the library and of the program or shared library that makes this call. Each shared library that uses
 * the accesses below calls weir_guard_install() itself, or weir_guard_cover() where it leaves the choice to the program, and takes it
 * back before it is unloaded.
 *
 * Other handlers of SIGBUS: one that was there before gets every signal that is not the guard's, with its own flags and mask, as if
 * the guard were not there (SA_SIGINFO or not, SA_RESETHAND, SA_NODEFER, SA_ONSTACK); so do SIG_DFL and SIG_IGN. One that is installed
 * later has to pass on what is not its own to the handler it found, and to be removed before the guard is. A thread that has SIGBUS
 * blocked is killed by a fault, guard or not: that is the kernel's rule.
 *
 * Returns 0; or -EOPNOTSUPP where the guard does not know the instructions (it knows x86-64 and aarch64). Kernel: sigaction(). Since 0.1.
 */
static inline int weir_guard_install(void);

/*
 * Take back one weir_guard_install() of the same program or shared library. With the last one, the handler of before is put back.
 *
 * Returns 0; -EINVAL when there is none to take back; or -EBUSY when it was the last, but somebody has put a handler above the guard's:
 * the guard's then stays below it and passes everything on; the next weir_guard_install() brings it to life again. Since 0.1.
 */
static inline int weir_guard_remove(void);

/*
 * Let the guard cover the accesses of this program or shared library whenever somebody else installs it; and no longer. Counted.
 * Return 0; weir_guard_uncover() -EINVAL when there is nothing to take back. Since 0.1.
 */
static inline int weir_guard_cover(void);
static inline int weir_guard_uncover(void);

/* The same, with the table of instructions; NULL: the library's own alone. Since 0.1. */
WEIR_API int weir_guard_install_with(struct weir_guard_table *table);
WEIR_API int weir_guard_remove_with(struct weir_guard_table *table);
WEIR_API int weir_guard_cover_with(struct weir_guard_table *table);
WEIR_API int weir_guard_uncover_with(struct weir_guard_table *table);

/*
 * weir_mmio_read8/16/32/64(@addr, &value), weir_mmio_write8/16/32/64(@addr, value): one load or store of exactly that width.
 *
 * @addr is in a mapping that weir_region_map() gave, and aligned to the width. Registers are little-endian, values in the machine's
 * order. The compiler moves no access to memory across; order towards the device is the caller's business, as with plain accesses.
 *
 * Return 0; or -EIO when the guard is installed and the register could not be reached: nothing was written, the value is untouched.
 * Since 0.1.
 */

/* How that is done ------------------------------------------------------------------------------------------------ */

/*
 * The linker gathers the entries of each program or shared library, and names the beginning and end of what it has gathered. An entry
 * goes along with the code that it is about (the section flags "o" and "?").
 */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,misc-definitions-in-headers) */
extern const struct weir_guard_entry __start_weir_guard[] __attribute__((weak, visibility("hidden")));
extern const struct weir_guard_entry __stop_weir_guard[] __attribute__((weak, visibility("hidden")));

/* One in each program or shared library. */
extern struct weir_guard_table weir_guard_own;
__attribute__((weak, visibility("hidden"))) struct weir_guard_table weir_guard_own = { NULL, 0,
										       __start_weir_guard,
										       __stop_weir_guard };
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,misc-definitions-in-headers) */

static inline int weir_guard_install(void)
{
	return weir_guard_install_with(&weir_guard_own);
}

static inline int weir_guard_remove(void)
{
	return weir_guard_remove_with(&weir_guard_own);
}

static inline int weir_guard_cover(void)
{
	return weir_guard_cover_with(&weir_guard_own);
}

static inline int weir_guard_uncover(void)
{
	return weir_guard_uncover_with(&weir_guard_own);
}

/* What was caught shows in the register of the error, which is always the same: eax, or w0. */
#if defined(__x86_64__)
#define WEIR_GUARD_ERROR    int error
#define WEIR_GUARD_IN_OUT   "+a"
#define WEIR_GUARD_REGISTER "m"
#define WEIR_GUARD_LOAD_8   "movzbl %[reg], %k[value]"
#define WEIR_GUARD_LOAD_16  "movzwl %[reg], %k[value]"
#define WEIR_GUARD_LOAD_32  "movl %[reg], %k[value]"
#define WEIR_GUARD_LOAD_64  "movq %[reg], %q[value]"
#define WEIR_GUARD_STORE_8  "movb %b[value], %[reg]"
#define WEIR_GUARD_STORE_16 "movw %w[value], %[reg]"
#define WEIR_GUARD_STORE_32 "movl %k[value], %[reg]"
#define WEIR_GUARD_STORE_64 "movq %q[value], %[reg]"
#elif defined(__aarch64__)
#define WEIR_GUARD_ERROR    register int error __asm__("w0")
#define WEIR_GUARD_IN_OUT   "+r"
#define WEIR_GUARD_REGISTER "Q"
#define WEIR_GUARD_LOAD_8   "ldrb %w[value], %[reg]"
#define WEIR_GUARD_LOAD_16  "ldrh %w[value], %[reg]"
#define WEIR_GUARD_LOAD_32  "ldr %w[value], %[reg]"
#define WEIR_GUARD_LOAD_64  "ldr %x[value], %[reg]"
#define WEIR_GUARD_STORE_8  "strb %w[value], %[reg]"
#define WEIR_GUARD_STORE_16 "strh %w[value], %[reg]"
#define WEIR_GUARD_STORE_32 "str %w[value], %[reg]"
#define WEIR_GUARD_STORE_64 "str %x[value], %[reg]"
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WEIR_MMIO_LE(bits, value) (value)
#else
#define WEIR_MMIO_LE(bits, value)                                                                            \
	((bits) == 8 ? (value) : (uint##bits##_t)(__builtin_bswap64(value) >> (64 - (bits))))
#endif

#ifdef WEIR_GUARD_ERROR
#define WEIR_GUARDED(instruction)                                                                            \
	".Lweir_access%=: " instruction "\n"                                                                 \
	".Lweir_resume%=:\n"                                                                                 \
	".pushsection weir_guard, \"ao?\", %%progbits, .Lweir_access%=\n"                                    \
	".balign 4\n"                                                                                        \
	".long .Lweir_access%= - .\n"                                                                        \
	".long .Lweir_resume%= - .\n"                                                                        \
	".popsection\n"

#define WEIR_MMIO(bits)                                                                                      \
	static inline int weir_mmio_read##bits(const volatile void *addr, uint##bits##_t *ret_value)         \
	{                                                                                                    \
		const volatile uint##bits##_t *at = (const volatile uint##bits##_t *)addr;                   \
		uint##bits##_t value;                                                                        \
		int caught;                                                                                  \
		WEIR_GUARD_ERROR = 0;                                                                        \
                                                                                                             \
		__asm__ volatile(WEIR_GUARDED(WEIR_GUARD_LOAD_##bits)                                        \
				 : WEIR_GUARD_IN_OUT(error), [value] "=r"(value)                             \
				 : [reg] WEIR_GUARD_REGISTER(*at)                                            \
				 : "memory");                                                                \
		caught = error; /* a register that is named holds only so long */                            \
		if (__builtin_expect(!caught, 1))                                                            \
			*ret_value = WEIR_MMIO_LE(bits, value);                                              \
		return caught;                                                                               \
	}                                                                                                    \
	static inline int weir_mmio_write##bits(volatile void *addr, uint##bits##_t value)                   \
	{                                                                                                    \
		volatile uint##bits##_t *at = (volatile uint##bits##_t *)addr;                               \
		uint##bits##_t put = WEIR_MMIO_LE(bits, value);                                              \
		WEIR_GUARD_ERROR = 0;                                                                        \
                                                                                                             \
		__asm__ volatile(WEIR_GUARDED(WEIR_GUARD_STORE_##bits)                                       \
				 : WEIR_GUARD_IN_OUT(error), [reg] "=" WEIR_GUARD_REGISTER(*at)              \
				 : [value] "r"(put)                                                          \
				 : "memory");                                                                \
		return error;                                                                                \
	}
#else
/* Plain ones, where there is no guard. */
#define WEIR_MMIO(bits)                                                                                      \
	static inline int weir_mmio_read##bits(const volatile void *addr, uint##bits##_t *ret_value)         \
	{                                                                                                    \
		uint##bits##_t value = *(const volatile uint##bits##_t *)addr;                               \
                                                                                                             \
		*ret_value = WEIR_MMIO_LE(bits, value);                                                      \
		return 0;                                                                                    \
	}                                                                                                    \
	static inline int weir_mmio_write##bits(volatile void *addr, uint##bits##_t value)                   \
	{                                                                                                    \
		*(volatile uint##bits##_t *)addr = WEIR_MMIO_LE(bits, value);                                \
		return 0;                                                                                    \
	}
#endif

WEIR_MMIO(8)
WEIR_MMIO(16)
WEIR_MMIO(32)
WEIR_MMIO(64)

#ifdef __cplusplus
}
#endif

#endif
