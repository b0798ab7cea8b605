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

#include "backend/faultq.h"
#include "backend/note.h"
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
	if (weir_faultq_enter(table->faults, function, pasid)) {
		free(attachment);
		return NULL;
	}
	attachment->table = table;
	attachment->function = function;
	attachment->pasid = pasid;
	if (weir_note_attachment(attachment)) {
		weir_faultq_undo(table->faults, function, pasid);
		free(attachment);
		return NULL;
	}
	return attachment;
}

/* It came to nothing. */
static void discard(struct weir_attachment *attachment)
{
	weir_faultq_undo(attachment->table->faults, attachment->function, attachment->pasid);
	weir_note_end(attachment->function->kernel, WEIR_JOURNAL_ATTACHMENTS, attachment->number);
	free(attachment);
}

static struct weir_faultq *faults_of(const struct weir_attachment *attachment)
{
	return attachment ? attachment->table->faults : NULL;
}

/* The table's lock is held for writing. */
void weir_attachment_link(struct weir_attachment *attachment)
{
	attachment->next = attachment->function->attachments;
	attachment->function->attachments = attachment;
	attachment->beside = attachment->table->attached;
	attachment->table->attached = attachment;
	weir_note_attached(attachment);
}

void weir_attachment_unlink(struct weir_attachment *attachment)
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
}

static void drop(struct weir_attachment *attachment)
{
	weir_attachment_unlink(attachment);
	weir_faultq_leave(attachment->table->faults, attachment->function, attachment->pasid);
	weir_note_end(attachment->function->kernel, WEIR_JOURNAL_ATTACHMENTS, attachment->number);
	free(attachment);
}

