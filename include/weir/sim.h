/* SPDX-License-Identifier: MIT */
/*
 * The simulated host (libweir-sim): a machine with an IOMMU and PCI devices, inside this process.
 *
 * It answers the system calls that weir makes as Linux 7.2 would, so everything above it is the real
 * library, and everything below it needs neither hardware nor privileges:
 *
 *     struct weir_sim *sim;
 *     weir_sim_open(NULL, &sim);
 *     weir_sim_add_nvme(sim, &WEIR_OPTS(weir_sim_nvme_opts, .image = "disk.img"), NULL);
 *     weir_sim_start(sim);
 *     weir_host_open(&WEIR_OPTS(weir_host_opts, .sys = weir_sim_sys(sim)), &host);
 *     weir_device_open(ioas, "0000:00:01.0", NULL, &device);
 *
 * Every DMA of a simulated device is translated by the simulated IOMMU, which lets through what is mapped
 * and blocks and reports the rest. Descriptors are real ones: they can be polled, duplicated and passed on
 * within the process.
 *
 * Paths that the machine does not have (anything but its part of /sys, /dev/iommu and /dev/vfio) and
 * descriptors that are not its own are passed on to the real system calls.
 *
 * Threads: any number of machines in a process; the calls on one may come from any thread. Models run under
 * the machine's lock.
 *
 * Errors: negative errno, and a text in weir_error().
 */
#ifndef WEIR_SIM_H
#define WEIR_SIM_H

#include <stdbool.h>

#include <weir/ioas.h>
#include <weir/sys.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_sim;
struct weir_sim_device;

/*
 * The machine --------------------------------------------------------------------------------------------------------
 */

/* Which kernel it behaves like. */
enum weir_sim_age {
	WEIR_SIM_7_2,  /* iommufd, containers, character devices: the default */
	WEIR_SIM_6_19, /* the same in all that weir uses */
	WEIR_SIM_6_12, /* no mapping by file, no dma-buf export */
	WEIR_SIM_6_6,  /* the first with character devices */
	WEIR_SIM_6_1,  /* no iommufd: containers only */
};

#define WEIR_SIM_NO_CONTAINER (1u << 0) /* no /dev/vfio/vfio: iommufd alone */
#define WEIR_SIM_NO_IOMMUFD                                                                                  \
	(1u << 1) /* no /dev/iommu and no character devices, as Debian builds its kernels */
#define WEIR_SIM_TYPE1_V1    (1u << 2) /* type1 has no version 2 */
#define WEIR_SIM_UNSAFE_IRQS (1u << 3) /* interrupts are not isolated, and nobody has accepted that */
#define WEIR_SIM_NO_IOMMU    (1u << 4) /* the machine has no IOMMU */
#define WEIR_SIM_DIRTY_BITS  (1u << 6) /* page tables note what is written through them (iommufd) */
#define WEIR_SIM_NO_5_LEVEL  (1u << 5) /* first-stage tables have four levels only (WEIR_SIM_IOMMU_VTD) */
#define WEIR_SIM_NO_1_GIB    (1u << 7) /* and no pages of 1 GiB */

/*
 * Which IOMMU it has, and with that what a program can nest in a page table that the kernel keeps. Everything else is the same on all.
 *
 * Nested translation walks the program's tables in memory, through stage 2, and keeps what it found, leaves and tables on the way to them,
 * until that is invalidated: a table that was changed and not invalidated is used as it was.
 */
enum weir_sim_iommu {
	WEIR_SIM_IOMMU_PLAIN, /* QEMU's intel-iommu: no nesting, no PASIDs; the default */
	WEIR_SIM_IOMMU_VTD,   /* VT-d in scalable mode: x86-64 tables of 4 or 5 levels, on a nesting parent */
	WEIR_SIM_IOMMU_SMMUV3, /* Arm: stream table entries and context descriptors, on a virtual IOMMU */
	WEIR_SIM_IOMMU_AMD, /* as 7.2 has it: nesting parents and virtual IOMMUs, but nothing nests in them */
};

