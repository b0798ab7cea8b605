// SPDX-License-Identifier: MIT
/* What is sent when a host is handed over, to be sent otherwise. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover/handover.h"
#include "kernel/memfd.h"
#include "support/handover_rig.h"

static size_t used_len(const struct weir_journal_header *header, int table)
{
	return (size_t)header->used[table] * header->tables[table].size;
}

/* Copy between the journal and the bytes of all that is used of it. Returns how many bytes; without @bytes nothing is copied. */
static size_t copy(int journal, const struct weir_journal_header *header, unsigned char *bytes,
		   size_t block_bytes, bool out)
{
	size_t at = 0;

	for (int part = -1; part <= WEIR_JOURNAL_TABLES; part++) {
		size_t len = part < 0                     ? sizeof(*header)
			     : part < WEIR_JOURNAL_TABLES ? used_len(header, part)
							  : block_bytes;
		uint64_t from = part < 0                     ? 0
				: part < WEIR_JOURNAL_TABLES ? header->tables[part].offset
							     : header->blocks;

		if (bytes && (out ? pwrite(journal, bytes + at, len, (off_t)from)
				  : pread(journal, bytes + at, len, (off_t)from)) != (ssize_t)len)
			return 0;
		at += len;
	}
	return at;
}

/* How far blocks go. */
static size_t blocks_end(const struct weir_journal_header *header, int journal)
{
	struct weir_slot_block block;
	uint64_t end = 0;

	for (uint32_t i = 0; i < header->used[WEIR_JOURNAL_BLOCKS]; i++)
		if (pread(journal, &block, sizeof(block),
			  (off_t)(header->tables[WEIR_JOURNAL_BLOCKS].offset + i * sizeof(block))) > 0 &&
		    block.offset + block.len > end)
			end = block.offset + block.len;
	return end;
}

static const char *take_in(struct rig_description *description, int socket)
{
	const struct weir_sys *sys = weir_sys_real();
	struct weir_wire message;
	uint32_t num = 1;

	if (weir_wire_receive(sys, socket, &message, &description->journal, &num, 0) || num != 1)
		return "no journal came";
	for (;;) {
		int fd;

		num = 1;
		if (weir_wire_receive(sys, socket, &message, &fd, &num, 0) || message.type != WEIR_WIRE_FDS)
			return NULL;
		if (description->num == RIG_MOST_FDS)
			return "too many descriptors came";
		description->fds[description->num] = fd;
		description->numbers[description->num++] = message.numbers[0];
	}
}

const char *rig_describe(struct handover_rig *rig, struct rig_description *description)
{
	size_t block_bytes;
	const char *why;
	int ends[2];

	*description = (struct rig_description){ .journal = -1, .sent = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return "socketpair";
	if (weir_handover_keep(rig->host, ends[0]))
		return weir_error();
	why = take_in(description, ends[1]);
	weir_handover_keep(rig->host, -1);
	close(ends[1]);
	if (why)
		return why;
	if (pread(description->journal, &description->header, sizeof(description->header), 0) < 0)
		return "the journal cannot be read";
	block_bytes = blocks_end(&description->header, description->journal);
	description->len = copy(-1, &description->header, NULL, block_bytes, false);
	description->blocks = description->len - block_bytes;
	description->bytes = malloc(description->len);
	if (!description->bytes)
		return "no memory";
	copy(description->journal, &description->header, description->bytes, block_bytes, false);
	description->sent = weir_memfd_sealed(weir_sys_real(), "sent", 0, description->header.len);
	if (description->sent < 0)
		return "no memfd";
	return NULL;
}

void rig_drop(struct rig_description *description)
{
	while (description->num)
		close(description->fds[--description->num]);
	if (description->journal >= 0)
		close(description->journal);
	if (description->sent >= 0)
		close(description->sent);
	free(description->bytes);
	*description = (struct rig_description){ .journal = -1, .sent = -1 };
}

/* A file like the journal, with other content. There is one, written again each time: to make one takes long. */
static int sent_journal(const struct rig_description *description, const unsigned char *bytes)
{
	if (!copy(description->sent, &description->header, (unsigned char *)(uintptr_t)bytes,
		  description->len - description->blocks, true))
		abort();
	return description->sent;
}

void rig_announce(const struct rig_description *description, struct rig_sending *sending)
{
	struct weir_description as_read;
	int fd = sent_journal(description, sending->bytes);

	if (!weir_description_open(weir_sys_real(), fd, &as_read)) {
		sending->sum = weir_description_sum(&as_read.header, (const void *const *)as_read.tables,
						    as_read.used);
		sending->announced = as_read.num_fds;
		weir_description_close(weir_sys_real(), &as_read);
	}
}

struct rig_sending rig_as_it_is(const struct rig_description *description)
{
	struct rig_sending sending = { .bytes = description->bytes,
				       .fds = description->fds,
				       .numbers = description->numbers,
				       .num = description->num };

	rig_announce(description, &sending);
	return sending;
}

static void send_all(int socket, const struct rig_description *description, const struct rig_sending *sending)
{
	const struct weir_sys *sys = weir_sys_real();
	struct weir_wire message = { .magic = WEIR_WIRE_MAGIC,
				     .version = WEIR_WIRE_VERSION,
				     .type = WEIR_WIRE_HELLO,
				     .num = sending->announced,
				     .sum = sending->sum };
	int journal = sent_journal(description, sending->bytes);

	weir_wire_send(sys, socket, &message, &journal, 1, 0);
	message.type = WEIR_WIRE_FDS;
	message.num = sending->num;
	memcpy(message.numbers, sending->numbers, sending->num * sizeof(uint32_t));
	weir_wire_send(sys, socket, &message, sending->fds, sending->num, 0);
	weir_wire_say(sys, socket, WEIR_WIRE_READY, "");
}

int rig_receive(struct handover_rig *rig, const struct rig_description *description,
		const struct rig_sending *sending, struct weir_host **ret_host)
{
	struct weir_handover_opts opts =
		WEIR_OPTS(weir_handover_opts, .sys = rig->successors, .timeout_ms = 1);
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		abort();
	if (!opts.sys)
		opts.sys = weir_sim_sys_of(rig->sim, 1);
	send_all(ends[0], description, sending);
	error = weir_handover_receive(ends[1], &opts, ret_host);
	close(ends[0]);
	return error;
}
