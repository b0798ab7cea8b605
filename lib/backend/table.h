/* SPDX-License-Identifier: MIT */
/*
 * Page tables of the program's own, beside those that a space keeps for itself: what the kernel interface makes of weir/domain.h.
 *
 * A function that is attached to one stays in its space, and its group keeps its place in the space's own page table; that is where it goes back to. So
 * functions and tables may come and go in any order, and a space lives and sleeps by its functions alone. What is attached where is noted here and
 * nowhere else.
 *
 * The host's lock is held for everything but invalidate.
 */
#ifndef WEIR_BACKEND_TABLE_H
#define WEIR_BACKEND_TABLE_H

#include <pthread.h>

#include <weir/domain.h>

#include "backend/iommufd.h"

struct weir_faultq;

struct weir_table {
	struct weir_object object; /* first */
	struct weir_table *next;   /* of the space */
	struct weir_space *space;
	struct weir_table *parent; /* that it is nested in; NULL: it is a paging one */
	struct weir_viommu
		*viommu; /* of a parent, the one over it; of a nested one, the one that it is in; or NULL */
	uint32_t flags;  /* ABI_IOMMU_HWPT_ALLOC_... */
	uint32_t num_nested;        /* tables that are nested in it */
	struct weir_faultq *faults; /* where page requests of what is attached go; NULL: nowhere */
	uint32_t number;            /* in the journal */
	struct weir_domain *domain; /* whose it is, malloc'ed; for the floor above */

	/* Attachments stay as they are while this is held for reading: by who invalidates. Taken after the host's. */
	pthread_rwlock_t lock;
	struct weir_attachment *attached;
};

/* A function's being attached to a table, as a whole or for a PASID. */
struct weir_attachment {
	struct weir_attachment *next;   /* of the function */
	struct weir_attachment *beside; /* of the table */
	struct weir_function *function;
	struct weir_table *table;
	uint32_t pasid;  /* 0: as a whole; then all of its group is */
	uint32_t number; /* in the journal */
	bool blocked;    /* its DMA is; the kernel has it attached to nothing */
};

/* A virtual IOMMU, which some IOMMUs want between a parent and what is nested in it. It lives as long as something is. */
struct weir_viommu {
	struct weir_object object; /* first */
	struct weir_table *parent;
	uint32_t num_nested;
	uint32_t number; /* in the journal */
	struct weir_vdevice *vdevices;
};

/* The number by which a virtual IOMMU knows a function. */
struct weir_vdevice {
	struct weir_object object; /* first */
	struct weir_vdevice *next; /* of the virtual IOMMU */
	struct weir_viommu *viommu;
	struct weir_function *function;
	uint64_t stream;
	uint32_t number; /* in the journal */
	bool ats;        /* the function may remember translations of its own */
};

/* A queue of a virtual IOMMU's events. It holds the virtual IOMMU: closed before the last that is nested in that. */
struct weir_event_queue {
	struct weir_object object; /* first */
	struct weir_space *space;
	int fd;
};

/* What is nested: @len bytes of @type, and the virtual IOMMU that it takes (0: none) with a number for the function (0: one is chosen). */
struct weir_nested_spec {
	uint32_t flags; /* ABI_IOMMU_HWPT_ALLOC_... */
	uint32_t type, len;
	const void *data;
	uint32_t viommu_type;
	uint64_t stream;
	uint32_t hw_type, features; /* of the IOMMU, for the journal */
	struct weir_faultq *faults;
};

struct weir_hw_info {
	uint32_t type; /* ABI_IOMMU_HW_INFO_TYPE_... */
	uint32_t pasid_bits;
	uint64_t caps;     /* ABI_IOMMU_HW_CAP_... */
	uint32_t data_len; /* of the kernel's data; it may have more than there is room for */
	unsigned char data[64];
};

struct weir_domain_ops {
	int (*hw_info)(struct weir_function *function, struct weir_hw_info *ret_info);

	/*
	 * Make a table: over a space, or nested in a parent; as @function needs it, which is in that space. With the error of the kernel's;
	 * -EXDEV for a function behind another IOMMU than the parent's.
	 */
	int (*open)(struct weir_space *space, struct weir_function *function, uint32_t flags,
		    uint32_t hw_type, struct weir_faultq *faults, struct weir_table **ret_table);
	int (*open_nested)(struct weir_table *parent, struct weir_function *function,
			   const struct weir_nested_spec *spec, struct weir_table **ret_table);

	/* A queue of page requests: the kernel's id of it, and its descriptor. close runs to its end. */
	int (*open_faults)(struct weir_kernel *kernel, uint32_t *ret_id, int *ret_fd);
	int (*close_faults)(struct weir_kernel *kernel, uint32_t id, int fd);

	/* Nothing is attached, and nothing nested in it. Runs to its end. */
	int (*close)(struct weir_table *table);

	/* Attach the function (its group) or a PASID of its, and put it back. A detach that fails has blocked what it did not put back. */
	int (*attach)(struct weir_table *table, struct weir_function *function, uint32_t pasid);
	int (*detach)(struct weir_function *function, uint32_t pasid);

	/* Block the DMA of all that is attached. Runs to its end. */
	int (*block)(struct weir_table *table);

	/* Any thread, with the table's lock held for reading. See weir_iommufd_invalidate(). */
	int (*invalidate)(struct weir_table *table, uint32_t type, const void *entries, uint32_t len,
			  uint32_t *num);

	/* The queue of events, of ABI_IOMMU_VEVENTQ_TYPE_..., of the virtual IOMMU that a table is nested in, with the kernel's error. Closing runs to its end. */
	int (*open_events)(struct weir_table *table, uint32_t type, uint32_t depth,
			   struct weir_event_queue **ret_queue);
	int (*close_events)(struct weir_event_queue *queue);
};

/* What the function is attached to with that PASID, or NULL: to the space's own table, or with a PASID to none. */
struct weir_attachment *weir_attachment_find(const struct weir_function *function, uint32_t pasid);

/* iommufd_domain.c: a table that the kernel does not know yet, or knows: as one of its space's. NULL: no memory. And what ends without the kernel. */
struct weir_table *weir_table_new(struct weir_space *space, uint32_t flags, struct weir_faultq *faults);
void weir_table_enlist(struct weir_table *table);
void weir_table_delist(struct weir_table *table);

/* iommufd_attach.c: an attachment that the kernel knows, or will, is one of its function's and its table's; of that table no more. */
void weir_attachment_link(struct weir_attachment *attachment);
void weir_attachment_unlink(struct weir_attachment *attachment);

/* Is it nested in a virtual IOMMU of which the function has to have a number? */
static inline struct weir_viommu *weir_table_viommu(const struct weir_table *table)
{
	return table->parent ? table->viommu : NULL;
}

#endif
