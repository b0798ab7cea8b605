/* SPDX-License-Identifier: MIT */
/*
 * Events of a virtual IOMMU: what the IOMMU has to say of DMA that went wrong in tables of the program's own.
 *
 *     struct weir_events *events;
 *     weir_events_open(nested, NULL, &events);
 *     ... weir_events_fd(events) can be read ...
 *     do {
 *             num = 16;
 *             error = weir_events_read(events, event, &num);
 *             ...
 *     } while (error || num);
 *
 * On SMMUv3, faults of the first stage of nested domains are events of the virtual IOMMU that the domains are nested in: one for all that have the
 * same parent and the same physical IOMMU behind them. Without a queue, the kernel writes them to its log. VT-d has no virtual IOMMU: there, it always does.
 *
 * The queue holds so many events; what finds it full is dropped, and that is told, at its place among the others, with how many they were.
 *
 * Threads: any number may read a queue; each event is given once. Opening and closing are serialised by the library; nobody reads a queue that is being
 * closed.
 */
#ifndef WEIR_EVENTS_H
#define WEIR_EVENTS_H

#include <weir/domain.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_events;

struct weir_events_opts {
	size_t size;       /* sizeof(struct weir_events_opts); set by WEIR_OPTS() */
	uint32_t depth;    /* events that the queue holds, up to 2^19; 0: 256 */
	uint32_t reserved; /* 0 */
};

/*
 * Open the queue of events of the virtual IOMMU that @domain is nested in. Events from now on are in it, of whatever device is attached to this or another
 * domain nested in the same parent. Such a virtual IOMMU has one queue at a time.
 *
 * Returns 0 and the queue in @ret_events, which the caller closes with weir_events_close(), and which keeps @domain open; or, with nothing changed,
 *   -EINVAL     depth is beyond 2^19
 *   -EOPNOTSUPP @domain is not nested in a virtual IOMMU (VT-d; a mock's without a stream; no nested domain at all), or the kernel has no such
 *               queues (before Linux 6.15)
 *   -EEXIST     the virtual IOMMU has a queue already
 *   -EMFILE, -ENOMEM
 *   -E2BIG      options newer than this library
 *
 * Kernel: IOMMU_VEVENTQ_ALLOC. Since 0.1.
 */
WEIR_API int weir_events_open(struct weir_domain *domain, const struct weir_events_opts *opts,
			      struct weir_events **ret_events);

/* Close the queue; what is still in it is gone. NULL is allowed. Returns 0 or the kernel's error, with the queue closed all the same. Since 0.1. */
WEIR_API int weir_events_close(struct weir_events *events);

/*
 * A descriptor that can be read (POLLIN) while the kernel has events for the queue: to poll, not to read or to close. What was read from it and did not fit
 * does not show there, so once it can be read, take events until there are none. Since 0.1.
 */
WEIR_API int weir_events_fd(const struct weir_events *events);

/* What happened. Behind each, the SMMU's own names (IHI 0070, 7.3). */
enum weir_event_kind {
	WEIR_EVENT_LOST,         /* events are missing here: num_lost */
	WEIR_EVENT_TRANSLATION,  /* nothing is mapped there (F_TRANSLATION) */
	WEIR_EVENT_ADDRESS_SIZE, /* an address is beyond what a stage has (F_ADDR_SIZE) */
	WEIR_EVENT_ACCESS,       /* the page's access flag is clear (F_ACCESS) */
	WEIR_EVENT_PERMISSION,   /* the page does not allow that (F_PERMISSION) */
	WEIR_EVENT_CONTEXT, /* there is no usable context descriptor for it (C_BAD_STE, C_BAD_CD, C_BAD_SUBSTREAMID, F_STREAM_DISABLED) */
	WEIR_EVENT_OTHER, /* something else: code and data say what */
};

#define WEIR_EVENT_HAS_PASID  (1u << 0) /* pasid is that of the request, which had one */
#define WEIR_EVENT_HAS_IOVA   (1u << 1) /* iova is where the device wanted to go */
#define WEIR_EVENT_WRITE      (1u << 2) /* the device wanted to write; else, with HAS_IOVA, to read */
#define WEIR_EVENT_EXECUTE    (1u << 3) /* likewise: to execute */
#define WEIR_EVENT_PRIVILEGED (1u << 4)
#define WEIR_EVENT_TABLES     (1u << 5) /* met while tables or descriptors were read, not at what they lead to */
#define WEIR_EVENT_STAGE2     (1u << 6) /* met in the second stage, at ipa */
#define WEIR_EVENT_STALLED                                                                                   \
	(1u << 7) /* the device waits: nobody will answer it, for weir's tables never ask for that */

enum { WEIR_EVENT_DATA = 32 };

struct weir_event {
	uint32_t kind;  /* enum weir_event_kind */
	uint32_t flags; /* WEIR_EVENT_... */
	uint32_t
		code; /* the IOMMU's own number for what happened (SMMUv3: the event record's type); 0 for LOST and on the mock */
	uint32_t pasid;
	/*
	 * The device, by its number in the virtual IOMMU: as weir_nested_opts.stream chose it, or as weir_device_iommu_info() tells it.
	 */
	uint64_t stream;
	uint64_t iova;
	uint64_t ipa;
	uint64_t num_lost; /* LOST: how many events are missing; 0: that is not known */
	uint32_t data_len; /* bytes of data; 0 for LOST */
	uint32_t reserved;
	unsigned char data
		[WEIR_EVENT_DATA]; /* the record as the kernel gave it (struct iommu_vevent_arm_smmuv3); zero beyond data_len */
};

/*
 * Take up to *@num events, oldest first. Does not wait: see weir_events_fd(). What was lost is told by an event of kind LOST in its place, found by the gaps in
 * the kernel's numbers, however they came about.
 *
 * Returns 0 and in *@num how many there are now in @ret_events, which may be 0; or, with *@num 0,
 *   -EINVAL *@num is 0
 *   -EIO    what the kernel wrote is not in order (weir_error() says how); it is dropped, and an event of kind LOST is the next, of which it is not known
 *           how many it stands for
 *   or the kernel's error
 * Kernel: read() of the queue. Since 0.1.
 */
WEIR_API int weir_events_read(struct weir_events *events, struct weir_event *ret_events, size_t *num);

#ifdef __cplusplus
}
#endif

#endif
