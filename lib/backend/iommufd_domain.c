// SPDX-License-Identifier: MIT
/* iommufd: page tables of the program's own, paging and nested; virtual IOMMUs, and devices' numbers in them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/faultq.h"
#include "backend/note.h"
#include "error.h"
#include "kernel/iommufd.h"

struct weir_attachment *weir_attachment_find(const struct weir_function *function, uint32_t pasid)
{
	struct weir_attachment *attachment = function->attachments;

	while (attachment && attachment->pasid != pasid)
		attachment = attachment->next;
	return attachment;
}

static int hw_info(struct weir_function *function, struct weir_hw_info *ret_info)
{
	struct weir_kernel *kernel = function->kernel;
	struct weir_hw_info info = { 0 };
	struct abi_iommu_hw_info said;
	int error = weir_iommufd_hw_info(kernel->sys, kernel->fd, function->dev_id, info.data,
					 sizeof(info.data), &said);

	if (error == -ENOTTY)
		return weir_fail(-EOPNOTSUPP, "this kernel does not tell of IOMMUs (Linux 6.6 does)");
	if (error)
		return weir_fail(error, "IOMMU_GET_HW_INFO of %s: %s", function->address, strerror(-error));
	info.type = said.out_data_type;
	info.pasid_bits = said.out_max_pasid_log2;
	info.caps = said.out_capabilities;
	info.data_len = said.data_len;
	*ret_info = info;
	return 0;
}

/* Tables ----------------------------------------------------------------------------------------------------------- */

struct weir_table *weir_table_new(struct weir_space *space, uint32_t flags, struct weir_faultq *faults)
{
	struct weir_table *table = calloc(1, sizeof(*table));
	pthread_rwlockattr_t attributes;

	if (!table)
		return NULL;
	table->space = space;
	table->flags = flags | (faults ? ABI_IOMMU_HWPT_FAULT_ID_VALID : 0);
	table->faults = faults;
	/* Those who invalidate all the time do not keep others from attaching. */
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&table->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	return table;
}

void weir_table_enlist(struct weir_table *table)
{
	table->next = table->space->tables;
	table->space->tables = table;
	if (table->faults)
		table->faults->num_domains++;
}

static uint32_t faults_of(const struct weir_table *table)
{
	return table->faults ? table->faults->id : 0;
}

/* Nothing has it. */
static void discard(struct weir_table *table)
{
	weir_note_end(table->space->kernel, WEIR_JOURNAL_DOMAINS, table->number);
	pthread_rwlock_destroy(&table->lock);
	free(table);
}

/* It ends in the kernel. What could not be destroyed stays noted, for whoever comes after us. */
static int end_object(struct weir_space *space, enum weir_journal_table kind, uint32_t number,
		      struct weir_object *object, const char *what)
{
	int error;

	weir_note_leaving(space->kernel, kind, number);
	error = weir_iommufd_object_free(space, object, what);
	if (!error)
		weir_note_end(space->kernel, kind, number);
	return error;
}

static int alloc_paging(struct weir_table *table, struct weir_function *function, uint32_t hw_type)
{
	const struct weir_kernel *kernel = function->kernel;
	int error = weir_note_table(table, hw_type, 0);

	if (error)
		return error;
	return weir_iommufd_hwpt_alloc(kernel->sys, kernel->fd, function->dev_id, table->space->ioas,
				       table->flags, ABI_IOMMU_HWPT_DATA_NONE, NULL, 0, faults_of(table),
				       &table->object.id);
}

static int open_paging(struct weir_space *space, struct weir_function *function, uint32_t flags,
		       uint32_t hw_type, struct weir_faultq *faults, struct weir_table **ret_table)
{
	struct weir_table *table = weir_table_new(space, flags, faults);
	int error;

	if (!table)
		return -ENOMEM;
	error = alloc_paging(table, function, hw_type);
	if (error) {
		discard(table);
		return error;
	}
	weir_note_table_made(table);
	/* It may address less than the others of the space. */
	error = weir_iommufd_read_geometry(space);
	if (error) {
		struct weir_first first = { 0 };

		weir_first_note(&first, error);
		pthread_rwlock_destroy(&table->lock);
		end_object(space, WEIR_JOURNAL_DOMAINS, table->number, &table->object, "page table");
		return weir_first_error(&first);
	}
	weir_table_enlist(table);
	*ret_table = table;
	return 0;
}

