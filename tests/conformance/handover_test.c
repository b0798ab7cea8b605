// SPDX-License-Identifier: MIT
/* Hand-over: what is carried, and that nothing is lost whatever the other side does. */
#include "conformance/handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/sim.h>

#include "conformance/os.h"

CONFORMANCE(handover, all_is_carried_and_works, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct successor *successor;

	EXPECT_OK(weir_handover_check(predecessor->host, NULL, NULL));
	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	forget_predecessor(predecessor);
	successor = end_successor(t);
	ASSERT_EQ(successor->error, 0);
	expect_estate(t, successor->host);
}

/* A line of /proc/self/status, in bytes. */
static uint64_t status_line(const char *name)
{
	char *text = os_read_file("/proc/self/status"), *line = text ? strstr(text, name) : NULL;
	uint64_t kib = line ? strtoull(line + strlen(name), NULL, 10) : 0;

	free(text);
	return kib * 1024;
}

/* What a simulated process is charged; elsewhere what this one is, which is both. */
static uint64_t charged(uint32_t process)
{
	uint64_t pinned = 0, locked = 0;

	if (!os_sim())
		return status_line("VmPin:") + status_line("VmLck:");
	if (weir_sim_charged(os_sim(), process, &pinned, &locked))
		FAIL("%s", weir_error());
	return pinned + locked;
}

/*
 * That it moves is seen where there are two processes: on simulated machines, and in tests/vm/parts/handover. On a real host, where one process is both, it is seen
 * that nothing is charged twice, or stays charged.
 */
CONFORMANCE(handover, what_is_charged_moves_to_another_process_and_is_charged_once,
	    NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	uint64_t nothing = charged(0), before;
	uint32_t successors = os_sim() ? 1 : 0;
	struct predecessor *predecessor = new_predecessor(t);
	struct successor *successor;

	before = charged(0);
	if (os_sim() && weir_sim_set_memlock(os_sim(), 1, 1 << 30))
		FAIL("%s", weir_error());
	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	forget_predecessor(predecessor);
	successor = end_successor(t);
	ASSERT_EQ(successor->error, 0);
	if (before <= nothing || charged(successors) != before || (os_sim() && charged(0) != nothing))
		FAIL("charged: %ju, then %ju, and %ju and %ju", (uintmax_t)nothing, (uintmax_t)before,
		     (uintmax_t)charged(0), (uintmax_t)charged(successors));
	expect_estate(t, successor->host);
	if (charged(0) != nothing || charged(successors) != nothing)
		FAIL("%ju bytes more than %ju stay charged", (uintmax_t)charged(successors),
		     (uintmax_t)nothing);
}

/*
 * On a real host both sides are one process, which has one limit: there it refuses of its own accord, and what is seen is that its predecessor
 * has all as before.
 */
