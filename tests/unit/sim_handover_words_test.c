// SPDX-License-Identifier: MIT
/* A successor that says what it should not: the giver has all as before, unless DONE is among it. All of it lies in the socket when the giver begins. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/handover_rig.h"
#include "test.h"

static const enum weir_backend backends[] = { WEIR_BACKEND_IOMMUFD, WEIR_BACKEND_TYPE1 };

static struct handover_rig rig = { .file = -1 };

#define ASSERT_FINE(call)                                                                                    \
	do {                                                                                                 \
		const char *why_ = (call);                                                                   \
		if (why_)                                                                                    \
			FAIL("%s: %s", #call, why_);                                                         \
	} while (0)

/* No message of the protocol. */
enum { GARBAGE = 100, NOTHING, WITH_DESCRIPTORS, LONG_REFUSAL };

static void put_fds(int socket, struct iovec *bytes)
{
	char room[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	struct msghdr header = {
		.msg_iov = bytes, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)
	};
	int fds[2] = { 0, 0 };

	CMSG_FIRSTHDR(&header)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&header)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&header)->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), fds, sizeof(fds));
	ASSERT_EQ(sendmsg(socket, &header, MSG_NOSIGNAL), (ssize_t)bytes->iov_len);
}

static void put(int socket, int word)
{
	struct weir_wire message = { .magic = WEIR_WIRE_MAGIC,
				     .version = WEIR_WIRE_VERSION,
				     .type = (uint16_t)word };
	struct iovec bytes = { &message, sizeof(message) };

	switch (word) {
	case GARBAGE:
		ASSERT_EQ(send(socket, "garbage", 7, MSG_NOSIGNAL), 7);
		return;
	case NOTHING:
		ASSERT_EQ(send(socket, "", 0, MSG_NOSIGNAL), 0);
		return;
	case WITH_DESCRIPTORS:
		message.type = WEIR_WIRE_READY;
		put_fds(socket, &bytes);
		return;
	case LONG_REFUSAL:
		message.type = WEIR_WIRE_REFUSED;
		memset(message.text, 'n', sizeof(message.text));
		break;
	}
	ASSERT_EQ(send(socket, &message, sizeof(message), MSG_NOSIGNAL), (ssize_t)sizeof(message));
}

static void end_machine(void *arg)
{
	(void)arg;
	rig_end_machine(&rig);
}

static void begin(struct t *t, enum weir_backend backend)
{
	t_note(t, "%s", weir_backend_name(backend));
	ASSERT_FINE(rig_machine(&rig));
	t_defer(t, end_machine, NULL);
	ASSERT_FINE(rig_begin(&rig, backend, NULL));
	ASSERT_FINE(rig_busy(&rig));
	ASSERT_FINE(rig_pause(&rig));
}

enum { MOST_WORDS = 8 };

static int give(const int *words)
{
	struct weir_handover_opts opts = WEIR_OPTS(weir_handover_opts, .timeout_ms = 50);
	int ends[2], error;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	for (int i = 0; i < MOST_WORDS && words[i]; i++)
		put(ends[1], words[i]);
	error = weir_handover_give(rig.host, ends[0], &opts);
	close(ends[0]);
	close(ends[1]);
	return error;
}

static const struct {
	int words[MOST_WORDS], error;
	const char *text;
} cases[] = {
	{ { GARBAGE }, -EPROTO, "hearing from the successor" },
	{ { NOTHING }, -ETIMEDOUT, "did not answer" },
	{ { WITH_DESCRIPTORS }, -EPROTO, "hearing from the successor" },
	{ { WEIR_WIRE_HELLO }, -EPROTO, "makes no sense" },
	{ { WEIR_WIRE_DONE }, -EPROTO, "makes no sense" },
	{ { 77 }, -EPROTO, "makes no sense" },
	{ { WEIR_WIRE_TAKEN }, -EPROTO, "makes no sense" },
	{ { LONG_REFUSAL }, -ECONNREFUSED, "nnnnnnnn" },
	{ { WEIR_WIRE_READY, WEIR_WIRE_DONE }, -EPROTO, "makes no sense" },
	{ { WEIR_WIRE_READY, WEIR_WIRE_TAKEN, WEIR_WIRE_TAKEN }, -EPROTO, "makes no sense" },
	{ { WEIR_WIRE_READY, WEIR_WIRE_TAKEN, LONG_REFUSAL }, -ECONNREFUSED, "nnnnnnnn" },
	{ { WEIR_WIRE_READY, WEIR_WIRE_TAKEN }, -ETIMEDOUT, "did not answer" },
};

UNIT(sim_handover_words, nonsense_leaves_all_with_the_giver)
{
	for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
		begin(t, backends[b]);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			/* Until READY it is all the same; and each takes half a second, for nobody goes away. */
			if (b && cases[i].words[0] != WEIR_WIRE_READY)
				continue;
			t_note(t, "%s, case %zu", weir_backend_name(backends[b]), i);
			EXPECT_ERR(cases[i].error, give(cases[i].words));
			EXPECT_CONTAINS(weir_error(), cases[i].text);
			rig_resume(&rig);
			ASSERT_FINE(rig_works(&rig));
			ASSERT_FINE(rig_busy(&rig));
			ASSERT_FINE(rig_pause(&rig));
		}
		rig_resume(&rig);
		ASSERT_FINE(rig_close(&rig));
		rig_end_machine(&rig);
	}
}

/* Whoever said DONE believes that it has all: nothing else that it says makes two of one. */
UNIT(sim_handover_words, done_counts_among_nonsense_too)
{
	static const int words[][MOST_WORDS] = {
		{ WEIR_WIRE_READY, WEIR_WIRE_TAKEN, WEIR_WIRE_DONE },
		{ WEIR_WIRE_READY, WEIR_WIRE_TAKEN, GARBAGE, WEIR_WIRE_DONE },
		{ WEIR_WIRE_READY, WEIR_WIRE_TAKEN, GARBAGE, GARBAGE, WEIR_WIRE_HELLO, WEIR_WIRE_DONE },
		{ WEIR_WIRE_READY, WEIR_WIRE_TAKEN, WITH_DESCRIPTORS, WITH_DESCRIPTORS, WEIR_WIRE_DONE },
		{ WEIR_WIRE_READY, WEIR_WIRE_TAKEN, LONG_REFUSAL, WEIR_WIRE_DONE, GARBAGE },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		begin(t, backends[i % 2]);
		t_note(t, "case %zu", i);
		EXPECT_OK(give(words[i]));
		rig_forget_drivers(&rig);
		rig_end_machine(&rig);
	}
}
