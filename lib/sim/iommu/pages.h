/* SPDX-License-Identifier: MIT */
/*
 * Memory that can be mapped for DMA ("pages" objects): process memory, files, device memory.
 *
 * An object is made unpinned. Each page table that it is installed in pins it, once; pinning checks that the
 * memory is there, and charges it.
 */
#ifndef WEIR_SIM_PAGES_H
#define WEIR_SIM_PAGES_H

#include "sim/machine.h"

enum sim_charge {
	SIM_CHARGE_NONE,      /* CAP_IPC_LOCK, or device memory */
	SIM_CHARGE_USER,      /* iommufd: locked memory of the user, here: of the machine */
	SIM_CHARGE_MM,        /* of the process */
	SIM_CHARGE_CONTAINER, /* the same, and that is all that tells of it: they do not count what is pinned */
	SIM_CHARGE_CONTAINER_FREE, /* the same without a limit: CAP_IPC_LOCK */
};

enum sim_pages_kind { SIM_PAGES_MEMORY, SIM_PAGES_FILE, SIM_PAGES_BAR };

struct sim_pages {
	enum sim_pages_kind kind;
	struct weir_sim *sim;
	uint32_t refs; /* areas that use it */
	uint32_t pins; /* page tables that it is in */
	uint64_t len;
	bool writable;          /* devices may write */
	enum sim_charge charge; /* decided when it is made */
	unsigned int process;   /* whose; and before IOAS_CHANGE_PROCESS, while that is under way */
	unsigned int moved_from;
	unsigned char *addr; /* MEMORY: where; FILE: where the machine has mapped it while pinned */
	void *mapping;       /* FILE, while pinned: what is to be unmapped, and how much */
	size_t mapping_len;
	int fd;                         /* FILE: a descriptor of our own */
	uint64_t offset;                /* FILE: of the first byte; BAR: likewise */
	struct weir_sim_device *device; /* BAR */
	unsigned int bar;
	struct sim_dma_buf *dma_buf;                  /* BAR, if by dma-buf: what it is part of; */
	bool revoked;                                 /* for ever */
	struct sim_pages *next_pinned, **pinned_link; /* while pinned */
	struct sim_kept *kept;                        /* what is not where it was: kept.c */
};

/* The page size of the machine, which is that of the real one. */
uint64_t sim_page_size(void);

/*
 * Make one; one reference. -ENOMEM, for a file -EBADF. What the memory is like shows when it is pinned. But a dma-buf is looked at
 * now: -EINVAL: beyond its end; -ENODEV: revoked; -EOPNOTSUPP: of several ranges.
 */
int sim_pages_memory(struct weir_sim *sim, uint64_t addr, uint64_t len, bool writable, enum sim_charge charge,
		     struct sim_pages **ret_pages);
int sim_pages_file(struct weir_sim *sim, int fd, uint64_t offset, uint64_t len, bool writable,
		   enum sim_charge charge, struct sim_pages **ret_pages);
int sim_pages_bar(struct weir_sim_device *device, unsigned int bar, uint64_t offset, uint64_t len,
		  struct sim_pages **ret_pages);
int sim_pages_dma_buf(struct sim_dma_buf *buf, uint64_t offset, uint64_t len, struct sim_pages **ret_pages);

void sim_pages_hold(struct sim_pages *pages);
void sim_pages_put(struct sim_pages *pages);

/*
 * -EFAULT: not there, not writable, or a BAR that is mapped into the process (a container makes a BAR object
 * of such a range instead, and gets -EFAULT only while the device's memory is off); -EINVAL: a file that is
 * no shmem or hugetlbfs, or too short; -ENOMEM: over RLIMIT_MEMLOCK; -ENODEV: revoked.
 */
int sim_pages_pin(struct sim_pages *pages);
void sim_pages_unpin(struct sim_pages *pages);

/*
 * kept.c: the file behind @fd is about to lose what lies from @start to @end. What of it is pinned stays as it is, for devices. -ENOMEM;
 * others than the file's users do not notice.
 */
int sim_pages_leave(struct weir_sim *sim, int fd, uint64_t start, uint64_t end);

/* Where the byte at @offset is, if the file has lost it; else NULL. To the end of its page it goes on there. */
unsigned char *sim_kept_find(const struct sim_pages *pages, uint64_t offset);
void sim_kept_drop(struct sim_pages *pages);

/* The data path of DMA, within a page. -EFAULT when the memory has gone; -EIO when the device does not answer. */
int sim_pages_read(struct sim_pages *pages, uint64_t offset, void *buf, size_t len);
int sim_pages_write(struct sim_pages *pages, uint64_t offset, const void *buf, size_t len);

/* Eight bytes, aligned, at one go; and to @new if they are @old still (-EAGAIN: they are not). -EFAULT, -EIO as above. */
int sim_pages_load(struct sim_pages *pages, uint64_t offset, uint64_t *ret_value);
int sim_pages_exchange(struct sim_pages *pages, uint64_t offset, uint64_t old, uint64_t new);

/* The address in the process, or the offset in the file, dma-buf or BAR, of the byte at @offset. */
uint64_t sim_pages_address(const struct sim_pages *pages, uint64_t offset);

/* Has the calling thread this capability (of <linux/capability.h>) in effect? */
bool sim_capable(unsigned int capability);

/* How the caller is charged when it maps now: NONE with CAP_IPC_LOCK, else @otherwise. */
enum sim_charge sim_charge_now(const struct weir_sim *sim, enum sim_charge otherwise);

/* From now on another process is charged for them. -ENOMEM: over its limit; then all is as before. */
int sim_pages_move(struct sim_pages *pages, unsigned int process);

#endif
