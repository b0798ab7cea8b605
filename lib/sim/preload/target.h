/* SPDX-License-Identifier: MIT */
/* The program that is to be run: can it work with a preloaded library? */
#ifndef WEIR_SIM_PRELOAD_TARGET_H
#define WEIR_SIM_PRELOAD_TARGET_H

/*
 * Find a program as execvp() would. Returns its path, malloc'ed, or NULL with errno (ENOENT, EACCES,
 * ENOMEM).
 */
char *sim_target_find(const char *program);

/*
 * 0, or a negative errno with a text in weir_error() that says why it cannot work: linked statically,
 * setuid, for another processor, not a program. Of a script, its interpreter is looked at.
 */
int sim_target_check(const char *path);

#endif
