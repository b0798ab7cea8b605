// SPDX-License-Identifier: MIT
/* Taking a host: what comes is read, checked and made objects of; then what is charged is taken, and, when the caller says so, all of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "handover/handover.h"

struct taker {
	const struct weir_sys *sys;
	int socket, timeout_ms;
	int journal; /* -1: none yet */
	struct weir_description description;
	struct weir_host *host;
};

static int explain(const struct taker *taker, int error)
{
	switch (error) {
	case -EPIPE:
		return weir_fail(error, "the other end of the socket is closed, or has taken all back");
	case -ETIMEDOUT:
		return weir_fail(error, "what was to come did not come within %d ms", taker->timeout_ms);
	case -EPROTO:
		return weir_fail(error, "what came over the socket is no hand-over");
	default:
		return weir_fail(error, "receiving a host: %s", strerror(-error));
	}
}

static void close_all(const struct taker *taker, const int *fds, uint32_t num)
{
	while (num-- > 0)
		taker->sys->close(taker->sys->ctx, fds[num]);
}

/* It is what the other side described. */
static int check_whole(const struct weir_wire *hello, const struct weir_description *description)
{
	const void *const *tables = (const void *const *)description->tables;

	if (hello->num != description->num_fds)
		return weir_fail(-EPROTO, "%u descriptors were announced; the description has %u", hello->num,
				 description->num_fds);
	if (hello->sum != weir_description_sum(&description->header, tables, description->used))
		return weir_fail(-EPROTO, "the description is damaged: it is not the one that was sent");
	return 0;
}

/* The journal, which says what else is to come. */
static int receive_journal(struct taker *taker)
{
	struct weir_wire hello;
	uint32_t num = 1;
	int fd = -1;
	int error = weir_wire_receive(taker->sys, taker->socket, &hello, &fd, &num, taker->timeout_ms);

	if (error)
		return explain(taker, error);
	if (num)
		taker->journal = fd;
	if (hello.version != WEIR_WIRE_VERSION)
		return weir_fail(-EPROTO, "the other side speaks version %u of this; this library speaks %d",
				 hello.version, WEIR_WIRE_VERSION);
	if (hello.type != WEIR_WIRE_HELLO || !num)
		return explain(taker, -EPROTO);
	error = weir_description_open(taker->sys, fd, &taker->description);
	return error ? error : check_whole(&hello, &taker->description);
}

/* Those of one message; what is not wanted is closed. */
static int enter_fds(struct taker *taker, const struct weir_wire *message, const int *fds, uint32_t num)
{
	struct weir_description *description = &taker->description;

	if (message->type != WEIR_WIRE_FDS || !num || message->num != num) {
		close_all(taker, fds, num);
		return weir_fail(-EPROTO, "too few descriptors came, or too many");
	}
	for (uint32_t i = 0; i < num; i++) {
		uint32_t number = message->numbers[i];

		if (!weir_described_in_force(description, WEIR_JOURNAL_FDS, number) ||
		    description->fds[number] >= 0) {
			close_all(taker, fds + i, num - i);
			return weir_fail(-EPROTO,
					 "a descriptor came that is not in the description, or twice");
		}
		description->fds[number] = fds[i];
	}
	return 0;
}

/* All of them in the time of one word: a giver sends them without waiting. */
static int receive_fds(struct taker *taker)
{
	int64_t deadline = weir_wire_deadline(taker->timeout_ms);
	struct weir_wire message;
	int fds[WEIR_WIRE_FDS_AT_ONCE], error = 0;

	for (uint32_t got = 0; got < taker->description.num_fds && !error;) {
		uint32_t num = WEIR_WIRE_FDS_AT_ONCE;

		error = weir_wire_receive(taker->sys, taker->socket, &message, fds, &num,
					  weir_wire_left(deadline));
		if (error)
			return explain(taker, error);
		error = enter_fds(taker, &message, fds, num);
		got += num;
	}
	return error;
}

/* The giver has taken all back, as far as can be seen: it said so before its end closed. */
static bool has_taken_back(const struct taker *taker)
{
	enum { MOST_WORDS = 16 }; /* more than a giver has */
	int64_t deadline = weir_wire_deadline(taker->timeout_ms);
	struct weir_wire message;
	int error = 0;

	for (int words = 0; words < MOST_WORDS && !error; words++) {
		uint32_t none = 0;

		error = weir_wire_receive(taker->sys, taker->socket, &message, NULL, &none,
					  weir_wire_left(deadline));
		if (!error && message.type == WEIR_WIRE_TAKEN_BACK)
			return true;
	}
	/* Silent, or it talks and talks, but not gone: it does not listen any more, and so will take it back. */
	return !error || error == -ETIMEDOUT;
}

/* Both look that the other is still there, so that nothing is charged to who is not wanted any more. A giver that has gone has left all to us. */
static int agree(struct taker *taker)
{
	struct weir_wire message;
	uint32_t none = 0;
	int error = weir_wire_say(taker->sys, taker->socket, WEIR_WIRE_READY, "");

	if (!error)
		error = weir_wire_receive(taker->sys, taker->socket, &message, NULL, &none,
					  taker->timeout_ms);
	if (!error && message.type == WEIR_WIRE_READY)
		return 0;
	if (error == -EPIPE && !has_taken_back(taker))
		return 0;
	if (!error && message.type != WEIR_WIRE_TAKEN_BACK)
		return explain(taker, -EPROTO);
	return explain(taker, error ? error : -EPIPE);
}

