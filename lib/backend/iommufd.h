/* SPDX-License-Identifier: MIT */
/* What the files of the iommufd backend have in common. */
#ifndef WEIR_BACKEND_IOMMUFD_H
#define WEIR_BACKEND_IOMMUFD_H

#include "backend/backend.h"

struct weir_faultq;
struct weir_viommu;

/*
 * An object of the kernel's, first in whatever stands for it. One that could not be destroyed waits in its space, which tries again when it is
 * closed.
 */
struct weir_object {
	struct weir_object *next; /* among those that wait */
	uint32_t id;
};

/* A page table that a space keeps for itself. */
struct weir_hwpt {
	struct weir_object object; /* first */
	struct weir_hwpt *next;
	uint32_t num_functions;
	bool tracks;     /* it has dirty bits */
	bool used;       /* functions have been attached to it */
	uint32_t number; /* in the journal */
};

extern const struct weir_domain_ops weir_iommufd_domains;

/* iommufd_hwpt.c: the space's page table, which nobody is attached to, ends. Runs to its end; what could not be destroyed is undead. */
int weir_iommufd_hwpt_free(struct weir_space *space, struct weir_hwpt *hwpt);

/* iommufd_hwpt.c: destroy an object, which is in no list any more, and free it. The error has a text. */
int weir_iommufd_object_free(struct weir_space *space, struct weir_object *object, const char *what);

/* iommufd_hwpt.c: a page table more for a space, as the function needs it; and see struct weir_space_ops. The error has a text. */
int weir_iommufd_hwpt_make(struct weir_space *space, const struct weir_function *function,
			   struct weir_hwpt **ret_hwpt);
int weir_iommufd_track(struct weir_space *space, bool on);
int weir_iommufd_dirty(struct weir_space *space, uint64_t iova, uint64_t len, uint64_t page, uint64_t *bits,
		       bool keep);

/* iommufd_hwpt.c: what a live space's IOMMUs can address, as it is now. */
int weir_iommufd_read_geometry(struct weir_space *space);

/* iommufd.c: what the kernel said to an attach, with a text. */
int weir_iommufd_explain_attach(struct weir_function *function, int error);

/*
 * iommufd_attach.c: a function joins its group, which is in a space, wherever that is attached to; may the group move to another space, where its page
 * requests, *@ret_faults, are held then; and where is it; the group has moved to a space's own table; a function is detached from everything.
 */
int weir_iommufd_join(struct weir_function *function);
int weir_iommufd_begin_move(struct weir_function *function, struct weir_faultq **ret_faults);
uint32_t weir_iommufd_place(const struct weir_group *group);
void weir_iommufd_moved(const struct weir_group *group);
int weir_iommufd_part(struct weir_function *function);

/* iommufd_attach.c: see struct weir_domain_ops. */
int weir_iommufd_attach(struct weir_table *table, struct weir_function *function, uint32_t pasid);
int weir_iommufd_detach(struct weir_function *function, uint32_t pasid);
int weir_iommufd_block(struct weir_table *table);

/* iommufd_domain.c: see to it that the function has a number in the virtual IOMMU; @stream: 0, any. The error has a text. */
int weir_iommufd_number(struct weir_viommu *viommu, struct weir_function *function, uint64_t stream);

/* iommufd_domain.c: the function has no number any more. */
int weir_iommufd_unnumber(struct weir_function *function);

#endif
