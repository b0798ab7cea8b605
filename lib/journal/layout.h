/* SPDX-License-Identifier: MIT */
/*
 * The journal's layout: what there is of a host, in a memfd, for whoever comes after this process.
 *
 * A header, tables of fixed-size slots, and the bytes of blocks. A slot is known by its number, from 1 on; 0 is none. There are values only, and no
 * pointers, so that it means the same in every process. Each slot is filled in before the system call that it describes is made, and its
 * state, one word, last; so whoever reads it, at whatever moment its writer was killed, sees what may have been done.
 */
#ifndef WEIR_JOURNAL_LAYOUT_H
#define WEIR_JOURNAL_LAYOUT_H

#include <stdatomic.h>
#include <stdint.h>

#include "kernel/iommufd_abi.h"

#define WEIR_JOURNAL_MAGIC "weirjrnl"
enum { WEIR_JOURNAL_VERSION = 1 };

enum weir_slot_state {
	WEIR_SLOT_FREE,
	WEIR_SLOT_INTENDED, /* what makes it may have been done; nobody relies on it */
	WEIR_SLOT_IN_FORCE,
	WEIR_SLOT_LEAVING, /* what ends it may have been done; nobody relies on it any more */
};

/* Tables, and their order in the header. */
enum weir_journal_table {
	WEIR_JOURNAL_SPACES,
	WEIR_JOURNAL_HWPTS,
	WEIR_JOURNAL_MAPS,
	WEIR_JOURNAL_FILES,
	WEIR_JOURNAL_MEMORIES,
	WEIR_JOURNAL_SHARES,
	WEIR_JOURNAL_DEVICES,
	WEIR_JOURNAL_IRQS,
	WEIR_JOURNAL_FDS,
	WEIR_JOURNAL_BLOCKS,
	WEIR_JOURNAL_DOMAINS,
	WEIR_JOURNAL_VIOMMUS,
	WEIR_JOURNAL_VDEVICES,
	WEIR_JOURNAL_ATTACHMENTS,
	WEIR_JOURNAL_FAULTQS,
	WEIR_JOURNAL_REQUESTS,
	WEIR_JOURNAL_TABLES
};

struct weir_slot {
	_Atomic uint32_t state;
	uint32_t reserved;
	uint64_t serial; /* in the order in which they were made */
};

enum weir_slot_space_kind {
	WEIR_SLOT_SPACE_ORDINARY,
	WEIR_SLOT_SPACE_INNER, /* a part of a nested one */
	WEIR_SLOT_SPACE_NESTED,
};

struct weir_slot_space {
	struct weir_slot slot;
	uint32_t flags, address_bits; /* of weir_ioas_opts */
	uint32_t ioas;                /* iommufd: its id */
	uint32_t kind;                /* enum weir_slot_space_kind */

	/* Nested ones alone: their parts, by number, and options. */
	uint32_t stage2, ordinary, memory, faultq; /* ordinary, faultq: 0, there is none */
	uint32_t mode, format, largest_page, policy;
	uint64_t defer, defer_bytes;

	/* And, while a device is in it, of which hardware it is made: its tables, which lie in the memory. */
	uint32_t tables_format, tables_largest_page;
	uint64_t root, descriptor;
};

/* iommufd: a page table. One that is intended has no id yet. */
struct weir_slot_hwpt {
	struct weir_slot slot;
	uint32_t space, id;
	uint32_t tracks; /* it has dirty bits: 0 or 1 */
};

struct weir_slot_map {
	struct weir_slot slot;
	uint64_t iova, len, offset; /* offset: in the file */
	uint32_t space, file;       /* file: 0, it is memory of the process, or a window of a device */
	uint32_t prot;
	uint32_t
		file_serial; /* of the file's slot, its lower half: the number may be another file's by now */
};

/* A file that is mapped, or a chunk of a memory. */
struct weir_slot_file {
	struct weir_slot slot;
	uint64_t offset, len; /* of what this process has of it, in whole pages of the file's own size */
	uint64_t page_size;   /* chunks */
	uint32_t memory;      /* chunks: which has it; 0: none */
	uint32_t chunk;       /* and its number there */
	uint32_t prot, reserved;
};

struct weir_slot_memory {
	struct weir_slot slot;
	uint64_t page_size, chunk, limit;
	uint32_t space; /* its own */
	uint32_t flags, node, map_flags, address_bits, threads;
};

/* A memory is in a further space. */
struct weir_slot_share {
	struct weir_slot slot;
	uint32_t memory, space;
};

