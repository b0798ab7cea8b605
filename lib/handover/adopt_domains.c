// SPDX-License-Identifier: MIT
/*
 * Domains that were handed over: page tables that the kernel has, virtual IOMMUs between them, and which devices are attached to them. Parents come before what is
 * nested in them. Tables of a first stage are not looked at: they are the program's, in a memory of its own.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "domain/domain.h"
#include "error.h"
#include "handover/adopt.h"
#include "kernel/iommufd.h"

static struct weir_domain *domain_of(const struct adoption *adoption, uint32_t number)
{
	return number && number <= adoption->description->used[WEIR_JOURNAL_DOMAINS]
		       ? adoption->domains[number]
		       : NULL;
}

static struct weir_table *table_of(const struct adoption *adoption, uint32_t number)
{
	struct weir_domain *domain = domain_of(adoption, number);

	return domain ? weir_kernel_domain(domain)->table : NULL;
}

static struct weir_function *function_of(const struct adoption *adoption, uint32_t number)
{
	return number && number <= adoption->description->used[WEIR_JOURNAL_DEVICES] &&
			       adoption->devices[number]
		       ? adoption->devices[number]->function
		       : NULL;
}

static int adopt_domain(struct adoption *adoption, const struct weir_slot_domain *slot, uint32_t number)
{
	struct weir_ioas *ioas = weir_adoption_space(adoption, slot->space);
	struct weir_domain *parent = domain_of(adoption, slot->parent);
	struct weir_faultq *faultq = weir_adoption_faultq(adoption, slot->faultq);

	if (adoption->host->kernel.ops->kind != WEIR_BACKEND_IOMMUFD)
		return weir_fail(-EPROTO, "a container has no domains");
	if (!ioas || (slot->parent && !parent))
		return weir_fail(-EPROTO, "domain %" PRIu32 " is of no space, or nested in none", number);
	if (slot->faultq && !faultq)
		return weir_fail(-EPROTO, "page requests of domain %" PRIu32 " go to no queue", number);
	return weir_domain_adopt(ioas, slot, number, parent, faultq, &adoption->domains[number]);
}

/* Those that are nested, or the others. */
static int adopt_domains(struct adoption *adoption, bool nested)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_DOMAINS] && !error; number++) {
		const struct weir_slot_domain *slot =
			weir_described_in_force(description, WEIR_JOURNAL_DOMAINS, number);

		if (slot && !slot->parent != nested)
			error = adopt_domain(adoption, slot, number);
	}
	return error;
}

static int adopt_viommus(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_VIOMMUS] && !error; number++) {
		const struct weir_slot_viommu *slot =
			weir_described_in_force(description, WEIR_JOURNAL_VIOMMUS, number);
		struct weir_table *parent = slot ? table_of(adoption, slot->parent) : NULL;

		if (slot)
			error = parent ? weir_viommu_adopt(parent, slot, number)
				       : weir_fail(-EPROTO, "a virtual IOMMU is over no domain");
	}
	return error;
}

static struct weir_viommu *viommu_of(const struct adoption *adoption, uint32_t number)
{
	const struct weir_slot_viommu *slot =
		weir_described_in_force(adoption->description, WEIR_JOURNAL_VIOMMUS, number);
	const struct weir_table *parent = slot ? table_of(adoption, slot->parent) : NULL;

	return parent ? parent->viommu : NULL;
}

/* Of a device that is not carried: nobody relies on it. */
static int adopt_vdevices(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_VDEVICES] && !error; number++) {
		struct weir_slot_vdevice *slot =
			weir_described_in_force(description, WEIR_JOURNAL_VDEVICES, number);
		struct weir_function *function = slot ? function_of(adoption, slot->device) : NULL;
		struct weir_viommu *viommu = slot ? viommu_of(adoption, slot->viommu) : NULL;

		if (slot && !function)
			weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
		else if (slot)
			error = viommu ? weir_vdevice_adopt(viommu, function, slot, number)
				       : weir_fail(-EPROTO, "%s has a number in no virtual IOMMU",
						   function->address);
	}
	return error;
}

/* On its way from one table to another, a device may be in both: the later one counts. */
static int settle_two(const struct adoption *adoption, struct weir_attachment *old,
		      const struct weir_slot_device *device, struct weir_slot_attachment *slot,
		      bool *ret_newer)
{
	struct weir_slot_attachment *before =
		weir_described(adoption->description, WEIR_JOURNAL_ATTACHMENTS, old->number);

	if (!atomic_load(&device->moving))
		return weir_fail(-EPROTO, "%s is attached twice", old->function->address);
	*ret_newer = before->slot.serial < slot->slot.serial;
	weir_slot_set(*ret_newer ? &before->slot : &slot->slot, WEIR_SLOT_LEAVING);
	if (*ret_newer)
		weir_attachment_let_go(old);
	return 0;
}

