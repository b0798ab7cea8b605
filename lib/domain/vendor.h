/* SPDX-License-Identifier: MIT */
/*
 * What differs from one kind of IOMMU to the next: how nested tables are described to the kernel, and what commands make it forget.
 */
#ifndef WEIR_DOMAIN_VENDOR_H
#define WEIR_DOMAIN_VENDOR_H

#include <weir/events.h>

#include "backend/table.h"
#include "inval/run.h"

enum { WEIR_NESTED_DATA_SIZE = 32 };

/* A nested table, as the kernel wants to hear of it. */
struct weir_nested_data {
	uint32_t type, len;
	_Alignas(8) unsigned char bytes[WEIR_NESTED_DATA_SIZE];
};

/* What commands depend on, beside the item. The table's lock is held for reading. */
struct weir_inval_target {
	const struct weir_table *table;
	uint32_t features; /* of the vendor's own */
};

struct weir_vendor {
	uint32_t kind;        /* enum weir_iommu_kind */
	uint32_t viommu_type; /* the virtual IOMMU that tables are nested in; 0: in the parent directly */
	uint32_t inval_type;  /* ABI_IOMMU_..._INVALIDATE_DATA_... */
	uint32_t command_len; /* 0: there are no commands for it */
	bool counts_unsent; /* after an error, the kernel's count includes commands that it did not carry out */

	/* Describe what @o asks for, which is what this IOMMU can: -EINVAL, -ERANGE or -EOPNOTSUPP with a text. */
	int (*describe)(const struct weir_hw_info *info, const struct weir_nested_opts *o,
			struct weir_nested_data *ret_data);

	/* The largest pages, in bits, that a first stage can have; optional: what the format has. */
	uint32_t (*largest_page)(const struct weir_hw_info *info);

	/* What is known of such a table for commands to depend on: features. Optional. */
	uint32_t (*features)(const struct weir_hw_info *info, const struct weir_nested_data *data);

	/* How many commands an item takes, which may be none, and one of them. */
	uint32_t (*count)(const struct weir_inval_target *target, const struct weir_inval_item *item);
	void (*command)(const struct weir_inval_target *target, const struct weir_inval_item *item,
			uint32_t number, void *ret_command);

	/* Events of the virtual IOMMU: ABI_IOMMU_VEVENTQ_TYPE_... (0: it has none), the bytes of one, and what they say. The event is zero before. */
	uint32_t event_type, event_len;
	void (*event)(const void *data, struct weir_event *ret_event);
};

extern const struct weir_vendor weir_vendor_vtd;
extern const struct weir_vendor weir_vendor_smmuv3;
extern const struct weir_vendor weir_vendor_mock, weir_vendor_mock_viommu;

/* The one of the kernel's type of hardware information; one that knows of nothing, if weir knows none. @stream: as asked for. */
const struct weir_vendor *weir_vendor_of(uint32_t hw_info_type, uint64_t stream);

/* Functions whose devices may remember something: attached as a whole, not blocked. The @number-th, which there is; how many. */
const struct weir_function *weir_target_function(const struct weir_inval_target *target, uint32_t number);
uint32_t weir_target_num_functions(const struct weir_inval_target *target);

/* -EOPNOTSUPP, with a text: this IOMMU has not that format. */
int weir_fail_format(uint32_t format, const char *iommu, const char *has);

#endif
