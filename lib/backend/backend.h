/* SPDX-License-Identifier: MIT */
/*
 * The backends: the only code that knows which kernel interface is in use.
 *
 * Above this floor there are spaces, into which mappings are installed, and functions (opened PCI
 * functions), which enter and leave spaces. A space is live while a function is in it: only then does the
 * kernel hold its mappings, and check them. What is installed in a space that is not live is the business
 * of the floor above, which installs its table anew when a space comes to life.
 *
 * Nothing here is locked: the host's lock is held for everything that concerns functions and groups, and
 * the ioas sees to it that install and remove do not overlap with a function's coming or going.
 */
#ifndef WEIR_BACKEND_H
#define WEIR_BACKEND_H

#include <weir/caps.h>
#include <weir/dirty.h>

#include "kernel/node.h"
#include "kernel/sysfs.h"
#include "kernel/vfio_abi.h"

struct weir_backend_ops;
struct weir_journal;
struct weir_attachment;
struct weir_domain_ops;
struct weir_follow_ops;
struct weir_object;
struct weir_table;
struct weir_vdevice;

/* The kernel, through one of its interfaces. */
struct weir_kernel {
	const struct weir_backend_ops *ops;
	const struct weir_sys *sys;
	struct weir_nodes nodes;
	struct weir_group *groups; /* those with an open function */
	int fd; /* iommufd: /dev/iommu; containers: one for the first space that needs it, or -1 */
	struct weir_journal *journal; /* or NULL */
	uint32_t iommu_type;          /* containers: ABI_VFIO_TYPE1..._IOMMU */
	_Atomic bool no_map_file;     /* iommufd: the kernel has turned out not to know IOMMU_IOAS_MAP_FILE */
};

/* What a mapping lets devices reach: memory of this process, which may be a part of a file. */
struct weir_backing {
	void *addr;
	uint64_t offset; /* in the file */
	int fd;          /* -1: there is none */
	uint32_t file;   /* its number in the journal; 0: none */
};

/* What a live space's IOMMUs can address. */
struct weir_geometry {
	struct weir_iova_range *ranges; /* ascending; malloc'ed */
	uint32_t num_ranges;
	uint64_t alignment;    /* of IOVAs and lengths */
	uint64_t max_mappings; /* UINT64_MAX: no limit */
};

/* An address space as the kernel holds it. */
struct weir_space {
	const struct weir_space_ops *ops;
	struct weir_kernel *kernel;
	void *layer;             /* what a space is made of that is not the backend's; */
	struct weir_space *real; /* and the one that its functions are in for the kernel. Of others, itself */
	bool live;
	bool wants_dirty; /* what devices write is to be tracked some time (WEIR_IOAS_DIRTY) */
	bool tracking;    /* and is now, by the backend. The host's lock guards this, and */
	bool dirt_lost;   /* that of what was written before, some was forgotten with who knew it */
	uint32_t num_functions;
	struct weir_geometry geometry; /* valid while live */
	uint32_t ioas;                 /* iommufd */
	struct weir_hwpt *hwpts;       /* iommufd: page tables, one for each kind of IOMMU in the space */
	struct weir_object *
		undead; /* iommufd: what could not be destroyed, the oldest first; closing the space tries again */
	struct weir_table *tables; /* of the program's own; table.h */
	bool leftovers;  /* iommufd: the last to leave could not take the mappings out of the IOAS */
	int container;   /* containers: while live */
	uint32_t number; /* in the journal */
};

/* Of which ranges of IOVAs a group keeps clear; closer ones are joined when there are as many. */
enum { WEIR_MOST_DIVERTED = 16 };

/* An IOMMU group with open functions: the unit that is in one space. */
struct weir_group {
	struct weir_group *next;
	uint32_t number;
	uint32_t num_diverted; /* where its devices hit each other instead of memory; for the floors above */
	struct weir_iova_range diverted[WEIR_MOST_DIVERTED];
	struct weir_space *space;        /* NULL while its first function is being opened */
	struct weir_function *functions; /* open ones */
	struct weir_hwpt *hwpt;          /* iommufd: the page table it is attached to */
	int fd;                          /* containers: /dev/vfio/NUMBER */
};

