/* SPDX-License-Identifier: MIT */
#ifndef BROKER_PRIVILEGE_H
#define BROKER_PRIVILEGE_H

/*
 * Give up, for good, everything that opening device nodes does not need. Returns 0; or a negative errno,
 * having reported what could not be given up: then the broker must not go on.
 */
int privilege_drop(void);

#endif
