// SPDX-License-Identifier: MIT
/* The journal: made, and its slots taken and given back. */
#include "journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "kernel/memfd.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

enum { PAGE = 4096, USUAL_MAPS = 1 << 16, MOST_MAPS = 1 << 26, USUAL_BLOCK_BYTES = 1 << 20 };

#define MOST_BLOCK_BYTES ((uint64_t)1 << 32)

static const struct {
	const char *name;
	uint32_t num, size;
	bool per_map; /* and as many again as there can be mappings */
} kinds[WEIR_JOURNAL_TABLES] = {
	[WEIR_JOURNAL_SPACES] = { "address spaces", 1024, sizeof(struct weir_slot_space) },
	[WEIR_JOURNAL_HWPTS] = { "page tables", 1024, sizeof(struct weir_slot_hwpt) },
	[WEIR_JOURNAL_MAPS] = { "mappings", 0, sizeof(struct weir_slot_map), true },
	[WEIR_JOURNAL_FILES] = { "files", 1024, sizeof(struct weir_slot_file), true },
	[WEIR_JOURNAL_MEMORIES] = { "weir_memory", 4096, sizeof(struct weir_slot_memory) },
	[WEIR_JOURNAL_SHARES] = { "shared weir_memory", 4096, sizeof(struct weir_slot_share) },
	[WEIR_JOURNAL_DEVICES] = { "devices", 1024, sizeof(struct weir_slot_device) },
	[WEIR_JOURNAL_IRQS] = { "kinds of interrupts", 4096, sizeof(struct weir_slot_irq) },
	[WEIR_JOURNAL_FDS] = { "descriptors", 8192, sizeof(struct weir_slot_fd), true },
	[WEIR_JOURNAL_BLOCKS] = { "blocks", 4096, sizeof(struct weir_slot_block) },
	[WEIR_JOURNAL_DOMAINS] = { "domains", 1024, sizeof(struct weir_slot_domain) },
	[WEIR_JOURNAL_VIOMMUS] = { "virtual IOMMUs", 1024, sizeof(struct weir_slot_viommu) },
	[WEIR_JOURNAL_VDEVICES] = { "virtual devices", 1024, sizeof(struct weir_slot_vdevice) },
	[WEIR_JOURNAL_ATTACHMENTS] = { "attachments to domains", 8192, sizeof(struct weir_slot_attachment) },
	[WEIR_JOURNAL_FAULTQS] = { "queues of page requests", 256, sizeof(struct weir_slot_faultq) },
	[WEIR_JOURNAL_REQUESTS] = { "page requests", 16384, sizeof(struct weir_slot_request) },
};

static uint64_t whole_pages(uint64_t len)
{
	return (len + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* Where everything is: @num slots of each table, one after the other, and the blocks. */
static void lay_out(struct weir_journal_header *header, const uint32_t *num, uint64_t block_bytes)
{
	uint64_t at = whole_pages(sizeof(*header));

	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++) {
		header->tables[table] = (struct weir_journal_place){ .num = num[table],
								     .size = kinds[table].size,
								     .offset = at };
		at += whole_pages((uint64_t)num[table] * kinds[table].size);
	}
	header->blocks = at;
	header->block_bytes = whole_pages(block_bytes);
	header->len = at + header->block_bytes;
}

static void free_journal(struct weir_journal *journal)
{
	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++)
		free(journal->slots[table].next);
	free(journal->fds);
	free(journal->fd_of_file);
	free((void *)journal->blocks);
	pthread_mutex_destroy(&journal->lock);
	free(journal);
}

/* Of what @header says, without the file's being mapped. */
static struct weir_journal *new_journal(const struct weir_sys *sys, const struct weir_journal_header *header)
{
	struct weir_journal *journal = calloc(1, sizeof(*journal));
	bool all = true;

	if (!journal)
		return NULL;
	journal->sys = sys;
	journal->keeper = -1;
	journal->layout = *header;
	pthread_mutex_init(&journal->lock, NULL);
	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++) {
		journal->slots[table].next = calloc(header->tables[table].num + 1, sizeof(uint32_t));
		all &= journal->slots[table].next != NULL;
	}
	journal->fds = malloc((header->tables[WEIR_JOURNAL_FDS].num + 1) * sizeof(int));
	journal->fd_of_file = calloc(header->tables[WEIR_JOURNAL_FILES].num + 1, sizeof(uint32_t));
	journal->blocks = (unsigned char **)calloc(header->tables[WEIR_JOURNAL_BLOCKS].num + 1,
						   sizeof(unsigned char *));
	if (all && journal->fds && journal->fd_of_file && journal->blocks)
		return journal;
	free_journal(journal);
	return NULL;
}