static void set_blocked(struct weir_attachment *attachment, bool blocked)
{
	attachment->blocked = blocked;
	weir_note_blocked(attachment, blocked);
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

/* The kernel detaches it. Noted before, so that whoever comes after us does not attach it again. */
static int block_one(struct weir_attachment *attachment)
{
	int error;

	weir_note_blocked(attachment, true);
	error = kernel_detach(attachment->function, attachment->pasid);
	set_blocked(attachment, !error);
	return error;
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
	struct weir_faultq *faults = faults_of(old);
	int error;

	if (old && old->table == table && !old->blocked)
		return 0;
	error = viommu ? weir_iommufd_number(viommu, function, 0) : 0;
	if (error)
		return error;
	attachment = new_attachment(table, function, pasid);
	if (!attachment)
		return -ENOMEM;
	error = weir_faultq_hold(faults, function, pasid);
	if (error) {
		discard(attachment);
		return error;
	}
	weir_group_note_moving(function->group, true);
	pthread_rwlock_wrlock(&table->lock);
	error = kernel_attach(function, table->object.id, pasid);
	if (!error)
		weir_attachment_link(attachment);
	pthread_rwlock_unlock(&table->lock);
	if (!error && old)
		drop(old);
	weir_group_note_moving(function->group, false);
	weir_faultq_release(faults);
	if (!error)
		return 0;
	discard(attachment);
	return weir_iommufd_explain_attach(function, error);
}

static void free_attachments(struct weir_attachment *attachments)
{
	while (attachments) {
		struct weir_attachment *next = attachments->next;

		discard(attachments);
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

	weir_group_note_moving(function->group, true);
	pthread_rwlock_wrlock(&table->lock);
	error = attach_group(function, table->object.id);
	for (struct weir_attachment *attachment = table->attached; attachment && !error;
	     attachment = attachment->beside)
		if (attachment->function->group == function->group && attachment->pasid == WEIR_NO_PASID)
			set_blocked(attachment, false);
	pthread_rwlock_unlock(&table->lock);
	weir_group_note_moving(function->group, false);
	return error ? weir_iommufd_explain_attach(function, error) : 0;
}

/* From wherever they are; @attachments are linked in, unless that fails. */
static int switch_group(struct weir_table *table, struct weir_function *function,
			struct weir_attachment *attachments)
{
	int error;

	/* Who invalidates finds them as soon as they can remember anything. */
	pthread_rwlock_wrlock(&table->lock);
	error = attach_group(function, table->object.id);
	while (attachments && !error) {
		struct weir_attachment *next = attachments->next;

		weir_attachment_link(attachments);
		attachments = next;
	}
	pthread_rwlock_unlock(&table->lock);
	return error;
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
	error = weir_faultq_hold(from ? from->faults : NULL, function, WEIR_NO_PASID);
	if (error) {
		free_attachments(attachments);
		return error;
	}
	weir_group_note_moving(function->group, true);
	error = switch_group(table, function, attachments);
	if (!error && from)
		drop_group(function->group, from);
	weir_group_note_moving(function->group, false);
	weir_faultq_release(from ? from->faults : NULL);
	if (!error)
		return 0;
	free_attachments(attachments);
	return weir_iommufd_explain_attach(function, error);
}

/* Back to the space's own table; what cannot go there goes nowhere. */
static int detach_group(struct weir_function *function)
{
	struct weir_group *group = function->group;
	struct weir_table *table = group_attachment(group)->table;
	struct weir_first first = { 0 };
	int error = attach_group(function, group->hwpt->object.id);

	if (!error) {
		drop_group(group, table);
		return 0;
	}
	weir_first_note(&first, weir_iommufd_explain_attach(function, error));
	pthread_rwlock_wrlock(&table->lock);
	for (struct weir_function *member = group->functions; member; member = member->next) {
		struct weir_attachment *attachment = weir_attachment_find(member, WEIR_NO_PASID);

		if (!attachment->blocked)
			block_one(attachment);
		if (attachment->blocked)
			weir_faultq_orphan(table->faults, member, WEIR_NO_PASID);
	}
	pthread_rwlock_unlock(&table->lock);
	return weir_first_error(&first);
}

static int detach_pasid(struct weir_attachment *attachment)
{
	int error = attachment->blocked ? 0 : kernel_detach(attachment->function, attachment->pasid);

	if (!error)
		drop(attachment);
	return error;
}

int weir_iommufd_detach(struct weir_function *function, uint32_t pasid)
{
	struct weir_attachment *attachment = weir_attachment_find(function, pasid);
	const struct weir_function *other = member_with_pasid(function->group);
	struct weir_faultq *faults = faults_of(attachment);
	int error;

	if (!attachment)
		return 0;
	if (pasid == WEIR_NO_PASID && other)
		return weir_fail(-EBUSY, "%s is attached to domains for PASIDs: detach these first",
				 other->address);
	weir_faultq_hold_anyway(faults);
	weir_group_note_moving(function->group, true);
	error = pasid == WEIR_NO_PASID ? detach_group(function) : detach_pasid(attachment);
	weir_group_note_moving(function->group, false);
	weir_faultq_release(faults);
	return error;
}

int weir_iommufd_block(struct weir_table *table)
{
	struct weir_first first = { 0 };

	weir_faultq_hold_anyway(table->faults);
	pthread_rwlock_wrlock(&table->lock);
	for (struct weir_attachment *attachment = table->attached; attachment;
	     attachment = attachment->beside) {
		int error = attachment->blocked ? 0 : block_one(attachment);

		weir_first_note(&first, error);
		if (error)
			continue;
		weir_faultq_orphan(table->faults, attachment->function, attachment->pasid);
	}
	pthread_rwlock_unlock(&table->lock);
	weir_faultq_release(table->faults);
	return weir_first_error(&first);
}

/* Coming, moving and going ----------------------------------------------------------------------------------------- */

/* To the table that its @mate is attached to. */
static int join(struct weir_function *function, const struct weir_attachment *mate)
{
	struct weir_viommu *viommu = weir_table_viommu(mate->table);
	struct weir_attachment *attachment = new_attachment(mate->table, function, WEIR_NO_PASID);
	int error = attachment ? 0 : weir_fail(-ENOMEM, "no memory for attaching %s", function->address);

	if (!error && viommu)
		error = weir_iommufd_number(viommu, function, 0);
	if (error) {
		if (attachment)
			discard(attachment);
		return error;
	}
	set_blocked(attachment, mate->blocked);
	pthread_rwlock_wrlock(&mate->table->lock);
	if (!mate->blocked)
		error = kernel_attach(function, mate->table->object.id, WEIR_NO_PASID);
	if (!error)
		weir_attachment_link(attachment);
	pthread_rwlock_unlock(&mate->table->lock);
	if (!error)
		return 0;
	weir_iommufd_unnumber(function);
	discard(attachment);
	return weir_iommufd_explain_attach(function, error);
}

int weir_iommufd_join(struct weir_function *function)
{
	const struct weir_attachment *mate = group_attachment(function->group);
	int error;

	if (mate)
		return join(function, mate);
	error = kernel_attach(function, function->group->hwpt->object.id, WEIR_NO_PASID);
	return error ? weir_iommufd_explain_attach(function, error) : 0;
}

int weir_iommufd_begin_move(struct weir_function *function, struct weir_faultq **ret_faults)
{
	const struct weir_group *group = function->group;
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
	*ret_faults = faults_of(attachment);
	return weir_faultq_hold(*ret_faults, function, WEIR_NO_PASID);
}

void weir_iommufd_moved(const struct weir_group *group)
{
	const struct weir_attachment *attachment = group_attachment(group);

	if (attachment)
		drop_group(group, attachment->table);
}

/* A detach that fails is no reason to stay. */
static int part_from(struct weir_function *function, struct weir_attachment *attachment, uint32_t pasid)
{
	struct weir_faultq *faults = faults_of(attachment);
	int error = 0;

	weir_faultq_hold_anyway(faults);
	if (pasid == WEIR_NO_PASID || !attachment->blocked)
		error = kernel_detach(function, pasid);
	if (attachment)
		drop(attachment);
	weir_faultq_release(faults);
	return error;
}

/*
 * Not left to close(): a mapped BAR, or a copy of the descriptor elsewhere, would keep the device attached.
 */
int weir_iommufd_part(struct weir_function *function)
{
	struct weir_attachment *attachment, *next;
	struct weir_first first = { 0 };

	weir_first_note(&first,
			part_from(function, weir_attachment_find(function, WEIR_NO_PASID), WEIR_NO_PASID));
	for (attachment = function->attachments; attachment; attachment = next) {
		next = attachment->next;
		weir_first_note(&first, part_from(function, attachment, attachment->pasid));
	}
	weir_first_note(&first, weir_iommufd_unnumber(function));
	return weir_first_error(&first);
}