static int take(struct taker *taker)
{
	int error = weir_handover_take(taker->host);

	if (error)
		return error;
	error = weir_wire_say(taker->sys, taker->socket, WEIR_WIRE_TAKEN, "");
	if (error == -EPIPE && !has_taken_back(taker))
		return 0;
	return error ? explain(taker, error) : 0;
}

static int receive(struct taker *taker)
{
	int error = receive_journal(taker);

	if (!error)
		error = receive_fds(taker);
	if (!error)
		error = weir_handover_adopt(&taker->description, taker->sys, taker->journal, &taker->host);
	if (taker->journal >= 0)
		taker->sys->close(taker->sys->ctx, taker->journal);
	if (error)
		return error;
	error = agree(taker);
	return error ? error : take(taker);
}

/* What the socket, and the memory for it, are for until the caller is done. */
static int remember(struct taker *taker)
{
	struct weir_taken *taken = malloc(sizeof(*taken));

	if (!taken)
		return weir_fail(-ENOMEM, "no memory for a hand-over");
	*taken = (struct weir_taken){ .socket = taker->socket,
				      .timeout_ms = taker->timeout_ms,
				      .description = taker->description };
	taker->host->taken = taken;
	return 0;
}

/* Nothing is ours; the giver hears why. */
static int give_up(struct taker *taker, int error)
{
	struct weir_first first = { 0 };

	weir_first_note(&first, error);
	if (taker->host)
		weir_handover_let_go(taker->host);
	weir_description_close(taker->sys, &taker->description);
	weir_wire_say(taker->sys, taker->socket, WEIR_WIRE_REFUSED, first.text);
	taker->sys->close(taker->sys->ctx, taker->socket);
	return weir_first_error(&first);
}

int weir_handover_receive(int socket, const struct weir_handover_opts *opts, struct weir_host **ret_host)
{
	struct weir_handover_opts o;
	struct taker taker = { .socket = socket, .journal = -1 };
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (!error && o.flags)
		error = weir_fail(-EINVAL, "flags are for giving");
	if (!error)
		error = weir_handover_check_socket(socket);
	if (error) {
		weir_sys_real()->close(NULL, socket);
		return error;
	}
	taker.sys = o.sys ? o.sys : weir_sys_real();
	taker.timeout_ms = weir_handover_timeout(&o);
	error = receive(&taker);
	if (!error)
		error = remember(&taker);
	if (error)
		return give_up(&taker, error);
	*ret_host = taker.host;
	return 0;
}

/* ---- The end ---- */

/* What was only begun by the predecessor is over; descriptors that no object has got are closed. */
static void settle(struct weir_host *host)
{
	struct weir_journal *journal = host->kernel.journal;
	struct weir_description *description = &host->taken->description;

	for (uint32_t number = 1; number <= description->used[WEIR_JOURNAL_FDS]; number++) {
		struct weir_slot *slot = weir_described(description, WEIR_JOURNAL_FDS, number);

		if (description->fds[number] < 0)
			continue;
		journal->fds[number] = -1;
		weir_slot_set(slot, WEIR_SLOT_LEAVING);
	}
	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++)
		for (uint32_t number = 1; number <= description->used[table]; number++) {
			enum weir_slot_state state =
				weir_slot_state(weir_described(description, table, number));

			if (state == WEIR_SLOT_INTENDED || state == WEIR_SLOT_LEAVING)
				weir_journal_give(journal, table, number);
		}
}

/* The memory, the leftovers and the socket; the host is no longer one that was received. */
static void forget(struct weir_host *host)
{
	const struct weir_sys *sys = host->kernel.sys;
	struct weir_taken *taken = host->taken;

	host->taken = NULL;
	weir_description_close(sys, &taken->description);
	sys->close(sys->ctx, taken->socket);
	free(taken);
}

int weir_handover_finish(struct weir_host *host)
{
	struct taker taker = { .sys = host->kernel.sys };
	int error;

	if (!host->taken)
		return weir_fail(-EINVAL, "the host was not received, or is finished");
	taker.socket = host->taken->socket;
	taker.timeout_ms = host->taken->timeout_ms;
	error = weir_wire_say(taker.sys, taker.socket, WEIR_WIRE_DONE, "");
	if (error && (error != -EPIPE || has_taken_back(&taker))) {
		forget(host);
		weir_handover_let_go(host);
		return weir_fail(-ECANCELED,
				 "the predecessor has taken the host back: it was not answered in time");
	}
	settle(host);
	forget(host);
	return 0;
}

void weir_handover_refuse(struct weir_host *host, const char *why)
{
	if (!host->taken)
		return;
	weir_wire_say(host->kernel.sys, host->taken->socket, WEIR_WIRE_REFUSED, why ? why : "");
	forget(host);
	weir_handover_let_go(host);
}
