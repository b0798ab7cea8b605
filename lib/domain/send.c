// SPDX-License-Identifier: MIT
/*
 * A batch's run for a nested domain: what becomes of each command, and so of each entry.
 *
 * Commands are made as they are sent, a call's worth at a time. Two places in the batch move along: of the next command to be packed into the call, and
 * of the first whose fate is not known yet; what the kernel says moves the second.
 *
 * Of a call that fails the kernel tells how many commands it got through: the next is the one that it refused, and those after it were not looked at. VT-d and
 * the mock carry out one after the other, and the count is what it seems. The SMMUv3 driver first converts commands, and issues them in
 * blocks of 63 or at the end; the count is of those converted, and the last block may never have been issued. So what was counted is sent
 * again by itself: if that succeeds, it is done.
 */
#include <errno.h>
#include <string.h>

#include "backend/note.h"
#include "domain/domain.h"
#include "error.h"
#include "inval/run.h"

/* A kernel that refuses so many commands in a run refuses all of them. */
enum { MOST_REFUSED = 64 };

/* A command of a batch: one of those of an item, which is of the entries from @from up to @to. */
struct place {
	struct weir_inval_item item;
	uint32_t from, to;
	uint32_t command, count;
	bool end;
};

struct sending {
	struct weir_kernel_domain *domain;
	struct weir_inval *inval;
	struct weir_inval_task *task;
	struct weir_inval_target target;
	struct place next, open;
	uint32_t num, type, len; /* packed; len 0: a command that cannot be made */
	uint32_t refused;
	struct weir_first first;
};

/* Places in the batch ---------------------------------------------------------------------------------------------- */

static uint32_t count_commands(const struct sending *sending, const struct weir_inval_item *item)
{
	const struct weir_vendor *vendor = sending->domain->vendor;

	if (item->kind == WEIR_INVAL_RAW)
		return 1;
	/* That nothing was there is not remembered. */
	if (item->kind == WEIR_INVAL_RANGE && (item->flags & WEIR_INVAL_NEW))
		return 0;
	return vendor->command_len ? vendor->count(&sending->target, item) : 1;
}

static void next_item(const struct sending *sending, struct place *place)
{
	do {
		place->from = place->to;
		place->end = !weir_inval_item(sending->inval, &place->to, &place->item);
		if (place->end)
			return;
		place->command = 0;
		place->count = count_commands(sending, &place->item);
	} while (!place->count);
}

static void next_command(const struct sending *sending, struct place *place)
{
	if (++place->command == place->count)
		next_item(sending, place);
}

/* Outcomes --------------------------------------------------------------------------------------------------------- */

static struct weir_inval_outcome *outcome_at(const struct sending *sending, const struct place *place)
{
	return &sending->task->outcomes[sending->inval->order[place->from]];
}

/* The fate of the first @num commands that are open. An item is as well off as the worst of its commands. */
static void settle(struct sending *sending, uint32_t num, int error, uint32_t tries)
{
	while (num--) {
		struct weir_inval_outcome *outcome = outcome_at(sending, &sending->open);

		if (error && outcome->kind != WEIR_INVAL_OUT_REFUSED) {
			outcome->kind = WEIR_INVAL_OUT_REFUSED;
			outcome->error = error;
		}
		if (tries > outcome->tries)
			outcome->tries = tries;
		next_command(sending, &sending->open);
	}
}

static void note_refused(struct sending *sending, int error, uint32_t tries)
{
	const struct place *open = &sending->open;

	weir_error_set("the kernel refused entry %u: %s", sending->inval->order[open->from],
		       strerror(-error));
	weir_first_note(&sending->first, error);
	sending->refused++;
	settle(sending, 1, error, tries);
}

/* What is open still is not sent any more. */
static void give_up(struct sending *sending)
{
	for (; !sending->open.end; next_item(sending, &sending->open)) {
		struct weir_inval_outcome *outcome = outcome_at(sending, &sending->open);

		if (outcome->kind == WEIR_INVAL_OUT_DONE)
			outcome->kind = WEIR_INVAL_OUT_NOT;
	}
}

/* All entries of an item share its fate. */
static void spread(struct sending *sending)
{
	struct weir_inval *inval = sending->inval;
	struct weir_inval_outcome *outcomes = sending->task->outcomes;
	struct weir_inval_item item;
	uint32_t from = 0, to = 0;

	for (; weir_inval_item(inval, &to, &item); from = to)
		for (uint32_t i = from + 1; i < to; i++)
			outcomes[inval->order[i]] = outcomes[inval->order[from]];
}

/* Sending ---------------------------------------------------------------------------------------------------------- */

/* As many commands from the next on as one call takes: all are of one type and size. */
static void pack(struct sending *sending)
{
	const struct weir_vendor *vendor = sending->domain->vendor;
	struct weir_inval *inval = sending->inval;
	struct place *place = &sending->next;

	for (sending->num = 0; !place->end && sending->num < WEIR_INVAL_CALL; sending->num++) {
		const struct weir_inval_entry *entry = &inval->entries[inval->order[place->from]];
		bool raw = place->item.kind == WEIR_INVAL_RAW;
		uint32_t type = raw ? entry->id : vendor->inval_type;
		uint32_t len = raw ? entry->len : vendor->command_len;
		unsigned char *command = inval->commands + (size_t)sending->num * len;

		if (!sending->num) {
			sending->type = type;
			sending->len = len;
		} else if (type != sending->type || len != sending->len || !len ||
			   (size_t)(sending->num + 1) * len > inval->commands_size) {
			return;
		}
		if (raw)
			memcpy(command, inval->raw[entry->raw], len);
		else if (len)
			vendor->command(&sending->target, &place->item, place->command, command);
		next_command(sending, place);
	}
}

