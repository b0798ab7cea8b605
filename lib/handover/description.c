// SPDX-License-Identifier: MIT
/*
 * A journal that came from somebody: copied first, since whoever sent it can write into it still, and then checked as input of somebody hostile. What a slot
 * says of itself alone is checked here; what it has to do with others, where these are made.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "handover/handover.h"
#include "kernel/memfd.h"

enum { MOST_SLOTS = 1 << 26 };

static const uint32_t sizes[WEIR_JOURNAL_TABLES] = {
	[WEIR_JOURNAL_SPACES] = sizeof(struct weir_slot_space),
	[WEIR_JOURNAL_HWPTS] = sizeof(struct weir_slot_hwpt),
	[WEIR_JOURNAL_MAPS] = sizeof(struct weir_slot_map),
	[WEIR_JOURNAL_FILES] = sizeof(struct weir_slot_file),
	[WEIR_JOURNAL_MEMORIES] = sizeof(struct weir_slot_memory),
	[WEIR_JOURNAL_SHARES] = sizeof(struct weir_slot_share),
	[WEIR_JOURNAL_DEVICES] = sizeof(struct weir_slot_device),
	[WEIR_JOURNAL_IRQS] = sizeof(struct weir_slot_irq),
	[WEIR_JOURNAL_FDS] = sizeof(struct weir_slot_fd),
	[WEIR_JOURNAL_BLOCKS] = sizeof(struct weir_slot_block),
	[WEIR_JOURNAL_DOMAINS] = sizeof(struct weir_slot_domain),
	[WEIR_JOURNAL_VIOMMUS] = sizeof(struct weir_slot_viommu),
	[WEIR_JOURNAL_VDEVICES] = sizeof(struct weir_slot_vdevice),
	[WEIR_JOURNAL_ATTACHMENTS] = sizeof(struct weir_slot_attachment),
	[WEIR_JOURNAL_FAULTQS] = sizeof(struct weir_slot_faultq),
	[WEIR_JOURNAL_REQUESTS] = sizeof(struct weir_slot_request),
};

static int damaged(const char *what)
{
	return weir_fail(-EPROTO, "the description is damaged: %s", what);
}

static int read_at(const struct weir_sys *sys, int fd, void *to, uint64_t len, uint64_t from)
{
	int error = weir_memfd_read(sys, fd, to, len, from);

	if (error == -ENODATA)
		return damaged("it is too short");
	return error ? weir_fail(error, "reading the description: %s", strerror(-error)) : 0;
}

/* A file that nobody can shrink under us, as long as it says. */
static int check_file(const struct weir_sys *sys, int fd, uint64_t *ret_len)
{
	struct stat stat;
	int seals = sys->fcntl(sys->ctx, fd, F_GET_SEALS, 0);
	int error = sys->fstat(sys->ctx, fd, &stat);

	if (error || (seals < 0 && seals != -EINVAL)) {
		error = error ? error : seals;
		return weir_fail(error, "looking at the journal: %s", strerror(-error));
	}
	if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW) ||
	    seals & F_SEAL_WRITE)
		return damaged("what came for the journal is no sealed memfd");
	*ret_len = (uint64_t)stat.st_size;
	return 0;
}

static int check_table(const struct weir_journal_header *header, int table)
{
	uint64_t offset = header->tables[table].offset, len;
	uint32_t num = header->tables[table].num;

	if (header->tables[table].size != sizes[table] || num > MOST_SLOTS ||
	    atomic_load(&header->used[table]) > num)
		return damaged("a table makes no sense");
	len = (uint64_t)num * sizes[table];
	if (offset % 64 || offset < sizeof(*header) || offset > header->len || len > header->len - offset)
		return damaged("a table lies outside of it");
	return 0;
}

static int check_header(const struct weir_journal_header *header, uint64_t len)
{
	int error = 0;

	if (memcmp(header->magic, WEIR_JOURNAL_MAGIC, sizeof(header->magic)) != 0)
		return damaged("it does not begin as one");
	if (header->version != WEIR_JOURNAL_VERSION)
		return weir_fail(-EPROTO, "the description is of version %u; this library knows version %d",
				 header->version, WEIR_JOURNAL_VERSION);
	if (header->header_size != sizeof(*header) || header->len != len)
		return damaged("its length is another than it says");
	if (header->backend != WEIR_BACKEND_IOMMUFD && header->backend != WEIR_BACKEND_TYPE1)
		return damaged("its kernel interface is none that can be handed over");
	if (header->backend == WEIR_BACKEND_TYPE1 && header->iommu_type != ABI_VFIO_TYPE1_IOMMU &&
	    header->iommu_type != ABI_VFIO_TYPE1v2_IOMMU)
		return damaged("its container is of an unknown type");
	if (header->blocks % 64 || header->blocks < sizeof(*header) || header->blocks > len ||
	    header->block_bytes > len - header->blocks)
		return damaged("its blocks lie outside of it");
	for (int table = 0; table < WEIR_JOURNAL_TABLES && !error; table++)
		error = check_table(header, table);
	return error;
}

