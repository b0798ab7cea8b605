// SPDX-License-Identifier: MIT
#include "backend/note.h"

#include "backend/faultq.h"

static struct weir_journal *journal_of(const struct weir_table *table)
{
	return table->space->kernel->journal;
}

int weir_note_table(struct weir_table *table, uint32_t hw_type, uint32_t features)
{
	struct weir_journal *journal = journal_of(table);
	struct weir_slot_domain *slot;
	int error = journal ? weir_journal_take(journal, WEIR_JOURNAL_DOMAINS, &table->number) : 0;

	if (error || !journal)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_DOMAINS, table->number);
	slot->space = table->space->number;
	slot->id = slot->viommu = 0;
	slot->parent = table->parent ? table->parent->number : 0;
	slot->faultq = table->faults ? table->faults->noted : 0;
	slot->flags = table->flags;
	slot->hw_type = hw_type;
	slot->features = features;
	atomic_store(&slot->stale, 0);
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

void weir_note_table_made(const struct weir_table *table)
{
	const struct weir_viommu *viommu = weir_table_viommu(table);
	struct weir_slot_domain *slot;

	if (!table->number)
		return;
	slot = weir_journal_at(journal_of(table), WEIR_JOURNAL_DOMAINS, table->number);
	slot->id = table->object.id;
	slot->viommu = viommu ? viommu->number : 0;
	weir_slot_set(&slot->slot, WEIR_SLOT_IN_FORCE);
}

int weir_note_viommu(struct weir_viommu *viommu)
{
	struct weir_journal *journal = journal_of(viommu->parent);
	struct weir_slot_viommu *slot;
	int error = journal ? weir_journal_take(journal, WEIR_JOURNAL_VIOMMUS, &viommu->number) : 0;

	if (error || !journal)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_VIOMMUS, viommu->number);
	slot->parent = viommu->parent->number;
	slot->id = 0;
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

void weir_note_viommu_made(const struct weir_viommu *viommu)
{
	struct weir_slot_viommu *slot;

	if (!viommu->number)
		return;
	slot = weir_journal_at(journal_of(viommu->parent), WEIR_JOURNAL_VIOMMUS, viommu->number);
	slot->id = viommu->object.id;
	weir_slot_set(&slot->slot, WEIR_SLOT_IN_FORCE);
}

int weir_note_vdevice(struct weir_vdevice *vdevice)
{
	struct weir_journal *journal = vdevice->function->kernel->journal;
	struct weir_slot_vdevice *slot;
	int error = journal ? weir_journal_take(journal, WEIR_JOURNAL_VDEVICES, &vdevice->number) : 0;

	if (error || !journal)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_VDEVICES, vdevice->number);
	slot->stream = vdevice->stream;
	slot->viommu = vdevice->viommu->number;
	slot->device = vdevice->function->number;
	slot->id = 0;
	slot->ats = vdevice->ats;
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

void weir_note_vdevice_made(const struct weir_vdevice *vdevice)
{
	struct weir_slot_vdevice *slot;

	if (!vdevice->number)
		return;
	slot = weir_journal_at(vdevice->function->kernel->journal, WEIR_JOURNAL_VDEVICES, vdevice->number);
	slot->id = vdevice->object.id;
	weir_slot_set(&slot->slot, WEIR_SLOT_IN_FORCE);
}

int weir_note_attachment(struct weir_attachment *attachment)
{
	struct weir_journal *journal = attachment->function->kernel->journal;
	struct weir_slot_attachment *slot;
	int error = journal ? weir_journal_take(journal, WEIR_JOURNAL_ATTACHMENTS, &attachment->number) : 0;

	if (error || !journal)
		return error;
	slot = weir_journal_at(journal, WEIR_JOURNAL_ATTACHMENTS, attachment->number);
	slot->domain = attachment->table->number;
	slot->device = attachment->function->number;
	slot->pasid = attachment->pasid;
	atomic_store(&slot->blocked, 0);
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	return 0;
}

static struct weir_slot_attachment *slot_of(const struct weir_attachment *attachment)
{
	return weir_journal_at(attachment->function->kernel->journal, WEIR_JOURNAL_ATTACHMENTS,
			       attachment->number);
}

void weir_note_attached(const struct weir_attachment *attachment)
{
	if (attachment->number)
		weir_slot_set(&slot_of(attachment)->slot, WEIR_SLOT_IN_FORCE);
}

void weir_note_blocked(const struct weir_attachment *attachment, bool blocked)
{
	if (attachment->number)
		atomic_store(&slot_of(attachment)->blocked, blocked);
}

void weir_note_stale(const struct weir_table *table, bool stale)
{
	struct weir_slot_domain *slot;

	if (!table->number)
		return;
	slot = weir_journal_at(journal_of(table), WEIR_JOURNAL_DOMAINS, table->number);
	atomic_store(&slot->stale, stale);
}

void weir_note_leaving(const struct weir_kernel *kernel, enum weir_journal_table kind, uint32_t number)
{
	if (number)
		weir_journal_mark(kernel->journal, kind, number, WEIR_SLOT_LEAVING);
}

void weir_note_end(const struct weir_kernel *kernel, enum weir_journal_table kind, uint32_t number)
{
	if (number)
		weir_journal_give(kernel->journal, kind, number);
}
