/* SPDX-License-Identifier: MIT */
/* A host on the kernel that says yes, for cases that need one; all closed when the case ends. */
#ifndef TESTS_UNIT_YES_HOST_H
#define TESTS_UNIT_YES_HOST_H

#include <weir/weir.h>

#include "shim/test.h"
#include "support/yes_kernel.h"

/* A kernel; fails the case when anything of it is still out at its end. */
struct yes_kernel *new_yes_kernel(struct t *t);

struct weir_host *new_host(struct t *t, struct yes_kernel *yes, enum weir_backend backend);
struct weir_ioas *new_ioas(struct t *t, struct weir_host *host);
struct weir_device *new_device(struct t *t, struct weir_ioas *ioas, const char *address);

/* Memory that can be mapped: @len bytes at a multiple of @align. */
void *new_memory(struct t *t, size_t align, size_t len);

/* How many threads of one kind there are to be: as many as there are processors, but 2 at least and MOST_OF_A_KIND at most. */
enum { MOST_OF_A_KIND = 16 };
unsigned int threads_of_a_kind(void);

/* All backends, for loops. */
enum { NUM_BACKENDS = 3 };
extern const enum weir_backend all_backends[NUM_BACKENDS];

#endif
