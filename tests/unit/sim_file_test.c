// SPDX-License-Identifier: MIT
/* Descriptors of the simulated machine: real ones, with a file behind each. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/file.h"
#include "sim_toy.h"

enum { QUESTION = 0x3b7f, ANSWER = 42 };

/* What became of a file. */
struct probe {
	unsigned int asked, released;
	const char *content; /* what a read gives, once */
};

static int probe_ioctl(struct sim_file *file, unsigned long request, void *arg)
{
	struct probe *probe = file->data;

	(void)arg;
	if (request != QUESTION)
		return -ENOTTY;
	probe->asked++;
	return ANSWER;
}

static ssize_t probe_read(struct sim_file *file, void *buf, size_t len)
{
	struct probe *probe = file->data;
	size_t have = probe->content ? strlen(probe->content) : 0;

	if (have > len)
		have = len;
	if (have)
		memcpy(buf, probe->content, have);
	probe->content = NULL;
	sim_file_set_readable(file, false);
	return (ssize_t)have;
}

static void probe_release(struct sim_file *file)
{
	((struct probe *)file->data)->released++;
}

static const struct sim_file_ops probe_ops = {
	.name = "probe",
	.ioctl = probe_ioctl,
	.read = probe_read,
	.release = probe_release,
};

static int open_probe(struct weir_sim *sim, struct probe *probe, struct sim_file **ret_file)
{
	int fd;

	ASSERT_OK(sim_lock(sim));
	fd = sim_file_open(sim, &probe_ops, probe, ret_file);
	sim_unlock(sim);
	ASSERT_GE(fd, 0);
	return fd;
}

static int ask(struct weir_sim *sim, int fd)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	return sys->ioctl(sys->ctx, fd, QUESTION, NULL);
}

/* A call about something else: what was closed behind the machine's back is noticed. */
static void any_call(struct weir_sim *sim)
{
	const struct weir_sys *sys = weir_sim_sys(sim);

	EXPECT_OK(sys->sleep(sys->ctx, 0));
}

UNIT(sim_file, every_copy_of_a_descriptor_is_known)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct probe probe = { 0 };
	int fd = open_probe(sim, &probe, NULL), copies[3];

	copies[0] = sys->dup(sys->ctx, fd);
	copies[1] = dup(fd);
	copies[2] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(ask(sim, copies[i]), ANSWER);
	EXPECT_EQ(probe.asked, 3);
	close(fd);
	for (int i = 0; i < 3; i++) {
		any_call(sim);
		EXPECT_EQ(probe.released, 0);
		close(copies[i]);
	}
	any_call(sim);
	EXPECT_EQ(probe.released, 1);
}

UNIT(sim_file, descriptors_are_closed_on_exec)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct probe probe = { 0 };
	int fd = open_probe(sim, &probe, NULL), copy = sys->dup(sys->ctx, fd);

	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(copy, F_GETFD), FD_CLOEXEC);
	EXPECT_OK(sys->close(sys->ctx, copy));
	EXPECT_EQ(probe.released, 0);
	EXPECT_OK(sys->close(sys->ctx, fd));
	EXPECT_EQ(probe.released, 1);
	EXPECT_ERR(-EBADF, sys->close(sys->ctx, fd));
}

UNIT(sim_file, reference_of_the_machine_outlives_the_descriptor)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct probe probe = { 0 };
	struct sim_file *file;
	int fd = open_probe(sim, &probe, &file);

	ASSERT_OK(sim_lock(sim));
	sim_file_hold(file);
	sim_unlock(sim);
	close(fd);
	any_call(sim);
	EXPECT_EQ(probe.released, 0);
	ASSERT_OK(sim_lock(sim));
	sim_file_drop(file);
	sim_unlock(sim);
	EXPECT_EQ(probe.released, 1);
}

/* Passing on -------------------------------------------------------------------------------------------- */

