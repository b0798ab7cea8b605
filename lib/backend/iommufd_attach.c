// SPDX-License-Identifier: MIT
/*
 * iommufd: what is attached to the program's page tables.
 *
 * As a whole, a function is attached with its group: every open member has an attachment. The first that the kernel is told of moves the group, unless
 * its DMA is blocked: then each member is detached, and each has to be attached again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/table.h"
#include "error.h"
#include "kernel/vfio_device.h"

/* Book-keeping ----------------------------------------------------------------------------------------------------- */

static struct weir_attachment *new_attachment(struct weir_table *table, struct weir_function *function,
					      uint32_t pasid)
{
	struct weir_attachment *attachment = calloc(1, sizeof(*attachment));

	if (!attachment) {
		weir_error_set("no memory to attach %s", function->address);
		return NULL;
	}
	attachment->table = table;
	attachment->function = function;
	attachment->pasid = pasid;
	return attachment;
}

/* The table's lock is held for writing. */
static void link_in(struct weir_attachment *attachment)
{
	attachment->next = attachment->function->attachments;
	attachment->function->attachments = attachment;
	attachment->beside = attachment->table->attached;
	attachment->table->attached = attachment;
}

static void drop(struct weir_attachment *attachment)
{
	struct weir_table *table = attachment->table;
	struct weir_attachment **link = &attachment->function->attachments;

	while (*link != attachment)
		link = &(*link)->next;
	*link = attachment->next;
	pthread_rwlock_wrlock(&table->lock);
	link = &table->attached;
	while (*link != attachment)
		link = &(*link)->beside;
	*link = attachment->beside;
	pthread_rwlock_unlock(&table->lock);
	free(attachment);
}

/* What the group is attached to as a whole, by one of its members; NULL: to the space's own table. */
static struct weir_attachment *group_attachment(const struct weir_group *group)
{
	struct weir_attachment *attachment = NULL;

	for (struct weir_function *member = group->functions; member && !attachment; member = member->next)
		attachment = weir_attachment_find(member, WEIR_NO_PASID);
	return attachment;
}

/* The group's members are no longer attached to @table as a whole. */
static void drop_group(const struct weir_group *group, const struct weir_table *table)
{
	for (struct weir_function *member = group->functions; member; member = member->next) {
		struct weir_attachment *attachment = member->attachments;

		while (attachment && (attachment->table != table || attachment->pasid != WEIR_NO_PASID))
			attachment = attachment->next;
		if (attachment)
			drop(attachment);
	}
}

uint32_t weir_iommufd_place(const struct weir_group *group)
{
	const struct weir_attachment *attachment = group_attachment(group);

	return attachment ? attachment->table->object.id : group->hwpt->object.id;
}

static const struct weir_function *member_with_pasid(const struct weir_group *group)
{
	for (const struct weir_function *member = group->functions; member; member = member->next)
		for (const struct weir_attachment *a = member->attachments; a; a = a->next)
			if (a->pasid != WEIR_NO_PASID)
				return member;
	return NULL;
}

/* The kernel's part ------------------------------------------------------------------------------------------------ */

static int kernel_attach(struct weir_function *function, uint32_t pt_id, uint32_t pasid)
{
	const struct weir_sys *sys = function->kernel->sys;

	return pasid == WEIR_NO_PASID ? weir_vfio_device_attach(sys, function->fd, pt_id)
				      : weir_vfio_device_attach_pasid(sys, function->fd, pt_id, pasid);
}

static int kernel_detach(struct weir_function *function, uint32_t pasid)
{
	const struct weir_sys *sys = function->kernel->sys;
	int error = pasid == WEIR_NO_PASID ? weir_vfio_device_detach(sys, function->fd)
					   : weir_vfio_device_detach_pasid(sys, function->fd, pasid);

	return error ? weir_fail(error, "VFIO_DEVICE_DETACH_IOMMUFD_PT of %s: %s", function->address,
				 strerror(-error))
		     : 0;
}