CONFORMANCE(handover, a_successor_with_less_memory_to_lock_refuses_where_it_is_another_process,
	    NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor;
	int error;

	if (os_sim() &&
	    (weir_sim_set_memlock(os_sim(), 0, 1 << 30) || weir_sim_set_memlock(os_sim(), 1, 2 * PAGE)))
		FAIL("%s", weir_error());
	predecessor = new_predecessor(t);
	begin_successor(t, predecessor, os_sim() ? take_all : refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	if (os_sim() && !strstr(weir_error(), "RLIMIT_MEMLOCK"))
		FAIL("%s", weir_error());
	error = end_successor(t)->error;
	if (os_sim() && error != -ENOMEM)
		FAIL("the successor's error is %d", error);
	expect_unharmed(t, predecessor);
}

CONFORMANCE(handover, dma_goes_on_and_its_interrupt_is_the_successors, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct successor *successor;
	struct weir_device *device;
	struct weir_irq *irq;

	os_hold_edu(address_of(t, "EDU0"), true);
	begin_edu_write(predecessor->device, predecessor->buffer.iova, 64);
	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	forget_predecessor(predecessor);
	successor = end_successor(t);
	ASSERT_EQ(successor->error, 0);
	os_hold_edu(address_of(t, "EDU0"), false);
	ASSERT_OK(weir_handover_device(successor->host, address_of(t, "EDU0"), &device));
	ASSERT_OK(weir_handover_irq(device, WEIR_IRQ_MSI, &irq));
	expect_interrupt(device, irq);
	expect_estate(t, successor->host);
}

CONFORMANCE(handover, the_second_successor_finds_all_too, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_host *host = predecessor->host;

	for (int i = 0; i < 3; i++) {
		struct successor *successor;

		begin_successor(t, predecessor, take_all);
		ASSERT_OK(weir_handover_give(host, predecessor->ends[0], NULL));
		forget_predecessor(predecessor);
		successor = end_successor(t);
		ASSERT_EQ(successor->error, 0);
		host = successor->host;
		other_ends(predecessor);
	}
	expect_estate(t, host);
}

static struct weir_host *given;
static int second_error;
static char second_text[512];

/* A body: it takes all; and before it has said so, the host is given to another as well. */
static void *take_and_see_it_given_again(void *arg)
{
	struct successor *successor = arg;
	int ends[2] = { -1, -1 };

	second_error = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
	successor->error = weir_handover_receive(
		successor->socket, &WEIR_OPTS(weir_handover_opts, .sys = successor->sys), &successor->host);
	if (!second_error)
		second_error = weir_handover_give(given, ends[0], NULL);
	snprintf(second_text, sizeof(second_text), "%s", weir_error());
	if (!successor->error)
		successor->error = weir_handover_finish(successor->host);
	close(ends[0]);
	close(ends[1]);
	return NULL;
}

CONFORMANCE(handover, of_two_successors_at_once_the_second_is_refused, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct successor *successor;

	given = predecessor->host;
	begin_successor(t, predecessor, take_and_see_it_given_again);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	forget_predecessor(predecessor);
	successor = end_successor(t);
	ASSERT_EQ(successor->error, 0);
	EXPECT_EQ(second_error, -EBUSY);
	EXPECT_CONTAINS(second_text, "under way");
	expect_estate(t, successor->host);
}

/* Who fails ------------------------------------------------------------------------------------------------------- */

CONFORMANCE(handover, who_is_refused_has_all_as_before, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);

	begin_successor(t, predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	EXPECT_CONTAINS(weir_error(), "the queue is of another age");
	EXPECT_EQ(end_successor(t)->error, 0);
	expect_unharmed(t, predecessor);
	other_ends(predecessor);
	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	forget_predecessor(predecessor);
	expect_estate(t, end_successor(t)->host);
}

enum { STEPS = 4 };
static int step; /* at which the successor fails */
static bool silent;

static void take_one_message(struct successor *successor)
{
	char room[4096], control[4096];
	struct iovec bytes = { room, sizeof(room) };
	struct msghdr header = {
		.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	const struct weir_sys *sys = successor->sys;

	if (sys->recvmsg(sys->ctx, successor->socket, &header, MSG_CMSG_CLOEXEC) < 0)
		return;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part))
		for (size_t i = 0; i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
			sys->close(sys->ctx, ((int *)CMSG_DATA(part))[i]);
}

/* Without a word: it reads so many messages, and at last takes all but for the end. */
static void *fail_at_step(void *arg)
{
	struct successor *successor = arg;

	if (step < STEPS - 1) {
		for (int i = 0; i < step; i++)
			take_one_message(successor);
		if (silent)
			usleep(600 * 1000);
		successor->sys->close(successor->sys->ctx, successor->socket);
		return NULL;
	}
	successor->error = weir_handover_receive(
		successor->socket, &WEIR_OPTS(weir_handover_opts, .sys = successor->sys), &successor->host);
	if (successor->error)
		return NULL;
	if (silent) {
		usleep(600 * 1000);
		successor->error = weir_handover_finish(successor->host);
		return NULL;
	}
	shutdown(successor->socket, SHUT_RDWR);
	usleep(100 * 1000);
	weir_handover_refuse(successor->host, NULL);
	return NULL;
}

CONFORMANCE(handover, whose_successor_dies_has_all_as_before, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);

	silent = false;
	for (step = 0; step < STEPS; step++) {
		t_note(t, "step %d", step);
		other_ends(predecessor);
		begin_successor(t, predecessor, fail_at_step);
		EXPECT_ERR(-EPIPE, weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
		end_successor(t);
		expect_unharmed(t, predecessor);
	}
}

CONFORMANCE(handover, whose_successor_is_silent_has_all_as_before, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_handover_opts opts = WEIR_OPTS(weir_handover_opts, .timeout_ms = 100);

	int error;

	silent = true;
	for (step = 0; step < STEPS; step++) {
		t_note(t, "step %d", step);
		other_ends(predecessor);
		begin_successor(t, predecessor, fail_at_step);
		EXPECT_ERR(-ETIMEDOUT, weir_handover_give(predecessor->host, predecessor->ends[0], &opts));
		error = end_successor(t)->error;
		/* On a busy machine it may be silent before it says that it has all, too. */
		if (step == STEPS - 1)
			EXPECT_TRUE(error == -ECANCELED || error == -EPIPE);
		expect_unharmed(t, predecessor);
	}
}

/* What is in the way ---------------------------------------------------------------------------------------------- */

static void count(void *ctx, const char *what)
{
	if (strstr(what, "memory of this process alone"))
		++*(int *)ctx;
}

CONFORMANCE(handover, anonymous_memory_is_named_and_refused_or_dropped, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_handover_opts drop = WEIR_OPTS(weir_handover_opts, .flags = WEIR_HANDOVER_DROP_MAPS);
	void *memory = new_memory(t, PAGE, 0xee);
	struct weir_map *map;
	int num = 0;

	ASSERT_OK(weir_ioas_map(predecessor->ioas, memory, PAGE, NULL, &map));
	EXPECT_ERR(-ENOTSUP, weir_handover_check(predecessor->host, count, &num));
	EXPECT_EQ(num, 1);
	EXPECT_ERR(-ENOTSUP, weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	EXPECT_CONTAINS(weir_error(), "WEIR_HANDOVER_DROP_MAPS");
	begin_successor(t, predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(predecessor->host, predecessor->ends[0], &drop));
	end_successor(t);
	begin_edu_write(predecessor->device, weir_map_iova(map), 64);
	expect_interrupt(predecessor->device, predecessor->irq);
	EXPECT_TRUE(!all_bytes(memory, 0xee, 64));
	other_ends(predecessor);
	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0], &drop));
	forget_predecessor(predecessor);
	expect_estate(t, end_successor(t)->host);
}

