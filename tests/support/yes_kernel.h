/* SPDX-License-Identifier: MIT */
/*
 * A kernel that says yes: a table of system calls that answers weir like a machine with four devices, on every interface.
 *
 * It keeps count of what it handed out (descriptors, address spaces, page tables, attachments), so that a test can tell
 * whether everything came back, and makes any one call fail. Mapping is not done, only noted where a test asks for that;
 * it is not a simulator: nothing does DMA and few arguments are checked.
 *
 * Any number of threads may call. Calls that map and unmap take no lock and order no memory accesses, so that they hide no
 * race of the library's own from the thread sanitizer.
 */
#ifndef TESTS_SUPPORT_YES_KERNEL_H
#define TESTS_SUPPORT_YES_KERNEL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <weir/sys.h>

/* The devices: 0 and 1 each in a group of its own, 2 and 3 in one together. */
#define YES_ADDRESS_0 "0000:01:00.0"
#define YES_ADDRESS_1 "0000:02:00.0"
#define YES_ADDRESS_2 "0000:03:00.0"
#define YES_ADDRESS_3 "0000:03:00.1"

enum { YES_DEVICES = 4, YES_GROUPS = 4, YES_FDS = 128, YES_OBJECTS = 64, YES_FIRST_FD = 5000 };

/* BAR 0 of each device can be mapped and has this many bytes. */
enum { YES_BAR_SIZE = 16384 };

/* What a hook returns to leave the call to the kernel. */
enum { YES_PASS = -100000 };

/* What is handed out. */
struct yes_state {
	unsigned int fds;         /* open descriptors */
	unsigned int mmaps;       /* regions that are mapped */
	unsigned int objects;     /* address spaces and page tables of /dev/iommu */
	unsigned int attached;    /* devices attached to a page table */
	unsigned int contained;   /* groups in containers */
	unsigned int devices;     /* devices opened through their group, or bound to an iommufd */
	unsigned long long pages; /* mapped pages, where they are tracked */
};

struct yes_fd {
	_Atomic int kind;
	_Atomic int index; /* of the device or group */
	_Atomic(const char *) text;
	_Atomic size_t at;
	_Atomic unsigned int groups; /* of a container */
	_Atomic bool has_iommu;      /* of a container */
};

struct yes_object {
	uint32_t id;   /* 0: free */
	uint32_t ioas; /* of a page table: for which space; 0: it is a space */
	uint32_t users;
	unsigned int iommu; /* of a page table: for devices behind which IOMMU */
	int owner;          /* descriptor of the /dev/iommu that it is in */
};

struct yes_device {
	int iommufd; /* bound to that descriptor; -1: not */
	bool open;   /* through its group */
	uint32_t hwpt;
	uint16_t command; /* the PCI register */
};

struct yes_kernel {
	struct weir_sys table; /* give this to the host */

	/* What this machine is like. */
	bool no_iommu_node, no_cdev, no_container_node, no_v2;
	bool two_iommus; /* device 1 is behind another IOMMU than the others, and needs page tables of its own */
	int iommu_error, container_error; /* opening the node fails */

	/* Called first for every ioctl; returns what that returns, or YES_PASS. */
	int (*hook)(void *hook_ctx, int fd, unsigned long request, void *arg);
	void *hook_ctx;

	/* The rest is the kernel's own. */
	_Atomic unsigned int calls, fail_at;
	_Atomic int fail_error;
	struct yes_fd fds[YES_FDS]; /* descriptor YES_FIRST_FD + i */
	_Atomic unsigned int mmaps;
	_Atomic unsigned long long num_mapped;
	_Atomic unsigned char *pages; /* tracked: is there a mapping? */
	uint64_t first_page, num_pages;
	_Atomic uint32_t tracked; /* on /dev/iommu: in which space */
	_Atomic unsigned int
		overlaps;     /* pages mapped twice, and pages unmapped that were not mapped in full */
	pthread_mutex_t lock; /* guards what follows */
	struct yes_object objects[YES_OBJECTS];
	uint32_t last_id;
	struct yes_device devices[YES_DEVICES];
	int containers[YES_GROUPS]; /* which descriptor each group is in; -1: none */
};

void yes_kernel_init(struct yes_kernel *yes);
void yes_kernel_finish(struct yes_kernel *yes);

/* Note which pages of [first, last] are mapped from now on, in the one space that the case maps into. */
void yes_kernel_track(struct yes_kernel *yes, uint64_t first, uint64_t last);

/* The @nth call from now fails with @error, and only that one. close and munmap do their work all the same. */
void yes_kernel_fail(struct yes_kernel *yes, unsigned int nth, int error);

/* Has a call failed since? Stops it, too. */
bool yes_kernel_failed(struct yes_kernel *yes);

struct yes_state yes_kernel_state(struct yes_kernel *yes);

#endif
