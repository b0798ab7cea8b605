/* SPDX-License-Identifier: MIT */
/* What cases need, by the names in fixture.h. */
#ifndef TESTS_CONFORMANCE_CAPABILITIES_H
#define TESTS_CONFORMANCE_CAPABILITIES_H

#include "conformance/fixture.h"

/* Has the case's host that? What is tried to find out is the case's doing as well as others'. */
bool can_have(struct t *t, const char *capability);

/* fixture.c: the address of a device by the test bed's name, or NULL; and a space as the case's host has them. */
const char *address_or_null(const char *name);
int open_space(struct t *t, const struct weir_ioas_opts *opts, struct weir_ioas **ret_ioas);

#endif
