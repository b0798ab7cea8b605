/* SPDX-License-Identifier: MIT */
/* What failed, on stderr. Whatever else there is to say is said by warn() and warnx() of <err.h>. */
#ifndef SAMPLES_SAY_H
#define SAMPLES_SAY_H

/*
 * When @error is one: what it was about (NULL: that says itself), and why, which is asked of the library that failed: weir_error,
 * nvme_error, igb_error. Returns @error.
 */
int say_error(int error, const char *what, const char *(*why)(void));

/* The first error of several counts. */
void keep_first(int *first, int error);

#endif
