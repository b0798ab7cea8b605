// SPDX-License-Identifier: MIT
/* Descriptions that are not what they should be: refused, each with a text, and nothing changed for whoever has what they describe. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conformance/handover.h"
#include "conformance/handover_hostile.h"
#include "conformance/machine.h"
#include "conformance/os.h"
#include "journal/layout.h"
#include "journal/wire.h"

struct captured captured;

static struct weir_wire message_of(enum weir_wire_type type, uint32_t num)
{
	return (struct weir_wire){
		.magic = WEIR_WIRE_MAGIC, .version = WEIR_WIRE_VERSION, .type = (uint16_t)type, .num = num
	};
}

static void put(int socket, const void *bytes, size_t len, const int *fds, uint32_t num)
{
	char control[CMSG_SPACE(WEIR_WIRE_FDS_AT_ONCE * sizeof(int))] = { 0 };
	struct iovec vector = { (void *)(uintptr_t)bytes, len };
	struct msghdr header = { .msg_iov = &vector, .msg_iovlen = 1 };

	if (num) {
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(num * sizeof(int));
		CMSG_FIRSTHDR(&header)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&header)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&header)->cmsg_len = CMSG_LEN(num * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), fds, num * sizeof(int));
	}
	ASSERT_EQ(sendmsg(socket, &header, MSG_NOSIGNAL), (ssize_t)len);
}

static int get(int socket, struct weir_wire *message)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec vector = { message, sizeof(*message) };
	struct msghdr header = {
		.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	int fd = -1;

	if (recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	if (CMSG_FIRSTHDR(&header))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(fd));
	return fd;
}

static void release(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < captured.num; i++)
		close(captured.fds[i]);
	close(captured.journal);
	free(captured.bytes);
}

void capture(struct t *t, struct predecessor *predecessor)
{
	struct weir_wire message;
	int ends[2], fd;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ASSERT_OK(weir_handover_keep(predecessor->host, ends[0]));
	captured = (struct captured){ .journal = get(ends[1], &message) };
	ASSERT_GE(captured.journal, 0);
	while ((fd = get(ends[1], &message)) >= 0) {
		captured.fds[captured.num] = fd;
		captured.numbers[captured.num++] = message.numbers[0];
	}
	ASSERT_OK(weir_handover_keep(predecessor->host, -1));
	close(ends[1]);
	ASSERT_EQ(pread(captured.journal, &captured.header, sizeof(captured.header), 0),
		  (ssize_t)sizeof(captured.header));
	captured.len = captured.header.len;
	captured.bytes = malloc(captured.len);
	t_defer(t, release, NULL);
}

static struct sent {
	uint64_t len; /* of the journal */
	bool sealed;
	uint32_t announced, num; /* descriptors */
	int fds[MOST_FDS + 1];
	uint32_t numbers[MOST_FDS + 1];
	uint16_t version;
	bool no_journal, garbage, other_sum;
} sent;

static struct weir_journal_header *header(void)
{
	return (struct weir_journal_header *)captured.bytes;
}

/* The first slot of a table that is in force. */
void *slot_of(enum weir_journal_table table)
{
	unsigned char *at = captured.bytes + captured.header.tables[table].offset;

	while (((struct weir_slot *)at)->state != WEIR_SLOT_IN_FORCE)
		at += captured.header.tables[table].size;
	return at;
}