struct weir_sim_opts {
	size_t size;           /* sizeof(struct weir_sim_opts); set by WEIR_OPTS() */
	uint32_t age;          /* enum weir_sim_age */
	uint32_t flags;        /* WEIR_SIM_... */
	uint32_t address_bits; /* that the IOMMU translates; 0: 48 */
	uint32_t max_mappings; /* of a container; 0: 65535, as the kernel */
	uint64_t seed;         /* for everything that is left to chance */
	uint32_t iommu;        /* enum weir_sim_iommu */
	uint32_t reserved;
};

/*
 * Make a machine without devices. Nodes belong to the user that makes it; others are refused with EACCES.
 *
 * Returns 0 and the machine in @ret_sim (weir_sim_close()); -EINVAL, -E2BIG, -ENOMEM, -EMFILE. Since 0.1.
 */
WEIR_API int weir_sim_open(const struct weir_sim_opts *opts, struct weir_sim **ret_sim);

/*
 * Stop the machine's thread, remove all devices and close it. -EBUSY while descriptors of it are open. NULL is allowed. Since 0.1.
 */
WEIR_API int weir_sim_close(struct weir_sim *sim);

/*
 * Give the machine's nodes to another user, as chown would: a process that has dropped its privileges may
 * still open them. Since 0.1.
 */
WEIR_API void weir_sim_set_owner(struct weir_sim *sim, unsigned int uid);

/* The system calls of this machine, for weir_host_open(). Valid until weir_sim_close(). Since 0.1. */
WEIR_API const struct weir_sys *weir_sim_sys(struct weir_sim *sim);

/*
 * The same as another process makes them, number 1 to 3 (0 is weir_sim_sys()): the machine and all descriptors are shared, and what a process maps is charged to
 * itself alone. NULL: there is no such number. Since 0.1.
 */
WEIR_API const struct weir_sys *weir_sim_sys_of(struct weir_sim *sim, unsigned int process);

/*
 * How many bytes such a process may have locked (0: as the real one may), as if without CAP_IPC_LOCK; and how many it has pinned, and locked as its
 * own. 0; -EINVAL, no such number. Since 0.1.
 */
WEIR_API int weir_sim_set_memlock(struct weir_sim *sim, unsigned int process, uint64_t bytes);
WEIR_API int weir_sim_charged(struct weir_sim *sim, unsigned int process, uint64_t *ret_pinned,
			      uint64_t *ret_locked);

/*
 * Let devices work: one step of every device that has something to do, in order of their addresses. Returns
 * how many did something: 0 means that nothing will happen before a program does something. Deterministic.
 * -EBUSY while weir_sim_start() is in force. Since 0.1.
 */
WEIR_API int weir_sim_step(struct weir_sim *sim);

/*
 * Let devices work on a thread of their own until weir_sim_stop(), like hardware. -EBUSY if it runs; -EAGAIN. Since 0.1.
 */
WEIR_API int weir_sim_start(struct weir_sim *sim);
WEIR_API int weir_sim_stop(struct weir_sim *sim);

/*
 * Devices ------------------------------------------------------------------------------------------------------------
 */

/* A memory BAR of a model. */
#define WEIR_SIM_BAR_64BIT        (1u << 0)
#define WEIR_SIM_BAR_PREFETCHABLE (1u << 1)
#define WEIR_SIM_BAR_RAM                                                                                     \
	(1u << 2) /* plain memory: can be mapped, loads and stores are not seen by the model */
#define WEIR_SIM_BAR_IO (1u << 3) /* I/O ports */

struct weir_sim_bar {
	uint64_t len;   /* a power of two; 0: there is no such BAR */
	uint32_t flags; /* WEIR_SIM_BAR_... */
};

#define WEIR_SIM_FLR (1u << 0) /* the function can be reset */
#define WEIR_SIM_PCIE                                                                                        \
	(1u << 1) /* a PCI Express function: has ERR interrupts and extended configuration space */
#define WEIR_SIM_INTX (1u << 2) /* has an interrupt pin */
#define WEIR_SIM_WAITS                                                                                       \
	(1u << 3) /* DMA that says -EAGAIN is tried again in a later step: it can wait for pages */

/*
 * A device model: what a kind of device is and how it behaves. All callbacks run under the machine's lock,
 * and may use the weir_sim_device_... functions below. A model sees its registers in BARs that are not RAM.
 */