static void send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { "", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	ASSERT_EQ(sendmsg(socket, &msg, 0), 1);
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	int fd;

	ASSERT_EQ(recvmsg(socket, &msg, MSG_CMSG_CLOEXEC), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

UNIT(sim_file, descriptor_can_be_passed_over_a_socket)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct probe probe = { 0 };
	int fd = open_probe(sim, &probe, NULL), sockets[2];

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	send_fd(sockets[0], fd);
	close(fd);
	any_call(sim);
	EXPECT_EQ(probe.released, 0); /* under way, it is open */
	fd = receive_fd(sockets[1]);
	EXPECT_EQ(ask(sim, fd), ANSWER);
	close(fd);
	any_call(sim);
	EXPECT_EQ(probe.released, 1);
	close(sockets[0]);
	close(sockets[1]);
}

UNIT(sim_file, descriptors_of_others_are_passed_on)
{
	struct weir_sim *sim = new_machine(t, NULL), *other = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct probe probe = { 0 };
	int mine = open_probe(sim, &probe, NULL), sockets[2];
	char text[4] = "";

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	EXPECT_EQ(sys->write(sys->ctx, sockets[0], "abc", 3), 3);
	EXPECT_EQ(sys->read(sys->ctx, sockets[1], text, 3), 3);
	EXPECT_STREQ(text, "abc");
	EXPECT_ERR(-ENOTTY, ask(sim, sockets[0]));
	EXPECT_ERR(-EBADF, ask(sim, -1));
	EXPECT_ERR(-ENOTTY, ask(other, mine)); /* another machine's: a socket to this one */
	EXPECT_OK(sys->close(sys->ctx, sockets[0]));
	EXPECT_OK(sys->close(sys->ctx, sockets[1]));
	EXPECT_OK(sys->close(sys->ctx, mine));
}

UNIT(sim_file, what_a_file_cannot_do_is_an_error)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct probe probe = { 0 };
	int fd = open_probe(sim, &probe, NULL);
	char byte = 0;
	void *addr;

	EXPECT_ERR(-ENOTTY, sys->ioctl(sys->ctx, fd, QUESTION + 1, NULL));
	EXPECT_ERR(-EINVAL, sys->write(sys->ctx, fd, &byte, 1));
	EXPECT_ERR(-EINVAL, sys->pread(sys->ctx, fd, &byte, 1, 0));
	EXPECT_ERR(-EINVAL, sys->pwrite(sys->ctx, fd, &byte, 1, 0));
	EXPECT_ERR(-ENODEV, sys->mmap(sys->ctx, NULL, 4096, 1, 1, fd, 0, &addr));
	EXPECT_ERR(-ENOTSOCK, sys->sendmsg(sys->ctx, fd, &(struct msghdr){ 0 }, 0));
	EXPECT_ERR(-ENOTSOCK, sys->recvmsg(sys->ctx, fd, &(struct msghdr){ 0 }, 0));
	/* Not through the table: it goes nowhere, and does no harm. */
	EXPECT_EQ(write(fd, &byte, 1), 1);
	EXPECT_EQ(ask(sim, fd), ANSWER);
	EXPECT_OK(sys->close(sys->ctx, fd));
	EXPECT_EQ(probe.released, 1);
}

/* Poll -------------------------------------------------------------------------------------------------- */

static short polled(struct weir_sim *sim, int fd)
{
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct pollfd entry = { .fd = fd, .events = POLLIN };

	EXPECT_GE(sys->poll(sys->ctx, &entry, 1, 0), 0);
	return entry.revents;
}

UNIT(sim_file, poll_says_what_can_be_read)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct probe probe = { .content = "fault" };
	struct sim_file *file;
	int fd = open_probe(sim, &probe, &file);
	struct pollfd raw = { .fd = fd, .events = POLLIN };
	char text[8] = "";

	EXPECT_EQ(polled(sim, fd), 0);
	ASSERT_OK(sim_lock(sim));
	sim_file_set_readable(file, true);
	sim_file_set_readable(file, true);
	sim_unlock(sim);
	EXPECT_EQ(polled(sim, fd), POLLIN);
	EXPECT_EQ(poll(&raw, 1, 0), 1);

	EXPECT_EQ(sys->read(sys->ctx, fd, text, sizeof(text) - 1), 5);
	EXPECT_STREQ(text, "fault");
	EXPECT_EQ(poll(&raw, 1, 0), 0);
	EXPECT_EQ(polled(sim, fd), 0);
	EXPECT_OK(sys->close(sys->ctx, fd));
}

UNIT(sim_file, what_nobody_read_can_be_taken_back)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct probe probe = { 0 };
	struct sim_file *file;
	int fd = open_probe(sim, &probe, &file);

	ASSERT_OK(sim_lock(sim));
	sim_file_set_readable(file, true);
	sim_file_set_readable(file, false);
	sim_unlock(sim);
	EXPECT_EQ(polled(sim, fd), 0);
	close(fd);
	any_call(sim);
	EXPECT_EQ(probe.released, 1);
}

/* Fork -------------------------------------------------------------------------------------------------- */

static void expect_child_ends_well(pid_t child)
{
	int status;

	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
}

UNIT(sim_file, child_closes_its_own_copies)
{
	struct weir_sim *sim = new_machine(t, NULL);
	const struct weir_sys *sys = weir_sim_sys(sim);
	struct probe probe = { 0 };
	int fd = open_probe(sim, &probe, NULL);
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		EXPECT_OK(sys->close(sys->ctx, fd));
		EXPECT_EQ(probe.released, 0); /* the parent has it */
		EXPECT_OK(weir_sim_close(sim));
		_exit(0);
	}
	expect_child_ends_well(child);
	EXPECT_EQ(ask(sim, fd), ANSWER);
	EXPECT_EQ(probe.released, 0);
	EXPECT_OK(sys->close(sys->ctx, fd));
	EXPECT_EQ(probe.released, 1);
}

UNIT(sim_file, child_that_has_a_copy_keeps_the_file_open)
{
	struct weir_sim *sim = new_machine(t, NULL);
	struct probe probe = { 0 };
	int fd = open_probe(sim, &probe, NULL), gate[2];
	char byte;
	pid_t child;

	ASSERT_EQ(pipe(gate), 0);
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		close(gate[1]);
		_exit(read(gate[0], &byte, 1) != 0);
	}
	close(gate[0]);
	close(fd);
	any_call(sim);
	EXPECT_EQ(probe.released, 0);
	close(gate[1]);
	expect_child_ends_well(child);
	any_call(sim);
	EXPECT_EQ(probe.released, 1);
}
