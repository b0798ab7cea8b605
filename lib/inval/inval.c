// SPDX-License-Identifier: MIT
/* Batches: what was changed, and what waits for that to be forgotten. */
#include "inval/inval.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

enum { PAGE = 4096, USUAL_ROOM = 256, MOST_ASID = UINT16_MAX, MOST_PASID = (1 << 20) - 1 };

/* What goes to the kernel in one call: as many commands as the batch has room for, within these limits, of the longest size in use. */
enum { FEWEST_COMMANDS = 256, MOST_COMMANDS = WEIR_INVAL_CALL, COMMAND_SIZE = 24 };

static int grow(void *array, size_t size, uint32_t room)
{
	void *old, *bigger;

	memcpy(&old, array, sizeof(old));
	bigger = realloc(old, size * room);
	if (!bigger)
		return weir_fail(-ENOMEM, "no memory for %u entries of a batch", room);
	memcpy(array, &bigger, sizeof(bigger));
	return 0;
}

/* All that running it takes for one domain is there as soon as an entry is. */
static int make_room(struct weir_inval *inval, uint32_t room)
{
	uint32_t commands = room < FEWEST_COMMANDS ? FEWEST_COMMANDS
			    : room > MOST_COMMANDS ? MOST_COMMANDS
						   : room;
	uint32_t size = commands * COMMAND_SIZE;
	int error = grow(&inval->entries, sizeof(*inval->entries), room);

	if (!error)
		error = grow(&inval->outcomes, sizeof(*inval->outcomes), room);
	if (!error)
		error = grow(&inval->order, sizeof(*inval->order), room);
	if (!error && size > inval->commands_size) {
		error = grow(&inval->commands, 1, size);
		inval->commands_size = error ? inval->commands_size : size;
	}
	if (!error)
		inval->room = room;
	return error;
}

int weir_inval_open(const struct weir_inval_opts *opts, struct weir_inval **ret_inval)
{
	struct weir_inval_opts o;
	struct weir_inval *inval;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	if (o.reserved || o.room > WEIR_INVAL_MOST)
		return weir_fail(-EINVAL, "a batch has room for up to %u entries, not %u", WEIR_INVAL_MOST,
				 o.room);
	inval = calloc(1, sizeof(*inval));
	if (!inval)
		return weir_fail(-ENOMEM, "no memory for a batch");
	inval->last_waiting = &inval->waiting;
	error = make_room(inval, o.room ? o.room : USUAL_ROOM);
	if (error) {
		weir_inval_close(inval);
		return error;
	}
	*ret_inval = inval;
	return 0;
}

/* Whatever waits may free itself, and what it is in. */
void weir_inval_release(struct weir_inval *inval)
{
	struct weir_later *later = inval->waiting;

	inval->waiting = NULL;
	inval->last_waiting = &inval->waiting;
	while (later) {
		struct weir_later *next = later->next;

		later->done(later);
		later = next;
	}
}

static void forget_outcomes(struct weir_inval *inval)
{
	free(inval->more_outcomes);
	inval->more_outcomes = NULL;
	inval->num_domains = 0;
	inval->judged = 0;
}

void weir_inval_drop(struct weir_inval *inval)
{
	forget_outcomes(inval);
	inval->num = 0;
	inval->num_raw = 0;
	inval->settled = false;
	weir_inval_release(inval);
}

int weir_inval_close(struct weir_inval *inval)
{
	if (!inval)
		return 0;
	if (inval->num && !inval->settled)
		return weir_fail(
			-EBUSY,
			"the batch has %u entries that are not done: run it, or drop it if no device "
			"uses the tables any more",
			inval->num);
	weir_inval_drop(inval);
	free(inval->entries);
	free(inval->outcomes);
	free(inval->order);
	free(inval->commands);
	free(inval->raw);
	free(inval);
	return 0;
}

void weir_inval_later(struct weir_inval *inval, struct weir_later *later)
{
	later->next = NULL;
	*inval->last_waiting = later;
	inval->last_waiting = &later->next;
}

