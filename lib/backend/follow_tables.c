// SPDX-License-Identifier: MIT
/* Hand-over: page tables of the program's own, and what is attached to them, as a predecessor has left them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend/faultq.h"
#include "backend/follow.h"
#include "backend/note.h"
#include "error.h"
#include "kernel/iommufd_abi.h"
#include "kernel/vfio_device.h"

enum { PASID_BITS = 20 };

/* Tables ----------------------------------------------------------------------------------------------------------- */

static bool is_parent(const struct weir_slot_domain *slot)
{
	return slot->flags & ABI_IOMMU_HWPT_ALLOC_NEST_PARENT;
}

static int check_table(const struct weir_space *space, const struct weir_slot_domain *slot,
		       const struct weir_table *parent, const struct weir_faultq *faults)
{
	const uint32_t known =
		ABI_IOMMU_HWPT_ALLOC_NEST_PARENT | ABI_IOMMU_HWPT_ALLOC_PASID | ABI_IOMMU_HWPT_FAULT_ID_VALID;

	if (slot->flags & ~known || !slot->id || atomic_load(&slot->stale) > 1 ||
	    !faults != !(slot->flags & ABI_IOMMU_HWPT_FAULT_ID_VALID))
		return weir_fail(-EPROTO, "a domain makes no sense");
	if (is_parent(slot) && (parent || faults))
		return weir_fail(-EPROTO, "a nesting parent is nested itself, or has page requests");
	if (!parent)
		return slot->viommu ? weir_fail(-EPROTO, "a domain is in a virtual IOMMU, but not nested")
				    : 0;
	if (!(parent->flags & ABI_IOMMU_HWPT_ALLOC_NEST_PARENT) || parent->space != space)
		return weir_fail(-EPROTO, "a domain is nested in one that is no parent, or of another space");
	if (slot->viommu && (!parent->viommu || parent->viommu->number != slot->viommu))
		return weir_fail(-EPROTO, "a domain is in a virtual IOMMU that is not its parent's");
	return 0;
}

int weir_table_adopt(struct weir_space *space, const struct weir_slot_domain *slot, uint32_t number,
		     struct weir_table *parent, struct weir_faultq *faults, struct weir_table **ret_table)
{
	struct weir_table *table;
	int error = check_table(space, slot, parent, faults);

	for (table = space->tables; table && !error; table = table->next)
		if (table->object.id == slot->id)
			error = weir_fail(-EPROTO, "two domains are page table %" PRIu32, slot->id);
	if (error)
		return error;
	table = weir_table_new(space, slot->flags, faults);
	if (!table)
		return weir_fail(-ENOMEM, "no memory for a domain");
	table->object.id = slot->id;
	table->number = number;
	table->parent = parent;
	if (parent)
		parent->num_nested++;
	if (slot->viommu) {
		table->viommu = parent->viommu;
		table->viommu->num_nested++;
	}
	weir_table_enlist(table);
	*ret_table = table;
	return 0;
}

int weir_viommu_adopt(struct weir_table *parent, const struct weir_slot_viommu *slot, uint32_t number)
{
	struct weir_viommu *viommu;

	if (!(parent->flags & ABI_IOMMU_HWPT_ALLOC_NEST_PARENT) || parent->viommu || !slot->id)
		return weir_fail(-EPROTO, "a virtual IOMMU is over no parent, or over one that has another");
	viommu = calloc(1, sizeof(*viommu));
	if (!viommu)
		return weir_fail(-ENOMEM, "no memory for a virtual IOMMU");
	viommu->object.id = slot->id;
	viommu->parent = parent;
	viommu->number = number;
	parent->viommu = viommu;
	return 0;
}

int weir_vdevice_adopt(struct weir_viommu *viommu, struct weir_function *function,
		       const struct weir_slot_vdevice *slot, uint32_t number)
{
	struct weir_vdevice *vdevice = viommu->vdevices;

	while (vdevice && vdevice->stream != slot->stream)
		vdevice = vdevice->next;
	if (vdevice || function->vdevice || !slot->stream || !slot->id || slot->ats > 1 ||
	    function->group->space != viommu->parent->space)
		return weir_fail(-EPROTO, "the number of %s in a virtual IOMMU makes no sense",
				 function->address);
	vdevice = calloc(1, sizeof(*vdevice));
	if (!vdevice)
		return weir_fail(-ENOMEM, "no memory for a virtual device");
	*vdevice = (struct weir_vdevice){ .object.id = slot->id,
					  .next = viommu->vdevices,
					  .viommu = viommu,
					  .function = function,
					  .stream = slot->stream,
					  .number = number,
					  .ats = slot->ats };
	viommu->vdevices = vdevice;
	function->vdevice = vdevice;
	return 0;
}

