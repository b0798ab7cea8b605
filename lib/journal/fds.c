// SPDX-License-Identifier: MIT
/* The descriptors that a journal numbers: with their keeper before anything depends on them. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "journal/journal.h"
#include "journal/wire.h"

enum { KEEPER_MS = 1000 };

static struct weir_slot_fd *fd_at(const struct weir_journal *journal, uint32_t number)
{
	return weir_journal_at(journal, WEIR_JOURNAL_FDS, number);
}

static int no_keeper(void)
{
	return weir_fail(
		-EPIPE,
		"the keeper of this host has gone away: weir_handover_keep() names another, or nobody");
}

/* The lock is held: what goes to the keeper goes in order. */
static int send_to_keeper(struct weir_journal *journal, uint32_t number, int fd)
{
	struct weir_wire message = { .magic = WEIR_WIRE_MAGIC,
				     .version = WEIR_WIRE_VERSION,
				     .type = WEIR_WIRE_FDS,
				     .num = 1,
				     .numbers = { number } };
	int error = weir_wire_send(journal->sys, journal->keeper, &message, &fd, 1, KEEPER_MS);

	return error ? no_keeper() : 0;
}

int weir_journal_add_fd(struct weir_journal *journal, int fd, enum weir_fd_kind kind, uint32_t owner,
			uint32_t index)
{
	struct weir_slot_fd *slot;
	uint32_t number = 0;
	int error = weir_journal_take(journal, WEIR_JOURNAL_FDS, &number);

	if (error)
		return error;
	slot = fd_at(journal, number);
	slot->kind = kind;
	slot->owner = owner;
	slot->index = index;
	weir_slot_set(&slot->slot, WEIR_SLOT_INTENDED);
	pthread_mutex_lock(&journal->lock);
	error = journal->has_keeper ? send_to_keeper(journal, number, fd) : 0;
	journal->fds[number] = error ? -1 : fd;
	if (kind == WEIR_FD_FILE)
		journal->fd_of_file[owner] = number;
	pthread_mutex_unlock(&journal->lock);
	if (error)
		weir_journal_give(journal, WEIR_JOURNAL_FDS, number);
	else
		weir_slot_set(&slot->slot, WEIR_SLOT_IN_FORCE);
	return error;
}

static bool is_of(const struct weir_slot_fd *slot, enum weir_fd_kind kind, uint32_t owner)
{
	return weir_slot_state(&slot->slot) == WEIR_SLOT_IN_FORCE && slot->kind == kind &&
	       slot->owner == owner;
}

/* What keeps a device or group open would be in the way of whoever opens it next; a queue of page requests cannot be destroyed while it is open. */
static bool is_waited_for(enum weir_fd_kind kind)
{
	return kind == WEIR_FD_CONTAINER || kind == WEIR_FD_GROUP || kind == WEIR_FD_DEVICE ||
	       kind == WEIR_FD_FAULTQ;
}

static void take_from_keeper(struct weir_journal *journal, enum weir_fd_kind kind, uint32_t number)
{
	struct weir_wire message = { .magic = WEIR_WIRE_MAGIC,
				     .version = WEIR_WIRE_VERSION,
				     .type = WEIR_WIRE_DROP,
				     .num = 1,
				     .numbers = { number, is_waited_for(kind) } };
	uint32_t none = 0;

	if (weir_wire_send(journal->sys, journal->keeper, &message, NULL, 0, KEEPER_MS) ||
	    !is_waited_for(kind))
		return;
	weir_wire_receive(journal->sys, journal->keeper, &message, NULL, &none, KEEPER_MS);
}

static void drop_fd(struct weir_journal *journal, enum weir_fd_kind kind, uint32_t number)
{
	weir_journal_mark(journal, WEIR_JOURNAL_FDS, number, WEIR_SLOT_LEAVING);
	pthread_mutex_lock(&journal->lock);
	if (journal->keeper >= 0)
		take_from_keeper(journal, kind, number);
	journal->fds[number] = -1;
	pthread_mutex_unlock(&journal->lock);
	weir_journal_give(journal, WEIR_JOURNAL_FDS, number);
}

/* There may be thousands of files, each with one descriptor. */
static bool drop_files(struct weir_journal *journal, uint32_t file)
{
	uint32_t number;

	pthread_mutex_lock(&journal->lock);
	number = journal->fd_of_file[file];
	pthread_mutex_unlock(&journal->lock);
	if (!number || !is_of(fd_at(journal, number), WEIR_FD_FILE, file))
		return false;
	drop_fd(journal, WEIR_FD_FILE, number);
	return true;
}

void weir_journal_drop_fds(struct weir_journal *journal, enum weir_fd_kind kind, uint32_t owner)
{
	uint32_t used = journal->stale ? 0 : weir_journal_used(journal, WEIR_JOURNAL_FDS);

	if (used && kind == WEIR_FD_FILE && drop_files(journal, owner))
		return;
	for (uint32_t number = 1; number <= used; number++)
		if (is_of(fd_at(journal, number), kind, owner))
			drop_fd(journal, kind, number);
}

void weir_journal_part(struct weir_journal *journal)
{
	if (journal->keeper < 0)
		return;
	weir_wire_say(journal->sys, journal->keeper, WEIR_WIRE_DONE, "");
	journal->sys->close(journal->sys->ctx, journal->keeper);
	journal->keeper = -1;
}