void weir_table_delist(struct weir_table *table)
{
	struct weir_table **link = &table->space->tables;

	while (*link != table)
		link = &(*link)->next;
	*link = table->next;
	if (table->faults)
		table->faults->num_domains--;
	pthread_rwlock_destroy(&table->lock);
}

/* Virtual IOMMUs --------------------------------------------------------------------------------------------------- */

static struct weir_vdevice **find_number(struct weir_viommu *viommu, uint64_t stream)
{
	struct weir_vdevice **link = &viommu->vdevices;

	while (*link && (*link)->stream != stream)
		link = &(*link)->next;
	return link;
}

int weir_iommufd_unnumber(struct weir_function *function)
{
	struct weir_vdevice *vdevice = function->vdevice;

	if (!vdevice)
		return 0;
	function->vdevice = NULL;
	*find_number(vdevice->viommu, vdevice->stream) = vdevice->next;
	return end_object(vdevice->viommu->parent->space, WEIR_JOURNAL_VDEVICES, vdevice->number,
			  &vdevice->object, "virtual device");
}

/* By its PCI address, domain and all, which says something to who reads of it in an event; or by the next number that is free. */
static uint64_t choose_number(struct weir_viommu *viommu, const struct weir_function *function)
{
	unsigned int domain = 0, bus = 0, slot = 0, part = 0;
	uint64_t number;

	sscanf(function->address, "%x:%x:%x.%x", &domain, &bus, &slot, &part);
	number = (uint64_t)domain << 16 | bus << 8 | slot << 3 | part;
	while (!number || *find_number(viommu, number))
		number++;
	return number;
}

static bool is_attached_within(const struct weir_function *function, const struct weir_viommu *viommu)
{
	const struct weir_attachment *attachment = function->attachments;

	while (attachment && weir_table_viommu(attachment->table) != viommu)
		attachment = attachment->next;
	return attachment;
}

static int check_number(struct weir_viommu *viommu, const struct weir_function *function, uint64_t stream)
{
	const struct weir_vdevice *other = stream ? *find_number(viommu, stream) : NULL;
	const struct weir_vdevice *own = function->vdevice;

	if (other && other != own)
		return weir_fail(-EEXIST, "the number %#" PRIx64 " is that of %s", stream,
				 other->function->address);
	if (!own)
		return 0;
	if (own->viommu == viommu)
		return weir_fail(-EEXIST, "%s has the number %#" PRIx64 " here already, and can have one",
				 function->address, own->stream);
	if (is_attached_within(function, own->viommu))
		return weir_fail(-EBUSY,
				 "%s is attached to a domain that is nested in another parent, and can have "
				 "a number in "
				 "one virtual IOMMU alone: detach it first",
				 function->address);
	return 0;
}

int weir_iommufd_number(struct weir_viommu *viommu, struct weir_function *function, uint64_t stream)
{
	const struct weir_kernel *kernel = function->kernel;
	struct weir_vdevice *vdevice = function->vdevice;
	struct weir_hw_info info;
	int error;

	if (vdevice && vdevice->viommu == viommu && (!stream || vdevice->stream == stream))
		return 0;
	error = check_number(viommu, function, stream);
	if (!error)
		error = hw_info(function, &info);
	if (!error)
		error = weir_iommufd_unnumber(function);
	if (error)
		return error;
	vdevice = calloc(1, sizeof(*vdevice));
	if (!vdevice)
		return weir_fail(-ENOMEM, "no memory for a virtual device");
	vdevice->viommu = viommu;
	vdevice->function = function;
	vdevice->ats = !(info.caps & ABI_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED);
	vdevice->stream = stream ? stream : choose_number(viommu, function);
	error = weir_note_vdevice(vdevice);
	if (error) {
		free(vdevice);
		return error;
	}
	error = weir_iommufd_vdevice_alloc(kernel->sys, kernel->fd, viommu->object.id, function->dev_id,
					   vdevice->stream, &vdevice->object.id);
	if (error) {
		weir_note_end(kernel, WEIR_JOURNAL_VDEVICES, vdevice->number);
		free(vdevice);
		return weir_fail(error == -EINVAL ? -EXDEV : error,
				 error == -EINVAL ? "%s is behind another IOMMU than the parent's: %s"
						  : "IOMMU_VDEVICE_ALLOC for %s: %s",
				 function->address, strerror(-error));
	}
	weir_note_vdevice_made(vdevice);
	vdevice->next = viommu->vdevices;
	viommu->vdevices = vdevice;
	function->vdevice = vdevice;
	return 0;
}

