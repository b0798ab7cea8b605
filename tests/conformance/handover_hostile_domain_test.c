// SPDX-License-Identifier: MIT
/* Descriptions of domains that are not what they should be. */
#include <errno.h>
#include <unistd.h>

#include "conformance/handover_domain.h"
#include "conformance/handover_hostile.h"
#include "kernel/iommufd_abi.h"

/* The second slot of a table: of domains, the nested one. */
static struct weir_slot_domain *parent(void)
{
	return slot_of(WEIR_JOURNAL_DOMAINS);
}
static struct weir_slot_domain *nested(void)
{
	return parent() + 1;
}
static struct weir_slot_attachment *attachment(void)
{
	return slot_of(WEIR_JOURNAL_ATTACHMENTS);
}
static void no_space(void)
{
	parent()->space = 900;
}
static void space_zero(void)
{
	nested()->space = 0;
}
static void no_id(void)
{
	nested()->id = 0;
}
static void same_id(void)
{
	nested()->id = parent()->id;
}
static void unknown_flags(void)
{
	parent()->flags |= 1u << 30;
}
static void faults_without_queue(void)
{
	nested()->flags |= ABI_IOMMU_HWPT_FAULT_ID_VALID;
}
static void nested_parent(void)
{
	nested()->flags |= ABI_IOMMU_HWPT_ALLOC_NEST_PARENT;
}
static void no_parent(void)
{
	parent()->flags = 0;
}
static void parent_gone(void)
{
	nested()->parent = 77;
}
static void own_parent(void)
{
	nested()->parent = 2;
}
static void parent_half(void)
{
	parent()->slot.state = WEIR_SLOT_INTENDED;
}
static void other_viommu(void)
{
	nested()->viommu += 5;
}
static void parent_in_viommu(void)
{
	parent()->viommu = 1;
}
static void odd_stale(void)
{
	nested()->stale = 2;
}
static void attached_nowhere(void)
{
	attachment()->domain = 1000;
}
static void attached_to_parent_of_half(void)
{
	nested()->slot.state = WEIR_SLOT_LEAVING;
}
static void huge_pasid(void)
{
	attachment()->pasid = 1u << 20;
}
static void pasid_without(void)
{
	attachment()->pasid = 5;
}
static void odd_blocked(void)
{
	attachment()->blocked = 7;
}
static void attached_twice(void)
{
	struct weir_journal_header *header = (struct weir_journal_header *)captured.bytes;

	attachment()[1] = *attachment();
	attachment()[1].domain = 1;
	header->used[WEIR_JOURNAL_ATTACHMENTS] = 2;
}

static const struct flaw flaws[] = {
	{ "a domain of no space", no_space, "no space" },
	{ "a domain of space 0", space_zero, "no space" },
	{ "a domain without an id", no_id, "makes no sense" },
	{ "two domains with one id", same_id, "two domains" },
	{ "unknown flags", unknown_flags, "makes no sense" },
	{ "page requests without a queue", faults_without_queue, "makes no sense" },
	{ "a parent that is nested", nested_parent, "nested itself" },
	{ "a parent that is none", no_parent, NULL },
	{ "a parent that is not there", parent_gone, "nested in none" },
	{ "its own parent", own_parent, "nested in none" },
	{ "a parent that is not made", parent_half, NULL },
	{ "another virtual IOMMU", other_viommu, NULL },
	{ "a parent in a virtual IOMMU", parent_in_viommu, "not nested" },
	{ "odd staleness", odd_stale, "makes no sense" },
	{ "attached to no domain", attached_nowhere, "no domain" },
	{ "attached to a domain that leaves", attached_to_parent_of_half, "no domain" },
	{ "a huge PASID", huge_pasid, "PASID" },
	{ "a PASID where there are none", pasid_without, "PASID" },
	{ "half blocked", odd_blocked, "PASID" },
	{ "attached twice", attached_twice, "twice" },
};

CONFORMANCE(handover_hostile, each_flaw_of_domains_is_refused, NEEDS(EDU0, HANDOVER, NEST, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);

	new_stage(t, predecessor);
	capture(t, predecessor);
	EXPECT_OK(receive_spoilt(t, NULL));
	expect_each_refused(t, flaws, sizeof(flaws) / sizeof(flaws[0]));
	begin_successor(t, predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	end_successor(t);
	EXPECT_TRUE(arrives(predecessor->device, STAGE_IOVA, predecessor->buffer.addr));
}

/* Numbers in a virtual IOMMU, which SMMUv3 has. */
static struct weir_slot_viommu *viommu(void)
{
	return slot_of(WEIR_JOURNAL_VIOMMUS);
}
static struct weir_slot_vdevice *vdevice(void)
{
	return slot_of(WEIR_JOURNAL_VDEVICES);
}
static void viommu_over_nothing(void)
{
	viommu()->parent = 50;
}
static void viommu_over_nested(void)
{
	viommu()->parent = 2;
}
static void viommu_without_id(void)
{
	viommu()->id = 0;
}
static void no_viommu(void)
{
	nested()->viommu = 0;
}
static void vdevice_nowhere(void)
{
	vdevice()->viommu = 3;
}
static void vdevice_of_none(void)
{
	vdevice()->device = 0;
}
static void vdevice_zero(void)
{
	vdevice()->stream = 0;
}
static void vdevice_without_id(void)
{
	vdevice()->id = 0;
}
static void odd_ats(void)
{
	vdevice()->ats = 2;
}
static void numbered_twice(void)
{
	struct weir_journal_header *header = (struct weir_journal_header *)captured.bytes;

	vdevice()[1] = *vdevice();
	vdevice()[1].stream++;
	header->used[WEIR_JOURNAL_VDEVICES] = 2;
}

static const struct flaw numbers[] = {
	{ "a virtual IOMMU over nothing", viommu_over_nothing, "over no domain" },
	{ "a virtual IOMMU over a nested domain", viommu_over_nested, "over no domain" },
	{ "a virtual IOMMU without an id", viommu_without_id, "over no parent" },
	{ "nested without the virtual IOMMU", no_viommu, "virtual IOMMU" },
	{ "a number in no virtual IOMMU", vdevice_nowhere, "no virtual IOMMU" },
	{ "a number of no device", vdevice_of_none, "no number" },
	{ "the number 0", vdevice_zero, "makes no sense" },
	{ "a number without an id", vdevice_without_id, "makes no sense" },
	{ "odd ATS", odd_ats, "makes no sense" },
	{ "two numbers", numbered_twice, "makes no sense" },
};

CONFORMANCE(handover_hostile, each_flaw_of_virtual_iommus_is_refused,
	    NEEDS(EDU0, HANDOVER, NESTED_SMMUV3, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);

	new_stage(t, predecessor);
	capture(t, predecessor);
	expect_each_refused(t, numbers, sizeof(numbers) / sizeof(numbers[0]));
	EXPECT_TRUE(arrives(predecessor->device, STAGE_IOVA, predecessor->buffer.addr));
}