struct weir_sim_model {
	size_t size; /* sizeof(struct weir_sim_model) */
	const char *name;
	uint16_t vendor_id, device_id;
	uint32_t class_code;   /* base class << 16 | subclass << 8 | programming interface */
	uint32_t flags;        /* WEIR_SIM_FLR ... */
	uint32_t msi_vectors;  /* 0, 1, 2, 4 ... 32 */
	uint32_t msix_vectors; /* 0 to 2048; table and pending bits lie in msix_bar, from msix_offset on */
	uint32_t msix_bar;
	uint32_t msix_offset;
	struct weir_sim_bar bars[6];

	/*
	 * Make the device's own state. @config is what weir_sim_add() was given. Returns 0 or a negative errno with a text.
	 */
	int (*create)(struct weir_sim_device *device, const void *config, void **ret_state);
	void (*destroy)(void *state);

	/*
	 * A naturally aligned access of 1, 2, 4 or 8 bytes to a BAR that is not RAM. Reads return the value.
	 */
	uint64_t (*read)(void *state, unsigned int bar, uint64_t offset, unsigned int width);
	void (*write)(void *state, unsigned int bar, uint64_t offset, unsigned int width, uint64_t value);

	/* Function reset, hot reset, and reset at open. */
	void (*reset)(void *state);

	/* Do a piece of work: true if there was any. NULL: the device never acts on its own. */
	bool (*step)(void *state);

	/*
	 * Migration: write the device's own state, up to @room bytes (64 KiB), and return how many; and become what was written so, or return -EINVAL. NULL: it cannot.
	 */
	size_t (*save)(void *state, void *buf, size_t room);
	int (*load)(void *state, const void *buf, size_t len);
};

struct weir_sim_slot {
	size_t size;         /* sizeof(struct weir_sim_slot); set by WEIR_OPTS() */
	const char *address; /* "0000:00:01.0"; NULL: the next free one on bus 0 */
	const char *driver;  /* what it is bound to; NULL: "vfio-pci"; "": nothing */
	uint32_t group;      /* IOMMU group; 0: one of its own */
	uint32_t
		bus_group; /* devices with the same number here are reset together (hot reset); 0: its bus cannot be reset */
	uint32_t
		iommu_unit; /* which of the machine's IOMMUs it is behind: all of a group behind the same; 0: the first */
	uint32_t
		pasid_bits; /* PASIDs that it can use, as a power of two: 1 to 20; 0: none. Not with WEIR_SIM_IOMMU_PLAIN */
	uint32_t logs_dma; /* 1: its driver logs what it writes (VFIO_DEVICE_FEATURE_DMA_LOGGING_START) */
	uint32_t
		page_requests; /* 1: it requests pages (PRI) that its DMA does not find, if the page table has a queue for that. An edu and an NVMe controller can, and models with WEIR_SIM_WAITS and WEIR_SIM_PCIE; not with WEIR_SIM_IOMMU_PLAIN */
	uint32_t
		migrates; /* 1: its driver migrates it (VFIO_DEVICE_FEATURE_MIGRATION), if the model can be saved */
	uint32_t reserved; /* 0 */
};

/*
 * Plug in a device of @model.
 *
 * Returns 0 and in @ret_device (may be NULL) the device, which lives until the machine is closed or it is
 * unplugged; or -EINVAL with a text (a BAR whose length is no power of two or does not fit, an MSI-X table
 * outside its BAR, an address that is none), -EEXIST (the address is taken), -ENOSPC (bus 0 is full), -ENOMEM,
 * or what the model's create returned. Since 0.1.
 */
WEIR_API int weir_sim_add(struct weir_sim *sim, const struct weir_sim_model *model,
			  const struct weir_sim_slot *slot, const void *config,
			  struct weir_sim_device **ret_device);

/* The device's PCI address. Valid as long as the device. Since 0.1. */
WEIR_API const char *weir_sim_device_address(const struct weir_sim_device *device);

/* The machine's device at an address, or NULL. Since 0.1. */
WEIR_API struct weir_sim_device *weir_sim_find(struct weir_sim *sim, const char *address);

/*
 * For models: DMA through the IOMMU, to memory and to other devices' BARs. All or nothing up to a page
 * border; returns 0; -EFAULT when the IOMMU blocked it (that is reported), -EIO when bus mastering is off
 * or the target did not answer; -EAGAIN, in a slot with page_requests: a page was not there, and is asked for. The same DMA, tried again in a
 * later step, goes on when that was answered with success, and is -EFAULT when it was refused.
 */
