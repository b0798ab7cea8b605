/* SPDX-License-Identifier: MIT */
/* What the journal says of page tables of the program's own, and of what is attached to them. Without a journal, nothing. */
#ifndef WEIR_BACKEND_NOTE_H
#define WEIR_BACKEND_NOTE_H

#include "backend/table.h"
#include "journal/journal.h"

/* It is about to be made: -ENOSPC, -ESTALE, with texts. And it has been made: its id is known. */
int weir_note_table(struct weir_table *table, uint32_t hw_type, uint32_t features);
void weir_note_table_made(const struct weir_table *table);
int weir_note_viommu(struct weir_viommu *viommu);
void weir_note_viommu_made(const struct weir_viommu *viommu);
int weir_note_vdevice(struct weir_vdevice *vdevice);
void weir_note_vdevice_made(const struct weir_vdevice *vdevice);

/* A function is about to be attached; it is. */
int weir_note_attachment(struct weir_attachment *attachment);
void weir_note_attached(const struct weir_attachment *attachment);

/* Its DMA is about to be blocked, or is no longer. */
void weir_note_blocked(const struct weir_attachment *attachment, bool blocked);

/* What is remembered of the table may be as it was; or not. Any thread. */
void weir_note_stale(const struct weir_table *table, bool stale);

/* It is about to end; it has. @number: 0, nothing. */
void weir_note_leaving(const struct weir_kernel *kernel, enum weir_journal_table kind, uint32_t number);
void weir_note_end(const struct weir_kernel *kernel, enum weir_journal_table kind, uint32_t number);

#endif
