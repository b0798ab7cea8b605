/* SPDX-License-Identifier: MIT */
/*
 * The kernel's mock devices (CONFIG_IOMMUFD_TEST): they can what no IOMMU of QEMU's can. NEEDS(MOCK); the simulated host has none.
 */
#ifndef TESTS_CONFORMANCE_RAW_MOCK_H
#define TESTS_CONFORMANCE_RAW_MOCK_H

#include "conformance/raw/raw.h"
#include "kernel/iommufd_test_abi.h"

/* A device, attached to an IOAS or a page table: its own object, its page table, and what VFIO would call its id. */
struct mock {
	uint32_t device, hwpt, id;
};

struct mock new_mock(struct t *t, int iommufd, uint32_t pt_id);

/* One of the mock's operations. */
int mock_op(struct t *t, int iommufd, struct abi_iommu_test_cmd *cmd);

/* Attach a device to something else. */
int mock_replace(struct t *t, int iommufd, struct mock mock, uint32_t pt_id);

/* A page table that others can be nested in; one in @parent (or in a virtual IOMMU), with @iotlb in all of its cache. */
uint32_t new_parent(struct t *t, int iommufd, struct mock mock, uint32_t ioas);
int mock_nest(struct t *t, int iommufd, struct mock mock, uint32_t parent, uint32_t iotlb, uint32_t *ret_id);

/* A virtual IOMMU over a parent; the device's number in it. */
uint32_t new_viommu(struct t *t, int iommufd, struct mock mock, uint32_t parent);
int mock_number(struct t *t, int iommufd, struct mock mock, uint32_t viommu, uint64_t number,
		uint32_t *ret_id);

#endif
