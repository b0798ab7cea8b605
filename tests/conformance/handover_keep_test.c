// SPDX-License-Identifier: MIT
/* A keeper has all descriptors and the journal, and gives them to the successor of a process that is no more. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance/handover.h"
#include "conformance/machine.h"
#include "conformance/os.h"

static void close_kept(void *kept)
{
	weir_kept_close(kept);
}

static struct weir_kept *new_kept(struct t *t)
{
	struct weir_kept *kept;

	ASSERT_OK(weir_kept_open(successors_sys(t), &kept));
	t_defer(t, close_kept, kept);
	return kept;
}

/* As long as something is there to be read. */
static int take_in_all(struct weir_kept *kept, int socket)
{
	char byte;
	int error = 0;

	while (!error && recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
		error = weir_kept_take_in(kept, socket);
	return error;
}

CONFORMANCE(handover_keep, what_was_given_away_is_not_kept, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_kept *kept = new_kept(t);
	int ends[2];

	EXPECT_ERR(-ENOENT, weir_kept_give(kept, predecessor->ends[0], NULL));
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ASSERT_OK(weir_handover_keep(predecessor->host, ends[0]));
	EXPECT_OK(take_in_all(kept, ends[1]));
	begin_successor(t, predecessor, take_all);
	ASSERT_OK(weir_handover_give(predecessor->host, predecessor->ends[0], NULL));
	forget_predecessor(predecessor);
	EXPECT_ERR(-EPIPE, take_in_all(kept, ends[1]));
	other_ends(predecessor);
	EXPECT_ERR(-ENOENT, weir_kept_give(kept, predecessor->ends[0], NULL));
	close(ends[1]);
	expect_estate(t, end_successor(t)->host);
}

CONFORMANCE(handover_keep, without_its_keeper_nothing_new_is_opened, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY))
{
	struct predecessor *predecessor = new_predecessor(t);
	struct weir_irq *irq;
	int ends[2], fd = new_file(t, PAGE);
	struct weir_map *map;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ASSERT_OK(weir_handover_keep(predecessor->host, ends[0]));
	close(ends[1]);
	EXPECT_ERR(-EPIPE, weir_irq_enable(predecessor->device, WEIR_IRQ_REQ, 1, &irq));
	EXPECT_ERR(-EPIPE, weir_ioas_map_file(predecessor->ioas, fd, 0, PAGE, NULL, &map));
	EXPECT_CONTAINS(weir_error(), "keeper");
	ASSERT_OK(weir_handover_keep(predecessor->host, -1));
	expect_unharmed(t, predecessor);
}

/* The process that is killed, and how long it lives. */
static _Noreturn void be_killed(struct t *t, int socket)
{
	struct predecessor *predecessor = new_predecessor(t);

	ASSERT_OK(weir_handover_keep(predecessor->host, socket));
	begin_edu_write(predecessor->device, predecessor->buffer.iova, 64);
	kill(getpid(), SIGKILL);
	abort();
}

static void follow_killed(struct t *t, void *arg)
{
	struct weir_kept *kept = new_kept(t);
	struct predecessor successor_ends = { .ends = { -1, -1 } };
	struct successor *successor;
	struct weir_device *device;
	struct weir_irq *irq;
	struct weir_host *host;
	int ends[2], status;
	pid_t child;

	(void)arg;
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	child = os_fork();
	if (!child)
		be_killed(t, ends[0]);
	close(ends[0]);
	while ((status = weir_kept_take_in(kept, ends[1])) == 0 || status == -ETIMEDOUT)
		;
	EXPECT_EQ(status, -EPIPE);
	ASSERT_EQ(waitpid(child, NULL, 0), child);
	/* One that does not want it, first. */
	other_ends(&successor_ends);
	begin_successor(t, &successor_ends, refuse_all);
	EXPECT_ERR(-ECONNREFUSED, weir_kept_give(kept, successor_ends.ends[0], NULL));
	EXPECT_EQ(end_successor(t)->error, 0);
	other_ends(&successor_ends);
	begin_successor(t, &successor_ends, take_all);
	ASSERT_OK(weir_kept_give(kept, successor_ends.ends[0], NULL));
	successor = end_successor(t);
	ASSERT_EQ(successor->error, 0);
	host = successor->host;
	ASSERT_OK(weir_handover_device(host, address_of(t, "EDU0"), &device));
	ASSERT_OK(weir_handover_irq(device, WEIR_IRQ_MSI, &irq));
	expect_interrupt(device, irq);
	expect_estate(t, host);
	close(successor_ends.ends[0]);
	close(ends[1]);
}

/*
 * In a process of its own, since the kernel's count of what root has pinned (VmPin) is off when it changes hands: IOMMU_IOAS_CHANGE_PROCESS does not move what
 * was mapped with CAP_IPC_LOCK, and unmapping takes it from the new owner's.
 */
CONFORMANCE(handover_keep, who_was_killed_is_followed, NEEDS(EDU0, HANDOVER, LOCKED_MEMORY, REAL_SYSTEM))
{
	record_no_calls(t);
	in_child(t, follow_killed, NULL);
}
