// SPDX-License-Identifier: MIT
/* A giver that means harm, and not by what it describes at first: it changes that later. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/handover_rig.h"
#include "test.h"

static struct handover_rig rig = { .file = -1 };
static struct rig_description description = { .journal = -1, .sent = -1 };

#define ASSERT_FINE(call)                                                                                    \
	do {                                                                                                 \
		const char *why_ = (call);                                                                   \
		if (why_)                                                                                    \
			FAIL("%s: %s", #call, why_);                                                         \
	} while (0)

static void end_machine(void *arg)
{
	(void)arg;
	rig_drop(&description);
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
	ASSERT_FINE(rig_describe(&rig, &description));
}

static void end(struct t *t)
{
	(void)t;
	rig_resume(&rig);
	ASSERT_FINE(rig_works(&rig));
	rig_drop(&description);
	ASSERT_FINE(rig_close(&rig));
	rig_end_machine(&rig);
}

/* In the bytes that are to be sent. */
static void find_devices(struct weir_slot_device *ret_devices[2])
{
	size_t at = sizeof(struct weir_journal_header), num = 0;

	for (int table = 0; table < WEIR_JOURNAL_DEVICES; table++)
		at += (size_t)description.header.used[table] * description.header.tables[table].size;
	for (uint32_t i = 0; i < description.header.used[WEIR_JOURNAL_DEVICES] && num < 2; i++) {
		struct weir_slot_device *device = (struct weir_slot_device *)(description.bytes + at) + i;

		if (device->slot.state == WEIR_SLOT_IN_FORCE)
			ret_devices[num++] = device;
	}
	ASSERT_EQ(num, 2);
}

/* Whoever sent it has it still; what is written into it then is nothing to the successor, which works with all that it was told before. */
UNIT(sim_handover_hostile, what_becomes_of_their_journal_is_no_concern_of_ours)
{
	struct rig_sending sending;
	struct handover_rig next;
	struct weir_host *host;
	unsigned char *noise;

	begin(t, WEIR_BACKEND_IOMMUFD);
	sending = rig_as_it_is(&description);
	ASSERT_OK(rig_receive(&rig, &description, &sending, &host));
	noise = malloc(description.header.len);
	ASSERT_TRUE(noise != NULL);
	memset(noise, 0xa5, description.header.len);
	EXPECT_EQ(pwrite(description.sent, noise, description.header.len, 0),
		  (ssize_t)description.header.len);
	free(noise);
	ASSERT_FINE(rig_follow(&next, &rig, host));
	rig_forget_drivers(&next);
	weir_handover_refuse(host, NULL);
	end(t);
}

/* Nor can a keeper, or a successor that was refused, write into ours. */
UNIT(sim_handover_hostile, who_is_given_our_journal_can_read_it)
{
	size_t len;
	void *map;

	begin(t, WEIR_BACKEND_IOMMUFD);
	len = description.header.len;
	EXPECT_TRUE(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, description.journal, 0) ==
		    MAP_FAILED);
	EXPECT_EQ(errno, EPERM);
	EXPECT_EQ(pwrite(description.journal, "", 1, 0), -1);
	EXPECT_EQ(errno, EPERM);
	map = mmap(NULL, len, PROT_READ, MAP_SHARED, description.journal, 0);
	ASSERT_TRUE(map != MAP_FAILED);
	EXPECT_EQ(mprotect(map, len, PROT_READ | PROT_WRITE), -1);
	EXPECT_EQ(memcmp(map, WEIR_JOURNAL_MAGIC, 8), 0);
	munmap(map, len);
	end(t);
}

/* What is taken away again must not be with anybody else. */
UNIT(sim_handover_hostile, nobody_keeps_what_is_not_finished)
{
	struct rig_sending sending;
	struct weir_host *host;
	int ends[2];
	char byte;

	begin(t, WEIR_BACKEND_IOMMUFD);
	sending = rig_as_it_is(&description);
	ASSERT_OK(rig_receive(&rig, &description, &sending, &host));
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	EXPECT_ERR(-EBUSY, weir_handover_keep(host, ends[0]));
	EXPECT_CONTAINS(weir_error(), "weir_handover_finish");
	EXPECT_EQ(recv(ends[1], &byte, 1, MSG_DONTWAIT), 0); /* nothing was sent, and the end is closed */
	close(ends[1]);
	EXPECT_ERR(-EBUSY, weir_handover_keep(host, -1));
	weir_handover_refuse(host, NULL);
	end(t);
}

