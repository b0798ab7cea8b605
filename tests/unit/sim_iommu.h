/* SPDX-License-Identifier: MIT */
/* /dev/iommu of a simulated machine, spoken to as a program does: commands, devices, memory. */
#ifndef TESTS_UNIT_SIM_IOMMU_H
#define TESTS_UNIT_SIM_IOMMU_H

#include <stdint.h>

#include "kernel/iommufd_abi.h"
#include "kernel/vfio_abi.h"
#include "sim/device/device.h"

#include "sim_toy.h"
#include "test.h"

enum { PAGE = 4096, MIB = 1 << 20 };

#define FIXED     ABI_IOMMU_IOAS_MAP_FIXED_IOVA
#define READABLE  ABI_IOMMU_IOAS_MAP_READABLE
#define WRITEABLE ABI_IOMMU_IOAS_MAP_WRITEABLE
#define BOTH      (READABLE | WRITEABLE)

/* Any command. */
union cmd {
	uint32_t size;
	struct abi_iommu_destroy destroy;
	struct abi_iommu_ioas_alloc ioas_alloc;
	struct abi_iommu_ioas_allow_iovas allow;
	struct abi_iommu_ioas_copy copy;
	struct abi_iommu_ioas_iova_ranges ranges;
	struct abi_iommu_ioas_map map;
	struct abi_iommu_ioas_map_file map_file;
	struct abi_iommu_ioas_unmap unmap;
	struct abi_iommu_ioas_change_process change_process;
	struct abi_iommu_option option;
	struct abi_iommu_vfio_ioas vfio_ioas;
	struct abi_iommu_hw_info hw_info;
	struct abi_iommu_hwpt_alloc hwpt;
	struct abi_iommu_hwpt_set_dirty_tracking set_dirty;
	struct abi_iommu_hwpt_get_dirty_bitmap get_dirty;
	struct abi_iommu_hwpt_invalidate invalidate;
	struct abi_iommu_fault_alloc fault;
	struct abi_iommu_viommu_alloc viommu;
	struct abi_iommu_vdevice_alloc vdevice;
	struct abi_iommu_veventq_alloc veventq;
	struct abi_iommu_hw_queue_alloc hw_queue;
	unsigned char bytes[128];
};

/* A command and what comes of it. The size is that of this release unless the command says otherwise. */
struct row {
	const char *what;
	uint32_t number; /* 0x80 ... */
	int error;
	union cmd cmd;
};

/* Which row it is that fails. */
void run_rows(struct t *t, struct weir_sim *sim, int iommufd, const struct row *rows, size_t num);
#define RUN_ROWS(t, sim, fd, rows) run_rows(t, sim, fd, rows, sizeof(rows) / sizeof((rows)[0]))

/* Through the machine's table; closed when the case ends. */
int open_node(struct t *t, struct weir_sim *sim, const char *path);
int open_iommufd(struct t *t, struct weir_sim *sim);
void close_node(struct weir_sim *sim, int fd);
int call(struct weir_sim *sim, int fd, uint32_t request, void *arg);
int command(struct weir_sim *sim, int iommufd, uint32_t number,
	    union cmd *cmd); /* fills in the size if it is 0 */

uint32_t new_ioas(struct weir_sim *sim, int iommufd);
int destroy(struct weir_sim *sim, int iommufd, uint32_t id);
int map_at(struct weir_sim *sim, int iommufd, uint32_t ioas, const void *addr, uint64_t len, uint64_t iova);
int map_anywhere(struct weir_sim *sim, int iommufd, uint32_t ioas, const void *addr, uint64_t len,
		 uint64_t *ret_iova);
int map_file(struct weir_sim *sim, int iommufd, uint32_t ioas, int fd, uint64_t start, uint64_t len,
	     uint32_t flags, uint64_t iova);
int unmap(struct weir_sim *sim, int iommufd, uint32_t ioas, uint64_t iova, uint64_t *len);
int hwpt_alloc(struct weir_sim *sim, int iommufd, uint32_t dev_id, uint32_t ioas, uint32_t *ret_hwpt);

int copy_at(struct weir_sim *sim, int iommufd, uint32_t from, uint64_t from_iova, uint64_t len, uint32_t to,
	    uint64_t iova, uint32_t flags);

struct ranges {
	struct abi_iommu_iova_range at[4];
	uint32_t num;
	uint64_t alignment;
};
struct ranges ranges_of(struct weir_sim *sim, int iommufd, uint32_t ioas);

/* A toy's character device: opened, bound, with bus mastering on. */
int open_cdev(struct t *t, struct weir_sim *sim, const struct weir_sim_device *device);
int bind_cdev(struct weir_sim *sim, int cdev, int iommufd, uint32_t *ret_dev_id);
int attach(struct weir_sim *sim, int cdev, uint32_t *pt_id);
int attach_to(struct weir_sim *sim, int cdev, uint32_t pt_id);
int detach(struct weir_sim *sim, int cdev);
void set_bus_master(struct weir_sim *sim, int cdev);

/* Can it read a byte there? */
bool reaches(struct weir_sim_device *device, uint64_t iova);

struct board {
	struct weir_sim *sim;
	int iommufd;
	uint32_t ioas;
	struct weir_sim_device *device;
	int cdev;
	uint32_t dev_id;
};

/* A machine with a toy, bound to an iommufd that has an IOAS (id 1; the device is 2); not attached. */
struct board new_board(struct t *t);
struct board new_board_on(struct t *t, const struct weir_sim_opts *opts, const struct weir_sim_slot *slot);

/* Zeroed memory of the process, given back when the case ends; a memfd, likewise. */
unsigned char *new_memory(struct t *t, size_t len);
int new_memfd(struct t *t, size_t len);

/* For the rest of the case: no capability is in effect, and this is RLIMIT_MEMLOCK. */
void drop_capabilities(struct t *t);
void limit_memlock(struct t *t, uint64_t bytes);

#endif
