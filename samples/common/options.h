/* SPDX-License-Identifier: MIT */
/*
 * Command lines. A program has a table of its options for argp, as any has; and for the parser another, of where their values go. The parser has
 * only those options to itself that are more than a value.
 *
 * What makes no sense ends the program, with a message and EXIT_USAGE.
 */
#ifndef SAMPLES_OPTIONS_H
#define SAMPLES_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/open.h"

/* Where the value of an option goes: to the pointer that is set. */
struct option_target {
	int key; /* of the option; or ARGP_KEY_ARG: the next argument, such as a PCI address, into text */
	const char *name;   /* of a number or an argument: what a message calls it */
	bool *flag;         /* becomes true */
	const char **text;  /* as it stands there */
	uint32_t *number;   /* see option_number() */
	uint64_t *number64; /* see option_number64() */
	uint32_t *backend;  /* enum weir_backend, by its name */
};

/* For the end of a parser: 0 when @key is the target of one, or ends the program; else ARGP_ERR_UNKNOWN. */
error_t option_take(const struct option_target *targets, size_t num, int key, char *arg,
		    struct argp_state *state);

/* A number of at least 1 that fits 32 bits. @what: the option's name. */
uint32_t option_number(const char *text, const char *what, struct argp_state *state);

/* A number, or 0. */
uint64_t option_number64(const char *text, const char *what, struct argp_state *state);

/* A number from @least to @most. */
uint32_t option_within(const char *text, const char *what, uint32_t least, uint32_t most,
		       struct argp_state *state);

/* At the end of a command line with the address of an NVMe controller: only a simulated one may go without. */
void option_controller(struct open_request *request, struct argp_state *state);

/* Read the command line, with @input for the parser. */
void option_parse(const struct argp *argp, int argc, char **argv, void *input);

#endif
