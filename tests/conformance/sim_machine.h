/* SPDX-License-Identifier: MIT */
/*
 * Simulated machines that are what the virtual ones are (tests/vm/machines): the same devices at the same addresses, in the same
 * groups. WEIR_SIM_MACHINE says which: vtd (when it is not set), topology, stock, noiommu-at-all, virtio-refused. And some that are not
 * there: vtd-nested and smmuv3 have the devices of vtd and an IOMMU that nests page tables; nest-vtd, nest-smmuv3 and nest-amd (where it comes to
 * nothing in the end) have edus alone: two in a group, one with PASIDs, one behind an IOMMU of its own.
 *
 * What is not simulated: the network card igb0, which has nothing that the others lack for weir but more MSI-X vectors; in the
 * place of the cards twin0 and twin1 are controllers. nvme1 has no persistent memory in BAR 4.
 */
#ifndef TESTS_CONFORMANCE_SIM_MACHINE_H
#define TESTS_CONFORMANCE_SIM_MACHINE_H

#include <stdbool.h>

struct t;
struct weir_sim;

/*
 * Build one, its devices at work on its thread, and tell of them in WEIR_DEVICE_... and WEIR_IMAGE_...; until the case ends.
 */
struct weir_sim *sim_machine_open(struct t *t);

/* The disk image is one for all machines of a process. In a forked one, which has its parent's: another, before the first machine. */
void sim_machine_new_image(void);

/* Has it another IOMMU than QEMU's VT-d, which nests nothing? */
bool sim_machine_nests(const struct weir_sim *sim);
bool sim_machine_is_arm(const struct weir_sim *sim);

/* How many mappings of devices this process has. */
unsigned int sim_machine_mappings(struct weir_sim *sim);

/*
 * Loads and stores through mapped registers. They fault (the machine maps such BARs without access), and are executed in software
 * from here on; everything else that faults does what it always did.
 */
void sim_registers_begin(struct weir_sim *sim);
void sim_registers_end(void);

#endif
