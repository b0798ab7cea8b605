/* SPDX-License-Identifier: MIT */
/*
 * Reachability: whether the DMA of one device arrives at the BARs of another, and by which way.
 *
 *     struct weir_reach reach;
 *     weir_reach_ask(host, "0000:03:00.0", "0000:04:00.0", &reach, sizeof(reach));
 *     puts(reach.reason);
 *
 * No kernel interface that maps a BAR for a device looks at what lies between the two. weir asks sysfs: where the devices are,
 * what the ports on the way do with requests that one device sends to another (Access Control Services, ACS), and whether the root
 * complex is one of which the kernel knows that it passes requests between its ports.
 *
 * A device driven through VFIO sends every request with an IOVA. There are two ways for it to a neighbour:
 *
 *   through the IOMMU   up to the root complex, where the IOVA is translated, and down again. Only what is mapped is reached.
 *   directly            a switch, a PCI bus, or the device of several functions in which both sit takes the IOVA for a bus address
 *                       that lies in the neighbour's BAR. The IOMMU never sees the request. ACS request redirect, at the port where
 *                       the request enters, forbids it.
 *
 * So where redirect is off, the IOMMU does not part the two devices, which for that reason are in one IOMMU group; and an IOVA that
 * happens to look like the neighbour's bus address ends there instead of in memory. weir_reach_diverted() tells which IOVAs these are;
 * the library chooses none of them.
 *
 * What is answered is what sysfs says at that moment. It takes no device to be open, and touches none.
 *
 * Threads: from any thread.
 */
#ifndef WEIR_REACH_H
#define WEIR_REACH_H

#include <stdbool.h>

#include <weir/ioas.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weir_reach_verdict {
	/* Nobody can tell without trying: reason says what is not known. */
	WEIR_REACH_UNKNOWN,
	/* It does not arrive. */
	WEIR_REACH_NOT,
	/* By the IOMMU, and only what is mapped there; the root complex is known to pass it down again. */
	WEIR_REACH_THROUGH_IOMMU,
	/*
	 * The IOMMU may be passed by: an IOVA that equals a bus address in the BAR goes there directly, mapped or not. What any other
	 * IOVA does that the BAR is mapped at, by_root tells.
	 */
	WEIR_REACH_DIRECT,
};

/* ACS redirect is off where the two meet: what looks like a bus address passes beside the IOMMU. Comes with WEIR_REACH_DIRECT. */
#define WEIR_REACH_BESIDE_IOMMU (1u << 0)
/*
 * Whether that is so could not be read: extended configuration space is shown to CAP_SYS_ADMIN alone. Comes with WEIR_REACH_UNKNOWN.
 */
#define WEIR_REACH_ACS_UNKNOWN (1u << 1)
/* Both are in one IOMMU group: the kernel does not count on anything to part them. */
#define WEIR_REACH_SAME_GROUP (1u << 2)

/* What a port (or a function of a device with several) has ACS do: the bits of its control register. */
#define WEIR_ACS_REQUEST_REDIRECT    (1u << 2) /* requests to neighbours go up */
#define WEIR_ACS_COMPLETION_REDIRECT (1u << 3) /* answers to neighbours go up */
#define WEIR_ACS_UPSTREAM_FORWARDING (1u << 4) /* what was sent up on the way goes on up */
#define WEIR_ACS_EGRESS_CONTROL      (1u << 5) /* some neighbours are forbidden */

enum weir_port_kind {
	WEIR_PORT_UNKNOWN, /* its capabilities could not be read */
	WEIR_PORT_ROOT,
	WEIR_PORT_UPSTREAM,   /* of a switch */
	WEIR_PORT_DOWNSTREAM, /* of a switch */
	WEIR_PORT_BRIDGE,     /* to or from conventional PCI */
};

struct weir_reach_port {
	char address[16];
	uint32_t kind; /* enum weir_port_kind */
	uint32_t acs;  /* WEIR_ACS_... in force; 0 also if it has no ACS, or that is not known */
	bool has_acs;  /* it has the capability */
	bool known;    /* acs and has_acs are known */
	bool shared;   /* it is above both devices */
};