/* Nothing is nested in it: it ends in the kernel. Runs to its end. */
static int end_viommu(struct weir_viommu *viommu)
{
	struct weir_table *parent = viommu->parent;
	struct weir_first first = { 0 };

	while (viommu->vdevices)
		weir_first_note(&first, weir_iommufd_unnumber(viommu->vdevices->function));
	parent->viommu = NULL;
	weir_first_note(&first, end_object(parent->space, WEIR_JOURNAL_VIOMMUS, viommu->number,
					   &viommu->object, "virtual IOMMU"));
	return weir_first_error(&first);
}

static int viommu_new(struct weir_table *parent, struct weir_function *function, uint32_t type)
{
	const struct weir_kernel *kernel = function->kernel;
	struct weir_viommu *viommu = calloc(1, sizeof(*viommu));
	int error;

	if (!viommu)
		return weir_fail(-ENOMEM, "no memory for a virtual IOMMU");
	viommu->parent = parent;
	error = weir_note_viommu(viommu);
	if (error) {
		free(viommu);
		return error;
	}
	error = weir_iommufd_viommu_alloc(kernel->sys, kernel->fd, type, function->dev_id, parent->object.id,
					  &viommu->object.id);
	if (error) {
		weir_note_end(kernel, WEIR_JOURNAL_VIOMMUS, viommu->number);
		free(viommu);
		if (error == -EINVAL)
			return weir_fail(-EXDEV, "%s is behind another IOMMU than the parent's: %s",
					 function->address, strerror(-error));
		return weir_fail(error == -ENOTTY ? -EOPNOTSUPP : error, "IOMMU_VIOMMU_ALLOC for %s: %s",
				 function->address, strerror(-error));
	}
	weir_note_viommu_made(viommu);
	parent->viommu = viommu;
	return 0;
}

/* Undo, on the way out with an error whose text stays. */
static int undo_viommu(struct weir_table *parent, struct weir_function *function, bool numbered, int error)
{
	struct weir_first first = { 0 };

	weir_first_note(&first, error);
	if (numbered)
		weir_iommufd_unnumber(function);
	if (!parent->viommu->num_nested)
		end_viommu(parent->viommu);
	return weir_first_error(&first);
}

static int alloc_nested(struct weir_table *table, uint32_t in, struct weir_function *function,
			const struct weir_nested_spec *spec)
{
	const struct weir_kernel *kernel = function->kernel;
	int error = weir_iommufd_hwpt_alloc(kernel->sys, kernel->fd, function->dev_id, in, table->flags,
					    spec->type, spec->data, spec->len, faults_of(table),
					    &table->object.id);

	return error ? weir_fail(error, "IOMMU_HWPT_ALLOC of a nested page table for %s: %s",
				 function->address, strerror(-error))
		     : 0;
}

/* In a virtual IOMMU, which the first that is nested brings with it. */
static int alloc_in_viommu(struct weir_table *table, struct weir_function *function,
			   const struct weir_nested_spec *spec)
{
	struct weir_table *parent = table->parent;
	const struct weir_vdevice *had = function->vdevice;
	int error = parent->viommu ? 0 : viommu_new(parent, function, spec->viommu_type);

	if (error)
		return error;
	error = weir_iommufd_number(parent->viommu, function, spec->stream);
	if (!error)
		error = alloc_nested(table, parent->viommu->object.id, function, spec);
	if (error)
		return undo_viommu(parent, function, function->vdevice != had, error);
	table->viommu = parent->viommu;
	table->viommu->num_nested++;
	return 0;
}

