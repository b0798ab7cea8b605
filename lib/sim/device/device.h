/* SPDX-License-Identifier: MIT */
/* PCI functions of the simulated machine, their IOMMU groups, and the VFIO devices made of them. */
#ifndef WEIR_SIM_DEVICE_H
#define WEIR_SIM_DEVICE_H

#include "kernel/vfio_abi.h"
#include "sim/iommu/domain.h"
#include "sim/device/migration.h"
#include "sim/file.h"

enum { SIM_CONFIG_SIZE = 4096, SIM_CONFIG_SIZE_PCI = 256, SIM_CONFIG_SIZE_HEADER = 64 };

struct sim_bar {
	struct weir_sim_bar spec;
	unsigned char *ram; /* RAM BARs: a shared mapping of ram_fd */
	int ram_fd;
};

/* An interrupt index (INTx, MSI, MSI-X, ERR, REQ) as the program has set it up. */
struct sim_irq_index {
	int *eventfds;  /* count of them, duplicates of our own; -1: none */
	uint32_t count; /* enabled vectors; 0: the index is off */
	bool masked;    /* INTx */
	int unmask_fd;  /* INTx, while it is on: an eventfd of ours that unmasks it; -1: none */
};

/* What a program finds behind its mapping of a BAR. */
enum sim_shows {
	SIM_SHOWS_RAM,
	SIM_SHOWS_NOTHING, /* SIGBUS: memory decoding is off, or low power */
	SIM_SHOWS_ONES,    /* the device has gone */
};

/* A part of a BAR that the program has mapped. Keeps the file open, as a VMA does (kernel-interface B.2). */
struct sim_mapping {
	struct sim_mapping *next;
	struct sim_file *file;
	struct weir_sim_device *device;
	unsigned int bar;
	uint64_t offset; /* in the BAR */
	unsigned char *addr;
	size_t len;
	int prot;
	enum sim_shows shows;
};

/* A BAR register that is written each time an eventfd is signalled (VFIO_DEVICE_IOEVENTFD). */
struct sim_doorbell {
	struct sim_doorbell *next;
	unsigned int bar, width;
	uint64_t offset, data;
	int fd;
};

enum { SIM_MOST_ASKS = 32 }; /* page requests of a device's own at a time */

/* What is plugged in. */
enum sim_kind { SIM_ENDPOINT, SIM_BRIDGE, SIM_HOST_BRIDGE };

struct weir_sim_device {
	struct weir_sim_device *next;
	struct weir_sim *sim;
	struct sim_group *group;
	const struct weir_sim_model *model;
	void *state;
	char address[16];
	char driver[32]; /* "" for none */
	char driver_override[32];
	uint32_t bus_group;
	uint32_t pasid_bits; /* 0: it uses no PASIDs */
	bool logs_dma;
	struct sim_migration migration;
	struct sim_dirty log;
	bool page_requests; /* it asks for pages that its DMA does not find: */
	struct sim_ask {
		enum { SIM_ASK_FREE, SIM_ASK_WAITS, SIM_ASK_REFUSED } state;
		uint32_t pasid;
		uint64_t page;
		bool write;
	} asks[SIM_MOST_ASKS];        /* by group index */
	struct sim_request *requests; /* of groups whose last is still to come */
	weir_sim_page_answer *answered;
	void *answered_ctx;
	enum sim_kind kind;
	uint8_t bus, last_bus;                          /* of a bridge: those behind it */
	uint32_t vfio_number;                           /* N of vfioN, while bound to vfio-pci */
	unsigned char config[SIM_CONFIG_SIZE];          /* what the program sees */
	unsigned char config_writable[SIM_CONFIG_SIZE]; /* which bits of it can be written */
	struct sim_caps {                               /* where its capabilities are; 0: it has none such */
		uint8_t pm, express, features, msi, msix;
	} caps;
	struct sim_bar bars[6];
	struct sim_doorbell *doorbells;
	struct sim_dma_buf *dma_bufs;
	struct sim_irq_index irqs[ABI_VFIO_PCI_NUM_IRQS];
	bool intx_asserted;
	bool gone, hangs;
	bool sleeps;    /* in a forked child: the parent has it open, and the child has not used it yet */
	bool unbinds;   /* when it has been closed */
	bool leaves;    /* the kernel wants it back: gone at the last close */
	bool low_power; /* VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY is in force, */
	bool wakes_up;  /* until the first access, which signals */
	int wakeup_fd;
	uint32_t lost_irqs; /* so many interrupts will be lost */

