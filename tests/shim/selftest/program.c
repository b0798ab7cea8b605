/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void free_memory(void *memory)
{
	free(memory);
}

/* In the child. A program that aborts, as some here do, shall not leave a core file. */
static void become(const char *program, const char *arguments, int output)
{
	char self[PATH_MAX / 2] = "";
	char command[PATH_MAX];
	char *slash;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || !(slash = strrchr(self, '/')))
		_exit(126);
	*slash = '\0';
	snprintf(command, sizeof(command), "ulimit -c 0; exec '%s/%s' %s", self, program, arguments);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

const struct outcome *run_program(struct t *t, const char *program, const char *arguments)
{
	struct outcome *outcome = calloc(1, sizeof(*outcome));
	FILE *output = tmpfile();
	size_t len;
	pid_t child;

	ASSERT_TRUE(outcome);
	t_defer(t, free_memory, outcome);
	ASSERT_TRUE(output);
	child = fork();
	if (child == 0)
		become(program, arguments, fileno(output));
	EXPECT_EQ(waitpid(child, &outcome->status, 0), child);
	EXPECT_EQ(fseek(output, 0, SEEK_SET), 0);
	len = fread(outcome->output, 1, sizeof(outcome->output) - 1, output);
	outcome->output[len] = '\0';
	fclose(output);
	return outcome;
}
