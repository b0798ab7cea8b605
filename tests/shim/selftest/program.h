/* SPDX-License-Identifier: MIT */
/* Run one of the programs that misbehave on purpose, which lie beside this one. */
#ifndef TESTS_SHIM_SELFTEST_PROGRAM_H
#define TESTS_SHIM_SELFTEST_PROGRAM_H

#include "test.h"

struct outcome {
	int status; /* as of wait() */
	char output[32768];
};

/* Run @program with @arguments, in the shell's syntax, to its end. The outcome lives as long as the case. */
const struct outcome *run_program(struct t *t, const char *program, const char *arguments);

#endif