	/*
	 * The open VFIO device. Character device: any number of openers, of which one can bind it. Group: any
	 * number of descriptors.
	 */
	uint32_t opens;
	struct sim_file *cdev;       /* the character device's descriptor that has bound it */
	struct sim_iommufd *iommufd; /* bound to */
	uint32_t dev_id;             /* on that iommufd; 0: not bound */
};

struct sim_group {
	struct sim_group *next;
	struct weir_sim *sim;
	uint32_t number;
	uint32_t unit;                   /* which IOMMU its devices are behind */
	struct sim_domain *domain;       /* what its devices' DMA goes through; NULL: all is blocked */
	struct sim_pasid *pasids;        /* and that of their PASIDs; iommufd/pasid.c */
	struct sim_file *file;           /* /dev/vfio/NUMBER is open */
	struct sim_container *container; /* that it is in, or */
	struct sim_iommufd *compat;      /* the iommufd that serves as one */
	uint32_t open_devices;           /* device descriptors obtained through file */
};

/* Group of a number, made if there is none; NULL: no memory. Groups live as long as the machine. */
struct sim_group *sim_group_get(struct weir_sim *sim, uint32_t number);

/* The next device of a group after @device (NULL: the first), or NULL. */
struct weir_sim_device *sim_group_next(const struct sim_group *group, const struct weir_sim_device *device);

/* Every device is bound to vfio-pci, to pci-stub or to nothing. */
bool sim_group_viable(const struct sim_group *group);

/* device.c ----------------------------------------------------------------------------------------------- */

/*
 * The VFIO device is opened (reset, bus mastering off, memory decoding on) or closed for the last time
 * (interrupts off, DMA blocked).
 */
int sim_device_opened(struct weir_sim_device *device);
void sim_device_closed(struct weir_sim_device *device);
void sim_device_reset(struct weir_sim_device *device); /* function or bus */

/* Can it be reset alone: function level, or nobody else is on its bus? */
bool sim_device_can_reset(const struct weir_sim_device *device);

/*
 * Act on the eventfds that the program has given to be watched: each step of the machine begins with it.
 * True: there were signals.
 */
bool sim_device_watch(struct weir_sim_device *device);

bool sim_device_memory_enabled(const struct weir_sim_device *device);
bool sim_device_bus_master(const struct weir_sim_device *device);

struct sim_bdf {
	uint16_t segment;
	uint8_t bus, devfn;
};
struct sim_bdf sim_device_bdf(const struct weir_sim_device *device);

/*
 * iommufd_pri.c: DMA did not find a page: ask for it. -EAGAIN: it is asked for; -EFAULT: it was, and refused. The device gets an answer; it does not
 * ask for anything any more.
 */
int sim_device_ask(struct weir_sim_device *device, struct sim_domain *domain, uint32_t pasid, uint64_t iova,
		   bool write);
void sim_device_answered(struct weir_sim_device *device, uint32_t pasid, uint32_t grpid, uint32_t code);
void sim_device_forget_asks(struct weir_sim_device *device);

/* device_port.c: the bridge that a device is behind, or NULL; where it is below /sys/devices. */
const struct weir_sim_device *sim_bridge_above(const struct weir_sim_device *device);
void sim_device_path(const struct weir_sim_device *device, char *ret_path, size_t size);

/* device_config.c: make the configuration space of a model; accesses to it through VFIO. */
int sim_config_make(struct weir_sim_device *device);
ssize_t sim_config_read(struct weir_sim_device *device, void *buf, size_t len, uint64_t offset);
ssize_t sim_config_write(struct weir_sim_device *device, const void *buf, size_t len, uint64_t offset);
void sim_config_reset(struct weir_sim_device *device); /* COMMAND and interrupt enables as after reset */

/*
 * device_vfio.c: the ioctls and accesses that every VFIO device answers, however it was opened. The file's
 * data is the device.
 */
