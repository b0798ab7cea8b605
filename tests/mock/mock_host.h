/* SPDX-License-Identifier: MIT */
/*
 * The kernel's mock IOMMU (CONFIG_IOMMUFD_TEST), for the library as it is: a table of system calls by which its devices are VFIO devices.
 *
 * A simulated machine answers for /sys and for the devices themselves; /dev/iommu is the kernel's. What binds, attaches and detaches a simulated device does so
 * to a mock one of the kernel's. The kernel's mock devices are always attached to something: "detached" is attached to a space of their own
 * in which there is nothing.
 */
#ifndef TESTS_MOCK_MOCK_HOST_H
#define TESTS_MOCK_MOCK_HOST_H

#include <weir/sim.h>
#include <weir/weir.h>

#include "kernel/iommufd_abi.h"
#include "kernel/iommufd_test_abi.h"
#include "kernel/vfio_abi.h"
#include "shim/test.h"

enum { MOCK_DEVICES = 4, MOCK_HOSTS = 2 };

/* A device that is open: its simulated descriptor, and the objects of the kernel's. */
struct mock_device {
	int fd;      /* -1: none */
	int iommufd; /* the kernel's */
	uint32_t id, bound_id, nowhere, nowhere_ioas;
};

struct mock_host {
	struct weir_sys table; /* first: its ctx is the whole */
	struct weir_sim *sim;
	const struct weir_sys *below; /* the machine's */
	int iommufds[MOCK_HOSTS][2];  /* the kernel's, and the machine's beside it; -1: none */
	struct mock_device devices[MOCK_DEVICES];
	uint32_t flags; /* of mock devices that are made: ABI_MOCK_FLAGS_DEVICE_... */

	/* The next @refusals invalidations fail with @refusal before the kernel hears of them. */
	uint32_t refusals;
	int refusal;
	uint32_t num_invalidations;

	struct weir_host *host;
	struct weir_ioas *ioas; /* of that */
};

/* A host with an address space, and devices at 0000:00:01.0 and so on; all of it closed with the case. */
struct mock_host *new_mock_host(struct t *t, uint32_t device_flags);

/* The same, which keeps a journal. */
struct mock_host *new_kept_mock_host(struct t *t, uint32_t device_flags);

/* Opened into the host's space, or another; closed with the case, unless mock_close_device() did. */
struct weir_device *mock_device(struct t *t, struct mock_host *mock, unsigned int number);
struct weir_device *mock_device_in(struct t *t, struct weir_ioas *ioas, unsigned int number);
struct weir_ioas *mock_ioas(struct t *t, struct mock_host *mock);
struct weir_ioas *mock_ioas_with(struct t *t, struct mock_host *mock, uint32_t flags);

/* A page mapped for reading and writing, each at another IOVA that mock devices can address: a space that is asleep does not know. */
struct weir_map *mock_map(struct t *t, struct weir_ioas *ioas);

/* Domains, closed with the case. The slots of a nested one's cache hold @iotlb. @stream: 0, no virtual IOMMU. */
struct weir_domain *new_parent(struct t *t, struct weir_device *device, uint32_t flags);
struct weir_domain *new_nested(struct t *t, struct weir_domain *parent, struct weir_device *device,
			       uint32_t iotlb, uint64_t stream);
void close_domain_later(struct t *t, struct weir_domain *domain);

/* The slots of a nested domain's cache, and of a device's, are these four values. */
bool iotlb_is(struct t *t, struct weir_domain *domain, uint32_t a, uint32_t b, uint32_t c, uint32_t d);
bool cache_is(struct t *t, struct weir_device *device, uint32_t a, uint32_t b, uint32_t c, uint32_t d);

/* Have the virtual IOMMU that the device has a number in say something of it. */
int mock_raise_event(struct t *t, struct weir_device *device);

/* The page table that the kernel has the device attached to with a PASID is the domain's. */
bool pasid_is(struct t *t, struct mock_host *mock, struct weir_device *device, uint32_t pasid,
	      struct weir_domain *domain);

struct weir_domain_info info_of(struct weir_domain *domain);

#endif
