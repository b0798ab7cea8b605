/* SPDX-License-Identifier: MIT */
/*
 * What a conformance case works with: a weir_host of the kind it is run on, and the devices of the machine.
 *
 * Devices are named as the test bed names them: "EDU0", "NVME0", ... stand for the PCI addresses in WEIR_DEVICE_EDU0 and so on.
 * Hosts called sim-... are simulated machines that are equal (sim_machine.h). On those with nested- or shadow- in their name, new_ioas() makes a nested space.
 * Capabilities that a case can need:
 *
 *   EDU0, EDU1, NVME0, NVME1, IGB0, EDU_PAIR, ...  the machine has that device (EDU_PAIR: EDU0 and EDU1 share an IOMMU group)
 *   DMA_DEVICE                                     EDU0
 *   MOVE, RESET, HOT_RESET, MANY_MAPS, EXACT_UNMAP weir_caps_check() says yes for EDU0 (RESET: for NVME0; HOT_RESET: for NVME0)
 *   DOMAIN, NEST                                   weir_caps_check() says yes for EDU0; NO_NEST: no
 *   PASID                                          it says yes for EDU1
 *   FAULTS                                         it says yes for EDU0 to WEIR_CAP_FAULT: it requests pages
 *   PEER                                           NVME1, and weir_caps_check() says yes for it: its memory buffer is a window
 *   ROOT                                           the case may change user and limits
 *   SYS_RESOURCE                                   it has CAP_SYS_RESOURCE
 *   LOCKED_MEMORY                                  this process may have half a GiB locked
 *   MAP_LIMIT                                      it says no to MANY_MAPS
 *   FAULT_COUNT                                    /proc/interrupts counts the interrupts by which IOMMUs report faults
 *   NVME_PAIR                                      NVME0 and NVME1 share an IOMMU group
 *   ON_ROOT_BUS                                    NVME0 sits on a root bus
 *   HANDOVER                                       a host can be handed to another process (weir_handover_check())
 *   NVME_DRIVER                                    the kernel has a driver of its own for NVMe controllers
 *   REAL_SYSTEM                                    the host is no simulated one
 *   ORDINARY                                       new_ioas() makes ordinary spaces: cases about what these are to the kernel
 *   READ_ONLY                                      memory that nobody may write can be mapped: not behind VT-d in a nested space
 *   IOMMUFD, TYPE1, COMPAT                         the host was asked for by this name: cases about the interface itself (raw/)
 *   VTD                                            the IOMMU is Intel's, as QEMU has it, or a simulated one that is after it
 *   X86_WINDOW                                     interrupts are where x86 has them, from 0xfee00000 on: cases that name addresses
 *   NESTING, NESTED_VTD, NESTED_SMMUV3             it nests page tables of programs: in one way or the other, in this one (raw/nested.h)
 *   SMMUV3                                         the IOMMU is Arm's
 *   MOCK                                           the kernel has mock devices (CONFIG_IOMMUFD_TEST)
 *   NO_IOMMUFD, NO_IOMMU                           the machine has none; without an IOMMU no device counts as there
 *   UNISOLATED_INTERRUPTS                          it does not isolate interrupts, and nobody consented to that: likewise
 *   KERNEL_LOG                                     the kernel's log can be read, and shows IOMMU faults
 */
#ifndef TESTS_CONFORMANCE_FIXTURE_H
#define TESTS_CONFORMANCE_FIXTURE_H

#include <weir/weir.h>

#include "shim/test.h"
#include "support/sys_log.h"

struct fixture {
	enum weir_backend backend;    /* as asked for, AUTO included */
	enum weir_nested_mode nested; /* HARDWARE, SHADOW: what new_ioas() makes; AUTO: ordinary spaces */
	struct weir_host *host;
	struct sys_log log;      /* of everything that the host calls, for the case */
	struct sys_log recorder; /* below it, for the record; and for other hosts that the case opens */
};

static inline struct fixture *fixture_of(struct t *t)
{
	return t->fixture;
}

/* The system calls for other hosts that a case opens: the real ones, or the simulated machine's. */
static inline const struct weir_sys *sys_of(struct t *t)
{
	return &fixture_of(t)->recorder.table;
}

/* Leave the calls from here on out of the record: which there are depends on timing. */
void record_no_calls(struct t *t);

/* The helpers below fail the case when something is wrong, and undo what they did when it ends (closing twice is harmless
 * to none of these: what a case closes itself, it opens itself). */

struct weir_host *host_of(struct t *t);

/* The address of a device by the test bed's name. */
const char *address_of(struct t *t, const char *name);

/* A new address space of the case's host. */
struct weir_ioas *new_ioas(struct t *t);
struct weir_ioas *new_ioas_with(struct t *t, const struct weir_ioas_opts *opts);

/* A device, opened into @ioas. @address_bits: 0 for all. */
struct weir_device *new_device(struct t *t, struct weir_ioas *ioas, const char *name, uint32_t address_bits);

/* Anonymous private memory, filled with @fill. */
void *new_memory(struct t *t, size_t len, unsigned char fill);

/* The same where @hint says, if that is free. */
void *new_memory_near(struct t *t, void *hint, size_t len, unsigned char fill);

/* A descriptor, if it is one, that is closed with the case; and the same file, opened once more. */
int keep_file(struct t *t, int fd);
int reopened(struct t *t, int fd, int flags);

/* A memfd of @len bytes that can be sealed. */
int new_file(struct t *t, uint64_t len);

/* Memory mapped for DMA. The mapping ends with its space at the latest. */
struct weir_map *new_map(struct t *t, struct weir_ioas *ioas, void *addr, size_t len,
			 const struct weir_map_opts *opts);

/* How many of this process's bytes are locked or pinned. */
uint64_t pinned_bytes(void);

#endif