static int adopt_attachment(struct adoption *adoption, struct weir_slot_attachment *slot, uint32_t number)
{
	struct weir_function *function = function_of(adoption, slot->device);
	struct weir_table *table = table_of(adoption, slot->domain);
	struct weir_attachment *old;
	bool newer = true;
	int error = 0;

	if (!function) {
		weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
		return 0;
	}
	if (!table)
		return weir_fail(-EPROTO, "%s is attached to no domain", function->address);
	old = weir_attachment_find(function, slot->pasid);
	if (old)
		error = settle_two(adoption, old,
				   weir_described(adoption->description, WEIR_JOURNAL_DEVICES, slot->device),
				   slot, &newer);
	return error || !newer ? error : weir_attachment_adopt(table, function, slot, number);
}

static int adopt_attachments(struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_ATTACHMENTS] && !error; number++) {
		struct weir_slot_attachment *slot =
			weir_described_in_force(description, WEIR_JOURNAL_ATTACHMENTS, number);

		if (slot)
			error = adopt_attachment(adoption, slot, number);
	}
	for (const struct weir_group *group = adoption->host->kernel.groups; group && !error;
	     group = group->next)
		error = weir_group_check_adopted(group);
	return error;
}

/* A predecessor that was killed may have been about to attach them elsewhere. */
static int settle_devices(const struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;
	int error = 0;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_DEVICES] && !error; number++) {
		const struct weir_slot_device *slot =
			weir_described(description, WEIR_JOURNAL_DEVICES, number);
		const struct weir_function *function = function_of(adoption, number);

		if (function && function->kernel->ops->kind == WEIR_BACKEND_IOMMUFD &&
		    atomic_load(&slot->moving))
			error = weir_function_settle(function);
	}
	return error;
}

int weir_adoption_domains(struct adoption *adoption)
{
	int error = adopt_domains(adoption, false);

	if (!error)
		error = adopt_viommus(adoption);
	if (!error)
		error = adopt_domains(adoption, true);
	if (!error)
		error = adopt_vdevices(adoption);
	if (!error)
		error = adopt_attachments(adoption);
	return error ? error : settle_devices(adoption);
}

/* What was only begun ---------------------------------------------------------------------------------------------- */

static void destroy(const struct adoption *adoption, const struct weir_slot *slot, uint32_t id)
{
	const struct weir_kernel *kernel = &adoption->host->kernel;

	if (weir_described_half(slot) && id)
		weir_iommufd_destroy(kernel->sys, kernel->fd, id);
}

static void clear_vdevices(const struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_VDEVICES]; number++) {
		const struct weir_slot_vdevice *slot =
			weir_described(description, WEIR_JOURNAL_VDEVICES, number);

		destroy(adoption, &slot->slot, slot->id);
	}
}

static void clear_tables(const struct adoption *adoption, bool nested)
{
	const struct weir_description *description = adoption->description;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_DOMAINS]; number++) {
		const struct weir_slot_domain *slot =
			weir_described(description, WEIR_JOURNAL_DOMAINS, number);

		if (!slot->parent != nested)
			destroy(adoption, &slot->slot, slot->id);
	}
}

static void clear_vdevice(const struct adoption *adoption, struct weir_vdevice *vdevice)
{
	struct weir_slot_vdevice *slot =
		weir_described(adoption->description, WEIR_JOURNAL_VDEVICES, vdevice->number);

	weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
	destroy(adoption, &slot->slot, slot->id);
	vdevice->viommu->vdevices = vdevice->next;
	vdevice->function->vdevice = NULL;
	free(vdevice);
}

/* Also one that is there, with nothing in it: a parent that has one cannot be closed. */
static void clear_viommus(const struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_VIOMMUS]; number++) {
		struct weir_slot_viommu *slot = weir_described(description, WEIR_JOURNAL_VIOMMUS, number);
		struct weir_viommu *viommu = viommu_of(adoption, number);

		destroy(adoption, &slot->slot, slot->id);
		if (!viommu || viommu->num_nested)
			continue;
		for (struct weir_vdevice *vdevice = viommu->vdevices, *next; vdevice; vdevice = next) {
			next = vdevice->next;
			clear_vdevice(adoption, vdevice);
		}
		weir_slot_set(&slot->slot, WEIR_SLOT_LEAVING);
		destroy(adoption, &slot->slot, slot->id);
		viommu->parent->viommu = NULL;
		free(viommu);
	}
}

/* It was to be attached for a PASID: the kernel may have it so. */
static void clear_attachments(const struct adoption *adoption)
{
	const struct weir_description *description = adoption->description;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_ATTACHMENTS]; number++) {
		const struct weir_slot_attachment *slot =
			weir_described(description, WEIR_JOURNAL_ATTACHMENTS, number);
		const struct weir_function *function = function_of(adoption, slot->device);

		if (weir_described_half(slot) && function && slot->pasid != WEIR_NO_PASID &&
		    !weir_attachment_find(function, slot->pasid))
			weir_vfio_device_detach_pasid(function->kernel->sys, function->fd, slot->pasid);
	}
}

void weir_adoption_clear_domains(struct adoption *adoption)
{
	if (adoption->host->kernel.ops->kind != WEIR_BACKEND_IOMMUFD)
		return;
	clear_attachments(adoption);
	clear_vdevices(adoption);
	clear_tables(adoption, true);
	clear_viommus(adoption);
	clear_tables(adoption, false);
}
