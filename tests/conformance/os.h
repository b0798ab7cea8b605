/* SPDX-License-Identifier: MIT */
/*
 * What the cases themselves ask of the operating system, the library aside: files in /sys, /proc and /dev, permissions, other
 * processes, blocked DMA. The system is the real one, or that of the case's simulated machine (sim_machine.h).
 */
#ifndef TESTS_CONFORMANCE_OS_H
#define TESTS_CONFORMANCE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weir/sys.h>

struct weir_sim;

/* From here on it is @sim's (NULL: the real one), until os_end(). Outside of cases it is the real one. */
void os_begin(struct weir_sim *sim);
void os_end(void);

/* The simulated machine, or NULL. */
struct weir_sim *os_sim(void);

/* Its system calls, as the library is to be given them. */
const struct weir_sys *os_sys(void);

/* Files: descriptors, or 0; or a negative errno. os_read_file(): what is in it, malloc'ed; NULL: it cannot be read. */
int os_open(const char *path, int flags);
bool os_exists(const char *path);
int os_write_file(const char *path, const char *text);
char *os_read_file(const char *path);

/* Take pages away from a file of the case's: make it end at @len; have nothing in @len bytes at @offset. 0 or a negative errno. */
int os_truncate(int fd, uint64_t len);
int os_punch_hole(int fd, uint64_t offset, uint64_t len);

/* The last component of a link's target, and the first entry of a directory that begins with @prefix; "": there is none. */
void os_link_name(const char *path, char *ret_name, size_t size);
void os_find_entry(const char *path, const char *prefix, char *ret_name, size_t size);

/* Change what others than the owner may do with a node; returns the old mode. Simulated ones are all root's and 0600 before. */
unsigned int os_chmod(const char *path, unsigned int mode);

/* Real edus take a tenth of a second for a DMA, simulated ones no time: let this one do nothing until it is let go. */
void os_hold_edu(const char *address, bool hold);

/* As fork(): the child of a case on a simulated machine has a copy of that. */
pid_t os_fork(void);

/*
 * Write @text to a file whose kernel side waits for this process to close something; and see that it got to its end: 0.
 */
pid_t os_write_begin(const char *path, const char *text);
int os_write_end(pid_t writer);

#endif