static int open_nested(struct weir_table *parent, struct weir_function *function,
		       const struct weir_nested_spec *spec, struct weir_table **ret_table)
{
	struct weir_table *table = weir_table_new(parent->space, spec->flags, spec->faults);
	int error;

	if (!table)
		return weir_fail(-ENOMEM, "no memory for a page table");
	table->parent = parent;
	error = weir_note_table(table, spec->hw_type, spec->features);
	if (!error)
		error = spec->viommu_type ? alloc_in_viommu(table, function, spec)
					  : alloc_nested(table, parent->object.id, function, spec);
	if (error) {
		discard(table);
		return error;
	}
	weir_note_table_made(table);
	parent->num_nested++;
	weir_table_enlist(table);
	*ret_table = table;
	return 0;
}

static int close_table(struct weir_table *table)
{
	struct weir_table *parent = table->parent;
	struct weir_viommu *viommu = weir_table_viommu(table);
	struct weir_space *space = table->space;
	struct weir_first first = { 0 };

	weir_table_delist(table);
	weir_first_note(&first,
			end_object(space, WEIR_JOURNAL_DOMAINS, table->number, &table->object, "page table"));
	if (parent)
		parent->num_nested--;
	if (viommu && !--viommu->num_nested)
		weir_first_note(&first, end_viommu(viommu));
	if (!parent && space->live)
		weir_first_note(&first, weir_iommufd_read_geometry(space));
	return weir_first_error(&first);
}

/* The IOMMU's cache belongs to what stands between the parent and the device: the virtual IOMMU, if there is one. */
static int invalidate(struct weir_table *table, uint32_t type, const void *entries, uint32_t len,
		      uint32_t *num)
{
	const struct weir_kernel *kernel = table->space->kernel;

	return weir_iommufd_invalidate(kernel->sys, kernel->fd,
				       table->viommu ? table->viommu->object.id : table->object.id, type,
				       entries, len, num);
}

/* Queues of page requests -------------------------------------------------------------------------------------------- */

static int open_faults(struct weir_kernel *kernel, uint32_t *ret_id, int *ret_fd)
{
	return weir_iommufd_fault_queue_alloc(kernel->sys, kernel->fd, ret_id, ret_fd);
}

/* The descriptor holds the queue. */
static int close_faults(struct weir_kernel *kernel, uint32_t id, int fd)
{
	int error = kernel->sys->close(kernel->sys->ctx, fd);
	int destroyed = weir_iommufd_destroy(kernel->sys, kernel->fd, id);

	return error ? error : destroyed;
}

/* Events of a virtual IOMMU ------------------------------------------------------------------------------------------ */

static int open_events(struct weir_table *table, uint32_t type, uint32_t depth,
		       struct weir_event_queue **ret_queue)
{
	const struct weir_kernel *kernel = table->space->kernel;
	struct weir_event_queue *queue = calloc(1, sizeof(*queue));
	int error = queue ? weir_iommufd_veventq_alloc(kernel->sys, kernel->fd, table->viommu->object.id,
						       type, depth, &queue->object.id, &queue->fd)
			  : -ENOMEM;

	if (error) {
		free(queue);
		return error;
	}
	queue->space = table->space;
	*ret_queue = queue;
	return 0;
}

static int close_events(struct weir_event_queue *queue)
{
	struct weir_space *space = queue->space;

	/* The open descriptor is a user of the queue. */
	space->kernel->sys->close(space->kernel->sys->ctx, queue->fd);
	return weir_iommufd_object_free(space, &queue->object, "queue of events");
}

const struct weir_domain_ops weir_iommufd_domains = {
	.hw_info = hw_info,
	.open = open_paging,
	.open_nested = open_nested,
	.close = close_table,
	.attach = weir_iommufd_attach,
	.detach = weir_iommufd_detach,
	.block = weir_iommufd_block,
	.invalidate = invalidate,
	.open_faults = open_faults,
	.close_faults = close_faults,
	.open_events = open_events,
	.close_events = close_events,
};