WEIR_API int weir_sim_device_dma_read(struct weir_sim_device *device, uint64_t iova, void *buf, size_t len);
WEIR_API int weir_sim_device_dma_write(struct weir_sim_device *device, uint64_t iova, const void *buf,
				       size_t len);

/*
 * For models: the same with a PASID, which the device was plugged in with (weir_sim_slot.pasid_bits; else, and for PASID 0, -EINVAL).
 * @buf is read or written, as @write says. Since 0.1.
 */
WEIR_API int weir_sim_device_dma_pasid(struct weir_sim_device *device, uint32_t pasid, uint64_t iova,
				       void *buf, size_t len, bool write);

/* For models: raise MSI or MSI-X vector @vector, whichever is enabled; drive the pin for INTx. */
WEIR_API void weir_sim_device_msi(struct weir_sim_device *device, unsigned int vector);
WEIR_API void weir_sim_device_intx(struct weir_sim_device *device, bool asserted);

/* For models: the memory of a RAM BAR. */
WEIR_API void *weir_sim_device_ram(struct weir_sim_device *device, unsigned int bar);

/* QEMU's teaching device, as drivers/edu drives it. */
struct weir_sim_edu_opts {
	size_t size;           /* sizeof(struct weir_sim_edu_opts) */
	uint32_t address_bits; /* of its DMA engine; 0: 28 */
	uint32_t reserved;
};
WEIR_API int weir_sim_add_edu(struct weir_sim *sim, const struct weir_sim_edu_opts *opts,
			      const struct weir_sim_slot *slot, struct weir_sim_device **ret_device);

/* An NVMe controller with one namespace. */
struct weir_sim_nvme_opts {
	size_t size;         /* sizeof(struct weir_sim_nvme_opts) */
	const char *image;   /* the namespace's content: a file, a multiple of the block size; NULL: memory */
	uint64_t capacity;   /* without an image: bytes; 0: 64 MiB */
	uint32_t block_size; /* 512 or 4096; 0: 512 */
	uint32_t max_queues; /* I/O queue pairs; 0: 64 */
	uint32_t mdts;       /* maximum data transfer size as a power of two pages; 0: 7 (512 KiB) */
	uint32_t cmb_mib;    /* controller memory buffer in BAR 2, MiB; 0: none */
	bool read_only;      /* the image is opened read-only, and writes are refused */
	const char *serial;  /* NULL: "weir-sim" */
};
/*
 * -ENOENT, -EACCES, -EINVAL: the image is missing, may not be opened, is empty or no multiple of the block size.
 */
WEIR_API int weir_sim_add_nvme(struct weir_sim *sim, const struct weir_sim_nvme_opts *opts,
			       const struct weir_sim_slot *slot, struct weir_sim_device **ret_device);

/* A gigabit Ethernet port (82576), as drivers/igb drives it. */
struct weir_sim_igb_opts {
	size_t size;    /* sizeof(struct weir_sim_igb_opts) */
	uint8_t mac[6]; /* in its EEPROM; all zero: 52:54:00:69:67:62 */
	uint16_t reserved;
};
WEIR_API int weir_sim_add_igb(struct weir_sim *sim, const struct weir_sim_igb_opts *opts,
			      const struct weir_sim_slot *slot, struct weir_sim_device **ret_device);

/*
 * A virtual function of such a port: number 0 to 6. A device like any other, in an IOMMU group of its own unless @slot says otherwise; no token is asked for. When the port goes, it
 * reads as all ones. -EINVAL: no such port or number; -EBUSY: there is one with that number; and those of weir_sim_add(). Since 0.1.
 */
WEIR_API int weir_sim_add_igb_vf(struct weir_sim_device *igb, uint32_t number,
				 const struct weir_sim_slot *slot, struct weir_sim_device **ret_device);

/*
 * Put a wire between two such ports of a machine; without one, a port has no link. -EINVAL: they are no such ports; -EBUSY: one has a wire.
 * Since 0.1.
 */
WEIR_API int weir_sim_igb_connect(struct weir_sim_device *one, struct weir_sim_device *other);

/* Take the plug out at this port, or put it in again (as it is from the beginning). -EINVAL: no such port. Since 0.1. */
WEIR_API int weir_sim_igb_set_link(struct weir_sim_device *device, bool up);