/* Attach a group's members to a table, from wherever they are; if that fails, they are there still. */
static int attach_group(struct weir_function *function, uint32_t pt_id)
{
	const struct weir_attachment *from = group_attachment(function->group);
	struct weir_function *member = function->group->functions;
	int error = 0;

	if (!from || !from->blocked)
		return kernel_attach(function, pt_id, WEIR_NO_PASID);
	for (; member && !error; member = error ? member : member->next)
		error = kernel_attach(member, pt_id, WEIR_NO_PASID);
	if (!error)
		return 0;
	for (struct weir_function *other = function->group->functions; other != member; other = other->next)
		kernel_detach(other, WEIR_NO_PASID);
	return error;
}

/* Attaching and detaching ------------------------------------------------------------------------------------------ */

static int attach_pasid(struct weir_table *table, struct weir_function *function, uint32_t pasid)
{
	struct weir_viommu *viommu = weir_table_viommu(table);
	struct weir_attachment *old = weir_attachment_find(function, pasid), *attachment;
	int error;

	if (old && old->table == table && !old->blocked)
		return 0;
	error = viommu ? weir_iommufd_number(viommu, function, 0) : 0;
	if (error)
		return error;
	attachment = new_attachment(table, function, pasid);
	if (!attachment)
		return -ENOMEM;
	pthread_rwlock_wrlock(&table->lock);
	error = kernel_attach(function, table->object.id, pasid);
	if (!error)
		link_in(attachment);
	pthread_rwlock_unlock(&table->lock);
	if (error) {
		free(attachment);
		return weir_iommufd_explain_attach(function, error);
	}
	if (old)
		drop(old);
	return 0;
}

static void free_attachments(struct weir_attachment *attachments)
{
	while (attachments) {
		struct weir_attachment *next = attachments->next;

		free(attachments);
		attachments = next;
	}
}

/* An attachment for each member of the group, not linked in yet but to each other. */
static int prepare_group(struct weir_table *table, const struct weir_group *group,
			 struct weir_attachment **ret_attachments)
{
	struct weir_viommu *viommu = weir_table_viommu(table);
	struct weir_attachment *attachments = NULL;
	int error = 0;

	for (struct weir_function *member = group->functions; member && !error; member = member->next) {
		struct weir_attachment *attachment = new_attachment(table, member, WEIR_NO_PASID);

		if (!attachment) {
			error = -ENOMEM;
			break;
		}
		attachment->next = attachments;
		attachments = attachment;
		error = viommu ? weir_iommufd_number(viommu, member, 0) : 0;
	}
	if (error)
		free_attachments(attachments);
	else
		*ret_attachments = attachments;
	return error;
}

/* Whose DMA is blocked goes back to where it was. */
static int attach_again(struct weir_table *table, struct weir_function *function)
{
	int error;

	pthread_rwlock_wrlock(&table->lock);
	error = attach_group(function, table->object.id);
	for (struct weir_attachment *attachment = table->attached; attachment && !error;
	     attachment = attachment->beside)
		if (attachment->function->group == function->group && attachment->pasid == WEIR_NO_PASID)
			attachment->blocked = false;
	pthread_rwlock_unlock(&table->lock);
	return error ? weir_iommufd_explain_attach(function, error) : 0;
}

int weir_iommufd_attach(struct weir_table *table, struct weir_function *function, uint32_t pasid)
{
	const struct weir_attachment *old = weir_attachment_find(function, pasid);
	const struct weir_table *from = old ? old->table : NULL;
	struct weir_attachment *attachments;
	int error;

	if (pasid != WEIR_NO_PASID)
		return attach_pasid(table, function, pasid);
	if (old && from == table)
		return old->blocked ? attach_again(table, function) : 0;
	error = prepare_group(table, function->group, &attachments);
	if (error)
		return error;
	/* Who invalidates finds them as soon as they can remember anything. */
	pthread_rwlock_wrlock(&table->lock);
	error = attach_group(function, table->object.id);
	while (attachments && !error) {
		struct weir_attachment *next = attachments->next;

		link_in(attachments);
		attachments = next;
	}
	pthread_rwlock_unlock(&table->lock);
	if (error) {
		free_attachments(attachments);
		return weir_iommufd_explain_attach(function, error);
	}
	if (from)
		drop_group(function->group, from);
	return 0;
}

