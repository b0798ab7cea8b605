/* SPDX-License-Identifier: MIT */
/* What hand-over wants of the backends (weir/handover.h). Absent where the interface cannot do it. */
#ifndef WEIR_BACKEND_FOLLOW_H
#define WEIR_BACKEND_FOLLOW_H

#include "backend/backend.h"
#include "journal/layout.h"

struct weir_faultq;
struct weir_viommu;

/* How a predecessor has left a function. */
struct weir_left {
	char address[WEIR_PCI_ADDRESS_SIZE], token[40];
	uint32_t group;         /* its IOMMU group */
	uint32_t number;        /* the function's in the journal */
	uint32_t dev_id;        /* iommufd */
	bool tracks;            /* that page table has dirty bits */
	uint32_t hwpt, hwpt_id; /* iommufd: the page table's number in the journal, and its id */
	int fd;
	int group_fd, container; /* containers */
};

struct weir_follow_ops {
	/* Can this kernel do it? 0 or -EOPNOTSUPP with a text. */
	int (*check)(struct weir_kernel *kernel);

	/* All that is charged for mappings is this process's from now on: all at once, or mapping by mapping; one of these is NULL. */
	int (*take)(struct weir_kernel *kernel);
	int (*take_map)(struct weir_space *space, const struct weir_backing *backing, uint64_t len,
			uint64_t iova);

	/* The function is in the space, as it was left. No kernel call. -ENOMEM */
	int (*adopt)(struct weir_space *space, struct weir_function *function, const struct weir_left *left);

	/* With all functions in: look at the space, as the kernel has it. */
	int (*look)(struct weir_space *space);

	/* The space has no functions: take out what may be in it. Runs to its end. */
	void (*clear)(struct weir_space *space);
};

/*
 * follow_tables.c: page tables of the program's own, virtual IOMMUs, numbers in them, and attachments, as they were left. They are looked at like a stranger's word, and
 * are their space's and function's on success; no kernel call. -EPROTO, -ENOMEM, with texts.
 */
int weir_table_adopt(struct weir_space *space, const struct weir_slot_domain *slot, uint32_t number,
		     struct weir_table *parent, struct weir_faultq *faults, struct weir_table **ret_table);
int weir_viommu_adopt(struct weir_table *parent, const struct weir_slot_viommu *slot, uint32_t number);
int weir_vdevice_adopt(struct weir_viommu *viommu, struct weir_function *function,
		       const struct weir_slot_vdevice *slot, uint32_t number);
int weir_attachment_adopt(struct weir_table *table, struct weir_function *function,
			  const struct weir_slot_attachment *slot, uint32_t number);
void weir_attachment_let_go(struct weir_attachment *attachment);

/* All members of a group are attached to one table; -EPROTO. */
int weir_group_check_adopted(const struct weir_group *group);

/* It may be attached elsewhere: the kernel puts it where it is attached by what is known. */
int weir_function_settle(const struct weir_function *function);

/* It goes: what it is attached to; or, when no function is in it, all tables. Without a kernel call. */
void weir_function_let_go_tables(struct weir_function *function);
void weir_space_let_go_tables(struct weir_space *space);

extern const struct weir_follow_ops weir_iommufd_follow;
extern const struct weir_follow_ops weir_container_follow;

/* A function that was handed over comes into @space, with its descriptors, which are its own on success. */
int weir_function_adopt(struct weir_kernel *kernel, struct weir_space *space, const struct weir_left *left,
			struct weir_function **ret_function);

/* Close the descriptors of a function, its group's with the last of it, and forget it. The journal is another's. */
void weir_function_let_go(struct weir_function *function);

/* The same of a space without functions, and of the kernel. */
void weir_space_let_go(struct weir_space *space);
void weir_kernel_let_go(struct weir_kernel *kernel);

/* The kernel's interface on what was handed over: @fd, the iommufd; -1 on containers. */
void weir_kernel_adopt(struct weir_kernel *kernel, enum weir_backend kind, const struct weir_sys *sys,
		       uint32_t iommu_type, int fd);

#endif
