// SPDX-License-Identifier: MIT
/*
 * The kernel's iommufd mock, for tests: its nested tables are walked by nobody, and have a cache of four slots, each of which holds the lower half of
 * the root in the beginning and 0 when it was invalidated. A page belongs to the slot by its number modulo four. Behind a virtual IOMMU, which is
 * taken when a stream is given, devices have such caches instead.
 */
#include <string.h>

#include "domain/vendor.h"
#include "kernel/iommufd_test_abi.h"

enum { PAGE = 4096, SLOTS = ABI_MOCK_NESTED_DOMAIN_IOTLB_NUM };

static int describe(const struct weir_hw_info *info, const struct weir_nested_opts *o,
		    struct weir_nested_data *ret_data)
{
	struct abi_iommu_hwpt_selftest data = { .iotlb = (uint32_t)o->root };

	(void)info;
	if (o->data)
		return 0;
	if (o->format != WEIR_STAGE1_MOCK)
		return weir_fail_format(o->format, "the kernel's mock", "it has its own");
	ret_data->type = ABI_IOMMU_HWPT_DATA_SELFTEST;
	ret_data->len = sizeof(data);
	memcpy(ret_data->bytes, &data, sizeof(data));
	return 0;
}

static uint32_t num_slots(const struct weir_inval_item *item)
{
	uint64_t pages = (item->last - item->iova) / PAGE;

	return item->kind == WEIR_INVAL_ALL || pages >= SLOTS - 1 ? 1 : (uint32_t)pages + 1;
}

static uint32_t count(const struct weir_inval_target *target, const struct weir_inval_item *item)
{
	(void)target;
	return item->kind == WEIR_INVAL_CONTEXT ? 0 : num_slots(item);
}

/* Everything is one command, too. */
static bool is_everything(const struct weir_inval_item *item)
{
	return item->kind == WEIR_INVAL_ALL || (item->last - item->iova) / PAGE >= SLOTS - 1;
}

static uint32_t slot(const struct weir_inval_item *item, uint32_t number)
{
	return (uint32_t)(item->iova / PAGE + number) % SLOTS;
}

static void command(const struct weir_inval_target *target, const struct weir_inval_item *item,
		    uint32_t number, void *ret_command)
{
	struct abi_iommu_hwpt_invalidate_selftest entry = { 0 };

	(void)target;
	if (is_everything(item))
		entry.flags = ABI_IOMMU_TEST_INVALIDATE_FLAG_ALL;
	else
		entry.iotlb_id = slot(item, number);
	memcpy(ret_command, &entry, sizeof(entry));
}

static uint32_t viommu_count(const struct weir_inval_target *target, const struct weir_inval_item *item)
{
	return count(target, item) * weir_target_num_functions(target);
}

static void viommu_command(const struct weir_inval_target *target, const struct weir_inval_item *item,
			   uint32_t number, void *ret_command)
{
	uint32_t slots = num_slots(item);
	struct abi_iommu_viommu_invalidate_selftest entry = {
		.vdev_id = (uint32_t)weir_target_function(target, number / slots)->vdevice->stream
	};

	if (is_everything(item))
		entry.flags = ABI_IOMMU_TEST_INVALIDATE_FLAG_ALL;
	else
		entry.cache_id = slot(item, number % slots);
	memcpy(ret_command, &entry, sizeof(entry));
}

static void event(const void *data, struct weir_event *ret_event)
{
	struct abi_iommu_viommu_event_selftest said;

	memcpy(&said, data, sizeof(said));
	ret_event->kind = WEIR_EVENT_OTHER;
	ret_event->stream = said.virt_id;
}

const struct weir_vendor weir_vendor_mock = {
	.kind = WEIR_IOMMU_MOCK,
	.inval_type = ABI_IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
	.command_len = sizeof(struct abi_iommu_hwpt_invalidate_selftest),
	.describe = describe,
	.count = count,
	.command = command,
};

const struct weir_vendor weir_vendor_mock_viommu = {
	.kind = WEIR_IOMMU_MOCK,
	.viommu_type = ABI_IOMMU_VIOMMU_TYPE_SELFTEST,
	.inval_type = ABI_IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
	.command_len = sizeof(struct abi_iommu_viommu_invalidate_selftest),
	.describe = describe,
	.count = viommu_count,
	.command = viommu_command,
	.event_type = ABI_IOMMU_VEVENTQ_TYPE_SELFTEST,
	.event_len = sizeof(struct abi_iommu_viommu_event_selftest),
	.event = event,
};