static void no_magic(void)
{
	header()->magic[3] ^= 1;
}
static void newer(void)
{
	header()->version++;
}
static void other_len(void)
{
	header()->len += 4096;
}
static void truncated(void)
{
	sent.len -= 4096;
}
static void empty(void)
{
	sent.len = 0;
}
static void header_alone(void)
{
	sent.len = 64;
}
static void unsealed(void)
{
	sent.sealed = false;
}
static void odd_backend(void)
{
	header()->backend = WEIR_BACKEND_COMPAT;
}
static void table_outside(void)
{
	header()->tables[WEIR_JOURNAL_MAPS].offset = header()->len - 64;
}
static void table_around(void)
{
	header()->tables[WEIR_JOURNAL_MAPS].offset = UINT64_MAX - 63;
}
static void table_huge(void)
{
	header()->tables[WEIR_JOURNAL_FDS].num = UINT32_MAX;
}
static void slots_larger(void)
{
	header()->tables[WEIR_JOURNAL_FDS].size *= 2;
}
static void more_used(void)
{
	header()->used[WEIR_JOURNAL_SPACES] = UINT32_MAX;
}
static void blocks_outside(void)
{
	header()->block_bytes *= 2;
}
static void odd_state(void)
{
	((struct weir_slot *)slot_of(WEIR_JOURNAL_SPACES))->state = 9;
}
static void block_outside(void)
{
	((struct weir_slot_block *)slot_of(WEIR_JOURNAL_BLOCKS))->offset = 1 << 30;
}
static void block_around(void)
{
	((struct weir_slot_block *)slot_of(WEIR_JOURNAL_BLOCKS))->len = UINT64_MAX;
}
static void narrow_space(void)
{
	((struct weir_slot_space *)slot_of(WEIR_JOURNAL_SPACES))->address_bits = 5;
}
static void no_such_space(void)
{
	((struct weir_slot_space *)slot_of(WEIR_JOURNAL_SPACES))->slot.state = 0;
}
static void no_place(void)
{
	((struct weir_slot_device *)slot_of(WEIR_JOURNAL_DEVICES))->place = 1000;
}
static void endless_address(void)
{
	memset(((struct weir_slot_device *)slot_of(WEIR_JOURNAL_DEVICES))->address, '0', 16);
}
static void odd_address(void)
{
	((struct weir_slot_device *)slot_of(WEIR_JOURNAL_DEVICES))->address[0] = 'x';
}
static void many_vectors(void)
{
	((struct weir_slot_irq *)slot_of(WEIR_JOURNAL_IRQS))->count = 33;
}
static void odd_kind(void)
{
	((struct weir_slot_irq *)slot_of(WEIR_JOURNAL_IRQS))->kind = 77;
}
static void odd_pages(void)
{
	((struct weir_slot_memory *)slot_of(WEIR_JOURNAL_MEMORIES))->page_size = 4097;
}
static void odd_iova(void)
{
	((struct weir_slot_map *)slot_of(WEIR_JOURNAL_MAPS))->iova += 64;
}
static void map_around(void)
{
	((struct weir_slot_map *)slot_of(WEIR_JOURNAL_MAPS))->iova = UINT64_MAX - 4095;
}
static void longer_file(void)
{
	((struct weir_slot_file *)slot_of(WEIR_JOURNAL_FILES))->len += 4096;
}
static void odd_chunk(void)
{
	((struct weir_slot_file *)slot_of(WEIR_JOURNAL_FILES))->chunk = 7;
}
static void domains(void)
{
	header()->not_carried = 2;
}
static void no_journal(void)
{
	sent.no_journal = true;
}
static void garbage(void)
{
	sent.garbage = true;
}
static void other_sum(void)
{
	sent.other_sum = true;
}
static void newer_protocol(void)
{
	sent.version = 2;
}
static void fewer_announced(void)
{
	sent.announced--;
}
static void fewer(void)
{
	sent.num--;
}
static void twice(void)
{
	sent.numbers[1] = sent.numbers[0];
}
static void number_outside(void)
{
	sent.numbers[0] = 1 << 20;
}
static void number_zero(void)
{
	sent.numbers[0] = 0;
}

static void more(void)
{
	sent.fds[sent.num] = captured.journal;
	sent.numbers[sent.num++] = captured.header.tables[WEIR_JOURNAL_FDS].num;
}

/* Each is the next one's. */
static void turned(void)
{
	int first = sent.fds[0];

	memmove(sent.fds, sent.fds + 1, (sent.num - 1) * sizeof(int));
	sent.fds[sent.num - 1] = first;
}

static void all_journals(void)
{
	for (uint32_t i = 0; i < sent.num; i++)
		sent.fds[i] = captured.journal;
}

static const struct flaw flaws[] = {
	{ "no magic", no_magic, "damaged" },
	{ "a newer version", newer, "version 2" },
	{ "another length", other_len, "length" },
	{ "truncated", truncated, "length" },
	{ "empty", empty, "too short" },
	{ "the beginning of a header", header_alone, "too short" },
	{ "not sealed", unsealed, "no sealed memfd" },
	{ "an interface that cannot be handed over", odd_backend, "interface" },
	{ "a table outside", table_outside, "table" },
	{ "a table beyond all addresses", table_around, "table" },
	{ "a huge table", table_huge, "table" },
	{ "larger slots", slots_larger, "table" },
	{ "more slots used than there are", more_used, "table" },
	{ "blocks outside", blocks_outside, "blocks" },
	{ "an unknown state", odd_state, "state" },
	{ "a block outside", block_outside, "makes no sense" },
	{ "a block beyond all addresses", block_around, "makes no sense" },
	{ "a space of five bits", narrow_space, "makes no sense" },
	{ "a device in no space", no_such_space, NULL },
	{ "a device in no page table", no_place, "no space" },
	{ "an address without an end", endless_address, "makes no sense" },
	{ "no PCI address", odd_address, NULL },
	{ "more vectors than there are", many_vectors, "vectors" },
	{ "an unknown interrupt", odd_kind, NULL },
	{ "odd pages", odd_pages, NULL },
	{ "a mapping across pages", odd_iova, NULL },
	{ "a mapping beyond all addresses", map_around, NULL },
	{ "a longer file", longer_file, NULL },
	{ "a chunk too far", odd_chunk, "chunk" },
	{ "what nobody can take", domains, "nobody can take" },
	{ "no journal", no_journal, "no hand-over" },
	{ "garbage", garbage, "no hand-over" },
	{ "another sum", other_sum, "not the one that was sent" },
	{ "a newer protocol", newer_protocol, "version 2" },
	{ "fewer descriptors announced", fewer_announced, "announced" },
	{ "too few descriptors", fewer, NULL },
	{ "too many descriptors", more, NULL },
	{ "a descriptor twice", twice, "twice" },
	{ "a descriptor with a number that is none", number_outside, "not in the description" },
	{ "a descriptor without a number", number_zero, "not in the description" },
	{ "the wrong descriptors", turned, NULL },
	{ "the journal for each descriptor", all_journals, NULL },
};