/* The second function of the same address is of a group of its own, which is none then. */
UNIT(sim_handover_hostile, a_function_described_under_two_groups_leaves_no_descriptor)
{
	struct weir_slot_device *devices[2];
	struct rig_sending sending;
	struct weir_host *host;
	int fd;

	begin(t, WEIR_BACKEND_TYPE1);
	find_devices(devices);
	ASSERT_NE(devices[0]->group, devices[1]->group);
	memcpy(devices[1]->address, devices[0]->address, sizeof(devices[1]->address));
	sending = rig_as_it_is(&description);
	fd = dup(0);
	close(fd);
	EXPECT_ERR(-EPROTO, rig_receive(&rig, &description, &sending, &host));
	EXPECT_CONTAINS(weir_error(), "described twice");
	EXPECT_EQ(dup(0), fd);
	close(fd);
	end(t);
}

/* One that talks and talks ----------------------------------------------------------------------------------- */

enum { TIMEOUT_MS = 200, PAUSE_US = 60000, MANY = 30, NONSENSE = 77 };

struct talker {
	pthread_t thread;
	int ends[2];
	struct rig_sending sending;
	bool is_deaf; /* it listens no more, and has all the descriptors sent at once */
};

static void say(const struct talker *talker, enum weir_wire_type type, const int *fds, uint32_t num)
{
	struct weir_wire message = {
		.magic = WEIR_WIRE_MAGIC, .version = WEIR_WIRE_VERSION, .type = (uint16_t)type, .num = num
	};

	if (type == WEIR_WIRE_HELLO) {
		message.num = talker->sending.announced;
		message.sum = talker->sending.sum;
	} else if (num) {
		memcpy(message.numbers, talker->sending.numbers + (fds - talker->sending.fds),
		       num * sizeof(uint32_t));
	}
	weir_wire_send(weir_sys_real(), talker->ends[0], &message, fds, num, TIMEOUT_MS);
}

/* Each word is in time. */
static void *talk(void *arg)
{
	const struct talker *talker = arg;
	uint32_t at_once = talker->is_deaf ? talker->sending.num : 1;

	if (talker->is_deaf)
		shutdown(talker->ends[0], SHUT_RD);
	say(talker, WEIR_WIRE_HELLO, &description.sent, 1);
	for (uint32_t i = 0; i < talker->sending.num; i += at_once) {
		say(talker, WEIR_WIRE_FDS, talker->sending.fds + i, at_once);
		usleep(PAUSE_US);
	}
	for (int i = 0; talker->is_deaf && i < MANY; i++) {
		say(talker, (enum weir_wire_type)NONSENSE, NULL, 0);
		usleep(PAUSE_US);
	}
	say(talker, WEIR_WIRE_READY, NULL, 0);
	close(talker->ends[0]);
	return NULL;
}

static int receive_from(struct talker *talker)
{
	const struct weir_handover_opts opts =
		WEIR_OPTS(weir_handover_opts, .sys = weir_sim_sys_of(rig.sim, 1), .timeout_ms = TIMEOUT_MS);
	struct weir_host *host;
	int error;

	talker->sending = rig_as_it_is(&description);
	ASSERT_GE(talker->sending.num * PAUSE_US, 2 * TIMEOUT_MS * 1000);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talker->ends), 0);
	ASSERT_EQ(pthread_create(&talker->thread, NULL, talk, talker), 0);
	error = weir_handover_receive(talker->ends[1], &opts, &host);
	if (!error)
		weir_handover_refuse(host, NULL);
	pthread_join(talker->thread, NULL);
	return error;
}

UNIT(sim_handover_hostile, descriptors_that_come_one_by_one_are_too_late)
{
	struct talker talker = { .is_deaf = false };

	begin(t, WEIR_BACKEND_IOMMUFD);
	EXPECT_ERR(-ETIMEDOUT, receive_from(&talker));
	end(t);
}

/* It does not hear that the taker is ready, so it will have taken all back. */
UNIT(sim_handover_hostile, a_giver_that_talks_and_does_not_listen_is_left)
{
	struct talker talker = { .is_deaf = true };

	begin(t, WEIR_BACKEND_IOMMUFD);
	EXPECT_ERR(-EPIPE, receive_from(&talker));
	end(t);
}