/* Nobody who is given it changes its length, or, from Linux 5.1 on, writes into it. */
static int seal(const struct weir_sys *sys, int fd)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int error = sys->fcntl(sys->ctx, fd, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE);

	return error == -EINVAL ? sys->fcntl(sys->ctx, fd, F_ADD_SEALS, seals) : error;
}

/* As long as the layout says, and zero. */
static int make_file(struct weir_journal *journal)
{
	const struct weir_sys *sys = journal->sys;
	int fd = sys->memfd_create(sys->ctx, "weir-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;
	void *start = NULL;

	if (fd < 0)
		return fd;
	error = sys->ftruncate(sys->ctx, fd, journal->layout.len);
	if (!error)
		error = sys->mmap(sys->ctx, NULL, journal->layout.len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				  0, &start);
	if (!error)
		error = seal(sys, fd);
	if (error) {
		if (start)
			sys->munmap(sys->ctx, start, journal->layout.len);
		sys->close(sys->ctx, fd);
		return error;
	}
	journal->fd = fd;
	journal->header = start;
	*journal->header = journal->layout;
	return 0;
}

/* With its file. */
static int make(const struct weir_sys *sys, const struct weir_journal_header *header,
		struct weir_journal **ret_journal)
{
	struct weir_journal *journal = new_journal(sys, header);
	int error;

	if (!journal)
		return weir_fail(-ENOMEM, "no memory for a journal");
	error = make_file(journal);
	if (error) {
		free_journal(journal);
		return weir_fail(error, "making a journal of %" PRIu64 " bytes: %s", header->len,
				 strerror(-error));
	}
	*ret_journal = journal;
	return 0;
}

int weir_journal_open(const struct weir_sys *sys, uint64_t maps, uint64_t block_bytes,
		      struct weir_journal **ret_journal)
{
	struct weir_journal_header header = { .version = WEIR_JOURNAL_VERSION,
					      .header_size = sizeof(header) };
	uint32_t num[WEIR_JOURNAL_TABLES];

	if (maps > MOST_MAPS || block_bytes > MOST_BLOCK_BYTES)
		return weir_fail(-EINVAL,
				 "a journal has room for %d mappings and %" PRIu64 " bytes of blocks at most",
				 MOST_MAPS, MOST_BLOCK_BYTES);
	memcpy(header.magic, WEIR_JOURNAL_MAGIC, sizeof(header.magic));
	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++)
		num[table] =
			kinds[table].num + (kinds[table].per_map ? (uint32_t)(maps ? maps : USUAL_MAPS) : 0);
	lay_out(&header, num, block_bytes ? block_bytes : USUAL_BLOCK_BYTES);
	return make(sys, &header, ret_journal);
}

int weir_journal_close(struct weir_journal *journal)
{
	int error;

	if (!journal)
		return 0;
	weir_journal_part(journal);
	error = journal->sys->munmap(journal->sys->ctx, journal->header, journal->layout.len);
	if (journal->fd >= 0)
		journal->sys->close(journal->sys->ctx, journal->fd);
	free_journal(journal);
	return error ? weir_fail(error, "unmapping the journal: %s", strerror(-error)) : 0;
}

/* The lock is held. 0: there is none. */
static uint32_t take_slot(struct weir_journal *journal, enum weir_journal_table table)
{
	uint32_t number = journal->slots[table].first;

	if (number)
		journal->slots[table].first = journal->slots[table].next[number];
	else if (journal->slots[table].used < journal->layout.tables[table].num)
		atomic_store(&journal->header->used[table], number = ++journal->slots[table].used);
	return number;
}

