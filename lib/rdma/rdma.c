// SPDX-License-Identifier: MIT
#include "rdma/rdma.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

enum {
	REMOTE_CHANGES = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC,
	/* What the kernel takes for dma-bufs; for other memory it takes more, which nobody here has a use for. */
	KNOWN_ACCESS = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | REMOTE_CHANGES |
		       IBV_ACCESS_RELAXED_ORDERING,
};

int weir_rdma_check_access(int access)
{
	if (access & ~KNOWN_ACCESS)
		return weir_fail(-EINVAL, "access %#x: only what is in %#x can be given",
				 (unsigned int)access, (unsigned int)KNOWN_ACCESS);
	if ((access & REMOTE_CHANGES) && !(access & IBV_ACCESS_LOCAL_WRITE))
		return weir_fail(-EINVAL, "access %#x: who lets others write needs IBV_ACCESS_LOCAL_WRITE",
				 (unsigned int)access);
	return 0;
}

int weir_rdma_deregister(const struct weir_rdma *rdma, struct ibv_mr *mr)
{
	int error = rdma->verbs->dereg_mr(mr);

	if (!error)
		return 0;
	error = error > 0 ? -error : -EIO;
	return weir_fail(error, "ibv_dereg_mr() on %s: %s; others may still reach the memory", rdma->device,
			 strerror(-error));
}

int weir_rdma_open(struct ibv_pd *pd, const struct weir_rdma_opts *opts, struct weir_rdma **ret_rdma)
{
	struct weir_rdma_opts o;
	struct weir_rdma *rdma;
	int error = weir_opts_read(opts, &o, sizeof(o));

	if (error)
		return error;
	rdma = calloc(1, sizeof(*rdma));
	if (!rdma)
		return weir_fail(-ENOMEM, "no memory for a protection domain");
	rdma->pd = pd;
	rdma->verbs = o.verbs ? o.verbs : weir_verbs_real();
	rdma->verbs->query(pd, rdma->device, sizeof(rdma->device), rdma->driver, sizeof(rdma->driver));
	*ret_rdma = rdma;
	return 0;
}

int weir_rdma_close(struct weir_rdma *rdma)
{
	uint32_t users = rdma ? atomic_load(&rdma->users) : 0;

	if (users)
		return weir_fail(-EBUSY, "on %s, %u memories and windows are still registered", rdma->device,
				 users);
	free(rdma);
	return 0;
}
