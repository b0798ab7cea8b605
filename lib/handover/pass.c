// SPDX-License-Identifier: MIT
/*
 * The giver's side of the protocol. The taker's word DONE is the commit point: it either lies in the giver's socket, or can no longer come
 * there, because the giver has shut that direction down. The kernel does each of the two under one lock, so there is nothing in between.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "error.h"
#include "handover/handover.h"

static struct weir_wire new_message(enum weir_wire_type type, uint32_t num)
{
	return (struct weir_wire){
		.magic = WEIR_WIRE_MAGIC, .version = WEIR_WIRE_VERSION, .type = (uint16_t)type, .num = num
	};
}

static bool is_in_force(const struct weir_giver *giver, uint32_t number)
{
	const struct weir_slot *slot =
		(const struct weir_slot *)((const char *)giver->header +
					   giver->tables[WEIR_JOURNAL_FDS].offset +
					   (uint64_t)(number - 1) * sizeof(struct weir_slot_fd));

	return giver->fds[number] >= 0 && weir_slot_state(slot) == WEIR_SLOT_IN_FORCE;
}

static int send_pieces(const struct weir_giver *giver)
{
	struct weir_wire message = new_message(WEIR_WIRE_FDS, 0);
	int fds[WEIR_WIRE_FDS_AT_ONCE], error = 0;

	for (uint32_t number = 1; number <= giver->used && !error; number++) {
		if (!is_in_force(giver, number))
			continue;
		fds[message.num] = giver->fds[number];
		message.numbers[message.num++] = number;
		if (message.num < WEIR_WIRE_FDS_AT_ONCE)
			continue;
		error = weir_wire_send(giver->sys, giver->socket, &message, fds, message.num,
				       giver->timeout_ms);
		message.num = 0;
	}
	if (!error && message.num)
		error = weir_wire_send(giver->sys, giver->socket, &message, fds, message.num,
				       giver->timeout_ms);
	return error;
}

/* Of the journal as it is now. A kept one may be somebody hostile's, who can make the sum wrong, and no more. */
static uint64_t sum_of(const struct weir_giver *giver)
{
	const void *tables[WEIR_JOURNAL_TABLES];
	uint32_t used[WEIR_JOURNAL_TABLES];

	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++) {
		uint32_t said = atomic_load(&giver->header->used[table]), num = giver->tables[table].num;

		tables[table] = (const char *)giver->header + giver->tables[table].offset;
		used[table] = said < num ? said : num;
	}
	return weir_description_sum(giver->header, tables, used);
}

static int describe(const struct weir_giver *giver)
{
	struct weir_wire hello = new_message(WEIR_WIRE_HELLO, 0);
	int error;

	hello.sum = sum_of(giver);
	for (uint32_t number = 1; number <= giver->used; number++)
		hello.num += is_in_force(giver, number);
	error = weir_wire_send(giver->sys, giver->socket, &hello, &giver->journal, 1, giver->timeout_ms);
	return error ? error : send_pieces(giver);
}

/* A refusal is the taker's last word. */
static int refused(const struct weir_wire *message)
{
	return weir_fail(-ECONNREFUSED, "the successor refused: %.512s", message->text);
}

/* Wait for a word of that type. -ECONNREFUSED, -EPIPE, -ETIMEDOUT, -EPROTO, with texts. */
static int wait_for(const struct weir_giver *giver, enum weir_wire_type type)
{
	struct weir_wire message;
	uint32_t none = 0;
	int error = weir_wire_receive(giver->sys, giver->socket, &message, NULL, &none, giver->timeout_ms);

	/* A taker that closes before it has read all is told by an error first, and what it said is there still. */
	if (error == -EPIPE)
		error = weir_wire_receive(giver->sys, giver->socket, &message, NULL, &none, 0);
	if (error == -EPIPE)
		return weir_fail(error, "the successor's end of the socket is closed");
	if (error == -ETIMEDOUT)
		return weir_fail(error, "the successor did not answer within %d ms", giver->timeout_ms);
	if (error)
		return weir_fail(error, "hearing from the successor: %s", strerror(-error));
	if (message.type == WEIR_WIRE_REFUSED)
		return refused(&message);
	return message.type == type ? 0
				    : weir_fail(-EPROTO, "the successor said something that makes no sense");
}

/* Sending failed: it may have refused, and gone. */
static int explain_send(const struct weir_giver *giver, int error)
{
	struct weir_wire message;
	uint32_t none = 0;

	for (int tries = 0; tries < 2 && error == -EPIPE; tries++)
		if (!weir_wire_receive(giver->sys, giver->socket, &message, NULL, &none, 0) &&
		    message.type == WEIR_WIRE_REFUSED)
			return refused(&message);
	if (error == -EPIPE)
		return weir_fail(error, "the successor's end of the socket is closed");
	return weir_fail(error, "describing the host to the successor: %s", strerror(-error));
}

/* Nothing that the taker says from now on arrives. Has it said DONE before, whatever else it said? */
static bool shut(const struct weir_giver *giver)
{
	struct weir_wire message;
	uint32_t none = 0;
	bool done = false;
	int error;

	shutdown(giver->socket, SHUT_RD);
	do {
		error = weir_wire_receive(giver->sys, giver->socket, &message, NULL, &none, 0);
		done |= !error && message.type == WEIR_WIRE_DONE;
	} while (!error || error == -EPROTO);
	return done;
}

/* Wait, not for long, until the taker has gone: what it does meanwhile to what is charged, it does not do after we took that back. */
static void see_it_off(const struct weir_giver *giver)
{
	enum { SOON_MS = 500 };
	struct pollfd poll = { .fd = giver->socket, .events = 0 };

	weir_wire_say(giver->sys, giver->socket, WEIR_WIRE_TAKEN_BACK, "");
	giver->sys->poll(giver->sys->ctx, &poll, 1, SOON_MS);
	shutdown(giver->socket, SHUT_WR);
}

/* All goes on here, unless the taker was done. @charged: it may have taken what is charged. */
static int give_up(const struct weir_giver *giver, int error, bool charged)
{
	struct weir_first first = { 0 };

	weir_first_note(&first, error);
	if (shut(giver))
		return 0;
	see_it_off(giver);
	error = charged ? giver->take_back(giver->ctx) : 0;
	if (error)
		return weir_fail_within(-ENOTRECOVERABLE,
					"the successor failed, and what is charged could not be taken back");
	return weir_first_error(&first);
}

int weir_handover_pass(const struct weir_giver *giver)
{
	int error = describe(giver);

	if (error)
		return give_up(giver, explain_send(giver, error), false);
	error = wait_for(giver, WEIR_WIRE_READY);
	if (!error && weir_wire_say(giver->sys, giver->socket, WEIR_WIRE_READY, ""))
		error = weir_fail(-EPIPE, "the successor's end of the socket is closed");
	if (error)
		return give_up(giver, error, false);
	error = wait_for(giver, WEIR_WIRE_TAKEN);
	if (!error)
		error = wait_for(giver, WEIR_WIRE_DONE);
	return error ? give_up(giver, error, true) : 0;
}

int weir_handover_check_socket(int socket)
{
	int type = 0, domain = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_SEQPACKET ||
	    getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &len) || domain != AF_UNIX)
		return weir_fail(-EINVAL, "descriptor %d is no Unix socket of type SOCK_SEQPACKET", socket);
	return 0;
}