/* Back to the space's own table; what cannot go there goes nowhere. */
static int detach_group(struct weir_function *function)
{
	struct weir_group *group = function->group;
	struct weir_table *table = group_attachment(group)->table;
	const struct weir_function *other = member_with_pasid(group);
	struct weir_first first = { 0 };
	int error;

	if (other)
		return weir_fail(-EBUSY, "%s is attached to domains for PASIDs: detach these first",
				 other->address);
	error = attach_group(function, group->hwpt->object.id);
	if (!error) {
		drop_group(group, table);
		return 0;
	}
	weir_first_note(&first, weir_iommufd_explain_attach(function, error));
	pthread_rwlock_wrlock(&table->lock);
	for (struct weir_function *member = group->functions; member; member = member->next) {
		struct weir_attachment *attachment = weir_attachment_find(member, WEIR_NO_PASID);

		if (!attachment->blocked)
			attachment->blocked = kernel_detach(member, WEIR_NO_PASID) == 0;
	}
	pthread_rwlock_unlock(&table->lock);
	return weir_first_error(&first);
}

int weir_iommufd_detach(struct weir_function *function, uint32_t pasid)
{
	struct weir_attachment *attachment = weir_attachment_find(function, pasid);
	int error;

	if (!attachment)
		return 0;
	if (pasid == WEIR_NO_PASID)
		return detach_group(function);
	error = attachment->blocked ? 0 : kernel_detach(function, pasid);
	if (!error)
		drop(attachment);
	return error;
}

int weir_iommufd_block(struct weir_table *table)
{
	struct weir_first first = { 0 };

	pthread_rwlock_wrlock(&table->lock);
	for (struct weir_attachment *attachment = table->attached; attachment;
	     attachment = attachment->beside) {
		int error = attachment->blocked ? 0 : kernel_detach(attachment->function, attachment->pasid);

		weir_first_note(&first, error);
		if (!error)
			attachment->blocked = true;
	}
	pthread_rwlock_unlock(&table->lock);
	return weir_first_error(&first);
}

/* Coming, moving and going ----------------------------------------------------------------------------------------- */

/* To the table that its @mate is attached to. */
static int join(struct weir_function *function, const struct weir_attachment *mate)
{
	struct weir_viommu *viommu = weir_table_viommu(mate->table);
	struct weir_attachment *attachment = new_attachment(mate->table, function, WEIR_NO_PASID);
	int error = attachment ? 0 : -ENOMEM;

	if (!error && viommu)
		error = weir_iommufd_number(viommu, function, 0);
	if (error) {
		free(attachment);
		return error;
	}
	attachment->blocked = mate->blocked;
	pthread_rwlock_wrlock(&mate->table->lock);
	if (!mate->blocked)
		error = kernel_attach(function, mate->table->object.id, WEIR_NO_PASID);
	if (!error)
		link_in(attachment);
	pthread_rwlock_unlock(&mate->table->lock);
	if (error) {
		weir_iommufd_unnumber(function);
		free(attachment);
	}
	return error;
}

int weir_iommufd_join(struct weir_function *function)
{
	const struct weir_attachment *mate = group_attachment(function->group);

	return mate ? join(function, mate)
		    : kernel_attach(function, function->group->hwpt->object.id, WEIR_NO_PASID);
}

int weir_iommufd_check_move(const struct weir_group *group)
{
	const struct weir_attachment *attachment = group_attachment(group);
	const struct weir_function *member = member_with_pasid(group);

	if (member)
		return weir_fail(-EBUSY, "%s is attached to domains for PASIDs: detach these first",
				 member->address);
	if (attachment && attachment->blocked)
		return weir_fail(
			-EBUSY,
			"the DMA of %s is blocked, because an invalidation failed: detach it from its "
			"domain first",
			attachment->function->address);
	return 0;
}

void weir_iommufd_moved(const struct weir_group *group)
{
	const struct weir_attachment *attachment = group_attachment(group);

	if (attachment)
		drop_group(group, attachment->table);
}

int weir_iommufd_part(struct weir_function *function)
{
	struct weir_first first = { 0 };

	for (struct weir_attachment *attachment = function->attachments, *next; attachment;
	     attachment = next) {
		next = attachment->next;
		if (attachment->pasid != WEIR_NO_PASID && !attachment->blocked)
			weir_first_note(&first, kernel_detach(function, attachment->pasid));
		drop(attachment);
	}
	weir_first_note(&first, weir_iommufd_unnumber(function));
	return weir_first_error(&first);
}
