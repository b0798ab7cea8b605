// SPDX-License-Identifier: MIT
/* What a keeper keeps: a journal, and descriptors by the numbers that they have in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "handover/handover.h"

struct weir_kept {
	const struct weir_sys *sys;
	int journal; /* -1: nothing is kept */
	struct weir_description description;
	struct weir_journal_header *header; /* mapped */
	uint32_t num;                       /* room in @fds */
	int *fds;                           /* by number; -1: none */
};

int weir_kept_open(const struct weir_sys *sys, struct weir_kept **ret_kept)
{
	struct weir_kept *kept = calloc(1, sizeof(*kept));

	if (!kept)
		return weir_fail(-ENOMEM, "no memory for what is kept");
	kept->sys = sys ? sys : weir_sys_real();
	kept->journal = -1;
	*ret_kept = kept;
	return 0;
}

static void drop(struct weir_kept *kept, uint32_t number)
{
	if (kept->fds[number] >= 0)
		kept->sys->close(kept->sys->ctx, kept->fds[number]);
	kept->fds[number] = -1;
}

static void drop_all(struct weir_kept *kept)
{
	if (kept->journal < 0)
		return;
	for (uint32_t number = 1; number <= kept->num; number++)
		drop(kept, number);
	kept->sys->munmap(kept->sys->ctx, kept->header, kept->description.header.len);
	kept->sys->close(kept->sys->ctx, kept->journal);
	weir_description_close(kept->sys, &kept->description);
	free(kept->fds);
	kept->fds = NULL;
	kept->journal = -1;
}

/* @fd is a journal's, on success. It is read as it is at this moment, to be checked, and mapped to see how it is later. */
static int enter_journal(struct weir_kept *kept, int fd)
{
	struct weir_description description;
	uint32_t num;
	void *start;
	int error = weir_description_open(kept->sys, fd, &description);

	if (error)
		return error;
	num = description.header.tables[WEIR_JOURNAL_FDS].num;
	kept->fds = malloc((num + 1) * sizeof(int));
	error = kept->fds ? kept->sys->mmap(kept->sys->ctx, NULL, description.header.len, PROT_READ,
					    MAP_SHARED, fd, 0, &start)
			  : -ENOMEM;
	if (error) {
		free(kept->fds);
		kept->fds = NULL;
		weir_description_close(kept->sys, &description);
		return weir_fail(error, "mapping a journal: %s", strerror(-error));
	}
	for (uint32_t number = 0; number <= num; number++)
		kept->fds[number] = -1;
	kept->description = description;
	kept->header = start;
	kept->journal = fd;
	kept->num = num;
	return 0;
}

static int no_sense(void)
{
	return weir_fail(-EPROTO, "what came from the process that is kept for makes no sense");
}

static int enter(struct weir_kept *kept, int socket, const struct weir_wire *message, const int *fds,
		 uint32_t num)
{
	uint32_t number = message->numbers[0];

	switch (message->type) {
	case WEIR_WIRE_HELLO:
		if (num != 1)
			return no_sense();
		drop_all(kept);
		return enter_journal(kept, fds[0]);
	case WEIR_WIRE_FDS:
		if (num != 1 || kept->journal < 0 || !number || number > kept->num)
			return no_sense();
		drop(kept, number);
		kept->fds[number] = fds[0];
		return 0;
	case WEIR_WIRE_DROP:
		if (num || kept->journal < 0 || !number || number > kept->num)
			return no_sense();
		drop(kept, number);
		if (message->numbers[1])
			weir_wire_say(kept->sys, socket, WEIR_WIRE_DROP, "");
		return 0;
	case WEIR_WIRE_DONE:
		drop_all(kept);
		return num ? no_sense() : 0;
	default:
		return no_sense();
	}
}

int weir_kept_take_in(struct weir_kept *kept, int socket)
{
	enum { SOON_MS = 1000 };
	struct weir_wire message;
	int fds[WEIR_WIRE_FDS_AT_ONCE];
	uint32_t num = WEIR_WIRE_FDS_AT_ONCE;
	int error = weir_wire_receive(kept->sys, socket, &message, fds, &num, SOON_MS);

	if (error == -EPIPE)
		return weir_fail(error, "the process that is kept for has gone");
	if (error)
		return weir_fail(error, "hearing from the process that is kept for: %s", strerror(-error));
	if (message.version != WEIR_WIRE_VERSION)
		error = weir_fail(-EPROTO,
				  "the process that is kept for speaks version %u; this library speaks %d",
				  message.version, WEIR_WIRE_VERSION);
	else
		error = enter(kept, socket, &message, fds, num);
	while (error && num-- > 0)
		kept->sys->close(kept->sys->ctx, fds[num]);
	return error;
}

/* ---- Giving ---- */

/* What is in force now, with descriptors of its own; or nothing, if that cannot be had. */
static struct weir_host *own_host(const struct weir_kept *kept)
{
	const struct weir_sys *sys = kept->sys;
	struct weir_description description;
	struct weir_host *host = NULL;

	if (weir_description_open(sys, kept->journal, &description))
		return NULL;
	for (uint32_t number = 1; number <= description.used[WEIR_JOURNAL_FDS] && number <= kept->num;
	     number++)
		if (kept->fds[number] >= 0)
			description.fds[number] = sys->dup(sys->ctx, kept->fds[number]);
	weir_handover_adopt(&description, sys, kept->journal, &host);
	weir_description_close(sys, &description);
	if (host && weir_handover_take(host)) {
		weir_handover_let_go(host);
		host = NULL;
	}
	return host;
}

static int take_back(void *ctx)
{
	return *(struct weir_host **)ctx ? weir_handover_take(*(struct weir_host **)ctx) : 0;
}

int weir_kept_give(struct weir_kept *kept, int socket, const struct weir_handover_opts *opts)
{
	struct weir_handover_opts o;
	struct weir_first first = { 0 };
	struct weir_host *owner = NULL;
	struct weir_giver giver;
	uint32_t said;
	int error = weir_handover_read_options(opts, &o);

	if (!error && o.flags)
		error = weir_fail(
			-EINVAL,
			"what was dropped by a process that died is told to its successor by nobody");
	if (!error)
		error = weir_handover_check_socket(socket);
	if (!error && kept->journal < 0)
		error = weir_fail(-ENOENT, "nothing is kept");
	if (error)
		return error;
	/* A container's mappings want an owner that could tell where their memory is; if they cannot have this one, DMA goes on nevertheless. */
	if (kept->description.header.backend == WEIR_BACKEND_TYPE1)
		owner = own_host(kept);
	said = atomic_load(
		&kept->header->used[WEIR_JOURNAL_FDS]); /* another time it may say something else */
	giver = (struct weir_giver){ .sys = kept->sys,
				     .socket = socket,
				     .timeout_ms = weir_handover_timeout(&o),
				     .journal = kept->journal,
				     .fds = kept->fds,
				     .header = kept->header,
				     .tables = kept->description.header.tables,
				     .used = said < kept->num ? said : kept->num,
				     .take_back = take_back,
				     .ctx = &owner };
	error = weir_handover_pass(&giver);
	weir_first_note(&first, error);
	if (owner)
		weir_handover_let_go(owner);
	if (!error)
		drop_all(kept);
	return weir_first_error(&first);
}

void weir_kept_close(struct weir_kept *kept)
{
	if (!kept)
		return;
	drop_all(kept);
	free(kept);
}