struct weir_slot_device {
	struct weir_slot slot;
	char address[16], token[40];
	uint32_t group, dev_id, address_bits, flags;
	_Atomic uint32_t place;  /* iommufd: the page table; container: the space */
	_Atomic uint32_t moving; /* it may be elsewhere: to be put where place says */
};

struct weir_slot_irq {
	struct weir_slot slot;
	uint32_t device, kind, count, reserved;
};

/*
 * iommufd: a page table of the program's own: paging, a nesting parent (by its flags), or nested in one. Which devices are attached to it is in
 * attachments; while a device's moving is set, they are to be attached again to what these say.
 */
struct weir_slot_domain {
	struct weir_slot slot;
	uint32_t space, id;
	uint32_t parent;            /* the domain that it is nested in; 0: none */
	uint32_t viommu;            /* and the virtual IOMMU in between; 0: none */
	uint32_t faultq;            /* where its page requests go; 0: nowhere */
	uint32_t flags;             /* ABI_IOMMU_HWPT_ALLOC_... */
	uint32_t hw_type, features; /* the IOMMU: ABI_IOMMU_HW_INFO_TYPE_..., and the vendor's features */
	_Atomic uint32_t stale;     /* 1: all of it is to be invalidated before anything is attached */
	uint32_t reserved;
};

struct weir_slot_viommu {
	struct weir_slot slot;
	uint32_t parent, id; /* parent: the domain that it is over */
};

/* The number of a device in a virtual IOMMU. */
struct weir_slot_vdevice {
	struct weir_slot slot;
	uint64_t stream;
	uint32_t viommu, device, id;
	uint32_t ats; /* it may remember translations: 0 or 1 */
};

struct weir_slot_attachment {
	struct weir_slot slot;
	uint32_t domain, device, pasid;
	_Atomic uint32_t blocked; /* 1: the kernel has it attached to nothing, or soon */
};

/*
 * A queue of page requests. The kernel gives out requests by read(), and then wants an answer to each: they are read into the slot itself, so that those
 * that a process was killed over are known.
 */
enum { WEIR_SLOT_RECORDS = 256 };

struct weir_slot_faultq {
	struct weir_slot slot;
	uint64_t answer_ns, leave_ns; /* of weir_faultq_opts */
	uint32_t leave;               /* likewise */
	uint32_t id;
	uint32_t number; /* in its process: of the tokens that it gave */

	/* The kernel is being asked for so many, into records, which were zero before; or they are not all in slots yet. */
	_Atomic uint32_t reading;
	struct abi_iommu_hwpt_pgfault records[WEIR_SLOT_RECORDS];
};

/* A page of a group of requests that was read, and is not answered. In force from the last page to the first. */
struct weir_slot_request {
	struct weir_slot slot;
	uint32_t queue; /* of a group's first page; 0: it is a further one */
	uint32_t next;  /* the slot of the next page; 0: there is none */
	uint32_t code;  /* of a first page that is leaving: the answer that is being given */
	uint32_t reserved;
	struct abi_iommu_hwpt_pgfault record;
};

enum weir_fd_kind {
	WEIR_FD_IOMMUFD = 1,
	WEIR_FD_CONTAINER, /* owner: a space */
	WEIR_FD_GROUP,     /* owner: the group's number, plus 1 */
	WEIR_FD_DEVICE,    /* owner: a device */
	WEIR_FD_FILE,      /* owner: a file */
	WEIR_FD_EVENT,     /* owner: an interrupt; index: the vector */
	WEIR_FD_FAULTQ,    /* owner: a queue of page requests */
};

struct weir_slot_fd {
	struct weir_slot slot;
	uint32_t kind, owner, index, reserved;
};

struct weir_slot_block {
	struct weir_slot slot;
	uint64_t offset, len; /* offset: in the blocks' bytes */
	char name[64];
};

/* A table's: how many slots, and bytes of one. */
struct weir_journal_place {
	uint32_t num, size;
	uint64_t offset;
};

struct weir_journal_header {
	char magic[8];
	uint32_t version, header_size;
	uint64_t len; /* of the journal */
	uint32_t backend, iommu_type;
	_Atomic uint32_t not_carried; /* how many objects there are that nobody can take over */
	uint32_t reserved;
	uint64_t blocks, block_bytes; /* where they begin, and how many there are */
	struct weir_journal_place tables[WEIR_JOURNAL_TABLES];
	_Atomic uint32_t used[WEIR_JOURNAL_TABLES]; /* how many of the slots have ever been taken */
};

#endif