/* Have the kernel carry out *@num packed commands from @at on. A success that is none is an error. */
static int call(const struct sending *sending, uint32_t at, uint32_t *num)
{
	struct weir_table *table = sending->domain->table;
	uint32_t given = *num;
	int error = table->space->kernel->ops->domains->invalidate(
		table, sending->type, sending->inval->commands + (size_t)at * sending->len, sending->len,
		num);

	return !error && *num < given ? -EIO : error;
}

/*
 * Make sure of *@num commands from @at on, which the kernel has counted and may not have carried out. *@num: how many it did; *@error: what it said to
 * the next, if that is less.
 */
static void confirm(const struct sending *sending, uint32_t at, uint32_t *num, int *error)
{
	uint32_t tried = *num;

	while (tried) {
		uint32_t counted = tried;
		int again = call(sending, at, &counted);

		if (!again)
			break;
		*error = again;
		tried = counted < tried ? counted : tried - 1;
	}
	*num = tried;
}

/* A call's worth. false: no more is to be sent. */
static bool send_call(struct sending *sending)
{
	bool unsent = sending->domain->vendor->counts_unsent;
	uint32_t at = 0, fails = 0;

	while (at < sending->num) {
		uint32_t num = sending->num - at, sure = 1;
		int error = call(sending, at, &num);

		if (error && num && unsent) {
			confirm(sending, at, &num, &error);
			sure = 2;
		}
		if (num) {
			settle(sending, 1, 0, fails + sure);
			settle(sending, num - 1, 0, sure);
			at += num;
			fails = 0;
		}
		if (!error)
			continue;
		if (++fails < sending->task->tries)
			continue;
		note_refused(sending, error, fails);
		if (sending->task->policy == WEIR_INVAL_ONCE || sending->refused == MOST_REFUSED)
			return false;
		at++;
		fails = 0;
	}
	return true;
}

static void send_all(struct sending *sending)
{
	bool on = true;

	next_item(sending, &sending->next);
	sending->open = sending->next;
	while (on && !sending->next.end) {
		pack(sending);
		if (sending->len)
			on = send_call(sending);
		else
			note_refused(sending, -EOPNOTSUPP, 0);
	}
	if (!on)
		give_up(sending);
	spread(sending);
}

/* When that fails -------------------------------------------------------------------------------------------------- */

/* The table's lock is held for reading. */
static int send_everything(const struct weir_kernel_domain *domain, const struct weir_inval_target *target,
			   uint32_t tries)
{
	const struct weir_inval_item item = { .kind = WEIR_INVAL_ALL, .last = UINT64_MAX };
	const struct weir_vendor *vendor = domain->vendor;
	const struct weir_domain_ops *ops = domain->table->space->kernel->ops->domains;
	_Alignas(8) unsigned char command[WEIR_INVAL_RAW_SIZE];
	int error = 0;

	if (!vendor->command_len)
		return -EOPNOTSUPP;
	/* Few commands, and rarely: one at a time, so that nothing has to be thought about what a count means. */
	for (uint32_t i = 0; !error && i < vendor->count(target, &item); i++) {
		error = -EIO;
		vendor->command(target, &item, i, command);
		for (uint32_t try = 0; error && try < tries; try++) {
			uint32_t num = 1;

			error = ops->invalidate(domain->table, vendor->inval_type, command,
						vendor->command_len, &num);
			if (!error && !num)
				error = -EIO;
		}
	}
	return error;
}

static void set_stale(struct weir_kernel_domain *domain, bool stale)
{
	domain->stale = stale;
	weir_note_stale(domain->table, stale);
}

int weir_nested_invalidate_all(struct weir_kernel_domain *domain, uint32_t tries)
{
	const struct weir_inval_target target = { domain->table, domain->features };
	int error;

	/* Before: what another thread finds stale meanwhile stays so. */
	set_stale(domain, false);
	pthread_rwlock_rdlock(&domain->table->lock);
	error = send_everything(domain, &target, tries);
	pthread_rwlock_unlock(&domain->table->lock);
	if (error)
		set_stale(domain, true);
	return error;
}

int weir_domain_quarantine(struct weir_domain *domain)
{
	const struct weir_kernel_domain *own = weir_kernel_domain(domain);

	return own ? domain->host->kernel.ops->domains->block(own->table) : -EOPNOTSUPP;
}

static uint32_t quarantine(struct weir_kernel_domain *domain)
{
	struct weir_host *host = domain->domain.host;
	int error;

	pthread_mutex_lock(&host->lock);
	error = host->kernel.ops->domains->block(domain->table);
	pthread_mutex_unlock(&host->lock);
	return error ? WEIR_INVAL_STALE : WEIR_INVAL_QUARANTINED;
}

static uint32_t fall_back(struct weir_kernel_domain *domain, const struct weir_inval_task *task)
{
	set_stale(domain, true);
	if (task->policy > WEIR_INVAL_ESCALATE)
		return WEIR_INVAL_STALE;
	if (!weir_nested_invalidate_all(domain, task->tries))
		return WEIR_INVAL_ESCALATED;
	if (task->policy > WEIR_INVAL_QUARANTINE)
		return WEIR_INVAL_STALE;
	return quarantine(domain);
}

void weir_nested_run(struct weir_domain *domain, struct weir_inval *inval, struct weir_inval_task *task)
{
	struct weir_kernel_domain *nested = weir_kernel_domain(domain);
	struct sending sending = {
		.domain = nested, .inval = inval, .task = task, .target = { nested->table, nested->features }
	};

	pthread_rwlock_rdlock(&nested->table->lock);
	send_all(&sending);
	pthread_rwlock_unlock(&nested->table->lock);
	task->state = sending.first.error ? fall_back(nested, task) : WEIR_INVAL_DONE;
	weir_first_error(&sending.first);
}
