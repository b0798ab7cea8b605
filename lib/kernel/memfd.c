// SPDX-License-Identifier: MIT
#include "kernel/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>

int weir_memfd_sealed(const struct weir_sys *sys, const char *name, unsigned int flags, uint64_t len)
{
	int fd = sys->memfd_create(sys->ctx, name, flags | MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

	if (fd < 0)
		return fd;
	error = sys->ftruncate(sys->ctx, fd, len);
	if (!error)
		error = sys->fcntl(sys->ctx, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (error) {
		sys->close(sys->ctx, fd);
		return error;
	}
	return fd;
}
