/* SPDX-License-Identifier: MIT */
/* What domain.c and nested.c have in common. */
#ifndef WEIR_DOMAIN_NESTED_H
#define WEIR_DOMAIN_NESTED_H

#include "domain/domain.h"

extern const struct weir_domain_type weir_paging_type, weir_parent_type, weir_nested_type;

/* -EXDEV: the queue (or NULL) is another host's. */
int weir_check_faultq(const struct weir_faultq *faultq, const struct weir_host *host);

/* -EOPNOTSUPP: the backend has no domains. */
int weir_fail_no_domains(void);

#endif