int weir_journal_take(struct weir_journal *journal, enum weir_journal_table table, uint32_t *ret_number)
{
	struct weir_slot *slot;
	uint32_t number;

	pthread_mutex_lock(&journal->lock);
	number = journal->stale ? 0 : take_slot(journal, table);
	if (number) {
		slot = weir_journal_at(journal, table, number);
		slot->serial = ++journal->serial;
	}
	pthread_mutex_unlock(&journal->lock);
	if (!number && journal->stale)
		return weir_fail(-ESTALE, "the host has been handed over to another process");
	if (!number)
		return weir_fail(-ENOSPC, "the host's journal has room for %u %s, which are taken",
				 journal->layout.tables[table].num, kinds[table].name);
	*ret_number = number;
	return 0;
}

void weir_journal_give(struct weir_journal *journal, enum weir_journal_table table, uint32_t number)
{
	if (!number || journal->stale)
		return;
	weir_journal_mark(journal, table, number, WEIR_SLOT_FREE);
	pthread_mutex_lock(&journal->lock);
	journal->slots[table].next[number] = journal->slots[table].first;
	journal->slots[table].first = number;
	pthread_mutex_unlock(&journal->lock);
}

uint32_t weir_journal_used(struct weir_journal *journal, enum weir_journal_table table)
{
	uint32_t used;

	pthread_mutex_lock(&journal->lock);
	used = journal->slots[table].used;
	pthread_mutex_unlock(&journal->lock);
	return used;
}

/* Numbers that are taken stay so; the others are free, the lowest first. @slots: of our own. */
static void find_free(struct weir_journal *journal, enum weir_journal_table table, const char *slots)
{
	uint32_t used = atomic_load(&journal->layout.used[table]);

	journal->slots[table].used = used;
	for (; used; used--) {
		const struct weir_slot *slot =
			(const struct weir_slot *)(slots + (uint64_t)(used - 1) * kinds[table].size);

		if (journal->serial < slot->serial)
			journal->serial = slot->serial;
		if (weir_slot_state(slot) != WEIR_SLOT_FREE)
			continue;
		journal->slots[table].next[used] = journal->slots[table].first;
		journal->slots[table].first = used;
	}
}

static int copy_bytes(struct weir_journal *journal, uint64_t to, int fd, uint64_t from, uint64_t len)
{
	int error = weir_memfd_read(journal->sys, fd, (char *)journal->header + to, len, from);

	if (error == -ENODATA)
		return weir_fail(-EPROTO, "reading the journal's blocks: it is too short");
	return error ? weir_fail(error, "reading the journal's blocks: %s", strerror(-error)) : 0;
}

/* @from: where they begin in @fd. */
static int copy_blocks(struct weir_journal *journal, int fd, uint64_t from,
		       const struct weir_slot_block *blocks)
{
	uint32_t used = journal->slots[WEIR_JOURNAL_BLOCKS].used;
	int error = 0;

	for (uint32_t i = 0; i < used && !error; i++)
		if (weir_slot_state(&blocks[i].slot) == WEIR_SLOT_IN_FORCE)
			error = copy_bytes(journal, journal->layout.blocks + blocks[i].offset, fd,
					   from + blocks[i].offset, blocks[i].len);
	return error;
}

int weir_journal_adopt(const struct weir_sys *sys, int fd, const struct weir_journal_header *theirs,
		       void *const *tables, struct weir_journal **ret_journal)
{
	struct weir_journal_header header = *theirs;
	struct weir_first first = { 0 };
	struct weir_journal *journal;
	uint32_t num[WEIR_JOURNAL_TABLES];
	int error;

	/* As many of everything; but where it is, is not for them to say. */
	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++)
		num[table] = theirs->tables[table].num;
	lay_out(&header, num, theirs->block_bytes);
	error = make(sys, &header, &journal);
	if (error)
		return error;
	for (uint32_t i = 0; i <= num[WEIR_JOURNAL_FDS]; i++)
		journal->fds[i] = -1;
	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++) {
		find_free(journal, table, tables[table]);
		memcpy(weir_journal_at(journal, table, 1), tables[table],
		       (uint64_t)journal->slots[table].used * kinds[table].size);
	}
	weir_first_note(&first, copy_blocks(journal, fd, theirs->blocks, tables[WEIR_JOURNAL_BLOCKS]));
	if (first.error) {
		weir_journal_close(journal);
		return weir_first_error(&first);
	}
	*ret_journal = journal;
	return 0;
}