int weir_inval_reserve(struct weir_inval *inval, uint32_t num)
{
	uint32_t room = inval->room;

	if (num <= inval->room - inval->num)
		return 0;
	if (num > WEIR_INVAL_MOST - inval->num)
		return weir_fail(-ENOSPC, "a batch holds up to %u entries: run it", WEIR_INVAL_MOST);
	while (room < inval->num + num)
		room = room < WEIR_INVAL_MOST / 2 ? 2 * room : WEIR_INVAL_MOST;
	return make_room(inval, room);
}

static int add(struct weir_inval *inval, const struct weir_inval_entry *entry)
{
	int error = weir_inval_reserve(inval, 1);

	if (error)
		return error;
	inval->settled = false;
	inval->entries[inval->num] = *entry;
	inval->entries[inval->num].stretch = inval->num_raw;
	return (int)inval->num++;
}

int weir_inval_range(struct weir_inval *inval, uint64_t iova, uint64_t len, uint32_t asid, uint32_t flags)
{
	struct weir_inval_entry entry = { .kind = WEIR_INVAL_RANGE,
					  .iova = iova,
					  .last = iova + (len - 1),
					  .id = asid,
					  .flags = (uint8_t)flags };

	if (!len || (iova | len) % PAGE)
		return weir_fail(-EINVAL, "%#" PRIx64 " bytes from %#" PRIx64 " on are no whole pages", len,
				 iova);
	if (entry.last < iova)
		return weir_fail(-EOVERFLOW, "%#" PRIx64 " bytes from %#" PRIx64 " on end beyond 64 bits",
				 len, iova);
	if (flags & ~(WEIR_INVAL_LEAF | WEIR_INVAL_NEW))
		return weir_fail(-EINVAL, "unknown flags %#x", flags);
	if (asid > MOST_ASID)
		return weir_fail(-EINVAL, "ASID %u is above %u", asid, MOST_ASID);
	return add(inval, &entry);
}

int weir_inval_all(struct weir_inval *inval)
{
	return add(inval, &(struct weir_inval_entry){ .kind = WEIR_INVAL_ALL });
}

int weir_inval_context(struct weir_inval *inval, uint32_t pasid)
{
	if (pasid > MOST_PASID)
		return weir_fail(-EINVAL, "PASID %u is above %u", pasid, MOST_PASID);
	return add(inval, &(struct weir_inval_entry){ .kind = WEIR_INVAL_CONTEXT, .id = pasid });
}

int weir_inval_raw(struct weir_inval *inval, uint32_t type, const void *command, uint32_t len)
{
	struct weir_inval_entry entry = {
		.kind = WEIR_INVAL_RAW, .id = type, .len = (uint8_t)len, .raw = inval->num_raw
	};
	uint32_t room = inval->room_raw ? 2 * inval->room_raw : 16;
	int number;

	if (!command || !len || len > WEIR_INVAL_RAW_SIZE)
		return weir_fail(-EINVAL, "a command of %u bytes at %p; it can have 1 to %u", len, command,
				 WEIR_INVAL_RAW_SIZE);
	if (inval->num_raw == inval->room_raw) {
		int error = grow(&inval->raw, sizeof(*inval->raw), room);

		if (error)
			return error;
		inval->room_raw = room;
	}
	number = add(inval, &entry);
	if (number >= 0)
		memcpy(inval->raw[inval->num_raw++], command, len);
	return number;
}

uint32_t weir_inval_count(const struct weir_inval *inval)
{
	return inval->num;
}

int weir_inval_outcome(const struct weir_inval *inval, size_t domain, uint32_t entry,
		       struct weir_inval_outcome *ret_outcome)
{
	if (domain >= inval->num_domains || entry >= inval->judged)
		return weir_fail(-ENOENT, "the last run left nothing about entry %u for domain %zu", entry,
				 domain);
	*ret_outcome =
		domain ? inval->more_outcomes[(domain - 1) * inval->judged + entry] : inval->outcomes[entry];
	return 0;
}
