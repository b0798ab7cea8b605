/* SPDX-License-Identifier: MIT */
/* What several programs take on their command lines. Each ends the program with a message when the text makes no sense. */
#ifndef SAMPLES_OPTIONS_H
#define SAMPLES_OPTIONS_H

#include <argp.h>
#include <stdint.h>

/* A number of at least 1 that fits 32 bits. @what: the option's name. */
uint32_t option_number(const char *text, const char *what, struct argp_state *state);

/* The name of a backend: enum weir_backend. */
uint32_t option_backend(const char *text, struct argp_state *state);

#endif