/* Without devices, in the same process. */
static struct weir_host *share_with_another_host(struct t *t, struct weir_map *map)
{
	const struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .sys = sys_of(t), .flags = WEIR_HOST_JOURNAL,
			  .backend = fixture_of(t)->backend, .journal_maps = 64, .journal_blocks = PAGE);
	struct weir_host *host;
	struct weir_ioas *ioas;

	ASSERT_OK(weir_host_open(&opts, &host));
	ASSERT_OK(weir_ioas_open(host, NULL, &ioas));
	ASSERT_OK(weir_map_share(map, ioas, NULL, &map));
	return host;
}

static void close_other(struct t *t, struct weir_host *host, uint64_t file_iova)
{
	struct weir_ioas *ioas;
	struct weir_map *map;

	(void)t;
	ASSERT_OK(weir_handover_ioas(host, 0, &ioas));
	ASSERT_OK(weir_handover_map(ioas, file_iova, &map));
	EXPECT_TRUE(all_bytes(weir_map_addr(map), 0x5a, 2 * PAGE));
	EXPECT_OK(weir_map_close(map));
	EXPECT_OK(weir_ioas_close(ioas));
	EXPECT_OK(weir_host_close(host));
}

/* And the journal of the host that it was shared from does not hear of it. */
CONFORMANCE(handover, a_file_shared_from_another_host_is_carried, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_host *other = share_with_another_host(t, predecessor->file_map);
	struct successor *successor;

	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(other, predecessor->ends[0], NULL));
	successor = end_successor(t);
	t_note(t, "%s", successor->text);
	ASSERT_EQ(successor->error, 0);
	close_other(t, successor->host, predecessor->estate->file_iova);
	other_ends(predecessor);
	expect_unharmed(t, predecessor);
	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	forget_predecessor(predecessor);
	expect_estate(t, end_successor(t)->host);
}

CONFORMANCE(handover, a_host_without_a_journal_is_not_handed_over, NEEDS(HANDOVER))
{
	struct weir_host_opts opts =
		WEIR_OPTS(weir_host_opts, .sys = sys_of(t), .backend = fixture_of(t)->backend);
	struct weir_host *host;
	int ends[2];

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ASSERT_OK(weir_host_open(&opts, &host));
	EXPECT_ERR(-EINVAL, weir_handover_check(host, NULL, NULL));
	EXPECT_ERR(-EINVAL, weir_handover_give(host, ends[0], NULL));
	EXPECT_ERR(-EINVAL, weir_handover_keep(host, -1));
	EXPECT_ERR(-EINVAL, weir_handover_finish(host));
	EXPECT_OK(weir_host_close(host));
	close(ends[0]);
	close(ends[1]);
}

/* Meanwhile ------------------------------------------------------------------------------------------------------- */

struct mapper {
	struct weir_ioas *ioas;
	int fd, error;
	_Atomic unsigned long rounds;
};

static void *map_until_stale(void *arg)
{
	struct mapper *mapper = arg;
	struct weir_map *map;

	for (;;) {
		mapper->error = weir_ioas_map_file(mapper->ioas, mapper->fd, 0, PAGE, NULL, &map);
		if (!mapper->error)
			mapper->error = weir_map_close(map);
		if (mapper->error)
			return NULL;
		mapper->rounds++;
	}
}

CONFORMANCE(handover, a_thread_that_maps_meanwhile_is_told, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct mapper mapper = { .ioas = predecessor->ioas, .fd = new_file(t, PAGE) };
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, map_until_stale, &mapper), 0);
	while (mapper.rounds < 3)
		usleep(1000);
	begin_successor(t, predecessor, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	end_successor(t);
	mapper.rounds = 0;
	while (mapper.rounds < 3)
		usleep(1000);
	other_ends(predecessor);
	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	forget_predecessor(predecessor);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(mapper.error, -ESTALE);
	expect_estate(t, end_successor(t)->host);
}