static int new_journal(struct t *t)
{
	int fd = memfd_create("journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)t;
	ASSERT_GE(fd, 0);
	ASSERT_EQ(ftruncate(fd, (off_t)sent.len), 0);
	ASSERT_EQ(pwrite(fd, captured.bytes, sent.len, 0), (ssize_t)sent.len);
	if (sent.sealed)
		ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	return fd;
}

static void add_to_sum(uint64_t *sum, uint64_t from, uint64_t len)
{
	uint64_t word;

	for (uint64_t at = from; at - from < len && at + sizeof(word) <= captured.len; at += sizeof(word)) {
		memcpy(&word, captured.bytes + at, sizeof(word));
		*sum = (*sum ^ word) * 0x100000001b3;
		*sum ^= *sum >> 32;
	}
}

/* Of what is sent, so that a flaw is looked for where it is. */
static uint64_t sum_of_sent(void)
{
	uint64_t sum = 0xcbf29ce484222325;

	add_to_sum(&sum, 0, sizeof(struct weir_journal_header));
	for (int table = 0; table < WEIR_JOURNAL_TABLES; table++)
		add_to_sum(&sum, header()->tables[table].offset,
			   (uint64_t)header()->used[table] * header()->tables[table].size);
	return sum;
}

/* As a giver would, who does not wait for answers. */
static void send_all(struct t *t, int socket)
{
	struct weir_wire hello = message_of(WEIR_WIRE_HELLO, sent.announced),
			 pieces = message_of(WEIR_WIRE_FDS, sent.num), ready = message_of(WEIR_WIRE_READY, 0);
	int journal = new_journal(t);

	hello.version = sent.version;
	hello.sum = sum_of_sent() ^ sent.other_sum;
	memcpy(pieces.numbers, sent.numbers, sent.num * sizeof(uint32_t));
	if (sent.garbage)
		put(socket, "garbage", 7, &journal, 1);
	else
		put(socket, &hello, sizeof(hello), &journal, sent.no_journal ? 0 : 1);
	put(socket, &pieces, sizeof(pieces), sent.fds, sent.num);
	put(socket, &ready, sizeof(ready), NULL, 0);
	close(journal);
}

int receive_changed(struct t *t, void (*spoil)(void), struct weir_host **ret_host)
{
	struct weir_handover_opts opts =
		WEIR_OPTS(weir_handover_opts, .sys = successors_sys(t), .timeout_ms = 100);
	int ends[2], error;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ASSERT_EQ(pread(captured.journal, captured.bytes, captured.len, 0), (ssize_t)captured.len);
	sent = (struct sent){ .len = captured.len,
			      .sealed = true,
			      .announced = captured.num,
			      .num = captured.num,
			      .version = WEIR_WIRE_VERSION };
	memcpy(sent.fds, captured.fds, sizeof(captured.fds));
	memcpy(sent.numbers, captured.numbers, sizeof(captured.numbers));
	if (spoil)
		spoil();
	send_all(t, ends[0]);
	error = weir_handover_receive(ends[1], &opts, ret_host);
	close(ends[0]);
	return error;
}

int receive_spoilt(struct t *t, void (*spoil)(void))
{
	struct weir_host *host;
	int error = receive_changed(t, spoil, &host);

	if (!error)
		weir_handover_refuse(host, NULL);
	return error;
}

void expect_each_refused(struct t *t, const struct flaw *list, size_t num)
{
	unsigned int before = count_fds();

	for (size_t i = 0; i < num; i++) {
		int error = receive_spoilt(t, list[i].spoil);

		t_note(t, "%s: %s", list[i].name, weir_error());
		EXPECT_TRUE(error == -EPROTO || (!list[i].text && error < 0));
		if (list[i].text)
			EXPECT_CONTAINS(weir_error(), list[i].text);
		EXPECT_EQ(count_fds(), before);
	}
}

CONFORMANCE(handover_hostile, each_flaw_is_refused, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);

	capture(t, predecessor);
	/* Without a flaw, it is none. */
	EXPECT_OK(receive_spoilt(t, NULL));
	expect_each_refused(t, flaws, sizeof(flaws) / sizeof(flaws[0]));
	/* What the one without a flaw has taken is taken back as after any refusal. */
	begin_successor(t, predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	end_successor(t);
	expect_unharmed(t, predecessor);
}
