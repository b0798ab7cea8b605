/* SPDX-License-Identifier: MIT */
/* The framework's inside: what its own files tell each other. Test cases include test.h. */
#ifndef TESTS_SHIM_RUN_H
#define TESTS_SHIM_RUN_H

#include "case.h"

#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* registry.c: every case in the order of registration, every host likewise. */
struct t_case *t_first_case(void);
const struct t_host *t_host_at(unsigned int index); /* NULL past the last */
const struct t_host *t_find_host(const char *name);

/* run.c: run one case. */
struct t_result {
	bool failed;
	bool skipped;
	char missing[256]; /* when skipped: the capabilities, "DMA_DEVICE, IRQ" */
	char reason[512];  /* "", or more about it */
};

typedef void t_failure_fn(const char *file, int line, const char *text);

void t_run_case(const struct t_case *test, const struct t_host *host, t_failure_fn *on_failure,
		struct t_result *ret_result);
void t_set_default_timeout(unsigned int seconds);

/* run.c, for the checks: a failure of the running case, from any of its threads and children. */
struct t_at;
void t_report(const struct t_at *at, const char *text);
const char *t_error_detail(void);

/* watchdog.c: abort the process, with a message naming the case, unless stopped in time. */
void t_watchdog_start(const struct t_case *test, const struct t_host *host, unsigned int seconds);
void t_watchdog_stop(void);

/* fds.c: which descriptors are open, and what changed between two looks. */
struct t_fds;
struct t_fds *t_fds_look(void);
void t_fds_free(struct t_fds *fds);
/* Writes "" or lines like "descriptor 5 was left open: anon_inode:[iommufd]". */
void t_fds_compare(const struct t_fds *before, const struct t_fds *after, char *ret_text, size_t size);

/* ledger.c: which cases ran, on which host, and which were skipped for which capability. */
struct t_entry {
	const struct t_case *test;
	const char *host; /* "-" for a unit case */
	struct t_result result;
};

void t_ledger_clear(void);
void t_ledger_add(const struct t_case *test, const struct t_host *host, const struct t_result *result);
void t_ledger_print(FILE *out);
const struct t_entry *t_ledger_at(size_t index); /* NULL past the last */
bool t_ledger_is_first_of_host(size_t index);

/* expected.c: complain of every difference between the ledger and the file of expected skips. */
typedef void t_complain_fn(const char *text);
void t_ledger_compare(const char *file, t_complain_fn *complain);

/* record.c: write down what cases saw, to be compared with what they saw elsewhere. Nothing happens until it is opened. */
bool t_record_open(const char *path);
void t_record_close(void);
void t_record_begin(void);
void t_record_end(const struct t_case *test, const struct t_host *host, const struct t_result *result);

/* words.c: copy the next word of a list like "A, B" to @ret_word and move on; false at the end. */
bool t_next_word(const char **list, char *ret_word, size_t size);
bool t_has_word(const char *list, const char *word);

/* grow.c: an array with room for one more element than its @count; aborts when memory is short. */
void *t_grow(void *array, size_t count, size_t *room, size_t element);

#ifdef __cplusplus
}
#endif

#endif