/* An open PCI function. */
struct weir_function {
	struct weir_function *next; /* in its group */
	struct weir_kernel *kernel;
	struct weir_group *group;
	char address[WEIR_PCI_ADDRESS_SIZE];
	struct weir_attachment *attachments; /* to tables of the program's own; table.h */
	struct weir_vdevice *vdevice;        /* the number that it has in a virtual IOMMU; or NULL */
	char token[40];                      /* the VF token's UUID in text; "" for none */
	int fd;                              /* the VFIO device */
	uint32_t dev_id;                     /* iommufd */
	uint32_t number;                     /* in the journal */
	struct weir_device *device;          /* whose it is; for the floors above */
	struct weir_ioas *ioas;              /* that this is in; likewise, guarded by the host's lock */
};

/* What a space can do: the backend's, or, of a space made of others (lib/nested), its own. */
struct weir_space_ops {
	int (*open)(struct weir_space *space);
	int (*close)(struct weir_space *space); /* runs to its end */

	/* It is somebody else's: forget what it is made of without a kernel call. Of layers alone. */
	void (*let_go)(struct weir_space *space);

	/*
	 * Bring a function into a space in two steps. After enter, the space is live and takes mappings;
	 * after commit, the function uses it, and the geometry is right. A failing step changes nothing. In
	 * between, abandon undoes enter.
	 */
	int (*enter)(struct weir_space *space, struct weir_function *function);
	int (*commit)(struct weir_space *space, struct weir_function *function);
	void (*abandon)(struct weir_space *space, struct weir_function *function);

	/*
	 * Take a function out of its space: its DMA is blocked. The last one to leave takes the kernel's
	 * mappings with it. Runs to its end and returns the first error.
	 */
	int (*leave)(struct weir_space *space, struct weir_function *function);

	/*
	 * The other way to commit: move the function's whole group here from the space where it is. Optional.
	 */
	int (*move)(struct weir_space *space, struct weir_function *function);

	/*
	 * One mapping of a live space, one system call each. @prot: WEIR_MAP_READ, _WRITE, and _DEVICE_MEMORY for what is known to be that. remove
	 * takes whole mappings. Where there is a sync, what was removed can be reached until sync has returned 0.
	 */
	int (*install)(struct weir_space *space, const struct weir_backing *backing, uint64_t len,
		       uint64_t iova, uint32_t prot);
	int (*remove)(struct weir_space *space, uint64_t iova, uint64_t len);
	int (*sync)(struct weir_space *space); /* optional */

	/*
	 * After a sync that failed, with no lock held, nor anything under way: what can be done about devices that may go on. 0: they cannot any more;
	 * -EOPNOTSUPP: it was not wanted; or the error, with its text. Optional.
	 */
	int (*block)(struct weir_space *space);

	/*
	 * Install in a live space what another live one of the same kernel has installed at @from_iova: pinned and charged once. Optional.
	 */
	int (*copy)(struct weir_space *space, struct weir_space *from, uint64_t from_iova, uint64_t len,
		    uint64_t iova, uint32_t prot);

	/*
	 * Install what takes the place of whole mappings, which there may be in the range: devices see the one or the other, and never
	 * nothing. Optional.
	 */
	int (*replace)(struct weir_space *space, const struct weir_backing *backing, uint64_t len,
		       uint64_t iova, uint32_t prot);

	/*
	 * What devices write. tracks: WEIR_DIRTY_IOMMU, or WEIR_DIRTY_PINNED, which takes ranges of whole mappings; 0: it does not. With the
	 * host's lock, of a live space: can it; begin or stop. dirty sets the bit of each page in a range that is mapped without a hole. The error of track has a text.
	 */
	uint32_t tracks;
	bool (*can_track)(struct weir_space *space);
	int (*track)(struct weir_space *space, bool on);
	int (*dirty)(struct weir_space *space, uint64_t iova, uint64_t len, uint64_t page, uint64_t *bits,
		     bool keep);
};

struct weir_backend_ops {
	enum weir_backend kind;
	bool device_memory; /* install takes device memory by its address, as if it were any other */

	/* Open or close what the host as a whole needs. */
	int (*open)(struct weir_kernel *kernel);
	void (*close)(struct weir_kernel *kernel);

	const struct weir_space_ops *space; /* of the spaces that it has */