/* Attachments ------------------------------------------------------------------------------------------------------ */

static int check_attachment(const struct weir_table *table, const struct weir_function *function,
			    const struct weir_slot_attachment *slot)
{
	const struct weir_viommu *viommu = weir_table_viommu(table);

	if (function->group->space != table->space)
		return weir_fail(-EPROTO, "%s is attached to a domain of another space", function->address);
	if (slot->pasid >> PASID_BITS || atomic_load(&slot->blocked) > 1 ||
	    (slot->pasid != WEIR_NO_PASID && !(table->flags & ABI_IOMMU_HWPT_ALLOC_PASID)))
		return weir_fail(-EPROTO, "%s is attached for a PASID that it cannot have",
				 function->address);
	if (viommu && (!function->vdevice || function->vdevice->viommu != viommu))
		return weir_fail(-EPROTO, "%s has no number in the virtual IOMMU that it is attached in",
				 function->address);
	return 0;
}

int weir_attachment_adopt(struct weir_table *table, struct weir_function *function,
			  const struct weir_slot_attachment *slot, uint32_t number)
{
	struct weir_attachment *attachment;
	int error = check_attachment(table, function, slot);

	if (error)
		return error;
	attachment = calloc(1, sizeof(*attachment));
	if (!attachment)
		return weir_fail(-ENOMEM, "no memory for an attachment");
	error = weir_faultq_enter(table->faults, function, slot->pasid);
	if (error) {
		free(attachment);
		return error;
	}
	attachment->table = table;
	attachment->function = function;
	attachment->pasid = slot->pasid;
	attachment->blocked = atomic_load(&slot->blocked);
	weir_attachment_link(attachment);
	attachment->number = number;
	return 0;
}

void weir_attachment_let_go(struct weir_attachment *attachment)
{
	weir_attachment_unlink(attachment);
	weir_faultq_undo(attachment->table->faults, attachment->function, attachment->pasid);
	free(attachment);
}

int weir_group_check_adopted(const struct weir_group *group)
{
	const struct weir_attachment *first = weir_attachment_find(group->functions, WEIR_NO_PASID);

	for (const struct weir_function *member = group->functions; member; member = member->next) {
		const struct weir_attachment *attachment = weir_attachment_find(member, WEIR_NO_PASID);

		if (!attachment != !first || (first && attachment->table != first->table))
			return weir_fail(-EPROTO, "IOMMU group %" PRIu32 " is attached to two page tables",
					 group->number);
	}
	return 0;
}

static int attach_again(const struct weir_function *function, uint32_t id, uint32_t pasid, bool blocked)
{
	const struct weir_sys *sys = function->kernel->sys;
	int error;

	if (pasid == WEIR_NO_PASID)
		error = blocked ? weir_vfio_device_detach(sys, function->fd)
				: weir_vfio_device_attach(sys, function->fd, id);
	else
		error = blocked ? weir_vfio_device_detach_pasid(sys, function->fd, pasid)
				: weir_vfio_device_attach_pasid(sys, function->fd, id, pasid);
	return error ? weir_fail(error, "putting %s back where it was: %s", function->address,
				 strerror(-error))
		     : 0;
}

int weir_function_settle(const struct weir_function *function)
{
	const struct weir_attachment *whole = weir_attachment_find(function, WEIR_NO_PASID);
	int error;

	if (whole)
		error = attach_again(function, whole->table->object.id, WEIR_NO_PASID, whole->blocked);
	else
		error = attach_again(function, function->group->hwpt->object.id, WEIR_NO_PASID, false);
	for (const struct weir_attachment *a = function->attachments; a && !error; a = a->next)
		if (a != whole)
			error = attach_again(function, a->table->object.id, a->pasid, a->blocked);
	return error;
}

/* Letting go ------------------------------------------------------------------------------------------------------- */

void weir_function_let_go_tables(struct weir_function *function)
{
	struct weir_vdevice *vdevice = function->vdevice;

	for (struct weir_attachment *a = function->attachments, *next; a; a = next) {
		next = a->next;
		weir_attachment_let_go(a);
	}
	if (vdevice) {
		struct weir_vdevice **link = &vdevice->viommu->vdevices;

		while (*link != vdevice)
			link = &(*link)->next;
		*link = vdevice->next;
		function->vdevice = NULL;
		free(vdevice);
	}
}

void weir_space_let_go_tables(struct weir_space *space)
{
	for (struct weir_table *table = space->tables, *next; table; table = next) {
		next = table->next;
		weir_table_delist(table);
		if (!table->parent)
			free(table->viommu);
		free((void *)table->domain);
		free(table);
	}
}
