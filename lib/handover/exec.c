// SPDX-License-Identifier: MIT
/*
 * Another program in this process's place. A helper, forked from this process, has all descriptors, and the same memory at the same addresses; it takes what is
 * charged, so that there is an owner while this process has none, and gives to the program what a giver gives.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "handover/handover.h"

static const char variable[] = "WEIR_HANDOVER";

/* In the helper, for the rest of its life. Nothing is allocated: the process that it was forked from may have had other threads. */
static _Noreturn void help(struct weir_host *host, const struct weir_giver *giver)
{
	if (weir_handover_take(host))
		_exit(1);
	if (weir_handover_pass(giver))
		_exit(1);
	weir_journal_part(host->kernel.journal);
	_exit(0);
}

/* Not this process's child, so that nobody has to wait for it. */
static int fork_helper(struct weir_host *host, const int ends[2], int timeout_ms)
{
	const struct weir_giver giver = weir_handover_giver(host, ends[1], timeout_ms);
	pid_t child = fork();

	if (child < 0)
		return weir_fail(-errno, "forking a helper: %s", strerror(errno));
	if (!child) {
		close(ends[0]);
		child = fork();
		if (child)
			_exit(child < 0);
		setsid();
		help(host, &giver);
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	close(ends[1]);
	return 0;
}

/* The helper speaks when all is its, and else ends. */
static int wait_for_helper(int socket, int timeout_ms)
{
	struct pollfd poll_ = { .fd = socket, .events = POLLIN };
	int ready;

	do
		ready = poll(&poll_, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready > 0 && poll_.revents & POLLIN && !(poll_.revents & POLLHUP))
		return 0;
	return weir_fail(ready ? -EPIPE : -ETIMEDOUT, "the helper that is to keep the host meanwhile could "
						      "not take it: its limits are this process's, and "
						      "RLIMIT_MEMLOCK may be too small for both");
}

/* It lets go of all; then nobody else does anything to the host. */
static void dismiss_helper(const struct weir_sys *sys, int socket)
{
	enum { SOON_MS = 10000 };
	struct pollfd poll_ = { .fd = socket };

	weir_wire_say(sys, socket, WEIR_WIRE_REFUSED, "the program could not be started");
	poll(&poll_, 1, SOON_MS);
	close(socket);
}

/* The caller's environment, with the socket's number. */
static char **new_environment(char *const envp[], char *setting)
{
	size_t num = 0, kept = 0;
	char **copy;

	while (envp[num])
		num++;
	copy = (char **)calloc(num + 2, sizeof(char *));
	if (!copy)
		return NULL;
	for (size_t i = 0; i < num; i++)
		if (strncmp(envp[i], variable, sizeof(variable) - 1) != 0 ||
		    envp[i][sizeof(variable) - 1] != '=')
			copy[kept++] = envp[i];
	copy[kept] = setting;
	return copy;
}

static int replace(const char *path, char *const argv[], char *const envp[], int socket)
{
	char setting[sizeof(variable) + 16];
	char **environment;
	int error;

	snprintf(setting, sizeof(setting), "%s=%d", variable, socket);
	environment = new_environment(envp ? envp : environ, setting);
	if (!environment)
		return weir_fail(-ENOMEM, "no memory for an environment");
	fcntl(socket, F_SETFD, 0);
	execve(path, argv, environment);
	error = -errno;
	fcntl(socket, F_SETFD, FD_CLOEXEC);
	free((void *)environment);
	return weir_fail(error, "starting %s: %s", path, strerror(-error));
}

static int start(struct weir_host *host, const char *path, char *const argv[], char *const envp[],
		 int timeout_ms)
{
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return weir_fail(-errno, "a socket for the helper: %s", strerror(errno));
	error = fork_helper(host, ends, timeout_ms);
	if (error) {
		close(ends[0]);
		close(ends[1]);
		return error;
	}
	error = wait_for_helper(ends[0], timeout_ms);
	if (!error)
		error = replace(path, argv, envp, ends[0]);
	dismiss_helper(host->kernel.sys, ends[0]);
	return error;
}

int weir_handover_exec(struct weir_host *host, const char *path, char *const argv[], char *const envp[],
		       const struct weir_handover_opts *opts)
{
	struct weir_handover_opts o;
	struct weir_first first = { 0 };
	int error = weir_handover_read_options(opts, &o);

	if (!error && access(path, X_OK))
		error = weir_fail(-errno, "starting %s: %s", path, strerror(errno));
	if (!error)
		error = weir_handover_begin(host, o.flags);
	if (error)
		return error;
	weir_first_note(&first, start(host, path, argv, envp, weir_handover_timeout(&o)));
	error = weir_handover_take(host);
	if (error)
		error = weir_fail_within(-ENOTRECOVERABLE, "what is charged could not be taken back");
	weir_first_note(&first, error);
	weir_first_note(&first, weir_handover_cancel(host));
	/* What could not be mended says more than what failed first. */
	return error ? error : weir_first_error(&first);
}
