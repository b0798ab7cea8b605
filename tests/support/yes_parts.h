/* SPDX-License-Identifier: MIT */
/* What the parts of the kernel that says yes know of each other. */
#ifndef TESTS_SUPPORT_YES_PARTS_H
#define TESTS_SUPPORT_YES_PARTS_H

#include "support/yes_kernel.h"

enum yes_kind {
	YES_CLOSED,
	YES_FILE,
	YES_EVENTFD,
	YES_IOMMU,
	YES_CONTAINER,
	YES_GROUP,
	YES_CDEV,   /* a device's node of its own */
	YES_DEVICE, /* a device opened through its group */
};

int yes_fd_new(struct yes_kernel *yes, enum yes_kind kind, int index, const char *text);
struct yes_fd *yes_fd_get(struct yes_kernel *yes, int fd);
unsigned int yes_group_of(int device);

/* Note that pages are mapped or unmapped; the latter returns how many bytes were. */
void yes_map(struct yes_kernel *yes, uint64_t iova, uint64_t len);
uint64_t yes_unmap(struct yes_kernel *yes, uint64_t iova, uint64_t len);

/* The ioctls, by the descriptor's kind. The lock is held for all but mapping and unmapping, which come first. */
bool yes_is_mapping(int kind, unsigned long request);
int yes_map_ioctl(struct yes_kernel *yes, const struct yes_fd *file, unsigned long request, void *arg);
int yes_iommu_ioctl(struct yes_kernel *yes, int fd, unsigned long request, void *arg);
int yes_container_ioctl(struct yes_kernel *yes, int fd, unsigned long request, void *arg);
int yes_group_ioctl(struct yes_kernel *yes, int fd, unsigned long request, void *arg);
int yes_device_ioctl(struct yes_kernel *yes, int fd, unsigned long request, void *arg);

/* A descriptor is closed; the lock is held. */
void yes_closed(struct yes_kernel *yes, int fd, enum yes_kind kind);

#endif