/* What a slot may not be. */
static bool is_sound(const struct weir_description *description, int table, const struct weir_slot *slot)
{
	const struct weir_slot_block *block = (const struct weir_slot_block *)slot;
	const struct weir_slot_device *device = (const struct weir_slot_device *)slot;
	const struct weir_slot_space *space = (const struct weir_slot_space *)slot;
	uint64_t room = description->header.block_bytes;

	switch (table) {
	case WEIR_JOURNAL_BLOCKS:
		return block->offset % 64 == 0 && block->len && block->offset <= room &&
		       block->len <= room - block->offset && !block->name[sizeof(block->name) - 1];
	case WEIR_JOURNAL_DEVICES:
		return !device->address[sizeof(device->address) - 1] &&
		       !device->token[sizeof(device->token) - 1] && device->address_bits >= 12 &&
		       device->address_bits <= 64;
	case WEIR_JOURNAL_SPACES:
		return !(space->flags & ~(WEIR_IOAS_LOOKUP | WEIR_IOAS_PROBE | WEIR_IOAS_DIRTY)) &&
		       space->address_bits >= 12 && space->address_bits <= 64 &&
		       space->kind <= WEIR_SLOT_SPACE_NESTED;
	default:
		return true;
	}
}

static int read_table(const struct weir_sys *sys, int fd, struct weir_description *description, int table)
{
	uint32_t used = atomic_load(&description->header.used[table]);
	uint64_t len = (uint64_t)used * sizes[table];
	int error;

	description->used[table] = used;
	description->tables[table] = malloc(len ? len : 1);
	if (!description->tables[table])
		return weir_fail(-ENOMEM, "no memory for a description");
	error = read_at(sys, fd, description->tables[table], len, description->header.tables[table].offset);
	for (uint32_t number = 1; number <= used && !error; number++) {
		const struct weir_slot *slot = weir_described(description, table, number);
		uint32_t state = weir_slot_state(slot);

		if (state > WEIR_SLOT_LEAVING)
			error = damaged("a slot is in no state that there is");
		else if (state == WEIR_SLOT_IN_FORCE && !is_sound(description, table, slot))
			error = damaged("a slot makes no sense");
		else if (state == WEIR_SLOT_IN_FORCE && table == WEIR_JOURNAL_FDS)
			description->num_fds++;
	}
	return error;
}

static int read_all(const struct weir_sys *sys, int fd, struct weir_description *description)
{
	uint64_t len;
	int error = check_file(sys, fd, &len);

	if (!error)
		error = read_at(sys, fd, &description->header, sizeof(description->header), 0);
	if (!error)
		error = check_header(&description->header, len);
	for (int table = 0; table < WEIR_JOURNAL_TABLES && !error; table++)
		error = read_table(sys, fd, description, table);
	if (error)
		return error;
	description->fds = malloc((description->used[WEIR_JOURNAL_FDS] + 1) * sizeof(int));
	if (!description->fds)
		return weir_fail(-ENOMEM, "no memory for a description");
	for (uint32_t number = 0; number <= description->used[WEIR_JOURNAL_FDS]; number++)
		description->fds[number] = -1;
	return 0;
}

/*
 * As FNV-1a, by words of eight bytes, which all structs are made of. Each step is reversible: what differs after one word differs in the end.
 * A product carries upwards alone, so that a word's top bits would reach only those of the sum, where those of another word undo them: they are folded down.
 */
static uint64_t add_words(uint64_t sum, const void *start, uint64_t len)
{
	const uint64_t prime = 0x100000001b3;

	for (uint64_t at = 0, word; at < len; at += sizeof(word)) {
		memcpy(&word, (const char *)start + at, sizeof(word));
		sum = (sum ^ word) * prime;
		sum ^= sum >> 32;
	}
	return sum;
}

uint64_t weir_description_sum(const struct weir_journal_header *header, const void *const *tables,
			      const uint32_t *used)
{
	uint64_t sum = add_words(0xcbf29ce484222325, header, sizeof(*header));

	_Static_assert(sizeof(*header) % sizeof(sum) == 0, "whole words");
	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++)
		sum = add_words(sum, tables[table], (uint64_t)used[table] * sizes[table]);
	return sum;
}

int weir_description_open(const struct weir_sys *sys, int fd, struct weir_description *ret_description)
{
	struct weir_description description = { .num_fds = 0 };
	int error = read_all(sys, fd, &description);

	if (error)
		weir_description_close(sys, &description);
	else
		*ret_description = description;
	return error;
}

void weir_description_close(const struct weir_sys *sys, struct weir_description *description)
{
	for (uint32_t number = 1; description->fds && number <= description->used[WEIR_JOURNAL_FDS]; number++)
		if (description->fds[number] >= 0)
			sys->close(sys->ctx, description->fds[number]);
	free(description->fds);
	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++)
		free(description->tables[table]);
	*description = (struct weir_description){ .num_fds = 0 };
}

void *weir_described_in_force(const struct weir_description *description, enum weir_journal_table table,
			      uint32_t number)
{
	struct weir_slot *slot;

	if (!number || number > description->used[table])
		return NULL;
	slot = weir_described(description, table, number);
	return weir_slot_state(slot) == WEIR_SLOT_IN_FORCE ? slot : NULL;
}

int *weir_described_fd(const struct weir_description *description, enum weir_fd_kind kind, uint32_t owner,
		       uint32_t index)
{
	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_FDS]; number++) {
		const struct weir_slot_fd *slot =
			weir_described_in_force(description, WEIR_JOURNAL_FDS, number);

		if (slot && slot->kind == kind && slot->owner == owner && slot->index == index &&
		    description->fds[number] >= 0)
			return &description->fds[number];
	}
	return NULL;
}