int sim_vfio_ioctl(struct sim_file *file, struct weir_sim_device *device, unsigned long request, void *arg);
ssize_t sim_vfio_pread(struct sim_file *file, struct weir_sim_device *device, void *buf, size_t len,
		       uint64_t offset);
ssize_t sim_vfio_pwrite(struct sim_file *file, struct weir_sim_device *device, const void *buf, size_t len,
			uint64_t offset);
int sim_vfio_mmap(struct sim_file *file, struct weir_sim_device *device, void *addr, size_t len, int prot,
		  int flags, uint64_t offset, void **ret_addr);

/*
 * A BAR as other devices and programs reach it: RAM or registers. -EIO: memory decoding is off, or it is
 * gone.
 */
int sim_bar_read(struct weir_sim_device *device, unsigned int bar, uint64_t offset, void *buf, size_t len);
int sim_bar_write(struct weir_sim_device *device, unsigned int bar, uint64_t offset, const void *buf,
		  size_t len);

/*
 * device_mmap.c: RAM BARs in the program's address space. sim_mapping_gone() is called by the table's munmap,
 * before the real one. While a device's memory is off, touching a mapping raises SIGBUS; sim_mapping_update()
 * is called whenever that may have changed. sim_mapping_find(): the first that meets the range, or NULL.
 */
struct sim_mapping *sim_mapping_find(struct weir_sim *sim, uint64_t addr, uint64_t len);
void sim_mapping_gone(struct weir_sim *sim, void *addr, size_t len);
void sim_mapping_update(struct weir_sim_device *device);

/* Can a BAR be mapped? Are these registers, mapped without access, whose faults are to be served? */
bool sim_bar_can_map(const struct weir_sim_device *device, unsigned int bar);
bool sim_mapping_traps(const struct sim_mapping *mapping);

/* device_irq.c */
int sim_irq_info(struct weir_sim_device *device, void *arg);
int sim_irq_set(struct weir_sim_device *device, void *arg);
void sim_irq_signal(struct weir_sim_device *device, unsigned int index, unsigned int vector);
void sim_irq_all_off(struct weir_sim_device *device);

/* The pin, a mask or COMMAND has changed: signal if that is due. Set or lift VFIO's own mask. */
void sim_irq_intx(struct weir_sim_device *device);
void sim_irq_intx_mask(struct weir_sim_device *device, bool masked);

/*
 * device_eventfd.c: eventfds of the program's. A duplicate (-EBADF, -EINVAL when it is none); signal it
 * (never blocks); was it signalled (resets it)? Registers that are written when one is signalled.
 */
int sim_eventfd_get(int fd);
void sim_eventfd_signal(int fd);
bool sim_eventfd_take(int fd);
int sim_doorbell_set(struct weir_sim_device *device, void *arg);
void sim_doorbells_drop(struct weir_sim_device *device);

/* device_reset.c, device_feature.c */
int sim_vfio_reset(struct weir_sim_device *device);
int sim_vfio_hot_reset_info(struct weir_sim_device *device, void *arg);
int sim_vfio_hot_reset(struct weir_sim_device *device, void *arg);
int sim_vfio_feature(struct weir_sim_device *device, void *arg);

/* Low power: each access to the device comes here first, and is a wake-up if one was asked for; its end. */
void sim_low_power_touch(struct weir_sim_device *device);
void sim_low_power_end(struct weir_sim_device *device);

/*
 * Does the MSI-X table lie at @offset of a BAR, and where does that end? Programs read all ones there and
 * write nothing.
 */
bool sim_msix_table(const struct weir_sim_device *device, unsigned int bar, uint64_t offset,
		    uint64_t *ret_end);

/* device_cdev.c: /dev/vfio/devices/vfioN: BIND, ATTACH, DETACH, and the rest through sim_vfio_...(). */
int sim_cdev_open(struct weir_sim_device *device);

/* container_group.c: /dev/vfio/N; container.c: /dev/vfio/vfio; both return a descriptor. */
int sim_group_open(struct sim_group *group);
struct sim_group *sim_group_of(const struct sim_file *file); /* NULL: it is no group */
int sim_container_open(struct weir_sim *sim);

/* iommufd.c: /dev/iommu. */
int sim_iommufd_open(struct weir_sim *sim);

#endif