/*
 * What devices sit behind. A device on the bus of a bridge is behind that bridge, in /sys as well; which devices the IOMMU can tell
 * apart is said by their slots (group), whatever ACS says. No DMA goes directly: all is translated.
 */
enum weir_sim_port_kind {
	WEIR_SIM_HOST_BRIDGE, /* the function 00.0 of a root bus, by which the kernel knows the root complex */
	WEIR_SIM_ROOT_PORT,
	WEIR_SIM_UPSTREAM_PORT, /* of a switch */
	WEIR_SIM_DOWNSTREAM_PORT,
	WEIR_SIM_PCI_BRIDGE, /* to conventional PCI */
};

struct weir_sim_port_opts {
	size_t size;                   /* sizeof(struct weir_sim_port_opts) */
	uint32_t kind;                 /* enum weir_sim_port_kind */
	uint16_t vendor_id, device_id; /* 0: those of QEMU's model */
	uint32_t acs;                  /* the ACS control register: bits 0 to 4, as in PCI Express */
	bool has_acs;                  /* it has the ACS capability */
	uint8_t bus, last_bus;         /* of a bridge: the bus behind it, and the last of those behind that */
};

/*
 * Its driver is pcieport unless @slot names another ("" for what that driver does not take). -EINVAL: no such kind, ACS bits that there
 * are not, or buses that do not lie behind it. Since 0.1.
 */
WEIR_API int weir_sim_add_port(struct weir_sim *sim, const struct weir_sim_port_opts *opts,
			       const struct weir_sim_slot *slot, struct weir_sim_device **ret_device);

/*
 * Trouble ------------------------------------------------------------------------------------------------------------
 */

/* DMA that the IOMMU blocked. */
struct weir_sim_fault {
	char address[16]; /* the device */
	uint64_t iova;
	bool write;
};

/*
 * How many DMAs were blocked since the machine was made; and the last ones of them, oldest first, at most 64. Since 0.1.
 */
WEIR_API uint64_t weir_sim_num_faults(struct weir_sim *sim);
WEIR_API size_t weir_sim_faults(struct weir_sim *sim, struct weir_sim_fault *ret_faults, size_t room);

/*
 * Make the n-th call from now on (1: the next) through the machine's table, whether answered or passed on,
 * fail with @error (a negative errno), without doing anything; with @copy_back, do it, and fail with -EFAULT
 * when the answer is copied back, as the kernel does with a bad pointer. A close that fails has closed. n = 0
 * takes that back. weir_sim_num_calls(): how many calls there were. Since 0.1.
 */
WEIR_API void weir_sim_fail_call(struct weir_sim *sim, uint64_t n, int error, bool copy_back);
WEIR_API uint64_t weir_sim_num_calls(struct weir_sim *sim);

/*
 * The n-th entry from now on (1: the next) of those that IOMMU_HWPT_INVALIDATE is given is not carried out, and the call fails with
 * @error, as when hardware does not answer (-ETIMEDOUT). n = 0 takes that back. Which entries the call counts as done is as in the
 * kernel: on VT-d those before it; on SMMUv3, where commands are issued in blocks, all but the last of the block. Since 0.1.
 */
WEIR_API void weir_sim_fail_invalidation(struct weir_sim *sim, uint64_t n, int error);

/*
 * For tests, not for models: the SMMUv3 has an event to report about the device, the four words of its record, of which the stream id is filled in as the virtual
 * IOMMU knows the device. Blocked DMA of the first stage raises its own. -ENOENT: no virtual IOMMU knows it; -EOPNOTSUPP: that has no
 * queue (IOMMU_VEVENTQ_ALLOC). A full queue drops it, and says so. Since 0.1.
 */
WEIR_API int weir_sim_smmuv3_event(struct weir_sim_device *device, const uint64_t event[4]);

/*
 * The device, which is plugged in with page_requests and open, requests a page: a part of a group (its number for it, below 512; those from 32 on are never its own
 * choice), which goes to the page table's queue with its last page. Without a queue it is refused at once. -EINVAL, -ENOMEM. Since 0.1.
 */
struct weir_sim_page_request {
	uint64_t iova;
	uint32_t pasid, group;
	uint32_t perm; /* WEIR_FAULT_... */
	bool last;
};

