/* SPDX-License-Identifier: MIT */
/* A protection domain, as the parts of libweir-rdma see it. */
#ifndef WEIR_LIB_RDMA_H
#define WEIR_LIB_RDMA_H

#include <stdatomic.h>

#include <weir/rdma.h>

struct weir_rdma {
	struct ibv_pd *pd;
	const struct weir_verbs *verbs;
	_Atomic uint32_t users; /* memories and windows */
	char device[64], driver[32];
};

/* An access that can be given, to memory and to windows alike: 0, or -EINVAL with a text. */
int weir_rdma_check_access(int access);

/* End a registration. Returns 0 or a negative errno, with a text. */
int weir_rdma_deregister(const struct weir_rdma *rdma, struct ibv_mr *mr);

/* provider.c: what is known of RDMA devices by the kernel's name of their drivers. */

/* What becomes of a window's registration there. */
enum weir_rdma_way weir_provider_way(const char *driver);

/* Why it refuses windows, as a part of a sentence. */
const char *weir_provider_refusal(const char *driver);

#endif