#define WEIR_REACH_PORTS 32

struct weir_reach {
	uint32_t verdict; /* enum weir_reach_verdict */
	/* Of the way through the IOMMU alone: WEIR_REACH_THROUGH_IOMMU, _UNKNOWN or _NOT. */
	uint32_t by_root;
	uint32_t flags; /* WEIR_REACH_BESIDE_IOMMU ... */
	char upstream
		[16]; /* the lowest port above both, such as the upstream port of the switch; "": they meet at the root */
	char reason[256]; /* why, in one line */
	/* The ports in the order in which a request meets them on the way by the root: up from the one device, down to the other. */
	uint32_t num_ports;
	struct weir_reach_port ports[WEIR_REACH_PORTS];
};

/*
 * Can DMA of the device at PCI address @from arrive at memory BARs of the one at @to? Fills in @ret_reach (@size: sizeof *@ret_reach).
 *
 * Verdicts, with what they rest on:
 *   two slots of a switch, or two functions of a device: DIRECT, if request redirect is off where the request of @from enters
 *                       (the downstream port above it, the function itself) and both are in one IOMMU group; else by_root
 *   one conventional PCI bus: DIRECT
 *   one root complex:   by_root, which is THROUGH_IOMMU if the kernel's list of trusted host bridges has it, or the processor is an
 *                       AMD Zen or newer; else UNKNOWN
 *   two root complexes: the same if the list has both; NOT if it trusts one of them with its own devices only
 *   a device and itself, a device without memory BARs: NOT
 *
 * Returns 0; or
 *   -EINVAL      @from or @to is no PCI address
 *   -ENODEV      there is no such device
 *   -EIO         sysfs says something about the device's place that makes no sense
 *   -E2BIG       more than WEIR_REACH_PORTS ports lie between the two
 *   -EACCES, -EMFILE, -ENOMEM, ...  a file of sysfs could not be read; weir_error() says of which device
 *
 * Kernel: /sys/bus/pci/devices (the links, config, resource, iommu_group) and /proc/cpuinfo. Since 0.1.
 */
WEIR_API int weir_reach_ask(struct weir_host *host, const char *from, const char *to,
			    struct weir_reach *ret_reach, size_t size);

/*
 * The bus addresses that requests of the device at @address may be caught by before the IOMMU sees them: what its neighbours in its
 * IOMMU group answer at, bridges included. IOVAs that devices of that group use should keep clear of these, for what is mapped
 * there may be out of reach: the device hits a neighbour instead. A device that is alone in its group has none.
 *
 * On entry *@num is the room in @ranges; *@num is set to their number. They ascend, and neither touch nor overlap.
 *
 * While a device is in an address space, no IOVA is chosen there among those that are diverted to its group, the device's own addresses included (if
 * there are sixteen ranges or more, those that are close are taken as one). One that is asked for with WEIR_MAP_FIXED is given: it may
 * be meant, and who chooses looks here. So is what was chosen or fixed before the group's first device came: it stays where it is.
 *
 * Returns 0; -ENOSPC when there are more than room; or -EINVAL, -ENODEV and what sysfs says, as weir_reach_ask(); -EOPNOTSUPP: the
 * device has no IOMMU group.
 *
 * Kernel: /sys/kernel/iommu_groups/N/devices, and resource of each. These are addresses of the processor: on the rare machines whose
 * host bridges shift them (none of x86), those of the bus differ. Since 0.1.
 */
WEIR_API int weir_reach_diverted(struct weir_host *host, const char *address, struct weir_iova_range *ranges,
				 size_t *num);

/* "unknown", "not", "through-iommu", "direct". Static text. Since 0.1. */
WEIR_API const char *weir_reach_verdict_name(enum weir_reach_verdict verdict);

#ifdef __cplusplus
}
#endif

#endif
