/* SPDX-License-Identifier: MIT */
/*
 * Device models that note what is done to them, and the kernel's calls on the simulated machine as a
 * program makes them.
 */
#ifndef TESTS_UNIT_SIM_PROBE_H
#define TESTS_UNIT_SIM_PROBE_H

#include "kernel/iommufd_abi.h"
#include "sim/device/device.h"
#include "sim_toy.h"

/*
 * PCI Express, function reset, INTx, 4 MSI and 8 MSI-X. BAR 0: 4 KiB of registers. BAR 1: 16 ports. BAR
 * 2: 64 KiB of RAM, 64 bits, with the MSI-X table at 0x8000. BAR 4: 256 bytes of RAM.
 */
extern const struct weir_sim_model probe_model;
/* Like QEMU's edu: conventional PCI, INTx, one MSI, no reset, BAR 0 of registers. */
extern const struct weir_sim_model plain_model;

enum { PROBE_TABLE = 0x8000, PROBE_RAM = 0x10000 };

/* The state of both. Registers keep what is written to them. */
struct probe {
	struct weir_sim_device *device;
	unsigned char registers[4096];
	struct {
		bool write;
		unsigned int bar, width;
		uint64_t offset;
	} log[64];
	unsigned int num_accesses, num_resets;
};

struct probe *probe_of(const struct weir_sim_device *device);

/* Offset of a region in the device's descriptor. */
#define REGION(index) ((uint64_t)(index) << 40)
#define CONFIG        REGION(ABI_VFIO_PCI_CONFIG_REGION_INDEX)

/* The program's calls. */
int node(struct weir_sim *sim, const char *path);
int device_node(const struct weir_sim_device *device); /* its character device */
int group_node(const struct weir_sim_device *device);
void done(struct weir_sim *sim, int fd); /* close */
int64_t call(struct weir_sim *sim, int fd, unsigned long request, void *arg);
int64_t call_value(struct weir_sim *sim, int fd, unsigned long request, uint64_t arg);
int64_t get(struct weir_sim *sim, int fd, uint64_t offset, void *buf, size_t len);
int64_t put(struct weir_sim *sim, int fd, uint64_t offset, const void *buf, size_t len);
int map(struct weir_sim *sim, int fd, uint64_t offset, size_t len, int flags, void **ret_addr);
int unmap(struct weir_sim *sim, void *addr, size_t len);

uint32_t get32(struct weir_sim *sim, int fd, uint64_t offset);
void put32(struct weir_sim *sim, int fd, uint64_t offset, uint32_t value);
uint16_t get16(struct weir_sim *sim, int fd, uint64_t offset);
void put16(struct weir_sim *sim, int fd, uint64_t offset, uint16_t value);

/*
 * A machine with one device of a model, opened in one of the ways that there are; all of it closed with
 * the case.
 */
enum way { BY_CDEV, BY_CONTAINER, BY_COMPAT };

struct rig {
	struct weir_sim *sim;
	struct weir_sim_device *device;
	int iommu; /* /dev/iommu or /dev/vfio/vfio */
	int group; /* -1: none */
	int fd;    /* the device */
	uint32_t dev_id;
};

struct rig *rig_new(struct t *t, const struct weir_sim_model *model, enum way way);

/* Open another device of the rig's machine by itself; the caller closes. */
int rig_bind(struct rig *rig, struct weir_sim_device *device, uint32_t *ret_dev_id);

/* Anonymous memory that is unmapped with the case. */
unsigned char *memory(struct t *t, size_t len);

/* A page that can be touched, with one behind it that cannot: the address of its end. */
unsigned char *before_hole(struct t *t);

/* The signal that reading the byte raises; 0 for none. */
int touch(volatile unsigned char *at);

/* An eventfd that is closed with the case, non-blocking; how often it was signalled since the last look. */
int event(struct t *t);
uint64_t signals(int fd);

#endif
