// SPDX-License-Identifier: MIT
/*
 * Be a successor that is killed: run the program of $WEIR_SUCCESSOR, and kill it when it has made its Nth step after it has first heard something from
 * its predecessor. A step is a system call that others can see: a message, an ioctl.
 *
 * N is read from the file $WEIR_KILL_AT and written back one larger, so that each successor gets one step further; from $WEIR_KILL_BELOW on nobody
 * is killed any more.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

static long next_number(const char *path)
{
	FILE *file = fopen(path, "r+e");
	long number = 1;

	if (!file)
		exit(3);
	if (fscanf(file, "%ld", &number) != 1)
		number = 1;
	rewind(file);
	fprintf(file, "%ld\n", number + 1);
	fclose(file);
	return number;
}

static __attribute__((noreturn)) void be_traced(char **argv)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	execv(getenv("WEIR_SUCCESSOR"), argv);
	_exit(127);
}

static int ended(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	const char *path = getenv("WEIR_KILL_AT"), *below = getenv("WEIR_KILL_BELOW"),
		   *socket = getenv("WEIR_HANDOVER");
	long left = path ? next_number(path) : 0;
	bool begun = false, inside = false, is_step = false;
	int status, signal = 0;
	pid_t pid;

	(void)argc;
	if (!path || !getenv("WEIR_SUCCESSOR"))
		return 2;
	if (below && left >= atol(below)) {
		execv(getenv("WEIR_SUCCESSOR"), argv);
		return 127;
	}
	pid = fork();
	if (pid == 0)
		be_traced(argv);
	if (socket)
		close(atoi(socket)); /* or the predecessor would not see that its successor's end is closed */
	waitpid(pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	for (;;) {
		struct __ptrace_syscall_info info = { 0 };

		if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal) < 0 ||
		    waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
			return ended(status);
		signal = WSTOPSIG(status) & 0x80 || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		if (!(WSTOPSIG(status) & 0x80))
			continue;
		inside = !inside;
		if (!inside && begun && is_step && --left <= 0)
			break;
		if (inside && ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) > 0) {
			begun |= info.entry.nr == SYS_recvmsg;
			is_step = info.entry.nr == SYS_recvmsg || info.entry.nr == SYS_sendmsg ||
				  info.entry.nr == SYS_ioctl;
		}
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return ended(status);
}