WEIR_API int weir_sim_page_request(struct weir_sim_device *device,
				   const struct weir_sim_page_request *request);

/*
 * Have @answered called for each answer that the device gets, with the code of it (WEIR_FAULT_SUCCESS, _INVALID), under the machine's lock: it calls nothing of the
 * machine's. NULL: nobody any more. Since 0.1.
 */
typedef void weir_sim_page_answer(void *ctx, uint32_t pasid, uint32_t group, uint32_t code);

WEIR_API void weir_sim_page_answers(struct weir_sim_device *device, weir_sim_page_answer *answered,
				    void *ctx);

/*
 * Reads and writes of registers through a descriptor are cut to half their length from now on, or no longer. Since 0.1.
 */
WEIR_API void weir_sim_cut_transfers(struct weir_sim *sim, bool cut);

/* Each call takes at least this long from now on. Since 0.1. */
WEIR_API void weir_sim_delay_calls(struct weir_sim *sim, uint64_t nanoseconds);

/*
 * The kernel wants the device back (REQ is signalled); it is gone (all ones, -ENODEV) when @gone, or when it is closed. Since 0.1.
 */
WEIR_API void weir_sim_unplug(struct weir_sim_device *device, bool gone);

/* The device reports an uncorrectable error (ERR is signalled). Since 0.1. */
WEIR_API void weir_sim_report_error(struct weir_sim_device *device);

/* Take memory decoding away, or give it back, behind the library's back. Since 0.1. */
WEIR_API void weir_sim_set_memory(struct weir_sim_device *device, bool enabled);

/* The device does nothing any more (a controller that hangs), or works again. Since 0.1. */
WEIR_API void weir_sim_hang(struct weir_sim_device *device, bool hangs);

/* The device's next @n interrupts get lost. Since 0.1. */
WEIR_API void weir_sim_lose_irqs(struct weir_sim_device *device, uint32_t n);

/*
 * An NVMe controller loses the next @n I/O commands that it takes, in one of three ways that the host cannot tell from each other by waiting:
 *
 *   weir_sim_nvme_swallow()           the command: it is not carried out, and nothing is completed
 *   weir_sim_nvme_leave_unreported()  the completion: it is carried out (or fails), and nothing is completed
 *   weir_sim_nvme_hold()              neither: it is not carried out until the host aborts it, which completes it as aborted. At most 64 at a time: what
 *                                     comes then is carried out
 *
 * A command that several are in force for is swallowed rather than held, and held rather than carried out. n = 0 takes that back, for what was not taken
 * yet. What was lost is forgotten by a reset of the controller, and as its queue is deleted.
 *
 * 0, also if it is gone; -EINVAL: not an NVMe controller. Since 0.1.
 */
WEIR_API int weir_sim_nvme_swallow(struct weir_sim_device *device, uint32_t n);
WEIR_API int weir_sim_nvme_leave_unreported(struct weir_sim_device *device, uint32_t n);
WEIR_API int weir_sim_nvme_hold(struct weir_sim_device *device, uint32_t n);

/* What became of an I/O command. */
enum weir_sim_nvme_fate {
	WEIR_SIM_NVME_COMPLETED, /* was carried out, or has failed; the completion is about to be written */
	WEIR_SIM_NVME_SWALLOWED,
	WEIR_SIM_NVME_UNREPORTED, /* was carried out, or has failed, and is not completed */
	WEIR_SIM_NVME_HELD,
};

struct weir_sim_nvme_taken {
	uint64_t block;  /* the first that it is about, of one that is about blocks */
	uint32_t fate;   /* enum weir_sim_nvme_fate */
	uint16_t status; /* of what was carried out or has failed, as in the completion; else 0 */
	uint8_t opcode;
	uint8_t reserved;
};

/*
 * Have @watcher called for each I/O command that the controller takes, before there is a completion, under the machine's lock: it calls nothing of the machine's.
 * NULL: nobody any more. Returns as weir_sim_nvme_swallow(). Since 0.1.
 */
typedef void weir_sim_nvme_watcher(void *ctx, const struct weir_sim_nvme_taken *taken);

WEIR_API int weir_sim_nvme_watch(struct weir_sim_device *device, weir_sim_nvme_watcher *watcher, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