	/*
	 * Get hold of a function, which is in no space yet; its group is known. close undoes this and nothing more.
	 */
	int (*function_open)(struct weir_function *function);
	void (*function_close)(struct weir_function *function);

	/* 0, or -EOPNOTSUPP with the reason as text; -ENOTTY: not a question for the backend. */
	int (*can)(struct weir_function *function, enum weir_cap cap);

	/* Whose a function in reach of a hot reset is: its group, and whether it is ours. */
	void (*hot_reset_target)(struct weir_function *function,
				 const struct abi_vfio_pci_dependent_device *device,
				 struct weir_hot_reset_target *target);
	int (*hot_reset)(struct weir_function *function);

	const struct weir_follow_ops *follow;  /* hand-over (follow.h). Optional */
	const struct weir_domain_ops *domains; /* page tables of the program's own (table.h). Optional */
};

extern const struct weir_backend_ops weir_backend_iommufd;
extern const struct weir_backend_ops weir_backend_type1;
extern const struct weir_backend_ops weir_backend_compat;

/*
 * What backend is meant: the one asked for, or with AUTO the one that WEIR_BACKEND names. -EINVAL with a text.
 */
int weir_backend_choose(uint32_t asked, enum weir_backend *ret_kind);

/* Open the backend of @kind, or the best there is (AUTO). Takes over @nodes' descriptors on success. */
int weir_kernel_open(struct weir_kernel *kernel, enum weir_backend kind, const struct weir_sys *sys,
		     const struct weir_node *nodes, uint32_t num_nodes);
void weir_kernel_close(struct weir_kernel *kernel);

/* It has a journal now, in which it is noted. */
void weir_kernel_enter(struct weir_kernel *kernel);

/*
 * Open the function at @address, to be brought into @space: in no space yet, but with a group that has none
 * or that one.
 * -EBUSY when the group is in another space.
 */
int weir_function_open(struct weir_kernel *kernel, const char *address, const char *token,
		       struct weir_space *space, struct weir_function **ret_function);

/* groups.c: where a function is, by number in the journal: a page table, or a space of a container. And that it is about to be elsewhere, or not. */
void weir_function_note_place(struct weir_function *function, uint32_t place);
void weir_group_note_moving(const struct weir_group *group, bool moving);

/* groups.c: a descriptor of the function's or its group's is there (enum weir_fd_kind); they are about to be closed. -EPIPE, -ENOSPC, with texts. */
int weir_function_note_fd(struct weir_function *function, int fd, uint32_t kind);
void weir_function_drop_fds(struct weir_function *function, uint32_t kind);

/* Close a function that is in no space. */
void weir_function_close(struct weir_function *function);

/* groups.c: why a function cannot be had, as an errno and a text. @error is what the kernel said. */
int weir_explain_unbound(const struct weir_sys *sys, const char *address);
int weir_explain_busy(const struct weir_sys *sys, uint32_t group, const char *address, int error);
/* The kernel says -EPERM both to a group that somebody else has and to a platform that it finds unsafe: 0 if not the former. */
int weir_explain_owned(struct weir_kernel *kernel, uint32_t group, const char *address);

/*
 * Who a hot reset of the function reaches. *@num: in, room in @targets; out, how many there are; -ENOSPC when they do not fit,
 * -ENODEV when its bus cannot be reset.
 */
int weir_hot_reset_targets(struct weir_function *function, struct weir_hot_reset_target *targets,
			   size_t *num);

/* The open function of this host at a PCI address, or NULL. */
struct weir_function *weir_function_find(struct weir_kernel *kernel, const char *address);

/* The group by number if a function of it is open, or NULL. */
struct weir_group *weir_group_find(struct weir_kernel *kernel, uint32_t number);

/* The same, or a new one, in no space and without a descriptor; NULL: no memory. */
struct weir_group *weir_group_get(struct weir_kernel *kernel, uint32_t number);

/* -EOPNOTSUPP: install does not take device memory. */
int weir_fail_device_memory(void);

/* A table of the program's own over the space in which others can be nested, or NULL; any of them, in a few words, or NULL. */
const struct weir_table *weir_space_parent(const struct weir_space *space);
const char *weir_space_table(const struct weir_space *space);

void weir_geometry_free(struct weir_geometry *geometry);

#endif
