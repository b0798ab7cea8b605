/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own interface, without weir in between: ioctls on descriptors of the case's own, through the system calls of the host
 * under test. The table then compares the simulated kernel with the real one, call by call.
 *
 * Such a case is about one interface and runs on the host of that name alone: NEEDS(IOMMUFD), NEEDS(TYPE1) or NEEDS(COMPAT). Which
 * of its lines stand for what was seen on a real kernel once, tests/table/vm-lines tells.
 *
 * Calls return what the kernel returns: 0 or a positive number, or a negative errno. What the helpers open is closed when the case
 * ends; what they set up is asserted. Addresses are numbers here, as they are for the kernel.
 */
#ifndef TESTS_CONFORMANCE_RAW_RAW_H
#define TESTS_CONFORMANCE_RAW_RAW_H

#include "conformance/fixture.h"
#include "conformance/machine.h"
#include "conformance/space.h"
#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"

#define KIB ((uint64_t)1024)

/* What VT-d, as QEMU has it, can translate: all of 48 bits but the window of interrupts. */
#define MSI_FIRST 0xfee00000u
#define MSI_LAST  0xfeefffffu

/* A command's struct, with its size filled in. */
#define COMMAND(type, ...) (&(struct type){ .size = sizeof(struct type), __VA_ARGS__ })
#define ARGS(type, ...)    (&(struct type){ .argsz = sizeof(struct type), __VA_ARGS__ })

/* Any descriptor ---------------------------------------------------------------------------------------------------- */

int raw_ioctl(struct t *t, int fd, unsigned long request, void *arg);

/* Open a node. Give a descriptor that came otherwise to the case, and close one before its end. */
int raw_open(struct t *t, const char *path);
int raw_keep(struct t *t, int fd);
void raw_close(struct t *t, int fd);

/* A memfd of @len bytes, and an address that is not memory: pages that were and are no more. */
int new_memfd(struct t *t, uint64_t len);
uint64_t no_memory(struct t *t, uint64_t len);

/* New anonymous memory, by its number. */
uint64_t new_range(struct t *t, uint64_t len);

/* /dev/iommu -------------------------------------------------------------------------------------------------------- */

int new_iommufd(struct t *t);
uint32_t raw_ioas(struct t *t, int iommufd);
int raw_destroy(struct t *t, int iommufd, uint32_t id);

/* Map for reading and writing: at @iova; where the kernel likes. */
int raw_map(struct t *t, int iommufd, uint32_t ioas, uint64_t addr, uint64_t len, uint64_t iova);
int raw_map_anywhere(struct t *t, int iommufd, uint32_t ioas, uint64_t addr, uint64_t len,
		     uint64_t *ret_iova);
int raw_map_file(struct t *t, int iommufd, uint32_t ioas, int fd, uint64_t start, uint64_t len,
		 uint64_t iova);
int raw_map_file_anywhere(struct t *t, int iommufd, uint32_t ioas, int fd, uint64_t start, uint64_t len,
			  uint64_t *ret_iova);
int raw_copy(struct t *t, int iommufd, uint32_t ioas, uint64_t from, uint64_t len, uint32_t to_ioas,
	     uint64_t to);

/* *@len: in and out, and as it was when the kernel does not write it. raw_unmap_all() returns how much there was. */
int raw_unmap(struct t *t, int iommufd, uint32_t ioas, uint64_t iova, uint64_t *len);
uint64_t raw_unmap_all(struct t *t, int iommufd, uint32_t ioas);

/* A page is mapped there (or something is that begins there; then it is found taken). */
bool is_taken(struct t *t, int iommufd, uint32_t ioas, uint64_t iova);

/* A page table for a device. */
int raw_hwpt_alloc(struct t *t, int iommufd, uint32_t device, uint32_t pt_id, uint32_t flags,
		   uint32_t *ret_id);

/* VFIO devices ------------------------------------------------------------------------------------------------------ */

/* The character device called @name; bound to @iommufd, with the id that it has there. */
struct raw_device {
	int fd;
	uint32_t id;
};

int open_cdev(struct t *t, const char *name);
int raw_bind(struct t *t, int device, int iommufd, uint32_t *ret_id);
struct raw_device new_bound(struct t *t, int iommufd, const char *name);

/* *@pt_id: in and out. attached(): to an IOAS, and the id of the page table that came of it. */
int raw_attach(struct t *t, int device, uint32_t *pt_id);
int raw_detach(struct t *t, int device);
uint32_t attached(struct t *t, int device, uint32_t ioas);

/* A region's size and place, and what is in it. */
struct abi_vfio_region_info region_info(struct t *t, int device, uint32_t index);
ssize_t raw_read(struct t *t, int device, uint32_t index, uint64_t at, void *value, size_t len);
ssize_t raw_write(struct t *t, int device, uint32_t index, uint64_t at, const void *value, size_t len);

/* Map the first @len bytes of a BAR into the process, until the case ends. */
uint64_t map_bar(struct t *t, int device, uint32_t index, uint64_t len);

/* Memory decoding, in the command register. */
void set_decoding(struct t *t, int device, bool on);

/* Have an edu copy at most 4 KiB from one I/O address to another, as far as it reaches them. A fifth of a second. */
void raw_dma(struct t *t, int edu, uint64_t from, uint64_t to, uint64_t len);

/* A dma-buf of a part of a BAR: its descriptor, or a negative errno. */
int raw_export(struct t *t, int device, uint32_t bar, uint64_t offset, uint64_t len);

/* Ask for a feature by DEVICE_FEATURE, with the flags that go with its number. */
int raw_feature(struct t *t, int device, uint32_t flags, const void *data, size_t len);

/* Containers and groups --------------------------------------------------------------------------------------------- */

/* The group of a device, by its own node; and a device of a group that is in a container. */
int open_group(struct t *t, const char *name);
int raw_set_container(struct t *t, int group, int container);
int raw_device_of(struct t *t, int group, const char *name);

/* The interface of this kind of host, with the group of @name in it; that works as @type (1, 3), with the device open. */
struct raw_container {
	int fd, group, device;
};

struct raw_container new_container(struct t *t, const char *name, unsigned int type);

/* Map for reading and writing. Unmap: the result, and how much it was. */
int raw_map_dma(struct t *t, int container, uint64_t addr, uint64_t len, uint64_t iova);
int raw_unmap_dma(struct t *t, int container, uint32_t flags, uint64_t iova, uint64_t *len);

/* VFIO_CHECK_EXTENSION and VFIO_SET_IOMMU: the argument is a number. */
int raw_number(struct t *t, int fd, unsigned long request, uintptr_t number);

#endif
